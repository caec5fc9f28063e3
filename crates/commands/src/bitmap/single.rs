//! SETBIT and GETBIT.

use darter_command_table::{
    Access, Arg, Arity, Call, CallLimits, Category, Command, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::Interest;
use darter_value::bitmap;
use darter_value::integer::IntegerText;

/// One bit of a string.
pub(super) static GETBIT: Command = Command {
    name: "GETBIT",
    group: Group::Bitmap,
    since: "2.2.0",
    summary: "The bit of a string value at an offset; 0 past its end.",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.and(Flags::FAST),
    acl: Category::BITMAP,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("offset")],
    handler: Handler::Keyed(getbit),
    ..Command::BASE
};

/// Sets one bit.
pub(super) static SETBIT: Command = Command {
    name: "SETBIT",
    group: Group::Bitmap,
    since: "2.2.0",
    summary: "Sets or clears the bit of a string value at an offset, lengthening it with zero bytes \
              where needed; answers the old bit.",
    complexity: "O(1), as long as the value need not grow.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::BITMAP,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("offset"), Arg::integer("value")],
    handler: Handler::Keyed(setbit),
    ..Command::BASE
};

/// An offset that is no number, negative, or beyond the longest string.
pub(super) const BAD_OFFSET: ReplyError =
    ReplyError::Text("ERR bit offset is not an integer or out of range");

/// `offset` in bits, if a string may be that long.
pub(super) fn checked_offset(offset: i64, limits: &CallLimits) -> Result<u64, ReplyError> {
    match u64::try_from(offset) {
        Ok(offset) if offset / 8 < limits.string_bytes_max => Ok(offset),
        _ => Err(BAD_OFFSET),
    }
}

/// The length of a string in which there is a bit at `offset`.
pub(super) fn len_with(offset: u64) -> Result<usize, ReplyError> {
    usize::try_from(offset / 8 + 1).map_err(|_| BAD_OFFSET)
}

fn offset_at(call: &Call<'_>, index: usize) -> Result<u64, ReplyError> {
    checked_offset(call.integer(index).map_err(|_| BAD_OFFSET)?, call.limits)
}

fn getbit(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let offset = offset_at(call, 2)?;
    let key = call.key(1);
    let mut text = IntegerText::new();
    let bit = match call.keyspace(view, &key).read(&key) {
        None => false,
        Some(value) => {
            bitmap::bit(value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?, offset)
        }
    };
    call.reply.integer(i64::from(bit));
    Ok(())
}

fn setbit(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let offset = offset_at(call, 2)?;
    let value = match call.integer(3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(ReplyError::Text("ERR bit is not an integer or out of range")),
    };
    let key = call.key(1);
    let before = call
        .keyspace(view, &key)
        .tell(Interest::STRING, "setbit")
        .edit_string_if(&key, len_with(offset)?, |bytes, grown| {
            let before = bitmap::set_bit(bytes, offset, value);
            (before, u64::from(grown || before != value))
        })
        .map_err(|_| ReplyError::WrongType)?;
    call.reply.integer(i64::from(before));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn bits_are_numbered_from_the_highest() {
        transcript(
            r"
            SETBIT k 1 1            => :0
            SETBIT k 2 1            => :0
            SETBIT k 7 1            => :0
            GET k                   => $1 a
            SETBIT k 1 0            => :1
            GETBIT k 1              => :0
            GETBIT k 2              => :1
            GETBIT k 8              => :0
            GETBIT k 4294967295     => :0
            SETBIT k 15 0           => :0
            GET k                   => $2 !\x00
            SET n 12 EX 100         => +OK
            GETBIT n 2              => :1
            SETBIT n 2 1            => :1
            OBJECT ENCODING n       => $3 raw
            TTL n                   => :100
            GETBIT nokey 0          => :0
            EXISTS nokey            => :0
            ",
        );
    }

    #[test]
    fn offsets_and_bits_are_checked() {
        transcript(
            r"
            SETBIT k 4294967296 1   => -ERR bit offset is not an integer or out of range
            SETBIT k -1 1           => -ERR bit offset is not an integer or out of range
            SETBIT k 9223372036854775807 1 => -ERR bit offset is not an integer or out of range
            SETBIT k x 1            => -ERR bit offset is not an integer or out of range
            SETBIT k #1 1           => -ERR bit offset is not an integer or out of range
            SETBIT k 0 2            => -ERR bit is not an integer or out of range
            SETBIT k 0 x            => -ERR bit is not an integer or out of range
            SETBIT k x x            => -ERR bit offset is not an integer or out of range
            GETBIT k 4294967296     => -ERR bit offset is not an integer or out of range
            EXISTS k                => :0
            @max 1048576
            SETBIT k 8388607 1      => :0
            SETBIT k 8388608 1      => -ERR bit offset is not an integer or out of range
            STRLEN k                => :1048576
            ",
        );
    }
}
