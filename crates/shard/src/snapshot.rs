//! A snapshot: what all keys held at one instant, written while the shard goes on serving.
//!
//! ```text
//!   hash   0 ............... boundary .................................... 2^64
//!          | visited        | marked: written, or newer than the instant   |
//!          |                | not marked: as it was at the instant         |
//! ```
//!
//! A walk goes over the table of each database in the order of hashes and writes what it visits. A key that is
//! about to change ahead of the walk is written first and marked; one that is created there is marked at once.
//! The walk passes over marked keys and takes their marks, so that none is left when it is done. So a key is
//! written exactly once, as it was at the instant, and memory stays flat: nothing is copied but what is on its
//! way into the file.
//!
//! A database that is flushed is walked to its end before it is freed; one that is exchanged for another
//! (SWAPDB) is written under its old number. Keys that have expired since are left out, and so are fields:
//! whoever loads them would drop them.
//!
//! Long values are written in parts, and not at once when the walk comes by them ([`long`]).
//!
//! What is written are entries in the format of RDB files ([`darter_rdb::file`]), in chunks that each begin
//! with the choice of a database, or go on with a long value.

mod long;

use crate::access::{Access, AccessNotes};
use crate::databases::Database;
use crate::garbage::Garbage;
use crate::key::Key;
use crate::keyspace::{is_due, value_of};
use crate::shard::{Common, Shard, Table};
use darter_base::{DbIndex, UnixMillis};
use darter_rdb::Compressor;
use darter_rdb::file::{self, Hint};
use darter_structures::{Block, BlockRef, EntryView, Marks, Position};
use darter_value::Object;
use long::{LongValues, Part};
use std::collections::VecDeque;
use std::mem;
use std::ops::ControlFlow;

/// Chunks are about this long, unless one value is longer.
const CHUNK_BYTES: usize = 128 << 10;

/// Bytes of keys and values that are written in one go, and one more value: an eighth of a millisecond of compressing.
const BYTES_PER_SLICE: usize = 32 << 10;

/// A snapshot under way in one shard.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// By database.
    walks: Vec<Walk>,
    /// Databases that were flushed before their walk was done.
    flushed: VecDeque<(Table, Walk)>,
    /// Long values that walks have left.
    long: LongValues,
    writer: Writer,
}

/// How far one table has been visited.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// The number of the database at the instant.
    origin: DbIndex,
    /// Hashes below have been visited; `None`: all have.
    boundary: Option<u64>,
}

/// Where entries go.
#[derive(Debug)]
struct Writer {
    /// The chunk that is being written.
    chunk: Vec<u8>,
    /// The database chosen in it.
    chosen: Option<DbIndex>,
    keys: u64,
    has_hints: bool,
    compressor: Compressor,
    /// Bytes of keys and values that the slice at hand has still to write.
    left_bytes: usize,
    /// Whether nobody wants it any more: then the walk only takes the marks.
    is_abandoned: bool,
}

/// What a snapshot has besides keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotContents {
    /// How much keys are used, as far as it is noted.
    pub has_hints: bool,
    /// Strings are compressed where that saves something.
    pub compresses: bool,
}

/// A part of a shard's snapshot.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Entries of a file, the choice of a database first, or a part of one; may be empty.
    pub bytes: Vec<u8>,
    /// Whether they end within an entry: the next chunk of the shard goes on with it, and has to come next in the file.
    pub goes_on: bool,
    /// How many keys.
    pub keys: u64,
    /// Whether it is the shard's last one.
    pub is_last: bool,
}

impl Walk {
    /// Whether a key with this hash is still to be visited.
    fn is_ahead(self, hash: u64) -> bool {
        self.boundary.is_some_and(|boundary| hash >= boundary)
    }

