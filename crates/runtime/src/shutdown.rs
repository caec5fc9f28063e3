//! The stages of a shutdown, agreed on by all workers.
//!
//! ```text
//! Running --begin--> Stopping --every worker ready--> Draining --every worker drained--> Stopped
//!            ^          |                                |
//!            +--cancel--+                                +--the grace ends--> Stopped
//! ```
//!
//! A worker that is drained goes on reading its mail until all are: another one may wait for its
//! answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Running,
    /// Served as usual; services are asked whether they are ready.
    Stopping,
    /// No new connections, no more reading; what was read is answered and sent.
    Draining,
    /// Workers end.
    Stopped,
}

/// Shared by all workers. The stage is read by each in every tick and changed a few times in a
/// life.
#[derive(Debug)]
pub(crate) struct Shutdown {
    stage: AtomicU8,
    /// By worker: has done its part of the stage.
    votes: Mutex<Vec<bool>>,
}

impl Shutdown {
    pub(crate) fn new(worker_count: usize) -> Self {
        let votes = Mutex::new(vec![false; worker_count]);
        Self { stage: AtomicU8::new(Stage::Running as u8), votes }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Stopping,
            2 => Stage::Draining,
            _ => Stage::Stopped,
        }
    }

    /// True when this call began it.
    pub(crate) fn begin(&self) -> bool {
        self.move_on(Stage::Running, Stage::Stopping)
    }

    /// Back to normal; false when it is too late.
    pub(crate) fn cancel(&self) -> bool {
        self.move_on(Stage::Stopping, Stage::Running)
    }

    /// A worker has done its part of `stage`. True when it was the last one, and the stage changed.
    pub(crate) fn vote(&self, worker: usize, stage: Stage) -> bool {
        let mut votes = self.lock();
        if self.stage() != stage {
            return false;
        }
        votes[worker] = true;
        if !votes.iter().all(|vote| *vote) {
            return false;
        }
        votes.fill(false);
        let next = if stage == Stage::Stopping { Stage::Draining } else { Stage::Stopped };
        self.stage.store(next as u8, Ordering::Release);
        true
    }

    /// A worker takes its vote back: there is something to do again.
    pub(crate) fn unvote(&self, worker: usize, stage: Stage) {
        let mut votes = self.lock();
        if self.stage() == stage {
            votes[worker] = false;
        }
    }

    /// Ends everything, whatever the others do.
    pub(crate) fn stop(&self) {
        let _votes = self.lock();
        self.stage.store(Stage::Stopped as u8, Ordering::Release);
    }

    fn move_on(&self, from: Stage, to: Stage) -> bool {
        let mut votes = self.lock();
        if self.stage() != from {
            return false;
        }
        votes.fill(false);
        self.stage.store(to as u8, Ordering::Release);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<bool>> {
        self.votes.lock().expect("no code that can panic runs under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_ends_when_all_workers_have_voted() {
        let shutdown = Shutdown::new(2);
        assert!(!shutdown.vote(0, Stage::Stopping));
        assert!(shutdown.begin());
        assert!(!shutdown.begin());
        assert!(!shutdown.vote(1, Stage::Stopping));
        assert!(!shutdown.vote(1, Stage::Stopping));
        assert!(shutdown.vote(0, Stage::Stopping));
        assert_eq!(shutdown.stage(), Stage::Draining);
        assert!(!shutdown.cancel());
        assert!(!shutdown.vote(0, Stage::Draining));
        shutdown.unvote(0, Stage::Draining);
        assert!(!shutdown.vote(1, Stage::Draining));
        assert!(shutdown.vote(0, Stage::Draining));
        assert_eq!(shutdown.stage(), Stage::Stopped);
    }

    #[test]
    fn a_cancelled_shutdown_can_begin_again() {
        let shutdown = Shutdown::new(1);
        assert!(shutdown.begin());
        assert!(shutdown.cancel());
        assert_eq!(shutdown.stage(), Stage::Running);
        assert!(shutdown.begin());
    }
}
