//! RDB files as servers of all times have written them, down to the byte: the forms that no server here writes any more.
//!
//! Everything is made by hand, from descriptions of the format: a mistake of the code under test must not be made here
//! as well.

use darter_base::crc64::crc64;

const AUX: u8 = 250;
const SIZES: u8 = 251;
const DEADLINE_MS: u8 = 252;
const DEADLINE_SECONDS: u8 = 253;
const DATABASE: u8 = 254;
const END: u8 = 255;
const FUNCTION: u8 = 245;
const SLOT_INFO: u8 = 244;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;

/// The first version whose files end with a checksum.
const CHECKSUM_SINCE: u16 = 5;
/// The first of Valkey's own.
const VALKEY: u16 = 80;

/// A file that is being written.
#[derive(Debug)]
pub struct File {
    bytes: Vec<u8>,
    version: u16,
}

/// An element of a ziplist or a listpack.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// Text.
    Text(&'a [u8]),
    /// A number.
    Number(i64),
}

/// A text, or the number that it is.
pub fn element(text: &str) -> Element<'_> {
    text.parse().map_or(Element::Text(text.as_bytes()), Element::Number)
}

impl File {
    /// Begins with what identifies the version.
    pub fn new(version: u16) -> Self {
        let mark = if version >= VALKEY { "VALKEY" } else { "REDIS" };
        let width = 9 - mark.len();
        Self { bytes: format!("{mark}{version:0width$}").into_bytes(), version }
    }

    /// What the server says of itself.
    pub fn aux(&mut self, name: &str, value: &str) {
        self.bytes.push(AUX);
        self.bytes.extend(string(name.as_bytes()));
        self.bytes.extend(string(value.as_bytes()));
    }

    /// The keys that follow are of this database.
    pub fn database(&mut self, index: u8) {
        self.bytes.extend([DATABASE, index]);
    }

    /// How many keys follow.
    pub fn sizes(&mut self, keys: u64, with_deadline: u64) {
        self.bytes.push(SIZES);
        self.bytes.extend(length(keys));
        self.bytes.extend(length(with_deadline));
    }

    /// How many keys of a slot follow.
    pub fn slot(&mut self, slot: u64, keys: u64, with_deadline: u64) {
        self.bytes.push(SLOT_INFO);
        for number in [slot, keys, with_deadline] {
            self.bytes.extend(length(number));
        }
    }

    /// A library.
    pub fn function(&mut self, code: &str) {
        self.bytes.push(FUNCTION);
        self.bytes.extend(string(code.as_bytes()));
    }

    /// The next key expires then, in the form of Redis 2.4 and before.
    pub fn deadline_seconds(&mut self, seconds: i32) {
        self.bytes.push(DEADLINE_SECONDS);
        self.bytes.extend(seconds.to_le_bytes());
    }

    /// The next key expires then.
    pub fn deadline_ms(&mut self, ms: i64) {
        self.bytes.push(DEADLINE_MS);
        self.bytes.extend(ms.to_le_bytes());
    }

    /// The next key has not been used for so long.
    pub fn idle(&mut self, seconds: u64) {
        self.bytes.push(IDLE);
        self.bytes.extend(length(seconds));
    }

    /// The next key has been used so often, as a counter has it.
    pub fn frequency(&mut self, counter: u8) {
        self.bytes.extend([FREQUENCY, counter]);
    }

    /// A key with its value.
    pub fn key(&mut self, name: &str, kind: u8, content: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend(string(name.as_bytes()));
        self.bytes.extend(content);
    }

    /// The whole file.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        if self.version >= CHECKSUM_SINCE {
            let checksum = crc64(0, &self.bytes);
            self.bytes.extend(checksum.to_le_bytes());
        }
        self.bytes
    }
}

/// A number in the shortest form for lengths.
pub fn length(number: u64) -> Vec<u8> {
    match number {
        0..=63 => vec![low_byte(number)],
        64..=16_383 => vec![0x40 | low_byte(number >> 8), low_byte(number)],
        _ => match u32::try_from(number) {
            Ok(number) => [&[0x80][..], &number.to_be_bytes()].concat(),
            Err(_) => [&[0x81][..], &number.to_be_bytes()].concat(),
        },
    }
}

fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// A string as it is.
pub fn string(text: &[u8]) -> Vec<u8> {
    [length(text.len() as u64), text.to_vec()].concat()
}

/// A string that is a number, in the shortest form for those.
pub fn number_string(number: i32) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match (i8::try_from(number), i16::try_from(number)) {
        (Ok(_), _) => [&[0xc0][..], &bytes[..1]].concat(),
        (_, Ok(_)) => [&[0xc1][..], &bytes[..2]].concat(),
        _ => [&[0xc2][..], &bytes].concat(),
    }
}

/// A string of `byte` again and again, 10 to 264 times, packed with LZF: the byte itself, and a reference to what is right in
/// front.
pub fn packed_string(byte: u8, times: usize) -> Vec<u8> {
    let more = u8::try_from(times - 10).expect("not too long for one reference");
    let packed = [0, byte, 0xe0, more, 0];
    [vec![0xc3], length(packed.len() as u64), length(times as u64), packed.to_vec()].concat()
}

/// A count, and everything that is counted.
pub fn counted(parts: &[Vec<u8>]) -> Vec<u8> {
    [length(parts.len() as u64), parts.concat()].concat()
}

