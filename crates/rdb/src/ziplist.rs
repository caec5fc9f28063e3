//! Ziplists: what listpacks replaced in Redis 7.
//!
//! ```text
//! total bytes, 4 | offset of the last entry, 4 | count, 2 | entry ... | ff     numbers little-endian
//!
//! entry: length of the entry before (1 byte, or fe and 4 bytes), encoding, content
//!
//! 00llllll            up to 63 bytes                 11000000 2 bytes   a number of 16 bits
//! 01llllll llllllll   up to 16383 bytes              11110000 3 bytes   of 24
//! 10000000 4 bytes    as many bytes, big-endian      11010000 4 bytes   of 32
//! 1111nnnn            n - 1 (n 1 to 13)              11100000 8 bytes   of 64
//!                                                    11111110 1 byte    of 8
//! ```

use darter_value::Item;

use crate::reader::{Corrupt, Reader};

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
const WIDE: u8 = 0xfe;

/// Calls `visit` with every entry of the ziplist that `bytes` is. On an error it may have been called.
pub(crate) fn each<'a>(bytes: &'a [u8], mut visit: impl FnMut(Item<'a>)) -> Result<usize, Corrupt> {
    let mut header = Reader::new(bytes);
    let total = u32::from_le_bytes(header.array()?);
    let tail = u32::from_le_bytes(header.array()?);
    let count = u16::from_le_bytes(header.array()?);
    let Some((END, body)) = bytes.split_last().map(|(last, body)| (*last, body)) else {
        return Err(header.corrupt());
    };
    if usize::try_from(total) != Ok(bytes.len()) || body.len() < HEADER_BYTES {
        return Err(header.corrupt());
    }
    let mut reader = Reader::new(&body[HEADER_BYTES..]);
    let mut before_len = 0;
    let mut entries = 0;
    let mut last_at = HEADER_BYTES;
    while !reader.is_at_end() {
        let left = reader.rest().len();
        last_at = body.len() - left;
        let said = match reader.byte()? {
            WIDE => u64::from(u32::from_le_bytes(reader.array()?)),
            END => return Err(reader.corrupt()),
            short => u64::from(short),
        };
        if said != before_len as u64 {
            return Err(reader.corrupt());
        }
        visit(read_content(&mut reader)?);
        before_len = left - reader.rest().len();
        entries += 1;
    }
    let counted = count == COUNT_UNKNOWN || usize::from(count) == entries;
    if !counted || usize::try_from(tail) != Ok(last_at) {
        return Err(reader.corrupt());
    }
    Ok(entries)
}

fn read_content<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, Corrupt> {
    let first = reader.byte()?;
    let len = match first >> 6 {
        0 => usize::from(first),
        1 => usize::from(first & 0x3f) << 8 | usize::from(reader.byte()?),
        2 if first == 0x80 => {
            let len = u32::from_be_bytes(reader.array()?);
            usize::try_from(len).map_err(|_| reader.corrupt())?
        }
        2 => return Err(reader.corrupt()),
        _ => return read_integer(reader, first).map(Item::Integer),
    };
    reader.take(len).map(Item::Bytes)
}

fn read_integer(reader: &mut Reader<'_>, first: u8) -> Result<i64, Corrupt> {
    Ok(match first {
        0xc0 => i64::from(i16::from_le_bytes(reader.array()?)),
        0xd0 => i64::from(i32::from_le_bytes(reader.array()?)),
        0xe0 => i64::from_le_bytes(reader.array()?),
        0xf0 => {
            let [a, b, c] = reader.array()?;
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        0xfe => i64::from(i8::from_le_bytes(reader.array()?)),
        0xf1..=0xfd => i64::from(first & 0x0f) - 1,
        _ => return Err(reader.corrupt()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of 1, -5, hello and 70000, as Redis 6 keeps it.
    const RECORDED: &[u8] = b"\x1c\x00\x00\x00\x16\x00\x00\x00\x04\x00\
        \x00\xf2\x02\xfe\xfb\x03\x05hello\x07\xf0\x70\x11\x01\xff";

    #[test]
    fn entries_are_read_and_damage_is_found() {
        let mut items = Vec::new();
        assert_eq!(each(RECORDED, |item| items.push(item)), Ok(4));
        let expected =
            [Item::Integer(1), Item::Integer(-5), Item::Bytes(b"hello"), Item::Integer(70_000)];
        assert_eq!(items, expected);
        for at in 0..RECORDED.len() {
            assert!(each(&RECORDED[..at], |_| {}).is_err());
            for flip in [1, 0x80, 0xff] {
                let mut damaged = RECORDED.to_vec();
                damaged[at] ^= flip;
                let _ = each(&damaged, |_| {});
            }
        }
    }
}
