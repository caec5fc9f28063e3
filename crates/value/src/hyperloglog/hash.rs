//! Which register an element belongs to, and what it shows there.

use super::{INDEX_BITS, REGISTERS};

/// Seed of Redis's HyperLogLog.
const SEED: u64 = 0xadc8_3b19;
/// Bits of the hash that are looked at for a run of zeroes.
const RUN_BITS: u32 = u64::BITS - INDEX_BITS;

/// The register of `element`, and one more than the zeroes its hash has there: 1 to 51.
pub(super) fn register_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur_64a(element);
    #[expect(clippy::cast_possible_truncation, reason = "masked to 14 bits")]
    let index = hash as usize & (REGISTERS - 1);
    let run = (hash >> INDEX_BITS | 1 << RUN_BITS).trailing_zeros();
    (index, u8::try_from(run + 1).expect("at most 51"))
}

/// MurmurHash64A by Austin Appleby, in little-endian order on every machine.
fn murmur_64a(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mix = |word: u64| {
        let word = word.wrapping_mul(MULTIPLIER);
        (word ^ word >> SHIFT).wrapping_mul(MULTIPLIER)
    };
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        hash = (hash ^ mix(word)).wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}
