//! Finding the entries whose deadline has passed without looking at the others.
//!
//! The directory keeps a lower bound of the deadlines of each segment, eight bytes per segment in an
//! array of their own once the first deadline comes, and the table one of all segments. Setting a
//! deadline lowers the bounds; removing or raising one leaves them, since they need only be lower.
//! The expiry hand walks the array, opens the segments whose bound has passed, and sets their bounds
//! anew. So a table in which nothing is due costs one comparison, and one in which something is due
//! costs 8 bytes of memory traffic per segment of some hundred entries.

use super::bucket;
use super::word::{BUCKET_SLOTS, Marks, Word};
use super::{Entry, EntryView, NEVER, Position, Table, prefetch_entries, with_own};
use crate::deadline::Deadline;

impl<E: Entry> Table<E> {
    /// Hands entries that are due before `now_ms` to `expired`, which keeps them or gives back what
    /// is to stay under the same key, opening at most `budget_segments` segments; returns how many it
    /// opened.
    ///
    /// `hand` is the hash to go on at, 0 at first; a walk that reached the end sets it to 0 and renews
    /// [`next_deadline_ms`](Self::next_deadline_ms), which tells whether there is more to do.
    pub fn expire_slice(
        &mut self,
        hand: &mut u64,
        now_ms: i64,
        budget_segments: usize,
        mut expired: impl FnMut(E) -> Option<E>,
    ) -> usize {
        let before_ms = u64::try_from(now_ms).unwrap_or(0);
        let mut opened = 0;
        if self.next_deadline >= before_ms {
            return opened;
        }
        let mut from = Some(*hand);
        while let Some(hash) = from {
            let Some(index) = self.find_due(hash, before_ms) else { break };
            if opened == budget_segments {
                *hand = self.segment_hash(index);
                return opened;
            }
            opened += 1;
            // The hash, because merging may move the indices.
            from = self.directory.first_hash(index + self.directory.span_of(index));
            self.expire_segment(index, before_ms, &mut expired);
        }
        *hand = 0;
        self.next_deadline = self.directory.earliest_of_all();
        opened
    }

    /// A lower bound of the deadlines of all entries; `None` when there is no deadline.
    #[inline]
    pub fn next_deadline_ms(&self) -> Option<i64> {
        (self.next_deadline != NEVER).then_some(self.next_deadline.cast_signed())
    }

    /// Hands the deadlines of one segment that has some to `visit`, a segment chosen by `random`.
    pub fn sample_deadlines(&self, random: u64, mut visit: impl FnMut(i64)) {
        if self.deadlines == 0 {
            return;
        }
        let index = self.directory.index_of(random);
        let found = self.directory.find_earlier(index, NEVER);
        let Some(index) = found.or_else(|| self.directory.find_earlier(0, NEVER)) else { return };
        let spilled = self.overflow.words(self.segment_hash(index)).iter().copied();
        prefetch_entries(self.directory.buckets(index), Marks::DEADLINE);
        for word in bucket::words(self.directory.buckets(index)).chain(spilled) {
            if let Some(deadline) = self.view_word(word).deadline() {
                visit(deadline.millis());
            }
        }
    }

    /// The next segment, from that of `hash` on, in which something may be due.
    fn find_due(&self, hash: u64, before_ms: u64) -> Option<usize> {
        if self.directory.is_empty() {
            return None;
        }
        let index = self.directory.start_of(self.directory.index_of(hash));
        self.directory.find_earlier(index, before_ms)
    }

    fn expire_segment(
        &mut self,
        index: usize,
        before_ms: u64,
        expired: &mut impl FnMut(E) -> Option<E>,
    ) {
        prefetch_entries(self.directory.buckets(index), Marks::DEADLINE);
        let mut earliest = NEVER;
        let mut removed = false;
        for bucket in 0..self.directory.segment_buckets() {
            for slot in 0..BUCKET_SLOTS {
                let position = Position::in_bucket(index, bucket, slot);
                removed |= self.expire_at(position, before_ms, &mut earliest, expired);
            }
        }
        let first_hash = self.segment_hash(index);
        for at in (0..self.overflow.words(first_hash).len()).rev() {
            let position = Position::in_overflow(index, at);
            if self.expire_at(position, before_ms, &mut earliest, expired) {
                removed = true;
                if self.overflow.swap_remove(first_hash, at) {
                    self.directory.set_overflow(index, false);
                }
            }
        }
        self.directory.set_earliest(index, earliest);
        if removed {
            self.merge_while_sparse(index);
        }
    }

    /// Takes out the entry at `position` if it is due, leaving its slot empty unless something comes back;
    /// else accounts for when it is. Whether the slot became empty.
    fn expire_at(
        &mut self,
        position: Position,
        before_ms: u64,
        earliest: &mut u64,
        expired: &mut impl FnMut(E) -> Option<E>,
    ) -> bool {
        let word = self.word(position);
        if !word.marks().contains(Marks::DEADLINE) {
            return false;
        }
        // The mark may mean something else to an entry that never has one.
        let Some(due) = self.view_word(word).due() else { return false };
        if due.to_bits() >= before_ms {
            *earliest = (*earliest).min(due.to_bits());
            return false;
        }
        let old_word = self.take_word(position);
        self.len -= 1;
        // SAFETY: the word was taken out of the table, which owned it.
        let entry = unsafe { E::from_parts(old_word.address(), old_word.marks()) };
        let Some(entry) = expired(entry) else { return true };
        let (address, own_marks) = entry.into_parts();
        // SAFETY: the parts were just made, and the table owns them now.
        let view = unsafe { E::view(address, own_marks) };
        let (bytes, has_deadline, due) = (view.bytes(), view.deadline().is_some(), view.due());
        let marks = with_own::<E>(old_word.marks(), own_marks);
        *self.word_mut(position) = Word::new(old_word.tag(), address, marks);
        self.len += 1;
        self.entry_bytes += bytes;
        self.deadline_holders += usize::from(view.holds_deadlines());
        self.deadlines += usize::from(has_deadline);
        *earliest = (*earliest).min(due.map_or(NEVER, Deadline::to_bits));
        false
    }
}
