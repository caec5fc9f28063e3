//! Versions of watched keys.

use darter_structures::good_size;
use hashbrown::HashTable;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::key::Key;

/// The state of a watched key: unequal to every later one once the key changed, was deleted, expired
/// or came into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u64);

/// What the version of a watched key is at any moment, for those who are not where its shard is. It is what
/// the shard has noted, so a deadline that has passed unnoticed does not show.
#[derive(Clone, Debug)]
pub struct LatestVersion(Arc<AtomicU64>);

impl LatestVersion {
    fn new(version: Version) -> Self {
        Self(Arc::new(AtomicU64::new(version.0)))
    }

    /// The version now.
    pub fn read(&self) -> Version {
        Version(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, version: Version) {
        self.0.store(version.0, Ordering::Relaxed);
    }

    /// Bytes of heap: the number and the two counts of its holders.
    const BYTES: usize = size_of::<[u64; 3]>();
}

/// Whether one of very many keys has changed since it was read: for long work that meets keys on its way, and would watch each
/// of them. A shard keeps the hashes of those keys, until this is dropped and [`Shard::end_readings`](crate::Shard::end_readings)
/// or a change notices. A key that is another's equal in all bits of its hash counts as that one: work that is told of a
/// change that was none is done over, and that is all.
#[derive(Debug, Default)]
pub struct Reading(Arc<AtomicBool>);

impl Reading {
    /// Whether a key that was noted has changed.
    pub fn has_changed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The keys of one database that one [`Reading`] is about.
#[derive(Debug)]
struct ReadKeys {
    has_changed: Weak<AtomicBool>,
    /// Any key: the hashes do not matter.
    are_all: bool,
    hashes: HashTable<u64>,
}

impl ReadKeys {
    fn of(reading: &Reading, are_all: bool) -> Self {
        Self { has_changed: Arc::downgrade(&reading.0), are_all, hashes: HashTable::new() }
    }

    fn has(&self, hash: u64) -> bool {
        self.are_all || self.hashes.find(hash, |noted| *noted == hash).is_some()
    }

    fn is_of(&self, reading: &Reading) -> bool {
        std::ptr::eq(self.has_changed.as_ptr(), Arc::as_ptr(&reading.0))
    }

    fn change(&self) {
        if let Some(has_changed) = self.has_changed.upgrade() {
            has_changed.store(true, Ordering::Relaxed);
        }
    }
}

/// The watched keys of one database number. Empty, and then free of cost, when nobody watches.
///
/// A version is drawn from one counter of the shard, so a key that is watched, forgotten and watched
/// again never shows an old version anew.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    keys: HashTable<Watched>,
    key_bytes: usize,
    /// What long work has read, for as long as it is under way.
    readings: Vec<ReadKeys>,
}

#[derive(Debug)]
struct Watched {
    key: Box<[u8]>,
    hash: u64,
    version: LatestVersion,
    /// How many sessions watch; at least 1.
    watchers: usize,
}

/// Where versions come from.
#[derive(Debug, Default)]
pub(crate) struct VersionCounter(u64);

impl VersionCounter {
    fn next(&mut self) -> Version {
        self.0 += 1;
        Version(self.0)
    }
}

impl Watches {
    /// Whether nobody watches.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // One branch for both.
        self.keys.is_empty() & self.readings.is_empty()
    }

    /// The key with this hash was read.
    pub(crate) fn note_read(&mut self, hash: u64, reading: &Reading) {
        let index =
            self.readings.iter().position(|keys| keys.is_of(reading)).unwrap_or_else(|| {
                self.readings.push(ReadKeys::of(reading, false));
                self.readings.len() - 1
            });
        let hashes = &mut self.readings[index].hashes;
        if hashes.find(hash, |noted| *noted == hash).is_none() {
            hashes.insert_unique(hash, hash, |noted| *noted);
        }
    }

    /// Every key is about to be read, and which there are matters as well.
    pub(crate) fn note_all_read(&mut self, reading: &Reading) {
        self.readings.push(ReadKeys::of(reading, true));
    }

    /// Forgets what was read for those who do not want to know any more.
    pub(crate) fn end_readings(&mut self) {
        self.readings.retain(|keys| keys.has_changed.strong_count() > 0);
    }

    /// One more session watches `key`; its present version.
    pub(crate) fn watch(&mut self, key: &Key<'_>, counter: &mut VersionCounter) -> Version {
        if let Some(watched) = self.find_mut(key) {
            watched.watchers += 1;
            return watched.version.read();
        }
        let version = counter.next();
        self.key_bytes += heap_bytes_of(key);
        let watched = Watched {
            key: key.bytes.into(),
            hash: key.hash,
            version: LatestVersion::new(version),
            watchers: 1,
        };
        self.keys.insert_unique(key.hash, watched, |watched| watched.hash);
        version
    }

