//! From hash slot to shard, and which of the two routes leads there.

use darter_base::id::SLOT_COUNT;
use darter_base::{ShardId, Slot, WorkerId};

/// How a worker reaches a shard that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Take the shard and run the operation on the spot; post it only when the shard is out.
    Auto,
    /// Only the shard's home worker takes it for one-shard operations; everybody else posts them.
    /// Whoever holds the shard runs what was posted meanwhile, as in `Auto`: after a coordinator or
    /// a [`Letter::Turn`](crate::Letter::Turn) that may be another worker than the home.
    Queue,
}

/// Maps hash slots to shards and shards to their home workers. Copied to every worker.
///
/// Each shard owns one contiguous run of slots, so the map is a multiplication instead of a
/// 32 KiB table that would compete for the first-level cache.
#[derive(Clone, Copy, Debug)]
pub struct Router {
    /// 1..=16384
    shard_count: u16,
    /// 1..
    worker_count: u16,
    routing: Routing,
}

impl Router {
    /// A router over `shard_count` shards and `worker_count` workers.
    ///
    /// # Panics
    /// When either count is 0, or there are more shards than slots.
    pub fn new(shard_count: u16, worker_count: u16, routing: Routing) -> Self {
        assert!((1..=SLOT_COUNT).contains(&shard_count), "1..=16384 shards");
        assert!(worker_count >= 1, "at least one worker");
        Self { shard_count, worker_count, routing }
    }

    /// The shard that owns `slot`.
    #[inline]
    pub fn shard_of(&self, slot: Slot) -> ShardId {
        let scaled = u32::from(slot.number()) * u32::from(self.shard_count);
        #[expect(clippy::cast_possible_truncation, reason = "below shard_count, a u16")]
        ShardId((scaled / u32::from(SLOT_COUNT)) as u16)
    }

    /// The worker that looks after `shard`.
    #[inline]
    pub fn home_of(&self, shard: ShardId) -> WorkerId {
        WorkerId(shard.0 % self.worker_count)
    }

    /// Whether `worker` may run one-shard operations on `shard` itself.
    #[inline]
    pub fn may_run(&self, worker: WorkerId, shard: ShardId) -> bool {
        self.routing == Routing::Auto || self.home_of(shard) == worker
    }

    /// 1..=16384.
    pub fn shard_count(&self) -> u16 {
        self.shard_count
    }

    /// Every shard, ascending.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = ShardId> + use<> {
        (0..self.shard_count).map(ShardId)
    }

    /// The shards `worker` is home to, ascending.
    pub fn shards_at_home(
        &self,
        worker: WorkerId,
    ) -> impl Iterator<Item = ShardId> + Clone + use<> {
        (worker.0..self.shard_count).step_by(usize::from(self.worker_count)).map(ShardId)
    }

    /// At least 1.
    pub fn worker_count(&self) -> u16 {
        self.worker_count
    }

    /// Which route is in force.
    pub fn routing(&self) -> Routing {
        self.routing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_shard_and_every_shard_has_slots() {
        for shard_count in [1, 2, 3, 7, 8, 1000, SLOT_COUNT] {
            let router = Router::new(shard_count, 3, Routing::Auto);
            let mut slots_per_shard = vec![0u32; usize::from(shard_count)];
            let mut last = ShardId(0);
            for number in 0..SLOT_COUNT {
                let shard = router.shard_of(Slot::new(number).unwrap());
                assert!(shard >= last, "runs of slots ascend");
                last = shard;
                slots_per_shard[shard.index()] += 1;
            }
            let least = slots_per_shard.iter().min().unwrap();
            let most = slots_per_shard.iter().max().unwrap();
            assert!(*least >= 1 && most - least <= 1, "{shard_count}: {least}..{most}");
        }
    }

    #[test]
    fn every_shard_has_exactly_one_home() {
        let router = Router::new(10, 3, Routing::Queue);
        let mut homes = vec![0; 10];
        for worker in 0..3 {
            for shard in router.shards_at_home(WorkerId(worker)) {
                assert_eq!(router.home_of(shard), WorkerId(worker));
                assert!(router.may_run(WorkerId(worker), shard));
                homes[shard.index()] += 1;
            }
        }
        assert_eq!(homes, vec![1; 10]);
        assert!(!router.may_run(WorkerId(0), ShardId(1)));
    }
}
