//! Ending without a loss for replicas: writes are held back until they have everything, or `shutdown-timeout` is over.
//!
//! ```text
//!   SHUTDOWN, SIGTERM --> replicas lag? -- no ---------------------------------> workers end
//!                              | yes                                              ^
//!                              v                                                  |
//!                         writes are held back  -- they have all, or time is up --+-- a log without a base:
//!                              |                                                      called off
//!                              +-- SHUTDOWN ABORT: writes go on
//! ```
//!
//! Workers ask ([`Departure::look`]) whenever the runtime asks them whether they are ready.

use crate::following::Following;
use crate::mail::Mail;
use crate::pause::{Cause, FOR_EVER, Paused};
use crate::shared::{Shared, lock};
use darter_base::{UnixMillis, WorkerId};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The end of the process, as all workers share it.
#[derive(Debug, Default)]
pub struct Departure {
    /// Whether nobody is waited for (`SHUTDOWN NOW`).
    is_hurried: AtomicBool,
    /// Whether replicas are waited for.
    waits: AtomicBool,
    stage: Mutex<Stage>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// Nobody has looked yet.
    #[default]
    Begins,
    /// Replicas are waited for.
    Waits { until: UnixMillis },
    /// They are not, or not any more; writes are still held back if they were.
    Goes,
}

/// Whether the process may end, as far as replicas go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departing {
    /// It waits.
    Waits,
    /// It may.
    MayGo,
    /// It may not.
    MayNot,
}

impl Departure {
    /// Says whether replicas are waited for, before an end begins.
    pub fn hurry(&self, is_hurried: bool) {
        self.is_hurried.store(is_hurried, Ordering::Relaxed);
    }

    /// Whether replicas are waited for: everything but writes goes on as ever.
    #[inline]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Until when replicas are waited for, at most.
    pub fn waits_until(&self) -> Option<UnixMillis> {
        match *lock(&self.stage) {
            Stage::Waits { until } => Some(until),
            Stage::Begins | Stage::Goes => None,
        }
    }

    /// Looks whether the process may end that was told to. If it may no primary is followed any more.
    pub fn look(&self, shared: &Shared, now: UnixMillis) -> Departing {
        let mut stage = lock(&self.stage);
        if !shared.running.get().is_some_and(|running| running.shutdown.has_begun()) {
            // It was called off while this worker was about to ask.
            return Departing::Waits;
        }
        match self.look_at_replicas(&mut stage, shared, now) {
            Departing::MayGo if !shared.following.end() => Departing::Waits,
            departing => departing,
        }
    }

    fn look_at_replicas(&self, stage: &mut Stage, shared: &Shared, now: UnixMillis) -> Departing {
        match *stage {
            Stage::Goes => Departing::MayGo,
            Stage::Waits { until } if now < until && shared.replication.lag(now).is_behind() => {
                Departing::Waits
            }
            Stage::Waits { .. } => {
                *stage = Stage::Goes;
                self.waits.store(false, Ordering::Relaxed);
                shared.replication.lag(now).log();
                // A log can have been switched on meanwhile.
                if shared.saving.is_held_up(&shared.journal) {
                    tracing::warn!(
                        "Errors trying to shut down the server. Check the logs for more information."
                    );
                    return Departing::MayNot;
                }
                Departing::MayGo
            }
            Stage::Begins => {
                let lag = shared.replication.lag(now);
                let millis = shared.config.current().process.shutdown_millis;
                let is_at_once = self.is_hurried.load(Ordering::Relaxed)
                    || millis == 0
                    || shared.loading.is_under_way();
                if is_at_once || !lag.is_behind() {
                    *stage = Stage::Goes;
                    lag.log();
                    return Departing::MayGo;
                }
                let until = UnixMillis(now.0.saturating_add(millis));
                *stage = Stage::Waits { until };
                self.waits.store(true, Ordering::Relaxed);
                shared.pause.begin(Cause::Departure, Paused::Writes, FOR_EVER, now);
                shared.replication.ask();
                tell_all(shared, || Mail::FollowPause);
                tracing::info!("Waiting for replicas before shutting down.");
                Departing::Waits
            }
        }
    }

    /// The process does not end: writes go on, the primary is followed again, and who waits for its end is told. To be called
    /// when the end was called off.
    pub fn call_off(&self, shared: &'static Shared) {
        let mut stage = lock(&self.stage);
        *stage = Stage::Begins;
        self.waits.store(false, Ordering::Relaxed);
        shared.pause.end(Cause::Departure);
        tell_all(shared, || Mail::FollowPause);
        Following::go_on(shared);
        tell_all(shared, || Mail::DoesNotEnd);
    }
}

fn tell_all(shared: &Shared, mail: impl Fn() -> Mail) {
    for worker in (0..shared.router().worker_count()).map(WorkerId) {
        shared.send(worker, mail());
    }
}
