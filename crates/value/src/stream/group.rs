//! Consumer groups: what of a stream was handed to whom, and not acknowledged yet.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::RangeInclusive;
use std::sync::Arc;

use darter_structures::good_size;

use super::delivery_order::{Delivery, by_delivery};
use super::id::StreamId;
use super::map_entry_bytes;

/// A consumer group.
///
/// Invariants: an id is in `pending` if and only if it is pending with the consumer named there; a
/// consumer's number is its index in `consumers`, and the numbers of none are in `free`; nobody has no name, is not in
/// `names`, and is not there at the same time as a consumer with an empty name; `by_time`, once it is there, has every
/// pending id, by when it was delivered.
#[derive(Clone, Debug)]
pub struct Group {
    /// Up to which entry the group has read.
    pub last_id: StreamId,
    /// How many entries that is, deleted ones included, if that is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    /// Made for the first who asks: most groups are never read with XREADGROUP CLAIM.
    by_time: Option<BTreeSet<Delivery>>,
    names: BTreeMap<Arc<[u8]>, u32>,
    consumers: Vec<Option<Consumer>>,
    /// The number of nobody, if anything ever was pending with it.
    nobody: Option<u32>,
    free: Vec<u32>,
    /// Good sizes of all names.
    names_bytes: usize,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Number of the consumer that has it.
    pub consumer: u32,
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_at_ms: i64,
    /// How often it was.
    pub deliveries: u64,
}

impl Pending {
    /// How often it will have been delivered after one time more. Replies and files know 63 bits: there it stays.
    pub fn deliveries_after_one_more(&self) -> u64 {
        if self.deliveries < i64::MAX.unsigned_abs() {
            self.deliveries + 1
        } else {
            self.deliveries
        }
    }
}

/// Pending ids in order; see [`Group::pending_from`].
#[derive(Debug)]
pub(super) struct PendingIds<'g> {
    rest: btree_map::Range<'g, StreamId, Pending>,
}

impl Iterator for PendingIds<'_> {
    type Item = StreamId;

    fn next(&mut self) -> Option<StreamId> {
        self.rest.next().map(|(id, _)| *id)
    }
}

