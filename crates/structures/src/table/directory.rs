//! The directory: which segment a hash belongs to, and the segments' memory.
//!
//! ```text
//!  directory, 2^depth words          segments, 4096 bytes each
//! +----+----+----+----+             +--------------------------------+
//! | 00 | 01 | 10 | 11 |             | 64 buckets of 8 slots          |
//! +-|--+-|--+-|--+-|--+             +--------------------------------+
//!   |    |    +----+------> one segment of depth 1: all hashes 1...
//!   |    +----------------> one of depth 2: hashes 01...
//!   +---------------------> one of depth 2: hashes 00...
//! ```
//!
//! A segment of depth `d` holds the hashes that begin with some `d` bits, and `2^(depth - d)`
//! neighbouring words point to it; the first of them is its *start*. The words carry the segment's depth
//! and whether it has overflow in their low bits, so segments need no header and a lookup touches one
//! word here and then the bucket.
//!
//! The one segment of a small table may have fewer buckets than 64, any power of two.
//!
//! Everything that needs `unsafe` about segments is in this file; its interface is safe.

#![allow(unsafe_code, reason = "owns the segments through tagged pointers")]
#![allow(clippy::cast_possible_truncation, reason = "fields cut from wider numbers")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

use super::word::{Bucket, DEPTH_MAX, Word};
use crate::size::good_size;

/// Buckets of every segment but the only one of a small table.
pub(super) const SEGMENT_BUCKETS: usize = 64;

const _: () = assert!(SEGMENT_BUCKETS * size_of::<Bucket>() == 4096, "a segment is one page");

/// Directory words per segment, at most: what bounds the memory of a table whose hashes were chosen
/// to share long prefixes. Under 2 are needed when they are random.
const WORDS_PER_SEGMENT_MAX: usize = 16;

/// The "earliest deadline" of a segment that has none.
pub(super) const NEVER: u64 = u64::MAX;

/// Maps hashes to segments, and owns them; but not the entries in them.
#[derive(Debug)]
pub(super) struct Directory {
    /// `2^depth` words, or none while the table is empty.
    words: Vec<SegmentWord>,
    /// Per word, a lower bound of the deadlines in the segment that starts here, in Unix milliseconds;
    /// [`NEVER`] where none starts. As long as `words`, or empty until there is a deadline.
    earliest: Vec<u64>,
    depth: u32,
    /// Buckets per segment; [`SEGMENT_BUCKETS`] unless `depth` is 0.
    buckets: usize,
    segments: usize,
    /// Segments whose own depth is `depth`; the directory halves when there are none left.
    deepest: usize,
}

impl Directory {
    pub(super) const fn new() -> Self {
        Self {
            words: Vec::new(),
            earliest: Vec::new(),
            depth: 0,
            buckets: 0,
            segments: 0,
            deepest: 0,
        }
    }

    /// Opens the first segment.
    pub(super) fn open(&mut self, buckets: usize) {
        assert!(self.words.is_empty(), "the directory was opened already");
        self.words = vec![SegmentWord::new(Segment::new(buckets), 0)];
        (self.buckets, self.segments, self.deepest) = (buckets, 1, 1);
    }

    /// Frees all segments.
    pub(super) fn close(&mut self) {
        *self = Self::new();
    }

    /// Exchanges the only segment for an empty one of `buckets`, and returns it. The deadline bound
    /// stays.
    pub(super) fn replace(&mut self, buckets: usize) -> Segment {
        assert!(self.depth == 0, "only the first segment can change its size");
        let old = self.words[0];
        self.words[0] = SegmentWord::new(Segment::new(buckets), 0);
        let old_buckets = mem::replace(&mut self.buckets, buckets);
        // SAFETY: the word was just removed, so nothing else refers to the segment.
        unsafe { old.into_segment(old_buckets) }
    }

    /// Gives the segment of `index` an empty sibling that covers the upper half of its hashes; where
    /// both start. The sibling has no deadline bound yet.
    pub(super) fn split(&mut self, index: usize) -> (usize, usize) {
        assert!(self.may_split(index), "a segment was split too deep");
        let mut index = index;
        if self.depth_of(index) == self.depth {
            self.double();
            index *= 2;
        }
        let start = self.start_of(index);
        let half = self.span_of(index) / 2;
        let depth = self.depth_of(index) + 1;
        let left = self.words[start].with_depth(depth);
        let right = SegmentWord::new(Segment::new(SEGMENT_BUCKETS), depth);
        self.words[start..start + half].fill(left);
        self.words[start + half..start + 2 * half].fill(right);
        self.segments += 1;
        if depth == self.depth {
            self.deepest += 2;
        }
        (start, start + half)
    }

