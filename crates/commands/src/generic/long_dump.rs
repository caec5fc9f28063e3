//! DUMP of long strings and big collections, in slices.

use crate::joint::{Operands, Work, work_in_slices};
use crate::long_read::{ELEMENTS_PER_SLICE, elements_per_slice, read_steps};
use darter_base::UnixMillis;
use darter_base::crc64::crc64;
use darter_command_table::{Call, ReplyError, Slice};
use darter_rdb::{
    Plain, StreamParts, Version, encode_element, encode_field, encode_member, encode_text_head,
    payload,
};
use darter_resp::{Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace, ObjectRef, ValueRef};
use darter_value::{
    Collection, Element, End, Hash, Item, List, Set, SetBoundary, SortedSet, Stream,
};
use std::ops::ControlFlow;

/// About as many bytes of a string as take as long to write as an element.
const TEXT_BYTES_PER_ELEMENT: usize = 64;

/// How many elements of a value are written one by one, or as many as are as much work.
pub(crate) fn elements_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Object(ObjectRef::List(list)) => list.len().saturating_mul(list.weight()),
        ValueRef::Object(ObjectRef::Set(set)) => set.len().saturating_mul(set.weight()),
        ValueRef::Object(ObjectRef::SortedSet(set)) => set.len().saturating_mul(set.weight()),
        ValueRef::Object(ObjectRef::Hash(hash)) => hash.len().saturating_mul(hash.weight()),
        ValueRef::Object(ObjectRef::Stream(stream)) => {
            stream.elements_len().saturating_mul(stream.weight())
        }
        ValueRef::Object(ObjectRef::Large(text)) => text.as_bytes().len() / TEXT_BYTES_PER_ELEMENT,
        _ => 0,
    }
}

/// Begins to write the value at argument 1.
pub(super) fn dump_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    Ok(work_in_slices(call, 1..2, None, LongDump::new()))
}

struct LongDump {
    at: At,
    bytes: Vec<u8>,
    /// Of the bytes so far.
    checksum: u64,
    /// That a reader must have.
    version: Version,
}

/// Bytes of a string that are written and summed up in one slice.
const TEXT_BYTES_PER_SLICE: usize = 256 << 10;

/// Bytes of a stream that are written in one slice, and then the rest of a node.
const STREAM_BYTES_PER_SLICE: usize = 64 << 10;

/// More than what a payload has beside the bytes of a string: type, length, version and checksum.
const TEXT_FRAME_BYTES_MAX: usize = 32;

/// What is written next.
enum At {
    Begun,
    /// Fields are counted, since some may have expired: how many there are so far, and whether some will.
    Count {
        boundary: u64,
        len: usize,
        expires: bool,
    },
    Field {
        boundary: u64,
        expires: bool,
    },
    Element(usize),
    SetMember(SetBoundary),
    Member(usize),
    /// From this byte of a string on.
    Text(usize),
    Stream(StreamParts),
    /// Nothing: the payload is whole, or there is no such key.
    End,
}

impl LongDump {
    fn new() -> Self {
        let version = Version::REDIS_7_0;
        Self { at: At::Begun, bytes: Vec::new(), checksum: 0, version }
    }

    /// Writes on; what to go on with.
    fn go_on(&mut self, object: ObjectRef<'_>, now: UnixMillis) -> At {
        let out = &mut self.bytes;
        match (object, std::mem::replace(&mut self.at, At::End)) {
            (ObjectRef::List(list), At::Begun) => {
                Plain::List.encode_head(out, list.len());
                At::Element(0)
            }
            (ObjectRef::List(list), At::Element(from)) => elements(list, from, out),
            (ObjectRef::Set(set), At::Begun) => {
                Plain::Set.encode_head(out, set.len());
                At::SetMember(SetBoundary::START)
            }
            (ObjectRef::Set(set), At::SetMember(from)) => set_members(set, from, out),
            (ObjectRef::SortedSet(set), At::Begun) => {
                Plain::SortedSet.encode_head(out, set.len());
                At::Member(0)
            }
            (ObjectRef::SortedSet(set), At::Member(from)) => members(set, from, out),
            (ObjectRef::Hash(hash), At::Begun) if hash.next_deadline().is_none() => {
                Plain::Hash.encode_head(out, hash.len());
                At::Field { boundary: 0, expires: false }
            }
            (ObjectRef::Hash(_), At::Begun) => At::Count { boundary: 0, len: 0, expires: false },
            (ObjectRef::Hash(hash), At::Count { boundary, len, expires }) => {
                count_fields(hash, (boundary, len, expires), now, out)
            }
            (ObjectRef::Hash(hash), At::Field { boundary, expires }) => {
                self.version = plain_hash(expires).version();
                let mut written = 0;
                let written = (&mut written, elements_per_slice(hash));
                let next = read_steps(boundary, written, |from, written| {
                    hash.for_each_slice(from, now.0, |field| {
                        *written += 1;
                        let deadline = field.deadline.map(|at| at.millis().unsigned_abs());
                        encode_field(out, expires, field.name, item_of(field.value), deadline);
                    })
                });
                next.map_or(At::End, |boundary| At::Field { boundary, expires })
            }
            (ObjectRef::Large(text), At::Begun) => {
                let len = text.as_bytes().len();
                // What is reserved takes no memory before it is written to.
                out.reserve_exact(len + TEXT_FRAME_BYTES_MAX);
                encode_text_head(out, len);
                At::Text(0)
            }
            (ObjectRef::Large(text), At::Text(from)) => {
                let text = text.as_bytes();
                let end = text.len().min(from + TEXT_BYTES_PER_SLICE);
                out.extend_from_slice(&text[from..end]);
                if end < text.len() { At::Text(end) } else { At::End }
            }
            (ObjectRef::Stream(stream), At::Begun) => At::Stream(StreamParts::begin(out, stream)),
            (ObjectRef::Stream(stream), At::Stream(from)) => parts(stream, from, out),
            _ => At::End,
        }
    }
}

