//! Input a service has not consumed yet.

use std::mem;
use std::sync::Arc;

/// Bytes kept for one connection. Holds no memory when empty.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// `bytes[start..]` is not consumed.
    bytes: Vec<u8>,
    start: usize,
    /// How many bytes the service waits for, those that are kept included; 0 if it has not said.
    awaited: usize,
}

/// Free space offered to a read into a kept input, at least.
const READ_BYTES_MIN: usize = 16 << 10;
/// How many times as much as has arrived a peer is believed to send, if it says so. Then the buffer is made as large as
/// that at once: it is neither copied again and again while it grows, nor much larger than the input in the end.
const BELIEVED_FACTOR: usize = 8;
/// Room behind what is waited for then, for what a request still has behind a big argument: a buffer of hundreds of megabytes
/// is not copied for the last few words.
const BEHIND_BYTES: usize = READ_BYTES_MIN;
/// From so many bytes on the input is shown in a buffer that others may hold on to.
const LENT_BYTES_MIN: usize = 1 << 20;

/// An input while it is shown, in a buffer that whoever wants to may hold on to.
#[derive(Debug)]
pub(crate) struct LentInput {
    buffer: Arc<Vec<u8>>,
    start: usize,
}

impl LentInput {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(crate) const fn buffer(&self) -> &Arc<Vec<u8>> {
        &self.buffer
    }
}

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

    /// Lends all of it, if it is much, to be [taken back](Self::take_back); meanwhile there is nothing.
    pub(crate) fn lend(&mut self) -> Option<LentInput> {
        if self.len() < LENT_BYTES_MIN {
            return None;
        }
        let start = mem::take(&mut self.start);
        Some(LentInput { buffer: Arc::new(mem::take(&mut self.bytes)), start })
    }

    /// Takes back what was lent, without the first `count` bytes. If somebody holds on to it, what is left is copied: that is
    /// what was read behind a big request.
    pub(crate) fn take_back(&mut self, lent: LentInput, count: usize) {
        let LentInput { buffer, start } = lent;
        match Arc::try_unwrap(buffer) {
            Ok(bytes) => {
                (self.bytes, self.start) = (bytes, start);
                self.consume(count);
            }
            Err(held) => {
                assert!(count <= held.len() - start, "a service consumed more than it was shown");
                self.bytes.extend_from_slice(&held[start + count..]);
            }
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

    /// Notes how many bytes the service waits for, those that are kept included.
    pub(crate) fn note_awaited(&mut self, bytes: usize) {
        self.awaited = bytes;
    }

    /// Whether more has arrived than a limit allows of what the service waits for, which is itself beyond the limit. One read
    /// may bring all of that: it is not to be shown then as if it had come in time.
    pub(crate) fn is_beyond(&self, limit_bytes: usize) -> bool {
        self.awaited > limit_bytes && self.len() > limit_bytes
    }

    /// The buffer with free space behind the kept bytes, to append to. It grows to what the peer says will come once an
    /// eighth of that has arrived; until then, where it does not say, and where that is little, by half of what has.
    pub(crate) fn for_appending(&mut self) -> &mut Vec<u8> {
        let missing = self.awaited.saturating_sub(self.len());
        if missing > 0 {
            if self.bytes.capacity() - self.bytes.len() >= missing {
                return &mut self.bytes;
            }
            // Smaller steps would copy many arguments again for each of them.
            if missing >= self.len() / 2 && self.awaited / BELIEVED_FACTOR <= self.len() {
                self.compact();
                self.bytes.reserve_exact(missing + BEHIND_BYTES);
                return &mut self.bytes;
            }
        }
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
    fn a_buffer_becomes_as_large_as_was_announced_once_an_eighth_has_arrived() {
        const ANNOUNCED: usize = 1 << 20;
        let mut kept = Kept::default();
        kept.replace(&vec![7; 20_000]);
        kept.note_awaited(ANNOUNCED);
        while kept.len() < ANNOUNCED {
            let buffer = kept.for_appending();
            let room = (buffer.capacity().min(ANNOUNCED) - buffer.len()).min(64 << 10);
            buffer.extend(std::iter::repeat_n(7, room));
            if kept.len() > ANNOUNCED / 8 + (64 << 10) {
                assert_eq!(kept.memory_bytes(), ANNOUNCED + BEHIND_BYTES);
            } else if kept.len() <= ANNOUNCED / 8 {
                assert!(kept.memory_bytes() <= 2 * kept.len().max(READ_BYTES_MIN));
            }
        }
        // A few more words fit.
        let capacity = kept.memory_bytes();
        kept.note_awaited(ANNOUNCED + BEHIND_BYTES);
        kept.for_appending().resize(ANNOUNCED + BEHIND_BYTES, 7);
        assert_eq!(kept.memory_bytes(), capacity);
        kept.consume(ANNOUNCED + BEHIND_BYTES);
        kept.replace(&vec![7; 20_000]);
        let buffer = kept.for_appending();
        assert!(buffer.capacity() < 100_000, "that was another request");
    }

    #[test]
    fn a_request_of_many_arguments_grows_its_buffer_seldom() {
        const ARGUMENT: usize = 32 << 10;
        let mut kept = Kept::default();
        kept.replace(&vec![7; 20_000]);
        let (mut grown, mut capacity) = (0, kept.memory_bytes());
        for end in (ARGUMENT..100 * ARGUMENT).step_by(ARGUMENT) {
            while kept.len() < end {
                kept.note_awaited(end);
                let buffer = kept.for_appending();
                buffer.resize(buffer.capacity(), 7);
                grown += usize::from(kept.memory_bytes() > capacity);
                capacity = kept.memory_bytes();
            }
        }
        assert!(grown < 20, "{grown}");
    }

    #[test]
    fn what_is_lent_is_the_same_again_unless_somebody_holds_it() {
        let mut kept = Kept::default();
        kept.replace(&vec![7; LENT_BYTES_MIN - 1]);
        assert!(kept.lend().is_none(), "that is little");
        kept.replace(&vec![7; LENT_BYTES_MIN + 10]);
        kept.consume(3);
        let lent = kept.lend().expect("that is much");
        let place = lent.as_slice().as_ptr();
        assert!(kept.is_empty());
        kept.take_back(lent, 4);
        assert_eq!(
            (kept.len(), kept.as_slice().as_ptr()),
            (LENT_BYTES_MIN + 3, place.wrapping_add(4))
        );
        let lent = kept.lend().expect("that is much");
        let held = Arc::clone(lent.buffer());
        kept.take_back(lent, LENT_BYTES_MIN);
        assert_eq!(kept.as_slice(), [7; 3]);
        assert!(kept.memory_bytes() < 100);
        assert_eq!(held.len(), LENT_BYTES_MIN + 10);
        kept.consume(3);
        assert!(kept.is_empty());
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
