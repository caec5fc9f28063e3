//! BITPOS.

use super::long_scan::{beyond, bits_of, find_in_slices, in_one_piece};
use super::range::{BitRange, RANGE_ARG};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::bitmap;
use darter_value::integer::IntegerText;

/// The first bit of a kind.
pub(super) static BITPOS: Command = Command {
    name: "BITPOS",
    group: Group::Bitmap,
    since: "2.8.7",
    summary: "Position of the first set or clear bit in a string value, or in a range of it; -1 if \
              there is none.",
    complexity: "O(N) where N is the length of the range.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::BITMAP,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("bit"), RANGE_ARG],
    history: &[("7.0.0", "Ranges of bits, with `BIT`.")],
    handler: Handler::Keyed(bitpos),
    slices: Some(|call| parse(call).map(|(wanted, range)| find_in_slices(call, wanted, range))),
    ..Command::BASE
};

/// The bit that is wanted, and the range.
fn parse(call: &Call<'_>) -> Result<(bool, Option<BitRange>), ReplyError> {
    let wanted = match call.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(ReplyError::Text("ERR The bit argument must be 1 or 0.")),
    };
    Ok((wanted, BitRange::parse(call, 3)?))
}

fn bitpos(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (wanted, range) = parse(call)?;
    let key = call.key(1);
    let mut text = IntegerText::new();
    let position = match call.keyspace(view, &key).read(&key) {
        None => (!wanted).then_some(0),
        Some(value) => {
            let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
            let bits = bits_of(range, bytes.len());
            in_one_piece(call, &bits)?;
            bitmap::find(bytes, wanted, bits.clone()).or_else(|| beyond(wanted, range, &bits))
        }
    };
    call.reply.integer(position.map_or(-1, u64::cast_signed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn bitpos_finds_the_first_bit() {
        transcript(
            r#"
            BITPOS k 0              => :0
            BITPOS k 1              => :-1
            BITPOS k 0 5 6          => :0
            SET k "\xff\xf0\x00"    => +OK
            BITPOS k 0              => :12
            BITPOS k 1 1            => :8
            BITPOS k 1 2            => :-1
            BITPOS k 1 2 -1         => :-1
            BITPOS k 0 0 0          => :-1
            BITPOS k 0 0 11 BIT     => :-1
            BITPOS k 0 0 12 BIT     => :12
            BITPOS k 1 9 9 BIT      => :9
            BITPOS k 0 3            => :-1
            SET k "\xff\xff"        => +OK
            BITPOS k 0              => :16
            BITPOS k 0 1            => :16
            BITPOS k 0 0 -1         => :-1
            BITPOS k 0 2            => :-1
            SET k ""                => +OK
            BITPOS k 0              => :-1
            BITPOS k 1              => :-1
            "#,
        );
    }

    #[test]
    fn bitpos_refuses_malformed_arguments() {
        transcript(
            r"
            BITPOS k 2              => -ERR The bit argument must be 1 or 0.
            BITPOS k x              => -ERR value is not an integer or out of range
            BITPOS k 1 x            => -ERR value is not an integer or out of range
            BITPOS k 1 0 x          => -ERR value is not an integer or out of range
            BITPOS k 1 0 1 x        => -ERR syntax error
            BITPOS k 1 0 1 BIT x    => -ERR syntax error
            BITPOS k                => -ERR wrong number of arguments for 'bitpos' command
            ",
        );
    }
}
