//! GETRANGE, SUBSTR and SETRANGE.

use darter_command_table::{
    Access, Arg, Arity, Call, CallLimits, Category, Command, Deprecation, Flags, Group, Handler,
    KeySpec, ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Expiry, Interest, ObjectRef, ValueRef};
use darter_value::integer::IntegerText;
use std::ops::Range;

/// Part of a value.
pub(super) static GETRANGE: Command = Command {
    name: "GETRANGE",
    group: Group::String,
    since: "2.4.0",
    summary: "Part of a string value, between two offsets, both included; negative offsets count \
              from the end.",
    complexity: "O(N) where N is the length of the reply.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
    handler: Handler::Keyed(getrange),
    ..Command::BASE
};

/// GETRANGE by its first name.
pub(super) static SUBSTR: Command = Command {
    name: "SUBSTR",
    group: Group::String,
    since: "1.0.0",
    summary: "Part of a string value, between two offsets, both included.",
    complexity: "O(N) where N is the length of the reply.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
    deprecated: Some(Deprecation { since: "2.0.0", replaced_by: "`GETRANGE`" }),
    handler: Handler::Keyed(getrange),
    ..Command::BASE
};

/// Overwrites part of a value.
pub(super) static SETRANGE: Command = Command {
    name: "SETRANGE",
    group: Group::String,
    since: "2.2.0",
    summary: "Overwrites part of a string value from an offset on, lengthening it with zero bytes \
              where needed.",
    complexity: "O(M) where M is the length of the new part, as long as the value need not grow.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STRING,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::integer("offset"), Arg::string("value")],
    handler: Handler::Keyed(setrange),
    ..Command::BASE
};

/// Whether a string of `before` bytes may have `more` behind it.
pub(super) fn check_len(before: u64, more: usize, limits: &CallLimits) -> ReplyResult {
    match before.checked_add(more as u64) {
        Some(len) if len <= limits.string_bytes_max => Ok(()),
        _ => Err(ReplyError::StringTooLong),
    }
}

fn getrange(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (start, end) = (call.integer(2)?, call.integer(3)?);
    let key = call.key(1);
    let mut text = IntegerText::new();
    let mut keyspace = call.keyspace(view, &key);
    let Some(value) = keyspace.read(&key) else {
        call.reply.bulk(b"");
        return Ok(());
    };
    let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
    let range = range_in(bytes.len(), start, end);
    match value {
        ValueRef::Object(ObjectRef::Large(large)) => {
            call.reply.bulk_shared_range(&large.share(), range);
        }
        _ => call.reply.bulk(&bytes[range]),
    }
    Ok(())
}

/// The positions from `start` to `end`, both included, negative ones counted from the end, that lie
/// within `len` bytes.
fn range_in(len: usize, start: i64, end: i64) -> Range<usize> {
    let len_signed = len.cast_signed() as i64;
    let from_front =
        |offset: i64| if offset < 0 { offset.saturating_add(len_signed) } else { offset };
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let start = from_front(start).max(0);
    // Before the first byte still means the first, as ever.
    let end = from_front(end).max(0).min(len_signed - 1);
    if start > end {
        return 0..0;
    }
    let position = |offset: i64| usize::try_from(offset).expect("between 0 and the length");
    position(start)..position(end) + 1
}

fn setrange(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let offset = call.integer(2)?;
    let offset = u64::try_from(offset).map_err(|_| ReplyError::OffsetOutOfRange)?;
    let part = call.args.at(3);
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let before = match keyspace.peek(&key) {
        None => 0,
        Some(value) => value.string_len().ok_or(ReplyError::WrongType)?,
    };
    if part.is_empty() {
        call.reply.integer(before.cast_signed() as i64);
        return Ok(());
    }
    check_len(offset, part.len(), call.limits)?;
    let offset = usize::try_from(offset).map_err(|_| ReplyError::StringTooLong)?;
    let end = offset + part.len();
    let keyspace = keyspace.tell(Interest::STRING, "setrange");
    let len = match call.args.share(3) {
        Some(all) if offset == 0 && end >= before => {
            keyspace.set_shared(&key, all, Expiry::Keep);
            end
        }
        _ => keyspace
            .edit_string(&key, end, |bytes| {
                bytes[offset..end].copy_from_slice(part);
                bytes.len()
            })
            .map_err(|_| ReplyError::WrongType)?,
    };
    call.reply.integer(len.cast_signed() as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn ranges_are_cut_to_the_value() {
        for (start, end, expected) in [
            (0, 3, 0..4),
            (0, -1, 0..10),
            (-3, -1, 7..10),
            (-1, -3, 0..0),
            (5, 3, 0..0),
            (4, 5000, 4..10),
            (-5000, 3, 0..4),
            (0, -5000, 0..1),
            (-5000, -5001, 0..0),
            (-5001, -5000, 0..1),
            (10, 20, 0..0),
            (i64::MIN, i64::MAX, 0..10),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(range_in(10, start, end), expected, "{start} {end}");
        }
        assert_eq!(range_in(0, 0, -1), 0..0);
        assert_eq!(range_in(0, -1, -1), 0..0);
    }

    #[test]
    fn getrange_reads_numbers_too() {
        transcript(
            r#"
            GETRANGE k 0 -1         => $0
            SET k "Hello World"     => +OK
            GETRANGE k 0 3          => $4 Hell
            GETRANGE k 0 -1         => $11 Hello World
            GETRANGE k -4 -1        => $4 orld
            GETRANGE k 5 3          => $0
            GETRANGE k 5 5000       => $6  World
            GETRANGE k -5000 10000  => $11 Hello World
            GETRANGE k 0 -100       => $1 H
            GETRANGE k 0 -9223372036854775808 => $1 H
            SET k 1234              => +OK
            GETRANGE k 0 2          => $3 123
            SUBSTR k -2 -1          => $2 34
            SET k ""                => +OK
            GETRANGE k 0 0          => $0
            GETRANGE k x 0          => -ERR value is not an integer or out of range
            GETRANGE k 0 9223372036854775808 => -ERR value is not an integer or out of range
            "#,
        );
    }

    #[test]
    fn setrange_pads_with_zeroes() {
        transcript(
            r#"
            SETRANGE k 0 ""         => :0
            EXISTS k                => :0
            SETRANGE k 1 foo        => :4
            GET k                   => $4 \x00foo
            SETRANGE k 0 b          => :4
            SETRANGE k 6 bar        => :9
            GET k                   => $9 bfoo\x00\x00bar
            SETRANGE k 3 ""         => :9
            SET n 1234 EX 10        => +OK
            SETRANGE n 1 3          => :4
            GET n                   => $4 1334
            TTL n                   => :10
            SETRANGE n 9 ""         => :4
            "#,
        );
    }

    #[test]
    fn setrange_checks_its_offset() {
        transcript(
            r#"
            SETRANGE k -1 x         => -ERR offset is out of range
            SETRANGE k x x          => -ERR value is not an integer or out of range
            SETRANGE k 536870912 x  => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
            SETRANGE k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
            SETRANGE k 9223372036854775807 "" => :0
            SETRANGE k 9223372036854775808 x => -ERR value is not an integer or out of range
            EXISTS k                => :0
            @max 1048576
            SETRANGE k 1048575 x    => :1048576
            SETRANGE k 1048576 x    => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
            "#,
        );
    }
}
