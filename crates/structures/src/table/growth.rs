//! Making room, and giving it back.
//!
//! Splitting a segment needs the next bit of each entry's hash, which is not in the slot word, so it
//! reads every key once; that happens once per doubling for each entry. Everything else moves words
//! without looking at entries: the two buckets of a word follow from its tag and the bucket it is in.

#![allow(clippy::cast_possible_truncation, reason = "bucket numbers are below 64")]

use super::bucket::{self, Place};
use super::directory::SEGMENT_BUCKETS;
use super::word::{BUCKET_SLOTS, Bucket, Marks, Word, first_bucket};
use super::{Entry, EntryView, NEVER, Position, Table, prefetch_entries};
use crate::deadline::Deadline;

/// A segment with no room for a key is split or enlarged only if it is at least half full; otherwise
/// the hashes are to blame, and the key goes to the overflow list.
const SPLIT_ENTRIES_MIN: usize = SEGMENT_BUCKETS * BUCKET_SLOTS / 2;

/// Buddies merge when they would fill half a segment at most, far from splitting again.
const MERGE_ENTRIES_MAX: usize = SEGMENT_BUCKETS * BUCKET_SLOTS / 2;

/// One in this many removals that empty a bucket looks whether its segment became sparse, because
/// looking means counting two segments.
const REMOVALS_PER_MERGE_CHECK: u32 = 16;

impl<E: Entry> Table<E> {
    /// Puts a word where its hash belongs.
    #[inline]
    pub(super) fn place(&mut self, hash: u64, word: Word) -> Position {
        if self.directory.is_empty() {
            self.directory.open(1);
        }
        loop {
            let index = self.directory.index_of(hash);
            let buckets = self.directory.buckets_mut(index);
            let first = first_bucket(hash, buckets.len());
            if let Some(Place { bucket, slot }) = bucket::place(buckets, first, word) {
                return Position::in_bucket(index, bucket, slot);
            }
            if !self.make_room(index) {
                return self.spill(index, word);
            }
        }
    }

    /// Gives back what the removal of the entry at `position` left unused.
    #[inline]
    pub(super) fn after_removal(&mut self, position: Position) {
        let index = position.index();
        if let Some(at) = position.overflow() {
            let first_hash = self.segment_hash(index);
            if self.overflow.swap_remove(first_hash, at) {
                self.directory.set_overflow(index, false);
            }
        } else if self.directory.has_overflow(index) {
            self.unspill(index);
        }
        if self.directory.depth() == 0 || self.len == 0 {
            self.shrink_first();
            return;
        }
        let emptied_bucket = position.overflow().is_none()
            && self.directory.buckets(index)[position.bucket()].len() == 0;
        if emptied_bucket {
            self.removals = self.removals.wrapping_add(1);
            if self.removals.is_multiple_of(REMOVALS_PER_MERGE_CHECK) {
                self.merge_while_sparse(index);
            }
        }
    }

    /// Merges the segment of `index` with its buddy, and the result with its buddy, as long as they are
    /// sparse. Frees all segments of an empty table.
    pub(super) fn merge_while_sparse(&mut self, index: usize) {
        if self.len == 0 {
            return self.shrink_first();
        }
        let mut index = index;
        while let Some(buddy) = self.directory.buddy_of(index) {
            if self.segment_entries(index) + self.segment_entries(buddy) > MERGE_ENTRIES_MAX {
                return;
            }
            index = self.merge(index, buddy);
        }
        if self.directory.depth() == 0 {
            self.shrink_first();
        }
    }

    /// Number of entries of the segment of `index`, its overflow included.
    fn segment_entries(&self, index: usize) -> usize {
        let spilled = if self.directory.has_overflow(index) {
            self.overflow.words(self.segment_hash(index)).len()
        } else {
            0
        };
        bucket::entries(self.directory.buckets(index)) + spilled
    }

    /// Enlarges the segment of `index`; whether there is hope that a key now finds room.
    #[cold]
    fn make_room(&mut self, index: usize) -> bool {
        let buckets = self.directory.segment_buckets();
        if buckets < SEGMENT_BUCKETS {
            let is_half_full = self.len * 2 >= buckets * BUCKET_SLOTS;
            if is_half_full {
                self.rebuild_first(buckets * 2);
            }
            return is_half_full;
        }
        let may_split = self.directory.may_split(index)
            && bucket::entries(self.directory.buckets(index)) >= SPLIT_ENTRIES_MIN;
        if may_split {
            self.split(index);
        }
        may_split
    }

