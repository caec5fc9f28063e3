//! What producers have added: which entry came of which idempotent id, so that a message that is sent again is known.
//!
//! ```text
//!  Idempotence ─► producers: name ─► Producer ─┬─ ids: idempotent id ─► number
//!              │                               └─ numbers, the oldest first
//!              └► records: number ─► Record: entry, time, producer, idempotent id
//! ```
//!
//! Records are numbered as they come, so the records of all producers are in the order in which they expire, and the
//! first number of a producer is what goes when it has too many. A record that has expired counts for nothing, whether
//! or not it is gone yet: each one that is added takes some that have expired away, so there are never more than came
//! within the time they are kept.
//!
//! Invariants, checked by [`Idempotence::check_invariants`]: each record is in its producer's two maps under its number, and
//! these hold no other; no producer is without a record, or has more than the limit; times never fall.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use darter_structures::good_size;

use super::id::StreamId;
use super::map_entry_bytes;

/// How long idempotent ids are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotenceLimits {
    /// `stream-idmp-duration`, in seconds.
    pub duration_s: u32,
    /// `stream-idmp-maxsize`: ids of one producer; at least 1.
    pub ids_max: u32,
}

/// What a stream knows of its producers.
#[derive(Clone, Debug)]
pub struct Idempotence {
    limits: IdempotenceLimits,
    records: BTreeMap<u64, Record>,
    producers: BTreeMap<Arc<[u8]>, Producer>,
    /// The number of the next record.
    next: u64,
    /// Ids that were ever recorded.
    added: u64,
    /// Messages that were sent again.
    duplicates: u64,
    /// Good sizes of all names and idempotent ids.
    names_bytes: usize,
}

#[derive(Clone, Debug)]
struct Record {
    entry: StreamId,
    /// When it was recorded, in Unix milliseconds.
    at_ms: u64,
    producer: Arc<[u8]>,
    id: Arc<[u8]>,
}

#[derive(Clone, Debug, Default)]
struct Producer {
    ids: BTreeMap<Arc<[u8]>, u64>,
    numbers: BTreeSet<u64>,
}

/// Expired records that one that is added takes away. More than one, so that they are gone some time.
const EXPIRED_PER_RECORD: usize = 16;

impl Idempotence {
    /// Of a stream to which nobody has added anything.
    pub const fn new(limits: IdempotenceLimits) -> Self {
        Self {
            limits,
            records: BTreeMap::new(),
            producers: BTreeMap::new(),
            next: 0,
            added: 0,
            duplicates: 0,
            names_bytes: 0,
        }
    }

    /// The limits.
    pub const fn limits(&self) -> IdempotenceLimits {
        self.limits
    }

    /// Sets the limits, and forgets every id if that changes them.
    pub fn set_limits(&mut self, limits: IdempotenceLimits) {
        if limits != self.limits {
            let (added, duplicates) = (self.added, self.duplicates);
            *self = Self { added, duplicates, ..Self::new(limits) };
        }
    }

    /// The entry that a producer has added under `id`, unless that has expired.
    pub fn entry(&self, producer: &[u8], id: &[u8], now_ms: u64) -> Option<StreamId> {
        let number = self.producers.get(producer)?.ids.get(id)?;
        let record = self.records.get(number)?;
        (!self.is_expired(record, now_ms)).then_some(record.entry)
    }

    /// Counts a message that was sent again.
    pub const fn count_duplicate(&mut self) {
        self.duplicates += 1;
    }

    /// Records the entry that a producer has added under `id`, now or, if the entry is older, when its id says. An
    /// entry recorded before under the same id is so no more.
    pub fn record(&mut self, producer: &[u8], id: &[u8], entry: StreamId, now_ms: u64) {
        for _ in 0..EXPIRED_PER_RECORD {
            let oldest = self.records.first_key_value();
            let Some((&number, record)) = oldest else { break };
            if !self.is_expired(record, now_ms) {
                break;
            }
            self.remove(number);
        }
        if let Some(number) = self.producers.get(producer).and_then(|own| own.ids.get(id)) {
            self.remove(*number);
        }
        // A clock that went back does not let ids expire before older ones. An entry that is ahead of the clock does
        // not keep them for longer.
        let last_ms = self.records.last_key_value().map_or(0, |(_, record)| record.at_ms);
        let at_ms = entry.ms.min(now_ms).max(last_ms);
        let name = self.producers.get_key_value(producer).map(|(name, _)| Arc::clone(name));
        let record = Record {
            entry,
            at_ms,
            producer: name.unwrap_or_else(|| producer.into()),
            id: id.into(),
        };
        self.insert(self.next, record);
        self.next += 1;
        self.added += 1;
        if let Some(own) = self.producers.get(producer)
            && own.numbers.len() > self.limits.ids_max as usize
            && let Some(oldest) = own.numbers.first()
        {
            self.remove(*oldest);
        }
    }

