//! One member of a set or sorted set, in a single heap allocation without a header.
//!
//! ```text
//!  marks of the slot     allocation
//! +-----------+         +---------+---------+----------- - - - --+
//! | 0..=62    |  ─────► | score,  |         | that many bytes     |
//! +-----------+         | 8, if   |         +----------- - - - --+
//! | 63        |  ─────► | scored  | length, | bytes               |
//! +-----------+         +---------+ 4       +----------- - - - --+
//! ```
//!
//! The length of a member of up to 62 bytes is kept in the six marks of the slot word that points to
//! it, which a set has no other use for. So a 16-byte member of a set is exactly an allocation of 16 bytes; with
//! a length byte of its own it would need one of 32, that is 44 bytes a member with its slot, not 28.
//!
//! A reference of its own, [`MemberWord`], keeps address and length together in eight bytes for the leaves
//! of the [ordered tree](crate::ranked).

#![allow(unsafe_code, reason = "an allocation without a header cannot be a Rust type")]
#![allow(clippy::cast_possible_truncation, reason = "lengths that were checked to fit")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::slice;

use crate::allocation::{BLOCK_ALIGN, allocate, copy_in, release, relocate};
use crate::block::BLOCK_PART_BYTES_MAX;
use crate::defragmentation::Defragmentation;
use crate::size::good_size;
use crate::table::{Entry, EntryView, Marks};

/// Marks that say that the length is in the allocation.
const LENGTH_INSIDE: u8 = 63;
const LENGTH_BYTES: usize = 4;
const SCORE_BYTES: usize = 8;

/// An owned member; with a score if `SCORED`.
pub struct Member<const SCORED: bool> {
    /// As in [`MemberRef`], and owned.
    address: NonNull<u8>,
    marks: Marks,
}

/// A member, borrowed for reading.
#[derive(Clone, Copy)]
pub struct MemberRef<'a, const SCORED: bool> {
    /// Points to an allocation made by [`Member::allocate`] for a member whose marks are `marks`; all that
    /// its drawing shows is initialised, and valid for `'a`.
    address: NonNull<u8>,
    marks: Marks,
    borrows: PhantomData<&'a [u8]>,
}

/// A member's address and marks in one word, for structures that point to members they do not own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberWord(u64);

// SAFETY: a member owns its allocation exclusively, as a Box of bytes does.
unsafe impl<const SCORED: bool> Send for Member<SCORED> {}
// SAFETY: a shared member is only read, as a shared Box of bytes is.
unsafe impl<const SCORED: bool> Sync for Member<SCORED> {}

impl Member<false> {
    /// A member of a set.
    ///
    /// # Panics
    /// If it is longer than [`BLOCK_PART_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Self {
        Self::allocate(bytes)
    }
}

impl Member<true> {
    /// A member of a sorted set.
    ///
    /// # Panics
    /// If it is longer than [`BLOCK_PART_BYTES_MAX`].
    pub fn scored(bytes: &[u8], score: f64) -> Self {
        let mut member = Self::allocate(bytes);
        member.set_score(score);
        member
    }

    /// Changes the score.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        // SAFETY: a scored member begins with its score, in a block aligned to BLOCK_ALIGN.
        unsafe { self.address.cast::<f64>().write(score) };
    }
}

impl<const SCORED: bool> Member<SCORED> {
    /// The member, for reading.
    #[inline]
    pub fn view(&self) -> MemberRef<'_, SCORED> {
        MemberRef { address: self.address, marks: self.marks, borrows: PhantomData }
    }

    /// A member of these bytes; its score, if it has one, is zero.
    fn allocate(bytes: &[u8]) -> Self {
        assert!(bytes.len() <= BLOCK_PART_BYTES_MAX, "a member of {} bytes", bytes.len());
        let marks = Marks::from_bits(bytes.len().min(usize::from(LENGTH_INSIDE)) as u8);
        let at = bytes_at(SCORED, marks);
        let address = allocate(block_bytes(at, bytes.len()));
        if marks.bits() == LENGTH_INSIDE {
            let length = (bytes.len() as u32).to_le_bytes();
            // SAFETY: the length is just before the bytes, and the block has room for both.
            unsafe { copy_in(address, at - LENGTH_BYTES, &length) };
        }
        // SAFETY: the block was allocated with this room for the bytes.
        unsafe { copy_in(address, at, bytes) };
        // `allocate` wrote zeroes where the score is.
        Self { address, marks }
    }
}

