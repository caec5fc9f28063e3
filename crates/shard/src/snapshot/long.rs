//! Long values in a snapshot: written in parts, between which the shard serves others.
//!
//! A walk that comes by a long value leaves it for later. Before the walk goes on, those that were left are written one
//! after the other: one is *open*, and its parts are chunks in a row, with nothing in between. Whoever wants to change a
//! long value that is not written yet has it written first, in slices if he can wait
//! ([`Shard::holds_back`](crate::Shard::holds_back)), otherwise in one piece. One that goes meanwhile goes to the snapshot.

use super::Writer;
use crate::access::Access;
use crate::databases::Database;
use crate::keyspace::value_of;
use crate::shard::Table;
use darter_base::{DbIndex, UnixMillis};
use darter_rdb::file::{self, Parts};
use darter_structures::{Block, BlockRef, EntryView, Position};
use darter_value::Object;
use std::collections::VecDeque;

/// Long values that were left for later.
#[derive(Debug, Default)]
pub(super) struct LongValues {
    /// The one that is being written.
    open: Option<Open>,
    waiting: VecDeque<Left>,
}

/// A long value that is not written, or not to its end.
#[derive(Debug)]
struct Left {
    /// The number of its database at the instant.
    origin: DbIndex,
    place: Place,
}

/// Where it is.
#[derive(Debug)]
enum Place {
    In {
        db: DbIndex,
        key: Box<[u8]>,
        hash: u64,
    },
    /// Nobody else has it any more.
    Here(Block<Object>),
}

/// One that is being written.
#[derive(Debug)]
struct Open {
    left: Left,
    /// `None` when it is written to its end.
    parts: Option<Parts>,
    bytes: Vec<u8>,
}

/// A part of a value, or its end.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) goes_on: bool,
}

impl Left {
    fn is(&self, db: DbIndex, key: &[u8]) -> bool {
        matches!(&self.place, Place::In { db: its_db, key: its_key, .. } if *its_db == db && **its_key == *key)
    }

    fn is_in(&self, db: DbIndex) -> bool {
        matches!(&self.place, Place::In { db: its_db, .. } if *its_db == db)
    }

    fn entry<'v>(&'v self, databases: &'v [Database]) -> Option<BlockRef<'v, Object>> {
        match &self.place {
            Place::In { db, key, hash } => {
                let table = &databases[db.index()].table;
                table.lookup(*hash, key).map(|found| found.view)
            }
            Place::Here(block) => Some(block.view()),
        }
    }

    /// Takes it out of the table it is in.
    fn take_from(&mut self, table: &mut Table) {
        if let Place::In { key, hash, .. } = &self.place
            && let Some(position) = table.find(*hash, key)
        {
            self.place = Place::Here(table.remove(position));
        }
    }
}

