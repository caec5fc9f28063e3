//! A segmented hash table of owned pointers, one 8-byte word per entry.
//!
//! ```text
//!  hash ──► directory ──► segment (4096 bytes) ──► bucket (64 bytes) ──► word ──► entry
//! ```
//!
//! **Lookup** touches one directory word, the cache line of the key's first bucket, in one case of six
//! that of its second, and the entry; a word's 14-bit tag makes it one in a thousand that the wrong
//! entry is touched. A batch hides all of these behind each other: [`prefetch`](Table::prefetch) for
//! every key, then [`prefetch_entry`](Table::prefetch_entry) for every key, then the lookups.
//!
//! **Growth** is by a segment: when a key finds no room, even by displacing one other, its segment
//! splits in two by the next bit of the hash, and the directory doubles if that was one of the deepest.
//! No insertion ever touches more than one segment's entries. Segments fill to 94.5 % before they split,
//! so the table costs 8.5 to 17 bytes per entry, 11.8 averaged over a doubling. Buddies that are sparse
//! merge again. A table below 512 entries is one segment of 1, 2, 4 ... 64 buckets; an empty one
//! allocates nothing.
//!
//! **Alternatives refused.** One flat table: growing it stops the world (1.2 s for 10 M entries). Two
//! tables with incremental rehash, as Redis has: every lookup pays for two while growing, and memory
//! peaks at three times the array. Chained buckets: a chain is a dependent cache miss, and needs a
//! word.
//!
//! **What is not here.** Nothing is ordered, nothing expires by itself, and nobody else may look while
//! it changes: a table is a value that one thread owns at a time.
//!
//! Provenance: a slot keeps 44 bits of an address, so entries' pointers are exposed when they are packed
//! and recovered with exposed provenance; the segments' own pointers are only tagged. Both are
//! written to Rust's rules, for Miri with `-Zmiri-permissive-provenance`. The model tests run clean under
//! the address sanitizer and valgrind, and so does the fuzz target in `fuzz/`.

#![allow(unsafe_code, reason = "owns entries through packed words")]

use std::fmt;
use std::marker::PhantomData;
use std::mem;

use crate::deadline::Deadline;
use crate::hasher::KeyHasher;
use crate::prefetch::prefetch_read;

mod bucket;
mod deadlines;
mod directory;
mod entry;
mod growth;
mod layout;
mod overflow;
mod scan;
mod turn;
mod word;

pub use entry::{Entry, EntryView};
pub use layout::Layout;
pub use scan::SCAN_CURSOR_BITS;
pub use turn::{Hand, Judgement, Turned};
pub use word::Marks;

use directory::{Directory, NEVER};
use overflow::Overflow;
use word::{BUCKET_SLOTS, Bucket, Tag, Word, first_bucket, other_bucket};

/// A hash table that owns its entries. See the [module](self).
///
/// All keys are hashed by the table's [`KeyHasher`]; operations take the hash, which must be that of
/// the key, so that it is computed once per command. A wrong hash makes entries unfindable, no worse.
pub struct Table<E: Entry> {
    directory: Directory,
    overflow: Overflow,
    hasher: KeyHasher,
    len: usize,
    /// Entries that have a deadline.
    deadlines: usize,
    /// Entries that hold something that has one.
    deadline_holders: usize,
    /// The sum of the entries' `bytes`.
    entry_bytes: usize,
    /// Lower bound of the bounds of all segments; see `deadlines`.
    next_deadline: u64,
    /// Counts removals, to look only now and then whether a segment became sparse.
    removals: u32,
    owns: PhantomData<E>,
}

/// Where an entry is: valid until the next insertion or removal.
///
/// Using one later is safe, but may panic or reach another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Any directory index of the segment, below `2^DEPTH_MAX`.
    index: u32,
    /// The bucket and in the low bits the slot; or [`IN_OVERFLOW`] plus the place in the overflow list.
    place: u32,
}

/// An entry that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<V> {
    /// Where it is.
    pub position: Position,
    /// Its marks.
    pub marks: Marks,
    /// The entry.
    pub view: V,
}

/// Above every slot of a segment.
const IN_OVERFLOW: u32 = 1 << 16;

