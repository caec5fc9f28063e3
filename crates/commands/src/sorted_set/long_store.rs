//! ZRANGESTORE of many members, in slices.

use super::range::{Query, store_grammar};
use crate::joint::{Operands, Work, work_in_slices};
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Protocol, ReplyWriter};
use darter_shard::{EncodingLimits, Expiry, Interest, Key, KeyHasher, Keyspace};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Rules, SortedSet};

/// Members stored before others have their turn.
const MEMBERS_PER_SLICE: usize = 1024;

/// Begins to store a range of the sorted set at argument 2 at argument 1.
pub(super) fn store_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let work = RangeStore {
        query: Query::parse(call, 3, store_grammar())?.to_owned(),
        limits: call.limits.encodings,
        hasher: call.hasher.clone(),
        stored: SortedSet::default(),
        len: 0,
    };
    Ok(work_in_slices(call, 2..3, Some((1, call.db)), work))
}

struct RangeStore {
    query: Query<'static>,
    limits: EncodingLimits,
    hasher: KeyHasher,
    /// As many members of the range as there are.
    stored: SortedSet,
    /// Members stored in the end.
    len: usize,
}

impl Work for RangeStore {
    fn begin(&mut self) {
        self.stored = SortedSet::default();
        self.len = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let Some(set) = operands.collection::<SortedSet>()? else { return Ok(false) };
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        let ranks = self.query.ranks(set);
        if self.stored.is_empty() {
            self.stored.expect(ranks.len(), 0, rules);
        }
        // In order, whichever way the range was asked for: what is stored is the same.
        let from = ranks.start + self.stored.len();
        let mut text = IntegerText::new();
        for (member, score) in set.range(from..ranks.end.min(from + MEMBERS_PER_SLICE), false) {
            self.stored.set(bytes_of(member, &mut text), score, rules);
        }
        self.len = self.stored.len();
        Ok(self.len < ranks.len())
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let stored = std::mem::take(&mut self.stored);
        keyspace.tell(Interest::SORTED_SET, "zrangestore");
        keyspace.set_collection(key, stored, Expiry::Clear);
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.integer(i64::try_from(self.len).unwrap_or(i64::MAX));
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}
