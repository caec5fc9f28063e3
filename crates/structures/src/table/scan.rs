//! Walking a table that changes between the steps.
//!
//! **`scan`** is for SCAN: small steps, and an entry that is there all the time is visited at least once.
//! A step visits entries by their *canonical* bucket, the smaller one of their two, which does not change
//! when an entry is displaced to the other. The cursor is
//!
//! ```text
//!   36          11 10     6 5      0
//!  +--------------+--------+--------+
//!  | hash prefix  | shape  | bucket |
//!  +--------------+--------+--------+
//! ```
//!
//! the hashes below the prefix and, in the segment that begins there, the canonical buckets below the
//! number being done. The shape is the depth of the segment when the step was made, and keeps the
//! cursor true when the table has changed since:
//! * The segment was split: what was done is done in each part, since canonical buckets do not depend on
//!   the depth. Go on in the first part; later parts are done from their first bucket.
//! * It was merged, or the table shrank or grew below one full segment (shapes above the
//!   greatest depth tell the sizes apart): begin the segment again.
//!
//! So repetitions happen only around changes of shape, and a scan always ends: it only ever goes back to
//! the beginning of the present segment, and that only after its shape has changed.
//!
//! **`for_each_slice`** is for walks that need each entry exactly once: a whole segment per step, with a
//! hash as the boundary; if a merge moved entries below the boundary into the segment they are told by
//! their hash.

#![allow(clippy::cast_possible_truncation, reason = "fields cut from wider numbers")]

use super::bucket;
use super::directory::SEGMENT_BUCKETS;
use super::word::{Bucket, DEPTH_MAX, Marks, Word, canonical_bucket, first_bucket};
use super::{Entry, EntryView, IN_OVERFLOW, Position, Table, prefetch_entries};
use crate::prefetch::prefetch_read;

/// Scan cursors are below two to this power.
pub const SCAN_CURSOR_BITS: u32 = DEPTH_MAX + SHAPE_BITS + BUCKET_BITS;

const SHAPE_BITS: u32 = 5;
const BUCKET_BITS: u32 = 6;

const _: () = assert!(SEGMENT_BUCKETS == 1 << BUCKET_BITS);
// Depths 0 to DEPTH_MAX, then the sizes of a small first segment: 32, 16 ... 1 buckets. The last two
// share a shape, which is harmless: one bucket is always visited whole.
const _: () = assert!(DEPTH_MAX + BUCKET_BITS - 1 < 1 << SHAPE_BITS);

/// Tries at random slots before counting, and counting is fair too.
const RANDOM_TRIES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// Left-aligned.
    prefix: u64,
    shape: u32,
    bucket: usize,
}

impl Cursor {
    fn from_bits(bits: u64) -> Self {
        let field = |shift: u32, width: u32| (bits >> shift) & ((1 << width) - 1);
        Self {
            prefix: field(BUCKET_BITS + SHAPE_BITS, DEPTH_MAX) << (64 - DEPTH_MAX),
            shape: field(BUCKET_BITS, SHAPE_BITS) as u32,
            bucket: field(0, BUCKET_BITS) as usize,
        }
    }

    fn to_bits(self) -> u64 {
        let prefix = self.prefix >> (64 - DEPTH_MAX);
        let shape = u64::from(self.shape) << BUCKET_BITS;
        prefix << (BUCKET_BITS + SHAPE_BITS) | shape | self.bucket as u64
    }
}

