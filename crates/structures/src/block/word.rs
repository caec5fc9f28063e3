//! A word that is a value of one of several types.
//!
//! A block keeps what is too big for it behind one pointer. Which type that pointer belongs to is in the block's
//! flags, so that the pointer itself can stand in the block, with nothing in between.

#![allow(unsafe_code, reason = "a value of any type is kept as its bytes")]

use std::any::TypeId;
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};

/// Bytes of a word.
pub(super) const WORD_BYTES: usize = size_of::<usize>();

/// Types one family of words can have: as many as the flags can tell apart.
pub(super) const KINDS_MAX: usize = 8;

/// Room for a word; a pointer, so that what it points to may be reached through it.
type Bits = MaybeUninit<*mut u8>;

/// One of the types that the words of a [`BlockValue`](super::BlockValue) have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(TypeId);

impl Kind {
    /// The type `T`, which must be as big as a pointer.
    pub const fn of<T: Send + Sync + 'static>() -> Self {
        const {
            assert!(size_of::<T>() == WORD_BYTES && align_of::<T>() <= WORD_BYTES, "a word");
        }
        Self(TypeId::of::<T>())
    }
}

/// A value on its way into a block or out of it. It is leaked if it is dropped.
#[must_use]
pub struct Word {
    place: u8,
    kind: Kind,
    /// A value of `kind`.
    bits: Bits,
}

impl Word {
    /// `value`, whose type is at this place among the kinds of its family.
    #[inline]
    pub fn new<T: Send + Sync + 'static>(place: u8, value: T) -> Self {
        let kind = Kind::of::<T>();
        let value = ManuallyDrop::new(value);
        // SAFETY: both are one word, as `Kind::of` has checked.
        let bits = unsafe { (&raw const value).cast::<Bits>().read_unaligned() };
        Self { place, kind, bits }
    }

    /// Its place among the kinds of its family.
    #[inline]
    pub const fn place(&self) -> u8 {
        self.place
    }

    /// The value again.
    ///
    /// # Panics
    /// If it is of another type.
    #[inline]
    pub fn into_value<T: Send + Sync + 'static>(self) -> T {
        assert!(self.kind == Kind::of::<T>(), "a word of another type");
        // SAFETY: the bits are a value of this type, which nobody else owns.
        unsafe { (&raw const self.bits).cast::<T>().read() }
    }

    /// The word itself, of a family.
    ///
    /// # Panics
    /// If the family has another type at this place.
    #[inline]
    pub(super) fn into_bits(self, kinds: &[Kind]) -> Bits {
        assert!(kinds[usize::from(self.place)] == self.kind, "a word of another family");
        self.bits
    }

    /// What [`into_bits`](Self::into_bits) has returned.
    ///
    /// # Safety
    /// It is of this family and place, and is not used again.
    #[inline]
    pub(super) unsafe fn from_bits(bits: Bits, place: u8, kinds: &[Kind]) -> Self {
        Self { place, kind: kinds[usize::from(place)], bits }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Word").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A word in a block, borrowed for reading.
#[derive(Clone, Copy, Debug)]
pub struct WordRef<'a> {
    place: u8,
    kind: Kind,
    bits: &'a Bits,
}

impl<'a> WordRef<'a> {
    /// # Safety
    /// The bits are of this family and place.
    #[inline]
    pub(super) unsafe fn new(bits: &'a Bits, place: u8, kinds: &[Kind]) -> Self {
        Self { place, kind: kinds[usize::from(place)], bits }
    }

    /// Its place among the kinds of its family.
    #[inline]
    pub const fn place(self) -> u8 {
        self.place
    }

    /// The value.
    ///
    /// # Panics
    /// If it is of another type.
    #[inline]
    pub fn get<T: Send + Sync + 'static>(self) -> &'a T {
        assert!(self.kind == Kind::of::<T>(), "a word of another type");
        // SAFETY: the bits are a value of this type, which needs no more alignment than they have, and borrowed for 'a.
        unsafe { &*self.bits.as_ptr().cast::<T>() }
    }
}

/// A word in a block, borrowed for writing.
#[derive(Debug)]
pub struct WordMut<'a> {
    place: u8,
    kind: Kind,
    bits: &'a mut Bits,
}

impl<'a> WordMut<'a> {
    /// # Safety
    /// The bits are of this family and place.
    #[inline]
    pub(super) unsafe fn new(bits: &'a mut Bits, place: u8, kinds: &[Kind]) -> Self {
        Self { place, kind: kinds[usize::from(place)], bits }
    }

    /// Its place among the kinds of its family.
    #[inline]
    pub const fn place(&self) -> u8 {
        self.place
    }

    /// The value.
    ///
    /// # Panics
    /// If it is of another type.
    #[inline]
    pub fn get<T: Send + Sync + 'static>(self) -> &'a mut T {
        assert!(self.kind == Kind::of::<T>(), "a word of another type");
        // SAFETY: as for `WordRef`, and borrowed by nobody else.
        unsafe { &mut *self.bits.as_mut_ptr().cast::<T>() }
    }
}
