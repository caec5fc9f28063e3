//! Choosing keys to delete when memory is short.
//!
//! As Redis does it: some keys are sampled, the best candidates seen so far wait in a small pool, and the
//! best of the pool goes. The pool keeps hashes and scores only. A candidate that was used since it came in
//! scores lower than it did, and is dropped.
//!
//! The keys of a shard are a random part of all keys, so a choice per shard is as good as one over all.
//!
//! `allkeys-s3` and `volatile-s3` choose otherwise: see [`s3`].

use crate::access::{LfuOptions, counter, idle_seconds};
use crate::databases::Database;
use crate::key::Key;
use crate::keyspace::{Keyspace, is_due};
use crate::news::Loss;
use crate::shard::Shard;
use darter_base::{DbIndex, UnixMillis};
use darter_structures::{BlockRef, Marks};
use darter_value::Object;

mod ghost;
mod queues;
mod s3;

pub(crate) use queues::Queues;

/// Candidates that wait.
const POOL_LEN: usize = 16;

/// Which keys go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionOrder {
    /// Those not used for the longest time; or not changed, where changes are
    /// [noted](crate::AccessNotes::Changes).
    Lru,
    /// Those used the least.
    Lfu(LfuOptions),
    /// Any.
    Random,
    /// Those that expire the soonest; only keys that do.
    Ttl,
    /// New ones that were not used again, then those not used lately; S3-FIFO. Queues have to be
    /// [noted](crate::AccessNotes::Queues).
    S3,
}

/// Which keys may be evicted (`maxmemory-policy` but for `noeviction`), and how they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvictionPolicy {
    /// Which go first.
    pub order: EvictionOrder,
    /// Whether only keys with a deadline may go.
    pub only_volatile: bool,
    /// Keys looked at for each that goes (`maxmemory-samples`).
    pub samples: usize,
}

/// The best candidates seen, the best one last.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    candidates: Vec<Candidate>,
    /// Scratch space for samples.
    found: Vec<darter_structures::Position>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    db: DbIndex,
    hash: u64,
    score: u64,
}

impl EvictionPolicy {
    /// How good a candidate an entry is, `None` if it may not go.
    fn score(&self, entry: BlockRef<'_, Object>, now: UnixMillis) -> Option<u64> {
        let deadline = entry.deadline();
        if self.only_volatile && deadline.is_none() {
            return None;
        }
        Some(match self.order {
            EvictionOrder::Lru => idle_seconds(entry.stamp(), now).into(),
            EvictionOrder::Lfu(options) => 255 - u64::from(counter(entry.stamp(), options, now)),
            EvictionOrder::Random | EvictionOrder::S3 => 0,
            EvictionOrder::Ttl => u64::MAX - deadline?.millis().cast_unsigned(),
        })
    }

    /// How many keys of a database may go.
    fn evictable(&self, database: &Database) -> usize {
        if self.only_volatile { database.table.deadlines_len() } else { database.table.len() }
    }
}

impl Pool {
    /// Lets a candidate wait if it is better than the worst that does, or there is room.
    fn offer(&mut self, candidate: Candidate) {
        let is_same = |other: &Candidate| (other.db, other.hash) == (candidate.db, candidate.hash);
        if self.candidates.iter().any(is_same) {
            return;
        }
        let at = self.candidates.partition_point(|other| other.score < candidate.score);
        if self.candidates.len() < POOL_LEN {
            self.candidates.insert(at, candidate);
        } else if at > 0 {
            self.candidates[..at].rotate_left(1);
            self.candidates[at - 1] = candidate;
        }
    }
}

impl Shard {
    /// Whether there are keys that `policy` lets go.
    pub fn has_evictable(&self, policy: &EvictionPolicy) -> bool {
        self.databases().iter().any(|database| policy.evictable(database) > 0)
    }

    /// Forgets candidates: another policy would choose others.
    pub fn forget_candidates(&mut self) {
        self.common_mut().pool.candidates.clear();
    }

