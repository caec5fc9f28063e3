//! Which clients have read which keys, and which are told of all keys that begin in some way.

use darter_runtime::ConnectionId;
use darter_shard::KeyHasher;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};

/// Parts of the table, each under a lock of its own.
const STRIPES: usize = 64;

/// Keys, and who has read them. Keys of different databases are not told apart, as in Redis.
type Readers = HashMap<Box<[u8]>, HashSet<ConnectionId>>;

/// What all workers know of tracked clients.
#[derive(Debug)]
pub struct TrackingTable {
    hasher: KeyHasher,
    stripes: Box<[Mutex<Readers>]>,
    /// Keys in all stripes.
    keys: AtomicUsize,
    /// Readers of all keys.
    items: AtomicUsize,
    /// Beginnings of keys, and who is told of those, in the order in which they are told.
    prefixes: RwLock<BTreeMap<Box<[u8]>, HashSet<ConnectionId>>>,
    prefix_count: AtomicUsize,
    /// Tracked clients.
    clients: AtomicUsize,
}

/// A key that is remembered no longer, and who has read it.
pub type Forgotten = (Box<[u8]>, HashSet<ConnectionId>);

impl TrackingTable {
    /// Nobody is tracked.
    pub fn new(hasher: KeyHasher) -> Self {
        Self {
            hasher,
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            prefixes: RwLock::default(),
            prefix_count: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
        }
    }

    /// Whether a client is tracked.
    #[inline]
    pub fn any(&self) -> bool {
        self.clients.load(Ordering::Relaxed) > 0
    }

    /// One more client is tracked.
    pub fn add_client(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// One less is. What it has read is forgotten when it changes.
    pub fn remove_client(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many clients are tracked.
    pub fn client_count(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How many keys are remembered.
    pub fn key_count(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// How many readers of keys are remembered, a client for each key it has read.
    pub fn item_count(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// How many beginnings of keys somebody is told of.
    pub fn prefix_count(&self) -> usize {
        self.prefix_count.load(Ordering::Relaxed)
    }

    fn stripe_of(&self, key: &[u8]) -> usize {
        // STRIPES is small: what is left fits.
        usize::try_from(self.hasher.hash(key) % STRIPES as u64).unwrap_or(0)
    }

    fn stripe(&self, index: usize) -> MutexGuard<'_, Readers> {
        self.stripes[index].lock().expect("counting cannot panic")
    }

    /// Remembers that a client has read a key.
    pub fn remember(&self, key: &[u8], reader: ConnectionId) {
        let mut stripe = self.stripe(self.stripe_of(key));
        if let Some(readers) = stripe.get_mut(key) {
            if readers.insert(reader) {
                self.items.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        stripe.insert(key.into(), HashSet::from_iter([reader]));
        self.keys.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a key that changed; who has read it.
    pub fn forget(&self, key: &[u8]) -> Option<HashSet<ConnectionId>> {
        if self.key_count() == 0 {
            return None;
        }
        let mut stripe = self.stripe(self.stripe_of(key));
        let readers = stripe.remove(key)?;
        self.forgotten(&readers);
        Some(readers)
    }

    fn forgotten(&self, readers: &HashSet<ConnectionId>) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.items.fetch_sub(readers.len(), Ordering::Relaxed);
    }

    /// Forgets some key if more than `keys_max` are remembered (0: any number may be), one of those that
    /// lie beside `key` before others.
    pub fn forget_surplus(&self, key: &[u8], keys_max: usize) -> Option<Forgotten> {
        if keys_max == 0 || self.key_count() <= keys_max {
            return None;
        }
        self.forget_one(key)
    }

    /// Forgets some key, one of those that lie beside `key` before others.
    pub fn forget_one(&self, key: &[u8]) -> Option<Forgotten> {
        let first = self.stripe_of(key);
        for turn in 0..STRIPES {
            let mut stripe = self.stripe((first + turn) % STRIPES);
            // The key itself goes only where there is no other.
            let other = stripe.keys().find(|other| ***other != *key).cloned();
            let other = other.or_else(|| (turn > 0).then(|| Box::from(key)));
            if let Some((key, readers)) = other.and_then(|other| stripe.remove_entry(&other)) {
                self.forgotten(&readers);
                return Some((key, readers));
            }
        }
        None
    }

    /// Forgets every key.
    pub fn clear(&self) {
        for index in 0..STRIPES {
            let emptied = std::mem::take(&mut *self.stripe(index));
            for readers in emptied.values() {
                self.forgotten(readers);
            }
        }
    }

    /// A client is told of keys that begin with `prefix`.
    pub fn add_prefix(&self, prefix: &[u8], client: ConnectionId) {
        let mut prefixes = self.prefixes.write().expect("counting cannot panic");
        prefixes.entry(prefix.into()).or_default().insert(client);
        self.prefix_count.store(prefixes.len(), Ordering::Relaxed);
    }

    /// It is no longer.
    pub fn remove_prefix(&self, prefix: &[u8], client: ConnectionId) {
        let mut prefixes = self.prefixes.write().expect("counting cannot panic");
        if let Some(clients) = prefixes.get_mut(prefix) {
            clients.remove(&client);
            if clients.is_empty() {
                prefixes.remove(prefix);
            }
        }
        self.prefix_count.store(prefixes.len(), Ordering::Relaxed);
    }

    /// Calls `visit` with those of `keys` that begin in a way somebody is told of, and who is.
    pub fn each_prefix(
        &self,
        keys: &[Box<[u8]>],
        mut visit: impl FnMut(Vec<Box<[u8]>>, &HashSet<ConnectionId>),
    ) {
        if self.prefix_count() == 0 {
            return;
        }
        let prefixes = self.prefixes.read().expect("counting cannot panic");
        for (prefix, clients) in &*prefixes {
            let begin_so: Vec<_> =
                keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
            if !begin_so.is_empty() {
                visit(begin_so, clients);
            }
        }
    }
}