    /// Visits one segment of the table, which is that of `db`, or a part of it when that makes a chunk or is enough for
    /// a slice. Long values are left.
    fn advance(
        &mut self,
        db: DbIndex,
        table: &mut Table,
        long: &mut LongValues,
        writer: &mut Writer,
        access: &Access,
        now: UnixMillis,
    ) {
        let Some(boundary) = self.boundary else { return };
        let hasher = table.hasher().clone();
        self.boundary = table.for_each_unmarked_slice(boundary, Marks::PARITY, |entry| {
            if writer.is_abandoned {
                return ControlFlow::Continue(());
            }
            if file::is_long(value_of(entry)) {
                long.leave(self.origin, db, entry.key(), hasher.hash(entry.key()), false);
                return ControlFlow::Continue(());
            }
            writer.write_whole(self.origin, entry, access, now);
            writer.left_bytes = writer.left_bytes.saturating_sub(EntryView::bytes(entry));
            let is_enough = writer.left_bytes == 0 || writer.chunk.len() >= CHUNK_BYTES;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

impl Writer {
    /// Writes an entry in one piece.
    fn write_whole(
        &mut self,
        origin: DbIndex,
        entry: BlockRef<'_, Object>,
        access: &Access,
        now: UnixMillis,
    ) {
        if self.is_abandoned || is_due(entry, now) {
            return;
        }
        if self.chosen != Some(origin) {
            file::push_select(&mut self.chunk, origin.0.into());
            self.chosen = Some(origin);
        }
        let written = self.entry(entry, access, now);
        if file::push_entry(&mut self.chunk, &written, &mut self.compressor, now).is_some() {
            self.keys += 1;
        }
    }

    /// An entry as it is written.
    fn entry<'v>(
        &self,
        entry: BlockRef<'v, Object>,
        access: &Access,
        now: UnixMillis,
    ) -> file::Entry<'v> {
        let deadline_ms = entry.deadline().map(|at| at.millis().unsigned_abs());
        let hint = if self.has_hints { hint_of(entry, access, now) } else { Hint::None };
        file::Entry { key: entry.key(), value: value_of(entry), deadline_ms, hint }
    }
}

/// What a file says of the use of a key.
fn hint_of(entry: BlockRef<'_, Object>, access: &Access, now: UnixMillis) -> Hint {
    match (access.idle_seconds(entry.stamp(), now), access.notes()) {
        (Some(seconds), _) => Hint::IdleSeconds(seconds.into()),
        (None, AccessNotes::Frequency(options)) => {
            let counter = crate::access::counter(entry.stamp(), options, now);
            Hint::Frequency(u8::try_from(counter).unwrap_or(u8::MAX))
        }
        (None, AccessNotes::Clock | AccessNotes::Changes | AccessNotes::Queues) => Hint::None,
    }
}

impl Snapshot {
    /// The mark of a key that is created in `database`.
    pub(crate) fn mark_of_new(&self, database: &Database, hash: u64) -> Marks {
        if self.walks[database.index.index()].is_ahead(hash) { Marks::PARITY } else { Marks::NONE }
    }

    /// Writes an entry that is about to change, unless it has been written or is newer.
    #[cold]
    pub(crate) fn keep(
        &mut self,
        database: &mut Database,
        position: Position,
        hash: u64,
        access: &Access,
        now: UnixMillis,
    ) {
        if !self.long.is_empty() {
            self.long.finish(database, position, &mut self.writer, access, now);
        }
        if self.is_to_visit(database, position, hash) {
            let origin = self.walks[database.index.index()].origin;
            self.writer.write_whole(origin, database.table.view(position), access, now);
            set_mark(database, position);
        }
    }

    /// Whether an entry is as it was at the instant, and the walk has still to come to it.
    fn is_to_visit(&self, database: &Database, position: Position, hash: u64) -> bool {
        self.walks[database.index.index()].is_ahead(hash)
            && !database.table.marks(position).contains(Marks::PARITY)
    }

    /// Whether an entry is a long value that is not written to its end.
    fn has_left(&self, database: &Database, position: Position, hash: u64) -> bool {
        let entry = database.table.view(position);
        !self.writer.is_abandoned
            && file::is_long(value_of(entry))
            && (self.long.has(database.index, entry.key())
                || self.is_to_visit(database, position, hash))
    }

    /// Lets a long value be the next that is written, in slices.
    fn hurry(&mut self, database: &mut Database, position: Position, hash: u64) {
        if self.is_to_visit(database, position, hash) {
            let origin = self.walks[database.index.index()].origin;
            let key = database.table.view(position).key();
            self.long.leave(origin, database.index, key, hash, true);
            set_mark(database, position);
        } else {
            self.long.hurry(database.index, database.table.view(position).key());
        }
    }

    /// Whether an entry that is about to be thrown away need not be [kept](Self::keep) first, as it will be given to
    /// [`keep_thrown_away`](Self::keep_thrown_away): it is a long value that is not written to its end.
    pub(crate) fn takes(&mut self, database: &Database, position: Position, hash: u64) -> bool {
        if !self.has_left(database, position, hash) {
            return false;
        }
        if self.is_to_visit(database, position, hash) {
            let origin = self.walks[database.index.index()].origin;
            let key = database.table.view(position).key();
            self.long.leave(origin, database.index, key, hash, false);
        }
        true
    }

    /// Takes an entry over that was taken out of its table to be thrown away, if it is a long value that is not
    /// written to its end.
    pub(crate) fn keep_thrown_away(
        &mut self,
        db: DbIndex,
        block: Block<Object>,
    ) -> Option<Block<Object>> {
        if self.long.is_empty() { Some(block) } else { self.long.keep(db, block) }
    }

    /// Whether a long value is in the middle of being written: nothing may change in it without having it
    /// [kept](Self::keep), not even by itself.
    pub(crate) fn is_open(&self, db: DbIndex, key: &[u8]) -> bool {
        self.long.has_open(db, key)
    }

    /// Takes over the table of a database that is flushed, if it is still to be visited.
    pub(crate) fn keep_flushed(&mut self, db: DbIndex, mut table: Table) -> Option<Table> {
        self.long.keep_of(db, &mut table);
        let walk = &mut self.walks[db.index()];
        if walk.boundary.is_none() || table.is_empty() {
            walk.boundary = None;
            return Some(table);
        }
        self.flushed.push_back((table, *walk));
        walk.boundary = None;
        None
    }

    /// Two databases are exchanged.
    pub(crate) fn swap(&mut self, left: DbIndex, right: DbIndex) {
        self.walks.swap(left.index(), right.index());
        self.long.swap(left, right);
    }

    /// Bytes of heap.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.chunk.capacity()
            + self.long.bytes()
            + self.flushed.iter().map(|(table, _)| table.bytes()).sum::<usize>()
    }

    fn is_done(&self) -> bool {
        self.long.is_empty()
            && self.flushed.is_empty()
            && self.walks.iter().all(|walk| walk.boundary.is_none())
    }

    /// What has been written, if that is enough for a chunk or all there is.
    fn take_chunk(&mut self, garbage: &mut Garbage) -> Chunk {
        let mut done = Vec::new();
        let part = self.long.take_part(CHUNK_BYTES, &mut done);
        for block in done {
            garbage.discard_block(block);
        }
        let is_done = self.is_done();
        let writer = &mut self.writer;
        if let Some(Part { bytes, goes_on }) = part {
            let is_last = is_done && writer.chunk.is_empty();
            return Chunk { bytes, goes_on, keys: mem::take(&mut writer.keys), is_last };
        }
        if self.long.is_open() || !is_done && writer.chunk.len() < CHUNK_BYTES {
            return Chunk::default();
        }
        writer.chosen = None;
        let bytes = mem::take(&mut writer.chunk);
        Chunk { bytes, goes_on: false, keys: mem::take(&mut writer.keys), is_last: is_done }
    }
}

fn set_mark(database: &mut Database, position: Position) {
    let marks = database.table.marks(position);
    database.table.set_marks(position, marks.or(Marks::PARITY));
}

impl Shard {
    /// Begins a snapshot of this instant. What [`snapshot_slice`](Self::snapshot_slice) returns of it belongs
    /// into one file with that of the other shards that began at the same time.
    ///
    /// # Panics
    /// If one is under way.
    pub fn begin_snapshot(&mut self, contents: SnapshotContents) {
        assert!(!self.has_snapshot(), "one snapshot at a time");
        let walks = self.databases().iter().map(|database| Walk {
            origin: database.index,
            boundary: (!database.table.is_empty()).then_some(0),
        });
        let walks = walks.collect();
        self.common_mut().snapshot = Some(Box::new(Snapshot {
            walks,
            flushed: VecDeque::new(),
            long: LongValues::default(),
            writer: Writer {
                chunk: Vec::new(),
                chosen: None,
                keys: 0,
                has_hints: contents.has_hints,
                compressor: if contents.compresses { Compressor::on() } else { Compressor::off() },
                left_bytes: 0,
                is_abandoned: false,
            },
        }));
    }

