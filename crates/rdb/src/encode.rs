//! From values to bytes: a type and its content.
//!
//! Collections are written in the plain forms, which every version since Redis 5 reads and turns into its own
//! compact ones by its own limits.

use darter_value::Stream;

use crate::stream;
use crate::types::{HASH, HASH_2_VALKEY, LIST, SET, SORTED_SET, STREAM_2, STRING, Version};
use crate::writer::{push_count, push_raw_string, push_string};

/// Appends a string.
pub fn encode_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(STRING);
    push_string(out, text);
}

/// Appends a list.
pub fn encode_list<'a>(out: &mut Vec<u8>, elements: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.push(LIST);
    push_count(out, elements.len());
    elements.for_each(|element| push_string(out, element));
}

/// Appends a set.
pub fn encode_set<'a>(out: &mut Vec<u8>, members: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.push(SET);
    push_count(out, members.len());
    members.for_each(|member| push_string(out, member));
}

/// Appends a sorted set.
pub fn encode_sorted_set<'a>(
    out: &mut Vec<u8>,
    members: impl ExactSizeIterator<Item = (&'a [u8], f64)>,
) {
    out.push(SORTED_SET);
    push_count(out, members.len());
    for (member, score) in members {
        push_string(out, member);
        out.extend(score.to_le_bytes());
    }
}

/// Appends a hash, each field with its value and its deadline in Unix milliseconds; the version a reader
/// must have. Deadlines need Valkey 9's form.
pub fn encode_hash<'a>(
    out: &mut Vec<u8>,
    fields: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8], Option<u64>)> + Clone,
) -> Version {
    let expires = fields.clone().any(|(_, _, deadline)| deadline.is_some());
    out.push(if expires { HASH_2_VALKEY } else { HASH });
    push_count(out, fields.len());
    for (field, value, deadline) in fields {
        push_string(out, field);
        push_string(out, value);
        if expires {
            let deadline = deadline.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
            out.extend(deadline.to_le_bytes());
        }
    }
    if expires { Version::VALKEY_9 } else { Version::REDIS_7_0 }
}

/// Appends a stream, in the form of Redis 7.0: that a consumer was active at another time than it was
/// last seen is lost.
pub fn encode_stream(out: &mut Vec<u8>, value: &Stream) {
    out.push(STREAM_2);
    stream::write(out, value);
}

/// The name of a group or consumer; never an integer, as Redis writes it.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    push_raw_string(out, name);
}
