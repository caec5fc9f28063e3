//! The two clocks, read once per tick.

use darter_base::{UnixMillis, WorkerId};
use std::time::Instant;

/// The time in one tick of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Wall clock, for expiry. Can jump.
    pub now: UnixMillis,
    /// Monotonic clock, for timers and durations.
    pub instant: Instant,
    /// The worker this is.
    pub worker: WorkerId,
}

impl Turn {
    /// Microseconds passed since this tick began. Reads the clock (about 25 ns): for slicing long
    /// work and for the slow log, not per key.
    pub fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.instant.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
