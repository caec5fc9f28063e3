//! Saves that nobody waits for: those of save points, those that were scheduled, and the last one.

use super::schedule::minute_of;
use super::{Purpose, Save, Saving, a_failure_stops_writes, file, save_held};
use crate::config::Settings;
use crate::config::settings::ShutdownRequest;
use crate::job::Job;
use crate::journal::Journal;
use crate::mail::ShardPost;
use crate::shared::{Shared, lock};
use crate::worker::Core;
use darter_base::{UnixMillis, WorkerId};
use darter_runtime::{Stopping, Turn, wall_clock};
use darter_shard::Shard;
use darter_txn::{Carrier, Gathering, Held, Letter, Step, Ticket, View};
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// The ticket of shards that a worker wants for itself: no client has this id.
pub const OWN_TICKET: Ticket = Ticket(0);

/// After a save that failed the next one is not tried for this long, counted from the start of the one that failed, unless a
/// client asks, or what made it fail has gone.
const RETRY_MILLIS: i64 = 5000;

/// How often is looked whether it has, and how long after the end the first time: what cannot be seen to have gone is tried no
/// sooner.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const FIRST_LOOK_AFTER: Duration = Duration::from_millis(500);

/// Shards that a worker collects to begin a save.
#[derive(Debug, Default)]
pub struct Begun {
    gathering: RefCell<Option<Gathering<Shard>>>,
    /// Whether they are not wanted any more: the one that is reserved goes back when it comes, and until then
    /// there is no other gathering, as it would be taken for one of its own.
    is_given_up: Cell<bool>,
}

/// What was said about saving when the process was told to end.
#[derive(Debug, Default)]
pub struct LastSave {
    at_the_end: AtomicU8,
    is_forced: AtomicBool,
    /// Whether a signal said it.
    is_by_signal: AtomicBool,
}

