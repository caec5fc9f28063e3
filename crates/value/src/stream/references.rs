//! Removing entries together with what groups remember of them, or only those that no group needs any more.
//!
//! A stream may have very many groups, and each of them little that is about to go. So no group is asked about each
//! entry: entries that go are named to it all at once ([`Group::acknowledge_each`]), and what is needed is found by
//! merging the pending ids of all groups ([`Needs`]). Either costs no more than all that is pending.

use std::cmp::Reverse;
use std::collections::binary_heap::{BinaryHeap, PeekMut};

use super::group::{Group, PendingIds};
use super::id::StreamId;
use super::log::{Keep, References, Removable, Removed, Trim, Trimmed};
use super::{Stream, group_bytes};

impl Stream {
    /// Removes the entries `ids` as far as `references` allows; what became of each.
    pub fn remove_entries(&mut self, ids: &[StreamId], references: References) -> Vec<Removed> {
        let mut ascending = ids.to_vec();
        ascending.sort_unstable();
        ascending.dedup();
        let mut entries = self.log().lookup();
        let mut needs = match references {
            References::Acknowledged => Some(self.needs_from(ascending.first())),
            References::Keep | References::Delete => None,
        };
        let outcome = |id: &StreamId| match entries.find(*id) {
            None => Removed::Absent,
            Some(_) if needs.as_mut().is_some_and(|needs| needs.include(*id)) => {
                Removed::Referenced
            }
            Some(_) => Removed::Removed,
        };
        let mut outcomes: Vec<_> = ascending.iter().map(outcome).collect();
        let going = ascending.iter().zip(&outcomes);
        let going = going.filter(|(_, outcome)| **outcome == Removed::Removed).map(|(id, _)| *id);
        let going: Vec<_> = going.collect();
        self.parts.log.delete_each(&going);
        if references == References::Delete {
            // What is left of an entry that is gone is forgotten, too.
            self.forget(&ascending);
        }
        let answer = |id: &StreamId| {
            let index = ascending.binary_search(id).expect("all of them are in it");
            let answer = outcomes[index];
            if answer == Removed::Removed {
                // When it is named again, it is there no more.
                outcomes[index] = Removed::Absent;
            }
            answer
        };
        ids.iter().map(answer).collect()
    }

    /// Trims the log as `trim` says.
    pub fn trim(&mut self, trim: Trim, references: References) -> Trimmed {
        match references {
            References::Keep => self.parts.log.trim(trim, Removable::All),
            References::Acknowledged => {
                let super::Parts { log, groups, .. } = &mut *self.parts;
                // Made for the first entry that would go: most often there is none.
                let mut needs = None;
                let may_remove = &mut |id| {
                    let needs = needs.get_or_insert_with(|| Needs::from(groups.values(), id));
                    !needs.include(id)
                };
                log.trim(trim, Removable::If(may_remove))
            }
            References::Delete => {
                let going = match trim.keep {
                    Keep::Latest(len) => self.log().len().saturating_sub(len),
                    Keep::From(_) => 0,
                };
                let mut gone = Vec::with_capacity(usize::try_from(going).unwrap_or(0));
                let trimmed = self.parts.log.trim(trim, Removable::Listed(&mut gone));
                self.forget(&gone);
                trimmed
            }
        }
    }

    /// What groups need of ids from `first` on.
    fn needs_from(&self, first: Option<&StreamId>) -> Needs<'_> {
        Needs::from(self.parts.groups.values(), first.copied().unwrap_or_default())
    }

    /// Removes `ids`, which ascend, from what is pending in groups.
    fn forget(&mut self, ids: &[StreamId]) {
        let super::Parts { groups, groups_bytes, .. } = &mut *self.parts;
        for (name, group) in groups.iter_mut().filter(|(_, group)| group.pending_len() > 0) {
            let before = group_bytes(name, group);
            group.acknowledge_each(ids);
            *groups_bytes = *groups_bytes - before + group_bytes(name, group);
        }
    }
}

/// Tells of ascending ids whether some group has yet to read them, or has them pending.
#[derive(Debug)]
struct Needs<'g> {
    /// Up to which id every group has read.
    read_by_all: StreamId,
    /// Groups with something pending, and where each is gone on with.
    groups: Vec<(&'g Group, PendingIds<'g>)>,
    /// The next pending id of each, the least first.
    next: BinaryHeap<Reverse<(StreamId, usize)>>,
}

impl<'g> Needs<'g> {
    /// For ids from `first` on.
    fn from(all: impl Iterator<Item = &'g Group>, first: StreamId) -> Self {
        let mut read_by_all = StreamId::MAX;
        let (mut groups, mut next) = (Vec::new(), Vec::new());
        for group in all {
            read_by_all = read_by_all.min(group.last_id);
            let mut pending = group.pending_from(first);
            if let Some(id) = pending.next() {
                next.push(Reverse((id, groups.len())));
                groups.push((group, pending));
            }
        }
        Self { read_by_all, groups, next: next.into() }
    }

    /// Whether `id` is needed. It must not be less than the one before.
    fn include(&mut self, id: StreamId) -> bool {
        if id > self.read_by_all {
            return true;
        }
        while let Some(mut least) = self.next.peek_mut() {
            let Reverse((pending_id, index)) = *least;
            if pending_id >= id {
                return pending_id == id;
            }
            let (group, pending) = &mut self.groups[index];
            let mut next = pending.next();
            if next.is_some_and(|next| next < id) {
                // It is far behind.
                *pending = group.pending_from(id);
                next = pending.next();
            }
            match next {
                Some(next) => *least = Reverse((next, index)),
                None => drop(PeekMut::pop(least)),
            }
        }
        false
    }
}
