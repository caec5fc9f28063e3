//! APPEND.

use super::range::check_len;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest};

/// Lengthens a string.
pub(super) static APPEND: Command = Command {
    name: "APPEND",
    group: Group::String,
    since: "2.0.0",
    summary: "Appends to the string value of a key, which is created if it is not there.",
    complexity: "O(1) amortised, for a tail of constant length.",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("value")],
    handler: Handler::Keyed(append),
    ..Command::BASE
};

fn append(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let tail = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let is_there = match keyspace.peek(&key) {
        None => false,
        Some(value) => {
            let before = value.string_len().ok_or(ReplyError::WrongType)?;
            check_len(before as u64, tail.len(), call.limits)?;
            true
        }
    };
    let keyspace = keyspace.tell(Interest::STRING, "append");
    let len = match call.args.share(2) {
        Some(all) if !is_there => {
            keyspace.set_shared(&key, all, Expiry::Clear);
            tail.len()
        }
        _ => keyspace.append(&key, tail).map_err(|_| ReplyError::WrongType)?,
    };
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn append_lengthens_or_creates() {
        transcript(
            r#"
            APPEND k foo            => :3
            APPEND k bar            => :6
            APPEND k ""             => :6
            GET k                   => $6 foobar
            APPEND n 12             => :2
            OBJECT ENCODING n       => $3 int
            APPEND n 3              => :3
            GET n                   => $3 123
            EXPIRE k 10             => :1
            APPEND k !              => :7
            TTL k                   => :10
            "#,
        );
    }

    #[test]
    fn append_stops_at_the_limit() {
        transcript(
            r#"
            @max 1048576
            SETRANGE k 1048574 x    => :1048575
            APPEND k y              => :1048576
            APPEND k z              => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
            APPEND k ""             => :1048576
            "#,
        );
    }
}
