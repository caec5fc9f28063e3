//! From which cost on a command is remembered.

use super::{Cost, LogKind};

/// What the configuration says about watching commands. A threshold of -1 means never.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchSettings {
    /// Run time of a slow command, in microseconds.
    pub slow_micros: i64,
    /// Size of a large request, in bytes.
    pub large_request_bytes: i64,
    /// Size of a large reply, in bytes.
    pub large_reply_bytes: i64,
    /// Slow commands remembered.
    pub slow_len_max: usize,
    /// Large requests remembered.
    pub large_request_len_max: usize,
    /// Large replies remembered.
    pub large_reply_len_max: usize,
    /// Duration of a latency event, in milliseconds; 0: none.
    pub latency_millis: u64,
    /// Whether histograms of run times are kept.
    pub tracks_latency: bool,
    /// The percentiles of them that INFO shows.
    pub percentiles: Vec<f64>,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            slow_micros: -1,
            large_request_bytes: -1,
            large_reply_bytes: -1,
            slow_len_max: 0,
            large_request_len_max: 0,
            large_reply_len_max: 0,
            latency_millis: 0,
            tracks_latency: true,
            percentiles: Vec::new(),
        }
    }
}

impl WatchSettings {
    /// How many entries a log keeps.
    pub fn log_len_max(&self, kind: LogKind) -> usize {
        match kind {
            LogKind::Slow => self.slow_len_max,
            LogKind::LargeRequest => self.large_request_len_max,
            LogKind::LargeReply => self.large_reply_len_max,
        }
    }
}

/// The same as a worker compares with: what is off is beyond every number.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    slow_nanos: u64,
    latency_nanos: u64,
    large_request_bytes: usize,
    large_reply_bytes: usize,
    /// The lower of the first two, or 0 for everything.
    notable_nanos: u64,
}

impl Thresholds {
    /// Those of a configuration.
    pub fn new(settings: &WatchSettings) -> Self {
        let bytes = |bytes: i64, len_max| match usize::try_from(bytes) {
            Ok(bytes) if len_max > 0 => bytes,
            _ => usize::MAX,
        };
        let slow_nanos = match u64::try_from(settings.slow_micros) {
            Ok(micros) if settings.slow_len_max > 0 => micros.saturating_mul(1000),
            _ => u64::MAX,
        };
        let latency_nanos = match settings.latency_millis {
            0 => u64::MAX,
            millis => millis.saturating_mul(1_000_000),
        };
        Self {
            slow_nanos,
            latency_nanos,
            large_request_bytes: bytes(
                settings.large_request_bytes,
                settings.large_request_len_max,
            ),
            large_reply_bytes: bytes(settings.large_reply_bytes, settings.large_reply_len_max),
            notable_nanos: slow_nanos.min(latency_nanos),
        }
    }

    /// The same, but every command is notable.
    #[must_use]
    pub const fn noting_everything(mut self) -> Self {
        self.notable_nanos = 0;
        self
    }

    /// Whether anything is to be remembered of a command.
    #[inline]
    pub const fn is_notable(&self, cost: Cost) -> bool {
        cost.nanos >= self.notable_nanos
            || cost.request_bytes >= self.large_request_bytes
            || cost.reply_bytes >= self.large_reply_bytes
    }

    /// Whether it took long enough to be an event.
    pub const fn is_latency_event(&self, nanos: u64) -> bool {
        nanos >= self.latency_nanos
    }

    /// The logs it belongs into.
    pub fn logs_for(self, cost: Cost) -> impl Iterator<Item = LogKind> {
        let belongs = move |kind: &LogKind| match kind {
            LogKind::Slow => cost.nanos >= self.slow_nanos,
            LogKind::LargeRequest => cost.request_bytes >= self.large_request_bytes,
            LogKind::LargeReply => cost.reply_bytes >= self.large_reply_bytes,
        };
        LogKind::ALL.into_iter().filter(belongs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { nanos: 5_000, request_bytes: 100, reply_bytes: 0 };

    fn logs(settings: &WatchSettings) -> Vec<LogKind> {
        let thresholds = Thresholds::new(settings);
        let logs: Vec<_> = thresholds.logs_for(COST).collect();
        assert_eq!(thresholds.is_notable(COST), !logs.is_empty());
        logs
    }

    #[test]
    fn a_command_is_in_a_log_from_the_threshold_on() {
        let off = WatchSettings {
            slow_len_max: 1,
            large_request_len_max: 1,
            large_reply_len_max: 1,
            ..WatchSettings::default()
        };
        assert_eq!(logs(&off), []);
        assert_eq!(logs(&WatchSettings { slow_micros: 5, ..off.clone() }), [LogKind::Slow]);
        assert_eq!(logs(&WatchSettings { slow_micros: 6, ..off.clone() }), []);
        let large = WatchSettings { large_request_bytes: 100, ..off.clone() };
        assert_eq!(logs(&large), [LogKind::LargeRequest]);
        assert_eq!(logs(&WatchSettings { large_request_len_max: 0, ..large }), []);
        let all = WatchSettings {
            slow_micros: 0,
            large_request_bytes: 0,
            large_reply_bytes: 0,
            ..off.clone()
        };
        assert_eq!(logs(&all), LogKind::ALL);
    }

    #[test]
    fn everything_can_be_notable_without_being_logged() {
        let thresholds = Thresholds::new(&WatchSettings::default()).noting_everything();
        assert!(thresholds.is_notable(Cost::default()));
        assert!(!thresholds.is_latency_event(u64::MAX - 1));
        assert_eq!(thresholds.logs_for(COST).count(), 0);
    }

    #[test]
    fn latency_events_are_off_at_zero() {
        let settings = WatchSettings::default();
        assert!(!Thresholds::new(&settings).is_latency_event(u64::MAX - 1));
        let settings = WatchSettings { latency_millis: 2, ..settings };
        let thresholds = Thresholds::new(&settings);
        assert!(thresholds.is_latency_event(2_000_000) && !thresholds.is_latency_event(1_999_999));
        assert!(thresholds.is_notable(Cost { nanos: 2_000_000, ..Cost::default() }));
    }
}