    /// How many producers have ids that have not expired, and how many ids those are. O(producers + ids that have
    /// expired and are not gone yet).
    pub fn tracked(&self, now_ms: u64) -> (usize, usize) {
        let expired = self.records.iter().take_while(|(_, record)| self.is_expired(record, now_ms));
        let Some((expired, last)) = expired.map(|(number, _)| number).enumerate().last() else {
            return (self.producers.len(), self.records.len());
        };
        let producers = self.producers.values();
        let live = producers.filter(|own| own.numbers.last().is_some_and(|newest| newest > last));
        (live.count(), self.records.len() - expired - 1)
    }

    /// How many ids are held, expired or not.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many ids were ever recorded.
    pub const fn added(&self) -> u64 {
        self.added
    }

    /// How many messages were sent again.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Every record, the oldest first: producer, idempotent id and entry.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], &[u8], StreamId)> {
        self.records.values().map(|record| (&*record.producer, &*record.id, record.entry))
    }

    /// One for a copy, without records.
    pub(super) fn emptied(&self) -> Self {
        let Self { next, added, duplicates, .. } = *self;
        Self { next, added, duplicates, ..Self::new(self.limits) }
    }

    /// Copies up to `records` records from number `from` on into `copy`, made by [`emptied`](Self::emptied); the number to
    /// go on with, if there are more.
    pub(super) fn copy_on(&self, from: u64, records: usize, copy: &mut Self) -> Option<u64> {
        let mut rest = self.records.range(from..);
        for (number, record) in rest.by_ref().take(records) {
            copy.insert(*number, record.clone());
        }
        rest.next().map(|(number, _)| *number)
    }

    /// Drops some records; whether there were any.
    pub(super) fn drop_slice(&mut self) -> bool {
        const RECORDS_IN_SLICE: usize = 256;
        for _ in 0..RECORDS_IN_SLICE {
            let Some((&number, _)) = self.records.first_key_value() else { return false };
            self.remove(number);
        }
        true
    }

    /// Bytes of heap, about, with its own. O(1).
    pub(super) fn heap_bytes(&self) -> usize {
        let record_bytes = map_entry_bytes(size_of::<u64>() + size_of::<Record>())
            + map_entry_bytes(size_of::<Arc<[u8]>>() + size_of::<u64>())
            + map_entry_bytes(size_of::<u64>());
        let producer_bytes = map_entry_bytes(size_of::<Arc<[u8]>>() + size_of::<Producer>());
        good_size(size_of::<Self>())
            + self.records.len() * record_bytes
            + self.producers.len() * producer_bytes
            + self.names_bytes
    }

    fn is_expired(&self, record: &Record, now_ms: u64) -> bool {
        now_ms.saturating_sub(record.at_ms) >= u64::from(self.limits.duration_s) * 1000
    }

    /// Adds a record under a number that is larger than all others, of an id that its producer does not have.
    fn insert(&mut self, number: u64, record: Record) {
        if !self.producers.contains_key(&record.producer) {
            self.names_bytes += name_bytes(&record.producer);
            self.producers.insert(Arc::clone(&record.producer), Producer::default());
        }
        if let Some(own) = self.producers.get_mut(&record.producer) {
            own.ids.insert(Arc::clone(&record.id), number);
            own.numbers.insert(number);
        }
        self.names_bytes += name_bytes(&record.id);
        self.records.insert(number, record);
    }

    fn remove(&mut self, number: u64) {
        let Some(record) = self.records.remove(&number) else { return };
        self.names_bytes -= name_bytes(&record.id);
        let Some(own) = self.producers.get_mut(&record.producer) else { return };
        own.ids.remove(&record.id);
        own.numbers.remove(&number);
        if own.numbers.is_empty() {
            self.producers.remove(&record.producer);
            self.names_bytes -= name_bytes(&record.producer);
        }
    }

    /// Panics if it contradicts itself. O(size).
    pub(super) fn check_invariants(&self) {
        let (mut ids, mut bytes, mut last_ms) = (0, 0, 0);
        for (number, record) in &self.records {
            let own = self.producers.get(&record.producer).expect("a record has a producer");
            assert_eq!(own.ids.get(&record.id), Some(number));
            assert!(own.numbers.contains(number) && *number < self.next);
            assert!(record.at_ms >= last_ms);
            last_ms = record.at_ms;
            bytes += name_bytes(&record.id);
        }
        for (name, own) in &self.producers {
            assert!(!own.ids.is_empty() && own.ids.len() <= self.limits.ids_max as usize);
            assert_eq!(own.ids.len(), own.numbers.len());
            ids += own.ids.len();
            bytes += name_bytes(name);
        }
        assert_eq!((ids, bytes), (self.records.len(), self.names_bytes));
    }
}

