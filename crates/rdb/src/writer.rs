//! Writing the format's elements to the end of a vector.

use darter_value::integer::from_canonical_text;

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
    if let Some(integer) = from_canonical_text(text)
        && let Ok(integer) = i32::try_from(integer)
    {
        let bytes = integer.to_le_bytes();
        let (special, len) = if i8::try_from(integer).is_ok() {
            (0xc0, 1)
        } else if i16::try_from(integer).is_ok() {
            (0xc1, 2)
        } else {
            (0xc2, 4)
        };
        out.push(special);
        out.extend_from_slice(&bytes[..len]);
        return;
    }
    push_raw_string(out, text);
}

/// A string as it is.
pub(crate) fn push_raw_string(out: &mut Vec<u8>, text: &[u8]) {
    push_count(out, text.len());
    out.extend_from_slice(text);
}
