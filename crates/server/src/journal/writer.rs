//! The thread for the file of the log.

use super::files::{Failure, Files, ToSync, random_id};
use super::{Journal, Signal, SyncPolicy, lock};
use crate::config::Settings;
use crate::delay::Delay;
use crate::histogram::Recorder;
use crate::shared::Shared;
use darter_persistence::{BaseFormat, Log, LogError, Seal};
use darter_runtime::Ticks;
use std::convert::Infallible;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time between syncs under `everysec`, and the longest time between looks at the configuration.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Time between tries while the log cannot be written: writes are accepted soon after the cause has gone.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Journal {
    /// Starts the thread for the file, unless it runs.
    pub fn start(shared: &'static Shared) -> io::Result<()> {
        let journal = &shared.journal;
        let mut signal = lock(&journal.signal);
        if signal.is_running {
            return Ok(());
        }
        let run = move || run(shared);
        let thread = std::thread::Builder::new().name("darter-log".to_owned()).spawn(run)?;
        *signal = Signal { rings: true, is_running: true, ends: false };
        drop(signal);
        *lock(&journal.thread) = Some(thread);
        Ok(())
    }

    /// Sees whether a log can be begun, if one is to be.
    ///
    /// # Errors
    /// When its directory cannot be made, or what is there is no log.
    pub fn prepare(&self, settings: &Settings) -> Result<(), LogError> {
        if settings.journal.is_on && !self.is_attached() {
            Log::create(settings.log_place(), random_id())?;
        }
        Ok(())
    }

    /// Whether a log that was given up is still being brought to its end, so that none can begin.
    pub fn is_ending(&self) -> bool {
        let signal = lock(&self.signal);
        signal.is_running && signal.ends
    }

    /// Nothing is recorded any more. The log ends with what has been.
    pub fn detach(&self, shared: &Shared) {
        self.wants_base.store(false, Ordering::Relaxed);
        self.end_log(shared);
    }

    fn end_log(&self, shared: &Shared) {
        self.is_attached.store(false, Ordering::Relaxed);
        self.is_strict.store(false, Ordering::Relaxed);
        let mut signal = lock(&self.signal);
        signal.ends = signal.is_running;
        signal.rings = true;
        drop(signal);
        self.bell.notify_one();
        self.tell_synced(shared);
    }

    /// The base that was being written is complete, or never will be.
    pub fn base_ended(
        &self,
        shared: &Shared,
        result: io::Result<Seal>,
        format: BaseFormat,
        seconds: i64,
    ) {
        let settings = shared.config.current();
        let mut files = lock(&self.files);
        // The thread for the file may not have come to that yet.
        let result = result.map_err(Failure::Io).and_then(|seal| {
            let files = self.files_of(&mut files, &settings)?.ok_or(Failure::Broken)?;
            files.write(self)?;
            files.install_base(&settings, format, seal)
        });
        let mut status = lock(&self.status);
        status.rewrite_seconds = seconds;
        match result {
            Ok(()) => {
                status.rewrites += 1;
                status.failed_rewrites = 0;
                status.failed_at = None;
                status.bytes = files.as_ref().map_or(0, Files::bytes);
                status.bytes_after_base = status.bytes;
                tracing::info!("Background AOF rewrite finished successfully");
            }
            Err(error) => {
                status.failed_rewrites += 1;
                status.failed_at = Some(shared.stopwatch.now());
                tracing::warn!(%error, "Background AOF rewrite terminated with error");
            }
        }
        let is_found = files.as_ref().is_some_and(|files| !files.is_hidden());
        self.is_found.store(is_found, Ordering::Relaxed);
        drop((status, files));
        self.decide_strictness(shared);
        if settings.journal.is_on {
            self.ring();
        } else {
            // BGREWRITEAOF without a log writes one that ends here. Another one may have been asked for already.
            self.end_log(shared);
        }
    }

    /// The files, which are created if there are none and a log was begun.
    fn files_of<'f>(
        &self,
        files: &'f mut Option<Files>,
        settings: &Settings,
    ) -> Result<Option<&'f mut Files>, Failure> {
        if files.is_none() && self.is_attached() {
            *files = Some(Files::create(settings).map_err(Failure::Log)?);
        }
        Ok(files.as_mut())
    }

    fn wait(&self, for_at_most: Duration) -> Signal {
        let waits = |signal: &mut Signal| {
            // While it cannot be written nobody's ringing makes a try come sooner.
            !signal.ends && (!signal.rings || self.has_failed())
        };
        let waited = self.bell.wait_timeout_while(lock(&self.signal), for_at_most, waits);
        let mut signal = waited.unwrap_or_else(PoisonError::into_inner).0;
        signal.rings = false;
        *signal
    }

    /// Notes that the log could not be written, or not brought onto the disk.
    fn fail(&self, failure: &Failure) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %failure, "Error writing to the AOF file; writes are refused until it can be written");
        }
        lock(&self.status).failure = Some(failure.to_string());
    }

    /// Notes that the log can be written.
    fn succeed(&self) {
        if self.has_failed.swap(false, Ordering::Relaxed) {
            lock(&self.status).failure = None;
            tracing::warn!("AOF write error looks solved, the server can write again");
        }
    }
}

