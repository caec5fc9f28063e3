//! Elements of lists and values of hashes: short ones packed among others, long ones for themselves.

use darter_structures::Item;

use crate::integer::IntegerText;
use crate::large::LargeString;
use crate::packing::bytes_of;

/// An element, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// Bytes or an integer.
    Packed(Item<'a>),
    /// Bytes in a buffer of their own, which a reply can share.
    Large(&'a LargeString),
}

impl<'a> Element<'a> {
    /// Whether it is the bytes that `item` was made of.
    pub fn equals(self, item: Item<'_>) -> bool {
        match self {
            Self::Packed(own) => own == item,
            Self::Large(string) => matches!(item, Item::Bytes(bytes) if bytes == string.as_bytes()),
        }
    }

    /// Its bytes, an integer printed into `text`.
    pub fn bytes<'b>(self, text: &'b mut IntegerText) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Packed(item) => bytes_of(item, text),
            Self::Large(string) => string.as_bytes(),
        }
    }

    /// Appends its bytes to `to`.
    pub fn copy_into(self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.bytes(&mut IntegerText::new()));
    }
}