    /// Whether the segment of `index` may be split: the depth is bounded, and so is the size of the
    /// directory in proportion to the segments.
    pub(super) fn may_split(&self, index: usize) -> bool {
        let depth = self.depth_of(index);
        self.buckets == SEGMENT_BUCKETS
            && depth < DEPTH_MAX
            && (depth < self.depth
                || self.words.len() * 2 <= (self.segments + 1) * WORDS_PER_SEGMENT_MAX)
    }

    /// The start of the segment that covers the other half of the parent's hashes, if it has the same
    /// depth.
    pub(super) fn buddy_of(&self, index: usize) -> Option<usize> {
        let depth = self.depth_of(index);
        if depth == 0 {
            return None;
        }
        let buddy = self.start_of(index) ^ self.span_of(index);
        (self.depth_of(buddy) == depth).then_some(buddy)
    }

    /// Frees the right one of two buddies, which must be empty, and lets the left one cover both; where
    /// that starts. May halve the directory.
    pub(super) fn merge(&mut self, index: usize) -> usize {
        let buddy = self.buddy_of(index).expect("only buddies of equal depth can merge");
        let start = self.start_of(index).min(buddy);
        let half = self.span_of(index);
        let depth = self.depth_of(index);
        let right = self.words[start + half];
        assert!(
            !self.has_overflow(start)
                && !self.has_overflow(start + half)
                && self.buckets(start + half).iter().all(|bucket| bucket.len() == 0),
            "a segment to be freed must be empty"
        );
        let left = self.words[start].with_depth(depth - 1);
        self.words[start..start + 2 * half].fill(left);
        // SAFETY: all words that pointed to it were just overwritten.
        drop(unsafe { right.into_segment(SEGMENT_BUCKETS) });
        if let Some([left, right]) = self.earliest_pair(start, start + half) {
            *left = (*left).min(*right);
            *right = NEVER;
        }
        self.segments -= 1;
        if depth == self.depth {
            self.deepest -= 2;
        }
        let mut start = start;
        while self.deepest == 0 {
            self.halve();
            start /= 2;
        }
        start
    }

    /// Removes the last segment, for taking a table apart: afterwards only `pop` and dropping are
    /// allowed.
    pub(super) fn pop(&mut self) -> Option<Segment> {
        let word = *self.words.last()?;
        let span = self.span_of(self.words.len() - 1);
        self.words.truncate(self.words.len() - span);
        self.segments -= 1;
        if self.words.is_empty() {
            (self.words, self.earliest) = (Vec::new(), Vec::new());
        }
        // SAFETY: all words that pointed to it were just removed.
        Some(unsafe { word.into_segment(self.buckets) })
    }

    /// The word index of `hash`. The directory must not be empty.
    #[inline]
    pub(super) fn index_of(&self, hash: u64) -> usize {
        // In two steps, because a shift by 64 is not allowed.
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    /// The buckets of the segment `index` belongs to.
    #[inline]
    pub(super) fn buckets(&self, index: usize) -> &[Bucket] {
        let segment = self.words[index].segment();
        // SAFETY: every word points to a segment of this many buckets, borrowed with `self`.
        unsafe { slice::from_raw_parts(segment.as_ptr(), self.buckets) }
    }

    /// As [`buckets`](Self::buckets), for writing.
    #[inline]
    pub(super) fn buckets_mut(&mut self, index: usize) -> &mut [Bucket] {
        let segment = self.words[index].segment();
        // SAFETY: as in `buckets`, and exclusive because `self` is.
        unsafe { slice::from_raw_parts_mut(segment.as_ptr(), self.buckets) }
    }

    /// The buckets of two different segments.
    pub(super) fn pair_mut(&mut self, left: usize, right: usize) -> (&mut [Bucket], &mut [Bucket]) {
        let [left, right] = [self.words[left].segment(), self.words[right].segment()];
        assert!(left != right, "two segments are needed");
        // SAFETY: as in `buckets_mut`; different words point to different segments or to the same, and
        // these are not the same.
        let left = unsafe { slice::from_raw_parts_mut(left.as_ptr(), self.buckets) };
        // SAFETY: likewise.
        let right = unsafe { slice::from_raw_parts_mut(right.as_ptr(), self.buckets) };
        (left, right)
    }

    /// Number of words.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) const fn segments(&self) -> usize {
        self.segments
    }

    pub(super) const fn depth(&self) -> u32 {
        self.depth
    }

    /// Buckets per segment.
    pub(super) const fn segment_buckets(&self) -> usize {
        self.buckets
    }

