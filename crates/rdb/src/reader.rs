//! Reading the format's elements off a slice.

use std::borrow::Cow;
use std::fmt;

use darter_value::integer::IntegerText;

use crate::length::{Bytes, Length, length_or_special};
use crate::lzf;
use crate::types::form_name;

/// The bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// About where, in bytes from the start of the value.
    pub offset: usize,
    /// What Redis logs of it, where it says more than that the form is not sound.
    pub words: Option<&'static str>,
}

impl Corrupt {
    /// At this place.
    pub(crate) const fn at(offset: usize) -> Self {
        Self { offset, words: None }
    }

    /// What is wrong with a value of type `kind`, in the words of Redis, as there are people who search logs for them.
    pub fn describe(self, kind: u8) -> String {
        match self.words {
            Some(words) => words.to_owned(),
            None => format!("{} integrity check failed", form_name(kind)),
        }
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "corrupt value at byte {}", self.offset)
    }
}

impl std::error::Error for Corrupt {}

/// A slice that is read from the front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    Plain(&'a [u8]),
    Integer(i64),
    /// With LZF; `len` bytes of text as it claims.
    Packed {
        packed: &'a [u8],
        len: usize,
    },
}

const INT_8: u8 = 0;
const INT_16: u8 = 1;
const INT_32: u8 = 2;
const LZF: u8 = 3;

impl Bytes for Reader<'_> {
    type Error = Corrupt;

    fn take_array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Corrupt> {
        self.array()
    }

    fn no_number(&self) -> Corrupt {
        self.corrupt()
    }
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// As [`new`](Self::new), from an [offset](Self::offset) on.
    ///
    /// # Panics
    /// If that is past the end.
    pub(crate) fn at(bytes: &'a [u8], offset: usize) -> Self {
        assert!(offset <= bytes.len(), "past the end");
        Self { bytes, at: offset }
    }

    /// How many bytes have been read.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The error of this place.
    pub(crate) const fn corrupt(&self) -> Corrupt {
        Corrupt::at(self.at)
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let taken = self.rest().get(..len).ok_or(self.corrupt())?;
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Corrupt> {
        let corrupt = self.corrupt();
        self.take(LEN)?.try_into().map_err(|_| corrupt)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        self.array().map(|[byte]| byte)
    }

    /// A number in the form of a length.
    pub(crate) fn number(&mut self) -> Result<u64, Corrupt> {
        match length_or_special(self)? {
            Length::Plain(number) => Ok(number),
            Length::Special(_) => Err(self.corrupt()),
        }
    }

    /// How many elements follow, of at least a byte each.
    pub(crate) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.number()?;
        let count = usize::try_from(count).ok().filter(|count| *count <= self.rest().len());
        count.ok_or(self.corrupt())
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Corrupt> {
        Ok(match self.written_string()? {
            Written::Plain(text) => Cow::Borrowed(text),
            Written::Integer(integer) => {
                Cow::Owned(IntegerText::new().format(integer).as_bytes().to_vec())
            }
            Written::Packed { packed, len } => {
                Cow::Owned(lzf::unpacked(packed, len).ok_or(self.corrupt())?)
            }
        })
    }

    /// A string in the form it was written in.
    pub(crate) fn written_string(&mut self) -> Result<Written<'a>, Corrupt> {
        let special = match length_or_special(self)? {
            Length::Plain(len) => {
                let len = usize::try_from(len).map_err(|_| self.corrupt())?;
                return self.take(len).map(Written::Plain);
            }
            Length::Special(special) => special,
        };
        let integer = match special {
            INT_8 => i64::from(i8::from_le_bytes(self.array()?)),
            INT_16 => i64::from(i16::from_le_bytes(self.array()?)),
            INT_32 => i64::from(i32::from_le_bytes(self.array()?)),
            LZF => {
                let packed_len = self.number()?;
                let len = self.number()?;
                let packed_len = usize::try_from(packed_len).map_err(|_| self.corrupt())?;
                let len = usize::try_from(len).map_err(|_| self.corrupt())?;
                return Ok(Written::Packed { packed: self.take(packed_len)?, len });
            }
            _ => return Err(self.corrupt()),
        };
        Ok(Written::Integer(integer))
    }

    /// Unix milliseconds.
    pub(crate) fn millis(&mut self) -> Result<i64, Corrupt> {
        self.array().map(i64::from_le_bytes)
    }

    /// A score in binary; no NaN.
    pub(crate) fn score(&mut self) -> Result<f64, Corrupt> {
        let score = f64::from_le_bytes(self.array()?);
        if score.is_nan() { Err(self.corrupt()) } else { Ok(score) }
    }

    /// A score as text of at most 252 bytes; no NaN.
    pub(crate) fn score_text(&mut self) -> Result<f64, Corrupt> {
        match self.byte()? {
            253 => Err(self.corrupt()),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = self.take(usize::from(len))?;
                parse_score(text).ok_or(self.corrupt())
            }
        }
    }
}

/// The score that `text` is.
pub(crate) fn parse_score(text: &[u8]) -> Option<f64> {
    let score: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    (!score.is_nan()).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_four_sizes() {
        let number = |bytes: &[u8]| Reader::new(bytes).number();
        assert_eq!(number(&[0x3f]), Ok(63));
        assert_eq!(number(&[0x7f, 0xff]), Ok(16_383));
        assert_eq!(number(&[0x80, 0, 1, 0, 0]), Ok(65_536));
        assert_eq!(number(&[0x81, 1, 0, 0, 0, 0, 0, 0, 0]), Ok(1 << 56));
        for bad in [&[][..], &[0x40], &[0x80, 0], &[0x82, 0, 0, 0, 0], &[0xc0, 5]] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn strings_may_be_integers_or_packed() {
        let string = |bytes: &[u8]| Reader::new(bytes).string().map(Cow::into_owned);
        assert_eq!(string(b"\x03abc"), Ok(b"abc".to_vec()));
        assert_eq!(string(&[0xc0, 0xff]), Ok(b"-1".to_vec()));
        assert_eq!(string(&[0xc1, 0, 1]), Ok(b"256".to_vec()));
        assert_eq!(string(&[0xc2, 0, 0, 0, 0x80]), Ok(b"-2147483648".to_vec()));
        // A literal of one byte, then nine more from one back.
        assert_eq!(string(&[0xc3, 5, 10, 0, b'a', 0xe0, 0, 0]), Ok(b"aaaaaaaaaa".to_vec()));
        for bad in [&b"\x04abc"[..], &[0xc4, 0], &[0xc3, 5, 11, 0, b'a', 0xe0, 0, 0], &[0x81]] {
            assert!(string(bad).is_err(), "{bad:?}");
        }
    }
}
