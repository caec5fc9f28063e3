//! Points in time. Nothing outside the runtime reads a clock: `now` is a parameter.

/// Milliseconds since the Unix epoch, as Redis counts expiry. Negative values are before 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This time plus `millis`, or `None` on overflow.
    pub const fn checked_add(self, millis: i64) -> Option<Self> {
        match self.0.checked_add(millis) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}
