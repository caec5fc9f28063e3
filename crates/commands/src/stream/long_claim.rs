//! XAUTOCLAIM of very many entries, in slices.

use super::auto_claim::AutoClaim;
use super::claim::Claimed;
use super::effects::GroupEdit;
use super::group::note_consumer;
use super::id;
use super::long_group::exchange;
use super::sources::no_group;
use crate::joint::{Operands, Work, work_in_slices};
use crate::kept_call::KeptCall;
use crate::long_read::ELEMENTS_PER_SLICE;
use darter_command_table::{Call, Effects, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::stream::{Group, Stream, StreamId};

/// Begins to claim.
pub(super) fn claim_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let work = LongClaim {
        call: KeptCall::of(call),
        at: Some(StreamId::MIN),
        copy: None,
        consumer: 0,
        edit: GroupEdit::recorded(),
        attempts: 0,
        cursor: None,
        taken: Output::new(),
        taken_count: 0,
        gone: Output::new(),
        gone_count: 0,
    };
    Ok(work_in_slices(call, 1..2, Some((1, call.db)), work))
}

struct LongClaim {
    call: KeptCall,
    /// The pending entry to go on with; `None` at the end.
    at: Option<StreamId>,
    /// The group as it will be; `None` before the beginning.
    copy: Option<Group>,
    /// The consumer's number in it.
    consumer: u32,
    edit: GroupEdit,
    /// Entries looked at.
    attempts: usize,
    /// Where the next XAUTOCLAIM is to begin, once that is known.
    cursor: Option<StreamId>,
    /// What was claimed, as written.
    taken: Output,
    taken_count: usize,
    /// Ids of entries that are gone, as written.
    gone: Output,
    gone_count: usize,
}

impl Work for LongClaim {
    fn begin(&mut self) {
        self.at = Some(StreamId::MIN);
        self.copy = None;
        self.edit = GroupEdit::recorded();
        self.attempts = 0;
        self.cursor = None;
        self.taken.take();
        self.taken_count = 0;
        self.gone.take();
        self.gone_count = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let AutoClaim { claim, start, count, attempts } = AutoClaim::parse(&call)?;
        let stream = operands.collection::<Stream>()?;
        let (key, group_name) = (call.args.at(1), call.args.at(2));
        let found = stream.and_then(|stream| Some((stream.log(), stream.group(group_name)?)));
        let (log, group) = found.ok_or_else(|| no_group(key, group_name, ""))?;
        if self.copy.is_none() {
            let mut copy = group.without_pending();
            (self.consumer, self.edit.is_consumer_new) = claim.consumer(&mut copy);
            self.copy = Some(copy);
        }
        let copy = self.copy.as_mut().expect("just made");
        // Each slice's output by itself, so that none grows by copying millions of entries.
        let (mut taken, mut gone) = (Output::new(), Output::new());
        let mut taken_reply = ReplyWriter::new(&mut taken, protocol);
        let mut gone_reply = ReplyWriter::new(&mut gone, protocol);
        let mut entries = log.lookup();
        let from = self.at.take().unwrap_or(StreamId::MIN);
        for (passed, (id, pending)) in group.pending_in(from..=StreamId::MAX).enumerate() {
            if passed == ELEMENTS_PER_SLICE {
                self.at = Some(id);
                break;
            }
            let is_over = self.cursor.is_some();
            if id < start || is_over {
                copy.set_pending(id, *pending);
                continue;
            }
            if self.attempts == attempts || self.taken_count + self.gone_count == count {
                self.cursor = Some(id);
                copy.set_pending(id, *pending);
                continue;
            }
            self.attempts += 1;
            let entry = entries.find(id);
            match (claim.look(pending, entry), entry) {
                (Claimed::Taken, Some(entry)) => {
                    claim.deliver(copy, self.consumer, &entry, Some(*pending), &mut taken_reply);
                    self.edit.note_pending(copy, id);
                    self.taken_count += 1;
                }
                (Claimed::Gone, _) => {
                    id::write(&mut gone_reply, id);
                    self.edit.note_acknowledged(id);
                    self.gone_count += 1;
                }
                _ => copy.set_pending(id, *pending),
            }
        }
        self.taken.append(taken);
        self.gone.append(gone);
        Ok(self.at.is_some())
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let Some(copy) = self.copy.take() else { return };
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let (group_name, consumer_name) = (call.args.at(2), call.args.at(3));
        note_consumer(keyspace, key, group_name, consumer_name);
        exchange(keyspace, key, group_name, copy, self.changes());
    }

    fn describe(&self, effects: &mut Effects) {
        if self.changes() > 0 {
            let mut unused = Output::new();
            let call = self.call.with(&mut unused);
            let names = [1, 2, 3].map(|index| call.args.at(index));
            self.edit.describe(effects.instead(), names, call.time_of_day().0);
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.array(3);
        id::write(reply, self.cursor.unwrap_or(StreamId::MIN));
        reply.array(self.taken_count);
        reply.output().append(self.taken.take());
        reply.array(self.gone_count);
        reply.output().append(self.gone.take());
    }

    fn coming_bytes(&self) -> usize {
        self.taken.len() + self.gone.len()
    }
}

impl LongClaim {
    fn changes(&self) -> u64 {
        (usize::from(self.edit.is_consumer_new) + self.taken_count + self.gone_count) as u64
    }
}