    #[inline]
    pub(super) fn depth_of(&self, index: usize) -> u32 {
        self.words[index].depth()
    }

    /// Words that point to the segment of `index`.
    #[inline]
    pub(super) fn span_of(&self, index: usize) -> usize {
        1 << (self.depth - self.depth_of(index))
    }

    /// The first word that points to the segment of `index`.
    #[inline]
    pub(super) fn start_of(&self, index: usize) -> usize {
        index & !(self.span_of(index) - 1)
    }

    /// The first hash of the word `index`; `None` behind the last word.
    pub(super) fn first_hash(&self, index: usize) -> Option<u64> {
        if index >= self.words.len() {
            return None;
        }
        // In two steps, because a shift by 64 is not allowed.
        Some(((index as u64) << (63 - self.depth)) << 1)
    }

    #[inline]
    pub(super) fn has_overflow(&self, index: usize) -> bool {
        self.words[index].has_overflow()
    }

    pub(super) fn set_overflow(&mut self, index: usize, has_overflow: bool) {
        let (start, span) = (self.start_of(index), self.span_of(index));
        let word = self.words[start].with_overflow(has_overflow);
        self.words[start..start + span].fill(word);
    }

    /// Whether any bound was ever set.
    pub(super) fn has_earliest(&self) -> bool {
        !self.earliest.is_empty()
    }

    /// The lower bound of the deadlines in the segment of `index`.
    pub(super) fn earliest(&self, index: usize) -> u64 {
        if self.earliest.is_empty() { NEVER } else { self.earliest[self.start_of(index)] }
    }

    pub(super) fn set_earliest(&mut self, index: usize, deadline_ms: u64) {
        if self.earliest.is_empty() {
            if deadline_ms == NEVER {
                return;
            }
            self.earliest = vec![NEVER; self.words.len()];
        }
        let start = self.start_of(index);
        self.earliest[start] = deadline_ms;
    }

    /// Accounts for a deadline in the segment of `index`.
    #[inline]
    pub(super) fn lower_earliest(&mut self, index: usize, deadline_ms: u64) {
        if deadline_ms < self.earliest(index) {
            self.set_earliest(index, deadline_ms);
        }
    }

    /// The first segment from `index` on with a bound below `before_ms`.
    pub(super) fn find_earlier(&self, index: usize, before_ms: u64) -> Option<usize> {
        let bounds = self.earliest.get(index..)?;
        Some(index + bounds.iter().position(|bound| *bound < before_ms)?)
    }

    /// The least bound of all.
    pub(super) fn earliest_of_all(&self) -> u64 {
        self.earliest.iter().copied().min().unwrap_or(NEVER)
    }

    /// Bytes of heap, in good sizes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let vec_bytes = |capacity| if capacity == 0 { 0 } else { good_size(capacity * 8) };
        self.segments * self.buckets * size_of::<Bucket>()
            + vec_bytes(self.words.capacity())
            + vec_bytes(self.earliest.capacity())
    }

    /// Panics unless the words are as the type says.
    pub(super) fn check_invariants(&self) {
        if self.words.is_empty() {
            assert_eq!((self.segments, self.depth, self.earliest.len()), (0, 0, 0));
            return;
        }
        assert_eq!(self.words.len(), 1 << self.depth);
        assert!(self.buckets.is_power_of_two() && self.buckets <= SEGMENT_BUCKETS);
        assert!(self.depth == 0 || self.buckets == SEGMENT_BUCKETS);
        assert!(self.earliest.is_empty() || self.earliest.len() == self.words.len());
        let (mut index, mut segments, mut deepest) = (0, 0, 0);
        while index < self.words.len() {
            assert!(self.depth_of(index) <= self.depth.min(DEPTH_MAX));
            let span = self.span_of(index);
            assert_eq!(self.start_of(index), index, "segments are aligned to their span");
            for other in index..index + span {
                assert!(self.words[other] == self.words[index], "one segment, one word");
                if other != index && self.has_earliest() {
                    assert_eq!(self.earliest[other], NEVER);
                }
            }
            segments += 1;
            deepest += usize::from(span == 1);
            index += span;
        }
        assert_eq!((segments, deepest), (self.segments, self.deepest));
        assert!(deepest > 0, "the directory is no larger than its deepest segment needs");
    }

    /// Doubles the directory: every segment gets twice the words.
    fn double(&mut self) {
        let mut words = Vec::with_capacity(self.words.len() * 2);
        words.extend(self.words.iter().flat_map(|word| [*word, *word]));
        self.words = words;
        if !self.earliest.is_empty() {
            let mut earliest = Vec::with_capacity(self.earliest.len() * 2);
            earliest.extend(self.earliest.iter().flat_map(|bound| [*bound, NEVER]));
            self.earliest = earliest;
        }
        self.depth += 1;
        self.deepest = 0;
    }

    /// Halves the directory, which must have no segment of its full depth.
    fn halve(&mut self) {
        let even = |length: usize| (0..length).step_by(2);
        self.words = even(self.words.len()).map(|index| self.words[index]).collect();
        self.earliest = even(self.earliest.len()).map(|index| self.earliest[index]).collect();
        self.depth -= 1;
        self.deepest = (0..self.words.len()).filter(|index| self.span_of(*index) == 1).count();
    }

    fn earliest_pair(&mut self, left: usize, right: usize) -> Option<[&mut u64; 2]> {
        self.earliest.get_disjoint_mut([left, right]).ok()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

// SAFETY: the directory owns its segments exclusively, and words are plain numbers.
unsafe impl Send for Directory {}
// SAFETY: a shared directory gives out only shared references to its segments.
unsafe impl Sync for Directory {}

/// A segment on its own: zeroed buckets on a cache line boundary.
pub(super) struct Segment {
    buckets: NonNull<Bucket>,
    len: usize,
}

impl Segment {
    fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout is not empty.
        let address = unsafe { alloc_zeroed(layout) };
        match NonNull::new(address.cast()) {
            Some(buckets) => Self { buckets, len },
            None => handle_alloc_error(layout),
        }
    }

    fn layout(len: usize) -> Layout {
        assert!(len > 0, "a segment has a bucket");
        Layout::array::<Bucket>(len).expect("a segment is small")
    }

    fn into_raw(self) -> NonNull<Bucket> {
        mem::ManuallyDrop::new(self).buckets
    }
}

