//! Input a service has not consumed yet.

/// Bytes kept for one connection. Holds no memory when empty.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// `bytes[start..]` is not consumed.
    bytes: Vec<u8>,
    start: usize,
}

/// Free space offered to a read into a kept input, at least.
const READ_BYTES_MIN: usize = 16 << 10;

impl Kept {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops the first `count` bytes; frees the memory when nothing is left.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "a service consumed more than it was shown");
        self.start += count;
        if self.is_empty() {
            self.free();
        }
    }

    pub(crate) fn free(&mut self) {
        *self = Self::default();
    }

    /// Replaces what is kept by `rest`.
    pub(crate) fn replace(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.free();
            return;
        }
        if self.bytes.capacity() / 4 > rest.len().max(READ_BYTES_MIN) {
            self.free();
        }
        self.start = 0;
        self.bytes.clear();
        self.bytes.extend_from_slice(rest);
    }

    /// The buffer with free space behind the kept bytes, to append to. It grows by half of what has
    /// arrived, never by what a peer says will come.
    pub(crate) fn for_appending(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < READ_BYTES_MIN {
            self.compact();
            let wanted = READ_BYTES_MIN.max(self.bytes.len() / 2);
            if self.bytes.capacity() - self.bytes.len() < wanted / 2 {
                self.bytes.reserve_exact(wanted);
            }
        }
        &mut self.bytes
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start.., 0);
            self.bytes.truncate(self.bytes.len() - self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consuming_everything_frees_the_memory() {
        let mut kept = Kept::default();
        kept.replace(b"hello");
        kept.consume(2);
        assert_eq!(kept.as_slice(), b"llo");
        kept.consume(3);
        assert!(kept.is_empty());
        assert_eq!(kept.memory_bytes(), 0);
    }

    #[test]
    fn appending_keeps_what_is_not_consumed_and_grows_with_what_arrived() {
        let mut kept = Kept::default();
        kept.replace(&vec![7; 20_000]);
        kept.consume(10_000);
        let mut arrived = 20_000;
        while arrived < 10_000_000 {
            let buffer = kept.for_appending();
            let room = buffer.capacity() - buffer.len();
            assert!(room >= READ_BYTES_MIN / 2);
            buffer.resize(buffer.capacity(), 7);
            arrived += room;
            assert!(kept.memory_bytes() <= arrived * 2, "{} for {arrived}", kept.memory_bytes());
        }
        assert_eq!(kept.len(), arrived - 10_000);
        assert!(kept.as_slice().iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_small_rest_does_not_hold_on_to_a_large_buffer() {
        let mut kept = Kept::default();
        kept.replace(&vec![1; 1 << 20]);
        kept.replace(b"rest");
        assert!(kept.memory_bytes() < 1024);
        assert_eq!(kept.as_slice(), b"rest");
    }
}
