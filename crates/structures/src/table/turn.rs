//! A hand that goes round a table: CLOCK's, over slots instead of a list.
//!
//! Entries lie where their hash says, so the order of the walk has nothing to do with their age, and a new
//! entry waits for half a round on average before the hand comes to it. In return the order costs no memory.

use super::word::{BUCKET_SLOTS, Marks, Word};
use super::{Entry, NEVER, Position, Table};
use crate::defragmentation::Defragmentation;
use crate::prefetch::prefetch_read;

/// Where a hand stands. Any hand is safe to go on with, whatever happened to the table meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hand {
    /// A hash of the segment.
    hash: u64,
    /// The slot in the segment to go on with; above them all, the place in its overflow list.
    place: usize,
}

/// What to do with an entry the hand came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Go on.
    Pass,
    /// Give it another stamp and go on.
    Stamp(u32),
    /// This is the one.
    Choose,
}

/// How far a hand got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// To an entry that was chosen; the hand stands behind it.
    To(Position),
    /// As far as it was let.
    OutOfSteps,
    /// Behind the last entry; the hand stands at the first again.
    Round,
}

impl<E: Entry> Table<E> {
    /// Moves a hand over the entries that have all of `marks` until one is chosen, looking at `steps` slots at
    /// most, of which it takes off as many as it looked at. Segments in which nothing has a deadline are passed
    /// over if that is what is wanted.
    pub fn turn(
        &mut self,
        hand: &mut Hand,
        marks: Marks,
        steps: &mut usize,
        mut judge: impl FnMut(E::View<'_>) -> Judgement,
    ) -> Turned {
        self.walk(hand, marks, steps, |table, position, word| {
            match judge(table.view_word(word)) {
                Judgement::Pass => {}
                Judgement::Stamp(stamp) => table.set_stamp(position, stamp),
                Judgement::Choose => return true,
            }
            false
        })
    }

    /// Moves a hand over the entries and lets them and what they own be moved as `defragmentation` wants, looking at `steps`
    /// slots at most, of which it takes off as many as it looked at, and no more once [enough](Defragmentation::is_spent) is
    /// moved. Whether the hand came to the end, and stands at the beginning again.
    pub fn defragment(
        &mut self,
        hand: &mut Hand,
        steps: &mut usize,
        defragmentation: &mut Defragmentation,
    ) -> bool {
        let turned = self.walk(hand, Marks::NONE, steps, |table, position, word| {
            // SAFETY: the table owns the entry of a word in it, and is exclusively borrowed; the word is exchanged for
            // one of the new place.
            let moved = unsafe { E::defragment(word.address(), word.marks(), defragmentation) };
            if let Some(address) = moved {
                *table.word_mut(position) = Word::new(word.tag(), address, word.marks());
            }
            defragmentation.is_spent()
        });
        turned == Turned::Round
    }

    /// The same for as many as `steps` slots from a random place on.
    pub fn defragment_some(&mut self, mut steps: usize, defragmentation: &mut Defragmentation) {
        let is_small = self.directory.len() <= 1;
        let hash = if is_small { 0 } else { defragmentation.begin() };
        self.defragment(&mut Hand { hash, place: 0 }, &mut steps, defragmentation);
    }

    /// Calls `visit` for the entries that a hand comes to until it says stop.
    fn walk(
        &mut self,
        hand: &mut Hand,
        marks: Marks,
        steps: &mut usize,
        mut visit: impl FnMut(&mut Self, Position, Word) -> bool,
    ) -> Turned {
        while !self.directory.is_empty() {
            let mut index = self.directory.start_of(self.directory.index_of(hand.hash));
            if marks.contains(Marks::DEADLINE) && hand.place == 0 {
                match self.directory.find_earlier(index, NEVER) {
                    Some(next) => index = next,
                    None => break,
                }
            }
            let segment_hash = self.segment_hash(index);
            hand.hash = segment_hash;
            let slots = self.directory.segment_buckets() * BUCKET_SLOTS;
            let places = slots + self.overflow.words(segment_hash).len();
            while hand.place < places {
                if *steps == 0 {
                    return Turned::OutOfSteps;
                }
                *steps -= 1;
                let place = hand.place;
                hand.place += 1;
                let position = if place < slots {
                    if place.is_multiple_of(BUCKET_SLOTS) {
                        self.prefetch_entries_of(index, place / BUCKET_SLOTS + 1);
                    }
                    Position::in_bucket(index, place / BUCKET_SLOTS, place % BUCKET_SLOTS)
                } else {
                    Position::in_overflow(index, place - slots)
                };
                let word = self.word(position);
                if word.is_empty() || !word.marks().contains(marks) {
                    continue;
                }
                if visit(self, position, word) {
                    return Turned::To(position);
                }
            }
            match self.directory.first_hash(index + self.directory.span_of(index)) {
                Some(hash) => *hand = Hand { hash, place: 0 },
                None => break,
            }
        }
        *hand = Hand::default();
        Turned::Round
    }

    /// Starts to fetch the entries of a bucket, if there is such a bucket.
    fn prefetch_entries_of(&self, index: usize, bucket: usize) {
        if let Some(bucket) = self.directory.buckets(index).get(bucket) {
            for word in bucket.0.iter().filter(|word| !word.is_empty()) {
                prefetch_read(word.address().as_ptr());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deadline;
    use crate::block::{Block, Payload};
    use crate::hasher::KeyHasher;
    use std::convert::Infallible;

    /// A table of the numbers below `len`; every tenth has a deadline.
    fn table(len: u64) -> Table<Block<Infallible>> {
        let mut table = Table::new(KeyHasher::new(3));
        for number in 0..len {
            let key = number.to_string();
            let deadline = number.is_multiple_of(10).then(|| Deadline::new(1000).unwrap());
            let block = Block::new(key.as_bytes(), Payload::Integer(1), deadline);
            table.insert(table.hasher().hash(key.as_bytes()), block, Marks::NONE);
        }
        table
    }

    #[test]
    fn one_round_comes_to_every_entry_once() {
        for len in [0, 1, 100, 5000] {
            let mut table = table(len);
            let mut hand = Hand::default();
            let mut seen = Vec::new();
            loop {
                let turned = table.turn(&mut hand, Marks::NONE, &mut 7, |entry| {
                    seen.push(entry.key().to_vec());
                    Judgement::Stamp(9)
                });
                match turned {
                    Turned::Round => break,
                    Turned::OutOfSteps => {}
                    Turned::To(_) => panic!("nothing was chosen"),
                }
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!((seen.len() as u64, hand), (len, Hand::default()));
        }
    }

    #[test]
    fn a_hand_goes_on_behind_what_it_chose_while_the_table_shrinks() {
        let mut table = table(5000);
        let mut hand = Hand::default();
        for left in (0..5000).rev() {
            let mut is_second_round = false;
            let position = loop {
                let mut steps = usize::MAX;
                match table.turn(&mut hand, Marks::NONE, &mut steps, |_| Judgement::Choose) {
                    Turned::To(position) => break position,
                    _ => assert!(!std::mem::replace(&mut is_second_round, true)),
                }
            };
            drop(table.remove(position));
            assert_eq!(table.len(), left);
        }
        table.check_invariants();
    }

    #[test]
    fn a_table_is_the_same_after_everything_was_moved() {
        let mut table = table(5000);
        let (bytes, mut hand) = (table.bytes(), Hand::default());
        let mut defragmentation = Defragmentation::of_everything(1);
        while !table.defragment(&mut hand, &mut 1000, &mut defragmentation) {}
        assert_eq!((defragmentation.moved, defragmentation.kept), (5000, 0));
        assert_eq!((table.bytes(), table.len()), (bytes, 5000));
        for number in 0..5000_u64 {
            let key = number.to_string();
            assert!(table.find(table.hasher().hash(key.as_bytes()), key.as_bytes()).is_some());
        }
        table.check_invariants();
    }

    #[test]
    fn only_entries_with_the_marks_are_judged() {
        let mut table = table(3000);
        let mut count = 0;
        let mut steps = usize::MAX;
        let turned = table.turn(&mut Hand::default(), Marks::DEADLINE, &mut steps, |entry| {
            assert!(entry.deadline().is_some());
            count += 1;
            Judgement::Pass
        });
        assert_eq!((turned, count), (Turned::Round, 300));
    }
}
