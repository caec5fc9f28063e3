//! How one entry of a packed list is written: the entry format of Redis's listpack.
//!
//! ```text
//! +------+---------------------+----------+
//! | head | number or bytes     | [length] |   length: of head and content, in groups of seven bits,
//! +------+---------------------+----------+           to be read from the end backwards; only in
//!                                                     lists that are walked in both directions
//!
//!  head, and what follows it
//!  0nnnnnnn            number 0 to 127
//!  10llllll            up to 63 bytes
//!  110nnnnn nnnnnnnn   number of 13 bits
//!  1110llll llllllll   up to 4095 bytes
//!  11110000 + 4        bytes, whose number takes four bytes
//!  11110001 + 2        number of 16 bits       11110010 + 3   of 24
//!  11110011 + 4        of 32                   11110100 + 8   of 64
//! ```
//!
//! Numbers are little-endian, but those cut across the head, whose high bits come first. This is the
//! published format (`listpack.md` by Salvatore Sanfilippo), byte for byte where there is the length at the
//! end. Redis writes lengths of 16383 in three bytes though two would do; so does this. So the size of a
//! list here is what Redis compares with its limits.

#![allow(clippy::cast_possible_truncation, reason = "fields of a packed entry")]

/// One entry: bytes, or an integer kept as one.
///
/// The same text has one form only if whoever packs makes an integer of every text that is the
/// canonical text of one; then equal items are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// A number, in 1 to 9 bytes.
    Integer(i64),
}

/// Most bytes a head with a number takes.
const HEAD_BYTES_MAX: usize = 9;

/// Most bytes the length at the end takes.
const TAIL_BYTES_MAX: usize = 5;

/// The parts of an entry about to be written.
pub(super) struct Encoded<'a, const BACKWARDS: bool> {
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    content: &'a [u8],
    tail: [u8; TAIL_BYTES_MAX],
    tail_len: usize,
}

impl<'a, const BACKWARDS: bool> Encoded<'a, BACKWARDS> {
    /// The parts of `item`.
    ///
    /// # Panics
    /// If it is longer than 32 bits can say.
    #[inline]
    pub(super) fn of(item: Item<'a>) -> Self {
        let (head, head_len, content) = match item {
            Item::Bytes(bytes) => {
                let (head, head_len) = head_of_len(bytes.len());
                (head, head_len, bytes)
            }
            Item::Integer(integer) => {
                let (head, head_len) = head_of_integer(integer);
                (head, head_len, &[][..])
            }
        };
        let (tail, tail_len) =
            if BACKWARDS { tail_of(head_len + content.len()) } else { ([0; TAIL_BYTES_MAX], 0) };
        Self { head, head_len, content, tail, tail_len }
    }

    /// The bytes of the entry, in three pieces, of which the last is empty without `BACKWARDS`.
    #[inline]
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..self.head_len], self.content, &self.tail[..self.tail_len]]
    }
}

/// Bytes the entry of `item` takes. Correct for items too long to be packed as well.
#[inline]
pub(super) fn encoded_bytes<const BACKWARDS: bool>(item: Item<'_>) -> usize {
    let bytes = match item {
        Item::Bytes(bytes) => match bytes.len() {
            0..64 => 1 + bytes.len(),
            64..4096 => 2 + bytes.len(),
            len => len.saturating_add(5),
        },
        Item::Integer(integer) => head_of_integer(integer).1,
    };
    whole::<BACKWARDS>(bytes)
}

