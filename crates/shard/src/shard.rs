//! The shard itself: what spans its databases.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_structures::{Block, Defragmentation, Hand, KeyHasher, Layout};
use darter_value::{Object, ObjectMut, ValueRef};

use crate::access::{Access, AccessNotes};
use crate::databases::{Database, Databases};
use crate::eviction::Pool;
use crate::garbage::Garbage;
use crate::key::Key;
use crate::keyspace::{Keyspace, is_due, value_of};
use crate::news::{Interest, Loss, News};
use crate::random::Random;
use crate::snapshot::Snapshot;
use crate::statistics::Statistics;
use crate::waiters::{ReadyQueue, Waiter, Wanted};
use crate::watch::{Reading, VersionCounter};

pub(crate) type Table = darter_structures::Table<Block<Object>>;

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
    databases: Databases,
    common: Common,
    /// Bytes of the memory limit that are set aside for this shard; whoever keeps the limit keeps this.
    pub allotted_bytes: i64,
    /// Where defragmentation goes on: a database, and a place in its table.
    defragmented: (usize, Hand),
    /// The database active expiry goes on with.
    expire_from: usize,
    random: Random,
}

/// What the databases of a shard share.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) statistics: Statistics,
    pub(crate) changes: u64,
    pub(crate) versions: VersionCounter,
    pub(crate) garbage: Garbage,
    pub(crate) news: News,
    pub(crate) access: Access,
    pub(crate) pool: Pool,
    /// Whether what is found to be expired stays.
    pub(crate) keeps_expired: bool,
    /// Keys that became ready for those who wait, by database and hash, in order.
    pub(crate) ready: VecDeque<(DbIndex, u64)>,
    /// While one is under way.
    pub(crate) snapshot: Option<Box<Snapshot>>,
}

/// How far a slice of active expiry got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Keys deleted.
    pub expired: usize,
    /// Whether keys may be due already that this slice did not reach.
    pub more: bool,
    /// Whether some of them are ahead of a hand that is on its way through a table or a big hash. What is due
    /// otherwise has become so behind the hands: to look for it at once, while keys expire all the time, would be to
    /// open every segment again and again for a key or two.
    pub midway: bool,
}

/// Which databases to flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushScope {
    /// FLUSHDB.
    Database(DbIndex),
    /// FLUSHALL.
    All,
}

/// Segments of one hash whose expired fields one slice removes: the rest waits for the next one.
const FIELD_SEGMENTS_PER_HASH: usize = 4;

impl Shard {
    /// An empty shard.
    pub fn new(id: ShardId, options: &ShardOptions) -> Self {
        let mut random = Random::new(options.hasher.hash(&id.0.to_le_bytes()));
        Self {
            id,
            hasher: options.hasher.clone(),
            databases: Databases::new(options.databases.max(1), &options.hasher),
            common: Common { access: Access::new(random.next()), ..Common::default() },
            allotted_bytes: 0,
            defragmented: (0, Hand::default()),
            expire_from: 0,
            random,
        }
    }

