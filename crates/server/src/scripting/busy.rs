//! Scripts that take too long.
//!
//! Each worker says in one word what its script does. Short scripts cost two stores there. A script
//! that has run for `busy-reply-threshold` becomes busy: then it can be stopped from anywhere, unless it
//! has written, and commands that need its shards are refused.

use crate::commands::error::ServerError;
use crate::place::ShardSet;
use crate::session::Session;
use crate::transaction;
use crate::worker::Core;
use darter_base::{ShardId, WorkerId};
use darter_command_table::{Entry, Flags, ReplyError};
use darter_resp::Args;
use darter_runtime::Ticks;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// What a worker's script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// There is none, or it has not run for long.
    Idle,
    /// It is busy and has not written.
    Busy,
    /// It is busy and has written: it cannot be stopped.
    Wrote,
    /// It is to stop.
    Stopping,
}

/// What a busy script is.
#[derive(Clone, Debug)]
pub struct BusyScript {
    /// Where it runs.
    pub worker: WorkerId,
    /// Whether FCALL called it.
    pub is_function: bool,
    /// The function's name.
    pub name: String,
    /// The command that called it.
    pub command: Vec<Vec<u8>>,
    /// When it began.
    pub begun: Ticks,
    /// The shards it keeps from others.
    pub shards: Vec<ShardId>,
}

/// Why a script was not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStopped {
    /// None is busy.
    NotBusy,
    /// It has written.
    Wrote,
    /// It is stopped by the other command: that for functions if `is_function`.
    OtherKind { is_function: bool },
}

/// The scripts that run, per worker.
#[derive(Debug)]
pub struct Busy {
    phases: Box<[AtomicU8]>,
    scripts: Mutex<Vec<BusyScript>>,
    /// As many as `scripts`.
    count: AtomicUsize,
}

