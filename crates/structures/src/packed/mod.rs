//! A list of small things in one allocation, owned through one word.
//!
//! ```text
//!  Packed ──► +-----------+-----------+-------+-------+-- - - --+-------+---------+
//!             | bytes, 4  | count, 4  | entry | entry |         | entry | unused  |
//!             +-----------+-----------+-------+-------+-- - - --+-------+---------+
//!                                     |<------------ bytes ------------>|
//! ```
//!
//! `bytes` is the length of all entries, `count` their number. There are two kinds. An [entry](entry) of a
//! [`PackedList`] says its length at both ends, so the list can be walked in both directions: two bytes of
//! overhead on a short string, one on a small number. It serves small lists and sorted sets (member and
//! score in turn) whole, and big lists in pieces. One of a [`ForwardList`] says its length in front only,
//! which saves a byte. It serves small hashes (field and value in turn) and sets, which nobody walks
//! backwards: a hash of five fields of 6 bytes with values of 16 is 128 bytes, a class below the 160 of the
//! other kind, and the search for a field has less to add up.
//!
//! **The allocation is always exactly the good size of header and entries.** So no capacity is stored,
//! equal contents cost the same whatever their history, and an insertion that stays within the size
//! class moves bytes and allocates nothing. Growing entry by entry reallocates four times per doubling.
//!
//! Every operation at a place moves what is behind it: the owner keeps a list as small as is worth that.
//! [`PackedList::BYTES_MAX`] bounds it in any case.
//!
//! Refused: a `Vec<u8>` (three words, and twice the memory while growing); an offset table (fast index,
//! but 2 to 4 bytes per entry, the size of many entries).
//!
//! Only this file's private part is unsafe: it hands out the entries as a slice, which everything else
//! reads with checks, and replaces one part of them by another.

#![allow(unsafe_code, reason = "a header in front of bytes of any number cannot be a Rust type")]
#![allow(clippy::cast_possible_truncation, reason = "bounded by BYTES_MAX")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::iter::FusedIterator;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;

use crate::defragmentation::Defragmentation;
use crate::size::good_size;

mod entry;
mod or;

pub use entry::Item;
pub use or::{PackedOr, PackedOrMut, PackedOrRef};

use entry::Encoded;

/// A list of bytes and integers in one allocation that can be walked in both directions.
pub type PackedList = Packed<true>;

/// A list of bytes and integers in one allocation that can be walked from its start only, a byte per entry
/// smaller.
pub type ForwardList = Packed<false>;

/// A list of bytes and integers in one allocation; as big as a pointer. See the [module](self).
///
/// A *place* is where an entry begins, or the end. It is valid until the list changes; using one later is
/// safe, but may panic or find another entry.
#[repr(transparent)]
pub struct Packed<const BACKWARDS: bool> {
    /// An allocation of [`block_bytes`]`(header.bytes)`, of which the header and as many bytes as it says
    /// are initialised.
    address: NonNull<u8>,
}

/// Where an entry of a [`Packed`] list begins, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u32);

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    /// Length of all entries.
    bytes: u32,
    /// Their number.
    count: u32,
}

const HEADER_BYTES: usize = size_of::<Header>();

// SAFETY: a list owns its allocation exclusively, as a Box does, and it holds nothing but bytes.
unsafe impl<const BACKWARDS: bool> Send for Packed<BACKWARDS> {}
// SAFETY: a shared list gives out only shared references to its bytes.
unsafe impl<const BACKWARDS: bool> Sync for Packed<BACKWARDS> {}

impl<const BACKWARDS: bool> Packed<BACKWARDS> {
    /// Most bytes the entries of a list may take together: far above what is worth packing, far below
    /// what the header can count.
    pub const BYTES_MAX: usize = 1 << 30;

    /// An empty list, in an allocation of 16 bytes.
    pub fn new() -> Self {
        let address = allocate(0);
        // SAFETY: freshly allocated, with room for a header.
        unsafe { write_header(address, Header { bytes: 0, count: 0 }) };
        Self { address }
    }

    /// Adds an entry at the end.
    ///
    /// # Panics
    /// If there is no [room](Self::has_room) for it; likewise for all that adds.
    #[inline]
    pub fn push_back(&mut self, item: Item<'_>) {
        self.insert(self.end(), item);
    }

