//! Streams: a log of entries, and the consumer groups that read it.
//!
//! ```text
//!  Stream ─► Log ─► [node] [node] [node] ...        nodes in the order of ids, entries within
//!        ├─► groups: name ─► Group ─┬─ pending: id ─► consumer, time, count of deliveries
//!        │                          └─ consumers, each with the ids that are pending with it
//!        └─► idempotence: what producers have added, if any wanted that to be remembered
//! ```
//!
//! * [`Log`] is the entries and what is remembered of those that are gone ([`log`]).
//! * A [`node`] is some hundred entries in one allocation.
//! * A [`Group`] is one consumer group ([`group`]); it knows ids, and nothing of entries.
//! * Entries go with regard to groups in [`references`].
//! * [`Idempotence`] knows messages that may be sent again ([`idempotence`]).
//!
//! Invariants, checked by [`Stream::check_invariants`]: the log's own; every pending id of a group is
//! pending with exactly one of its consumers; the sums for the memory accounting are right. A group may
//! hold ids of entries that were deleted since.
//!
//! Ids of a stream only grow. So the log appends at its end only, deletes anywhere, and needs no tree: a
//! ring of nodes is in order by itself and is searched by halves.

mod delivery_order;
mod entries;
pub mod group;
pub mod id;
pub mod idempotence;
pub mod log;
mod node;
mod references;

use std::collections::BTreeMap;
use std::ops::Bound;

use darter_structures::{Defragmentation, good_size};

use crate::object::{Collection, Contents, Object, ObjectMut, ObjectRef, weight_of};
use crate::view::{Encoding, Type};

pub use entries::{Entries, EntriesReversed, Entry, Lookup};
pub use group::{Consumer, Group, Pending};
pub use id::StreamId;
pub use idempotence::{Idempotence, IdempotenceLimits};
pub use log::{Keep, Log, NodeLimits, References, Removed, Trim, Trimmed};
pub use node::Fields;

/// A stream; as big as a pointer.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, Default)]
struct Parts {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Good sizes of all groups and their names.
    groups_bytes: usize,
    idempotence: Option<Box<Idempotence>>,
}

/// About what an entry of an ordered map costs beyond what is in it: its share of the tree's nodes, which
/// are two thirds full.
pub(crate) const fn map_entry_bytes(content_bytes: usize) -> usize {
    content_bytes + content_bytes / 2 + 4
}

/// How far a copy of a stream's groups is.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    /// Groups that are copied.
    groups: usize,
    /// The next one, as far as it is copied.
    part: Option<Group>,
    /// The pending entry to go on with.
    next: Option<StreamId>,
    /// The record of what producers have added to go on with.
    next_record: u64,
}

impl Stream {
    /// The entries.
    pub fn log(&self) -> &Log {
        &self.parts.log
    }

