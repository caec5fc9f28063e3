//! Saves that nobody waits for: those of save points, those that were scheduled, and the last one.

use super::{Saving, file, lock, save_held};
use crate::config::Settings;
use crate::job::Job;
use crate::mail::ShardPost;
use crate::shared::Shared;
use crate::worker::Core;
use darter_base::{UnixMillis, WorkerId};
use darter_runtime::{Stopping, Turn, wall_clock};
use darter_shard::Shard;
use darter_txn::{Carrier, Gathering, Held, Letter, Step, Ticket, View};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::{io, mem};

/// The ticket of shards that a worker wants for itself: no client has this id.
pub const OWN_TICKET: Ticket = Ticket(0);

/// After a save that failed the next one is not tried for this long, unless a client asks: one that failed at
/// once can be tried at once, so that writes are accepted again soon after the cause has gone.
const RETRY_MILLIS: i64 = 5000;
const QUICK_RETRY_MILLIS: i64 = 500;

/// Shards that a worker collects to begin a save.
#[derive(Debug, Default)]
pub struct Begun(RefCell<Option<Gathering<Shard>>>);

/// What SHUTDOWN said about saving, for the end of the process.
#[derive(Debug, Default)]
pub struct LastSave(AtomicU8);

/// Whether the data are saved before the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AtTheEnd {
    /// If there are save points.
    IfConfigured,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl LastSave {
    /// Sets what happens.
    pub fn set(&self, at_the_end: AtTheEnd) {
        self.0.store(at_the_end as u8, Ordering::Relaxed);
    }

    fn is_wanted(&self, settings: &Settings) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => !settings.saving.points.is_empty(),
            at_the_end => at_the_end == AtTheEnd::Always as u8,
        }
    }
}

impl Saving {
    /// Whether a save is to begin without a client.
    fn is_due(&self, settings: &Settings, now: UnixMillis) -> bool {
        if self.current().is_some() {
            return false;
        }
        if self.is_scheduled.load(Ordering::Relaxed) {
            return true;
        }
        if settings.saving.points.is_empty() {
            return false;
        }
        let seen = self.seen_changes.iter().map(|changes| changes.load(Ordering::Relaxed)).sum();
        let changes = self.unsaved(seen);
        let history = self.history();
        let retry_millis =
            if history.last_seconds == 0 { QUICK_RETRY_MILLIS } else { RETRY_MILLIS };
        if !history.last_succeeded && now.0.saturating_sub(history.last_try.0) < retry_millis {
            return false;
        }
        let seconds = now.0.saturating_sub(history.last_save.0) / 1000;
        let points = &settings.saving.points;
        let point = points.iter().find(|point| changes >= point.changes && seconds > point.seconds);
        if let Some(point) = point {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        }
        point.is_some()
    }
}

impl Core {
    /// Begins a save if one is due. Only one worker does this.
    pub fn begin_due_save(&self, turn: &Turn) {
        let (shared, begun) = (self.shared, &self.begun_save.0);
        if self.worker != WorkerId(0) || begun.borrow().is_some() {
            return;
        }
        let settings = shared.config.current();
        if shared.saving.is_due(&settings, turn.now) {
            self.go_on_with_save(Gathering::new(shared.router().shards().collect()), turn);
        }
    }

    /// A shard came that was wanted for a save.
    pub fn granted_for_save(&self, held: Held<Shard>, turn: &Turn) {
        let begun = self.begun_save.0.take();
        match begun {
            Some(mut gathering) if gathering.is_waiting() => {
                gathering.accept(held);
                self.go_on_with_save(gathering, turn);
            }
            other => {
                self.begun_save.0.replace(other);
                self.shared.cells.put_back(held, &ShardPost(&self.post));
            }
        }
    }

    fn go_on_with_save(&self, mut gathering: Gathering<Shard>, turn: &Turn) {
        let shared = self.shared;
        match gathering.advance(&shared.cells, self.worker, OWN_TICKET) {
            Step::Waiting => {
                self.begun_save.0.replace(Some(gathering));
            }
            Step::Ready => {
                let mut view = gathering.view(&shared.cells);
                // Otherwise a client was faster, which is as good.
                let _ = shared.saving.begin(shared, &mut view, None, turn.now);
                gathering.release(&shared.cells, &ShardPost(&self.post));
            }
        }
    }

    /// Whether the process may end, as far as saving goes: not while a save is under way that somebody waits for,
    /// and not if the data cannot be saved that are to be.
    pub fn may_end(&self) -> Stopping {
        if let Some(mut gathering) = self.begun_save.0.take() {
            // What it waits for goes back when it comes.
            gathering.release(&self.shared.cells, &ShardPost(&self.post));
        }
        let saving = &self.shared.saving;
        if let Some(save) = saving.current()
            && !lock(&save.waiting).is_empty()
        {
            return Stopping::Wait;
        }
        let settings = self.shared.config.current();
        if self.worker != WorkerId(0) || !saving.last_save.is_wanted(&settings) {
            return Stopping::Ready;
        }
        match file::try_directory(&settings) {
            Ok(()) => Stopping::Ready,
            Err(error) => {
                tracing::warn!(%error, "Error trying to save the DB, can't exit.");
                Stopping::Cancel
            }
        }
    }
}

/// Nobody is there any more, or not yet.
struct Nobody;

impl Carrier<Shard, Job> for Nobody {
    fn deliver(&self, _: WorkerId, _: Letter<Shard, Job>) {}
}

/// Takes every shard while no worker runs.
pub(super) fn with_all_shards<R>(
    shared: &'static Shared,
    work: impl FnOnce(&mut View<'_, Shard>) -> R,
) -> io::Result<R> {
    let cells = &shared.cells;
    let mut held: Vec<_> =
        shared.router().shards().filter_map(|id| cells.cell(id).try_take()).collect();
    let is_complete = held.len() == usize::from(shared.router().shard_count());
    let result = is_complete.then(|| work(&mut View::several(&mut held, shared.router())));
    for held in mem::take(&mut held) {
        cells.put_back(held, &Nobody);
    }
    result.ok_or_else(|| io::Error::other("a shard is still in use"))
}

/// Saves what has to be saved, once all workers have ended.
///
/// # Errors
/// When it cannot be saved.
pub fn save_at_the_end(shared: &'static Shared) -> io::Result<()> {
    let settings = shared.config.current();
    if !shared.saving.last_save.is_wanted(&settings) {
        return Ok(());
    }
    with_all_shards(shared, |view| {
        let changes = view.each().map(|shard| shard.changes()).sum();
        if shared.saving.is_on_disk(changes) {
            return Ok(());
        }
        tracing::info!("Saving the final RDB snapshot before exiting.");
        save_held(shared, view, wall_clock())
    })?
}