impl LongValues {
    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.waiting.is_empty()
    }

    /// Whether one is being written, so that nothing else can be sent.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Left> {
        self.open.iter_mut().map(|open| &mut open.left).chain(&mut self.waiting)
    }

    /// Whether `key` is one that is left.
    pub(super) fn has(&self, db: DbIndex, key: &[u8]) -> bool {
        self.open.iter().map(|open| &open.left).chain(&self.waiting).any(|left| left.is(db, key))
    }

    /// Whether `key` is the one that is being written.
    pub(super) fn has_open(&self, db: DbIndex, key: &[u8]) -> bool {
        self.open.as_ref().is_some_and(|open| open.left.is(db, key))
    }

    /// Leaves the value of `key` for later; with `soon` it is the next one.
    pub(super) fn leave(
        &mut self,
        origin: DbIndex,
        db: DbIndex,
        key: &[u8],
        hash: u64,
        soon: bool,
    ) {
        let left = Left { origin, place: Place::In { db, key: key.into(), hash } };
        if soon { self.waiting.push_front(left) } else { self.waiting.push_back(left) }
    }

    /// Lets `key` be the next one.
    pub(super) fn hurry(&mut self, db: DbIndex, key: &[u8]) {
        let at = self.waiting.iter().position(|left| left.is(db, key));
        if let Some(left) = at.and_then(|at| self.waiting.remove(at)) {
            self.waiting.push_front(left);
        }
    }

    /// What is left of a table that is thrown away stays here.
    pub(super) fn keep_of(&mut self, db: DbIndex, table: &mut Table) {
        self.each_mut().filter(|left| left.is_in(db)).for_each(|left| left.take_from(table));
    }

    /// Keeps an entry that is thrown away, if it is left; `None` if so.
    pub(super) fn keep(&mut self, db: DbIndex, block: Block<Object>) -> Option<Block<Object>> {
        let found = self.each_mut().find(|left| left.is(db, block.view().key()));
        let Some(left) = found else { return Some(block) };
        left.place = Place::Here(block);
        None
    }

    /// Two databases are exchanged.
    pub(super) fn swap(&mut self, left_db: DbIndex, right_db: DbIndex) {
        for left in self.each_mut() {
            if let Place::In { db, .. } = &mut left.place {
                *db = match *db {
                    db if db == left_db => right_db,
                    db if db == right_db => left_db,
                    db => db,
                };
            }
        }
    }

    /// Writes the next part of the one that is open, or opens the next one. What nobody has any more is put into `done`.
    pub(super) fn advance(
        &mut self,
        databases: &[Database],
        writer: &mut Writer,
        access: &Access,
        now: UnixMillis,
        done: &mut Vec<Block<Object>>,
    ) {
        if let Some(Open { left, parts, bytes }) = &mut self.open {
            if let (Some(going_on), Some(entry)) = (&mut *parts, left.entry(databases))
                && !going_on.push_next(bytes, value_of(entry), &mut writer.compressor)
            {
                *parts = None;
            }
            return;
        }
        let Some(left) = self.waiting.pop_front() else { return };
        let mut bytes = Vec::new();
        let parts = left.entry(databases).and_then(|entry| {
            if crate::keyspace::is_due(entry, now) {
                return None;
            }
            file::push_select(&mut bytes, left.origin.0.into());
            let entry = writer.entry(entry, access, now);
            Parts::begin(&mut bytes, &entry, &mut writer.compressor, now)
        });
        if parts.is_some() {
            writer.keys += 1;
            self.open = Some(Open { left, parts, bytes });
        } else if let Place::Here(block) = left.place {
            // It has expired.
            done.push(block);
        }
    }

    /// What has been written, if that is enough or all; see [`advance`](Self::advance).
    pub(super) fn take_part(
        &mut self,
        bytes_min: usize,
        done: &mut Vec<Block<Object>>,
    ) -> Option<Part> {
        let open = self.open.as_mut()?;
        let goes_on = open.parts.is_some();
        if goes_on && open.bytes.len() < bytes_min {
            return None;
        }
        let bytes = std::mem::take(&mut open.bytes);
        if !goes_on
            && let Some(Open { left: Left { place: Place::Here(block), .. }, .. }) =
                self.open.take()
        {
            done.push(block);
        }
        Some(Part { bytes, goes_on })
    }

    /// Writes `key` to its end, because it is about to change and nobody waits.
    #[cold]
    pub(super) fn finish(
        &mut self,
        database: &Database,
        position: Position,
        writer: &mut Writer,
        access: &Access,
        now: UnixMillis,
    ) {
        let entry = database.table.view(position);
        let (db, key) = (database.index, entry.key());
        if let Some(open) = self.open.as_mut().filter(|open| open.left.is(db, key)) {
            if let Some(parts) = &mut open.parts {
                while parts.push_next(&mut open.bytes, value_of(entry), &mut writer.compressor) {}
                open.parts = None;
            }
            return;
        }
        if let Some(at) = self.waiting.iter().position(|left| left.is(db, key))
            && let Some(left) = self.waiting.remove(at)
        {
            writer.write_whole(left.origin, entry, access, now);
        }
    }

    /// Bytes of heap, with the values that nobody else has.
    pub(super) fn bytes(&self) -> usize {
        let left = self.open.iter().map(|open| &open.left).chain(&self.waiting);
        let here = left.map(|left| match &left.place {
            Place::Here(block) => EntryView::bytes(block.view()),
            Place::In { key, .. } => key.len(),
        });
        here.sum::<usize>() + self.open.as_ref().map_or(0, |open| open.bytes.capacity())
    }

    /// Forgets all; what nobody else has is given back.
    pub(super) fn abandon(&mut self) -> Vec<Block<Object>> {
        let open = self.open.take().map(|open| open.left);
        let all = open.into_iter().chain(self.waiting.drain(..));
        let owned = all.filter_map(|left| match left.place {
            Place::Here(block) => Some(block),
            Place::In { .. } => None,
        });
        owned.collect()
    }
}
