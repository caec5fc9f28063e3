//! XPENDING of very many entries, in slices.

use super::pending::{Filter, write_pending};
use super::sources::no_group;
use crate::joint::{Operands, Work, work_in_slices};
use crate::kept_call::KeptCall;
use crate::long_read::ELEMENTS_PER_SLICE;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::stream::{Stream, StreamId};

/// Begins to list what is pending.
pub(super) fn list_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let work = Listing { call: KeptCall::of(call), next: None, written: 0, entries: Output::new() };
    Ok(work_in_slices(call, 1..2, None, work))
}

struct Listing {
    call: KeptCall,
    /// The id to go on with; `None` before the beginning.
    next: Option<StreamId>,
    /// Entries written.
    written: usize,
    /// The same as written.
    entries: Output,
}

impl Work for Listing {
    fn begin(&mut self) {
        self.next = None;
        self.written = 0;
        self.entries.take();
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let mut unused = Output::new();
        let call = self.call.with(&mut unused);
        let filter = Filter::parse(&call)?.ok_or(ReplyError::Syntax)?;
        let stream = operands.collection::<Stream>()?;
        let (key, group_name) = (call.args.at(1), call.args.at(2));
        let group = stream.and_then(|stream| stream.group(group_name));
        let group = group.ok_or_else(|| no_group(key, group_name, ""))?;
        let start = self.next.take().unwrap_or(*filter.ids.start());
        // Each slice's output by itself, so that none grows by copying millions of entries.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let now_ms = operands.since.0;
        for (passed, (id, pending)) in filter.listed(group, start).enumerate() {
            if self.written == filter.count {
                break;
            }
            if passed == ELEMENTS_PER_SLICE {
                self.next = Some(id);
                break;
            }
            if filter.admits(pending, now_ms) {
                write_pending(&mut reply, group, id, pending, now_ms);
                self.written += 1;
            }
        }
        self.entries.append(output);
        Ok(self.next.is_some())
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.array(self.written);
        reply.output().append(self.entries.take());
    }

    fn coming_bytes(&self) -> usize {
        self.entries.len()
    }
}
