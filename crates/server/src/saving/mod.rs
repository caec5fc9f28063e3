//! Saving all data to a file (SAVE, BGSAVE, save points, the end).
//!
//! ```text
//!   all shards at one instant        each home worker             a thread for the file
//!   Saving::begin                    Worker::save_slice           file::Writing::run
//!   +---------------------+          +-------------------+        +--------------------------+
//!   | begin_snapshot in   |  ----->  | slices of shards  | -----> | temp file, checksum,     |
//!   | each shard          |          | between ticks     | chunks | sync, rename, sync       |
//!   +---------------------+          +-------------------+        +--------------------------+
//! ```
//!
//! Nothing is forked and nothing stands still: what is saved is the instant at which all shards were held, and
//! memory stays flat ([`darter_shard::Chunk`] says how). When the file cannot be written the rest of the
//! snapshot is thrown away, the file of before is left as it is, and the error is remembered.
//!
//! Where everybody has to wait for the file ([`save_held`]: SHUTDOWN, DEBUG RELOAD, the end of the process) the
//! same is done at once by whoever holds all shards.

mod as_commands;
pub mod automatic;
mod file;
pub mod leftovers;
mod putting_off;
pub mod schedule;

pub use file::{base_path, format_of, temporary_path};
pub use putting_off::{PutOff, is_put_off, put_off};

use self::automatic::LastSave;
use crate::config::{ConfigStore, Settings};
use crate::delay::Delay;
use crate::journal::Journal;
use crate::loading::snapshot::Loaded;
use crate::mail::Mail;
use crate::replication::FullSync;
use crate::shared::{Shared, lock};
use darter_base::{ShardId, UnixMillis};
use darter_command_table::ShardView;
use darter_persistence::{BaseFormat, Seal};
use darter_runtime::process::give_way;
use darter_runtime::{ConnectionId, Stopwatch, Ticks};
use darter_shard::{Chunk, Shard};
use file::{Delivery, Preface, Target, Writing};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

/// Bytes on their way to the file above which workers wait for it.
const QUEUED_BYTES_MAX: usize = 16 << 20;

/// No shard has this number.
const NO_SHARD: u32 = u32::MAX;

/// Saving, as all workers share it.
#[derive(Debug)]
pub struct Saving {
    /// Whether a save is under way: what workers look at first.
    is_under_way: AtomicBool,
    current: Mutex<Option<Arc<Save>>>,
    history: Mutex<History>,
    /// Whether there is a file that was written or read.
    has_file: AtomicBool,
    /// Changes of all shards that it holds.
    saved_changes: AtomicU64,
    /// Changes of all shards, as of the last look at them.
    seen_changes: Box<[AtomicU64]>,
    /// Whether one is to begin as soon as it can.
    is_scheduled: AtomicBool,
    /// Clients that wait for one to begin, as the log is being written anew, and then for its end.
    asked: Mutex<Vec<ConnectionId>>,
    /// Whether the last try of a background save failed.
    has_failed: AtomicBool,
    /// Whether what made it fail has gone, as far as can be seen.
    may_succeed: AtomicBool,
    /// What happens at the end of the process.
    pub last_save: LastSave,
}

/// What became of saves.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// When the last one succeeded; when the server started, if none has.
    pub last_save: UnixMillis,
    /// When the last one in the background began.
    pub last_try: UnixMillis,
    /// Whether that one succeeded; true if there was none.
    pub last_succeeded: bool,
    /// How long it took, in seconds; -1: there was none.
    pub last_seconds: i64,
    /// How many succeeded since the start.
    pub saves: u64,
    /// What loading found.
    pub loaded: Loaded,
}

/// What data are saved for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// The file that is loaded at the start (`dbfilename`).
    #[default]
    File,
    /// The log, which goes on from there.
    LogBase,
    /// Replicas that wait for all data, and go on from there.
    Replicas,
}

