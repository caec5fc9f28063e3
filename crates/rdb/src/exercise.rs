//! The entry points of the fuzz targets: any bytes as a value, and as a file.

use darter_base::UnixMillis;
use darter_value::stream::StreamId;
use darter_value::{Encoding, EncodingLimits, Item, KeyHasher, ObjectRef, Rules, ValueRef};

use crate::encode::{
    encode_hash, encode_list, encode_set, encode_sorted_set, encode_stream, encode_string,
};
use crate::file::{Reader, Record};
use crate::writer::Output;
use crate::{
    Built, Compressor, Gradual, Payload, Texts, Value, Version, build, decode, encode_value,
    payload,
};

/// Decodes `bytes`, and what decodes must survive being written and read again. Read step by step, it is the same.
pub fn value(bytes: &[u8]) {
    gradually(bytes);
    for version in [Version::REDIS_7_0, Version::REDIS_MAX, Version::VALKEY_9] {
        let Ok(value) = decode(bytes, version) else { continue };
        if let Value::Stream(stream) = &value {
            stream.check_invariants();
        }
        let (mut again, version) = encoded(&value);
        let read = decode(&again, version).expect("what was written is right");
        assert_same(&value, &read);
        payload::seal(&mut again, version);
        assert!(Payload::checked(&again).is_some());
    }
}

/// Reads `bytes` in steps and in one piece, if they are of a type for both.
fn gradually(bytes: &[u8]) {
    for version in [Version::REDIS_7_0, Version::REDIS_MAX, Version::VALKEY_9] {
        for now in [UnixMillis(0), UnixMillis(MIDST_MS)] {
            if bytes.first().is_some_and(|kind| Gradual::is_of(*kind, version)) {
                gradually_at(bytes, version, now);
            }
        }
    }
}

/// A time before which some fields expire.
const MIDST_MS: i64 = 1 << 40;

fn gradually_at(bytes: &[u8], version: Version, now: UnixMillis) {
    let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(1));
    let rules = Rules { limits: &limits, hasher: &hasher };
    let whole = decode(bytes, version).map(|value| build(value, rules, now));
    let gradual = Gradual::begin(bytes, version, rules).and_then(|mut value| {
        while value.go_on(bytes, rules, now)? {}
        Ok(value.into_built())
    });
    match (whole, gradual) {
        (Ok(Built::Text(whole)), Ok(Built::Text(gradual))) => assert_eq!(whole, gradual),
        (Ok(Built::Object(whole)), Ok(Built::Object(gradual))) => {
            let [whole, gradual] = [&whole, &gradual].map(|object| contents(object.view(), now));
            assert_eq!(whole, gradual);
        }
        (Ok(Built::Nothing), Ok(Built::Nothing)) | (Err(_), Err(_)) => {}
        (whole, gradual) => panic!("{whole:?} in one piece, {gradual:?} in steps"),
    }
}

/// What a value is, in a form that is the same for equal ones: fields of a table are in the order in which it grew.
fn contents(object: ObjectRef<'_>, now: UnixMillis) -> (Vec<Vec<u8>>, Encoding) {
    let mut contents = Vec::new();
    match object {
        ObjectRef::Hash(hash) => {
            hash.for_each(now.0, |field| contents.push(format!("{field:?}").into_bytes()));
            contents.sort_unstable();
        }
        ObjectRef::Stream(stream) => stream.check_invariants(),
        _ => {}
    }
    if contents.is_empty() {
        let mut encoded = Vec::new();
        encode_value(&mut encoded, ValueRef::Object(object), now);
        contents.push(encoded);
    }
    (contents, object.encoding())
}

/// Reads `bytes` as a file, whatever its checksum, and decodes every value that is found.
pub fn file(bytes: &[u8]) {
    let Ok(reader) = Reader::new(bytes) else { return };
    let mut reader = reader.without_checksum().with_modules();
    let mut offset = reader.offset();
    loop {
        match reader.next_record() {
            Ok(Record::Entry(entry)) => drop(entry.value.decode()),
            Ok(Record::End { .. }) | Err(_) => break,
            Ok(_) => {}
        }
        assert!(reader.offset() > offset, "each record has a byte");
        offset = reader.offset();
    }
    assert!(reader.offset() <= bytes.len() as u64);
}

/// A value in bytes, and the version they are in.
pub fn encoded(value: &Value) -> (Vec<u8>, Version) {
    let mut bytes = Vec::new();
    let mut compressor = Compressor::on();
    let mut out = Output::new(&mut bytes, &mut compressor);
    let mut version = Version::REDIS_7_0;
    match value {
        Value::String(text) => encode_string(&mut out, text),
        Value::List(texts) => encode_list(&mut out, texts.len(), |push| {
            texts.iter().for_each(|text| push(Item::Bytes(text)));
        }),
        Value::Set(texts) => encode_set(&mut out, texts.len(), |push| {
            texts.iter().for_each(|text| push(Item::Bytes(text)));
        }),
        Value::SortedSet(members, scores) => {
            encode_sorted_set(&mut out, members.len(), |push| {
                for (member, score) in members.iter().zip(scores) {
                    push(Item::Bytes(member), *score);
                }
            });
        }
        Value::Hash(texts, deadlines) => {
            let mut rest = deadlines.iter().peekable();
            let expires = !deadlines.is_empty();
            version = encode_hash(&mut out, texts.len() / 2, expires, |push| {
                for (index, (field, value)) in pairs(texts).enumerate() {
                    let deadline = rest.next_if(|deadline| deadline.index == index);
                    let deadline_ms = deadline.map(|deadline| deadline.deadline_ms);
                    push(Item::Bytes(field), Item::Bytes(value), deadline_ms);
                }
            });
        }
        Value::Stream(stream) => encode_stream(&mut out, stream),
    }
    (bytes, version)
}

fn pairs(texts: &Texts) -> impl Iterator<Item = (&[u8], &[u8])> {
    texts.iter().step_by(2).zip(texts.iter().skip(1).step_by(2))
}

fn assert_same(left: &Value, right: &Value) {
    match (left, right) {
        (Value::String(left), Value::String(right)) => assert_eq!(left, right),
        (Value::List(left), Value::List(right)) | (Value::Set(left), Value::Set(right)) => {
            assert_eq!(left, right);
        }
        (Value::SortedSet(left, scores), Value::SortedSet(right, read)) => {
            assert_eq!((left, scores), (right, read));
        }
        (Value::Hash(left, deadlines), Value::Hash(right, read)) => {
            assert_eq!((left, deadlines), (right, read));
        }
        (Value::Stream(left), Value::Stream(right)) => {
            let entries = |stream: &darter_value::Stream| {
                let entries = stream.log().entries(StreamId::MIN, StreamId::MAX);
                entries
                    .map(|entry| format!("{:?}", (entry.id(), fields(&entry))))
                    .collect::<Vec<_>>()
            };
            assert_eq!(entries(left), entries(right));
            assert_eq!(left.log().last_id(), right.log().last_id());
            assert_eq!(left.groups().len(), right.groups().len());
        }
        _ => panic!("another type"),
    }
}

fn fields(entry: &darter_value::stream::Entry<'_>) -> Vec<String> {
    entry.fields().map(|pair| format!("{pair:?}")).collect()
}
