//! S3-FIFO over a hash table: "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023), with CLOCK's hand
//! in the place of its main queue.
//!
//! A new key is on probation; [`Queues`](super::Queues) has the order. When its time is over it is evicted unless it was used
//! again; then it settles. The settled keys have no order: a hand goes round the table, takes one use off each key it
//! comes to, and evicts one without any. Reading a key costs what it costs under the other policies, a store
//! to the 24 bits that were loaded with the key anyway.
//!
//! Probation is what the key's bits say. A key whose bits say so although it is in no queue (it was
//! there before the policy was) is let off by the hand.

use super::EvictionPolicy;
use crate::access::{is_on_probation, settled, uses};
use crate::key::Key;
use crate::keyspace::{Keyspace, is_due};
use crate::shard::Shard;
use darter_base::{DbIndex, UnixMillis};
use darter_structures::{Hand, Judgement, Marks, Position, Turned};

/// Keys that end their probation for one eviction, at most.
const NEWCOMERS_PER_EVICTION: usize = 16;
/// Slots the hand passes for one eviction, at most: half a segment of a table.
const SLOTS_PER_EVICTION: usize = 256;
/// The same where only some keys may go. Slots of the others cost nothing but the look at the slot.
const SLOTS_PER_VOLATILE_EVICTION: usize = 8192;
/// Uses of a key that has just ended its probation: so the hand passes it at least once.
const USES_WHEN_SETTLED: u32 = 1;

impl Shard {
    /// Evicts one key; `false` if none can be.
    pub(super) fn evict_from_queues(&mut self, policy: &EvictionPolicy, now: UnixMillis) -> bool {
        let databases = self.databases().iter();
        let evictable: usize = databases.map(|database| policy.evictable(database)).sum();
        let Some(queues) = self.common_mut().access.queues() else { return false };
        if evictable == 0 {
            return false;
        }
        queues.fit(evictable);
        self.evict_newcomer(policy, now) || self.evict_settled(policy, now)
    }

    /// Evicts the first key whose probation is over and that was not used; `false` if there is none.
    fn evict_newcomer(&mut self, policy: &EvictionPolicy, now: UnixMillis) -> bool {
        for _ in 0..NEWCOMERS_PER_EVICTION {
            let queues = self.common_mut().access.queues();
            let Some(newcomer) = queues.and_then(super::Queues::take_overdue) else { return false };
            let (database, ..) = self.parts(newcomer.db());
            let Some(position) = database.table.find_hash(newcomer.hash()) else { continue };
            let entry = database.table.view(position);
            let stamp = entry.stamp();
            if !is_on_probation(stamp) {
                continue;
            }
            let is_evictable = !policy.only_volatile || entry.deadline().is_some();
            if uses(stamp) > 0 || !is_evictable {
                database.table.set_stamp(position, settled(stamp, USES_WHEN_SETTLED));
                continue;
            }
            if let Some(queues) = self.common_mut().access.queues() {
                queues.remember_newcomer(newcomer.hash());
            }
            self.evict_at(newcomer.db(), position, now);
            return true;
        }
        false
    }

