//! LMOVE and RPOPLPUSH.

use super::end;
use super::pop::remove;
use crate::reply::write_element;
use darter_base::SharedBytes;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Deprecation, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::{Element, End, List, Text};

pub(super) const KEYS: &[KeySpec] = &[
    KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE)),
    KeySpec::at(2, Access::READ_WRITE.and(Access::INSERT)),
];

/// Moves an element.
pub(super) static LMOVE: Command = Command {
    name: "LMOVE",
    group: Group::List,
    since: "6.2.0",
    summary: "Moves an element from an end of a list to an end of another one, and returns it.",
    complexity: "O(1)",
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: KEYS,
    args: &[
        Arg::key("source"),
        Arg::key_by("destination", 1),
        Arg::one_of("wherefrom", end::CHOICES),
        Arg::one_of("whereto", end::CHOICES),
    ],
    handler: Handler::Keyed(lmove),
    ..Command::BASE
};

/// Moves the last element of a list.
pub(super) static RPOPLPUSH: Command = Command {
    name: "RPOPLPUSH",
    group: Group::List,
    since: "1.2.0",
    summary: "Moves the last element of a list to the front of another one, and returns it.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: KEYS,
    args: &[Arg::key("source"), Arg::key_by("destination", 1)],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
    }),
    handler: Handler::Keyed(|call, view| move_or_null(call, view, End::Back, End::Front)),
    ..Command::BASE
};

fn lmove(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (from, to) = (end::parse(call, 3)?, end::parse(call, 4)?);
    move_or_null(call, view, from, to)
}

fn move_or_null(call: &mut Call<'_>, view: &mut ShardView<'_>, from: End, to: End) -> ReplyResult {
    if !move_element(call, view, from, to)? {
        call.reply.null();
    }
    Ok(())
}

/// Moves an element from the list at argument 1 to the one at argument 2; whether there was one. They may be
/// the same list, and may be in different shards.
pub(super) fn move_element(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    from: End,
    to: End,
) -> Result<bool, ReplyError> {
    let (source, destination) = (call.key(1), call.key(2));
    if call.keyspace(view, &source).peek_collection::<List>(&source)?.is_none() {
        return Ok(false);
    }
    call.keyspace(view, &destination).peek_collection::<List>(&destination)?;
    let limit = call.limits.encodings.list;
    let is_same = source.bytes == destination.bytes;
    let put = |list: &mut List, element: Text<'_>| {
        list.prepare(element.bytes().len(), 1, limit);
        list.push(to, element, limit);
    };
    // A copy, or the buffer of a big one.
    let (mut copy, mut buffer) = (Vec::new(), None);
    let mut keyspace = call.keyspace(view, &source);
    let reply = &mut call.reply;
    keyspace.edit(&source, |list: &mut List| {
        let Some(taken) = list.at_end(from) else { return Edit::unchanged(()) };
        write_element(reply, taken);
        match taken {
            Element::Large(string) => buffer = Some(string.share()),
            Element::Packed(_) => taken.copy_into(&mut copy),
        }
        remove(list, from, 1, limit);
        if is_same {
            // Here and now, for the list is not to become empty.
            put(list, element_of(&copy, buffer.as_ref()));
        }
        Edit::changed(())
    })?;
    if !is_same {
        let mut keyspace = call.keyspace(view, &destination);
        keyspace.edit_or_create(&destination, |list: &mut List| {
            put(list, element_of(&copy, buffer.as_ref()));
            Edit::uncounted(())
        })?;
        keyspace.signal(&destination);
    }
    // As in Redis, what comes is told before what goes.
    call.keyspace(view, &destination).note(Interest::LIST, end::push_event(to), &destination);
    call.keyspace(view, &source).note(Interest::LIST, end::pop_event(from), &source);
    Ok(true)
}

/// An element that was taken out of a list, to be put into one.
fn element_of<'a>(copy: &'a [u8], buffer: Option<&'a SharedBytes>) -> Text<'a> {
    Text::new(buffer.map_or(copy, |buffer| buffer), buffer)
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn elements_move_between_lists() {
        transcript(
            r"
            LMOVE a b LEFT RIGHT    => $-1
            EXISTS b                => :0
            RPUSH a 1 2 3           => :3
            LMOVE a b LEFT RIGHT    => $1 1
            LMOVE a b right left    => $1 3
            LRANGE b 0 -1           => *2 $1 3 $1 1
            RPOPLPUSH a b           => $1 2
            EXISTS a                => :0
            LRANGE b 0 -1           => *3 $1 2 $1 3 $1 1
            LMOVE b b LEFT RIGHT    => $1 2
            RPOPLPUSH b b           => $1 2
            LRANGE b 0 -1           => *3 $1 2 $1 3 $1 1
            RPUSH one x             => :1
            EXPIRE one 100          => :1
            RPOPLPUSH one one       => $1 x
            TTL one                 => :100
            LMOVE a b UP LEFT       => -ERR syntax error
            LMOVE a b LEFT UP       => -ERR syntax error
            SET s v                 => +OK
            LMOVE nokey s LEFT LEFT => $-1
            LMOVE b s LEFT LEFT     => -WRONGTYPE Operation against a key holding the wrong kind of value
            RPOPLPUSH s b           => -WRONGTYPE Operation against a key holding the wrong kind of value
            LLEN b                  => :3
            ",
        );
    }
}
