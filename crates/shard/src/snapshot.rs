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
//! What is written are entries in the format of RDB files ([`darter_rdb::file`]), in chunks that each begin
//! with the choice of a database.

use crate::access::{Access, AccessNotes};
use crate::keyspace::{is_due, value_of};
use crate::shard::{Database, Shard, Table};
use darter_base::{DbIndex, UnixMillis};
use darter_rdb::Compressor;
use darter_rdb::file::{self, Hint};
use darter_structures::{BlockRef, Marks, Position};
use darter_value::Object;
use std::collections::VecDeque;
use std::mem;

/// Chunks are about this long, unless one value is longer.
const CHUNK_BYTES: usize = 128 << 10;

/// A snapshot under way in one shard.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// By database.
    walks: Vec<Walk>,
    /// Databases that were flushed before their walk was done.
    flushed: VecDeque<(Table, Walk)>,
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
    /// Entries of a file, the choice of a database first; may be empty.
    pub bytes: Vec<u8>,
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

    /// Visits one segment of the table.
    fn advance(
        &mut self,
        table: &mut Table,
        writer: &mut Writer,
        access: &Access,
        now: UnixMillis,
    ) {
        let Some(boundary) = self.boundary else { return };
        self.boundary = table.for_each_unmarked_slice(boundary, Marks::PARITY, |entry| {
            writer.write(self.origin, entry, access, now);
        });
    }
}

impl Writer {
    fn write(
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
        let deadline_ms = entry.deadline().map(|at| at.millis().unsigned_abs());
        let hint = if self.has_hints { hint_of(entry, access, now) } else { Hint::None };
        let written = file::Entry { key: entry.key(), value: value_of(entry), deadline_ms, hint };
        if file::push_entry(&mut self.chunk, &written, &mut self.compressor, now).is_some() {
            self.keys += 1;
        }
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
        let walk = self.walks[database.index.index()];
        let marks = database.table.marks(position);
        if !walk.is_ahead(hash) || marks.contains(Marks::PARITY) {
            return;
        }
        self.writer.write(walk.origin, database.table.view(position), access, now);
        database.table.set_marks(position, marks.or(Marks::PARITY));
    }

    /// Takes over the table of a database that is flushed, if it is still to be visited.
    pub(crate) fn keep_flushed(&mut self, db: DbIndex, table: Table) -> Option<Table> {
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
    }

