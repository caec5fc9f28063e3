//! Keys that are gone, remembered by two bytes each, for about as many evictions as there is room.
//!
//! A bucket of eight fingerprints for keys whose hashes agree in their upper bits: the newest comes first, and
//! the oldest falls out. So nothing is linked, counted or swept, and what is remembered is the last eight
//! of each bucket rather than the last of all, which on average is the same. One lookup in 8000 finds what
//! is not there: somebody is let off probation.

use darter_structures::good_size;

const BUCKET_LEN: usize = 8;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Ghost {
    /// 0 is nobody's fingerprint.
    buckets: Vec<[u16; BUCKET_LEN]>,
}

impl Ghost {
    /// Room for about `keys`.
    pub(super) fn with_room(keys: usize) -> Self {
        Self { buckets: vec![[0; BUCKET_LEN]; keys.div_ceil(BUCKET_LEN)] }
    }

    /// Remembers a key.
    pub(super) fn remember(&mut self, hash: u64) {
        if let Some(bucket) = self.bucket(hash) {
            bucket.rotate_right(1);
            bucket[0] = fingerprint(hash);
        }
    }

    /// Forgets a key; whether it was remembered.
    pub(super) fn forget(&mut self, hash: u64) -> bool {
        let fingerprint = fingerprint(hash);
        let Some(bucket) = self.bucket(hash) else { return false };
        let Some(at) = bucket.iter().position(|one| *one == fingerprint) else { return false };
        bucket[at..].rotate_left(1);
        bucket[BUCKET_LEN - 1] = 0;
        true
    }

    /// Bytes of heap, in good sizes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self.buckets.capacity() {
            0 => 0,
            capacity => good_size(capacity * size_of::<[u16; BUCKET_LEN]>()),
        }
    }

    fn bucket(&mut self, hash: u64) -> Option<&mut [u16; BUCKET_LEN]> {
        let index = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        self.buckets.get_mut(usize::try_from(index).ok()?)
    }
}

/// From the bits that do not choose the bucket.
fn fingerprint(hash: u64) -> u16 {
    let bits = u16::try_from(hash & 0xffff).expect("16 bits");
    bits.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn about_as_many_are_remembered_as_there_is_room_for() {
        let mut random = Random::new(1);
        let hashes: Vec<u64> = (0..40_000).map(|_| random.next()).collect();
        let mut ghost = Ghost::with_room(10_000);
        for hash in &hashes {
            ghost.remember(*hash);
        }
        let mut remembered =
            |range: &[u64]| range.iter().filter(|hash| ghost.forget(**hash)).count();
        // Each but the last few of a bucket have fallen out.
        assert!(remembered(&hashes[..20_000]) < 200);
        assert!(remembered(&hashes[37_000..]) > 2900);
        // They are forgotten only once.
        assert!(remembered(&hashes[37_000..]) < 10);
        assert_eq!(ghost.heap_bytes(), good_size(20_000));
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        let mut ghost = Ghost::default();
        ghost.remember(7);
        assert!(!ghost.forget(7));
        assert_eq!(ghost.heap_bytes(), 0);
    }
}