    /// One session less watches `key`.
    pub(crate) fn unwatch(&mut self, key: &Key<'_>) {
        let Ok(mut entry) =
            self.keys.find_entry(key.hash, |watched| watched.key.as_ref() == key.bytes)
        else {
            return;
        };
        entry.get_mut().watchers -= 1;
        if entry.get().watchers == 0 {
            entry.remove();
            self.key_bytes -= heap_bytes_of(key);
            if self.keys.is_empty() {
                self.keys = HashTable::new();
            }
        }
    }

    /// The version of `key`, or `None` when nobody watches it.
    pub(crate) fn version(&self, key: &Key<'_>) -> Option<Version> {
        self.find(key).map(|watched| watched.version.read())
    }

    /// Where the version of `key` can be read later on, or `None` when nobody watches it.
    pub(crate) fn latest_version(&self, key: &Key<'_>) -> Option<LatestVersion> {
        self.find(key).map(|watched| watched.version.clone())
    }

    /// The key given by `key` changed; it is only asked for if anything is watched.
    #[inline]
    pub(crate) fn bump<'k>(&mut self, key: impl FnOnce() -> Key<'k>, counter: &mut VersionCounter) {
        if self.is_empty() {
            return;
        }
        let key = key();
        if let Some(watched) = self.find_mut(&key) {
            watched.version.set(counter.next());
        }
        if !self.readings.is_empty() {
            self.note_change(key.hash);
        }
    }

    #[cold]
    fn note_change(&mut self, hash: u64) {
        self.end_readings();
        self.readings.iter().filter(|keys| keys.has(hash)).for_each(ReadKeys::change);
    }

    /// Every watched key `changed` says yes to did change. As for keys that were read, any of them may have.
    pub(crate) fn bump_where(
        &mut self,
        counter: &mut VersionCounter,
        mut changed: impl FnMut(&Key<'_>) -> bool,
    ) {
        self.readings.iter().for_each(ReadKeys::change);
        for watched in &mut self.keys {
            if changed(&Key { bytes: &watched.key, hash: watched.hash }) {
                watched.version.set(counter.next());
            }
        }
    }

    /// Copies of the watched keys, with their hashes.
    pub(crate) fn owned_keys(&self) -> Vec<(Box<[u8]>, u64)> {
        self.keys.iter().map(|watched| (watched.key.clone(), watched.hash)).collect()
    }

    /// Watched keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of heap, in good sizes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of = |bytes| if bytes == 0 { 0 } else { good_size(bytes) };
        let read = self.readings.iter().map(|keys| of(keys.hashes.allocation_size()));
        of(self.keys.allocation_size()) + self.key_bytes + read.sum::<usize>()
    }

    fn find(&self, key: &Key<'_>) -> Option<&Watched> {
        self.keys.find(key.hash, |watched| watched.key.as_ref() == key.bytes)
    }

    fn find_mut(&mut self, key: &Key<'_>) -> Option<&mut Watched> {
        self.keys.find_mut(key.hash, |watched| watched.key.as_ref() == key.bytes)
    }
}

/// Bytes that a watched key takes beside its place in the table, in good sizes.
fn heap_bytes_of(key: &Key<'_>) -> usize {
    good_size(key.bytes.len()) + good_size(LatestVersion::BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: u64) -> Key<'static> {
        Key { bytes: b"k", hash }
    }

    #[test]
    fn a_reading_hears_of_the_keys_it_has_read_until_it_ends() {
        let (mut watches, mut counter) = (Watches::default(), VersionCounter::default());
        let (one, other) = (Reading::default(), Reading::default());
        for hash in 0..1000 {
            watches.note_read(hash, &one);
            watches.note_read(hash, &one);
        }
        watches.note_read(7000, &other);
        assert!(watches.heap_bytes() >= 1001 * size_of::<u64>());
        watches.bump(|| key(1000), &mut counter);
        assert!(!one.has_changed() && !other.has_changed());
        watches.bump(|| key(999), &mut counter);
        assert!(one.has_changed() && !other.has_changed());
        drop(one);
        assert!(!watches.is_empty());
        // A change is enough to let go of what nobody wants to know any more.
        watches.bump(|| key(5), &mut counter);
        assert_eq!(watches.readings.len(), 1);
        watches.bump_where(&mut counter, |_| false);
        assert!(other.has_changed());
        drop(other);
        watches.end_readings();
        assert!(watches.is_empty());
        assert_eq!(watches.heap_bytes(), 0);
    }

    #[test]
    fn a_reading_of_everything_hears_of_any_key() {
        let (mut watches, mut counter) = (Watches::default(), VersionCounter::default());
        let everything = Reading::default();
        watches.note_all_read(&everything);
        watches.note_read(1, &Reading::default());
        assert!(!everything.has_changed());
        watches.bump(|| key(2), &mut counter);
        assert!(everything.has_changed());
    }
}
