//! How many bytes may be on their way from the reader to the loading threads.

use crate::shared::lock;
use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes under way above which the reader waits.
const BYTES_MAX: usize = 16 << 20;

/// The bytes under way. Whatever is longer than all that may be goes alone.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: Mutex<usize>,
    has_changed: Condvar,
}

/// Bytes under way until this is dropped.
#[derive(Debug)]
pub(super) struct Spent<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    /// Notes that `bytes` are under way, once there is room for them.
    pub(super) fn spend(&self, bytes: usize) {
        let mut under_way = lock(&self.bytes);
        while *under_way > 0 && under_way.saturating_add(bytes) > BYTES_MAX {
            under_way = self.has_changed.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way += bytes;
    }

    /// Takes over what was spent for a batch that has arrived.
    pub(super) const fn arrived(&self, bytes: usize) -> Spent<'_> {
        Spent { budget: self, bytes }
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        *lock(&self.budget.bytes) -= self.bytes;
        self.budget.has_changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn the_reader_waits_until_there_is_room() {
        let (budget, is_through) = (Budget::default(), AtomicBool::new(false));
        // More than there may be, but nothing else is under way.
        budget.spend(2 * BYTES_MAX);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                budget.spend(1);
                is_through.store(true, Ordering::SeqCst);
            });
            assert!(!is_through.load(Ordering::SeqCst));
            drop(budget.arrived(2 * BYTES_MAX));
        });
        assert!(is_through.load(Ordering::SeqCst));
        assert_eq!(*lock(&budget.bytes), 1);
        budget.spend(BYTES_MAX - 1);
    }
}
