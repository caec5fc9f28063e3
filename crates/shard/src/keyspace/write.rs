//! Writing: setting, deleting, moving. Every operation counts one change and bumps the version of the
//! key if it is watched.

use darter_base::SharedBytes;
use darter_structures::{Block, Deadline, Payload, Position};
use darter_value::{LargeString, Object, ValueRef, integer};

use super::{Detached, Keyspace, value_of};
use crate::access::AccessNotes;
use crate::key::{Expiry, Key, Previous};
use crate::news::{Interest, Loss};

impl Keyspace<'_> {
    /// Sets `key` to the string `value`, stored as an integer if it is the text of one. Neither allocates
    /// nor frees if a value of the same size class is replaced.
    #[inline]
    pub fn set_string(&mut self, key: &Key<'_>, value: &[u8], expiry: Expiry) -> Previous {
        match integer::from_canonical_text(value) {
            Some(integer) => self.set_integer(key, integer, expiry),
            None => self.set_text(key, value, expiry),
        }
    }

    /// Sets `key` to a long string, which is taken over without a copy.
    pub fn set_shared(&mut self, key: &Key<'_>, value: SharedBytes, expiry: Expiry) -> Previous {
        if value.len() <= LargeString::BYTES_MIN {
            return self.set_string(key, &value, expiry);
        }
        self.set_object(key, Object::Large(LargeString::taking_over(value)), expiry)
    }

    /// Sets `key` to the string `value` as it is, even if it is the text of an integer
    /// (INCRBYFLOAT).
    #[inline]
    pub fn set_text(&mut self, key: &Key<'_>, value: &[u8], expiry: Expiry) -> Previous {
        if value.len() > LargeString::BYTES_MIN {
            let object = Object::Large(LargeString::new(value.to_vec()));
            return self.set_object(key, object, expiry);
        }
        self.write(key, Payload::Bytes(value), expiry)
    }

    /// Sets `key` to the decimal text of `integer`.
    #[inline]
    pub fn set_integer(&mut self, key: &Key<'_>, integer: i64, expiry: Expiry) -> Previous {
        self.write(key, Payload::Integer(integer), expiry)
    }

    /// Sets `key` to `object`.
    pub fn set_object(&mut self, key: &Key<'_>, object: Object, expiry: Expiry) -> Previous {
        self.write(key, Payload::Value(object), expiry)
    }

    /// Sets `key`, whose deadline stays, to the decimal text of the integer that `update` makes of its
    /// value, `None` if it is absent (INCR). Nothing happens on an error. One lookup.
    #[inline]
    pub fn update_integer<E>(
        &mut self,
        key: &Key<'_>,
        update: impl FnOnce(Option<ValueRef<'_>>) -> Result<i64, E>,
    ) -> Result<i64, E> {
        let integer = if let Some(position) = self.locate(key) {
            let integer = update(Some(value_of(self.database.table.view(position))))?;
            let old_value = self.update_at(position, key, |block| {
                let deadline = block.view().deadline();
                block.replace(Payload::Integer(integer), deadline)
            });
            self.common.garbage.discard_value(old_value);
            self.touch_changed(position);
            integer
        } else {
            let integer = update(None)?;
            self.create(key, Payload::Integer(integer), Expiry::Clear);
            integer
        };
        self.changed(key, 1);
        Ok(integer)
    }

    /// Deletes `key`; whether it was there. What takes long to free is freed later
    /// ([`Shard::collect_garbage`](crate::Shard::collect_garbage)), so this is UNLINK as well as DEL.
    pub fn remove(&mut self, key: &Key<'_>) -> bool {
        let Some(position) = self.locate(key) else { return false };
        self.discard_at(position, key);
        self.replaced(key, 1);
        true
    }

    /// Frees what was a value, or a part of one, later if that takes long.
    pub fn discard(&mut self, object: Object) {
        self.common.garbage.discard_value(Some(object));
    }

    /// As [`remove`](Self::remove), for a key that is given a deadline in the past: it counts as expired.
    pub fn expire_now(&mut self, key: &Key<'_>) -> bool {
        self.tell(Interest::EXPIRED, "expired");
        let removed = self.remove(key);
        self.common.statistics.expired += u64::from(removed);
        removed
    }

    /// Sets or clears the deadline of `key`; whether the key exists.
    pub fn set_deadline(&mut self, key: &Key<'_>, deadline: Option<Deadline>) -> bool {
        let Some(position) = self.locate(key) else { return false };
        self.update_at(position, key, |block| (block.with_deadline(deadline), ()));
        if self.common.access.notes() == AccessNotes::Changes {
            self.touch_changed(position);
        }
        self.changed(key, 1);
        true
    }

    /// Takes the value of `key` out of the keyspace. Not counted as a change, as [`put`](Self::put) will
    /// be.
    pub fn take(&mut self, key: &Key<'_>) -> Option<Detached> {
        let position = self.locate(key)?;
        let block = self.remove_at(position, key);
        self.replaced(key, 0);
        Some(Detached { block })
    }

    /// A copy of the value of `key`, with its deadline. O(size of the value).
    pub fn copy(&mut self, key: &Key<'_>) -> Option<Detached> {
        let position = self.locate(key)?;
        Some(Detached { block: self.database.table.view(position).to_block() })
    }

    /// Sets `key` to a value taken or copied from elsewhere, deadline included.
    pub fn put(&mut self, key: &Key<'_>, detached: Detached) -> Previous {
        let block = detached.block;
        // What was there before is deleted first, as in Redis.
        self.note(Interest::CREATED, "new", key);
        let mut block =
            if block.view().key() == key.bytes { block } else { block.with_key(key.bytes) };
        block.set_stamp(self.common.access.first(self.database.index, key.hash, self.now));
        let previous = if let Some(position) = self.locate(key) {
            let old = self.update_at(position, key, |old| (block, old));
            self.common.garbage.discard_block(old);
            Previous::Present
        } else {
            self.insert(key, block);
            Previous::Absent
        };
        self.replaced(key, 1);
        previous
    }

    /// Adds to the number of changes since the last save, for commands that count more than one per
    /// write.
    pub const fn count_changes(&mut self, changes: u64) {
        self.common.changes += changes;
    }

    /// Counts fields of hashes that a write found expired.
    pub const fn count_expired_fields(&mut self, fields: u64) {
        self.common.statistics.expired_fields += fields;
    }

    /// Counts a hit or a miss, for commands that find a key by other means than
    /// [`read`](Self::read) and [`exists`](Self::exists) (TYPE, TTL).
    pub const fn count_lookup(&mut self, found: bool) {
        if found {
            self.common.statistics.hits += 1;
        } else {
            self.common.statistics.misses += 1;
        }
    }

    #[inline]
    pub(super) fn write(
        &mut self,
        key: &Key<'_>,
        payload: Payload<'_, Object>,
        expiry: Expiry,
    ) -> Previous {
        let previous = if let Some(position) = self.locate(key) {
            let old_value = self.update_at(position, key, |block| {
                let deadline = match expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => block.view().deadline(),
                    Expiry::At(deadline) => Some(deadline),
                };
                block.replace(payload, deadline)
            });
            self.common.garbage.discard_value(old_value);
            self.touch_changed(position);
            Previous::Present
        } else {
            self.create(key, payload, expiry);
            Previous::Absent
        };
        self.replaced(key, 1);
        previous
    }

    /// Adds a key that is absent.
    pub(super) fn create(
        &mut self,
        key: &Key<'_>,
        payload: Payload<'_, Object>,
        expiry: Expiry,
    ) -> Position {
        let deadline = match expiry {
            Expiry::Clear | Expiry::Keep => None,
            Expiry::At(deadline) => Some(deadline),
        };
        let mut block = Block::new(key.bytes, payload, deadline);
        block.set_stamp(self.common.access.first(self.database.index, key.hash, self.now));
        self.note(Interest::CREATED, "new", key);
        self.insert(key, block)
    }

    /// Lets those who wait for `key` be tried: it has what it did not have before, although it was there
    /// before (XADD, a list that grows).
    pub fn signal(&mut self, key: &Key<'_>) {
        if !self.database.waiters.is_empty() && self.database.waiters.note(key) {
            self.common.ready.push_back((self.database.index, key.hash));
        }
    }

    /// Accounts for a change of what `key` holds that counts as `changes`. Every write ends here or in
    /// [`replaced`](Self::replaced), whatever it did: this is where those who want to know of changes are
    /// to be told.
    #[inline]
    pub(super) fn changed(&mut self, key: &Key<'_>, changes: u64) {
        self.common.changes += changes;
        self.database.watches.bump(|| *key, &mut self.common.versions);
        if self.common.news.is_wanted() {
            self.common.news.change(self.database.index, key.bytes);
        }
    }

    /// The same where `key` came, went, or holds something else now, as those who wait want to know.
    #[inline]
    pub(super) fn replaced(&mut self, key: &Key<'_>, changes: u64) {
        self.common.changes += changes;
        if self.database.is_observed() {
            self.database.tell(key, self.common);
        }
        if self.common.news.is_wanted() {
            self.common.news.change(self.database.index, key.bytes);
        }
    }

    /// Whether somebody wants to hear of what happens.
    #[inline]
    pub fn is_observed(&self) -> bool {
        self.common.news.is_wanted()
    }

    /// Says what event the next change of a key is; if nothing changes, there is none.
    #[inline]
    pub fn tell(&mut self, class: Interest, name: &'static str) -> &mut Self {
        if self.common.news.is_wanted() {
            self.common.news.announce(class, name);
        }
        self
    }

    /// Tells at once of a key that went with its last element, which otherwise is told last.
    pub fn settle_events(&mut self) {
        self.common.news.tell_emptied();
    }

    /// Notes an event of `key` for those who want to hear of its class.
    #[inline]
    pub fn note(&mut self, class: Interest, name: &'static str, key: &Key<'_>) {
        if self.common.news.is_wanted() {
            self.common.news.note(class, name, self.database.index, key.bytes);
        }
    }

    /// Notes that a key went by itself, for its change to be told as well.
    #[inline]
    pub(crate) fn note_gone(&mut self, loss: Loss, key: &Key<'_>) {
        if self.common.news.is_wanted() {
            self.common.news.touch(key.bytes);
            self.common.news.lose(self.database.index, key.bytes, loss);
        }
    }
}
