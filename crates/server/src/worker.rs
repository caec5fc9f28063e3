//! One worker's service: reading its clients' commands and running them.

use crate::access::{Access, close_revoked};
use crate::admission::Restriction;
use crate::apart::ServedApart;
use crate::blocking::Deadlines;
use crate::config::OutputLimits;
use crate::departure::Departing;
use crate::dispatch::Batch;
use crate::mail::{Mail, ShardPost};
use crate::migration::Migration;
use crate::outbox::Outbox;
use crate::pause::Pause;
use crate::pending::Pending;
use crate::pubsub::{LeftSubscriptions, Registry};
use crate::replication::{Attached, Housekeeping};
use crate::residence::DefragSettings;
use crate::saving::PutOff;
use crate::saving::automatic::Begun;
use crate::scripting::WorkerScripts;
use crate::session::{Session, is_local};
use crate::shared::Shared;
use crate::statistics::WorkerStatistics;
use crate::survey::Said;
use crate::tracking::break_redirection;
use crate::transaction::WatchedKey;
use crate::watch::hot_keys::Collection;
use crate::watch::{Cost, Thresholds};
use darter_base::{ShardId, WorkerId};
use darter_command_table::CallLimits;
use darter_resp::Output;
use darter_runtime::{
    Arrivals, Background, CloseReason, ConnectionId, ConnectionInfo, Connections, Io, NextTick,
    OutputLimit, PeerInfo, Post, Progress, Refusal, Service, Stopping, Then, Turn, Turns,
    WorkerContext, wall_clock,
};
use darter_shard::{Interest, Shard};
use darter_txn::Window;
use hashbrown::{HashMap, HashSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

mod closing;
mod defragmenting;
mod expiring;
mod input;
mod letters;
mod running;
mod saving;
mod slices;
mod standing;
mod tending;
mod windows;

use closing::ClientsLooked;
use defragmenting::Sweep;
use letters::go_on;
use saving::Writing;
use slices::Slices;
use windows::Ahead;

/// Commands of one connection run before others have their turn.
const COMMANDS_PER_TURN: usize = 2048;

/// A pause or wait longer than this is looked at again meanwhile.
const WAKE_MILLIS_MAX: u64 = 1000;

/// How often background work looks whether there is any.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(100);

/// What a client hears that protected mode keeps out. Clients look for the first word.
const PROTECTED_MODE_REFUSAL: &[u8] = b"-DENIED Darter is running in protected mode because \
    protected mode is enabled and no password is set for the default user. In this mode \
    connections are only accepted from the loopback interface. To connect from elsewhere, set a \
    password with 'requirepass', or, where nobody else can reach the server, disable protected \
    mode with CONFIG SET protected-mode no.\r\n";

/// What a worker has besides its scratch space.
#[derive(Debug)]
pub struct Core {
    /// Which worker this is.
    pub worker: WorkerId,
    /// What all workers share.
    pub shared: &'static Shared,
    /// Mailboxes.
    pub post: Post<Mail>,
    /// The configuration that commands look at, as of this tick.
    pub limits: Cell<CallLimits>,
    /// Bytes of commands not run that a client may have sent, as of this tick.
    pub query_bytes_max: Cell<usize>,
    /// Unsent output that clients may have, as of this tick.
    pub output_limits: Cell<OutputLimits>,
    /// Memory that all clients may take, as of this tick; `None`: any.
    pub client_bytes_max: Cell<Option<u64>>,
    /// How much time may be spent on deleting what has expired, in percent, as of this tick.
    pub expire_percent: Cell<u32>,
    /// `activedefrag`, as of this tick.
    pub defrag: Cell<DefragSettings>,
    /// From which cost on a command is remembered, as of this tick.
    pub thresholds: Cell<Thresholds>,
    /// Where what keys cost is collected, as of this tick.
    pub hot_keys: RefCell<Option<Arc<Collection>>>,
    /// The version of the configuration that these are from.
    config_version: Cell<u64>,
    /// Why some commands are refused to everybody, as of this tick.
    pub restriction: Cell<Option<Restriction>>,
    /// The pause in force.
    pub pause: Cell<Option<Pause>>,
    /// Clients whose next command is held back by it.
    pub held_back: RefCell<Vec<ConnectionId>>,
    /// Its clients that wait for a limited time.
    pub deadlines: RefCell<Deadlines<ConnectionId>>,
    /// Its clients that see every command.
    pub monitors: RefCell<Vec<u64>>,
    /// Its clients that are replicas.
    pub replicas: RefCell<Vec<Attached>>,
    /// When something is done about replicas.
    pub housekeeping: Housekeeping,
    /// Its clients that wait for the log, here or at replicas.
    pub log_waits: RefCell<Vec<ConnectionId>>,
    /// What it has of scripts.
    pub scripts: RefCell<WorkerScripts>,
    /// After how long a script is busy, as of this tick.
    pub busy_script_nanos: Cell<u64>,
    /// Its clients that have subscriptions, by what they subscribed to.
    pub subscribers: RefCell<Registry>,
    /// Subscriptions of clients that are gone, to be ended some at a time.
    pub left_subscriptions: RefCell<Vec<LeftSubscriptions>>,
    /// Its clients that are tracked.
    pub trackers: RefCell<HashSet<ConnectionId>>,
    /// Watches that are to be taken out of their shards.
    pub given_back: RefCell<BTreeMap<ShardId, Vec<WatchedKey>>>,
    /// Its clients' connections by client id.
    pub clients: RefCell<HashMap<u64, ConnectionId>>,
    /// Until when it is to stand still.
    pub stands_until: Cell<Option<Instant>>,
    /// Its client that keeps all shards from others meanwhile.
    pub holder: Cell<Option<ConnectionId>>,
    /// Clients whose commands wait for a save.
    pub put_off: RefCell<PutOff>,
    /// Keys on their way to other servers.
    pub migrations: RefCell<Vec<Migration>>,
    /// Shards it collects to save them.
    pub begun_save: Begun,
    /// Work beside its clients.
    pub background: Background,
}

impl Core {
    /// This worker's counters.
    #[inline]
    pub fn statistics(&self) -> &'static WorkerStatistics {
        &self.shared.statistics[self.worker.index()]
    }
}

