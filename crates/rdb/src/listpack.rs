//! Listpacks: packed sequences of byte strings and integers.
//!
//! ```text
//! total bytes, 4 | count, 2 | entry ... | ff        numbers little-endian
//!
//! entry: encoding and content, then their length from back to front, 7 bits per byte
//!
//! 0iiiiiii            a number of 7 bits             11110001 2 bytes   a number of 16 bits
//! 10llllll            up to 63 bytes                 11110010 3 bytes   of 24
//! 110iiiii iiiiiiii   a signed number of 13 bits     11110011 4 bytes   of 32
//! 1110llll llllllll   up to 4095 bytes               11110100 8 bytes   of 64
//! 11110000 4 bytes    as many bytes
//! ```
//!
//! The count is 65535 where there are as many or more.

use darter_value::Item;

use crate::reader::{Corrupt, Reader};

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A listpack that has been checked as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Listpack<'a> {
    entries: Reader<'a>,
    left: usize,
}

impl<'a> Listpack<'a> {
    /// The listpack that `bytes` is, every entry of it being right.
    pub(crate) fn checked(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let total = u32::from_le_bytes(reader.array()?);
        let count = u16::from_le_bytes(reader.array()?);
        let is_whole = usize::try_from(total) == Ok(bytes.len());
        let Some((END, body)) = bytes.split_last().map(|(last, body)| (*last, body)) else {
            return Err(reader.corrupt());
        };
        if !is_whole || body.len() < HEADER_BYTES {
            return Err(reader.corrupt());
        }
        let entries = Reader::new(&body[HEADER_BYTES..]);
        let mut walked = entries.clone();
        let mut entries_len = 0;
        while !walked.is_at_end() {
            read_entry(&mut walked)?;
            entries_len += 1;
        }
        if count != COUNT_UNKNOWN && usize::from(count) != entries_len {
            return Err(reader.corrupt());
        }
        Ok(Self { entries, left: entries_len })
    }

    /// Number of entries not taken yet.
    pub(crate) const fn len(&self) -> usize {
        self.left
    }

    /// The next entry.
    pub(crate) fn take(&mut self) -> Result<Item<'a>, Corrupt> {
        self.left = self.left.checked_sub(1).ok_or(self.entries.corrupt())?;
        read_entry(&mut self.entries)
    }

    /// The next entry, which must be an integer.
    pub(crate) fn take_integer(&mut self) -> Result<i64, Corrupt> {
        match self.take()? {
            Item::Integer(integer) => Ok(integer),
            Item::Bytes(_) => Err(self.entries.corrupt()),
        }
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, Corrupt> {
    let before = reader.rest().len();
    let first = reader.byte()?;
    let item = match first {
        0..=0x7f => Item::Integer(i64::from(first)),
        0x80..=0xbf => Item::Bytes(reader.take(usize::from(first & 0x3f))?),
        0xc0..=0xdf => {
            let number = u16::from(first & 0x1f) << 8 | u16::from(reader.byte()?);
            // Sign-extends 13 bits.
            Item::Integer(i64::from((number << 3).cast_signed() >> 3))
        }
        0xe0..=0xef => {
            let len = usize::from(first & 0x0f) << 8 | usize::from(reader.byte()?);
            Item::Bytes(reader.take(len)?)
        }
        0xf0 => {
            let len = u32::from_le_bytes(reader.array()?);
            let len = usize::try_from(len).map_err(|_| reader.corrupt())?;
            Item::Bytes(reader.take(len)?)
        }
        0xf1 => Item::Integer(i64::from(i16::from_le_bytes(reader.array()?))),
        0xf2 => {
            let [a, b, c] = reader.array()?;
            Item::Integer(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8))
        }
        0xf3 => Item::Integer(i64::from(i32::from_le_bytes(reader.array()?))),
        0xf4 => Item::Integer(i64::from_le_bytes(reader.array()?)),
        _ => return Err(reader.corrupt()),
    };
    let len = before - reader.rest().len();
    let (back, back_len) = back_length(len);
    if reader.take(back_len)? != &back[..back_len] {
        return Err(reader.corrupt());
    }
    Ok(item)
}

