//! Strings too big for the keyspace's blocks.

use std::mem;

use darter_base::SharedBytes;
use darter_structures::{Defragmentation, good_size, move_bytes, zeroes};

use crate::object::Contents;
use crate::view::{Encoding, Type};

/// Up to this length a growing buffer doubles, later it grows by an eighth.
const DOUBLING_BYTES_MAX: usize = 1024 * 1024;

/// From this length on the content moves to a larger buffer by pages.
const MOVED_BYTES_MIN: usize = 4 * 1024 * 1024;

/// Dropping more than this at once takes long enough to be noticed by others: returning a megabyte to
/// the system takes some ten microseconds.
pub(crate) const QUICK_DROP_BYTES_MAX: usize = 256 * 1024;

/// Bytes to be stored: copied, unless they lie in a buffer that a value may take over.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    bytes: &'a [u8],
    /// The same bytes.
    shared: Option<&'a SharedBytes>,
}

impl<'a> Text<'a> {
    /// `bytes`, which are in `shared` if that is given.
    pub const fn new(bytes: &'a [u8], shared: Option<&'a SharedBytes>) -> Self {
        Self { bytes, shared }
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a, B: AsRef<[u8]> + ?Sized> From<&'a B> for Text<'a> {
    #[inline]
    fn from(bytes: &'a B) -> Self {
        Self::new(bytes.as_ref(), None)
    }
}

/// A string of more than [`LargeString::BYTES_MIN`] bytes, in a buffer of its own that replies can
/// share.
///
/// A reply takes the buffer with [`share`](Self::share) and sends from it without a copy. Writing
/// to a shared buffer first makes a private copy, so a reply under way never changes. Two keys never
/// share a buffer, so that the memory of each is its own; a clone is a copy.
#[derive(Debug)]
pub struct LargeString {
    bytes: SharedBytes,
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
        Self { bytes: bytes.into() }
    }

    /// Takes over what somebody else may still hold for a moment, but no other value.
    pub const fn taking_over(bytes: SharedBytes) -> Self {
        Self { bytes }
    }

    /// A value of these bytes: O(1) if they can be taken over.
    pub fn of(text: Text<'_>) -> Self {
        match text.shared {
            Some(shared) => Self::taking_over(shared.clone()),
            None => Self::new(text.bytes.to_vec()),
        }
    }

    /// Appends, amortised O(length of `tail`) unless a reply shares the buffer.
    pub fn append(&mut self, tail: &[u8]) {
        let len = self.bytes.len();
        self.edit(len + tail.len())[len..].copy_from_slice(tail);
    }

    /// The bytes for writing, first lengthened with zeroes to at least `len_min`. Amortised O(bytes more) unless a reply
    /// shares the buffer.
    pub fn edit(&mut self, len_min: usize) -> &mut [u8] {
        let (len, len_new) = (self.bytes.len(), len_min.max(self.bytes.len()));
        let is_doubled = len_min / 2 >= len;
        let is_moved = len_new > self.bytes.capacity() && len_new >= MOVED_BYTES_MIN;
        if is_doubled || is_moved {
            // A buffer that is zero from the start is exact, and costs no time for the pages nobody
            // writes to.
            let spare = if is_doubled { 0 } else { spare_of(len_new) };
            let mut bytes = zeroes(len_new + spare);
            match self.bytes.get_mut() {
                Some(before) => move_bytes(before, &mut bytes),
                None => bytes[..len].copy_from_slice(&self.bytes),
            }
            bytes.truncate(len_new);
            self.bytes = bytes.into();
        }
        let bytes = self.make_mut(len_new - self.bytes.len());
        bytes.resize(len_new, 0);
        bytes
    }

    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for a reply that outlives the borrow. O(1). If the string is changed or deleted
    /// meanwhile, the buffer is the reply's to account for.
    pub fn share(&self) -> SharedBytes {
        self.bytes.clone()
    }

    /// The vector, private to this value, with room for `more` bytes.
    fn make_mut(&mut self, more: usize) -> &mut Vec<u8> {
        if self.bytes.get_mut().is_none() {
            let mut copy = Vec::with_capacity(self.bytes.len() + more);
            copy.extend_from_slice(&self.bytes);
            self.bytes = copy.into();
        }
        let bytes = self.bytes.get_mut().expect("just found or made unshared");
        if bytes.capacity() - bytes.len() < more {
            bytes.reserve_exact(more + spare_of(bytes.len() + more));
        }
        bytes
    }
}

/// How much more than `len` a buffer gets that grows.
const fn spare_of(len: usize) -> usize {
    if len <= DOUBLING_BYTES_MAX { len } else { len / 8 }
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
        self.bytes.headers() * good_size(5 * size_of::<usize>()) + good_size(self.bytes.capacity())
    }

