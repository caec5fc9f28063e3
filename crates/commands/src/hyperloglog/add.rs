//! PFADD.

use super::{corrupt, registers_of};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest, ValueRef};
use darter_value::hyperloglog::{self, Form};

/// Shows elements to a HyperLogLog.
pub(super) static PFADD: Command = Command {
    name: "PFADD",
    group: Group::HyperLogLog,
    since: "2.8.9",
    summary: "Shows elements to a HyperLogLog, which is created if it is not there; answers whether \
              its estimate may have changed.",
    complexity: "O(1) for each element.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::HYPERLOGLOG,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("element").optional().multiple()],
    handler: Handler::Keyed(pfadd),
    ..Command::BASE
};

fn pfadd(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let elements = call.args.tail(2).iter();
    let mut keyspace = call.keyspace(view, &key);
    let value = keyspace.peek(&key);
    let is_new = value.is_none();
    let stays_raw = !matches!(value, Some(ValueRef::Bytes(_)));
    let (bytes, form) = match value {
        None => (&[][..], Form::Sparse),
        Some(value) => registers_of(value)?,
    };
    let updated = match form {
        Form::Dense => keyspace
            .tell(Interest::STRING, "pfadd")
            .edit_string_if(&key, 0, |bytes, _| {
                let changed = elements
                    .filter(|element| hyperloglog::add_to_dense(bytes, element))
                    .count() as u64;
                (changed > 0, changed)
            })
            .map_err(|_| ReplyError::WrongType)?,
        Form::Sparse => {
            let mut bytes = if is_new { hyperloglog::empty() } else { bytes.to_vec() };
            let mut changes = u64::from(is_new);
            for element in elements {
                let max = call.limits.encodings.hll_sparse_bytes_max;
                let changed = hyperloglog::add(&mut bytes, element, max).map_err(corrupt)?;
                changes += u64::from(changed);
            }
            if changes > 0 {
                hyperloglog::mark_stale(&mut bytes);
                keyspace.tell(Interest::STRING, "pfadd").set_raw(&key, bytes, Expiry::Keep);
                keyspace.count_changes(changes - 1);
            } else if !stays_raw {
                // Redis makes a string its own before it looks whether there is anything to change.
                keyspace
                    .edit_string_if(&key, 0, |_, _| ((), 0))
                    .map_err(|_| ReplyError::WrongType)?;
            }
            changes > 0
        }
    };
    call.reply.integer(i64::from(updated));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn pfadd_says_whether_anything_changed() {
        transcript(
            r"
            PFADD k                 => :1
            PFADD k                 => :0
            PFADD k a b c           => :1
            PFADD k a b c           => :0
            PFCOUNT k               => :3
            TYPE k                  => +string
            OBJECT ENCODING k       => $3 raw
            EXPIRE k 100            => :1
            PFADD k d               => :1
            TTL k                   => :100
            PFDEBUG TODENSE k       => :1
            PFADD k d               => :0
            PFADD k e f             => :1
            PFCOUNT k               => :6
            STRLEN k                => :12304
            TTL k                   => :100
            ",
        );
    }

    #[test]
    fn what_is_no_hyperloglog_is_refused() {
        transcript(
            r#"
            SET k foo               => +OK
            PFADD k a               => -WRONGTYPE Key is not a valid HyperLogLog string value.
            PFCOUNT k               => -WRONGTYPE Key is not a valid HyperLogLog string value.
            SET k 12345678901234567 => +OK
            PFADD k a               => -WRONGTYPE Key is not a valid HyperLogLog string value.
            SET k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80" => +OK
            PFADD k a               => -INVALIDOBJ Corrupted HLL object detected
            PFCOUNT k               => -INVALIDOBJ Corrupted HLL object detected
            PFCOUNT k nokey         => -INVALIDOBJ Corrupted HLL object detected
            PFMERGE d k             => -INVALIDOBJ Corrupted HLL object detected
            PFADD k                 => :0
            SET k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80" => +OK
            PFADD k a               => -WRONGTYPE Key is not a valid HyperLogLog string value.
            EXISTS d                => :0
            "#,
        );
    }
}
