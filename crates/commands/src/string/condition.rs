//! Conditions under which SET and DELEX act.

use super::digest::digest_of;
use darter_command_table::{Call, ReplyError};
use darter_shard::ValueRef;
use darter_value::integer::IntegerText;

/// On what condition a key is set or deleted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    Always,
    /// `NX`
    Absent,
    /// `XX`
    Present,
    /// `IFEQ`
    Equal(&'a [u8]),
    /// `IFNE`
    NotEqual(&'a [u8]),
    /// `IFDEQ`
    DigestEqual(u64),
    /// `IFDNE`
    DigestNotEqual(u64),
}

impl<'a> Condition<'a> {
    /// The condition at argument `index` on the value, if there is one and it has its operand.
    pub(super) fn parse(call: &Call<'a>, index: usize) -> Result<Option<Self>, ReplyError> {
        let Some(operand) = call.args.get(index + 1) else { return Ok(None) };
        Ok(Some(if call.is_word(index, "IFEQ") {
            Self::Equal(operand)
        } else if call.is_word(index, "IFNE") {
            Self::NotEqual(operand)
        } else if call.is_word(index, "IFDEQ") {
            Self::DigestEqual(parse_digest(operand)?)
        } else if call.is_word(index, "IFDNE") {
            Self::DigestNotEqual(parse_digest(operand)?)
        } else {
            return Ok(None);
        }))
    }

    /// Whether a key that holds `value` satisfies the condition. An absent key satisfies the
    /// negative ones. A comparison with anything but a string is an error.
    pub(super) fn is_met(&self, value: Option<ValueRef<'_>>) -> Result<bool, ReplyError> {
        let Some(value) = value else {
            return Ok(match self {
                Self::Always | Self::Absent | Self::NotEqual(_) | Self::DigestNotEqual(_) => true,
                Self::Present | Self::Equal(_) | Self::DigestEqual(_) => false,
            });
        };
        match self {
            Self::Always | Self::Present => return Ok(true),
            Self::Absent => return Ok(false),
            _ => {}
        }
        let mut text = IntegerText::new();
        let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
        Ok(match self {
            Self::Always | Self::Present | Self::Absent => unreachable!("answered above"),
            Self::Equal(operand) => bytes == *operand,
            Self::NotEqual(operand) => bytes != *operand,
            Self::DigestEqual(digest) => digest_of(bytes) == *digest,
            Self::DigestNotEqual(digest) => digest_of(bytes) != *digest,
        })
    }
}

/// A digest as DIGEST prints it, in any case.
fn parse_digest(text: &[u8]) -> Result<u64, ReplyError> {
    const MALFORMED: ReplyError = ReplyError::Text("ERR must be exactly 16 hexadecimal characters");
    if text.len() != 16 {
        return Err(MALFORMED);
    }
    text.iter().try_fold(0, |digest: u64, byte| {
        let digit = char::from(*byte).to_digit(16).ok_or(MALFORMED)?;
        Ok(digest << 4 | u64::from(digit))
    })
}
