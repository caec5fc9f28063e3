//! The log of changes (`appendonly`): what happened, recorded while its shards are held.
//!
//! ```text
//!   whoever holds shards          each worker, once a tick     a thread for the file
//!   Journal::record_*             Journal::write_out           thread::run
//!   +------------------+          +------------------+         +--------------------------+
//!   | requests, in the |  ----->  | one write for    |         | writes under `always`,   |
//!   | order of changes |  buffer  | all of them      |         | syncs, switches files    |
//!   +------------------+          +------------------+         +--------------------------+
//! ```
//!
//! A command that changed something is recorded before its shards are given back, as what does the same again
//! (`darter_command_table::effects`), so one buffer has everything in an order in which it could have happened
//! one after the other.

mod record;

use crate::shared::lock;
use darter_base::DbIndex;
use darter_command_table::Effects;
use darter_resp::Args;
use darter_shard::{Gone, Interest};
use record::Requests;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub use record::Group;

/// The log of changes, as all workers share it.
#[derive(Debug, Default)]
pub struct Journal {
    /// Whether changes are recorded. It changes only while all shards are held, so whoever holds one knows.
    is_attached: AtomicBool,
    requests: Mutex<Requests>,
}

impl Journal {
    /// Whether changes are recorded.
    #[inline]
    pub fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    /// What is of interest to others, and to the log.
    #[inline]
    pub fn interest(&self, interest: Interest) -> Interest {
        if self.is_attached() { interest.and(Interest::GONE) } else { interest }
    }

    /// Records a command.
    pub fn record(&self, db: DbIndex, args: Args<'_>) {
        lock(&self.requests).add(db, args);
    }

    /// Records what a command left instead of itself.
    pub fn record_effects(&self, db: DbIndex, effects: &Effects) {
        lock(&self.requests).add_effects(db, effects);
    }

    /// Records what went by itself.
    pub fn record_gone(&self, gone: &[Gone]) {
        let mut group = Group::default();
        group.add_gone(gone);
        lock(&self.requests).add_group(&group, false);
    }

    /// Records what happened as one step.
    pub fn record_group(&self, group: &Group) {
        lock(&self.requests).add_group(group, true);
    }
}
