//! GET and STRLEN.

use crate::reply::write_string_or_null;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};

/// The value of a key.
pub(super) static GET: Command = Command {
    name: "GET",
    group: Group::String,
    since: "1.0.0",
    summary: "The string value of a key.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(get),
    ..Command::BASE
};

/// The length of a value.
pub(super) static STRLEN: Command = Command {
    name: "STRLEN",
    group: Group::String,
    since: "2.2.0",
    summary: "The length of a string value in bytes, 0 for a key that is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[Arg::key("key")],
    handler: Handler::Keyed(strlen),
    ..Command::BASE
};

fn get(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    write_string_or_null(&mut call.reply, keyspace.read(&key))
}

fn strlen(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let bytes = match call.keyspace(view, &key).read(&key) {
        None => 0,
        Some(value) => value.string_len().ok_or(ReplyError::WrongType)?,
    };
    call.reply.integer(bytes.cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn get_reads_what_was_set() {
        transcript(
            r"
            GET k                   => $-1
            SET k v                 => +OK
            GET k                   => $1 v
            SET k 0010              => +OK
            GET k                   => $4 0010
            SET k -9223372036854775808 => +OK
            GET k                   => $20 -9223372036854775808
            GET                     => -ERR wrong number of arguments for 'get' command
            GET a b                 => -ERR wrong number of arguments for 'get' command
            @resp 3
            GET nokey               => _
            ",
        );
    }

    #[test]
    fn expired_keys_are_not_there() {
        transcript(
            r"
            SET k v PX 20           => +OK
            @time +20
            @1 GET k                => $1 v
            @time +1
            GET k                   => $-1
            DBSIZE                  => :0
            ",
        );
    }

    #[test]
    fn strlen_counts_bytes() {
        transcript(
            r#"
            STRLEN k                => :0
            SET k "a\x00b"         => +OK
            STRLEN k                => :3
            SET k -123              => +OK
            STRLEN k                => :4
            SETRANGE k 5000 x       => :5001
            STRLEN k                => :5001
            "#,
        );
    }
}