impl Deref for Segment {
    type Target = [Bucket];

    fn deref(&self) -> &[Bucket] {
        // SAFETY: `len` buckets are allocated, and all zeroes is a valid bucket.
        unsafe { slice::from_raw_parts(self.buckets.as_ptr(), self.len) }
    }
}

impl DerefMut for Segment {
    fn deref_mut(&mut self) -> &mut [Bucket] {
        // SAFETY: likewise, exclusively.
        unsafe { slice::from_raw_parts_mut(self.buckets.as_ptr(), self.len) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout.
        unsafe { dealloc(self.buckets.as_ptr().cast(), Self::layout(self.len)) };
    }
}

/// A pointer to a segment with its depth (bits 0-4) and the overflow flag (bit 5) in the bits that its
/// alignment leaves free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SegmentWord(NonNull<Bucket>);

const DEPTH_MASK: usize = 0x1f;
const OVERFLOW_FLAG: usize = 0x20;
const SEGMENT_MASK: usize = !(DEPTH_MASK | OVERFLOW_FLAG);

const _: () = assert!(align_of::<Bucket>() > (DEPTH_MASK | OVERFLOW_FLAG), "room for the low bits");
const _: () = assert!(DEPTH_MAX as usize <= DEPTH_MASK, "a depth fits");
const _: () = assert!(size_of::<SegmentWord>() == 8 && size_of::<Word>() == 8, "eight bytes each");

impl SegmentWord {
    fn new(segment: Segment, depth: u32) -> Self {
        Self(segment.into_raw()).with_depth(depth)
    }

    #[inline]
    fn segment(self) -> NonNull<Bucket> {
        self.with_bits(0)
    }

    #[inline]
    fn depth(self) -> u32 {
        (self.bits() & DEPTH_MASK) as u32
    }

    #[inline]
    fn has_overflow(self) -> bool {
        self.bits() & OVERFLOW_FLAG != 0
    }

    fn with_depth(self, depth: u32) -> Self {
        Self(self.with_bits(self.bits() & OVERFLOW_FLAG | depth as usize))
    }

    fn with_overflow(self, has_overflow: bool) -> Self {
        let flag = if has_overflow { OVERFLOW_FLAG } else { 0 };
        Self(self.with_bits(self.bits() & DEPTH_MASK | flag))
    }

    /// # Safety
    /// The segment has `buckets` buckets, and no other word points to it any more.
    unsafe fn into_segment(self, buckets: usize) -> Segment {
        Segment { buckets: self.segment(), len: buckets }
    }

    #[inline]
    fn bits(self) -> usize {
        self.0.addr().get() & !SEGMENT_MASK
    }

    #[inline]
    fn with_bits(self, bits: usize) -> NonNull<Bucket> {
        let pointer = self.0.as_ptr().map_addr(|address| address & SEGMENT_MASK | bits);
        NonNull::new(pointer).expect("a segment's address is not in the first 64 bytes")
    }
}
