//! A worker's mailbox and the handshake that wakes it.
//!
//! A sender puts a letter into the [`Mailbox`], then (later, after its event batch) rings the
//! [`Doorbell`]. The owner, before it sleeps, announces it, looks into the mailbox once more, and
//! only then sleeps. Why no letter is slept on, line by line:
//!
//! ```text
//! owner                                    sender
//! O1  sleeping = true                      S1  lock; push; unlock
//! O2  lock; empty?; unlock                 S2  if sleeping: sleeping = false (one atomic step)
//! O3  if empty: wait for a kick            S3      and if that was this sender: kick
//! O4  sleeping = false
//! ```
//!
//! The lock orders O2 and S1. If S1 came first, O2 sees the letter and the owner does not sleep. If
//! O2 came first, its unlock happens before S1's lock, so O1 happens before S2: S2 reads `true`, or
//! a `false` written after O1, by another sender, who kicks, or by O4, after which the owner passes
//! O1 and O2 again before it sleeps. A kick that arrives before O3 is remembered by the kernel (an
//! eventfd counts), so O3 returns at once. The atomics need no ordering of their own: the lock
//! provides it.
//!
//! S2 is a compare-and-exchange, not a swap: only a sender who kicks writes `false`. (loom objects
//! to the swap, which lets a sender who does not kick write one late.)
//!
//! It also makes the first sender after O1 the only one to kick: at most one system call per sleep,
//! however many letters there are. `tests/mailbox_loom.rs` runs this file under loom.
//!
//! A mutex around a `Vec` is measured as fast as a lock-free queue here (`docs/runtime.md`): the
//! owner takes all letters with one swap per tick, and the sections are a few nanoseconds.

use super::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// Ends the owner's wait: from any thread, remembered if it comes early.
pub(crate) trait Kick {
    fn kick(&self);
}

/// Wakes one worker when it sleeps, and costs a load when it does not.
#[derive(Debug)]
pub(crate) struct Doorbell<K> {
    sleeping: AtomicBool,
    kick: K,
}

impl<K: Kick> Doorbell<K> {
    pub(crate) fn new(kick: K) -> Self {
        Self { sleeping: AtomicBool::new(false), kick }
    }

    /// For senders, any time after the letter is in the mailbox.
    pub(crate) fn ring(&self) {
        let relaxed = Ordering::Relaxed;
        if self.sleeping.load(relaxed)
            && self.sleeping.compare_exchange(true, false, relaxed, relaxed).is_ok()
        {
            self.kick.kick();
        }
    }

    /// For the owner, before the last look into everything that rings this bell.
    pub(crate) fn announce_sleep(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
    }

    /// For the owner, after it woke or decided not to sleep.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// Letters to one worker, in the order they came.
#[derive(Debug)]
pub(crate) struct Mailbox<L> {
    letters: Mutex<Vec<L>>,
    /// `letters.len()`, written under the lock. Read without it where a stale value does no harm.
    count: AtomicUsize,
}

/// Memory an emptied mailbox keeps for the next letters, in letters.
const CAPACITY_KEPT: usize = 1024;

impl<L> Mailbox<L> {
    pub(crate) fn new() -> Self {
        Self { letters: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, letter: L) {
        let mut letters = self.letters.lock().expect("no code that can panic runs under this lock");
        letters.push(letter);
        self.count.store(letters.len(), Ordering::Relaxed);
    }

    /// Moves all letters into `into`, which must be empty. A letter pushed at the same time may be
    /// left for the next time.
    pub(crate) fn take_all(&self, into: &mut Vec<L>) {
        debug_assert!(into.is_empty());
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        if into.capacity() > CAPACITY_KEPT {
            *into = Vec::new();
        }
        let mut letters = self.letters.lock().expect("no code that can panic runs under this lock");
        std::mem::swap(&mut *letters, into);
        self.count.store(0, Ordering::Relaxed);
    }

    /// The look before sleeping: must follow [`Doorbell::announce_sleep`].
    pub(crate) fn is_empty_before_sleep(&self) -> bool {
        self.letters.lock().expect("no code that can panic runs under this lock").is_empty()
    }

    /// Letters waiting, roughly.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