/// A name with its two counters.
fn name_bytes(name: &Arc<[u8]>) -> usize {
    good_size(2 * size_of::<usize>() + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> StreamId {
        StreamId::new(ms, 0)
    }

    #[test]
    fn ids_are_known_until_they_expire_or_are_too_many() {
        let mut known = Idempotence::new(IdempotenceLimits { duration_s: 2, ids_max: 2 });
        known.record(b"p", b"1", at(1000), 1000);
        known.record(b"q", b"1", at(1001), 1001);
        known.record(b"p", b"2", at(1500), 1500);
        assert_eq!(known.entry(b"p", b"1", 2999), Some(at(1000)));
        assert_eq!(known.entry(b"p", b"1", 3000), None);
        assert_eq!(known.entry(b"q", b"1", 3000), Some(at(1001)));
        assert_eq!(known.entry(b"q", b"2", 3000), None);
        assert_eq!(known.entry(b"r", b"1", 3000), None);
        assert_eq!((known.tracked(1500), known.tracked(3000)), ((2, 3), (2, 2)));
        assert_eq!((known.tracked(3001), known.tracked(9000)), ((1, 1), (0, 0)));
        known.check_invariants();
        // The oldest of a producer goes, of no other.
        known.record(b"p", b"3", at(1600), 1600);
        assert_eq!(known.entry(b"p", b"1", 1600), None);
        assert_eq!(known.entry(b"p", b"2", 1600), Some(at(1500)));
        assert_eq!(known.entry(b"q", b"1", 1600), Some(at(1001)));
        known.check_invariants();
        // What has expired goes with what comes.
        known.record(b"q", b"2", at(3600), 3600);
        known.check_invariants();
        assert_eq!((known.len(), known.added()), (1, 5));
        known.set_limits(known.limits());
        assert_eq!(known.len(), 1);
        known.set_limits(IdempotenceLimits { duration_s: 3, ids_max: 2 });
        assert_eq!((known.len(), known.added()), (0, 5));
        known.check_invariants();
    }

    #[test]
    fn clocks_that_go_back_and_entries_ahead_of_them_change_nothing() {
        let mut known = Idempotence::new(IdempotenceLimits { duration_s: 1, ids_max: 9 });
        known.record(b"p", b"ahead", at(1 << 50), 5000);
        known.record(b"p", b"back", at((1 << 50) + 1), 4000);
        known.check_invariants();
        assert_eq!(known.entry(b"p", b"ahead", 5999), Some(at(1 << 50)));
        assert_eq!(known.entry(b"p", b"ahead", 6000), None);
        assert_eq!(known.entry(b"p", b"back", 6000), None);
        // An id that has expired is recorded anew, though it may not be gone yet.
        known.record(b"p", b"back", at((1 << 50) + 2), 5500);
        known.check_invariants();
        assert_eq!(known.entry(b"p", b"back", 5500), Some(at((1 << 50) + 2)));
    }

    #[test]
    fn it_is_copied_and_dropped_in_slices() {
        let mut known = Idempotence::new(IdempotenceLimits { duration_s: 9, ids_max: 700 });
        for number in 0..2000_u64 {
            let producer = [b'p', u8::try_from(number % 3).unwrap()];
            known.record(&producer, number.to_string().as_bytes(), at(number), number);
        }
        known.count_duplicate();
        known.check_invariants();
        let (mut copy, mut from) = (known.emptied(), Some(0));
        while let Some(next) = from {
            from = known.copy_on(next, 300, &mut copy);
        }
        copy.check_invariants();
        assert_eq!(format!("{known:?}"), format!("{copy:?}"));
        let bytes = known.heap_bytes();
        assert_eq!(bytes, copy.heap_bytes());
        let mut slices = 0;
        while copy.drop_slice() {
            slices += 1;
            copy.check_invariants();
        }
        assert_eq!(slices, 2000 / 256);
        assert_eq!(copy.heap_bytes(), Idempotence::new(copy.limits()).heap_bytes());
        assert!(bytes > copy.heap_bytes() + 2000 * 64);
    }
}
