//! How a request can be malformed. Every one of these closes the connection after its reply.

/// A request that cannot be parsed. What follows it in the stream cannot be told apart from data, so
/// the reply is the last one: send it, then close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count after `*` is not a number or too large.
    InvalidMultibulkLength,
    /// The length after `$` is not a number, negative or too large.
    InvalidBulkLength,
    /// An argument begins with this byte instead of `$`.
    ExpectedDollar(u8),
    /// A count, a length or an argument does not end in CR LF.
    InvalidCrlf,
    /// No line end within the limit after `*`.
    MultibulkCountTooLong,
    /// No line end within the limit after `$`.
    BulkCountTooLong,
    /// No line end within the limit of an inline request.
    InlineTooLong,
    /// A quote left open in an inline request, or text right after a closing quote.
    UnbalancedQuotes,
    /// A NUL byte in an inline request.
    NulInInline,
    /// More arguments than allowed before `AUTH`.
    UnauthenticatedMultibulkLength,
    /// A longer argument than allowed before `AUTH`.
    UnauthenticatedBulkLength,
}

impl ProtocolError {
    /// The error reply, less its leading `-` and its line end: `ERR Protocol error: ` and a reason.
    ///
    /// The texts are those of Redis 7.0, but for two that have no counterpart there: `invalid CRLF in
    /// request` is Valkey's (since 9.0.6; Redis takes any two bytes for a line end), and the NUL
    /// one is ours (Redis waits until such a line has exceeded 64 KB and then calls it too big).
    pub fn message(self) -> Vec<u8> {
        let reason: &[u8] = match self {
            Self::InvalidMultibulkLength => b"invalid multibulk length",
            Self::InvalidBulkLength => b"invalid bulk length",
            Self::ExpectedDollar(got) => {
                let mut message = b"ERR Protocol error: expected '$', got '".to_vec();
                // A byte no reply line may hold becomes a space, as in any error.
                message.push(if matches!(got, b'\r' | b'\n' | 0) { b' ' } else { got });
                message.push(b'\'');
                return message;
            }
            Self::InvalidCrlf => b"invalid CRLF in request",
            Self::MultibulkCountTooLong => b"too big mbulk count string",
            Self::BulkCountTooLong => b"too big bulk count string",
            Self::InlineTooLong => b"too big inline request",
            Self::UnbalancedQuotes => b"unbalanced quotes in request",
            Self::NulInInline => b"NUL byte in inline request",
            Self::UnauthenticatedMultibulkLength => b"unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => b"unauthenticated bulk length",
        };
        [b"ERR Protocol error: ", reason].concat()
    }
}

impl std::fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.message().escape_ascii())
    }
}

impl std::error::Error for ProtocolError {}
