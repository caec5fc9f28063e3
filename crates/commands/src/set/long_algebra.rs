//! Set algebra over big sets, in slices.

use super::algebra::{Goal, Operation, estimate_of};
use super::combine::{UNION_BY_LOOKUP_MAX, by_size, intersect_slice, subtract_slice, unite_slice};
use crate::joint::{Operands, Work, work_in_slices};
use crate::reply::write_item;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{
    EncodingLimits, Expiry, Interest, Key, KeyHasher, Keyspace, WrongType, collection_of,
};
use darter_value::hyperloglog::Registers;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, Set, SetBoundary};
use std::ops::Range;

/// Slices of a table, some hundred members each, that are gone through and looked up in one other set before
/// others have their turn.
const TABLE_SLICES: usize = 8;

/// Begins `operation` over the sets at the arguments `keys`.
pub(super) fn combine_in_slices(
    call: &Call<'_>,
    keys: Range<usize>,
    operation: Operation,
    goal: Goal,
) -> Box<dyn Slice> {
    let destination = (goal == Goal::Store).then_some((1, call.db));
    let lookups = keys.len().saturating_sub(1).clamp(1, TABLE_SLICES);
    let work = Algebra {
        operation,
        goal,
        limits: call.limits.encodings,
        hasher: call.hasher.clone(),
        slices: TABLE_SLICES / lookups,
        at: (0, SetBoundary::START),
        union: Set::default(),
        seen: matches!(goal, Goal::Estimate { .. }).then(Registers::new),
        found: Found::default(),
    };
    work_in_slices(call, keys, destination, work)
}

struct Algebra {
    operation: Operation,
    goal: Goal,
    limits: EncodingLimits,
    hasher: KeyHasher,
    /// Slices of a table in one step.
    slices: usize,
    /// The set that is gone through, by its place among the operands, and how far it is.
    at: (usize, SetBoundary),
    /// Members of any of many sets. To be gone through like one more operand when all are in.
    union: Set,
    /// What an estimate is made of.
    seen: Option<Registers>,
    found: Found,
}

/// What was found.
#[derive(Default)]
struct Found {
    count: usize,
    /// The members as written, to be answered.
    elements: Output,
    /// The members, to be stored.
    set: Set,
}

impl Found {
    fn take(
        &mut self,
        member: Item<'_>,
        goal: Goal,
        rules: Rules<'_>,
        reply: &mut ReplyWriter<'_>,
    ) {
        self.count += 1;
        match goal {
            Goal::Answer => write_item(reply, member),
            Goal::Store => {
                self.set.add(member, rules);
            }
            Goal::Count { .. } | Goal::Estimate { .. } => {}
        }
    }
}

impl Algebra {
    /// Goes on in the set it is at; whether there is more.
    fn go_on(&mut self, sets: &[Option<&Set>], protocol: Protocol) -> bool {
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        let (goal, found) = (self.goal, &mut self.found);
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let mut left = match goal {
            Goal::Count { limit } => limit.saturating_sub(found.count),
            _ => usize::MAX,
        };
        let present: Vec<&Set> = sets.iter().copied().flatten().collect();
        let (index, from) = self.at;
        if let Some(seen) = &mut self.seen {
            let Some(set) = present.get(index) else { return false };
            let mut text = IntegerText::new();
            let next = set.for_each_slice(from, |member| seen.add(bytes_of(member, &mut text)));
            self.at = next.map_or((index + 1, SetBoundary::START), |boundary| (index, boundary));
            return self.at.0 < present.len();
        }
        let emit = |member: Item<'_>| found.take(member, goal, rules, &mut reply);
        let (next, sets_len) = match self.operation {
            Operation::Intersect => match by_size(sets) {
                Some(sets) => (intersect_slice(&sets, from, &mut left, rules.hasher, emit), 1),
                None => (None, 1),
            },
            Operation::Subtract => match sets {
                [Some(first), ..] => {
                    // The first is there, so it is the first that is present.
                    let others = &present[1..];
                    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
                        (None, 1)
                    } else {
                        (subtract_slice(first, others, from, rules.hasher, emit), 1)
                    }
                }
                _ => (None, 1),
            },
            Operation::Unite if present.len() <= UNION_BY_LOOKUP_MAX => match present.get(index) {
                Some(_) => (unite_slice(&present, index, from, rules.hasher, emit), present.len()),
                None => (None, present.len()),
            },
            Operation::Unite => match present.get(index) {
                Some(set) => {
                    let union = &mut self.union;
                    let next = set.for_each_slice(from, |member| {
                        union.add(member, rules);
                    });
                    (next, present.len() + 1)
                }
                None => (self.union.for_each_slice(from, emit), present.len() + 1),
            },
        };
        found.elements.append(output);
        self.at = match next {
            Some(boundary) => (index, boundary),
            None => (index + 1, SetBoundary::START),
        };
        if let Goal::Count { limit } = goal {
            left = limit.saturating_sub(self.found.count);
        }
        self.at.0 < sets_len && left > 0
    }
}

impl Work for Algebra {
    fn begin(&mut self) {
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        self.at = (0, SetBoundary::START);
        self.union = Set::default();
        self.seen = self.seen.take().map(|_| Registers::new());
        self.found = Found::default();
        // A set of integers, for as long as the members are.
        self.found.set.expect(b"0", 0, rules);
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let sets: Vec<Option<&Set>> = operands
            .values()
            .map(|value| value.map(collection_of).transpose())
            .collect::<Result<_, WrongType>>()?;
        if !(0..self.slices).all(|_| self.go_on(&sets, protocol)) {
            return Ok(false);
        }
        Ok(match (self.goal, &self.seen) {
            (Goal::Estimate { limit }, Some(seen)) => estimate_of(seen, limit) < limit,
            _ => true,
        })
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let mut result = std::mem::take(&mut self.found.set);
        result.compact_integers(Rules { limits: &self.limits, hasher: &self.hasher });
        keyspace.tell(Interest::SET, self.operation.event());
        keyspace.set_collection(key, result, Expiry::Clear);
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        match self.goal {
            Goal::Answer => {
                reply.set(self.found.count);
                reply.output().append(self.found.elements.take());
            }
            Goal::Store | Goal::Count { .. } | Goal::Estimate { .. } => {
                let count = match (self.goal, &self.seen) {
                    (Goal::Count { limit }, _) => self.found.count.min(limit),
                    (Goal::Estimate { limit }, Some(seen)) => estimate_of(seen, limit),
                    _ => self.found.count,
                };
                reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    fn coming_bytes(&self) -> usize {
        self.found.elements.len()
    }
}