    /// Splits the segment of `index` by the next bit of the hashes.
    fn split(&mut self, index: usize) {
        let spilled = self.take_overflow(index);
        let (left, right) = self.directory.split(index);
        let upper_half = 1 << (64 - self.directory.depth_of(left));
        let mut first_buckets = [[0; BUCKET_SLOTS]; SEGMENT_BUCKETS];
        let mut earliest = [NEVER; 2];
        prefetch_entries(self.directory.buckets(left), Marks::NONE);
        for (bucket, first_buckets) in first_buckets.iter_mut().enumerate() {
            for (slot, first) in first_buckets.iter_mut().enumerate() {
                let word = self.directory.buckets(left)[bucket].0[slot];
                if word.is_empty() {
                    continue;
                }
                let view = self.view_word(word);
                let hash = self.hasher.hash(view.key());
                let deadline_ms = view.due().map_or(NEVER, Deadline::to_bits);
                let side = usize::from(hash & upper_half != 0);
                earliest[side] = earliest[side].min(deadline_ms);
                *first = first_bucket(hash, SEGMENT_BUCKETS) as u8;
                if side == 1 {
                    // The same place as before: bucket and tag do not depend on the depth.
                    let (left, right) = self.directory.pair_mut(left, right);
                    left[bucket].0[slot] = Word::EMPTY;
                    right[bucket].0[slot] = word;
                }
            }
        }
        for (side, earliest) in [left, right].into_iter().zip(earliest) {
            settle(self.directory.buckets_mut(side), &mut first_buckets);
            self.directory.set_earliest(side, earliest);
        }
        self.replace_spilled(spilled);
    }

    /// Moves all entries of two buddies into one segment; where that is.
    fn merge(&mut self, index: usize, buddy: usize) -> usize {
        let mut spilled = self.take_overflow(index);
        spilled.append(&mut self.take_overflow(buddy));
        let (left, right) = (index.min(buddy), index.max(buddy));
        let (left_buckets, right_buckets) = self.directory.pair_mut(left, right);
        for (bucket, from) in right_buckets.iter_mut().enumerate() {
            for slot in &mut from.0 {
                let word = std::mem::replace(slot, Word::EMPTY);
                if !word.is_empty() && bucket::place(left_buckets, bucket, word).is_none() {
                    spilled.push(word);
                }
            }
        }
        let merged = self.directory.merge(left);
        self.replace_spilled(spilled);
        merged
    }

    /// Makes the only segment as small as its entries allow; frees all segments of an empty table.
    fn shrink_first(&mut self) {
        let buckets = self.directory.segment_buckets();
        if self.len == 0 {
            self.directory.close();
            self.next_deadline = NEVER;
        } else if buckets > 1 && self.len <= buckets {
            // An eighth full: go to a half.
            self.rebuild_first((self.len * 2).div_ceil(BUCKET_SLOTS).next_power_of_two());
        }
    }

    /// Moves all entries of a table of one segment to another of `buckets`.
    fn rebuild_first(&mut self, buckets: usize) {
        let mut words = self.take_overflow(0);
        let old = self.directory.replace(buckets);
        prefetch_entries(&old, Marks::NONE);
        words.extend(bucket::words(&old));
        self.replace_spilled(words);
    }

    /// Puts words that are in no bucket and no list back into the table, without growing it.
    fn replace_spilled(&mut self, words: Vec<Word>) {
        for word in words {
            let hash = self.hasher.hash(self.view_word(word).key());
            let index = self.directory.index_of(hash);
            if !self.try_place(index, hash, word) {
                self.spill(index, word);
            }
        }
    }

    fn try_place(&mut self, index: usize, hash: u64, word: Word) -> bool {
        let buckets = self.directory.buckets_mut(index);
        let first = first_bucket(hash, buckets.len());
        bucket::place(buckets, first, word).is_some()
    }

    /// Adds a word to the overflow list of the segment of `index`.
    #[cold]
    fn spill(&mut self, index: usize, word: Word) -> Position {
        let first_hash = self.segment_hash(index);
        let at = self.overflow.push(first_hash, word);
        self.directory.set_overflow(index, true);
        Position::in_overflow(index, at)
    }

    /// Tries to move an overflowed entry to a bucket, where something was removed.
    #[cold]
    fn unspill(&mut self, index: usize) {
        let first_hash = self.segment_hash(index);
        let words = self.overflow.words(first_hash);
        let Some((word, before)) = words.split_last() else { return };
        let (word, last) = (*word, before.len());
        if word.is_empty() {
            return;
        }
        let hash = self.hasher.hash(self.view_word(word).key());
        if self.try_place(index, hash, word) && self.overflow.swap_remove(first_hash, last) {
            self.directory.set_overflow(index, false);
        }
    }

    /// Removes the overflow list of the segment of `index`.
    fn take_overflow(&mut self, index: usize) -> Vec<Word> {
        if !self.directory.has_overflow(index) {
            return Vec::new();
        }
        let first_hash = self.segment_hash(index);
        self.directory.set_overflow(index, false);
        self.overflow.take(first_hash)
    }
}

/// Moves words that are in their second choice of bucket to their first where there is room again.
/// `first_buckets` tells the first choice of the word in each slot, and is kept up to date.
fn settle(buckets: &mut [Bucket], first_buckets: &mut [[u8; BUCKET_SLOTS]; SEGMENT_BUCKETS]) {
    for bucket in 0..SEGMENT_BUCKETS {
        for slot in 0..BUCKET_SLOTS {
            let word = buckets[bucket].0[slot];
            let first = usize::from(first_buckets[bucket][slot]);
            if word.is_empty() || first == bucket {
                continue;
            }
            if let Some(free) = buckets[first].empties().next() {
                buckets[first].0[free] = word;
                buckets[bucket].0[slot] = Word::EMPTY;
                first_buckets[first][free] = first as u8;
            }
        }
    }
}
