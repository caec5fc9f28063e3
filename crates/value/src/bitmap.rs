//! Strings as arrays of bits.
//!
//! Bit 0 is the highest bit of the first byte, as Redis numbers them, so that a field of several bits
//! is a big-endian number. Everything here works on eight bytes or more at a time; positions are
//! 64-bit numbers throughout, since a string of 512 MiB has more bits than 32 can count.

use std::ops::Range;

/// Words counted together: enough to make one population count of sixteen words, on several lanes that
/// the compiler turns into vector instructions.
const LANES: usize = 4;
type Lane = [u64; LANES];
const BLOCK_BYTES: usize = 16 * LANES * size_of::<u64>();

/// How many bits are set.
///
/// Sixteen words at a time go through a tree of carry-save adders, which needs one population count
/// for them instead of sixteen (the method of Harley and Seal, described by Muła, Kurz and Lemire,
/// "Faster Population Counts Using AVX2 Instructions", 2016).
pub fn count_ones(bytes: &[u8]) -> u64 {
    let mut sixteens_count = 0;
    let (mut ones, mut twos) = ([0; LANES], [0; LANES]);
    let (mut fours, mut eights) = ([0; LANES], [0; LANES]);
    let mut blocks = bytes.chunks_exact(BLOCK_BYTES);
    for block in blocks.by_ref() {
        let lane = |index: usize| lane_at(block, index);
        let mut eights_of_half = [[0; LANES]; 2];
        for (half, eights_here) in eights_of_half.iter_mut().enumerate() {
            let mut fours_of_quarter = [[0; LANES]; 2];
            for (quarter, fours_here) in fours_of_quarter.iter_mut().enumerate() {
                let at = half * 8 + quarter * 4;
                let twos_a = add(&mut ones, lane(at), lane(at + 1));
                let twos_b = add(&mut ones, lane(at + 2), lane(at + 3));
                *fours_here = add(&mut twos, twos_a, twos_b);
            }
            *eights_here = add(&mut fours, fours_of_quarter[0], fours_of_quarter[1]);
        }
        sixteens_count += population(&add(&mut eights, eights_of_half[0], eights_of_half[1]));
    }
    let mut count = 16 * sixteens_count
        + 8 * population(&eights)
        + 4 * population(&fours)
        + 2 * population(&twos)
        + population(&ones);
    let mut words = blocks.remainder().chunks_exact(size_of::<u64>());
    for word in words.by_ref() {
        count += u64::from(word_of(word).count_ones());
    }
    count += words.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    count
}

/// How many of the bits `range` are set; those past the end are not.
pub fn count_ones_in(bytes: &[u8], range: Range<u64>) -> u64 {
    let Some(Covered { first, whole, last }) = Covered::of(bytes, range) else { return 0 };
    u64::from(first.count_ones()) + count_ones(whole) + u64::from(last.count_ones())
}

/// The first bit of `range` that is `bit`, within the string.
pub fn find(bytes: &[u8], bit: bool, range: Range<u64>) -> Option<u64> {
    let end = range.end.min(bytes.len() as u64 * 8);
    let mut position = range.start;
    // Byte by byte to the first word boundary, words while nothing is found, bytes again.
    while position < end {
        if position.is_multiple_of(8) {
            let rest = &bytes[index(position / 8)..index(end / 8).max(index(position / 8))];
            let skipped = rest
                .chunks_exact(size_of::<u64>())
                .take_while(|word| word_of(word) == if bit { 0 } else { u64::MAX })
                .count();
            position += skipped as u64 * 64;
            if position >= end {
                return None;
            }
        }
        let byte = bytes[index(position / 8)];
        let wanted = if bit { byte } else { !byte };
        // The bits before `position` are not in the range.
        let zeros = (wanted << (position % 8)).leading_zeros();
        if zeros < 8 {
            let found = position + u64::from(zeros);
            return (found < end).then_some(found);
        }
        position = (position / 8 + 1) * 8;
    }
    None
}

/// The bit at `position`; `false` past the end.
pub fn bit(bytes: &[u8], position: u64) -> bool {
    let byte = usize::try_from(position / 8).ok().and_then(|index| bytes.get(index));
    byte.is_some_and(|byte| byte & mask_of(position) != 0)
}

