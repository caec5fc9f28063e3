//! Fetching the keys a script declares into the processor's cache while the script is made ready.
//!
//! Finding a script, making Lua's tables of its arguments and entering Lua takes about as long as memory takes
//! to answer twice: for the bucket a key is in, and for the entry.

use crate::worker::Core;
use darter_base::DbIndex;
use darter_base::crc16::slot_of;
use darter_command_table::ShardView;
use darter_resp::Args;
use darter_shard::Shard;

/// Keys that are fetched at most: the processor does not wait for many more at a time.
const KEYS_MAX: usize = 8;

/// Keys under way, with their hashes.
pub(super) struct KeysAhead<'a> {
    keys: Args<'a>,
    hashes: [u64; KEYS_MAX],
    db: DbIndex,
}

impl<'a> KeysAhead<'a> {
    /// Fetches the buckets of `keys`, whose shards are part of `view`.
    pub(super) fn begin(core: &Core, view: &ShardView<'_>, keys: Args<'a>, db: DbIndex) -> Self {
        let keys = keys.head(keys.len().min(KEYS_MAX));
        let mut hashes = [0; KEYS_MAX];
        for (hash, key) in hashes.iter_mut().zip(keys.iter()) {
            *hash = core.shared.hasher.hash(key);
        }
        let ahead = Self { keys, hashes, db };
        ahead.each(view, Shard::prefetch);
        ahead
    }

    /// Fetches the entries as well.
    pub(super) fn go_on(&self, view: &ShardView<'_>) {
        self.each(view, Shard::prefetch_entry);
    }

    fn each(&self, view: &ShardView<'_>, fetch: impl Fn(&Shard, DbIndex, u64)) {
        for (key, hash) in self.keys.iter().zip(self.hashes) {
            fetch(view.look_at(|| slot_of(key)), self.db, hash);
        }
    }
}
