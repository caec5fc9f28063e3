//! Walking a table that changes between the steps.
//!
//! **`scan`** is for SCAN: small steps, and an entry that is there all the time is visited at least once.
//! The walk goes by hash prefix and, among the entries of one prefix, by *canonical bucket*: the smaller one
//! of the two that an entry has in a segment of full size. That follows from the hash alone, so it stays the
//! same when an entry is displaced, when its segment splits or merges, and while a table is smaller than one
//! segment. The cursor
//!
//! ```text
//!   36          11 10     6 5      0
//!  +--------------+--------+--------+
//!  | hash prefix  | depth  | bucket |
//!  +--------------+--------+--------+
//! ```
//!
//! says what is done: all hashes below the prefix, and of the hashes that share the first `depth` bits with
//! it those whose canonical bucket is smaller. Where the segment was split since, its first part is that
//! much done, and the later parts are visited from their first bucket again. Where it was merged, entries
//! outside of the range are told by their hash. So the cursor never goes back: a scan ends whatever happens
//! meanwhile, and repeats entries only where a segment was split under it.
//!
//! **`for_each_slice`** is for walks that need each entry exactly once: a whole segment per step, with a
//! hash as the boundary; if a merge moved entries below the boundary into the segment they are told by
//! their hash.

#![allow(clippy::cast_possible_truncation, reason = "fields cut from wider numbers")]

use super::bucket;
use super::directory::SEGMENT_BUCKETS;
use super::word::{Bucket, DEPTH_MAX, Marks, Tag, Word, canonical_bucket, first_bucket};
use super::{Entry, EntryView, NEVER, Position, Table, prefetch_entries};
use crate::prefetch::prefetch_read;
use std::ops::ControlFlow;

/// Scan cursors are below two to this power.
pub const SCAN_CURSOR_BITS: u32 = DEPTH_MAX + DEPTH_BITS + BUCKET_BITS;

const DEPTH_BITS: u32 = 5;
const BUCKET_BITS: u32 = 6;

const _: () = assert!(SEGMENT_BUCKETS == 1 << BUCKET_BITS && DEPTH_MAX < 1 << DEPTH_BITS);

/// Tries at random slots before counting, which is fair too.
const RANDOM_TRIES: usize = 64;

/// Segments one sample looks at: of full ones, 8192 slots.
const SAMPLE_SEGMENTS_MAX: usize = 16;

/// What a scan has still to do: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// Left-aligned; a multiple of the width of the range.
    prefix: u64,
    /// The range is the hashes that agree with `prefix` in this many bits.
    depth: u32,
    bucket: usize,
}

impl Cursor {
    /// Any number means something.
    fn from_bits(bits: u64) -> Self {
        let field = |shift: u32, width: u32| (bits >> shift) & ((1 << width) - 1);
        let prefix = field(BUCKET_BITS + DEPTH_BITS, DEPTH_MAX) << (64 - DEPTH_MAX);
        let depth = field(BUCKET_BITS, DEPTH_BITS) as u32;
        Self { prefix, depth: depth.min(DEPTH_MAX), bucket: field(0, BUCKET_BITS) as usize }
            .not_wider_than(0)
    }

    fn to_bits(self) -> u64 {
        let prefix = self.prefix >> (64 - DEPTH_MAX);
        let depth = u64::from(self.depth) << BUCKET_BITS;
        prefix << (BUCKET_BITS + DEPTH_BITS) | depth | self.bucket as u64
    }

    /// With the range narrowed to `depth`, and to begin at the prefix.
    fn not_wider_than(self, depth: u32) -> Self {
        let significant_bits = 64 - self.prefix.trailing_zeros().min(64);
        Self { depth: self.depth.max(depth).max(significant_bits), ..self }
    }

    /// Whether `hash` is in the range.
    fn covers(self, hash: u64) -> bool {
        // In two steps, because a shift by 64 is not allowed.
        ((hash ^ self.prefix) >> 1) >> (63 - self.depth) == 0
    }