    /// Evicts a settled key that was not used since the hand came to it last, or the one used the least of those
    /// the hand passes; `false` if there is none.
    fn evict_settled(&mut self, policy: &EvictionPolicy, now: UnixMillis) -> bool {
        let (marks, mut steps) = if policy.only_volatile {
            (Marks::DEADLINE, SLOTS_PER_VOLATILE_EVICTION)
        } else {
            (Marks::NONE, SLOTS_PER_EVICTION)
        };
        let databases = self.databases().len();
        let mut second_best: Option<(u32, DbIndex, u64)> = None;
        // Twice, so that the hand comes to the beginning of the database it starts in.
        for _ in 0..=2 * databases {
            let Some((db, mut hand)) = self.hand(databases) else { return false };
            let (database, _, hasher) = self.parts(db);
            let turned = database.table.turn(&mut hand, marks, &mut steps, |entry| {
                if policy.only_volatile && entry.deadline().is_none() {
                    return Judgement::Pass;
                }
                let stamp = entry.stamp();
                let (on_probation, uses) = (is_on_probation(stamp), uses(stamp));
                if !on_probation && uses == 0 || is_due(entry, now) {
                    return Judgement::Choose;
                }
                // Those on probation only if there is nobody else.
                let rank = uses + if on_probation { 4 } else { 0 };
                if second_best.is_none_or(|(best, ..)| rank < best) {
                    second_best = Some((rank, db, hasher.hash(entry.key())));
                }
                Judgement::Stamp(settled(stamp, if on_probation { uses } else { uses - 1 }))
            });
            self.set_hand(db, hand, turned == Turned::Round);
            match turned {
                Turned::To(position) => {
                    self.evict_settled_at(db, position, now);
                    return true;
                }
                Turned::OutOfSteps => break,
                Turned::Round => {}
            }
        }
        let Some((_, db, hash)) = second_best else { return false };
        let (database, ..) = self.parts(db);
        let Some(position) = database.table.find_hash(hash) else { return false };
        self.evict_settled_at(db, position, now);
        true
    }

    /// The database the hand is in, and where it stands there.
    fn hand(&mut self, databases: usize) -> Option<(DbIndex, Hand)> {
        let queues = self.common_mut().access.queues()?;
        let db = queues.hand_db % databases;
        Some((DbIndex(db.try_into().expect("16 bits")), queues.hand))
    }

    fn set_hand(&mut self, db: DbIndex, hand: Hand, is_round: bool) {
        if let Some(queues) = self.common_mut().access.queues() {
            queues.hand = hand;
            queues.hand_db = db.index() + usize::from(is_round);
        }
    }

    fn evict_settled_at(&mut self, db: DbIndex, position: Position, now: UnixMillis) {
        let (database, common, hasher) = self.parts(db);
        let hash = hasher.hash(database.table.view(position).key());
        if let Some(queues) = common.access.queues() {
            queues.remember_settled(hash);
        }
        self.evict_at(db, position, now);
    }

