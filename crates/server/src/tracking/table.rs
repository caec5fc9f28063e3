//! Which clients have read which keys, and which are told of all keys that begin in some way.

use darter_runtime::ConnectionId;
use darter_shard::KeyHasher;
use darter_structures::good_size;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

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
    /// Memory of all stripes: keys, their readers, and the maps of both.
    bytes: AtomicUsize,
    prefixes: RwLock<Prefixes>,
    prefix_count: AtomicUsize,
    /// Tracked clients.
    clients: AtomicUsize,
    /// Those that have another one told.
    redirections: RwLock<HashMap<ConnectionId, Redirection>>,
    redirection_count: AtomicUsize,
}

/// Who is told instead of a tracked client, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// The id of the client that is told.
    pub to: u64,
    /// Whether of all keys that begin in some way, not of those that were read.
    pub is_broadcast: bool,
    /// Whether not of what the tracked client changed itself.
    pub no_loop: bool,
}

/// Beginnings of keys, and who is told of those.
#[derive(Debug, Default)]
struct Prefixes {
    clients: HashMap<Arc<[u8]>, HashSet<ConnectionId>>,
    /// How many there are of each length: what a key begins with is looked up, not looked for.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    fn add(&mut self, prefix: &Arc<[u8]>, client: ConnectionId) -> Arc<[u8]> {
        let kept = if let Some((kept, _)) = self.clients.get_key_value(prefix) {
            Arc::clone(kept)
        } else {
            *self.lengths.entry(prefix.len()).or_default() += 1;
            Arc::clone(prefix)
        };
        self.clients.entry(Arc::clone(&kept)).or_default().insert(client);
        kept
    }

    fn remove(&mut self, prefix: &[u8], client: ConnectionId) {
        let Some(clients) = self.clients.get_mut(prefix) else { return };
        clients.remove(&client);
        if !clients.is_empty() {
            return;
        }
        self.clients.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Which of them begin `key`, the shortest first.
    fn of(&self, key: &[u8]) -> impl Iterator<Item = (&[u8], &HashSet<ConnectionId>)> {
        self.lengths.range(..=key.len()).filter_map(|(length, _)| {
            self.clients
                .get_key_value(&key[..*length])
                .map(|(prefix, clients)| (&**prefix, clients))
        })
    }
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
            bytes: AtomicUsize::new(0),
            prefixes: RwLock::default(),
            prefix_count: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
            redirections: RwLock::default(),
            redirection_count: AtomicUsize::new(0),
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

    /// Who is told instead of a client from now on.
    pub fn redirect(&self, client: ConnectionId, redirection: Option<Redirection>) {
        let mut redirections = self.redirections.write().expect("counting cannot panic");
        match redirection {
            Some(redirection) => redirections.insert(client, redirection),
            None => redirections.remove(&client),
        };
        self.redirection_count.store(redirections.len(), Ordering::Relaxed);
    }

    /// Who is told instead of a client.
    pub fn redirection(&self, client: ConnectionId) -> Option<Redirection> {
        if self.redirection_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.redirections.read().expect("counting cannot panic").get(&client).copied()
    }

    /// All clients that have another one told.
    pub fn redirected(&self) -> Vec<ConnectionId> {
        if self.redirection_count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        self.redirections.read().expect("counting cannot panic").keys().copied().collect()
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

    /// Memory of what is remembered of keys and their readers.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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
            let bytes_before = readers_bytes(readers);
            if readers.insert(reader) {
                self.items.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(readers_bytes(readers) - bytes_before, Ordering::Relaxed);
            }
            return;
        }
        let readers = HashSet::from_iter([reader]);
        let (bytes, bytes_before) = (entry_bytes(key, &readers), map_bytes(&stripe));
        stripe.insert(key.into(), readers);
        self.bytes.fetch_add(bytes + map_bytes(&stripe) - bytes_before, Ordering::Relaxed);
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
        self.forgotten(key, &readers);
        Some(readers)
    }

    fn forgotten(&self, key: &[u8], readers: &HashSet<ConnectionId>) {
        self.bytes.fetch_sub(entry_bytes(key, readers), Ordering::Relaxed);
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
                self.forgotten(&key, &readers);
                return Some((key, readers));
            }
        }
        None
    }

    /// Forgets every key.
    pub fn clear(&self) {
        for index in 0..STRIPES {
            let emptied = std::mem::take(&mut *self.stripe(index));
            for (key, readers) in &emptied {
                self.forgotten(key, readers);
            }
            self.bytes.fetch_sub(map_bytes(&emptied), Ordering::Relaxed);
        }
    }

    /// A client is told of keys that begin with one of `prefixes`. They are its own afterwards only as far as no
    /// other client has asked for the same. O(prefixes).
    pub fn add_prefixes(&self, prefixes: &mut [Arc<[u8]>], client: ConnectionId) {
        let mut table = self.prefixes.write().expect("counting cannot panic");
        for prefix in prefixes {
            *prefix = table.add(prefix, client);
        }
        self.prefix_count.store(table.clients.len(), Ordering::Relaxed);
    }

    /// It is no longer. O(prefixes).
    pub fn remove_prefixes(&self, prefixes: &[Arc<[u8]>], client: ConnectionId) {
        let mut table = self.prefixes.write().expect("counting cannot panic");
        for prefix in prefixes {
            table.remove(prefix, client);
        }
        self.prefix_count.store(table.clients.len(), Ordering::Relaxed);
    }

    /// Calls `visit` with those of `keys` that begin in a way somebody is told of, and who is, in the order of
    /// the beginnings. O(keys * lengths of prefixes), however many prefixes there are.
    pub fn each_prefix(
        &self,
        keys: &[Box<[u8]>],
        mut visit: impl FnMut(Vec<Box<[u8]>>, &HashSet<ConnectionId>),
    ) {
        if self.prefix_count() == 0 {
            return;
        }
        let table = self.prefixes.read().expect("counting cannot panic");
        let mut begun = BTreeMap::<_, (Vec<Box<[u8]>>, _)>::new();
        for key in keys {
            for (prefix, clients) in table.of(key) {
                begun.entry(prefix).or_insert_with(|| (Vec::new(), clients)).0.push(key.clone());
            }
        }
        for (keys, clients) in begun.into_values() {
            visit(keys, clients);
        }
    }
}