    /// The hash after the range, `None` if there is none.
    fn end(self) -> Option<u64> {
        self.prefix.checked_add(1_u64.checked_shl(64 - self.depth)?)
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
        // The bound is on how many empty segments one step passes.
        for _ in 0..=count {
            let depth = self.directory.depth_of(self.directory.index_of(cursor.prefix));
            cursor = cursor.not_wider_than(depth);
            let wanted = count.saturating_sub(visited).max(1);
            let bucket = self.scan_range(cursor, wanted, |view| {
                visited += 1;
                visit(view);
            });
            if bucket < SEGMENT_BUCKETS {
                return Cursor { bucket, ..cursor }.to_bits();
            }
            let Some(prefix) = cursor.end() else { return 0 };
            cursor = Cursor { prefix, depth: 0, bucket: 0 }.not_wider_than(0);
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
        visit: impl FnMut(E::View<'t>),
    ) -> Option<u64> {
        let mut visit = visit;
        let continues = |view| {
            visit(view);
            ControlFlow::Continue(())
        };
        self.visit_segment(boundary, |_| true, continues).unwrap_or(None)
    }

    /// As [`for_each_slice`](Self::for_each_slice), but entries that have `mark` are passed over, and lose
    /// it. It must be none of the entries' own.
    ///
    /// Where `visit` breaks, the step ends behind that entry: the boundary stays, and what was visited gets the
    /// mark, so that the next step passes over it.
    pub fn for_each_unmarked_slice(
        &mut self,
        boundary: u64,
        mark: Marks,
        visit: impl FnMut(E::View<'_>) -> ControlFlow<()>,
    ) -> Option<u64> {
        debug_assert!(E::MARKS.and(mark) == Marks::NONE, "a mark of the table's owner");
        let mut has_marked = false;
        let takes = |marks: Marks| {
            has_marked |= marks.contains(mark);
            !marks.contains(mark)
        };
        match self.visit_segment(boundary, takes, visit) {
            Ok(next) => {
                if has_marked {
                    let index = self.directory.index_of(boundary);
                    self.unmark_segment(index, self.segment_hash(index), mark);
                }
                next
            }
            Err(places) => {
                self.mark_places(boundary, places, mark);
                Some(boundary)
            }
        }
    }

    /// Visits the entries of a segment from `boundary` on whose marks `takes` lets pass; the next boundary. Where `visit`
    /// breaks, how many places of the segment are done.
    #[inline]
    fn visit_segment<'t>(
        &'t self,
        boundary: u64,
        mut takes: impl FnMut(Marks) -> bool,
        mut visit: impl FnMut(E::View<'t>) -> ControlFlow<()>,
    ) -> Result<Option<u64>, usize> {
        if self.directory.is_empty() {
            return Ok(None);
        }
        let index = self.directory.index_of(boundary);
        let segment_hash = self.segment_hash(index);
        let buckets = self.directory.buckets(index);
        prefetch_entries(buckets, Marks::NONE);
        let spilled = self.overflow.words(segment_hash).iter().copied();
        let places = buckets.iter().flat_map(|bucket| bucket.0).chain(spilled).enumerate();
        for (place, word) in places.filter(|(_, word)| !word.is_empty()) {
            if !takes(word.marks()) {
                continue;
            }
            let view = self.view_word(word);
            let is_ahead = segment_hash >= boundary || self.hasher.hash(view.key()) >= boundary;
            if is_ahead && visit(view).is_break() {
                return Err(place + 1);
            }
        }
        let end = self.directory.start_of(index) + self.directory.span_of(index);
        Ok(self.directory.first_hash(end))
    }

    /// Marks the entries of the segment that `boundary` falls into, but those with smaller hashes, in its first `places`.
    fn mark_places(&mut self, boundary: u64, places: usize, mark: Marks) {
        let index = self.directory.index_of(boundary);
        let segment_hash = self.segment_hash(index);
        let is_ahead: Vec<bool> = if segment_hash >= boundary {
            Vec::new()
        } else {
            let words = self.directory.buckets(index).iter().flat_map(|bucket| bucket.0);
            let words = words.chain(self.overflow.words(segment_hash).iter().copied());
            let is_ahead = |word: Word| {
                !word.is_empty() && self.hasher.hash(self.view_word(word).key()) >= boundary
            };
            words.take(places).map(is_ahead).collect()
        };
        let placed = self.directory.buckets_mut(index).iter_mut().flat_map(|bucket| &mut bucket.0);
        let spilled = self.overflow.words_mut(segment_hash);
        for (place, word) in placed.chain(spilled).take(places).enumerate() {
            if !word.is_empty() && is_ahead.get(place).is_none_or(|is_ahead| *is_ahead) {
                *word = word.with_marks(word.marks().or(mark));
            }
        }
    }

    fn unmark_segment(&mut self, index: usize, segment_hash: u64, mark: Marks) {
        let placed = self.directory.buckets_mut(index).iter_mut().flat_map(|bucket| &mut bucket.0);
        let spilled = self.overflow.words_mut(segment_hash);
        for word in placed.chain(spilled).filter(|word| !word.is_empty()) {
            *word = word.with_marks(word.marks().without(mark));
        }
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
                return Some(Position::in_bucket(index, bucket, slot));
            }
        }
        self.random_by_counting(next_random(&mut state), next_random(&mut state))
    }

    /// Adds the positions of up to `count` entries that have all of `marks` to `found`, beginning at a
    /// place chosen by `random`, and starts to fetch the entries. Neighbours of a table have nothing to do
    /// with each other, so this is a random sample.
    ///
    /// Gives up after some thousand slots without enough of them, unless all were looked at: the next call
    /// looks elsewhere. Segments in which nothing has a deadline are passed over if that is what is wanted.
    pub fn sample(&self, random: u64, count: usize, marks: Marks, found: &mut Vec<Position>) {
        if self.len == 0 || count == 0 {
            return;
        }
        let mut state = random;
        let began = self.directory.start_of(self.directory.index_of(next_random(&mut state)));
        let start = next_random(&mut state) as usize;
        let wanted = found.len() + count;
        let mut index = began;
        let mut has_wrapped = false;
        for _ in 0..SAMPLE_SEGMENTS_MAX {
            if marks.contains(Marks::DEADLINE) {
                match self.directory.find_earlier(index, NEVER) {
                    Some(next) if !has_wrapped || next < began => index = next,
                    None if !has_wrapped => (index, has_wrapped) = (0, true),
                    _ => return,
                }
            }
            let buckets = self.directory.buckets(index);
            let spilled = self.overflow.words(self.segment_hash(index)).iter().enumerate();
            let spilled = spilled.map(|(at, word)| (Position::in_overflow(index, at), *word));
            let places = (0..buckets.len()).map(|turn| (start + turn) & (buckets.len() - 1));
            let placed = places.flat_map(|bucket| {
                let slots = buckets[bucket].0.iter().enumerate();
                slots.map(move |(slot, word)| (Position::in_bucket(index, bucket, slot), *word))
            });
            for (position, word) in placed.chain(spilled) {
                if !word.is_empty() && word.marks().contains(marks) {
                    prefetch_read(word.address().as_ptr());
                    found.push(position);
                    if found.len() == wanted {
                        return;
                    }
                }
            }
            index += self.directory.span_of(index);
            if index == self.directory.len() {
                (index, has_wrapped) = (0, true);
            }
            if has_wrapped && index >= began {
                return;
            }
        }
    }

    /// Some entry of the first segment with one, from that of the hash `segment` on.
    #[cold]
    fn random_by_counting(&self, segment: u64, entry: u64) -> Option<Position> {
        let from = self.directory.index_of(segment);
        for index in (from..self.directory.len()).chain(0..from) {
            let occupied = || {
                let buckets = self.directory.buckets(index).iter().enumerate();
                let placed = buckets.flat_map(move |(bucket, slots)| {
                    let slots = slots.0.iter().enumerate();
                    slots.map(move |(slot, word)| (Position::in_bucket(index, bucket, slot), *word))
                });
                let spilled = self.overflow.words(self.segment_hash(index)).iter().enumerate();
                let spilled =
                    spilled.map(move |(at, word)| (Position::in_overflow(index, at), *word));
                placed.chain(spilled).filter(|(_, word)| !word.is_empty())
            };
            let count = occupied().count() as u64;
            if count > 0 {
                return occupied().nth((entry % count) as usize).map(|(position, _)| position);
            }
        }
        None
    }

    /// Visits the entries of the cursor's range, which lies within one segment, from its bucket on until
    /// about `wanted` were visited; the canonical bucket to go on with.
    fn scan_range<'t>(
        &'t self,
        cursor: Cursor,
        wanted: usize,
        mut visit: impl FnMut(E::View<'t>),
    ) -> usize {
        let index = self.directory.index_of(cursor.prefix);
        let start = cursor.bucket;
        let mut counts = [0_usize; SEGMENT_BUCKETS];
        self.for_each_canonical(index, start, |bucket, _| counts[bucket] += 1);
        let mut end = start;
        let mut entries = 0;
        while end < SEGMENT_BUCKETS && entries < wanted {
            entries += counts[end];
            end += 1;
        }
        // No step should end just before buckets without entries.
        while end < SEGMENT_BUCKETS && counts[end] == 0 {
            end += 1;
        }
        self.for_each_canonical(index, start, |bucket, word| {
            if (start..end).contains(&bucket) {
                prefetch_read(word.address().as_ptr());
            }
        });
        let is_part = self.directory.depth_of(index) < cursor.depth;
        self.for_each_canonical(index, start, |bucket, word| {
            if (start..end).contains(&bucket) {
                let view = self.view_word(word);
                if !is_part || cursor.covers(self.hasher.hash(view.key())) {
                    visit(view);
                }
            }
        });
        end
    }

    /// Calls `visit` for all entries of a segment whose canonical bucket is at least `start`, maybe for
    /// more.
    fn for_each_canonical(&self, index: usize, start: usize, mut visit: impl FnMut(usize, Word)) {
        let buckets = self.directory.buckets(index);
        let mut visit_hashed = |word: Word| {
            let hash = self.hasher.hash(self.view_word(word).key());
            let first = first_bucket(hash, SEGMENT_BUCKETS);
            visit(canonical_bucket(first, Tag::of(hash), SEGMENT_BUCKETS), word);
        };
        let spilled = self.overflow.words(self.segment_hash(index)).iter().copied();
        spilled.filter(|word| !word.is_empty()).for_each(&mut visit_hashed);
        if buckets.len() < SEGMENT_BUCKETS {
            // A smaller segment keeps too little of the hash.
            bucket::words(buckets).for_each(visit_hashed);
            return;
        }
        // An entry is in its canonical bucket or in a greater one.
        for (bucket, Bucket(words)) in buckets.iter().enumerate().skip(start) {
            for word in words.iter().filter(|word| !word.is_empty()) {
                visit(canonical_bucket(bucket, word.tag(), SEGMENT_BUCKETS), *word);
            }
        }
    }
}

/// The next number of a splitmix64 sequence.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
