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
}

impl KeyHasher {
    /// The hasher of `seed`. Equal seeds give equal hashes.
    pub fn new(seed: u64) -> Self {
        Self { secrets: Arc::new(RapidSecrets::seed(seed)) }
    }

    /// The hash of `bytes`; every bit of it depends on every bit of them.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        rapidhash_v3_inline::<true, false, true>(bytes, &self.secrets)
    }
}