/// Memory of a stripe's map, its entries apart.
fn map_bytes(stripe: &Readers) -> usize {
    size_of_allocation(stripe.allocation_size())
}

/// Memory of who has read a key.
fn readers_bytes(readers: &HashSet<ConnectionId>) -> usize {
    size_of_allocation(readers.allocation_size())
}

/// Memory of a key and who has read it.
fn entry_bytes(key: &[u8], readers: &HashSet<ConnectionId>) -> usize {
    size_of_allocation(key.len()) + readers_bytes(readers)
}

fn size_of_allocation(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { good_size(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_base::WorkerId;

    fn clients() -> [ConnectionId; 2] {
        let one = ConnectionId::NOBODY;
        let mut other = one;
        other.worker = WorkerId(1);
        [one, other]
    }

    fn table() -> TrackingTable {
        TrackingTable::new(KeyHasher::new(1))
    }

    fn told(table: &TrackingTable, keys: &[&[u8]]) -> Vec<(Vec<Box<[u8]>>, usize)> {
        let keys: Vec<Box<[u8]>> = keys.iter().map(|key| Box::from(*key)).collect();
        let mut told = Vec::new();
        table.each_prefix(&keys, |keys, clients| told.push((keys, clients.len())));
        told
    }

    #[test]
    fn memory_is_that_of_keys_readers_and_maps() {
        let (table, [one, other]) = (table(), clients());
        let recount = |table: &TrackingTable| {
            let stripes = (0..STRIPES).map(|index| table.stripe(index));
            let bytes = stripes.map(|stripe| {
                let entries = stripe.iter().map(|(key, readers)| entry_bytes(key, readers));
                map_bytes(&stripe) + entries.sum::<usize>()
            });
            bytes.sum::<usize>()
        };
        assert_eq!(table.memory_bytes(), 0);
        for number in 0..1000_u32 {
            let key = [b'k'; 100].map(|byte| byte ^ number.to_le_bytes()[0]);
            table.remember(&[&key[..], &number.to_le_bytes()].concat(), one);
            table.remember(&key, other);
        }
        assert!(table.memory_bytes() > 1000 * 104, "{}", table.memory_bytes());
        assert_eq!(table.memory_bytes(), recount(&table));
        while table.key_count() > 10 {
            table.forget_one(b"").unwrap();
        }
        assert!(table.forget(&[b'k'; 100]).is_none() || table.key_count() == 9);
        assert_eq!(table.memory_bytes(), recount(&table));
        table.clear();
        assert_eq!(table.memory_bytes(), 0);
    }

    #[test]
    fn clients_who_ask_for_the_same_share_its_text() {
        let (table, [one, other]) = (table(), clients());
        let mut first = [Arc::from(&b"user:"[..]), Arc::from(&b"order:"[..])];
        let mut second = [Arc::from(&b"user:"[..])];
        table.add_prefixes(&mut first, one);
        table.add_prefixes(&mut second, other);
        assert!(Arc::ptr_eq(&first[0], &second[0]));
        assert_eq!(table.prefix_count(), 2);
        table.remove_prefixes(&first, one);
        assert_eq!(table.prefix_count(), 1);
        table.remove_prefixes(&second, other);
        assert_eq!(told(&table, &[b"user:1", b"order:1"]), []);
        assert_eq!(table.prefix_count(), 0);
    }

    #[test]
    fn a_change_is_told_for_each_way_its_key_begins() {
        let (table, [one, other]) = (table(), clients());
        table.add_prefixes(&mut [Arc::from(&b"ab"[..]), Arc::from(&b"b"[..])], one);
        table.add_prefixes(&mut [Arc::from(&b"a"[..]), Arc::default()], other);
        table.add_prefixes(&mut [Arc::from(&b"ab"[..])], other);
        let key = |text: &[u8]| Box::<[u8]>::from(text);
        let expected = [
            (vec![key(b"b"), key(b"abc"), key(b"")], 1),
            (vec![key(b"abc")], 1),
            (vec![key(b"abc")], 2),
            (vec![key(b"b")], 1),
        ];
        assert_eq!(told(&table, &[b"b", b"abc", b""]), expected);
    }
}
