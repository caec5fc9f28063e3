//! Moving allocations together, so that pages of the allocator become free.
//!
//! The allocator cuts its pages into blocks of one size. When values of other sizes take the place of those there
//! were, many pages are left with few blocks each, and none of them can be used for anything else. So whoever owns
//! allocations goes over them now and then, and [wants](Defragmentation::wants) those moved that lie in such a page: the new
//! place is in a fuller one of the same size. What was left last in a page frees it.
//!
//! Nothing of what a structure tells of itself changes by that, sizes in particular. A big structure moves only a part
//! of what it has each time it is visited, another one at every visit.

use crate::allocator;
use std::ops::Range;

/// Parts of a big structure that one visit looks at: a few microseconds.
pub const PARTS_PER_VISIT: usize = 256;

/// Bytes that are moved in one go, after which the rest of a big structure waits for its next visit: some hundred microseconds
/// if they are in no cache.
const GO_BYTES_MAX: usize = 1 << 20;

/// One round of moving things together: which allocations are to be moved, and how many were.
#[derive(Debug)]
pub struct Defragmentation {
    /// A page with at most so many of a hundred blocks in use is to be freed; `None`: all are.
    percent: Option<usize>,
    /// Bytes that may be moved in one go, and what is left of them.
    go_bytes_max: usize,
    left_bytes: usize,
    /// State of a sequence of random numbers.
    random: u64,
    /// Allocations moved.
    pub moved: u64,
    /// Allocations that stayed.
    pub kept: u64,
}

impl Defragmentation {
    /// Moves what lies in pages with at most `percent` of a hundred blocks in use. `seed` decides which parts of big
    /// structures are visited.
    pub const fn below(percent: usize, seed: u64) -> Self {
        Self::new(Some(percent), GO_BYTES_MAX, seed)
    }

    /// Moves everything it is asked about, wherever it lies.
    pub const fn of_everything(seed: u64) -> Self {
        Self::new(None, usize::MAX, seed)
    }

    const fn new(percent: Option<usize>, go_bytes_max: usize, seed: u64) -> Self {
        let left_bytes = go_bytes_max;
        Self { percent, go_bytes_max, left_bytes, random: seed, moved: 0, kept: 0 }
    }

    /// Begins another go.
    pub const fn go_on(&mut self) {
        self.left_bytes = self.go_bytes_max;
    }

    /// Whether as much has been moved as may be in one go. Nothing is wanted moved until the next one.
    pub const fn is_spent(&self) -> bool {
        self.left_bytes == 0
    }

    /// Whether the allocation of `bytes` that `address` points into is to be moved; it is counted as if that was done then.
    #[inline]
    pub fn wants<T>(&mut self, address: *const T, bytes: usize) -> bool {
        if self.is_spent() {
            return false;
        }
        let wants = match self.percent {
            Some(percent) => allocator::is_in_sparse_page(address, percent),
            None => true,
        };
        if wants {
            self.moved += 1;
            self.left_bytes = self.left_bytes.saturating_sub(bytes);
        } else {
            self.kept += 1;
        }
        wants
    }

    /// Moves the buffer of a vector, capacity and all, if it is wanted moved.
    pub fn visit_bytes(&mut self, bytes: &mut Vec<u8>) {
        if bytes.capacity() > 0 && self.wants(bytes.as_ptr(), bytes.capacity()) {
            let mut moved = Vec::with_capacity(bytes.capacity());
            moved.extend_from_slice(bytes);
            *bytes = moved;
        }
    }

    /// Which of the `parts` of a structure a visit looks at: all if they are few, else some from a random one on.
    pub fn some_of(&mut self, parts: usize) -> Range<usize> {
        let from = match parts {
            0..=PARTS_PER_VISIT => 0,
            _ => usize::try_from(self.begin() % parts as u64).unwrap_or(0),
        };
        from..parts.min(from + PARTS_PER_VISIT)
    }

    /// Where a visit of a big structure begins: a random number.
    pub const fn begin(&mut self) -> u64 {
        // A Weyl sequence, mixed: splitmix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_ends_when_enough_was_moved() {
        let mut defragmentation = Defragmentation::new(None, 100, 0);
        let mut vectors = [vec![1; 60], vec![2; 60], vec![3; 60]];
        let before = vectors.clone();
        let places = [0, 1, 2].map(|at: usize| vectors[at].as_ptr());
        for bytes in &mut vectors {
            defragmentation.visit_bytes(bytes);
        }
        assert_eq!((defragmentation.moved, defragmentation.is_spent()), (2, true));
        assert_eq!((vectors[2].as_ptr(), defragmentation.kept), (places[2], 0));
        defragmentation.go_on();
        defragmentation.visit_bytes(&mut vectors[2]);
        assert_eq!((defragmentation.moved, defragmentation.is_spent()), (3, false));
        assert_ne!(vectors[2].as_ptr(), places[2]);
        assert_eq!(vectors, before);
    }
}
