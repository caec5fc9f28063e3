//! What S3-FIFO knows beyond the bits in the keys: which keys are new, in order, and which are gone.
//!
//! ```text
//!  new keys --> [ probation: a queue of hashes ] --not used again--> evicted, remembered in `gone`
//!                              | used again
//!                              v
//!               [ settled: all other keys, a hand goes round ] --not used for a round--> evicted
//!                              ^
//!  keys that are remembered in `gone` --'
//! ```
//!
//! How long the probation is decides between two kinds of load: a short one keeps out what is used once, a long
//! one keeps what is used again soon. It adapts: two short memories hold what was evicted last from either side.
//! A key that comes back would have been a hit had its side been somewhat larger, so that side grows.
//! (S3-FIFO, SOSP 2023, has a tenth for ever; its authors' adaptive form compares two such memories.)
//!
//! Costs some twelve bytes for each key on probation, and two and a half for every key, from the first eviction on.

use super::ghost::Ghost;
use darter_base::DbIndex;
use darter_structures::good_size;
use std::collections::VecDeque;

/// Of a hundred keys, how many are on probation at first, at least, and at most.
const SHARE_AT_FIRST: usize = 10;
const SHARE_MIN: usize = 2;
const SHARE_MAX: usize = 80;
/// Of a hundred keys, how many that failed their probation are remembered.
const GONE_SHARE: usize = 90;
/// Of a hundred keys, how many of the last evicted of either side tell which is too small.
const RECENT_SHARE: usize = 10;
/// Keys by which a side grows when one comes back.
const STEP: usize = 2;
/// Keys per piece of the queue: some 4 KiB.
const CHUNK_LEN: usize = 340;

/// A key on probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newcomer {
    hash: (u32, u32),
    db: DbIndex,
}

const _: () = assert!(size_of::<Newcomer>() == 12, "a queue of hashes and databases is dense");

/// See the [module](self). Empty until the first eviction.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// In the order they came, in pieces; none is empty.
    probation: VecDeque<Vec<Newcomer>>,
    probation_len: usize,
    /// Keys of the first piece that have left it.
    taken: usize,
    /// How many keys should be on probation.
    target: usize,
    /// The number of keys everything is sized for; 0: nothing is.
    sized_for: usize,
    /// What failed its probation.
    gone: Ghost,
    recent_newcomers: Ghost,
    recent_settled: Ghost,
    /// The database the hand is in, and where it stands there.
    pub(super) hand_db: usize,
    pub(super) hand: darter_structures::Hand,
}

impl Newcomer {
    fn new(db: DbIndex, hash: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits");
        Self { hash: (half(hash >> 32), half(hash)), db }
    }

    pub(super) const fn hash(self) -> u64 {
        (self.hash.0 as u64) << 32 | self.hash.1 as u64
    }

    pub(super) const fn db(self) -> DbIndex {
        self.db
    }
}

