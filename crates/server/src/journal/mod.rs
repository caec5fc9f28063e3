//! The log of changes (`appendonly`): what happened, recorded while its shards are held.
//!
//! ```text
//!   whoever holds shards          each worker, once a tick     a thread for the file
//!   Shared::record*                Journal::write_out           writer::run
//!   +------------------+          +------------------+         +--------------------------+
//!   | requests, in the |  ----->  | one write for    |         | writes under `always`,   |
//!   | order of changes |  buffer  | all of them      |         | syncs, changes files     |
//!   +------------------+          +------------------+         +--------------------------+
//! ```
//!
//! A command that changed something is recorded before its shards are given back, as what does the same again
//! (`darter_command_table::effects`), so one buffer has everything in an order in which it could have happened
//! one after the other. Under `always` what such a command answers is withheld until the log is on the disk up to
//! where it had got when the command had run (`darter_runtime::Service::withholds`).
//!
//! A log begins with a base: all data at one instant, written as any snapshot is ([`crate::saving`]). At that
//! instant, while all shards are held, the buffer is *cut*: what comes behind goes to another file. The same happens
//! when the log is written anew (BGREWRITEAOF), and when a file cannot be relied on any more because it could not be synced:
//! then writes are refused until there is a new base, as nobody knows what of the file is on the disk.

mod files;
mod recover;
mod settings;
mod status;
mod writer;

use crate::config::Settings;
use crate::histogram::Recorder;
use crate::mail::Mail;
use crate::recording::Requests;
use crate::shared::{Shared, lock};
use darter_base::WorkerId;
use darter_runtime::Stopwatch;
use files::Files;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;

pub use recover::{RecoveryError, recover, reload};
pub use settings::{JournalSettings, SyncPolicy};
pub use status::Status;
pub use writer::close_at_the_end;

/// Bytes not yet in the file above which workers wait for it.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// How long a write may take a worker that has clients to serve.
const QUICK_WRITE_NANOS_MAX: u64 = 5_000_000;

/// The log of changes, as all workers share it.
#[derive(Debug)]
pub struct Journal {
    /// Whether changes are recorded. It becomes true only while all shards are held, so whoever holds one knows.
    is_attached: AtomicBool,
    /// Whether what changed something is answered once it is on the disk.
    is_strict: AtomicBool,
    /// Whether whoever recovers the log finds what is written: not before a new log has its base.
    is_found: AtomicBool,
    /// Held while [`is_strict`](Self::is_strict) is decided.
    deciding: Mutex<()>,
    /// Whether what is recorded has the time in it.
    notes_time: AtomicBool,
    requests: Mutex<Requests>,
    /// Where in the log the last request ends.
    end: AtomicU64,
    /// Up to where the log is in its files.
    written: AtomicU64,
    /// Up to where the log is on the disk, and will be found by whoever recovers it.
    synced: AtomicU64,
    /// Whether a sync is under way, which a write might have to wait for.
    is_syncing: AtomicBool,
    /// Whether a write has had to wait for the sync under way.
    delays_write: AtomicBool,
    /// Whether a write has had to wait for a sync: on some file systems it does, and then only the thread for the
    /// file writes during one.
    syncs_block: AtomicBool,
    /// Whether writing or syncing failed, and was not made up for yet.
    has_failed: AtomicBool,
    files: Mutex<Option<Files>>,
    signal: Mutex<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
    bell: Condvar,
    /// By worker: whether it withholds answers.
    withholding: Box<[AtomicBool]>,
    /// Whether a base is to be written as soon as that can begin.
    wants_base: AtomicBool,
    status: Mutex<Status>,
    /// By how many microseconds writing is delayed (`DEBUG AOF-FLUSH-SLEEP`).
    delay_micros: AtomicI64,
    /// How long syncs took; made with the first. Written by the thread for the file.
    sync_times: OnceLock<Recorder>,
}

/// What the thread for the file is to do.
#[derive(Clone, Copy, Debug, Default)]
struct Signal {
    /// To look after the file now.
    rings: bool,
    /// To end once everything is in the file.
    ends: bool,
    /// Whether there is one.
    is_running: bool,
}