/// The service of one worker.
#[derive(Debug)]
pub struct Worker {
    /// Shared with a command that is served apart.
    core: Rc<Core>,
    /// The client of that command.
    apart: Option<ServedApart>,
    window: Window<Shard>,
    batch: Batch,
    /// How far each of several connections served together has come; scratch.
    ahead: Vec<Ahead>,
    /// Commands of the window to be remembered; scratch.
    notable: Vec<(usize, Cost)>,
    background_due: Option<Instant>,
    /// Deleting what has expired, while there is more than could be done.
    expiry: Slices,
    /// Writing what is saved.
    writing: Writing,
    /// When the connections' buffers are looked at again.
    buffers_due: Option<Instant>,
    /// Commands that this worker had run when its loop went round the last time.
    commands_counted: u64,
    /// What of its buffers counts towards the memory limit, in bytes.
    buffers_noted: u64,
    /// What of that it keeps for later replies.
    spares_noted: u64,
    /// When queues are looked through for places that are worth nothing, and the number of waits that had
    /// ended the last time.
    sweep_due: Option<Instant>,
    waits_swept: u64,
    sweep: Sweep,
    clients_looked: ClientsLooked,
}

impl Worker {
    /// What it has besides its scratch space.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The service of the worker that `context` describes.
    pub fn new(shared: &'static Shared, context: &WorkerContext<Mail>) -> Self {
        let config = shared.config.current();
        shared.set_post(&context.post);
        shared.unlinking.follow(config.unlinks);
        shared.replication.follow(&config, wall_clock());
        Self {
            core: Rc::new(Core {
                worker: context.worker,
                shared,
                post: context.post.clone(),
                limits: Cell::new(config.call_limits()),
                query_bytes_max: Cell::new(config.query_buffer_limit_bytes),
                output_limits: Cell::new(config.output_limits),
                client_bytes_max: Cell::new(config.client_bytes_max()),
                expire_percent: Cell::new(config.expire_percent()),
                defrag: Cell::new(config.defrag),
                thresholds: Cell::new(Thresholds::new(&config.watch)),
                hot_keys: RefCell::default(),
                config_version: Cell::new(shared.config.version()),
                restriction: Cell::new(shared.restriction()),
                pause: Cell::new(None),
                held_back: RefCell::default(),
                deadlines: RefCell::default(),
                monitors: RefCell::default(),
                replicas: RefCell::default(),
                housekeeping: Housekeeping::default(),
                log_waits: RefCell::default(),
                scripts: RefCell::default(),
                busy_script_nanos: Cell::new(config.busy_script_nanos()),
                subscribers: RefCell::default(),
                left_subscriptions: RefCell::default(),
                trackers: RefCell::default(),
                given_back: RefCell::default(),
                clients: RefCell::default(),
                stands_until: Cell::default(),
                holder: Cell::default(),
                put_off: RefCell::default(),
                begun_save: Begun::default(),
                migrations: RefCell::default(),
                background: context.background.clone(),
            }),
            apart: None,
            window: Window::new(shared.router().shard_count()),
            batch: Batch::default(),
            ahead: Vec::new(),
            notable: Vec::new(),
            background_due: None,
            expiry: Slices::default(),
            writing: Writing::default(),
            buffers_due: None,
            commands_counted: 0,
            buffers_noted: 0,
            spares_noted: 0,
            sweep_due: None,
            waits_swept: 0,
            sweep: Sweep::default(),
            clients_looked: ClientsLooked::default(),
        }
    }
}

