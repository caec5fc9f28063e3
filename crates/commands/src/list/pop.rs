//! LPOP, RPOP and LMPOP.

use super::end;
use super::long_pop::pop_in_slices;
use crate::long_read::{FEW_ELEMENTS, in_one_piece};
use crate::many_keys::{each_key_until, key_count};
use crate::reply::write_element;
use darter_base::number::{format_u64, parse_i64};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_resp::ReplyWriter;
use darter_shard::{Edit, Interest};
use darter_value::{End, List, NodeLimit};
use std::ops::{ControlFlow, Range};

const KEYS: &[KeySpec] =
    &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))];
const ARGS: &[Arg] = &[Arg::key("key"), Arg::integer("count").optional().since("6.2.0")];
const HISTORY: &[(&str, &str)] = &[("6.2.0", "Added the `count` argument.")];
const COMPLEXITY: &str = "O(N) where N is the number of elements removed.";

/// Removes the first elements.
pub(super) static LPOP: Command = Command {
    name: "LPOP",
    group: Group::List,
    since: "1.0.0",
    summary: "Removes the first elements of a list and returns them.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: HISTORY,
    handler: Handler::Keyed(|call, view| pop(call, view, End::Front)),
    slices: Some(|call| Ok(pop_in_slices(call, 1, End::Front, count_of(call.args.at(2))?, false))),
    ..Command::BASE
};

/// Removes the last elements.
pub(super) static RPOP: Command = Command {
    name: "RPOP",
    group: Group::List,
    since: "1.0.0",
    summary: "Removes the last elements of a list and returns them.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: HISTORY,
    handler: Handler::Keyed(|call, view| pop(call, view, End::Back)),
    slices: Some(|call| Ok(pop_in_slices(call, 1, End::Back, count_of(call.args.at(2))?, false))),
    ..Command::BASE
};

