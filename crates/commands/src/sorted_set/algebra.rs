//! ZUNION, ZINTER, ZDIFF, and their like that store or count.

use super::combine::{Aggregate, Scored, Source, Weighted, intersect, sort, subtract, unite};
use super::long_algebra::combine_in_slices;
use super::written::Shape;
use crate::operands::{read_all, value_of};
use crate::set::parse_limit;
use darter_base::float::parse_f64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_shard::{Expiry, Interest, ObjectRef, ValueRef};
use darter_value::{Item, Rules, SortedSet};
use std::ops::Range;

const NUM_KEYS: Arg = Arg::integer("numkeys");
const WEIGHTS: Arg = Arg::integer("weight").token("WEIGHTS").optional().multiple();
const AGGREGATE: Arg = Arg::one_of(
    "aggregate",
    &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")],
)
.token("AGGREGATE")
.optional();
const WITH_SCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();

const READ: Command = Command {
    group: Group::SortedSet,
    since: "6.2.0",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::counted(1, Access::READ_ONLY.and(Access::ACCESS))],
    ..Command::BASE
};

const STORE: Command = Command {
    group: Group::SortedSet,
    since: "2.0.0",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::SORTED_SET,
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE)),
        KeySpec::counted(2, Access::READ_ONLY.and(Access::ACCESS)),
    ],
    ..Command::BASE
};

const UNION_COMPLEXITY: &str = "O(N*log(N)) where N is the number of members of all sorted sets.";
const INTER_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the size of the smallest sorted set, \
                                K the number of sorted sets and M that of members of the result.";
const DIFF_COMPLEXITY: &str = "O(N*K)+O(M*log(M)) where N is the size of the first sorted set, K the \
                               number of sorted sets and M that of members of the result.";

/// What is in one sorted set and no other.
pub(super) static ZDIFF: Command = Command {
    name: "ZDIFF",
    summary: "The members of a sorted set that are in none of several others.",
    complexity: DIFF_COMPLEXITY,
    args: &[NUM_KEYS, Arg::key("key").multiple(), WITH_SCORES],
    handler: Handler::Keyed(zdiff),
    slices: Some(|call| begin(call, Operation::Difference, Goal::Answer)),
    ..READ
};

/// Stores what is in one sorted set and no other.
pub(super) static ZDIFFSTORE: Command = Command {
    name: "ZDIFFSTORE",
    since: "6.2.0",
    summary: "Stores the members of a sorted set that are in none of several others.",
    complexity: DIFF_COMPLEXITY,
    args: &[Arg::key("destination"), NUM_KEYS, Arg::key_by("key", 1).multiple()],
    handler: Handler::Keyed(zdiffstore),
    slices: Some(|call| begin(call, Operation::Difference, Goal::Store)),
    ..STORE
};

