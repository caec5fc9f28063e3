//! One database of a shard, as commands see it.
//!
//! A [`Keyspace`] is made for a batch or a command, at one point in time, and dropped with it. Every
//! key passes through here, so this is where lazy expiry, the hit and miss counters, the access bits,
//! the versions of watched keys and the memory accounting are kept: a command cannot forget them.

use darter_base::UnixMillis;
use darter_structures::{Block, BlockRef, Deadline, Marks, PayloadRef, Position};
use darter_value::{Object, ValueRef};

use crate::key::{Key, Lifetime};
use crate::news::Interest;
use crate::shard::{Common, Database};
use crate::watch::Version;

mod collections;
mod strings;
mod walk;
mod write;

pub use collections::Edit;
pub use walk::{Boundary, SCAN_CURSOR_BITS};

/// A short-lived view of one database at one point in time.
#[derive(Debug)]
pub struct Keyspace<'s> {
    pub(crate) database: &'s mut Database,
    pub(crate) common: &'s mut Common,
    pub(crate) now: UnixMillis,
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
        let place = self.locate_counted(key)?;
        self.touch(place);
        Some(value_of(self.database.table.view(place.position)))
    }

    /// As [`read`](Self::read), but not noted as an access: for commands that look at a key without using
    /// its value (EXISTS, TTL, TYPE, OBJECT).
    pub fn inspect(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let place = self.locate_counted(key)?;
        Some(value_of(self.database.table.view(place.position)))
    }

    /// As [`read`](Self::read), neither counted nor noted: for commands that look at a value before they
    /// write it, and for debugging.
    #[inline]
    pub fn peek(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        let place = self.locate(key)?;
        Some(value_of(self.database.table.view(place.position)))
    }

    /// Whether `key` exists; see [`inspect`](Self::inspect).
    pub fn exists(&mut self, key: &Key<'_>) -> bool {
        self.inspect(key).is_some()
    }

    /// How long `key` lives. Neither counted nor noted.
    pub fn lifetime(&mut self, key: &Key<'_>) -> Lifetime {
        let Some(place) = self.locate(key) else { return Lifetime::Absent };
        match self.database.table.view(place.position).deadline() {
            None => Lifetime::Unlimited,
            Some(deadline) => Lifetime::Until(UnixMillis(deadline.millis())),
        }
    }

    /// Bytes `key` and its value cost, in good sizes, its slot in the table included. Neither counted nor
    /// noted.
    pub fn memory_usage(&mut self, key: &Key<'_>) -> Option<usize> {
        const SLOT_BYTES: usize = 8;
        let place = self.locate(key)?;
        let entry = self.database.table.view(place.position);
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

    /// Estimate of the mean time to live of the keys that have a deadline, in milliseconds; 0 when
    /// there are none. Looks at one segment, chosen by `random`.
    pub fn average_ttl_ms(&self, random: u64) -> u64 {
        let (mut sum, mut count) = (0_u64, 0);
        self.database.table.sample_deadlines(random, |deadline_ms| {
            sum += u64::try_from(deadline_ms.saturating_sub(self.now.0)).unwrap_or(0);
            count += 1;
        });
        sum.checked_div(count).unwrap_or(0)
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

    /// Where `key` is; deletes it if it is expired.
    #[inline]
    fn locate(&mut self, key: &Key<'_>) -> Option<Place> {
        let found = self.database.table.lookup(key.hash, key.bytes)?;
        let (position, marks) = (found.position, found.marks);
        if marks.contains(Marks::DEADLINE) && is_due(found.view, self.now) {
            self.expire(position, key);
            return None;
        }
        Some(Place { position, marks })
    }

    #[inline]
    fn locate_counted(&mut self, key: &Key<'_>) -> Option<Place> {
        let place = self.locate(key);
        let statistics = &mut self.common.statistics;
        if place.is_some() {
            statistics.hits += 1;
        } else {
            statistics.misses += 1;
            self.note(Interest::MISSED, "keymiss", key);
        }
        place
    }

    /// Notes an access.
    #[inline]
    fn touch(&mut self, place: Place) {
        let touched = place.marks.touched();
        if touched != place.marks {
            self.database.table.set_marks(place.position, touched);
        }
    }

    /// Deletes a key whose deadline has passed. The only place besides active expiry where keys expire.
    #[cold]
    fn expire(&mut self, position: Position, key: &Key<'_>) {
        let block = self.database.table.remove(position);
        self.common.garbage.discard_block(block);
        self.common.statistics.expired += 1;
        self.database.tell(key, self.common);
        self.note_gone(Interest::EXPIRED, "expired", key);
    }
}

/// Where a key was found.
#[derive(Clone, Copy)]
struct Place {
    position: Position,
    marks: Marks,
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
        PayloadRef::Boxed(object) => ValueRef::Object(object),
    }
}
