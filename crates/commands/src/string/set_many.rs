//! MSET, MSETNX and MSETEX.

use super::condition::Condition;
use super::effects::leave_set;
use super::set::set_argument;
use super::set_options::{Expiration, Options, OptionsOf};
use crate::expiration::TIME_ARGS;
use crate::many_keys::{count_keys, each_key};
use darter_command_table::{
    Access, Arg, Arity, Begin, Call, Category, Command, Find, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest};

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
        // Key by key, which every server understands.
        for index in (2..end).step_by(2) {
            leave_set(call, call.args.at(index), call.args.at(index + 1), expiry);
        }
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
        let told = keyspace.tell(Interest::STRING, "set");
        set_argument(told, key, (call.args, index + 1), expiry);
        if matches!(expiry, Expiry::At(_)) {
            keyspace.note(Interest::GENERIC, "expire", key);
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn mset_sets_pairs_in_order() {
        transcript(
            r"
            MSET a 1 b 2 a 3        => +OK
            MGET a b                => *2 $1 3 $1 2
            SET a 1 EX 10           => +OK
            MSET a 2                => +OK
            TTL a                   => :-1
            MSET a                  => -ERR wrong number of arguments for 'mset' command
            MSET a 1 b              => -ERR wrong number of arguments for 'mset' command
            MSETNX a 1 b            => -ERR wrong number of arguments for 'msetnx' command
            ",
        );
    }

    #[test]
    fn msetnx_sets_all_or_nothing() {
        transcript(
            r"
            MSETNX a 1 b 2          => :1
            MSETNX b 3 c 4          => :0
            MGET a b c              => *3 $1 1 $1 2 $-1
            MSETNX c 5 c 6          => :1
            GET c                   => $1 6
            ",
        );
    }

    #[test]
    fn msetex_sets_with_a_condition_and_a_deadline() {
        transcript(
            r"
            MSETEX 2 a 1 b 2        => :1
            TTL a                   => :-1
            MSETEX 1 a 2 EX 100     => :1
            TTL a                   => :100
            MSETEX 1 a 3 KEEPTTL    => :1
            TTL a                   => :100
            MSETEX 1 a 4            => :1
            TTL a                   => :-1
            MSETEX 2 a 5 c 6 NX     => :0
            MSETEX 2 a 5 c 6 XX     => :0
            EXISTS c                => :0
            MSETEX 2 c 5 d 6 NX PX 50000 => :1
            PTTL d                  => :50000
            MSETEX 2 c 7 d 8 XX     => :1
            MGET a b c d            => *4 $1 4 $1 2 $1 7 $1 8
            MSETEX 1 a 9 EXAT 1     => :1
            @time +1
            EXISTS a                => :0
            ",
        );
    }

    #[test]
    fn msetex_refuses_malformed_arguments() {
        transcript(
            r"
            MSETEX 0 a 1            => -ERR invalid numkeys value or out of range
            MSETEX x a 1            => -ERR invalid numkeys value or out of range
            MSETEX -1 a 1           => -ERR invalid numkeys value or out of range
            MSETEX 9223372036854775807 a 1 => -ERR invalid numkeys value or out of range
            MSETEX 2147483647 a 1   => -ERR syntax error
            MSETEX 2 a 1 b          => -ERR syntax error
            MSETEX 1 a 1 b 2        => -ERR syntax error
            MSETEX 1 a 1 NX XX      => -ERR syntax error
            MSETEX 1 a 1 GET        => -ERR syntax error
            MSETEX 1 a 1 IFEQ x     => -ERR syntax error
            MSETEX 1 a 1 EX 0       => -ERR invalid expire time in 'msetex' command
            MSETEX 1 a 1 EX x       => -ERR value is not an integer or out of range
            MSETEX 1 a              => -ERR wrong number of arguments for 'msetex' command
            EXISTS a                => :0
            ",
        );
    }
}