/// Who reads in a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for anything, in Unix milliseconds.
    pub seen_at_ms: i64,
    /// When it last got anything; `None`: never.
    pub active_at_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Group {
    /// A group that has read up to `last_id`.
    pub const fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            by_time: None,
            names: BTreeMap::new(),
            consumers: Vec::new(),
            nobody: None,
            free: Vec::new(),
            names_bytes: 0,
        }
    }

    /// The same group with the same consumers, by the same numbers, with whom nothing is pending.
    #[must_use]
    pub fn without_pending(&self) -> Self {
        let consumers = self.consumers.iter().map(|consumer| {
            let Consumer { name, seen_at_ms, active_at_ms, .. } = consumer.as_ref()?;
            Some(Consumer {
                name: Arc::clone(name),
                seen_at_ms: *seen_at_ms,
                active_at_ms: *active_at_ms,
                pending: BTreeSet::new(),
            })
        });
        Self {
            pending: BTreeMap::new(),
            by_time: None,
            names: self.names.clone(),
            consumers: consumers.collect(),
            free: self.free.clone(),
            ..*self
        }
    }

    /// The number of the consumer called `name`.
    pub fn consumer_number(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The number of the consumer called `name`, who is added if not there, and whether it was added. Who has an
    /// empty name gets what nobody had: files, and other commands than XNACK, could not tell the two apart.
    pub fn add_consumer(&mut self, name: &[u8], now_ms: i64) -> (u32, bool) {
        if let Some(number) = self.consumer_number(name) {
            return (number, false);
        }
        let name: Arc<[u8]> = name.into();
        self.names_bytes += name_bytes(&name);
        let number = match self.nobody {
            Some(number) if name.is_empty() => {
                self.nobody = None;
                self.consumer_mut(number).seen_at_ms = now_ms;
                number
            }
            _ => self.place_consumer(Arc::clone(&name), now_ms),
        };
        self.names.insert(name, number);
        (number, true)
    }

    /// The number of nobody, with whom is pending what consumers have given back.
    pub fn nobody(&mut self) -> u32 {
        if let Some(number) = self.nobody.or_else(|| self.consumer_number(b"")) {
            return number;
        }
        let number = self.place_consumer(Arc::from([]), 0);
        self.nobody = Some(number);
        number
    }

    /// Takes the consumer with an empty name for nobody, if all that is pending with it was given back: files know
    /// consumers only.
    pub fn recognise_nobody(&mut self) {
        let Some(number) = self.consumer_number(b"") else { return };
        let consumer = self.consumer(number);
        let is_given_back =
            |id| self.pending.get(id).is_some_and(|pending| pending.delivered_at_ms == 0);
        if consumer.pending.is_empty() || !consumer.pending.iter().all(is_given_back) {
            return;
        }
        let name = Arc::clone(&consumer.name);
        self.names.remove(&name);
        self.names_bytes -= name_bytes(&name);
        self.nobody = Some(number);
    }

    /// Whether no consumer has what is pending so.
    pub fn is_unowned(&self, pending: &Pending) -> bool {
        self.nobody == Some(pending.consumer)
    }

    fn place_consumer(&mut self, name: Arc<[u8]>, now_ms: i64) -> u32 {
        let consumer = Some(Consumer {
            name,
            seen_at_ms: now_ms,
            active_at_ms: None,
            pending: BTreeSet::new(),
        });
        if let Some(number) = self.free.pop() {
            self.consumers[number as usize] = consumer;
            return number;
        }
        self.consumers.push(consumer);
        u32::try_from(self.consumers.len() - 1).expect("fewer consumers than bytes")
    }

    /// Removes a consumer together with what is pending with it; how much that was. `None` if there is
    /// no such consumer.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        /// So many times as much may stay pending when all of that is moved.
        const KEPT_PER_REMOVED: usize = 3;
        let number = self.names.remove(name)?;
        let consumer = self.consumers[number as usize].take().expect("numbers name consumers");
        self.names_bytes -= name_bytes(&consumer.name);
        self.free.push(number);
        if consumer.pending.len() >= self.pending.len() / KEPT_PER_REMOVED {
            // It is quicker to put what stays into a new map.
            let pending = std::mem::take(&mut self.pending).into_iter();
            self.pending = pending.filter(|(_, pending)| pending.consumer != number).collect();
            self.by_time = None;
            return Some(consumer.pending.len());
        }
        for id in &consumer.pending {
            if let Some(pending) = self.pending.remove(id)
                && let Some(by_time) = &mut self.by_time
            {
                by_time.remove(&(pending.delivered_at_ms, *id));
            }
        }
        Some(consumer.pending.len())
    }

    /// The consumer with this number.
    ///
    /// # Panics
    /// If there is none.
    pub fn consumer(&self, number: u32) -> &Consumer {
        self.consumers[number as usize].as_ref().expect("numbers name consumers")
    }

    /// Likewise for writing.
    pub fn consumer_mut(&mut self, number: u32) -> &mut Consumer {
        self.consumers[number as usize].as_mut().expect("numbers name consumers")
    }

    /// Every consumer, in the order of names.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.names.values().map(|number| self.consumer(*number))
    }

    /// As [`consumers`](Self::consumers), and nobody, if anything is pending with it, for files, which know consumers
    /// only: it is one with an empty name there.
    pub fn holders(&self) -> impl Iterator<Item = &Consumer> {
        let nobody = self.nobody.map(|number| self.consumer(number));
        nobody.filter(|nobody| nobody.pending_len() > 0).into_iter().chain(self.consumers())
    }

    /// How many ids are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is known of a pending id.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Pending ids in a range, in order.
    pub fn pending_in(
        &self,
        range: RangeInclusive<StreamId>,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        // An empty range is none to the map.
        let range = if range.is_empty() { None } else { Some(range) };
        range.into_iter().flat_map(|range| self.pending.range(range)).map(|(id, p)| (*id, p))
    }

    /// Pending ids from `first` on.
    pub(super) fn pending_from(&self, first: StreamId) -> PendingIds<'_> {
        PendingIds { rest: self.pending.range(first..) }
    }

    /// Pending ids delivered at `latest_ms` or before, those that wait longest first, and when each was: from `from` on,
    /// a time and an id. The first call for a group puts them all in that order, which takes O(P log(P)); from then on it is
    /// kept.
    pub fn delivered_by(
        &mut self,
        from: (i64, StreamId),
        latest_ms: i64,
    ) -> impl Iterator<Item = (i64, StreamId)> {
        let by_time = self.by_time.get_or_insert_with(|| by_delivery(&self.pending));
        let end = (latest_ms, StreamId::MAX);
        // An empty range is none to the set.
        let range = if from <= end { Some(from..=end) } else { None };
        range.into_iter().flat_map(|range| by_time.range(range)).copied()
    }

    /// Pending ids delivered at `latest_ms` or before, in no particular order.
    pub fn delivered_by_in_any_order(&self, latest_ms: i64) -> impl Iterator<Item = StreamId> {
        let in_order = self.by_time.iter().flat_map(move |by_time| {
            by_time.range(..=(latest_ms, StreamId::MAX)).map(|(_, id)| *id)
        });
        let others = if self.by_time.is_some() { None } else { Some(&self.pending) };
        let others = others.into_iter().flatten();
        in_order.chain(
            others.filter_map(move |(id, pending)| {
                (pending.delivered_at_ms <= latest_ms).then_some(*id)
            }),
        )
    }

    /// Keeps what will be pending in the order of delivery from now on, while nothing is pending yet.
    pub fn keep_order_of_delivery(&mut self) {
        debug_assert!(self.pending.is_empty());
        self.by_time = Some(BTreeSet::new());
    }

    /// Makes `id` pending as `pending` says, whoever had it before. The consumer must exist.
    pub fn set_pending(&mut self, id: StreamId, pending: Pending) {
        let before = self.pending.insert(id, pending);
        if let Some(by_time) = &mut self.by_time {
            if let Some(before) = before {
                by_time.remove(&(before.delivered_at_ms, id));
            }
            by_time.insert((pending.delivered_at_ms, id));
        }
        if let Some(before) = before
            && before.consumer != pending.consumer
        {
            self.consumer_mut(before.consumer).pending.remove(&id);
        }
        if before.is_none_or(|before| before.consumer != pending.consumer) {
            self.consumer_mut(pending.consumer).pending.insert(id);
        }
    }

    /// Makes `id` pending no more; whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.consumer_mut(pending.consumer).pending.remove(&id);
        if let Some(by_time) = &mut self.by_time {
            by_time.remove(&(pending.delivered_at_ms, id));
        }
        true
    }

    /// Makes `ids`, which ascend, pending no more. It takes O(log(P)) for each that is pending, and less if all ids from
    /// the first to the last go.
    pub(super) fn acknowledge_each(&mut self, ids: &[StreamId]) {
        /// From so many on it pays to look whether all go.
        const MANY: usize = 64;
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return };
        if ids.len() < MANY {
            for id in ids {
                self.acknowledge(*id);
            }
            return;
        }
        let mut left = ids;
        let (mut named, mut all_go) = (Vec::new(), true);
        for (id, _) in self.pending.range(first..=last) {
            left = from_id(left, *id);
            if left.first() == Some(id) {
                named.push(*id);
            } else {
                all_go = false;
            }
        }
        if named.len() < MANY || !all_go {
            for id in named {
                self.acknowledge(id);
            }
            return;
        }
        let behind = last.next();
        let mut going = self.pending.split_off(first);
        if let Some(behind) = &behind {
            self.pending.append(&mut going.split_off(behind));
        }
        for consumer in self.consumers.iter_mut().flatten() {
            let mut going = consumer.pending.split_off(first);
            if let Some(behind) = &behind {
                consumer.pending.append(&mut going.split_off(behind));
            }
        }
        // For the next who asks it is made anew.
        self.by_time = None;
    }

    /// Bytes of heap, about. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        let pending_bytes = map_entry_bytes(size_of::<StreamId>() + size_of::<Pending>())
            + map_entry_bytes(size_of::<StreamId>());
        let name_bytes = map_entry_bytes(size_of::<Arc<[u8]>>() + size_of::<u32>());
        let by_time_len = self.by_time.as_ref().map_or(0, BTreeSet::len);
        self.pending.len() * pending_bytes
            + by_time_len * map_entry_bytes(size_of::<Delivery>())
            + self.names.len() * name_bytes
            + self.names_bytes
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Drops some of what is pending; whether there was any. The group is fit for nothing else then.
    pub(super) fn drop_slice(&mut self) -> bool {
        const IDS_IN_SLICE: usize = 256;
        for _ in 0..IDS_IN_SLICE {
            let Some((id, pending)) = self.pending.pop_first() else { return false };
            self.consumer_mut(pending.consumer).pending.remove(&id);
            if let Some(by_time) = &mut self.by_time {
                by_time.pop_first();
            }
        }
        true
    }

    pub(super) fn check_invariants(&self) {
        let mut pending_len = 0;
        for (name, number) in &self.names {
            let consumer = self.consumer(*number);
            assert_eq!(*name, consumer.name);
            pending_len += consumer.pending.len();
            for id in &consumer.pending {
                assert_eq!(self.pending.get(id).map(|pending| pending.consumer), Some(*number));
            }
        }
        if let Some(number) = self.nobody {
            let nobody = self.consumer(number);
            assert!(nobody.name.is_empty() && !self.names.contains_key(&[][..]));
            pending_len += nobody.pending.len();
            let has = |id| self.pending.get(id).is_some_and(|pending| self.is_unowned(pending));
            assert!(nobody.pending.iter().all(has));
        }
        assert_eq!(pending_len, self.pending.len());
        if let Some(by_time) = &self.by_time {
            assert_eq!(by_time.len(), self.pending.len());
            let is_known = |(at, id): &Delivery| {
                self.pending.get(id).is_some_and(|pending| pending.delivered_at_ms == *at)
            };
            assert!(by_time.iter().all(is_known));
        }
        let there = self.consumers.iter().flatten().count();
        assert_eq!(there, self.names.len() + usize::from(self.nobody.is_some()));
        assert_eq!(self.consumers.len(), there + self.free.len());
        let bytes: usize = self.names.keys().map(name_bytes).sum();
        assert_eq!(bytes, self.names_bytes);
    }
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many ids are pending with it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Ids in a range that are pending with it, in order.
    pub fn pending_in(&self, range: RangeInclusive<StreamId>) -> impl Iterator<Item = StreamId> {
        let range = if range.is_empty() { None } else { Some(range) };
        range.into_iter().flat_map(|range| self.pending.range(range)).copied()
    }
}

/// What of `ids`, which ascend, is not less than `id`; quick if that begins with one of the first two.
fn from_id(ids: &[StreamId], id: StreamId) -> &[StreamId] {
    match ids {
        [first, rest @ ..] if *first < id => match rest.first() {
            Some(next) if *next < id => &rest[rest.partition_point(|next| *next < id)..],
            _ => rest,
        },
        _ => ids,
    }
}

/// A name with its two counters.
fn name_bytes(name: &Arc<[u8]>) -> usize {
    good_size(2 * size_of::<usize>() + name.len())
}
