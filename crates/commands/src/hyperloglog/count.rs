//! PFCOUNT.

use super::{corrupt, registers_of};
use crate::many_keys::each_key;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::hyperloglog::{self, Registers};

/// How many elements were seen.
pub(super) static PFCOUNT: Command = Command {
    name: "PFCOUNT",
    group: Group::HyperLogLog,
    since: "2.8.9",
    summary: "About how many different elements one or several HyperLogLogs have seen together.",
    complexity: "O(1) for one key whose count is cached; O(N) with a large constant otherwise, where \
                 N is the number of keys.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
    acl: Category::HYPERLOGLOG,
    keys: &[KeySpec::range(1, -1, 1, Access::READ_WRITE.and(Access::ACCESS)).notes(
        "RW because it may change the internal representation of the key, and propagate to replicas",
    )],
    args: &[Arg::key("key").multiple()],
    handler: Handler::Keyed(pfcount),
    ..Command::BASE
};

fn pfcount(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let count = if call.args.len() == 2 { count_one(call, view) } else { count_union(call, view) };
    call.reply.integer(count?.cast_signed());
    Ok(())
}

/// The estimate of a single key, from its cache or put there.
fn count_one(call: &mut Call<'_>, view: &mut ShardView<'_>) -> Result<u64, ReplyError> {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(value) = keyspace.read(&key) else { return Ok(0) };
    let (bytes, _) = registers_of(value)?;
    if let Some(count) = hyperloglog::cached_count(bytes) {
        return Ok(count);
    }
    let count = hyperloglog::count(bytes).map_err(corrupt)?;
    keyspace
        .edit_string(&key, 0, |bytes| hyperloglog::cache_count(bytes, count))
        .map_err(|_| ReplyError::WrongType)?;
    // It reads, but what is in the key is another text now.
    call.leave(|effects| effects.add(&[b"PFCOUNT", key.bytes]));
    Ok(count)
}

fn count_union(call: &mut Call<'_>, view: &mut ShardView<'_>) -> Result<u64, ReplyError> {
    let end = call.args.len();
    let mut union = Registers::new();
    let mut result = Ok(());
    each_key(call, view, (1, end, 1), |_, mut keyspace, key, _| {
        if result.is_ok()
            && let Some(value) = keyspace.read(key)
        {
            result = registers_of(value).and_then(|(bytes, _)| union.merge(bytes).map_err(corrupt));
        }
    });
    result.map(|()| union.count())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn several_keys_are_counted_together() {
        transcript(
            r"
            PFCOUNT k               => :0
            PFADD a 1 2 3           => :1
            PFADD b 3 4 5           => :1
            PFCOUNT a               => :3
            PFCOUNT a b nokey       => :5
            PFCOUNT a a             => :3
            PFDEBUG TODENSE b       => :1
            PFCOUNT a b             => :5
            SET s x                 => +OK
            PFCOUNT a s b           => -WRONGTYPE Key is not a valid HyperLogLog string value.
            ",
        );
    }

    #[test]
    fn the_count_is_cached_in_the_string() {
        transcript(
            r"
            PFADD k a               => :1
            GETRANGE k 15 15        => $1 \x80
            PFCOUNT k               => :1
            GETRANGE k 8 15         => $8 \x01\x00\x00\x00\x00\x00\x00\x00
            SETRANGE k 8 \x05       => :21
            ",
        );
    }
}
