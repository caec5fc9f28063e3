//! LPUSH, RPUSH, LPUSHX and RPUSHX.

use super::end;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::{End, List, Text};

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);
const KEYS: &[KeySpec] = &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))];
const ARGS: &[Arg] = &[Arg::key("key"), Arg::string("element").multiple()];
const COMPLEXITY: &str = "O(N) where N is the number of elements added.";

/// Adds elements in front.
pub(super) static LPUSH: Command = Command {
    name: "LPUSH",
    group: Group::List,
    since: "1.0.0",
    summary: "Adds elements in front of a list, which is created if it is not there.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: &[("2.4.0", "Accepts multiple `element` arguments.")],
    handler: Handler::Keyed(|call, view| push(call, view, End::Front, true)),
    ..Command::BASE
};

/// Adds elements at the end.
pub(super) static RPUSH: Command = Command {
    name: "RPUSH",
    group: Group::List,
    since: "1.0.0",
    summary: "Adds elements at the end of a list, which is created if it is not there.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: &[("2.4.0", "Accepts multiple `element` arguments.")],
    handler: Handler::Keyed(|call, view| push(call, view, End::Back, true)),
    ..Command::BASE
};

/// Adds elements in front if the list is there.
pub(super) static LPUSHX: Command = Command {
    name: "LPUSHX",
    group: Group::List,
    since: "2.2.0",
    summary: "Adds elements in front of a list that is there already.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: &[("4.0.0", "Accepts multiple `element` arguments.")],
    handler: Handler::Keyed(|call, view| push(call, view, End::Front, false)),
    ..Command::BASE
};

/// Adds elements at the end if the list is there.
pub(super) static RPUSHX: Command = Command {
    name: "RPUSHX",
    group: Group::List,
    since: "2.2.0",
    summary: "Adds elements at the end of a list that is there already.",
    complexity: COMPLEXITY,
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::LIST,
    keys: KEYS,
    args: ARGS,
    history: &[("4.0.0", "Accepts multiple `element` arguments.")],
    handler: Handler::Keyed(|call, view| push(call, view, End::Back, false)),
    ..Command::BASE
};

fn push(call: &mut Call<'_>, view: &mut ShardView<'_>, end: End, create: bool) -> ReplyResult {
    let key = call.key(1);
    let elements = call.args.tail(2);
    let limit = call.limits.encodings.list;
    let add = |list: &mut List| {
        list.prepare(elements.bytes(), elements.len(), limit);
        for index in 0..elements.len() {
            let shared = elements.share(index);
            list.push(end, Text::new(elements.at(index), shared.as_ref()), limit);
        }
        Edit::counted(elements.len() as u64, list.len())
    };
    let mut keyspace = call.keyspace(view, &key);
    keyspace.tell(Interest::LIST, end::push_event(end));
    let len = if create {
        keyspace.edit_or_create(&key, add)?
    } else {
        keyspace.edit(&key, add)?.unwrap_or(0)
    };
    if len > elements.len() {
        // BLMOVEM may wait for a list that is there to grow.
        keyspace.signal(&key);
    }
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn pushing_creates_and_counts() {
        transcript(
            r#"
            LPUSH l a               => :1
            LPUSH l b c             => :3
            RPUSH l d "" 12         => :6
            LRANGE l 0 -1           => *6 $1 c $1 b $1 a $1 d $0  $2 12
            TYPE l                  => +list
            LPUSHX nokey a          => :0
            RPUSHX nokey a          => :0
            EXISTS nokey            => :0
            LPUSHX l x y            => :8
            RPUSHX l z              => :9
            LRANGE l 0 1            => *2 $1 y $1 x
            SET s v                 => +OK
            LPUSH s a               => -WRONGTYPE Operation against a key holding the wrong kind of value
            RPUSHX s a              => -WRONGTYPE Operation against a key holding the wrong kind of value
            GET l                   => -WRONGTYPE Operation against a key holding the wrong kind of value
            APPEND l x              => -WRONGTYPE Operation against a key holding the wrong kind of value
            SET l v                 => +OK
            LPUSH l                 => -ERR wrong number of arguments for 'lpush' command
            "#,
        );
    }
}
