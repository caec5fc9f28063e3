//! The ends of ranges as clients give them: `5`, `(5`, `+inf`; `[a`, `(a`, `-`, `+`.
//!
//! An end becomes a rank: how many members are before the range, or before its end.

use darter_base::float::{FloatText, as_c_reads, parse_f64};
use darter_command_table::ReplyError;
use darter_value::SortedSet;
use std::borrow::Cow;
use std::ops::Range;

/// A range of scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreRange {
    min: ScoreBound,
    max: ScoreBound,
}

#[derive(Clone, Copy, Debug)]
struct ScoreBound {
    score: f64,
    is_excluded: bool,
}

/// A range of members of equal scores.
#[derive(Clone, Debug)]
pub(super) struct LexRange<'a> {
    min: LexBound<'a>,
    max: LexBound<'a>,
}

#[derive(Clone, Debug)]
enum LexBound<'a> {
    Lowest,
    Highest,
    Included(Cow<'a, [u8]>),
    Excluded(Cow<'a, [u8]>),
}

impl ScoreRange {
    pub(crate) fn parse(min: &[u8], max: &[u8]) -> Result<Self, ReplyError> {
        let parsed = ScoreBound::parse(min).zip(ScoreBound::parse(max));
        let (min, max) = parsed.ok_or(ReplyError::Text("ERR min or max is not a float"))?;
        Ok(Self { min, max })
    }

    /// From `min` up to but not `end`.
    pub(crate) const fn until(min: f64, end: f64) -> Self {
        Self {
            min: ScoreBound { score: min, is_excluded: false },
            max: ScoreBound { score: end, is_excluded: true },
        }
    }

    /// The ranks of the members in the range.
    pub(crate) fn ranks(self, set: &SortedSet) -> Range<usize> {
        let Self { min, max } = self;
        let start = set.rank_below_score(|score| min.is_before(score));
        let end = set.rank_below_score(|score| !max.is_after(score));
        start..end.max(start)
    }
}

impl ScoreBound {
    /// As C's `strtod` reads a number, except that all it sees must be one: nothing is zero, and what is too
    /// big is infinite.
    fn parse(text: &[u8]) -> Option<Self> {
        let (is_excluded, text) = match text.strip_prefix(b"(") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = as_c_reads(text)?;
        if text.is_empty() {
            return Some(Self { score: 0.0, is_excluded });
        }
        let score = parse_f64(text).or_else(|| beyond_doubles(text))?;
        Some(Self { score, is_excluded })
    }

    /// As the lower end: whether `score` is below the range.
    #[inline]
    fn is_before(self, score: f64) -> bool {
        if self.is_excluded { score <= self.score } else { score < self.score }
    }

    /// As the upper end: whether `score` is above the range.
    #[inline]
    fn is_after(self, score: f64) -> bool {
        if self.is_excluded { score >= self.score } else { score > self.score }
    }
}

/// A number whose magnitude no double has: infinite, or zero.
fn beyond_doubles(text: &[u8]) -> Option<f64> {
    match FloatText::parse(text)? {
        FloatText::Decimal(_) => str::from_utf8(text).ok()?.parse().ok(),
        FloatText::Hexadecimal(digits) => {
            let infinite = if digits.negative { f64::NEG_INFINITY } else { f64::INFINITY };
            Some(if digits.exponent > 0 { infinite } else { 0.0 })
        }
        FloatText::Infinity { .. } => None,
    }
}

impl<'a> LexRange<'a> {
    pub(super) fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, ReplyError> {
        let parsed = LexBound::parse(min).zip(LexBound::parse(max));
        let invalid = ReplyError::Text("ERR min or max not valid string range item");
        let (min, max) = parsed.ok_or(invalid)?;
        Ok(Self { min, max })
    }

    /// The same, for longer than the arguments.
    pub(super) fn to_owned(&self) -> LexRange<'static> {
        LexRange { min: self.min.to_owned(), max: self.max.to_owned() }
    }

    /// The ranks of the members in the range, if all have the same score; else of some.
    pub(super) fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let Self { min, max } = self;
        let start = set.rank_below_member(|member| match min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(bound) => member < &**bound,
            LexBound::Excluded(bound) => member <= &**bound,
        });
        let end = set.rank_below_member(|member| match max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(bound) => member <= &**bound,
            LexBound::Excluded(bound) => member < &**bound,
        });
        start..end.max(start)
    }
}

impl<'a> LexBound<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::Lowest),
            b"+" => Some(Self::Highest),
            [b'[', bound @ ..] => Some(Self::Included(Cow::Borrowed(bound))),
            [b'(', bound @ ..] => Some(Self::Excluded(Cow::Borrowed(bound))),
            _ => None,
        }
    }

    fn to_owned(&self) -> LexBound<'static> {
        let owned = |bound: &Cow<'a, [u8]>| Cow::Owned(bound.to_vec());
        match self {
            Self::Lowest => LexBound::Lowest,
            Self::Highest => LexBound::Highest,
            Self::Included(bound) => LexBound::Included(owned(bound)),
            Self::Excluded(bound) => LexBound::Excluded(owned(bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_strtod_reads_numbers() {
        for (text, score, is_excluded) in [
            ("5", 5.0, false),
            ("(5", 5.0, true),
            ("-inf", f64::NEG_INFINITY, false),
            ("(+inf", f64::INFINITY, true),
            ("", 0.0, false),
            ("(", 0.0, true),
            (" 7", 7.0, false),
            ("1e999", f64::INFINITY, false),
            ("-1e999", f64::NEG_INFINITY, false),
            ("1e-999", 0.0, false),
            ("0x10", 16.0, false),
        ] {
            let bound = ScoreBound::parse(text.as_bytes()).expect(text);
            assert_eq!((bound.score, bound.is_excluded), (score, is_excluded), "{text}");
        }
        for text in ["x", "5x", "((5", "nan", "5 ", "[5"] {
            assert!(ScoreBound::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
