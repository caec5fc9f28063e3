//! Moving things together in the shards a worker is home to, in slices between ticks.

use super::Worker;
use crate::mail::ShardPost;
use crate::residence::{MEASURING_INPUT_BYTES, MEASURING_INTERVAL, MEASURING_INTERVAL_UNLIMITED};
use darter_runtime::{Share, Turn};
use darter_structures::{Defragmentation, allocator};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A page with at most so many of a hundred blocks in use is emptied.
const SPARSE_PERCENT: usize = 85;

/// The time of one slice, as long as there are ticks enough for it, and the longest: where ticks are long, slices
/// are too, to come to their share.
const SLICE_NANOS: u64 = 500_000;
const SLICE_NANOS_MAX: u64 = 3_000_000;

/// Slots looked at before the time is looked at: up to 30 microseconds with small values. With big ones it is as many as have
/// a megabyte to be moved.
const SLOTS_IN_ONE_GO: usize = 32;

/// How often what others have freed in this worker's pages is taken notice of.
const COLLECTING_INTERVAL: Duration = Duration::from_millis(20);

/// A round that moved less than one in so many is the last one for a while: what is wasted is not here.
const WORTHWHILE: u64 = 50;

/// How long that is, unless what is wasted grows by one in so many before.
const REST: Duration = Duration::from_secs(5);
const MORE_WASTED: u64 = 32;

/// Purging only waits for its thread here.
const PURGING_SHARE: Share = Share::new(100);

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Whether `activedefrag` was on in the last tick.
    is_on: bool,
    /// This worker's input when it last measured.
    input_bytes_measured: u64,
    /// When memory is measured again.
    measuring_due: Option<Instant>,
    /// When the next slice begins.
    due: Option<Instant>,
    /// When the last one began.
    last: Option<Instant>,
    /// When to take notice of what others freed.
    collecting_due: Option<Instant>,
    /// Which of the shards at home is next.
    shard: usize,
    /// Moved and kept in this round.
    round: (u64, u64),
    /// Whether this round has left out shards that were busy.
    is_partial: bool,
    /// Until when to rest since a round was not worthwhile, and what was wasted then.
    rest: Option<(Instant, u64)>,
}

impl Worker {
    /// Measures what memory the process takes, and does a slice of defragmentation, if they are due and `activedefrag` is on;
    /// when to come again.
    #[inline]
    pub(super) fn tend_residence(&mut self, turn: &Turn) -> Option<Instant> {
        let is_on = self.core.defrag.get().is_on;
        if !is_on && !self.sweep.is_on {
            return None;
        }
        self.defragment_if_due(turn, is_on)
    }

    #[cold]
    fn defragment_if_due(&mut self, turn: &Turn, is_on: bool) -> Option<Instant> {
        let shared = self.core.shared;
        if !is_on {
            self.sweep = Sweep::default();
            shared.residence.end();
            return None;
        }
        if !self.sweep.is_on {
            self.sweep.is_on = true;
            self.sweep.input_bytes_measured = self.core.statistics().input_bytes.read();
        }
        self.measure_residence(turn);
        let effort = shared.residence.effort();
        if effort == 0 || self.rests(turn) || shared.background_paused.load(Ordering::Relaxed) {
            (self.sweep.due, self.sweep.last) = (None, None);
            return None;
        }
        if let Some(due) = self.sweep.due.filter(|due| turn.instant < *due) {
            return Some(due);
        }
        let since = self.sweep.last.map_or(Duration::ZERO, |last| turn.instant - last);
        self.sweep.last = Some(turn.instant);
        let share = since.as_nanos() * u128::from(effort) / 100;
        let share = u64::try_from(share).unwrap_or(SLICE_NANOS_MAX);
        let nanos = self.defragment(share.clamp(SLICE_NANOS, SLICE_NANOS_MAX));
        if self.sweep.collecting_due.is_none_or(|due| turn.instant >= due) {
            self.sweep.collecting_due = Some(turn.instant + COLLECTING_INTERVAL);
            allocator::collect();
        }
        self.core.statistics().defrag_nanos.add(nanos);
        let due = turn.instant + Duration::from_nanos(SLICE_NANOS * 100 / u64::from(effort));
        self.sweep.due = Some(due);
        Some(due)
    }

