//! LLEN, LINDEX, LRANGE and LTRIM.

use crate::index_range::{IndexRange, element_index};
use crate::long_read::{Read, in_one_piece, read_in_slices};
use crate::reply::write_element;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_resp::ReplyWriter;
use darter_shard::{Edit, Interest};
use darter_value::{End, List};
use std::ops::{ControlFlow, Range};

/// How many elements.
pub(super) static LLEN: Command = Command {
    name: "LLEN",
    group: Group::List,
    since: "1.0.0",
    summary: "The number of elements of a list.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(llen),
    ..Command::BASE
};

/// One element.
pub(super) static LINDEX: Command = Command {
    name: "LINDEX",
    group: Group::List,
    since: "1.0.0",
    summary: "The element of a list with an index.",
    complexity: "O(N) where N is the distance from the nearer end in nodes of some hundred elements.",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("index")],
    handler: Handler::Keyed(lindex),
    ..Command::BASE
};

/// A run of elements.
pub(super) static LRANGE: Command = Command {
    name: "LRANGE",
    group: Group::List,
    since: "1.0.0",
    summary: "The elements of a list between two indices.",
    complexity: "O(N) where N is the number of elements returned.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
    handler: Handler::Keyed(lrange),
    slices: Some(|call| Ok(read_in_slices(call, Elements { range: IndexRange::parse(call, 2)? }))),
    ..Command::BASE
};

/// Keeps a run of elements.
pub(super) static LTRIM: Command = Command {
    name: "LTRIM",
    group: Group::List,
    since: "1.0.0",
    summary: "Removes all elements of a list but those between two indices.",
    complexity: "O(N) where N is the number of elements removed.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
    handler: Handler::Keyed(ltrim),
    ..Command::BASE
};

fn llen(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let len = keyspace.read_collection(&key)?.map_or(0, List::len);
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

fn lindex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    // A missing list hides a malformed index, as in Redis.
    let Some(list) = keyspace.read_collection::<List>(&key)? else {
        call.reply.null();
        return Ok(());
    };
    let index = element_index(call.integer(2)?, list.len());
    match index.and_then(|index| list.get(index)) {
        Some(element) => write_element(&mut call.reply, element),
        None => call.reply.null(),
    }
    Ok(())
}

fn lrange(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = IndexRange::parse(call, 2)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(list) = keyspace.read_collection::<List>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let range = range.within(list.len());
    in_one_piece(call, list, range.len())?;
    call.reply.array(range.len());
    write_elements(&mut call.reply, list, range);
    Ok(())
}

fn write_elements(reply: &mut ReplyWriter<'_>, list: &List, range: Range<usize>) {
    let mut left = range.len();
    if left > 0 {
        list.walk(End::Front, range.start, |element| {
            write_element(reply, element);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

/// LRANGE of very many elements.
struct Elements {
    range: IndexRange,
}

impl Read for Elements {
    type Collection = List;
    /// Elements read.
    type At = usize;

    fn read(
        &self,
        list: &List,
        at: usize,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<usize> {
        let range = self.range.within(list.len());
        let next = (at + at_once).min(range.len());
        write_elements(reply, list, range.start + at..range.start + next);
        *written = next;
        (next < range.len()).then_some(next)
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.array(count);
    }
}

fn ltrim(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = IndexRange::parse(call, 2)?;
    let key = call.key(1);
    let limit = call.limits.encodings.list;
    let trimmed = call.keyspace(view, &key).edit(&key, |list: &mut List| {
        let len = list.len();
        let kept = range.within(len);
        if kept.is_empty() {
            list.clear();
        } else {
            list.remove_range(kept.end..len, limit);
            list.remove_range(0..kept.start, limit);
            list.settle(limit);
        }
        Edit::counted((len - kept.len()) as u64, ())
    })?;
    if trimmed.is_some() {
        // Told whether or not there was anything to trim, as in Redis.
        call.keyspace(view, &key).note(Interest::LIST, "ltrim", &key);
    }
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn elements_are_read_by_index() {
        transcript(
            r"
            LLEN l                  => :0
            LINDEX l x              => $-1
            LRANGE l 0 -1           => *0
            LRANGE l x 0            => -ERR value is not an integer or out of range
            RPUSH l a b c d         => :4
            LLEN l                  => :4
            LINDEX l 0              => $1 a
            LINDEX l -1             => $1 d
            LINDEX l 4              => $-1
            LINDEX l -5             => $-1
            LINDEX l x              => -ERR value is not an integer or out of range
            LRANGE l 1 2            => *2 $1 b $1 c
            LRANGE l -2 100         => *2 $1 c $1 d
            LRANGE l 3 1            => *0
            LRANGE l 9 10           => *0
            SET s v                 => +OK
            LLEN s                  => -WRONGTYPE Operation against a key holding the wrong kind of value
            LINDEX s 0              => -WRONGTYPE Operation against a key holding the wrong kind of value
            LRANGE s 0 0            => -WRONGTYPE Operation against a key holding the wrong kind of value
            LRANGE s x 0            => -ERR value is not an integer or out of range
            ",
        );
    }

    #[test]
    fn trimming_keeps_the_range() {
        transcript(
            r"
            LTRIM l 0 0             => +OK
            RPUSH l a b c d e       => :5
            LTRIM l 1 -2            => +OK
            LRANGE l 0 -1           => *3 $1 b $1 c $1 d
            LTRIM l 0 -1            => +OK
            LTRIM l -100 100        => +OK
            LLEN l                  => :3
            LTRIM l x 0             => -ERR value is not an integer or out of range
            LTRIM l 2 1             => +OK
            EXISTS l                => :0
            SET s v                 => +OK
            LTRIM s 0 1             => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
