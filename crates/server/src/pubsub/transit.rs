//! How much is under way to a worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes under way to a worker above which publishers wait until it has caught up.
const BEHIND_BYTES_MAX: u64 = 16 << 20;

/// Bytes of messages sent to one worker, and delivered by it. Not a counter of one writer: everybody
/// sends.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Transit {
    sent: AtomicU64,
    delivered: AtomicU64,
}

impl Transit {
    /// A message of `bytes` is about to be sent.
    pub fn send(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has been delivered.
    pub fn deliver(&self, bytes: u64) {
        self.delivered.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether something is under way, as the worker itself sees it.
    pub fn is_busy(&self) -> bool {
        self.bytes() > 0
    }

    /// Whether so much is under way that who can wait should.
    pub fn is_behind(&self) -> bool {
        self.bytes() > BEHIND_BYTES_MAX
    }

    fn bytes(&self) -> u64 {
        // Read in this order, what is sent in between is missed, not counted twice.
        let delivered = self.delivered.load(Ordering::Relaxed);
        self.sent.load(Ordering::Relaxed).saturating_sub(delivered)
    }
}
