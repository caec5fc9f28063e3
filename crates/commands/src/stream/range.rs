//! XRANGE and XREVRANGE.

use super::id;
use super::reply::write_entries;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::stream::Stream;

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
    handler: Handler::Keyed(xrange),
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
    handler: Handler::Keyed(xrevrange),
    ..Command::BASE
};

fn xrange(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    range(call, view, (2, 3), false)
}

fn xrevrange(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    range(call, view, (3, 2), true)
}

/// Entries from the id at argument `start` to that at `end`.
fn range(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    (start, end): (usize, usize),
    reversed: bool,
) -> ReplyResult {
    let ids = id::parse_range(call.args.at(start), call.args.at(end))?;
    // Negative counts are none at all.
    let mut count = None;
    let mut index = 4;
    while index < call.args.len() {
        if !call.is_word(index, "COUNT") || index + 1 >= call.args.len() {
            return Err(ReplyError::Syntax);
        }
        count = Some(usize::try_from(call.integer(index + 1)?).unwrap_or(0));
        index += 2;
    }
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(stream) = keyspace.read_collection::<Stream>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        call.reply.null_array();
        return Ok(());
    }
    let (start, end) = ids.into_inner();
    let count = count.unwrap_or(0);
    if reversed {
        write_entries(&mut call.reply, stream.log().entries_reversed(start, end), count);
    } else {
        write_entries(&mut call.reply, stream.log().entries(start, end), count);
    }
    Ok(())
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