impl<E: Entry> Table<E> {
    /// An empty table, which allocates nothing.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            directory: Directory::new(),
            overflow: Overflow::default(),
            hasher,
            len: 0,
            deadlines: 0,
            deadline_holders: 0,
            entry_bytes: 0,
            next_deadline: NEVER,
            removals: 0,
            owns: PhantomData,
        }
    }

    /// Adds an entry whose key is known to be absent. Amortised O(1); at worst one segment is split,
    /// which takes some ten microseconds.
    pub fn insert(&mut self, hash: u64, entry: E, marks: Marks) -> Position {
        let (address, own_marks) = entry.into_parts();
        // SAFETY: the parts were just made, and the table owns them now.
        let view = unsafe { E::view(address, own_marks) };
        debug_assert_eq!(hash, self.hasher.hash(view.key()), "an entry was given a foreign hash");
        let (bytes, has_deadline, due) = (view.bytes(), view.deadline().is_some(), view.due());
        self.deadline_holders += usize::from(view.holds_deadlines());
        let word = Word::new(Tag::of(hash), address, with_own::<E>(marks, own_marks));
        let position = self.place(hash, word);
        self.len += 1;
        self.entry_bytes += bytes;
        self.deadlines += usize::from(has_deadline);
        if let Some(due) = due {
            self.note_deadline(position, due);
        }
        position
    }

    /// Removes an entry. Now and then merges two segments.
    pub fn remove(&mut self, position: Position) -> E {
        let word = self.take_word(position);
        self.len -= 1;
        self.after_removal(position);
        // SAFETY: the word was taken out of the table, which owned it.
        unsafe { E::from_parts(word.address(), word.marks()) }
    }

    /// Replaces an entry by what `change` makes of it, which must have the same key; whatever else
    /// comes out of `change` is returned. If it panics the entry is gone.
    #[inline]
    pub fn update<R>(&mut self, position: Position, change: impl FnOnce(E) -> (E, R)) -> R {
        // Out of the table while it changes, so that a panic leaves no word without its entry.
        let old_word = self.take_word(position);
        self.len -= 1;
        // SAFETY: the word was taken out of the table, which owned it.
        let entry = unsafe { E::from_parts(old_word.address(), old_word.marks()) };
        let (entry, result) = change(entry);
        let (address, own_marks) = entry.into_parts();
        // SAFETY: the parts were just made, and the table owns them now.
        let view = unsafe { E::view(address, own_marks) };
        debug_assert!(
            Tag::of(self.hasher.hash(view.key())) == old_word.tag(),
            "an update must not change the key"
        );
        let marks = with_own::<E>(old_word.marks(), own_marks);
        let word = Word::new(old_word.tag(), address, marks);
        *self.word_mut(position) = word;
        self.len += 1;
        self.entry_bytes += view.bytes();
        self.deadline_holders += usize::from(view.holds_deadlines());
        let (has_deadline, due) = (view.deadline().is_some(), view.due());
        self.deadlines += usize::from(has_deadline);
        if let Some(due) = due {
            self.note_deadline(position, due);
        }
        result
    }

    /// Sets the marks of an entry but its own.
    #[inline]
    pub fn set_marks(&mut self, position: Position, marks: Marks) {
        let word = self.word_mut(position);
        *word = word.with_marks(with_own::<E>(marks, word.marks().and(E::MARKS)));
    }

    /// Sets the stamp of an entry, if such entries have one.
    #[inline]
    pub fn set_stamp(&mut self, position: Position, stamp: u32) {
        let word = self.word(position);
        // SAFETY: the table owns the entry of a word in it, and is exclusively borrowed.
        unsafe { E::set_stamp(word.address(), stamp) };
    }

    /// Finds an entry.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<Position> {
        self.lookup(hash, key).map(|found| found.position)
    }

    /// Finds an entry, and tells all about it at once.
    #[inline]
    pub fn lookup(&self, hash: u64, key: &[u8]) -> Option<Found<E::View<'_>>> {
        self.lookup_where(hash, |view| same_key(view.key(), key))
    }

    /// Finds the entry whose key has this hash.
    pub fn find_hash(&self, hash: u64) -> Option<Position> {
        let found = self.lookup_where(hash, |view| self.hasher.hash(view.key()) == hash);
        found.map(|found| found.position)
    }

    /// Finds the entry that `is_it`, among those that can have this hash.
    #[inline]
    fn lookup_where(
        &self,
        hash: u64,
        is_it: impl Fn(E::View<'_>) -> bool,
    ) -> Option<Found<E::View<'_>>> {
        if self.directory.is_empty() {
            return None;
        }
        let index = self.directory.index_of(hash);
        let buckets = self.directory.buckets(index);
        let tag = Tag::of(hash);
        let first = first_bucket(hash, buckets.len());
        let other = other_bucket(first, tag, buckets.len());
        for bucket in [first, other] {
            let words = &buckets[bucket];
            for slot in words.matches(tag) {
                let word = words.0[slot];
                let view = self.view_word(word);
                if is_it(view) {
                    let position = Position::in_bucket(index, bucket, slot);
                    return Some(Found { position, marks: word.marks(), view });
                }
            }
        }
        if self.directory.has_overflow(index) {
            return self.lookup_in_overflow(index, tag, is_it);
        }
        None
    }

    /// The entry at a position.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn view(&self, position: Position) -> E::View<'_> {
        self.view_word(self.word(position))
    }

    /// The marks of the entry at a position.
    ///
    /// # Panics
    /// If there can be none.
    #[inline]
    pub fn marks(&self, position: Position) -> Marks {
        self.word(position).marks()
    }

    /// Starts to fetch the buckets where an entry of this hash can be.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if self.directory.is_empty() {
            return;
        }
        let buckets = self.directory.buckets(self.directory.index_of(hash));
        let first = first_bucket(hash, buckets.len());
        let other = other_bucket(first, Tag::of(hash), buckets.len());
        prefetch_read((&raw const buckets[first]).cast());
        prefetch_read((&raw const buckets[other]).cast());
    }

    /// Starts to fetch the entry of this hash; best once [`prefetch`](Self::prefetch) had time to work.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        if self.directory.is_empty() {
            return;
        }
        let buckets = self.directory.buckets(self.directory.index_of(hash));
        let tag = Tag::of(hash);
        let first = first_bucket(hash, buckets.len());
        for bucket in [first, other_bucket(first, tag, buckets.len())] {
            let bucket = &buckets[bucket];
            let mut matches = bucket.matches(tag);
            if let Some(slot) = matches.next() {
                prefetch_read(bucket.0[slot].address().as_ptr());
                return;
            }
        }
    }

    /// Number of entries.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of entries that have a deadline.
    pub const fn deadlines_len(&self) -> usize {
        self.deadlines
    }

    /// Number of entries that hold something with a deadline of its own.
    pub const fn deadline_holders_len(&self) -> usize {
        self.deadline_holders
    }

    /// Number of segments: how many steps [`for_each_slice`](Self::for_each_slice) takes.
    pub const fn segments_len(&self) -> usize {
        self.directory.segments()
    }

    /// Bytes of heap the table and its entries own, in good sizes. O(1).
    #[inline]
    pub fn bytes(&self) -> usize {
        self.directory.bytes() + self.overflow.bytes() + self.entry_bytes
    }

    /// The part of [`bytes`](Self::bytes) that is the table's own: what finding entries costs.
    pub fn index_bytes(&self) -> usize {
        self.directory.bytes() + self.overflow.bytes()
    }

    /// The hasher of the keys.
    pub const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Turns the table into a heap of entries to be taken in small portions, for dropping a big one
    /// without a pause.
    pub fn into_drain(self) -> Drain<E> {
        Drain { table: self }
    }

    /// Drops the entries of one segment (some hundreds) and frees it; whether there are more. Leaves a table
    /// fit for nothing but more of the same and being dropped; see [`into_drain`](Self::into_drain).
    pub fn drop_slice(&mut self) -> bool {
        self.pop_segment(&mut drop)
    }

    /// Panics if the table contradicts itself. O(entries).
    pub fn check_invariants(&self) {
        self.directory.check_invariants();
        let (mut len, mut deadlines, mut holders, mut entry_bytes) = (0, 0, 0, 0);
        let mut first_hashes = Vec::new();
        let mut index = 0;
        while index < self.directory.len() {
            let first_hash = self.directory.first_hash(index).expect("within the directory");
            first_hashes.push(first_hash);
            let buckets = self.directory.buckets(index);
            let spilled = self.overflow.words(first_hash);
            assert_eq!(self.directory.has_overflow(index), !spilled.is_empty());
            let placed = buckets
                .iter()
                .enumerate()
                .flat_map(|(bucket, slots)| slots.0.iter().map(move |word| (Some(bucket), *word)));
            for (bucket, word) in placed.chain(spilled.iter().map(|word| (None, *word))) {
                if word.is_empty() {
                    continue;
                }
                let view = self.view_word(word);
                let hash = self.hasher.hash(view.key());
                assert_eq!(self.directory.start_of(self.directory.index_of(hash)), index);
                assert_eq!(Tag::of(hash), word.tag());
                let first = first_bucket(hash, buckets.len());
                if let Some(bucket) = bucket {
                    let other = other_bucket(first, word.tag(), buckets.len());
                    assert!(bucket == first || bucket == other, "an entry in a foreign bucket");
                }
                deadlines += usize::from(view.deadline().is_some());
                holders += usize::from(view.holds_deadlines());
                if let Some(deadline) = view.due() {
                    assert!(word.marks().contains(Marks::DEADLINE));
                    assert!(self.directory.earliest(index) <= deadline.to_bits());
                }
                len += 1;
                entry_bytes += view.bytes();
            }
            index += self.directory.span_of(index);
        }
        self.overflow.check_invariants(|first_hash| first_hashes.contains(&first_hash));
        assert_eq!((len, deadlines, entry_bytes), (self.len, self.deadlines, self.entry_bytes));
        assert_eq!(holders, self.deadline_holders);
        assert!(self.next_deadline <= self.directory.earliest_of_all());
    }

    #[cold]
    fn lookup_in_overflow(
        &self,
        index: usize,
        tag: Tag,
        is_it: impl Fn(E::View<'_>) -> bool,
    ) -> Option<Found<E::View<'_>>> {
        let words = self.overflow.words(self.segment_hash(index)).iter().enumerate();
        let mut found = words.filter(|(_, word)| word.tag() == tag).map(|(at, word)| Found {
            position: Position::in_overflow(index, at),
            marks: word.marks(),
            view: self.view_word(*word),
        });
        found.find(|found| is_it(found.view))
    }

    /// The first hash of the segment of `index`.
    fn segment_hash(&self, index: usize) -> u64 {
        self.directory.first_hash(self.directory.start_of(index)).expect("within the directory")
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "keeps the table borrowed while the view lives")]
    fn view_word(&self, word: Word) -> E::View<'_> {
        // SAFETY: words in the table are made from addresses of entries it owns, and no entry is taken
        // back while the table is borrowed. An empty word panics in `address`.
        unsafe { E::view(word.address(), word.marks()) }
    }

    #[inline]
    fn word(&self, position: Position) -> Word {
        if let Some(at) = position.overflow() {
            return self.overflow.words(self.segment_hash(position.index()))[at];
        }
        self.directory.buckets(position.index())[position.bucket()].0[position.slot()]
    }

    #[inline]
    fn word_mut(&mut self, position: Position) -> &mut Word {
        if let Some(at) = position.overflow() {
            let first_hash = self.segment_hash(position.index());
            return &mut self.overflow.words_mut(first_hash)[at];
        }
        let bucket = &mut self.directory.buckets_mut(position.index())[position.bucket()];
        &mut bucket.0[position.slot()]
    }

    /// Takes a word out of its slot, with its share of all sums but `len`.
    #[inline]
    fn take_word(&mut self, position: Position) -> Word {
        let word = mem::replace(self.word_mut(position), Word::EMPTY);
        let view = self.view_word(word);
        let (bytes, has_deadline) = (view.bytes(), view.deadline().is_some());
        let holds_deadlines = view.holds_deadlines();
        self.entry_bytes -= bytes;
        self.deadlines -= usize::from(has_deadline);
        self.deadline_holders -= usize::from(holds_deadlines);
        word
    }

    /// Lowers the bounds for a deadline of the entry at `position`.
    fn note_deadline(&mut self, position: Position, deadline: Deadline) {
        let deadline_ms = deadline.to_bits();
        self.directory.lower_earliest(position.index(), deadline_ms);
        self.next_deadline = self.next_deadline.min(deadline_ms);
    }
}

