//! INCRBYFLOAT.

use super::effects::leave_set;
use darter_base::extended::Extended;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest, ValueRef};
use darter_value::integer::IntegerText;

/// Adds a floating-point number.
pub(super) static INCRBYFLOAT: Command = Command {
    name: "INCRBYFLOAT",
    group: Group::String,
    since: "2.6.0",
    summary: "Adds a floating-point number to the one a key holds, 0 if it is not there.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::double("increment")],
    handler: Handler::Keyed(incrbyfloat),
    ..Command::BASE
};

/// The number that `value` is the text of, 0 if there is none.
pub(super) fn float_of(value: Option<ValueRef<'_>>) -> Result<Extended, ReplyError> {
    match value {
        None => Ok(Extended::ZERO),
        Some(ValueRef::Integer(integer)) => Ok(Extended::from_i64(integer)),
        Some(value) => {
            let mut text = IntegerText::new();
            let text = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
            Extended::parse(text).ok_or(ReplyError::NotAFloat)
        }
    }
}

fn incrbyfloat(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let before = float_of(keyspace.peek(&key))?;
    let increment = Extended::parse(call.args.at(2)).ok_or(ReplyError::NotAFloat)?;
    let sum = before + increment;
    if !sum.is_finite() {
        return Err(ReplyError::IncrementNotFinite);
    }
    let text = sum.to_text();
    // Never stored as an integer, as in Redis: OBJECT ENCODING shows it.
    keyspace.tell(Interest::STRING, "incrbyfloat").set_text(&key, &text, Expiry::Keep);
    leave_set(call, key.bytes, &text, Expiry::Keep);
    call.reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn sums_print_as_long_doubles() {
        transcript(
            r#"
            INCRBYFLOAT k 1         => $1 1
            INCRBYFLOAT k 0.1       => $3 1.1
            INCRBYFLOAT k -1.1      => $1 0
            SET k 10.50             => +OK
            INCRBYFLOAT k 0.1       => $4 10.6
            INCRBYFLOAT k -5        => $3 5.6
            SET k 5.0e3             => +OK
            INCRBYFLOAT k 2.0e2     => $4 5200
            SET k 3                 => +OK
            INCRBYFLOAT k 1.1       => $3 4.1
            SET k 17179869184       => +OK
            INCRBYFLOAT k 1.5       => $13 17179869185.5
            SET k 0                 => +OK
            INCRBYFLOAT k 0.00000000000000001 => $19 0.00000000000000001
            SET k "1 " EX 10        => +OK
            INCRBYFLOAT k 1         => -ERR value is not a valid float
            TTL k                   => :10
            SET k 1 EX 10           => +OK
            INCRBYFLOAT k 1.5       => $3 2.5
            TTL k                   => :10
            "#,
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        transcript(
            r#"
            SET k 1                 => +OK
            INCRBYFLOAT k x         => -ERR value is not a valid float
            INCRBYFLOAT k nan       => -ERR value is not a valid float
            INCRBYFLOAT k " 1"      => -ERR value is not a valid float
            INCRBYFLOAT k 1x        => -ERR value is not a valid float
            INCRBYFLOAT k +inf      => -ERR increment would produce NaN or Infinity
            INCRBYFLOAT k 1e5000    => -ERR value is not a valid float
            SET k 1e4932            => +OK
            INCRBYFLOAT k 1e4932    => -ERR increment would produce NaN or Infinity
            SET k foo               => +OK
            INCRBYFLOAT k 1         => -ERR value is not a valid float
            INCRBYFLOAT k           => -ERR wrong number of arguments for 'incrbyfloat' command
            "#,
        );
    }
}