/// A save under way.
#[derive(Debug)]
pub struct Save {
    /// What it is for.
    pub purpose: Purpose,
    format: BaseFormat,
    chunks: Mutex<Sender<(ShardId, Chunk)>>,
    /// The shard whose long value is being written to the file, if there is one: what others send has to wait for its end.
    writes_long: AtomicU32,
    /// Bytes sent and not yet written.
    queued_bytes: AtomicUsize,
    is_abandoned: AtomicBool,
    /// Held while its file is put in place, so that this is over, or never happens, once it is abandoned.
    installing: Mutex<()>,
    /// Whether somebody asked for it to be abandoned.
    is_cancelled: AtomicBool,
    /// Whether nobody waits for it: then its failure is not told but remembered.
    is_in_background: bool,
    begun: Ticks,
    /// Keys at the instant, and of those how many have been written.
    keys: u64,
    keys_done: AtomicU64,
    /// Bytes of the file.
    written_bytes: AtomicU64,
    /// Changes of all shards at the instant.
    changes: u64,
    /// Clients that wait for it.
    waiting: Mutex<Vec<ConnectionId>>,
    /// What brings it to replicas, if it is for them.
    full_sync: Option<Arc<FullSync>>,
}

/// Why no save began: another one is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay(pub Purpose);

/// What INFO shows of a save under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub purpose: Purpose,
    pub seconds: i64,
    pub keys: u64,
    pub keys_done: u64,
}

impl Saving {
    /// Nothing saved yet, of so many shards.
    pub fn new(started_at: UnixMillis, shards: usize) -> Self {
        Self {
            is_under_way: AtomicBool::new(false),
            current: Mutex::default(),
            history: Mutex::new(History {
                last_save: started_at,
                last_try: UnixMillis(0),
                last_succeeded: true,
                last_seconds: -1,
                saves: 0,
                loaded: Loaded::default(),
            }),
            has_file: AtomicBool::new(false),
            saved_changes: AtomicU64::new(0),
            seen_changes: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            is_scheduled: AtomicBool::new(false),
            asked: Mutex::default(),
            has_failed: AtomicBool::new(false),
            may_succeed: AtomicBool::new(false),
            last_save: LastSave::default(),
        }
    }

    /// Begins to save what all shards, which `view` is over, hold now; `waiting` will be told of the end.
    pub fn begin(
        &self,
        shared: &'static Shared,
        view: &mut ShardView<'_>,
        purpose: Purpose,
        waiting: Vec<ConnectionId>,
        now: UnixMillis,
    ) -> Result<(), UnderWay> {
        let mut current = lock(&self.current);
        if let Some(save) = &*current {
            return Err(UnderWay(save.purpose));
        }
        let settings = shared.config.current();
        if purpose == Purpose::LogBase {
            // Before anything is looked at that can change although all shards are held: libraries.
            Journal::begin(shared);
        }
        // So is what replicas go on from.
        let full_sync = (purpose == Purpose::Replicas)
            .then(|| shared.replication.begin_full_sync(shared, &settings.replication));
        let preface = Preface::of(shared, view, purpose, full_sync.as_deref(), now);
        let (chunks, arrivals) = std::sync::mpsc::channel();
        let save = Arc::new(Save {
            purpose,
            format: format_of(&settings, purpose),
            chunks: Mutex::new(chunks),
            writes_long: AtomicU32::new(NO_SHARD),
            queued_bytes: AtomicUsize::new(0),
            is_abandoned: AtomicBool::new(false),
            installing: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            is_in_background: waiting.is_empty(),
            begun: shared.stopwatch.now(),
            keys: preface.keys,
            keys_done: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            changes: preface.changes,
            waiting: Mutex::new(waiting),
            full_sync: full_sync.clone(),
        });
        for shard in view.each() {
            shard.begin_snapshot(settings.snapshot_contents());
        }
        let mut was_promising = false;
        if purpose == Purpose::File {
            lock(&self.history).last_try = now;
            was_promising = self.may_succeed.swap(false, Ordering::Relaxed);
            self.is_scheduled.store(false, Ordering::Relaxed);
        }
        self.is_under_way.store(true, Ordering::Release);
        *current = Some(Arc::clone(&save));
        let delivery =
            full_sync.map(|full_sync| Delivery { shared, save: Arc::clone(&save), full_sync });
        let writing = Writing {
            shared,
            save: Arc::clone(&save),
            arrivals,
            shards: shared.router().shard_count().into(),
            target: Target::of(&settings, purpose).with_replicas(delivery),
            preface,
        };
        let finished = Arc::clone(&save);
        let run = move || {
            // Workers have clients that wait for them.
            give_way();
            let result = writing.run();
            let is_full = result.as_ref().is_err_and(is_full);
            let has_failed = result.is_err() && !finished.is_cancelled();
            shared.saving.finish(shared, &finished, result);
            if has_failed && finished.is_in_background && purpose == Purpose::File {
                automatic::watch_for_success(shared, &finished, is_full, was_promising);
            }
        };
        let spawned = std::thread::Builder::new().name("darter-save".to_owned()).spawn(run);
        if let Err(error) = spawned {
            // Nobody listens: the shards get rid of theirs.
            *current = None;
            self.is_under_way.store(false, Ordering::Release);
            drop(current);
            for shard in view.each() {
                shard.abandon_snapshot();
                while shard.snapshot_slice(now).is_some() {}
            }
            self.note_end(shared, &save, Err(error));
            tell(shared, &save, false);
        }
        Ok(())
    }