    /// Adds two entries at the end, the first one first, for the cost of one.
    #[inline]
    pub fn push_back_pair(&mut self, first: Item<'_>, second: Item<'_>) {
        let first = Encoded::<BACKWARDS>::of(first);
        let second = Encoded::<BACKWARDS>::of(second);
        let ([head, content, tail], next) = (first.parts(), second.parts());
        let parts = [head, content, tail, next[0], next[1], next[2]];
        self.splice(self.end(), 0, &parts, self.header().count + 2);
    }

    /// Adds an entry in front.
    #[inline]
    pub fn push_front(&mut self, item: Item<'_>) {
        self.insert(self.start(), item);
    }

    /// Adds an entry before the one at `place`, or at the end. It is at `place` then.
    #[inline]
    pub fn insert(&mut self, place: Place, item: Item<'_>) {
        let encoded = Encoded::<BACKWARDS>::of(item);
        self.splice(place, 0, &encoded.parts(), self.header().count + 1);
    }

    /// Exchanges the entry at `place`, which stays where it is.
    pub fn replace(&mut self, place: Place, item: Item<'_>) {
        let encoded = Encoded::<BACKWARDS>::of(item);
        let old_bytes = self.bytes_at(place);
        self.splice(place, old_bytes, &encoded.parts(), self.header().count);
    }

    /// Removes the entry at `place`, where the next one is then.
    pub fn remove(&mut self, place: Place) {
        let bytes = self.bytes_at(place);
        self.splice(place, bytes, &[], self.header().count - 1);
    }

    /// Removes up to `count` entries from `place` on; how many there were.
    pub fn remove_range(&mut self, place: Place, count: usize) -> usize {
        let mut removed = 0;
        let mut end = place;
        while removed < count && end < self.end() {
            end = self.next(end);
            removed += 1;
        }
        let bytes = (end.0 - place.0) as usize;
        self.splice(place, bytes, &[], self.header().count - removed as u32);
        removed
    }

    /// Cuts off the entries from `place` on.
    #[must_use]
    pub fn split_off(&mut self, place: Place) -> Self {
        let mut tail = Self::new();
        let moved = self.iter_from(place).count() as u32;
        tail.splice(tail.start(), 0, &[&self.entries()[place.index()..]], moved);
        let bytes = self.used_bytes() - place.index();
        self.splice(place, bytes, &[], self.header().count - moved);
        tail
    }

    /// Adds the entries of `other` at the end.
    pub fn append(&mut self, other: &Self) {
        let count = self.header().count + other.header().count;
        self.splice(self.end(), 0, &[other.entries()], count);
    }

    /// Removes every entry.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Number of entries.
    #[inline]
    pub fn len(&self) -> usize {
        self.header().count as usize
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.header().count == 0
    }