/// What the thread keeps from one turn to the next.
struct Writer {
    shared: &'static Shared,
    journal: &'static Journal,
    /// When there was a sync the last time.
    synced_at: Ticks,
    /// Whether files that no longer count may have been kept.
    kept_history: bool,
    /// When a base was asked for the last time, because nothing is found without it.
    asked_at: Option<Ticks>,
}

fn run(shared: &'static Shared) {
    let journal = &shared.journal;
    let synced_at = shared.stopwatch.now();
    let mut writer = Writer { shared, journal, synced_at, kept_history: true, asked_at: None };
    loop {
        let interval = if journal.has_failed() { RETRY_INTERVAL } else { SYNC_INTERVAL };
        let signal = journal.wait(interval);
        let settings = shared.config.current();
        let result = writer.turn(&settings, signal.ends);
        match &result {
            Ok(()) => journal.succeed(),
            Err(failure) => journal.fail(failure),
        }
        writer.follow();
        if signal.ends {
            break;
        }
    }
    *lock(&journal.files) = None;
    journal.is_found.store(false, Ordering::Relaxed);
    *lock(&journal.signal) = Signal::default();
    journal.tell_synced(shared);
}

impl Writer {
    /// Writes what was recorded, and syncs if it is time.
    fn turn(&mut self, settings: &Settings, ends: bool) -> Result<(), Failure> {
        let journal = self.journal;
        let delay_micros = journal.delay_micros.load(Ordering::Relaxed);
        let Ok(()) = Delay::of(delay_micros).pass(1, || Ok::<_, Infallible>(delay_micros));
        let mut files = lock(&journal.files);
        let Some(present) = journal.files_of(&mut files, settings)? else { return Ok(()) };
        if self.kept_history && !settings.journal.keeps_history {
            present.delete_history(settings);
        }
        self.kept_history = settings.journal.keeps_history;
        let written = present.write(journal);
        lock(&journal.status).bytes = present.bytes();
        let is_hidden = present.is_hidden();
        if present.is_broken() || is_hidden {
            self.ask_for_base(present.is_broken());
        }
        written?;
        let is_base_under_way = is_hidden || self.shared.saving.current().is_some();
        let is_due = match settings.journal.syncs {
            _ if ends => true,
            SyncPolicy::Always => true,
            SyncPolicy::Never => false,
            SyncPolicy::EverySecond => {
                let stopwatch = &self.shared.stopwatch;
                let passed = stopwatch.nanos_between(self.synced_at, stopwatch.now());
                let rests = settings.journal.rests_during_rewrite && is_base_under_way;
                !rests && u128::from(passed) >= SYNC_INTERVAL.as_nanos()
            }
        };
        let is_broken = present.is_broken();
        let to_sync = present.to_sync();
        drop(files);
        if let Some(to_sync) = to_sync
            && is_due
        {
            self.sync(&to_sync, is_hidden)?;
        }
        if is_broken { Err(Failure::Broken) } else { Ok(()) }
    }

