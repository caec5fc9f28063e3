//! One reply, shape and all: nothing that differs on the wire compares equal here.

/// A RESP2 or RESP3 reply. The three nulls are apart, and a double keeps its text, because clients
/// can tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+text`
    Simple(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:number`
    Integer(i64),
    /// `$length text`
    Bulk(Vec<u8>),
    /// `$-1`, RESP2 only
    NullBulk,
    /// `*-1`, RESP2 only
    NullArray,
    /// `_`, RESP3 only
    Null,
    /// `*count`
    Array(Vec<Value>),
    /// `%count`
    Map(Vec<(Value, Value)>),
    /// `~count`
    Set(Vec<Value>),
    /// `>count`: out of band, not the answer to a command
    Push(Vec<Value>),
    /// `,text`
    Double(Vec<u8>),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(Vec<u8>),
    /// `=length format:text`
    Verbatim { format: [u8; 3], text: Vec<u8> },
    /// `!length text`
    BulkError(Vec<u8>),
    /// `|count`, a map in front of the value it annotates
    Attribute { attributes: Vec<(Value, Value)>, value: Box<Value> },
}

impl Value {
    /// The bytes of a bulk, simple or verbatim string.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) | Self::Bulk(text) | Self::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this is any of the three nulls.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::NullBulk | Self::NullArray | Self::Null)
    }

    /// Whether this is an error reply of either kind.
    pub const fn is_error(&self) -> bool {
        matches!(self, Self::Error(_) | Self::BulkError(_))
    }
}
