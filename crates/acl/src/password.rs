//! Passwords, of which only digests are kept.

use sha2::{Digest, Sha256};
use std::fmt;

/// The SHA-256 of a password. They are compared where rules are carried out; whether somebody knows one, only by
/// [`is_same`](Self::is_same).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// That of `password`.
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// The one that is written as `digits`: 64 hexadecimal ones, in lower case.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }

    /// As 64 hexadecimal digits.
    pub fn digits(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        digits
    }

    /// Whether it is that of the same password. It takes the same time wherever they differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |all, (one, other)| all | (one ^ other)) == 0
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let text = "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2";
        let hash = PasswordHash::of(b"foobar");
        assert_eq!(hash.digits(), text.as_bytes());
        assert!(PasswordHash::parse(text.as_bytes()).unwrap().is_same(&hash));
        assert!(!PasswordHash::of(b"foobaz").is_same(&hash));
    }

    #[test]
    fn only_64_digits_in_lower_case_are_a_hash() {
        let text = "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2";
        for wrong in [&text[1..], &text.to_uppercase(), &text.replace('8', "g"), ""] {
            assert!(PasswordHash::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
