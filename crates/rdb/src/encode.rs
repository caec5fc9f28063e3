//! From values to bytes: a type and its content.
//!
//! Collections are written in the plain forms, which every version since Redis 5 reads and turns into its own
//! compact ones by its own limits. Their elements are handed over one by one by whoever owns them.

use darter_value::{Item, Stream};

use crate::stream;
use crate::types::{HASH, HASH_2_VALKEY, LIST, SET, SORTED_SET, STREAM_2, STRING, Version};
use crate::writer::{Output, push_count};

/// Appends a string.
pub(crate) fn encode_string(out: &mut Output<'_>, text: &[u8]) {
    out.push_type(STRING);
    out.push_string(text);
}

/// Appends a list of `len` elements, which `each` hands over in order.
pub(crate) fn encode_list(
    out: &mut Output<'_>,
    len: usize,
    each: impl FnOnce(&mut dyn FnMut(Item<'_>)),
) {
    encode_items(out, LIST, len, each);
}

/// Appends a set of `len` members, which `each` hands over in any order.
pub(crate) fn encode_set(
    out: &mut Output<'_>,
    len: usize,
    each: impl FnOnce(&mut dyn FnMut(Item<'_>)),
) {
    encode_items(out, SET, len, each);
}

fn encode_items(
    out: &mut Output<'_>,
    kind: u8,
    len: usize,
    each: impl FnOnce(&mut dyn FnMut(Item<'_>)),
) {
    out.push_type(kind);
    push_count(out.bytes(), len);
    let mut left = len;
    each(&mut |item| {
        out.push_item(item);
        left = left.wrapping_sub(1);
    });
    assert_eq!(left, 0, "as many elements as were announced");
}

/// Appends a sorted set of `len` members, which `each` hands over with their scores.
pub(crate) fn encode_sorted_set(
    out: &mut Output<'_>,
    len: usize,
    each: impl FnOnce(&mut dyn FnMut(Item<'_>, f64)),
) {
    out.push_type(SORTED_SET);
    push_count(out.bytes(), len);
    let mut left = len;
    each(&mut |member, score| {
        out.push_item(member);
        out.bytes().extend(score.to_le_bytes());
        left = left.wrapping_sub(1);
    });
    assert_eq!(left, 0, "as many members as were announced");
}

/// Appends a hash of `len` fields, which `each` hands over with their values and deadlines in Unix
/// milliseconds; the version a reader must have. Deadlines, if it `expires`, need Valkey 9's form.
pub(crate) fn encode_hash(
    out: &mut Output<'_>,
    len: usize,
    expires: bool,
    each: impl FnOnce(&mut dyn FnMut(Item<'_>, Item<'_>, Option<u64>)),
) -> Version {
    out.push_type(if expires { HASH_2_VALKEY } else { HASH });
    push_count(out.bytes(), len);
    let mut left = len;
    each(&mut |field, value, deadline| {
        out.push_item(field);
        out.push_item(value);
        if expires {
            let deadline = deadline.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
            out.bytes().extend(deadline.to_le_bytes());
        }
        left = left.wrapping_sub(1);
    });
    assert_eq!(left, 0, "as many fields as were announced");
    if expires { Version::VALKEY_9 } else { Version::REDIS_7_0 }
}

/// Appends a stream, in the form of Redis 7.0: that a consumer was active at another time than it was
/// last seen is lost.
pub(crate) fn encode_stream(out: &mut Output<'_>, value: &Stream) {
    out.push_type(STREAM_2);
    stream::write(out, value);
}

/// The name of a group or consumer; never an integer, as Redis writes it.
pub(crate) fn push_name(out: &mut Output<'_>, name: &[u8]) {
    out.push_raw_string(name);
}
