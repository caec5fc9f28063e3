//! Values that live behind a pointer.

use crate::large::LargeString;

/// A value too big, or too structured, to live inside a block of the keyspace.
#[derive(Clone, Debug)]
pub enum Object {
    /// A string of more than [`LargeString::BYTES_MIN`] bytes.
    Large(LargeString),
}

impl Object {
    /// Bytes of heap this value owns beyond its own size, in good sizes. O(1).
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Large(string) => string.heap_bytes(),
        }
    }

    /// Whether this is a collection: anything but a string.
    pub const fn is_collection(&self) -> bool {
        match self {
            Self::Large(_) => false,
        }
    }
}
