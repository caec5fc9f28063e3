//! What a worker does beside its clients' commands for a share of its time, in slices.

use std::time::{Duration, Instant};

/// How long one slice takes at least, however short the time since the last one, and at most, as others wait meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) min_nanos: u64,
    pub(super) max_nanos: u64,
}

/// The slices of one kind of work.
#[derive(Debug, Default)]
pub(super) struct Slices {
    /// When the share of the time that has passed is as much as slices have taken, if there was more than could be done.
    due: Option<Instant>,
}

impl Slices {
    /// When to go on.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the next slice is still to come at `now`.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now < due)
    }

    /// How long a slice that begins at `now` may take, in nanoseconds, to come to `percent` of the time: more where it comes
    /// late.
    pub(super) fn budget(&self, now: Instant, percent: u32, bounds: Bounds) -> u64 {
        let Some(due) = self.due else { return bounds.max_nanos };
        let late = now.saturating_duration_since(due);
        let share = late.as_nanos() * u128::from(percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX).clamp(bounds.min_nanos, bounds.max_nanos)
    }

    /// Ends a slice that took so long and began at `begun`: the next one leaves the rest of the time to others.
    pub(super) fn end(&mut self, begun: Instant, nanos: u64, percent: u32, bounds: Bounds) {
        let time_for =
            |nanos: u64| Duration::from_nanos(nanos.saturating_mul(100) / u64::from(percent));
        // What comes too late for the longest slice is not made up for.
        let earliest = begun.checked_sub(time_for(bounds.max_nanos)).unwrap_or(begun);
        let from = self.due.unwrap_or(begun).clamp(earliest, begun);
        self.due = Some(from + time_for(nanos.max(bounds.min_nanos)));
    }

    /// Ends a slice that began at `begun`: the next one may follow at once.
    pub(super) const fn go_on(&mut self, begun: Instant) {
        self.due = Some(begun);
    }

    /// There is nothing to do.
    pub(super) const fn stop(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "arbitrary instants to count from")]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min_nanos: 100_000, max_nanos: 2_000_000 };

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_slice_is_a_share_of_the_time_it_comes_late_within_bounds() {
        let due = Instant::now();
        let slices = Slices { due: Some(due) };
        assert_eq!(slices.budget(due + micros(2000), 25, BOUNDS), 500_000);
        assert_eq!(slices.budget(due + micros(2000), 43, BOUNDS), 860_000);
        assert_eq!(slices.budget(due, 25, BOUNDS), BOUNDS.min_nanos);
        assert_eq!(slices.budget(due + Duration::from_secs(1), 25, BOUNDS), BOUNDS.max_nanos);
        assert_eq!(Slices::default().budget(due, 25, BOUNDS), BOUNDS.max_nanos);
    }

    #[test]
    fn the_rest_of_the_time_is_left_to_others() {
        let begun = Instant::now();
        let after = |nanos, percent| {
            let mut slices = Slices::default();
            slices.end(begun, nanos, percent, BOUNDS);
            slices.due().unwrap() - begun
        };
        assert_eq!(after(500_000, 25), micros(2000));
        assert_eq!(after(0, 25), micros(400));
        assert_eq!(after(430_000, 43), micros(1000));
    }

    #[test]
    fn slices_that_come_late_come_to_their_share_nevertheless() {
        // Looked at each 700 microseconds; the share of one look may be still to come at the end.
        let first = Instant::now();
        let mut slices = Slices::default();
        let mut spent = 0;
        for look in 0..1000 {
            let now = first + micros(700) * look;
            if !slices.is_resting(now) {
                let nanos = slices.budget(now, 25, BOUNDS) + 50_000;
                slices.end(now, nanos, 25, BOUNDS);
                spent += nanos;
            }
        }
        let share = 700_000_000 / 4;
        assert!((share - 200_000..share + 2_100_000).contains(&spent), "{spent}");
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let begun = Instant::now();
        let mut slices = Slices { due: Some(begun) };
        let late = begun + Duration::from_secs(10);
        slices.end(late, 2_000_000, 25, BOUNDS);
        assert!(!slices.is_resting(late));
        slices.end(late, 2_000_000, 25, BOUNDS);
        assert_eq!(slices.due(), Some(late + micros(8000)));
    }
}
