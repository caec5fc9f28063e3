//! MSET, MSETNX and MSETEX.

use super::condition::Condition;
use super::set_options::{Expiration, Options, OptionsOf};
use crate::expiration::TIME_ARGS;
use crate::many_keys::{count_keys, each_key};
use darter_command_table::{
    Access, Arg, Arity, Begin, Call, Category, Command, Find, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::Expiry;

const PAIRS: &[Arg] = &[Arg::key("key"), Arg::string("value")];

/// Sets several keys.
pub(super) static MSET: Command = Command {
    name: "MSET",
    group: Group::String,
    since: "1.0.1",
    summary: "Sets the string values of several keys at once, whatever they held before.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::range(1, -1, 2, Access::OVERWRITE.and(Access::UPDATE))],
    args: &[Arg::block("data", PAIRS).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: Handler::Keyed(mset),
    ..Command::BASE
};

/// Sets several keys if none of them exists.
pub(super) static MSETNX: Command = Command {
    name: "MSETNX",
    group: Group::String,
    since: "1.0.1",
    summary: "Sets the string values of several keys at once if none of them exists.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::range(1, -1, 2, Access::OVERWRITE.and(Access::INSERT))],
    args: &[Arg::block("data", PAIRS).multiple()],
    handler: Handler::Keyed(msetnx),
    ..Command::BASE
};

/// Sets several keys under a condition, with a deadline.
pub(super) static MSETEX: Command = Command {
    name: "MSETEX",
    group: Group::String,
    since: "9.1.0",
    summary: "Sets the string values of several keys at once, under a condition on all of them, \
              with one time to live.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec {
        begin: Begin::Index(1),
        find: Find::Count { at: 0, first: 1, step: 2 },
        access: Access::OVERWRITE.and(Access::UPDATE),
        notes: None,
    }],
    args: &[
        Arg::integer("numkeys"),
        Arg::block("data", PAIRS).multiple(),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0],
                TIME_ARGS[1],
                TIME_ARGS[2],
                TIME_ARGS[3],
                Arg::word("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: Handler::Keyed(msetex),
    ..Command::BASE
};

fn mset(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let end = pairs_end(call)?;
    set_all(call, view, (1, end, 2), Expiry::Clear);
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let end = pairs_end(call)?;
    let keys = (1, end, 2);
    let free = existing(call, view, keys) == 0;
    if free {
        set_all(call, view, keys, Expiry::Clear);
    }
    call.reply.integer(i64::from(free));
    Ok(())
}

fn msetex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let count = call
        .integer_within(1, 1, i64::from(i32::MAX))
        .map_err(|_| ReplyError::Text("ERR invalid numkeys value or out of range"))?;
    let end = usize::try_from(count).map_or(usize::MAX, |count| count.saturating_mul(2) + 2);
    if end > call.args.len() {
        return Err(ReplyError::Syntax);
    }
    let options = Options::parse(call, end, OptionsOf::SetMany)?;
    // A deadline that has passed already is set all the same, as in Valkey 9; the keys expire at
    // once.
    let expiry = match options.expiration {
        Expiration::None => Expiry::Clear,
        Expiration::Keep | Expiration::Persist => Expiry::Keep,
        Expiration::At(time) => Expiry::At(time.deadline(call)?.deadline),
    };
    let keys = (2, end, 2);
    let met = match options.condition {
        Condition::Absent => existing(call, view, keys) == 0,
        Condition::Present => existing(call, view, keys) == count,
        _ => true,
    };
    if met {
        set_all(call, view, keys, expiry);
    }
    call.reply.integer(i64::from(met));
    Ok(())
}

/// One past the last argument of `key value` pairs that fill the command.
fn pairs_end(call: &Call<'_>) -> Result<usize, ReplyError> {
    let end = call.args.len();
    if end.is_multiple_of(2) {
        return Err(ReplyError::WrongArity(call.command.name.to_ascii_lowercase()));
    }
    Ok(end)
}

fn existing(call: &mut Call<'_>, view: &mut ShardView<'_>, keys: (usize, usize, usize)) -> i64 {
    count_keys(call, view, keys, |mut keyspace, key| keyspace.peek(key).is_some())
}

fn set_all(
    call: &mut Call<'_>,
    view: &mut ShardView<'_>,
    keys: (usize, usize, usize),
    expiry: Expiry,
) {
    each_key(call, view, keys, |call, mut keyspace, key, index| {
        keyspace.set_string(key, call.args.at(index + 1), expiry);
    });
}
