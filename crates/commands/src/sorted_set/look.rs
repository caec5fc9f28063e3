//! Asking for scores, ranks and counts.

use super::bound::{LexRange, ScoreRange};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::SortedSet;

/// Number of members.
pub(super) static ZCARD: Command = Command {
    name: "ZCARD",
    group: Group::SortedSet,
    since: "1.2.0",
    summary: "The number of members of a sorted set.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(zcard),
    ..Command::BASE
};

/// Number of members with scores in a range.
pub(super) static ZCOUNT: Command = Command {
    name: "ZCOUNT",
    group: Group::SortedSet,
    since: "2.0.0",
    summary: "The number of members of a sorted set with scores in a range.",
    complexity: "O(log(N)) where N is the size of the sorted set.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
    handler: Handler::Keyed(zcount),
    ..Command::BASE
};

/// Number of members in a range of members.
pub(super) static ZLEXCOUNT: Command = Command {
    name: "ZLEXCOUNT",
    group: Group::SortedSet,
    since: "2.8.9",
    summary: "The number of members in a range, in a sorted set of equal scores.",
    complexity: "O(log(N)) where N is the size of the sorted set.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
    handler: Handler::Keyed(zlexcount),
    ..Command::BASE
};

/// Scores of several members.
pub(super) static ZMSCORE: Command = Command {
    name: "ZMSCORE",
    group: Group::SortedSet,
    since: "6.2.0",
    summary: "The scores of several members of a sorted set.",
    complexity: "O(N) where N is the number of members asked for.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("member").multiple()],
    handler: Handler::Keyed(zmscore),
    ..Command::BASE
};

/// The rank of a member.
pub(super) static ZRANK: Command = Command {
    name: "ZRANK",
    group: Group::SortedSet,
    since: "2.0.0",
    summary: "The rank of a member of a sorted set, counted from the lowest score.",
    complexity: "O(log(N)) where N is the size of the sorted set.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: RANK_ARGS,
    history: RANK_HISTORY,
    handler: Handler::Keyed(zrank),
    ..Command::BASE
};

/// The rank of a member from the other end.
pub(super) static ZREVRANK: Command = Command {
    name: "ZREVRANK",
    group: Group::SortedSet,
    since: "2.0.0",
    summary: "The rank of a member of a sorted set, counted from the highest score.",
    complexity: "O(log(N)) where N is the size of the sorted set.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: RANK_ARGS,
    history: RANK_HISTORY,
    handler: Handler::Keyed(zrevrank),
    ..Command::BASE
};

/// The score of a member.
pub(super) static ZSCORE: Command = Command {
    name: "ZSCORE",
    group: Group::SortedSet,
    since: "1.2.0",
    summary: "The score of a member of a sorted set.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("member")],
    handler: Handler::Keyed(zscore),
    ..Command::BASE
};

const RANK_ARGS: &[Arg] = &[
    Arg::key("key"),
    Arg::string("member"),
    Arg::word("withscore", "WITHSCORE").optional().since("7.2.0"),
];

const RANK_HISTORY: &[(&str, &str)] = &[("7.2.0", "Added the optional `WITHSCORE` argument.")];

fn zcard(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    write_count(call, view, SortedSet::len)
}

fn zcount(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = ScoreRange::parse(call.args.at(2), call.args.at(3))?;
    write_count(call, view, |set| range.ranks(set).len())
}

fn zlexcount(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = LexRange::parse(call.args.at(2), call.args.at(3))?;
    write_count(call, view, |set| range.ranks(set).len())
}

fn write_count(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    count: impl FnOnce(&SortedSet) -> usize,
) -> ReplyResult {
    let key = call.key(1);
    let count = call.keyspace(view, &key).read_collection(&key)?.map_or(0, count);
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

fn zscore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<SortedSet>(&key)?;
    match set.and_then(|set| set.score(call.args.at(2))) {
        Some(score) => call.reply.double(score),
        None => call.reply.null(),
    }
    Ok(())
}

fn zmscore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<SortedSet>(&key)?;
    call.reply.array(call.args.len() - 2);
    for index in 2..call.args.len() {
        match set.and_then(|set| set.score(call.args.at(index))) {
            Some(score) => call.reply.double(score),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn zrank(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    write_rank(call, view, |rank, _| rank)
}

fn zrevrank(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    write_rank(call, view, |rank, len| len - 1 - rank)
}

fn write_rank(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    shown: impl FnOnce(usize, usize) -> usize,
) -> ReplyResult {
    let with_score = match call.args.len() {
        3 => false,
        4 if call.is_word(3, "WITHSCORE") => true,
        4 => return Err(ReplyError::Syntax),
        _ => return Err(ReplyError::WrongArity(call.command.name.to_ascii_lowercase())),
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let set = keyspace.read_collection::<SortedSet>(&key)?;
    let found = set.and_then(|set| set.rank(call.args.at(2)).map(|found| (set.len(), found)));
    match found {
        None if with_score => call.reply.null_array(),
        None => call.reply.null(),
        Some((len, (rank, score))) => {
            if with_score {
                call.reply.array(2);
            }
            call.reply.integer(i64::try_from(shown(rank, len)).unwrap_or(i64::MAX));
            if with_score {
                call.reply.double(score);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn scores_ranks_and_counts() {
        transcript(
            r"
            ZADD z 1 a 2 b 2 c 3.5 d => :4
            ZCARD z                 => :4
            ZCARD none              => :0
            ZSCORE z d              => $3 3.5
            ZSCORE z x              => $-1
            ZSCORE none x           => $-1
            ZMSCORE z a x d         => *3 $1 1 $-1 $3 3.5
            ZMSCORE none a          => *1 $-1
            ZRANK z c               => :2
            ZREVRANK z c            => :1
            ZRANK z c WITHSCORE     => *2 :2 $1 2
            ZRANK z x               => $-1
            ZRANK z x withscore     => *-1
            ZRANK none x WITHSCORE  => *-1
            ZRANK z c FOO           => -ERR syntax error
            ZRANK z c WITHSCORE a   => -ERR wrong number of arguments for 'zrank' command
            ZCOUNT z 2 3            => :2
            ZCOUNT z (2 inf         => :1
            ZCOUNT z -inf (2        => :1
            ZCOUNT z 3 2            => :0
            ZCOUNT z x 2            => -ERR min or max is not a float
            ZCOUNT none 0 1         => :0
            ZLEXCOUNT z - +         => :4
            ZLEXCOUNT z [b (d       => :2
            ZLEXCOUNT z b d         => -ERR min or max not valid string range item
            @resp 3
            ZSCORE z d              => ,3.5
            ZSCORE z x              => _
            ZRANK z c WITHSCORE     => *2 :2 ,2
            ZMSCORE z a x           => *2 ,1 _
            ",
        );
    }
}
