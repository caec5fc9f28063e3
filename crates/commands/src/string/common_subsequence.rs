//! Longest common subsequences, by rows of bits.
//!
//! The textbook table `L(i, j)`, the length for the first `i` bytes of one string and the first `j`
//! of the other, takes a number per pair. Neighbours in a row differ by 0 or 1, so a bit per pair
//! is enough, and a whole row follows from the one above it with a few operations on 64 columns at a
//! time (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004):
//!
//! ```text
//! bit j of row i is 0  <=>  L(i, j) = L(i, j - 1) + 1
//! next row = (row + (row & matches)) | (row & !matches)       matches: columns with this byte
//! ```
//!
//! With all rows kept, the way back needs nothing more. Redis goes left on a tie and up only where
//! the length above is greater: at a mismatch `L(i, j)` is the greater of the two, so the way goes up
//! exactly where the bit is 0. Tables of the 512 MB that Redis allows take 16 MB here, and a
//! sixty-fourth of the time.

use std::collections::TryReserveError;

const BITS: usize = u64::BITS as usize;

/// A run of equal bytes that belongs to the common subsequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Where it begins in the first string.
    pub(super) left: usize,
    /// Where it begins in the second string.
    pub(super) right: usize,
    /// Bytes in it, at least 1.
    pub(super) len: usize,
}

/// Where each byte value stands in a string: a row of bits for each value that another string has.
struct Occurrences {
    /// From byte value to row, if any.
    rows: [Option<u8>; 256],
    bits: Vec<u64>,
    words: usize,
}

impl Occurrences {
    fn new(columns: &[u8], needed: &[u8]) -> Result<Self, TryReserveError> {
        let words = columns.len().div_ceil(BITS);
        let mut rows = [None; 256];
        let mut next = 0_u8;
        for byte in needed {
            let row = &mut rows[usize::from(*byte)];
            if row.is_none() {
                *row = Some(next);
                // After the last of 256 there is no next.
                next = next.wrapping_add(1);
            }
        }
        let count = rows.iter().flatten().count();
        let mut bits = Vec::new();
        bits.try_reserve_exact(count * words)?;
        bits.resize(count * words, 0);
        for (column, byte) in columns.iter().enumerate() {
            if let Some(row) = rows[usize::from(*byte)] {
                bits[usize::from(row) * words + column / BITS] |= 1 << (column % BITS);
            }
        }
        Ok(Self { rows, bits, words })
    }

    /// The columns where `byte` stands. It is one of those needed.
    fn of(&self, byte: u8) -> &[u64] {
        let row = usize::from(self.rows[usize::from(byte)].expect("one of the bytes needed"));
        &self.bits[row * self.words..(row + 1) * self.words]
    }
}

/// Makes `row` the next one, for a byte that stands in the columns `matches`.
fn advance(row: &mut [u64], matches: &[u64]) {
    let mut carry = false;
    for (word, matches) in row.iter_mut().zip(matches) {
        let (sum, carried) = word.carrying_add(*word & matches, carry);
        carry = carried;
        *word = sum | (*word & !matches);
    }
}

/// Zero bits in the first `columns` bits of `row`.
fn len_of(row: &[u64], columns: usize) -> usize {
    let mut ones = 0;
    for (index, word) in row.iter().enumerate() {
        let used = (columns - index * BITS).min(BITS);
        let mask = if used == BITS { u64::MAX } else { (1 << used) - 1 };
        ones += (word & mask).count_ones() as usize;
    }
    columns - ones
}

/// The length of the longest common subsequence. O(`left.len() * right.len() / 64`) time, and memory
/// of 32 times the longer string at most. Fails when there is not enough of it.
pub(super) fn len(left: &[u8], right: &[u8]) -> Result<usize, TryReserveError> {
    // Fewer and longer rows: each has its price.
    let (rows, columns) = if left.len() < right.len() { (left, right) } else { (right, left) };
    let occurrences = Occurrences::new(columns, rows)?;
    let mut row = vec![u64::MAX; occurrences.words];
    for byte in rows {
        advance(&mut row, occurrences.of(*byte));
    }
    Ok(len_of(&row, columns.len()))
}

