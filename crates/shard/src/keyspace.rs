//! One database of a shard, as commands see it.
//!
//! A [`Keyspace`] is made for a batch or a command, at one point in time, and dropped with it. Every
//! key passes through here, so this is where lazy expiry, the hit and miss counters, the access bits,
//! the versions of watched keys and the memory accounting are kept: a command cannot forget them.

use std::ops::Bound;

use darter_base::UnixMillis;
use darter_structures::Deadline;
use darter_value::integer::{IntegerText, from_canonical_text};
use darter_value::{LargeString, Object, ValueRef};

use crate::key::{Expiry, Key, Lifetime, Previous, WrongType};
use crate::shard::{Common, Database, Stored, StoredValue};
use crate::watch::Version;

/// Scan cursors of one shard are below two to this power; a shard number fits above.
pub const SCAN_CURSOR_BITS: u32 = 37;

/// Where [`Keyspace::for_each_slice`] stopped: everything below this hash has been visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary(u64);

impl Boundary {
    /// Before the first key.
    pub const START: Self = Self(0);
}

/// A key's value with its deadline, taken out of the keyspace (RENAME, MOVE, COPY, across shards
/// too).
#[derive(Debug)]
pub struct Detached {
    stored: Stored,
}

impl Detached {
    /// The value.
    pub fn value(&self) -> ValueRef<'_> {
        self.stored.value_ref()
    }

    /// When the key it was taken from would have expired.
    pub fn deadline(&self) -> Option<Deadline> {
        self.stored.deadline
    }

    /// Replaces the deadline.
    pub fn set_deadline(&mut self, deadline: Option<Deadline>) {
        self.stored.deadline = deadline;
    }
}

/// A short-lived view of one database at one point in time.
#[derive(Debug)]
pub struct Keyspace<'s> {
    pub(crate) database: &'s mut Database,
    pub(crate) common: &'s mut Common,
    pub(crate) now: UnixMillis,
}

