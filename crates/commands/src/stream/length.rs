//! XLEN.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_value::stream::Stream;

/// How many entries there are.
pub(super) static XLEN: Command = Command {
    name: "XLEN",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Number of entries of a stream.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(xlen),
    ..Command::BASE
};

fn xlen(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.read_collection::<Stream>(&key)?;
    let len = stream.map_or(0, |stream| stream.log().len());
    call.reply.integer(len.cast_signed());
    Ok(())
}
