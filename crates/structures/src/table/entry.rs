//! What a table can hold.

use std::ptr::NonNull;

use crate::deadline::Deadline;

/// An owned pointer that a [`Table`](super::Table) can keep in a slot word.
///
/// # Safety
/// `into_address` returns an address that is a multiple of 16 and below 2^48. It gives up the entry
/// without dropping it, and `from_address` gets it back. The key of an entry in a table never changes.
pub unsafe trait Entry: Sized {
    /// The entry, borrowed for reading.
    type View<'a>: EntryView<'a>
    where
        Self: 'a;

    /// Gives up ownership for an address.
    fn into_address(self) -> NonNull<u8>;

    /// Takes ownership back.
    ///
    /// # Safety
    /// `address` came from `into_address`, and ownership has not been taken back since.
    unsafe fn from_address(address: NonNull<u8>) -> Self;

    /// Borrows the entry at an address.
    ///
    /// # Safety
    /// `address` came from `into_address`, and for `'a` nobody takes ownership back.
    unsafe fn view<'a>(address: NonNull<u8>) -> Self::View<'a>
    where
        Self: 'a;
}

/// What a table needs to know about an entry.
pub trait EntryView<'a>: Copy {
    /// What it is found by.
    fn key(self) -> &'a [u8];

    /// When it expires. The table keeps lower bounds of these, it never expires anything by itself.
    fn deadline(self) -> Option<Deadline> {
        None
    }

    /// Whether to mark its slot as a collection's.
    fn is_collection(self) -> bool {
        false
    }

    /// Bytes of heap it owns, in good sizes. O(1).
    fn bytes(self) -> usize;
}
