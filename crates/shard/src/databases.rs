//! The databases of a shard, and what they take.

use std::ops::Deref;

use darter_base::DbIndex;
use darter_structures::{KeyHasher, good_size};

use crate::key::Key;
use crate::shard::{Common, Table};
use crate::waiters::Waiters;
use crate::watch::Watches;

/// One database.
#[derive(Debug)]
pub(crate) struct Database {
    /// Which one it is.
    pub(crate) index: DbIndex,
    pub(crate) table: Table,
    /// Where the expiry hand stands: a hash.
    pub(crate) hand: u64,
    /// Belongs to the number of the database, not to its content.
    pub(crate) watches: Watches,
    /// This too.
    pub(crate) waiters: Waiters,
}

impl Database {
    /// Whether somebody watches or waits for some key.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        // One branch for both.
        !(self.watches.is_empty() & self.waiters.is_empty())
    }

    /// The key came, went, or holds something else.
    #[cold]
    pub(crate) fn tell(&mut self, key: &Key<'_>, common: &mut Common) {
        self.watches.bump(|| *key, &mut common.versions);
        if self.waiters.note(key) {
            common.ready.push_back((self.index, key.hash));
        }
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.watches.heap_bytes() + self.waiters.heap_bytes()
    }
}

/// All databases. A write at the memory limit asks several times what they take, and there may be thousands of
/// them: so one is at work at a time, and what the others take, which cannot change meanwhile, is kept.
#[derive(Debug)]
pub(crate) struct Databases {
    all: Vec<Database>,
    at_work: usize,
    /// Bytes of heap of all but the one at work, and of the list.
    bytes_of_others: usize,
}

impl Databases {
    /// Empty ones.
    pub(crate) fn new(count: u16, hasher: &KeyHasher) -> Self {
        let database = |index| Database {
            index: DbIndex(index),
            table: Table::new(hasher.clone()),
            hand: 0,
            watches: Watches::default(),
            waiters: Waiters::default(),
        };
        let all = (0..count).map(database).collect();
        let mut databases = Self { all, at_work: 0, bytes_of_others: 0 };
        databases.bytes_of_others = databases.count_others();
        databases
    }

    /// One of them, to be worked on.
    ///
    /// # Panics
    /// If there is no such database.
    #[inline]
    pub(crate) fn at(&mut self, index: usize) -> &mut Database {
        if index != self.at_work {
            self.turn_to(index);
        }
        &mut self.all[index]
    }

    #[cold]
    fn turn_to(&mut self, index: usize) {
        self.bytes_of_others += self.all[self.at_work].bytes();
        self.bytes_of_others -= self.all[index].bytes();
        self.at_work = index;
    }

    /// Works on two different ones at once; O(databases).
    ///
    /// # Panics
    /// If they are the same, or there are no such databases.
    pub(crate) fn with_both(
        &mut self,
        left: usize,
        right: usize,
        work: impl FnOnce(&mut Database, &mut Database),
    ) {
        let both = self.all.get_disjoint_mut([left, right]);
        let [left, right] = both.expect("no such database");
        work(left, right);
        self.bytes_of_others = self.count_others();
    }

    /// Bytes of heap of all, in good sizes. O(1).
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.all[self.at_work].bytes() + self.bytes_of_others
    }

    fn count_others(&self) -> usize {
        let others = self.all.iter().enumerate().filter(|(index, _)| *index != self.at_work);
        good_size(self.all.capacity() * size_of::<Database>())
            + others.map(|(_, database)| database.bytes()).sum::<usize>()
    }

    /// Panics if a structure contradicts itself. O(keys).
    pub(crate) fn check_invariants(&self) {
        for database in &self.all {
            database.table.check_invariants();
            database.waiters.check_invariants();
        }
        assert_eq!(self.bytes_of_others, self.count_others(), "what others take cannot change");
    }
}

impl Deref for Databases {
    type Target = [Database];

    fn deref(&self) -> &[Database] {
        &self.all
    }
}
