//! Values that live behind a pointer.

use darter_structures::BlockValue;

use crate::large::LargeString;

/// A value too big, or too structured, to live inside a block of the keyspace.
#[derive(Clone, Debug)]
pub enum Object {
    /// A string of more than [`LargeString::BYTES_MIN`] bytes.
    Large(LargeString),
}

impl Object {
    /// Dropping more than this at once takes long enough to be noticed by others: returning a megabyte to
    /// the system takes some ten microseconds.
    const QUICK_DROP_BYTES_MAX: usize = 256 * 1024;

    /// Whether to drop this value piece by piece, with [`drop_slice`](Self::drop_slice), rather than
    /// where it is found to be unneeded.
    pub fn is_slow_to_drop(&self) -> bool {
        match self {
            Self::Large(string) => string.heap_bytes() > Self::QUICK_DROP_BYTES_MAX,
        }
    }

    /// Drops a part of this value, which takes some ten microseconds; whether to call again before
    /// dropping the rest.
    pub fn drop_slice(&mut self) -> bool {
        match self {
            Self::Large(_) => false,
        }
    }
}

impl BlockValue for Object {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Large(string) => string.heap_bytes(),
        }
    }

    fn is_collection(&self) -> bool {
        match self {
            Self::Large(_) => false,
        }
    }
}