/// What is in all of several sorted sets.
pub(super) static ZINTER: Command = Command {
    name: "ZINTER",
    summary: "The members that are in all of several sorted sets.",
    complexity: INTER_COMPLEXITY,
    args: &[NUM_KEYS, Arg::key("key").multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
    handler: Handler::Keyed(zinter),
    slices: Some(|call| begin(call, Operation::Intersection, Goal::Answer)),
    ..READ
};

/// How many members several sorted sets share.
pub(super) static ZINTERCARD: Command = Command {
    name: "ZINTERCARD",
    since: "7.0.0",
    summary: "The number of members that are in all of several sorted sets, counted up to a limit.",
    complexity: "O(N*K) where N is the size of the smallest sorted set and K the number of sorted sets.",
    args: &[NUM_KEYS, Arg::key("key").multiple(), Arg::integer("limit").token("LIMIT").optional()],
    handler: Handler::Keyed(zintercard),
    slices: Some(|call| begin(call, Operation::Intersection, Goal::Count)),
    ..READ
};

/// Stores what is in all of several sorted sets.
pub(super) static ZINTERSTORE: Command = Command {
    name: "ZINTERSTORE",
    summary: "Stores the members that are in all of several sorted sets.",
    complexity: INTER_COMPLEXITY,
    args: &[
        Arg::key("destination"),
        NUM_KEYS,
        Arg::key_by("key", 1).multiple(),
        WEIGHTS,
        AGGREGATE,
    ],
    handler: Handler::Keyed(zinterstore),
    slices: Some(|call| begin(call, Operation::Intersection, Goal::Store)),
    ..STORE
};

/// What is in any of several sorted sets.
pub(super) static ZUNION: Command = Command {
    name: "ZUNION",
    summary: "The members that are in any of several sorted sets.",
    complexity: UNION_COMPLEXITY,
    args: &[NUM_KEYS, Arg::key("key").multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
    handler: Handler::Keyed(zunion),
    slices: Some(|call| begin(call, Operation::Union, Goal::Answer)),
    ..READ
};

/// Stores what is in any of several sorted sets.
pub(super) static ZUNIONSTORE: Command = Command {
    name: "ZUNIONSTORE",
    summary: "Stores the members that are in any of several sorted sets.",
    complexity: UNION_COMPLEXITY,
    args: &[
        Arg::key("destination"),
        NUM_KEYS,
        Arg::key_by("key", 1).multiple(),
        WEIGHTS,
        AGGREGATE,
    ],
    handler: Handler::Keyed(zunionstore),
    slices: Some(|call| begin(call, Operation::Union, Goal::Store)),
    ..STORE
};

/// Which members a command is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Difference,
}

impl Operation {
    /// The event of storing its result.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Union => "zunionstore",
            Self::Intersection => "zinterstore",
            Self::Difference => "zdiffstore",
        }
    }

    /// Members that are gone through or looked up, at most.
    fn cost(self, sources: &[Weighted<'_>]) -> usize {
        let mut lens = sources.iter().map(Weighted::len);
        let gone_through = match self {
            Self::Union => return lens.fold(0, usize::saturating_add),
            Self::Intersection => lens.min(),
            Self::Difference => lens.next(),
        };
        gone_through.unwrap_or(0).saturating_mul(sources.len().saturating_sub(1).max(1))
    }
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Answer,
    Store,
    Count,
}

/// What was asked for, apart from the keys.
pub(super) struct Options {
    pub(super) weights: Vec<f64>,
    pub(super) aggregate: Aggregate,
    pub(super) with_scores: bool,
    pub(super) limit: usize,
}

impl Options {
    /// The options behind `keys`.
    fn parse(
        call: &Call<'_>,
        keys: &Range<usize>,
        operation: Operation,
        goal: Goal,
    ) -> Result<Self, ReplyError> {
        let mut options = Self {
            weights: vec![1.0; keys.len()],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        let combines = operation != Operation::Difference && goal != Goal::Count;
        let mut index = keys.end;
        while index < call.args.len() {
            let behind = call.args.len() - index - 1;
            if combines && behind >= keys.len() && call.is_word(index, "WEIGHTS") {
                for weight in &mut options.weights {
                    index += 1;
                    let invalid = ReplyError::Text("ERR weight value is not a float");
                    *weight = parse_f64(call.args.at(index)).ok_or(invalid)?;
                }
            } else if combines && behind >= 1 && call.is_word(index, "AGGREGATE") {
                index += 1;
                options.aggregate = if call.is_word(index, "SUM") {
                    Aggregate::Sum
                } else if call.is_word(index, "MIN") {
                    Aggregate::Min
                } else if call.is_word(index, "MAX") {
                    Aggregate::Max
                } else {
                    return Err(ReplyError::Syntax);
                };
            } else if goal == Goal::Answer && call.is_word(index, "WITHSCORES") {
                options.with_scores = true;
            } else if goal == Goal::Count && behind >= 1 && call.is_word(index, "LIMIT") {
                index += 1;
                options.limit = parse_limit(call, index)?;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn zunion(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Union, Goal::Answer)
}

fn zinter(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Intersection, Goal::Answer)
}

fn zdiff(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Difference, Goal::Answer)
}

fn zunionstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Union, Goal::Store)
}

