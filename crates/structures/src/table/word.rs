//! The slot word, and how a hash is divided up.
//!
//! ```text
//!  slot word   63        50 49                     6 5    0
//!             +------------+------------------------+------+
//!             | tag, 14    | address / 16, 44       | marks|
//!             +------------+------------------------+------+
//!  hash        63              38 37  34 33     28 27  14 13        0
//!             +------------------+------+---------+------+-----------+
//!             | directory, 26    |      | bucket, 6      | tag, 14   |
//!             +------------------+------+---------+------+-----------+
//! ```
//!
//! The three parts of the hash are disjoint, so the entries of one segment differ in bucket and tag
//! as much as any entries do. A tag is never 0, so an empty slot, which is all zeroes, matches none.

#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::cast_possible_truncation, reason = "fields cut from wider numbers")]

use std::ptr::NonNull;

/// Entries per bucket: as many words as a cache line has.
pub(super) const BUCKET_SLOTS: usize = 8;

/// Bits of the hash the directory can use; no deeper.
pub(super) const DEPTH_MAX: u32 = 26;

const TAG_BITS: u32 = 14;
const TAG_SHIFT: u32 = 64 - TAG_BITS;
const BUCKET_SHIFT: u32 = 28;
const ADDRESS_MASK: u64 = ((1 << 48) - 1) & !15;
/// An address is kept shifted by this, its four zero bits under the marks.
const ADDRESS_SHIFT: u32 = 2;
const MARKS_MASK: u64 = 0x3f;

/// The 14 bits of a hash that a slot keeps, `1..2^14`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u64);

impl Tag {
    /// What an empty slot has in place of a tag.
    const EMPTY: Self = Self(0);

    #[inline]
    pub(super) fn of(hash: u64) -> Self {
        Self((hash & ((1 << TAG_BITS) - 1)).max(1))
    }
}

/// The first choice of bucket among `buckets` (a power of two, at most 64).
#[inline]
pub(super) fn first_bucket(hash: u64, buckets: usize) -> usize {
    (hash >> BUCKET_SHIFT) as usize & (buckets - 1)
}

/// The other choice of bucket; its own inverse, because a displaced entry finds back by it. Differs
/// from `bucket` unless there is only one.
#[inline]
pub(super) fn other_bucket(bucket: usize, tag: Tag, buckets: usize) -> usize {
    bucket ^ ((tag.0 as usize | 1) & (buckets - 1))
}

/// The bucket an entry is counted in by a scan, the same wherever it is displaced to.
#[inline]
pub(super) fn canonical_bucket(bucket: usize, tag: Tag, buckets: usize) -> usize {
    bucket.min(other_bucket(bucket, tag, buckets))
}

/// Six bits the table keeps beside an entry.
///
/// Some belong to the entry, which says what they mean ([`Entry::MARKS`](super::Entry::MARKS)): a block's are
/// whether it has a deadline and whether it is a collection, a member's are its length. The others mean what
/// the owner of the table wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// Both bits of the access counter, `0..=3`.
    pub const FREQUENCY: Self = Self(0b11);
    /// The entry is on probation (eviction).
    pub const PROBATION: Self = Self(1 << 2);
    /// The entry has a deadline.
    pub const DEADLINE: Self = Self(1 << 3);
    /// Which side of the snapshot cut the entry is on.
    pub const PARITY: Self = Self(1 << 4);
    /// The entry is a collection.
    pub const COLLECTION: Self = Self(1 << 5);

    /// All six bits.
    pub const ALL: Self = Self(MARKS_MASK as u8);

    /// The lowest six bits of a number.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// As a number below 64.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Both marks.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These marks but `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The marks in both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The access counter, `0..=3`.
    pub const fn frequency(self) -> u8 {
        self.0 & Self::FREQUENCY.0
    }

    /// With the access counter one higher, if it is not at its end.
    pub const fn touched(self) -> Self {
        if self.frequency() == Self::FREQUENCY.0 { self } else { Self(self.0 + 1) }
    }
}

/// One slot of a bucket: an entry, or all zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(u64);

