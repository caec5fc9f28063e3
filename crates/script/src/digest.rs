//! The names of scripts: SHA-1 of their text.

use sha1::{Digest as _, Sha1};
use std::fmt;

/// The SHA-1 of a script's text. Shown as forty hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 20]);

impl Digest {
    /// The digest of `text`.
    pub fn of(text: &[u8]) -> Self {
        Self(Sha1::digest(text).into())
    }

    /// Digits of one.
    pub const DIGITS: usize = 40;

    /// Reads forty hexadecimal digits in any case.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.len() != Self::DIGITS {
            return None;
        }
        let mut bytes = [0; 20];
        let mut wrong = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
            wrong |= high | low;
            *byte = high << 4 | low;
        }
        (wrong & NO_DIGIT == 0).then_some(Self(bytes))
    }
}

/// A bit that no digit's value has.
const NO_DIGIT: u8 = 0x80;

/// The values of hexadecimal digits, for every byte: each EVALSHA reads forty.
const DIGITS: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let (lower, upper) = (b"0123456789abcdef", b"0123456789ABCDEF");
        values[lower[value as usize] as usize] = value;
        values[upper[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_shown() {
        let digest = Digest::of(b"return 1");
        assert_eq!(digest.to_string(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Digest::parse(digest.to_string().as_bytes()), Some(digest));
        assert_eq!(Digest::parse(digest.to_string().to_uppercase().as_bytes()), Some(digest));
        for wrong in ["", "e0e1", &"g".repeat(40), &"0".repeat(41)] {
            assert_eq!(Digest::parse(wrong.as_bytes()), None);
        }
    }
}
