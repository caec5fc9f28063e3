//! Places in the log.

use std::fmt;

/// Which log: drawn at random when it is begun, so that files of two logs are never taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub [u8; 16]);

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Bytes of groups before it, since the log was begun; lines of ours are not counted.
    pub offset: u64,
    /// The checksum of the chunks before it, each of which goes on from the one before.
    pub chain: u32,
}

/// Where a file begins: in which log, and where in it. Of a base, where its snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The log.
    pub log: LogId,
    /// Where in it.
    pub at: Position,
}

impl Link {
    /// The beginning of a log.
    pub fn beginning(log: LogId) -> Self {
        Self { log, at: Position { offset: 0, chain: crc32c::crc32c(&log.0) } }
    }
}

impl LogId {
    /// From 32 hexadecimal digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        let (digits, []) = text.as_chunks::<2>() else { return None };
        if digits.len() != bytes.len() {
            return None;
        }
        for (byte, &[high, low]) in bytes.iter_mut().zip(digits) {
            *byte = hex_digit(high)? << 4 | hex_digit(low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The number that lower-case hexadecimal digits say, of which there are at most 16.
pub(crate) fn hex_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |number, &digit| Some(number << 4 | u64::from(hex_digit(digit)?)))
}

/// As [`hex_number`], of 8 digits.
pub(crate) fn hex_sum(text: &[u8]) -> Option<u32> {
    hex_number(text).filter(|_| text.len() == 8).and_then(|sum| u32::try_from(sum).ok())
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text() {
        let id = LogId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(LogId::parse(id.to_string().as_bytes()), Some(id));
        for text in
            ["", "00", "0001020304050607080910111213141G", "000102030405060708090a0b0c0d0e0ff"]
        {
            assert_eq!(LogId::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_canonical() {
        assert_eq!(hex_number(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(hex_number(b"0ffffffffffffffff"), None);
        assert_eq!(hex_number(b"FF"), None);
        assert_eq!(hex_number(b""), None);
        assert_eq!(hex_sum(b"0000000a"), Some(10));
        assert_eq!(hex_sum(b"a"), None);
    }
}