fn parts(stream: &Stream, from: StreamParts, out: &mut Vec<u8>) -> At {
    let bytes_max = out.len() + STREAM_BYTES_PER_SLICE;
    let mut next = Some(from);
    while let Some(at) = next {
        if out.len() >= bytes_max {
            return At::Stream(at);
        }
        next = at.push_next(out, stream);
    }
    At::End
}

fn elements(list: &List, from: usize, out: &mut Vec<u8>) -> At {
    let (mut written, at_once) = (0, elements_per_slice(list));
    list.walk(End::Front, from, |element| {
        if written == at_once {
            return ControlFlow::Break(());
        }
        encode_element(out, item_of(element));
        written += 1;
        ControlFlow::Continue(())
    });
    let next = from + written;
    if next < list.len() { At::Element(next) } else { At::End }
}

fn set_members(set: &Set, from: SetBoundary, out: &mut Vec<u8>) -> At {
    let mut written = 0;
    let written = (&mut written, elements_per_slice(set));
    let next = read_steps(from, written, |from, written| {
        set.for_each_slice(from, |member| {
            encode_element(out, member);
            *written += 1;
        })
    });
    next.map_or(At::End, At::SetMember)
}

fn members(set: &SortedSet, from: usize, out: &mut Vec<u8>) -> At {
    let end = set.len().min(from + elements_per_slice(set));
    for (member, score) in set.range(from..end, false) {
        encode_member(out, member, score);
    }
    if end < set.len() { At::Member(end) } else { At::End }
}

/// Counts on, and begins the hash when all are counted.
fn count_fields(
    hash: &Hash,
    (boundary, mut len, mut expires): (u64, usize, bool),
    now: UnixMillis,
    out: &mut Vec<u8>,
) -> At {
    let mut counted = 0;
    let next = read_steps(boundary, (&mut counted, ELEMENTS_PER_SLICE), |from, counted| {
        hash.for_each_slice(from, now.0, |field| {
            *counted += 1;
            expires |= field.deadline.is_some();
        })
    });
    len += counted;
    if let Some(boundary) = next {
        return At::Count { boundary, len, expires };
    }
    plain_hash(expires).encode_head(out, len);
    At::Field { boundary: 0, expires }
}

const fn plain_hash(expires: bool) -> Plain {
    if expires { Plain::ExpiringHash } else { Plain::Hash }
}

fn item_of(element: Element<'_>) -> Item<'_> {
    match element {
        Element::Packed(item) => item,
        Element::Large(string) => Item::Bytes(string.as_bytes()),
    }
}

impl Work for LongDump {
    fn begin(&mut self) {
        *self = Self::new();
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let Some(value) = operands.values().next().flatten() else { return Ok(false) };
        let object = match value {
            ValueRef::Object(object) if elements_of(value) > 0 => object,
            // It has become something else after the command was begun.
            other => {
                self.bytes = super::dump::dump_value(other, operands.since);
                return Ok(false);
            }
        };
        let begun = self.bytes.len();
        self.at = self.go_on(object, operands.since);
        self.checksum = crc64(self.checksum, &self.bytes[begun..]);
        let is_whole = matches!(self.at, At::End);
        if is_whole {
            payload::seal_summed(&mut self.bytes, self.version, self.checksum);
        }
        Ok(!is_whole)
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.bytes.is_empty() {
            return reply.null();
        }
        reply.bulk_shared(&std::mem::take(&mut self.bytes).into());
    }

    fn coming_bytes(&self) -> usize {
        self.bytes.len()
    }
}
