//! All that shards hold, in words, to be compared: deadlines and what has expired but is still there included, what
//! depends on how values are kept, or on when they were used, not.

use darter_base::{DbIndex, UnixMillis};
use darter_shard::{Boundary, Key, KeyHasher, Shard, ValueRef};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::stream::{Group, Stream, StreamId};
use darter_value::{Deadline, ObjectRef};
use std::collections::BTreeMap;

/// Nothing is due then.
const BEFORE_ALL: UnixMillis = UnixMillis(i64::MIN);

/// What each key holds, by database and name.
pub(crate) type Image = BTreeMap<(u16, String), String>;

/// Adds what a shard holds to an image.
pub(crate) fn add_shard(image: &mut Image, shard: &mut Shard, hasher: &KeyHasher) {
    for db in 0..u16::try_from(shard.databases_len()).unwrap() {
        let mut keyspace = shard.keyspace(DbIndex(db), BEFORE_ALL);
        let mut held = Vec::new();
        let mut boundary = Some(Boundary::START);
        while let Some(from) = boundary {
            boundary = keyspace.for_each_slice(from, |key, value| {
                held.push((key.to_vec(), described(value)));
            });
        }
        for (key, value) in held {
            let lifetime = keyspace.lifetime(&Key::new(hasher, &key));
            image.insert((db, shown(&key)), format!("{value} {lifetime:?}"));
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn described(value: ValueRef<'_>) -> String {
    let mut text = IntegerText::new();
    if let Some(bytes) = value.string_bytes(&mut text) {
        return format!("string {}", shown(bytes));
    }
    let ValueRef::Object(object) = value else { unreachable!("it is no string") };
    let mut parts = Vec::new();
    match object {
        ObjectRef::Large(_) => unreachable!("it is no string"),
        ObjectRef::List(list) => {
            list.for_each(|element| parts.push(shown(element.bytes(&mut text))));
            return format!("list {parts:?}");
        }
        ObjectRef::Set(set) => {
            set.for_each(|member| parts.push(shown(bytes_of(member, &mut text))));
        }
        ObjectRef::SortedSet(set) => {
            for (member, score) in set {
                parts.push(format!("{} {score:?}", shown(bytes_of(member, &mut text))));
            }
        }
        ObjectRef::Hash(hash) => hash.for_each(BEFORE_ALL.0, |field| {
            let name = shown(bytes_of(field.name, &mut text));
            let value = shown(field.value.bytes(&mut IntegerText::new()));
            let deadline = field.deadline.map(Deadline::millis);
            parts.push(format!("{name}={value} {deadline:?}"));
        }),
        ObjectRef::Stream(stream) => return described_stream(stream),
    }
    parts.sort();
    format!("{:?} {parts:?}", value.value_type())
}

fn described_stream(stream: &Stream) -> String {
    let log = stream.log();
    let mut parts = vec![format!(
        "last {:?} added {} deleted {:?}",
        log.last_id(),
        log.entries_added(),
        log.max_deleted_id()
    )];
    for entry in log.entries(StreamId::MIN, StreamId::MAX) {
        let mut fields = Vec::new();
        let (mut name_text, mut value_text) = (IntegerText::new(), IntegerText::new());
        for (name, value) in entry.fields() {
            let name = shown(bytes_of(name, &mut name_text));
            fields.push((name, shown(bytes_of(value, &mut value_text))));
        }
        parts.push(format!("{:?} {fields:?}", entry.id()));
    }
    for (name, group) in stream.groups() {
        parts.push(format!("group {} {}", shown(name), described_group(group)));
    }
    format!("stream {parts:?}")
}

/// When a consumer was seen last is not recorded, as in Redis.
fn described_group(group: &Group) -> String {
    let mut names: Vec<_> = group.consumers().map(|consumer| shown(consumer.name())).collect();
    names.sort();
    let pending = group.pending_in(StreamId::MIN..=StreamId::MAX).map(|(id, pending)| {
        let consumer = shown(group.consumer(pending.consumer).name());
        (id, consumer, pending.delivered_at_ms, pending.deliveries)
    });
    let pending: Vec<_> = pending.collect();
    format!("{:?} {:?} {names:?} {pending:?}", group.last_id, group.entries_read)
}
