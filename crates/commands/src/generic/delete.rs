//! DEL and UNLINK.

use crate::many_keys::count_keys;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::Interest;

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

/// Deletes keys, as Redis does in the background.
pub(super) static UNLINK: Command = Command {
    name: "UNLINK",
    group: Group::Generic,
    since: "4.0.0",
    summary: "Deletes keys, as DEL does.",
    complexity: "O(N) where N is the number of keys; freeing what they held is deferred.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::REMOVE.and(Access::DELETE))],
    args: &[Arg::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Keyed(del),
    ..Command::BASE
};

fn del(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let keys = (1, call.args.len(), 1);
    let deleted = count_keys(call, view, keys, |mut keyspace, key| {
        keyspace.tell(Interest::GENERIC, "del").remove(key)
    });
    call.reply.integer(deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn deleted_keys_are_counted() {
        transcript(
            r"
            DEL k                   => :0
            MSET a 1 b 2 c 3 d 4    => +OK
            DEL a nokey a           => :1
            UNLINK b c nokey        => :2
            DBSIZE                  => :1
            SET k v PX 5            => +OK
            @time +50
            DEL k                   => :0
            DEL                     => -ERR wrong number of arguments for 'del' command
            ",
        );
    }
}