/// Whether the data are saved before the process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AtTheEnd {
    /// If there are save points.
    #[default]
    IfConfigured,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl AtTheEnd {
    /// What the words SAVE and NOSAVE ask for.
    pub const fn of_words(save: bool, no_save: bool) -> Self {
        match (save, no_save) {
            (true, _) => Self::Always,
            (_, true) => Self::Never,
            _ => Self::IfConfigured,
        }
    }

    /// Whether the data are saved.
    pub const fn saves(self, settings: &Settings) -> bool {
        match self {
            Self::IfConfigured => !settings.saving.points.is_empty(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl LastSave {
    /// Sets what happens, as a client says it; `is_forced`: the process ends as if all were well even if saving fails.
    pub fn set(&self, at_the_end: AtTheEnd, is_forced: bool) {
        self.at_the_end.store(at_the_end as u8, Ordering::Relaxed);
        self.is_forced.store(is_forced, Ordering::Relaxed);
        self.is_by_signal.store(false, Ordering::Relaxed);
    }

    fn is_wanted(&self, settings: &Settings) -> bool {
        let at_the_end = self.at_the_end.load(Ordering::Relaxed);
        let known = [AtTheEnd::IfConfigured, AtTheEnd::Always, AtTheEnd::Never];
        known.into_iter().any(|known| known as u8 == at_the_end && known.saves(settings))
    }
}

impl Saving {
    /// Notes that the process was told to end, by a signal; whether it may, as far as saving goes.
    pub fn prepare_end(
        &self,
        settings: &Settings,
        journal: &Journal,
        request: ShutdownRequest,
    ) -> bool {
        self.last_save.set(request.saves, request.is_forced);
        self.last_save.is_by_signal.store(true, Ordering::Relaxed);
        if self.writes_first_base(journal) && !request.is_forced {
            return false;
        }
        if request.is_forced || !self.last_save.is_wanted(settings) {
            return true;
        }
        let possible = file::try_target(settings, 0);
        if let Err(error) = &possible {
            tracing::warn!(%error, "Error trying to save the DB, can't exit.");
        }
        possible.is_ok()
    }

    /// Whether a log that was switched on is not complete yet: who ends the server now finds no log when it starts
    /// again. It says so in the log.
    pub fn writes_first_base(&self, journal: &Journal) -> bool {
        let writes = !journal.is_found()
            && self.current().is_some_and(|save| save.purpose == Purpose::LogBase);
        if writes {
            tracing::warn!("Writing initial AOF, can't exit");
        }
        writes
    }

    /// Whether the process may not end that was told to, as [`writes_first_base`](Self::writes_first_base) says.
    pub fn is_held_up(&self, journal: &Journal) -> bool {
        !self.last_save.is_forced.load(Ordering::Relaxed) && self.writes_first_base(journal)
    }

    /// What a save is to begin for without a client.
    fn due(&self, shared: &Shared, settings: &Settings, now: UnixMillis) -> Option<Purpose> {
        if self.current().is_some() || shared.loading.is_under_way() {
            return None;
        }
        if !lock(&self.asked).is_empty() {
            return Some(Purpose::File);
        }
        if shared.journal.wants_base(settings, &shared.stopwatch) {
            return Some(Purpose::LogBase);
        }
        if shared.replication.is_due(&settings.replication, now) {
            return Some(Purpose::Replicas);
        }
        self.is_due(settings, now).then_some(Purpose::File)
    }

    fn is_due(&self, settings: &Settings, now: UnixMillis) -> bool {
        if self.is_scheduled.load(Ordering::Relaxed) {
            return true;
        }
        if let Some(schedule) = settings.saving.schedule
            && schedule.is_due(now)
            // Once a minute, whatever becomes of it.
            && minute_of(self.history().last_try) != minute_of(now)
        {
            tracing::info!("The schedule has come to a snapshot. Saving...");
            return true;
        }
        if settings.saving.points.is_empty() {
            return false;
        }
        let seen = self.seen_changes.iter().map(|changes| changes.load(Ordering::Relaxed)).sum();
        let changes = self.unsaved(seen);
        let history = self.history();
        if !history.last_succeeded {
            let is_late = now.0.saturating_sub(history.last_try.0) >= RETRY_MILLIS;
            if !is_late && !self.may_succeed.load(Ordering::Relaxed) {
                return false;
            }
            if a_failure_stops_writes(settings) {
                tracing::info!(
                    "The last save failed, and writes are refused until one succeeds. Saving..."
                );
                return true;
            }
        }
        let seconds = now.0.saturating_sub(history.last_save.0) / 1000;
        let points = &settings.saving.points;
        let point = points.iter().find(|point| changes >= point.changes && seconds > point.seconds);
        if let Some(point) = point {
            tracing::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
        }
        point.is_some()
    }
}

/// Looks until the next save is tried whether one may succeed that is begun now: whether a file can be written beside
/// that of `save`, which has failed, and, where that was for want of room, whether there is more than it has filled. So writes are
/// accepted again soon after the cause has gone, and a whole save is not what finds out. If `save` itself was begun because that
/// could be done, nothing is looked at for as long as it took. On its thread, as a file system may take its time to answer.
pub(super) fn watch_for_success(shared: &Shared, save: &Save, was_full: bool, was_promising: bool) {
    let filled = save.written_bytes.load(Ordering::Relaxed);
    // What it had is free again by itself, more or less.
    let needed = if was_full { filled.saturating_add((filled / 16).max(64 << 10)) } else { 0 };
    let begun = shared.saving.history().last_try;
    let took = shared.stopwatch.nanos_between(save.begun, shared.stopwatch.now());
    let rest = if was_promising { Duration::from_nanos(took) } else { Duration::ZERO };
    let mut pause = FIRST_LOOK_AFTER.max(rest);
    loop {
        thread::park_timeout(pause);
        pause = LOOK_EVERY;
        let saving = &shared.saving;
        if saving.history().last_try != begun || !saving.has_failed.load(Ordering::Relaxed) {
            return;
        }
        // Where it goes may have been changed, and whether there are to be saves at all.
        let settings = shared.config.current();
        if !settings.saving.points.is_empty() && file::try_target(&settings, needed).is_ok() {
            saving.may_succeed.store(true, Ordering::Relaxed);
            return;
        }
    }
}

impl Core {
    /// Begins a save if one is due. Only one worker does this.
    pub fn begin_due_save(&self, turn: &Turn) {
        let (shared, begun) = (self.shared, &self.begun_save.gathering);
        if self.worker != WorkerId(0) || begun.borrow().is_some() {
            return;
        }
        let settings = shared.config.current();
        if shared.saving.due(shared, &settings, turn.now).is_some() {
            self.go_on_with_save(Gathering::new(shared.router().shards().collect()), turn);
        }
    }

    /// A shard came that was wanted for a save.
    pub fn granted_for_save(&self, held: Held<Shard>, turn: &Turn) {
        match self.begun_save.gathering.take() {
            Some(mut gathering) if !self.begun_save.is_given_up.take() => {
                gathering.accept(held);
                self.go_on_with_save(gathering, turn);
            }
            _ => self.shared.cells.put_back(held, &ShardPost(&self.post)),
        }
    }

    fn go_on_with_save(&self, mut gathering: Gathering<Shard>, turn: &Turn) {
        let shared = self.shared;
        match gathering.advance(&shared.cells, self.worker, OWN_TICKET) {
            Step::Waiting => {
                self.begun_save.gathering.replace(Some(gathering));
            }
            Step::Ready => {
                let mut view = gathering.view(&shared.cells);
                // Otherwise a client was faster, which is as good.
                let settings = shared.config.current();
                if let Some(purpose) = shared.saving.due(shared, &settings, turn.now) {
                    let waiting = match purpose {
                        Purpose::File => std::mem::take(&mut *lock(&shared.saving.asked)),
                        Purpose::LogBase | Purpose::Replicas => Vec::new(),
                    };
                    let _ = shared.saving.begin(shared, &mut view, purpose, waiting, turn.now);
                }
                gathering.release(&shared.cells, &ShardPost(&self.post));
            }
        }
    }

    /// Whether the process may end, as far as saving goes: not while a save is under way that somebody waits for.
    /// Signals wait for `DEBUG PAUSE-CRON 0`, as in Redis, where they are answered between commands.
    pub fn may_end(&self) -> Stopping {
        let is_paused = self.shared.background_paused.load(Ordering::Relaxed);
        if is_paused && self.shared.saving.last_save.is_by_signal.load(Ordering::Relaxed) {
            return Stopping::Wait;
        }
        if let Some(gathering) = self.begun_save.gathering.borrow_mut().as_mut() {
            // Who holds the shard it waits for may never give it back.
            gathering.release(&self.shared.cells, &ShardPost(&self.post));
            self.begun_save.is_given_up.set(true);
        }
        if let Some(save) = self.shared.saving.current()
            && !lock(&save.waiting).is_empty()
        {
            return Stopping::Wait;
        }
        Stopping::Ready
    }
}

/// Nobody is there any more, or not yet.
struct Nobody;

impl Carrier<Shard, Job> for Nobody {
    fn deliver(&self, _: WorkerId, _: Letter<Shard, Job>) {}
}

/// Takes every shard while no worker runs.
pub(crate) fn with_all_shards<R>(
    shared: &'static Shared,
    work: impl FnOnce(&mut View<'_, Shard>) -> R,
) -> io::Result<R> {
    let cells = &shared.cells;
    let mut held: Vec<_> =
        shared.router().shards().filter_map(|id| cells.cell(id).try_take()).collect();
    let is_complete = held.len() == usize::from(shared.router().shard_count());
    let result = is_complete.then(|| work(&mut View::several(&mut held, shared.router())));
    for held in held {
        cells.put_back(held, &Nobody);
    }
    result.ok_or_else(|| io::Error::other("a shard is still in use"))
}

/// Saves what has to be saved, once all workers have ended.
///
/// # Errors
/// When it cannot be saved.
pub fn save_at_the_end(shared: &'static Shared) -> io::Result<()> {
    let settings = shared.config.current();
    // A part of the data must not take the place of all.
    if shared.loading.is_under_way() || !shared.saving.last_save.is_wanted(&settings) {
        return Ok(());
    }
    let saved = with_all_shards(shared, |view| {
        let changes = view.each().map(|shard| shard.changes()).sum();
        if shared.saving.is_on_disk(changes) {
            return Ok(());
        }
        tracing::info!("Saving the final RDB snapshot before exiting.");
        save_held(shared, view, wall_clock())
    });
    match saved.flatten() {
        Err(_) if shared.saving.last_save.is_forced.load(Ordering::Relaxed) => Ok(()),
        saved => saved,
    }
}
