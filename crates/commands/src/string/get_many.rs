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

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn mget_answers_null_for_what_is_missing() {
        transcript(
            r#"
            MSET a 1 b "" c xyz     => +OK
            MGET a nokey b c a      => *5 $1 1 $-1 $0  $3 xyz $1 1
            MGET a                  => *1 $1 1
            MGET                    => -ERR wrong number of arguments for 'mget' command
            MSET k0 0 k1 1 k2 2 k3 3 k4 4 k5 5 k6 6 k7 7 k8 8 k9 9 k10 10 k11 11 k12 12 k13 13 k14 14 k15 15 k16 16 k17 17 => +OK
            MGET k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 k10 k11 k12 k13 k14 k15 k16 k17 => *18 $1 0 $1 1 $1 2 $1 3 $1 4 $1 5 $1 6 $1 7 $1 8 $1 9 $2 10 $2 11 $2 12 $2 13 $2 14 $2 15 $2 16 $2 17
            DBSIZE                  => :21
            "#,
        );
    }
}
