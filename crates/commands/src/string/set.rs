//! SET.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::Expiry;

/// Sets a key.
pub(super) static SET: Command = Command {
    name: "SET",
    group: Group::String,
    since: "1.0.0",
    summary: "Sets the string value of a key, whatever it held before.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::string("value")],
    handler: Handler::Keyed(set),
    ..Command::BASE
};

fn set(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let key = call.key(1);
    call.keyspace(view, &key).set_string(&key, call.args.at(2), Expiry::Clear);
    call.reply.ok();
    Ok(())
}