    /// Whether a snapshot is under way.
    pub const fn has_snapshot(&self) -> bool {
        self.common().snapshot.is_some()
    }

    /// Nobody wants the snapshot any more. It still has to be taken to its end, which is quick.
    pub fn abandon_snapshot(&mut self) {
        let Common { snapshot, garbage, .. } = self.common_mut();
        if let Some(snapshot) = snapshot {
            snapshot.writer.is_abandoned = true;
            (snapshot.writer.chunk, snapshot.writer.keys) = (Vec::new(), 0);
            for block in snapshot.long.abandon() {
                garbage.discard_block(block);
            }
        }
    }

    /// Goes on with the snapshot for some hundred microseconds; the next part of it. `None` if there is no snapshot.
    pub fn snapshot_slice(&mut self, now: UnixMillis) -> Option<Chunk> {
        const STEPS: usize = 4;
        let mut snapshot = self.common_mut().snapshot.take()?;
        let mut chunk = Chunk::default();
        snapshot.writer.left_bytes = BYTES_PER_SLICE;
        for _ in 0..STEPS {
            self.advance(&mut snapshot, now);
            chunk = snapshot.take_chunk(&mut self.common_mut().garbage);
            if chunk.is_last || !chunk.bytes.is_empty() || snapshot.writer.left_bytes == 0 {
                break;
            }
        }
        if !chunk.is_last {
            self.common_mut().snapshot = Some(snapshot);
        }
        Some(chunk)
    }

