//! Replies made of values.

use darter_resp::ReplyWriter;
use darter_shard::{Object, ValueRef};

/// Writes a string value, or answers `false` when it is none.
#[inline]
pub(crate) fn write_string(reply: &mut ReplyWriter<'_>, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Bytes(bytes) | ValueRef::Raw(bytes) => reply.bulk(bytes),
        ValueRef::Integer(integer) => reply.bulk_integer(integer),
        ValueRef::Object(Object::Large(large)) => reply.bulk_shared(&large.share()),
    }
    true
}
