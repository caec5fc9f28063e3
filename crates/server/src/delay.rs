//! Loading and saving more slowly, so that tests see what happens meanwhile (`key-load-delay`, `rdb-key-save-delay`).

use std::time::Duration;

/// What delays are collected to: shorter sleeps take longer than they should.
const NANOS_MIN: u64 = 1_000_000;

/// The longest sleep: the parameter may be changed, and the server may have to end.
const NANOS_MAX: u64 = 10_000_000;

/// How long is waited for keys.
#[derive(Debug)]
pub(crate) struct Delay {
    /// For each key.
    nanos: u64,
    owed_nanos: u64,
}

impl Delay {
    /// As parameters say it: so many microseconds for each key, or, below zero, one for so many keys.
    pub(crate) const fn of(micros: i64) -> Self {
        let nanos = match micros {
            0.. => micros.unsigned_abs().saturating_mul(1000),
            _ => 1000 / micros.unsigned_abs(),
        };
        Self { nanos, owed_nanos: 0 }
    }

    /// Waits for `keys`. Now and then `go_on` is asked what the parameter says now.
    ///
    /// # Errors
    /// What `go_on` has against it.
    pub(crate) fn pass<E>(
        &mut self,
        keys: u64,
        go_on: impl Fn() -> Result<i64, E>,
    ) -> Result<(), E> {
        if self.nanos > 0 {
            let nanos = self.nanos.saturating_mul(keys);
            self.owed_nanos = self.owed_nanos.saturating_add(nanos);
            while self.owed_nanos >= NANOS_MIN {
                let nanos = self.owed_nanos.min(NANOS_MAX);
                sleep(Duration::from_nanos(nanos));
                let owed_nanos = self.owed_nanos - nanos;
                let nanos_before = self.nanos;
                *self = Self::of(go_on()?);
                self.owed_nanos = if self.nanos == nanos_before { owed_nanos } else { 0 };
            }
        }
        Ok(())
    }
}

/// Stops the thread.
#[expect(clippy::disallowed_methods, reason = "tests ask for it, by parameters or DEBUG SLEEP")]
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