impl Journal {
    /// None yet, of so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            is_attached: AtomicBool::new(false),
            is_strict: AtomicBool::new(false),
            is_found: AtomicBool::new(false),
            deciding: Mutex::default(),
            notes_time: AtomicBool::new(false),
            requests: Mutex::default(),
            end: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            is_syncing: AtomicBool::new(false),
            delays_write: AtomicBool::new(false),
            syncs_block: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            files: Mutex::new(None),
            signal: Mutex::default(),
            thread: Mutex::default(),
            bell: Condvar::new(),
            withholding: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            wants_base: AtomicBool::new(false),
            status: Mutex::default(),
            delay_micros: AtomicI64::new(0),
            sync_times: OnceLock::new(),
        }
    }

    /// Whether changes are recorded.
    #[inline]
    pub fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    /// Whether who starts the server again finds the log: not before a new one has its base.
    pub fn is_found(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }

    /// Records what `add` adds.
    pub(crate) fn record(&self, add: impl FnOnce(&mut Requests)) {
        let mut requests = lock(&self.requests);
        if self.notes_time.load(Ordering::Relaxed) {
            requests.note_time(darter_runtime::wall_clock().0 / 1000);
        }
        add(&mut requests);
        self.end.store(requests.end(), Ordering::Release);
    }

    /// Begins a log, or another file of it: all data as they are now are about to be its base. To be called while all
    /// shards are held.
    pub fn begin(shared: &'static Shared) {
        shared.journal.cut();
        if let Err(error) = Self::start(shared) {
            tracing::error!(%error, "There is no thread for the log");
            shared.journal.has_failed.store(true, Ordering::Relaxed);
        }
    }

    fn cut(&self) {
        self.wants_base.store(false, Ordering::Relaxed);
        if self.is_attached() {
            lock(&self.requests).cut();
        } else {
            self.begin_at(0);
            self.is_found.store(false, Ordering::Relaxed);
            let mut status = lock(&self.status);
            (status.failed_rewrites, status.failed_at) = (0, None);
            drop(status);
            self.is_attached.store(true, Ordering::Relaxed);
        }
        self.ring();
    }

    /// The log goes on at `offset`, up to where it is on the disk.
    fn begin_at(&self, offset: u64) {
        lock(&self.requests).begin_at(offset);
        for place in [&self.end, &self.written, &self.synced] {
            place.store(offset, Ordering::SeqCst);
        }
    }

    /// Up to where the log has to be on the disk before a client is answered whose command has just run.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Whether answers to what changed something wait for the disk.
    #[inline]
    pub fn is_strict(&self) -> bool {
        self.is_strict.load(Ordering::Relaxed)
    }

    /// Whether the log is on the disk up to `offset`.
    pub fn is_synced(&self, offset: u64) -> bool {
        self.synced.load(Ordering::SeqCst) >= offset
    }

    /// Whether an answer that waits for the log up to `offset` has to wait on. If so, this worker will be told when
    /// more is on the disk ([`Mail::Synced`]).
    pub fn withholds(&self, worker: WorkerId, offset: u64) -> bool {
        if self.synced.load(Ordering::SeqCst) >= offset {
            return false;
        }
        // Whoever syncs looks at the notes of workers after it has said how far it is.
        self.withholding[worker.index()].store(true, Ordering::SeqCst);
        self.synced.load(Ordering::SeqCst) < offset
    }

    /// Tells workers that withhold answers that more is on the disk, or that nothing has to wait any more.
    fn tell_synced(&self, shared: &Shared) {
        for (index, is_waiting) in (0..).zip(&self.withholding) {
            if is_waiting.swap(false, Ordering::SeqCst) {
                shared.send(WorkerId(index), Mail::Synced);
            }
        }
    }

    /// What every worker does once a tick and before it sends answers: what has been recorded goes to the file,
    /// unless another thread has to do that because it takes long.
    #[inline]
    pub fn write_out(&self, stopwatch: &Stopwatch) {
        if self.is_attached() {
            self.write_out_waiting(stopwatch);
        }
    }

    fn write_out_waiting(&self, stopwatch: &Stopwatch) {
        let waiting = self.end().saturating_sub(self.written.load(Ordering::Relaxed));
        if waiting == 0 {
            return;
        }
        let is_syncing = self.is_syncing.load(Ordering::Relaxed);
        let waits_for_sync = is_syncing && self.syncs_block.load(Ordering::Relaxed);
        let is_delayed = self.delay_micros.load(Ordering::Relaxed) != 0;
        let is_slow = self.is_strict() || waits_for_sync || is_delayed;
        let is_quick = !is_slow && !self.has_failed.load(Ordering::Relaxed);
        let begun = is_syncing.then(|| stopwatch.now());
        let files = match self.files.try_lock() {
            Ok(files) if is_quick => Some(files),
            _ if waiting > WAITING_BYTES_MAX && !self.has_failed.load(Ordering::Relaxed) => {
                Some(lock(&self.files))
            }
            _ => None,
        };
        let is_written = files.is_some_and(|mut files| match &mut *files {
            Some(files) => files.write_quickly(self),
            None => true,
        });
        if let Some(begun) = begun
            && stopwatch.nanos_between(begun, stopwatch.now()) > QUICK_WRITE_NANOS_MAX
        {
            self.syncs_block.store(true, Ordering::Relaxed);
            self.delays_write.store(true, Ordering::Relaxed);
        }
        if !is_written {
            if waits_for_sync && !self.is_strict() {
                self.delays_write.store(true, Ordering::Relaxed);
            }
            self.ring();
        }
    }

    /// Wakes the thread for the file.
    fn ring(&self) {
        lock(&self.signal).rings = true;
        self.bell.notify_one();
    }

    /// Delays each write, for tests.
    pub fn delay_writes(&self, micros: i64) {
        self.delay_micros.store(micros, Ordering::Relaxed);
    }

    /// Follows a change of the configuration.
    pub fn follow(&self, shared: &Shared, settings: &Settings) {
        self.notes_time.store(settings.journal.has_timestamps, Ordering::Relaxed);
        if self.is_attached() {
            self.decide_strictness(shared);
            self.ring();
        }
    }

    /// Lets clients wait for the disk, or no longer. Whoever has changed the configuration has this decided before
    /// anybody is answered, and so has whoever made a log that is found; each goes by what is configured then.
    fn decide_strictness(&self, shared: &Shared) {
        let deciding = lock(&self.deciding);
        let is_always = shared.config.current().journal.syncs == SyncPolicy::Always;
        // What nobody would find is not waited for while a log begins.
        let is_found = self.is_found.load(Ordering::Relaxed) || self.has_failed();
        let is_strict = self.is_attached() && is_always && is_found;
        let was_strict = self.is_strict.swap(is_strict, Ordering::Relaxed);
        drop(deciding);
        if was_strict && !is_strict {
            self.tell_synced(shared);
        }
    }
}