/// Sets the bit at `position`, which must be within the string; what it was before.
pub fn set_bit(bytes: &mut [u8], position: u64, value: bool) -> bool {
    let byte = &mut bytes[index(position / 8)];
    let mask = mask_of(position);
    let before = *byte & mask != 0;
    if value {
        *byte |= mask;
    } else {
        *byte &= !mask;
    }
    before
}

/// A field of `bits` (1 to 64) bits at `position`, as an unsigned number; bits past the end are 0.
pub fn field(bytes: &[u8], position: u64, bits: u32) -> u64 {
    let mut window = [0; WINDOW_BYTES];
    if let Some(part) = usize::try_from(position / 8).ok().and_then(|at| bytes.get(at..)) {
        let len = part.len().min(FIELD_BYTES_MAX);
        window[..len].copy_from_slice(&part[..len]);
    }
    let aligned = u128::from_be_bytes(window) << (position % 8);
    // The top 64 bits, of which the top `bits` are the field.
    let [high, ..] = halves(aligned);
    high >> (64 - bits)
}

/// Writes the lowest `bits` (1 to 64) bits of `value` at `position`, which must be within the string.
pub fn set_field(bytes: &mut [u8], position: u64, bits: u32, value: u64) {
    let at = index(position / 8);
    let shift = u32::try_from(position % 8).expect("below 8");
    let len = usize::try_from((shift + bits).div_ceil(8)).expect("at most 9");
    let part = &mut bytes[at..at + len];
    let mut window = [0; WINDOW_BYTES];
    window[..len].copy_from_slice(part);
    let mask = u128::from(u64::MAX >> (64 - bits)) << (128 - bits - shift);
    let value = (u128::from(value) << (128 - bits - shift)) & mask;
    let window = (u128::from_be_bytes(window) & !mask | value).to_be_bytes();
    part.copy_from_slice(&window[..len]);
}

/// `field` as a signed number of `bits` bits.
pub const fn sign_extended(field: u64, bits: u32) -> i64 {
    (field << (64 - bits)).cast_signed() >> (64 - bits)
}

/// Bytes a field of 64 bits can touch.
const FIELD_BYTES_MAX: usize = 9;
const WINDOW_BYTES: usize = size_of::<u128>();

/// The operations of BITOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits set in all sources.
    And,
    /// Bits set in any source.
    Or,
    /// Bits set in an odd number of sources.
    Xor,
    /// Bits not set in the only source.
    Not,
    /// Bits set in the first source and in no other.
    Diff,
    /// Bits set in some source but the first, and not in that.
    Diff1,
    /// Bits set in the first source and in some other.
    AndOr,
    /// Bits set in exactly one source.
    One,
}

/// The result of an [`Operation`] on strings given one after the other; shorter ones are taken to end
/// in zeroes. At most three buffers as long as the longest string.
#[derive(Debug)]
pub struct Combination {
    operation: Operation,
    sources: usize,
    /// The result so far. For `Diff`, `Diff1` and `AndOr`: the union of all sources but the first; for
    /// `One`: bits seen at least once.
    result: Vec<u8>,
    /// For `Diff`, `Diff1` and `AndOr`: the first source; for `One`: bits seen more than once.
    other: Vec<u8>,
}

impl Combination {
    /// With no source yet.
    pub const fn new(operation: Operation) -> Self {
        Self { operation, sources: 0, result: Vec::new(), other: Vec::new() }
    }

    /// Takes in the next source.
    pub fn add(&mut self, source: &[u8]) {
        let is_first = self.sources == 0;
        self.sources += 1;
        match self.operation {
            Operation::Diff | Operation::Diff1 | Operation::AndOr if is_first => {
                self.other = source.to_vec();
            }
            _ if is_first => self.result = source.to_vec(),
            Operation::And => {
                lengthen(&mut self.result, source.len());
                let (both, rest) = self.result.split_at_mut(source.len());
                zip_words(both, source, |left, right| left & right);
                rest.fill(0);
            }
            Operation::Xor => {
                lengthen(&mut self.result, source.len());
                zip_words(&mut self.result, source, |left, right| left ^ right);
            }
            Operation::One => {
                lengthen(&mut self.result, source.len());
                lengthen(&mut self.other, source.len());
                let again = &mut self.other[..source.len()];
                for ((again, once), byte) in again.iter_mut().zip(&self.result).zip(source) {
                    *again |= once & byte;
                }
                zip_words(&mut self.result, source, |left, right| left | right);
            }
            Operation::Or | Operation::Diff | Operation::Diff1 | Operation::AndOr => {
                lengthen(&mut self.result, source.len());
                zip_words(&mut self.result, source, |left, right| left | right);
            }
            Operation::Not => unreachable!("NOT has one source"),
        }
    }

