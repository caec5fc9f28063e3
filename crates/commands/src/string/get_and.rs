//! GETDEL and GETEX.

use super::set_options::{Expiration, Options, OptionsOf};
use crate::expiration::{Base, NewDeadline, TIME_ARGS};
use crate::reply::write_string_or_null;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::Lifetime;

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
    keyspace.remove(&key);
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
            keyspace.remove(&key);
        }
        Some((NewDeadline { deadline, .. }, _)) => {
            keyspace.set_deadline(&key, Some(deadline));
        }
        None if matches!(options.expiration, Expiration::Persist) => {
            if matches!(keyspace.lifetime(&key), Lifetime::Until(_)) {
                keyspace.set_deadline(&key, None);
            }
        }
        None => {}
    }
    Ok(())
}