impl Core {
    /// Brings what this worker derived from the configuration up to date.
    #[inline]
    pub(crate) fn follow_settings(&self) {
        let version = self.shared.config.version();
        let is_tracking = self.shared.tracking.any();
        let limits = self.limits.get();
        if version != self.config_version.get()
            || is_tracking != limits.interest.has(Interest::CHANGES)
            || self.shared.saving.is_under_way() != limits.is_saving
        {
            self.config_version.set(version);
            let settings = self.shared.config.current();
            self.expire_percent.set(settings.expire_percent());
            self.defrag.set(settings.defrag);
            self.limits.set(self.call_limits());
            self.query_bytes_max.set(settings.query_buffer_limit_bytes);
            self.output_limits.set(settings.output_limits);
            self.client_bytes_max.set(settings.client_bytes_max());
            self.busy_script_nanos.set(settings.busy_script_nanos());
            let thresholds = Thresholds::new(&settings.watch);
            let hot_keys = self.shared.hot_keys.under_way();
            let notes_everything = hot_keys.is_some();
            self.thresholds.set(if notes_everything {
                thresholds.noting_everything()
            } else {
                thresholds
            });
            self.hot_keys.replace(hot_keys);
            self.shared.journal.follow(self.shared, &settings);
            self.shared.unlinking.follow(settings.unlinks);
            self.shared.replication.follow(&settings, wall_clock());
            self.shared.following.follow_settings(&settings.following);
            let tracks = settings.watch.tracks_latency;
            self.statistics().tracks_latency.store(tracks, Ordering::Relaxed);
        }
    }

    /// Lets `write` answer a client whose command was under way, and counts what it wrote.
    pub(crate) fn answer<R>(
        &self,
        session: &mut Session,
        output: &mut Outbox,
        write: impl FnOnce(&mut Session, &mut Output) -> R,
    ) -> R {
        let unsent_before = output.0.len();
        let result =
            session.finish_pending(output, |session, output| write(session, &mut output.0));
        self.statistics().output_bytes.add((output.0.len() - unsent_before) as u64);
        result
    }
}

