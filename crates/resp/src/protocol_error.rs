//! How a request can be malformed. Every one of these closes the connection after its reply.

use std::fmt;

/// A request that cannot be parsed. [`fmt::Display`] gives the text Redis 7.0 replies with, less the
/// leading `-ERR ` and the line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count after `*` is not a number or too large.
    InvalidMultibulkLength,
    /// The length after `$` is not a number, negative or too large.
    InvalidBulkLength,
    /// An argument begins with this byte instead of `$`.
    ExpectedDollar(u8),
    /// No line end within the limit after `*`.
    MultibulkCountTooLong,
    /// No line end within the limit after `$`.
    BulkCountTooLong,
    /// No line end within the limit of an inline request.
    InlineTooLong,
    /// An inline request with a quote left open, or text right after a closing quote.
    UnbalancedQuotes,
    /// More arguments than allowed before `AUTH`.
    UnauthenticatedMultibulkLength,
    /// A longer argument than allowed before `AUTH`.
    UnauthenticatedBulkLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Protocol error: ")?;
        match self {
            Self::InvalidMultibulkLength => formatter.write_str("invalid multibulk length"),
            Self::InvalidBulkLength => formatter.write_str("invalid bulk length"),
            Self::ExpectedDollar(got) => write!(formatter, "expected '$', got '{}'", *got as char),
            Self::MultibulkCountTooLong => formatter.write_str("too big mbulk count string"),
            Self::BulkCountTooLong => formatter.write_str("too big bulk count string"),
            Self::InlineTooLong => formatter.write_str("too big inline request"),
            Self::UnbalancedQuotes => formatter.write_str("unbalanced quotes in request"),
            Self::UnauthenticatedMultibulkLength => {
                formatter.write_str("unauthenticated multibulk length")
            }
            Self::UnauthenticatedBulkLength => formatter.write_str("unauthenticated bulk length"),
        }
    }
}

impl std::error::Error for ProtocolError {}
