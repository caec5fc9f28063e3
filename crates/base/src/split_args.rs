//! The quoting of inline requests and configuration files, and the quoting `MONITOR` and the slow
//! log print with.
//!
//! A line is words separated by white space. In `"double quotes"` the escapes are `\n \r \t \b \a`,
//! `\xHH`, and a backslash before any other byte stands for that byte; in `'single quotes'` the only
//! escape is `\'`. Quoted and unquoted parts without white space between them are one word
//! (`foo"bar"baz`), as in Valkey 9; Redis takes text right after a closing quote for a mistake.

/// A quote left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

impl std::fmt::Display for UnbalancedQuotes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("unbalanced quotes")
    }
}

impl std::error::Error for UnbalancedQuotes {}

/// Splits `line` into its words, unquoted, handing each to `word` in order; on an error some may
/// have been handed over already. A NUL byte ends the line, as it does for Redis.
pub fn split_args_with(line: &[u8], mut word: impl FnMut(&[u8])) -> Result<(), UnbalancedQuotes> {
    let end = line.iter().position(|&byte| byte == 0).unwrap_or(line.len());
    let mut rest = &line[..end];
    let mut unquoted = Vec::new();
    loop {
        rest = skip_space(rest);
        if rest.is_empty() {
            return Ok(());
        }
        unquoted.clear();
        rest = split_word(rest, &mut unquoted)?;
        word(&unquoted);
    }
}

/// Splits `line` into its words, unquoted.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    split_args_with(line, |word| words.push(word.to_vec()))?;
    Ok(words)
}

/// Appends `bytes` to `out` in double quotes, escaped so that [`split_args`] gives them back and
/// only printable ASCII is left.
pub fn append_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }
    out.push(b'"');
}

/// Appends the word at the beginning of `line`, which is not white space, to `word`, and returns
/// what follows it.
fn split_word<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match *line {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(line),
            [b'"', ref rest @ ..] => line = double_quoted(rest, word)?,
            [b'\'', ref rest @ ..] => line = single_quoted(rest, word)?,
            [byte, ref rest @ ..] => {
                word.push(byte);
                line = rest;
            }
        }
    }
}

fn double_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match *line {
            [] => return Err(UnbalancedQuotes),
            [b'"', ref rest @ ..] => return Ok(rest),
            [b'\\', b'x', high, low, ref rest @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_value(high) << 4 | hex_value(low));
                line = rest;
            }
            [b'\\', escaped, ref rest @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                line = rest;
            }
            [byte, ref rest @ ..] => {
                word.push(byte);
                line = rest;
            }
        }
    }
}

fn single_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match *line {
            [] => return Err(UnbalancedQuotes),
            [b'\'', ref rest @ ..] => return Ok(rest),
            [b'\\', b'\'', ref rest @ ..] => {
                word.push(b'\'');
                line = rest;
            }
            [byte, ref rest @ ..] => {
                word.push(byte);
                line = rest;
            }
        }
    }
}

fn skip_space(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|&byte| !is_space(byte)).unwrap_or(line.len());
    &line[start..]
}

/// C's `isspace`: wider than what ends an unquoted word, which vertical tab and form feed do not.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Of an ASCII hexadecimal digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, UnbalancedQuotes> {
        let words = split_args(line.as_bytes())?;
        Ok(words.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    /// As redis-server 7.0.15 splits them; `redis_differential`, an example of `darter-resp`, asks it
    /// about random ones.
    #[test]
    fn lines_split_as_redis_splits_them() {
        let ok: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t \x0b\x0c ", &[]),
            ("PING", &["PING"]),
            ("  set  a   b  ", &["set", "a", "b"]),
            ("a\tb\rc\x0bd", &["a", "b", "c\\x0bd"]),
            (r#""a b" 'c d'"#, &["a b", "c d"]),
            (r#""" ''"#, &["", ""]),
            (r#"foo"bar" x'y z'"#, &["foobar", "xy z"]),
            (r#""\n\r\t\b\a\\\"\q""#, &[r#"\n\r\t\x08\x07\\\"q"#]),
            (r#""\x41\xfF\xg1\x4""#, &["A\\xffxg1x4"]),
            (r"'\n\'\\ '", &[r"\\n\'\\\\ "]),
            (r"a\ b", &["a\\\\", "b"]),
            ("\"a\"b", &["ab"]),
            ("'a'b \"c\"'d'e", &["ab", "cde"]),
            ("'a''b'", &["ab"]),
        ];
        for (line, expected) in ok {
            assert_eq!(words(line).unwrap(), *expected, "{line:?}");
        }
        for line in ["\"", "'", "\"a", "'a", "\"a\\\"", "'a\\'", "x\"y"] {
            assert_eq!(words(line), Err(UnbalancedQuotes), "{line:?}");
        }
    }

    #[test]
    fn a_nul_ends_the_line() {
        assert_eq!(split_args(b"a b\0 c\"").unwrap(), [b"a", b"b"]);
        assert_eq!(split_args(b"\"a\0\""), Err(UnbalancedQuotes));
    }

    #[test]
    fn quoted_bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        let mut quoted = Vec::new();
        append_quoted(&mut quoted, &all);
        assert!(quoted.iter().all(|byte| (b' '..=b'~').contains(byte)));
        assert_eq!(split_args(&quoted).unwrap(), [all]);
        let mut quoted = Vec::new();
        append_quoted(&mut quoted, b"a\"b\\c\n\x07\x08\x1b\xff~");
        assert_eq!(quoted, br#""a\"b\\c\n\a\b\x1b\xff~""#);
    }
}
