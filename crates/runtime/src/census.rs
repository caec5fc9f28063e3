//! How many connections there are.

use darter_base::WorkerId;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections of the whole process, counted without a lock.
#[derive(Debug)]
pub(crate) struct Census {
    /// Open, or being opened at this moment.
    open: AtomicUsize,
    /// By worker: handed to it and not yet closed.
    assigned: Box<[AtomicUsize]>,
}

impl Census {
    pub(crate) fn new(worker_count: usize) -> Self {
        let assigned = (0..worker_count).map(|_| AtomicUsize::new(0)).collect();
        Self { open: AtomicUsize::new(0), assigned }
    }

    /// Picks the worker with the fewest connections, the one after `after` among equals, and counts
    /// one more for it. For the acceptor alone.
    pub(crate) fn assign(&self, after: WorkerId) -> WorkerId {
        let count = self.assigned.len();
        let chosen = (1..=count)
            .map(|step| (after.index() + step) % count)
            .min_by_key(|worker| self.assigned[*worker].load(Ordering::Relaxed))
            .expect("there is a worker");
        self.assigned[chosen].fetch_add(1, Ordering::Relaxed);
        WorkerId(u16::try_from(chosen).expect("workers are numbered by a u16"))
    }

    /// An assigned connection is being opened: how many are open now, this one included.
    pub(crate) fn enter(&self) -> usize {
        self.open.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A connection of `worker` that entered is gone or was refused.
    pub(crate) fn leave(&self, worker: WorkerId) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.assigned[worker.index()].fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptiest_worker_is_chosen_and_equals_take_turns() {
        let census = Census::new(3);
        let mut last = WorkerId(2);
        let mut chosen = Vec::new();
        for _ in 0..6 {
            last = census.assign(last);
            chosen.push(last.0);
        }
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
        census.enter();
        census.leave(WorkerId(1));
        assert_eq!(census.assign(last), WorkerId(1));
        assert_eq!(census.open(), 0);
    }
}
