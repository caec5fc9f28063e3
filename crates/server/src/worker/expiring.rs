//! Deleting what has expired, which nobody may ask for again.
//!
//! A hand goes over the parts of the shards that have deadlines in the past, some segments of each shard at a time. It may take a
//! share of the worker's time (`active-expire-effort`), measured from slice to slice, so that a million deadlines in a
//! second leave the rest of it to clients. What waits for its turn is invisible to them meanwhile.

use super::Worker;
use super::slices::Bounds;
use crate::mail::ShardPost;
use crate::observed::work_observed;
use crate::watch::latency::EXPIRE_CYCLE;
use darter_runtime::Turn;
use darter_txn::View;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Segments of a shard's tables that one step of the hand visits.
const SEGMENTS_PER_STEP: usize = 16;

/// Of one slice, with the step it is in.
const BOUNDS: Bounds = Bounds { min_nanos: 100_000, max_nanos: 2_000_000 };

impl Worker {
    /// Deletes more, if there was more and its time has come.
    #[inline]
    pub(super) fn go_on_expiring(&mut self, turn: &Turn) {
        if self.expiry.due().is_some_and(|due| turn.instant >= due) {
            self.expire(turn);
        }
    }

    /// Deletes what has expired in the shards this worker is home to, as far as its share of time goes.
    pub(super) fn expire(&mut self, turn: &Turn) {
        let shared = self.core.shared;
        let limits = self.core.limits.get();
        // A pause holds everything that changes data back; what is imported is kept, and a primary says itself what goes.
        let is_held_back = self.core.pause.get().is_some()
            || limits.imports
            || shared.following.is_replica()
            || shared.background_paused.load(Ordering::Relaxed);
        if is_held_back || !shared.active_expire.load(Ordering::Relaxed) {
            self.expiry.stop();
            return;
        }
        if self.expiry.is_resting(turn.instant) {
            return;
        }
        let percent = self.core.expire_percent.get();
        let budget = self.expiry.budget(turn.instant, percent, BOUNDS);
        let mut spent = 0;
        let mut has_more = true;
        while has_more && spent < budget {
            let nanos;
            (has_more, nanos) = self.expire_step(turn);
            spent += nanos;
        }
        if has_more {
            self.expiry.end(turn.instant, spent, percent, BOUNDS);
        } else {
            self.expiry.stop();
        }
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
