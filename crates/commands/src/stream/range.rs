//! XRANGE and XREVRANGE.

use super::id;
use super::reply::{write_entries, write_entry};
use crate::long_read::{Read, read_in_slices};
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, ELEMENTS_IN_ONE_PIECE, Flags, Group, Handler,
    KeySpec, ReplyError, ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_value::Collection;
use darter_value::stream::{Entry, Stream, StreamId};
use std::ops::ControlFlow;

/// Entries in ascending order.
pub(super) static XRANGE: Command = Command {
    name: "XRANGE",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Entries of a stream within a range of ids.",
    complexity: "O(log(N)+M) where N is the number of nodes and M that of entries returned.",
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::string("start"),
        Arg::string("end"),
        Arg::integer("count").token("COUNT").optional(),
    ],
    history: &[("6.2.0", "Exclusive ranges.")],
    handler: Handler::Keyed(|call, view| range(call, view, false)),
    slices: Some(|call| Ok(read_in_slices(call, Query::parse(call, false)?))),
    ..Command::BASE
};

/// Entries in descending order.
pub(super) static XREVRANGE: Command = Command {
    name: "XREVRANGE",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Entries of a stream within a range of ids, the latest first.",
    complexity: "O(log(N)+M) where N is the number of nodes and M that of entries returned.",
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::string("end"),
        Arg::string("start"),
        Arg::integer("count").token("COUNT").optional(),
    ],
    history: &[("6.2.0", "Exclusive ranges.")],
    handler: Handler::Keyed(|call, view| range(call, view, true)),
    slices: Some(|call| Ok(read_in_slices(call, Query::parse(call, true)?))),
    ..Command::BASE
};

/// A range as asked for.
struct Query {
    start: StreamId,
    end: StreamId,
    is_reversed: bool,
    /// Negative counts are none at all.
    count: Option<usize>,
}

impl Query {
    fn parse(call: &Call<'_>, is_reversed: bool) -> Result<Self, ReplyError> {
        let (start, end) = if is_reversed { (3, 2) } else { (2, 3) };
        let ids = id::parse_range(call.args.at(start), call.args.at(end))?;
        let mut count = None;
        let mut index = 4;
        while index < call.args.len() {
            if !call.is_word(index, "COUNT") || index + 1 >= call.args.len() {
                return Err(ReplyError::Syntax);
            }
            count = Some(usize::try_from(call.integer(index + 1)?).unwrap_or(0));
            index += 2;
        }
        let (start, end) = ids.into_inner();
        Ok(Self { start, end, is_reversed, count })
    }

    /// Hands the entries from `from` on, all of them if that is the least id, to `visit`, until it has enough.
    fn walk<'s>(
        &self,
        stream: &'s Stream,
        from: StreamId,
        visit: impl FnMut(Entry<'s>) -> ControlFlow<()>,
    ) {
        let log = stream.log();
        let first = if self.is_reversed { self.end } else { self.start };
        let first = if from == StreamId::MIN { first } else { from };
        let _ = if self.is_reversed {
            log.entries_reversed(self.start, first).try_for_each(visit)
        } else {
            log.entries(first, self.end).try_for_each(visit)
        };
    }

    /// About how many entries there are in the range, or as many as are as much work, at most [`ELEMENTS_IN_ONE_PIECE`] and
    /// one more entry.
    fn estimate(&self, stream: &Stream) -> usize {
        let len = usize::try_from(stream.log().len()).unwrap_or(usize::MAX);
        let entries_max = self.count.map_or(len, |count| count.min(len));
        let weight = stream.weight();
        if entries_max.saturating_mul(weight) <= ELEMENTS_IN_ONE_PIECE {
            return 0;
        }
        let mut elements = 0;
        self.walk(stream, StreamId::MIN, |_| {
            elements += weight;
            proceed_if(elements <= ELEMENTS_IN_ONE_PIECE)
        });
        elements
    }
}

const fn proceed_if(wanted: bool) -> ControlFlow<()> {
    if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn range(call: &mut Call<'_>, view: &mut ShardView<'_>, is_reversed: bool) -> ReplyResult {
    let query = Query::parse(call, is_reversed)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(stream) = keyspace.read_collection::<Stream>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    if query.count == Some(0) {
        call.reply.null_array();
        return Ok(());
    }
    call.in_one_piece(query.estimate(stream))?;
    let Query { start, end, .. } = query;
    let count = query.count.unwrap_or(0);
    if is_reversed {
        write_entries(&mut call.reply, stream.log().entries_reversed(start, end), count);
    } else {
        write_entries(&mut call.reply, stream.log().entries(start, end), count);
    }
    Ok(())
}

impl Read for Query {
    type Collection = Stream;
    /// The next entry.
    type At = StreamId;

    fn read(
        &self,
        stream: &Stream,
        at: StreamId,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<StreamId> {
        let entries_max = self.count.unwrap_or(usize::MAX);
        let end = entries_max.min(*written + at_once);
        let mut next = None;
        self.walk(stream, at, |entry| {
            if *written == end {
                next = Some(entry.id());
                return ControlFlow::Break(());
            }
            write_entry(reply, &entry);
            *written += 1;
            ControlFlow::Continue(())
        });
        next.filter(|_| *written < entries_max)
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.array(count);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn ranges_are_of_ids() {
        transcript(
            r"
            XRANGE s - +            => *0
            XADD s 1-1 a 1 b 2      => $3 1-1
            XADD s 1-2 a 3 b x      => $3 1-2
            XADD s 2-0 c z          => $3 2-0
            XRANGE s - +            => *3 *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 x *2 $3 2-0 *2 $1 c $1 z
            XRANGE s 1 1            => *2 *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 x
            XRANGE s (1-1 (2-0      => *1 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 x
            XREVRANGE s + -  COUNT 1 => *1 *2 $3 2-0 *2 $1 c $1 z
            XREVRANGE s 1-2 - COUNT 5 => *2 *2 $3 1-2 *4 $1 a $1 3 $1 b $1 x *2 $3 1-1 *4 $1 a $1 1 $1 b $1 2
            XRANGE s - + COUNT 0    => *-1
            XRANGE s - + COUNT -5   => *-1
            XRANGE s 3 2            => *0
            XRANGE s - + COUNT      => -ERR syntax error
            XRANGE s x +            => -ERR Invalid stream ID specified as stream command argument
            XRANGE s - (0           => *0
            ",
        );
    }
}