impl<const SCORED: bool> Drop for Member<SCORED> {
    fn drop(&mut self) {
        let block_bytes = self.view().good_bytes();
        // SAFETY: allocated with the same arguments, and this is the end of the member.
        unsafe { release(self.address, block_bytes) };
    }
}

impl<const SCORED: bool> fmt::Debug for Member<SCORED> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(formatter)
    }
}

impl MemberRef<'_, true> {
    /// The score.
    #[inline]
    pub fn score(self) -> f64 {
        // SAFETY: a scored member begins with its score, in a block aligned to BLOCK_ALIGN.
        unsafe { self.address.cast::<f64>().read() }
    }

    /// The word for this member.
    pub(crate) fn word(self) -> MemberWord {
        let address = self.address.expose_provenance().get() as u64;
        // The address is a multiple of 16 below 2^48: `Table` checks that for all its entries.
        MemberWord(address << 2 | u64::from(self.marks.bits()))
    }

    /// The member a word stands for.
    ///
    /// # Safety
    /// The word was made from a member that nobody drops for `'a`.
    #[inline]
    pub(crate) unsafe fn from_word(word: MemberWord) -> Self {
        let address = (word.0 >> 2) as usize & !(BLOCK_ALIGN - 1);
        let pointer = std::ptr::with_exposed_provenance_mut(address);
        let address = NonNull::new(pointer).expect("a word is made from a member's address");
        Self { address, marks: Marks::from_bits(word.0 as u8), borrows: PhantomData }
    }
}

impl<'a, const SCORED: bool> MemberRef<'a, SCORED> {
    /// The member's bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the bytes begin there, within the block or, if there are none, at most at its end.
        let from = unsafe { self.address.add(bytes_at(SCORED, self.marks)) };
        // SAFETY: that many bytes were written there by `Member::allocate`, and are borrowed for 'a.
        unsafe { slice::from_raw_parts(from.as_ptr(), self.len()) }
    }

    /// What the allocator set aside for the member.
    #[inline]
    fn good_bytes(self) -> usize {
        block_bytes(bytes_at(SCORED, self.marks), self.len())
    }

    #[inline]
    fn len(self) -> usize {
        let marks = self.marks.bits();
        if marks != LENGTH_INSIDE {
            return usize::from(marks);
        }
        // SAFETY: these marks say that the length is just before the bytes.
        let from = unsafe { self.address.add(bytes_at(SCORED, self.marks) - LENGTH_BYTES) };
        // SAFETY: likewise; these four bytes were written by `Member::allocate`.
        u32::from_le_bytes(unsafe { from.cast::<[u8; LENGTH_BYTES]>().read() }) as usize
    }
}

impl<const SCORED: bool> fmt::Debug for MemberRef<'_, SCORED> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Member({})", self.bytes().escape_ascii())
    }
}

impl<'a, const SCORED: bool> EntryView<'a> for MemberRef<'a, SCORED> {
    #[inline]
    fn key(self) -> &'a [u8] {
        MemberRef::bytes(self)
    }

    #[inline]
    fn bytes(self) -> usize {
        self.good_bytes()
    }
}

// SAFETY: `allocate` checks that addresses are multiples of 16; the conversions are inverse, all marks being
// the member's own; nothing changes the bytes of a member.
unsafe impl<const SCORED: bool> Entry for Member<SCORED> {
    type View<'a> = MemberRef<'a, SCORED>;

    const MARKS: Marks = Marks::ALL;

    #[inline]
    fn into_parts(self) -> (NonNull<u8>, Marks) {
        let member = ManuallyDrop::new(self);
        (member.address, member.marks)
    }