    /// Bytes all entries take.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.header().bytes as usize
    }

    /// Bytes the entry of `item` takes, or would take.
    #[inline]
    pub fn item_bytes(item: Item<'_>) -> usize {
        entry::encoded_bytes::<BACKWARDS>(item)
    }

    /// Whether `bytes` more fit.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        bytes <= Self::BYTES_MAX - self.used_bytes()
    }

    /// Bytes of heap, in good sizes. O(1).
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        block_bytes(self.used_bytes())
    }

    /// The first entry's place; the end if there is none.
    #[inline]
    pub const fn start(&self) -> Place {
        Place(0)
    }

    /// The place after the last entry.
    #[inline]
    pub fn end(&self) -> Place {
        Place(self.header().bytes)
    }

    /// The place after the entry at `place`.
    ///
    /// # Panics
    /// If that is the end already.
    #[inline]
    pub fn next(&self, place: Place) -> Place {
        Place(place.0 + self.bytes_at(place) as u32)
    }

    /// The place of the entry with this index, sought from the nearer end if there is a choice. O(n).
    pub fn seek(&self, index: usize) -> Option<Place> {
        let len = self.len();
        if index >= len {
            return None;
        }
        if BACKWARDS && index > len / 2 {
            let mut at = self.entries().len();
            for _ in index..len {
                at -= entry::entry_bytes_before(&self.entries()[..at]);
            }
            return Some(Place(at as u32));
        }
        let mut place = self.start();
        for _ in 0..index {
            place = self.next(place);
        }
        Some(place)
    }

    /// The entry at `place`.
    ///
    /// # Panics
    /// If that is the end.
    #[inline]
    pub fn get(&self, place: Place) -> Item<'_> {
        entry::decode(&self.entries()[place.index()..])
    }

    /// The place of the first entry equal to `item` among every `step`-th one, the first included: 2 finds
    /// among fields but not values. O(n).
    ///
    /// # Panics
    /// If `step` is 0, or the number of entries is no multiple of it.
    #[inline]
    pub fn find(&self, item: Item<'_>, step: usize) -> Option<Place> {
        let encoded = Encoded::<BACKWARDS>::of(item);
        let [head, content, _] = encoded.parts();
        let entries = self.entries();
        let mut at = 0;
        while at < entries.len() {
            let entry = &entries[at..];
            // The head has the length, so entries that agree in head and content are equal.
            if entry[0] == head[0]
                && entry.starts_with(head)
                && entry[head.len()..].starts_with(content)
            {
                return Some(Place(at as u32));
            }
            for _ in 0..step {
                at += entry::entry_bytes::<BACKWARDS>(&entries[at..]);
            }
        }
        None
    }

    /// The entries, in order.
    #[inline]
    pub fn iter(&self) -> Iter<'_, BACKWARDS> {
        Iter { entries: self.entries(), left: self.len() }
    }

    /// The entries from `place` on.
    pub fn iter_from(&self, place: Place) -> impl Iterator<Item = Item<'_>> + Clone {
        let mut entries = &self.entries()[place.index()..];
        std::iter::from_fn(move || {
            if entries.is_empty() {
                return None;
            }
            let item = entry::decode(entries);
            entries = &entries[entry::entry_bytes::<BACKWARDS>(entries)..];
            Some(item)
        })
    }

    /// The bytes of all entries.
    #[inline]
    fn entries(&self) -> &[u8] {
        let bytes = self.used_bytes();
        // SAFETY: within the allocation, or one past its end.
        let from = unsafe { self.address.add(HEADER_BYTES) };
        // SAFETY: this many bytes are initialised, and borrowed with `self`.
        unsafe { slice::from_raw_parts(from.as_ptr(), bytes) }
    }

    /// Panics if the list contradicts itself. O(n).
    pub fn check_invariants(&self) {
        assert!(self.used_bytes() <= Self::BYTES_MAX);
        let mut places = vec![self.start()];
        while let Some(&place) = places.last()
            && place < self.end()
        {
            assert_eq!(Self::item_bytes(self.get(place)), self.bytes_at(place));
            places.push(self.next(place));
        }
        assert_eq!(places.last(), Some(&self.end()), "the entries end where the header says");
        assert_eq!(places.len() - 1, self.len());
        if BACKWARDS {
            for (place, end) in places.iter().zip(&places[1..]) {
                let entry = &self.entries()[..end.index()];
                assert_eq!(entry::entry_bytes_before(entry), end.index() - place.index());
            }
        }
    }

    #[inline]
    fn bytes_at(&self, place: Place) -> usize {
        entry::entry_bytes::<BACKWARDS>(&self.entries()[place.index()..])
    }

    #[inline]
    fn header(&self) -> Header {
        // SAFETY: every list begins with its header, and is aligned for it.
        unsafe { self.address.cast::<Header>().read() }
    }

    /// Puts `parts`, one after the other, in place of the `removed` bytes at `place`. There are `count`
    /// entries then. The only way a list changes.
    #[inline]
    fn splice(&mut self, place: Place, removed: usize, parts: &[&[u8]], count: u32) {
        let old_bytes = self.used_bytes();
        let at = place.index();
        let rest = old_bytes
            .checked_sub(at)
            .and_then(|behind| behind.checked_sub(removed))
            .expect("a place and its entry are within the list");
        let added = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let kept = at + rest;
        assert!(added <= Self::BYTES_MAX - kept, "a packed list grew too big");
        let header = Header { bytes: (kept + added) as u32, count };
        let (old_block, new_block) = (block_bytes(old_bytes), block_bytes(kept + added));
        let address = if old_block == new_block { self.address } else { allocate(kept + added) };
        // SAFETY: both within or at the end of the old allocation.
        let old_rest = unsafe { self.address.add(HEADER_BYTES + at + removed) };
        // SAFETY: within or at the end of the allocation for `kept + added` bytes.
        let new_rest = unsafe { address.add(HEADER_BYTES + at + added) };
        if old_block == new_block {
            if removed != added {
                // SAFETY: `rest` bytes from either address are within the allocation; they may overlap.
                unsafe { ptr::copy(old_rest.as_ptr(), new_rest.as_ptr(), rest) };
            }
        } else {
            // SAFETY: header and `at` bytes are within both allocations, which are different.
            unsafe {
                ptr::copy_nonoverlapping(
                    self.address.as_ptr(),
                    address.as_ptr(),
                    HEADER_BYTES + at,
                );
            }
            // SAFETY: likewise `rest` bytes at these addresses.
            unsafe { ptr::copy_nonoverlapping(old_rest.as_ptr(), new_rest.as_ptr(), rest) };
            // SAFETY: allocated with this size, and replaced by `address` at once.
            unsafe { release(self.address, old_block) };
            self.address = address;
        }
        // SAFETY: within the allocation, as `new_rest` is behind it.
        let mut to = unsafe { address.add(HEADER_BYTES + at) };
        for part in parts {
            // SAFETY: `parts` have `added` bytes together, which are free from here to `new_rest`, and
            // are borrowed from elsewhere, since `self` is borrowed for writing.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to.as_ptr(), part.len()) };
            // SAFETY: at most `new_rest`.
            to = unsafe { to.add(part.len()) };
        }
        // SAFETY: every allocation has room for a header.
        unsafe { write_header(address, header) };
    }
}

