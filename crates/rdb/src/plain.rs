//! Values written part by part, by whoever stops in between: DUMP in slices.

use darter_value::{Item, Stream};

use crate::compress::Compressor;
use crate::stream::{self, StreamAt};
use crate::types::{HASH, HASH_2_VALKEY, LIST, SET, SORTED_SET, STREAM_2, STRING, Version};
use crate::writer::{Output, push_count};

/// The type of a collection in its plain form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash of which no field expires.
    Hash,
    /// A hash some fields of which expire, in Valkey 9's form.
    ExpiringHash,
}

impl Plain {
    /// Appends what comes before `len` elements, each to be appended by the function for its type.
    pub fn encode_head(self, out: &mut Vec<u8>, len: usize) {
        out.push(match self {
            Self::List => LIST,
            Self::Set => SET,
            Self::SortedSet => SORTED_SET,
            Self::Hash => HASH,
            Self::ExpiringHash => HASH_2_VALKEY,
        });
        push_count(out, len);
    }

    /// The version a reader must have.
    pub const fn version(self) -> Version {
        match self {
            Self::ExpiringHash => Version::VALKEY_9,
            _ => Version::REDIS_7_0,
        }
    }
}

/// Appends what comes before the bytes of a string that is longer than any integer's text.
pub fn encode_text_head(out: &mut Vec<u8>, len: usize) {
    out.push(STRING);
    push_count(out, len);
}

/// Appends an element of a list or a member of a set.
pub fn encode_element(out: &mut Vec<u8>, item: Item<'_>) {
    Output::new(out, &mut Compressor::off()).push_item(item);
}

/// Appends a member of a sorted set.
pub fn encode_member(out: &mut Vec<u8>, member: Item<'_>, score: f64) {
    encode_element(out, member);
    out.extend(score.to_le_bytes());
}

/// Appends a field of a hash, with its deadline in Unix milliseconds if it is an `expiring` one.
pub fn encode_field(
    out: &mut Vec<u8>,
    expiring: bool,
    field: Item<'_>,
    value: Item<'_>,
    deadline: Option<u64>,
) {
    encode_element(out, field);
    encode_element(out, value);
    if expiring {
        let deadline = deadline.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        out.extend(deadline.to_le_bytes());
    }
}

/// How far a stream is written. It must be the same from the first part to the last.
#[derive(Clone, Debug)]
pub struct StreamParts(StreamAt);

impl StreamParts {
    /// Appends what a stream begins with.
    pub fn begin(out: &mut Vec<u8>, stream: &Stream) -> Self {
        out.push(STREAM_2);
        Self(stream::begin(&mut Output::new(out, &mut Compressor::off()), stream))
    }

    /// Appends the next node, or some of what its groups remember; where to go on, `None` at the end.
    pub fn push_next(self, out: &mut Vec<u8>, stream: &Stream) -> Option<Self> {
        let mut compressor = Compressor::off();
        stream::write_part(&mut Output::new(out, &mut compressor), stream, self.0).map(Self)
    }
}
