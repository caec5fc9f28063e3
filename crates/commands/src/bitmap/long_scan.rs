//! BITCOUNT and BITPOS of long strings, in slices.

use super::range::BitRange;
use crate::joint::{Operands, Work, work_in_slices};
use darter_command_table::{Call, ReplyError, Slice};
use darter_resp::{Protocol, ReplyWriter};
use darter_shard::{Key, Keyspace};
use darter_value::bitmap;
use darter_value::integer::IntegerText;
use std::ops::Range;

/// Bits that are gone through before others have their turn: half a millisecond's work.
const BITS_PER_SLICE: u64 = 8 * (4 << 20);

/// Leaves a command to its slices if it would go through so many bits.
pub(super) fn in_one_piece(call: &Call<'_>, bits: &Range<u64>) -> Result<(), ReplyError> {
    /// As many as take as long as an element elsewhere.
    const BITS_PER_ELEMENT: u64 = 8 * 2048;
    let bits = bits.end.saturating_sub(bits.start);
    call.in_one_piece(usize::try_from(bits / BITS_PER_ELEMENT).unwrap_or(usize::MAX))
}

/// Begins to count the set bits of the string at argument 1.
pub(super) fn count_in_slices(call: &Call<'_>, range: Option<BitRange>) -> Box<dyn Slice> {
    work_in_slices(call, 1..2, None, Counting { range, next: None, count: 0 })
}

/// Begins to look for a bit in the string at argument 1.
pub(super) fn find_in_slices(
    call: &Call<'_>,
    wanted: bool,
    range: Option<BitRange>,
) -> Box<dyn Slice> {
    work_in_slices(call, 1..2, None, Finding { wanted, range, next: None, found: None })
}

/// The bits that `range` means in a string of `len` bytes.
pub(super) fn bits_of(range: Option<BitRange>, len: usize) -> Range<u64> {
    range.map_or(0..len as u64 * 8, |range| range.bits(len))
}

struct Counting {
    range: Option<BitRange>,
    /// The bit to go on with; `None` before the beginning.
    next: Option<u64>,
    count: u64,
}

struct Finding {
    wanted: bool,
    range: Option<BitRange>,
    /// The bit to go on with; `None` before the beginning.
    next: Option<u64>,
    found: Option<u64>,
}

/// The next bits to go through of `all`.
fn slice_of(all: &Range<u64>, next: Option<u64>) -> Range<u64> {
    let start = next.unwrap_or(all.start);
    start..all.end.min(start + BITS_PER_SLICE)
}

impl Work for Counting {
    fn begin(&mut self) {
        self.next = None;
        self.count = 0;
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let mut text = IntegerText::new();
        let Some(value) = operands.values().next().flatten() else { return Ok(false) };
        let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
        if self.range.is_some_and(BitRange::is_reversed) {
            return Ok(false);
        }
        let all = bits_of(self.range, bytes.len());
        let slice = slice_of(&all, self.next);
        self.next = Some(slice.end);
        let has_more = slice.end < all.end;
        self.count += bitmap::count_ones_in(bytes, slice);
        Ok(has_more)
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.integer(self.count.cast_signed());
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}

impl Work for Finding {
    fn begin(&mut self) {
        self.next = None;
        self.found = None;
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let mut text = IntegerText::new();
        let Some(value) = operands.values().next().flatten() else {
            self.found = (!self.wanted).then_some(0);
            return Ok(false);
        };
        let bytes = value.string_bytes(&mut text).ok_or(ReplyError::WrongType)?;
        let all = bits_of(self.range, bytes.len());
        let slice = slice_of(&all, self.next);
        self.next = Some(slice.end);
        let is_last = slice.end >= all.end;
        self.found = bitmap::find(bytes, self.wanted, slice);
        if self.found.is_none() && is_last {
            self.found = beyond(self.wanted, self.range, &all);
        }
        Ok(self.found.is_none() && !is_last)
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.integer(self.found.map_or(-1, u64::cast_signed));
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}

/// Where a bit is that none of `bits` is: a string goes on in clear bits, unless the end of the range was given.
pub(super) fn beyond(wanted: bool, range: Option<BitRange>, bits: &Range<u64>) -> Option<u64> {
    let goes_on = !wanted && !bits.is_empty() && range.is_none_or(|range| range.end.is_none());
    goes_on.then_some(bits.end)
}