    /// Deletes the key that `policy` chooses; `false` if this try found none, which does not mean that there
    /// is none. What takes long to free is left as garbage.
    pub fn evict(&mut self, policy: &EvictionPolicy, now: UnixMillis) -> bool {
        if policy.order == EvictionOrder::S3 {
            return self.evict_from_queues(policy, now);
        }
        let databases = self.databases().len();
        for index in 0..databases {
            self.sample(index, policy, now);
        }
        // The pool is short, and everything in it is looked at once at most.
        while let Some(candidate) = self.common_mut().pool.candidates.pop() {
            let (database, common, hasher) = self.parts(candidate.db);
            let Some(position) = database.table.find_hash(candidate.hash) else { continue };
            let entry = database.table.view(position);
            if policy.score(entry, now).is_none_or(|score| score < candidate.score) {
                continue;
            }
            let name = Box::<[u8]>::from(entry.key());
            let key = Key::new(hasher, &name);
            Keyspace { database, common, now }.evict(position, &key);
            return true;
        }
        false
    }

    /// Fills the pool with the best of some keys of a database.
    fn sample(&mut self, index: usize, policy: &EvictionPolicy, now: UnixMillis) {
        if policy.evictable(&self.databases()[index]) == 0 {
            return;
        }
        let random = self.random();
        let db = DbIndex(index.try_into().expect("16 bits"));
        let (database, common, hasher) = self.parts_to_see(db);
        let marks = if policy.only_volatile { Marks::DEADLINE } else { Marks::NONE };
        let mut found = std::mem::take(&mut common.pool.found);
        let samples = if policy.order == EvictionOrder::Random { 1 } else { policy.samples };
        database.table.sample(random, samples, marks, &mut found);
        for position in found.drain(..) {
            let entry = database.table.view(position);
            if let Some(score) = policy.score(entry, now) {
                let hash = hasher.hash(entry.key());
                common.pool.offer(Candidate { db: database.index, hash, score });
            }
        }
        common.pool.found = found;
    }
}