impl Word {
    pub(super) const EMPTY: Self = Self(0);

    /// # Panics
    /// If the address is not a multiple of 16 below 2^48.
    #[inline]
    pub(super) fn new(tag: Tag, address: NonNull<u8>, marks: Marks) -> Self {
        let address = address.expose_provenance().get() as u64;
        assert!(address & !ADDRESS_MASK == 0, "an entry at an address a slot cannot hold");
        Self(tag.0 << TAG_SHIFT | address << ADDRESS_SHIFT | u64::from(marks.0))
    }

    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) const fn tag(self) -> Tag {
        Tag(self.0 >> TAG_SHIFT)
    }

    /// The address of the entry.
    ///
    /// # Panics
    /// If the slot is empty.
    #[inline]
    pub(super) fn address(self) -> NonNull<u8> {
        let address = (self.0 >> ADDRESS_SHIFT) & ADDRESS_MASK;
        let pointer = std::ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(pointer).expect("an empty slot was taken for an entry")
    }

    #[inline]
    pub(super) const fn marks(self) -> Marks {
        Marks((self.0 & MARKS_MASK) as u8)
    }

    #[inline]
    pub(super) const fn with_marks(self, marks: Marks) -> Self {
        Self(self.0 & !MARKS_MASK | marks.0 as u64)
    }
}

/// One cache line of slots.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket(pub(super) [Word; BUCKET_SLOTS]);

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is exactly one cache line");

impl Bucket {
    /// The slots whose tag is `tag`, as a bit set.
    #[inline]
    pub(super) fn matches(&self, tag: Tag) -> SlotSet {
        SlotSet(slots_tagged(&self.0, tag))
    }

    /// The empty slots, as a bit set.
    #[inline]
    pub(super) fn empties(&self) -> SlotSet {
        SlotSet(slots_tagged(&self.0, Tag::EMPTY))
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        BUCKET_SLOTS - self.empties().len()
    }
}

/// The slots with this tag, as a bit set.
#[cfg(target_arch = "x86_64")]
#[inline]
fn slots_tagged(words: &[Word; BUCKET_SLOTS], tag: Tag) -> u8 {
    // SAFETY: every x86_64 has SSE2.
    unsafe { slots_tagged_sse2(words, tag) }
}

/// Compares all eight words at once by their upper halves: 14 instructions instead of 40, which is 5 ns
/// of a lookup.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn slots_tagged_sse2(words: &[Word; BUCKET_SLOTS], tag: Tag) -> u8 {
    use std::arch::x86_64::{
        _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16,
        _mm_packs_epi32, _mm_set_epi64x, _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_ps,
        _mm_srli_epi32,
    };
    // The compiler makes one load of the two words.
    let pair = |at: usize| _mm_set_epi64x(words[at + 1].0.cast_signed(), words[at].0.cast_signed());
    let tags = |at: usize| {
        let (low, high) = (_mm_castsi128_ps(pair(at)), _mm_castsi128_ps(pair(at + 2)));
        let upper_halves = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high));
        _mm_srli_epi32::<{ 32 - TAG_BITS.cast_signed() }>(upper_halves)
    };
    let wanted = _mm_set1_epi32(tag.0 as i32);
    let equal = |at: usize| _mm_cmpeq_epi32(tags(at), wanted);
    let halves = _mm_packs_epi32(equal(0), equal(4));
    let bytes = _mm_packs_epi16(halves, _mm_setzero_si128());
    _mm_movemask_epi8(bytes).cast_unsigned() as u8
}

/// The slots with this tag, as a bit set.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn slots_tagged(words: &[Word; BUCKET_SLOTS], tag: Tag) -> u8 {
    let mut set = 0;
    for (slot, word) in words.iter().enumerate() {
        set |= u8::from(word.tag() == tag) << slot;
    }
    set
}

/// A set of slots of one bucket; iterates from the lowest.
#[derive(Debug)]
pub(super) struct SlotSet(u8);

impl SlotSet {
    pub(super) const fn len(&self) -> usize {
        self.0.count_ones() as usize
    }
}

impl Iterator for SlotSet {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}
