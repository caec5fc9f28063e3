//! Registers as runs of equal ones.
//!
//! ```text
//! 00 nnnnnn             n + 1 registers are 0                     (1 to 64)
//! 01 nnnnnn nnnnnnnn    n + 1 registers are 0, high bits first    (1 to 16384)
//! 1 vvvvv nn            n + 1 registers are v + 1                 (1 to 4; values 1 to 32)
//! ```
//!
//! Together they cover all registers. Raising a register splits its run in up to three and then joins
//! equal neighbours around it, in just the way Redis does: strings stay equal byte for byte.

use super::estimate::VALUES;
use super::{Corrupt, HEADER_BYTES, REGISTERS};

const ZEROS_SHORT_MAX: usize = 64;
const ZEROS_LONG_MAX: usize = 1 << 14;
const EQUALS_MAX: usize = 4;
const VALUE_MAX: u8 = 32;
/// A run that is split becomes at most two long runs of zeroes and one of a value.
const SPLIT_BYTES_MAX: usize = 5;
/// How many runs are looked at for equal neighbours, from the one before the change on.
const RUNS_JOINED_MAX: usize = 5;

/// Equal registers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The value of each, 0 to 32.
    pub value: u8,
    /// How many.
    pub len: usize,
    /// Whether it is written in the longer form, which holds zeroes only.
    pub long: bool,
}

impl Run {
    /// The run at the start of `bytes`.
    #[inline]
    fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let first = *bytes.first().ok_or(Corrupt)?;
        let low = usize::from(first & 0x3f);
        Ok(match first >> 6 {
            0 => Self { value: 0, len: low + 1, long: false },
            1 => {
                let second = *bytes.get(1).ok_or(Corrupt)?;
                Self { value: 0, len: (low << 8 | usize::from(second)) + 1, long: true }
            }
            _ => Self {
                value: (first >> 2 & 0x1f) + 1,
                len: usize::from(first & 0x3) + 1,
                long: false,
            },
        })
    }

    /// Bytes it takes.
    const fn bytes(self) -> usize {
        1 + self.long as usize
    }
}

/// What raising a register did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is as high already.
    Unchanged,
    /// It was raised.
    Changed,
    /// The value, or the result, is too big for this form.
    DoesNotFit,
}

/// The runs in `bytes`, which begin behind the header.
pub(super) fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let run = Run::read(bytes);
        bytes = run.map_or(&[], |run| &bytes[run.bytes()..]);
        Some(run)
    })
}

/// Calls `visit` with each run and its first register. An error if they do not cover exactly all
/// registers; `visit` may have been called by then, with registers that exist.
fn each_run(bytes: &[u8], mut visit: impl FnMut(usize, Run)) -> Result<(), Corrupt> {
    let mut first = 0;
    for run in runs(bytes) {
        let run = run?;
        if run.len > REGISTERS - first {
            return Err(Corrupt);
        }
        visit(first, run);
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Calls `visit` with each register that is not 0 and its value.
pub(super) fn each_value(bytes: &[u8], mut visit: impl FnMut(usize, u8)) -> Result<(), Corrupt> {
    each_run(bytes, |first, run| {
        if run.value > 0 {
            (first..first + run.len).for_each(|index| visit(index, run.value));
        }
    })
}

/// Adds the registers to a histogram of their values.
pub(super) fn count_values(bytes: &[u8], histogram: &mut [u32; VALUES]) -> Result<(), Corrupt> {
    each_run(bytes, |_, run| {
        histogram[usize::from(run.value)] += u32::try_from(run.len).expect("at most 16384");
    })
}

/// Appends a run of `len` (up to 16384) zeroes, none if it is 0.
pub(super) fn append_zeros(bytes: &mut Vec<u8>, len: usize) {
    debug_assert!(len <= ZEROS_LONG_MAX);
    let Some(count) = len.checked_sub(1) else { return };
    let [low, high, ..] = count.to_le_bytes();
    if len <= ZEROS_SHORT_MAX {
        bytes.push(low);
    } else {
        bytes.extend([0x40 | high, low]);
    }
}

/// Appends a run of `len` (up to 4) registers of `value` (1 to 32), none if `len` is 0.
fn append_equals(bytes: &mut Vec<u8>, value: u8, len: usize) {
    let Some(count) = len.checked_sub(1) else { return };
    bytes.push(equals(value, count));
}

/// The byte of `count` + 1 registers of `value`.
fn equals(value: u8, count: usize) -> u8 {
    debug_assert!(count < EQUALS_MAX && (1..=VALUE_MAX).contains(&value));
    0x80 | (value - 1) << 2 | u8::try_from(count).expect("below 4")
}

/// Raises the register `index` of the whole string `bytes` to `value` if it is lower, unless that makes
/// it longer than `bytes_max`.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    bytes_max: u32,
) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::DoesNotFit);
    }
    // The run of the register, and where the one before it is.
    let mut at = HEADER_BYTES;
    let mut before_at = HEADER_BYTES;
    let mut first = 0;
    let run = loop {
        let run = Run::read(&bytes[at..])?;
        if index < first + run.len {
            break run;
        }
        before_at = at;
        at += run.bytes();
        first += run.len;
    };
    if run.value >= value {
        return Ok(Raised::Unchanged);
    }
    if run.len == 1 && !run.long {
        bytes[at] = equals(value, 0);
    } else {
        let (left, right) = (index - first, first + run.len - 1 - index);
        let mut split = Vec::with_capacity(SPLIT_BYTES_MAX);
        let append = |split: &mut Vec<u8>, len| match run.value {
            0 => append_zeros(split, len),
            value => append_equals(split, value, len),
        };
        append(&mut split, left);
        append_equals(&mut split, value, 1);
        append(&mut split, right);
        let len = bytes.len() - run.bytes() + split.len();
        if len > bytes.len() && len as u64 > u64::from(bytes_max) {
            return Ok(Raised::DoesNotFit);
        }
        bytes.splice(at..at + run.bytes(), split);
    }
    join_equals(bytes, before_at);
    Ok(Raised::Changed)
}

/// Joins runs of the same value from `at` on.
fn join_equals(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..RUNS_JOINED_MAX {
        let Some(Ok(run)) = bytes.get(at..).map(Run::read) else { return };
        if run.value > 0
            && let Some(Ok(next)) = bytes.get(at + 1..).map(Run::read)
            && next.value == run.value
            && run.len + next.len <= EQUALS_MAX
        {
            bytes[at + 1] = equals(run.value, run.len + next.len - 1);
            bytes.remove(at);
            continue;
        }
        at += run.bytes();
    }
}
