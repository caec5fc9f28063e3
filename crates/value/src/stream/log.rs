//! The entries of a stream, and what is remembered of those that are gone.

use std::collections::VecDeque;

use darter_structures::{Defragmentation, good_size};

use super::entries::{Entries, EntriesReversed, Entry, Lookup};
use super::group::Group;
use super::id::StreamId;
use super::node::Node;

/// The size of nodes: one is full when an entry more would reach either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0: no limit.
    pub bytes_max: u32,
    /// `stream-node-max-entries`; 0: no limit.
    pub entries_max: u32,
}

/// The largest node whatever the limits say, unless a single entry is larger: reading an entry walks over
/// those before it in its node.
const NODE_BYTES_MAX: usize = 64 * 1024;

/// What to keep when trimming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// This many entries, the latest.
    Latest(u64),
    /// Entries from this id on.
    From(StreamId),
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// Whether whole nodes only are removed, which is cheaper and may leave more.
    pub whole_nodes: bool,
    /// Do not remove more than this; 0: no limit.
    pub removed_max: u64,
}

/// What trimming did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// How many entries it removed.
    pub count: u64,
    /// The last of them, if there are any, or what was last deleted in front of those that are left.
    pub last_id: StreamId,
}

/// Which entries trimming may remove.
pub(super) enum Removable<'a> {
    /// All of them.
    All,
    /// All of them, whose ids are added to these.
    Listed(&'a mut Vec<StreamId>),
    /// Those for which this says so.
    If(&'a mut dyn FnMut(StreamId) -> bool),
}

/// What happens to what groups remember of an entry that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It stays (`KEEPREF`).
    #[default]
    Keep,
    /// It is deleted too (`DELREF`).
    Delete,
    /// Only entries are removed that every group has read and acknowledged (`ACKED`).
    Acknowledged,
}

/// What removing an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There is no such entry.
    Absent,
    /// It is gone.
    Removed,
    /// Some group still needs it.
    Referenced,
}

/// See the [module](self).
///
/// Invariants: nodes ascend by id without overlap and each has an entry that is not deleted; `len` and
/// `bytes` are their sums; no entry is above `last_id`; `first_id` is the first entry's.
#[derive(Clone, Debug, Default)]
pub struct Log {
    nodes: VecDeque<Node>,
    /// Good sizes of all nodes' data.
    bytes: usize,
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
}