    fn is_slow_to_drop(&self) -> bool {
        self.heap_bytes() > QUICK_DROP_BYTES_MAX
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        // What a reply is being sent from stays.
        let Some((bytes, place)) = self.bytes.whole_mut() else { return };
        defragmentation.visit_bytes(bytes);
        if defragmentation.wants(place, size_of::<Vec<u8>>()) {
            self.bytes = mem::take(bytes).into();
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
    use std::sync::Arc;

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
    fn a_long_string_keeps_its_content_as_it_grows() {
        let mut string = LargeString::new(vec![b'a'; MOVED_BYTES_MIN]);
        let reply = string.share();
        for _ in 0..3 {
            let len = string.as_bytes().len();
            for more in [1, len / 4, len * 2] {
                let before = string.as_bytes().len();
                string.edit(before + more)[before + more - 1] = b'z';
                string.append(b"aa");
            }
        }
        let bytes = || string.as_bytes().iter();
        let count = |byte| bytes().map(|one| usize::from(*one == byte)).sum::<usize>();
        assert_eq!((count(b'a'), count(b'z')), (MOVED_BYTES_MIN + 18, 9));
        assert_eq!(count(0) + MOVED_BYTES_MIN + 27, string.as_bytes().len());
        assert_eq!(reply.len(), MOVED_BYTES_MIN);
        assert!(reply.iter().all(|byte| *byte == b'a'));
    }

    #[test]
    fn what_is_taken_over_is_edited_as_any_other() {
        for len in [3000, MOVED_BYTES_MIN] {
            let mut request = b"SET".to_vec();
            request.resize(len + 3, b'v');
            request.extend_from_slice(b"\r\n");
            request.shrink_to_fit();
            let request = Arc::new(request);
            let part = SharedBytes::part(&request, 3..len + 3).expect("nearly all of it");
            let mut string = LargeString::taking_over(part);
            assert!(string.heap_bytes() >= len + 5);
            let copy = string.clone();
            // Somebody is still sending the request.
            string.append(b"w");
            assert_eq!(request.len(), len + 5);
            drop(request);
            let mut alone = copy.clone();
            for string in [&mut string, &mut alone] {
                string.edit(len + 1)[len] = b'w';
                string.edit(0)[0] = b'u';
                assert_eq!(string.as_bytes().len(), len + 1);
                assert_eq!(string.as_bytes()[..2], *b"uv");
                assert_eq!(string.as_bytes()[len - 1..], *b"vw");
            }
            assert!(copy.as_bytes().iter().all(|byte| *byte == b'v'));
        }
    }

    #[test]
    fn what_is_taken_over_and_let_go_by_others_is_edited_in_place() {
        let request = Arc::new([b"SET".as_slice(), &[b'v'; 3000], b"\r\n"].concat());
        let part = SharedBytes::part(&request, 3..3003).expect("nearly all of it");
        drop(request);
        let mut string = LargeString::taking_over(part);
        let place = string.as_bytes().as_ptr();
        string.edit(0)[0] = b'u';
        assert_eq!(string.as_bytes().as_ptr(), place.wrapping_sub(3));
        assert_eq!(string.as_bytes().len(), 3000);
        assert_eq!(string.as_bytes()[..2], *b"uv");
        assert_eq!(string.as_bytes()[2999], b'v');
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
