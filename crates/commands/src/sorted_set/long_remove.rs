//! Removing very many members of a sorted set, in slices: ZREMRANGEBY* and ZPOP*.
//!
//! What stays is copied, and takes the place of all at once: what was there before is freed later, like any big value
//! that goes.

use super::pop::End;
use super::written::Shape;
use crate::joint::{Operands, Work, take_in_one_piece, work_in_slices};
use darter_base::number::format_u64;
use darter_command_table::{Call, ELEMENTS_IN_ONE_PIECE, Effects, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Interest, Key, Keyspace};
use darter_value::{Collection, SortedSet};
use std::ops::Range;

/// Members copied, or written, before others have their turn.
const MEMBERS_PER_SLICE: usize = 1024;

/// The same of a set: fewer where they are long.
fn members_per_slice(set: &SortedSet) -> usize {
    (MEMBERS_PER_SLICE / set.weight()).max(1)
}

/// Leaves a command to its slices if it would remove so many members of `set` in one piece that others would notice.
pub(super) fn in_one_piece(
    call: &Call<'_>,
    set: &SortedSet,
    removed: usize,
) -> Result<(), ReplyError> {
    let weight = set.weight();
    if set.is_packed() || removed.saturating_mul(weight) <= ELEMENTS_IN_ONE_PIECE {
        return Ok(());
    }
    take_in_one_piece(call, set.len().saturating_mul(weight), removed.saturating_mul(weight))
}

/// Begins to remove the members of the key at an argument whose ranks `ranks` finds.
pub(super) fn remove_in_slices(
    call: &Call<'_>,
    key: usize,
    event: &'static str,
    ranks: impl Fn(&SortedSet) -> Range<usize> + Send + 'static,
    answer: Answer,
) -> Box<dyn Slice> {
    let work = Removal {
        event,
        ranks: Box::new(ranks),
        answer,
        key: call.args.at(key).into(),
        written: 0,
        elements: Output::new(),
        kept: None,
        removed: 0,
    };
    work_in_slices(call, key..key + 1, Some((key, call.db)), work)
}

/// Finds the ranks of members.
type Ranks = Box<dyn Fn(&SortedSet) -> Range<usize> + Send>;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// How many there were.
    Count,
    /// The members, from one end.
    Members(End, Shape),
    /// The key, and the members.
    KeyAndMembers(End),
}

impl Answer {
    const fn end(self) -> Option<(End, Shape)> {
        match self {
            Self::Count => None,
            Self::Members(end, shape) => Some((end, shape)),
            Self::KeyAndMembers(end) => Some((end, Shape::Pairs)),
        }
    }
}

struct Removal {
    event: &'static str,
    /// Which members go.
    ranks: Ranks,
    answer: Answer,
    key: Box<[u8]>,
    /// Members written.
    written: usize,
    /// The same as written.
    elements: Output,
    /// As many of those that stay as were copied; `None` if it is not needed: there is nothing to remove.
    kept: Option<SortedSet>,
    removed: usize,
}

impl Removal {
    /// Writes some more of the members of these ranks.
    fn write(&mut self, set: &SortedSet, ranks: &Range<usize>, protocol: Protocol) {
        let Some((end, shape)) = self.answer.end() else { return };
        let count = members_per_slice(set).min(ranks.len() - self.written);
        let is_reversed = end == End::Highest;
        let some = if is_reversed {
            let end = ranks.end - self.written;
            end - count..end
        } else {
            let start = ranks.start + self.written;
            start..start + count
        };
        // Each slice's output by itself, so that none grows by copying millions of members.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        for (member, score) in set.range(some, is_reversed) {
            shape.write(&mut reply, member, score);
        }
        self.elements.append(output);
        self.written += count;
    }
}

impl Work for Removal {
    fn begin(&mut self) {
        self.written = 0;
        self.elements.take();
        self.kept = None;
        self.removed = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let Some(set) = operands.collection::<SortedSet>()? else { return Ok(false) };
        let ranks = (self.ranks)(set);
        self.removed = ranks.len();
        if self.answer.end().is_some() && self.written < ranks.len() {
            self.write(set, &ranks, protocol);
            return Ok(true);
        }
        if ranks.is_empty() {
            return Ok(false);
        }
        let Some(empty) = set.emptied() else {
            // It has become a small one after the command was begun.
            let mut rest = set.clone();
            rest.remove_range(ranks, |_, _| {});
            self.kept = Some(rest);
            return Ok(false);
        };
        let kept = self.kept.get_or_insert(empty);
        let stay = set.len() - ranks.len();
        let from = kept.len();
        let next = if from < ranks.start {
            from..ranks.start.min(from + members_per_slice(set))
        } else {
            let from = from + ranks.len();
            from..set.len().min(from + members_per_slice(set))
        };
        set.copy_ranks(next, kept);
        Ok(kept.len() < stay)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        if let Some(kept) = self.kept.take() {
            keyspace.tell(Interest::SORTED_SET, self.event);
            keyspace.exchange_collection(key, kept, self.removed as u64);
        }
    }

    fn describe(&self, effects: &mut Effects) {
        if let Answer::KeyAndMembers(end) = self.answer
            && self.removed > 0
        {
            let count = format_u64(self.removed as u64);
            effects.instead().add(&[end.pop_command(), &self.key, count.as_bytes()]);
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        match self.answer {
            Answer::Count => {
                return reply.integer(i64::try_from(self.removed).unwrap_or(i64::MAX));
            }
            Answer::Members(_, shape) => shape.begin(reply, self.removed),
            // It has gone after the command was begun.
            Answer::KeyAndMembers(_) if self.removed == 0 => return reply.null_array(),
            Answer::KeyAndMembers(_) => {
                reply.array(2);
                reply.bulk(&self.key);
                Shape::Pairs.begin(reply, self.removed);
            }
        }
        reply.output().append(self.elements.take());
    }

    fn coming_bytes(&self) -> usize {
        self.elements.len()
    }
}
