//! What a shard counts.

/// Counters of one shard since its creation or the last reset; INFO adds them up over the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Reads that found their key (`keyspace_hits`).
    pub hits: u64,
    /// Reads that did not (`keyspace_misses`).
    pub misses: u64,
    /// Keys deleted because their deadline passed (`expired_keys`).
    pub expired: u64,
    /// Fields of hashes removed because their deadline passed (`expired_fields`).
    pub expired_fields: u64,
    /// Values freed in the background (`lazyfreed_objects`).
    pub freed_later: u64,
    /// Keys deleted to make room (`evicted_keys`).
    pub evicted: u64,
}
