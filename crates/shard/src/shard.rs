//! The shard itself: what spans its databases.

use std::collections::BTreeMap;
use std::mem;

use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_structures::{Deadline, KeyHasher, good_size};
use darter_value::{Object, ValueRef};

use crate::key::Key;
use crate::keyspace::Keyspace;
use crate::random::Random;
use crate::statistics::Statistics;
use crate::watch::{VersionCounter, Watches};

/// What a shard is made from.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Number of databases (`databases`), at least 1.
    pub databases: u16,
    /// The hasher of the process; keys given to this shard must be hashed with it.
    pub hasher: KeyHasher,
}

/// Part of the keyspace: for each database, the keys whose hash slot falls to this shard.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    hasher: KeyHasher,
    databases: Vec<Database>,
    common: Common,
    random: Random,
}

/// What the databases of a shard share.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) statistics: Statistics,
    pub(crate) changes: u64,
    pub(crate) versions: VersionCounter,
}

/// How far a slice of active expiry got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Keys deleted.
    pub expired: usize,
    /// Whether keys may be due already that this slice did not reach.
    pub more: bool,
}

/// Which databases to flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushScope {
    Database(DbIndex),
    All,
}

impl Shard {
    /// An empty shard.
    pub fn new(id: ShardId, options: &ShardOptions) -> Self {
        Self {
            id,
            hasher: options.hasher.clone(),
            databases: (0..options.databases.max(1)).map(|_| Database::default()).collect(),
            common: Common::default(),
            random: Random::new(options.hasher.hash(&id.0.to_le_bytes())),
        }
    }

    /// The database `db` at the point in time `now`, for a command or a batch.
    ///
    /// # Panics
    /// If there is no such database; SELECT checks the number.
    pub fn keyspace(&mut self, db: DbIndex, now: UnixMillis) -> Keyspace<'_> {
        Keyspace { database: &mut self.databases[db.index()], common: &mut self.common, now }
    }

    /// Fetches the buckets ahead in which a key with this hash would be found.
    #[inline]
    pub fn prefetch(&self, db: DbIndex, hash: u64) {
        let _ = (db, hash);
    }

    /// Fetches the entry ahead that a key with this hash would be; after [`Self::prefetch`].
    #[inline]
    pub fn prefetch_entry(&self, db: DbIndex, hash: u64) {
        let _ = (db, hash);
    }

    /// Deletes every key of one database, or of all, at once for every reader; the memory is freed by
    /// [`collect_garbage`](Self::collect_garbage). Returns the number of keys.
    pub fn flush(&mut self, scope: FlushScope) -> usize {
        let range = match scope {
            FlushScope::Database(db) => db.index()..db.index() + 1,
            FlushScope::All => 0..self.databases.len(),
        };
        let mut count = 0;
        for database in &mut self.databases[range] {
            let keys = mem::take(&mut database.keys);
            database.watches.bump_where(&mut self.common.versions, |key| {
                keys.contains_key(&(key.hash, key.bytes.into()))
            });
            count += keys.len();
        }
        self.common.changes += count as u64;
        count
    }

    /// Exchanges the contents of two databases (SWAPDB). O(1) but for the watched keys.
    pub fn swap_databases(&mut self, left: DbIndex, right: DbIndex, now: UnixMillis) {
        let Ok([left, right]) = self.databases.get_disjoint_mut([left.index(), right.index()])
        else {
            return;
        };
        mem::swap(&mut left.keys, &mut right.keys);
        // A watched key changed if it was there, or is there now and not expired.
        let changed = |was: &Keys, is: &Keys, key: &Key<'_>| {
            let place = (key.hash, key.bytes.into());
            was.contains_key(&place) || is.get(&place).is_some_and(|stored| !stored.is_due(now))
        };
        let versions = &mut self.common.versions;
        left.watches.bump_where(versions, |key| changed(&right.keys, &left.keys, key));
        right.watches.bump_where(versions, |key| changed(&left.keys, &right.keys, key));
        self.common.changes += 1;
    }

    /// Deletes expired keys, visiting at most `budget_segments` segments of the tables. Costs nothing
    /// but a comparison when no deadline has passed.
    pub fn expire_slice(&mut self, now: UnixMillis, budget_segments: usize) -> ExpireProgress {
        let mut expired = 0;
        for database in &mut self.databases {
            let Database { keys, watches } = database;
            keys.retain(|(hash, name), stored| {
                if !stored.is_due(now) || expired >= budget_segments * 512 {
                    return true;
                }
                expired += 1;
                watches.bump(&Key { bytes: name, hash: *hash }, &mut self.common.versions);
                false
            });
        }
        self.common.statistics.expired += expired as u64;
        ExpireProgress { expired, more: self.next_deadline().is_some_and(|at| now > at) }
    }

    /// A lower bound of the deadlines of all keys: nothing expires before it. `None`: nothing ever
    /// does. O(databases).
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let deadlines = self
            .databases
            .iter()
            .flat_map(|database| database.keys.values())
            .filter_map(|stored| Some(UnixMillis(stored.deadline?.millis())));
        deadlines.min()
    }

    /// Frees memory of deleted values and flushed databases, `budget` steps of a few microseconds
    /// each at most; whether there is more.
    pub fn collect_garbage(&mut self, budget: usize) -> bool {
        let _ = budget;
        false
    }

    /// Bytes of heap this shard owns, garbage included, in good sizes. O(databases).
    pub fn used_bytes(&self) -> usize {
        self.databases
            .iter()
            .map(|database| {
                let keys = database.keys.iter();
                keys.map(|((hash, name), stored)| stored.bytes(&Key { bytes: name, hash: *hash }))
                    .sum::<usize>()
                    + database.watches.heap_bytes()
            })
            .sum()
    }

    /// Number of keys in all databases. O(databases).
    pub fn len(&self) -> usize {
        self.databases.iter().map(|database| database.keys.len()).sum()
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next of a sequence of random numbers, which the process's hasher and the shard's id
    /// determine. Not for secrets.
    #[inline]
    pub const fn random(&mut self) -> u64 {
        self.random.next()
    }

    /// Number of databases.
    pub fn databases_len(&self) -> usize {
        self.databases.len()
    }

    /// Which shard this is.
    pub const fn id(&self) -> ShardId {
        self.id
    }

    /// The hasher keys must be hashed with.
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Changes since the shard was made or [`reset_changes`](Self::reset_changes), as
    /// `rdb_changes_since_last_save` counts.
    pub const fn changes(&self) -> u64 {
        self.common.changes
    }

    /// The last save holds everything up to now.
    pub const fn reset_changes(&mut self) {
        self.common.changes = 0;
    }

    /// The counters.
    pub const fn statistics(&self) -> &Statistics {
        &self.common.statistics
    }

    /// CONFIG RESETSTAT.
    pub fn reset_statistics(&mut self) {
        self.common.statistics = Statistics::default();
    }

    /// Panics if a structure contradicts itself. O(keys).
    pub fn check_invariants(&self) {
        for database in &self.databases {
            for (hash, name) in database.keys.keys() {
                assert_eq!(self.hasher.hash(name), *hash, "a key was inserted with a foreign hash");
            }
        }
    }
}

