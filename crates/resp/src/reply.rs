//! Bytes to reply values, as a client needs it: for tests, for tools, and for a replica's link to its
//! primary.
//!
//! The peer is not trusted. Nothing is reserved for a length it declares, values nest to a bounded
//! depth, lines and byte strings have longest lengths, and what is not exactly RESP2 or RESP3 is an
//! error at an offset. The streamed types of RESP3 (`$?`, `*?`), which neither Redis nor Valkey
//! sends, are errors, and so is a push inside of another value.

use darter_base::float::parse_f64;
use darter_base::number::parse_i64;

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`: a status.
    Simple(Vec<u8>),
    /// `-`: an error, its code being the first word.
    Error(Vec<u8>),
    /// `:`
    Integer(i64),
    /// `$`: a byte string.
    Bulk(Vec<u8>),
    /// `_`, or `$-1` in RESP2.
    Null,
    /// `*-1` in RESP2.
    NullArray,
    /// `*`
    Array(Vec<Self>),
    /// `%`, in the order sent.
    Map(Vec<(Self, Self)>),
    /// `~`, in the order sent.
    Set(Vec<Self>),
    /// `>`: a message that answers no request.
    Push(Vec<Self>),
    /// `|` and the reply it is about.
    Attributed(Vec<(Self, Self)>, Box<Self>),
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`: an integer of any size, as its digits, perhaps after a minus sign.
    BigNumber(Vec<u8>),
    /// `=`: a format of three letters, and text.
    Verbatim([u8; 3], Vec<u8>),
}

/// Bounds on one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Longest byte string, in bytes.
    pub bulk_bytes_max: u64,
    /// Longest status, error or number, in bytes.
    pub line_bytes_max: usize,
    /// How many arrays, maps and so on may contain one another.
    pub depth_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { bulk_bytes_max: 512 * 1024 * 1024, line_bytes_max: 1024 * 1024, depth_max: 32 }
    }
}

/// How a reply can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyErrorKind {
    /// A value begins with this byte, which no type does.
    UnknownType(u8),
    /// A number, boolean, null or verbatim text is not written as it should be.
    InvalidValue,
    /// A count or length is not a number, negative, or too large.
    InvalidLength,
    /// A line or a byte string does not end in CR LF.
    InvalidCrlf,
    /// A line exceeds its limit.
    LineTooLong,
    /// Values nest too deeply.
    TooDeep,
    /// A push inside of another value.
    NestedPush,
}

/// A reply that cannot be parsed, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyError {
    /// What is wrong.
    pub kind: ReplyErrorKind,
    /// Where the malformed value begins: bytes since the parser's first.
    pub offset: u64,
}

impl std::fmt::Display for ReplyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "malformed reply at byte {}: {:?}", self.offset, self.kind)
    }
}

impl std::error::Error for ReplyError {}

/// What one call to [`ReplyParser::parse`] achieved.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Bytes of the buffer that are done with. The next buffer must begin behind them.
    pub consumed: usize,
    /// The reply they complete. Without one, more bytes are needed.
    pub reply: Option<Reply>,
}

/// The parser of one connection's replies.
#[derive(Debug)]
pub struct ReplyParser {
    limits: ReplyLimits,
    /// What the next value goes into, the innermost last. At most `limits.depth_max`.
    open: Vec<Open>,
    /// Bytes consumed so far.
    offset: u64,
}

/// An incomplete value that holds others.
#[derive(Debug)]
struct Open {
    holds: Holds,
    /// Values still to come, at least 1.
    missing: u64,
    values: Vec<Reply>,
}

#[derive(Debug)]
enum Holds {
    Array,
    Map,
    Set,
    Push,
    Attribute,
    /// The one value these pairs are about.
    Attributed(Vec<(Reply, Reply)>),
}

/// One value of the wire format, or the beginning of one that holds others.
enum Token {
    Value(Reply),
    Open(Open),
}

