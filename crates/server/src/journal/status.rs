//! What INFO and others are told of the log.

use super::Journal;
use crate::config::Settings;
use crate::histogram::Histogram;
use crate::shared::lock;
use darter_base::UnixMillis;
use darter_runtime::{Stopwatch, Ticks};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Failures after each of which another try follows soon.
const FAILURES_AT_ONCE: u64 = 3;

/// How long nothing is tried after one of those.
const REST_MIN: Duration = Duration::from_secs(1);

/// How long nothing is tried at most.
const REST_MINUTES_MAX: u64 = 60;

/// What became of the log.
#[derive(Clone, Debug)]
pub struct Status {
    /// Why it could not be written the last time, if so.
    pub failure: Option<String>,
    /// Bytes of all of its files.
    pub bytes: u64,
    /// Bytes of them when there was a new base the last time, or at the start.
    pub bytes_after_base: u64,
    /// How often it was written anew since the start.
    pub rewrites: u64,
    /// How often that failed since it succeeded.
    pub failed_rewrites: u64,
    /// When it failed the last time.
    pub failed_at: Option<Ticks>,
    /// How long the last time took, in seconds; -1: there was none.
    pub rewrite_seconds: i64,
    /// Syncs that a write had to wait for, since CONFIG RESETSTAT.
    pub delayed_syncs: u64,
    /// When the last sync succeeded.
    pub synced_at: Option<UnixMillis>,
    /// Syncs, and how long they took together and at most, in nanoseconds.
    pub syncs: u64,
    pub sync_nanos: u64,
    pub sync_nanos_max: u64,
    /// What recovery cut off the end of the log, in bytes.
    pub truncated_bytes: u64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            failure: None,
            bytes: 0,
            bytes_after_base: 0,
            rewrites: 0,
            failed_rewrites: 0,
            failed_at: None,
            rewrite_seconds: -1,
            delayed_syncs: 0,
            synced_at: None,
            syncs: 0,
            sync_nanos: 0,
            sync_nanos_max: 0,
            truncated_bytes: 0,
        }
    }
}

impl Status {
    /// Whether the log is not written anew by itself for a while, as that has failed too often.
    fn rests(&self, stopwatch: &Stopwatch) -> bool {
        let Some(failed_at) = self.failed_at else { return false };
        let since = Duration::from_nanos(stopwatch.nanos_between(failed_at, stopwatch.now()));
        since < rest_after(self.failed_rewrites)
    }
}

/// How long the log is not written anew by itself after so many failures, as in Redis: the first ones may pass soon,
/// then it is twice as long each time.
fn rest_after(failures: u64) -> Duration {
    match failures.checked_sub(FAILURES_AT_ONCE) {
        None => REST_MIN,
        Some(more) => {
            let minutes = 1_u64.checked_shl(u32::try_from(more).unwrap_or(u32::MAX));
            Duration::from_mins(minutes.unwrap_or(REST_MINUTES_MAX).min(REST_MINUTES_MAX))
        }
    }
}

impl Journal {
    /// What became of it.
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// How long syncs took.
    pub fn sync_times(&self) -> Histogram {
        let mut times = Histogram::default();
        if let Some(recorder) = self.sync_times.get() {
            times += recorder;
        }
        times
    }

    /// Begins to count anew what CONFIG RESETSTAT resets.
    pub fn reset_statistics(&self) {
        lock(&self.status).delayed_syncs = 0;
    }

    /// Bytes of memory for what is on its way to the file.
    pub fn buffer_bytes(&self) -> u64 {
        lock(&self.requests).memory_bytes()
    }

    /// Bytes recorded and not in the file yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.end().saturating_sub(self.written.load(Ordering::Relaxed))
    }

    /// Bytes in the file that may not be on the disk yet.
    pub fn unsynced_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed).saturating_sub(self.synced.load(Ordering::Relaxed))
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.is_syncing.load(Ordering::Relaxed)
    }

    /// Why writes are refused, if they are because the log cannot be written.
    pub fn failure(&self) -> Option<String> {
        if !self.has_failed() {
            return None;
        }
        lock(&self.status).failure.clone()
    }

    /// Whether writes are refused because the log cannot be written.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Whether a base is to be written without a client that asks for it: one was asked for when it could not begin, or
    /// the log has grown as much as is configured.
    pub fn wants_base(&self, settings: &Settings, stopwatch: &Stopwatch) -> bool {
        if self.wants_base.load(Ordering::Relaxed) {
            return !self.is_ending();
        }
        let growth_percent = settings.journal.growth_percent;
        if !self.is_attached()
            || !settings.journal.is_on
            || growth_percent == 0
            || self.has_failed()
        {
            return false;
        }
        let status = lock(&self.status);
        let grown = status.bytes.saturating_sub(status.bytes_after_base);
        let base = u128::from(status.bytes_after_base.max(1));
        status.bytes > settings.journal.bytes_min
            && u128::from(grown) * 100 / base >= u128::from(growth_percent)
            && !status.rests(stopwatch)
    }

    /// Has a base written as soon as that can begin.
    pub fn ask_for_base(&self) {
        self.wants_base.store(true, Ordering::Relaxed);
    }

    /// Whether one was asked for that has not begun.
    pub fn is_base_scheduled(&self) -> bool {
        self.wants_base.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_ever_less_often() {
        assert_eq!([1, 2].map(rest_after), [REST_MIN; 2]);
        assert_eq!([3, 4, 5, 8].map(|failures| rest_after(failures).as_secs() / 60), [1, 2, 4, 32]);
        assert_eq!([9, 100, u64::MAX].map(|failures| rest_after(failures).as_secs() / 60), [60; 3]);
    }
}
