//! A big sorted set: a table of members with their scores, and an ordered tree with ranks over them.
//!
//! ```text
//!   table                      member                      tree
//!  +------+    +-------+---------------------+      +------------------+
//!  | slot |───►| score | bytes               |◄─────| (score, address) | in the order of
//!  +------+    +-------+---------------------+      +------------------+ (score, bytes)
//!    12                 32                                 20
//! ```
//!
//! The table owns the members and finds them by their bytes; the tree points to the same members and finds
//! them by score, by bytes among equal scores, and by rank. Every member is in both. With 16-byte members
//! that is some 64 bytes each: a slot of the table (11.8), the member (32), a slot of the tree (20).
//!
//! The score is in both, so that finding it by member, and comparing in the tree, are one cache miss less. Only when
//! scores are equal are the bytes looked at.
//!
//! **Alternatives refused.** A skip list, as Redis has: 40 bytes of links and spans per member, and a cache
//! miss for each of some 20 steps. A tree of `std` with ranks on top has none. The crate `indexset` counts
//! ranks over a list of nodes with a Fenwick tree; it wants keys that compare by themselves, so each would have to
//! hold its bytes, and a big set pays for rebuilding its index whenever a node splits.

#![allow(unsafe_code, reason = "the tree points to members the table owns")]

use std::fmt;

use crate::hasher::KeyHasher;
use crate::member::{Member, MemberRef, MemberWord};
use crate::table::{Found, Layout, Marks, Position, Table};

mod tree;

use tree::{Slot, Tree};

/// A sorted set of members with scores. See the [module](self).
///
/// Scores are never NaN; zero and negative zero are equal. Operations that take a hash want that of the
/// member under the set's hasher.
pub struct RankedMembers {
    table: Table<Member<true>>,
    /// Exactly the members of `table`, in ascending order of score and then bytes. Each word is made from a
    /// member that the table owns, and is removed here before the member is dropped there.
    tree: Tree,
}

/// Where a member is: valid until the next change of the set.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    position: Position,
    score: f64,
}

impl Place {
    /// The member's score.
    pub const fn score(self) -> f64 {
        self.score
    }
}

impl RankedMembers {
    /// An empty set, which allocates nothing.
    pub fn new(hasher: KeyHasher) -> Self {
        Self { table: Table::new(hasher), tree: Tree::new() }
    }

    /// How the table of its members is laid out; see [`Table::layout`].
    pub fn layout(&self, counts_fill: bool) -> Layout {
        self.table.layout(counts_fill)
    }

    /// Adds a member that is known to be absent. O(log len).
    pub fn insert(&mut self, hash: u64, member: &[u8], score: f64) {
        debug_assert!(!score.is_nan(), "scores are numbers");
        let rank = self.rank_of(member, score);
        let position = self.table.insert(hash, Member::scored(member, score), Marks::NONE);
        let word = self.table.view(position).word();
        self.tree.insert(rank, Slot { score, word });
    }

    /// Gives a member another score. O(log len); cheaper if it keeps its rank.
    pub fn set_score(&mut self, place: Place, score: f64) {
        debug_assert!(!score.is_nan(), "scores are numbers");
        let position = place.position;
        let member = self.table.view(position);
        let (word, bytes) = (member.word(), member.bytes());
        let old_rank = self.rank_of_member(member);
        let slot = Slot { score, word };
        let is_before = |rank: usize| {
            self.tree.get(rank).is_none_or(|next| !self.is_below(&next, bytes, score))
        };
        let is_after = |rank: usize| {
            self.tree.get(rank).is_none_or(|previous| self.is_below(&previous, bytes, score))
        };
        let keeps_rank = is_before(old_rank + 1) && (old_rank == 0 || is_after(old_rank - 1));
        if keeps_rank {
            self.tree.replace(old_rank, slot);
        } else {
            self.tree.remove(old_rank, 1, &mut |_| {});
            let rank = self.rank_of(self.table.view(position).bytes(), score);
            self.tree.insert(rank, slot);
        }
        self.table.update(position, |mut member| {
            member.set_score(score);
            (member, ())
        });
    }

    /// Removes a member. O(log len).
    pub fn remove(&mut self, place: Place) {
        let rank = self.rank_of_member(self.table.view(place.position));
        self.tree.remove(rank, 1, &mut |_| {});
        self.table.remove(place.position);
    }

    /// Removes `len` members from `rank` on, showing each to `visit` before. O(len + log).
    ///
    /// # Panics
    /// If there are fewer.
    pub fn remove_range(&mut self, rank: usize, len: usize, mut visit: impl FnMut(&[u8], f64)) {
        let mut left = len;
        let mut words = Vec::new();
        while left > 0 {
            left -= self.tree.remove(rank, left, &mut |slot| words.push(slot));
            for slot in words.drain(..) {
                let bytes = self.member(slot.word);
                visit(bytes, slot.score);
                let hash = self.table.hasher().hash(bytes);
                let position = self.table.find(hash, bytes).expect("every member is in both");
                self.table.remove(position);
            }
        }
    }