impl<E: Entry> Drop for Table<E> {
    fn drop(&mut self) {
        while self.pop_segment(&mut drop) {}
    }
}

impl<E: Entry> fmt::Debug for Table<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Table")
            .field("len", &self.len)
            .field("depth", &self.directory.depth())
            .field("segments", &self.directory.segments())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "all parts are bounded by their types' docs")]
impl Position {
    #[inline]
    fn in_bucket(index: usize, bucket: usize, slot: usize) -> Self {
        Self { index: index as u32, place: (bucket * BUCKET_SLOTS + slot) as u32 }
    }

    fn in_overflow(index: usize, at: usize) -> Self {
        Self { index: index as u32, place: IN_OVERFLOW.saturating_add(at as u32) }
    }

    #[inline]
    const fn index(self) -> usize {
        self.index as usize
    }

    /// The place in the overflow list, if it is there.
    #[inline]
    const fn overflow(self) -> Option<usize> {
        match self.place.checked_sub(IN_OVERFLOW) {
            Some(at) => Some(at as usize),
            None => None,
        }
    }

    #[inline]
    const fn bucket(self) -> usize {
        self.place as usize / BUCKET_SLOTS
    }

    #[inline]
    const fn slot(self) -> usize {
        self.place as usize % BUCKET_SLOTS
    }
}