/// Reading.
impl Keyspace<'_> {
    /// The value of `key` for a command that reads it: an expired key is deleted and absent, the
    /// access is counted as a hit or a miss and noted for eviction.
    pub fn read(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        self.expire_if_due(key);
        let found = self.database.find(key).map(Stored::value_ref);
        match found {
            Some(_) => self.common.statistics.hits += 1,
            None => self.common.statistics.misses += 1,
        }
        found
    }

    /// As [`read`](Self::read), without counting or noting the access: for commands that look at a
    /// value before they write it, and for inspection (OBJECT, DEBUG, TYPE of SCAN).
    pub fn peek(&mut self, key: &Key<'_>) -> Option<ValueRef<'_>> {
        self.expire_if_due(key);
        self.database.find(key).map(Stored::value_ref)
    }

    /// Whether `key` exists; counted as a hit or a miss, not noted as an access.
    pub fn exists(&mut self, key: &Key<'_>) -> bool {
        let found = self.peek(key).is_some();
        if found {
            self.common.statistics.hits += 1;
        } else {
            self.common.statistics.misses += 1;
        }
        found
    }

    /// How long `key` lives. Not counted.
    pub fn lifetime(&mut self, key: &Key<'_>) -> Lifetime {
        self.expire_if_due(key);
        match self.database.find(key) {
            None => Lifetime::Absent,
            Some(Stored { deadline: None, .. }) => Lifetime::Unlimited,
            Some(Stored { deadline: Some(deadline), .. }) => {
                Lifetime::Until(UnixMillis(deadline.millis()))
            }
        }
    }

    /// Bytes `key` and its value cost, in good sizes, its place in the table included. Not counted.
    pub fn memory_usage(&mut self, key: &Key<'_>) -> Option<usize> {
        self.expire_if_due(key);
        self.database.find(key).map(|stored| stored.bytes(key))
    }

    /// Number of keys, those not yet found to be expired included.
    pub fn len(&self) -> usize {
        self.database.keys.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with a deadline.
    pub fn expires_len(&self) -> usize {
        self.database.keys.values().filter(|stored| stored.deadline.is_some()).count()
    }

    /// Estimate of the mean time to live of the keys that have a deadline, in milliseconds, 0 when
    /// there is none. Samples at most one segment, chosen by `random`.
    pub fn average_ttl_ms(&self, random: u64) -> u64 {
        let _ = random;
        let ttls = self.database.keys.values().filter_map(|stored| {
            Some(u64::try_from(stored.deadline?.millis() - self.now.0).unwrap_or(0))
        });
        let (sum, count) = ttls.fold((0, 0), |(sum, count), ttl| (sum + ttl, count + 1));
        if count == 0 { 0 } else { sum / count }
    }

    /// Some key, each about as likely as any other, chosen by `random`; `None` when there is none.
    /// Expired ones met on the way are deleted.
    pub fn random_key(&mut self, random: u64) -> Option<&[u8]> {
        loop {
            let from = Bound::Included((random, Box::default()));
            let mut after = self.database.keys.range((from, Bound::Unbounded));
            let (hash, name) = match after.next() {
                Some((place, _)) => place.clone(),
                None => self.database.keys.keys().next()?.clone(),
            };
            if !self.expire_if_due(&Key { bytes: &name, hash }) {
                return self
                    .database
                    .keys
                    .get_key_value(&(hash, name))
                    .map(|((_, name), _)| &**name);
            }
        }
    }

    /// One step of SCAN: visits about `count` keys (all of a few adjacent buckets) and returns the
    /// cursor to go on with, 0 when done. Start with 0.
    ///
    /// A key that exists during the whole scan is visited at least once, whatever else happens
    /// between the steps; expired ones are skipped. Any number is a safe cursor.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&[u8], ValueRef<'_>),
    ) -> u64 {
        let shift = 64 - SCAN_CURSOR_BITS;
        let from = Bound::Included(((cursor << shift), Box::default()));
        let mut visited = 0;
        let mut last_prefix = None;
        for ((hash, name), stored) in self.database.keys.range((from, Bound::Unbounded)) {
            let prefix = hash >> shift;
            if visited >= count && last_prefix != Some(prefix) && prefix != 0 {
                return prefix;
            }
            last_prefix = Some(prefix);
            visited += 1;
            if !stored.is_due(self.now) {
                visit(name, stored.value_ref());
            }
        }
        0
    }

    /// Visits the next few hundred keys in hash order and returns where to go on, `None` when done.
    ///
    /// Over a whole walk each key that exists throughout is visited exactly once, whatever else
    /// happens between the slices. Expired ones are skipped.
    pub fn for_each_slice(
        &self,
        boundary: Boundary,
        mut visit: impl FnMut(&[u8], ValueRef<'_>),
    ) -> Option<Boundary> {
        const SLICE_KEYS: usize = 512;
        let from = Bound::Included((boundary.0, Box::default()));
        let mut visited = 0;
        for ((hash, name), stored) in self.database.keys.range((from, Bound::Unbounded)) {
            if visited >= SLICE_KEYS {
                return Some(Boundary(*hash));
            }
            visited += 1;
            if !stored.is_due(self.now) {
                visit(name, stored.value_ref());
            }
        }
        None
    }

    /// Fetches the buckets where a key of this hash can be into the processor's cache. Call for every
    /// key of a batch, then [`prefetch_entry`](Self::prefetch_entry) for every key, then run.
    pub fn prefetch(&self, hash: u64) {
        let _ = hash;
    }

    /// Fetches the block of a key of this hash, given that its buckets are in the cache.
    pub fn prefetch_entry(&self, hash: u64) {
        let _ = hash;
    }

    /// The point in time of this view.
    pub const fn now(&self) -> UnixMillis {
        self.now
    }
}

/// Writing. Every operation counts one change and bumps the version of the key if it is watched.
impl Keyspace<'_> {
    /// Sets `key` to the string `value`, stored as an integer if it is the text of one.
    pub fn set_string(&mut self, key: &Key<'_>, value: &[u8], expiry: Expiry) -> Previous {
        match from_canonical_text(value) {
            Some(integer) => self.set_integer(key, integer, expiry),
            None => self.set_text(key, value, expiry),
        }
    }

    /// Sets `key` to the string `value` as it is, even if it is the text of an integer
    /// (INCRBYFLOAT).
    pub fn set_text(&mut self, key: &Key<'_>, value: &[u8], expiry: Expiry) -> Previous {
        let value = if value.len() > LargeString::BYTES_MIN {
            StoredValue::Object(Object::Large(LargeString::new(value.to_vec())))
        } else {
            StoredValue::Bytes { bytes: value.to_vec(), raw: false }
        };
        self.replace(key, value, expiry)
    }

    /// Sets `key` to the decimal text of `integer`.
    pub fn set_integer(&mut self, key: &Key<'_>, integer: i64, expiry: Expiry) -> Previous {
        self.replace(key, StoredValue::Integer(integer), expiry)
    }

    /// Sets `key` to `object`.
    pub fn set_object(&mut self, key: &Key<'_>, object: Object, expiry: Expiry) -> Previous {
        self.replace(key, StoredValue::Object(object), expiry)
    }

    /// Appends to the string at `key`, creating it if absent; its new length. Amortised O(length of
    /// `tail`) for long strings.
    pub fn append(&mut self, key: &Key<'_>, tail: &[u8]) -> Result<usize, WrongType> {
        let Some(value) = self.peek(key) else {
            self.set_string(key, tail, Expiry::Clear);
            return Ok(tail.len());
        };
        let len = value.string_len().ok_or(WrongType)?;
        self.edit_string(key, len + tail.len(), |bytes| {
            bytes[len..].copy_from_slice(tail);
            bytes.len()
        })
    }

    /// Lends the bytes of the string at `key` for writing, created if absent, and lengthened with
    /// zeroes to at least `len_min` (SETRANGE, SETBIT, BITFIELD).
    pub fn edit_string<R>(
        &mut self,
        key: &Key<'_>,
        len_min: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, WrongType> {
        let mut text = IntegerText::new();
        let mut bytes = match self.peek(key) {
            None => Vec::new(),
            Some(value) => value.string_bytes(&mut text).ok_or(WrongType)?.to_vec(),
        };
        if bytes.len() < len_min {
            bytes.resize(len_min, 0);
        }
        let result = edit(&mut bytes);
        let value = if bytes.len() > LargeString::BYTES_MIN {
            StoredValue::Object(Object::Large(LargeString::new(bytes)))
        } else {
            StoredValue::Bytes { bytes, raw: true }
        };
        self.replace(key, value, Expiry::Keep);
        Ok(result)
    }

    /// Lends the object at `key` for writing; `None` if the key is absent or not an object.
    pub fn edit_object<R>(
        &mut self,
        key: &Key<'_>,
        edit: impl FnOnce(&mut Object) -> R,
    ) -> Option<R> {
        self.expire_if_due(key);
        let StoredValue::Object(object) = &mut self.database.find_mut(key)?.value else {
            return None;
        };
        let result = edit(object);
        self.changed(key);
        Some(result)
    }

    /// Deletes `key`; whether it was there. A big value is freed later, in slices
    /// ([`Shard::collect_garbage`](crate::Shard::collect_garbage)).
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        if self.expire_if_due(key) || self.database.remove(key).is_none() {
            return false;
        }
        self.changed(key);
        true
    }

    /// Sets or clears the deadline of `key`; whether the key exists.
    pub fn set_deadline(&mut self, key: &Key<'_>, deadline: Option<Deadline>) -> bool {
        self.expire_if_due(key);
        let Some(stored) = self.database.find_mut(key) else { return false };
        stored.deadline = deadline;
        self.changed(key);
        true
    }

    /// Takes the value of `key` out of the keyspace.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Detached> {
        self.expire_if_due(key);
        let stored = self.database.remove(key)?;
        self.changed(key);
        Some(Detached { stored })
    }

    /// A copy of the value of `key`, with its deadline. Big strings are shared until either is
    /// written to.
    pub fn copy(&mut self, key: &Key<'_>) -> Option<Detached> {
        self.expire_if_due(key);
        Some(Detached { stored: self.database.find(key)?.clone() })
    }

    /// Sets `key` to a value taken or copied from elsewhere, deadline included.
    pub fn put(&mut self, key: &Key<'_>, detached: Detached) -> Previous {
        self.expire_if_due(key);
        let previous = self.database.insert(key, detached.stored);
        self.changed(key);
        if previous.is_some() { Previous::Present } else { Previous::Absent }
    }

    /// Adds to the number of changes since the last save, for commands that count more than one per
    /// write.
    pub fn count_changes(&mut self, changes: u64) {
        self.common.changes += changes;
    }

    /// Counts a hit or a miss, for commands that find a key by other means than
    /// [`read`](Self::read) and [`exists`](Self::exists) (TYPE, TTL).
    pub fn count_lookup(&mut self, found: bool) {
        if found {
            self.common.statistics.hits += 1;
        } else {
            self.common.statistics.misses += 1;
        }
    }

    fn replace(&mut self, key: &Key<'_>, value: StoredValue, expiry: Expiry) -> Previous {
        self.expire_if_due(key);
        let deadline = match expiry {
            Expiry::Clear => None,
            Expiry::Keep => self.database.find(key).and_then(|stored| stored.deadline),
            Expiry::At(deadline) => Some(deadline),
        };
        let previous = self.database.insert(key, Stored { value, deadline });
        self.changed(key);
        if previous.is_some() { Previous::Present } else { Previous::Absent }
    }

    fn changed(&mut self, key: &Key<'_>) {
        self.common.changes += 1;
        self.database.watches.bump(key, &mut self.common.versions);
    }

    /// Deletes `key` if its deadline has passed; whether it did.
    fn expire_if_due(&mut self, key: &Key<'_>) -> bool {
        if !self.database.find(key).is_some_and(|stored| stored.is_due(self.now)) {
            return false;
        }
        self.database.remove(key);
        self.common.statistics.expired += 1;
        self.database.watches.bump(key, &mut self.common.versions);
        true
    }
}

/// Watching.
impl Keyspace<'_> {
    /// One more session watches `key`; compare the result with [`version`](Self::version) later.
    /// To be paired with [`unwatch`](Self::unwatch).
    pub fn watch(&mut self, key: &Key<'_>) -> Version {
        self.expire_if_due(key);
        self.database.watches.watch(key, &mut self.common.versions)
    }

    /// One session less watches `key`.
    pub fn unwatch(&mut self, key: &Key<'_>) {
        self.database.watches.unwatch(key);
    }

    /// The version of a watched key now, its expiry taken into account; `None` if nobody watches it.
    pub fn version(&mut self, key: &Key<'_>) -> Option<Version> {
        self.expire_if_due(key);
        self.database.watches.version(key)
    }
}
