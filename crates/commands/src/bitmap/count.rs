//! BITCOUNT.

use super::long_scan::{bits_of, count_in_slices, in_one_piece};
use super::range::{BitRange, RANGE_ARG};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::bitmap;
use darter_value::integer::IntegerText;

/// How many bits are set.
pub(super) static BITCOUNT: Command = Command {
    name: "BITCOUNT",
    group: Group::Bitmap,
    since: "2.6.0",
    summary: "Number of set bits in a string value, or in a range of its bytes or bits.",
    complexity: "O(N) where N is the length of the range.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::BITMAP,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), RANGE_ARG],
    history: &[
        ("7.0.0", "Ranges of bits, with `BIT`."),
        ("8.0.0", "The end of the range may be left out."),
    ],
    handler: Handler::Keyed(bitcount),
    slices: Some(|call| Ok(count_in_slices(call, BitRange::parse(call, 2)?))),
    ..Command::BASE
};

fn bitcount(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let range = BitRange::parse(call, 2)?;
    let key = call.key(1);
    let mut text = IntegerText::new();
    let count = match call.keyspace(view, &key).read(&key) {
        None => 0,
        Some(value) => {
            let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
            let bits = bits_of(range, bytes.len());
            in_one_piece(call, &bits)?;
            match range {
                None => bitmap::count_ones(bytes),
                Some(range) if range.is_reversed() => 0,
                Some(_) => bitmap::count_ones_in(bytes, bits),
            }
        }
    };
    call.reply.integer(count.cast_signed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn bitcount_counts_ranges_of_bytes_and_bits() {
        transcript(
            r"
            BITCOUNT k              => :0
            SET k foobar            => +OK
            BITCOUNT k              => :26
            BITCOUNT k 0 0          => :4
            BITCOUNT k 1 1 BYTE     => :6
            BITCOUNT k 5 30 bit     => :17
            BITCOUNT k 0 -5         => :10
            BITCOUNT k -2 -1        => :7
            BITCOUNT k -1 -2        => :0
            BITCOUNT k 1            => :22
            BITCOUNT k 100 200      => :0
            BITCOUNT k 3 2 BIT      => :0
            SET n 1234              => +OK
            BITCOUNT n              => :13
            ",
        );
    }

    #[test]
    fn bitcount_refuses_malformed_ranges() {
        transcript(
            r"
            BITCOUNT k 0 1 x        => -ERR syntax error
            BITCOUNT k 0 1 BIT x    => -ERR syntax error
            BITCOUNT k x            => -ERR value is not an integer or out of range
            BITCOUNT k 0 x          => -ERR value is not an integer or out of range
            BITCOUNT k x 1 x        => -ERR value is not an integer or out of range
            BITCOUNT k 0 x x        => -ERR syntax error
            BITCOUNT                => -ERR wrong number of arguments for 'bitcount' command
            ",
        );
    }
}
