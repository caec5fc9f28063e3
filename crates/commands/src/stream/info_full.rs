//! XINFO STREAM FULL: the entries of a stream and all that its groups remember, in one piece or in slices.

use super::id;
use super::info::{field, write_head, write_progress};
use super::reply::write_entry;
use crate::joint::{Operands, Work, work_in_slices};
use crate::long_read::ELEMENTS_PER_SLICE;
use darter_base::UnixMillis;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::stream::{Consumer, Group, Log, Stream, StreamId};

/// The reply, as far as it is written.
pub(super) struct Full {
    /// How much of each list is shown.
    count: usize,
    now: UnixMillis,
    at: At,
}

/// What is written next.
enum At {
    Head,
    Entries(Place),
    Groups,
    /// Something about the group of this name, or about those behind it.
    Group(Box<[u8]>, Part),
    End,
}

/// What of a group is written next.
enum Part {
    Head,
    Pending(Place),
    /// The consumer of this number in the order of names; all but what is pending with it from a place on if that is
    /// given.
    Consumer(usize, Option<Place>),
    /// Nothing.
    Done,
}

/// The id to go on with in a list, and how many of it were written.
#[derive(Clone, Copy)]
struct Place {
    from: StreamId,
    written: usize,
}

const BEGINNING: Place = Place { from: StreamId::MIN, written: 0 };

impl Full {
    /// Shows `count` of each list; 0: all.
    pub(super) const fn new(count: usize, now: UnixMillis) -> Self {
        Self { count: if count == 0 { usize::MAX } else { count }, now, at: At::Head }
    }

    /// How many elements are to be shown.
    pub(super) fn elements(&self, stream: &Stream) -> usize {
        let len = usize::try_from(stream.log().len()).unwrap_or(usize::MAX);
        // Each pending entry is shown twice.
        let of_group =
            |group: &Group| group.consumers().len() + 2 * group.pending_len().min(self.count);
        let of_groups = stream.groups().map(|(_, group)| of_group(group));
        len.min(self.count).saturating_add(of_groups.sum())
    }

    /// Writes on, some thousand elements; whether there is more.
    pub(super) fn step(&mut self, stream: &Stream, reply: &mut ReplyWriter<'_>) -> bool {
        let mut left = ELEMENTS_PER_SLICE;
        self.at = match std::mem::replace(&mut self.at, At::End) {
            At::Head => {
                write_head(reply, stream, self.now, true);
                reply.bulk(b"entries");
                let len = usize::try_from(stream.log().len()).unwrap_or(usize::MAX);
                reply.array(len.min(self.count));
                At::Entries(BEGINNING)
            }
            At::Entries(place) => {
                let entries = stream.log().entries(place.from, StreamId::MAX);
                let entries = entries.map(|entry| (entry.id(), entry));
                let next = self.write_list(place, entries, &mut left, |entry| {
                    write_entry(reply, &entry);
                });
                next.map_or(At::Groups, At::Entries)
            }
            At::Groups => {
                reply.bulk(b"groups");
                reply.array(stream.groups().len());
                At::Group(Box::default(), Part::Head)
            }
            At::Group(from, mut part) => {
                let mut next = At::End;
                for (name, group) in stream.groups_from(&from) {
                    if left == 0 {
                        next = At::Group(name.into(), Part::Head);
                        break;
                    }
                    part = self.write_group((stream.log(), name, group), part, &mut left, reply);
                    if !matches!(part, Part::Done) {
                        next = At::Group(name.into(), part);
                        break;
                    }
                    part = Part::Head;
                }
                next
            }
            At::End => At::End,
        };
        !matches!(self.at, At::End)
    }

