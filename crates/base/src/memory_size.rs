//! Amounts of memory as configuration files write them.
//!
//! Digits and a unit in either case: none or `b` for bytes, `k` `m` `g` for powers of 1000, `kb` `mb`
//! `gb` for powers of 1024. Leading zeros are allowed, signs, fractions and spaces are not.
//!
//! Redis also takes a unit without digits for 0 and lets large numbers wrap around; here both are
//! errors.

/// An amount of memory, or a share of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySize {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the limit it refers to (`maxmemory-clients 5%`).
    Percent(u64),
}

/// The number of bytes `text` means, or `None` when it is malformed or beyond `u64`.
pub fn parse_memory_bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let unit_bytes: u64 = match *unit.to_ascii_lowercase() {
        [] | [b'b'] => 1,
        [b'k'] => 1000,
        [b'k', b'b'] => 1 << 10,
        [b'm'] => 1_000_000,
        [b'm', b'b'] => 1 << 20,
        [b'g'] => 1_000_000_000,
        [b'g', b'b'] => 1 << 30,
        _ => return None,
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    value.checked_mul(unit_bytes)
}

/// As [`parse_memory_bytes`], or canonical digits followed by `%`.
pub fn parse_memory_size(text: &[u8]) -> Option<MemorySize> {
    match text {
        [digits @ .., b'%'] => crate::number::parse_u64(digits).map(MemorySize::Percent),
        _ => parse_memory_bytes(text).map(MemorySize::Bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_redis_conf() {
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("12b", 12),
            ("1k", 1000),
            ("1K", 1000),
            ("1kb", 1024),
            ("1Kb", 1024),
            ("5m", 5_000_000),
            ("5MB", 5 << 20),
            ("2g", 2_000_000_000),
            ("2gb", 2 << 30),
            ("007gb", 7 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_memory_bytes(text.as_bytes()), Some(bytes), "{text}");
        }
        for text in [
            "",
            "gb",
            "-1",
            "+1",
            "1 gb",
            " 1",
            "1.5gb",
            "1tb",
            "1kbb",
            "1x",
            "0x10",
            "18446744073709551616",
            "18446744073709551615k",
        ] {
            assert_eq!(parse_memory_bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn shares_end_in_percent() {
        assert_eq!(parse_memory_size(b"5%"), Some(MemorySize::Percent(5)));
        assert_eq!(parse_memory_size(b"64mb"), Some(MemorySize::Bytes(64 << 20)));
        assert_eq!(parse_memory_size(b"%"), None);
        assert_eq!(parse_memory_size(b"-5%"), None);
        assert_eq!(parse_memory_size(b"5mb%"), None);
    }
}
