//! The entry point of the fuzz target: any bytes as a value.

use darter_value::stream::StreamId;

use crate::{Payload, Texts, Value, Version, decode, encode_hash, encode_list, encode_set};
use crate::{encode_sorted_set, encode_stream, encode_string, payload};

/// Decodes `bytes`, and what decodes must survive being written and read again.
pub fn value(bytes: &[u8]) {
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

/// A value in bytes, and the version they are in.
pub fn encoded(value: &Value) -> (Vec<u8>, Version) {
    let mut out = Vec::new();
    let mut version = Version::REDIS_7_0;
    match value {
        Value::String(text) => encode_string(&mut out, text),
        Value::List(texts) => encode_list(&mut out, texts.iter()),
        Value::Set(texts) => encode_set(&mut out, texts.iter()),
        Value::SortedSet(members, scores) => {
            let pairs: Vec<_> = members.iter().zip(scores.iter().copied()).collect();
            encode_sorted_set(&mut out, pairs.into_iter());
        }
        Value::Hash(texts, deadlines) => {
            let mut fields: Vec<_> =
                pairs(texts).map(|(field, value)| (field, value, None)).collect();
            for deadline in deadlines {
                fields[deadline.index].2 = Some(deadline.deadline_ms);
            }
            version = encode_hash(&mut out, fields.iter().copied());
        }
        Value::Stream(stream) => encode_stream(&mut out, stream),
    }
    (out, version)
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
