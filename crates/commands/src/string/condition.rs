//! Conditions under which SET and DELEX act.

use super::digest::digest_text;
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
    /// `IFDEQ`, the digest as text
    DigestEqual(&'a [u8]),
    /// `IFDNE`, the digest as text
    DigestNotEqual(&'a [u8]),
}

impl<'a> Condition<'a> {
    /// The condition at argument `index` on the value, if there is one and it has its operand.
    pub(super) fn parse(call: &Call<'a>, index: usize) -> Option<Self> {
        let operand = call.args.get(index + 1)?;
        if call.is_word(index, "IFEQ") {
            Some(Self::Equal(operand))
        } else if call.is_word(index, "IFNE") {
            Some(Self::NotEqual(operand))
        } else if call.is_word(index, "IFDEQ") {
            Some(Self::DigestEqual(operand))
        } else if call.is_word(index, "IFDNE") {
            Some(Self::DigestNotEqual(operand))
        } else {
            None
        }
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
            Self::DigestEqual(digest) => is_digest(digest, bytes)?,
            Self::DigestNotEqual(digest) => !is_digest(digest, bytes)?,
        })
    }
}

/// Whether `text` is the digest of `value`, in any case. Only its length is checked, and only when
/// there is a value, as in Redis 8.4.
fn is_digest(text: &[u8], value: &[u8]) -> Result<bool, ReplyError> {
    let digest = digest_text(value);
    if text.len() != digest.len() {
        return Err(ReplyError::Text("ERR must be exactly 16 hexadecimal characters"));
    }
    Ok(text.eq_ignore_ascii_case(&digest))
}
