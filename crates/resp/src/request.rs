//! Bytes to commands, and back.
//!
//! A request is an array of bulk strings,
//!
//! ```text
//! *2 CR LF  $3 CR LF  GET CR LF  $5 CR LF  hello CR LF
//! ```
//!
//! or, when it does not begin with `*`, a line of words: the inline form, meant for people with
//! `telnet`. Which of the two it is, is decided anew at the first byte of every request and kept
//! nowhere (Valkey 9.0.0 to 9.0.2 kept it across an empty `*0` and could be crashed before
//! authentication: CVE-2026-27623).
//!
//! # Splits
//!
//! The bytes may arrive in any pieces; what is parsed is the same for all of them. A request that is
//! not complete is parsed from its beginning again when more of it is there, which costs little as
//! long as few of its arguments are; once there are 32 complete ones the parser keeps their spans
//! and goes on behind them, so a request of a million arguments takes linear time however
//! it arrives. [`Parsed::Incomplete`] says how many bytes are needed to get any further.
//!
//! # Strictness
//!
//! Counts and lengths are canonical decimal integers, as in Redis: no sign but `-`, no leading zeros. A
//! count of 0 or less is an empty request, a negative length is an error. Line ends after counts,
//! lengths and arguments must be CR LF: Redis up to 8 takes any byte after CR and any two after an
//! argument, Valkey since 9.0.6 does not, and neither do we, since a wrong line end means that the
//! peer and we disagree about where the next request begins. An inline request ends at LF; one CR
//! before it is dropped. A line without its end is an error once it is longer than the limit: a line
//! end at index 65536 still counts, as in Redis. A NUL in an inline request is an error.
//!
//! The order of checks on an argument is Redis's: nothing is said about it before a CR and one more
//! byte are there, then `$`, then the line end, then the number, then the limits.

use darter_base::number::{format_u64, parse_i64};
use darter_base::split_args::split_args_with;

use crate::{Limits, OwnedArgs, ProtocolError, Span};

/// From this many complete arguments on, the progress over an incomplete request is kept.
const ARGS_KEPT_FROM: usize = 32;

/// The bytes of a request of these words, at least one.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut request = Vec::new();
    encode_into(&mut request, words.len(), words.iter().map(AsRef::as_ref));
    request
}