type Keys = BTreeMap<(u64, Box<[u8]>), Stored>;

/// One database.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) keys: Keys,
    pub(crate) watches: Watches,
}

impl Database {
    pub(crate) fn find(&self, key: &Key<'_>) -> Option<&Stored> {
        self.keys.get(&(key.hash, key.bytes.into()))
    }

    pub(crate) fn find_mut(&mut self, key: &Key<'_>) -> Option<&mut Stored> {
        self.keys.get_mut(&(key.hash, key.bytes.into()))
    }

    pub(crate) fn insert(&mut self, key: &Key<'_>, stored: Stored) -> Option<Stored> {
        self.keys.insert((key.hash, key.bytes.into()), stored)
    }

    pub(crate) fn remove(&mut self, key: &Key<'_>) -> Option<Stored> {
        self.keys.remove(&(key.hash, key.bytes.into()))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: StoredValue,
    pub(crate) deadline: Option<Deadline>,
}

#[derive(Clone, Debug)]
pub(crate) enum StoredValue {
    Bytes { bytes: Vec<u8>, raw: bool },
    Integer(i64),
    Object(Object),
}

impl Stored {
    pub(crate) fn value_ref(&self) -> ValueRef<'_> {
        match &self.value {
            StoredValue::Bytes { bytes, raw: false } => ValueRef::Bytes(bytes),
            StoredValue::Bytes { bytes, raw: true } => ValueRef::Raw(bytes),
            StoredValue::Integer(integer) => ValueRef::Integer(*integer),
            StoredValue::Object(object) => ValueRef::Object(object),
        }
    }

    pub(crate) fn is_due(&self, now: UnixMillis) -> bool {
        self.deadline.is_some_and(|deadline| deadline.is_due(now.0))
    }

    pub(crate) fn bytes(&self, key: &Key<'_>) -> usize {
        let payload = match &self.value {
            StoredValue::Bytes { bytes, .. } => bytes.len(),
            StoredValue::Integer(_) => 8,
            StoredValue::Object(object) => 8 + object.heap_bytes(),
        };
        good_size(key.bytes.len() + 3 + payload)
    }
}
