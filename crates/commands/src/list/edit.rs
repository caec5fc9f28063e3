//! LSET, LINSERT and LREM.

use crate::index_range::element_index;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::packing::item_of;
use darter_value::{End, List, Text};
use std::ops::ControlFlow;

/// Exchanges one element.
pub(super) static LSET: Command = Command {
    name: "LSET",
    group: Group::List,
    since: "1.0.0",
    summary: "Exchanges the element of a list with an index.",
    complexity: "O(N) where N is the distance from the nearer end in nodes of some hundred elements.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("index"), Arg::string("element")],
    handler: Handler::Keyed(lset),
    ..Command::BASE
};

/// Adds one element beside another.
pub(super) static LINSERT: Command = Command {
    name: "LINSERT",
    group: Group::List,
    since: "2.2.0",
    summary: "Adds an element before or after another one of a list.",
    complexity: "O(N) where N is the number of elements before the other one.",
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[
        Arg::key("key"),
        Arg::one_of("where", &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")]),
        Arg::string("pivot"),
        Arg::string("element"),
    ],
    handler: Handler::Keyed(linsert),
    ..Command::BASE
};

/// Removes elements by value.
pub(super) static LREM: Command = Command {
    name: "LREM",
    group: Group::List,
    since: "1.0.0",
    summary: "Removes elements of a list that are equal to one given.",
    complexity: "O(N) where N is the length of the list.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::integer("count"), Arg::string("element")],
    handler: Handler::Keyed(lrem),
    ..Command::BASE
};

fn lset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    // A missing list, or something else, hides a malformed index, as in Redis.
    if keyspace.peek_collection::<List>(&key)?.is_none() {
        return Err(ReplyError::NoSuchKey);
    }
    let index = call.integer(2)?;
    let shared = call.args.share(3);
    let element = Text::new(call.args.at(3), shared.as_ref());
    let limit = call.limits.encodings.list;
    let replaced = keyspace.tell(Interest::LIST, "lset").edit(&key, |list: &mut List| {
        list.prepare(element.bytes().len(), 1, limit);
        let index = element_index(index, list.len());
        if index.is_some_and(|index| list.replace(index, element, limit)) {
            list.settle(limit);
            Edit::changed(true)
        } else {
            Edit::unchanged(false)
        }
    })?;
    if replaced != Some(true) {
        return Err(ReplyError::Text("ERR index out of range"));
    }
    call.reply.ok();
    Ok(())
}

fn linsert(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let behind = if call.is_word(2, "AFTER") {
        1
    } else if call.is_word(2, "BEFORE") {
        0
    } else {
        return Err(ReplyError::Syntax);
    };
    let key = call.key(1);
    let (pivot, shared) = (item_of(call.args.at(3)), call.args.share(4));
    let element = Text::new(call.args.at(4), shared.as_ref());
    let limit = call.limits.encodings.list;
    let mut keyspace = call.keyspace(view, &key);
    let len = keyspace.tell(Interest::LIST, "linsert").edit(&key, |list: &mut List| {
        list.prepare(element.bytes().len(), 1, limit);
        let (mut index, mut found) = (0, false);
        list.walk(End::Front, 0, |own| {
            if own.equals(pivot) {
                found = true;
                return ControlFlow::Break(());
            }
            index += 1;
            ControlFlow::Continue(())
        });
        if !found {
            return Edit::unchanged(-1);
        }
        list.insert(index + behind, element, limit);
        Edit::changed(list.len().cast_signed() as i64)
    })?;
    if len.is_some_and(|len| len > 0) {
        keyspace.signal(&key);
    }
    call.reply.integer(len.unwrap_or(0));
    Ok(())
}

fn lrem(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    let end = if count < 0 { End::Back } else { End::Front };
    let count = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    let key = call.key(1);
    let element = call.args.at(3);
    let limit = call.limits.encodings.list;
    let removed =
        call.keyspace(view, &key).tell(Interest::LIST, "lrem").edit(&key, |list: &mut List| {
            let removed = list.remove_equal(end, element, count);
            if removed > 0 {
                list.settle(limit);
            }
            Edit::counted(removed as u64, removed)
        })?;
    call.reply.integer(removed.unwrap_or(0).cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn elements_are_exchanged_by_index() {
        transcript(
            r"
            LSET l 0 a              => -ERR no such key
            LSET l x a              => -ERR no such key
            RPUSH l a b c           => :3
            LSET l 0 x              => +OK
            LSET l -1 z             => +OK
            LSET l 3 y              => -ERR index out of range
            LSET l -4 y             => -ERR index out of range
            LSET l x y              => -ERR value is not an integer or out of range
            LRANGE l 0 -1           => *3 $1 x $1 b $1 z
            SET s v                 => +OK
            LSET s x y              => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }

    #[test]
    fn elements_are_added_beside_others() {
        transcript(
            r"
            LINSERT l BEFORE a b    => :0
            RPUSH l a 5 a           => :3
            LINSERT l BEFORE a x    => :4
            LINSERT l after 5 6     => :5
            LINSERT l AFTER nope 6  => :-1
            LINSERT l beside a b    => -ERR syntax error
            LRANGE l 0 -1           => *5 $1 x $1 a $1 5 $1 6 $1 a
            SET s v                 => +OK
            LINSERT s BEFORE a b    => -WRONGTYPE Operation against a key holding the wrong kind of value
            LINSERT s beside a b    => -ERR syntax error
            ",
        );
    }

    #[test]
    fn elements_are_removed_by_value() {
        transcript(
            r"
            LREM l 0 a              => :0
            RPUSH l a b a c a d a   => :7
            LREM l 1 a              => :1
            LREM l -2 a             => :2
            LRANGE l 0 -1           => *4 $1 b $1 a $1 c $1 d
            LREM l 0 x              => :0
            LREM l 0 a              => :1
            LREM l x a              => -ERR value is not an integer or out of range
            LREM l -9223372036854775808 a => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            RPUSH m a a             => :2
            LREM m 0 a              => :2
            EXISTS m                => :0
            SET s v                 => +OK
            LREM s 0 a              => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
