//! SORT of very many elements, in slices.

use super::options::{Options, Order};
use super::{Elements, Entry, NOT_A_NUMBER, Weight, number};
use crate::effects::add_with_elements;
use crate::joint::{Operands, Work, work_in_slices};
use crate::kept_call::KeptCall;
use crate::long_read::{ELEMENTS_PER_SLICE, read_steps};
use crate::sorting::Sorting;
use darter_command_table::{Call, Effects, ReplyError, Slice};
use darter_resp::{Output, OwnedArgs, Protocol, ReplyWriter};
use darter_shard::{Expiry, Interest, Key, Keyspace, NodeLimit, ObjectRef, ValueRef};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Collection as _, End, List, Set, SetBoundary, SortedSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Begins SORT.
pub(super) fn sort_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    begin(call, true)
}

/// Begins `SORT_RO`.
pub(super) fn sort_ro_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    begin(call, false)
}

fn begin(call: &Call<'_>, may_store: bool) -> Result<Box<dyn Slice>, ReplyError> {
    let options = Options::parse(call, may_store)?;
    let destination = options.store.map(|index| (index, call.db));
    let work = LongSort {
        call: Arc::new(KeptCall::of(call)),
        reads_keys: options.reads_keys(),
        destination: options.store,
        leaves_elements: destination.is_some() && options.reads_fields(),
        limit: call.limits.encodings.list,
        stage: Stage::Begun,
        elements: Elements::default(),
        reply: Output::new(),
        stored: List::default(),
        left: OwnedArgs::new(),
        existed: false,
        len: 0,
    };
    Ok(work_in_slices(call, 1..2, destination, work))
}

struct LongSort {
    call: Arc<KeptCall>,
    /// Whether patterns make keys of elements.
    reads_keys: bool,
    /// The argument that names where it stores.
    destination: Option<usize>,
    /// Whether what is stored is to be told: fields that have expired are not there now, but when this is run again.
    leaves_elements: bool,
    /// Of the list that is stored.
    limit: NodeLimit,
    stage: Stage,
    elements: Elements,
    /// The elements as written, to be answered.
    reply: Output,
    /// The elements, to be stored.
    stored: List,
    /// The same, if it is to be told, and whether something else was there before.
    left: OwnedArgs,
    existed: bool,
    /// How many elements were written or stored.
    len: usize,
}

