//! XREADGROUP of very many entries of one stream, in slices.

use super::due::{BEGINNING, Due};
use super::effects::GroupEdit;
use super::group::note_consumer;
use super::id;
use super::long_group::exchange;
use super::read_group::{Wanted, no_group_to_read, parse_wanted};
use super::reply::{Delivered, write_delivered, write_entry};
use super::sources::Request;
use crate::joint::{Operands, Work, work_in_slices};
use crate::kept_call::KeptCall;
use crate::long_read::ELEMENTS_PER_SLICE;
use darter_command_table::{Call, Effects, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::stream::{Group, Log, Pending, Stream, StreamId};
use std::sync::Arc;

/// Begins to read. It does not wait: there was something to read when it was begun.
pub(super) fn read_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let request = Request::parse(call, true)?;
    let work = LongReading {
        call: Arc::new(KeptCall::of(call)),
        copied_to: Some(StreamId::MIN),
        copy: None,
        consumer: 0,
        edit: GroupEdit::recorded(),
        claiming: Claiming::default(),
        written: 0,
        entries: Output::new(),
        answers: false,
    };
    let key = request.keys().start;
    Ok(work_in_slices(call, request.keys(), Some((key, call.db)), work))
}

struct LongReading {
    call: Arc<KeptCall>,
    /// The pending entry to go on with; `None` when all were copied.
    copied_to: Option<StreamId>,
    /// The group as it will be; `None` before the beginning.
    copy: Option<Group>,
    /// The consumer's number in it.
    consumer: u32,
    edit: GroupEdit,
    claiming: Claiming,
    /// Entries written.
    written: usize,
    /// The same as written.
    entries: Output,
    /// Whether there is something to answer.
    answers: bool,
}

/// Entries found to be claimed, or taken over, before others have their turn: they may be anywhere in the stream.
const CLAIMS_PER_SLICE: usize = ELEMENTS_PER_SLICE / 4;

/// How far it is with what is to be claimed.
#[derive(Debug)]
enum Claiming {
    /// These are found; the delivery to go on with.
    Finding(Vec<StreamId>, (i64, StreamId)),
    /// So many of these are taken over.
    Taking(Vec<StreamId>, usize),
    /// It is done.
    Over,
}

impl Default for Claiming {
    fn default() -> Self {
        Self::Finding(Vec::new(), BEGINNING)
    }
}

/// What is asked for.
struct Reading<'a> {
    names: [&'a [u8]; 3],
    wanted: Wanted,
    /// Most entries.
    count: usize,
    no_ack: bool,
    now_ms: i64,
    /// What is claimed, if anything is.
    due: Option<Due>,
}

impl<'a> Reading<'a> {
    fn parse(call: &Call<'a>) -> Result<Self, ReplyError> {
        let request = Request::parse(call, true)?;
        let (group_name, consumer_name) = request.group.ok_or(ReplyError::Syntax)?;
        let now_ms = call.time_of_day().0;
        Ok(Self {
            names: [request.key(call, 0).bytes, group_name, consumer_name],
            wanted: parse_wanted(request.id(call, 0))?,
            count: if request.count == 0 { usize::MAX } else { request.count },
            no_ack: request.no_ack,
            now_ms,
            due: request.claim_idle_ms.map(|idle_ms| Due { idle_ms, now_ms }),
        })
    }
}

impl Work for LongReading {
    fn begin(&mut self) {
        self.copied_to = Some(StreamId::MIN);
        self.copy = None;
        self.edit = GroupEdit::recorded();
        self.claiming = Claiming::default();
        self.written = 0;
        self.entries.take();
        self.answers = false;
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let mut unused = Output::new();
        let kept = Arc::clone(&self.call);
        let call = kept.with(&mut unused);
        let reading = Reading::parse(&call)?;
        let stream = operands.collection::<Stream>()?;
        let [key, group_name, consumer_name] = reading.names;
        let found = stream.and_then(|stream| Some((stream.log(), stream.group(group_name)?)));
        let (log, group) = found.ok_or_else(|| no_group_to_read(key, group_name))?;
        let mut copy = self.copy.take().unwrap_or_else(|| {
            let mut copy = group.without_pending();
            if reading.due.is_some() {
                copy.keep_order_of_delivery();
            }
            let (consumer, added) = copy.add_consumer(consumer_name, reading.now_ms);
            copy.consumer_mut(consumer).seen_at_ms = reading.now_ms;
            (self.consumer, self.edit.is_consumer_new) = (consumer, added);
            copy
        });
        // Each slice's output by itself, so that none grows by copying millions of entries.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let has_more = match (self.copied_to.take(), reading.wanted) {
            (Some(from), Wanted::New) => {
                self.copied_to = copy_slice(group, from, |id, pending| {
                    copy.set_pending(id, *pending);
                });
                true
            }
            (Some(from), Wanted::History(after)) => {
                self.answers = true;
                self.read_history(group, &mut copy, log, from, after, &reading, &mut reply);
                self.copied_to.is_some()
            }
            (None, _) => {
                self.claim(&mut copy, log, &reading, &mut reply)
                    || self.read_new(&mut copy, log, &reading, &mut reply)
            }
        };
        self.copy = Some(copy);
        self.entries.append(output);
        Ok(has_more)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let Some(copy) = self.copy.take() else { return };
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let Ok(Reading { names: [_, group_name, consumer_name], .. }) = Reading::parse(&call)
        else {
            return;
        };
        note_consumer(keyspace, key, group_name, consumer_name);
        exchange(keyspace, key, group_name, copy, u64::from(self.has_changed()));
    }

    fn describe(&self, effects: &mut Effects) {
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        if let Ok(Reading { names, now_ms, .. }) = Reading::parse(&call)
            && self.has_changed()
        {
            self.edit.describe(effects.instead(), names, now_ms);
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if !self.answers {
            return reply.null_array();
        }
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let key = Reading::parse(&call).map_or(b"".as_slice(), |reading| reading.names[0]);
        if reply.protocol() == Protocol::Resp2 {
            reply.array(1);
            reply.array(2);
        } else {
            reply.map(1);
        }
        reply.bulk(key);
        reply.array(self.written);
        reply.output().append(self.entries.take());
    }

    fn coming_bytes(&self) -> usize {
        self.entries.len()
    }
}