/// The item of the entry that begins `entry`.
#[inline]
pub(super) fn decode(entry: &[u8]) -> Item<'_> {
    let head = entry[0];
    match head {
        0..0x80 => Item::Integer(i64::from(head)),
        0x80..0xc0 => Item::Bytes(&entry[1..=usize::from(head & 0x3f)]),
        0xc0..0xe0 => {
            let bits = i64::from(head & 0x1f) << 8 | i64::from(entry[1]);
            Item::Integer(bits << 51 >> 51)
        }
        0xe0..0xf0 => {
            let len = usize::from(head & 0x0f) << 8 | usize::from(entry[1]);
            Item::Bytes(&entry[2..2 + len])
        }
        0xf0 => Item::Bytes(&entry[5..5 + long_len(entry)]),
        _ => {
            let bytes = integer_bytes(head);
            let mut word = [0; 8];
            word[8 - bytes..].copy_from_slice(&entry[1..=bytes]);
            Item::Integer(i64::from_le_bytes(word) >> (64 - 8 * bytes))
        }
    }
}

/// Bytes of the whole entry that begins `entry`.
#[inline]
pub(super) fn entry_bytes<const BACKWARDS: bool>(entry: &[u8]) -> usize {
    let head = entry[0];
    let bytes = match head {
        0..0x80 => return whole::<BACKWARDS>(1),
        0x80..0xc0 => return whole::<BACKWARDS>(1 + usize::from(head & 0x3f)),
        0xc0..0xe0 => return whole::<BACKWARDS>(2),
        0xe0..0xf0 => 2 + (usize::from(head & 0x0f) << 8 | usize::from(entry[1])),
        0xf0 => 5 + long_len(entry),
        _ => 1 + integer_bytes(head),
    };
    whole::<BACKWARDS>(bytes)
}

/// Bytes of an entry of which head and content have `bytes`.
#[inline]
const fn whole<const BACKWARDS: bool>(bytes: usize) -> usize {
    if BACKWARDS { bytes.saturating_add(tail_bytes(bytes)) } else { bytes }
}

/// Bytes of the whole entry that ends `entries`, which have lengths at the end.
#[inline]
pub(super) fn entry_bytes_before(entries: &[u8]) -> usize {
    let mut bytes = 0;
    let mut shift = 0;
    let mut tail = 0;
    loop {
        tail += 1;
        let group = entries[entries.len() - tail];
        bytes |= usize::from(group & 0x7f) << shift;
        if group & 0x80 == 0 {
            return bytes + tail;
        }
        shift += 7;
    }
}

#[inline]
fn long_len(entry: &[u8]) -> usize {
    let (len, _) = entry[1..].split_first_chunk().expect("an entry is whole");
    u32::from_le_bytes(*len) as usize
}

/// Bytes of the number after a head of 0xf1 to 0xf4.
#[inline]
const fn integer_bytes(head: u8) -> usize {
    match head {
        0xf1 => 2,
        0xf2 => 3,
        0xf3 => 4,
        _ => 8,
    }
}

#[inline]
fn head_of_len(len: usize) -> ([u8; HEAD_BYTES_MAX], usize) {
    let mut head = [0; HEAD_BYTES_MAX];
    let head_len = match len {
        0..64 => {
            head[0] = 0x80 | len as u8;
            1
        }
        64..4096 => {
            head[0] = 0xe0 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        }
        _ => {
            let len = u32::try_from(len).expect("the owner packs only what fits");
            head[0] = 0xf0;
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        }
    };
    (head, head_len)
}

#[inline]
fn head_of_integer(integer: i64) -> ([u8; HEAD_BYTES_MAX], usize) {
    let mut head = [0; HEAD_BYTES_MAX];
    if (0..128).contains(&integer) {
        head[0] = integer.to_le_bytes()[0];
        return (head, 1);
    }
    if (-4096..4096).contains(&integer) {
        head[0] = 0xc0 | (integer >> 8).to_le_bytes()[0] & 0x1f;
        head[1] = integer.to_le_bytes()[0];
        return (head, 2);
    }
    let magnitude = if integer < 0 { !integer } else { integer };
    let (first, bytes) = match 65 - magnitude.leading_zeros() {
        0..=16 => (0xf1, 2),
        17..=24 => (0xf2, 3),
        25..=32 => (0xf3, 4),
        _ => (0xf4, 8),
    };
    head[0] = first;
    head[1..=bytes].copy_from_slice(&integer.to_le_bytes()[..bytes]);
    (head, 1 + bytes)
}