    /// The entries, for writing.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.parts.log
    }

    /// The group called `name`.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.parts.groups.get(name)
    }

    /// Every group with its name, in the order of names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.parts.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// What producers have added, if any wanted that to be remembered.
    pub fn idempotence(&self) -> Option<&Idempotence> {
        self.parts.idempotence.as_deref()
    }

    /// Likewise for writing.
    pub fn idempotence_mut(&mut self) -> Option<&mut Idempotence> {
        self.parts.idempotence.as_deref_mut()
    }

    /// Likewise; from now on it is remembered, within `limits` if nothing was said before.
    pub fn remember(&mut self, limits: IdempotenceLimits) -> &mut Idempotence {
        self.parts.idempotence.get_or_insert_with(|| Box::new(Idempotence::new(limits)))
    }

    /// Entries, and those that groups and producers remember: how much work it is to walk over all.
    pub fn elements_len(&self) -> usize {
        let pending: usize = self.groups().map(|(_, group)| group.pending_len()).sum();
        let records = self.idempotence().map_or(0, Idempotence::len);
        let len = usize::try_from(self.log().len()).unwrap_or(usize::MAX);
        len.saturating_add(pending).saturating_add(records)
    }

    /// The groups whose names are `name` or come behind it, in order.
    pub fn groups_from(&self, name: &[u8]) -> impl Iterator<Item = (&[u8], &Group)> {
        let bounds = (Bound::Included(name), Bound::Unbounded);
        self.parts.groups.range::<[u8], _>(bounds).map(|(name, group)| (&**name, group))
    }

    /// Adds a group; whether there was none of this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.parts.groups.contains_key(name) {
            return false;
        }
        self.parts.groups_bytes += group_bytes(name, &group);
        self.parts.groups.insert(name.into(), group);
        true
    }

    /// Removes a group; whether there was one.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.parts.groups.remove(name) else { return false };
        self.parts.groups_bytes -= group_bytes(name, &group);
        true
    }

    /// Puts `group` in the place of the one called `name`, which must be there; that one, by itself, to be freed as
    /// slowly as may be.
    pub fn exchange_group(&mut self, name: &[u8], group: Group) -> Self {
        let mut old = Self::default();
        let exchanged = self.edit_group(name, |own, _| std::mem::replace(own, group));
        if let Some(exchanged) = exchanged {
            old.add_group(name, exchanged);
        }
        old
    }

    /// A stream for a copy of this one, without entries or groups.
    pub(crate) fn emptied(&self) -> Self {
        let idempotence = self.idempotence().map(|known| Box::new(known.emptied()));
        let parts = Parts { log: self.parts.log.emptied(), idempotence, ..Parts::default() };
        Self { parts: Box::new(parts) }
    }

    /// Copies up to `nodes` nodes, or what is pending of `entries` entries, into `copy`, made by
    /// [`emptied`](Self::emptied); whether there is more.
    pub(crate) fn copy_on(
        &self,
        copied: &mut Copied,
        nodes: usize,
        entries: usize,
        copy: &mut Self,
    ) -> bool {
        let from = copy.parts.log.nodes_len();
        if from < self.parts.log.nodes_len() {
            let has_more = self.parts.log.copy_nodes(from, nodes, &mut copy.parts.log);
            return has_more || !self.parts.groups.is_empty() || self.idempotence().is_some();
        }
        let Some((name, group)) = self.parts.groups.iter().nth(copied.groups) else {
            let (Some(known), Some(copy)) = (self.idempotence(), copy.idempotence_mut()) else {
                return false;
            };
            let next = known.copy_on(copied.next_record, entries, copy);
            copied.next_record = next.unwrap_or(copied.next_record);
            return next.is_some();
        };
        let part = copied.part.get_or_insert_with(|| group.without_pending());
        let start = copied.next.take().unwrap_or(StreamId::MIN);
        for (passed, (id, pending)) in group.pending_in(start..=StreamId::MAX).enumerate() {
            if passed == entries {
                copied.next = Some(id);
                return true;
            }
            part.set_pending(id, *pending);
        }
        copied.groups += 1;
        if let Some(part) = copied.part.take() {
            copy.add_group(name, part);
        }
        copied.groups < self.parts.groups.len() || self.idempotence().is_some()
    }

    /// Lends the group called `name` for writing, together with the log.
    pub fn edit_group<R>(
        &mut self,
        name: &[u8],
        edit: impl FnOnce(&mut Group, &mut Log) -> R,
    ) -> Option<R> {
        let parts = &mut *self.parts;
        let group = parts.groups.get_mut(name)?;
        let before = group_bytes(name, group);
        let result = edit(group, &mut parts.log);
        parts.groups_bytes = parts.groups_bytes - before + group_bytes(name, group);
        Some(result)
    }

    /// Panics if the stream contradicts itself. O(size).
    pub fn check_invariants(&self) {
        self.parts.log.check_invariants();
        let mut bytes = 0;
        for (name, group) in &self.parts.groups {
            group.check_invariants();
            bytes += group_bytes(name, group);
        }
        assert_eq!(bytes, self.parts.groups_bytes);
        if let Some(known) = self.idempotence() {
            known.check_invariants();
        }
    }
}

fn group_bytes(name: &[u8], group: &Group) -> usize {
    map_entry_bytes(size_of::<Box<[u8]>>() + size_of::<Group>())
        + good_size(name.len())
        + group.heap_bytes()
}

impl Contents for Stream {
    fn value_type(&self) -> Type {
        Type::Stream
    }

    fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    fn heap_bytes(&self) -> usize {
        good_size(size_of::<Parts>())
            + self.parts.log.heap_bytes()
            + self.parts.groups_bytes
            + self.idempotence().map_or(0, Idempotence::heap_bytes)
    }

    fn is_slow_to_drop(&self) -> bool {
        const QUICK_DROP_BYTES_MAX: usize = 64 * 1024;
        // With small limits nodes are many and small; Redis counts them, too.
        const QUICK_DROP_NODES_MAX: usize = 64;
        self.heap_bytes() > QUICK_DROP_BYTES_MAX
            || self.parts.log.nodes_len() > QUICK_DROP_NODES_MAX
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        self.parts.log.defragment(defragmentation);
    }

    fn drop_slice(&mut self) -> bool {
        if self.parts.log.drop_slice() {
            return true;
        }
        if self.idempotence_mut().is_some_and(Idempotence::drop_slice) {
            return true;
        }
        let Parts { groups, groups_bytes, .. } = &mut *self.parts;
        let Some(mut entry) = groups.first_entry() else { return false };
        let before = group_bytes(entry.key(), entry.get());
        if entry.get_mut().drop_slice() {
            *groups_bytes = *groups_bytes - before + group_bytes(entry.key(), entry.get());
        } else {
            *groups_bytes -= before;
            entry.remove();
        }
        true
    }
}

impl Collection for Stream {
    fn of(object: ObjectRef<'_>) -> Option<&Self> {
        if let ObjectRef::Stream(stream) = object { Some(stream) } else { None }
    }

    fn of_mut(object: ObjectMut<'_>) -> Option<&mut Self> {
        if let ObjectMut::Stream(stream) = object { Some(stream) } else { None }
    }

    fn into_object(self) -> Object {
        Object::Stream(self)
    }

    /// Never: a stream without entries keeps its key, since it remembers its last id and its groups.
    fn is_empty(&self) -> bool {
        false
    }

    /// Of its entries, which can have thousands of fields of a few bytes.
    fn weight(&self) -> usize {
        let count = usize::try_from(self.log().len()).unwrap_or(usize::MAX);
        weight_of(self.log().heap_bytes(), count, ORDINARY_BYTES)
    }
}

/// Up to so many bytes an entry is as much work as any other.
const ORDINARY_BYTES: usize = 64;

#[cfg(any(test, feature = "fuzzing"))]
pub mod exercise;
#[cfg(test)]
mod tests;
