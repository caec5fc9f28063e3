//! TTL, PTTL, EXPIRETIME and PEXPIRETIME.

use crate::expiration::{Base, Unit};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Interest, Lifetime};

const KEYS: &[KeySpec] = &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))];

const FLAGS: Flags = Flags::READONLY.and(Flags::FAST);

const HISTORY: &[(&str, &str)] = &[("2.8.0", "Added the -2 reply.")];

/// Seconds left.
pub(super) static TTL: Command = Command {
    name: "TTL",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Seconds a key has left to live.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key")],
    history: HISTORY,
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(ttl),
    ..Command::BASE
};

/// Milliseconds left.
pub(super) static PTTL: Command = Command {
    name: "PTTL",
    group: Group::Generic,
    since: "2.6.0",
    summary: "Milliseconds a key has left to live.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key")],
    history: HISTORY,
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(pttl),
    ..Command::BASE
};

/// The deadline in seconds.
pub(super) static EXPIRETIME: Command = Command {
    name: "EXPIRETIME",
    group: Group::Generic,
    since: "7.0.0",
    summary: "When a key expires, in seconds since the epoch.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key")],
    handler: Handler::Keyed(expiretime),
    ..Command::BASE
};

/// The deadline in milliseconds.
pub(super) static PEXPIRETIME: Command = Command {
    name: "PEXPIRETIME",
    group: Group::Generic,
    since: "7.0.0",
    summary: "When a key expires, in milliseconds since the epoch.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: KEYS,
    args: &[Arg::key("key")],
    handler: Handler::Keyed(pexpiretime),
    ..Command::BASE
};

fn ttl(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Unit::Seconds, Base::Now)
}

fn pttl(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Unit::Millis, Base::Now)
}

fn expiretime(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Unit::Seconds, Base::Epoch)
}

fn pexpiretime(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    answer(call, view, Unit::Millis, Base::Epoch)
}

fn answer(call: &mut Call<'_>, view: &mut ShardView<'_>, unit: Unit, base: Base) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let lifetime = keyspace.lifetime(&key);
    keyspace.count_lookup(lifetime != Lifetime::Absent);
    if lifetime == Lifetime::Absent {
        keyspace.note(Interest::MISSED, "keymiss", &key);
    }
    call.reply.integer(match lifetime {
        Lifetime::Absent => -2,
        Lifetime::Unlimited => -1,
        Lifetime::Until(at) => {
            let millis = (at.0 - base.millis(call.time_of_day())).max(0);
            match unit {
                // To the nearest second.
                Unit::Seconds => (millis + 500) / 1000,
                Unit::Millis => millis,
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn times_are_told_in_four_ways() {
        transcript(
            r"
            TTL k                   => :-2
            PTTL k                  => :-2
            EXPIRETIME k            => :-2
            PEXPIRETIME k           => :-2
            SET k v                 => +OK
            TTL k                   => :-1
            PTTL k                  => :-1
            EXPIRETIME k            => :-1
            PEXPIRETIME k           => :-1
            PEXPIREAT k 33177117420499 => :1
            EXPIRETIME k            => :33177117420
            PEXPIREAT k 33177117420500 => :1
            EXPIRETIME k            => :33177117421
            PEXPIRETIME k           => :33177117420500
            ",
        );
    }
}