/// Appends a request of `count` words, at least one.
pub fn encode_into<'a>(
    request: &mut Vec<u8>,
    count: usize,
    words: impl IntoIterator<Item = &'a [u8]>,
) {
    encode_length(request, b'*', count);
    for word in words {
        encode_length(request, b'$', word.len());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
}

fn encode_length(request: &mut Vec<u8>, sign: u8, length: usize) {
    request.push(sign);
    request.extend_from_slice(format_u64(length as u64).as_bytes());
    request.extend_from_slice(b"\r\n");
}

/// The parser of one connection's requests. One pointer wide; allocates only while a request of many
/// arguments is incomplete.
#[derive(Debug, Default)]
pub struct RequestParser {
    progress: Option<Box<Progress>>,
}

/// How far an incomplete array request was parsed.
#[derive(Debug)]
struct Progress {
    /// The complete arguments.
    spans: Vec<Span>,
    /// Where the next argument begins.
    position: usize,
    /// Arguments still to come, at least 1.
    remaining: u64,
}

/// What the bytes at the beginning of the buffer are.
#[derive(Debug)]
pub enum Parsed {
    /// A command of at least one argument. Its spans were appended.
    Command {
        /// Bytes of the buffer the command took.
        consumed: usize,
    },
    /// A command in the inline form, unquoted.
    Inline {
        /// Bytes of the buffer the command took.
        consumed: usize,
        /// Its arguments, at least one.
        args: OwnedArgs,
    },
    /// An empty request, to be skipped without a reply. (A replica sends empty lines to show it is
    /// alive.)
    Nothing {
        /// Bytes of the buffer to skip, at least 1.
        consumed: usize,
    },
    /// The request is not all there. No span was appended.
    Incomplete {
        /// Parsing again is useless before the buffer holds this many bytes; always more than it
        /// holds now. A peer chooses this number: it is a reason to wait, not to allocate.
        needed_bytes: usize,
        /// Length of the argument that is not all there; 0 if its header is not, either. What precedes it takes
        /// `needed_bytes` less this and its line end.
        argument_bytes: usize,
    },
    /// The request is malformed: reply with the error and close. No span was appended.
    Malformed(ProtocolError),
}

/// Why the parse of an array request stopped early.
#[derive(Clone, Copy)]
enum Stop {
    Incomplete { needed_bytes: usize, argument_bytes: usize },
    Malformed(ProtocolError),
}

impl RequestParser {
    /// A parser at the beginning of a request.
    pub const fn new() -> Self {
        Self { progress: None }
    }

    /// Parses the request at the beginning of `buffer`, appending the spans of its arguments,
    /// relative to `buffer`, to `spans`.
    ///
    /// After [`Parsed::Incomplete`] the next buffer must begin with the same bytes; after anything
    /// else it must begin behind the bytes consumed. Until a client has authenticated, run each
    /// command before parsing the next one: it may be the `AUTH` that lifts the limits.
    ///
    /// Takes time linear in the bytes of the request, and memory linear in the arguments that are
    /// there: a declared count or length alone reserves nothing.
    #[inline]
    pub fn parse(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: &Limits) -> Parsed {
        if self.progress.is_some() {
            return self.resume(buffer, spans, limits);
        }
        match buffer.first() {
            Some(b'*') => {
                let spans_before = spans.len();
                let (mut position, mut remaining) = match parse_count(buffer, limits) {
                    Ok((header_bytes, 0)) => return Parsed::Nothing { consumed: header_bytes },
                    Ok(header) => header,
                    Err(Stop::Incomplete { needed_bytes, argument_bytes }) => {
                        return Parsed::Incomplete { needed_bytes, argument_bytes };
                    }
                    Err(Stop::Malformed(error)) => return Parsed::Malformed(error),
                };
                match parse_bulks(buffer, &mut position, &mut remaining, spans, limits) {
                    Ok(()) => Parsed::Command { consumed: position },
                    Err(stop) => self.stop(stop, position, remaining, spans, spans_before),
                }
            }
            Some(_) => parse_inline(buffer, limits),
            None => Parsed::Incomplete { needed_bytes: 1, argument_bytes: 0 },
        }
    }

    /// Whether progress over an incomplete request is kept: an observation for tests and accounting.
    pub const fn is_idle(&self) -> bool {
        self.progress.is_none()
    }

    /// Bytes of heap memory held.
    pub fn memory_bytes(&self) -> usize {
        self.progress.as_ref().map_or(0, |progress| {
            size_of::<Progress>() + progress.spans.capacity() * size_of::<Span>()
        })
    }

    #[cold]
    fn resume(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: &Limits) -> Parsed {
        let Some(mut progress) = self.progress.take() else {
            return Parsed::Incomplete { needed_bytes: buffer.len() + 1, argument_bytes: 0 };
        };
        assert!(progress.position <= buffer.len(), "the buffer lost bytes of this request");
        let Progress { spans: kept, position, remaining } = &mut *progress;
        match parse_bulks(buffer, position, remaining, kept, limits) {
            Ok(()) => {
                spans.append(kept);
                Parsed::Command { consumed: *position }
            }
            Err(Stop::Incomplete { needed_bytes, argument_bytes }) => {
                self.progress = Some(progress);
                Parsed::Incomplete { needed_bytes, argument_bytes }
            }
            Err(Stop::Malformed(error)) => Parsed::Malformed(error),
        }
    }

    /// Takes the spans of an unfinished request off `spans` again, keeping them if they are many.
    #[cold]
    fn stop(
        &mut self,
        stop: Stop,
        position: usize,
        remaining: u64,
        spans: &mut Vec<Span>,
        spans_before: usize,
    ) -> Parsed {
        let parsed = match stop {
            Stop::Malformed(error) => Parsed::Malformed(error),
            Stop::Incomplete { needed_bytes, argument_bytes } => {
                if spans.len() - spans_before >= ARGS_KEPT_FROM {
                    let spans = spans[spans_before..].to_vec();
                    self.progress = Some(Box::new(Progress { spans, position, remaining }));
                }
                Parsed::Incomplete { needed_bytes, argument_bytes }
            }
        };
        spans.truncate(spans_before);
        parsed
    }
}

/// Parses the `*count` line at the beginning of `buffer`: the bytes it takes, and the count, 0 for
/// any that is not positive.
#[inline]
fn parse_count(buffer: &[u8], limits: &Limits) -> Result<(usize, u64), Stop> {
    if let [b'*', digit @ b'1'..=b'9', b'\r', b'\n', ..] = buffer {
        return Ok((4, u64::from(digit - b'0')));
    }
    parse_long_count(buffer, limits)
}

#[inline(never)]
fn parse_long_count(buffer: &[u8], limits: &Limits) -> Result<(usize, u64), Stop> {
    let line = header_line(buffer, limits, ProtocolError::MultibulkCountTooLong)?;
    let malformed = |error| Err(Stop::Malformed(error));
    if buffer[line.len() + 1] != b'\n' {
        return malformed(ProtocolError::InvalidCrlf);
    }
    let consumed = line.len() + 2;
    match parse_i64(&line[1..]) {
        Some(count @ 1..) => {
            let count = count.unsigned_abs();
            if count > limits.args_max {
                malformed(ProtocolError::InvalidMultibulkLength)
            } else if limits.unauthenticated && count > Limits::UNAUTHENTICATED_ARGS_MAX {
                malformed(ProtocolError::UnauthenticatedMultibulkLength)
            } else {
                Ok((consumed, count))
            }
        }
        Some(_) => Ok((consumed, 0)),
        None => malformed(ProtocolError::InvalidMultibulkLength),
    }
}

/// Parses `remaining` arguments of `buffer` from `position` on, keeping both up to date.
#[inline]
fn parse_bulks(
    buffer: &[u8],
    position: &mut usize,
    remaining: &mut u64,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<(), Stop> {
    while *remaining > 0 {
        let rest = &buffer[*position..];
        let (header_bytes, len) = match rest {
            [b'$', ones @ b'0'..=b'9', b'\r', b'\n', ..] => (4, usize::from(ones - b'0')),
            [b'$', tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
                (5, usize::from(tens - b'0') * 10 + usize::from(ones - b'0'))
            }
            _ => parse_long_length(rest, *position, limits)?,
        };
        let start = *position + header_bytes;
        let end = start + len;
        match buffer.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Stop::Malformed(ProtocolError::InvalidCrlf)),
            None => return Err(Stop::Incomplete { needed_bytes: end + 2, argument_bytes: len }),
        }
        spans.push(Span { start, end });
        *position = end + 2;
        *remaining -= 1;
    }
    Ok(())
}