    /// Measures if time or input enough has passed, and keeps to the limit that follows.
    fn measure_residence(&mut self, turn: &Turn) {
        let shared = self.core.shared;
        let mut limits = self.core.limits.get();
        let input_bytes = self.core.statistics().input_bytes.read();
        let input_bytes = input_bytes.saturating_sub(self.sweep.input_bytes_measured);
        let is_time = self.sweep.measuring_due.is_none_or(|due| turn.instant >= due);
        let is_much = limits.memory.is_set() && input_bytes >= MEASURING_INPUT_BYTES;
        if !is_time && !is_much {
            return;
        }
        // The limit that is set, not what it was lowered to.
        let limit = shared.config.current().memory_limit();
        let defrag = self.core.defrag.get();
        let used = shared.used_bytes();
        if shared.residence.measure(turn.instant, &limit, &defrag, used, input_bytes) {
            let interval =
                if limit.is_set() { MEASURING_INTERVAL } else { MEASURING_INTERVAL_UNLIMITED };
            self.sweep.measuring_due = Some(turn.instant + interval);
            self.sweep.input_bytes_measured += input_bytes;
            if shared.residence.begin_purge() {
                self.purge();
            }
        }
        limits.memory = limit;
        shared.residence.lower(&mut limits.memory);
        self.core.limits.set(limits);
    }

    /// Has free memory given back to the system by another thread, as that walks over all there is.
    fn purge(&self) {
        let (shared, background) = (self.core.shared, self.core.background.clone());
        self.core.background.spawn(PURGING_SHARE, async move {
            background.blocking(allocator::purge).await;
            shared.residence.end_purge();
        });
    }

    /// Whether it is not worthwhile at present. It is again when more is wasted, be it that keys have come or that others
    /// have gone: what is resident may stay the same for seconds while writes wait and keys are evicted.
    fn rests(&mut self, turn: &Turn) -> bool {
        let Some((until, wasted)) = self.sweep.rest else { return false };
        let is_more = self.core.shared.residence.wasted_bytes() > wasted + wasted / MORE_WASTED;
        if turn.instant < until && !is_more {
            return true;
        }
        self.sweep.rest = None;
        false
    }

    /// One slice of about `nanos_max`; the time it took.
    fn defragment(&mut self, nanos_max: u64) -> u64 {
        let shared = self.core.shared;
        let begun = shared.stopwatch.now();
        let homes = shared.router().shards_at_home(self.core.worker);
        let mut nanos = 0;
        for id in homes.skip(self.sweep.shard) {
            // Out means busy: the next one instead.
            let Some(mut held) = shared.cells.cell(id).try_take() else {
                self.sweep.shard += 1;
                self.sweep.is_partial = true;
                continue;
            };
            let seed = held.shard.random();
            let mut defragmentation = Defragmentation::below(SPARSE_PERCENT, seed);
            let mut is_over = false;
            while !is_over && nanos < nanos_max {
                is_over = held.shard.defragment(&mut { SLOTS_IN_ONE_GO }, &mut defragmentation);
                nanos = self.core.nanos_since(begun);
            }
            shared.cells.put_back(held, &ShardPost(&self.core.post));
            self.sweep.round.0 += defragmentation.moved;
            self.sweep.round.1 += defragmentation.kept;
            let statistics = self.core.statistics();
            statistics.defrag_moved.add(defragmentation.moved);
            statistics.defrag_kept.add(defragmentation.kept);
            if !is_over {
                return nanos;
            }
            self.sweep.shard += 1;
        }
        self.end_round();
        self.core.nanos_since(begun)
    }

    /// After all shards at home. What a round is worth that has left some out nobody knows.
    fn end_round(&mut self) {
        self.sweep.shard = 0;
        let (moved, kept) = std::mem::take(&mut self.sweep.round);
        let is_partial = std::mem::take(&mut self.sweep.is_partial);
        if !is_partial && (moved < (moved + kept) / WORTHWHILE || moved + kept == 0) {
            let wasted = self.core.shared.residence.wasted_bytes();
            self.sweep.rest = self.sweep.measuring_due.map(|due| (due + REST, wasted));
        }
    }
}
