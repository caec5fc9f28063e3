//! Loading more slowly, so that tests see what happens meanwhile (`key-load-delay`).

use crate::config::Settings;
use crate::shared::Shared;
use std::time::Duration;

/// What delays are collected to: shorter sleeps take longer than they should.
const NANOS_MIN: u64 = 1_000_000;

/// The longest sleep: the parameter may be changed, and the server may have to end.
const NANOS_MAX: u64 = 10_000_000;

/// How loading is delayed.
#[derive(Debug)]
pub(super) struct Delay {
    /// For each key.
    nanos: u64,
    owed_nanos: u64,
}

impl Delay {
    /// As the parameter says: so many microseconds for each key, or, below zero, one for so many keys.
    pub(super) fn of(settings: &Settings) -> Self {
        let micros = settings.saving.load_delay_micros;
        let nanos = match micros {
            0.. => micros.unsigned_abs().saturating_mul(1000),
            _ => 1000 / micros.unsigned_abs(),
        };
        Self { nanos, owed_nanos: 0 }
    }

    /// A key is about to be loaded.
    pub(super) fn pass(&mut self, shared: &Shared) -> Result<(), String> {
        if self.nanos > 0 {
            self.owed_nanos = self.owed_nanos.saturating_add(self.nanos);
            while self.owed_nanos >= NANOS_MIN {
                let nanos = self.owed_nanos.min(NANOS_MAX);
                sleep(Duration::from_nanos(nanos));
                let owed_nanos = self.owed_nanos - nanos;
                shared.loading.check_end(shared)?;
                *self = Self::of(&shared.config.current());
                self.owed_nanos = if self.nanos == 0 { 0 } else { owed_nanos };
            }
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "tests ask for it, by a parameter")]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
