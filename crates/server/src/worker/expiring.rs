//! Deleting what has expired, which nobody may ask for again.
//!
//! A hand goes over the parts of the shards that have deadlines in the past, some segments of each shard at a time. It may take a
//! share of the worker's time (`active-expire-effort`), measured from slice to slice, so that a million deadlines in a
//! second leave the rest of it to clients. What waits for its turn is invisible to them meanwhile.

use super::Worker;
use crate::mail::ShardPost;
use crate::observed::work_observed;
use crate::watch::latency::EXPIRE_CYCLE;
use darter_runtime::Turn;
use darter_txn::View;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Segments of a shard's tables that one step of the hand visits.
const SEGMENTS_PER_STEP: usize = 16;

/// What one slice takes at least, in nanoseconds, however short the time since the last one.
const SLICE_NANOS: u64 = 100_000;

/// What it takes at most, with the step it is in: others wait meanwhile.
const SLICE_NANOS_MAX: u64 = 2_000_000;

/// How far a worker is with it.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// When to go on, if there was more than could be done.
    due: Option<Instant>,
    /// When the last slice began.
    last: Option<Instant>,
}

impl Expiry {
    /// When to go on.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// How long a slice may take, so long after the last one began.
fn budget_nanos(since: Duration, percent: u32) -> u64 {
    let share = since.as_nanos() * u128::from(percent) / 100;
    u64::try_from(share).unwrap_or(SLICE_NANOS_MAX).clamp(SLICE_NANOS, SLICE_NANOS_MAX)
}

/// How long after its beginning the next one may begin.
const fn interval(nanos: u64, percent: u32) -> Duration {
    let nanos = if nanos < SLICE_NANOS { SLICE_NANOS } else { nanos };
    Duration::from_nanos(nanos.saturating_mul(100) / percent as u64)
}

impl Worker {
    /// Deletes more, if there was more and its time has come.
    #[inline]
    pub(super) fn go_on_expiring(&mut self, turn: &Turn) {
        if self.expiry.due.is_some_and(|due| turn.instant >= due) {
            self.expire(turn);
        }
    }

    /// Deletes what has expired in the shards this worker is home to, as far as its share of time goes.
    pub(super) fn expire(&mut self, turn: &Turn) {
        let shared = self.core.shared;
        let limits = self.core.limits.get();
        // A pause holds everything that changes data back; what is imported is kept.
        let is_held_back = self.core.pause.get().is_some()
            || limits.imports
            || shared.background_paused.load(Ordering::Relaxed);
        if is_held_back || !shared.active_expire.load(Ordering::Relaxed) {
            self.expiry.due = None;
            return;
        }
        if self.expiry.due.is_some_and(|due| turn.instant < due) {
            return;
        }
        let percent = self.core.expire_percent.get();
        let since = self.expiry.last.map_or(Duration::ZERO, |last| turn.instant - last);
        let budget = budget_nanos(since, percent);
        self.expiry.last = Some(turn.instant);
        let mut spent = 0;
        let mut has_more = true;
        while has_more && spent < budget {
            let nanos;
            (has_more, nanos) = self.expire_step(turn);
            spent += nanos;
        }
        self.expiry.due = has_more.then(|| turn.instant + interval(spent, percent));
        self.core.statistics().expiry_nanos.add(spent);
        self.core.statistics().expiry_stops.add(u64::from(has_more));
        if self.core.thresholds.get().is_latency_event(spent) {
            shared.latency.add(EXPIRE_CYCLE, Duration::from_nanos(spent), turn.now);
        }
    }

    /// Moves the hand of each shard a little. Whether there is more, and how long it took, in nanoseconds.
    fn expire_step(&self, turn: &Turn) -> (bool, u64) {
        let shared = self.core.shared;
        let interest = self.core.limits.get().interest;
        let begun = shared.stopwatch.now();
        let mut has_more = false;
        for id in shared.router().shards_at_home(self.core.worker) {
            // Out means busy, for who knows how long: it comes round again after the interval.
            let Some(mut held) = shared.cells.cell(id).try_take() else { continue };
            let mut view = View::one(&mut held, shared.router());
            let progress = work_observed(shared, interest, &mut view, None, |view| {
                view.first().expire_slice(turn.now, SEGMENTS_PER_STEP)
            });
            // What became due behind the hand is found the next time round.
            has_more |= progress.more && progress.midway;
            self.core.serve(&mut view, turn.now);
            // Nobody is to be evicted for what has gone.
            shared.note_shard_bytes(id, held.shard.used_bytes());
            shared.cells.put_back(held, &ShardPost(&self.core.post));
        }
        (has_more, self.core.nanos_since(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_a_share_of_the_time_within_bounds() {
        assert_eq!(budget_nanos(Duration::from_millis(2), 25), 500_000);
        assert_eq!(budget_nanos(Duration::from_millis(2), 43), 860_000);
        assert_eq!(budget_nanos(Duration::ZERO, 25), SLICE_NANOS);
        assert_eq!(budget_nanos(Duration::MAX, 25), SLICE_NANOS_MAX);
    }

    #[test]
    fn the_rest_of_the_time_is_left_to_others() {
        assert_eq!(interval(500_000, 25), Duration::from_millis(2));
        assert_eq!(interval(0, 25), Duration::from_micros(400));
        assert_eq!(interval(430_000, 43), Duration::from_millis(1));
    }
}