/// Equality of keys, without a call for those of 8 to 32 bytes: both ends are compared, which overlap.
#[inline]
fn same_key(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() || left.len() < 8 || left.len() > 32 {
        return left == right;
    }
    if left.len() < 16 {
        return left.first_chunk::<8>() == right.first_chunk::<8>()
            && left.last_chunk::<8>() == right.last_chunk::<8>();
    }
    left.first_chunk::<16>() == right.first_chunk::<16>()
        && left.last_chunk::<16>() == right.last_chunk::<16>()
}

/// The marks of `marks` that are not the entry's, with its own.
#[inline]
fn with_own<E: Entry>(marks: Marks, own_marks: Marks) -> Marks {
    debug_assert!(E::MARKS.contains(own_marks));
    marks.without(E::MARKS).or(own_marks)
}

/// A table being taken apart, a segment at a time. Dropping it drops what is left.
#[derive(Debug)]
pub struct Drain<E: Entry> {
    table: Table<E>,
}

impl<E: Entry> Drain<E> {
    /// Hands the entries of one segment (some hundreds) to `sink` and frees it; whether there are more.
    pub fn slice(&mut self, mut sink: impl FnMut(E)) -> bool {
        self.table.pop_segment(&mut sink)
    }

    /// Bytes of heap not yet freed, in good sizes.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

impl<E: Entry> Table<E> {
    /// Removes the last segment with its entries; whether there are more. Leaves a table fit only for
    /// more of the same.
    fn pop_segment(&mut self, sink: &mut impl FnMut(E)) -> bool {
        let mut discard = |table: &mut Self, word: Word| {
            let bytes = table.view_word(word).bytes();
            table.entry_bytes -= bytes;
            table.len -= 1;
            // SAFETY: the caller took the word out of the table, which owned it.
            sink(unsafe { E::from_parts(word.address(), word.marks()) });
        };
        while let Some(words) = self.overflow.pop() {
            for word in words {
                discard(self, word);
            }
        }
        let Some(segment) = self.directory.pop() else { return false };
        prefetch_entries(&segment, Marks::NONE);
        for word in bucket::words(&segment) {
            discard(self, word);
        }
        !self.directory.is_empty()
    }
}

/// Starts to fetch the entries of a segment that have all of `marks`.
fn prefetch_entries(buckets: &[Bucket], marks: Marks) {
    for word in bucket::words(buckets) {
        if word.marks().contains(marks) {
            prefetch_read(word.address().as_ptr());
        }
    }
}

#[cfg(test)]
mod tests;
