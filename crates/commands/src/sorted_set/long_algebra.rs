//! ZUNION, ZINTER, ZDIFF and their like over big sets, in slices.
//!
//! What is answered or stored is collected in a sorted set, so that it need not be sorted in one go.

use super::algebra::{Goal, Operation, Options, source_of};
use super::combine::{Aggregate, SourceBoundary, Weighted, not_nan};
use super::written::Shape;
use crate::joint::{Operands, Work, work_in_slices};
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{EncodingLimits, Expiry, Interest, Key, KeyHasher, Keyspace};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, SortedSet};
use std::convert::Infallible;
use std::ops::Range;

/// Members that are put into the result, or looked up in one other source, before others have their turn.
const MEMBERS_PER_SLICE: usize = 1024;

/// Begins `operation` over the sources at the arguments `keys`.
pub(super) fn combine_in_slices(
    call: &Call<'_>,
    keys: Range<usize>,
    options: Options,
    operation: Operation,
    goal: Goal,
) -> Box<dyn Slice> {
    let lookups = keys.len().saturating_sub(1).max(1);
    let work = Algebra {
        operation,
        goal,
        shape: Shape::of(&call.reply, options.with_scores),
        options,
        limits: call.limits.encodings,
        hasher: call.hasher.clone(),
        members: (MEMBERS_PER_SLICE / lookups).max(1),
        at: At::default(),
        count: 0,
        result: SortedSet::default(),
        elements: Output::new(),
    };
    work_in_slices(call, keys, (goal == Goal::Store).then_some((1, call.db)), work)
}

struct Algebra {
    operation: Operation,
    goal: Goal,
    shape: Shape,
    options: Options,
    limits: EncodingLimits,
    hasher: KeyHasher,
    /// Members gone through in one step.
    members: usize,
    at: At,
    /// Members found.
    count: usize,
    result: SortedSet,
    /// The result as written, as far as it is.
    elements: Output,
}

/// How far the work is.
#[derive(Clone, Copy)]
enum At {
    /// Going through a source, by its place in the order in which they are gone through.
    Source(usize, SourceBoundary),
    /// Writing the result, up to this rank.
    Result(usize),
}

impl Default for At {
    fn default() -> Self {
        Self::Source(0, SourceBoundary::default())
    }
}

impl Algebra {
    /// Puts members of a source where they belong. How many sources are gone through, and where to go on in this
    /// one.
    fn collect(
        &mut self,
        sources: &mut [Weighted<'_>],
        index: usize,
        from: SourceBoundary,
    ) -> (usize, Option<SourceBoundary>) {
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        let (aggregate, result) = (self.options.aggregate, &mut self.result);
        let mut text = IntegerText::new();
        if self.operation != Operation::Difference {
            // Scores are combined from the smallest source on, as in one piece.
            sources.sort_by_key(Weighted::len);
        }
        if self.operation == Operation::Union {
            let Some(Weighted { source, weight }) = sources.get(index) else { return (0, None) };
            let next = source.and_then(|source| {
                source.for_each_slice(from, self.members, |member, score| {
                    let score = not_nan(score * weight);
                    put(result, bytes_of(member, &mut text), score, Some(aggregate), rules);
                })
            });
            return (sources.len(), next);
        }
        let [first, others @ ..] = &*sources else { return (0, None) };
        let Some(source) = first.source else { return (1, None) };
        let (count, limit, goal) = (&mut self.count, self.options.limit, self.goal);
        let mut found = |member: Item<'_>, score: f64| {
            if goal != Goal::Count {
                put(result, bytes_of(member, &mut IntegerText::new()), score, None, rules);
            } else if *count < limit {
                *count += 1;
            }
        };
        let next = source.for_each_slice(from, self.members, |member, score| {
            let bytes = bytes_of(member, &mut text);
            if self.operation == Operation::Difference {
                if !others.iter().any(|other| other.has(source, bytes)) {
                    found(member, score);
                }
            } else if let Some(score) = first.combined(source, bytes, score, others, aggregate) {
                found(member, score);
            }
        });
        (1, next)
    }

    /// Writes on from a rank; where to go on.
    fn write(&mut self, from: usize, protocol: Protocol) -> Option<usize> {
        let end = self.result.len().min(from + MEMBERS_PER_SLICE);
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        for (member, score) in self.result.range(from..end, false) {
            self.shape.write(&mut reply, member, score);
        }
        self.elements.append(output);
        (end < self.result.len()).then_some(end)
    }
}

/// Gives `member` its score, or combines it with the one it has.
fn put(
    result: &mut SortedSet,
    member: &[u8],
    score: f64,
    aggregate: Option<Aggregate>,
    rules: Rules<'_>,
) {
    let combine = |old: Option<f64>| match (old, aggregate) {
        (Some(old), Some(aggregate)) => aggregate.of(old, score),
        _ => score,
    };
    let changed = result.change(member, rules, |old| Ok::<_, Infallible>(Some(combine(old))));
    let Ok(_) = changed;
}

impl Work for Algebra {
    fn begin(&mut self) {
        self.at = At::default();
        self.count = 0;
        self.result = SortedSet::default();
        self.elements.take();
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let At::Source(index, from) = self.at else {
            let At::Result(rank) = self.at else { return Ok(false) };
            let next = self.write(rank, protocol);
            self.at = At::Result(next.unwrap_or(rank));
            return Ok(next.is_some());
        };
        let mut sources: Vec<Weighted<'_>> = operands
            .values()
            .zip(&self.options.weights)
            .map(|(value, weight)| {
                let source = value.map(|value| source_of(value).ok_or(ReplyError::WrongType));
                Ok(Weighted { source: source.transpose()?, weight: *weight })
            })
            .collect::<Result<_, ReplyError>>()?;
        let (sources_len, next) = self.collect(&mut sources, index, from);
        self.at = match next {
            Some(boundary) => At::Source(index, boundary),
            None => At::Source(index + 1, SourceBoundary::default()),
        };
        let has_enough = self.goal == Goal::Count && self.count >= self.options.limit;
        if (next.is_some() || index + 1 < sources_len) && !has_enough {
            return Ok(true);
        }
        self.at = At::Result(0);
        Ok(self.goal == Goal::Answer)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        self.count = self.result.len();
        let result = std::mem::take(&mut self.result);
        keyspace.tell(Interest::SORTED_SET, self.operation.event());
        keyspace.set_collection(key, result, Expiry::Clear);
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.goal == Goal::Answer {
            self.shape.begin(reply, self.result.len());
            reply.output().append(self.elements.take());
        } else {
            reply.integer(i64::try_from(self.count).unwrap_or(i64::MAX));
        }
    }

    fn coming_bytes(&self) -> usize {
        self.elements.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_combined_where_there_are_some() {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(1));
        let rules = Rules { limits: &limits, hasher: &hasher };
        let mut set = SortedSet::default();
        put(&mut set, b"a", 1.0, Some(Aggregate::Sum), rules);
        put(&mut set, b"a", 2.0, Some(Aggregate::Sum), rules);
        put(&mut set, b"a", 7.0, Some(Aggregate::Min), rules);
        assert_eq!(set.score(b"a"), Some(3.0));
        put(&mut set, b"a", 7.0, None, rules);
        assert_eq!(set.score(b"a"), Some(7.0));
    }
}
