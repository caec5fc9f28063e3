//! Strings too big for the keyspace's blocks.

use std::mem;
use std::sync::Arc;

use darter_structures::{Defragmentation, good_size};

use crate::object::Contents;
use crate::view::{Encoding, Type};

/// Up to this length a growing buffer doubles, later it grows by an eighth.
const DOUBLING_BYTES_MAX: usize = 1024 * 1024;

/// Dropping more than this at once takes long enough to be noticed by others: returning a megabyte to
/// the system takes some ten microseconds.
pub(crate) const QUICK_DROP_BYTES_MAX: usize = 256 * 1024;

/// A string of more than [`LargeString::BYTES_MIN`] bytes, in a buffer of its own that replies can
/// share.
///
/// A reply takes the buffer with [`share`](Self::share) and sends from it without a copy. Writing
/// to a shared buffer first makes a private copy, so a reply under way never changes. Two keys never
/// share a buffer, so that the memory of each is its own; a clone is a copy.
#[derive(Debug)]
pub struct LargeString {
    bytes: Arc<Vec<u8>>,
}

impl LargeString {
    /// Shorter strings are cheaper inside a block: copying 2 KiB into a reply costs about as much as
    /// the reference counting and the pointer chase of a shared buffer.
    pub const BYTES_MIN: usize = 2048;

    /// Takes over `bytes`, giving back unused capacity above an eighth.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.capacity() - bytes.len() > bytes.len() / 8 {
            bytes.shrink_to_fit();
        }
        Self { bytes: Arc::new(bytes) }
    }

    /// Appends, amortised O(length of `tail`) unless a reply shares the buffer.
    pub fn append(&mut self, tail: &[u8]) {
        self.make_mut(tail.len()).extend_from_slice(tail);
    }

    /// The bytes for writing, first lengthened with zeroes to at least `len_min`.
    pub fn edit(&mut self, len_min: usize) -> &mut [u8] {
        if len_min / 2 >= self.bytes.len() {
            // A buffer that is zero from the start is exact, and costs no time for the pages nobody
            // writes to.
            let mut bytes = vec![0; len_min];
            bytes[..self.bytes.len()].copy_from_slice(&self.bytes);
            self.bytes = Arc::new(bytes);
        }
        let more = len_min.saturating_sub(self.bytes.len());
        let bytes = self.make_mut(more);
        let len = bytes.len() + more;
        bytes.resize(len, 0);
        bytes
    }

    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for a reply that outlives the borrow. O(1). If the string is changed or deleted
    /// meanwhile, the buffer is the reply's to account for.
    pub fn share(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes)
    }

    /// The vector, private to this value, with room for `more` bytes.
    fn make_mut(&mut self, more: usize) -> &mut Vec<u8> {
        if Arc::get_mut(&mut self.bytes).is_none() {
            let mut copy = Vec::with_capacity(self.bytes.len() + more);
            copy.extend_from_slice(&self.bytes);
            self.bytes = Arc::new(copy);
        }
        let bytes = Arc::get_mut(&mut self.bytes).expect("just found or made unshared");
        if bytes.capacity() - bytes.len() < more {
            let len = bytes.len() + more;
            let spare = if len <= DOUBLING_BYTES_MAX { len } else { len / 8 };
            bytes.reserve_exact(more + spare);
        }
        bytes
    }
}

impl Contents for LargeString {
    fn value_type(&self) -> Type {
        Type::String
    }

    fn encoding(&self) -> Encoding {
        Encoding::Raw
    }

    /// Good sizes of the buffer and its counted header.
    fn heap_bytes(&self) -> usize {
        // Two counters and the vector's three words.
        good_size(5 * size_of::<usize>()) + good_size(self.bytes.capacity())
    }

    fn is_slow_to_drop(&self) -> bool {
        self.heap_bytes() > QUICK_DROP_BYTES_MAX
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        // What a reply is being sent from stays.
        let place = Arc::as_ptr(&self.bytes);
        let Some(bytes) = Arc::get_mut(&mut self.bytes) else { return };
        defragmentation.visit_bytes(bytes);
        if defragmentation.wants(place, size_of::<Vec<u8>>()) {
            self.bytes = Arc::new(mem::take(bytes));
        }
    }

    fn drop_slice(&mut self) -> bool {
        false
    }
}

impl Clone for LargeString {
    fn clone(&self) -> Self {
        Self::new(self.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_leaves_a_shared_buffer_alone() {
        let mut string = LargeString::new(vec![b'a'; 3000]);
        let reply = string.share();
        string.append(b"bc");
        string.edit(0)[0] = b'z';
        assert_eq!(&reply[..], &[b'a'; 3000][..]);
        assert_eq!(string.as_bytes().len(), 3002);
        assert_eq!(string.as_bytes()[0], b'z');
    }

    #[test]
    fn edit_pads_with_zeroes() {
        let mut string = LargeString::new(b"abc".to_vec());
        string.edit(5)[4] = b'e';
        assert_eq!(string.as_bytes(), b"abc\0e");
        string.edit(2);
        assert_eq!(string.as_bytes().len(), 5);
        string.edit(10_000)[9_999] = b'f';
        assert_eq!(&string.as_bytes()[..6], b"abc\0e\0");
        assert_eq!(&string.as_bytes()[9_998..], b"\0f");
        assert!(string.heap_bytes() < 11_000, "exactly what is needed");
    }
}
