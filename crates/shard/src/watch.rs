//! Versions of watched keys.

use darter_structures::good_size;
use hashbrown::HashTable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The watched keys of one database number. Empty, and then free of cost, when nobody watches.
///
/// A version is drawn from one counter of the shard, so a key that is watched, forgotten and watched
/// again never shows an old version anew.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    keys: HashTable<Watched>,
    key_bytes: usize,
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
        self.keys.is_empty()
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
        if self.keys.is_empty() {
            return;
        }
        if let Some(watched) = self.find_mut(&key()) {
            watched.version.set(counter.next());
        }
    }

    /// Every watched key `changed` says yes to did change.
    pub(crate) fn bump_where(
        &mut self,
        counter: &mut VersionCounter,
        mut changed: impl FnMut(&Key<'_>) -> bool,
    ) {
        for watched in &mut self.keys {
            if changed(&Key { bytes: &watched.key, hash: watched.hash }) {
                watched.version.set(counter.next());
            }
        }
    }

    /// Watched keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes of heap, in good sizes.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.keys.capacity() == 0 {
            return 0;
        }
        good_size(self.keys.allocation_size()) + self.key_bytes
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