    /// The result, as long as the longest source.
    pub fn finish(mut self) -> Vec<u8> {
        let len = self.result.len().max(self.other.len());
        match self.operation {
            Operation::And | Operation::Or | Operation::Xor => self.result,
            Operation::Not => {
                self.result.iter_mut().for_each(|byte| *byte = !*byte);
                self.result
            }
            Operation::Diff => {
                lengthen(&mut self.other, len);
                zip_words(&mut self.other, &self.result, |first, others| first & !others);
                self.other
            }
            Operation::AndOr => {
                lengthen(&mut self.other, len);
                lengthen(&mut self.result, len);
                zip_words(&mut self.other, &self.result, |first, others| first & others);
                self.other
            }
            Operation::Diff1 => {
                lengthen(&mut self.result, len);
                zip_words(&mut self.result, &self.other, |others, first| others & !first);
                self.result
            }
            Operation::One => {
                zip_words(&mut self.result, &self.other, |once, again| once & !again);
                self.result
            }
        }
    }
}

/// Bytes of a string that a range of bits covers: whole ones, and what is left of those at the ends
/// with the bits outside of the range cleared.
struct Covered<'a> {
    first: u8,
    whole: &'a [u8],
    last: u8,
}

impl<'a> Covered<'a> {
    /// `None` when the range is empty or wholly past the end.
    fn of(bytes: &'a [u8], range: Range<u64>) -> Option<Self> {
        let end = range.end.min(bytes.len() as u64 * 8);
        if range.start >= end {
            return None;
        }
        let from = index(range.start.div_ceil(8));
        let to = index(end / 8);
        let after_start = 0xff_u8 >> (range.start % 8);
        let before_end = !(0xff_u8 >> (end % 8));
        if from > to {
            // Both ends are inside of one byte.
            return Some(Self { first: bytes[to] & after_start & before_end, whole: &[], last: 0 });
        }
        let first = if range.start.is_multiple_of(8) { 0 } else { bytes[from - 1] & after_start };
        let last = if end.is_multiple_of(8) { 0 } else { bytes[to] & before_end };
        Some(Self { first, whole: &bytes[from..to], last })
    }
}

/// Adds two lanes to `sum` bit by bit; the carries.
#[inline]
fn add(sum: &mut Lane, left: Lane, right: Lane) -> Lane {
    let mut carries = [0; LANES];
    for index in 0..LANES {
        let half = sum[index] ^ left[index];
        carries[index] = (sum[index] & left[index]) | (half & right[index]);
        sum[index] = half ^ right[index];
    }
    carries
}

#[inline]
fn population(lane: &Lane) -> u64 {
    lane.iter().map(|word| u64::from(word.count_ones())).sum()
}

#[inline]
fn lane_at(block: &[u8], at: usize) -> Lane {
    let bytes = &block[at * LANES * 8..(at + 1) * LANES * 8];
    std::array::from_fn(|index| word_of(&bytes[index * 8..index * 8 + 8]))
}

/// Eight bytes as a word, in either order of bytes: only whole bits are counted and compared.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
}

/// The high and the low half.
const fn halves(number: u128) -> [u64; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "one half each")]
    let halves = [(number >> 64) as u64, number as u64];
    halves
}

/// A position in bytes as an index. Positions are checked against a length before, or limited by the
/// longest string, so this fits.
fn index(byte: u64) -> usize {
    usize::try_from(byte).expect("a position within memory")
}

const fn mask_of(position: u64) -> u8 {
    0x80 >> (position % 8)
}

fn lengthen(bytes: &mut Vec<u8>, len_min: usize) {
    if bytes.len() < len_min {
        bytes.resize(len_min, 0);
    }
}

