//! Who may answer an operation that waits for what others write.
//!
//! A command that waits for keys of several shards can be found ready by several workers at once. One word
//! says who of them tries it; the others only leave a note that they were there:
//!
//! ```text
//!                    another worker found it ready too
//!           +-> tried ---------------> tried again -+
//!   begin   |     |  |                    |         | it found nothing, but the
//!   trial   |     |  | it answered        |         | others' keys were not looked at
//!           |     |  +-------> over <-----+         v
//!         waits <-+            ^ ^               retried: its worker tries it
//!           ^ | it found       | |                 | |    over all its shards
//!           | | nothing        | |   client gone   | |
//!           | +----------------+ +-----------------+ |
//!           |  time up, unblocked, gone              |
//!           +----------------------------------------+
//! ```
//!
//! `retried` is also what becomes of one that was tried by somebody who could not get a shard it needs: the
//! destination of BLMOVE. Until it has been retried nobody behind it is served, so that it keeps its place.

use crate::sync::{AtomicU8, Ordering};

const WAITS: u8 = 0;
const TRIED: u8 = 1;
const TRIED_AGAIN: u8 = 2;
const RETRIED: u8 = 3;
const OVER: u8 = 4;

/// The word of one waiter. It can be looked at by anybody at any time; what a trial reads and writes is
/// guarded by the shards that are held for it.
#[derive(Debug)]
pub struct Claim(AtomicU8);

/// What came of wanting to try a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It is the caller's to try.
    Begun,
    /// Somebody else is trying it, and will see to what the caller found.
    Elsewhere,
    /// Its own worker is about to try it.
    Postponed,
    /// It waits no longer.
    Over,
}

/// What came of a trial that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fruitless {
    /// It waits as before.
    Waits,
    /// Its worker has to try it: somebody else found it ready meanwhile.
    Retried,
    /// Its client has gone meanwhile.
    Over,
}

/// What came of wanting to end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It waits no longer, and the caller has to answer.
    Ended,
    /// It is being tried; ask again when that is over.
    Busy,
    /// It was answered already; the reply is on its way.
    Over,
}

/// Whether a command that waits has been answered already by somebody whose letter is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    No,
    /// It is being tried.
    Maybe,
    Yes,
}

impl Default for Claim {
    /// Of an operation that begins to wait.
    fn default() -> Self {
        Self(AtomicU8::new(WAITS))
    }
}

impl Claim {
    /// Wants to try it, for a key that is ready in a shard the caller holds.
    pub fn begin_trial(&self) -> Trial {
        self.step(|state| match state {
            WAITS => (TRIED, Trial::Begun),
            TRIED | TRIED_AGAIN => (TRIED_AGAIN, Trial::Elsewhere),
            RETRIED => (RETRIED, Trial::Postponed),
            _ => (OVER, Trial::Over),
        })
    }

    /// It was tried and has its answer.
    pub fn answered(&self) {
        // An exchange like all the others, so that no two of them can be seen in different orders.
        self.0.swap(OVER, Ordering::AcqRel);
    }

    /// It was tried and found nothing.
    pub fn end_trial(&self) -> Fruitless {
        self.step(|state| match state {
            TRIED => (WAITS, Fruitless::Waits),
            TRIED_AGAIN => (RETRIED, Fruitless::Retried),
            _ => (OVER, Fruitless::Over),
        })
    }

    /// It cannot be tried here; its worker has to. `false` if its client has gone meanwhile.
    pub fn postpone(&self) -> bool {
        self.step(|state| match state {
            TRIED | TRIED_AGAIN => (RETRIED, true),
            _ => (OVER, false),
        })
    }

    /// Its worker has all its shards: it is like any other now.
    pub fn begin_retry(&self) {
        self.step(|state| (if state == RETRIED { WAITS } else { state }, ()));
    }

    /// Wants to end it without a trial.
    pub fn end(&self) -> Ending {
        self.step(|state| match state {
            WAITS => (OVER, Ending::Ended),
            TRIED | TRIED_AGAIN | RETRIED => (state, Ending::Busy),
            _ => (OVER, Ending::Over),
        })
    }

    /// Whether it has its answer.
    pub fn is_answered(&self) -> Answered {
        match self.0.load(Ordering::Acquire) {
            WAITS | RETRIED => Answered::No,
            TRIED | TRIED_AGAIN => Answered::Maybe,
            _ => Answered::Yes,
        }
    }

    /// Whether it waits no longer.
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire) == OVER
    }

    /// Its client is gone. Whether those behind it were kept waiting for it to be retried.
    pub fn abandon(&self) -> bool {
        self.0.swap(OVER, Ordering::AcqRel) == RETRIED
    }

    fn step<R>(&self, next: impl Fn(u8) -> (u8, R)) -> R {
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            let (after, result) = next(state);
            let exchanged =
                self.0.compare_exchange_weak(state, after, Ordering::AcqRel, Ordering::Acquire);
            match exchanged {
                Ok(_) => return result,
                Err(found) => state = found,
            }
        }
    }
}
