//! DEL and UNLINK.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};

/// Deletes keys.
pub(super) static DEL: Command = Command {
    name: "DEL",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Deletes keys.",
    complexity: "O(N) where N is the number of keys; freeing what they held is deferred.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::REMOVE.and(Access::DELETE))],
    args: &[Arg::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Keyed(del),
    ..Command::BASE
};

fn del(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let mut deleted = 0;
    for index in 1..call.args.len() {
        let key = call.key(index);
        if call.keyspace(view, &key).remove(&key) {
            deleted += 1;
        }
    }
    call.reply.integer(deleted);
    Ok(())
}
