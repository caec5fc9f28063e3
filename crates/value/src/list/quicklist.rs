//! Big lists: a queue of nodes.
//!
//! ```text
//!  Quicklist ──► [ node | node | node | ... ]     16 bytes each, in one ring
//!                   │      │      └── Large ──► one element that is too big to be packed
//!                   │      └── Packed, 240 elements ──► PackedList of at most 8 KiB
//!                   └── Packed, 17 elements
//! ```
//!
//! Both ends are O(1) but for moving a node's bytes. The numbers of elements lie in the ring beside the
//! pointers, so that an index is found without touching the nodes: 4 µs for a list of a million elements
//! of 32 bytes, whose ring is 66 KB. No node is ever empty. Where a removal leaves a node that fits a
//! neighbour, the two become one.
//!
//! Refused: Redis's linked list (32 bytes per node, and an index costs a cache miss per node); a tree of
//! nodes (two orders of magnitude more elements before it is worth its code).

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use darter_structures::{Defragmentation, Item, PackedList, good_size};

use super::{End, remove_equal, walk};
use crate::element::Element;
use crate::large::{LargeString, Text};
use crate::limits::NodeLimit;
use crate::object::Contents;
use crate::packing::item_of;

/// Nodes freed in one slice.
const DROP_NODES: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Quicklist {
    nodes: VecDeque<Node>,
    /// Elements of all nodes.
    len: usize,
    /// Bytes of heap of all nodes.
    node_bytes: usize,
}

#[derive(Clone, Debug)]
enum Node {
    /// `len` is the number of its elements, at least 1.
    Packed {
        len: u32,
        list: PackedList,
    },
    Large(LargeString),
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    fn packed(list: PackedList) -> Self {
        let len = u32::try_from(list.len()).expect("a packed list counts so far");
        Self::Packed { len, list }
    }

    fn of(text: Text<'_>, limit: NodeLimit) -> Self {
        if limit.is_too_big(text.bytes().len()) {
            return Self::Large(LargeString::of(text));
        }
        Self::packed([item_of(text.bytes())].into_iter().collect())
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Packed { len, .. } => *len as usize,
            Self::Large(_) => 1,
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Packed { list, .. } => list.heap_bytes(),
            Self::Large(string) => Contents::heap_bytes(string),
        }
    }

    /// The packed list, if an element of these bytes still fits it.
    fn with_room(&mut self, bytes: &[u8], limit: NodeLimit) -> Option<&mut PackedList> {
        match self {
            Self::Packed { list, .. } if !limit.is_too_big(bytes.len()) => {
                let item_bytes = PackedList::item_bytes(item_of(bytes));
                let fits = !limit.is_exceeded_by(
                    list.used_bytes() + NODE_HEADER_BYTES + item_bytes,
                    list.len() + 1,
                );
                fits.then_some(list)
            }
            Self::Packed { .. } | Self::Large(_) => None,
        }
    }
}

/// What a packed list has beside its entries, so that a full node is exactly one allocation of the limit.
const NODE_HEADER_BYTES: usize = 8;

impl Quicklist {
    pub(super) fn of(list: PackedList) -> Self {
        let mut quicklist = Self::default();
        if !list.is_empty() {
            quicklist.insert_node(0, Node::packed(list));
        }
        quicklist
    }

