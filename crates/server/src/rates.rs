//! How much happens per second, from samples taken ten times a second.

use std::sync::Mutex;
use std::time::Instant;

/// Samples that a rate is the mean of.
const SAMPLES: usize = 16;

/// What happened, as far as rates are shown of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes of replies.
    pub output_bytes: u64,
    /// Rounds of the workers' loops.
    pub ticks: u64,
    /// Time these took.
    pub tick_nanos: u64,
}

impl Amounts {
    /// Mean time of one round.
    pub fn nanos_per_tick(&self) -> u64 {
        self.tick_nanos.checked_div(self.ticks).unwrap_or_default()
    }
}

/// The latest samples: sums since the start, and when they were read.
#[derive(Debug, Default)]
pub struct Rates {
    samples: Mutex<Vec<(Instant, Amounts)>>,
}

impl Rates {
    /// Adds a sample.
    pub fn sample(&self, at: Instant, sums: Amounts) {
        let mut samples = self.samples.lock().expect("sampling cannot panic");
        if samples.len() > SAMPLES {
            samples.remove(0);
        }
        samples.push((at, sums));
    }

    /// Amounts per second over the samples there are.
    pub fn per_second(&self) -> Amounts {
        let samples = self.samples.lock().expect("sampling cannot panic");
        let (Some((from, earlier)), Some((to, later))) = (samples.first(), samples.last()) else {
            return Amounts::default();
        };
        let millis = u64::try_from(to.duration_since(*from).as_millis()).unwrap_or(u64::MAX);
        let rate = |earlier: u64, later: u64| {
            ((later - earlier) * 1000).checked_div(millis).unwrap_or_default()
        };
        Amounts {
            commands: rate(earlier.commands, later.commands),
            input_bytes: rate(earlier.input_bytes, later.input_bytes),
            output_bytes: rate(earlier.output_bytes, later.output_bytes),
            ticks: rate(earlier.ticks, later.ticks),
            tick_nanos: rate(earlier.tick_nanos, later.tick_nanos),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an arbitrary instant to count from")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_rate_is_the_mean_of_the_latest_samples() {
        let rates = Rates::default();
        assert_eq!(rates.per_second(), Amounts::default());
        let start = Instant::now();
        for step in 0..100 {
            let sums = Amounts { commands: u64::from(step) * 50, ..Amounts::default() };
            rates.sample(start + Duration::from_millis(100) * step, sums);
        }
        assert_eq!(rates.per_second().commands, 500);
    }
}
