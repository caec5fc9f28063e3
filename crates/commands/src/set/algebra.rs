//! SINTER, SUNION, SDIFF, and their like that store or count.

use super::combine::{intersect, subtract, unite};
use super::long_algebra::combine_in_slices;
use super::rules;
use crate::many_keys::key_count;
use crate::operands::collections;
use crate::reply::write_item;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_shard::{Expiry, Interest};
use darter_value::hyperloglog::Registers;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, Set};
use std::ops::Range;

/// Declares a command that answers with the members, and the one that stores them.
macro_rules! operation {
    ($operation:ident, $name:ident $handler:ident $summary:literal, $store:ident $store_handler:ident $store_summary:literal, $complexity:literal) => {
        #[doc = $summary]
        pub(super) static $name: Command = Command {
            name: stringify!($name),
            group: Group::Set,
            since: "1.0.0",
            summary: $summary,
            complexity: $complexity,
            arity: Arity::AtLeast(2),
            flags: Flags::READONLY,
            acl: Category::SET,
            keys: &[KeySpec::range(1, -1, 1, Access::READ_ONLY.and(Access::ACCESS))],
            args: &[Arg::key("key").multiple()],
            tips: &["nondeterministic_output_order"],
            handler: Handler::Keyed($handler),
            slices: Some(|call| {
                let keys = 1..call.args.len();
                Ok(combine_in_slices(call, keys, Operation::$operation, Goal::Answer))
            }),
            ..Command::BASE
        };

        #[doc = $store_summary]
        pub(super) static $store: Command = Command {
            name: stringify!($store),
            group: Group::Set,
            since: "1.0.0",
            summary: $store_summary,
            complexity: $complexity,
            arity: Arity::AtLeast(3),
            flags: Flags::WRITE.and(Flags::DENYOOM),
            acl: Category::SET,
            keys: &[
                KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE)),
                KeySpec::range(2, -1, 1, Access::READ_ONLY.and(Access::ACCESS)),
            ],
            args: &[Arg::key("destination"), Arg::key_by("key", 1).multiple()],
            handler: Handler::Keyed($store_handler),
            slices: Some(|call| {
                let keys = 2..call.args.len();
                Ok(combine_in_slices(call, keys, Operation::$operation, Goal::Store))
            }),
            ..Command::BASE
        };
    };
}

operation!(
    Intersect,
    SINTER sinter "The members that are in all of several sets.",
    SINTERSTORE sinterstore "Stores the members that are in all of several sets as a set.",
    "O(N*M) where N is the size of the smallest set and M the number of sets."
);
operation!(
    Unite,
    SUNION sunion "The members that are in any of several sets.",
    SUNIONSTORE sunionstore "Stores the members that are in any of several sets as a set.",
    "O(N) where N is the number of members of all sets."
);
operation!(
    Subtract,
    SDIFF sdiff "The members of a set that are in none of several others.",
    SDIFFSTORE sdiffstore "Stores the members of a set that are in none of several others as a set.",
    "O(N) where N is the number of members of all sets."
);

/// What counts members without answering them has in common.
const CARD: Command = Command {
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::SET,
    keys: &[KeySpec::counted(1, Access::READ_ONLY.and(Access::ACCESS))],
    ..Command::BASE
};

/// How many members several sets share.
pub(super) static SINTERCARD: Command = Command {
    name: "SINTERCARD",
    since: "7.0.0",
    summary: "The number of members that are in all of several sets, counted up to a limit.",
    complexity: "O(N*M) where N is the size of the smallest set and M the number of sets.",
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::integer("limit").token("LIMIT").optional(),
    ],
    handler: Handler::Keyed(|call, view| card(call, view, Operation::Intersect)),
    slices: Some(|call| card_in_slices(call, Operation::Intersect)),
    ..CARD
};

