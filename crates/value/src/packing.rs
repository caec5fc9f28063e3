//! Between texts and the entries of packed lists.

use darter_structures::Item;

use crate::integer::{IntegerText, from_canonical_text};

/// The entry for `bytes`: an integer if it is the text of one. Equal bytes make equal entries, so that
/// packed lists can be searched for them.
#[inline]
pub fn item_of(bytes: &[u8]) -> Item<'_> {
    match from_canonical_text(bytes) {
        Some(integer) => Item::Integer(integer),
        None => Item::Bytes(bytes),
    }
}

/// The bytes an entry was made of, an integer printed into `text`.
#[inline]
pub fn bytes_of<'b>(item: Item<'b>, text: &'b mut IntegerText) -> &'b [u8] {
    match item {
        Item::Bytes(bytes) => bytes,
        Item::Integer(integer) => text.format(integer).as_bytes(),
    }
}

/// How many bytes an entry was made of.
#[inline]
pub fn text_len(item: Item<'_>) -> usize {
    bytes_of(item, &mut IntegerText::new()).len()
}
