//! One database of a shard, as commands see it.
//!
//! A [`Keyspace`] is made for a batch or a command, at one point in time, and dropped with it. Every
//! key passes through here, so this is where lazy expiry, the hit and miss counters, the access bits,
//! the versions of watched keys and the memory accounting are kept: a command cannot forget them.

use darter_base::UnixMillis;
use darter_structures::{Block, BlockRef, Deadline, Marks, PayloadRef, Position};
use darter_value::{Object, ValueRef};

use crate::databases::Database;
use crate::key::{Key, Lifetime};
use crate::news::{Interest, Loss};
use crate::shard::Common;
use crate::watch::{LatestVersion, Version};

mod collections;
mod strings;
mod walk;
mod write;

pub use collections::{Edit, collection_of};
pub use walk::{Boundary, SCAN_CURSOR_BITS};

/// A short-lived view of one database at one point in time.
#[derive(Debug)]
pub struct Keyspace<'s> {
    pub(crate) database: &'s mut Database,
    pub(crate) common: &'s mut Common,
    pub(crate) now: UnixMillis,
}

/// What keys that have a deadline are like, by an estimate; zeroes when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineEstimate {
    /// Mean time to live, in milliseconds.
    pub average_ttl_ms: u64,
    /// How many of ten thousand have expired and are still there.
    pub due_per_10_000: u64,
}

/// The policy in force notes something else of accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNoted;

/// What there is of a key.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Its value.
    pub value: ValueRef<'a>,
    /// What is noted of its last use, as it is.
    pub stamp: u32,
    /// The same, read as seconds since then.
    pub idle_seconds: u32,
}

/// A key's value with its deadline, taken out of the keyspace (RENAME, MOVE, COPY; across shards too).
#[derive(Debug)]
pub struct Detached {
    block: Block<Object>,
}

