//! EXISTS, TOUCH and TYPE.

use crate::many_keys::count_keys;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};

const FLAGS: Flags = Flags::READONLY.and(Flags::FAST);

/// Counts keys that are there.
pub(super) static EXISTS: Command = Command {
    name: "EXISTS",
    group: Group::Generic,
    since: "1.0.0",
    summary: "How many of the keys are there; one named twice counts twice.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::READ_ONLY)],
    args: &[Arg::key("key").multiple()],
    history: &[("3.0.3", "Accepts multiple `key` arguments.")],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Keyed(exists),
    ..Command::BASE
};

/// Notes an access to keys.
pub(super) static TOUCH: Command = Command {
    name: "TOUCH",
    group: Group::Generic,
    since: "3.2.1",
    summary: "How many of the keys are there, each noted as used just now.",
    complexity: "O(N) where N is the number of keys.",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, Access::READ_ONLY)],
    args: &[Arg::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Keyed(touch),
    ..Command::BASE
};

/// The type of a key.
pub(super) static TYPE: Command = Command {
    name: "TYPE",
    group: Group::Generic,
    since: "1.0.0",
    summary: "The type of what a key holds.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(value_type),
    ..Command::BASE
};

fn exists(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let keys = (1, call.args.len(), 1);
    let count = count_keys(call, view, keys, |mut keyspace, key| keyspace.exists(key));
    call.reply.integer(count);
    Ok(())
}

fn touch(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let keys = (1, call.args.len(), 1);
    // Asked for by name, also by a client whose other commands are no accesses.
    view.each().for_each(|shard| shard.ignore_accesses(false));
    let count = count_keys(call, view, keys, |mut keyspace, key| keyspace.read(key).is_some());
    call.reply.integer(count);
    Ok(())
}

fn value_type(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let value = keyspace.inspect(&key);
    call.reply.simple(value.map_or("none", |value| value.value_type().name()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn keys_named_twice_count_twice() {
        transcript(
            r"
            EXISTS a                => :0
            MSET a 1 b 2            => +OK
            EXISTS a b a nokey      => :3
            TOUCH a b a nokey       => :3
            EXISTS                  => -ERR wrong number of arguments for 'exists' command
            ",
        );
    }

    #[test]
    fn type_names_what_is_there() {
        transcript(
            r"
            TYPE k                  => +none
            SET k v                 => +OK
            TYPE k                  => +string
            SET k 1                 => +OK
            TYPE k                  => +string
            SETRANGE k 5000 x       => :5001
            TYPE k                  => +string
            ",
        );
    }
}