impl Keyspace<'_> {
    fn evict(&mut self, position: darter_structures::Position, key: &Key<'_>) {
        if is_due(self.database.table.view(position), self.now) {
            return self.expire(position, key);
        }
        self.discard_at(position, key);
        self.common.statistics.evicted += 1;
        self.database.tell(key, self.common);
        self.note_gone(Loss::Evicted, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Expiry;
    use crate::shard::ShardOptions;
    use crate::{AccessNotes, Deadline};
    use darter_base::ShardId;
    use darter_structures::KeyHasher;

    const DB: DbIndex = DbIndex(0);
    const LFU: LfuOptions = LfuOptions { log_factor: 1, decay_minutes: 0 };

    fn policy(order: EvictionOrder) -> EvictionPolicy {
        EvictionPolicy { order, only_volatile: false, samples: 5 }
    }

    fn seconds(seconds: i64) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + seconds * 1000)
    }

    /// A shard with `keys` keys of which the lower half has been used later; every third expires.
    fn shard(keys: usize, notes: AccessNotes) -> (Shard, KeyHasher) {
        let hasher = KeyHasher::new(7);
        let options = ShardOptions { databases: 2, hasher: hasher.clone() };
        let mut shard = Shard::new(ShardId(0), &options);
        shard.note_accesses(notes);
        for number in 0..keys {
            let name = number.to_string();
            let expiry = match number % 3 {
                0 => {
                    let millis = 1_800_000_000_000 + i64::try_from(number).unwrap();
                    Expiry::At(Deadline::new(millis).unwrap())
                }
                _ => Expiry::Clear,
            };
            let key = Key::new(&hasher, name.as_bytes());
            shard.keyspace(DB, seconds(0)).set_string(&key, b"value", expiry);
        }
        for _ in 0..8 {
            for number in 0..keys / 2 {
                let name = number.to_string();
                shard.keyspace(DB, seconds(100)).read(&Key::new(&hasher, name.as_bytes()));
            }
        }
        (shard, hasher)
    }

    /// How many keys of `range` are there.
    fn present(shard: &mut Shard, hasher: &KeyHasher, range: std::ops::Range<usize>) -> usize {
        let mut keyspace = shard.keyspace(DB, seconds(100));
        let is_there = |number: &usize| {
            keyspace.peek(&Key::new(hasher, number.to_string().as_bytes())).is_some()
        };
        range.filter(is_there).count()
    }

    #[test]
    fn what_was_used_later_or_more_often_stays() {
        for (order, notes) in [
            (EvictionOrder::Lru, AccessNotes::Clock),
            (EvictionOrder::Lfu(LFU), AccessNotes::Frequency(LFU)),
        ] {
            let (mut shard, hasher) = shard(4000, notes);
            for _ in 0..1500 {
                assert!(shard.evict(&policy(order), seconds(100)));
            }
            assert_eq!((shard.len(), shard.statistics().evicted), (2500, 1500));
            let kept = present(&mut shard, &hasher, 0..2000);
            assert!(kept > 1950, "{order:?}: {kept}");
            shard.check_invariants();
        }
    }

    #[test]
    fn only_keys_with_a_deadline_go_if_that_is_asked_for() {
        for order in
            [EvictionOrder::Lru, EvictionOrder::Lfu(LFU), EvictionOrder::Random, EvictionOrder::Ttl]
        {
            let (mut shard, hasher) = shard(300, AccessNotes::Clock);
            let policy = EvictionPolicy { only_volatile: true, ..policy(order) };
            for gone in 0..100 {
                assert!(shard.has_evictable(&policy));
                assert!(shard.evict(&policy, seconds(100)), "{order:?}: {gone}");
            }
            assert!(!shard.has_evictable(&policy) && !shard.evict(&policy, seconds(100)));
            assert_eq!(present(&mut shard, &hasher, 0..300), 200);
        }
    }

    #[test]
    fn the_nearest_deadlines_go_first() {
        let (mut shard, hasher) = shard(3000, AccessNotes::Clock);
        let policy = EvictionPolicy { only_volatile: true, ..policy(EvictionOrder::Ttl) };
        for _ in 0..500 {
            assert!(shard.evict(&policy, seconds(100)));
        }
        let volatile = |shard: &mut Shard, range| present(shard, &hasher, range);
        // 1000 keys with deadlines: of the earlier half few are left, of the last fifth nearly all.
        assert!(volatile(&mut shard, 0..1500) < 1000 + 60);
        assert!(volatile(&mut shard, 2400..3000) > 590);
    }

    #[test]
    fn all_keys_of_all_databases_can_go() {
        let (mut shard, hasher) = shard(50, AccessNotes::Clock);
        let key = Key::new(&hasher, b"other");
        shard.keyspace(DbIndex(1), seconds(0)).set_string(&key, b"v", Expiry::Clear);
        for left in (0..51).rev() {
            assert!(shard.evict(&policy(EvictionOrder::Random), seconds(100)));
            assert_eq!(shard.len(), left);
        }
        assert!(!shard.has_evictable(&policy(EvictionOrder::Random)));
    }

    #[test]
    fn a_candidate_that_is_used_meanwhile_stays() {
        let (mut shard, hasher) = shard(2, AccessNotes::Clock);
        // Key 1 waits in the pool when key 0 or 1 goes, and is then used.
        let lru = policy(EvictionOrder::Lru);
        shard.keyspace(DB, seconds(50)).read(&Key::new(&hasher, b"1"));
        assert!(shard.evict(&lru, seconds(200)));
        assert_eq!(present(&mut shard, &hasher, 1..2), 0);
        for number in [b"2", b"3"] {
            let key = Key::new(&hasher, number);
            shard.keyspace(DB, seconds(200)).set_string(&key, b"v", Expiry::Clear);
        }
        shard.keyspace(DB, seconds(400)).read(&Key::new(&hasher, b"0"));
        assert!(shard.evict(&lru, seconds(400)));
        assert_eq!(present(&mut shard, &hasher, 0..1), 1);
    }
}
