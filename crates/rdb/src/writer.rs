//! Writing the format's elements to the end of a vector.

use darter_value::Item;
use darter_value::integer::{IntegerText, from_canonical_text};

use crate::compress::Compressor;

/// The end of a vector that values are written to, and what compresses their strings.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    compressor: &'a mut Compressor,
    /// What files have between the type of the value and its content.
    key: Option<&'a [u8]>,
}

impl<'a> Output<'a> {
    pub(crate) const fn new(bytes: &'a mut Vec<u8>, compressor: &'a mut Compressor) -> Self {
        Self { bytes, compressor, key: None }
    }

    /// For a value in a file.
    pub(crate) const fn with_key(
        bytes: &'a mut Vec<u8>,
        compressor: &'a mut Compressor,
        key: &'a [u8],
    ) -> Self {
        Self { bytes, compressor, key: Some(key) }
    }

    /// Begins a value with its type.
    pub(crate) fn push_type(&mut self, kind: u8) {
        self.bytes.push(kind);
        if let Some(key) = self.key.take() {
            self.push_string(key);
        }
    }

    /// The vector, for what is never compressed.
    pub(crate) const fn bytes(&mut self) -> &mut Vec<u8> {
        self.bytes
    }

    /// A string, as an integer where it is one of up to 32 bits.
    pub(crate) fn push_string(&mut self, text: &[u8]) {
        match from_canonical_text(text) {
            Some(integer) => push_integer(self.bytes, integer),
            None => self.push_raw_string(text),
        }
    }

    /// An element of a collection, as a string.
    pub(crate) fn push_item(&mut self, item: Item<'_>) {
        match item {
            Item::Bytes(bytes) => self.push_string(bytes),
            Item::Integer(integer) => push_integer(self.bytes, integer),
        }
    }

    /// A string that is no integer.
    pub(crate) fn push_raw_string(&mut self, text: &[u8]) {
        let Some(packed) = self.compressor.compressed(text) else {
            return push_raw_string(self.bytes, text);
        };
        self.bytes.push(COMPRESSED);
        push_count(self.bytes, packed.len());
        push_count(self.bytes, text.len());
        self.bytes.extend_from_slice(packed);
    }
}

/// What a compressed string begins with.
const COMPRESSED: u8 = 0xc3;

/// A number in the form of a length.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=0x3f => out.push(number.to_le_bytes()[0]),
        0x40..=0x3fff => {
            let [high, low] = [number.to_le_bytes()[1], number.to_le_bytes()[0]];
            out.extend([0x40 | high, low]);
        }
        _ => {
            if let Ok(number) = u32::try_from(number) {
                out.push(0x80);
                out.extend(number.to_be_bytes());
            } else {
                out.push(0x81);
                out.extend(number.to_be_bytes());
            }
        }
    }
}

/// A count in the form of a length.
pub(crate) fn push_count(out: &mut Vec<u8>, count: usize) {
    push_number(out, count as u64);
}

/// A string, as an integer where it is one of up to 32 bits.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    match from_canonical_text(text) {
        Some(integer) => push_integer(out, integer),
        None => push_raw_string(out, text),
    }
}

/// The text of an integer, as an integer if it has up to 32 bits.
fn push_integer(out: &mut Vec<u8>, integer: i64) {
    let bytes = integer.to_le_bytes();
    let (special, len) = if i8::try_from(integer).is_ok() {
        (0xc0, 1)
    } else if i16::try_from(integer).is_ok() {
        (0xc1, 2)
    } else if i32::try_from(integer).is_ok() {
        (0xc2, 4)
    } else {
        return push_raw_string(out, IntegerText::new().format(integer).as_bytes());
    };
    out.push(special);
    out.extend_from_slice(&bytes[..len]);
}

/// A string as it is.
pub(crate) fn push_raw_string(out: &mut Vec<u8>, text: &[u8]) {
    push_count(out, text.len());
    out.extend_from_slice(text);
}