    /// Whether one is under way, or has just been.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.is_under_way.load(Ordering::Relaxed)
    }

    /// The save under way. Whoever holds a shard knows by it where that shard's snapshot belongs: none begins
    /// while a shard is out, and none ends before all shards are done.
    #[inline]
    pub fn current(&self) -> Option<Arc<Save>> {
        if !self.is_under_way.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.current).clone()
    }

    /// Throws the save under way or the one that is to begin away (BGSAVE CANCEL).
    pub fn cancel(&self) -> Cancelled {
        if self.is_scheduled.swap(false, Ordering::Relaxed) {
            return Cancelled::Scheduled;
        }
        match self.current() {
            None => Cancelled::Nothing,
            Some(save) if save.purpose != Purpose::File => Cancelled::Nothing,
            Some(save) => {
                save.cancel();
                Cancelled::UnderWay
            }
        }
    }

    /// Throws the base of a log away that is being written: the log was switched off.
    pub fn give_up_base(&self) {
        if let Some(save) = self.current().filter(|save| save.purpose == Purpose::LogBase) {
            tracing::warn!("Killing AOF child: its base is given up, as there is to be no log");
            save.cancel();
        }
    }

    /// Lets a save begin as soon as it can.
    pub fn schedule(&self) {
        self.is_scheduled.store(true, Ordering::Relaxed);
    }

    /// Lets a save begin as soon as it can for this client, who will be told of the end.
    pub fn schedule_for(&self, client: ConnectionId) {
        lock(&self.asked).push(client);
    }

    /// What became of saves.
    pub fn history(&self) -> History {
        *lock(&self.history)
    }

    /// How far the save under way is.
    pub fn progress(&self, stopwatch: &Stopwatch) -> Option<Progress> {
        self.current().map(|save| Progress {
            purpose: save.purpose,
            seconds: save.seconds(stopwatch),
            keys: save.keys,
            keys_done: save.keys_done.load(Ordering::Relaxed),
        })
    }

    /// Changes that no save holds, of `changes` that all shards count.
    pub fn unsaved(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.saved_changes.load(Ordering::Relaxed))
    }

    /// Whether the file has everything, if all shards count so many changes.
    fn is_on_disk(&self, changes: u64) -> bool {
        self.has_file.load(Ordering::Relaxed) && self.unsaved(changes) == 0
    }

    /// Notes what a shard counts.
    pub fn note_changes(&self, shard: &Shard) {
        self.seen_changes[shard.id().index()].store(shard.changes(), Ordering::Relaxed);
    }

    /// Whether writes are refused because the data cannot be saved
    /// (`stop-writes-on-bgsave-error`).
    pub fn refuses_writes(&self, config: &ConfigStore) -> bool {
        self.has_failed.load(Ordering::Relaxed) && a_failure_stops_writes(&config.current())
    }

    /// All data at `changes` are in the file, or were read from it.
    fn note_success(&self, changes: u64) {
        self.note_file(changes);
        self.has_failed.store(false, Ordering::Relaxed);
        let mut history = lock(&self.history);
        history.last_save = darter_runtime::wall_clock();
        history.last_succeeded = true;
        history.saves += 1;
    }

    fn note_file(&self, changes: u64) {
        self.has_file.store(true, Ordering::Relaxed);
        self.saved_changes.store(changes, Ordering::Relaxed);
    }

    /// What was loaded from the file is in it.
    pub fn note_loaded(&self, loaded: Loaded, changes: u64) {
        self.note_file(changes);
        lock(&self.history).loaded = loaded;
    }

    /// Of one in the background, the failure has consequences: writes are refused.
    fn note_failure(&self, error: &io::Error, is_in_background: bool) {
        tracing::warn!(%error, "The data could not be saved");
        if !is_in_background {
            return;
        }
        self.has_failed.store(true, Ordering::Relaxed);
        lock(&self.history).last_succeeded = false;
    }

    /// The file of a save is complete, or never will be. All shards are done with it.
    fn finish(&self, shared: &Shared, save: &Save, result: io::Result<Seal>) {
        let succeeded = result.is_ok();
        self.note_end(shared, save, result);
        let mut current = lock(&self.current);
        *current = None;
        self.is_under_way.store(false, Ordering::Release);
        drop(current);
        tell(shared, save, succeeded);
    }

    fn note_end(&self, shared: &Shared, save: &Save, result: io::Result<Seal>) {
        let seconds = save.seconds(&shared.stopwatch);
        if save.purpose == Purpose::LogBase {
            return shared.journal.base_ended(shared, result, save.format, seconds);
        }
        if let Some(full_sync) = &save.full_sync {
            match &result {
                Ok(_) => tracing::info!(
                    "Diskless rdb transfer, done reading from pipe, {} replicas still up.",
                    full_sync.reader_count()
                ),
                Err(_) if full_sync.is_over() => tracing::warn!(
                    "Diskless rdb transfer, last replica dropped, killing fork child."
                ),
                Err(error) => tracing::warn!(%error, "No data could be sent to replicas"),
            }
            return shared.replication.end_full_sync(shared, full_sync, result.is_ok());
        }
        match result {
            Ok(_) => {
                self.note_success(save.changes);
                tracing::info!("Background saving terminated with success");
            }
            Err(_) if save.is_cancelled.load(Ordering::Relaxed) => {
                tracing::warn!("Background saving was cancelled");
            }
            Err(error) => self.note_failure(&error, save.is_in_background),
        }
        if save.is_in_background {
            lock(&self.history).last_seconds = seconds;
        }
    }
}

