//! GET.

use crate::reply::write_string;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};

/// The value of a key.
pub(super) static GET: Command = Command {
    name: "GET",
    group: Group::String,
    since: "1.0.0",
    summary: "The string value of a key.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(get),
    ..Command::BASE
};

fn get(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    match call.keyspace(view, &key).read(&key) {
        None => call.reply.null(),
        Some(value) => {
            if !write_string(&mut call.reply, value) {
                return Err(ReplyError::WrongType);
            }
        }
    }
    Ok(())
}