fn zinterstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Intersection, Goal::Store)
}

fn zdiffstore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Difference, Goal::Store)
}

fn zintercard(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    run(call, view, Operation::Intersection, Goal::Count)
}

fn run(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    operation: Operation,
    goal: Goal,
) -> ReplyResult {
    let keys = keys(call, if goal == Goal::Store { 2 } else { 1 })?;
    read_all(call, view, keys.clone(), |value| source_of(value).is_some())?;
    let options = Options::parse(call, &keys, operation, goal)?;
    let mut sources: Vec<Weighted<'_>> = keys
        .zip(&options.weights)
        .map(|(index, weight)| {
            let source = value_of(call, view, &call.key(index)).and_then(source_of);
            Weighted { source, weight: *weight }
        })
        .collect();
    call.in_one_piece(operation.cost(&sources))?;
    if goal == Goal::Count {
        let mut count = 0;
        intersect(&mut sources, options.aggregate, |_| {
            count += 1;
            count < options.limit
        });
        call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
        return Ok(());
    }
    let mut members = match operation {
        Operation::Union => unite(&mut sources, options.aggregate),
        Operation::Difference => subtract(&sources),
        Operation::Intersection => {
            let mut members = Vec::new();
            intersect(&mut sources, options.aggregate, |member| {
                members.push(member);
                true
            });
            members
        }
    };
    sort(&mut members);
    if goal == Goal::Store {
        let stored = stored(call, &members);
        store(call, view, operation.event(), stored);
        return Ok(());
    }
    let shape = Shape::of(&call.reply, options.with_scores);
    shape.begin(&mut call.reply, members.len());
    for (member, score) in members {
        shape.write(&mut call.reply, Item::Bytes(&member), score);
    }
    Ok(())
}

/// Begins what takes too long in one piece.
fn begin(call: &Call<'_>, operation: Operation, goal: Goal) -> Result<Box<dyn Slice>, ReplyError> {
    let keys = keys(call, if goal == Goal::Store { 2 } else { 1 })?;
    let options = Options::parse(call, &keys, operation, goal)?;
    Ok(combine_in_slices(call, keys, options, operation, goal))
}