impl Service for Worker {
    type Session = Session;
    type Mail = Mail;
    type Output = Outbox;

    fn open(&mut self, id: ConnectionId, peer: &PeerInfo, turn: &Turn) -> Result<Session, Refusal> {
        let statistics = self.core.statistics();
        let config = self.core.shared.config.current();
        if peer.open_connections > config.maxclients {
            statistics.connections_refused.add(1);
            return Err(Refusal {
                last_words: b"-ERR max number of clients reached\r\n"[..].into(),
            });
        }
        let (users, version) = self.core.shared.acl.users_and_version();
        let is_unprotected = users.default_user().needs_no_password();
        if config.protected_mode && is_unprotected && !is_local(peer) {
            statistics.connections_refused.add(1);
            return Err(Refusal { last_words: PROTECTED_MODE_REFUSAL.into() });
        }
        statistics.connections.add(1);
        let client_id = self.core.shared.new_client_id();
        self.core.clients.borrow_mut().insert(client_id, id);
        self.core.shared.add_connection(client_id, id);
        let access = Access::of_stranger((users, version));
        Ok(Session::new(client_id, peer.clone(), turn.now, access, &config))
    }

    fn receive(&mut self, session: &mut Session, io: Io<'_, Outbox>) -> Progress {
        self.core.follow_settings();
        if self.weighs_first(session, &io) {
            return Progress { consumed: 0, then: Then::Again };
        }
        let unsent_before = io.output.0.len();
        self.receive_from(session, io, Ahead { consumed: 0, waits: false, unsent_before }, None)
    }

    fn receive_apart(
        &mut self,
        session: &mut Session,
        io: Io<'_, Outbox>,
        turns: &mut Turns<'_, Self>,
    ) -> Progress {
        self.core.follow_settings();
        // Nobody keeps shards while something can take long.
        self.served();
        self.apart = Some(ServedApart::new(session, io.id));
        let unsent_before = io.output.0.len();
        let ahead = Ahead { consumed: 0, waits: false, unsent_before };
        let progress = self.receive_from(session, io, ahead, Some(turns));
        self.apart = None;
        progress
    }

    fn awaited_bytes(&self, session: &Session) -> usize {
        session.awaited.big_bytes()
    }

    fn defers(&self, mail: &Mail) -> bool {
        self.apart.is_some_and(|apart| apart.delays(mail))
    }

    fn receive_all(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        self.core.follow_settings();
        self.ahead.clear();
        if arrivals.len() > 1 {
            self.run_ahead(arrivals);
        }
        for place in 0..arrivals.len() {
            let (session, io) = arrivals.at(place);
            let progress = match self.ahead.get(place) {
                Some(ahead) => self.receive_from(session, io, *ahead, None),
                None => self.receive(session, io),
            };
            arrivals.conclude(place, progress);
        }
    }

    fn output_limit(&self, session: &Session) -> OutputLimit {
        self.core.output_limits.get().of(session)
    }

    fn output_allowance(&self) -> usize {
        let lists = self.core.shared.lists_replies.load(Ordering::Relaxed);
        if lists { 0 } else { ConnectionInfo::OUTPUT_ALLOWANCE_BYTES }
    }

