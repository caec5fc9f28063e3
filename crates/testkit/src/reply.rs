//! A strict RESP2/RESP3 reply parser: anything a careful client could object to is malformed.

use crate::Value;

/// Deepest nesting accepted; no Redis reply comes near it.
const DEPTH_MAX: usize = 64;

/// Longest header line accepted, in bytes. Error texts are lines, and may quote a client's input.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes that are no reply, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset from the start of the reply, in bytes.
    pub offset: usize,
    /// What was wrong there.
    pub reason: &'static str,
}

/// Parses the reply at the start of `input`: the value and its length in bytes, or `None` when more
/// bytes are needed.
pub fn parse(input: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut parser = Parser { input, at: 0 };
    match parser.value(0) {
        Ok(value) => Ok(Some((value, parser.at))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Malformed(malformed)) => Err(malformed),
    }
}

enum Stop {
    Incomplete,
    Malformed(Malformed),
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEPTH_MAX {
            return Err(self.malformed("nested too deeply"));
        }
        let Some(&kind) = self.input.get(self.at) else { return Err(Stop::Incomplete) };
        self.at += 1;
        match kind {
            b'+' => Ok(Value::Simple(self.line()?.to_vec())),
            b'-' => Ok(Value::Error(self.line()?.to_vec())),
            b':' => Ok(Value::Integer(self.number()?)),
            b'$' => Ok(self.text()?.map_or(Value::NullBulk, Value::Bulk)),
            b'*' => Ok(self.items(depth)?.map_or(Value::NullArray, Value::Array)),
            b'_' => self.null(),
            b'%' => Ok(Value::Map(self.pairs(depth)?)),
            b'~' => self.some_items(depth).map(Value::Set),
            b'>' => self.some_items(depth).map(Value::Push),
            b',' => Ok(Value::Double(self.line()?.to_vec())),
            b'#' => self.boolean(),
            b'(' => Ok(Value::BigNumber(self.line()?.to_vec())),
            b'=' => self.verbatim(),
            b'!' => match self.text()? {
                Some(text) => Ok(Value::BulkError(text)),
                None => Err(self.malformed("null where a text must be")),
            },
            b'|' => {
                let attributes = self.pairs(depth)?;
                let value = Box::new(self.value(depth + 1)?);
                Ok(Value::Attribute { attributes, value })
            }
            _ => {
                self.at -= 1;
                Err(self.malformed("unknown type byte"))
            }
        }
    }

    fn malformed(&self, reason: &'static str) -> Stop {
        Stop::Malformed(Malformed { offset: self.at, reason })
    }

    /// Up to the next CRLF, which is consumed. A bare CR or LF inside is malformed.
    fn line(&mut self) -> Result<&[u8], Stop> {
        let rest = &self.input[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
            let too_long = rest.len() > LINE_BYTES_MAX;
            return Err(if too_long { self.malformed("line too long") } else { Stop::Incomplete });
        };
        if rest[end] == b'\r' && rest.len() == end + 1 {
            return Err(Stop::Incomplete);
        }
        if rest[end] != b'\r' || rest[end + 1] != b'\n' {
            self.at += end;
            return Err(self.malformed("bare CR or LF in a line"));
        }
        self.at += end + 2;
        Ok(&rest[..end])
    }

    /// A number spelt the only way it may be: no plus sign, no leading zero, no `-0`.
    fn number(&mut self) -> Result<i64, Stop> {
        let start = self.at;
        let line = self.line()?;
        let number = std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.parse::<i64>().ok().filter(|number| number.to_string() == text));
        number.ok_or_else(|| {
            self.at = start;
            self.malformed("not a number in canonical form")
        })
    }

    /// A length or count; `None` for -1.
    fn length(&mut self) -> Result<Option<usize>, Stop> {
        match self.number()? {
            -1 => Ok(None),
            number => {
                usize::try_from(number).map(Some).map_err(|_| self.malformed("negative length"))
            }
        }
    }

    fn text(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let Some(length) = self.length()? else { return Ok(None) };
        let rest = &self.input[self.at..];
        if rest.len() < length + 2 {
            return Err(Stop::Incomplete);
        }
        if &rest[length..length + 2] != b"\r\n" {
            self.at += length;
            return Err(self.malformed("no CRLF after a bulk"));
        }
        self.at += length + 2;
        Ok(Some(rest[..length].to_vec()))
    }

    fn items(&mut self, depth: usize) -> Result<Option<Vec<Value>>, Stop> {
        let Some(count) = self.length()? else { return Ok(None) };
        (0..count).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Some)
    }

    fn some_items(&mut self, depth: usize) -> Result<Vec<Value>, Stop> {
        match self.items(depth)? {
            Some(items) => Ok(items),
            None => Err(self.malformed("null where a collection must be")),
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let Some(count) = self.length()? else {
            return Err(self.malformed("null where a map must be"));
        };
        (0..count).map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?))).collect()
    }

    fn null(&mut self) -> Result<Value, Stop> {
        if self.line()?.is_empty() {
            Ok(Value::Null)
        } else {
            Err(self.malformed("text in a null"))
        }
    }

    fn boolean(&mut self) -> Result<Value, Stop> {
        match self.line()? {
            b"t" => Ok(Value::Boolean(true)),
            b"f" => Ok(Value::Boolean(false)),
            _ => Err(self.malformed("neither t nor f")),
        }
    }

    fn verbatim(&mut self) -> Result<Value, Stop> {
        let text = self.text()?;
        match text.as_deref() {
            Some([a, b, c, b':', text @ ..]) => {
                Ok(Value::Verbatim { format: [*a, *b, *c], text: text.to_vec() })
            }
            _ => Err(self.malformed("verbatim text without its format")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn every_type_is_kept_apart() {
        let cases: &[(&str, Value)] = &[
            ("+OK\r\n", Value::Simple("OK".into())),
            ("-ERR no\r\n", Value::Error("ERR no".into())),
            (":-7\r\n", Value::Integer(-7)),
            ("$2\r\n\r\n\r\n", bulk("\r\n")),
            ("$-1\r\n", Value::NullBulk),
            ("*-1\r\n", Value::NullArray),
            ("_\r\n", Value::Null),
            ("*2\r\n:1\r\n$0\r\n\r\n", Value::Array(vec![Value::Integer(1), bulk("")])),
            (
                "%1\r\n+k\r\n:1\r\n",
                Value::Map(vec![(Value::Simple("k".into()), Value::Integer(1))]),
            ),
            ("~1\r\n:1\r\n", Value::Set(vec![Value::Integer(1)])),
            (">1\r\n:1\r\n", Value::Push(vec![Value::Integer(1)])),
            (",1.50\r\n", Value::Double("1.50".into())),
            ("#t\r\n", Value::Boolean(true)),
            ("(123\r\n", Value::BigNumber("123".into())),
            ("=5\r\ntxt:x\r\n", Value::Verbatim { format: *b"txt", text: "x".into() }),
            ("!3\r\nERR\r\n", Value::BulkError("ERR".into())),
            (
                "|1\r\n+a\r\n:1\r\n:2\r\n",
                Value::Attribute {
                    attributes: vec![(Value::Simple("a".into()), Value::Integer(1))],
                    value: Box::new(Value::Integer(2)),
                },
            ),
        ];
        for (text, value) in cases {
            assert_eq!(parse(text.as_bytes()), Ok(Some((value.clone(), text.len()))), "{text:?}");
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{text:?} cut at {end}");
            }
        }
    }

    #[test]
    fn sloppy_replies_are_malformed() {
        for text in [
            ":+1\r\n",
            ":01\r\n",
            ":-0\r\n",
            ":\r\n",
            "+a\nb\r\n",
            "+a\rb\r\n",
            "$1\r\nxxx",
            "$-2\r\n",
            "%-1\r\n",
            "~-1\r\n",
            "#x\r\n",
            "_x\r\n",
            "=2\r\nab\r\n",
            "OK\r\n",
            "\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(b"*1\r\n".repeat(100).as_slice()).is_err());
    }

    #[test]
    fn only_the_first_reply_is_consumed() {
        assert_eq!(parse(b":1\r\n:2\r\n"), Ok(Some((Value::Integer(1), 4))));
    }
}