impl Log {
    /// Number of entries.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the first entry; [`StreamId::MIN`] if there is none. O(1).
    pub const fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that was ever given, or set.
    pub const fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The greatest id of an entry that was deleted by its id.
    pub const fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever added, or what was set.
    pub const fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Number of nodes.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// The id of the last entry that is still there. O(size of a node).
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.entries_reversed(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id())
    }

    /// Adds an entry, whose id must be above [`last_id`](Self::last_id).
    pub fn append<'f>(
        &mut self,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        limits: NodeLimits,
    ) {
        assert!(id > self.last_id, "ids of a stream grow");
        let texts = fields.clone().map(|(field, value)| field.len() + value.len() + 20);
        let entry_bytes_max = texts.sum::<usize>() + 30;
        match self.nodes.back_mut() {
            Some(node) if !is_full(node, entry_bytes_max, limits) => {
                self.bytes -= node.heap_bytes();
                node.append(id, fields);
                self.bytes += node.heap_bytes();
            }
            _ => {
                let node = Node::new(id, fields);
                self.bytes += node.heap_bytes();
                self.nodes.push_back(node);
            }
        }
        if self.len == 0 {
            self.first_id = id;
        }
        self.len += 1;
        self.entries_added = self.entries_added.saturating_add(1);
        self.last_id = id;
    }

    /// Entries from `start` to `end`, both included.
    pub fn entries(&self, start: StreamId, end: StreamId) -> Entries<'_> {
        Entries::new(&self.nodes, start, end)
    }

    /// Entries of the node at `index`, of which there is at least one; none past the last node.
    pub fn entries_of_node(&self, index: usize) -> impl Iterator<Item = Entry<'_>> {
        let node = self.nodes.get(index).into_iter();
        node.flat_map(|node| {
            let spots = node.spots().filter(|spot| !spot.is_deleted());
            spots.map(|spot| Entry::new(node, spot))
        })
    }

    /// Likewise from `end` down to `start`.
    pub fn entries_reversed(&self, start: StreamId, end: StreamId) -> EntriesReversed<'_> {
        EntriesReversed::new(&self.nodes, start, end)
    }

    /// The entry `id`.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'_>> {
        let node = self.nodes.get(self.node_of(id)?)?;
        node.find(id).map(|spot| Entry::new(node, spot))
    }

    /// Entries by ids that mostly ascend.
    pub const fn lookup(&self) -> Lookup<'_> {
        Lookup::new(&self.nodes)
    }

    /// Whether there is an entry `id`.
    pub fn contains(&self, id: StreamId) -> bool {
        self.entry(id).is_some()
    }

    /// Deletes the entry `id`; whether it was there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        self.delete_each(&[id]) > 0
    }

    /// Deletes the entries `ids`; how many were there. Ids that ascend are found while their nodes are walked over once.
    pub fn delete_each(&mut self, ids: &[StreamId]) -> usize {
        let mut deleted = 0;
        let mut left = ids;
        while let Some(first) = left.first() {
            let Some(index) = self.node_of(*first) else {
                left = &left[1..];
                continue;
            };
            let last = self.nodes[index].last;
            let is_next = |pair: &&[StreamId]| pair[0] < pair[1] && pair[1] <= last;
            let (run, rest) = left.split_at(1 + left.windows(2).take_while(is_next).count());
            deleted += self.delete_within(index, run);
            left = rest;
        }
        deleted
    }

    /// Deletes entries of one node, whose ids ascend; how many were there.
    fn delete_within(&mut self, index: usize, ids: &[StreamId]) -> usize {
        let mut wanted = ids.iter().peekable();
        let mut found = Vec::new();
        for spot in self.nodes[index].spots() {
            while wanted.next_if(|id| **id < spot.id).is_some() {}
            if wanted.next_if(|id| **id == spot.id).is_some() && !spot.is_deleted() {
                found.push(spot);
            }
            if wanted.peek().is_none() {
                break;
            }
        }
        let (Some(first), Some(last)) = (found.first(), found.last()) else { return 0 };
        self.max_deleted_id = self.max_deleted_id.max(last.id);
        let is_first = first.id == self.first_id;
        for spot in &found {
            self.nodes[index].delete(*spot);
        }
        self.len -= found.len() as u64;
        if self.nodes[index].live == 0 {
            self.remove_node(index);
        }
        if is_first {
            self.find_first();
        }
        found.len()
    }

    /// Trims. Only entries are removed that are `removable`.
    pub(super) fn trim(&mut self, trim: Trim, mut removable: Removable<'_>) -> Trimmed {
        let len_before = self.len;
        let mut last_id = StreamId::MIN;
        let mut index = 0;
        while let Some(node) = self.nodes.get(index) {
            let live = u64::from(node.live);
            let removed = len_before - self.len;
            if trim.removed_max > 0 && removed + live > trim.removed_max {
                break;
            }
            let (done, whole) = match trim.keep {
                Keep::Latest(len) => (self.len <= len, self.len - live.min(self.len) >= len),
                Keep::From(id) => (node.first >= id, node.last < id),
            };
            if done || (!whole && trim.whole_nodes) {
                break;
            }
            if whole && !matches!(removable, Removable::If(_)) {
                if let Removable::Listed(ids) = &mut removable {
                    let live = node.spots().filter(|spot| !spot.is_deleted());
                    ids.extend(live.map(|spot| spot.id));
                }
                last_id = node.last;
                self.len -= live;
                self.remove_node(index);
                continue;
            }
            let spots: Vec<_> = node.spots().filter(|spot| !spot.is_deleted()).collect();
            for spot in spots {
                let stays = match trim.keep {
                    Keep::Latest(len) => self.len <= len,
                    Keep::From(id) => spot.id >= id,
                };
                if stays {
                    break;
                }
                let goes = match &mut removable {
                    Removable::All => true,
                    Removable::Listed(ids) => {
                        ids.push(spot.id);
                        true
                    }
                    Removable::If(may_remove) => may_remove(spot.id),
                };
                if goes {
                    self.nodes[index].delete(spot);
                    self.len -= 1;
                    last_id = spot.id;
                }
            }
            if self.nodes[index].live == 0 {
                self.remove_node(index);
            } else {
                index += 1;
            }
            if !whole {
                break;
            }
        }
        if self.len < len_before {
            self.find_first();
        }
        Trimmed { count: len_before - self.len, last_id }
    }

    /// A log for a copy of this one, which remembers the same and has no entry.
    pub(super) fn emptied(&self) -> Self {
        let nodes = VecDeque::with_capacity(self.nodes.len());
        Self { nodes, bytes: 0, len: 0, ..*self }
    }

    /// Copies up to `count` nodes from the node `from` on to the end of `copy`, made by [`emptied`](Self::emptied);
    /// whether there are more.
    pub(super) fn copy_nodes(&self, from: usize, count: usize, copy: &mut Self) -> bool {
        let end = self.nodes.len().min(from + count);
        for node in self.nodes.range(from..end) {
            let node = node.clone();
            copy.bytes += node.heap_bytes();
            copy.len += u64::from(node.live);
            copy.nodes.push_back(node);
        }
        end < self.nodes.len()
    }

    /// Sets what is remembered (XSETID, loading).
    pub const fn set_counters(
        &mut self,
        last_id: StreamId,
        entries_added: u64,
        max_deleted_id: StreamId,
    ) {
        self.last_id = last_id;
        self.entries_added = entries_added;
        self.max_deleted_id = max_deleted_id;
    }

    /// Whether an entry at or behind `id` may have been deleted by its id.
    fn has_gaps_from(&self, id: StreamId) -> bool {
        self.len > 0 && self.max_deleted_id != StreamId::MIN && id <= self.max_deleted_id
    }

    /// How many entries were added up to `id`, deleted ones included, if that can be told.
    pub fn entries_added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        // Only trimming, at the front, is known to leave no gap.
        if self.max_deleted_id == StreamId::MIN || self.max_deleted_id < self.first_id {
            let before_first = self.entries_added.saturating_sub(self.len);
            if id < self.first_id {
                return Some(before_first);
            }
            if id == self.first_id {
                return Some(before_first.saturating_add(1));
            }
        }
        None
    }

    /// How many entries `group` has yet to read, if that can be told.
    pub fn lag_of(&self, group: &Group) -> Option<i64> {
        let difference =
            |read: u64| self.entries_added.cast_signed().wrapping_sub(read.cast_signed());
        if self.entries_added == 0 {
            return Some(0);
        }
        match group.entries_read {
            Some(read) if !self.has_gaps_from(group.last_id) => Some(difference(read)),
            _ => self.entries_added_up_to(group.last_id).map(difference),
        }
    }

    /// What `group` counts as read once it has read the entry `id`, the next after its last.
    pub fn entries_read_with(&self, group: &Group, id: StreamId) -> Option<u64> {
        match group.entries_read {
            Some(read) if group.last_id >= self.first_id && !self.has_gaps_from(group.last_id) => {
                Some(read.saturating_add(1))
            }
            _ if self.entries_added > 0 => self.entries_added_up_to(id),
            read => read,
        }
    }

    /// Bytes of heap. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        let ring = match self.nodes.capacity() {
            0 => 0,
            capacity => good_size(capacity * size_of::<Node>()),
        };
        ring + self.bytes
    }

    /// Moves some nodes, from a random one on.
    pub(super) fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        for node in self.nodes.range_mut(defragmentation.some_of(self.nodes.len())) {
            node.defragment(defragmentation);
        }
    }

    /// Drops some nodes; whether there were any.
    pub(super) fn drop_slice(&mut self) -> bool {
        const NODES_IN_SLICE: usize = 64;
        for _ in 0..NODES_IN_SLICE {
            let Some(node) = self.nodes.pop_back() else { break };
            self.bytes -= node.heap_bytes();
        }
        !self.nodes.is_empty()
    }

    /// The index of the node `id` would be in, if it is within one.
    fn node_of(&self, id: StreamId) -> Option<usize> {
        let index = self.nodes.partition_point(|node| node.last < id);
        let node = self.nodes.get(index)?;
        (node.first <= id).then_some(index)
    }

    fn remove_node(&mut self, index: usize) {
        if let Some(node) = self.nodes.remove(index) {
            self.bytes -= node.heap_bytes();
        }
        if self.nodes.capacity() > 8 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(self.nodes.len() * 2);
        }
    }

    fn find_first(&mut self) {
        let first = self.entries(StreamId::MIN, StreamId::MAX).next();
        self.first_id = first.map_or(StreamId::MIN, |entry| entry.id());
    }

    pub(super) fn check_invariants(&self) {
        let mut len = 0;
        let mut bytes = 0;
        let mut before = None;
        for node in &self.nodes {
            node.check_invariants();
            assert!(before < Some(node.first));
            assert!(node.live > 0);
            before = Some(node.last);
            len += u64::from(node.live);
            bytes += node.heap_bytes();
        }
        assert_eq!((len, bytes), (self.len, self.bytes));
        assert!(before <= Some(self.last_id));
        let first = self.entries(StreamId::MIN, StreamId::MAX).next();
        assert_eq!(first.map_or(StreamId::MIN, |entry| entry.id()), self.first_id);
    }
}

/// Whether an entry of up to `entry_bytes_max` is to go into a new node.
fn is_full(node: &Node, entry_bytes_max: usize, limits: NodeLimits) -> bool {
    let bytes_max = match limits.bytes_max {
        0 => NODE_BYTES_MAX,
        bytes => NODE_BYTES_MAX.min(bytes as usize),
    };
    let entries_max = if limits.entries_max == 0 { u32::MAX } else { limits.entries_max };
    node.count() >= entries_max || node.data_len().saturating_add(entry_bytes_max) >= bytes_max
}

const _: () = assert!(NODE_BYTES_MAX < Node::DATA_BYTES_MAX);