    /// Whether a change of `key` is better put off, as it has a long value that the snapshot under way has not written to
    /// its end: changed now, it would be written in one piece. It is the next to be written in slices.
    pub fn holds_back(&mut self, db: DbIndex, key: &Key<'_>) -> bool {
        let (database, common, _) = self.parts(db);
        let Some(snapshot) = &mut common.snapshot else { return false };
        let Some(position) = database.table.find(key.hash, key.bytes) else { return false };
        if !snapshot.has_left(database, position, key.hash) {
            return false;
        }
        snapshot.hurry(database, position, key.hash);
        true
    }

    /// Writes a part of a long value, or visits one segment or a part of it.
    fn advance(&mut self, snapshot: &mut Snapshot, now: UnixMillis) {
        let (databases, common) = self.databases_and_common();
        let Snapshot { walks, flushed, long, writer } = snapshot;
        let Common { access, garbage, .. } = common;
        if !long.is_empty() {
            let mut done = Vec::new();
            long.advance(databases, writer, access, now, &mut done);
            for block in done {
                garbage.discard_block(block);
            }
            return;
        }
        if let Some((table, walk)) = flushed.front_mut() {
            // Its entries are nobody else's; those that are left go to where they are left.
            let nowhere = DbIndex(u16::MAX);
            walk.advance(nowhere, table, long, writer, access, now);
            long.keep_of(nowhere, table);
            if walk.boundary.is_none()
                && let Some((table, _)) = flushed.pop_front()
            {
                garbage.discard_table(table);
            }
            return;
        }
        let next = walks.iter().position(|walk| walk.boundary.is_some());
        if let Some(at) = next {
            let Database { table, index, .. } = databases.at(at);
            walks[at].advance(*index, table, long, writer, access, now);
        }
    }
}

impl Database {
    /// To be called before the entry at `position` changes or goes.
    #[inline]
    pub(crate) fn keep(
        &mut self,
        position: Position,
        hash: u64,
        common: &mut Common,
        now: UnixMillis,
    ) {
        if let Some(snapshot) = &mut common.snapshot {
            snapshot.keep(self, position, hash, &common.access, now);
        }
    }

    /// The marks of an entry that is created.
    #[inline]
    pub(crate) fn mark_of_new(&self, hash: u64, common: &Common) -> Marks {
        match &common.snapshot {
            None => Marks::NONE,
            Some(snapshot) => snapshot.mark_of_new(self, hash),
        }
    }
}

#[cfg(test)]
mod tests;
