//! LPOP, RPOP and LMPOP of very many elements, in slices: they are written while the list is watched, and go at once in
//! the end, which takes little, since whole nodes go.

use super::end;
use super::pop::remove;
use crate::joint::{Operands, Work, work_in_slices};
use crate::long_read::elements_per_slice;
use crate::reply::write_element;
use darter_base::number::format_u64;
use darter_command_table::{Call, Effects, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Edit, Interest, Key, Keyspace, NodeLimit};
use darter_value::{End, List};
use std::ops::ControlFlow;

/// Begins to pop up to `count` elements of the list at an argument; `with_key`: that is answered, too.
pub(super) fn pop_in_slices(
    call: &Call<'_>,
    key: usize,
    end: End,
    count: usize,
    with_key: bool,
) -> Box<dyn Slice> {
    let work = LongPop {
        key: call.args.at(key).into(),
        end,
        count,
        with_key,
        limit: call.limits.encodings.list,
        is_there: false,
        written: 0,
        elements: Output::new(),
    };
    work_in_slices(call, key..key + 1, Some((key, call.db)), work)
}

struct LongPop {
    key: Box<[u8]>,
    end: End,
    count: usize,
    with_key: bool,
    limit: NodeLimit,
    /// Whether there is a list.
    is_there: bool,
    /// Elements written.
    written: usize,
    /// The same as written.
    elements: Output,
}

impl Work for LongPop {
    fn begin(&mut self) {
        self.is_there = false;
        self.written = 0;
        self.elements.take();
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let Some(list) = operands.collection::<List>()? else { return Ok(false) };
        self.is_there = true;
        let count = self.count.min(list.len());
        let mut left = elements_per_slice(list).min(count - self.written);
        let from = match self.end {
            End::Front => self.written,
            End::Back => list.len() - 1 - self.written,
        };
        // Each slice's output by itself, so that none grows by copying millions of elements.
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        list.walk(self.end, from, |element| {
            write_element(&mut reply, element);
            self.written += 1;
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.elements.append(output);
        Ok(self.written < count)
    }

    fn store(&mut self, keyspace: &mut Keyspace<'_>, key: &Key<'_>) {
        let Ok(Some(list)) = keyspace.peek_collection::<List>(key) else { return };
        let is_all = list.len() == self.written;
        keyspace.tell(Interest::LIST, end::pop_event(self.end));
        if is_all {
            return keyspace.exchange_collection(key, List::default(), self.written as u64);
        }
        let removed = keyspace.edit(key, |list: &mut List| {
            remove(list, self.end, self.written, self.limit);
            Edit::counted(self.written as u64, ())
        });
        debug_assert!(removed.is_ok(), "the type was checked");
    }

    fn describe(&self, effects: &mut Effects) {
        if self.with_key && self.written > 0 {
            let count = format_u64(self.written as u64);
            let command = end::pop_command(self.end);
            effects.instead().add(&[command, &self.key, count.as_bytes()]);
        }
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        if !self.is_there {
            return reply.null_array();
        }
        if self.with_key {
            reply.array(2);
            reply.bulk(&self.key);
        }
        reply.array(self.written);
        reply.output().append(self.elements.take());
    }

    fn coming_bytes(&self) -> usize {
        self.elements.len()
    }
}
