//! INCR, DECR, INCRBY and DECRBY.

use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Interest, Type, ValueRef};

const KEYS: &[KeySpec] =
    &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))];

const FLAGS: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);

/// Adds 1.
pub(super) static INCR: Command = Command {
    name: "INCR",
    group: Group::String,
    since: "1.0.0",
    summary: "Adds one to the number a key holds, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::STRING,
    keys: KEYS,
    args: &[Arg::key("key")],
    handler: Handler::Keyed(incr),
    ..Command::BASE
};

/// Subtracts 1.
pub(super) static DECR: Command = Command {
    name: "DECR",
    group: Group::String,
    since: "1.0.0",
    summary: "Subtracts one from the number a key holds, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    acl: Category::STRING,
    keys: KEYS,
    args: &[Arg::key("key")],
    handler: Handler::Keyed(decr),
    ..Command::BASE
};

/// Adds an integer.
pub(super) static INCRBY: Command = Command {
    name: "INCRBY",
    group: Group::String,
    since: "1.0.0",
    summary: "Adds an integer to the number a key holds, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    acl: Category::STRING,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::integer("increment")],
    handler: Handler::Keyed(incrby),
    ..Command::BASE
};

/// Subtracts an integer.
pub(super) static DECRBY: Command = Command {
    name: "DECRBY",
    group: Group::String,
    since: "1.0.0",
    summary: "Subtracts an integer from the number a key holds, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    acl: Category::STRING,
    keys: KEYS,
    args: &[Arg::key("key"), Arg::integer("decrement")],
    handler: Handler::Keyed(decrby),
    ..Command::BASE
};

/// The number that `value` is the text of, 0 if there is none.
#[inline]
pub(super) fn integer_of(value: Option<ValueRef<'_>>) -> Result<i64, ReplyError> {
    match value {
        None => Ok(0),
        Some(ValueRef::Integer(integer)) => Ok(integer),
        // Not stored as an integer, but it may have become the text of one piece by piece.
        Some(ValueRef::Bytes(bytes) | ValueRef::Raw(bytes)) => {
            parse_i64(bytes).ok_or(ReplyError::NotAnInteger)
        }
        Some(value) if value.value_type() == Type::String => Err(ReplyError::NotAnInteger),
        Some(_) => Err(ReplyError::WrongType),
    }
}

fn incr(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    add(call, view, 1)
}

fn decr(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    add(call, view, -1)
}

fn incrby(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let increment = call.integer(2)?;
    add(call, view, increment)
}

fn decrby(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let increment = call.integer(2)?.checked_neg().ok_or(ReplyError::DecrementOverflow)?;
    add(call, view, increment)
}

#[inline]
fn add(call: &mut Call<'_>, view: &mut ShardView<'_>, increment: i64) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let sum = keyspace.tell(Interest::STRING, "incrby").update_integer(&key, |before| {
        integer_of(before)?.checked_add(increment).ok_or(ReplyError::IncrementOverflow)
    })?;
    call.reply.integer(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn numbers_count_in_sixty_four_bits() {
        transcript(
            r"
            INCR k                  => :1
            INCRBY k 41             => :42
            DECR k                  => :41
            DECRBY k 82             => :-41
            SET k 17179869184 EX 10 => +OK
            INCR k                  => :17179869185
            TTL k                   => :10
            SET k 9223372036854775807 => +OK
            INCR k                  => -ERR increment or decrement would overflow
            INCRBY k -1             => :9223372036854775806
            SET k -9223372036854775808 => +OK
            DECR k                  => -ERR increment or decrement would overflow
            DECRBY k -9223372036854775808 => -ERR decrement would overflow
            DECRBY k 1              => -ERR increment or decrement would overflow
            INCRBY k 9223372036854775807 => :-1
            GET k                   => $2 -1
            ",
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        transcript(
            r#"
            SET k ""                => +OK
            INCR k                  => -ERR value is not an integer or out of range
            SET k " 1"              => +OK
            INCR k                  => -ERR value is not an integer or out of range
            SET k 1.0               => +OK
            INCR k                  => -ERR value is not an integer or out of range
            SET k 007               => +OK
            INCR k                  => -ERR value is not an integer or out of range
            SET k 9223372036854775808 => +OK
            INCR k                  => -ERR value is not an integer or out of range
            SETRANGE long 5000 1    => :5001
            INCR long               => -ERR value is not an integer or out of range
            SET k 1                 => +OK
            INCRBY k x              => -ERR value is not an integer or out of range
            INCRBY k 1.5            => -ERR value is not an integer or out of range
            DECRBY k ""             => -ERR value is not an integer or out of range
            INCR                    => -ERR wrong number of arguments for 'incr' command
            "#,
        );
    }

    #[test]
    fn numbers_put_together_count_too() {
        transcript(
            r"
            SET k 1                 => +OK
            APPEND k 2              => :2
            OBJECT ENCODING k       => $3 raw
            INCR k                  => :13
            OBJECT ENCODING k       => $3 int
            ",
        );
    }
}