    #[inline]
    unsafe fn from_parts(address: NonNull<u8>, marks: Marks) -> Self {
        Self { address, marks }
    }

    /// Scored members stay where they are: a tree points to them.
    unsafe fn defragment(
        address: NonNull<u8>,
        marks: Marks,
        defragmentation: &mut Defragmentation,
    ) -> Option<NonNull<u8>> {
        let bytes = MemberRef::<SCORED> { address, marks, borrows: PhantomData }.good_bytes();
        if SCORED || !defragmentation.wants(address.as_ptr(), bytes) {
            return None;
        }
        // SAFETY: allocated for this size, and the caller forgets the old place.
        Some(unsafe { relocate(address, bytes) })
    }

    #[inline]
    unsafe fn view<'a>(address: NonNull<u8>, marks: Marks) -> MemberRef<'a, SCORED> {
        MemberRef { address, marks, borrows: PhantomData }
    }
}

/// Where the bytes of a member begin.
#[inline]
const fn bytes_at(scored: bool, marks: Marks) -> usize {
    let score_bytes = if scored { SCORE_BYTES } else { 0 };
    score_bytes + if marks.bits() == LENGTH_INSIDE { LENGTH_BYTES } else { 0 }
}

/// The size of the allocation of `len` bytes behind `at` others.
#[inline]
const fn block_bytes(at: usize, len: usize) -> usize {
    let bytes = at + len;
    good_size(if bytes < BLOCK_ALIGN { BLOCK_ALIGN } else { bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hasher::KeyHasher;
    use crate::table::Table;

    #[test]
    fn members_of_every_length_come_back_the_same() {
        for len in (0..200).chain([1000, 100_000]) {
            let bytes = vec![b'm'; len];
            let plain = Member::new(&bytes);
            assert_eq!(plain.view().bytes(), bytes);
            let mut scored = Member::scored(&bytes, 1.5);
            assert_eq!((scored.view().bytes(), scored.view().score()), (&bytes[..], 1.5));
            scored.set_score(-0.25);
            assert_eq!((scored.view().bytes(), scored.view().score()), (&bytes[..], -0.25));
            // SAFETY: the member lives until the end of the block.
            let by_word = unsafe { MemberRef::from_word(scored.view().word()) };
            assert_eq!((by_word.bytes(), by_word.score()), (&bytes[..], -0.25));
        }
    }

    #[test]
    fn random_operations_match_the_model() {
        crate::exercise::for_seeds(40, 40_000, crate::exercise::members);
    }

    #[test]
    fn scored_members_are_not_moved() {
        let mut table = Table::new(KeyHasher::new(1));
        table.insert(table.hasher().hash(b"m"), Member::scored(b"m", 1.0), Marks::NONE);
        let mut defragmentation = Defragmentation::of_everything(1);
        table.defragment_some(100, &mut defragmentation);
        assert_eq!((defragmentation.moved, defragmentation.kept), (0, 0));
    }

    #[test]
    fn a_16_byte_member_is_16_bytes() {
        assert_eq!(EntryView::bytes(Member::new(&[0; 16]).view()), 16);
        assert_eq!(EntryView::bytes(Member::scored(&[0; 16], 0.0).view()), 32);
        assert_eq!(EntryView::bytes(Member::new(&[0; 62]).view()), 64);
        assert_eq!(EntryView::bytes(Member::new(&[0; 63]).view()), 80);
    }

    #[test]
    fn a_table_keeps_members_of_every_length() {
        let hasher = KeyHasher::new(1);
        let mut table = Table::new(hasher.clone());
        for len in 0..300 {
            let bytes = vec![b'm'; len];
            table.insert(hasher.hash(&bytes), Member::new(&bytes), Marks::NONE);
        }
        table.check_invariants();
        for len in 0..300 {
            let bytes = vec![b'm'; len];
            let position = table.find(hasher.hash(&bytes), &bytes).expect("just inserted");
            assert_eq!(table.remove(position).view().bytes(), bytes);
        }
        assert!(table.is_empty());
        assert_eq!(table.next_deadline_ms(), None);
    }
}