enum Stage {
    Begun,
    /// Elements are read, of a list or a sorted set those at these places.
    Reading(Range<usize>, SetBoundary),
    /// What orders the elements from this one on is looked up.
    Weighing(usize),
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
        self.left = OwnedArgs::new();
        self.len = 0;
    }

    fn reaches_beyond(&self) -> bool {
        self.reads_keys
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let object = match operands.values().next().flatten() {
            None => return Ok(false),
            Some(ValueRef::Object(object)) => object,
            Some(_) => return Err(ReplyError::WrongType),
        };
        let (kept, mut output) = (Arc::clone(&self.call), Output::new());
        // It was parsed before: where nothing may be stored, there is no STORE.
        let mut options = Options::parse(&kept.with(&mut output), true)?;
        if Set::of(object).is_some() {
            options.order_set(false);
        }
        let options = &options;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Begun => self.begin_reading(object, options)?,
            Stage::Reading(places, boundary) => self.read(object, places, boundary, options)?,
            Stage::Weighing(from) => self.weigh(from, operands, options)?,
            Stage::Sorting(sorting) => self.sort(sorting, options),
            Stage::Writing(from) => {
                let next = self.write(from, operands, options, protocol);
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
        self.existed = self.leaves_elements && keyspace.peek(key).is_some();
        keyspace.tell(Interest::LIST, "sortstore").set_collection(key, stored, Expiry::Clear);
    }

    fn describe(&self, effects: &mut Effects) {
        let mut output = Output::new();
        let call = self.call.with(&mut output);
        if let Some(index) = self.destination.filter(|_| self.leaves_elements) {
            let effects = effects.instead();
            if self.existed {
                effects.add(&[b"DEL", call.args.at(index)]);
            }
            add_with_elements(effects, b"RPUSH", call.args.at(index), self.left.as_args());
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.destination.is_some() {
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
    fn begin_reading(
        &mut self,
        object: ObjectRef<'_>,
        options: &Options<'_>,
    ) -> Result<Stage, ReplyError> {
        let elements = &mut self.elements;
        let places = if let Some(list) = List::of(object) {
            elements.wanted = options.window(list.len());
            elements.visited(options, list.len())
        } else if let Some(set) = Set::of(object) {
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
        options: &Options<'_>,
    ) -> Result<Stage, ReplyError> {
        let (elements, is_reversed) = (&mut self.elements, options.is_reversed());
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
            next_boundary = read_steps(boundary, (&mut 0, ELEMENTS_PER_SLICE), |from, read| {
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
        if matches!(options.order, Order::Elements) && !options.is_alphabetical {
            let Elements { bytes, entries, .. } = elements;
            for entry in &mut entries[before..] {
                let found = number(&bytes[entry.text.clone()]);
                entry.weight = Weight::Number(found.ok_or(NOT_A_NUMBER)?);
            }
        }
        let has_more = next_boundary.is_some() || (Set::of(object).is_none() && !rest.is_empty());
        Ok(if has_more {
            Stage::Reading(rest, next_boundary.unwrap_or_default())
        } else {
            match options.order {
                Order::Natural => Stage::Writing(self.elements.wanted.start),
                Order::By(_) => Stage::Weighing(0),
                Order::Elements => self.begin_sorting(),
            }
        })
    }

    /// Looks up what some elements are ordered by.
    fn weigh(
        &mut self,
        from: usize,
        operands: &Operands<'_>,
        options: &Options<'_>,
    ) -> Result<Stage, ReplyError> {
        let next = self.elements.entries.len().min(from + options.elements_per_slice());
        self.elements.weigh(from..next, options, |pattern, element, value| {
            let found = pattern.look_up_among(operands, element, |found| {
                value.extend_from_slice(found);
            });
            found.is_some()
        })?;
        let is_last = next == self.elements.entries.len();
        Ok(if is_last { self.begin_sorting() } else { Stage::Weighing(next) })
    }

    fn begin_sorting(&mut self) -> Stage {
        let entries = std::mem::take(&mut self.elements.entries);
        Stage::Sorting(Sorting::new(entries, self.elements.wanted.end))
    }

    fn sort(&mut self, mut sorting: Sorting<Entry>, options: &Options<'_>) -> Stage {
        let bytes = &self.elements.bytes;
        let is_descending = options.is_descending;
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
    fn write(
        &mut self,
        from: usize,
        operands: &Operands<'_>,
        options: &Options<'_>,
        protocol: Protocol,
    ) -> usize {
        let next = self.elements.wanted.end.min(from + options.elements_per_slice());
        // Each slice's output by itself, so that none grows by copying millions of elements.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let is_stored = self.destination.is_some();
        let Self { elements, stored, left, leaves_elements, limit, len, .. } = self;
        let mut put = |text: Option<&[u8]>| {
            *len += 1;
            match text {
                // What is missing is stored as an empty string.
                text if is_stored => {
                    let text = text.unwrap_or_default();
                    stored.prepare(text.len(), 1, *limit);
                    stored.push(End::Back, text, *limit);
                    if *leaves_elements {
                        left.push(text);
                    }
                }
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
        };
        for entry in &elements.entries[from..next] {
            let element = &elements.bytes[entry.text.clone()];
            if options.gets.is_empty() {
                put(Some(element));
            }
            for pattern in &options.gets {
                let found = pattern.look_up_among(operands, element, |found| put(Some(found)));
                if found.is_none() {
                    put(None);
                }
            }
        }
        self.reply.append(output);
        next
    }
}