type TokenResult = Result<Option<(usize, Token)>, ReplyErrorKind>;

impl ReplyParser {
    /// A parser at the beginning of a reply.
    pub const fn new(limits: ReplyLimits) -> Self {
        Self { limits, open: Vec::new(), offset: 0 }
    }

    /// Parses up to the end of one reply, or as far as `buffer` goes. After an error the stream is of
    /// no more use.
    ///
    /// Takes time linear in the bytes consumed, plus what is not: an incomplete line or byte string is
    /// left in the buffer and looked at again.
    pub fn parse(&mut self, buffer: &[u8]) -> Result<Step, ReplyError> {
        let mut consumed = 0;
        loop {
            let token = self.token(&buffer[consumed..]);
            let token = token.map_err(|kind| ReplyError { kind, offset: self.offset })?;
            let Some((bytes, token)) = token else {
                return Ok(Step { consumed, reply: None });
            };
            consumed += bytes;
            self.offset += bytes as u64;
            let reply = match token {
                Token::Value(reply) => self.place(reply),
                Token::Open(open) if open.missing == 0 => self.close(open),
                Token::Open(open) => {
                    self.open.push(open);
                    None
                }
            };
            if reply.is_some() {
                return Ok(Step { consumed, reply });
            }
        }
    }

    /// Whether the parser is between two replies.
    pub const fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Puts a complete value where it belongs. Returns it if that is nowhere, or else what it
    /// completes.
    fn place(&mut self, mut value: Reply) -> Option<Reply> {
        while let Some(mut open) = self.open.pop() {
            open.values.push(value);
            open.missing -= 1;
            if open.missing > 0 {
                self.open.push(open);
                return None;
            }
            value = open.complete(&mut self.open)?;
        }
        Some(value)
    }

    /// As [`place`](Self::place), for a value that holds no others.
    fn close(&mut self, open: Open) -> Option<Reply> {
        let value = open.complete(&mut self.open)?;
        self.place(value)
    }

    /// Reads what `buffer` begins with: the bytes it takes, or `None` if it is not all there.
    fn token(&self, buffer: &[u8]) -> TokenResult {
        let Some(&kind) = buffer.first() else { return Ok(None) };
        if !b"+-:$*_%~>|,#(=".contains(&kind) {
            return Err(ReplyErrorKind::UnknownType(kind));
        }
        let Some(line) = self.line(&buffer[1..])? else { return Ok(None) };
        let line_bytes = 1 + line.len() + 2;
        let value = |reply| Ok(Some((line_bytes, Token::Value(reply))));
        match kind {
            b'+' => value(Reply::Simple(line.to_vec())),
            b'-' => value(Reply::Error(line.to_vec())),
            b':' => value(Reply::Integer(parse_i64(line).ok_or(ReplyErrorKind::InvalidValue)?)),
            b'_' if line.is_empty() => value(Reply::Null),
            b'#' if line == b"t" => value(Reply::Boolean(true)),
            b'#' if line == b"f" => value(Reply::Boolean(false)),
            b'_' | b'#' => Err(ReplyErrorKind::InvalidValue),
            b',' => value(Reply::Double(parse_double(line)?)),
            b'(' => value(Reply::BigNumber(parse_big_number(line)?.to_vec())),
            b'$' if line == b"-1" => value(Reply::Null),
            b'*' if line == b"-1" => value(Reply::NullArray),
            b'$' | b'=' => self.bulk(kind, line, &buffer[line_bytes..]),
            _ => Ok(Some((line_bytes, Token::Open(self.open_value(kind, line)?)))),
        }
    }

