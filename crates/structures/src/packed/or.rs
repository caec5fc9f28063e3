//! A packed list or something bigger, owned through one word.

#![allow(unsafe_code, reason = "tells two owned pointers apart by a bit")]

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::Packed;

/// The two forms of most collections in one word: a [`Packed`] list while they are small, a boxed `B` of
/// the owner's from then on.
///
/// ```text
///  lowest bit 0: address of a packed list     lowest bit 1: address of a B, plus one
/// ```
pub struct PackedOr<B, const BACKWARDS: bool = true> {
    /// The address, with the bit. Both kinds of allocation are aligned to 8.
    address: NonNull<u8>,
    owns: PhantomData<Box<B>>,
}

/// What a [`PackedOr`] is, borrowed for reading.
#[derive(Debug)]
pub enum PackedOrRef<'a, B, const BACKWARDS: bool = true> {
    /// Small.
    Packed(&'a Packed<BACKWARDS>),
    /// Big.
    Big(&'a B),
}

/// What a [`PackedOr`] is, borrowed for writing.
#[derive(Debug)]
pub enum PackedOrMut<'a, B, const BACKWARDS: bool = true> {
    /// Small.
    Packed(&'a mut Packed<BACKWARDS>),
    /// Big.
    Big(&'a mut B),
}

const BIG: usize = 1;

// SAFETY: owns either content exclusively, as a Box does.
unsafe impl<B: Send, const BACKWARDS: bool> Send for PackedOr<B, BACKWARDS> {}
// SAFETY: gives out only shared references when shared, as a Box does.
unsafe impl<B: Sync, const BACKWARDS: bool> Sync for PackedOr<B, BACKWARDS> {}

impl<B, const BACKWARDS: bool> PackedOr<B, BACKWARDS> {
    const ALIGNED: () = assert!(align_of::<B>() > BIG, "the lowest bit of a B's address is free");

    /// The small form.
    pub fn packed(list: Packed<BACKWARDS>) -> Self {
        Self { address: list.into_address(), owns: PhantomData }
    }

    /// The big form.
    pub fn big(big: Box<B>) -> Self {
        let () = Self::ALIGNED;
        let address = NonNull::from(Box::leak(big)).cast::<u8>();
        Self { address: address.map_addr(|bits| bits | BIG), owns: PhantomData }
    }

    /// Whether it is the small form.
    #[inline]
    pub fn is_packed(&self) -> bool {
        self.address.addr().get() & BIG == 0
    }

    /// The content, for reading.
    #[inline]
    pub fn as_ref(&self) -> PackedOrRef<'_, B, BACKWARDS> {
        if self.is_packed() {
            // SAFETY: a list is nothing but its address, and without the bit this word is one.
            PackedOrRef::Packed(unsafe {
                NonNull::from(&self.address).cast::<Packed<BACKWARDS>>().as_ref()
            })
        } else {
            // SAFETY: with the bit the word is from a Box that is owned here, and borrowed with `self`.
            PackedOrRef::Big(unsafe { self.big_address().as_ref() })
        }
    }

    /// The content, for writing.
    #[inline]
    pub fn as_mut(&mut self) -> PackedOrMut<'_, B, BACKWARDS> {
        if self.is_packed() {
            let list = NonNull::from(&mut self.address).cast::<Packed<BACKWARDS>>();
            // SAFETY: as in `as_ref`; whatever list is left there has the lowest bit clear as well.
            PackedOrMut::Packed(unsafe { { list }.as_mut() })
        } else {
            // SAFETY: as in `as_ref`, borrowed for writing.
            PackedOrMut::Big(unsafe { self.big_address().as_mut() })
        }
    }

    fn big_address(&self) -> NonNull<B> {
        let untag = |bits: NonZeroUsize| {
            NonZeroUsize::new(bits.get() & !BIG).expect("an address is more than its lowest bit")
        };
        self.address.map_addr(untag).cast()
    }
}

impl<B, const BACKWARDS: bool> Drop for PackedOr<B, BACKWARDS> {
    fn drop(&mut self) {
        if self.is_packed() {
            let address = self.address;
            // SAFETY: from a list whose ownership was given up to this word, which ends here.
            drop(Packed::<BACKWARDS> { address });
        } else {
            // SAFETY: from a Box, and this is the end of its owner.
            drop(unsafe { Box::from_raw(self.big_address().as_ptr()) });
        }
    }
}

impl<B: Clone, const BACKWARDS: bool> Clone for PackedOr<B, BACKWARDS> {
    fn clone(&self) -> Self {
        match self.as_ref() {
            PackedOrRef::Packed(list) => Self::packed(list.clone()),
            PackedOrRef::Big(big) => Self::big(Box::new(big.clone())),
        }
    }
}

impl<B, const BACKWARDS: bool> Default for PackedOr<B, BACKWARDS> {
    /// An empty packed list.
    fn default() -> Self {
        Self::packed(Packed::new())
    }
}

impl<B: fmt::Debug, const BACKWARDS: bool> fmt::Debug for PackedOr<B, BACKWARDS> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(formatter)
    }
}

impl<B, const BACKWARDS: bool> PackedOr<B, BACKWARDS> {
    /// The big form's content, if it is that.
    pub fn into_big(self) -> Option<Box<B>> {
        if self.is_packed() {
            return None;
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: from a Box, whose owner is never used or dropped again.
        Some(unsafe { Box::from_raw(this.big_address().as_ptr()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::Item;
    use std::rc::Rc;

    #[test]
    fn both_forms_are_one_word_and_drop_what_they_own() {
        assert_eq!(size_of::<Option<PackedOr<u64>>>(), 8);
        let probe = Rc::new(());
        let mut small_or_big: PackedOr<Rc<()>> = PackedOr::default();
        for item in 0..100 {
            let PackedOrMut::Packed(list) = small_or_big.as_mut() else { panic!("is small") };
            list.push_back(Item::Integer(item));
        }
        let copy = small_or_big.clone();
        small_or_big = PackedOr::big(Box::new(Rc::clone(&probe)));
        let PackedOrRef::Big(_) = small_or_big.as_ref() else { panic!("is big") };
        let other = small_or_big.clone();
        assert_eq!(Rc::strong_count(&probe), 3);
        drop(small_or_big);
        assert!(other.into_big().is_some());
        assert_eq!(Rc::strong_count(&probe), 1);
        let PackedOrRef::Packed(list) = copy.as_ref() else { panic!("is small") };
        assert_eq!(list.len(), 100);
        assert!(copy.into_big().is_none());
    }
}
