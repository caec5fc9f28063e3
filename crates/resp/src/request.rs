//! Bytes to commands.

use crate::{Limits, OwnedArgs, ProtocolError, Span};

/// The parser of one connection's requests. It keeps progress only over an incomplete command.
#[derive(Debug, Default)]
pub struct RequestParser {}

/// What the bytes at the beginning of the buffer are.
#[derive(Debug)]
pub enum Parsed {
    /// A command of at least one argument, `consumed` bytes long; its spans were appended.
    Command {
        /// Bytes of the buffer the command took.
        consumed: usize,
    },
    /// A command in the inline form, unescaped.
    Inline {
        /// Bytes of the buffer the command took.
        consumed: usize,
        /// Its arguments, at least one.
        args: OwnedArgs,
    },
    /// An empty request, to be skipped without a reply.
    Nothing {
        /// Bytes of the buffer to skip.
        consumed: usize,
    },
    /// The command is not all there. No span was appended.
    Incomplete {
        /// Parsing again is useless before the buffer holds this many bytes. A peer chooses this
        /// number: it is a reason to wait, not to allocate.
        needed_bytes: usize,
    },
    /// The request is malformed: reply with the error and close.
    Malformed(ProtocolError),
}

impl RequestParser {
    /// A parser at the beginning of a command.
    pub const fn new() -> Self {
        Self {}
    }

    /// Parses the command at the beginning of `buffer`, appending the spans of its arguments,
    /// relative to `buffer`, to `spans`. After [`Parsed::Incomplete`] the same bytes must come
    /// again, with more behind them.
    pub fn parse(&mut self, buffer: &[u8], spans: &mut Vec<Span>, limits: &Limits) -> Parsed {
        let _ = (buffer, spans, limits);
        Parsed::Incomplete { needed_bytes: 1 }
    }
}