    /// The only node's packed list, for taking it out, after which the list must not be used.
    pub(super) fn only_packed(&mut self) -> Option<&mut PackedList> {
        match self.nodes.make_contiguous() {
            [Node::Packed { list, .. }] => Some(list),
            _ => None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, end: End, text: Text<'_>, limit: NodeLimit) {
        let bytes = text.bytes();
        let index = match end {
            End::Front => 0,
            End::Back => self.nodes.len().saturating_sub(1),
        };
        let pushed = self.edit_node(index, |node| {
            let Some(list) = node.with_room(bytes, limit) else { return false };
            match end {
                End::Front => list.push_front(item_of(bytes)),
                End::Back => list.push_back(item_of(bytes)),
            }
            true
        });
        if pushed != Some(true) {
            let at = if end == End::Front { 0 } else { self.nodes.len() };
            self.insert_node(at, Node::of(text, limit));
        }
    }

    pub(super) fn insert(&mut self, index: usize, text: Text<'_>, limit: NodeLimit) {
        let Some((at, offset)) = self.locate(index) else {
            return self.push(End::Back, text, limit);
        };
        let bytes = text.bytes();
        let inserted = self.edit_node(at, |node| {
            let list = node.with_room(bytes, limit)?;
            let place = list.seek(offset)?;
            list.insert(place, item_of(bytes));
            Some(())
        });
        if inserted.flatten().is_some() {
            return;
        }
        if offset == 0 {
            // Between two nodes: the one before may have room.
            let pushed = at.checked_sub(1).and_then(|before| {
                self.edit_node(before, |node| {
                    let list = node.with_room(bytes, limit)?;
                    list.push_back(item_of(bytes));
                    Some(())
                })
            });
            if pushed.flatten().is_none() {
                self.insert_node(at, Node::of(text, limit));
            }
            return;
        }
        let tail = self.edit_node(at, |node| match node {
            Node::Packed { list, .. } => list.seek(offset).map(|place| list.split_off(place)),
            Node::Large(_) => None,
        });
        let tail = tail.flatten().expect("an offset above 0 is within a packed list");
        self.insert_node(at + 1, Node::packed(tail));
        let pushed = self.edit_node(at, |node| {
            let list = node.with_room(bytes, limit)?;
            list.push_back(item_of(bytes));
            Some(())
        });
        if pushed.flatten().is_none() {
            self.insert_node(at + 1, Node::of(text, limit));
        }
    }

    pub(super) fn remove_range(&mut self, range: Range<usize>, limit: NodeLimit) {
        let Some((first, offset)) = self.locate(range.start) else { return };
        let mut left = range.len();
        let mut at = first;
        if offset > 0 {
            left -= self.remove_within(at, offset, left);
            at += 1;
        }
        let mut whole = at;
        while let Some(node) = self.nodes.get(whole)
            && node.len() <= left
        {
            left -= node.len();
            self.len -= node.len();
            self.node_bytes -= node.heap_bytes();
            whole += 1;
        }
        self.nodes.drain(at..whole);
        if left > 0 {
            self.remove_within(at, 0, left);
        }
        if at > 0 {
            self.merge(at - 1, limit);
        }
        self.merge(at, limit);
        if self.nodes.capacity() > 64 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    pub(super) fn remove_equal(&mut self, end: End, item: Item<'_>, count: usize) -> usize {
        let mut removed = 0;
        let mut at = match end {
            End::Front => 0,
            End::Back => self.nodes.len(),
        };
        loop {
            if end == End::Back {
                let Some(before) = at.checked_sub(1) else { break };
                at = before;
            }
            if removed == count || at >= self.nodes.len() {
                break;
            }
            let emptied = self.edit_node(at, |node| match node {
                Node::Packed { list, .. } => {
                    removed += remove_equal(list, end, item, count - removed);
                    list.is_empty()
                }
                Node::Large(string) => {
                    let equal = Element::Large(string).equals(item);
                    removed += usize::from(equal);
                    equal
                }
            });
            if emptied == Some(true) {
                self.remove_node(at);
            } else if end == End::Front {
                at += 1;
            }
        }
        removed
    }

    pub(super) fn get(&self, index: usize) -> Option<Element<'_>> {
        let (at, offset) = self.locate(index)?;
        Some(match &self.nodes[at] {
            Node::Packed { list, .. } => Element::Packed(list.get(list.seek(offset)?)),
            Node::Large(string) => Element::Large(string),
        })
    }

    #[inline]
    pub(super) fn walk<'l>(
        &'l self,
        end: End,
        from: usize,
        mut visit: impl FnMut(Element<'l>) -> ControlFlow<()>,
    ) {
        let Some((mut at, mut offset)) = self.locate(from) else { return };
        loop {
            let flow = match &self.nodes[at] {
                Node::Packed { list, .. } => {
                    walk(list, end, offset, &mut |item| visit(Element::Packed(item)))
                }
                Node::Large(string) => visit(Element::Large(string)),
            };
            if flow.is_break() {
                return;
            }
            match end {
                End::Front => at += 1,
                End::Back if at == 0 => return,
                End::Back => at -= 1,
            }
            let Some(node) = self.nodes.get(at) else { return };
            offset = if end == End::Front { 0 } else { node.len() - 1 };
        }
    }

    /// See [`List::copy_nodes`](super::List::copy_nodes).
    pub(super) fn copy_nodes(&self, from: usize, count: usize, copy: &mut Self) -> usize {
        let end = self.nodes.len().min(from + count);
        copy.nodes.reserve_exact(self.nodes.len() - copy.nodes.len());
        for node in self.nodes.range(from..end) {
            copy.insert_node(copy.nodes.len(), node.clone());
        }
        end
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let ring_bytes = match self.nodes.capacity() {
            0 => 0,
            capacity => good_size(capacity * size_of::<Node>()),
        };
        good_size(size_of::<Self>()) + ring_bytes + self.node_bytes
    }

    pub(super) fn is_slow_to_drop(&self) -> bool {
        self.nodes.len() > DROP_NODES || self.node_bytes > crate::large::QUICK_DROP_BYTES_MAX
    }

    /// Moves some nodes, from a random one on.
    pub(super) fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        for node in self.nodes.range_mut(defragmentation.some_of(self.nodes.len())) {
            match node {
                Node::Packed { list, .. } => list.defragment(defragmentation),
                Node::Large(string) => string.defragment(defragmentation),
            }
        }
    }

