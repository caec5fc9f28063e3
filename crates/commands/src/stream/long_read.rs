//! XREAD of very many entries, in slices.

use super::read::resolve;
use super::reply::write_entry;
use super::sources::Request;
use crate::joint::{Operands, Work, work_in_slices};
use crate::long_read::elements_per_slice;
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace, WrongType, collection_of};
use darter_value::stream::{Stream, StreamId};

/// Begins what XREAD reads. It does not wait: there was something to read when it was begun.
pub(super) fn read_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let request = Request::parse(call, false)?;
    let streams = (0..request.len).map(|index| Asked {
        key: request.key(call, index).bytes.into(),
        behind: request.id(call, index).into(),
        next: None,
        count: 0,
        entries: Output::new(),
    });
    let entries_max = if request.count == 0 { usize::MAX } else { request.count };
    let work = Reading { streams: streams.collect(), at: 0, entries_max };
    Ok(work_in_slices(call, request.keys(), None, work))
}

/// One of the streams.
struct Asked {
    key: Box<[u8]>,
    /// The argument behind whose meaning entries are asked for.
    behind: Box<[u8]>,
    /// The next entry, once that is known.
    next: Option<StreamId>,
    /// Entries read.
    count: usize,
    /// The same as written.
    entries: Output,
}

struct Reading {
    streams: Vec<Asked>,
    /// The stream it is at.
    at: usize,
    /// Most entries of each.
    entries_max: usize,
}

impl Reading {
    /// Learns where each stream begins; a special id means what it means at the beginning.
    fn resolve(&mut self, streams: &[Option<&Stream>]) -> Result<(), ReplyError> {
        for (asked, stream) in self.streams.iter_mut().zip(streams) {
            asked.next = resolve(&asked.behind, *stream)?.next();
        }
        Ok(())
    }
}

impl Work for Reading {
    fn begin(&mut self) {
        self.at = 0;
        for asked in &mut self.streams {
            asked.next = None;
            asked.count = 0;
            asked.entries.take();
        }
    }

    fn step(&mut self, operands: &Operands<'_>, protocol: Protocol) -> Result<bool, ReplyError> {
        let streams: Vec<Option<&Stream>> = operands
            .values()
            .map(|value| value.map(collection_of).transpose())
            .collect::<Result<_, WrongType>>()?;
        if self.at == 0 && self.streams[0].count == 0 {
            self.resolve(&streams)?;
        }
        let asked = &mut self.streams[self.at];
        let at_once = streams[self.at].map_or(1, elements_per_slice);
        let end = self.entries_max.min(asked.count + at_once);
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, protocol);
        let from = asked.next.take();
        if let (Some(stream), Some(from)) = (streams[self.at], from) {
            for entry in stream.log().entries(from, StreamId::MAX) {
                if asked.count == end {
                    asked.next = Some(entry.id());
                    break;
                }
                write_entry(&mut reply, &entry);
                asked.count += 1;
            }
        }
        asked.entries.append(output);
        if asked.next.is_none() || asked.count == self.entries_max {
            self.at += 1;
        }
        Ok(self.at < self.streams.len())
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        let found = || self.streams.iter().filter(|asked| asked.count > 0);
        let is_map = reply.protocol() != Protocol::Resp2;
        match found().count() {
            0 => return reply.null_array(),
            count if is_map => reply.map(count),
            count => reply.array(count),
        }
        for asked in self.streams.iter_mut().filter(|asked| asked.count > 0) {
            if !is_map {
                reply.array(2);
            }
            reply.bulk(&asked.key);
            reply.array(asked.count);
            reply.output().append(asked.entries.take());
        }
    }

    fn coming_bytes(&self) -> usize {
        self.streams.iter().map(|asked| asked.entries.len()).sum()
    }
}