/// A score as text, as before RDB version 8.
pub fn score_text(score: f64) -> Vec<u8> {
    if score.is_infinite() {
        return vec![if score > 0.0 { 254 } else { 255 }];
    }
    let text = score.to_string();
    let len = u8::try_from(text.len()).expect("a short text");
    [vec![len], text.into_bytes()].concat()
}

/// A zipmap, as a string.
pub fn zipmap(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let count = u8::try_from(pairs.len()).map_or(254, |count| count.min(254));
    let mut bytes = vec![count];
    let len = |text: &[u8]| match u8::try_from(text.len()) {
        Ok(short @ 0..=253) => vec![short],
        _ => [&[254][..], &u32_len(text).to_le_bytes()].concat(),
    };
    for (index, (field, value)) in pairs.iter().enumerate() {
        bytes.extend(len(field));
        bytes.extend(*field);
        bytes.extend(len(value));
        // Room that a shorter value has left.
        let unused = index % 3;
        bytes.push(low_byte(unused as u64));
        bytes.extend(*value);
        bytes.extend(std::iter::repeat_n(b'?', unused));
    }
    bytes.push(255);
    string(&bytes)
}

fn u32_len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a short text")
}

/// A set of integers of so many bytes each, as a string.
pub fn intset(width: usize, sorted: &[i64]) -> Vec<u8> {
    let width_bytes = u32::try_from(width).expect("2, 4 or 8").to_le_bytes();
    let count = u32::try_from(sorted.len()).expect("few");
    let mut bytes = [width_bytes, count.to_le_bytes()].concat();
    for integer in sorted {
        bytes.extend(&integer.to_le_bytes()[..width]);
    }
    string(&bytes)
}

/// A ziplist, as a string.
pub fn ziplist(elements: &[Element<'_>]) -> Vec<u8> {
    let mut entries = Vec::new();
    let (mut before, mut last_at) = (0, 10);
    for element in elements {
        last_at = 10 + entries.len();
        let begin = entries.len();
        if let Ok(short @ 0..=253) = u8::try_from(before) {
            entries.push(short);
        } else {
            entries.push(254);
            entries.extend(u32::try_from(before).expect("short").to_le_bytes());
        }
        entries.extend(match *element {
            Element::Text(text) => [ziplist_text_len(text), text.to_vec()].concat(),
            Element::Number(number) => ziplist_number(number),
        });
        before = entries.len() - begin;
    }
    let total = u32::try_from(11 + entries.len()).expect("short");
    let mut bytes = total.to_le_bytes().to_vec();
    bytes.extend(u32::try_from(last_at).expect("short").to_le_bytes());
    bytes.extend(u16::try_from(elements.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(entries);
    bytes.push(255);
    string(&bytes)
}

fn ziplist_text_len(text: &[u8]) -> Vec<u8> {
    let len = text.len() as u64;
    match len {
        0..=63 => vec![low_byte(len)],
        64..=16_383 => vec![0x40 | low_byte(len >> 8), low_byte(len)],
        _ => [&[0x80][..], &u32_len(text).to_be_bytes()].concat(),
    }
}

fn ziplist_number(number: i64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=12 => vec![0xf1 + bytes[0]],
        -128..=127 => vec![0xfe, bytes[0]],
        -32_768..=32_767 => [&[0xc0][..], &bytes[..2]].concat(),
        -8_388_608..=8_388_607 => [&[0xf0][..], &bytes[..3]].concat(),
        -2_147_483_648..=2_147_483_647 => [&[0xd0][..], &bytes[..4]].concat(),
        _ => [&[0xe0][..], &bytes].concat(),
    }
}

/// A listpack, as a string.
pub fn listpack(elements: &[Element<'_>]) -> Vec<u8> {
    let mut entries = Vec::new();
    for element in elements {
        let entry = match *element {
            Element::Text(text) => [listpack_text_len(text), text.to_vec()].concat(),
            Element::Number(number) => listpack_number(number),
        };
        let len = entry.len();
        entries.extend(entry);
        // Read from behind: seven bits in each byte, all but the first of which have the highest one.
        match len {
            0..=127 => entries.push(low_byte(len as u64)),
            _ => entries.extend([low_byte((len >> 7) as u64), 0x80 | low_byte(len as u64)]),
        }
    }
    let total = u32::try_from(7 + entries.len()).expect("short");
    let mut bytes = total.to_le_bytes().to_vec();
    bytes.extend(u16::try_from(elements.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(entries);
    bytes.push(255);
    string(&bytes)
}

fn listpack_text_len(text: &[u8]) -> Vec<u8> {
    let len = text.len() as u64;
    match len {
        0..=63 => vec![0x80 | low_byte(len)],
        64..=4095 => vec![0xe0 | low_byte(len >> 8), low_byte(len)],
        _ => [&[0xf0][..], &u32_len(text).to_le_bytes()].concat(),
    }
}

fn listpack_number(number: i64) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    match number {
        0..=127 => vec![bytes[0]],
        -4096..=4095 => vec![0xc0 | bytes[1] & 0x1f, bytes[0]],
        -32_768..=32_767 => [&[0xf1][..], &bytes[..2]].concat(),
        -8_388_608..=8_388_607 => [&[0xf2][..], &bytes[..3]].concat(),
        -2_147_483_648..=2_147_483_647 => [&[0xf3][..], &bytes[..4]].concat(),
        _ => [&[0xf4][..], &bytes].concat(),
    }
}
