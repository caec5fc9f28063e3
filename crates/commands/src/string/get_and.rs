//! GETDEL and GETEX.

use super::set_options::{Expiration, Options, OptionsOf};
use crate::effects::{leave_deadline, leave_deletion, leave_expired};
use crate::expiration::{Base, NewDeadline, TIME_ARGS};
use crate::reply::write_string_or_null;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Interest, Lifetime};

/// The value of a key, which is deleted.
pub(super) static GETDEL: Command = Command {
    name: "GETDEL",
    group: Group::String,
    since: "6.2.0",
    summary: "The string value of a key, which is deleted.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(getdel),
    ..Command::BASE
};

/// The value of a key, whose deadline is set or cleared.
pub(super) static GETEX: Command = Command {
    name: "GETEX",
    group: Group::String,
    since: "6.2.0",
    summary: "The string value of a key, whose time to live is set or cleared.",
    complexity: "O(1)",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))
        .notes("RW and UPDATE because it changes the TTL")],
    args: &[
        Arg::key("key"),
        Arg::one_of(
            "expiration",
            &[
                TIME_ARGS[0],
                TIME_ARGS[1],
                TIME_ARGS[2],
                TIME_ARGS[3],
                Arg::word("persist", "PERSIST"),
            ],
        )
        .optional(),
    ],
    handler: Handler::Keyed(getex),
    ..Command::BASE
};

fn getdel(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    write_string_or_null(&mut call.reply, keyspace.read(&key))?;
    if keyspace.tell(Interest::GENERIC, "del").remove(&key) {
        leave_deletion(call, key.bytes);
    }
    Ok(())
}

fn getex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, 2, OptionsOf::Get)?;
    let new = match options.expiration {
        Expiration::At(time) => Some((time.deadline(call)?, time.base)),
        _ => None,
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    write_string_or_null(&mut call.reply, keyspace.read(&key))?;
    match new {
        Some((NewDeadline { passed: true, .. }, Base::Epoch)) => {
            let was_there = keyspace.expire_now(&key);
            if was_there {
                leave_expired(call, key.bytes);
            }
        }
        Some((NewDeadline { deadline, .. }, _)) => {
            keyspace.tell(Interest::GENERIC, "expire");
            if keyspace.set_deadline(&key, Some(deadline)) {
                leave_deadline(call, key.bytes, deadline);
            }
        }
        None if matches!(options.expiration, Expiration::Persist) => {
            if matches!(keyspace.lifetime(&key), Lifetime::Until(_)) {
                keyspace.tell(Interest::GENERIC, "persist").set_deadline(&key, None);
                call.leave(|effects| effects.add(&[b"PERSIST", key.bytes]));
            }
        }
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn getdel_deletes() {
        transcript(
            r"
            GETDEL k                => $-1
            SET k v                 => +OK
            GETDEL k                => $1 v
            GETDEL k                => $-1
            ",
        );
    }

    #[test]
    fn getex_changes_only_the_deadline() {
        transcript(
            r"
            GETEX k                 => $-1
            GETEX k EX 10           => $-1
            SET k v                 => +OK
            GETEX k                 => $1 v
            TTL k                   => :-1
            GETEX k EX 10           => $1 v
            TTL k                   => :10
            GETEX k                 => $1 v
            TTL k                   => :10
            GETEX k PX 20000        => $1 v
            TTL k                   => :20
            GETEX k PERSIST         => $1 v
            TTL k                   => :-1
            GETEX k PERSIST PERSIST => $1 v
            GETEX k EX 10 EX 30     => $1 v
            TTL k                   => :30
            GETEX k EXAT 33177117420 => $1 v
            EXPIRETIME k            => :33177117420
            GETEX k PXAT 33177117420001 => $1 v
            PEXPIRETIME k           => :33177117420001
            GETEX k EXAT 1          => $1 v
            EXISTS k                => :0
            ",
        );
    }

    #[test]
    fn getex_refuses_malformed_options() {
        transcript(
            r"
            SET k v                 => +OK
            GETEX k FOO             => -ERR syntax error
            GETEX k EX              => -ERR syntax error
            GETEX k KEEPTTL         => -ERR syntax error
            GETEX k NX              => -ERR syntax error
            GETEX k EX 10 PX 10     => -ERR syntax error
            GETEX k EX 10 PERSIST   => -ERR syntax error
            GETEX k PERSIST EX 10   => -ERR syntax error
            GETEX k EX x            => -ERR value is not an integer or out of range
            GETEX k EX 0            => -ERR invalid expire time in 'getex' command
            GETEX k PX -1           => -ERR invalid expire time in 'getex' command
            GETEX k EX 10000000000000000 => -ERR invalid expire time in 'getex' command
            GETEX k PX 9223372036854775807 => -ERR invalid expire time in 'getex' command
            TTL k                   => :-1
            GETEX nokey EX 0        => -ERR invalid expire time in 'getex' command
            ",
        );
    }
}