    /// Finds a member.
    #[inline]
    pub fn find(&self, hash: u64, member: &[u8]) -> Option<Place> {
        let Found { position, view, .. } = self.table.lookup(hash, member)?;
        Some(Place { position, score: view.score() })
    }

    /// The rank of a member, from the lowest score. O(log len).
    pub fn rank(&self, place: Place) -> usize {
        self.rank_of_member(self.table.view(place.position))
    }

    /// How many members are below a bound. `is_below` is true for a first part of the members in order,
    /// and false for the rest. O(log len) calls of it.
    #[inline]
    pub fn rank_below(&self, is_below: impl Fn(&[u8], f64) -> bool) -> usize {
        self.tree.rank_below(|slot| is_below(self.member(slot.word), slot.score))
    }

    /// How many members have a score below a bound: [`rank_below`](Self::rank_below) without looking at
    /// members.
    #[inline]
    pub fn rank_below_score(&self, is_below: impl Fn(f64) -> bool) -> usize {
        self.tree.rank_below(|slot| is_below(slot.score))
    }

    /// The member at `rank`, with its score. O(log len).
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.tree.get(rank).map(|slot| (self.member(slot.word), slot.score))
    }

    /// Up to `len` members from `rank` on, upwards.
    pub fn ascending(&self, rank: usize, len: usize) -> Ascending<'_> {
        let left = len.min(self.len().saturating_sub(rank));
        Ascending { set: self, next: rank, left, leaf: [].iter() }
    }

    /// Up to `len` members from `rank` on, downwards.
    pub fn descending(&self, rank: usize, len: usize) -> Descending<'_> {
        let next = if self.is_empty() { 0 } else { rank.min(self.len() - 1) + 1 };
        Descending { set: self, end: next, left: len.min(next), leaf: [].iter() }
    }

    /// One step of a scan in no order: see [`Table::scan`].
    pub fn scan<'s>(
        &'s self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(&'s [u8], f64),
    ) -> u64 {
        self.table.scan(cursor, count, |member| visit(member.bytes(), member.score()))
    }

    /// Number of members.
    #[inline]
    pub const fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no member.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap, in good sizes. O(1).
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.tree.bytes()
    }

    /// The hasher of the members.
    pub const fn hasher(&self) -> &KeyHasher {
        self.table.hasher()
    }

    /// Drops [`DROP_SLICE_MEMBERS`] members, the highest; whether there are more. For dropping a big set
    /// without a pause.
    pub fn drop_slice(&mut self) -> bool {
        let len = self.len();
        let from = len.saturating_sub(DROP_SLICE_MEMBERS);
        self.remove_range(from, len - from, |_, _| {});
        !self.is_empty()
    }

    /// Panics if the set contradicts itself. O(len).
    pub fn check_invariants(&self) {
        self.table.check_invariants();
        self.tree.check_invariants();
        assert_eq!(self.table.len(), self.tree.len());
        let mut previous: Option<(f64, &[u8])> = None;
        for (bytes, score) in self.ascending(0, self.len()) {
            let place =
                self.find(self.hasher().hash(bytes), bytes).expect("every member is in both");
            assert_eq!(place.score.to_bits(), score.to_bits());
            if let Some(previous) = previous {
                assert!(previous < (score, bytes), "members out of order");
            }
            previous = Some((score, bytes));
        }
    }

    /// The bytes of the member a word of the tree stands for.
    #[inline]
    #[expect(clippy::unused_self, reason = "keeps the members borrowed")]
    fn member(&self, word: MemberWord) -> &[u8] {
        // SAFETY: all words are those of slots that are in the tree, or that `remove_range` just took out of
        // it: they were made from members the table owns, which drops none while `self` is borrowed, and none
        // whose slot is still in the tree (`rank_of_member` sees to that).
        unsafe { MemberRef::from_word(word) }.bytes()
    }

    /// The rank of a member, which is checked: nothing may be dropped from the table that is not dropped from
    /// the tree, whatever a caller took for a place or a score.
    #[inline]
    fn rank_of_member(&self, member: MemberRef<'_, true>) -> usize {
        let rank = self.rank_of(member.bytes(), member.score());
        let slot = self.tree.get(rank);
        assert!(slot.is_some_and(|slot| slot.word == member.word()), "every member is in both");
        rank
    }

    /// Whether a slot is before (`score`, `bytes`).
    #[inline]
    #[expect(clippy::float_cmp, reason = "scores are equal or not, to the bit")]
    fn is_below(&self, slot: &Slot, bytes: &[u8], score: f64) -> bool {
        slot.score < score || (slot.score == score && self.member(slot.word) < bytes)
    }

    #[inline]
    fn rank_of(&self, bytes: &[u8], score: f64) -> usize {
        self.tree.rank_below(|slot| self.is_below(slot, bytes, score))
    }
}

