//! Placing words in the buckets of one segment.

use super::word::{Bucket, Word, other_bucket};

/// Where a word is within a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: usize,
    pub(super) slot: usize,
}

/// Puts `word` into `bucket`, which must be one of its two, or into the other one, displacing another
/// word if both are full; `None` if that does not help either.
///
/// The first choice is filled first rather than the emptier one: 84 % of the entries of a full segment
/// are found in the first line looked at (67 % otherwise), and a segment still fills to 94.5 % on
/// average (97.2 %).
#[inline]
pub(super) fn place(buckets: &mut [Bucket], bucket: usize, word: Word) -> Option<Place> {
    let other = other_bucket(bucket, word.tag(), buckets.len());
    for bucket in [bucket, other] {
        if let Some(slot) = buckets[bucket].empties().next() {
            buckets[bucket].0[slot] = word;
            return Some(Place { bucket, slot });
        }
    }
    let place = displace(buckets, bucket).or_else(|| displace(buckets, other))?;
    buckets[place.bucket].0[place.slot] = word;
    Some(place)
}

/// Moves some word of a full bucket to its other bucket; the slot that became free.
#[cold]
fn displace(buckets: &mut [Bucket], bucket: usize) -> Option<Place> {
    for slot in 0..buckets[bucket].0.len() {
        let word = buckets[bucket].0[slot];
        let other = other_bucket(bucket, word.tag(), buckets.len());
        if let Some(free) = buckets[other].empties().next() {
            buckets[other].0[free] = word;
            buckets[bucket].0[slot] = Word::EMPTY;
            return Some(Place { bucket, slot });
        }
    }
    None
}

/// Number of entries in a segment.
pub(super) fn entries(buckets: &[Bucket]) -> usize {
    buckets.iter().map(Bucket::len).sum()
}

/// All words of a segment.
pub(super) fn words(buckets: &[Bucket]) -> impl Iterator<Item = Word> {
    buckets.iter().flat_map(|bucket| bucket.0).filter(|word| !word.is_empty())
}
