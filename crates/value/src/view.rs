//! How a reader sees a value.

use crate::integer::IntegerText;
use crate::object::ObjectRef;

/// Longest string reported as `embstr`, as in Redis.
pub const EMBSTR_BYTES_MAX: usize = 44;

/// A value as it lies in the keyspace, borrowed for reading.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string, as it was set.
    Bytes(&'a [u8]),
    /// A string that was modified in place (APPEND, SETRANGE, SETBIT ...): the same to every command
    /// but OBJECT ENCODING.
    Raw(&'a [u8]),
    /// A string that is the canonical text of this integer.
    Integer(i64),
    /// Anything behind a pointer; may be a string too.
    Object(ObjectRef<'a>),
}

/// The types a client can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Bytes, whatever their encoding.
    String,
    /// Elements in order.
    List,
    /// Members without order, each once.
    Set,
    /// Members with a score each, ordered by it.
    SortedSet,
    /// Fields with a value each.
    Hash,
    /// A log of entries.
    Stream,
}

impl Type {
    /// As TYPE reports it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }
}

/// How a value is kept, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A string that is the text of an integer.
    Int,
    /// A string of at most [`EMBSTR_BYTES_MAX`] bytes that was not modified in place.
    Embstr,
    /// Any other string.
    Raw,
    /// A small collection in one allocation.
    Listpack,
    /// A list in several.
    Quicklist,
    /// A set of integers only.
    Intset,
    /// A set or a hash as a table.
    Hashtable,
    /// A sorted set as a table and an ordered structure.
    Skiplist,
    /// A stream.
    Stream,
}

impl Encoding {
    /// As OBJECT ENCODING reports it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Listpack => "listpack",
            Self::Quicklist => "quicklist",
            Self::Intset => "intset",
            Self::Hashtable => "hashtable",
            Self::Skiplist => "skiplist",
            Self::Stream => "stream",
        }
    }
}

impl<'a> ValueRef<'a> {
    /// The bytes of a string, printing an integer into `text`; `None` for other types.
    pub fn string_bytes<'b>(self, text: &'b mut IntegerText) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) | Self::Raw(bytes) => Some(bytes),
            Self::Integer(integer) => Some(text.format(integer).as_bytes()),
            Self::Object(ObjectRef::Large(string)) => Some(string.as_bytes()),
            Self::Object(_) => None,
        }
    }

    /// The bytes of a string that is not kept as an integer; `None` for one that is, and for other
    /// types.
    pub fn text_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) | Self::Raw(bytes) => Some(bytes),
            Self::Object(ObjectRef::Large(string)) => Some(string.as_bytes()),
            Self::Integer(_) | Self::Object(_) => None,
        }
    }

    /// Length in bytes of a string, as STRLEN counts; `None` for other types.
    pub fn string_len(self) -> Option<usize> {
        self.string_bytes(&mut IntegerText::new()).map(<[u8]>::len)
    }

    /// The type, as a client sees it.
    pub fn value_type(self) -> Type {
        match self {
            Self::Bytes(_) | Self::Raw(_) | Self::Integer(_) => Type::String,
            Self::Object(object) => object.value_type(),
        }
    }

    /// The encoding, in Redis's words.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Integer(_) => Encoding::Int,
            Self::Bytes(bytes) if bytes.len() <= EMBSTR_BYTES_MAX => Encoding::Embstr,
            Self::Bytes(_) | Self::Raw(_) => Encoding::Raw,
            Self::Object(object) => object.encoding(),
        }
    }
}
