//! Who waits for a key.
//!
//! For each key somebody waits for there is a queue, in the order in which they came. A write that
//! makes such a key come, go or change its kind notes it as *ready*; whoever holds the shard then takes
//! the queue out ([`Waiters::take_ready`]), tries the waiters one after the other, and puts back what is
//! left of it. That has to happen before the shard is given back, so that nobody else sees what the
//! first of the queue is to get.
//!
//! A waiter that waits for several keys has a place in several queues, of several shards maybe, and is
//! done with all of them at once. Its places are not looked for then: [`Waiter::is_over`] says that a
//! place is worth nothing, and such places are dropped by whoever comes across them, at the latest when
//! there are as many again as were waiting when they were last counted.
//!
//! Empty, and then free of cost, when nobody waits.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use darter_structures::good_size;
use darter_value::Type;
use hashbrown::HashTable;

use crate::key::Key;

/// Somebody who waits. What for, and how it is served, is known to who made it.
pub trait Waiter: Any + fmt::Debug + Send + Sync {
    /// Whether it waits no longer, for none of its keys, and never will again.
    fn is_over(&self) -> bool;
}

/// When trying a waiter is worth while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The key holds this type.
    pub kind: Type,
    /// Also when it holds anything else, or is gone: the waiter has to be told.
    pub anything: bool,
}

/// One place in a queue.
#[derive(Debug)]
struct Place {
    waiter: Arc<dyn Waiter>,
    wanted: Wanted,
}

/// Places in order.
#[derive(Debug, Default)]
struct Queue {
    places: VecDeque<Place>,
    /// How many of them want anything.
    want_anything: usize,
}

/// A key that is waited for.
#[derive(Debug)]
struct Waited {
    key: Box<[u8]>,
    hash: u64,
    queue: Queue,
    /// Is in the list of those that are ready.
    is_ready: bool,
}

/// Places in all queues together from which on those that are worth nothing are counted.
const SWEEP_PLACES_MIN: usize = 64;

/// The waiters of one database number.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    keys: HashTable<Waited>,
    /// Sum of the lengths of all queues, but for one that is taken out.
    places: usize,
    /// When `places` is above, the queues are swept.
    sweep_above: usize,
    key_bytes: usize,
}

/// The queue of a key that became ready, taken out so that its waiters can be tried.
#[derive(Debug)]
pub struct ReadyQueue {
    key: Box<[u8]>,
    hash: u64,
    queue: Queue,
    /// Those that were passed by, in order; they stay in front of the queue.
    passed: Vec<Place>,
    /// The one that is being tried.
    tried: Option<Place>,
}

impl Queue {
    fn push(&mut self, place: Place) {
        self.want_anything += usize::from(place.wanted.anything);
        self.places.push_back(place);
    }

    fn pop(&mut self) -> Option<Place> {
        let place = self.places.pop_front()?;
        self.want_anything -= usize::from(place.wanted.anything);
        Some(place)
    }

    fn put_in_front(&mut self, place: Place) {
        self.want_anything += usize::from(place.wanted.anything);
        self.places.push_front(place);
    }

    fn sweep(&mut self) {
        self.places.retain(|place| !place.waiter.is_over());
        self.want_anything = self.places.iter().filter(|place| place.wanted.anything).count();
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}

impl Waiters {
    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Gives `waiter` the last place in the queue of `key`.
    pub(crate) fn add(&mut self, key: &Key<'_>, wanted: Wanted, waiter: Arc<dyn Waiter>) {
        if self.places >= self.sweep_above.max(SWEEP_PLACES_MIN) {
            self.sweep();
        }
        let place = Place { waiter, wanted };
        if let Some(waited) = self.find_mut(key) {
            waited.queue.push(place);
        } else {
            let mut queue = Queue::default();
            queue.push(place);
            self.insert(key.bytes.into(), key.hash, queue);
        }
        self.places += 1;
    }

    /// Notes that `key` is ready; `true` if somebody waits for it and it was not noted before.
    #[cold]
    pub(crate) fn note(&mut self, key: &Key<'_>) -> bool {
        match self.find_mut(key) {
            Some(waited) => !std::mem::replace(&mut waited.is_ready, true),
            None => false,
        }
    }

