//! BZPOPMIN, BZPOPMAX and BZMPOP: the commands of [`super::pop`] that wait for a member.

use super::add;
use super::pop::{End, ManyPop};
use super::written::Shape;
use crate::many_keys::each_key_until;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView, Wait, Waits,
};
use darter_resp::{Args, OwnedArgs, ReplyWriter};
use darter_shard::{Edit, Interest, Type, Wanted};
use darter_value::SortedSet;
use std::ops::Range;

const POPPED: Access = Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE);
const WAITS: Option<Waits> = Some(Waits { when: |_| true, give_back: Some(give_back) });

/// Takes the highest member of the first of several sorted sets that has any.
pub(super) static BZPOPMAX: Command = Command {
    name: "BZPOPMAX",
    summary: "Removes the highest member of the first sorted set that is there and returns it; waits \
              for one if there is none.",
    handler: Handler::Keyed(|call, view| pop(call, view, End::Highest)),
    ..POP
};

/// Takes the lowest member of the first of several sorted sets that has any.
pub(super) static BZPOPMIN: Command = Command {
    name: "BZPOPMIN",
    summary: "Removes the lowest member of the first sorted set that is there and returns it; waits \
              for one if there is none.",
    handler: Handler::Keyed(|call, view| pop(call, view, End::Lowest)),
    ..POP
};

const POP: Command = Command {
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(K) + O(log(N)) where K is the number of keys and N the size of the sorted set.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::BLOCKING).and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::range(1, -2, 1, POPPED)],
    args: &[Arg::key("key").multiple(), Arg::double("timeout")],
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    waits: WAITS,
    ..Command::BASE
};

/// Takes members of the first of several sorted sets that has any.
pub(super) static BZMPOP: Command = Command {
    name: "BZMPOP",
    group: Group::SortedSet,
    since: "7.0.0",
    summary: "Removes the lowest or highest members of the first of several sorted sets that has any; \
              waits for one if there is none.",
    complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the size of the sorted set and M \
                 the number of members popped.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::BLOCKING),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::counted(2, POPPED)],
    args: &[
        Arg::double("timeout"),
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    waits: WAITS,
    handler: Handler::Keyed(bzmpop),
    ..Command::BASE
};

fn wait_for_set(until: Option<UnixMillis>, keys: Range<usize>) -> Wait {
    let wanted = Wanted { kind: Type::SortedSet, anything: false };
    Wait { until, again_at: None, wanted, keys, meant: Vec::new() }
}

fn pop(call: &mut Call<'_>, view: &mut ShardView<'_>, end: End) -> ReplyResult {
    let timeout_at = call.args.len() - 1;
    let until = call.until_seconds(timeout_at)?;
    let keys = 1..timeout_at;
    let popped = each_key_until(call, view, keys.clone(), |reply, mut keyspace, key| {
        Ok(keyspace.tell(Interest::SORTED_SET, end.event()).edit(key, |set: &mut SortedSet| {
            let rank = if end == End::Lowest { 0 } else { set.len() - 1 };
            reply.array(3);
            reply.bulk(key.bytes);
            for (member, score) in set.range(rank..rank + 1, false) {
                Shape::Flat.write(reply, member, score);
            }
            set.remove_range(rank..rank + 1, |_, _| {});
            Edit::changed(())
        })?)
    })?;
    match popped {
        Some((index, ())) => {
            let key = call.args.at(index);
            call.leave(|effects| effects.add(&[end.pop_command(), key]));
        }
        None => call.wait_or(|| wait_for_set(until, keys), ReplyWriter::null_array),
    }
    Ok(())
}

fn bzmpop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let many = ManyPop::parse(call, 2)?;
    let until = call.until_seconds(1)?;
    if !many.run(call, view)? {
        call.wait_or(|| wait_for_set(until, many.keys), ReplyWriter::null_array);
    }
    Ok(())
}

/// Members return with their scores, but for those that somebody added again meanwhile. `taken` is the key,
/// then members and scores by turns.
fn give_back(_: Args<'_>, taken: Args<'_>) -> (&'static Command, OwnedArgs) {
    let mut args = OwnedArgs::new();
    args.push(add::ZADD.name.as_bytes());
    args.push(taken.at(0));
    args.push(b"NX");
    for index in (1..taken.len()).step_by(2) {
        let score = taken.get(index + 1).unwrap_or_default();
        args.push(score);
        args.push(taken.at(index));
    }
    (&add::ZADD, args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn what_is_there_is_taken_at_once() {
        transcript(
            r"
            ZADD z 1 a 2 b 3 c 4 d 5.5 e => :5
            BZPOPMIN nokey z 0      => *3 $1 z $1 a $1 1
            BZPOPMAX nokey z 0.5    => *3 $1 z $1 e $3 5.5
            BZMPOP 0 2 nokey z MAX COUNT 2 => *2 $1 z *2 *2 $1 d $1 4 *2 $1 c $1 3
            @resp 3
            BZPOPMIN z 0            => *3 $1 z $1 b ,2
            EXISTS z                => :0
            BZPOPMIN z 0            => _
            @resp 2
            SET s v                 => +OK
            BZPOPMIN s 0            => -WRONGTYPE Operation against a key holding the wrong kind of value
            BZPOPMIN z 0            => *-1
            BZMPOP 0 1 z MIN        => *-1
            BZPOPMIN z x            => -ERR timeout is not a float or out of range
            BZMPOP x 0 z MIN        => -ERR numkeys should be greater than 0
            BZMPOP x 1 z MIN        => -ERR timeout is not a float or out of range
            BZMPOP 0 1 z UP         => -ERR syntax error
            BZMPOP 0 1 z MIN COUNT 0 => -ERR count should be greater than 0
            ",
        );
    }

    #[test]
    fn what_was_taken_returns_with_its_score() {
        let args = |line: &str| line.split(' ').collect::<OwnedArgs>();
        let (command, add) = give_back(Args::new(b"", &[]), args("k a 1 b inf").as_args());
        assert_eq!((command.name, add), ("ZADD", args("ZADD k NX 1 a inf b")));
    }
}
