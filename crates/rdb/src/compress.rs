//! Packing strings with LZF, in the format that `lzf` describes.
//!
//! A table remembers where each hash of three bytes was last seen; a string that goes on as it did there is
//! written as a copy. The table outlives a string, for clearing it would cost more than a short string does:
//! positions are counted over all strings, and those of earlier ones are known by being too small.

/// Strings of Redis that are not longer are not worth it.
const TEXT_BYTES_MIN: usize = 21;
/// Packing a longer one would take longer than others should wait.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// What must be saved, as in Redis.
const SAVED_BYTES_MIN: usize = 4;

const TABLE_BITS: u32 = 14;
const TABLE_LEN: usize = 1 << TABLE_BITS;

const LITERAL_MAX: usize = 32;
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const DISTANCE_MAX: usize = 1 << 13;

/// Compresses strings, or leaves all as they are.
#[derive(Debug, Default)]
pub struct Compressor {
    table: Option<Table>,
}

#[derive(Debug)]
struct Table {
    /// Where each hash was seen: a position plus `base` as it was then.
    seen: Vec<u32>,
    /// What the positions of the string at hand are counted from; never below 1.
    base: u32,
    /// The string as it is packed.
    packed: Vec<u8>,
}

impl Compressor {
    /// One that compresses nothing.
    pub const fn off() -> Self {
        Self { table: None }
    }

    /// One that compresses (`rdbcompression yes`). Holds 64 KiB, and the longest string it has packed.
    pub fn on() -> Self {
        Self { table: Some(Table { seen: vec![0; TABLE_LEN], base: 1, packed: Vec::new() }) }
    }

    /// `text`, packed; `None` if that is not wanted or saves too little.
    pub(crate) fn compressed(&mut self, text: &[u8]) -> Option<&[u8]> {
        let table = self.table.as_mut()?;
        if !(TEXT_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text.len()) {
            return None;
        }
        // Positions are numbers of 32 bits.
        let len = u32::try_from(text.len()).ok()?;
        let end = table.base.checked_add(len).or_else(|| {
            table.seen.fill(0);
            table.base = 1;
            table.base.checked_add(len)
        })?;
        let fits = table.pack(text);
        table.base = end;
        fits.then_some(&table.packed[..])
    }
}

impl Table {
    /// Packs `text` into `packed`; whether it saves enough.
    fn pack(&mut self, text: &[u8]) -> bool {
        let limit = text.len() - SAVED_BYTES_MIN;
        self.packed.clear();
        let (mut at, mut literal) = (0, 0);
        while at + COPY_MIN <= text.len() {
            let Some(from) = self.note(text, at).filter(|from| is_copy(text, *from, at)) else {
                at += 1;
                continue;
            };
            self.push_literal(&text[literal..at]);
            let len = common_len(&text[from..], &text[at..]).min(COPY_MAX);
            self.push_copy(at - from, len);
            if self.packed.len() > limit {
                return false;
            }
            // The last two of those that were copied, so that runs of copies are found.
            for inside in at + len - 2..at + len {
                if inside + COPY_MIN <= text.len() {
                    self.note(text, inside);
                }
            }
            at += len;
            literal = at;
        }
        self.push_literal(&text[literal..]);
        self.packed.len() <= limit
    }

    /// Notes that the three bytes at `at` are there; where others with their hash were before.
    fn note(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let [a, b, c] = [text[at], text[at + 1], text[at + 2]].map(u32::from);
        // Multiplicative hashing, by the golden ratio.
        let hash = (a << 16 | b << 8 | c).wrapping_mul(0x9e37_79b1) >> (u32::BITS - TABLE_BITS);
        let position = self.base.checked_add(u32::try_from(at).ok()?)?;
        let before = std::mem::replace(self.seen.get_mut(hash as usize)?, position);
        let from = usize::try_from(before.checked_sub(self.base)?).ok()?;
        (from < at).then_some(from)
    }

    fn push_literal(&mut self, text: &[u8]) {
        for run in text.chunks(LITERAL_MAX) {
            self.packed.push(low_byte(run.len() - 1));
            self.packed.extend_from_slice(run);
        }
    }

    fn push_copy(&mut self, distance: usize, len: usize) {
        let (back, count) = (distance - 1, len - 2);
        let high = low_byte(back >> 8);
        if count < 7 {
            self.packed.push(low_byte(count << 5) | high);
        } else {
            self.packed.extend([0xe0 | high, low_byte(count - 7)]);
        }
        self.packed.push(low_byte(back));
    }
}

/// Whether the bytes at `at` can be a copy of those at `from`.
fn is_copy(text: &[u8], from: usize, at: usize) -> bool {
    at - from <= DISTANCE_MAX && text[from..from + COPY_MIN] == text[at..at + COPY_MIN]
}

fn common_len(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

const fn low_byte(number: usize) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lzf;

    #[test]
    fn what_is_packed_unpacks_to_itself() {
        let mut compressor = Compressor::on();
        let mut state = 1_u64;
        let mut packed_any = 0;
        for round in 0..3000_usize {
            let alphabet = [2, 4, 16, 256][round % 4];
            let mut text = Vec::new();
            while text.len() < round * 7 % 20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let [a, b, c, ..] = state.to_be_bytes();
                if a < 40 && text.len() > usize::from(b) {
                    // Something that was there before, at any distance.
                    let from = text.len() - 1 - usize::from(b);
                    let until = text.len().min(from + usize::from(c));
                    text.extend_from_within(from..until);
                } else {
                    text.push(a % u8::try_from(alphabet - 1).unwrap_or(u8::MAX).max(1));
                }
            }
            if let Some(packed) = compressor.compressed(&text) {
                assert!(packed.len() + SAVED_BYTES_MIN <= text.len());
                assert_eq!(lzf::unpacked(packed, text.len()), Some(text));
                packed_any += 1;
            }
        }
        assert!(packed_any > 1000, "{packed_any}");
    }

    #[test]
    fn runs_become_copies_of_any_length() {
        let mut compressor = Compressor::on();
        for len in (21..400).chain(8180..8210).chain([70_000]) {
            let text = vec![b'a'; len];
            let packed = compressor.compressed(&text).expect("a run").to_vec();
            assert!(packed.len() < 8 + len / 50, "{len}");
            assert_eq!(lzf::unpacked(&packed, len), Some(text));
        }
    }

    #[test]
    fn short_strings_and_noise_stay_as_they_are() {
        let mut compressor = Compressor::on();
        assert_eq!(compressor.compressed(&[b'a'; 20]), None);
        let noise: Vec<u8> = (0..=255).collect();
        assert_eq!(compressor.compressed(&noise), None);
        assert_eq!(Compressor::off().compressed(&[b'a'; 100]), None);
    }

    #[test]
    fn positions_begin_anew_before_they_overflow() {
        let mut compressor = Compressor::on();
        compressor.table.as_mut().expect("is on").base = u32::MAX - 50;
        let text = [b'a'; 40];
        for _ in 0..3 {
            let packed = compressor.compressed(&text).expect("a run").to_vec();
            assert_eq!(lzf::unpacked(&packed, text.len()), Some(text.to_vec()));
        }
    }
}
