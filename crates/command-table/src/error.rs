//! Every error text a command can answer, with its exact bytes.
//!
//! Clients match on these texts, so they are Redis's to the letter. The first word is the error
//! code; the writer makes sure that no byte of an argument breaks the reply line.

use darter_shard::WrongType;
use std::borrow::Cow;
use std::fmt;

/// What a handler returns: `Err` is written as the reply, and then nothing else was.
pub type ReplyResult = Result<(), ReplyError>;

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The key holds another type than the command works on.
    WrongType,
    /// Options in an order or combination the command does not have.
    Syntax,
    /// A value in the RDB format that is malformed: in which way, for the log.
    MalformedValue(Box<str>),
    /// An argument, or the stored value, is no signed 64-bit number.
    NotAnInteger,
    /// An argument, or the stored value, is no floating-point number.
    NotAFloat,
    /// The key of a command that needs one is not there.
    NoSuchKey,
    /// Too few or too many arguments; the full command name in lower case.
    WrongArity(String),
    /// No command of this name; the name and the rest as the client sent them.
    UnknownCommand { name: Vec<u8>, args: Vec<Vec<u8>> },
    /// No subcommand of this name.
    UnknownSubcommand { subcommand: Vec<u8>, command: &'static str },
    /// An expiry that is not positive or beyond 64 bits; the command's name, shown in lower case.
    InvalidExpireTime(&'static str),
    /// An increment beyond 64 bits.
    IncrementOverflow,
    /// A decrement of the smallest number.
    DecrementOverflow,
    /// An increment that would leave no finite number.
    IncrementNotFinite,
    /// A value above `proto-max-bulk-len`.
    StringTooLong,
    /// A negative or too large offset.
    OffsetOutOfRange,
    /// A count or index outside of what the command admits.
    OutOfRange,
    /// A number outside of `min..=max`.
    OutsideOf { min: i64, max: i64 },
    /// A database number that is none, or too large.
    InvalidDbIndex,
    /// A database number beyond `databases`.
    DbIndexOutOfRange,
    /// Source and destination must differ.
    SameObject,
    /// A cursor that is no number.
    InvalidCursor,
    /// An option that EXPIRE and its like do not have.
    UnsupportedOption(Vec<u8>),
    /// No type of this name.
    UnknownTypeName(Vec<u8>),
    /// Authentication first.
    NoAuth,
    /// Wrong user or password.
    WrongPass,
    /// The client's user may not do this: the line.
    NoPermission(Vec<u8>),
    /// Memory is above its limit.
    OutOfMemory,
    /// Nothing for the client: the command is too long for one piece, and wants to run in slices
    /// ([`Command::slices`](crate::Command::slices)). It has done nothing.
    Long,
    /// Any other fixed text, code included.
    Text(&'static str),
    /// Any other text made at run time, code included.
    Message(String),
    /// Any other line of bytes made at run time, code included.
    Line(Vec<u8>),
}

impl From<WrongType> for ReplyError {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}

impl ReplyError {
    /// Bytes of a client's command line that an unknown-command error repeats.
    const ECHOED_BYTES_MAX: usize = 128;
}

impl ReplyError {
    /// The reply's bytes, without the leading `-` and the line end. May repeat bytes of an argument as
    /// they are: the reply writer keeps them from breaking the line.
    pub fn line(&self) -> Cow<'_, [u8]> {
        let text = match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::MalformedValue(_) => "ERR Bad data format",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotAFloat => "ERR value is not a valid float",
            Self::NoSuchKey => "ERR no such key",
            Self::WrongArity(command) => {
                return made(format!("ERR wrong number of arguments for '{command}' command"));
            }
            Self::UnknownCommand { name, args } => return unknown_command(name, args),
            Self::UnknownSubcommand { subcommand, command } => {
                let hint = format!("'. Try {command} HELP.");
                return around("ERR unknown subcommand '", echoed(subcommand), &hint);
            }
            Self::InvalidExpireTime(command) => {
                let command = command.to_ascii_lowercase();
                return made(format!("ERR invalid expire time in '{command}' command"));
            }
            Self::IncrementOverflow => "ERR increment or decrement would overflow",
            Self::DecrementOverflow => "ERR decrement would overflow",
            Self::IncrementNotFinite => "ERR increment would produce NaN or Infinity",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::OffsetOutOfRange => "ERR offset is out of range",
            Self::OutOfRange => "ERR value is out of range",
            Self::OutsideOf { min, max } => {
                let range = format!("value must between {min} and {max}");
                return made(format!("ERR value is out of range, {range}"));
            }
            Self::InvalidDbIndex => "ERR invalid DB index",
            Self::DbIndexOutOfRange => "ERR DB index is out of range",
            Self::SameObject => "ERR source and destination objects are the same",
            Self::InvalidCursor => "ERR invalid cursor",
            Self::UnsupportedOption(option) => {
                return around("ERR Unsupported option ", until_nul(option), "");
            }
            Self::UnknownTypeName(name) => {
                return around("ERR unknown type name '", until_nul(name), "'");
            }
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::Long => "ERR the command is too long for one piece",
            Self::Text(text) => text,
            Self::Message(text) => text,
            Self::Line(line) | Self::NoPermission(line) => return Cow::Borrowed(line),
        };
        Cow::Borrowed(text.as_bytes())
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.line()))
    }
}

fn made(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}

fn around(before: &str, bytes: &[u8], after: &str) -> Cow<'static, [u8]> {
    Cow::Owned([before.as_bytes(), bytes, after.as_bytes()].concat())
}

/// What of an argument is repeated. Redis prints C strings, which end at a NUL.
fn echoed(bytes: &[u8]) -> &[u8] {
    let text = until_nul(bytes);
    &text[..text.len().min(ReplyError::ECHOED_BYTES_MAX)]
}

/// `bytes` as Redis prints them: as a C string, which ends at a NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn unknown_command(name: &[u8], args: &[Vec<u8>]) -> Cow<'static, [u8]> {
    let mut line = b"ERR unknown command '".to_vec();
    line.extend_from_slice(echoed(name));
    line.extend_from_slice(b"', with args beginning with: ");
    let mut echoed_bytes = 0;
    for arg in args {
        if echoed_bytes >= ReplyError::ECHOED_BYTES_MAX {
            break;
        }
        let room = ReplyError::ECHOED_BYTES_MAX - echoed_bytes;
        let text = until_nul(arg);
        let part = &text[..text.len().min(room)];
        line.push(b'\'');
        line.extend_from_slice(part);
        line.extend_from_slice(b"' ");
        echoed_bytes += part.len() + 3;
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_echo_a_bounded_part_of_the_line() {
        let error = ReplyError::UnknownCommand {
            name: b"foo".to_vec(),
            args: vec![b"a".to_vec(), b"b".to_vec()],
        };
        assert_eq!(
            error.to_string(),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
        );
        let error =
            ReplyError::UnknownCommand { name: vec![b'x'; 1000], args: vec![vec![b'y'; 1000]; 9] };
        assert!(error.line().len() < 400);
        let error = ReplyError::UnknownCommand { name: b"\xff".to_vec(), args: vec![] };
        assert!(error.line().contains(&0xff), "bytes that are no text are repeated as they are");
        let error = ReplyError::UnsupportedOption(b"a\0b".to_vec());
        assert_eq!(error.line(), b"ERR Unsupported option a".as_slice());
    }
}