impl LongReading {
    const fn has_changed(&self) -> bool {
        self.answers || self.edit.is_consumer_new
    }

    /// Goes on with what is to be claimed; whether there is more of it.
    fn claim(
        &mut self,
        copy: &mut Group,
        log: &Log,
        reading: &Reading<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let Some(due) = reading.due else { return false };
        let mut entries = log.lookup();
        self.claiming = match std::mem::replace(&mut self.claiming, Claiming::Over) {
            Claiming::Finding(mut found, from) => {
                let mut deliveries = copy.delivered_by(from, due.latest_ms());
                let ids = deliveries.by_ref().take(CLAIMS_PER_SLICE).map(|(_, id)| id);
                found.extend(ids.filter(|id| entries.find(*id).is_some()));
                found.truncate(reading.count);
                match deliveries.next().filter(|_| found.len() < reading.count) {
                    Some(next) => Claiming::Finding(found, next),
                    None => Claiming::Taking(found, 0),
                }
            }
            Claiming::Taking(found, from) => {
                let end = found.len().min(from + CLAIMS_PER_SLICE);
                let taken = found[from..end].iter().filter_map(|id| entries.find(*id));
                due.take(copy, self.consumer, taken, reply, &mut self.edit);
                self.written = end;
                if end == found.len() { Claiming::Over } else { Claiming::Taking(found, end) }
            }
            Claiming::Over => return false,
        };
        true
    }

    /// Reads on in what the group has not read; whether there is more.
    fn read_new(
        &mut self,
        copy: &mut Group,
        log: &Log,
        reading: &Reading<'_>,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let delivered = reading.due.map(|_| Delivered::default());
        self.answers |= self.written > 0;
        let Some(start) = copy.last_id.next() else { return false };
        let end = reading.count.min(self.written + ELEMENTS_PER_SLICE);
        let mut entries = log.entries(start, StreamId::MAX).peekable();
        while self.written < end
            && let Some(entry) = entries.next()
        {
            let entry_id = entry.id();
            copy.entries_read = log.entries_read_with(copy, entry_id);
            copy.last_id = entry_id;
            write_delivered(reply, &entry, delivered);
            if !reading.no_ack {
                self.deliver(copy, entry_id, 1, reading.now_ms);
                copy.consumer_mut(self.consumer).active_at_ms = Some(reading.now_ms);
            }
            self.written += 1;
        }
        self.answers |= self.written > 0;
        if self.answers {
            self.edit.note_position(copy);
        }
        self.written < reading.count && entries.peek().is_some()
    }

    /// Reads on in what is pending with the consumer behind `after`, and copies what is not.
    #[expect(clippy::too_many_arguments, reason = "both groups, and what is read of them")]
    fn read_history(
        &mut self,
        group: &Group,
        copy: &mut Group,
        log: &Log,
        from: StreamId,
        after: StreamId,
        reading: &Reading<'_>,
        reply: &mut ReplyWriter<'_>,
    ) {
        let mut entries = log.lookup();
        self.copied_to = copy_slice(group, from, |id, pending| {
            let is_wanted = pending.consumer == self.consumer
                && !self.edit.is_consumer_new
                && id > after
                && self.written < reading.count;
            if !is_wanted {
                return copy.set_pending(id, *pending);
            }
            self.written += 1;
            if let Some(entry) = entries.find(id) {
                write_entry(reply, &entry);
                let deliveries = pending.deliveries_after_one_more();
                self.deliver(copy, id, deliveries, reading.now_ms);
            } else {
                reply.array(2);
                id::write(reply, id);
                reply.null_array();
                copy.set_pending(id, *pending);
            }
        });
    }

    fn deliver(&mut self, copy: &mut Group, id: StreamId, deliveries: u64, delivered_at_ms: i64) {
        let consumer = self.consumer;
        copy.set_pending(id, Pending { consumer, delivered_at_ms, deliveries });
        self.edit.note_pending(copy, id);
    }
}

/// Visits some of what is pending from an id on; where to go on.
fn copy_slice(
    group: &Group,
    from: StreamId,
    mut visit: impl FnMut(StreamId, &Pending),
) -> Option<StreamId> {
    for (passed, (id, pending)) in group.pending_in(from..=StreamId::MAX).enumerate() {
        if passed == ELEMENTS_PER_SLICE {
            return Some(id);
        }
        visit(id, pending);
    }
    None
}