impl Keyspace<'_> {
    /// Starts to fetch the buckets where a key of this hash can be into the processor's cache. Call it
    /// for every key of a batch, then [`prefetch_entry`](Self::prefetch_entry) for every key, then run:
    /// that makes a lookup several times cheaper.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.database.table.prefetch(hash);
    }

    /// Starts to fetch the entry of a key of this hash.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        self.database.table.prefetch_entry(hash);
    }

    /// The value of `key` for a command that reads it: an expired key is deleted and absent, the
    /// access is counted as a hit or a miss and noted for eviction.
    #[inline]
    pub fn read(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let position = self.locate_counted(key)?;
        self.touch(position);
        Some(value_of(self.database.table.view(position)))
    }

    /// As [`read`](Self::read), but not noted as an access: for commands that look at a key without using
    /// its value (EXISTS, TTL, TYPE, OBJECT).
    pub fn inspect(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let position = self.locate_counted(key)?;
        Some(value_of(self.database.table.view(position)))
    }

    /// As [`read`](Self::read), neither counted nor noted: for commands that look at a value before they
    /// write it, and for debugging.
    #[inline]
    pub fn peek(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let position = self.locate(key)?;
        Some(value_of(self.database.table.view(position)))
    }

    /// Whether `key` exists; see [`inspect`](Self::inspect).
    pub fn exists(&mut self, key: &Key<'_>) -> bool {
        self.inspect(key).is_some()
    }

    /// How long `key` lives. Neither counted nor noted.
    pub fn lifetime(&mut self, key: &Key<'_>) -> Lifetime {
        let Some(position) = self.locate(key) else { return Lifetime::Absent };
        match self.database.table.view(position).deadline() {
            None => Lifetime::Unlimited,
            Some(deadline) => Lifetime::Until(UnixMillis(deadline.millis())),
        }
    }

    /// Seconds since `key` was last used; an error if that is not noted, because frequencies are. Counted as
    /// a hit or a miss, not noted.
    pub fn idle_seconds(&mut self, key: &Key<'_>) -> Result<Option<u32>, NotNoted> {
        let Some(stamp) = self.stamp(key) else { return Ok(None) };
        self.common.access.idle_seconds(stamp, self.now).map(Some).ok_or(NotNoted)
    }

    /// The logarithmic counter of how often `key` is used, `0..=255`; otherwise as
    /// [`idle_seconds`](Self::idle_seconds).
    pub fn frequency(&mut self, key: &Key<'_>) -> Result<Option<u32>, NotNoted> {
        let Some(stamp) = self.stamp(key) else { return Ok(None) };
        self.common.access.frequency(stamp, self.now).map(Some).ok_or(NotNoted)
    }

    /// What there is of `key`, also if it has expired, and stays then. Neither counted nor noted.
    pub fn kept(&self, key: &Key<'_>) -> Option<Kept<'_>> {
        let view = self.database.table.lookup(key.hash, key.bytes)?.view;
        let stamp = view.stamp();
        let idle_seconds = self.common.access.idle_seconds(stamp, self.now).unwrap_or(0);
        Some(Kept { value: value_of(view), stamp, idle_seconds })
    }

    /// Lets `key` have been used for the last time so many seconds ago (RESTORE). Nothing happens if that is not
    /// noted.
    pub fn set_idle_seconds(&mut self, key: &Key<'_>, seconds: u32) {
        let stamp = self.common.access.idle_stamp(seconds, self.now);
        self.set_stamp(key, stamp);
    }

    /// Lets `key` have this counter; otherwise as [`set_idle_seconds`](Self::set_idle_seconds).
    pub fn set_frequency(&mut self, key: &Key<'_>, counter: u8) {
        let stamp = self.common.access.frequency_stamp(counter, self.now);
        self.set_stamp(key, stamp);
    }

    fn stamp(&mut self, key: &Key<'_>) -> Option<u32> {
        let position = self.locate_counted(key)?;
        Some(self.database.table.view(position).stamp())
    }

    fn set_stamp(&mut self, key: &Key<'_>, stamp: Option<u32>) {
        if let (Some(stamp), Some(position)) = (stamp, self.locate(key)) {
            self.database.table.set_stamp(position, stamp);
        }
    }

    /// Bytes `key` and its value cost, in good sizes, its slot in the table included. Neither counted nor
    /// noted.
    pub fn memory_usage(&mut self, key: &Key<'_>) -> Option<usize> {
        const SLOT_BYTES: usize = 8;
        let position = self.locate(key)?;
        let entry = self.database.table.view(position);
        Some(darter_structures::EntryView::bytes(entry) + SLOT_BYTES)
    }

    /// Number of keys, those not yet found to be expired included.
    pub const fn len(&self) -> usize {
        self.database.table.len()
    }

    /// Whether there is no key at all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with a deadline.
    pub const fn expires_len(&self) -> usize {
        self.database.table.deadlines_len()
    }

    /// Number of keys that hold something with a deadline of its own: hashes with fields that expire.
    pub const fn deadline_holders_len(&self) -> usize {
        self.database.table.deadline_holders_len()
    }

    /// What the keys that have a deadline are like, estimated from those of one segment, which is chosen by
    /// `random`.
    pub fn estimate_deadlines(&self, random: u64) -> DeadlineEstimate {
        let (mut sum, mut due, mut count) = (0_u64, 0_u64, 0);
        self.database.table.sample_deadlines(random, |deadline_ms| {
            sum += u64::try_from(deadline_ms.saturating_sub(self.now.0)).unwrap_or(0);
            due += u64::from(deadline_ms <= self.now.0);
            count += 1;
        });
        DeadlineEstimate {
            average_ttl_ms: sum.checked_div(count).unwrap_or(0),
            due_per_10_000: (due * 10_000).checked_div(count).unwrap_or(0),
        }
    }

    /// The point in time of this view.
    pub const fn now(&self) -> UnixMillis {
        self.now
    }

    /// One more session watches `key`; compare the result with [`version`](Self::version) later.
    /// To be paired with [`unwatch`](Self::unwatch).
    pub fn watch(&mut self, key: &Key<'_>) -> Version {
        self.locate(key);
        self.database.watches.watch(key, &mut self.common.versions)
    }

    /// One session less watches `key`.
    pub fn unwatch(&mut self, key: &Key<'_>) {
        self.database.watches.unwatch(key);
    }

    /// The version of a watched key now, its expiry taken into account; `None` if nobody watches it.
    pub fn version(&mut self, key: &Key<'_>) -> Option<Version> {
        self.locate(key);
        self.database.watches.version(key)
    }

    /// Where the version of a watched key can be read later on; `None` if nobody watches it.
    pub fn latest_version(&self, key: &Key<'_>) -> Option<LatestVersion> {
        self.database.watches.latest_version(key)
    }

    /// Where `key` is; deletes it if it is expired.
    #[inline]
    fn locate(&mut self, key: &Key<'_>) -> Option<Position> {
        let found = self.database.table.lookup(key.hash, key.bytes)?;
        let position = found.position;
        if found.marks.contains(Marks::DEADLINE) && is_due(found.view, self.now) {
            self.expire(position, key);
            return None;
        }
        Some(position)
    }

    #[inline]
    fn locate_counted(&mut self, key: &Key<'_>) -> Option<Position> {
        let position = self.locate(key);
        let statistics = &mut self.common.statistics;
        if position.is_some() {
            statistics.hits += 1;
        } else {
            statistics.misses += 1;
            self.note(Interest::MISSED, "keymiss", key);
        }
        position
    }

    /// Notes an access.
    #[inline]
    fn touch(&mut self, position: Position) {
        let table = &mut self.database.table;
        let stamp = table.view(position).stamp();
        let touched = self.common.access.touched(stamp, self.now);
        if touched != stamp {
            table.set_stamp(position, touched);
        }
    }

    /// Notes a change.
    #[inline]
    fn touch_changed(&mut self, position: Position) {
        let table = &mut self.database.table;
        let stamp = table.view(position).stamp();
        let touched = self.common.access.changed(stamp, self.now);
        if touched != stamp {
            table.set_stamp(position, touched);
        }
    }

    /// Replaces the entry of `key` by what `change` makes of it. Every change of an entry ends here, in
    /// [`remove_at`](Self::remove_at) or in [`insert`](Self::insert): a snapshot has to have the entry first.
    #[inline]
    fn update_at<R>(
        &mut self,
        position: Position,
        key: &Key<'_>,
        change: impl FnOnce(Block<Object>) -> (Block<Object>, R),
    ) -> R {
        self.database.keep(position, key.hash, self.common, self.now);
        self.database.table.update(position, change)
    }

    /// Takes the entry of `key` out.
    #[inline]
    pub(crate) fn remove_at(&mut self, position: Position, key: &Key<'_>) -> Block<Object> {
        self.database.keep(position, key.hash, self.common, self.now);
        self.database.table.remove(position)
    }

    /// Takes the entry of `key` out and throws it away.
    pub(crate) fn discard_at(&mut self, position: Position, key: &Key<'_>) {
        let is_kept = match &mut self.common.snapshot {
            None => false,
            Some(snapshot) => snapshot.takes(self.database, position, key.hash),
        };
        let block = if is_kept {
            self.database.table.remove(position)
        } else {
            self.remove_at(position, key)
        };
        self.throw_away(block);
    }

    /// Throws an entry away that is in no table any more; a snapshot may still have to write it.
    fn throw_away(&mut self, block: Block<Object>) {
        let block = match &mut self.common.snapshot {
            None => Some(block),
            Some(snapshot) => snapshot.keep_thrown_away(self.database.index, block),
        };
        if let Some(block) = block {
            self.common.garbage.discard_block(block);
        }
    }

    /// Adds the entry of a key that is absent.
    #[inline]
    fn insert(&mut self, key: &Key<'_>, block: Block<Object>) -> Position {
        let marks = self.database.mark_of_new(key.hash, self.common);
        self.database.table.insert(key.hash, block, marks)
    }

    /// Deletes a key whose deadline has passed, unless such keys are to stay. The only place besides active
    /// expiry where keys expire.
    #[cold]
    pub(crate) fn expire(&mut self, position: Position, key: &Key<'_>) {
        if self.common.keeps_expired {
            return;
        }
        let block = self.database.table.remove(position);
        self.throw_away(block);
        self.common.statistics.expired += 1;
        self.database.tell(key, self.common);
        self.note_gone(Loss::Expired, key);
    }
}

impl Detached {
    /// The value.
    pub fn value(&self) -> ValueRef<'_> {
        value_of(self.block.view())
    }

    /// When the key it was taken from would have expired.
    pub fn deadline(&self) -> Option<Deadline> {
        self.block.view().deadline()
    }

    /// The same value with another deadline.
    pub fn with_deadline(self, deadline: Option<Deadline>) -> Self {
        Self { block: self.block.with_deadline(deadline) }
    }
}

/// Whether an entry's deadline has passed.
#[inline]
pub(crate) fn is_due(entry: BlockRef<'_, Object>, now: UnixMillis) -> bool {
    entry.deadline().is_some_and(|deadline| deadline.is_due(now.0))
}

#[inline]
pub(crate) fn value_of(entry: BlockRef<'_, Object>) -> ValueRef<'_> {
    match entry.payload() {
        PayloadRef::Bytes(bytes) if entry.is_raw() => ValueRef::Raw(bytes),
        PayloadRef::Bytes(bytes) => ValueRef::Bytes(bytes),
        PayloadRef::Integer(integer) => ValueRef::Integer(integer),
        PayloadRef::Value(object) => ValueRef::Object(object),
    }
}