    /// The database `db` at the point in time `now`, for a command or a batch.
    ///
    /// # Panics
    /// If there is no such database; SELECT checks the number.
    #[inline]
    pub fn keyspace(&mut self, db: DbIndex, now: UnixMillis) -> Keyspace<'_> {
        Keyspace { database: self.databases.at(db.index()), common: &mut self.common, now }
    }

    /// The value of `key`, neither counted nor noted, for commands that look at several values together once
    /// they have read each of them. What is expired is absent here, and stays.
    #[inline]
    pub fn look_up(&self, db: DbIndex, now: UnixMillis, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let found = self.databases[db.index()].table.lookup(key.hash, key.bytes)?;
        (!is_due(found.view, now)).then(|| value_of(found.view))
    }

    /// Notes that long work has read the key with this hash, whether it was there or not.
    pub fn note_read(&mut self, db: DbIndex, hash: u64, reading: &Reading) {
        self.databases.at(db.index()).watches.note_read(hash, reading);
    }

    /// Notes that long work reads every key, and that which keys there are matters to it.
    pub fn note_all_read(&mut self, db: DbIndex, reading: &Reading) {
        self.databases.at(db.index()).watches.note_all_read(reading);
    }

    /// Forgets what was noted for a [`Reading`] of this database that is no more.
    pub fn end_readings(&mut self, db: DbIndex) {
        self.databases.at(db.index()).watches.end_readings();
    }

    /// Fetches the buckets ahead in which a key with this hash would be found.
    #[inline]
    pub fn prefetch(&self, db: DbIndex, hash: u64) {
        self.databases[db.index()].table.prefetch(hash);
    }

    /// Fetches the entry ahead that a key with this hash would be; after [`Self::prefetch`].
    #[inline]
    pub fn prefetch_entry(&self, db: DbIndex, hash: u64) {
        self.databases[db.index()].table.prefetch_entry(hash);
    }

    /// Deletes every key of one database, or of all, at once for every reader; the memory is freed by
    /// [`collect_garbage`](Self::collect_garbage). Returns the number of keys.
    pub fn flush(&mut self, scope: FlushScope) -> usize {
        let range = match scope {
            FlushScope::Database(db) => db.index()..db.index() + 1,
            FlushScope::All => 0..self.databases.len(),
        };
        let mut count = 0;
        for index in range {
            let database = self.databases.at(index);
            let table = mem::replace(&mut database.table, Table::new(self.hasher.clone()));
            let was_there = |key: &Key<'_>| table.find(key.hash, key.bytes).is_some();
            database.watches.bump_where(&mut self.common.versions, was_there);
            let (index, ready) = (database.index, &mut self.common.ready);
            database.waiters.note_where(was_there, |hash| ready.push_back((index, hash)));
            database.hand = 0;
            count += table.len();
            let table = match &mut self.common.snapshot {
                Some(snapshot) => snapshot.keep_flushed(database.index, table),
                None => Some(table),
            };
            if let Some(table) = table {
                self.common.garbage.discard_table(table);
            }
        }
        if scope == FlushScope::All {
            self.common.access.forget_keys();
        }
        self.common.changes += count as u64;
        self.common.news.flushed |= self.common.news.is_wanted();
        count
    }

    /// Exchanges the contents of two databases (SWAPDB). O(1) but for the watched keys: those change that
    /// are in either. What has expired of them is not there.
    ///
    /// # Panics
    /// If there is no such database.
    pub fn swap_databases(&mut self, left: DbIndex, right: DbIndex, now: UnixMillis) {
        self.common.changes += 1;
        if left == right {
            return;
        }
        self.expire_for_watchers(left, right, now);
        self.expire_for_watchers(right, left, now);
        if let Some(snapshot) = &mut self.common.snapshot {
            snapshot.swap(left, right);
        }
        let Common { versions, ready, .. } = &mut self.common;
        self.databases.with_both(left.index(), right.index(), |left, right| {
            mem::swap(&mut left.table, &mut right.table);
            mem::swap(&mut left.hand, &mut right.hand);
            let changed = |was: &Table, is: &Table, key: &Key<'_>| {
                was.find(key.hash, key.bytes).is_some()
                    || is
                        .find(key.hash, key.bytes)
                        .is_some_and(|position| !is_due(is.view(position), now))
            };
            let mut tell = |database: &mut Database, other: &Database| {
                let table = &database.table;
                let changed = |key: &Key<'_>| changed(&other.table, table, key);
                database.watches.bump_where(versions, changed);
                let index = database.index;
                database.waiters.note_where(changed, |hash| ready.push_back((index, hash)));
            };
            tell(left, right);
            tell(right, left);
        });
    }

    /// Deletes what has expired in one database of the keys that are watched in another, which it would otherwise be found
    /// to have expired in.
    fn expire_for_watchers(&mut self, of: DbIndex, within: DbIndex, now: UnixMillis) {
        for (key, hash) in self.databases[of.index()].watches.owned_keys() {
            self.keyspace(within, now).peek(&Key { bytes: &key, hash });
        }
    }

    /// Moves what lies in under-used pages of the allocator, looking at `steps` slots of tables at most, of which it takes
    /// off as many as it looked at, and fewer where values are large: a megabyte is moved, and some. Whether this ended a round
    /// over all keys. Nothing that a client can see changes.
    pub fn defragment(&mut self, steps: &mut usize, defragmentation: &mut Defragmentation) -> bool {
        defragmentation.go_on();
        let (from, mut hand) = self.defragmented;
        for index in from..self.databases.len() {
            if !self.databases.at(index).table.defragment(&mut hand, steps, defragmentation) {
                self.defragmented = (index, hand);
                return false;
            }
        }
        self.defragmented = (0, Hand::default());
        true
    }

    /// Deletes expired keys, opening at most `budget_segments` segments (some microseconds each) of the
    /// tables. Costs a comparison per database when no deadline has passed.
    pub fn expire_slice(&mut self, now: UnixMillis, budget_segments: usize) -> ExpireProgress {
        let mut progress = ExpireProgress { expired: 0, more: false, midway: false };
        let mut budget = budget_segments;
        let databases = self.databases.len();
        for turn in 0..databases {
            let index = (self.expire_from + turn) % databases;
            let Database { table, hand, .. } = &self.databases[index];
            if *hand == 0 && table.next_deadline_ms().is_none_or(|next_ms| next_ms >= now.0) {
                continue;
            }
            let Database { table, hand, watches, waiters, index: db } = self.databases.at(index);
            let Common { garbage, versions, statistics, changes, ready, news, snapshot, .. } =
                &mut self.common;
            let hasher = &self.hasher;
            budget -= table.expire_slice(hand, now.0, budget, |mut block| {
                let is_due = is_due(block.view(), now);
                if let Some(snapshot) = snapshot
                    && !is_due
                    && snapshot.is_open(*db, block.view().key())
                {
                    // So many fields were announced.
                    return Some(block);
                }
                watches.bump(|| Key::new(hasher, block.view().key()), versions);
                if is_due {
                    if !waiters.is_empty() && waiters.note(&Key::new(hasher, block.view().key())) {
                        ready.push_back((*db, hasher.hash(block.view().key())));
                    }
                    if news.is_wanted() {
                        news.change(*db, block.view().key());
                        news.lose(*db, block.view().key(), Loss::Expired);
                    }
                    let block = match snapshot {
                        None => Some(block),
                        Some(snapshot) => snapshot.keep_thrown_away(*db, block),
                    };
                    if let Some(block) = block {
                        garbage.discard_block(block);
                    }
                    progress.expired += 1;
                    return None;
                }
                // So something inside it is due.
                if let Some(ObjectMut::Hash(hash)) = block.value_mut() {
                    let mut gone = Vec::new();
                    let removal = hash.expire_slice(now.0, FIELD_SEGMENTS_PER_HASH, |field| {
                        if news.wants_gone() {
                            gone.push(field.into());
                        }
                    });
                    let fields = removal.fields as u64;
                    progress.midway |= removal.midway;
                    statistics.expired_fields += fields;
                    *changes += fields;
                    let is_empty = hash.is_empty();
                    if news.is_wanted() {
                        news.change(*db, block.view().key());
                        news.lose_fields(*db, block.view().key(), gone);
                        news.note(Interest::EXPIRED, "hexpired", *db, block.view().key());
                        if is_empty {
                            news.note(Interest::GENERIC, "del", *db, block.view().key());
                        }
                    }
                    if is_empty {
                        return None;
                    }
                }
                Some(block)
            });
            progress.midway |= *hand != 0;
            let more = table.next_deadline_ms().is_some_and(|next_ms| next_ms < now.0);
            if more && !progress.more {
                progress.more = true;
                self.expire_from = index;
            }
        }
        self.common.statistics.expired += progress.expired as u64;
        progress
    }

    /// A lower bound of the deadlines of all keys: nothing expires before it. `None`: nothing ever
    /// does. O(databases).
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let deadlines =
            self.databases.iter().filter_map(|database| database.table.next_deadline_ms());
        deadlines.min().map(UnixMillis)
    }

    /// Says what is of interest of what happens from now on; see [`News`].
    #[inline]
    pub fn observe(&mut self, interest: Interest) {
        self.common.news.observe(interest);
    }

    /// What was noted since the last time.
    pub fn take_news(&mut self) -> News {
        self.common.news.take()
    }

    /// Says how accesses are noted from now on.
    pub fn note_accesses(&mut self, notes: AccessNotes) {
        self.common.access.set_notes(notes);
    }

    /// What happened before is done again from here on, at a time when nothing was due: accesses are noted as if
    /// they were at `now`.
    pub const fn begin_replay(&mut self, now: UnixMillis) {
        self.common.access.replay_at(Some(now));
    }

    /// Accesses are noted as they are again.
    pub const fn end_replay(&mut self) {
        self.common.access.replay_at(None);
    }

    /// Whether accesses are left unnoted until this is said again (CLIENT NO-TOUCH).
    #[inline]
    pub const fn ignore_accesses(&mut self, ignore: bool) {
        self.common.access.ignore(ignore);
    }

    /// Whether keys that are found to be expired are absent without being deleted, until this is said again. Only
    /// for commands that do not write: one that does would put a second key beside the first.
    #[inline]
    pub const fn keep_expired(&mut self, keep: bool) {
        self.common.keeps_expired = keep;
    }

    /// The databases.
    pub(crate) fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// What they share.
    pub(crate) const fn common(&self) -> &Common {
        &self.common
    }

    /// The databases and what they share.
    pub(crate) fn databases_and_common(&mut self) -> (&mut Databases, &mut Common) {
        (&mut self.databases, &mut self.common)
    }

    /// What they share.
    pub(crate) const fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    /// What a [`Keyspace`] is made from, and the hasher.
    pub(crate) fn parts(&mut self, db: DbIndex) -> (&mut Database, &mut Common, &KeyHasher) {
        (self.databases.at(db.index()), &mut self.common, &self.hasher)
    }

    /// The same of a database that is only looked at.
    pub(crate) fn parts_to_see(&mut self, db: DbIndex) -> (&Database, &mut Common, &KeyHasher) {
        (&self.databases[db.index()], &mut self.common, &self.hasher)
    }

    /// Frees memory of deleted values and flushed databases, `budget` pieces of some ten to some hundred
    /// microseconds each at most; whether there is more.
    pub fn collect_garbage(&mut self, budget: usize) -> bool {
        let more = self.common.garbage.collect(budget);
        self.common.statistics.freed_later += self.common.garbage.take_freed();
        more
    }

    /// Whether memory of what was flushed is still to be freed by [`collect_garbage`](Self::collect_garbage). O(1).
    pub fn has_flushed_garbage(&self) -> bool {
        self.common.garbage.has_flushed()
    }

    /// Gives `waiter` the last place in the queue of `key`.
    pub fn wait(&mut self, db: DbIndex, key: &Key<'_>, wanted: Wanted, waiter: Arc<dyn Waiter>) {
        self.databases.at(db.index()).waiters.add(key, wanted, waiter);
    }

    /// Notes that those who wait for `key` are to be tried, whatever happened to it.
    pub fn signal(&mut self, db: DbIndex, key: &Key<'_>) {
        if self.databases.at(db.index()).waiters.note(key) {
            self.common.ready.push_back((db, key.hash));
        }
    }

    /// Whether there are keys that became ready for those who wait. They are to be served before the
    /// shard is given back.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.common.ready.is_empty()
    }

    /// Takes out the queue of the key that became ready first; [`put_back_queue`](Self::put_back_queue)
    /// when its waiters have been tried.
    pub fn take_ready(&mut self) -> Option<(DbIndex, ReadyQueue)> {
        while let Some((db, hash)) = self.common.ready.pop_front() {
            if let Some(queue) = self.databases.at(db.index()).waiters.take_ready(hash) {
                return Some((db, queue));
            }
        }
        None
    }

    /// Puts back what is left of a queue.
    pub fn put_back_queue(&mut self, db: DbIndex, queue: ReadyQueue) {
        self.databases.at(db.index()).waiters.put_back(queue);
    }

    /// Drops the places of those who wait no longer. O(waiters).
    pub fn sweep_waiters(&mut self) {
        for index in 0..self.databases.len() {
            if !self.databases[index].waiters.is_empty() {
                self.databases.at(index).waiters.sweep();
            }
        }
    }

    /// Number of keys that are waited for, and of those whose going is waited for as well; not counting
    /// what is worth nothing after [`sweep_waiters`](Self::sweep_waiters).
    pub fn waited_keys(&self) -> (usize, usize) {
        let counts = self.databases.iter().map(|database| database.waiters.count_keys());
        counts.fold((0, 0), |(keys, anything), count| (keys + count.0, anything + count.1))
    }

    /// Bytes of heap this shard owns, garbage included, in good sizes. O(1).
    pub fn used_bytes(&self) -> usize {
        self.live_bytes() + self.common.garbage.bytes()
    }

    /// The same without [garbage](Self::garbage_bytes).
    pub fn live_bytes(&self) -> usize {
        self.databases.bytes()
            + self.common.access.heap_bytes()
            + self.common.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes())
    }

    /// The part of [`used_bytes`](Self::used_bytes) that a database's table takes, its entries apart.
    pub fn index_bytes(&self, db: DbIndex) -> usize {
        self.databases[usize::from(db.0)].table.index_bytes()
    }

    /// How a database's table is laid out; see [`Table::layout`].
    pub fn table_layout(&self, db: DbIndex, counts_fill: bool) -> Layout {
        self.databases[db.index()].table.layout(counts_fill)
    }

    /// The part of [`used_bytes`](Self::used_bytes) that is being freed.
    pub fn garbage_bytes(&self) -> usize {
        self.common.garbage.bytes()
    }

    /// Values and flushed databases whose memory is not freed yet.
    pub fn garbage_len(&self) -> usize {
        self.common.garbage.len()
    }

    /// One read that found its key less: whoever read will read again.
    pub fn take_hit_back(&mut self) {
        let hits = &mut self.common.statistics.hits;
        *hits = hits.saturating_sub(1);
    }

    /// Keys that somebody watches. O(databases).
    pub fn watched_len(&self) -> usize {
        self.databases.iter().map(|database| database.watches.len()).sum()
    }

    /// Number of keys in all databases. O(databases).
    pub fn len(&self) -> usize {
        self.databases.iter().map(|database| database.table.len()).sum()
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
        self.databases.check_invariants();
        self.common.garbage.check_invariants();
    }
}