/// The matches of the longest common subsequence that Redis finds, the last one first. Takes memory
/// of `left.len() * right.len() / 8` bytes; fails when there is not enough of it.
pub(super) fn matches(left: &[u8], right: &[u8]) -> Result<Vec<Match>, TryReserveError> {
    let row_bytes = right.len().div_ceil(8);
    let rows = all_rows(left, right, row_bytes)?;
    let mut found: Vec<Match> = Vec::new();
    let (mut i, mut j) = (left.len(), right.len());
    while i > 0 && j > 0 {
        if left[i - 1] == right[j - 1] {
            i -= 1;
            j -= 1;
            match found.last_mut() {
                Some(last) if last.left == i + 1 && last.right == j + 1 => {
                    *last = Match { left: i, right: j, len: last.len + 1 };
                }
                _ => found.push(Match { left: i, right: j, len: 1 }),
            }
        } else if rows[(i - 1) * row_bytes + (j - 1) / 8] >> ((j - 1) % 8) & 1 == 0 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    Ok(found)
}

/// Every row, in the first `row_bytes` bytes that hold its columns: many rows may be short, and
/// rounding each up to whole words would cost up to eight times the memory.
fn all_rows(left: &[u8], right: &[u8], row_bytes: usize) -> Result<Vec<u8>, TryReserveError> {
    let occurrences = Occurrences::new(right, left)?;
    let mut rows = Vec::new();
    rows.try_reserve_exact(left.len() * row_bytes)?;
    if occurrences.words == 1 {
        let mut row = u64::MAX;
        for byte in left {
            advance(std::slice::from_mut(&mut row), occurrences.of(*byte));
            rows.extend_from_slice(&row.to_le_bytes()[..row_bytes]);
        }
        return Ok(rows);
    }
    let mut row = vec![u64::MAX; occurrences.words];
    for byte in left {
        advance(&mut row, occurrences.of(*byte));
        let begin = rows.len();
        rows.resize(begin + row_bytes, 0);
        let (whole, rest) = rows[begin..].as_chunks_mut::<8>();
        for (bytes, word) in whole.iter_mut().zip(&row) {
            *bytes = word.to_le_bytes();
        }
        if let Some(last) = row.last() {
            rest.copy_from_slice(&last.to_le_bytes()[..rest.len()]);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis documents it: the whole table, and the way back through it.
    fn table_matches(left: &[u8], right: &[u8]) -> (usize, Vec<Match>) {
        let width = right.len() + 1;
        let mut table = vec![0; (left.len() + 1) * width];
        for i in 1..=left.len() {
            for j in 1..=right.len() {
                table[i * width + j] = if left[i - 1] == right[j - 1] {
                    table[(i - 1) * width + j - 1] + 1
                } else {
                    table[(i - 1) * width + j].max(table[i * width + j - 1])
                };
            }
        }
        let mut found: Vec<Match> = Vec::new();
        let (mut i, mut j) = (left.len(), right.len());
        while i > 0 && j > 0 {
            if left[i - 1] == right[j - 1] {
                i -= 1;
                j -= 1;
                match found.last_mut() {
                    Some(last) if last.left == i + 1 && last.right == j + 1 => {
                        *last = Match { left: i, right: j, len: last.len + 1 };
                    }
                    _ => found.push(Match { left: i, right: j, len: 1 }),
                }
            } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        (table[left.len() * width + right.len()], found)
    }

    #[test]
    fn rows_of_bits_agree_with_the_table() {
        let mut state = 1_u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        for round in 0..300 {
            let letters = [1, 2, 4, 26, 256][round % 5];
            let mut string = || -> Vec<u8> {
                let len = random(if round % 3 == 0 { 8 } else { 200 });
                (0..len).map(|_| random(letters).to_le_bytes()[0]).collect()
            };
            let (left, right) = (string(), string());
            let (expected_len, expected) = table_matches(&left, &right);
            assert_eq!(len(&left, &right), Ok(expected_len));
            assert_eq!(matches(&left, &right).as_ref(), Ok(&expected), "{left:?} {right:?}");
            assert_eq!(expected.iter().map(|found| found.len).sum::<usize>(), expected_len);
        }
    }

    #[test]
    fn every_byte_value_has_its_row() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(len(&all, &all), Ok(256));
        assert_eq!(matches(&all, &all), Ok(vec![Match { left: 0, right: 0, len: 256 }]));
    }
}