/// Removes elements of the first of several lists that is there.
pub(super) static LMPOP: Command = Command {
    name: "LMPOP",
    group: Group::List,
    since: "7.0.0",
    summary: "Removes elements of the first list that is there, and returns its name and them.",
    complexity: "O(N+M) where N is the number of keys and M the number of elements removed.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    acl: Category::LIST,
    keys: &[KeySpec::counted(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::one_of("where", end::CHOICES),
        Arg::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Keyed(lmpop),
    slices: Some(lmpop_in_slices),
    ..Command::BASE
};

fn pop(call: &mut Call<'_>, view: &mut ShardView<'_>, end: End) -> ReplyResult {
    if call.args.len() > 3 {
        return Err(ReplyError::WrongArity(call.command.name.to_ascii_lowercase()));
    }
    let count = match call.args.get(2) {
        None => None,
        Some(text) => Some(count_of(text)?),
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    if let Some(count) = count.filter(|count| *count > FEW_ELEMENTS)
        && let Some(list) = keyspace.peek_collection::<List>(&key)?
    {
        in_one_piece(call, list, count.min(list.len()))?;
    }
    let limit = call.limits.encodings.list;
    let reply = &mut call.reply;
    let popped = keyspace.tell(Interest::LIST, end::pop_event(end)).edit(
        &key,
        |list: &mut List| match count {
            None => {
                if let Some(element) = list.at_end(end) {
                    write_element(reply, element);
                }
                remove(list, end, 1, limit);
                Edit::changed(())
            }
            Some(count) => Edit::counted(pop_many(reply, list, end, count, limit) as u64, ()),
        },
    )?;
    match popped {
        Some(()) => {}
        None if count.is_some() => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

/// A count that must not be negative.
fn count_of(text: &[u8]) -> Result<usize, ReplyError> {
    let count = parse_i64(text).and_then(|count| usize::try_from(count).ok());
    count.ok_or(ReplyError::Text("ERR value is out of range, must be positive"))
}

/// Moves up to `count` elements of an end into the reply, as an array; how many.
fn pop_many(
    reply: &mut ReplyWriter<'_>,
    list: &mut List,
    end: End,
    count: usize,
    limit: NodeLimit,
) -> usize {
    let count = count.min(list.len());
    reply.array(count);
    let from = if end == End::Front { 0 } else { list.len() - 1 };
    let mut left = count;
    if count > 0 {
        list.walk(end, from, |element| {
            write_element(reply, element);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    remove(list, end, count, limit);
    count
}

/// Removes `count` elements, as many as there must be, at an end.
pub(super) fn remove(list: &mut List, end: End, count: usize, limit: NodeLimit) {
    let start = if end == End::Front { 0 } else { list.len() - count };
    list.remove_range(start..start + count, limit);
    list.settle(limit);
}

/// What LMPOP and BLMPOP are asked for.
pub(super) struct ManyPop {
    /// The arguments that are its keys.
    pub(super) keys: Range<usize>,
    end: End,
    count: usize,
}

impl ManyPop {
    /// Parses the arguments from the number of keys on, which is at `index`.
    pub(super) fn parse(call: &Call<'_>, index: usize) -> Result<Self, ReplyError> {
        let key_count = key_count(call, index)?;
        let keys_at = index + 1;
        let end_at = key_count.saturating_add(keys_at);
        if end_at >= call.args.len() {
            return Err(ReplyError::Syntax);
        }
        let end = end::parse(call, end_at)?;
        let mut count = None;
        let mut index = end_at + 1;
        while index < call.args.len() {
            if count.is_some() || !call.is_word(index, "COUNT") || index + 1 == call.args.len() {
                return Err(ReplyError::Syntax);
            }
            let number = count_of(call.args.at(index + 1)).ok().filter(|count| *count > 0);
            count = Some(number.ok_or(ReplyError::Text("ERR count should be greater than 0"))?);
            index += 2;
        }
        Ok(Self { keys: keys_at..end_at, end, count: count.unwrap_or(1) })
    }

    /// Pops from the first list that is there; whether one was.
    pub(super) fn run(
        &self,
        call: &mut Call<'_>,
        view: &mut ShardView<'_>,
    ) -> Result<bool, ReplyError> {
        let limit = call.limits.encodings.list;
        let popped = each_key_until(call, view, self.keys.clone(), |reply, mut keyspace, key| {
            let event = end::pop_event(self.end);
            Ok(keyspace.tell(Interest::LIST, event).edit(key, |list: &mut List| {
                reply.array(2);
                reply.bulk(key.bytes);
                let count = pop_many(reply, list, self.end, self.count, limit);
                Edit::counted(count as u64, count)
            })?)
        })?;
        if let Some((index, count)) = popped {
            let (key, count) = (call.args.at(index), format_u64(count as u64));
            call.leave(|effects| {
                effects.add(&[end::pop_command(self.end), key, count.as_bytes()]);
            });
        }
        Ok(popped.is_some())
    }
}

fn lmpop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let pop = ManyPop::parse(call, 1)?;
    // Of one key. Which one of several it is can change between slices.
    if pop.keys.len() == 1 && pop.count > FEW_ELEMENTS {
        let key = call.key(pop.keys.start);
        if let Some(list) = call.keyspace(view, &key).peek_collection::<List>(&key)? {
            in_one_piece(call, list, pop.count.min(list.len()))?;
        }
    }
    if !pop.run(call, view)? {
        call.reply.null_array();
    }
    Ok(())
}

fn lmpop_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let ManyPop { keys, end, count } = ManyPop::parse(call, 1)?;
    Ok(pop_in_slices(call, keys.start, end, count, true))
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn popping_takes_from_the_end_named() {
        transcript(
            r"
            LPOP l                  => $-1
            LPOP l 0                => *-1
            LPOP l 3                => *-1
            LPOP l -1               => -ERR value is out of range, must be positive
            LPOP l x                => -ERR value is out of range, must be positive
            LPOP l 1 2              => -ERR wrong number of arguments for 'lpop' command
            RPUSH l a b c d e f     => :6
            LPOP l                  => $1 a
            RPOP l                  => $1 f
            LPOP l 0                => *0
            LPOP l 2                => *2 $1 b $1 c
            RPOP l 9                => *2 $1 e $1 d
            EXISTS l                => :0
            SET s v                 => +OK
            LPOP s                  => -WRONGTYPE Operation against a key holding the wrong kind of value
            LPOP s 0                => -WRONGTYPE Operation against a key holding the wrong kind of value
            @resp 3
            LPOP l                  => _
            LPOP l 1                => _
            ",
        );
    }

    #[test]
    fn lmpop_takes_the_first_list_that_is_there() {
        transcript(
            r"
            LMPOP 2 {a}1 {a}2 LEFT  => *-1
            RPUSH {a}2 a b c d      => :4
            LMPOP 2 {a}1 {a}2 LEFT  => *2 $4 {a}2 *1 $1 a
            LMPOP 2 {a}1 {a}2 right COUNT 2 => *2 $4 {a}2 *2 $1 d $1 c
            LMPOP 2 {a}1 {a}2 LEFT COUNT 10 => *2 $4 {a}2 *1 $1 b
            EXISTS {a}2             => :0
            LMPOP 0 a LEFT          => -ERR numkeys should be greater than 0
            LMPOP x a LEFT          => -ERR numkeys should be greater than 0
            LMPOP 9223372036854775807 a LEFT => -ERR syntax error
            LMPOP 2 a LEFT          => -ERR syntax error
            LMPOP 1 a UP            => -ERR syntax error
            LMPOP 1 a LEFT COUNT    => -ERR syntax error
            LMPOP 1 a LEFT COUNT 0  => -ERR count should be greater than 0
            LMPOP 1 a LEFT COUNT x  => -ERR count should be greater than 0
            LMPOP 1 a LEFT COUNT 1 COUNT 2 => -ERR syntax error
            LMPOP 1 a LEFT FOO 1    => -ERR syntax error
            SET s v                 => +OK
            LMPOP 2 nokey s LEFT    => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
