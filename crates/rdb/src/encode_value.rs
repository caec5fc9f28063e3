//! Values of the keyspace, written.

use darter_base::UnixMillis;
use darter_value::integer::IntegerText;
use darter_value::{Element, Hash, Item, ObjectRef, ValueRef};

use crate::compress::Compressor;
use crate::encode;
use crate::types::Version;
use crate::writer::Output;

/// Appends a value as DUMP has it, a type and its content; the version that a reader must know. Fields of a
/// hash that have expired at `now` are left out.
pub fn encode_value(out: &mut Vec<u8>, value: ValueRef<'_>, now: UnixMillis) -> Version {
    write(&mut Output::new(out, &mut Compressor::off()), value, now)
}

/// As [`encode_value`].
pub(crate) fn write(out: &mut Output<'_>, value: ValueRef<'_>, now: UnixMillis) -> Version {
    let object = match value {
        ValueRef::Bytes(_) | ValueRef::Raw(_) | ValueRef::Integer(_) => {
            let mut text = IntegerText::new();
            encode::encode_string(out, value.string_bytes(&mut text).unwrap_or_default());
            return Version::REDIS_7_0;
        }
        ValueRef::Object(object) => object,
    };
    match object {
        ObjectRef::Large(string) => encode::encode_string(out, string.as_bytes()),
        ObjectRef::List(list) => encode::encode_list(out, list.len(), |push| {
            list.for_each(|element| push(item_of(element)));
        }),
        ObjectRef::Hash(hash) => return write_hash(out, hash, now),
        ObjectRef::Set(set) => encode::encode_set(out, set.len(), |push| set.for_each(push)),
        ObjectRef::SortedSet(set) => encode::encode_sorted_set(out, set.len(), |push| {
            set.iter().for_each(|(member, score)| push(member, score));
        }),
        ObjectRef::Stream(stream) => encode::encode_stream(out, stream),
    }
    Version::REDIS_7_0
}

fn write_hash(out: &mut Output<'_>, hash: &Hash, now: UnixMillis) -> Version {
    let (mut len, mut expires) = (0, false);
    hash.for_each(now.0, |field| {
        len += 1;
        expires |= field.deadline.is_some();
    });
    encode::encode_hash(out, len, expires, |push| {
        hash.for_each(now.0, |field| {
            let deadline_ms = field.deadline.map(|at| at.millis().unsigned_abs());
            push(field.name, item_of(field.value), deadline_ms);
        });
    })
}

/// An element of a list, or the value of a field.
pub(crate) fn item_of(element: Element<'_>) -> Item<'_> {
    match element {
        Element::Packed(item) => item,
        Element::Large(string) => Item::Bytes(string.as_bytes()),
    }
}