/// Combines `left` with `right`, as far as both go. Compiles to vector instructions.
#[inline]
fn zip_words(left: &mut [u8], right: &[u8], combine: impl Fn(u8, u8) -> u8) {
    for (left, right) in left.iter_mut().zip(right) {
        *left = combine(*left, *right);
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    /// A bit of the result, from the bit of the first source and how many of the others have it.
    type Expected = fn(bool, usize) -> bool;

    /// Bytes that look random, the same each time.
    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect()
    }

    fn bits_of(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)).collect()
    }

    #[test]
    fn counting_agrees_with_counting_one_by_one() {
        for len in [0, 1, 7, 8, 9, 63, 64, 511, 512, 513, 1024, 5000] {
            let bytes = noise(len, len as u64 + 1);
            let expected = bits_of(&bytes).iter().filter(|bit| **bit).count() as u64;
            assert_eq!(count_ones(&bytes), expected, "{len}");
        }
        assert_eq!(count_ones(&[0xff; 4096]), 4096 * 8);
    }

    #[test]
    fn ranges_of_bits_are_exact() {
        let mut bytes = noise(40, 3);
        bytes[8..32].fill(0);
        bytes[12..20].fill(0xff);
        let bits = bits_of(&bytes);
        for start in 0..340 {
            for end in start..340 {
                let within = &bits[start.min(320)..end.min(320)];
                let range = start as u64..end as u64;
                let ones = within.iter().filter(|bit| **bit).count() as u64;
                assert_eq!(count_ones_in(&bytes, range.clone()), ones, "{range:?}");
                for wanted in [false, true] {
                    let found = within.iter().position(|bit| *bit == wanted);
                    let expected = found.map(|at| (start + at) as u64);
                    assert_eq!(find(&bytes, wanted, range.clone()), expected, "{range:?} {wanted}");
                }
            }
        }
    }

    #[test]
    fn fields_are_read_back_and_touch_no_other_bit() {
        let bytes = noise(20, 9);
        let bits = bits_of(&bytes);
        for position in 0..70_u64 {
            for width in 1..=64_u32 {
                let value = 0x0123_4567_89ab_cdef_u64.rotate_left(position as u32) >> (64 - width);
                let mut edited = bytes.clone();
                set_field(&mut edited, position, width, value);
                assert_eq!(field(&edited, position, width), value);
                let range = position as usize..position as usize + width as usize;
                let others = |bits: Vec<bool>| {
                    let outside = |(at, _): &(usize, bool)| !range.contains(at);
                    bits.into_iter().enumerate().filter(outside).collect::<Vec<_>>()
                };
                assert_eq!(others(bits_of(&edited)), others(bits.clone()), "{position} {width}");
            }
        }
        assert_eq!(field(&bytes, 1 << 60, 64), 0, "past the end");
        assert_eq!(field(&[0xff], 4, 8), 0xf0);
        assert_eq!(sign_extended(0b101, 3), -3);
        assert_eq!(sign_extended(u64::MAX, 64), -1);
        assert_eq!(sign_extended(0b01, 2), 1);
    }

    #[test]
    fn combinations_agree_with_combining_bit_by_bit() {
        let sources = [noise(70, 1), noise(33, 2), noise(128, 3), Vec::new(), noise(9, 5)];
        let len = 128;
        let operations: [(Operation, Expected); 7] = [
            (Operation::And, |first, others| first && others == 4),
            (Operation::Or, |first, others| first || others > 0),
            (Operation::Xor, |first, others| first == others.is_multiple_of(2)),
            (Operation::Diff, |first, others| first && others == 0),
            (Operation::Diff1, |first, others| !first && others > 0),
            (Operation::AndOr, |first, others| first && others > 0),
            (Operation::One, |first, others| usize::from(first) + others == 1),
        ];
        for (operation, expected) in operations {
            let mut combination = Combination::new(operation);
            for source in &sources {
                combination.add(source);
            }
            let result = combination.finish();
            assert_eq!(result.len(), len, "{operation:?}");
            for position in 0..len as u64 * 8 {
                let others = sources[1..].iter().filter(|source| bit(source, position)).count();
                assert_eq!(
                    bit(&result, position),
                    expected(bit(&sources[0], position), others),
                    "{operation:?} {position}"
                );
            }
        }
        let mut not = Combination::new(Operation::Not);
        not.add(&[0x0f, 0xff]);
        assert_eq!(not.finish(), [0xf0, 0x00]);
    }

    #[test]
    fn a_bit_is_set_where_it_was_said() {
        let mut bytes = [0; 3];
        assert!(!set_bit(&mut bytes, 9, true));
        assert_eq!(bytes, [0, 0x40, 0]);
        assert!(bit(&bytes, 9) && !bit(&bytes, 8) && !bit(&bytes, u64::MAX));
        assert!(set_bit(&mut bytes, 9, false));
        assert_eq!(bytes, [0; 3]);
    }
}
