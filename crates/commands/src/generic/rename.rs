//! RENAME and RENAMENX.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::Interest;

/// Gives a key another name.
pub(super) static RENAME: Command = Command {
    name: "RENAME",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Gives a key another name, in place of a key that has it.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    acl: Category::KEYSPACE,
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE)),
        KeySpec::at(2, Access::OVERWRITE.and(Access::UPDATE)),
    ],
    args: &[Arg::key("key"), Arg::key_by("newkey", 1)],
    handler: Handler::Keyed(rename),
    ..Command::BASE
};

/// Gives a key another name if no key has it.
pub(super) static RENAMENX: Command = Command {
    name: "RENAMENX",
    group: Group::Generic,
    since: "1.0.0",
    summary: "Gives a key another name unless some key has it already.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::KEYSPACE,
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE)),
        KeySpec::at(2, Access::OVERWRITE.and(Access::INSERT)),
    ],
    args: &[Arg::key("key"), Arg::key_by("newkey", 1)],
    history: &[(
        "3.2.0",
        "The command no longer returns an error when source and destination names are the same.",
    )],
    handler: Handler::Keyed(renamenx),
    ..Command::BASE
};

fn rename(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    move_value(call, view, true)?;
    call.reply.ok();
    Ok(())
}

fn renamenx(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let moved = move_value(call, view, false)?;
    call.reply.integer(i64::from(moved));
    Ok(())
}

/// Moves the value of the first key to the second; whether it did.
fn move_value(
    call: &Call<'_>,
    view: &mut ShardView<'_>,
    overwrite: bool,
) -> Result<bool, ReplyError> {
    let (from, to) = (call.key(1), call.key(2));
    if call.keyspace(view, &from).peek(&from).is_none() {
        return Err(ReplyError::NoSuchKey);
    }
    if from.bytes == to.bytes {
        return Ok(false);
    }
    if !overwrite && call.keyspace(view, &to).peek(&to).is_some() {
        return Ok(false);
    }
    let detached = call.keyspace(view, &from).take(&from).ok_or(ReplyError::NoSuchKey)?;
    call.keyspace(view, &to).put(&to, detached);
    call.keyspace(view, &from).note(Interest::GENERIC, "rename_from", &from);
    call.keyspace(view, &to).note(Interest::GENERIC, "rename_to", &to);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn rename_moves_value_and_deadline() {
        transcript(
            r"
            RENAME a b              => -ERR no such key
            RENAME a a              => -ERR no such key
            RENAMENX a b            => -ERR no such key
            SET a 1 EX 100          => +OK
            SET b 2                 => +OK
            RENAME a b              => +OK
            EXISTS a b              => :1
            GET b                   => $1 1
            TTL b                   => :100
            RENAME b b              => +OK
            RENAMENX b b            => :0
            GET b                   => $1 1
            SET c 3                 => +OK
            RENAME c b              => +OK
            TTL b                   => :-1
            SET d 4                 => +OK
            RENAMENX d b            => :0
            RENAMENX d e            => :1
            MGET b d e              => *3 $1 3 $-1 $1 4
            DBSIZE                  => :2
            ",
        );
    }

    #[test]
    fn rename_does_not_see_expired_keys() {
        transcript(
            r"
            SET a 1 PX 5            => +OK
            SET b 2 PX 5            => +OK
            SET c 3                 => +OK
            @time +50
            RENAME a c              => -ERR no such key
            RENAMENX c b            => :1
            KEYS *                  => *1 $1 b
            ",
        );
    }
}