/// How many members are in any of several sets.
pub(super) static SUNIONCARD: Command = Command {
    name: "SUNIONCARD",
    since: "8.10.0",
    summary: "The number of members that are in any of several sets, or an estimate of it, counted up \
              to a limit.",
    complexity: "O(N) where N is the number of members of all sets.",
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::word("approx", "APPROX").optional(),
        Arg::integer("limit").token("LIMIT").optional(),
    ],
    handler: Handler::Keyed(|call, view| card(call, view, Operation::Unite)),
    slices: Some(|call| card_in_slices(call, Operation::Unite)),
    ..CARD
};

/// How many members of a set are in no other.
pub(super) static SDIFFCARD: Command = Command {
    name: "SDIFFCARD",
    since: "8.10.0",
    summary: "The number of members of a set that are in none of several others, counted up to a limit.",
    complexity: "O(N) where N is the number of members of all sets.",
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::integer("limit").token("LIMIT").optional(),
    ],
    handler: Handler::Keyed(|call, view| card(call, view, Operation::Subtract)),
    slices: Some(|call| card_in_slices(call, Operation::Subtract)),
    ..CARD
};

/// Which members a command is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Intersect,
    Unite,
    Subtract,
}

/// What is done with them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Answer,
    Store,
    /// Counts them; more than the limit is the limit.
    Count {
        limit: usize,
    },
    /// Estimates how many there are. Of unions alone.
    Estimate {
        limit: usize,
    },
}

impl Operation {
    /// The event of storing its result.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Intersect => "sinterstore",
            Self::Unite => "sunionstore",
            Self::Subtract => "sdiffstore",
        }
    }

    /// Hands the members to `emit`. May leave off when there were `limit`.
    fn run(
        self,
        sets: &[Option<&Set>],
        limit: usize,
        rules: Rules<'_>,
        emit: impl FnMut(Item<'_>),
    ) {
        match self {
            Self::Intersect => intersect(sets, limit, rules.hasher, emit),
            Self::Unite => unite(sets, limit, rules, emit),
            Self::Subtract => subtract(sets, limit, rules, emit),
        }
    }

    /// Members that are gone through or looked up, at most.
    fn cost(self, sets: &[Option<&Set>]) -> usize {
        let lens = || sets.iter().map(|set| set.map_or(0, Set::len));
        let sum = lens().fold(0, usize::saturating_add);
        let gone_through = match self {
            Self::Intersect => lens().min(),
            Self::Unite => return sum,
            Self::Subtract => lens().next(),
        };
        let others = sets.len().saturating_sub(1).max(1);
        gone_through.unwrap_or(0).saturating_mul(others).min(sum)
    }
}

fn sinter(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Operation::Intersect)
}

fn sunion(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Operation::Unite)
}

fn sdiff(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Operation::Subtract)
}

fn sinterstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    store(call, view, Operation::Intersect)
}

fn sunionstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    store(call, view, Operation::Unite)
}

fn sdiffstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    store(call, view, Operation::Subtract)
}

fn answer(call: &mut Call<'_>, view: &mut ShardView<'_>, operation: Operation) -> ReplyResult {
    let sets = operands(call, view, 1..call.args.len())?;
    call.in_one_piece(operation.cost(&sets))?;
    let limits = call.limits.encodings;
    let rules = Rules { limits: &limits, hasher: call.hasher };
    let deferred = call.reply.begin_deferred();
    let mut count = 0;
    operation.run(&sets, usize::MAX, rules, |member| {
        write_item(&mut call.reply, member);
        count += 1;
    });
    call.reply.end_set(deferred, count);
    Ok(())
}