    fn mail(&mut self, mail: Mail, connections: &mut Connections<'_, Self>) {
        match mail {
            Mail::Shard(letter) => {
                self.letter(letter, connections);
                self.see_to_excess(connections.turn());
            }
            Mail::Question { from, question } => {
                let (to, mail) = match question.answer(from, &self.core, connections) {
                    Said::Now(answer) => (from.worker, Mail::Answer { to: from, answer }),
                    Said::AskAgain => {
                        // It may be waiting for what this worker does beside.
                        self.background_due = None;
                        (self.core.worker, Mail::Question { from, question })
                    }
                    Said::Later => return,
                };
                self.core.post.send(to, mail);
            }
            Mail::Served(served) => self.deliver(*served, connections),
            Mail::Retry(waiter) => self.retry(&waiter, connections),
            Mail::Published(publication) => self.core.deliver(&publication, connections),
            Mail::Invalidate(invalidation) => {
                self.core.deliver_invalidation(&invalidation, connections);
            }
            Mail::Redirected { to, instead_of, what } => {
                self.core.deliver_redirected(to, instead_of, &what, connections);
            }
            Mail::RedirectionBroken(client) => {
                connections
                    .with(client, |session, output| break_redirection(session, &mut output.0));
            }
            Mail::SetIdleExempt { id, exempt } => connections.set_idle_exempt(id, exempt),
            Mail::StandStill(until) => self.core.stands_until.set(Some(until)),
            Mail::Resume(id) => {
                connections.resume(id);
            }
            Mail::TendShards => self.background_due = None,
            Mail::Connected { to, dialogue } => {
                let turn = *connections.turn();
                let after = connections.with(to, |session, output| {
                    self.core.answer(session, output, |session, output| {
                        self.core.connected(session, dialogue, output, &turn)
                    })
                });
                go_on(after, to, connections);
            }
            Mail::Transferred { to, outcome } => self.core.transferred(to, *outcome, connections),
            // This tick feeds replicas anyway.
            Mail::Replicate => {}
            Mail::Acknowledged => self.core.look_at_log_waits(connections),
            Mail::Synced => {
                connections.release_withheld();
                self.core.look_at_log_waits(connections);
            }
            Mail::Saved { to, succeeded } => self.core.saved(to, succeeded, connections),
            Mail::Revoked { revocation, spared } => {
                close_revoked(&revocation, spared, connections);
            }
            Mail::LookAtClients => self.look_at_clients(connections),
            Mail::FollowPause => {
                let now = connections.turn().now;
                self.core.follow_pause(now, connections);
            }
            Mail::Demoted => {
                if self.core.shared.following.is_replica()
                    && !self.core.end_waits_of_primary(connections)
                {
                    // Somebody is trying for them.
                    self.core.post.send(self.core.worker, Mail::Demoted);
                }
            }
            Mail::DoesNotEnd => self.core.end_waits_for_the_end(connections),
            Mail::Monitored(lines) => self.core.show_to_monitors(&lines, connections),
            Mail::Answer { to, answer } => {
                let finished = connections.with(to, |session, output| {
                    self.core.answer(session, output, |session, output| {
                        crate::survey::collect(&self.core, session, answer, to, output)
                    })
                });
                go_on(finished, to, connections);
            }
        }
    }

    fn about_to_send(&self) {
        // What a client hears of has left the process, so that only the end of the machine can undo it.
        let shared = self.core.shared;
        shared.journal.write_out(&shared.stopwatch);
        shared.replication.announce(shared);
    }

    fn withholds(&self, session: &mut Session) -> bool {
        let shared = self.core.shared;
        let journal = &shared.journal;
        journal.is_strict() && journal.withholds(self.core.worker, session.written_to(shared))
    }

    fn served(&mut self) {
        self.window.release(&self.core.shared.cells, &ShardPost(&self.core.post));
    }

    fn stopping(&mut self, connections: &mut Connections<'_, Self>) -> Stopping {
        let shared = self.core.shared;
        match shared.departure.look(shared, connections.turn().now) {
            Departing::MayGo => {}
            Departing::Waits => return Stopping::Wait,
            Departing::MayNot => {
                // Whoever calls it off tells the others.
                if shared.running.get().is_some_and(|running| running.shutdown.cancel()) {
                    shared.departure.call_off(shared);
                }
                return Stopping::Wait;
            }
        }
        self.core.may_end()
    }

