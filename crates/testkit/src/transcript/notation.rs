//! The text forms shared by commands and patterns: quoted strings, repetition, `repeat(..)`.

use std::fmt::Write as _;

use crate::Value;

/// A mistake in a line.
pub(super) type Mistake = String;

/// A cursor over the characters of one or more lines.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Consumes `expected` if it comes next.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = self.text[self.at..].starts_with(expected.as_bytes());
        if found {
            self.at += expected.len();
        }
        found
    }

    pub(super) fn peek_second(&self) -> Option<u8> {
        self.text.get(self.at + 1).copied()
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The longest run of bytes that satisfy the condition.
    pub(super) fn take_while(&mut self, condition: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&condition) {
            self.at += 1;
        }
        std::str::from_utf8(&self.text[start..self.at]).unwrap_or("")
    }

    /// Whether what comes next ends a word of a pattern.
    pub(super) fn at_delimiter(&self) -> bool {
        self.peek().is_none_or(|byte| byte.is_ascii_whitespace() || b"]}:".contains(&byte))
    }

    /// Quoted pieces, each perhaps repeated, joined: `"a"*3"b"`.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, Mistake> {
        let mut bytes = Vec::new();
        while self.eat("\"") {
            let mut piece = Vec::new();
            loop {
                match self.next().ok_or("a quote is not closed")? {
                    b'"' => break,
                    b'\\' => piece.push(self.escape()?),
                    byte => piece.push(byte),
                }
            }
            let count = if self.eat("*") { self.count()? } else { 1 };
            bytes.extend(piece.repeat(count));
        }
        Ok(bytes)
    }

    fn count(&mut self) -> Result<usize, Mistake> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        digits.parse().map_err(|_| "a count must follow the star".to_owned())
    }

    fn escape(&mut self) -> Result<u8, Mistake> {
        match self.next() {
            Some(b'r') => Ok(b'\r'),
            Some(b'n') => Ok(b'\n'),
            Some(b't') => Ok(b'\t'),
            Some(byte @ (b'"' | b'\\')) => Ok(byte),
            Some(b'x') => {
                let digits = self.text.get(self.at..self.at + 2).unwrap_or_default();
                self.at = (self.at + 2).min(self.text.len());
                std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| "two hexadecimal digits must follow \\x".to_owned())
            }
            _ => Err("unknown escape".to_owned()),
        }
    }
}

/// Expands every `repeat(1..3: k#)` of a line.
pub(super) fn expand_repeats(line: &str) -> Result<String, Mistake> {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("repeat(") {
        out.push_str(&rest[..start]);
        rest = &rest[start + "repeat(".len()..];
        let end = closing_parenthesis(rest).ok_or("repeat( is not closed")?;
        let (range, template) = rest[..end].split_once(':').ok_or("repeat needs a colon")?;
        let (first, last) = parse_range(range).ok_or("repeat needs a range such as 1..3")?;
        let parts: Vec<String> =
            (first..=last).map(|n| template.trim().replace('#', &n.to_string())).collect();
        out.push_str(&parts.join(" "));
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut previous = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if previous != b'\\' => quoted = !quoted,
            b')' if !quoted => return Some(index),
            _ => {}
        }
        previous = byte;
    }
    None
}

/// `1..3`, both ends included.
pub(super) fn parse_range(text: &str) -> Option<(i64, i64)> {
    let (first, last) = text.trim().split_once("..")?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// A byte string in quotes; one long run of a byte as a repetition.
pub fn quote(bytes: &[u8]) -> String {
    if let [first, rest @ ..] = bytes
        && bytes.len() > 40
        && rest.iter().all(|byte| byte == first)
    {
        return format!("{}*{}", quote(&[*first]), bytes.len());
    }
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// A reply in the notation of patterns.
pub fn render(value: &Value) -> String {
    match value {
        Value::Error(text) if is_plain_line(text) => format!("-{}", String::from_utf8_lossy(text)),
        other => render_inner(other),
    }
}

fn render_inner(value: &Value) -> String {
    match value {
        Value::Simple(text) if is_word(text) => format!("+{}", String::from_utf8_lossy(text)),
        Value::Simple(text) => format!("+{}", quote(text)),
        Value::Error(text) => format!("-{}", quote(text)),
        Value::Integer(number) => number.to_string(),
        Value::Bulk(text) => quote(text),
        Value::NullBulk | Value::Null => "nil".to_owned(),
        Value::NullArray => "nil-array".to_owned(),
        Value::Array(items) => format!("[{}]", render_all(items)),
        Value::Set(items) => format!("set[{}]", render_all(items)),
        Value::Push(items) => format!("push[{}]", render_all(items)),
        Value::Map(pairs) => format!("{{{}}}", render_pairs(pairs)),
        Value::Double(text) => format!(",{}", String::from_utf8_lossy(text)),
        Value::Boolean(value) => value.to_string(),
        Value::BigNumber(text) => format!("({}", String::from_utf8_lossy(text)),
        Value::Verbatim { format, text } => {
            format!("{}{}", String::from_utf8_lossy(format), quote(text))
        }
        Value::BulkError(text) => format!("bulk-error {}", quote(text)),
        Value::Attribute { attributes, value } => {
            format!("attribute{{{}}} {}", render_pairs(attributes), render_inner(value))
        }
    }
}

fn render_all(items: &[Value]) -> String {
    items.iter().map(render_inner).collect::<Vec<_>>().join(" ")
}

fn render_pairs(pairs: &[(Value, Value)]) -> String {
    let pairs = pairs.iter().map(|(k, v)| format!("{}: {}", render_inner(k), render_inner(v)));
    pairs.collect::<Vec<_>>().join(" ")
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// Whether an error text may stand unquoted to the end of a line.
fn is_plain_line(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.last() != Some(&b' ')
        && text.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_round_trips() {
        for bytes in [&b"plain"[..], b"", b"\r\n\t\"\\ \x00\xff", &[b'x'; 1000], &[0; 50]] {
            let text = quote(bytes);
            assert_eq!(Cursor::new(&text).quoted().unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn repeats_expand() {
        assert_eq!(
            expand_repeats("> MSET repeat(1..3: k# v#) x").unwrap(),
            "> MSET k1 v1 k2 v2 k3 v3 x"
        );
        assert_eq!(expand_repeats("[repeat(1..2: \")#\")]").unwrap(), "[\")1\" \")2\"]");
        assert!(expand_repeats("repeat(1..2 x)").is_err());
    }
}
