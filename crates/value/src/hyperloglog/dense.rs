//! Registers of 6 bits, packed from the lowest bit of the first byte up: four in three bytes.

use super::REGISTERS;
use super::estimate::VALUES;

const BITS: usize = 6;
const MASK: u16 = (1 << BITS) - 1;
/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

/// Raises the register `index` to `value` if it is lower; whether it was.
#[inline]
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    // The last register ends with the last byte.
    let next = registers.get(at + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([registers[at], next]);
    if pair >> shift & MASK >= u16::from(value) {
        return false;
    }
    let [low, high] = (pair & !(MASK << shift) | u16::from(value) << shift).to_le_bytes();
    registers[at] = low;
    if let Some(next) = registers.get_mut(at + 1) {
        *next = high;
    }
    true
}

/// Calls `visit` with four registers at a time, in order.
#[inline]
fn each_four(registers: &[u8], mut visit: impl FnMut([u8; 4])) {
    for three in registers.chunks_exact(3) {
        let [a, b, c] = [three[0], three[1], three[2]];
        visit([a & 63, (a >> 6 | b << 2) & 63, (b >> 4 | c << 4) & 63, c >> 2]);
    }
}

/// Adds the registers to a histogram of their values.
pub(super) fn count_values(registers: &[u8], histogram: &mut [u32; VALUES]) {
    // Four counters for each value, so that equal neighbours do not wait for each other.
    let mut counts = [[0_u32; 4]; VALUES];
    each_four(registers, |four| {
        for (lane, value) in four.into_iter().enumerate() {
            counts[usize::from(value)][lane] += 1;
        }
    });
    for (total, lanes) in histogram.iter_mut().zip(&counts) {
        *total += lanes.iter().sum::<u32>();
    }
}

/// Raises each of `values` to its register.
pub(super) fn merge_into(values: &mut [u8; REGISTERS], registers: &[u8]) {
    let mut fours = values.chunks_exact_mut(4);
    each_four(registers, |four| {
        let values = fours.next().expect("as many registers as values");
        for (value, register) in values.iter_mut().zip(four) {
            *value = register.max(*value);
        }
    });
}
