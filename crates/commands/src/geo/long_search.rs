//! Searches among very many places, in slices.

use super::search::{Hit, event, ranks_of, write_hit};
use super::search_options::{Form, Order, Query};
use crate::joint::{Operands, Work, work_in_slices};
use crate::kept_call::KeptCall;
use crate::sorting::Sorting;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{EncodingLimits, Expiry, Interest, Key, KeyHasher, Keyspace};
use darter_value::geo::Point;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, SortedSet};
use std::ops::Range;

/// Places looked at, written or stored before others have their turn; of a shape that takes longer, fewer are looked at.
const PLACES_PER_SLICE: usize = 2048;

/// Begins a search.
pub(super) fn search_in_slices(
    call: &Call<'_>,
    form: Form,
    may_store: bool,
) -> Result<Box<dyn Slice>, ReplyError> {
    let source = form.source();
    let destination = Query::parse(call, form, may_store, None)?.store;
    let work = LongSearch {
        call: KeptCall::of(call),
        form,
        may_store,
        limits: call.limits.encodings,
        hasher: call.hasher.clone(),
        query: None,
        stage: Stage::Begun,
        members: Vec::new(),
        hits: Vec::new(),
        reply: Output::new(),
        stored: SortedSet::default(),
        len: 0,
    };
    let destination = destination.map(|index| (index, call.db));
    Ok(work_in_slices(call, source..source + 1, destination, work))
}

struct LongSearch {
    call: KeptCall,
    form: Form,
    may_store: bool,
    limits: EncodingLimits,
    hasher: KeyHasher,
    /// What is asked for, once the set was seen in which it is.
    query: Option<Query>,
    stage: Stage,
    /// The members found, one behind the other.
    members: Vec<u8>,
    hits: Vec<Found>,
    /// The places as written, to be answered.
    reply: Output,
    /// The places, to be stored.
    stored: SortedSet,
    /// How many places were found in the end.
    len: usize,
}

/// A place that was found.
#[derive(Debug)]
struct Found {
    /// Where its member is.
    member: Range<usize>,
    score: f64,
    distance: f64,
    /// Its place among all that were found.
    number: usize,
}

enum Stage {
    Begun,
    /// These ranks are still to be looked at, the last first.
    Searching(Vec<Range<usize>>),
    Sorting(Sorting<Found>),
    /// From this one of those found on.
    Writing(usize),
}

impl Work for LongSearch {
    fn begin(&mut self) {
        self.query = None;
        self.stage = Stage::Begun;
        self.members = Vec::new();
        self.hits = Vec::new();
        self.reply.take();
        self.stored = SortedSet::default();
        self.len = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let set = operands.collection::<SortedSet>()?;
        self.stage = match (std::mem::replace(&mut self.stage, Stage::Begun), set) {
            (Stage::Begun, _) => match self.begin_search(set)? {
                Some(stage) => stage,
                None => return Ok(false),
            },
            (Stage::Searching(ranks), Some(set)) => self.search(set, ranks),
            (Stage::Sorting(sorting), _) => self.sort(sorting),
            (Stage::Writing(from), _) => {
                let next = self.write(from, protocol);
                if next == self.len {
                    return Ok(false);
                }
                Stage::Writing(next)
            }
            (Stage::Searching(_), None) => return Ok(false),
        };
        Ok(true)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let stored = std::mem::take(&mut self.stored);
        keyspace.tell(Interest::SORTED_SET, event(self.form));
        keyspace.set_collection(key, stored, Expiry::Clear);
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if self.query.as_ref().is_some_and(|query| query.store.is_some()) {
            return reply.integer(i64::try_from(self.len).unwrap_or(i64::MAX));
        }
        reply.array(self.len);
        reply.output().append(self.reply.take());
    }

    fn coming_bytes(&self) -> usize {
        self.reply.len()
    }
}

impl LongSearch {
    /// Learns what is asked for; `None` if there is nothing to search in.
    fn begin_search(&mut self, set: Option<&SortedSet>) -> Result<Option<Stage>, ReplyError> {
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let query = Query::parse(&call, self.form, self.may_store, set)?;
        let ranks = set.zip(query.shape.as_ref()).map(|(set, shape)| {
            let mut ranks = ranks_of(set, shape);
            ranks.reverse();
            ranks
        });
        self.query = Some(query);
        Ok(ranks.map(Stage::Searching))
    }

    /// Looks at some more places.
    fn search(&mut self, set: &SortedSet, mut ranks: Vec<Range<usize>>) -> Stage {
        let Some(Query { shape: Some(shape), any, count, order, .. }) = &self.query else {
            return Stage::Writing(0);
        };
        let enough = count.filter(|_| *any).unwrap_or(usize::MAX);
        if let Some(range) = ranks.pop_if(|_| self.hits.len() < enough) {
            let at_once = (PLACES_PER_SLICE / shape.effort()).max(1);
            let end = range.end.min(range.start + at_once);
            let mut text = IntegerText::new();
            for (member, score) in set.range(range.start..end, false) {
                let Some(distance) = shape.distance_within(Point::from_score(score)) else {
                    continue;
                };
                let begin = self.members.len();
                self.members.extend_from_slice(bytes_of(member, &mut text));
                let (member, number) = (begin..self.members.len(), self.hits.len());
                self.hits.push(Found { member, score, distance, number });
                if self.hits.len() == enough {
                    break;
                }
            }
            if end < range.end {
                ranks.push(end..range.end);
            }
            return Stage::Searching(ranks);
        }
        let wanted = count.unwrap_or(usize::MAX).min(self.hits.len());
        self.len = wanted;
        if order.is_some() {
            return Stage::Sorting(Sorting::new(std::mem::take(&mut self.hits), wanted));
        }
        self.hits.truncate(wanted);
        self.begin_writing()
    }

    fn sort(&mut self, mut sorting: Sorting<Found>) -> Stage {
        let order = self.query.as_ref().and_then(|query| query.order);
        let has_more = sorting.step(|left, right| {
            let nearest = left.distance.total_cmp(&right.distance);
            let ordering = if order == Some(Order::Nearest) { nearest } else { nearest.reverse() };
            ordering.then(left.number.cmp(&right.number))
        });
        if has_more {
            return Stage::Sorting(sorting);
        }
        self.hits = sorting.finish();
        self.begin_writing()
    }

    fn begin_writing(&mut self) -> Stage {
        let bytes_max = self.hits.iter().map(|hit| hit.member.len()).max().unwrap_or(0);
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        self.stored.expect(self.len, bytes_max, rules);
        Stage::Writing(0)
    }

    /// Writes, or stores, some of what was found; where to go on.
    fn write(&mut self, from: usize, protocol: Protocol) -> usize {
        let Some(query) = &self.query else { return self.len };
        let next = self.len.min(from + PLACES_PER_SLICE);
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        // Each slice's output by itself, so that none grows by copying millions of places.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        for Found { member, score, distance, .. } in &self.hits[from..next] {
            let (score, distance) = (*score, *distance);
            let member = &self.members[member.clone()];
            if query.store.is_some() {
                let score = if query.store_distance { distance / query.metres } else { score };
                self.stored.set(member, score, rules);
            } else {
                let (member, point) = (Item::Bytes(member), Point::from_score(score));
                write_hit(&mut reply, &Hit { member, score, point, distance }, query);
            }
        }
        self.reply.append(output);
        next
    }
}