impl Queues {
    /// A key is created; whether it is on probation.
    pub(crate) fn admit(&mut self, db: DbIndex, hash: u64) -> bool {
        if self.sized_for == 0 {
            return false;
        }
        if self.recent_newcomers.forget(hash) {
            self.target += STEP;
        } else if self.recent_settled.forget(hash) {
            self.target = self.target.saturating_sub(STEP);
        }
        self.bound_target();
        if self.gone.forget(hash) {
            return false;
        }
        if self.probation_len > self.sized_for {
            // Whoever this is settles: nothing was evicted meanwhile.
            self.take_newcomer();
        }
        match self.probation.back_mut() {
            Some(chunk) if chunk.len() < CHUNK_LEN => chunk.push(Newcomer::new(db, hash)),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_LEN);
                chunk.push(Newcomer::new(db, hash));
                self.probation.push_back(chunk);
            }
        }
        self.probation_len += 1;
        true
    }

    /// Sizes everything for so many keys; what is remembered is lost when that is far from what it was.
    pub(super) fn fit(&mut self, keys: usize) {
        let fits = self.sized_for != 0
            && keys <= self.sized_for + self.sized_for / 4
            && keys >= self.sized_for / 2;
        if fits {
            return;
        }
        let share = |percent: usize| keys.max(100) / 100 * percent;
        self.target = match self.sized_for {
            0 => share(SHARE_AT_FIRST),
            // The same share as before.
            before => self.target.saturating_mul(keys) / before,
        };
        self.sized_for = keys.max(100);
        self.gone = Ghost::with_room(share(GONE_SHARE));
        self.recent_newcomers = Ghost::with_room(share(RECENT_SHARE));
        self.recent_settled = Ghost::with_room(share(RECENT_SHARE));
        self.bound_target();
    }

    /// The key that has been on probation for the longest, if there are more of them than there should be.
    pub(super) fn take_overdue(&mut self) -> Option<Newcomer> {
        if self.probation_len > self.target { self.take_newcomer() } else { None }
    }

    /// A key failed its probation and is evicted.
    pub(super) fn remember_newcomer(&mut self, hash: u64) {
        self.gone.remember(hash);
        self.recent_newcomers.remember(hash);
    }

    /// A settled key is evicted.
    pub(super) fn remember_settled(&mut self, hash: u64) {
        self.recent_settled.remember(hash);
    }

    /// Bytes of heap, in good sizes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let chunk = good_size(CHUNK_LEN * size_of::<Newcomer>());
        let list = match self.probation.capacity() {
            0 => 0,
            capacity => good_size(capacity * size_of::<Vec<Newcomer>>()),
        };
        list + self.probation.len() * chunk
            + self.gone.heap_bytes()
            + self.recent_newcomers.heap_bytes()
            + self.recent_settled.heap_bytes()
    }

    fn take_newcomer(&mut self) -> Option<Newcomer> {
        let chunk = self.probation.front()?;
        let newcomer = chunk[self.taken];
        self.taken += 1;
        self.probation_len -= 1;
        if self.taken == chunk.len() {
            self.probation.pop_front();
            self.taken = 0;
        }
        Some(newcomer)
    }

    fn bound_target(&mut self) {
        let share = |percent: usize| self.sized_for / 100 * percent;
        self.target = self.target.clamp(share(SHARE_MIN), share(SHARE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const DB: DbIndex = DbIndex(3);

    #[test]
    fn newcomers_leave_in_the_order_they_came() {
        let mut queues = Queues::default();
        assert!(!queues.admit(DB, 1), "before the first eviction nobody is on probation");
        assert_eq!(queues.heap_bytes(), 0);
        queues.fit(10_000);
        let mut random = Random::new(5);
        let hashes: Vec<u64> = (0..5000).map(|_| random.next()).collect();
        for hash in &hashes {
            assert!(queues.admit(DB, *hash));
        }
        // A tenth of all stays.
        for hash in &hashes[..4000] {
            let newcomer = queues.take_overdue().unwrap();
            assert_eq!((newcomer.hash(), newcomer.db()), (*hash, DB));
        }
        assert_eq!(queues.take_overdue(), None);
    }

    #[test]
    fn the_side_grows_whose_keys_come_back() {
        let mut queues = Queues::default();
        queues.fit(10_000);
        let mut random = Random::new(5);
        for _ in 0..100 {
            let hash = random.next();
            queues.remember_newcomer(hash);
            assert!(!queues.admit(DB, hash), "remembered keys are not on probation again");
        }
        assert_eq!(queues.target, 1000 + 100 * STEP);
        for _ in 0..2000 {
            let hash = random.next();
            queues.remember_settled(hash);
            queues.admit(DB, hash);
        }
        assert_eq!(queues.target, 200);
    }

    #[test]
    fn the_queue_is_bounded_while_nothing_is_evicted() {
        let mut queues = Queues::default();
        queues.fit(1000);
        let mut random = Random::new(5);
        for _ in 0..100_000 {
            queues.admit(DB, random.next());
        }
        assert_eq!(queues.probation_len, 1001);
        assert!(queues.heap_bytes() < 32 * 1024);
        queues.fit(100_000);
        assert!(queues.target >= 2000);
    }
}