    /// Writes of a list what comes at `place` and behind it; where to go on.
    fn write_list<T>(
        &self,
        mut place: Place,
        elements: impl Iterator<Item = (StreamId, T)>,
        left: &mut usize,
        mut write: impl FnMut(T),
    ) -> Option<Place> {
        for (id, element) in elements {
            if place.written == self.count {
                return None;
            }
            if *left == 0 {
                return Some(Place { from: id, ..place });
            }
            write(element);
            *left -= 1;
            place.written += 1;
        }
        None
    }

    /// Writes on about a group; what to go on with.
    fn write_group(
        &self,
        (log, name, group): (&Log, &[u8], &Group),
        mut part: Part,
        left: &mut usize,
        reply: &mut ReplyWriter<'_>,
    ) -> Part {
        if let Part::Head = part {
            reply.map(7);
            reply.bulk(b"name");
            reply.bulk(name);
            write_progress(reply, group, log);
            self.begin_pending(reply, group.pending_len());
            *left -= 1;
            part = Part::Pending(BEGINNING);
        }
        if let Part::Pending(place) = part {
            let pending = group.pending_in(place.from..=StreamId::MAX);
            let pending = pending.map(|(id, pending)| (id, (id, pending)));
            let next = self.write_list(place, pending, left, |(id, pending)| {
                reply.array(4);
                id::write(reply, id);
                reply.bulk(group.consumer(pending.consumer).name());
                reply.integer(pending.delivered_at_ms);
                reply.integer(pending.deliveries.cast_signed());
            });
            if let Some(place) = next {
                return Part::Pending(place);
            }
            reply.bulk(b"consumers");
            reply.array(group.consumers().len());
            part = Part::Consumer(0, None);
        }
        let Part::Consumer(first, mut place) = part else { return Part::Done };
        for (number, consumer) in group.consumers().enumerate().skip(first) {
            if *left == 0 {
                return Part::Consumer(number, place);
            }
            let begun = place.take().unwrap_or_else(|| {
                self.begin_consumer(reply, consumer);
                *left -= 1;
                BEGINNING
            });
            let ids = consumer.pending_in(begun.from..=StreamId::MAX).map(|id| (id, id));
            let next = self.write_list(begun, ids, left, |id| {
                reply.array(3);
                id::write(reply, id);
                let pending = group.pending(id);
                reply.integer(pending.map_or(0, |pending| pending.delivered_at_ms));
                reply.integer(pending.map_or(0, |pending| pending.deliveries.cast_signed()));
            });
            if next.is_some() {
                return Part::Consumer(number, next);
            }
        }
        Part::Done
    }

    fn begin_consumer(&self, reply: &mut ReplyWriter<'_>, consumer: &Consumer) {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        field(reply, "seen-time", consumer.seen_at_ms);
        field(reply, "active-time", consumer.active_at_ms.unwrap_or(-1));
        self.begin_pending(reply, consumer.pending_len());
    }

    fn begin_pending(&self, reply: &mut ReplyWriter<'_>, len: usize) {
        field(reply, "pel-count", len.cast_signed() as i64);
        reply.bulk(b"pending");
        reply.array(len.min(self.count));
    }
}

/// Begins to write the reply about the stream at argument 2.
pub(super) fn write_in_slices(call: &Call<'_>, count: usize) -> Box<dyn Slice> {
    let now = call.now;
    let work = LongInfo { count, now, full: Full::new(count, now), reply: Output::new() };
    work_in_slices(call, 2..3, None, work)
}

struct LongInfo {
    count: usize,
    now: UnixMillis,
    full: Full,
    reply: Output,
}

impl Work for LongInfo {
    fn begin(&mut self) {
        self.full = Full::new(self.count, self.now);
        self.reply.take();
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let stream = operands.collection::<Stream>()?.ok_or(ReplyError::NoSuchKey)?;
        // A slice can end within a list, so that its output is nothing by itself.
        Ok(self.full.step(stream, &mut ReplyWriter::new(&mut self.reply, protocol)))
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.output().append(self.reply.take());
    }

    fn coming_bytes(&self) -> usize {
        self.reply.len()
    }
}
