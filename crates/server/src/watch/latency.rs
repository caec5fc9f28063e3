//! Latency events: what took longer than `latency-monitor-threshold`, as a series for each kind.

use darter_base::UnixMillis;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// A command.
pub const COMMAND: &str = "command";
/// A command that is flagged as fast.
pub const FAST_COMMAND: &str = "fast-command";
/// A slice of deleting what has expired.
pub const EXPIRE_CYCLE: &str = "expire-cycle";

/// Samples of a series; one per second at most.
pub const SAMPLES_MAX: usize = 160;

/// What happened within one second: the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the epoch.
    pub at_seconds: i64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Events of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// In order of time.
    pub samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub max_millis: u64,
    /// All together, in milliseconds.
    pub sum_millis: u64,
    /// How many there were.
    pub count: u64,
}

/// What can be said about the samples of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many samples there are.
    pub samples: usize,
    /// The mean, in milliseconds.
    pub mean: u64,
    /// The mean deviation from it.
    pub deviation: u64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// Seconds since the first one, at least 1.
    pub period_seconds: i64,
}

impl Series {
    fn add(&mut self, millis: u64, now: UnixMillis) {
        let at_seconds = now.0 / 1000;
        self.max_millis = self.max_millis.max(millis);
        self.sum_millis = self.sum_millis.saturating_add(millis);
        self.count += 1;
        if let Some(last) = self.samples.back_mut()
            && last.at_seconds == at_seconds
        {
            last.millis = last.millis.max(millis);
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at_seconds, millis });
    }

    /// Numbers about the samples, as of `now`.
    pub fn summary(&self, now: UnixMillis) -> Summary {
        let Some(first) = self.samples.front() else { return Summary::default() };
        let count = self.samples.len() as u64;
        let mean = self.samples.iter().map(|sample| sample.millis).sum::<u64>() / count;
        let deviation =
            self.samples.iter().map(|sample| sample.millis.abs_diff(mean)).sum::<u64>() / count;
        let millis = || self.samples.iter().map(|sample| sample.millis);
        Summary {
            samples: self.samples.len(),
            mean,
            deviation,
            min: millis().min().unwrap_or_default(),
            max: millis().max().unwrap_or_default(),
            period_seconds: (now.0 / 1000 - first.at_seconds).max(1),
        }
    }
}

/// Every series. Locked for each event that is long enough, and to be read.
#[derive(Debug, Default)]
pub struct LatencyEvents {
    /// By the kind of event, of which there are the few constants above.
    series: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyEvents {
    /// Adds an event.
    pub fn add(&self, event: &'static str, duration: Duration, now: UnixMillis) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.lock().entry(event).or_default().add(millis, now);
    }

    /// Every kind that has happened, in alphabetical order.
    pub fn all(&self) -> Vec<(&'static str, Series)> {
        self.lock().iter().map(|(event, series)| (*event, series.clone())).collect()
    }

    /// The events of one kind; the name as it was given first.
    pub fn of(&self, event: &[u8]) -> Option<(&'static str, Series)> {
        let series = self.lock();
        let (event, series) =
            series.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(event))?;
        Some((*event, series.clone()))
    }

    /// Forgets all kinds, or one; how many were forgotten.
    pub fn forget(&self, event: Option<&[u8]>) -> usize {
        let mut series = self.lock();
        let before = series.len();
        series.retain(|known, _| {
            event.is_some_and(|event| !known.as_bytes().eq_ignore_ascii_case(event))
        });
        before - series.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Series>> {
        self.series.lock().expect("no code that can panic runs under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_a_series_an_end() {
        let events = LatencyEvents::default();
        let add = |at: i64, millis| {
            events.add(COMMAND, Duration::from_millis(millis), UnixMillis(at));
        };
        add(5_000, 10);
        add(5_900, 30);
        add(5_999, 20);
        add(7_000, 5);
        let (name, series) = events.of(b"COMMAND").unwrap();
        assert_eq!(name, COMMAND);
        assert_eq!(
            series.samples,
            [Sample { at_seconds: 5, millis: 30 }, Sample { at_seconds: 7, millis: 5 }]
        );
        assert_eq!((series.max_millis, series.sum_millis, series.count), (30, 65, 4));
        let summary = series.summary(UnixMillis(10_000));
        assert_eq!(
            summary,
            Summary { samples: 2, mean: 17, deviation: 12, min: 5, max: 30, period_seconds: 5 }
        );
        (0..200).for_each(|second| add(10_000 + second * 1000, 1));
        assert_eq!(events.of(b"command").unwrap().1.samples.len(), SAMPLES_MAX);
    }

    #[test]
    fn events_are_forgotten_by_name_or_all() {
        let events = LatencyEvents::default();
        for event in [COMMAND, FAST_COMMAND] {
            events.add(event, Duration::from_millis(1), UnixMillis(0));
        }
        assert_eq!(events.forget(Some(b"nothing")), 0);
        assert_eq!(events.forget(Some(b"Command")), 1);
        assert_eq!(events.all().len(), 1);
        assert_eq!(events.forget(None), 1);
    }
}
