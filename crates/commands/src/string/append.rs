//! APPEND.

use super::range::check_len;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};

/// Lengthens a string.
pub(super) static APPEND: Command = Command {
    name: "APPEND",
    group: Group::String,
    since: "2.0.0",
    summary: "Appends to the string value of a key, which is created if it is not there.",
    complexity: "O(1) amortised, for a tail of constant length.",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("value")],
    handler: Handler::Keyed(append),
    ..Command::BASE
};

fn append(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let tail = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    if let Some(value) = keyspace.peek(&key) {
        let before = value.string_len().ok_or(ReplyError::WrongType)?;
        check_len(before as u64, tail.len(), call.limits)?;
    }
    let len = keyspace.append(&key, tail).map_err(|_| ReplyError::WrongType)?;
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}