/// How many members [`RankedMembers::drop_slice`] drops at once.
pub const DROP_SLICE_MEMBERS: usize = 256;

impl Clone for RankedMembers {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.hasher().clone());
        for (member, score) in self.ascending(0, self.len()) {
            copy.insert(copy.hasher().hash(member), member, score);
        }
        copy
    }
}

impl fmt::Debug for RankedMembers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RankedMembers")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// Members in ascending order. Finds its next leaf by rank, once per 50 members or so.
#[derive(Clone, Debug)]
pub struct Ascending<'a> {
    set: &'a RankedMembers,
    /// The rank of the first member after `leaf`.
    next: usize,
    /// Members still to come, those of `leaf` included.
    left: usize,
    leaf: std::slice::Iter<'a, Slot>,
}

impl<'a> Iterator for Ascending<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if self.leaf.len() == 0 {
            let (slots, at) = self.set.tree.leaf(self.next);
            self.next += slots.len() - at;
            self.leaf = slots[at..].iter();
        }
        self.left -= 1;
        let slot = self.leaf.next().expect("no leaf is empty");
        Some((self.set.member(slot.word), slot.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Ascending<'_> {}

/// Members in descending order.
#[derive(Clone, Debug)]
pub struct Descending<'a> {
    set: &'a RankedMembers,
    /// The rank of the first member in `leaf`, or where the first leaf ends.
    end: usize,
    /// Members still to come, those of `leaf` included.
    left: usize,
    leaf: std::slice::Iter<'a, Slot>,
}

impl<'a> Iterator for Descending<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if self.leaf.len() == 0 {
            let (slots, at) = self.set.tree.leaf(self.end - 1);
            self.end -= at + 1;
            self.leaf = slots[..=at].iter();
        }
        self.left -= 1;
        let slot = self.leaf.next_back().expect("no leaf is empty");
        Some((self.set.member(slot.word), slot.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Descending<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_operations_match_the_model() {
        crate::exercise::for_seeds(60, 20_000, crate::exercise::ranked);
    }

    fn numbered(count: u32) -> RankedMembers {
        let mut set = RankedMembers::new(KeyHasher::new(7));
        for number in 0..count {
            let member = format!("member:{number:06}");
            let hash = set.hasher().hash(member.as_bytes());
            set.insert(
                hash,
                member.as_bytes(),
                f64::from(number.wrapping_mul(2_654_435_769) % count),
            );
        }
        set
    }

    #[test]
    fn a_range_is_the_same_from_both_ends() {
        let set = numbered(3_000);
        set.check_invariants();
        let up: Vec<_> = set.ascending(100, 500).collect();
        let mut down: Vec<_> = set.descending(599, 500).collect();
        down.reverse();
        assert_eq!(up, down);
        assert_eq!(up[7], set.get(107).expect("there"));
        assert_eq!(set.ascending(2_990, 100).count(), 10);
        assert_eq!(set.descending(9, 100).count(), 10);
        assert_eq!(set.descending(usize::MAX, 1).next(), set.get(2_999));
    }

    #[test]
    fn ranges_are_removed_from_tree_and_table() {
        let mut set = numbered(3_000);
        let expected: Vec<Vec<u8>> =
            set.ascending(10, 2_000).map(|(bytes, _)| bytes.to_vec()).collect();
        let mut removed = Vec::new();
        set.remove_range(10, 2_000, |bytes, _| removed.push(bytes.to_vec()));
        set.check_invariants();
        assert_eq!((removed, set.len()), (expected, 1_000));
        while set.drop_slice() {}
        assert_eq!(set.bytes(), 0);
    }

    #[test]
    fn a_member_of_16_bytes_takes_less_than_70() {
        let mut set = RankedMembers::new(KeyHasher::new(7));
        let (mut sum, mut samples) = (0, 0);
        for number in 0..200_000_u32 {
            let member = format!("member:{number:09}");
            let score = f64::from(number.wrapping_mul(2_654_435_769));
            set.insert(set.hasher().hash(member.as_bytes()), member.as_bytes(), score);
            if number >= 100_000 && number % 1_000 == 0 {
                sum += set.bytes() * 100 / set.len();
                samples += 1;
            }
        }
        let mean = sum / samples;
        assert!(mean < 6_700, "{mean} hundredths of a byte per member");
    }
}
