//! Walking over entries.

use std::collections::VecDeque;

use super::id::StreamId;
use super::node::{Fields, Node, Spot, Spots};

/// An entry, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    node: &'a Node,
    spot: Spot,
}

impl<'a> Entry<'a> {
    pub(super) const fn new(node: &'a Node, spot: Spot) -> Self {
        Self { node, spot }
    }

    /// Its id.
    pub const fn id(&self) -> StreamId {
        self.spot.id
    }

    /// Pairs of field and value.
    pub const fn fields_len(&self) -> usize {
        self.spot.fields as usize
    }

    /// Each field with its value, in the order they were given.
    pub fn fields(&self) -> Fields<'a> {
        self.node.fields(self.spot)
    }
}

/// Entries in ascending order; see [`Log::entries`](super::Log::entries).
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    nodes: &'a VecDeque<Node>,
    /// The node after the one being walked.
    next_node: usize,
    walked: Option<(&'a Node, Spots<'a>)>,
    start: StreamId,
    end: StreamId,
}

impl<'a> Entries<'a> {
    pub(super) fn new(nodes: &'a VecDeque<Node>, start: StreamId, end: StreamId) -> Self {
        let next_node = nodes.partition_point(|node| node.last < start);
        Self { nodes, next_node, walked: None, start, end }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((node, spots)) = &mut self.walked {
                for spot in spots {
                    if spot.id > self.end {
                        return None;
                    }
                    if !spot.is_deleted() && spot.id >= self.start {
                        return Some(Entry { node, spot });
                    }
                }
            }
            let node = self.nodes.get(self.next_node)?;
            self.next_node += 1;
            self.walked = Some((node, node.spots()));
        }
    }
}

/// Entries by their ids, one after the other: quickest when these ascend, because the search goes on where the last one
/// ended. See [`Log::lookup`](super::Log::lookup).
#[derive(Clone, Debug)]
pub struct Lookup<'a> {
    nodes: &'a VecDeque<Node>,
    /// The node of the last search, the entry at which it ended, and those behind that.
    at: Option<(&'a Node, Spot, Spots<'a>)>,
}

impl<'a> Lookup<'a> {
    pub(super) const fn new(nodes: &'a VecDeque<Node>) -> Self {
        Self { nodes, at: None }
    }

    /// The entry `id`, if it is there.
    pub fn find(&mut self, id: StreamId) -> Option<Entry<'a>> {
        let is_ahead =
            |(node, spot, _): &(&Node, Spot, Spots<'_>)| spot.id <= id && id <= node.last;
        let goes_on = self.at.take().filter(is_ahead);
        let (node, mut spot, mut spots) = if let Some(at) = goes_on {
            at
        } else {
            let index = self.nodes.partition_point(|node| node.last < id);
            let node = self.nodes.get(index).filter(|node| node.first <= id)?;
            let mut spots = node.spots();
            (node, spots.next()?, spots)
        };
        while spot.id < id {
            spot = spots.next()?;
        }
        self.at = Some((node, spot, spots));
        (spot.id == id && !spot.is_deleted()).then_some(Entry { node, spot })
    }
}

/// Entries in descending order; see [`Log::entries_reversed`](super::Log::entries_reversed).
#[derive(Clone, Debug)]
pub struct EntriesReversed<'a> {
    nodes: &'a VecDeque<Node>,
    /// One after the node to be walked next.
    nodes_left: usize,
    /// Entries of the node being walked that are still to come, the last first to be taken.
    walked: Vec<Entry<'a>>,
    start: StreamId,
    end: StreamId,
}

impl<'a> EntriesReversed<'a> {
    pub(super) fn new(nodes: &'a VecDeque<Node>, start: StreamId, end: StreamId) -> Self {
        let nodes_left = nodes.partition_point(|node| node.first <= end);
        Self { nodes, nodes_left, walked: Vec::new(), start, end }
    }
}

impl<'a> Iterator for EntriesReversed<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.walked.pop() {
                return Some(entry);
            }
            self.nodes_left = self.nodes_left.checked_sub(1)?;
            let node = &self.nodes[self.nodes_left];
            if node.last < self.start {
                self.nodes_left = 0;
                return None;
            }
            let within = self.start..=self.end;
            let spots = node.spots().filter(|spot| !spot.is_deleted() && within.contains(&spot.id));
            self.walked.extend(spots.map(|spot| Entry { node, spot }));
        }
    }
}
