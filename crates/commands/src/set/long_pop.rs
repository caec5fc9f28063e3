//! SPOP of very many members, in slices.
//!
//! The set is gone through, chance says which members go, and those that stay are copied; in the end the copy takes the
//! place of the set, which is freed later.

use crate::effects::add_with_elements;
use crate::joint::{Operands, Work, take_in_one_piece, work_in_slices};
use crate::long_read::{elements_per_slice, read_steps};
use crate::picks::Chance;
use crate::reply::write_item;
use darter_command_table::{Call, ELEMENTS_IN_ONE_PIECE, Effects, ReplyError, Slice};
use darter_resp::{Output, OwnedArgs, Protocol, ReplyWriter};
use darter_shard::{EncodingLimits, Interest, Key, KeyHasher, Keyspace};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Collection, Rules, Set, SetBoundary};

/// Leaves SPOP to its slices if it would take so many members out of `set` in one piece that others would notice.
pub(super) fn in_one_piece(call: &Call<'_>, set: &Set, popped: usize) -> Result<(), ReplyError> {
    let weight = set.weight();
    if set.as_table().is_none() || popped.saturating_mul(weight) <= ELEMENTS_IN_ONE_PIECE {
        return Ok(());
    }
    take_in_one_piece(call, set.len().saturating_mul(weight), popped.saturating_mul(weight))
}

/// Begins to take `count` members out of the set at argument 1.
pub(super) fn pop_in_slices(call: &Call<'_>, count: usize) -> Box<dyn Slice> {
    let work = LongPop {
        key: call.args.at(1).into(),
        count,
        limits: call.limits.encodings,
        hasher: call.hasher.clone(),
        chance: None,
        at: SetBoundary::START,
        popped: 0,
        elements: Output::new(),
        gone: OwnedArgs::new(),
        stay: None,
    };
    work_in_slices(call, 1..2, Some((1, call.db)), work)
}

struct LongPop {
    key: Box<[u8]>,
    count: usize,
    limits: EncodingLimits,
    hasher: KeyHasher,
    /// `None` before the beginning.
    chance: Option<Chance>,
    at: SetBoundary,
    popped: usize,
    /// The members that go, as written.
    elements: Output,
    /// The same, to be told, unless all go.
    gone: OwnedArgs,
    /// The members that stay; `None`: there was no set.
    stay: Option<Set>,
}

impl Work for LongPop {
    fn begin(&mut self) {
        self.chance = None;
        self.at = SetBoundary::START;
        self.popped = 0;
        self.elements.take();
        self.gone = OwnedArgs::new();
        self.stay = None;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let Some(set) = operands.collection::<Set>()? else { return Ok(false) };
        let rules = Rules { limits: &self.limits, hasher: &self.hasher };
        let is_all = self.count >= set.len();
        let chance =
            self.chance.get_or_insert_with(|| Chance::new(self.count, set.len(), operands.random));
        let stay = self.stay.get_or_insert_with(|| set.emptied().unwrap_or_default());
        // Each slice's output by itself, so that none grows by copying millions of members.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let mut text = IntegerText::new();
        let next = read_steps(self.at, (&mut 0, elements_per_slice(set)), |from, passed| {
            set.for_each_slice(from, |member| {
                // One that is copied costs several times as much as one that is written.
                *passed += 1;
                if chance.takes() {
                    self.popped += 1;
                    if !is_all {
                        self.gone.push(bytes_of(member, &mut text));
                    }
                    write_item(&mut reply, member);
                } else {
                    *passed += 2;
                    stay.add(member, rules);
                }
            })
        });
        self.elements.append(output);
        self.at = next.unwrap_or_default();
        Ok(next.is_some())
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        if let Some(stay) = self.stay.take() {
            keyspace.tell(Interest::SET, "spop");
            keyspace.exchange_collection(key, stay, self.popped as u64);
        }
    }

    fn describe(&self, effects: &mut Effects) {
        if self.popped == 0 {
            return;
        }
        let effects = effects.instead();
        if self.gone.as_args().is_empty() {
            effects.add_deleted(&self.key);
        } else {
            add_with_elements(effects, b"SREM", &self.key, self.gone.as_args());
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.set(self.popped);
        reply.output().append(self.elements.take());
    }

    fn coming_bytes(&self) -> usize {
        self.elements.len()
    }
}
