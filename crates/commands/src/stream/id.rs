//! Ids of entries as clients write them.

use darter_base::number::{NumberText, format_u64};
use darter_command_table::{Call, ReplyError};
use darter_resp::ReplyWriter;
use darter_value::stream::StreamId;
use std::ops::RangeInclusive;

const BAD_ID: ReplyError =
    ReplyError::Text("ERR Invalid stream ID specified as stream command argument");

/// Longest text that is looked at.
const ID_BYTES_MAX: usize = 127;

/// The id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: now, or the next after the last.
    Now,
    /// `ms-*`: the next in that millisecond.
    NextIn(u64),
    /// This one.
    Exact(StreamId),
}

/// The id `text` is, without a number `missing_seq` being its number; `-` and `+` are none.
pub(super) fn parse(text: &[u8], missing_seq: u64) -> Result<StreamId, ReplyError> {
    let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
        _ if text.len() > ID_BYTES_MAX => return Err(BAD_ID),
        None => (text, None),
        Some(at) => (&text[..at], Some(&text[at + 1..])),
    };
    let ms = parse_part(ms)?;
    let seq = seq.map_or(Ok(missing_seq), parse_part)?;
    Ok(StreamId::new(ms, seq))
}

/// As [`parse`], and `-` and `+` are the first and the last id there can be.
pub(super) fn parse_or_edge(text: &[u8], missing_seq: u64) -> Result<StreamId, ReplyError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse(text, missing_seq),
    }
}

/// The id of a new entry.
pub(super) fn parse_new(text: &[u8]) -> Result<NewId, ReplyError> {
    match text {
        b"*" => Ok(NewId::Now),
        [ms @ .., b'-', b'*'] if !ms.contains(&b'-') => parse_part(ms).map(NewId::NextIn),
        _ => parse(text, 0).map(NewId::Exact),
    }
}

/// The range from `start` to `end`, either of which is exclusive behind a `(`.
pub(super) fn parse_range(
    start: &[u8],
    end: &[u8],
) -> Result<RangeInclusive<StreamId>, ReplyError> {
    Ok(parse_start(start)?..=parse_end(end)?)
}

/// The start of a range.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, ReplyError> {
    match text {
        [b'(', exclusive @ ..] if !exclusive.is_empty() => parse(exclusive, 0)?
            .next()
            .ok_or(ReplyError::Text("ERR invalid start ID for the interval")),
        _ => parse_or_edge(text, 0),
    }
}

fn parse_end(text: &[u8]) -> Result<StreamId, ReplyError> {
    match text {
        [b'(', exclusive @ ..] if !exclusive.is_empty() => parse(exclusive, u64::MAX)?
            .previous()
            .ok_or(ReplyError::Text("ERR invalid end ID for the interval")),
        _ => parse_or_edge(text, u64::MAX),
    }
}

/// Every argument from `from` to before `end` as an id; an error before anything happens.
pub(super) fn parse_all(
    call: &Call<'_>,
    from: usize,
    end: usize,
) -> Result<Vec<StreamId>, ReplyError> {
    (from..end).map(|index| parse(call.args.at(index), 0)).collect()
}

/// Half of an id: an unsigned number, which may have leading zeroes.
fn parse_part(text: &[u8]) -> Result<u64, ReplyError> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return Err(BAD_ID);
    }
    digits
        .iter()
        .try_fold(0_u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .ok_or(BAD_ID)
}

/// The text `ms-seq`.
pub(super) fn text_of(id: StreamId) -> ([u8; Text::BYTES_MAX], usize) {
    let mut text = [0; Text::BYTES_MAX];
    let (ms, seq): (NumberText, NumberText) = (format_u64(id.ms), format_u64(id.seq));
    let len = ms.len() + 1 + seq.len();
    text[..ms.len()].copy_from_slice(&ms);
    text[ms.len()] = b'-';
    text[ms.len() + 1..len].copy_from_slice(&seq);
    (text, len)
}

struct Text;

impl Text {
    /// Two numbers of 20 digits.
    const BYTES_MAX: usize = 41;
}

/// Writes an id.
pub(super) fn write(reply: &mut ReplyWriter<'_>, id: StreamId) {
    let (text, len) = text_of(id);
    reply.bulk(&text[..len]);
}

/// An id as text.
pub(super) fn text(id: StreamId) -> Vec<u8> {
    let (text, len) = text_of(id);
    text[..len].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_two_halves() {
        let id = |ms, seq| Ok(StreamId::new(ms, seq));
        assert_eq!(parse(b"5", 0), id(5, 0));
        assert_eq!(parse(b"5", 9), id(5, 9));
        assert_eq!(parse(b"5-7", 9), id(5, 7));
        assert_eq!(parse(b"05-007", 9), id(5, 7));
        assert_eq!(parse(b"18446744073709551615-18446744073709551615", 0), Ok(StreamId::MAX));
        for text in
            ["", "-", "+", "-5", "5-", "5-7-9", "x", "5-x", "5 -1", "18446744073709551616", "5-*"]
        {
            assert_eq!(parse(text.as_bytes(), 0), Err(BAD_ID), "{text}");
        }
        assert_eq!(parse(&[b'0'; 128], 0), Err(BAD_ID));
        assert_eq!(parse_new(b"5-*"), Ok(NewId::NextIn(5)));
        assert_eq!(parse_new(b"*"), Ok(NewId::Now));
        assert!(parse_new(b"*-*").is_err() && parse_new(b"5-5-*").is_err());
        let (text, len) = text_of(StreamId::MAX);
        assert_eq!(&text[..len], b"18446744073709551615-18446744073709551615");
    }

    #[test]
    fn ranges_may_be_exclusive() {
        let range = |start: &str, end: &str| parse_range(start.as_bytes(), end.as_bytes());
        assert_eq!(range("-", "+"), Ok(StreamId::MIN..=StreamId::MAX));
        assert_eq!(range("1", "2"), Ok(StreamId::new(1, 0)..=StreamId::new(2, u64::MAX)));
        assert_eq!(range("(1-1", "(2-0"), Ok(StreamId::new(1, 2)..=StreamId::new(1, u64::MAX)));
        assert!(range("(18446744073709551615-18446744073709551615", "+").is_err());
        assert!(range("-", "(0-0").is_err());
        assert!(range("(-", "+").is_err() && range("(", "+").is_err());
    }
}
