//! DIGEST.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::integer::IntegerText;

/// A short stand-in for a value.
pub(super) static DIGEST: Command = Command {
    name: "DIGEST",
    group: Group::String,
    since: "8.4.0",
    summary: "The XXH3 hash of a string value, as 16 hexadecimal digits.",
    complexity: "O(N) where N is the length of the value.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(digest),
    ..Command::BASE
};

/// The 64-bit XXH3 hash with seed 0, as Redis 8.4 documents for DIGEST, SET and DELEX.
pub(super) fn digest_of(value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value)
}

fn digest(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut text = IntegerText::new();
    match call.keyspace(view, &key).read(&key) {
        None => call.reply.null(),
        Some(value) => {
            let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
            call.reply.bulk(format!("{:016x}", digest_of(bytes)).as_bytes());
        }
    }
    Ok(())
}
