//! A sequence with ranks: a B+tree that counts.
//!
//! ```text
//!                     +-----------------------------+
//!  inner node         | child   A       B       C   |
//!  (up to 31)         | count   57      64      33  |
//!                     | first   1.5 m1  7.0 m2  9 m3|
//!                     +---|-------|---------|-------+
//!                         v       v         v
//!  leaf (up to 64)    [(1.5, m1) (1.5, m7) ...] [(7.0, m2) ...] [(9, m3) ...]
//! ```
//!
//! A leaf is a sorted run of slots, a score and a word each; an inner node knows of each child how many
//! slots are below it and a copy of the first. From the counts follow the rank of any slot and the
//! slot of any rank; from the first ones, where a slot belongs. All leaves are equally deep.
//!
//! The tree itself never compares slots: whoever uses it asks [`rank_below`](Tree::rank_below) with a
//! predicate that is true for a first part of the sequence, and then inserts and removes by rank. So searching by score, by
//! member and by rank are one descent each, through four to five nodes for a million slots, and a range
//! of any kind is a rank and a length.
//!
//! **Splitting** is done on the way down, so that an insertion is one loop: a full child first gives slots to
//! a neighbour with room, and is split only if there is none; then leaves are about 85 % full under
//! random insertion, where splitting alone would leave 69 %. At either end of the sequence a full leaf
//! keeps all but one of its slots, so ascending insertion fills leaves. **Merging** is done on the way back
//! from a removal: a child that is half empty joins a neighbour if both together leave a quarter free.
//!
//! 16 bytes a slot at 85 % are 19 bytes, and one more for inner nodes.

use crate::member::MemberWord;
use crate::size::good_size;

/// Slots of a full leaf: one allocation of 1 KiB.
const LEAF_SLOTS: usize = 64;
/// Children of a full inner node: one allocation of 1.5 KiB.
const CHILDREN_MAX: usize = 31;
/// A full node is not split while a neighbour has at least this share of its room free.
const SPARE_SHARE: usize = 8;

const _: () = assert!(LEAF_SLOTS * size_of::<Slot>() == 1024);
const _: () = assert!(size_of::<Inner>() <= 1536);

/// One place in the sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Slot {
    pub(super) score: f64,
    pub(super) word: MemberWord,
}

/// The sequence. See the [module](self).
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
    len: usize,
    leaves: usize,
    inners: usize,
}

#[derive(Debug)]
enum Node {
    /// Never empty, unless it is the root.
    Leaf(Vec<Slot>),
    /// Never empty; as the root, at least two children.
    Inner(Box<Inner>),
}

/// Parallel arrays, of which the first `len` elements count.
#[derive(Debug)]
struct Inner {
    /// `1..=CHILDREN_MAX`
    len: usize,
    /// How many slots are below each child, at least 1.
    counts: [usize; CHILDREN_MAX],
    /// The first slot below each child.
    firsts: [Slot; CHILDREN_MAX],
    children: [Option<Node>; CHILDREN_MAX],
}

/// At which ends of the whole sequence an insertion is.
#[derive(Clone, Copy)]
struct Edge {
    start: bool,
    end: bool,
}

/// How room was made in a full child.
enum Room {
    Found,
    SplitLeaf,
    SplitInner,
}

/// Nodes that a removal left unneeded.
#[derive(Default)]
struct Freed {
    leaves: usize,
    inners: usize,
}

impl Tree {
    /// An empty sequence, which allocates nothing.
    pub(super) const fn new() -> Self {
        Self { root: Node::Leaf(Vec::new()), len: 0, leaves: 1, inners: 0 }
    }

