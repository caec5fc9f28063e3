//! Integers as text: exactly the forms Redis accepts and prints.
//!
//! Redis stores a value as an integer, and takes an argument as one, only when its text is the one
//! way to write that integer: no sign but `-`, no leading zeros, no spaces, no `-0`. Text to integer
//! to text is therefore the identity, which the compact encodings rely on.

use std::fmt;
use std::ops::Deref;

/// Longest text of an `i64`, `-9223372036854775808`, and of a `u64`.
pub const INTEGER_TEXT_BYTES_MAX: usize = 20;

/// The integer `text` is the canonical form of, or `None`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = parse_u64(digits)?;
    if negative {
        // "-0" is refused; the magnitude may be one more than i64::MAX.
        if magnitude == 0 || magnitude > i64::MIN.unsigned_abs() {
            return None;
        }
        Some(0_i64.wrapping_sub_unsigned(magnitude))
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The unsigned integer `text` is the canonical form of, or `None`.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    if first == b'0' {
        return rest.is_empty().then_some(0);
    }
    if text.len() < INTEGER_TEXT_BYTES_MAX {
        // 19 digits cannot overflow.
        return text.iter().try_fold(0, |value: u64, &byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then(|| value * 10 + u64::from(digit))
        });
    }
    if text.len() > INTEGER_TEXT_BYTES_MAX {
        return None;
    }
    text.iter().try_fold(0, |value: u64, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit >= 10 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The text of a number, on the stack.
#[derive(Clone, Copy)]
pub struct NumberText {
    /// `bytes[start..end]` is the text, ASCII.
    bytes: [u8; Self::CAPACITY],
    start: u8,
    end: u8,
}

impl NumberText {
    /// Bytes any number formatted by this crate fits in, [`crate::extended`] apart.
    pub(crate) const CAPACITY: usize = 40;

    /// `text`, which is at most [`Self::CAPACITY`] bytes of ASCII.
    pub(crate) const fn empty() -> Self {
        Self { bytes: [0; Self::CAPACITY], start: 0, end: 0 }
    }

    pub(crate) fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.end)] = byte;
        self.end += 1;
    }

    pub(crate) fn push_all(&mut self, text: &[u8]) {
        for &byte in text {
            self.push(byte);
        }
    }

    pub(crate) fn push_zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.push(b'0');
        }
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..usize::from(self.end)]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Deref for NumberText {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for NumberText {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for NumberText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for NumberText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Lets `write!` append to the text; the formatted value must be short enough.
impl fmt::Write for NumberText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > Self::CAPACITY - usize::from(self.end) {
            return Err(fmt::Error);
        }
        self.push_all(text.as_bytes());
        Ok(())
    }
}

/// The decimal text of `value`.
#[inline]
pub fn format_i64(value: i64) -> NumberText {
    let mut text = format_u64(value.unsigned_abs());
    if value < 0 {
        text.start -= 1;
        text.bytes[usize::from(text.start)] = b'-';
    }
    text
}

/// The decimal text of `value`.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "positions are below 40, digits below 100")]
pub fn format_u64(value: u64) -> NumberText {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let mut bytes = [0; NumberText::CAPACITY];
    let mut start = NumberText::CAPACITY;
    let mut rest = value;
    while rest >= 100 {
        let pair = (rest % 100) as usize * 2;
        rest /= 100;
        start -= 2;
        bytes[start] = PAIRS[pair];
        bytes[start + 1] = PAIRS[pair + 1];
    }
    if rest >= 10 {
        let pair = rest as usize * 2;
        start -= 2;
        bytes[start] = PAIRS[pair];
        bytes[start + 1] = PAIRS[pair + 1];
    } else {
        start -= 1;
        bytes[start] = b'0' + rest as u8;
    }
    NumberText { bytes, start: start as u8, end: NumberText::CAPACITY as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_integer() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("1234567890", 1_234_567_890),
            ("999999999999999999", 999_999_999_999_999_999),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775807", -i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "a",
            "1a",
            "--1",
            "-+1",
            "\u{661}",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "99999999999999999999",
            "100000000000000000000000000",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_i64(b"1\0"), None);
    }

    #[test]
    fn unsigned_integers_reach_their_own_limit() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"99999999999999999999"), None);
        assert_eq!(parse_u64(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b"1844674407370955161:"), None);
    }

    #[test]
    fn text_and_integer_are_inverse() {
        let mut values = vec![0, 1, -1, i64::MAX, i64::MIN];
        for power in 0..63 {
            for near in -2..=2 {
                values.push((1_i64 << power).wrapping_add(near));
                values.push((1_i64 << power).wrapping_neg().wrapping_add(near));
            }
        }
        for power in 0..19 {
            for near in -2..=2 {
                values.push(10_i64.pow(power) + near);
            }
        }
        for value in values {
            let text = format_i64(value);
            assert_eq!(text.as_str(), value.to_string());
            assert_eq!(parse_i64(&text), Some(value));
            let text = format_u64(value.cast_unsigned());
            assert_eq!(text.as_str(), value.cast_unsigned().to_string());
            assert_eq!(parse_u64(&text), Some(value.cast_unsigned()));
        }
    }
}
