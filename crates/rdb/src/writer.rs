//! Writing the format's elements to the end of a vector.

use darter_value::Item;
use darter_value::integer::{IntegerText, from_canonical_text};

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

/// An element of a collection, as a string.
pub(crate) fn push_item(out: &mut Vec<u8>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => push_string(out, bytes),
        Item::Integer(integer) => push_integer(out, integer),
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