impl PackedList {
    /// The place of the entry before `place`; `None` at the start.
    #[inline]
    pub fn previous(&self, place: Place) -> Option<Place> {
        if place.0 == 0 {
            return None;
        }
        let bytes = entry::entry_bytes_before(&self.entries()[..place.index()]);
        Some(Place(place.0 - bytes as u32))
    }

    /// The place of the last entry.
    #[inline]
    pub fn last(&self) -> Option<Place> {
        self.previous(self.end())
    }
}

impl Place {
    #[inline]
    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<const BACKWARDS: bool> Default for Packed<BACKWARDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BACKWARDS: bool> Drop for Packed<BACKWARDS> {
    fn drop(&mut self) {
        // SAFETY: allocated with this size, and this is the end of the list.
        unsafe { release(self.address, block_bytes(self.used_bytes())) };
    }
}

impl<const BACKWARDS: bool> Clone for Packed<BACKWARDS> {
    fn clone(&self) -> Self {
        let mut clone = Self::new();
        clone.append(self);
        clone
    }
}

impl<const BACKWARDS: bool> PartialEq for Packed<BACKWARDS> {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

impl<const BACKWARDS: bool> Eq for Packed<BACKWARDS> {}

impl<const BACKWARDS: bool> fmt::Debug for Packed<BACKWARDS> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, const BACKWARDS: bool> FromIterator<Item<'a>> for Packed<BACKWARDS> {
    fn from_iter<I: IntoIterator<Item = Item<'a>>>(items: I) -> Self {
        let mut list = Self::new();
        items.into_iter().for_each(|item| list.push_back(item));
        list
    }
}

impl<'a, const BACKWARDS: bool> IntoIterator for &'a Packed<BACKWARDS> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a, BACKWARDS>;

    fn into_iter(self) -> Iter<'a, BACKWARDS> {
        self.iter()
    }
}

/// The entries of a [`Packed`] list, from its start, or from either end of a [`PackedList`].
#[derive(Clone, Debug)]
pub struct Iter<'a, const BACKWARDS: bool> {
    /// Those not yet visited.
    entries: &'a [u8],
    /// Their number.
    left: usize,
}

impl<'a, const BACKWARDS: bool> Iterator for Iter<'a, BACKWARDS> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let item = entry::decode(self.entries);
        self.entries = &self.entries[entry::entry_bytes::<BACKWARDS>(self.entries)..];
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_, true> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let from = self.entries.len() - entry::entry_bytes_before(self.entries);
        let item = entry::decode(&self.entries[from..]);
        self.entries = &self.entries[..from];
        Some(item)
    }
}

impl<const BACKWARDS: bool> ExactSizeIterator for Iter<'_, BACKWARDS> {}
impl<const BACKWARDS: bool> FusedIterator for Iter<'_, BACKWARDS> {}

/// Size of the allocation for entries of `bytes` bytes.
#[inline]
const fn block_bytes(bytes: usize) -> usize {
    let bytes = HEADER_BYTES + bytes;
    good_size(if bytes < 2 * HEADER_BYTES { 2 * HEADER_BYTES } else { bytes })
}

#[inline]
const fn layout(block_bytes: usize) -> Layout {
    match Layout::from_size_align(block_bytes, align_of::<u64>()) {
        Ok(layout) => layout,
        Err(_) => panic!("a packed list is far smaller than the address space"),
    }
}

