//! Integers in their canonical decimal form.

/// Longest canonical text of an `i64`: `-9223372036854775808`.
pub const TEXT_BYTES_MAX: usize = 20;

/// Room for the text of any `i64`: `IntegerText::new().format(integer)`.
pub type IntegerText = itoa::Buffer;

/// The integer whose canonical text is exactly `text`, else `None`.
///
/// Canonical is what printing the integer gives: no plus sign, no leading zero, no blanks, and no
/// negative zero. Only such a text may be stored as an integer, because only it comes back the same.
#[inline]
pub fn from_canonical_text(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() < TEXT_BYTES_MAX => {}
        _ => return None,
    }
    // At most 19 digits: cannot overflow a u64.
    let mut magnitude: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts_come_back_the_same() {
        let mut text = IntegerText::new();
        for integer in [0, 1, -1, 9, 10, -10, 12_345, i64::MAX, i64::MIN, i64::MAX - 1] {
            assert_eq!(from_canonical_text(text.format(integer).as_bytes()), Some(integer));
        }
    }

    #[test]
    fn other_spellings_are_not_integers() {
        let texts: [&[u8]; 16] = [
            b"",
            b"-",
            b"+1",
            b"-0",
            b"00",
            b"01",
            b"-01",
            b" 1",
            b"1 ",
            b"1.0",
            b"0x1",
            b"1e3",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"99999999999999999999",
            b"12a",
        ];
        for text in texts {
            assert_eq!(from_canonical_text(text), None, "{}", text.escape_ascii());
        }
    }
}
