//! How far loading is: what INFO, the probes and the log say of it.

use crate::commands::info::ShardTotals;
use crate::metrics::Figures;
use crate::shared::{Shared, lock};
use darter_base::UnixMillis;
use darter_runtime::{Ticks, wall_clock};
use darter_shard::Shard;
use darter_txn::{Held, Router};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Time between two lines in the log.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Loading at the start, as everybody may look at it.
#[derive(Debug)]
pub struct Loading {
    /// Whether nobody is served yet. It becomes false once, when the shards are in their seats.
    is_under_way: AtomicBool,
    state: Mutex<State>,
    /// Bytes of the files that have been read.
    loaded_bytes: AtomicU64,
    /// What shards have meanwhile, which are in nobody's reach.
    figures: Figures,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    began_at: UnixMillis,
    /// Of all files.
    total_bytes: u64,
    /// What the data took in memory where they were saved, as the file says.
    used_bytes_then: u64,
    /// When the log had a line the last time.
    reported_at: Option<Ticks>,
}

/// What INFO shows of loading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadProgress {
    /// When it began.
    pub began_at: UnixMillis,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// How many of them have been read.
    pub loaded_bytes: u64,
    /// What the data took in memory where they were saved; 0: no file says.
    pub used_bytes_then: u64,
    /// Seconds that the rest takes if it takes as long as what was read.
    pub seconds_left: u64,
}

impl LoadProgress {
    /// The part that has been read, of a hundred.
    pub fn percent(&self) -> f64 {
        let of = |bytes: u64| crate::commands::info::as_f64(bytes);
        if self.total_bytes == 0 {
            return 0.0;
        }
        100.0 * of(self.loaded_bytes.min(self.total_bytes)) / of(self.total_bytes)
    }
}

impl Loading {
    /// Nothing is loaded yet.
    pub fn new(router: Router) -> Self {
        Self {
            is_under_way: AtomicBool::new(false),
            state: Mutex::default(),
            loaded_bytes: AtomicU64::new(0),
            figures: Figures::new(router),
        }
    }

    /// Whether nobody is served yet because data are being loaded.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Acquire)
    }

    /// How far it is, if it is under way.
    pub fn progress(&self, now: UnixMillis) -> Option<LoadProgress> {
        self.is_under_way().then(|| self.progress_at(now))
    }

    /// What all shards have as far as is known while they are out of reach.
    pub(crate) fn shards(&self) -> Vec<ShardTotals> {
        self.figures.each()
    }

    pub(crate) fn begin(&self) {
        lock(&self.state).began_at = wall_clock();
        self.is_under_way.store(true, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.is_under_way.store(false, Ordering::Release);
    }

    /// So many bytes are going to be read.
    pub fn expect(&self, bytes: u64) {
        self.loaded_bytes.store(0, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.total_bytes = bytes;
        state.used_bytes_then = 0;
        state.reported_at = None;
    }

    /// A file says what its data took in memory.
    pub fn note_used_bytes(&self, bytes: u64) {
        lock(&self.state).used_bytes_then = bytes;
    }

    /// So many bytes have been read. Says so in the log now and then.
    ///
    /// # Errors
    /// When the process is to end: whoever reads gives up.
    pub(super) fn note(&self, shared: &Shared, bytes: u64) -> Result<(), String> {
        self.loaded_bytes.store(bytes, Ordering::Relaxed);
        let mut state = lock(&self.state);
        let now = shared.stopwatch.now();
        let reported_at = *state.reported_at.get_or_insert(now);
        let since = Duration::from_nanos(shared.stopwatch.nanos_between(reported_at, now));
        if since >= REPORT_INTERVAL {
            state.reported_at = Some(now);
            drop(state);
            let progress = self.progress_at(wall_clock());
            tracing::info!(
                "Loading: {:.1} % ({} of {} MB), about {} seconds left",
                progress.percent(),
                progress.loaded_bytes >> 20,
                progress.total_bytes >> 20,
                progress.seconds_left
            );
        }
        self.check_end(shared)
    }

    /// Whether whoever reads may go on.
    ///
    /// # Errors
    /// When the process is to end.
    pub(crate) fn check_end(&self, shared: &Shared) -> Result<(), String> {
        let is_over = self.is_under_way()
            && shared.running.get().is_some_and(|running| running.shutdown.has_begun());
        if is_over { Err("the server is to end".to_owned()) } else { Ok(()) }
    }

    /// Publishes what shards have.
    pub(super) fn publish(&self, shared: &Shared, held: &mut [Held<Shard>], now: UnixMillis) {
        let databases = shared.config.current().databases;
        for Held { id, shard } in held {
            shared.note_shard_bytes(*id, shard.used_bytes());
            self.figures.publish(shard, *id, databases, now);
        }
    }

    fn progress_at(&self, now: UnixMillis) -> LoadProgress {
        let state = *lock(&self.state);
        let loaded_bytes = self.loaded_bytes.load(Ordering::Relaxed);
        let seconds = u64::try_from(now.0.saturating_sub(state.began_at.0) / 1000).unwrap_or(0);
        let rest = state.total_bytes.saturating_sub(loaded_bytes);
        // What is not known yet is one second, as in Redis.
        let seconds_left = match seconds {
            0 => 1,
            _ => u128::from(seconds) * u128::from(rest) / (u128::from(loaded_bytes) + 1),
        };
        LoadProgress {
            began_at: state.began_at,
            total_bytes: state.total_bytes,
            loaded_bytes,
            used_bytes_then: state.used_bytes_then,
            seconds_left: u64::try_from(seconds_left).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_txn::Routing;

    #[test]
    fn the_rest_takes_as_long_as_what_was_read() {
        let loading = Loading::new(Router::new(1, 1, Routing::Auto));
        assert_eq!(loading.progress(UnixMillis(0)), None);
        loading.begin();
        loading.expect(4000);
        loading.loaded_bytes.store(999, Ordering::Relaxed);
        lock(&loading.state).began_at = UnixMillis(50_000);
        assert_eq!(loading.progress(UnixMillis(50_500)).unwrap().seconds_left, 1);
        let progress = loading.progress(UnixMillis(60_000)).unwrap();
        assert_eq!(progress.seconds_left, 30);
        assert!((progress.percent() - 24.975).abs() < 1e-9);
        loading.end();
        assert!(!loading.is_under_way());
    }
}
