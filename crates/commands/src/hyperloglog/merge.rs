//! PFMERGE.

use super::{corrupt, registers_of};
use crate::many_keys::each_key;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Expiry, Interest};
use darter_value::hyperloglog::{self, Form, Registers};

/// Unites HyperLogLogs.
pub(super) static PFMERGE: Command = Command {
    name: "PFMERGE",
    group: Group::HyperLogLog,
    since: "2.8.9",
    summary: "Makes a HyperLogLog the union of itself, if it is there, and others.",
    complexity: "O(N) with a large constant, where N is the number of keys.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::HYPERLOGLOG,
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::INSERT)),
        KeySpec::range(2, -1, 1, Access::READ_ONLY.and(Access::ACCESS)),
    ],
    args: &[Arg::key("destkey"), Arg::key_by("sourcekey", 1).optional().multiple()],
    handler: Handler::Keyed(pfmerge),
    ..Command::BASE
};

fn pfmerge(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let end = call.args.len();
    let mut union = Registers::new();
    // As soon as one is dense, so is the result.
    let mut dense = false;
    let mut result = Ok(());
    each_key(call, view, (1, end, 1), |_, mut keyspace, key, _| {
        if result.is_ok()
            && let Some(value) = keyspace.read(key)
        {
            result = registers_of(value).and_then(|(bytes, form)| {
                dense |= form == Form::Dense;
                union.merge(bytes).map_err(corrupt)
            });
        }
    });
    result?;
    let key = call.key(1);
    let max = call.limits.encodings.hll_sparse_bytes_max;
    let mut keyspace = call.keyspace(view, &key);
    let mut bytes = match keyspace.peek(&key) {
        None => hyperloglog::empty(),
        Some(value) => registers_of(value)?.0.to_vec(),
    };
    hyperloglog::absorb(&mut bytes, &union, dense, max).map_err(corrupt)?;
    keyspace.tell(Interest::STRING, "pfadd").set_raw(&key, bytes, Expiry::Keep);
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn pfmerge_unites_with_what_is_there() {
        transcript(
            r"
            PFADD a 1 2 3           => :1
            PFADD b 3 4             => :1
            PFADD d 9               => :1
            EXPIRE d 100            => :1
            PFMERGE d a b nokey     => +OK
            PFCOUNT d               => :5
            TTL d                   => :100
            PFDEBUG ENCODING d      => +sparse
            PFDEBUG TODENSE b       => :1
            PFMERGE new a b         => +OK
            PFDEBUG ENCODING new    => +dense
            PFCOUNT new             => :4
            PFMERGE alone           => +OK
            PFCOUNT alone           => :0
            EXISTS alone            => :1
            SET s x                 => +OK
            PFMERGE d a s           => -WRONGTYPE Key is not a valid HyperLogLog string value.
            PFMERGE s a             => -WRONGTYPE Key is not a valid HyperLogLog string value.
            PFCOUNT d               => :5
            ",
        );
    }
}
