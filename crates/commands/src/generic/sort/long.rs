//! SORT of very many elements, in slices.
//!
//! Not with patterns that make keys of elements: then it reads as many keys as there are elements, and sees them as
//! they are at one moment only while it holds them all.

use super::options::{Options, Order};
use super::pattern::Pattern;
use super::{Elements, Entry, NOT_A_NUMBER, Weight, number};
use crate::joint::{Operands, Work, work_in_slices};
use crate::long_read::{ELEMENTS_PER_SLICE, read_steps};
use crate::sorting::Sorting;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Expiry, Interest, Key, Keyspace, NodeLimit, ObjectRef, ValueRef};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Collection as _, End, List, Set, SetBoundary, SortedSet};
use std::ops::{ControlFlow, Range};

/// Begins SORT.
pub(super) fn sort_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    begin(call, true)
}

/// Begins `SORT_RO`.
pub(super) fn sort_ro_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    begin(call, false)
}

fn begin(call: &Call<'_>, may_store: bool) -> Result<Box<dyn Slice>, ReplyError> {
    let options = Options::parse(call, may_store)?.without_patterns();
    let destination = options.store.map(|index| (index, call.db));
    let work = LongSort {
        options,
        limit: call.limits.encodings.list,
        stage: Stage::Begun,
        elements: Elements::default(),
        reply: Output::new(),
        stored: List::default(),
        len: 0,
    };
    Ok(work_in_slices(call, 1..2, destination, work))
}

struct LongSort {
    options: Options<'static>,
    /// Of the list that is stored.
    limit: NodeLimit,
    stage: Stage,
    elements: Elements,
    /// The elements as written, to be answered.
    reply: Output,
    /// The elements, to be stored.
    stored: List,
    /// How many elements were written or stored.
    len: usize,
}

enum Stage {
    Begun,
    /// Elements are read, of a list or a sorted set those at these places.
    Reading(Range<usize>, SetBoundary),
    Sorting(Sorting<Entry>),
    /// From this place of those wanted on.
    Writing(usize),
}

impl Work for LongSort {
    fn begin(&mut self) {
        self.stage = Stage::Begun;
        self.elements = Elements::default();
        self.reply.take();
        self.stored = List::default();
        self.len = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let object = match operands.values().next().flatten() {
            None => return Ok(false),
            Some(ValueRef::Object(object)) => object,
            Some(_) => return Err(ReplyError::WrongType),
        };
        self.stage = match std::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Begun => self.begin_reading(object)?,
            Stage::Reading(places, boundary) => self.read(object, places, boundary)?,
            Stage::Sorting(sorting) => self.sort(sorting),
            Stage::Writing(from) => {
                let next = self.write(from, protocol);
                if next == self.elements.wanted.end {
                    return Ok(false);
                }
                Stage::Writing(next)
            }
        };
        Ok(true)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let stored = std::mem::take(&mut self.stored);
        keyspace.tell(Interest::LIST, "sortstore").set_collection(key, stored, Expiry::Clear);
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.options.store.is_some() {
            return reply.integer(i64::try_from(self.len).unwrap_or(i64::MAX));
        }
        reply.array(self.len);
        reply.output().append(self.reply.take());
    }

    fn coming_bytes(&self) -> usize {
        self.reply.len()
    }
}

impl LongSort {
    fn begin_reading(&mut self, object: ObjectRef<'_>) -> Result<Stage, ReplyError> {
        let (elements, options) = (&mut self.elements, &mut self.options);
        let places = if let Some(list) = List::of(object) {
            elements.wanted = options.window(list.len());
            elements.visited(options, list.len())
        } else if let Some(set) = Set::of(object) {
            options.order_set(false);
            elements.wanted = options.window(set.len());
            0..set.len()
        } else if let Some(set) = SortedSet::of(object) {
            elements.wanted = options.window(set.len());
            let ranks = elements.visited(options, set.len());
            if options.is_reversed() {
                set.len() - ranks.end..set.len() - ranks.start
            } else {
                ranks
            }
        } else {
            return Err(ReplyError::WrongType);
        };
        elements.entries.reserve_exact(places.len());
        // So that few copies are made of what was read.
        elements.bytes.reserve_exact(places.len() * 8);
        Ok(Stage::Reading(places, SetBoundary::START))
    }