    /// Notes every key `is_ready` says yes to, and calls `noted` with its hash.
    pub(crate) fn note_where(
        &mut self,
        mut is_ready: impl FnMut(&Key<'_>) -> bool,
        mut noted: impl FnMut(u64),
    ) {
        for waited in &mut self.keys {
            if !waited.is_ready && is_ready(&Key { bytes: &waited.key, hash: waited.hash }) {
                waited.is_ready = true;
                noted(waited.hash);
            }
        }
    }

    /// Takes out the queue of a key with this hash that was noted.
    pub(crate) fn take_ready(&mut self, hash: u64) -> Option<ReadyQueue> {
        let entry = self.keys.find_entry(hash, |waited| waited.is_ready).ok()?;
        let Waited { key, hash, queue, .. } = entry.remove().0;
        self.places -= queue.len();
        self.key_bytes -= good_size(key.len());
        self.shrink();
        Some(ReadyQueue { key, hash, queue, passed: Vec::new(), tried: None })
    }

    /// Puts a queue back: what is left of it, in the same order.
    pub(crate) fn put_back(&mut self, ready: ReadyQueue) {
        let ReadyQueue { key, hash, mut queue, passed, tried: _ } = ready;
        for place in passed.into_iter().rev() {
            queue.put_in_front(place);
        }
        if queue.len() == 0 {
            return;
        }
        self.places += queue.len();
        // Nobody can have come meanwhile, but somebody's place may have been taken over.
        if let Some(waited) = self.find_mut(&Key { bytes: &key, hash }) {
            while let Some(place) = waited.queue.pop() {
                queue.push(place);
            }
            waited.queue = queue;
        } else {
            self.insert(key, hash, queue);
        }
    }

    /// Drops the places that are worth nothing. O(places).
    pub(crate) fn sweep(&mut self) {
        let (mut places, mut key_bytes) = (0, 0);
        self.keys.retain(|waited| {
            waited.queue.sweep();
            places += waited.queue.len();
            let is_kept = waited.queue.len() > 0;
            key_bytes += if is_kept { good_size(waited.key.len()) } else { 0 };
            is_kept
        });
        self.places = places;
        self.sweep_above = places * 2;
        self.key_bytes = key_bytes;
        self.shrink();
    }

    /// Number of keys that are waited for, and of those whose going is waited for as well. Exact after
    /// [`sweep`](Self::sweep). O(places).
    pub(crate) fn count_keys(&self) -> (usize, usize) {
        let on_anything = self.keys.iter().filter(|waited| waited.queue.want_anything > 0);
        (self.keys.len(), on_anything.count())
    }

    /// Bytes of heap, in good sizes, but for what waits.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.keys.capacity() == 0 {
            return 0;
        }
        good_size(self.keys.allocation_size()) + self.key_bytes + self.places * size_of::<Place>()
    }

    /// Panics if the counts are wrong.
    pub(crate) fn check_invariants(&self) {
        let places: usize = self.keys.iter().map(|waited| waited.queue.len()).sum();
        assert_eq!(places, self.places, "places are counted");
        assert!(self.keys.iter().all(|waited| waited.queue.len() > 0), "no queue is empty");
    }

    fn insert(&mut self, key: Box<[u8]>, hash: u64, queue: Queue) {
        self.key_bytes += good_size(key.len());
        let waited = Waited { key, hash, queue, is_ready: false };
        self.keys.insert_unique(hash, waited, |waited| waited.hash);
    }

    /// Gives the table's memory back when it is empty, which is also what makes writers quick again.
    fn shrink(&mut self) {
        if self.keys.is_empty() && self.keys.capacity() > SWEEP_PLACES_MIN {
            self.keys = HashTable::new();
        }
    }

    fn find_mut(&mut self, key: &Key<'_>) -> Option<&mut Waited> {
        self.keys.find_mut(key.hash, |waited| waited.key.as_ref() == key.bytes)
    }
}