impl Busy {
    /// None.
    pub fn new(workers: usize) -> Self {
        Self {
            phases: (0..workers).map(|_| AtomicU8::new(Phase::Idle as u8)).collect(),
            scripts: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Whether a script is busy.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Whether `shard` is kept from others by a busy script, and whether that is a function.
    pub fn keeps(&self, shard: ShardId) -> Option<bool> {
        self.scripts()
            .iter()
            .find(|script| script.shards.contains(&shard))
            .map(|script| script.is_function)
    }

    /// Whether the busy script of a worker is a function, if it has one.
    pub fn on(&self, worker: WorkerId) -> Option<bool> {
        let scripts = self.scripts();
        scripts.iter().find(|script| script.worker == worker).map(|script| script.is_function)
    }

    /// Whether the script that became busy first is a function, if there is one.
    pub fn any_kind(&self) -> Option<bool> {
        self.scripts().first().map(|script| script.is_function)
    }

    /// Those that are busy.
    pub fn list(&self) -> Vec<BusyScript> {
        self.scripts().clone()
    }

    /// A worker's script has become busy.
    pub fn begin(&self, script: BusyScript, wrote: bool) {
        let phase = if wrote { Phase::Wrote } else { Phase::Busy };
        self.phase(script.worker).store(phase as u8, Ordering::Release);
        let mut scripts = self.scripts();
        scripts.push(script);
        self.count.store(scripts.len(), Ordering::Release);
    }

    /// It has ended.
    pub fn end(&self, worker: WorkerId) {
        self.phase(worker).store(Phase::Idle as u8, Ordering::Release);
        let mut scripts = self.scripts();
        scripts.retain(|script| script.worker != worker);
        self.count.store(scripts.len(), Ordering::Release);
    }

    /// A busy script is about to write; `false` if it is to stop instead.
    pub fn may_write(&self, worker: WorkerId) -> bool {
        let phase = self.phase(worker);
        let before = phase.compare_exchange(
            Phase::Busy as u8,
            Phase::Wrote as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        before != Err(Phase::Stopping as u8)
    }

    /// Whether a worker's script is to stop.
    pub fn stops(&self, worker: WorkerId) -> bool {
        self.phase(worker).load(Ordering::Acquire) == Phase::Stopping as u8
    }

    /// Stops the busy scripts of one kind, as SCRIPT KILL and FUNCTION KILL do.
    pub fn stop(&self, functions: bool) -> Result<(), NotStopped> {
        let mut refusal = NotStopped::NotBusy;
        let mut stopped = false;
        for script in self.scripts().iter() {
            if script.is_function != functions {
                if refusal == NotStopped::NotBusy {
                    refusal = NotStopped::OtherKind { is_function: script.is_function };
                }
                continue;
            }
            let before = self.phase(script.worker).compare_exchange(
                Phase::Busy as u8,
                Phase::Stopping as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match before {
                Ok(_) => stopped = true,
                Err(phase) if phase == Phase::Wrote as u8 => refusal = NotStopped::Wrote,
                Err(_) => {}
            }
        }
        if stopped { Ok(()) } else { Err(refusal) }
    }

    fn phase(&self, worker: WorkerId) -> &AtomicU8 {
        &self.phases[worker.index()]
    }

    fn scripts(&self) -> MutexGuard<'_, Vec<BusyScript>> {
        self.scripts.lock().expect("nothing panics while it holds this")
    }
}

impl Core {
    /// The refusal of a command that a busy script is in the way of: one that needs a shard the script
    /// keeps, or is about no keys, or is part of a transaction, or wants to run a script where that one
    /// runs.
    #[cold]
    pub fn busy_with(
        &self,
        session: &Session,
        entry: &'static Entry,
        args: Args<'_>,
    ) -> Option<ReplyError> {
        if entry.command.flags.has(Flags::ALLOW_BUSY) {
            return None;
        }
        let busy = &self.shared.scripts.busy;
        let mut shards = ShardSet::default();
        if self.runs_queue(entry) {
            shards.extend(transaction::shards_of(session));
        } else {
            self.add_shards_of(entry, args, &mut shards);
        }
        let own = || self.runs_apart(session, entry).then(|| busy.on(self.worker)).flatten();
        let is_function = match shards.as_slice() {
            // A transaction is not refused by halves: what it would find at its end cannot be told yet.
            [] => busy.any_kind(),
            _ if session.transaction.is_some() => busy.any_kind(),
            shards => shards.iter().find_map(|shard| busy.keeps(*shard)).or_else(own),
        }?;
        Some(ServerError::Busy { is_function }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(worker: u16, is_function: bool) -> BusyScript {
        BusyScript {
            worker: WorkerId(worker),
            is_function,
            name: String::new(),
            command: Vec::new(),
            begun: darter_runtime::Stopwatch::new().now(),
            shards: vec![ShardId(worker)],
        }
    }

    #[test]
    fn busy_scripts_are_stopped_unless_they_wrote() {
        let busy = Busy::new(2);
        assert_eq!(busy.stop(false), Err(NotStopped::NotBusy));
        busy.begin(script(0, false), false);
        assert!(busy.any());
        assert_eq!(busy.keeps(ShardId(0)), Some(false));
        assert_eq!(busy.keeps(ShardId(1)), None);
        assert_eq!((busy.on(WorkerId(0)), busy.on(WorkerId(1))), (Some(false), None));
        assert_eq!(busy.any_kind(), Some(false));
        assert_eq!(busy.stop(true), Err(NotStopped::OtherKind { is_function: false }));
        assert!(busy.may_write(WorkerId(0)));
        assert_eq!(busy.stop(false), Err(NotStopped::Wrote));
        busy.end(WorkerId(0));
        busy.begin(script(1, true), false);
        assert_eq!(busy.stop(true), Ok(()));
        assert!(busy.stops(WorkerId(1)));
        assert!(!busy.may_write(WorkerId(1)));
        busy.end(WorkerId(1));
        assert!(!busy.any());
    }
}
