//! What SCAN and the scans of collections have in common: cursors and options.

use darter_command_table::{Call, ReplyError};

/// Entries visited by a call that does not say how many.
const COUNT_DEFAULT: usize = 10;

/// Every type a key can have, known by name to `TYPE`.
const TYPE_NAMES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// What is scanned: not all scans have all options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanOf {
    /// `TYPE`
    Keys,
    /// `NOVALUES`
    Hash,
}

/// The options behind the cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options<'a> {
    /// None if everything matches.
    pub(crate) pattern: Option<&'a [u8]>,
    /// At least 1.
    pub(crate) count: usize,
    pub(crate) type_name: Option<&'static str>,
    /// Names only.
    pub(crate) no_values: bool,
}

impl<'a> Options<'a> {
    /// Reads the arguments from `from` on.
    pub(crate) fn parse(call: &Call<'a>, from: usize, of: ScanOf) -> Result<Self, ReplyError> {
        let mut options =
            Self { pattern: None, count: COUNT_DEFAULT, type_name: None, no_values: false };
        let mut index = from;
        while index < call.args.len() {
            let value = call.args.get(index + 1).ok_or(ReplyError::Syntax);
            if call.is_word(index, "COUNT") {
                value?;
                let count = call.integer(index + 1)?;
                options.count = match usize::try_from(count) {
                    Ok(count) if count > 0 => count,
                    _ => return Err(ReplyError::Syntax),
                };
            } else if call.is_word(index, "MATCH") {
                options.pattern = Some(value?).filter(|pattern| *pattern != b"*");
            } else if of == ScanOf::Keys && call.is_word(index, "TYPE") {
                let name = value?;
                let known = |known: &&&str| known.as_bytes().eq_ignore_ascii_case(name);
                let found = TYPE_NAMES.iter().find(known);
                options.type_name =
                    Some(found.ok_or_else(|| ReplyError::UnknownTypeName(name.to_vec()))?);
            } else if call.is_word(index, "NOVALUES") {
                if of != ScanOf::Hash {
                    return Err(ReplyError::Text("ERR NOVALUES option can only be used in HSCAN"));
                }
                options.no_values = true;
                index += 1;
                continue;
            } else if call.is_word(index, "NOSCORES") {
                return Err(ReplyError::Text("ERR NOSCORES option can only be used in ZSCAN"));
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

/// A cursor as C's `strtoull` reads it, but for negative numbers. Any number will do: one that was
/// never given out scans from somewhere.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", Some(7)),
            (" 7", Some(7)),
            ("+7", Some(7)),
            ("-1", None),
            ("7 ", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), number, "{text:?}");
        }
    }
}