    /// Inserts a slot so that `rank` others are before it. O(log len).
    ///
    /// # Panics
    /// If there are fewer.
    pub(super) fn insert(&mut self, rank: usize, slot: Slot) {
        assert!(rank <= self.len, "an insertion beyond the end");
        let edge = Edge { start: rank == 0, end: rank == self.len };
        if self.root.is_full() {
            let old = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let mut root = Inner::empty();
            root.insert_child(0, self.len, old.first(), old);
            self.root = Node::Inner(Box::new(root));
            self.inners += 1;
        }
        self.len += 1;
        let mut node = &mut self.root;
        let mut at = rank;
        loop {
            match node {
                Node::Leaf(slots) => {
                    if slots.len() == slots.capacity() {
                        slots.reserve_exact(slots.len().max(4));
                    }
                    slots.insert(at, slot);
                    return;
                }
                Node::Inner(inner) => {
                    let within = at;
                    let mut index = inner.child_ending_from(&mut at);
                    if inner.child(index).is_full() {
                        match inner.make_room(index, edge) {
                            Room::Found => {}
                            Room::SplitLeaf => self.leaves += 1,
                            Room::SplitInner => self.inners += 1,
                        }
                        // The boundaries moved, and the place may be below a neighbour now, which is not
                        // full either.
                        at = within;
                        index = inner.child_ending_from(&mut at);
                    }
                    inner.counts[index] += 1;
                    if at == 0 {
                        inner.firsts[index] = slot;
                    }
                    node = inner.child_mut(index);
                }
            }
        }
    }

    /// Removes up to `max` (at least 1) slots from `rank` on, all of one leaf, and hands them to `sink`; how
    /// many. O(log len).
    ///
    /// # Panics
    /// If there is no such rank.
    pub(super) fn remove(&mut self, rank: usize, max: usize, sink: &mut impl FnMut(Slot)) -> usize {
        assert!(rank < self.len && max > 0, "a removal beyond the end");
        let mut freed = Freed::default();
        let removed = self.root.remove(rank, max, sink, &mut freed);
        self.len -= removed;
        while let Node::Inner(inner) = &mut self.root
            && inner.len == 1
        {
            let only = inner.children[0].take().expect("counted");
            self.root = only;
            freed.inners += 1;
        }
        self.leaves -= freed.leaves;
        self.inners -= freed.inners;
        if self.len == 0 {
            *self = Self::new();
        }
        removed
    }

    /// Exchanges the slot at `rank`, which must keep its place in the order. O(log len).
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn replace(&mut self, rank: usize, slot: Slot) {
        let mut node = &mut self.root;
        let mut at = rank;
        loop {
            match node {
                Node::Leaf(slots) => {
                    slots[at] = slot;
                    return;
                }
                Node::Inner(inner) => {
                    let index = inner.child_holding(&mut at);
                    if at == 0 {
                        inner.firsts[index] = slot;
                    }
                    node = inner.child_mut(index);
                }
            }
        }
    }

    /// How many slots are below a bound. `is_below` is true for a first part of the sequence and false
    /// for the rest. O(log len) calls of it.
    #[inline]
    pub(super) fn rank_below(&self, is_below: impl Fn(&Slot) -> bool) -> usize {
        let mut node = &self.root;
        let mut rank = 0;
        loop {
            match node {
                Node::Leaf(slots) => return rank + slots.partition_point(is_below),
                Node::Inner(inner) => {
                    let begun = inner.firsts[..inner.len].partition_point(&is_below);
                    let index = begun.saturating_sub(1);
                    rank += inner.counts[..index].iter().sum::<usize>();
                    node = inner.child(index);
                }
            }
        }
    }

    /// The leaf that has `rank`, and the place there. O(log len).
    ///
    /// # Panics
    /// If there is no such rank.
    pub(super) fn leaf(&self, rank: usize) -> (&[Slot], usize) {
        assert!(rank < self.len, "a rank beyond the end");
        let mut node = &self.root;
        let mut at = rank;
        loop {
            match node {
                Node::Leaf(slots) => return (slots, at),
                Node::Inner(inner) => node = inner.child(inner.child_holding(&mut at)),
            }
        }
    }

    /// The slot at `rank`.
    pub(super) fn get(&self, rank: usize) -> Option<Slot> {
        (rank < self.len).then(|| {
            let (slots, at) = self.leaf(rank);
            slots[at]
        })
    }

    /// Number of slots.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of heap, in good sizes. O(1).
    pub(super) fn bytes(&self) -> usize {
        match &self.root {
            Node::Leaf(slots) if slots.capacity() == 0 => 0,
            Node::Leaf(slots) => good_size(slots.capacity() * size_of::<Slot>()),
            Node::Inner(_) => {
                self.leaves * good_size(LEAF_SLOTS * size_of::<Slot>())
                    + self.inners * good_size(size_of::<Inner>())
            }
        }
    }

