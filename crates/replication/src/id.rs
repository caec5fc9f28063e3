//! Names of histories.

use std::fmt;

/// The name of a history: 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplicationId([u8; ReplicationId::LEN]);

impl ReplicationId {
    /// Digits of one.
    pub const LEN: usize = 40;

    /// No history has this one.
    pub const NONE: Self = Self([b'0'; Self::LEN]);

    /// The name that twenty random bytes make.
    pub fn of_random(random: [u8; Self::LEN / 2]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; Self::LEN];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(digits)
    }

    /// What these digits name. Other servers compare them as text, so their case is kept.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let digits: [u8; Self::LEN] = digits.try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// The digits.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are text")
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ReplicationId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forty_hexadecimal_digits() {
        let mut random = [0; 20];
        for (byte, value) in random.iter_mut().zip((0..).step_by(13)) {
            *byte = value;
        }
        let id = ReplicationId::of_random(random);
        assert_eq!(ReplicationId::parse(id.as_bytes()), Some(id));
        assert_eq!(id.as_str().len(), 40);
        assert!(id.as_str().starts_with("000d1a2734"));
        assert_eq!(ReplicationId::parse(b"?"), None);
        assert_eq!(ReplicationId::parse(&[b'g'; 40]), None);
        assert_eq!(ReplicationId::parse(&[b'a'; 41]), None);
        assert_eq!(ReplicationId::parse(&[b'a'; 39]), None);
    }
}