/// The length of an entry as it is written behind it.
fn back_length(len: usize) -> ([u8; 5], usize) {
    let count = match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (index, byte) in bytes[..count].iter_mut().enumerate() {
        let septet = len >> (7 * (count - 1 - index)) & 0x7f;
        *byte = u8::try_from(septet).unwrap_or(0) | if index == 0 { 0 } else { 0x80 };
    }
    (bytes, count)
}

/// A listpack being written.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    /// Bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, item: Item<'_>) {
        let start = self.bytes.len();
        match item {
            Item::Bytes(bytes) => {
                match bytes.len() {
                    len @ 0..=63 => self.bytes.push(0x80 | low_byte(len)),
                    len @ 64..=4095 => {
                        self.bytes.extend([0xe0 | low_byte(len >> 8), low_byte(len)]);
                    }
                    len => {
                        let len = u32::try_from(len).expect("a string is below 4 GiB");
                        self.bytes.push(0xf0);
                        self.bytes.extend(len.to_le_bytes());
                    }
                }
                self.bytes.extend_from_slice(bytes);
            }
            Item::Integer(integer) => self.push_encoded(integer),
        }
        let (back, back_len) = back_length(self.bytes.len() - start);
        self.bytes.extend_from_slice(&back[..back_len]);
        self.count += 1;
    }

    /// A counter or a number that is not stored as an integer of 64 bits.
    pub(crate) fn push_count(&mut self, count: usize) {
        self.push(Item::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn push_encoded(&mut self, integer: i64) {
        let bytes = integer.to_le_bytes();
        match integer {
            0..=127 => self.bytes.push(bytes[0]),
            -4096..=4095 => self.bytes.extend([0xc0 | bytes[1] & 0x1f, bytes[0]]),
            -0x8000..=0x7fff => {
                self.bytes.push(0xf1);
                self.bytes.extend_from_slice(&bytes[..2]);
            }
            -0x80_0000..=0x7f_ffff => {
                self.bytes.push(0xf2);
                self.bytes.extend_from_slice(&bytes[..3]);
            }
            -0x8000_0000..=0x7fff_ffff => {
                self.bytes.push(0xf3);
                self.bytes.extend_from_slice(&bytes[..4]);
            }
            _ => {
                self.bytes.push(0xf4);
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }

    /// The listpack.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).expect("listpacks are small");
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = vec![b'x'; 70_000];
        let mut items: Vec<Item<'_>> = [
            0,
            1,
            127,
            128,
            -1,
            4095,
            4096,
            -4096,
            -4097,
            32_767,
            32_768,
            -32_768,
            -32_769,
            8_388_607,
            8_388_608,
            -8_388_608,
            -8_388_609,
            2_147_483_647,
            2_147_483_648,
            i64::MAX,
            i64::MIN,
        ]
        .map(Item::Integer)
        .to_vec();
        for len in [0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16_376, 16_377, 16_378, 70_000] {
            items.push(Item::Bytes(&long[..len]));
        }
        let mut writer = Writer::new();
        for item in &items {
            writer.push(*item);
        }
        let bytes = writer.finish();
        let mut listpack = Listpack::checked(&bytes).unwrap();
        assert_eq!(listpack.len(), items.len());
        for item in &items {
            assert_eq!(listpack.take(), Ok(*item));
        }
        assert!(listpack.take().is_err());
    }

    #[test]
    fn damage_is_found() {
        let mut writer = Writer::new();
        writer.push(Item::Bytes(b"hello"));
        writer.push(Item::Integer(1000));
        let bytes = writer.finish();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                // Content may change unnoticed, but nothing goes past an end.
                if let Ok(mut listpack) = Listpack::checked(&damaged) {
                    while listpack.take().is_ok() {}
                }
            }
            assert!(Listpack::checked(&bytes[..at]).is_err());
        }
    }
}
