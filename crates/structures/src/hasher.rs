//! The hash of keys.

use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_inline};

/// A keyed hash from bytes to 64 bits, the same for all tables of a process.
///
/// All eight words of secret are derived from the seed, so without the seed nobody can choose keys
/// that collide; give each process a random one. Clones share the secrets and cost a reference
/// count. Not a cryptographic hash, and not stable between versions: never store its output.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    secrets: Arc<RapidSecrets>,
    /// Bits of the hash to use, to make tests of collisions.
    #[cfg(any(test, feature = "fuzzing"))]
    mask: u64,
}

impl KeyHasher {
    /// The hasher of `seed`. Equal seeds give equal hashes.
    pub fn new(seed: u64) -> Self {
        Self {
            secrets: Arc::new(RapidSecrets::seed(seed)),
            #[cfg(any(test, feature = "fuzzing"))]
            mask: u64::MAX,
        }
    }

    /// A bad hasher, with all bits outside `mask` zero.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn masked(seed: u64, mask: u64) -> Self {
        Self { mask, ..Self::new(seed) }
    }

    /// The hash of `bytes`; every bit of it depends on every bit of them.
    ///
    /// The variant with two more xors per step, which resists chosen keys better, at about 1 ns: 16 bytes take
    /// 2 to 4 ns like this, 2 ns without, 2 to 3 ns with foldhash's better variant (November 2026, one
    /// Zen 4 core under load). All disappear behind the cache misses of a lookup.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let hash = rapidhash_v3_inline::<true, false, true>(bytes, &self.secrets);
        #[cfg(any(test, feature = "fuzzing"))]
        let hash = hash & self.mask;
        hash
    }
}
