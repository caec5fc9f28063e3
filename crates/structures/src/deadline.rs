//! Points in time as small as a block keeps them.

use std::fmt;

/// A point in time in milliseconds since the Unix epoch, `0..2^48` (up to the year 10889), which is
/// what fits the six bytes a block spends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u64);

/// A time before 1970 or after [`Deadline::MAX`]. Nothing is narrowed silently: the caller decides
/// what such a time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineOutOfRange;

impl Deadline {
    /// The latest deadline.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The deadline at `unix_millis`.
    pub const fn new(unix_millis: i64) -> Result<Self, DeadlineOutOfRange> {
        if unix_millis < 0 || unix_millis > Self::MAX.millis() {
            return Err(DeadlineOutOfRange);
        }
        Ok(Self(unix_millis.cast_unsigned()))
    }

    /// Milliseconds since the Unix epoch, `0..2^48`.
    pub const fn millis(self) -> i64 {
        self.0.cast_signed()
    }

    /// The number a block keeps, below 2^48.
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`to_bits`](Self::to_bits).
    pub(crate) const fn from_bits(bits: u64) -> Self {
        debug_assert!(bits <= Self::MAX.0);
        Self(bits)
    }

    /// Whether the deadline has passed at `now` (Unix milliseconds): the millisecond it names is the
    /// last one with the key, as in Redis.
    pub const fn is_due(self, now: i64) -> bool {
        now > self.millis()
    }
}

impl fmt::Display for DeadlineOutOfRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expire time out of range")
    }
}

impl std::error::Error for DeadlineOutOfRange {}