    /// Bytes of heap.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.chunk.capacity()
            + self.flushed.iter().map(|(table, _)| table.bytes()).sum::<usize>()
    }

    fn is_done(&self) -> bool {
        self.flushed.is_empty() && self.walks.iter().all(|walk| walk.boundary.is_none())
    }
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
            writer: Writer {
                chunk: Vec::new(),
                chosen: None,
                keys: 0,
                has_hints: contents.has_hints,
                compressor: if contents.compresses { Compressor::on() } else { Compressor::off() },
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
        if let Some(snapshot) = &mut self.common_mut().snapshot {
            snapshot.writer.is_abandoned = true;
            (snapshot.writer.chunk, snapshot.writer.keys) = (Vec::new(), 0);
        }
    }

    /// Goes on with the snapshot for some hundred microseconds, longer if a value is big; the next part of it.
    /// `None` if there is no snapshot.
    pub fn snapshot_slice(&mut self, now: UnixMillis) -> Option<Chunk> {
        const SEGMENTS: usize = 4;
        let mut snapshot = self.common_mut().snapshot.take()?;
        for _ in 0..SEGMENTS {
            if snapshot.is_done() || snapshot.writer.chunk.len() >= CHUNK_BYTES {
                break;
            }
            self.advance(&mut snapshot, now);
        }
        let is_last = snapshot.is_done();
        let is_due = is_last || snapshot.writer.chunk.len() >= CHUNK_BYTES;
        let writer = &mut snapshot.writer;
        let chunk = if is_due {
            writer.chosen = None;
            let bytes = mem::take(&mut writer.chunk);
            Chunk { bytes, keys: mem::take(&mut writer.keys), is_last }
        } else {
            Chunk::default()
        };
        if !is_last {
            self.common_mut().snapshot = Some(snapshot);
        }
        Some(chunk)
    }

    /// Visits one segment.
    fn advance(&mut self, snapshot: &mut Snapshot, now: UnixMillis) {
        let (databases, common) = self.databases_and_common();
        if let Some((table, walk)) = snapshot.flushed.front_mut() {
            walk.advance(table, &mut snapshot.writer, &common.access, now);
            if walk.boundary.is_none()
                && let Some((table, _)) = snapshot.flushed.pop_front()
            {
                common.garbage.discard_table(table);
            }
            return;
        }
        let next = snapshot.walks.iter().position(|walk| walk.boundary.is_some());
        if let Some(at) = next {
            let table = &mut databases[at].table;
            snapshot.walks[at].advance(table, &mut snapshot.writer, &common.access, now);
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
        common: &mut crate::shard::Common,
        now: UnixMillis,
    ) {
        if let Some(snapshot) = &mut common.snapshot {
            snapshot.keep(self, position, hash, &common.access, now);
        }
    }

    /// The marks of an entry that is created.
    #[inline]
    pub(crate) fn mark_of_new(&self, hash: u64, common: &crate::shard::Common) -> Marks {
        match &common.snapshot {
            None => Marks::NONE,
            Some(snapshot) => snapshot.mark_of_new(self, hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Boundary;
    use crate::random::Random;
    use crate::shard::{FlushScope, ShardOptions};
    use crate::{Deadline, Edit, Expiry, Key};
    use darter_base::ShardId;
    use darter_rdb::Version;
    use darter_rdb::file::{Checksum, Reader, Record};
    use darter_structures::KeyHasher;
    use darter_value::{EncodingLimits, End, List};
    use std::collections::BTreeMap;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const DATABASES: u16 = 3;

    /// By database and key: value in bytes, and deadline.
    type Contents = BTreeMap<(u64, Vec<u8>), (Vec<u8>, Option<i64>)>;

    fn shard() -> Shard {
        let options = ShardOptions { databases: DATABASES, hasher: KeyHasher::new(3) };
        Shard::new(ShardId(0), &options)
    }

    fn contents_of(shard: &mut Shard) -> Contents {
        let mut contents = Contents::new();
        for db in 0..DATABASES {
            let mut names = Vec::new();
            let keyspace = shard.keyspace(DbIndex(db), NOW);
            let mut next = Some(Boundary::START);
            while let Some(boundary) = next {
                next = keyspace.for_each_slice(boundary, |name, value| {
                    let mut bytes = Vec::new();
                    darter_rdb::encode_value(&mut bytes, value, NOW);
                    names.push((name.to_vec(), bytes));
                });
            }
            let hasher = shard.hasher().clone();
            for (name, bytes) in names {
                let key = Key::new(&hasher, &name);
                let deadline = match shard.keyspace(DbIndex(db), NOW).lifetime(&key) {
                    crate::Lifetime::Until(at) => Some(at.0),
                    _ => None,
                };
                contents.insert((db.into(), name), (bytes, deadline));
            }
        }
        contents
    }

    fn contents_of_file(chunks: &[u8]) -> Contents {
        let mut file = Vec::new();
        file::push_header(&mut file, Version::REDIS_7_0);
        file.extend(chunks);
        let mut checksum = Checksum::new();
        checksum.add(&file);
        file::push_end(&mut file, Some(checksum));
        let mut reader = Reader::new(file.as_slice()).unwrap();
        let (mut contents, mut db) = (Contents::new(), 0);
        loop {
            match reader.next_record().unwrap() {
                Record::Database(index) => db = index,
                Record::Entry(entry) => {
                    let mut bytes = vec![entry.value.kind];
                    bytes.extend(entry.value.content);
                    let key = (db, entry.key.into_owned());
                    let before = contents.insert(key, (bytes, entry.deadline_ms));
                    assert_eq!(before, None, "a key is written once");
                }
                Record::End { .. } => break,
                record => panic!("{record:?}"),
            }
        }
        contents
    }

    /// Does something to some key.
    fn disturb(shard: &mut Shard, random: &mut Random) {
        let hasher = shard.hasher().clone();
        let name = (random.next() % 3000).to_string();
        let other = (random.next() % 3000).to_string();
        let (key, other) =
            (Key::new(&hasher, name.as_bytes()), Key::new(&hasher, other.as_bytes()));
        let db = DbIndex(u16::try_from(random.next() % u64::from(DATABASES)).unwrap());
        let number = random.next();
        let mut keyspace = shard.keyspace(db, NOW);
        match number % 64 {
            0..8 => {
                keyspace.remove(&key);
            }
            8..24 => {
                keyspace.set_string(&key, number.to_string().as_bytes(), Expiry::Clear);
            }
            24..30 => {
                let push = |list: &mut List| {
                    list.push(End::Back, b"element", EncodingLimits::default().list);
                    Edit::changed(())
                };
                let _ = keyspace.edit_or_create(&key, push);
            }
            30..36 => {
                let _ = keyspace.append(&key, b"tail");
            }
            36..42 => {
                let millis = NOW.0 + 1000 + i64::try_from(number % 100_000).unwrap();
                keyspace.set_deadline(&key, Some(Deadline::new(millis).unwrap()));
            }
            42..48 => {
                if let Some(taken) = keyspace.take(&key) {
                    keyspace.put(&other, taken);
                }
            }
            48..52 => {
                let _ = keyspace.edit_string(&key, 3, |bytes| bytes[0] ^= 1);
            }
            52..56 => {
                let add = |value: Option<darter_value::ValueRef<'_>>| match value {
                    Some(darter_value::ValueRef::Integer(integer)) => Ok(integer.wrapping_add(1)),
                    None => Ok(1),
                    Some(_) => Err(()),
                };
                let _ = keyspace.update_integer(&key, add);
            }
            56..60 => {
                let clear = |list: &mut List| {
                    let all = 0..list.len();
                    list.remove_range(all, EncodingLimits::default().list);
                    Edit::changed(())
                };
                let _ = keyspace.edit(&key, clear);
            }
            60 if number.is_multiple_of(16) => {
                shard.flush(FlushScope::Database(db));
            }
            61 => shard.swap_databases(db, DbIndex(0), NOW),
            _ => {
                keyspace.read(&key);
            }
        }
    }

    #[test]
    fn a_snapshot_is_of_its_instant_whatever_happens_meanwhile() {
        let mut random = Random::new(7);
        let mut shard = shard();
        for round in 0..60 {
            for _ in 0..3000 {
                disturb(&mut shard, &mut random);
            }
            let expected = contents_of(&mut shard);
            shard.begin_snapshot(SnapshotContents::default());
            let mut chunks = Vec::new();
            let per_slice = [0, 3, 40, 400][round % 4];
            loop {
                for _ in 0..random.next() % (per_slice + 1) {
                    disturb(&mut shard, &mut random);
                }
                let chunk = shard.snapshot_slice(NOW).unwrap();
                chunks.extend(chunk.bytes);
                if chunk.is_last {
                    break;
                }
                shard.check_invariants();
            }
            assert!(shard.snapshot_slice(NOW).is_none());
            assert_eq!(contents_of_file(&chunks), expected, "round {round}");
        }
    }

    #[test]
    fn an_abandoned_snapshot_leaves_nothing_behind() {
        let mut random = Random::new(9);
        let mut shard = shard();
        for _ in 0..9000 {
            disturb(&mut shard, &mut random);
        }
        shard.begin_snapshot(SnapshotContents::default());
        for _ in 0..900 {
            disturb(&mut shard, &mut random);
        }
        shard.abandon_snapshot();
        while let Some(chunk) = shard.snapshot_slice(NOW) {
            assert_eq!((chunk.bytes.len(), chunk.keys), (0, 0));
        }
        let expected = contents_of(&mut shard);
        shard.begin_snapshot(SnapshotContents::default());
        let mut chunks = Vec::new();
        while let Some(chunk) = shard.snapshot_slice(NOW) {
            chunks.extend(chunk.bytes);
        }
        assert_eq!(contents_of_file(&chunks), expected);
    }
}