/// The arguments that are keys, as many as the argument at `index` says.
fn keys(call: &Call<'_>, index: usize) -> Result<Range<usize>, ReplyError> {
    let count = usize::try_from(call.integer(index)?).unwrap_or(0);
    if count == 0 {
        let name = call.command.name.to_ascii_lowercase();
        return Err(ReplyError::Message(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    let first = index + 1;
    if count > call.args.len() - first {
        return Err(ReplyError::Syntax);
    }
    Ok(first..first + count)
}

pub(super) fn source_of(value: ValueRef<'_>) -> Option<Source<'_>> {
    match value {
        ValueRef::Object(ObjectRef::Set(set)) => Some(Source::Set(set)),
        ValueRef::Object(ObjectRef::SortedSet(set)) => Some(Source::SortedSet(set)),
        _ => None,
    }
}

fn stored(call: &Call<'_>, members: &[Scored<'_>]) -> SortedSet {
    let rules = Rules { limits: &call.limits.encodings, hasher: call.hasher };
    let mut set = SortedSet::default();
    let bytes_max = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
    set.expect(members.len(), bytes_max, rules);
    for (member, score) in members {
        set.set(member, *score, rules);
    }
    set
}

fn store(call: &mut Call<'_>, view: &mut ShardView<'_>, event: &'static str, set: SortedSet) {
    let key = call.key(1);
    let len = set.len();
    let mut keyspace = call.keyspace(view, &key);
    keyspace.tell(Interest::SORTED_SET, event).set_collection(&key, set, Expiry::Clear);
    call.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn sorted_sets_are_combined_over_shards() {
        transcript(
            r"
            ZADD a 1 x 2 y          => :2
            ZADD b 10 y 20 z        => :2
            SADD s y w              => :2
            ZUNION 2 a b            => *3 $1 x $1 y $1 z
            ZUNION 2 a b WITHSCORES => *6 $1 x $1 1 $1 y $2 12 $1 z $2 20
            ZUNION 3 a b s WITHSCORES => *8 $1 w $1 1 $1 x $1 1 $1 y $2 13 $1 z $2 20
            ZUNION 2 a b WEIGHTS 2 0.5 AGGREGATE MAX WITHSCORES => *6 $1 x $1 2 $1 y $1 5 $1 z $2 10
            ZINTER 2 a b AGGREGATE MIN WITHSCORES => *2 $1 y $1 2
            ZINTER 3 a b s          => *1 $1 y
            ZINTER 2 a none         => *0
            ZINTER 2 a a WITHSCORES => *4 $1 x $1 2 $1 y $1 4
            ZDIFF 2 a b WITHSCORES  => *2 $1 x $1 1
            ZDIFF 2 none b          => *0
            ZDIFF 2 a a             => *0
            ZDIFF 1 a               => *2 $1 x $1 y
            ZINTERCARD 2 a b        => :1
            ZINTERCARD 2 a a LIMIT 1 => :1
            ZINTERCARD 2 a a LIMIT 0 => :2
            @resp 3
            ZINTER 2 a b WITHSCORES => *1 *2 $1 y ,12
            ",
        );
    }

    #[test]
    fn results_are_stored() {
        transcript(
            r"
            ZADD a 1 x 2 y          => :2
            ZADD b inf y -inf x     => :2
            ZADD c -inf y           => :1
            ZUNIONSTORE d 2 b c     => :2
            ZRANGE d 0 -1 WITHSCORES => *4 $1 x $4 -inf $1 y $1 0
            ZUNIONSTORE d 1 b WEIGHTS 0 => :2
            ZSCORE d y              => $1 0
            ZINTERSTORE a 2 a c WEIGHTS 2 0 => :1
            ZRANGE a 0 -1 WITHSCORES => *2 $1 y $1 4
            ZDIFFSTORE d 2 b c      => :1
            ZRANGE d 0 -1           => *1 $1 x
            ZDIFFSTORE d 2 b b      => :0
            EXISTS d                => :0
            ",
        );
    }

    #[test]
    fn options_are_refused_where_they_mean_nothing() {
        transcript(
            r"
            ZADD a 1 x              => :1
            SET t 1                 => +OK
            ZUNION 0 a              => -ERR at least 1 input key is needed for 'zunion' command
            ZUNIONSTORE d -1 a      => -ERR at least 1 input key is needed for 'zunionstore' command
            ZUNION x a              => -ERR value is not an integer or out of range
            ZUNION 2 a              => -ERR syntax error
            ZUNION 1 t FOO          => -WRONGTYPE Operation against a key holding the wrong kind of value
            ZUNION 1 a FOO          => -ERR syntax error
            ZUNION 1 a WEIGHTS      => -ERR syntax error
            ZUNION 1 a WEIGHTS x    => -ERR weight value is not a float
            ZUNION 1 a AGGREGATE    => -ERR syntax error
            ZUNION 1 a AGGREGATE FOO => -ERR syntax error
            ZUNIONSTORE d 1 a WITHSCORES => -ERR syntax error
            ZDIFF 1 a WEIGHTS 1     => -ERR syntax error
            ZDIFF 1 a AGGREGATE SUM => -ERR syntax error
            ZINTERCARD 1 a WITHSCORES => -ERR syntax error
            ZINTERCARD 1 a LIMIT -1 => -ERR LIMIT can't be negative
            ZINTERCARD 1 a LIMIT    => -ERR syntax error
            ",
        );
    }
}
