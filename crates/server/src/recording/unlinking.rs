//! What deletions that nobody asked for are called, as all workers see it.

use darter_command_table::Unlinks;
use std::sync::atomic::{AtomicBool, Ordering};

/// The setting, to be looked at while shards are held.
#[derive(Debug)]
pub struct Unlinking {
    expired: AtomicBool,
    evicted: AtomicBool,
    implied: AtomicBool,
}

impl Unlinking {
    /// As set.
    pub const fn new(unlinks: Unlinks) -> Self {
        let Unlinks { expired, evicted, implied } = unlinks;
        Self {
            expired: AtomicBool::new(expired),
            evicted: AtomicBool::new(evicted),
            implied: AtomicBool::new(implied),
        }
    }

    /// Follows a change of the configuration.
    pub fn follow(&self, unlinks: Unlinks) {
        let Unlinks { expired, evicted, implied } = unlinks;
        self.expired.store(expired, Ordering::Relaxed);
        self.evicted.store(evicted, Ordering::Relaxed);
        self.implied.store(implied, Ordering::Relaxed);
    }

    /// As it is now.
    pub fn get(&self) -> Unlinks {
        Unlinks {
            expired: self.expired.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            implied: self.implied.load(Ordering::Relaxed),
        }
    }
}