impl<E: Entry> Table<E> {
    /// One step of a scan: visits the entries of a few canonical buckets, at least `count` if there are
    /// so many, and returns where to go on, 0 at the end. Start with 0. Any number is a safe cursor; bits
    /// from [`SCAN_CURSOR_BITS`] on are ignored.
    ///
    /// An entry that is in the table from the first to the last step is visited at least once.
    pub fn scan<'t>(
        &'t self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(E::View<'t>),
    ) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let mut cursor = Cursor::from_bits(cursor);
        let mut visited = 0;
        // Also a bound on how many empty segments one step passes.
        for _ in 0..=count {
            cursor = self.resume(cursor);
            let index = self.directory.index_of(cursor.prefix);
            let wanted = count.saturating_sub(visited).max(1);
            let (done, end) = self.scan_segment(index, cursor.bucket, wanted, &mut visit);
            visited += done;
            if end < self.directory.segment_buckets() {
                return Cursor { bucket: end, ..cursor }.to_bits();
            }
            let next = self.directory.start_of(index) + self.directory.span_of(index);
            let Some(prefix) = self.directory.first_hash(next) else { return 0 };
            cursor = Cursor { prefix, shape: self.shape_of(next), bucket: 0 };
            if visited >= count {
                break;
            }
        }
        cursor.to_bits()
    }

    /// Visits the entries of the segment that `boundary` falls into, but those with smaller hashes,
    /// and returns the next boundary, `None` at the end. Start with 0.
    ///
    /// An entry that is in the table from the first to the last step is visited exactly once.
    pub fn for_each_slice<'t>(
        &'t self,
        boundary: u64,
        mut visit: impl FnMut(E::View<'t>),
    ) -> Option<u64> {
        if self.directory.is_empty() {
            return None;
        }
        let index = self.directory.index_of(boundary);
        let segment_hash = self.segment_hash(index);
        let buckets = self.directory.buckets(index);
        prefetch_entries(buckets, Marks::NONE);
        let spilled = self.overflow.words(segment_hash).iter().copied();
        for word in bucket::words(buckets).chain(spilled.filter(|word| !word.is_empty())) {
            let view = self.view_word(word);
            if segment_hash >= boundary || self.hasher.hash(view.key()) >= boundary {
                visit(view);
            }
        }
        self.directory.first_hash(self.directory.start_of(index) + self.directory.span_of(index))
    }

    /// Some entry, each about as likely as any other, chosen by `random`; `None` if there is none.
    pub fn random(&self, random: u64) -> Option<Position> {
        if self.len == 0 {
            return None;
        }
        let mut state = random;
        for _ in 0..RANDOM_TRIES {
            let index = self.directory.index_of(next_random(&mut state));
            let buckets = self.directory.buckets(index);
            let place = next_random(&mut state) as usize;
            let (bucket, slot) = (place & (buckets.len() - 1), place >> 32 & 7);
            if !buckets[bucket].0[slot].is_empty() {
                return Some(Position::new(index, bucket, slot));
            }
        }
        self.random_by_counting(next_random(&mut state), next_random(&mut state))
    }

    /// Some entry of the first segment with one, from that of the hash `segment` on.
    #[cold]
    fn random_by_counting(&self, segment: u64, entry: u64) -> Option<Position> {
        let from = self.directory.index_of(segment);
        for index in (from..self.directory.len()).chain(0..from) {
            let occupied = || {
                let buckets = self.directory.buckets(index).iter().enumerate();
                let slots = buckets.flat_map(|(bucket, slots)| {
                    slots.0.iter().enumerate().map(move |(slot, word)| (bucket, slot, *word))
                });
                let spilled = self.overflow.words(self.segment_hash(index)).iter().enumerate();
                slots
                    .chain(spilled.map(|(slot, word)| (usize::from(IN_OVERFLOW), slot, *word)))
                    .filter(|(_, _, word)| !word.is_empty())
            };
            let count = occupied().count() as u64;
            if count > 0 {
                let (bucket, slot, _) = occupied().nth((entry % count) as usize)?;
                return Some(Position::new(index, bucket, slot));
            }
        }
        None
    }

    /// The cursor fitted to the present shape of the segment it points into.
    fn resume(&self, cursor: Cursor) -> Cursor {
        let index = self.directory.index_of(cursor.prefix);
        let shape = self.shape_of(index);
        // A segment no less deep than it was is a part of the one the cursor is about.
        let was_split = cursor.shape <= shape && shape <= DEPTH_MAX;
        if cursor.shape == shape || was_split {
            return Cursor { shape, ..cursor };
        }
        Cursor { prefix: self.segment_hash(index), shape, bucket: 0 }
    }

    /// The depth of a full-sized segment; above those, a number for each smaller size.
    fn shape_of(&self, index: usize) -> u32 {
        let buckets = self.directory.segment_buckets();
        let halvings = (SEGMENT_BUCKETS / buckets).ilog2();
        if halvings == 0 {
            self.directory.depth_of(index)
        } else {
            DEPTH_MAX + halvings.min(BUCKET_BITS - 1)
        }
    }

    /// Visits the canonical buckets of a segment from `start` on until `wanted` entries were visited;
    /// how many were, and the bucket to go on with.
    fn scan_segment<'t>(
        &'t self,
        index: usize,
        start: usize,
        wanted: usize,
        visit: &mut impl FnMut(E::View<'t>),
    ) -> (usize, usize) {
        let buckets = self.directory.buckets(index);
        let spilled = self.overflow.words(self.segment_hash(index));
        // An entry's canonical bucket is not above the one it is in, so only these can have it there.
        let placed = || {
            buckets
                .iter()
                .enumerate()
                .skip(start)
                .flat_map(move |(bucket, slots)| with_canonical(slots, bucket, buckets.len()))
        };
        let spilled = || {
            spilled.iter().filter(|word| !word.is_empty()).map(|word| {
                let hash = self.hasher.hash(self.view_word(*word).key());
                let first = first_bucket(hash, buckets.len());
                (canonical_bucket(first, word.tag(), buckets.len()), *word)
            })
        };
        let mut counts = [0; SEGMENT_BUCKETS];
        for (bucket, _) in placed().chain(spilled()) {
            counts[bucket] += 1;
        }
        let mut end = start.min(buckets.len());
        let mut entries = 0;
        while end < buckets.len() && entries < wanted {
            entries += counts[end];
            end += 1;
        }
        // No step should end just before buckets without entries.
        while end < buckets.len() && counts[end] == 0 {
            end += 1;
        }
        let in_step = |(bucket, _): &(usize, Word)| (start..end).contains(bucket);
        for (_, word) in placed().filter(in_step) {
            prefetch_read(word.address().as_ptr());
        }
        for (_, word) in placed().chain(spilled()).filter(in_step) {
            visit(self.view_word(word));
        }
        (entries, end)
    }
}

/// The words of a bucket with their canonical buckets.
fn with_canonical(
    slots: &Bucket,
    bucket: usize,
    buckets: usize,
) -> impl Iterator<Item = (usize, Word)> {
    slots
        .0
        .iter()
        .filter(|word| !word.is_empty())
        .map(move |word| (canonical_bucket(bucket, word.tag(), buckets), *word))
}

/// The next number of a splitmix64 sequence.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