/// What BGSAVE CANCEL found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    Nothing,
    Scheduled,
    UnderWay,
}

/// Whether writes are refused after a save that failed.
fn a_failure_stops_writes(settings: &Settings) -> bool {
    settings.saving.stops_writes && !settings.saving.points.is_empty()
}

/// Whether it is for want of room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Tells those who wait for a save.
fn tell(shared: &Shared, save: &Save, succeeded: bool) {
    for to in lock(&save.waiting).drain(..) {
        shared.send(to.worker, Mail::Saved { to, succeeded });
    }
}

impl Save {
    /// Whether somebody has asked for it to be abandoned.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Throws it away, because somebody wants that.
    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// How long it has been under way.
    fn seconds(&self, stopwatch: &Stopwatch) -> i64 {
        let nanos = stopwatch.nanos_between(self.begun, stopwatch.now());
        i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX)
    }

    /// Goes on with a shard's part. `true` when there is more to do at once.
    pub fn advance(&self, shard: &mut Shard, now: UnixMillis) -> bool {
        if self.is_abandoned.load(Ordering::Relaxed) {
            shard.abandon_snapshot();
        } else if self.queued_bytes.load(Ordering::Relaxed) > QUEUED_BYTES_MAX
            || self.writes_long_of_another(shard.id())
        {
            return false;
        }
        let Some(chunk) = shard.snapshot_slice(now) else { return false };
        let more = !chunk.is_last;
        if chunk.is_last || !chunk.bytes.is_empty() {
            self.keys_done.fetch_add(chunk.keys, Ordering::Relaxed);
            self.queued_bytes.fetch_add(chunk.bytes.len(), Ordering::Relaxed);
            // The thread listens until every shard has sent its last one.
            let _ = lock(&self.chunks).send((shard.id(), chunk));
        }
        more
    }

    fn writes_long_of_another(&self, shard: ShardId) -> bool {
        let writes_long = self.writes_long.load(Ordering::Relaxed);
        writes_long != NO_SHARD && writes_long != u32::from(shard.0)
    }
}