    fn tick(&mut self, connections: &mut Connections<'_, Self>) -> NextTick {
        let turn = *connections.turn();
        self.count_tick(connections);
        if self.stand_still(&turn, connections) {
            return NextTick::Now;
        }
        self.core.follow_settings();
        self.limit_client_memory(connections);
        self.note_buffers(connections);
        self.core.restriction.set(self.core.shared.restriction());
        self.core.shared.journal.write_out(&self.core.shared.stopwatch);
        self.core.shared.replication.announce(self.core.shared);
        if let Some(pause) = self.core.pause.get()
            && turn.now >= pause.until
        {
            self.core.follow_pause(turn.now, connections);
        }
        self.core.give_watches_back(turn.now);
        let subscriptions_left = self.core.end_left_subscriptions();
        let wait_ends = self.core.end_overdue_waits(turn.now, connections);
        let put_off_until = self.core.resume_put_off(&turn);
        self.see_to_excess(&turn);
        let defrag_due = self.tend_residence(&turn);
        self.go_on_expiring(&turn);
        let save_due = self.go_on_saving(&turn);
        let mut due = *self.background_due.get_or_insert(turn.instant);
        if turn.instant >= due {
            let paused = self.core.shared.background_paused.load(Ordering::Relaxed);
            if !paused && self.tend_shards(&turn) {
                return NextTick::Now;
            }
            if self.core.worker == WorkerId(0) {
                self.core.shared.sample(turn.instant);
                self.core.shared.end_due_hot_keys(turn.now);
                self.core.shared.forget_tracked_surplus(self.core.limits.get().tracked_keys_max);
                self.core.shared.forget_tracked_leftovers();
            }
            self.core.begin_due_save(&turn);
            self.core.tend_replicas(&turn, connections);
            self.look_at_buffers(&turn, connections);
            due = turn.instant + BACKGROUND_INTERVAL;
            self.background_due = Some(due);
        }
        let feeds_on = self.feed_replicas(connections);
        let at_once = (subscriptions_left || feeds_on).then_some(turn.instant);
        let sooner = put_off_until.into_iter().chain(defrag_due).chain(self.expiry.due());
        let mut wake = sooner.chain(save_due).chain(at_once).fold(due, Instant::min);
        let pause_ends = self.core.pause.get().map(|pause| pause.until);
        if let Some(until) = pause_ends.into_iter().chain(wait_ends).min() {
            let millis = u64::try_from(until.0 - turn.now.0).unwrap_or(0);
            wake = wake.min(turn.instant + Duration::from_millis(millis.min(WAKE_MILLIS_MAX)));
        }
        NextTick::After(wake - turn.instant)
    }

    fn closed(&mut self, id: ConnectionId, mut session: Session, reason: CloseReason, turn: &Turn) {
        let statistics = self.core.statistics();
        statistics.connections_closed.add(1);
        match reason {
            CloseReason::QueryBufferLimit => statistics.connections_overflowed.add(1),
            CloseReason::OutputLimit => {
                statistics.connections_unread.add(1);
                tracing::warn!(
                    client = session.client_id,
                    peer = ?session.facts.peer.remote,
                    last_command = session.last_command,
                    "closed a client for overcoming of output buffer limits"
                );
            }
            _ => {}
        }
        self.core.clients.borrow_mut().remove(&session.client_id);
        self.core.shared.remove_connection(session.client_id);
        self.core.end_monitoring(&mut session);
        self.core.detach_replica(&mut session, turn);
        self.core.discard(&mut session, turn.now);
        self.core.leave_subscriptions(&mut session, id);
        self.core.end_tracking(&mut session, id);
        match &session.pending {
            Some(Pending::Paused) => self.core.statistics().blocked_clients.remove(1),
            Some(Pending::Waiting(waiting)) => {
                self.core.end_waiting(session.client_id, waiting);
            }
            Some(Pending::Blocked(blocked)) => self.core.leave_blocked(&session, blocked, turn),
            _ => {}
        }
        if let Some(pending) = session.pending.take() {
            pending.abandon(&self.core, turn.now);
        }
    }
}
