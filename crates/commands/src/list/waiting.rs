//! BLPOP, BRPOP, BLMPOP, BLMOVE, BLMOVEM and BRPOPLPUSH: the commands of [`super::pop`], [`super::moving`] and
//! [`super::moving_many`] that wait for elements.

use super::moving::{self, move_element};
use super::moving_many::{HOW_MANY, ManyMoves};
use super::pop::{ManyPop, remove};
use super::{end, push};
use crate::many_keys::each_key_until;
use crate::reply::write_element;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Deprecation, Effects, Flags, Group, Handler,
    KeySpec, ReplyResult, ShardView, Wait, Waits,
};
use darter_resp::{Args, OwnedArgs, ReplyWriter};
use darter_shard::{Edit, Interest, Type, Wanted};
use darter_value::{End, List};
use std::ops::Range;

const POPPED: Access = Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE);
const FLAGS: Flags = Flags::WRITE.and(Flags::BLOCKING);
const DOUBLE_TIMEOUT: &[(&str, &str)] = &[("6.0.0", "`timeout` may have a fraction.")];

/// What BLPOP and BRPOP have in common.
const POP: Command = Command {
    group: Group::List,
    since: "2.0.0",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    acl: Category::LIST,
    keys: &[KeySpec::range(1, -2, 1, POPPED)],
    args: &[Arg::key("key").multiple(), Arg::double("timeout")],
    history: DOUBLE_TIMEOUT,
    ..Command::BASE
};

/// Takes the first element of the first of several lists that has any.
pub(super) static BLPOP: Command = Command {
    name: "BLPOP",
    summary: "Removes the first element of the first list that is there and returns it; waits for one \
              if there is none.",
    waits: Some(Waits { when: |_| true, give_back: Some(|_, taken| undo(&push::LPUSH, taken)) }),
    handler: Handler::Keyed(|call, view| pop(call, view, End::Front)),
    ..POP
};

/// Takes the last element of the first of several lists that has any.
pub(super) static BRPOP: Command = Command {
    name: "BRPOP",
    summary: "Removes the last element of the first list that is there and returns it; waits for one \
              if there is none.",
    waits: Some(Waits { when: |_| true, give_back: Some(|_, taken| undo(&push::RPUSH, taken)) }),
    handler: Handler::Keyed(|call, view| pop(call, view, End::Back)),
    ..POP
};

/// Takes elements of the first of several lists that has any.
pub(super) static BLMPOP: Command = Command {
    name: "BLMPOP",
    group: Group::List,
    since: "7.0.0",
    summary: "Removes elements of the first list that is there, and returns its name and them; waits \
              for one if there is none.",
    complexity: "O(N+M) where N is the number of keys and M the number of elements removed.",
    arity: Arity::AtLeast(5),
    flags: FLAGS,
    acl: Category::LIST,
    keys: &[KeySpec::counted(2, POPPED)],
    args: &[
        Arg::double("timeout"),
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::one_of("where", end::CHOICES),
        Arg::integer("count").token("COUNT").optional(),
    ],
    waits: Some(Waits { when: |_| true, give_back: Some(give_many_back) }),
    handler: Handler::Keyed(blmpop),
    ..Command::BASE
};

/// Moves an element.
pub(super) static BLMOVE: Command = Command {
    name: "BLMOVE",
    group: Group::List,
    since: "6.2.0",
    summary: "Moves an element from an end of a list to an end of another one, and returns it; waits \
              for one if there is none.",
    complexity: "O(1)",
    arity: Arity::Exactly(6),
    flags: FLAGS.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: moving::KEYS,
    args: &[
        Arg::key("source"),
        Arg::key_by("destination", 1),
        Arg::one_of("wherefrom", end::CHOICES),
        Arg::one_of("whereto", end::CHOICES),
        Arg::double("timeout"),
    ],
    waits: MOVES,
    handler: Handler::Keyed(blmove),
    ..Command::BASE
};

/// Moves elements.
pub(super) static BLMOVEM: Command = Command {
    name: "BLMOVEM",
    group: Group::List,
    since: "8.10.0",
    summary: "Moves up to a number of elements, or exactly as many, from an end of a list to an end of \
              another one, and returns them; waits until there are enough.",
    complexity: "O(N) where N is the number of elements moved.",
    arity: Arity::AtLeast(6),
    flags: FLAGS.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: moving::KEYS,
    args: &[
        Arg::key("source"),
        Arg::key_by("destination", 1),
        Arg::one_of("wherefrom", end::CHOICES),
        Arg::one_of("whereto", end::CHOICES),
        Arg::double("timeout"),
        HOW_MANY,
    ],
    waits: MOVES,
    handler: Handler::Keyed(blmovem),
    ..Command::BASE
};