    /// Panics if the tree contradicts itself. O(len).
    pub(super) fn check_invariants(&self) {
        let mut found = Freed::default();
        let len = match &self.root {
            Node::Leaf(slots) => {
                found.leaves = 1;
                slots.len()
            }
            Node::Inner(inner) => {
                assert!(inner.len >= 2, "a root with one child");
                self.root.check_invariants(&mut found).0
            }
        };
        assert_eq!((len, found.leaves, found.inners), (self.len, self.leaves, self.inners));
    }
}

impl Node {
    fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Slots of a leaf, children of an inner node.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(slots) => slots.len(),
            Self::Inner(inner) => inner.len,
        }
    }

    const fn capacity(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_SLOTS,
            Self::Inner(_) => CHILDREN_MAX,
        }
    }

    fn first(&self) -> Slot {
        match self {
            Self::Leaf(slots) => slots[0],
            Self::Inner(inner) => inner.firsts[0],
        }
    }

    /// See [`Tree::remove`]. Recurses as deep as the tree is.
    fn remove(
        &mut self,
        at: usize,
        max: usize,
        sink: &mut impl FnMut(Slot),
        freed: &mut Freed,
    ) -> usize {
        let inner = match self {
            Self::Leaf(slots) => {
                let end = at.saturating_add(max).min(slots.len());
                slots.drain(at..end).for_each(sink);
                return end - at;
            }
            Self::Inner(inner) => inner,
        };
        let mut at = at;
        let index = inner.child_holding(&mut at);
        let removed = inner.child_mut(index).remove(at, max, sink, freed);
        inner.counts[index] -= removed;
        if inner.counts[index] == 0 {
            freed.count(&inner.remove_child(index));
            return removed;
        }
        if at == 0 {
            inner.firsts[index] = inner.child(index).first();
        }
        if inner.child(index).len() * 2 <= inner.child(index).capacity() {
            inner.merge_around(index, freed);
        }
        removed
    }

    /// Moves `count` slots or children from the end of `left` to the beginning of `right`; how many slots
    /// that is.
    fn shift_right(left: &mut Self, right: &mut Self, count: usize) -> usize {
        match (left, right) {
            (Self::Leaf(left), Self::Leaf(right)) => {
                let from = left.len() - count;
                right.splice(0..0, left.drain(from..));
                count
            }
            (Self::Inner(left), Self::Inner(right)) => {
                (0..count).map(|_| Inner::shift_child(left, left.len - 1, right, 0)).sum()
            }
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    /// Moves `count` slots or children from the beginning of `right` to the end of `left`; how many slots
    /// that is.
    fn shift_left(left: &mut Self, right: &mut Self, count: usize) -> usize {
        match (left, right) {
            (Self::Leaf(left), Self::Leaf(right)) => {
                left.reserve_exact(LEAF_SLOTS - left.len());
                left.extend(right.drain(..count));
                count
            }
            (Self::Inner(left), Self::Inner(right)) => {
                (0..count).map(|_| Inner::shift_child(right, 0, left, left.len)).sum()
            }
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    /// An empty node of the same kind, with all its room.
    fn empty_sibling(&self) -> Self {
        match self {
            Self::Leaf(_) => Self::Leaf(Vec::with_capacity(LEAF_SLOTS)),
            Self::Inner(_) => Self::Inner(Box::new(Inner::empty())),
        }
    }

    /// Number of slots, with their ends.
    fn check_invariants(&self, found: &mut Freed) -> (usize, usize) {
        match self {
            Self::Leaf(slots) => {
                assert!(!slots.is_empty() && slots.len() <= LEAF_SLOTS);
                assert_eq!(slots.capacity(), LEAF_SLOTS, "accounted for as a whole leaf");
                found.leaves += 1;
                (slots.len(), 1)
            }
            Self::Inner(inner) => {
                found.inners += 1;
                assert!((1..=CHILDREN_MAX).contains(&inner.len));
                assert!(inner.children[inner.len..].iter().all(Option::is_none));
                let mut heights = Vec::new();
                for index in 0..inner.len {
                    let (len, height) = inner.child(index).check_invariants(found);
                    assert_eq!(len, inner.counts[index]);
                    assert_eq!(inner.child(index).first(), inner.firsts[index]);
                    heights.push(height);
                }
                assert!(
                    heights.iter().all(|height| *height == heights[0]),
                    "leaves of equal depth"
                );
                (inner.counts[..inner.len].iter().sum(), heights[0] + 1)
            }
        }
    }
}

impl Freed {
    fn count(&mut self, node: &Node) {
        match node {
            Node::Leaf(_) => self.leaves += 1,
            Node::Inner(_) => self.inners += 1,
        }
    }
}

impl Inner {
    fn empty() -> Self {
        Self {
            len: 0,
            counts: [0; CHILDREN_MAX],
            firsts: [Slot::default(); CHILDREN_MAX],
            children: [const { None }; CHILDREN_MAX],
        }
    }

    #[inline]
    fn child(&self, index: usize) -> &Node {
        self.children[index].as_ref().expect("below the length")
    }

    #[inline]
    fn child_mut(&mut self, index: usize) -> &mut Node {
        self.children[index].as_mut().expect("below the length")
    }

    /// The child that has the slot at `at`, which becomes the place there.
    #[inline]
    fn child_holding(&self, at: &mut usize) -> usize {
        let mut index = 0;
        while *at >= self.counts[index] {
            *at -= self.counts[index];
            index += 1;
        }
        index
    }

    /// The child to insert into at `at`, which becomes the place there: of two that meet at the place,
    /// the first.
    #[inline]
    fn child_ending_from(&self, at: &mut usize) -> usize {
        let mut index = 0;
        while *at > self.counts[index] {
            *at -= self.counts[index];
            index += 1;
        }
        index
    }

    fn insert_child(&mut self, index: usize, count: usize, first: Slot, child: Node) {
        self.counts[index..=self.len].rotate_right(1);
        self.firsts[index..=self.len].rotate_right(1);
        self.children[index..=self.len].rotate_right(1);
        self.counts[index] = count;
        self.firsts[index] = first;
        self.children[index] = Some(child);
        self.len += 1;
    }

    fn remove_child(&mut self, index: usize) -> Node {
        let child = self.children[index].take().expect("below the length");
        self.counts[index..self.len].rotate_left(1);
        self.firsts[index..self.len].rotate_left(1);
        self.children[index..self.len].rotate_left(1);
        self.len -= 1;
        child
    }

    /// Moves a child from one node to another; how many slots it has.
    fn shift_child(from: &mut Self, from_index: usize, to: &mut Self, to_index: usize) -> usize {
        let (count, first) = (from.counts[from_index], from.firsts[from_index]);
        let child = from.remove_child(from_index);
        to.insert_child(to_index, count, first, child);
        count
    }

    /// Makes room in a full child, for an insertion at `edge` of the whole sequence.
    fn make_room(&mut self, index: usize, edge: Edge) -> Room {
        let (len, capacity) = (self.child(index).len(), self.child(index).capacity());
        let room_of = |index: usize| capacity - self.child(index).len();
        let spare_min = capacity / SPARE_SHARE;
        if index > 0 && room_of(index - 1) >= spare_min {
            self.level_left(index - 1, room_of(index - 1) / 2);
            return Room::Found;
        }
        if index + 1 < self.len && room_of(index + 1) >= spare_min {
            self.level_right(index, room_of(index + 1) / 2);
            return Room::Found;
        }
        let moved = match edge {
            Edge { end: true, .. } => 1,
            Edge { start: true, .. } => len - 1,
            _ => len / 2,
        };
        let sibling = self.child(index).empty_sibling();
        self.insert_child(index + 1, 0, Slot::default(), sibling);
        self.level_right(index, moved);
        match self.child(index) {
            Node::Leaf(_) => Room::SplitLeaf,
            Node::Inner(_) => Room::SplitInner,
        }
    }

    /// Moves `count` slots or children from the child after `index` to that at `index`.
    fn level_left(&mut self, index: usize, count: usize) {
        let [left, right] = self.pair(index);
        let slots = Node::shift_left(left, right, count);
        self.counts[index] += slots;
        self.counts[index + 1] -= slots;
        if self.counts[index + 1] > 0 {
            self.firsts[index + 1] = self.child(index + 1).first();
        }
    }

    /// Moves `count` slots or children from the child at `index` to the one after it.
    fn level_right(&mut self, index: usize, count: usize) {
        let [left, right] = self.pair(index);
        let slots = Node::shift_right(left, right, count);
        self.counts[index] -= slots;
        self.counts[index + 1] += slots;
        self.firsts[index + 1] = self.child(index + 1).first();
    }

    /// Joins the child at `index` with a neighbour if that leaves a quarter of one node free.
    fn merge_around(&mut self, index: usize, freed: &mut Freed) {
        let lefts = [index.checked_sub(1), (index + 1 < self.len).then_some(index)];
        for left in lefts.into_iter().flatten() {
            let (own, other) = (self.child(left).len(), self.child(left + 1).len());
            if (own + other) * 4 <= self.child(left).capacity() * 3 {
                self.level_left(left, other);
                freed.count(&self.remove_child(left + 1));
                return;
            }
        }
    }

    /// The child at `index` and the one after it.
    fn pair(&mut self, index: usize) -> [&mut Node; 2] {
        let [left, right] = &mut self.children[index..index + 2] else {
            unreachable!("two children")
        };
        let both = left.as_mut().zip(right.as_mut()).expect("below the length");
        both.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: usize) -> Slot {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        Slot { score: number as f64, word: MemberWord::default() }
    }

    fn numbers(tree: &Tree) -> Vec<f64> {
        (0..tree.len()).map(|rank| tree.get(rank).expect("below the length").score).collect()
    }

    fn filled(count: usize, rank_of: impl Fn(usize) -> usize) -> Tree {
        let mut tree = Tree::new();
        for number in 0..count {
            tree.insert(rank_of(number), slot(number));
        }
        tree.check_invariants();
        tree
    }

    #[test]
    fn ascending_and_descending_insertion_fill_the_leaves() {
        for tree in [filled(100_000, |number| number), filled(100_000, |_| 0)] {
            assert!(tree.bytes() < 100_000 * 18, "{} bytes", tree.bytes());
        }
    }

    #[test]
    fn random_insertion_fills_leaves_well() {
        let mut state = 1_usize;
        let mut random = move |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            (state >> 33) % bound
        };
        let mut tree = Tree::new();
        for number in 0..200_000 {
            tree.insert(random(number + 1), slot(number));
        }
        tree.check_invariants();
        assert!(tree.bytes() < 200_000 * 21, "{} bytes", tree.bytes());
    }

    #[test]
    fn removal_gives_everything_back() {
        let mut tree = filled(10_000, |number| number);
        let mut removed = Vec::new();
        while tree.len() > 0 {
            let rank = tree.len() / 3;
            tree.remove(rank, 7, &mut |slot| removed.push(slot.score));
            if tree.len().is_multiple_of(97) {
                tree.check_invariants();
            }
        }
        assert_eq!((removed.len(), tree.bytes()), (10_000, 0));
    }

    #[test]
    fn sparse_leaves_merge() {
        let mut tree = filled(64_000, |number| number);
        for rank in 0..4_000 {
            for _ in 0..15 {
                tree.remove(rank, 1, &mut |_| {});
            }
        }
        tree.check_invariants();
        assert_eq!(tree.len(), 4_000);
        assert!(tree.bytes() < 4_000 * 40, "{} bytes", tree.bytes());
    }

    #[test]
    fn a_bound_is_a_rank() {
        let tree = filled(5_000, |number| number);
        for bound in [0.0, 0.5, 1.0, 63.0, 64.0, 2_500.25, 4_999.0, 9_999.0] {
            let expected = numbers(&tree).iter().filter(|score| **score < bound).count();
            assert_eq!(tree.rank_below(|slot| slot.score < bound), expected);
        }
    }
}