/// Throws the save under way away, which is of what the shards hold that `view` is over, or held before: its file is not put in
/// place any more, and the shards are done with it.
pub fn give_up_held(shared: &Shared, view: &mut ShardView<'_>, now: UnixMillis) {
    if let Some(save) = shared.saving.current() {
        save.cancel();
        for shard in view.each() {
            while save.advance(shard, now) {}
        }
        // What it holds is older: it is not to replace what is written from now on.
        drop(lock(&save.installing));
    }
}

/// Saves what the shards hold that `view` is over, which are all, before it returns. One in the background is
/// thrown away for it.
pub fn save_held(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    now: UnixMillis,
) -> io::Result<()> {
    let settings = shared.config.current();
    give_up_held(shared, view, now);
    let preface = Preface::of(shared, view, Purpose::File, None, now);
    let changes = preface.changes;
    let result = write_held(shared, view, &Target::of(&settings, Purpose::File), &preface, now);
    match &result {
        Ok(_) => {
            shared.saving.note_success(changes);
            tracing::info!("DB saved on disk");
        }
        Err(error) => shared.saving.note_failure(error, false),
    }
    result.map(|_| ())
}

/// All data are gone, of which `view` is over all shards: where there are save points the file is empty before this
/// returns, so that they do not come back. A file that is being written is thrown away. In the middle of a
/// transaction or a script, of which no file has a part, the file is left for later.
pub fn note_emptied(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    is_part: bool,
    now: UnixMillis,
) {
    let settings = shared.config.current();
    if let Some(save) = shared.saving.current().filter(|save| save.purpose == Purpose::File) {
        save.cancel();
        // What it holds is older: it is not to replace the file that is written now.
        drop(lock(&save.installing));
    }
    if settings.saving.points.is_empty() {
        return;
    }
    if is_part {
        return shared.saving.schedule();
    }
    let preface = Preface::of(shared, view, Purpose::File, None, now);
    match file::write_at_once(&Target::of(&settings, Purpose::File), &preface, |_| Ok(())) {
        Ok(_) => shared.saving.note_success(preface.changes),
        Err(error) => shared.saving.note_failure(&error, false),
    }
}

/// Writes what the shards hold that `view` is over as the base of a log, before it returns.
pub fn write_base_held(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    now: UnixMillis,
) -> io::Result<Seal> {
    let target = Target::of(&shared.config.current(), Purpose::LogBase);
    let preface = Preface::of(shared, view, Purpose::LogBase, None, now);
    write_held(shared, view, &target, &preface, now)
}

fn write_held(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    target: &Target,
    preface: &Preface,
    now: UnixMillis,
) -> io::Result<Seal> {
    let contents = shared.config.current().snapshot_contents();
    let delay_micros = || shared.config.current().saving.save_delay_micros;
    let mut delay = Delay::of(delay_micros());
    file::write_at_once(target, preface, |sink| {
        for shard in view.each() {
            shard.begin_snapshot(contents);
        }
        let mut result = Ok(());
        for shard in view.each() {
            while let Some(chunk) = shard.snapshot_slice(now) {
                if result.is_ok() {
                    let Ok(()) = delay.pass::<Infallible>(chunk.keys, || Ok(delay_micros()));
                    result = sink(&chunk);
                }
                if result.is_err() {
                    shard.abandon_snapshot();
                }
            }
        }
        result
    })
}
