//! Keys whose values are long, written in parts, so that others have their turn in between. The value must be
//! the same from the first part to the last.

use darter_base::UnixMillis;
use darter_value::{Deadline, ObjectRef, SetBoundary, ValueRef};
use std::ops::ControlFlow;

use super::write::{Entry, has_expired_wholly, push_preface};
use crate::compress::{Compressor, TEXT_BYTES_MAX};
use crate::encode_value::item_of;
use crate::stream::{self, StreamAt};
use crate::types::{HASH, HASH_2_VALKEY, LIST, SET, SORTED_SET, STREAM_2, STRING};
use crate::writer::{Output, push_count};

/// Elements of a list or a sorted set that are written in one part. Of other types parts are about as long.
const ELEMENTS_PER_PART: usize = 512;
/// Bytes of a string in one part; a part that has become longer ends early.
const BYTES_PER_PART: usize = 64 << 10;

/// Whether writing `value` in one piece would take longer than others should wait: it takes a millisecond for
/// some 200 KiB.
pub fn is_long(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Object(object) if object.heap_bytes() > TEXT_BYTES_MAX)
}

/// How far a long value is written.
#[derive(Debug)]
pub struct Parts {
    at: At,
    /// What has expired then is left out.
    now: UnixMillis,
}

#[derive(Debug)]
enum At {
    Byte(usize),
    Element(usize),
    Member(SetBoundary),
    Field(u64),
    FieldWithDeadline(u64),
    Rank(usize),
    Stream(StreamAt),
}

impl Parts {
    /// Begins a key: appends all that comes before its elements. `None` if there is nothing to write, since all
    /// fields of a hash have expired at `now`, or the value is none of those that can be [long](is_long).
    pub fn begin(
        out: &mut Vec<u8>,
        entry: &Entry<'_>,
        compressor: &mut Compressor,
        now: UnixMillis,
    ) -> Option<Self> {
        let ValueRef::Object(object) = entry.value else { return None };
        if has_expired_wholly(entry.value, now) {
            return None;
        }
        push_preface(out, entry);
        let out = &mut Output::with_key(out, compressor, entry.key);
        let at = match object {
            ObjectRef::Large(string) => {
                out.push_type(STRING);
                push_count(out.bytes(), string.as_bytes().len());
                At::Byte(0)
            }
            ObjectRef::List(list) => {
                out.push_type(LIST);
                push_count(out.bytes(), list.len());
                At::Element(0)
            }
            ObjectRef::Set(set) => {
                out.push_type(SET);
                push_count(out.bytes(), set.len());
                At::Member(SetBoundary::START)
            }
            ObjectRef::SortedSet(set) => {
                out.push_type(SORTED_SET);
                push_count(out.bytes(), set.len());
                At::Rank(0)
            }
            ObjectRef::Hash(hash) => {
                let expires = hash.holds_deadlines();
                let mut len = hash.len();
                if expires {
                    len = 0;
                    hash.for_each(now.0, |_| len += 1);
                }
                out.push_type(if expires { HASH_2_VALKEY } else { HASH });
                push_count(out.bytes(), len);
                if expires { At::FieldWithDeadline(0) } else { At::Field(0) }
            }
            ObjectRef::Stream(value) => {
                out.push_type(STREAM_2);
                At::Stream(stream::begin(out, value))
            }
        };
        Some(Self { at, now })
    }

    /// Appends the next part of `value`; whether there is more.
    ///
    /// # Panics
    /// If it is of another type than when it began.
    pub fn push_next(
        &mut self,
        out: &mut Vec<u8>,
        value: ValueRef<'_>,
        compressor: &mut Compressor,
    ) -> bool {
        let ValueRef::Object(object) = value else { unreachable!("it was an object") };
        let bytes_max = out.len() + BYTES_PER_PART;
        let out = &mut Output::new(out, compressor);
        let next = match (&self.at, object) {
            (At::Byte(from), ObjectRef::Large(string)) => {
                let rest = &string.as_bytes()[*from..];
                let part = &rest[..rest.len().min(BYTES_PER_PART)];
                out.bytes().extend_from_slice(part);
                (part.len() < rest.len()).then_some(At::Byte(from + part.len()))
            }
            (At::Element(from), ObjectRef::List(list)) => {
                let mut at = *from;
                let until = from + ELEMENTS_PER_PART;
                list.walk(darter_value::End::Front, at, |element| {
                    out.push_item(item_of(element));
                    at += 1;
                    if at == until || out.bytes().len() > bytes_max {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
                (at < list.len()).then_some(At::Element(at))
            }
            (At::Member(from), ObjectRef::Set(set)) => {
                set.for_each_slice(*from, |member| out.push_item(member)).map(At::Member)
            }
            (At::Field(from), ObjectRef::Hash(hash)) => {
                let next = hash.for_each_slice(*from, self.now.0, |field| {
                    out.push_item(field.name);
                    out.push_item(item_of(field.value));
                });
                next.map(At::Field)
            }
            (At::FieldWithDeadline(from), ObjectRef::Hash(hash)) => {
                let next = hash.for_each_slice(*from, self.now.0, |field| {
                    out.push_item(field.name);
                    out.push_item(item_of(field.value));
                    let deadline = field.deadline.map_or(-1, Deadline::millis);
                    out.bytes().extend(deadline.to_le_bytes());
                });
                next.map(At::FieldWithDeadline)
            }
            (At::Rank(from), ObjectRef::SortedSet(set)) => {
                let mut at = *from;
                for (member, score) in set.range(at..at + ELEMENTS_PER_PART, false) {
                    out.push_item(member);
                    out.bytes().extend(score.to_le_bytes());
                    at += 1;
                    if out.bytes().len() > bytes_max {
                        break;
                    }
                }
                (at < set.len()).then_some(At::Rank(at))
            }
            (At::Stream(at), ObjectRef::Stream(value)) => {
                stream::write_part(out, value, at.clone()).map(At::Stream)
            }
            _ => unreachable!("it is the value it was"),
        };
        if let Some(at) = next {
            self.at = at;
            return true;
        }
        false
    }
}
