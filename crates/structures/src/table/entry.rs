//! What a table can hold.

use std::ptr::NonNull;

use super::word::Marks;
use crate::deadline::Deadline;
use crate::defragmentation::Defragmentation;

/// An owned pointer that a [`Table`](super::Table) can keep in a slot word, together with some of the
/// word's six marks.
///
/// # Safety
/// `into_parts` returns an address that is a multiple of 16 and below 2^48, and marks among
/// [`MARKS`](Self::MARKS). It gives up the entry without dropping it, and `from_parts` gets it back from
/// the same parts. The key of an entry in a table never changes.
pub unsafe trait Entry: Sized {
    /// The entry, borrowed for reading.
    type View<'a>: EntryView<'a>
    where
        Self: 'a;

    /// The marks that belong to the entry; the others are for the owner of the table to set.
    const MARKS: Marks;

    /// Gives up ownership for an address and marks.
    fn into_parts(self) -> (NonNull<u8>, Marks);

    /// Takes ownership back. Of `marks` only the entry's own count.
    ///
    /// # Safety
    /// The parts came from `into_parts`, and ownership has not been taken back since.
    unsafe fn from_parts(address: NonNull<u8>, marks: Marks) -> Self;

    /// Sets the 24 bits that the entry keeps for the owner of the table, if it does.
    ///
    /// # Safety
    /// The address came from `into_parts`, ownership has not been taken back since, and nobody borrows
    /// the entry.
    #[inline]
    unsafe fn set_stamp(address: NonNull<u8>, stamp: u32) {
        let _ = (address, stamp);
    }

    /// Moves what of the entry `defragmentation` wants moved; where the entry is now, if it moved itself. Nothing its view
    /// tells changes.
    ///
    /// # Safety
    /// The parts came from `into_parts`, ownership has not been taken back since, and nobody borrows the entry. If an
    /// address is returned, the entry's parts are that and `marks` from then on.
    unsafe fn defragment(
        address: NonNull<u8>,
        marks: Marks,
        defragmentation: &mut Defragmentation,
    ) -> Option<NonNull<u8>>;

    /// Borrows the entry these parts stand for. Of `marks` only the entry's own count.
    ///
    /// # Safety
    /// The parts came from `into_parts`, and for `'a` nobody takes ownership back.
    unsafe fn view<'a>(address: NonNull<u8>, marks: Marks) -> Self::View<'a>
    where
        Self: 'a;
}

/// What a table needs to know about an entry.
pub trait EntryView<'a>: Copy {
    /// What it is found by.
    fn key(self) -> &'a [u8];

    /// When it expires.
    fn deadline(self) -> Option<Deadline> {
        None
    }

    /// When the expiry hand has to look at it: for its own deadline, or that of something inside it. The
    /// table keeps lower bounds of these, it never expires anything by itself. An entry that can have one
    /// has [`Marks::DEADLINE`] among its own marks, set if it does.
    fn due(self) -> Option<Deadline> {
        self.deadline()
    }

    /// Whether something inside it has a deadline.
    fn holds_deadlines(self) -> bool {
        false
    }

    /// Bytes of heap it owns, in good sizes. O(1).
    fn bytes(self) -> usize;
}
