//! Tests of snapshots.

use super::*;
use crate::keyspace::{Boundary, Keyspace};
use crate::random::Random;
use crate::shard::{FlushScope, ShardOptions};
use crate::{Deadline, Edit, Expiry};
use darter_base::ShardId;
use darter_rdb::Version;
use darter_rdb::file::{Checksum, Reader, Record};
use darter_structures::KeyHasher;
use darter_value::hash::{FieldExpiry, HashGrowth};
use darter_value::stream::{Group, NodeLimits, Pending, StreamId};
use darter_value::{
    Collection as _, EncodingLimits, End, Hash, Item, List, Rules, Set, SortedSet, Stream,
};
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
    file::push_header(&mut file, Version::VALKEY_9);
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
    let (key, other) = (Key::new(&hasher, name.as_bytes()), Key::new(&hasher, other.as_bytes()));
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
fn a_slice_writes_a_bounded_part_of_a_segment() {
    const VALUE_BYTES: usize = 20 << 10;
    let mut random = Random::new(13);
    for (per_slice, compresses) in [(0, false), (40, false), (40, true)] {
        let mut shard = shard();
        for _ in 0..300 {
            disturb(&mut shard, &mut random);
        }
        let hasher = shard.hasher().clone();
        for number in 0..400 {
            let name = number.to_string();
            let value = vec![b'x'; VALUE_BYTES];
            let key = Key::new(&hasher, name.as_bytes());
            shard.keyspace(DbIndex(0), NOW).set_string(&key, &value, Expiry::Clear);
        }
        let expected = contents_of(&mut shard);
        shard.begin_snapshot(SnapshotContents { compresses, has_hints: false });
        let (mut chunks, mut slices) = (Vec::new(), 0);
        loop {
            // A key that is about to change is written as well.
            let disturbed = random.next() % (per_slice + 1);
            for _ in 0..disturbed {
                disturb(&mut shard, &mut random);
            }
            let chunk = shard.snapshot_slice(NOW).unwrap();
            let written_max = CHUNK_BYTES + 2 * VALUE_BYTES;
            assert!(per_slice != 0 || chunk.bytes.len() < written_max, "{}", chunk.bytes.len());
            slices += 1;
            chunks.extend(chunk.bytes);
            if chunk.is_last {
                break;
            }
            shard.check_invariants();
        }
        let slices_min = 400 * VALUE_BYTES / (BYTES_PER_SLICE + VALUE_BYTES) / 2;
        assert!(slices > slices_min, "{slices} slices");
        let found = contents_of_file(&chunks);
        assert!(found.keys().eq(expected.keys()));
        assert!(compresses || found == expected);
    }
}

/// Lets `shard` have a long value of each type, in two databases.
fn fill_with_long_values(shard: &mut Shard) {
    let hasher = shard.hasher().clone();
    let limits = EncodingLimits::default();
    let rules = Rules { limits: &limits, hasher: &hasher };
    for db in [DbIndex(0), DbIndex(2)] {
        let mut keyspace = shard.keyspace(db, NOW);
        keyspace.set_string(&Key::new(&hasher, b"string"), &vec![b'x'; 3 << 20], Expiry::Clear);
        let (mut list, mut set, mut sorted_set) =
            (List::default(), Set::default(), SortedSet::default());
        let (mut hash, mut stream) = (Hash::default(), Stream::default());
        let growth = HashGrowth { limits: limits.hash, hasher: &hasher };
        for number in 0..30_000_u32 {
            let text = format!("element {number}, long enough to be compressed, elements elements");
            list.push(End::Back, text.as_bytes(), limits.list);
            set.add(Item::Bytes(text.as_bytes()), rules);
            sorted_set.set(text.as_bytes(), f64::from(number), rules);
            let expiry = if number % 7 == 0 {
                FieldExpiry::At(Deadline::new(NOW.0 + i64::from(number)).unwrap())
            } else {
                FieldExpiry::Clear
            };
            hash.set(text.as_bytes(), b"value", expiry, NOW.0, growth);
            let fields = [(text.as_bytes(), b"value".as_slice())];
            stream.log_mut().append(
                StreamId::new(u64::from(number) + 1, 0),
                fields.into_iter(),
                NODES,
            );
        }
        for name in [b"first".as_slice(), b"second"] {
            let mut group = Group::new(StreamId::new(9000, 0), None);
            for number in 0..3000_u64 {
                let name = format!("consumer {}", number % 1500);
                let (consumer, _) = group.add_consumer(name.as_bytes(), NOW.0);
                let pending = Pending { consumer, delivered_at_ms: NOW.0, deliveries: number };
                group.set_pending(StreamId::new(number + 1, 0), pending);
            }
            assert!(stream.add_group(name, group));
        }
        let put = |keyspace: &mut Keyspace<'_>, name: &[u8], object: Object| {
            assert!(file::is_long(darter_value::ValueRef::Object(object.view())));
            keyspace.set_object(&Key::new(&hasher, name), object, Expiry::Clear);
        };
        put(&mut keyspace, b"list", list.into_object());
        put(&mut keyspace, b"set", set.into_object());
        put(&mut keyspace, b"zset", sorted_set.into_object());
        put(&mut keyspace, b"hash", hash.into_object());
        put(&mut keyspace, b"stream", stream.into_object());
    }
}