    fn evict_at(&mut self, db: DbIndex, position: Position, now: UnixMillis) {
        let (database, common, hasher) = self.parts(db);
        let name = Box::<[u8]>::from(database.table.view(position).key());
        let key = Key::new(hasher, &name);
        Keyspace { database, common, now }.evict(position, &key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::EvictionOrder;
    use crate::key::Expiry;
    use crate::shard::ShardOptions;
    use crate::{AccessNotes, Deadline};
    use darter_base::ShardId;
    use darter_structures::KeyHasher;

    const DB: DbIndex = DbIndex(0);
    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const S3: EvictionPolicy =
        EvictionPolicy { order: EvictionOrder::S3, only_volatile: false, samples: 5 };

    struct Cache {
        shard: Shard,
        hasher: KeyHasher,
        keys_max: usize,
    }

    impl Cache {
        fn new(keys_max: usize) -> Self {
            let hasher = KeyHasher::new(7);
            let options = ShardOptions { databases: 3, hasher: hasher.clone() };
            let mut shard = Shard::new(ShardId(0), &options);
            shard.note_accesses(AccessNotes::Queues);
            Self { shard, hasher, keys_max }
        }

        /// A read, and a write after a miss; whether it was a hit.
        fn ask(&mut self, number: u64) -> bool {
            let name = number.to_string();
            let key = Key::new(&self.hasher, name.as_bytes());
            let is_hit = self.shard.keyspace(DB, NOW).read(&key).is_some();
            if !is_hit {
                while self.shard.len() >= self.keys_max {
                    assert!(self.shard.evict(&S3, NOW));
                }
                self.shard.keyspace(DB, NOW).set_string(&key, b"value", Expiry::Clear);
            }
            is_hit
        }
    }

    #[test]
    fn what_is_used_again_outlives_what_is_used_once() {
        let mut cache = Cache::new(1000);
        let mut hits = 0;
        for round in 0..40 {
            // Between two uses of a key more others pass than there is room for: LRU would keep none.
            for once in 0..1200 {
                cache.ask(1_000_000 + round * 1200 + once);
                if once % 4 == 0 {
                    hits += usize::from(cache.ask(once / 4) && round >= 20);
                }
            }
        }
        assert!(hits > 20 * 300 * 95 / 100, "{hits}");
        cache.shard.check_invariants();
    }

    #[test]
    fn what_was_hot_goes_when_something_else_is() {
        let mut cache = Cache::new(1000);
        for phase in 0..4 {
            let mut hits = 0;
            for turn in 0..60_000_u64 {
                let hot = (turn * 7919) % 800;
                let is_hit = cache.ask(phase * 10_000 + hot);
                hits += usize::from(is_hit && turn > 30_000);
                if turn % 10 == 0 {
                    cache.ask(1_000_000 + phase * 100_000 + turn);
                }
            }
            assert!(hits > 29_000, "{phase}: {hits}");
        }
    }

    #[test]
    fn every_key_can_go_and_keys_without_a_deadline_stay_if_they_have_to() {
        for only_volatile in [false, true] {
            let mut cache = Cache::new(usize::MAX);
            for number in 0..3000_u64 {
                let name = number.to_string();
                let key = Key::new(&cache.hasher, name.as_bytes());
                let expiry = match number % 3 {
                    0 => Expiry::At(Deadline::new(NOW.0 + 1_000_000).unwrap()),
                    _ => Expiry::Clear,
                };
                let db = DbIndex(u16::try_from(number % 2).unwrap() * 2);
                cache.shard.keyspace(db, NOW).set_string(&key, b"value", expiry);
            }
            let policy = EvictionPolicy { only_volatile, ..S3 };
            let stay = if only_volatile { 2000 } else { 0 };
            for left in (stay..3000).rev() {
                assert!(cache.shard.evict(&policy, NOW), "{left}");
                assert_eq!(cache.shard.len(), left);
            }
            assert!(!cache.shard.evict(&policy, NOW) && !cache.shard.has_evictable(&policy));
        }
    }

    #[test]
    fn the_few_keys_that_can_go_are_found_among_many_that_cannot() {
        let mut cache = Cache::new(usize::MAX);
        for number in 0..30_000_u64 {
            let name = number.to_string();
            let key = Key::new(&cache.hasher, name.as_bytes());
            let expiry = match number % 3000 {
                0 => Expiry::At(Deadline::new(NOW.0 + 1_000_000).unwrap()),
                _ => Expiry::Clear,
            };
            cache.shard.keyspace(DB, NOW).set_string(&key, b"value", expiry);
        }
        let policy = EvictionPolicy { only_volatile: true, ..S3 };
        let evicted = (0..100).filter(|_| cache.shard.evict(&policy, NOW)).count();
        assert_eq!((evicted, cache.shard.len()), (10, 29_990));
    }

    #[test]
    fn keys_from_before_the_policy_are_let_off_probation() {
        let mut cache = Cache::new(500);
        cache.shard.note_accesses(AccessNotes::Clock);
        for number in 0..500 {
            cache.ask(number);
        }
        cache.shard.note_accesses(AccessNotes::Queues);
        for number in 1000..5000 {
            cache.ask(number);
        }
        let mut is_there = |number: u64| {
            let name = number.to_string();
            let key = Key::new(&cache.hasher, name.as_bytes());
            cache.shard.keyspace(DB, NOW).peek(&key).is_some()
        };
        assert!((0..500).filter(|number| is_there(*number)).count() < 450);
        assert_eq!(cache.shard.statistics().evicted, 4000);
    }

    #[test]
    fn what_has_expired_is_not_counted_as_evicted() {
        let mut cache = Cache::new(usize::MAX);
        let key = Key::new(&cache.hasher, b"k");
        let expiry = Expiry::At(Deadline::new(NOW.0 + 10).unwrap());
        cache.shard.keyspace(DB, NOW).set_string(&key, b"value", expiry);
        assert!(cache.shard.evict(&S3, UnixMillis(NOW.0 + 20)));
        let statistics = cache.shard.statistics();
        assert_eq!((statistics.evicted, statistics.expired), (0, 1));
    }
}
