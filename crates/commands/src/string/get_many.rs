//! MGET.

use crate::many_keys::each_key;
use crate::reply::write_string;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};

/// The values of several keys.
pub(super) static MGET: Command = Command {
    name: "MGET",
    group: Group::String,
    since: "1.0.0",
    summary: "The string values of several keys at one point in time; null for other types.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::range(1, -1, 1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key").multiple()],
    tips: &["request_policy:multi_shard"],
    handler: Handler::Keyed(mget),
    ..Command::BASE
};

fn mget(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let end = call.args.len();
    call.reply.array(end - 1);
    each_key(call, view, (1, end, 1), |call, mut keyspace, key, _| {
        let written = match keyspace.read(key) {
            Some(value) => write_string(&mut call.reply, value),
            None => false,
        };
        if !written {
            call.reply.null();
        }
    });
    Ok(())
}