    pub(super) fn drop_slice(&mut self) -> bool {
        for _ in 0..DROP_NODES {
            if self.nodes.is_empty() {
                break;
            }
            self.remove_node(self.nodes.len() - 1);
        }
        !self.nodes.is_empty()
    }

    pub(super) fn check_invariants(&self) {
        let (mut len, mut bytes) = (0, 0);
        for node in &self.nodes {
            if let Node::Packed { len, list } = node {
                list.check_invariants();
                assert_eq!(*len as usize, list.len());
                assert!(!list.is_empty(), "no node is empty");
            }
            len += node.len();
            bytes += node.heap_bytes();
        }
        assert_eq!((len, bytes), (self.len, self.node_bytes));
    }

    /// The node with the element of this index, and its index there. Sought from the nearer end.
    #[inline]
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index <= self.len / 2 {
            let mut offset = index;
            for (at, node) in self.nodes.iter().enumerate() {
                match offset.checked_sub(node.len()) {
                    Some(rest) => offset = rest,
                    None => return Some((at, offset)),
                }
            }
            return None;
        }
        let mut behind = self.len - index;
        for (at, node) in self.nodes.iter().enumerate().rev() {
            match behind.checked_sub(node.len()) {
                None | Some(0) => return Some((at, node.len() - behind)),
                Some(rest) => behind = rest,
            }
        }
        None
    }

    /// Lends a node for writing, and keeps the sums. It may be left empty, if it is removed next.
    #[inline]
    fn edit_node<R>(&mut self, at: usize, edit: impl FnOnce(&mut Node) -> R) -> Option<R> {
        let node = self.nodes.get_mut(at)?;
        self.len -= node.len();
        self.node_bytes -= node.heap_bytes();
        let result = edit(node);
        if let Node::Packed { len, list } = node {
            *len = u32::try_from(list.len()).expect("a packed list counts so far");
        }
        self.len += node.len();
        self.node_bytes += node.heap_bytes();
        Some(result)
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.len += node.len();
        self.node_bytes += node.heap_bytes();
        self.nodes.insert(at, node);
    }

    fn remove_node(&mut self, at: usize) {
        if let Some(node) = self.nodes.remove(at) {
            self.len -= node.len();
            self.node_bytes -= node.heap_bytes();
        }
    }

    /// Removes up to `count` elements from `offset` on of a packed node of which some stay; how many.
    fn remove_within(&mut self, at: usize, offset: usize, count: usize) -> usize {
        let removed = self.edit_node(at, |node| match node {
            Node::Packed { list, .. } => {
                list.seek(offset).map_or(0, |place| list.remove_range(place, count))
            }
            Node::Large(_) => 0,
        });
        removed.unwrap_or(0)
    }

    /// Makes one node of the one at `at` and the next if they fit half a node together: if they filled it,
    /// the next insertion would split them again.
    fn merge(&mut self, at: usize, limit: NodeLimit) {
        let (Some(Node::Packed { list: left, .. }), Some(Node::Packed { list: right, .. })) =
            (self.nodes.get(at), self.nodes.get(at + 1))
        else {
            return;
        };
        let bytes = left.used_bytes() + right.used_bytes() + NODE_HEADER_BYTES;
        if limit.halved().is_exceeded_by(bytes, left.len() + right.len()) {
            return;
        }
        let Some(Node::Packed { list: right, .. }) = self.nodes.get(at + 1).cloned() else {
            return;
        };
        self.remove_node(at + 1);
        self.edit_node(at, |node| {
            if let Node::Packed { list, .. } = node {
                list.append(&right);
            }
        });
    }
}