impl ReadyQueue {
    /// The key.
    pub fn key(&self) -> Key<'_> {
        Key { bytes: &self.key, hash: self.hash }
    }

    /// The first waiter not yet tried that it is worth while to try, now that the key holds what it
    /// holds. It leaves the queue unless it is [kept](Self::keep).
    pub fn next(&mut self, found: Option<Type>) -> Option<Arc<dyn Waiter>> {
        self.tried = None;
        // Without this, everybody would be asked each time there is something for one of them.
        while found.is_some() || self.queue.want_anything > 0 {
            let place = self.queue.pop()?;
            if place.waiter.is_over() {
                continue;
            }
            if found == Some(place.wanted.kind) || place.wanted.anything {
                let waiter = Arc::clone(&place.waiter);
                self.tried = Some(place);
                return Some(waiter);
            }
            self.passed.push(place);
        }
        None
    }

    /// Leaves the waiter that was tried in its place.
    pub fn keep(&mut self) {
        self.passed.extend(self.tried.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_structures::KeyHasher;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Debug)]
    struct Client(u32, AtomicBool);

    impl Waiter for Client {
        fn is_over(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }
    }

    fn client(number: u32) -> Arc<Client> {
        Arc::new(Client(number, AtomicBool::new(false)))
    }

    fn number(waiter: Option<Arc<dyn Waiter>>) -> Option<u32> {
        let any: Arc<dyn Any + Send + Sync> = waiter?;
        Some(any.downcast::<Client>().unwrap().0)
    }

    const LIST: Wanted = Wanted { kind: Type::List, anything: false };
    const GROUP: Wanted = Wanted { kind: Type::Stream, anything: true };

    #[test]
    fn waiters_are_tried_in_the_order_they_came() {
        let hasher = KeyHasher::new(1);
        let (key, other) = (Key::new(&hasher, b"k"), Key::new(&hasher, b"other"));
        let mut waiters = Waiters::default();
        assert!(waiters.is_empty() && !waiters.note(&key));
        for number in 0..4 {
            waiters.add(&key, if number == 1 { GROUP } else { LIST }, client(number));
        }
        waiters.add(&other, LIST, client(9));
        assert_eq!(waiters.count_keys(), (2, 1));
        assert!(waiters.note(&key) && !waiters.note(&key));
        let mut ready = waiters.take_ready(key.hash).unwrap();
        assert_eq!(number(ready.next(Some(Type::List))), Some(0));
        assert_eq!(number(ready.next(Some(Type::List))), Some(1));
        ready.keep();
        assert_eq!(number(ready.next(Some(Type::List))), Some(2));
        assert_eq!(number(ready.next(None)), None);
        waiters.put_back(ready);
        waiters.check_invariants();
        assert!(waiters.note(&key));
        let mut ready = waiters.take_ready(key.hash).unwrap();
        assert_eq!(number(ready.next(None)), Some(1));
        assert_eq!(number(ready.next(Some(Type::SortedSet))), None);
        waiters.put_back(ready);
        assert!(waiters.note(&key));
        let mut ready = waiters.take_ready(key.hash).unwrap();
        assert_eq!(number(ready.next(Some(Type::List))), Some(3));
        assert_eq!(number(ready.next(Some(Type::List))), None);
        waiters.put_back(ready);
        assert_eq!(waiters.count_keys(), (1, 0));
        waiters.check_invariants();
    }

    #[test]
    fn places_that_are_worth_nothing_do_not_pile_up() {
        let hasher = KeyHasher::new(1);
        let mut waiters = Waiters::default();
        let stays = client(0);
        waiters.add(&Key::new(&hasher, b"k"), LIST, Arc::<Client>::clone(&stays));
        for number in 0..10_000_u32 {
            let gone = client(number);
            let name = number.to_le_bytes();
            waiters.add(&Key::new(&hasher, &name), LIST, Arc::<Client>::clone(&gone));
            gone.1.store(true, Ordering::Relaxed);
            assert!(waiters.places <= SWEEP_PLACES_MIN + 1);
        }
        waiters.sweep();
        waiters.check_invariants();
        assert_eq!(waiters.count_keys(), (1, 0));
        stays.1.store(true, Ordering::Relaxed);
        waiters.sweep();
        assert!(waiters.is_empty());
    }
}
