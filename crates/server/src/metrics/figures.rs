//! What shards have, published by the workers that look after them.

use crate::commands::info::ShardTotals;
use darter_base::{ShardId, UnixMillis};
use darter_shard::Shard;
use darter_txn::Router;
use std::sync::{Mutex, MutexGuard};

/// The latest totals of each shard. Written by its home worker, read by the endpoint's thread;
/// neither keeps the lock for longer than copying takes.
#[derive(Debug)]
pub struct Figures {
    /// By [`ShardId`].
    shards: Box<[Mutex<ShardTotals>]>,
}

impl Figures {
    /// Zeroes.
    pub fn new(router: Router) -> Self {
        Self { shards: router.shards().map(|_| Mutex::default()).collect() }
    }

    /// Replaces a shard's totals. `random` chooses the part of its tables that the mean time to live
    /// is estimated from.
    pub fn publish(&self, shard: &mut Shard, id: ShardId, databases: u16, now: UnixMillis) {
        // Another part at each time.
        let random = now.0.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let totals = ShardTotals::of(shard, databases, now, random);
        *self.lock(id.index()) = totals;
    }

    /// Each shard's totals, in the order of the shards.
    pub(crate) fn each(&self) -> Vec<ShardTotals> {
        (0..self.shards.len()).map(|index| self.lock(index).clone()).collect()
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, ShardTotals> {
        self.shards[index].lock().expect("totals are replaced, never half changed")
    }
}