const NODES: NodeLimits = NodeLimits { bytes_max: 4096, entries_max: 100 };
const LONG: [&[u8]; 6] = [b"string", b"list", b"set", b"zset", b"hash", b"stream"];

/// Does something to a long value, or to a short one.
fn disturb_long(shard: &mut Shard, random: &mut Random) {
    let hasher = shard.hasher().clone();
    let any = |random: &mut Random| {
        let index = usize::try_from(random.next() % 6).unwrap();
        Key::new(&hasher, LONG[index])
    };
    let (key, other) = (any(random), any(random));
    let db = DbIndex(u16::try_from(random.next() % u64::from(DATABASES)).unwrap());
    if random.next().is_multiple_of(2) && shard.holds_back(db, &key) {
        return;
    }
    let number = random.next();
    let mut keyspace = shard.keyspace(db, NOW);
    match number % 96 {
        0 => {
            keyspace.remove(&key);
        }
        1 => {
            if let Some(taken) = keyspace.take(&key) {
                keyspace.put(&other, taken);
            }
        }
        2 => {
            keyspace.set_string(&key, b"short", Expiry::Clear);
        }
        3 => {
            let at = Deadline::new(NOW.0 + 1).unwrap();
            keyspace.set_deadline(&key, Some(at));
        }
        4 => {
            let _ = keyspace.append(&key, b"tail");
            let pop = |list: &mut List| {
                list.remove_range(0..1, EncodingLimits::default().list);
                Edit::changed(())
            };
            let _ = keyspace.edit(&key, pop);
        }
        5 => {
            shard.flush(FlushScope::Database(db));
        }
        6 => shard.swap_databases(db, DbIndex(0), NOW),
        // Fields that expire, which a snapshot of this instant may have or not.
        7 => {
            shard.expire_slice(NOW, 64);
        }
        _ => disturb(shard, random),
    }
    shard.collect_garbage(8);
}

#[test]
fn long_values_are_written_in_parts_and_as_they_were() {
    let mut random = Random::new(11);
    for round in 0..4 {
        let mut shard = shard();
        fill_with_long_values(&mut shard);
        for _ in 0..300 {
            disturb(&mut shard, &mut random);
        }
        let expected = contents_of(&mut shard);
        shard.begin_snapshot(SnapshotContents::default());
        let (mut chunks, mut longest, mut parts) = (Vec::new(), 0, 0);
        let per_slice = [0, 1, 4][round % 3];
        loop {
            for _ in 0..random.next() % (per_slice + 1) {
                disturb_long(&mut shard, &mut random);
            }
            let chunk = shard.snapshot_slice(NOW).unwrap();
            longest = longest.max(chunk.bytes.len());
            parts += usize::from(chunk.goes_on);
            chunks.extend(chunk.bytes);
            if chunk.is_last {
                assert!(!chunk.goes_on);
                break;
            }
        }
        shard.check_invariants();
        let found = contents_of_file(&chunks);
        let names = |contents: &Contents| contents.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "round {round}");
        for (key, value) in &expected {
            assert!(found.get(key) == Some(value), "round {round}: {key:?}");
        }
        if per_slice == 0 {
            assert!(longest < 2 * CHUNK_BYTES && parts > 50, "{longest}, {parts}");
        }
        // Everything that was kept for it is gone.
        while shard.collect_garbage(1000) {}
        let bytes = shard.used_bytes();
        shard.begin_snapshot(SnapshotContents::default());
        shard.abandon_snapshot();
        while shard.snapshot_slice(NOW).is_some() {}
        assert_eq!(shard.used_bytes(), bytes);
    }
}

#[test]
fn a_change_of_a_long_value_is_put_off_until_it_is_written() {
    let mut shard = shard();
    fill_with_long_values(&mut shard);
    let hasher = shard.hasher().clone();
    let key = Key::new(&hasher, b"zset");
    assert!(!shard.holds_back(DbIndex(0), &key), "nothing is under way");
    shard.begin_snapshot(SnapshotContents::default());
    let (mut slices, mut bytes) = (0, 0);
    while shard.holds_back(DbIndex(0), &key) {
        let chunk = shard.snapshot_slice(NOW).unwrap();
        (slices, bytes) = (slices + 1, bytes + chunk.bytes.len());
    }
    assert!(slices > 10, "{slices}");
    assert!(bytes < 4 << 20, "nothing else comes before it: {bytes}");
    assert!(!shard.holds_back(DbIndex(0), &Key::new(&hasher, b"nothing")));
    while shard.snapshot_slice(NOW).is_some() {}
    for name in LONG {
        assert!(!shard.holds_back(DbIndex(0), &Key::new(&hasher, name)));
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