/// Memory for entries of `bytes` bytes, uninitialised.
fn allocate(bytes: usize) -> NonNull<u8> {
    let layout = layout(block_bytes(bytes));
    // SAFETY: the layout is longer than a header.
    let address = unsafe { alloc(layout) };
    let Some(address) = NonNull::new(address) else { handle_alloc_error(layout) };
    address
}

/// # Safety
/// `address` was allocated with this size and is not used again.
unsafe fn release(address: NonNull<u8>, block_bytes: usize) {
    // SAFETY: by the caller.
    unsafe { dealloc(address.as_ptr(), layout(block_bytes)) }
}

/// # Safety
/// `address` points to the beginning of a list's allocation.
#[inline]
unsafe fn write_header(address: NonNull<u8>, header: Header) {
    // SAFETY: by the caller; allocations are aligned for it.
    unsafe { address.cast::<Header>().write(header) }
}

impl<const BACKWARDS: bool> Packed<BACKWARDS> {
    /// Moves the list if `defragmentation` wants it moved.
    pub fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        let used = HEADER_BYTES + self.used_bytes();
        if !defragmentation.wants(self.address.as_ptr(), used) {
            return;
        }
        let to = allocate(self.used_bytes());
        // SAFETY: header and entries are initialised here, and there is as much room in another allocation.
        unsafe { ptr::copy_nonoverlapping(self.address.as_ptr(), to.as_ptr(), used) };
        let from = std::mem::replace(&mut self.address, to);
        // SAFETY: allocated for a list of this size, and nobody has the address any more.
        unsafe { release(from, block_bytes(self.used_bytes())) };
    }

    /// Gives up ownership for an address, a multiple of 8.
    fn into_address(self) -> NonNull<u8> {
        ManuallyDrop::new(self).address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise;

    #[test]
    fn a_list_costs_what_its_content_needs() {
        let mut list = PackedList::new();
        assert_eq!(list.heap_bytes(), 16);
        let before = list.heap_bytes();
        list.push_back(Item::Integer(5));
        list.push_back(Item::Bytes(b"four"));
        assert_eq!((list.used_bytes(), list.heap_bytes()), (8, before));
        list.push_back(Item::Integer(1));
        assert_eq!(list.heap_bytes(), 32);
        list.remove(list.start());
        assert_eq!(list.heap_bytes(), 16);
        assert_eq!(size_of::<Option<PackedList>>(), 8);
    }

    #[test]
    fn finding_skips_what_is_in_between() {
        let list: PackedList =
            [Item::Bytes(b"a"), Item::Bytes(b"b"), Item::Bytes(b"b"), Item::Integer(7)]
                .into_iter()
                .collect();
        let index = |place: Place| list.iter().len() - list.iter_from(place).count();
        assert_eq!(list.find(Item::Bytes(b"b"), 1).map(index), Some(1));
        assert_eq!(list.find(Item::Bytes(b"b"), 2).map(index), Some(2));
        assert_eq!(list.find(Item::Integer(7), 1).map(index), Some(3));
        assert_eq!(list.find(Item::Integer(7), 2), None);
        assert_eq!(list.find(Item::Bytes(b"7"), 1), None, "the owner makes integers of texts");
        assert_eq!(list.find(Item::Bytes(b""), 1), None);
    }

    #[test]
    fn a_list_for_one_direction_saves_a_byte_per_entry() {
        let texts = [[b'f'; 6].as_slice(), &[b'v'; 16]];
        let items = || texts.iter().cycle().take(10).map(|text| Item::Bytes(text));
        let (both, forwards): (PackedList, ForwardList) = (items().collect(), items().collect());
        assert_eq!((both.used_bytes(), both.heap_bytes()), (130, 160));
        assert_eq!((forwards.used_bytes(), forwards.heap_bytes()), (120, 128));
        assert!(both.iter().eq(&forwards));
    }

    #[test]
    fn random_operations_match_the_model() {
        exercise::for_seeds(300, 2_000, exercise::packed);
    }

    #[test]
    #[should_panic(expected = "grew too big")]
    fn growth_is_bounded() {
        let half = vec![0; PackedList::BYTES_MAX / 2 + 1];
        let mut list = PackedList::new();
        list.push_back(Item::Bytes(&half));
        assert!(!list.has_room(half.len()));
        list.push_back(Item::Bytes(&half));
    }
}