/// Moves the last element of a list.
pub(super) static BRPOPLPUSH: Command = Command {
    name: "BRPOPLPUSH",
    group: Group::List,
    since: "2.2.0",
    summary: "Moves the last element of a list to the front of another one, and returns it; waits for \
              one if there is none.",
    complexity: "O(1)",
    arity: Arity::Exactly(4),
    flags: FLAGS.and(Flags::DENYOOM),
    acl: Category::LIST,
    keys: moving::KEYS,
    args: &[Arg::key("source"), Arg::key_by("destination", 1), Arg::double("timeout")],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    }),
    history: DOUBLE_TIMEOUT,
    waits: MOVES,
    handler: Handler::Keyed(brpoplpush),
    ..Command::BASE
};

/// What was moved is in the other list, whoever hears of it.
const MOVES: Option<Waits> = Some(Waits { when: |_| true, give_back: None });

fn wait_for_list(until: Option<UnixMillis>, keys: Range<usize>) -> Wait {
    let wanted = Wanted { kind: Type::List, anything: false };
    Wait { until, again_at: None, wanted, keys, meant: Vec::new() }
}

fn pop(call: &mut Call<'_>, view: &mut ShardView<'_>, end: End) -> ReplyResult {
    let timeout_at = call.args.len() - 1;
    let until = call.until_seconds(timeout_at)?;
    let limit = call.limits.encodings.list;
    let keys = 1..timeout_at;
    let popped = each_key_until(call, view, keys.clone(), |reply, mut keyspace, key| {
        let event = end::pop_event(end);
        let popped = keyspace.tell(Interest::LIST, event).edit(key, |list: &mut List| {
            let Some(element) = list.at_end(end) else { return Edit::unchanged(()) };
            reply.array(2);
            reply.bulk(key.bytes);
            write_element(reply, element);
            remove(list, end, 1, limit);
            Edit::changed(())
        })?;
        Ok(popped)
    })?;
    match popped {
        Some((index, ())) => {
            let key = call.args.at(index);
            call.leave(|effects| effects.add(&[end::pop_command(end), key]));
        }
        None => call.wait_or(|| wait_for_list(until, keys), ReplyWriter::null_array),
    }
    Ok(())
}

fn blmpop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let many = ManyPop::parse(call, 2)?;
    let until = call.until_seconds(1)?;
    if !many.run(call, view)? {
        call.wait_or(|| wait_for_list(until, many.keys), ReplyWriter::null_array);
    }
    Ok(())
}

fn blmove(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let ends = (end::parse(call, 3)?, end::parse(call, 4)?);
    let (from, to) = (end::word(ends.0), end::word(ends.1));
    move_or_wait(call, view, ends, 5, |effects, source, destination| {
        effects.add(&[b"LMOVE", source, destination, from, to]);
    })
}

fn brpoplpush(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let ends = (End::Back, End::Front);
    move_or_wait(call, view, ends, 3, |effects, source, destination| {
        effects.add(&[b"RPOPLPUSH", source, destination]);
    })
}

fn blmovem(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let moves = ManyMoves::parse(call, 6)?;
    let until = call.until_seconds(5)?;
    if moves.run(call, view)? == 0 {
        // Also while there are some, but not enough: whatever makes a list longer has it tried again.
        call.wait_or(|| wait_for_list(until, 1..2), ReplyWriter::null_array);
    }
    Ok(())
}

fn move_or_wait(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    (from, to): (End, End),
    timeout_at: usize,
    describe: impl FnOnce(&mut Effects, &[u8], &[u8]),
) -> ReplyResult {
    let until = call.until_seconds(timeout_at)?;
    if move_element(call, view, from, to)? {
        let (source, destination) = (call.args.at(1), call.args.at(2));
        call.leave(|effects| describe(effects, source, destination));
    } else {
        call.wait_or(|| wait_for_list(until, 1..2), ReplyWriter::null);
    }
    Ok(())
}

