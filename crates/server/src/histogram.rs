//! How long a command takes, as a histogram of bounded size and error.
//!
//! Buckets grow with the value: sixteen of equal width for every doubling, so that a value is known to
//! six percent whatever its size.
//!
//! ```text
//! value, ns   0 1 2 ... 15 | 16 17 ... 31 | 32 34 36 ... 62 | 64 68 ... 124 | ... | .. 2^35 and above
//! bucket      0 1 2 ... 15 | 16 17 ... 31 | 32 33 34 ... 47 | 48 49 ... 63  | ... | ..  511
//! ```
//!
//! That is 4 KB, made when a command first runs on a worker. One writer, any readers: the counters are
//! read while they are written, and a sum over them is as exact as any sum over moving numbers.

use crate::statistics::Counter;
use std::ops::AddAssign;

/// Buckets for each doubling, as a power of two.
const PRECISION_BITS: u32 = 4;

/// The same as a number.
const BUCKETS_PER_DOUBLING: usize = 1 << PRECISION_BITS;

/// All buckets: 32 doublings, from 1 ns to 34 s.
const BUCKETS: usize = 32 * BUCKETS_PER_DOUBLING;

/// Counts by duration. Written by one worker.
#[derive(Debug)]
pub struct Recorder {
    counts: Box<[Counter; BUCKETS]>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { counts: Box::new([const { Counter::new() }; BUCKETS]) }
    }
}

impl Recorder {
    /// Counts a duration. Only the owning worker calls this.
    #[inline]
    pub fn record(&self, nanos: u64) {
        self.counts[bucket_of(nanos)].add(1);
    }
}

/// Where a duration is counted.
#[inline]
fn bucket_of(nanos: u64) -> usize {
    // Below 16 the value is its own bucket; the formula is right from there on.
    let doubling = (nanos | (BUCKETS_PER_DOUBLING as u64 - 1)).ilog2() - (PRECISION_BITS - 1);
    let shift = doubling.saturating_sub(1);
    let within = nanos >> shift;
    let bucket = u64::from(doubling.saturating_sub(1)) * BUCKETS_PER_DOUBLING as u64 + within;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The longest duration that is counted in a bucket.
fn longest_in(bucket: usize) -> u64 {
    let shift = (bucket / BUCKETS_PER_DOUBLING).saturating_sub(1);
    let within = bucket - shift * BUCKETS_PER_DOUBLING;
    ((within as u64 + 1) << shift) - 1
}

/// The sums over several workers, as of some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Empty, or one for each bucket.
    counts: Vec<u64>,
}

impl AddAssign<&Recorder> for Histogram {
    fn add_assign(&mut self, recorder: &Recorder) {
        self.counts.resize(BUCKETS, 0);
        for (sum, count) in self.counts.iter_mut().zip(recorder.counts.iter()) {
            *sum += count.read();
        }
    }
}

impl Histogram {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (now, then) in self.counts.iter_mut().zip(&earlier.counts) {
            *now = now.saturating_sub(*then);
        }
        self
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration in nanoseconds that `percentile` (0 to 100) of all do not exceed, to the
    /// precision of a bucket; 0 when there are none.
    pub fn percentile(&self, percentile: f64) -> u64 {
        let wanted = rank(percentile, self.count());
        let mut counted = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            counted += count;
            if *count > 0 && counted >= wanted {
                return longest_in(bucket);
            }
        }
        0
    }

    /// How many durations were at most `nanos`, to the precision of a bucket.
    pub fn count_up_to(&self, nanos: u64) -> u64 {
        self.counts.iter().take(bucket_of(nanos) + 1).sum()
    }

    /// The cumulative distribution by doublings, as LATENCY HISTOGRAM shows it: microseconds and how
    /// many took at most about that, without those that add nothing to the one before. The bounds are
    /// the powers of two from 1024 ns on, each shown as the end of the range that Redis's histogram
    /// of two significant digits cannot tell from it.
    pub fn doublings(&self) -> Vec<(u64, u64)> {
        let mut steps = Vec::new();
        let mut before = 0;
        for power in 10..=35 {
            let bound: u64 = 1 << power;
            let count = if power == 35 { self.count() } else { self.count_up_to(bound) };
            if count > before {
                steps.push(((bound + bound / 128 - 1) / 1000, count));
            }
            before = count;
        }
        steps
    }
}

/// Which of `count` durations in ascending order is the one asked for; at least the first.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among counted durations, rounded"
)]
fn rank(percentile: f64, count: u64) -> u64 {
    ((percentile.clamp(0.0, 100.0) / 100.0 * count as f64).round() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(next), bucket);
            assert_eq!(bucket_of(longest_in(bucket)), bucket);
            assert!((longest_in(bucket) - next) * 16 <= next, "{bucket} is too wide");
            next = longest_in(bucket) + 1;
        }
        assert_eq!(next, 1 << 35);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_durations() {
        let recorder = Recorder::default();
        (1..=1000).for_each(|micros| recorder.record(micros * 1000));
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), 0);
        histogram += &recorder;
        assert_eq!(histogram.count(), 1000);
        for (percentile, exact) in
            [(0.0, 1000), (50.0, 500_000), (99.0, 990_000), (100.0, 1_000_000)]
        {
            let shown = histogram.percentile(percentile);
            assert!(shown >= exact && shown <= exact + exact / 16, "{percentile}: {shown}");
        }
        assert_eq!(histogram.clone().since(&histogram).count(), 0);
    }

    #[test]
    fn doublings_have_redis_s_bounds() {
        let recorder = Recorder::default();
        for nanos in [300, 1_000, 30_000, 31_000, 60_000_000_000] {
            recorder.record(nanos);
        }
        let mut histogram = Histogram::default();
        histogram += &recorder;
        assert_eq!(histogram.doublings(), [(1, 2), (33, 4), (34_628_173, 5)]);
    }
}