    /// Reads a byte string whose length is on `line`, `rest` being what follows.
    fn bulk(&self, kind: u8, line: &[u8], rest: &[u8]) -> TokenResult {
        let len = parse_length(line)?;
        if len > self.limits.bulk_bytes_max {
            return Err(ReplyErrorKind::InvalidLength);
        }
        let len = usize::try_from(len).map_err(|_| ReplyErrorKind::InvalidLength)?;
        let Some((bytes, rest)) = rest.split_at_checked(len) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            _ => return Err(ReplyErrorKind::InvalidCrlf),
        }
        let reply = match *bytes {
            _ if kind == b'$' => Reply::Bulk(bytes.to_vec()),
            [first, second, third, b':', ref text @ ..] => {
                Reply::Verbatim([first, second, third], text.to_vec())
            }
            _ => return Err(ReplyErrorKind::InvalidValue),
        };
        Ok(Some((1 + line.len() + 2 + len + 2, Token::Value(reply))))
    }

    /// The beginning of a value that holds as many others as `line` says.
    fn open_value(&self, kind: u8, line: &[u8]) -> Result<Open, ReplyErrorKind> {
        let len = parse_length(line)?;
        let (holds, each) = match kind {
            b'*' => (Holds::Array, 1),
            b'~' => (Holds::Set, 1),
            b'%' => (Holds::Map, 2),
            b'|' => (Holds::Attribute, 2),
            _ if !self.open.is_empty() => return Err(ReplyErrorKind::NestedPush),
            _ => (Holds::Push, 1),
        };
        if self.open.len() == self.limits.depth_max {
            return Err(ReplyErrorKind::TooDeep);
        }
        let missing = len.checked_mul(each).ok_or(ReplyErrorKind::InvalidLength)?;
        Ok(Open { holds, missing, values: Vec::new() })
    }

    /// The line at the beginning of `buffer`, or `None` if its end is not there.
    fn line<'a>(&self, buffer: &'a [u8]) -> Result<Option<&'a [u8]>, ReplyErrorKind> {
        let window = &buffer[..buffer.len().min(self.limits.line_bytes_max + 1)];
        match window.iter().position(|&byte| matches!(byte, b'\r' | b'\n')) {
            Some(end) => match buffer[end..] {
                [b'\r', b'\n', ..] => Ok(Some(&buffer[..end])),
                [b'\r'] => Ok(None),
                _ => Err(ReplyErrorKind::InvalidCrlf),
            },
            None if buffer.len() > self.limits.line_bytes_max => Err(ReplyErrorKind::LineTooLong),
            None => Ok(None),
        }
    }
}

impl Default for ReplyParser {
    fn default() -> Self {
        Self::new(ReplyLimits::default())
    }
}

impl Open {
    /// The value all of whose parts are there. Attributes are none yet: they wait, on `open`, for
    /// the value they are about.
    fn complete(self, open: &mut Vec<Self>) -> Option<Reply> {
        match self.holds {
            Holds::Array => Some(Reply::Array(self.values)),
            Holds::Set => Some(Reply::Set(self.values)),
            Holds::Push => Some(Reply::Push(self.values)),
            Holds::Map => Some(Reply::Map(pairs(self.values))),
            Holds::Attributed(pairs) => {
                let value = self.values.into_iter().next()?;
                Some(Reply::Attributed(pairs, Box::new(value)))
            }
            Holds::Attribute => {
                let holds = Holds::Attributed(pairs(self.values));
                open.push(Self { holds, missing: 1, values: Vec::new() });
                None
            }
        }
    }
}

fn pairs(values: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut values = values.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn parse_length(line: &[u8]) -> Result<u64, ReplyErrorKind> {
    let len = parse_i64(line).ok_or(ReplyErrorKind::InvalidLength)?;
    u64::try_from(len).map_err(|_| ReplyErrorKind::InvalidLength)
}

fn parse_double(line: &[u8]) -> Result<f64, ReplyErrorKind> {
    match line {
        b"nan" | b"-nan" => Ok(f64::NAN),
        _ => parse_f64(line).ok_or(ReplyErrorKind::InvalidValue),
    }
}

fn parse_big_number(line: &[u8]) -> Result<&[u8], ReplyErrorKind> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyErrorKind::InvalidValue);
    }
    Ok(line)
}

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
