//! The ranges of BITCOUNT and BITPOS.

use darter_command_table::{Arg, Call, ReplyError};
use std::ops::Range;

/// The documentation of `start [end [BYTE|BIT]]`.
pub(super) const RANGE_ARG: Arg = Arg::block(
    "range",
    &[
        Arg::integer("start"),
        Arg::block(
            "end-unit-block",
            &[
                Arg::integer("end"),
                Arg::one_of("unit", &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")])
                    .since("7.0.0")
                    .optional(),
            ],
        )
        .optional(),
    ],
)
.optional();

/// A range as given: both ends included, negative ones counted from the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitRange {
    pub(super) start: i64,
    /// `None`: to the end of the string.
    pub(super) end: Option<i64>,
    unit_bits: i64,
}

impl BitRange {
    /// The range in the arguments from `index` on; `None` when there is none.
    pub(super) fn parse(call: &Call<'_>, index: usize) -> Result<Option<Self>, ReplyError> {
        let given = call.args.len() - index;
        if given == 0 {
            return Ok(None);
        }
        if given > 3 {
            return Err(ReplyError::Syntax);
        }
        let start = call.integer(index)?;
        let unit_bits = match given {
            3 if call.is_word(index + 2, "BIT") => 1,
            3 if !call.is_word(index + 2, "BYTE") => return Err(ReplyError::Syntax),
            _ => 8,
        };
        let end = if given > 1 { Some(call.integer(index + 1)?) } else { None };
        Ok(Some(Self { start, end, unit_bits }))
    }

    /// Whether both ends count from the end and are in the wrong order.
    pub(super) const fn is_reversed(self) -> bool {
        matches!(self.end, Some(end) if self.start < 0 && end < 0 && self.start > end)
    }

    /// The positions of bits it means in a string of `len` bytes; empty when start is behind end.
    pub(super) fn bits(self, len: usize) -> Range<u64> {
        let total = i64::try_from(len).unwrap_or(i64::MAX) * 8 / self.unit_bits;
        let from_front = |offset: i64| if offset < 0 { (offset + total).max(0) } else { offset };
        let start = from_front(self.start);
        let end = from_front(self.end.unwrap_or(-1)).min(total - 1);
        if start > end {
            return 0..0;
        }
        let bits = |units: i64| (units * self.unit_bits).unsigned_abs();
        bits(start)..bits(end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_string() {
        let range = |start, end, unit_bits| BitRange { start, end, unit_bits }.bits(3);
        assert_eq!(range(0, None, 8), 0..24);
        assert_eq!(range(1, Some(-1), 8), 8..24);
        assert_eq!(range(-2, Some(-2), 8), 8..16);
        assert_eq!(range(-100, Some(100), 8), 0..24);
        assert_eq!(range(i64::MIN, Some(i64::MAX), 1), 0..24);
        assert_eq!(range(5, Some(9), 1), 5..10);
        assert_eq!(range(3, None, 8), 0..0);
        assert_eq!(range(2, Some(1), 8), 0..0);
        assert_eq!(range(0, Some(-100), 8), 0..8, "before the first byte means the first");
        assert_eq!(BitRange { start: 0, end: None, unit_bits: 8 }.bits(0), 0..0);
    }
}
