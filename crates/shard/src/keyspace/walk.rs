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
        self.database.table.scan(cursor, count, |entry| {
            if !is_due(entry, self.now) {
                visit(entry.key(), value_of(entry));
            }
        })
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
    /// Expired ones met on the way are deleted.
    pub fn random_key(&mut self, random: u64) -> Option<&[u8]> {
        let mut random = random;
        let position = loop {
            let position = self.database.table.random(random)?;
            let entry = self.database.table.view(position);
            if !is_due(entry, self.now) {
                break position;
            }
            let name = Box::<[u8]>::from(entry.key());
            self.expire(position, &Key::new(self.database.table.hasher(), &name));
            random = random.wrapping_add(1);
        };
        Some(self.database.table.view(position).key())
    }
}
