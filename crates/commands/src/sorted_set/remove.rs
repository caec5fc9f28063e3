//! ZREM and ZREMRANGEBY*.

use super::bound::{LexRange, ScoreRange};
use super::long_remove::{Answer, in_one_piece, remove_in_slices};
use crate::index_range::IndexRange;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_shard::{Edit, Interest};
use darter_value::SortedSet;
use std::ops::Range;

/// Removes members.
pub(super) static ZREM: Command = Command {
    name: "ZREM",
    group: Group::SortedSet,
    since: "1.2.0",
    summary: "Removes members from a sorted set, which goes with its last member.",
    complexity: "O(M*log(N)) where N is the size of the sorted set and M the number of members.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("member").multiple()],
    history: &[("2.4.0", "Accepts multiple elements.")],
    handler: Handler::Keyed(zrem),
    ..Command::BASE
};

/// Removes a range of members.
pub(super) static ZREMRANGEBYLEX: Command = Command {
    name: "ZREMRANGEBYLEX",
    since: "2.8.9",
    summary: "Removes the members in a range of members, from a sorted set of equal scores.",
    args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
    handler: Handler::Keyed(zremrangebylex),
    slices: Some(lex_in_slices),
    ..BY_RANGE
};

/// Removes a range of ranks.
pub(super) static ZREMRANGEBYRANK: Command = Command {
    name: "ZREMRANGEBYRANK",
    since: "2.0.0",
    summary: "Removes the members in a range of ranks from a sorted set.",
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
    handler: Handler::Keyed(zremrangebyrank),
    slices: Some(ranks_in_slices),
    ..BY_RANGE
};

/// Removes a range of scores.
pub(super) static ZREMRANGEBYSCORE: Command = Command {
    name: "ZREMRANGEBYSCORE",
    since: "1.2.0",
    summary: "Removes the members with scores in a range from a sorted set.",
    args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
    handler: Handler::Keyed(zremrangebyscore),
    slices: Some(scores_in_slices),
    ..BY_RANGE
};

/// Their events.
const BY_LEX: &str = "zremrangebylex";
const BY_RANK: &str = "zremrangebyrank";
const BY_SCORE: &str = "zremrangebyscore";

const BY_RANGE: Command = Command {
    group: Group::SortedSet,
    complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members \
                 removed.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    ..Command::BASE
};

fn zrem(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let args = call.args;
    let removed = call.keyspace(view, &key).tell(Interest::SORTED_SET, "zrem").edit(
        &key,
        |set: &mut SortedSet| {
            let members = (2..args.len()).map(|index| args.at(index));
            let removed = members.filter(|member| set.remove(member).is_some()).count();
            Edit::counted(removed as u64, removed)
        },
    )?;
    call.reply.integer(i64::try_from(removed.unwrap_or(0)).unwrap_or(i64::MAX));
    Ok(())
}

fn zremrangebylex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = LexRange::parse(call.args.at(2), call.args.at(3))?;
    remove(call, view, BY_LEX, |set| range.ranks(set))
}

fn zremrangebyrank(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = IndexRange::parse(call, 2)?;
    remove(call, view, BY_RANK, |set| range.within(set.len()))
}

fn zremrangebyscore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = ScoreRange::parse(call.args.at(2), call.args.at(3))?;
    remove(call, view, BY_SCORE, |set| range.ranks(set))
}

fn lex_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let range = LexRange::parse(call.args.at(2), call.args.at(3))?.to_owned();
    Ok(remove_in_slices(call, 1, BY_LEX, move |set| range.ranks(set), Answer::Count))
}

fn ranks_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let range = IndexRange::parse(call, 2)?;
    Ok(remove_in_slices(call, 1, BY_RANK, move |set| range.within(set.len()), Answer::Count))
}

fn scores_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let range = ScoreRange::parse(call.args.at(2), call.args.at(3))?;
    Ok(remove_in_slices(call, 1, BY_SCORE, move |set| range.ranks(set), Answer::Count))
}

fn remove(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    event: &'static str,
    ranks: impl FnOnce(&SortedSet) -> Range<usize>,
) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.peek_collection::<SortedSet>(&key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let ranks = ranks(set);
    let removed = ranks.len();
    let is_all = removed == set.len();
    if !is_all {
        in_one_piece(call, set, removed)?;
    }
    keyspace.tell(Interest::SORTED_SET, event);
    if is_all {
        keyspace.exchange_collection(&key, SortedSet::default(), removed as u64);
    } else {
        keyspace.edit(&key, |set: &mut SortedSet| {
            set.remove_range(ranks, |_, _| {});
            Edit::counted(removed as u64, ())
        })?;
    }
    call.reply.integer(i64::try_from(removed).unwrap_or(i64::MAX));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn members_and_ranges_are_removed() {
        transcript(
            r"
            ZADD z 1 a 2 b 3 c 4 d 5 e 6 f => :6
            ZREM z a x a            => :1
            ZREMRANGEBYRANK z 0 1   => :2
            ZRANGE z 0 -1           => *3 $1 d $1 e $1 f
            ZREMRANGEBYRANK z -1 -1 => :1
            ZREMRANGEBYRANK z 5 1   => :0
            ZREMRANGEBYSCORE z (4 5 => :1
            ZREMRANGEBYSCORE z x 5  => -ERR min or max is not a float
            ZREMRANGEBYRANK z x 5   => -ERR value is not an integer or out of range
            ZREMRANGEBYLEX z - +    => :1
            ZREMRANGEBYLEX z - x    => -ERR min or max not valid string range item
            EXISTS z                => :0
            ZREM z a                => :0
            ZREMRANGEBYLEX z - +    => :0
            ",
        );
    }
}
