//! What is kept of a stream, for replicas that go on after their link was cut, and for those that are slower.
//!
//! ```text
//!   begin                                  end
//!   | block | block | ... | block | block.. |     blocks of the same length, the last one not full
//!           ^ a replica       ^ another one       each reads from where it is
//! ```
//!
//! All replicas read the same blocks: ten of them take no more memory than the slowest one. Blocks go from the front
//! once there is as much as is configured without them, and no replica has them to read.

use crate::Offset;
use std::collections::VecDeque;

/// The length of a block. What is configured is kept to within one.
const BLOCK_BYTES: usize = 16 << 10;

/// Blocks that there is room for in any case.
const SPARE_BLOCKS_MAX: usize = 64;

/// The latest part of a stream.
///
/// Invariants: all blocks but the last are full; `begin` is where the first one begins.
#[derive(Debug)]
pub struct Backlog {
    blocks: VecDeque<Vec<u8>>,
    begin: Offset,
    end: Offset,
}

impl Backlog {
    /// Nothing yet of a stream that goes on at `begin`.
    pub const fn new(begin: Offset) -> Self {
        Self { blocks: VecDeque::new(), begin, end: begin }
    }

    /// From where on it has the stream.
    pub const fn begin(&self) -> Offset {
        self.begin
    }

    /// Up to where.
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// How many bytes that are.
    pub const fn len(&self) -> u64 {
        self.end.since(self.begin)
    }

    /// Whether it has nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has everything behind `offset`.
    pub fn reaches_back_to(&self, offset: Offset) -> bool {
        self.begin <= offset && offset <= self.end
    }

    /// Appends what came.
    pub fn append(&mut self, mut bytes: &[u8]) {
        self.end = self.end.plus(bytes.len() as u64);
        while !bytes.is_empty() {
            if self.blocks.back().is_none_or(|block| block.len() == BLOCK_BYTES) {
                self.blocks.push_back(Vec::with_capacity(BLOCK_BYTES));
            }
            let block = self.blocks.back_mut().expect("there is one with room");
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - block.len()));
            block.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Lets go of blocks from the front: `keep_bytes` stay, and whatever is behind `needed`.
    pub fn trim(&mut self, keep_bytes: u64, needed: Offset) {
        let block_bytes = BLOCK_BYTES as u64;
        while self.len() >= keep_bytes.saturating_add(block_bytes)
            && needed.since(self.begin) >= block_bytes
        {
            self.blocks.pop_front();
            self.begin = self.begin.plus(block_bytes);
        }
        if self.blocks.capacity() > SPARE_BLOCKS_MAX
            && self.blocks.len() < self.blocks.capacity() / 4
        {
            self.blocks.shrink_to(2 * self.blocks.len());
        }
    }

    /// Hands what is behind `from` to `take`, piece by piece, at most `bytes_max`; how many that were. `None` if it does not
    /// reach back so far.
    pub fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Option<usize> {
        if !self.reaches_back_to(from) {
            return None;
        }
        let skipped = usize::try_from(from.since(self.begin)).ok()?;
        let (mut index, mut at) = (skipped / BLOCK_BYTES, skipped % BLOCK_BYTES);
        let mut left = bytes_max;
        while left > 0
            && let Some(rest) = self.blocks.get(index).map(|block| &block[at..])
            && !rest.is_empty()
        {
            let piece = &rest[..rest.len().min(left)];
            take(piece);
            left -= piece.len();
            (index, at) = (index + 1, 0);
        }
        Some(bytes_max - left)
    }

    /// Memory of it, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let blocks = self.blocks.len() as u64 * BLOCK_BYTES as u64;
        blocks + (self.blocks.capacity() * size_of::<Vec<u8>>()) as u64
    }

    /// Of that, what is above what is configured: for replicas that are slower, and what blocks have more.
    pub fn beyond_bytes(&self, keep_bytes: u64) -> u64 {
        self.memory_bytes().saturating_sub(keep_bytes)
    }

    /// Panics when an invariant does not hold.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let full = self.blocks.len().saturating_sub(1);
        assert!(self.blocks.iter().take(full).all(|block| block.len() == BLOCK_BYTES));
        let held: usize = self.blocks.iter().map(Vec::len).sum();
        assert_eq!(held as u64, self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte at a place.
    fn byte_at(place: u64) -> u8 {
        u8::try_from(place % 251).unwrap()
    }

    fn piece(from: Offset, len: u64) -> Vec<u8> {
        (from.bytes()..from.bytes() + len).map(byte_at).collect()
    }

    fn read(backlog: &Backlog, from: Offset, max: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let count = backlog.read(from, max, |piece| bytes.extend_from_slice(piece))?;
        assert_eq!(count, bytes.len());
        Some(bytes)
    }

    #[test]
    fn what_is_kept_is_what_was_appended() {
        let begin = Offset::new(1000).unwrap();
        let mut backlog = Backlog::new(begin);
        let keep = 100_000;
        let mut lens = [1_u64, 30_000, 7, 16_384, 0, 50_000, 16_383].into_iter().cycle();
        for _ in 0..100 {
            let len = lens.next().unwrap();
            backlog.append(&piece(backlog.end(), len));
            backlog.trim(keep, backlog.end());
            backlog.check_invariants();
            assert!(backlog.len() < keep + 2 * BLOCK_BYTES as u64);
            let middle = backlog.begin().plus(backlog.len() / 2);
            let want = backlog.end().since(middle);
            assert_eq!(read(&backlog, middle, usize::MAX), Some(piece(middle, want)));
            let some = want.min(20_000);
            assert_eq!(read(&backlog, middle, 20_000), Some(piece(middle, some)));
        }
        assert!(backlog.len() >= keep);
        assert_eq!(read(&backlog, backlog.end(), 5), Some(Vec::new()));
        assert_eq!(read(&backlog, backlog.end().plus(1), 5), None);
        assert_eq!(read(&backlog, begin, 5), None, "it is gone");
    }

    #[test]
    fn what_a_replica_has_to_read_stays() {
        let mut backlog = Backlog::new(Offset::ZERO);
        backlog.append(&piece(Offset::ZERO, 500_000));
        let needed = Offset::new(20_000).unwrap();
        backlog.trim(1, needed);
        assert_eq!(backlog.begin().bytes(), BLOCK_BYTES as u64);
        assert_eq!(read(&backlog, needed, 10), Some(piece(needed, 10)));
        assert!(backlog.beyond_bytes(100_000) > 300_000);
        backlog.trim(1, backlog.end());
        assert!(backlog.len() <= 2 * BLOCK_BYTES as u64);
        let spare = (SPARE_BLOCKS_MAX * size_of::<Vec<u8>>()) as u64;
        assert!(backlog.memory_bytes() <= 2 * BLOCK_BYTES as u64 + spare);
        backlog.check_invariants();
    }
}