fn store(call: &mut Call<'_>, view: &mut ShardView<'_>, operation: Operation) -> ReplyResult {
    let result = {
        let sets = operands(call, view, 2..call.args.len())?;
        call.in_one_piece(operation.cost(&sets))?;
        let rules = rules(call);
        let mut result = Set::default();
        // A set of integers, for as long as the members are.
        result.expect(b"0", 0, rules);
        operation.run(&sets, usize::MAX, rules, |member| {
            result.add(member, rules);
        });
        result.compact_integers(rules);
        result
    };
    let key = call.key(1);
    let len = result.len();
    let event = operation.event();
    call.keyspace(view, &key).tell(Interest::SET, event).set_collection(
        &key,
        result,
        Expiry::Clear,
    );
    call.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

fn card(call: &mut Call<'_>, view: &mut ShardView<'_>, operation: Operation) -> ReplyResult {
    let (keys, goal) = counted_keys(call, operation)?;
    let sets = operands(call, view, keys)?;
    call.in_one_piece(operation.cost(&sets))?;
    let count = match goal {
        Goal::Estimate { limit } => estimate(&sets, limit),
        Goal::Count { limit } => {
            let mut count = 0;
            let limits = call.limits.encodings;
            let rules = Rules { limits: &limits, hasher: call.hasher };
            operation.run(&sets, limit, rules, |_| count += 1);
            limit.min(count)
        }
        Goal::Answer | Goal::Store => unreachable!("these count"),
    };
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

fn card_in_slices(call: &Call<'_>, operation: Operation) -> Result<Box<dyn Slice>, ReplyError> {
    let (keys, goal) = counted_keys(call, operation)?;
    Ok(combine_in_slices(call, keys, operation, goal))
}

/// How many members are in any of `sets`, about; more than `limit` is `limit`.
fn estimate(sets: &[Option<&Set>], limit: usize) -> usize {
    let mut seen = Registers::new();
    let mut text = IntegerText::new();
    for set in sets.iter().flatten() {
        set.for_each(|member| seen.add(bytes_of(member, &mut text)));
        if estimate_of(&seen, limit) == limit {
            break;
        }
    }
    estimate_of(&seen, limit)
}

/// How many members were seen, about, up to a limit.
pub(super) fn estimate_of(seen: &Registers, limit: usize) -> usize {
    usize::try_from(seen.count()).unwrap_or(usize::MAX).min(limit)
}

/// The keys of SINTERCARD, SUNIONCARD and SDIFFCARD, and what their options ask for.
fn counted_keys(call: &Call<'_>, operation: Operation) -> Result<(Range<usize>, Goal), ReplyError> {
    let count = key_count(call, 1)?;
    if count > call.args.len() - 2 {
        return Err(ReplyError::Text("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = usize::MAX;
    let mut is_estimate = false;
    let mut index = 2 + count;
    while index < call.args.len() {
        if operation == Operation::Unite && call.is_word(index, "APPROX") {
            is_estimate = true;
            index += 1;
            continue;
        }
        if !call.is_word(index, "LIMIT") || index + 1 == call.args.len() {
            return Err(ReplyError::Syntax);
        }
        limit = parse_limit(call, index + 1)?;
        index += 2;
    }
    let goal = if is_estimate { Goal::Estimate { limit } } else { Goal::Count { limit } };
    Ok((2..2 + count, goal))
}

/// The LIMIT of SINTERCARD and ZINTERCARD; 0 means none.
pub(crate) fn parse_limit(call: &Call<'_>, index: usize) -> Result<usize, ReplyError> {
    let limit = call.integer(index).ok().and_then(|limit| usize::try_from(limit).ok());
    match limit.ok_or(ReplyError::Text("ERR LIMIT can't be negative"))? {
        0 => Ok(usize::MAX),
        limit => Ok(limit),
    }
}

fn operands<'v>(
    call: &Call<'_>,
    view: &'v mut ShardView<'_>,
    keys: Range<usize>,
) -> Result<Vec<Option<&'v Set>>, ReplyError> {
    collections(call, view, keys)
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn sets_are_combined_over_shards() {
        transcript(
            r"
            SADD a 1 2 3            => :3
            SADD b 2 3 4            => :3
            SADD c 3 x              => :2
            SINTER a b              => *2 $1 2 $1 3
            SINTER a b c            => *1 $1 3
            SINTER a none           => *0
            SINTER a                => *3 $1 1 $1 2 $1 3
            SINTER a a              => *3 $1 1 $1 2 $1 3
            SUNION a b              => *4 $1 1 $1 2 $1 3 $1 4
            SUNION a a none         => *3 $1 1 $1 2 $1 3
            SDIFF a b               => *1 $1 1
            SDIFF a b c none        => *1 $1 1
            SDIFF a a               => *0
            SDIFF none a            => *0
            SDIFF c a b             => *1 $1 x
            @resp 3
            SINTER a b              => ~2 $1 2 $1 3
            SUNION none             => ~0
            SDIFF a none            => ~3 $1 1 $1 2 $1 3
            ",
        );
    }

    #[test]
    fn results_are_stored_in_the_smallest_form() {
        transcript(
            r"
            SADD a 1 2 3 x          => :4
            SADD b 2 3 4 x y        => :5
            SADD c 3 2              => :2
            SINTERSTORE d a b       => :3
            OBJECT ENCODING d       => $8 listpack
            SINTERSTORE d a c       => :2
            OBJECT ENCODING d       => $6 intset
            SUNIONSTORE d a c       => :4
            SDIFFSTORE d a b        => :1
            SMEMBERS d              => *1 $1 1
            OBJECT ENCODING d       => $6 intset
            EXPIRE d 100            => :1
            SUNIONSTORE d d c       => :3
            TTL d                   => :-1
            SET d text              => +OK
            SUNIONSTORE d a         => :4
            TYPE d                  => +set
            SINTERSTORE d a none    => :0
            EXISTS d                => :0
            SDIFFSTORE a a b        => :1
            SMEMBERS a              => *1 $1 1
            ",
        );
    }

    #[test]
    fn shared_members_are_counted_up_to_a_limit() {
        transcript(
            r"
            SADD a 1 2 3            => :3
            SADD b 2 3 4            => :3
            SINTERCARD 2 a b        => :2
            SINTERCARD 2 a b LIMIT 1 => :1
            SINTERCARD 2 a b LIMIT 0 => :2
            SINTERCARD 2 a b limit 10 LIMIT 1 => :1
            SINTERCARD 1 a          => :3
            SINTERCARD 2 a none     => :0
            SINTERCARD 0 a          => -ERR numkeys should be greater than 0
            SINTERCARD x a          => -ERR numkeys should be greater than 0
            SINTERCARD 3 a b        => -ERR Number of keys can't be greater than number of args
            SINTERCARD 2 a b LIMIT  => -ERR syntax error
            SINTERCARD 2 a b FOO    => -ERR syntax error
            SINTERCARD 2 a b LIMIT -1 => -ERR LIMIT can't be negative
            SINTERCARD 2 a b LIMIT x => -ERR LIMIT can't be negative
            ",
        );
    }

    #[test]
    fn unions_and_differences_are_counted_up_to_a_limit() {
        transcript(
            r"
            SADD a 1 2 3 x          => :4
            SADD b 2 3 4            => :3
            SUNIONCARD 2 a b        => :5
            SUNIONCARD 2 a b LIMIT 3 => :3
            SUNIONCARD 2 a b LIMIT 0 => :5
            SUNIONCARD 2 a b APPROX => :5
            SUNIONCARD 2 a b LIMIT 3 APPROX => :3
            SUNIONCARD 6 a b a b none a => :5
            SUNIONCARD 6 a b a b none a LIMIT 2 => :2
            SUNIONCARD 1 none APPROX => :0
            SDIFFCARD 2 a b         => :2
            SDIFFCARD 2 b a         => :1
            SDIFFCARD 2 a b LIMIT 1 => :1
            SDIFFCARD 2 a a         => :0
            SDIFFCARD 2 none a      => :0
            SDIFFCARD 1 a           => :4
            SDIFFCARD 2 a b APPROX  => -ERR syntax error
            ",
        );
    }

    #[test]
    fn one_wrong_type_refuses_all() {
        transcript(
            r"
            SADD a 1                => :1
            SET t 1                 => +OK
            SINTER none t           => -WRONGTYPE Operation against a key holding the wrong kind of value
            SUNION a t              => -WRONGTYPE Operation against a key holding the wrong kind of value
            SDIFF a none t          => -WRONGTYPE Operation against a key holding the wrong kind of value
            SINTERSTORE d t a       => -WRONGTYPE Operation against a key holding the wrong kind of value
            SINTERCARD 2 a t        => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
