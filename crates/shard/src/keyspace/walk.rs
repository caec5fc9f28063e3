//! Visiting many keys.

use darter_value::ValueRef;

use super::{Keyspace, is_due, value_of};
use crate::key::Key;

/// Scan cursors of one shard are below two to this power; a shard number fits above.
pub use darter_structures::table::SCAN_CURSOR_BITS;

/// Where [`Keyspace::for_each_slice`] stopped: everything below this hash has been visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary(u64);

impl Boundary {
    /// Before the first key.
    pub const START: Self = Self(0);
}

impl Keyspace<'_> {
    /// One step of SCAN: shows `select` about `count` keys (all of a few adjacent buckets), names those it wants to
    /// `found`, and returns the cursor to go on with, 0 when done. Start with 0.
    ///
    /// A key that exists during the whole scan is shown at least once, whatever else happens
    /// between the steps. Expired ones are not named, and deleted if they are wanted, as in Redis. Any number is a safe
    /// cursor.
    pub fn scan(
        &mut self,
        cursor: u64,
        count: usize,
        mut select: impl FnMut(&[u8], ValueRef<'_>) -> bool,
        mut found: impl FnMut(&[u8]),
    ) -> u64 {
        let mut expired: Vec<Box<[u8]>> = Vec::new();
        let next = self.database.table.scan(cursor, count, |entry| {
            if select(entry.key(), value_of(entry)) {
                if is_due(entry, self.now) {
                    expired.push(entry.key().into());
                } else {
                    found(entry.key());
                }
            }
        });
        for name in expired {
            // Looking for it is what deletes it.
            self.locate(&Key::new(self.database.table.hasher(), &name));
        }
        next
    }

    /// Visits the next few hundred keys and returns where to go on, `None` when done.
    ///
    /// Over a whole walk each key that exists throughout is visited exactly once, whatever else
    /// happens between the slices. Expired ones are skipped.
    pub fn for_each_slice(
        &self,
        boundary: Boundary,
        mut visit: impl FnMut(&[u8], ValueRef<'_>),
    ) -> Option<Boundary> {
        let next = self.database.table.for_each_slice(boundary.0, |entry| {
            if !is_due(entry, self.now) {
                visit(entry.key(), value_of(entry));
            }
        });
        next.map(Boundary)
    }

    /// Some key, each about as likely as any other, chosen by `random`; `None` when there is none.
    /// Expired ones met on the way are deleted. While these stay, one of them is `None` as well, unless
    /// `takes_expired`.
    pub fn random_key(&mut self, random: u64, takes_expired: bool) -> Option<&[u8]> {
        let mut random = random;
        let position = loop {
            let position = self.database.table.random(random)?;
            let entry = self.database.table.view(position);
            if !is_due(entry, self.now) {
                break position;
            }
            if self.common.keeps_expired {
                if takes_expired {
                    break position;
                }
                return None;
            }
            let name = Box::<[u8]>::from(entry.key());
            self.expire(position, &Key::new(self.database.table.hasher(), &name));
            random = random.wrapping_add(1);
        };
        Some(self.database.table.view(position).key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Expiry;
    use crate::shard::{Shard, ShardOptions};
    use darter_base::{DbIndex, ShardId, UnixMillis};
    use darter_structures::{Deadline, KeyHasher};

    #[test]
    fn expired_keys_that_stay_come_up_when_they_are_taken() {
        let hasher = KeyHasher::new(1);
        let mut shard =
            Shard::new(ShardId(0), &ShardOptions { databases: 1, hasher: hasher.clone() });
        let key = Key::new(&hasher, b"k");
        let mut keyspace = shard.keyspace(DbIndex(0), UnixMillis(0));
        keyspace.set_string(&key, b"v", Expiry::At(Deadline::new(1).unwrap()));
        shard.keep_expired(true);
        let mut later = shard.keyspace(DbIndex(0), UnixMillis(2));
        assert_eq!(later.random_key(7, false), None);
        assert_eq!(later.random_key(7, true), Some(&b"k"[..]));
        assert!(later.read(&key).is_none() && !later.exists(&key));
        assert_eq!((later.len(), shard.statistics().expired), (1, 0));
        shard.keep_expired(false);
        let mut later = shard.keyspace(DbIndex(0), UnixMillis(2));
        assert_eq!(later.random_key(7, true), None);
        assert_eq!((later.len(), shard.statistics().expired), (0, 1));
    }
}