    /// Reads some elements of those at `places`, or of a set from `boundary` on.
    fn read(
        &mut self,
        object: ObjectRef<'_>,
        places: Range<usize>,
        boundary: SetBoundary,
    ) -> Result<Stage, ReplyError> {
        let (elements, is_reversed) = (&mut self.elements, self.options.is_reversed());
        let before = elements.entries.len();
        let count = places.len().min(ELEMENTS_PER_SLICE);
        let mut text = IntegerText::new();
        let mut rest = places.start + count..places.end;
        let mut next_boundary = None;
        if let Some(list) = List::of(object) {
            let (end, from) = if is_reversed {
                (End::Back, list.len() - 1 - places.start)
            } else {
                (End::Front, places.start)
            };
            let mut left = count;
            list.walk(end, from, |element| {
                elements.add(element.bytes(&mut text));
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        } else if let Some(set) = Set::of(object) {
            next_boundary = read_steps(boundary, &mut 0, |from, read| {
                set.for_each_slice(from, |member| {
                    *read += 1;
                    elements.add(bytes_of(member, &mut text));
                })
            });
        } else if let Some(set) = SortedSet::of(object) {
            let mut ranks = places.start..places.start + count;
            if is_reversed {
                ranks = places.end - count..places.end;
                rest = places.start..places.end - count;
            }
            for (member, _) in set.range(ranks, is_reversed) {
                elements.add(bytes_of(member, &mut text));
            }
        }
        if matches!(self.options.order, Order::Elements) && !self.options.is_alphabetical {
            let Elements { bytes, entries, .. } = elements;
            for entry in &mut entries[before..] {
                let found = number(&bytes[entry.text.clone()]);
                entry.weight = Weight::Number(found.ok_or(NOT_A_NUMBER)?);
            }
        }
        let has_more = next_boundary.is_some() || (Set::of(object).is_none() && !rest.is_empty());
        Ok(if has_more {
            Stage::Reading(rest, next_boundary.unwrap_or_default())
        } else if matches!(self.options.order, Order::Natural) {
            Stage::Writing(self.elements.wanted.start)
        } else {
            let entries = std::mem::take(&mut self.elements.entries);
            Stage::Sorting(Sorting::new(entries, self.elements.wanted.end))
        })
    }

    fn sort(&mut self, mut sorting: Sorting<Entry>) -> Stage {
        let bytes = &self.elements.bytes;
        let is_descending = self.options.is_descending;
        let has_more = sorting.step(|one, other| {
            let ordering = one.compare(other, bytes);
            if is_descending { ordering.reverse() } else { ordering }
        });
        if has_more {
            return Stage::Sorting(sorting);
        }
        self.elements.entries = sorting.finish();
        Stage::Writing(self.elements.wanted.start)
    }

    /// Writes, or stores, some of the wanted elements; where to go on.
    fn write(&mut self, from: usize, protocol: Protocol) -> usize {
        let next = self.elements.wanted.end.min(from + ELEMENTS_PER_SLICE);
        // Each slice's output by itself, so that none grows by copying millions of elements.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let is_stored = self.options.store.is_some();
        let Self { elements, stored, limit, len, .. } = self;
        let mut put = |text: Option<&[u8]>| {
            *len += 1;
            match text {
                // What is missing is stored as an empty string.
                text if is_stored => {
                    let text = text.unwrap_or_default();
                    stored.prepare(text.len(), 1, *limit);
                    stored.push(End::Back, text, *limit);
                }
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
        };
        for entry in &elements.entries[from..next] {
            let element = &elements.bytes[entry.text.clone()];
            if self.options.gets.is_empty() {
                put(Some(element));
            }
            for pattern in &self.options.gets {
                put(matches!(pattern, Pattern::Element).then_some(element));
            }
        }
        self.reply.append(output);
        next
    }
}
