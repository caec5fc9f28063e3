//! Ranges of elements as clients give them: two indices, both included, negative ones counted from the
//! end.

use darter_command_table::{Call, ReplyError};
use std::ops::Range;

/// The two indices of a range, not yet within anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexRange {
    pub(crate) start: i64,
    pub(crate) stop: i64,
}

impl IndexRange {
    /// The arguments at `index` and behind it.
    pub(crate) fn parse(call: &Call<'_>, index: usize) -> Result<Self, ReplyError> {
        Ok(Self { start: call.integer(index)?, stop: call.integer(index + 1)? })
    }

    /// What of it lies within `len` elements.
    pub(crate) fn within(self, len: usize) -> Range<usize> {
        let start = from_front(self.start, len).max(0);
        let end = from_front(self.stop, len).saturating_add(1);
        let position = |index: i64| usize::try_from(index.max(0)).unwrap_or(usize::MAX).min(len);
        let (start, end) = (position(start), position(end));
        if start < end { start..end } else { 0..0 }
    }
}

/// The element that `index` means among `len`, if there is one.
pub(crate) fn element_index(index: i64, len: usize) -> Option<usize> {
    usize::try_from(from_front(index, len)).ok().filter(|index| *index < len)
}

/// `index` counted from the front, negative if it lies before.
fn from_front(index: i64, len: usize) -> i64 {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    if index < 0 { index.saturating_add(len) } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        let cases = [
            ((0, -1), 0..5),
            ((0, 0), 0..1),
            ((-1, -1), 4..5),
            ((1, 3), 1..4),
            ((-100, 100), 0..5),
            ((3, 1), 0..0),
            ((5, 9), 0..0),
            ((-9, -6), 0..0),
            ((-9, -5), 0..1),
            ((i64::MIN, i64::MAX), 0..5),
            ((i64::MAX, i64::MIN), 0..0),
        ];
        for ((start, stop), expected) in cases {
            assert_eq!(IndexRange { start, stop }.within(5), expected, "{start} {stop}");
        }
        assert_eq!(IndexRange { start: 0, stop: -1 }.within(0), 0..0);
    }

    #[test]
    fn elements_are_found_from_either_end() {
        let cases =
            [(0, Some(0)), (4, Some(4)), (5, None), (-1, Some(4)), (-5, Some(0)), (-6, None)];
        for (index, expected) in cases {
            assert_eq!(element_index(index, 5), expected, "{index}");
        }
        assert_eq!(element_index(i64::MIN, 5), None);
        assert_eq!(element_index(0, 0), None);
    }
}
