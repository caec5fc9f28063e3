//! Writing what the shards hold that a worker is home to, in slices between ticks.
//!
//! While nobody asks for anything slices follow each other. Otherwise they have a share of the worker's time and are short:
//! whoever wants the shard waits for the one it is in, and processors are left to clients, to the thread that writes the file,
//! and to other workers. Without that, a server whose workers are as many as its processors cannot keep up with what it is asked.

use super::Worker;
use super::slices::{Bounds, Slices};
use crate::mail::ShardPost;
use crate::saving::Save;
use darter_runtime::Turn;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The share of its time that a worker takes while there are clients who want something.
const PERCENT: u32 = 33;

/// Of one slice, with the step it is in.
const BOUNDS: Bounds = Bounds { min_nanos: 100_000, max_nanos: 500_000 };

/// For so long after a command more are expected. If a slice could take all of the time as soon as none has come since the
/// last one, clients that have no processor because of that would seem to want nothing.
const CALM: Duration = Duration::from_millis(100);

/// How soon to come back if all shards are out, which is most often for less than that.
const OUT_INTERVAL: Duration = Duration::from_millis(1);

/// How far a worker is with it.
#[derive(Debug, Default)]
pub(super) struct Writing {
    slices: Slices,
    /// Commands that had been run by all workers when it was looked last, and when there were more.
    commands: u64,
    asked: Option<Instant>,
    /// Which of the shards at home is next.
    shard: usize,
}

impl Worker {
    /// Writes more, if something is being saved and its time has come; when to go on.
    #[inline]
    pub(super) fn go_on_saving(&mut self, turn: &Turn) -> Option<Instant> {
        let shared = self.core.shared;
        if !shared.saving.is_under_way() || shared.background_paused.load(Ordering::Relaxed) {
            return None;
        }
        self.save_if_due(turn)
    }

    #[cold]
    fn save_if_due(&mut self, turn: &Turn) -> Option<Instant> {
        if self.writing.slices.is_resting(turn.instant) {
            return self.writing.slices.due();
        }
        let save = self.core.shared.saving.current()?;
        let is_asked = self.is_asked(turn);
        let budget = self.writing.slices.budget(turn.instant, PERCENT, BOUNDS);
        match self.save_slice(&save, turn, budget) {
            Some(nanos) => {
                self.core.statistics().tending_nanos.add(nanos);
                if is_asked {
                    self.writing.slices.end(turn.instant, nanos, PERCENT, BOUNDS);
                } else {
                    self.writing.slices.go_on(turn.instant);
                }
                self.writing.slices.due()
            }
            None => Some(turn.instant + OUT_INTERVAL),
        }
    }

    /// Whether clients have wanted something of any worker a moment ago.
    fn is_asked(&mut self, turn: &Turn) -> bool {
        let commands = self.core.shared.statistics.iter().map(|one| one.commands.read()).sum();
        if std::mem::replace(&mut self.writing.commands, commands) != commands {
            self.writing.asked = Some(turn.instant);
        }
        self.writing.asked.is_some_and(|asked| turn.instant.saturating_duration_since(asked) < CALM)
    }

    /// Writes more of one shard; how long it took, in nanoseconds. `None` if there is nothing to be done at once.
    fn save_slice(&mut self, save: &Save, turn: &Turn, budget: u64) -> Option<u64> {
        let shared = self.core.shared;
        let begun = shared.stopwatch.now();
        let homes = shared.router().shards_at_home(self.core.worker);
        let count = homes.clone().count();
        for id in homes.cycle().skip(self.writing.shard).take(count) {
            // Out means busy: the next one instead.
            let held = shared.cells.cell(id).try_take();
            self.writing.shard = (self.writing.shard + 1) % count;
            let Some(mut held) = held else { continue };
            let mut spent = None;
            while spent.is_none_or(|nanos| nanos < budget)
                && save.advance(&mut held.shard, turn.now)
            {
                spent = Some(self.core.nanos_since(begun));
            }
            shared.cells.put_back(held, &ShardPost(&self.core.post));
            if spent.is_some() {
                return spent;
            }
        }
        None
    }
}