    fn sync(&mut self, to_sync: &ToSync, is_hidden: bool) -> Result<(), Failure> {
        let (journal, stopwatch) = (self.journal, &self.shared.stopwatch);
        let begun = stopwatch.now();
        self.synced_at = begun;
        if to_sync.offset > journal.synced.load(Ordering::Relaxed) {
            journal.delays_write.store(false, Ordering::Relaxed);
            journal.is_syncing.store(true, Ordering::Relaxed);
            let result = to_sync.handle.sync();
            journal.is_syncing.store(false, Ordering::Relaxed);
            let nanos = stopwatch.nanos_between(begun, stopwatch.now());
            journal.sync_times.get_or_init(Recorder::default).record(nanos);
            let mut status = lock(&journal.status);
            status.syncs += 1;
            status.delayed_syncs += u64::from(journal.delays_write.load(Ordering::Relaxed));
            if result.is_ok() {
                status.synced_at = Some(darter_runtime::wall_clock());
            }
            status.sync_nanos += nanos;
            status.sync_nanos_max = status.sync_nanos_max.max(nanos);
            drop(status);
            if let Err(error) = result {
                // What the system has dropped it will not write the next time either.
                if let Some(files) = &mut *lock(&journal.files) {
                    files.give_up_file();
                }
                self.ask_for_base(true);
                return Err(Failure::Io(error));
            }
        }
        if is_hidden {
            return Ok(());
        }
        if let Some(files) = &mut *lock(&journal.files) {
            files.note_synced(to_sync.offset);
        }
        // Before anybody hears of it, so that what is sent in answer is not refused.
        journal.succeed();
        journal.synced.fetch_max(to_sync.offset, Ordering::SeqCst);
        journal.tell_synced(self.shared);
        Ok(())
    }

    /// Has a base written, now and then while there is none.
    fn ask_for_base(&mut self, at_once: bool) {
        let stopwatch = &self.shared.stopwatch;
        let now = stopwatch.now();
        let is_recent = self.asked_at.is_some_and(|asked_at| {
            u128::from(stopwatch.nanos_between(asked_at, now)) < SYNC_INTERVAL.as_nanos() / 2
        });
        if self.shared.saving.current().is_none()
            && !is_recent
            && (at_once || self.asked_at.is_some())
        {
            self.journal.wants_base.store(true, Ordering::Relaxed);
        }
        if !is_recent {
            self.asked_at = Some(now);
        }
    }

    /// Lets clients wait for the disk, or no longer.
    fn follow(&self) {
        let journal = self.journal;
        let files = lock(&journal.files);
        let is_found = files.as_ref().is_some_and(|files| !files.is_hidden());
        journal.is_found.store(is_found, Ordering::Relaxed);
        drop(files);
        journal.decide_strictness(self.shared);
    }
}

/// Brings the log to its end, once all workers have ended.
///
/// # Errors
/// When it cannot be written.
pub fn close_at_the_end(shared: &'static Shared) -> io::Result<()> {
    let journal = &shared.journal;
    journal.is_attached.store(false, Ordering::Relaxed);
    let mut signal = lock(&journal.signal);
    signal.ends = true;
    signal.rings = true;
    drop(signal);
    journal.bell.notify_one();
    let thread = lock(&journal.thread).take();
    if thread.is_some_and(|thread| thread.join().is_err()) {
        return Err(io::Error::other("the thread for the log has failed"));
    }
    match journal.failure() {
        Some(failure) => Err(io::Error::other(failure)),
        None => Ok(()),
    }
}
