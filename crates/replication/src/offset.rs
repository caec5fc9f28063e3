//! Places in a history.

use std::fmt;

/// How many bytes of a history came before a place in it. Other servers keep it in a signed number of 64 bits, so it is
/// never above the largest of those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// Where everything begins.
    pub const ZERO: Self = Self(0);

    /// The place behind so many bytes; `None` if no history is as long.
    pub fn new(bytes: u64) -> Option<Self> {
        i64::try_from(bytes).ok().map(|_| Self(bytes))
    }

    /// How many bytes came before.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The place so many bytes further on. A history that comes to its largest number stays there, as nothing can be
    /// said of what follows; at a gigabyte a second that takes 292 years.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes).min(i64::MAX.cast_unsigned()))
    }

    /// How many bytes are between `earlier` and this place; 0 if that is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_fits_a_signed_number() {
        assert_eq!(Offset::new(u64::MAX), None);
        let last = Offset::new(i64::MAX.cast_unsigned()).unwrap();
        assert_eq!(last.plus(5), last);
        assert_eq!(last.since(Offset::ZERO), i64::MAX.cast_unsigned());
        assert_eq!(Offset::ZERO.since(last), 0);
    }
}