/// Bytes of the length at the end, for a head and content of `bytes`.
#[inline]
const fn tail_bytes(bytes: usize) -> usize {
    match bytes {
        0..128 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

#[inline]
fn tail_of(bytes: usize) -> ([u8; TAIL_BYTES_MAX], usize) {
    let mut tail = [0; TAIL_BYTES_MAX];
    if bytes < 128 {
        tail[0] = bytes as u8;
        return (tail, 1);
    }
    let len = tail_bytes(bytes);
    let mut rest = bytes;
    for place in (0..len).rev() {
        let more = if place == 0 { 0 } else { 0x80 };
        tail[place] = rest as u8 & 0x7f | more;
        rest >>= 7;
    }
    (tail, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded<const BACKWARDS: bool>(item: Item<'_>) -> Vec<u8> {
        Encoded::<BACKWARDS>::of(item).parts().concat()
    }

    #[test]
    fn entries_are_those_of_the_published_format() {
        let cases: [(Item<'_>, &[u8]); 12] = [
            (Item::Integer(0), &[0, 1]),
            (Item::Integer(127), &[127, 1]),
            (Item::Integer(128), &[0xc0, 128, 2]),
            (Item::Integer(-1), &[0xdf, 0xff, 2]),
            (Item::Integer(4095), &[0xcf, 0xff, 2]),
            (Item::Integer(-4096), &[0xd0, 0, 2]),
            (Item::Integer(4096), &[0xf1, 0, 0x10, 3]),
            (Item::Integer(-4097), &[0xf1, 0xff, 0xef, 3]),
            (Item::Integer(32_768), &[0xf2, 0, 0x80, 0, 4]),
            (Item::Integer(8_388_608), &[0xf3, 0, 0, 0x80, 0, 5]),
            (Item::Integer(2_147_483_648), &[0xf4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
            (Item::Bytes(b"hello"), &[0x85, b'h', b'e', b'l', b'l', b'o', 6]),
        ];
        for (item, expected) in cases {
            assert_eq!(encoded::<true>(item), expected, "{item:?}");
            assert_eq!(encoded::<false>(item), expected[..expected.len() - 1], "{item:?}");
        }
        let long = vec![b'x'; 100];
        let entry = encoded::<true>(Item::Bytes(&long));
        assert_eq!((entry[0], entry[1], entry[102]), (0xe0, 100, 102));
    }

    #[test]
    fn every_size_is_read_from_both_ends() {
        let bytes = vec![b'x'; 300_000];
        let lens = (0..300).chain([4094, 4095, 4096, 16_300, 300_000]).chain(16_370..16_400);
        for item in lens.map(|len| Item::Bytes(&bytes[..len])) {
            check(item);
        }
        for shift in 0..64 {
            for near in -2..=2 {
                check(Item::Integer((1_i64 << shift).wrapping_add(near)));
                check(Item::Integer((-1_i64 << shift).wrapping_add(near)));
            }
        }
    }

    fn check(item: Item<'_>) {
        let entry = check_forwards::<true>(item);
        assert_eq!(entry_bytes_before(&entry), entry.len());
        let forwards = check_forwards::<false>(item);
        assert!(entry.starts_with(&forwards) && forwards.len() < entry.len());
    }

    fn check_forwards<const BACKWARDS: bool>(item: Item<'_>) -> Vec<u8> {
        let mut entry = encoded::<BACKWARDS>(item);
        let len = entry.len();
        assert_eq!(len, encoded_bytes::<BACKWARDS>(item), "{item:?}");
        entry.extend_from_slice(b"\x85other\x06");
        assert_eq!(entry_bytes::<BACKWARDS>(&entry), len);
        assert_eq!(decode(&entry), item);
        entry.truncate(len);
        entry
    }
}