/// The push that undoes a pop which answered the key and the elements `taken`: they return in the opposite
/// order.
fn undo(push: &'static Command, taken: Args<'_>) -> (&'static Command, OwnedArgs) {
    let mut args = OwnedArgs::new();
    args.push(push.name.as_bytes());
    args.push(taken.at(0));
    for element in taken.tail(1).iter().rev() {
        args.push(element);
    }
    (push, args)
}

fn give_many_back(args: Args<'_>, taken: Args<'_>) -> (&'static Command, OwnedArgs) {
    let mut keys_end = 3;
    BLMPOP.each_key(args, |index| keys_end = index + 1);
    let from_front = args.get(keys_end).is_some_and(|end| end.eq_ignore_ascii_case(b"LEFT"));
    undo(if from_front { &push::LPUSH } else { &push::RPUSH }, taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn what_is_there_is_taken_at_once() {
        transcript(
            r"
            RPUSH a 1 2 3           => :3
            BLPOP nokey a 0         => *2 $1 a $1 1
            BRPOP nokey a 0.5       => *2 $1 a $1 3
            BLMOVE a b LEFT RIGHT 0 => $1 2
            BRPOPLPUSH b c 0        => $1 2
            RPUSH c 3 4 5           => :4
            BLMPOP 0 2 a c RIGHT COUNT 2 => *2 $1 c *2 $1 5 $1 4
            BLMPOP 0 2 a c LEFT     => *2 $1 c *1 $1 2
            LRANGE c 0 -1           => *1 $1 3
            SET s v                 => +OK
            BLPOP nokey s c 0       => -WRONGTYPE Operation against a key holding the wrong kind of value
            BLPOP c s 0             => *2 $1 c $1 3
            BLMOVE s c LEFT LEFT 0  => -WRONGTYPE Operation against a key holding the wrong kind of value
            RPUSH c 1               => :1
            BLMOVE c s LEFT LEFT 0  => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }

    #[test]
    fn who_may_not_wait_is_answered_as_if_the_time_was_up() {
        transcript(
            r"
            BLPOP a 0               => *-1
            BRPOP a b 1             => *-1
            BLMOVE a b LEFT LEFT 0  => $-1
            BRPOPLPUSH a b 0        => $-1
            BLMPOP 0 1 a LEFT       => *-1
            ",
        );
    }

    #[test]
    fn timeouts_are_checked_as_in_valkey() {
        transcript(
            r#"
            BLPOP a x               => -ERR timeout is not a float or out of range
            BLPOP a ""              => -ERR timeout is not a float or out of range
            BLPOP a nan             => -ERR timeout is not a float or out of range
            BLPOP a -1              => -ERR timeout is negative
            BLPOP a -0.001          => -ERR timeout is negative
            BLPOP a -0.0001         => *-1
            BLPOP a -1e-400         => *-1
            BLPOP a 1e-400          => *-1
            BLPOP a -1e400          => -ERR timeout is negative
            BLPOP a inf             => -ERR timeout is out of range
            BLPOP a -inf            => -ERR timeout is negative
            BLPOP a 1e400           => -ERR timeout is out of range
            BLPOP a 9223372036854775 => -ERR timeout is out of range
            BLPOP a 9223372036854776 => -ERR timeout is out of range
            BLMOVE a b x LEFT x     => -ERR syntax error
            BLMOVE a b LEFT LEFT x  => -ERR timeout is not a float or out of range
            BLMPOP x x a LEFT       => -ERR numkeys should be greater than 0
            BLMPOP x 1 a LEFT       => -ERR timeout is not a float or out of range
            BLMPOP 0 1 a UP         => -ERR syntax error
            BLMPOP 0 1 a LEFT COUNT 0 => -ERR count should be greater than 0
            "#,
        );
    }

    #[test]
    fn what_was_taken_returns_to_where_it_was() {
        let args = |line: &str| line.split(' ').collect::<OwnedArgs>();
        let taken = args("k 1 2 3");
        let (command, push) =
            give_many_back(args("BLMPOP 0 2 a k left COUNT 3").as_args(), taken.as_args());
        assert_eq!((command.name, push), ("LPUSH", args("LPUSH k 3 2 1")));
        let (command, _) =
            give_many_back(args("BLMPOP 0 2 LEFT k RIGHT").as_args(), taken.as_args());
        assert_eq!(command.name, "RPUSH");
    }
}
