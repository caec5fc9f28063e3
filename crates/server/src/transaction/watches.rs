//! The keys a client watches, and giving the watches back.
//!
//! A watch is an entry in the key's shard ([`darter_shard::Keyspace::watch`]) that has to be taken out
//! again. EXEC does so while it holds the shards. Everybody else gives watches back to the shards that
//! are free, and leaves the rest with its worker, which tries again every tick: nobody waits for that,
//! and a watch that is not given back yet costs no more than one that is in use.

use crate::mail::ShardPost;
use crate::session::Session;
use crate::worker::Core;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{LeftWatch, ShardView};
use darter_shard::{Key, LatestVersion, Shard, Version};
use hashbrown::HashTable;

/// A key that was watched.
#[derive(Debug)]
pub struct WatchedKey {
    shard: ShardId,
    db: DbIndex,
    key: Box<[u8]>,
    hash: u64,
    /// What the key was then.
    version: Version,
    /// What it is at any moment. None for a watch that is only to be given back.
    latest: Option<LatestVersion>,
}

impl WatchedKey {
    const fn key(&self) -> Key<'_> {
        Key { bytes: &self.key, hash: self.hash }
    }

    /// Whether the key is still what it was.
    fn is_same(&self, shard: &mut Shard, now: UnixMillis) -> bool {
        shard.keyspace(self.db, now).version(&self.key()) == Some(self.version)
    }

    /// Takes the watch out.
    fn forget(&self, shard: &mut Shard, now: UnixMillis) {
        shard.keyspace(self.db, now).unwatch(&self.key());
    }
}

/// The keys a client watches, each once. No memory while there are none.
#[derive(Debug, Default)]
pub struct Watches {
    keys: HashTable<WatchedKey>,
    key_bytes: usize,
}

impl Watches {
    /// How many keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is watched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        self.keys.allocation_size() + self.key_bytes
    }

    /// Watches one more key, in the shard that owns it.
    pub fn watch(&mut self, shard: &mut Shard, db: DbIndex, key: &Key<'_>, now: UnixMillis) {
        let is_known = |known: &WatchedKey| known.db == db && &*known.key == key.bytes;
        if self.keys.find(key.hash, is_known).is_some() {
            return;
        }
        let id = shard.id();
        let mut keyspace = shard.keyspace(db, now);
        let version = keyspace.watch(key);
        let latest = keyspace.latest_version(key);
        let watched =
            WatchedKey { shard: id, db, key: key.bytes.into(), hash: key.hash, version, latest };
        self.key_bytes += key.bytes.len();
        self.keys.insert_unique(key.hash, watched, |watched| watched.hash);
    }

    /// Whether one of the keys is known to have changed, so that EXEC will run nothing. A deadline that has
    /// passed shows when it is noticed.
    pub fn are_touched(&self) -> bool {
        let is_touched = |watched: &WatchedKey| {
            watched.latest.as_ref().is_some_and(|latest| latest.read() != watched.version)
        };
        self.keys.iter().any(is_touched)
    }

    /// The shards of the keys.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.keys.iter().map(|watched| watched.shard)
    }

    /// Takes every watch out of its shard; whether all keys are still what they were.
    pub fn give_back(self, view: &mut ShardView<'_>, now: UnixMillis) -> bool {
        let mut are_same = true;
        for watched in self.keys {
            let shard = view.shard(watched.shard);
            are_same = are_same && watched.is_same(shard, now);
            watched.forget(shard, now);
        }
        are_same
    }
}

impl Core {
    /// Takes the keys from a client that it watches.
    pub fn end_watching(&self, session: &mut Session) -> Watches {
        let watches = std::mem::take(&mut session.facts.watches);
        if !watches.is_empty() {
            self.statistics().watching_clients.remove(1);
        }
        watches
    }

    /// Forgets what a client has queued and watches.
    pub fn discard(&self, session: &mut Session, now: UnixMillis) {
        self.end_transaction(session);
        self.unwatch(session, now);
    }

    /// Lets a client watch nothing any more.
    pub fn unwatch(&self, session: &mut Session, now: UnixMillis) {
        let watches = self.end_watching(session);
        if watches.is_empty() {
            return;
        }
        let mut given_back = self.given_back.borrow_mut();
        for watched in watches.keys {
            given_back.entry(watched.shard).or_default().push(watched);
        }
        drop(given_back);
        self.give_watches_back(now);
    }

    /// Takes out the watch of a command that ended early.
    pub fn leave_watch(&self, left: LeftWatch, now: UnixMillis) {
        let LeftWatch { shard, db, key, version } = left;
        let hash = self.shared.hasher.hash(&key);
        let watched = WatchedKey { shard, db, key, hash, version, latest: None };
        self.given_back.borrow_mut().entry(shard).or_default().push(watched);
        self.give_watches_back(now);
    }

    /// Takes those watches out of the shards that are free for which nobody cares any more.
    pub fn give_watches_back(&self, now: UnixMillis) {
        if self.given_back.borrow().is_empty() {
            return;
        }
        let cells = &self.shared.cells;
        self.given_back.borrow_mut().retain(|shard, watches| {
            let Some(mut held) = cells.cell(*shard).try_take() else { return true };
            for watched in watches {
                watched.forget(&mut held.shard, now);
            }
            cells.put_back(held, &ShardPost(&self.post));
            false
        });
    }
}