/// Parses the `$length` line at the beginning of `rest`, which begins at `position`: the bytes it
/// takes, and the length.
#[inline(never)]
fn parse_long_length(
    rest: &[u8],
    position: usize,
    limits: &Limits,
) -> Result<(usize, usize), Stop> {
    let malformed = |error| Err(Stop::Malformed(error));
    let line = match header_line(rest, limits, ProtocolError::BulkCountTooLong) {
        Ok(line) => line,
        Err(Stop::Incomplete { needed_bytes, argument_bytes }) => {
            return Err(Stop::Incomplete { needed_bytes: position + needed_bytes, argument_bytes });
        }
        Err(stop) => return Err(stop),
    };
    // The line may be empty, but then a CR stands at its place.
    if rest[0] != b'$' {
        return malformed(ProtocolError::ExpectedDollar(rest[0]));
    }
    if rest[line.len() + 1] != b'\n' {
        return malformed(ProtocolError::InvalidCrlf);
    }
    let Some(len) = parse_i64(&line[1..]).and_then(|len| u64::try_from(len).ok()) else {
        return malformed(ProtocolError::InvalidBulkLength);
    };
    if len > limits.bulk_bytes_max.min(BULK_BYTES_CEILING) {
        return malformed(ProtocolError::InvalidBulkLength);
    }
    if limits.unauthenticated && len > Limits::UNAUTHENTICATED_BULK_BYTES_MAX {
        return malformed(ProtocolError::UnauthenticatedBulkLength);
    }
    match usize::try_from(len) {
        Ok(len) => Ok((line.len() + 2, len)),
        Err(_) => malformed(ProtocolError::InvalidBulkLength),
    }
}

/// No argument may be longer, whatever the configuration says, so that positions cannot overflow.
const BULK_BYTES_CEILING: u64 = isize::MAX as u64 / 2;

/// The line at the beginning of `rest`, up to a CR that has one more byte behind it.
fn header_line<'a>(
    rest: &'a [u8],
    limits: &Limits,
    too_long: ProtocolError,
) -> Result<&'a [u8], Stop> {
    let window = &rest[..rest.len().min(limits.inline_bytes_max + 1)];
    match position_of(b'\r', window) {
        Some(end) if end + 1 < rest.len() => Ok(&rest[..end]),
        None if rest.len() > limits.inline_bytes_max => Err(Stop::Malformed(too_long)),
        Some(_) | None => Err(Stop::Incomplete { needed_bytes: rest.len() + 1, argument_bytes: 0 }),
    }
}

#[cold]
fn parse_inline(buffer: &[u8], limits: &Limits) -> Parsed {
    let window = &buffer[..buffer.len().min(limits.inline_bytes_max + 1)];
    let Some(end) = position_of(b'\n', window) else {
        return if buffer.len() > limits.inline_bytes_max {
            Parsed::Malformed(ProtocolError::InlineTooLong)
        } else {
            Parsed::Incomplete { needed_bytes: buffer.len() + 1, argument_bytes: 0 }
        };
    };
    let consumed = end + 1;
    let line = &buffer[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.contains(&0) {
        return Parsed::Malformed(ProtocolError::NulInInline);
    }
    let mut args = OwnedArgs::new();
    match split_args_with(line, |word| args.push(word)) {
        Err(_) => Parsed::Malformed(ProtocolError::UnbalancedQuotes),
        Ok(()) if args.as_args().is_empty() => Parsed::Nothing { consumed },
        Ok(()) => Parsed::Inline { consumed, args },
    }
}

/// Where `byte` first stands in `bytes`. Looks for whether it does at all in a way that compiles to
/// several bytes a step: an unfinished line is searched again with every piece of it.
fn position_of(byte: u8, bytes: &[u8]) -> Option<usize> {
    const STRIDE: usize = 64;
    let chunks = bytes.chunks(STRIDE);
    for (index, chunk) in chunks.enumerate() {
        if chunk.contains(&byte) {
            let within = chunk.iter().position(|&other| other == byte)?;
            return Some(index * STRIDE + within);
        }
    }
    None
}

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
