//! The two clocks, read once per tick.

use darter_base::{UnixMillis, WorkerId};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time in one tick of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Wall clock, for expiry. Can jump.
    pub now: UnixMillis,
    /// Monotonic clock, for timers and durations.
    pub instant: Instant,
    /// The worker this is.
    pub worker: WorkerId,
    /// How long the tick before this one took, without the sleep between the two. Zero in a tick for the
    /// others while one connection is served apart: it is a part of a longer one.
    pub last_tick: Duration,
}

/// Measures ticks by readings of the clock that are taken anyway.
#[derive(Debug)]
pub(crate) struct TickTimer {
    began: Instant,
    /// When the worker looked how long it could sleep, if it did.
    ended: Option<Instant>,
}

impl TickTimer {
    pub(crate) const fn new(at: Instant) -> Self {
        Self { began: at, ended: None }
    }

    /// A tick is over.
    pub(crate) const fn end(&mut self, at: Instant) {
        self.ended = Some(at);
    }

    /// The next one begins; how long the one before took.
    pub(crate) fn begin(&mut self, at: Instant) -> Duration {
        let ended = self.ended.take().unwrap_or(at);
        let began = std::mem::replace(&mut self.began, at);
        ended.saturating_duration_since(began)
    }
}

impl Turn {
    /// Microseconds passed since this tick began. Reads the clock (about 25 ns): for slicing long
    /// work and for the slow log, not per key.
    pub fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.instant.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The wall clock, where there is no tick: on threads of their own, and before and after workers run.
pub fn wall_clock() -> UnixMillis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_lasts_until_the_worker_may_sleep_or_the_next_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut timer = TickTimer::new(start);
        timer.end(at(3));
        assert_eq!(timer.begin(at(10)), Duration::from_millis(3));
        assert_eq!(timer.begin(at(14)), Duration::from_millis(4));
        timer.end(at(15));
        assert_eq!(timer.begin(at(20)), Duration::from_millis(1));
    }
}
