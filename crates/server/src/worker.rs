//! One worker's service: reading its clients' commands and running them.

use crate::admission::Restriction;
use crate::apart::{Meanwhile, Others, ServedApart, wait_for_turn};
use crate::barrier::{Barrier, is_http};
use crate::blocking::Deadlines;
use crate::caller::Caller;
use crate::commands::error::ServerError;
use crate::commands::pubsub::subscribe::must_read_letters;
use crate::config::OutputLimits;
use crate::dispatch::{Alone, Batch, Commands, Operation, Seats, WINDOW_COMMANDS};
use crate::job::{Job, PackedCommand};
use crate::mail::{Mail, ShardPost};
use crate::migration::Migration;
use crate::outbox::Outbox;
use crate::pause::Pause;
use crate::pending::{After, Coordinated, Pending, Sliced, run_gathered};
use crate::place::Place;
use crate::pubsub::Registry;
use crate::request::Request;
use crate::saving::automatic::{Begun, OWN_TICKET};
use crate::scripting::WorkerScripts;
use crate::session::{Replies, Session, is_local};
use crate::session_command::Flow;
use crate::shared::Shared;
use crate::statistics::WorkerStatistics;
use crate::survey::Said;
use crate::transaction::{self, WatchedKey};
use crate::watch::monitor::Lines;
use crate::watch::{Cost, Thresholds};
use darter_base::{ShardId, WorkerId};
use darter_command_table::{CallLimits, Handler, ReplyError};
use darter_resp::{Args, Output, Parsed, ReplyWriter, RequestParser};
use darter_runtime::{
    Arrivals, Background, CloseReason, ConnectionId, Connections, Io, NextTick, OutputLimit,
    PeerInfo, Post, Progress, Refusal, Service, Stopping, Then, Turn, Turns, WorkerContext, crash,
};
use darter_shard::{Interest, Shard};
use darter_txn::{Gathering, Letter, Outcome, View, Window};
use hashbrown::{HashMap, HashSet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

mod tending;

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
    /// From which cost on a command is remembered, as of this tick.
    pub thresholds: Cell<Thresholds>,
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
    /// Its clients that wait for the log.
    pub log_waits: RefCell<Vec<ConnectionId>>,
    /// What it has of scripts.
    pub scripts: RefCell<WorkerScripts>,
    /// After how long a script is busy, as of this tick.
    pub busy_script_nanos: Cell<u64>,
    /// Its clients that have subscriptions, by what they subscribed to.
    pub subscribers: RefCell<Registry>,
    /// Its clients that are tracked.
    pub trackers: RefCell<HashSet<ConnectionId>>,
    /// Watches that are to be taken out of their shards.
    pub given_back: RefCell<BTreeMap<ShardId, Vec<WatchedKey>>>,
    /// Its clients' connections by client id.
    pub clients: RefCell<HashMap<u64, ConnectionId>>,
    /// Clients that keep shards from others, and until when.
    pub holders: RefCell<Vec<(Instant, ConnectionId)>>,
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
    /// When the connections' buffers are looked at again.
    buffers_due: Option<Instant>,
    /// Commands that this worker had run when its loop went round the last time.
    commands_counted: u64,
    /// When queues are looked through for places that are worth nothing, and the number of waits that had
    /// ended the last time.
    sweep_due: Option<Instant>,
    waits_swept: u64,
}

/// How far a connection has come in a window it shared with others.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    /// Bytes of input dealt with.
    consumed: usize,
    /// Whether it waits for commands that were posted.
    waits: bool,
    /// Bytes of output there were before.
    unsent_before: usize,
}

/// How far a connection's window came.
enum Ran {
    All,
    /// Up to here, and what the connection does next.
    Part {
        consumed: usize,
        then: Then,
    },
}

/// Why a window stopped early.
enum Stop {
    /// Commands were posted, up to this one: the connection they are of waits.
    Posted(usize),
    /// This command's shards have to be gathered.
    NeedsGathering(usize),
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
        Self {
            core: Rc::new(Core {
                worker: context.worker,
                shared,
                post: context.post.clone(),
                limits: Cell::new(config.call_limits()),
                query_bytes_max: Cell::new(config.query_buffer_limit_bytes),
                output_limits: Cell::new(config.output_limits),
                thresholds: Cell::new(Thresholds::new(&config.watch)),
                config_version: Cell::new(shared.config.version()),
                restriction: Cell::new(shared.restriction()),
                pause: Cell::new(None),
                held_back: RefCell::default(),
                deadlines: RefCell::default(),
                monitors: RefCell::default(),
                log_waits: RefCell::default(),
                scripts: RefCell::default(),
                busy_script_nanos: Cell::new(config.busy_script_nanos()),
                subscribers: RefCell::default(),
                trackers: RefCell::default(),
                given_back: RefCell::default(),
                clients: RefCell::default(),
                holders: RefCell::default(),
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
            buffers_due: None,
            commands_counted: 0,
            sweep_due: None,
            waits_swept: 0,
        }
    }

    /// Adds commands from `input[at..]` to the window until something does not fit it. `place` is the
    /// connection's.
    fn collect(
        &mut self,
        session: &mut Session,
        input: &[u8],
        at: &mut usize,
        place: usize,
    ) -> Barrier {
        // A client that skips one reply has that command run by itself.
        let commands_max = if session.replies == Replies::SkipNext { 1 } else { WINDOW_COMMANDS };
        let is_busy = self.core.shared.scripts.busy.any();
        while self.batch.operations.len() < commands_max {
            let begin = *at;
            let first_span = self.batch.spans.len();
            if begin == input.len() {
                return Barrier::Incomplete;
            }
            let parsed =
                session.parser.parse(&input[begin..], &mut self.batch.spans, &session.limits);
            let end = match parsed {
                Parsed::Command { consumed } => begin + consumed,
                Parsed::Nothing { consumed } => {
                    *at = begin + consumed;
                    continue;
                }
                Parsed::Inline { consumed, args } => {
                    return Barrier::Inline { args, end: begin + consumed };
                }
                Parsed::Incomplete { .. } => return Barrier::Incomplete,
                Parsed::Malformed(error) => return Barrier::Malformed(error),
            };
            let args = Args::new(&input[begin..end], &self.batch.spans[first_span..]);
            let entry = match self.core.admit(session, args) {
                Ok(entry) => entry,
                Err(error) => return Barrier::of_refusal(error, args, (begin, end), first_span),
            };
            if is_busy && let Some(error) = self.core.busy_with(session, entry, args) {
                return Barrier::of_refusal(error, args, (begin, end), first_span);
            }
            if self.core.holds_back(entry, args) {
                return Barrier::Paused;
            }
            let begin_others = self.batch.shards.len();
            let (shard, hash) = match self.core.place(entry, args) {
                Place::Shard(shard, hash) => (shard, hash),
                Place::Several(shards) => {
                    self.batch.shards.extend_from_slice(&shards[1..]);
                    (shards[0], 0)
                }
                place => return Barrier::Command { entry, place, begin, end, first_span },
            };
            self.batch.operations.push(Operation {
                place,
                entry,
                begin,
                end,
                spans: (first_span, self.batch.spans.len()),
                db: session.db,
                shard,
                others: (begin_others, self.batch.shards.len()),
                hash,
            });
            *at = end;
        }
        Barrier::Full
    }

    /// Runs the collected window, of which `None` is left unless it stopped early.
    fn run_seats(&mut self, seats: &mut impl Seats, turn: &Turn) -> Option<Stop> {
        let mut commands = Commands {
            batch: &self.batch,
            seats,
            now: turn.now,
            limits: self.core.limits.get(),
            shared: self.core.shared,
            statistics: self.core.statistics(),
            post: &self.core.post,
            thresholds: self.core.thresholds.get(),
            ended: self.core.shared.stopwatch.now(),
            ran: 0,
            notable: &mut self.notable,
        };
        let outcome = self.window.run(
            &mut commands,
            &self.core.shared.cells,
            self.core.worker,
            &ShardPost(&self.core.post),
        );
        let ran = commands.ran;
        if !self.notable.is_empty() || self.core.shared.monitors.any() {
            self.tell_of_window(seats, ran, turn);
        }
        let (last, stop) = match outcome {
            Outcome::Finished => return None,
            Outcome::Posted { next } => (next - 1, Stop::Posted(next)),
            Outcome::NeedsGathering { at } => (at, Stop::NeedsGathering(at)),
        };
        let (session, _) = seats.at(self.batch.operations[last].place);
        if matches!(stop, Stop::Posted(_)) {
            session.pending = Some(Pending::Posted);
        }
        // What was parsed behind is parsed again.
        session.parser = RequestParser::new();
        Some(stop)
    }

    /// Runs the collected window of one connection, to where it has to wait.
    fn run_window(&mut self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Ran {
        let turn = io.turn;
        match self.run_seats(&mut Alone { session, io }, turn) {
            None => Ran::All,
            Some(Stop::Posted(next)) => {
                Ran::Part { consumed: self.batch.operations[next - 1].end, then: Then::Await }
            }
            Some(Stop::NeedsGathering(at)) => {
                let shards = self.batch.shards_from(at);
                let batch = std::mem::take(&mut self.batch);
                let operation = &batch.operations[at];
                let request = Request {
                    entry: operation.entry,
                    args: batch.args(operation, io.input),
                    bytes: operation.request_bytes(),
                };
                session.note_command(request.entry);
                let then = self.run_on(session, request, shards, io, None);
                let consumed = operation.end;
                self.batch = batch;
                Ran::Part { consumed, then }
            }
        }
    }

    /// Runs what several connections' input begins with in windows they share: the shards are taken once
    /// for all, and the cache misses of their lookups overlap. Commands that do not fit a window are
    /// left to [`Worker::receive_from`].
    fn run_ahead(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        self.batch.clear();
        for place in 0..arrivals.len() {
            let (session, io) = arrivals.at(place);
            let unsent_before = io.output.0.len();
            self.ahead.push(Ahead { consumed: 0, waits: false, unsent_before });
            if session.runs_in_windows() {
                crash::note_client(session.client_id);
                session.limits.bulk_bytes_max = self.core.limits.get().string_bytes_max;
                self.run_ahead_of(arrivals, place);
            }
        }
        self.run_shared(arrivals);
    }

    /// Adds what the connection at `place` has sent to the window, and runs that whenever it is full, as long as the
    /// connection has to wait for nothing.
    fn run_ahead_of(&mut self, arrivals: &mut Arrivals<'_, Self>, place: usize) {
        for _ in 0..COMMANDS_PER_TURN / WINDOW_COMMANDS {
            let mut consumed = self.ahead[place].consumed;
            let (session, io) = arrivals.at(place);
            if io.output.0.len() > io.output_high_water_bytes {
                return;
            }
            self.collect(session, io.input, &mut consumed, place);
            self.ahead[place].consumed = consumed;
            if self.batch.operations.len() < WINDOW_COMMANDS {
                return;
            }
            self.run_shared(arrivals);
            if self.ahead[place].waits || self.ahead[place].consumed != consumed {
                return;
            }
        }
    }

    /// Runs a window of several connections' commands to the end.
    fn run_shared(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        let turn = *arrivals.turn();
        while !self.batch.operations.is_empty() {
            let next = match self.run_seats(arrivals, &turn) {
                None => break,
                Some(Stop::Posted(next)) => {
                    let Operation { place, end, .. } = self.batch.operations[next - 1];
                    let ahead = &mut self.ahead[place];
                    (ahead.consumed, ahead.waits) = (end, true);
                    next
                }
                Some(Stop::NeedsGathering(at)) => {
                    let Operation { place, begin, .. } = self.batch.operations[at];
                    self.ahead[place].consumed = begin;
                    at + 1
                }
            };
            let place = self.batch.operations[next - 1].place;
            self.batch.operations.drain(..next);
            self.batch.operations.retain(|operation| operation.place != place);
        }
        self.batch.clear();
    }

    /// Remembers the commands of a window that are worth it, and shows the `ran` that have run here to
    /// monitors.
    #[cold]
    fn tell_of_window(&mut self, seats: &mut impl Seats, ran: usize, turn: &Turn) {
        for (index, cost) in self.notable.drain(..) {
            let operation = &self.batch.operations[index];
            let (session, io) = seats.at(operation.place);
            let args = self.batch.args(operation, io.input);
            self.core.remember(session, operation.entry, args, cost, turn.now);
        }
        if self.core.shared.monitors.any() {
            let mut lines = Lines::default();
            for operation in &self.batch.operations[..ran] {
                let (session, io) = seats.at(operation.place);
                lines.add(session, operation.entry, self.batch.args(operation, io.input), turn);
            }
            self.core.send_to_monitors(lines);
        }
    }

    /// Runs one command outside a window.
    fn run_single(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        place: Place,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let place = match place {
            Place::Script(source) => self.core.place_of_script(request.entry, request.args, source),
            place => place,
        };
        session.note_command(request.entry);
        match place {
            Place::Shard(shard, _) => self.run_on(session, request, vec![shard], io, turns),
            Place::Several(shards) | Place::Gathered(shards) => {
                self.run_on(session, request, shards, io, turns)
            }
            // Nobody has the shards, and what was admitted nevertheless does without.
            Place::All if self.core.shared.loading.is_under_way() => {
                self.run_alone(session, request, io)
            }
            Place::All => {
                let shards = self.core.shared.router().shards().collect();
                self.run_on(session, request, shards, io, turns)
            }
            Place::Slices => self.run_slices(session, request, io),
            Place::Script(_) => unreachable!("it was found out where"),
            Place::Queued => self.run_queued(session, request, io, turns),
            Place::Session => self.run_alone(session, request, io),
        }
    }

    fn run_slices(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
    ) -> Then {
        let Handler::Sliced(begin) = request.entry.command.handler else {
            unreachable!("placed by its handler")
        };
        let caller = Caller::new(&self.core, session, io.id, io.turn);
        let begun = caller.begin_slices(request, begin, &mut io.output.0);
        self.core.statistics().called(request.entry.counted_as, &begun);
        let Ok(slice) = begun else { return Then::Read };
        session.pending = Some(Pending::Sliced(Box::new(Sliced::new(request, slice))));
        self.go_on(session, io)
    }

    fn run_alone(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
    ) -> Then {
        let output = &mut io.output.0;
        let unsent_before = output.len();
        let begun = self.core.shared.stopwatch.now();
        let mut view = View::several(&mut [], self.core.shared.router());
        let mut caller = Caller::new(&self.core, session, io.id, io.turn);
        let result = caller.run(request, &mut view, output);
        if matches!(result, Ok(Flow::Defer)) {
            return self.defer(session, request, io.id);
        }
        let nanos = self.core.nanos_since(begun);
        let then = match result {
            Ok(Flow::Later(reply)) => match reply.go_on(&self.core, session, io.id, output) {
                After::Resumes => Then::Read,
                After::Waits | After::Blocks => Then::Await,
                After::Closes => Then::CloseAfterFlush,
            },
            Ok(Flow::Yield) => {
                self.core.post.send(self.core.worker, Mail::Resume(io.id));
                Then::Await
            }
            Ok(Flow::Defer) => unreachable!("dealt with"),
            Ok(Flow::Block(_) | Flow::Slices(_) | Flow::Connect(_) | Flow::Transfer(_)) => {
                unreachable!("only commands over shards wait for keys, run in slices or send keys")
            }
            Ok(Flow::Wait) => Then::Suspend,
            Ok(Flow::Close) => Then::CloseAfterFlush,
            Ok(Flow::Next) | Err(_) => Then::Read,
        };
        // What it set counts for itself already.
        self.core.follow_settings();
        self.core.note(session, request, nanos, io.output.0.len() - unsent_before, io.turn);
        then
    }

    /// Runs a command over the shards of what the client watches and has queued.
    fn run_queued(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let subscribes = session.transaction.as_ref().is_some_and(|queue| queue.subscribes());
        if subscribes && must_read_letters(&self.core, session) {
            return self.defer(session, request, io.id);
        }
        let shards = transaction::shards_of(session);
        if shards.is_empty() || self.core.shared.loading.is_under_way() {
            return self.run_alone(session, request, io);
        }
        self.run_on(session, request, shards, io, turns)
    }

    /// Runs a command again when the letters that are there now have been read.
    fn defer(&self, session: &mut Session, request: Request<'_>, id: ConnectionId) -> Then {
        session.take_command_back();
        session.pending = Some(Pending::Deferred(Box::new(request.to_owned())));
        self.core.post.send(self.core.worker, Mail::Resume(id));
        Then::Await
    }

    fn run_on(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        shards: Vec<ShardId>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        match Coordinated::start(&self.core, session, request, shards) {
            Ok(gathering) => self.run_over(session, request, gathering, io, turns),
            Err(pending) => {
                session.pending = Some(pending);
                Then::Await
            }
        }
    }

    /// Runs a command over the shards gathered for it.
    fn run_over(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        gathering: Gathering<Shard>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let output = &mut io.output.0;
        let (id, turn) = (io.id, io.turn);
        let after = match turns {
            None => {
                let core = &self.core;
                run_gathered(core, session, request, gathering, None, output, id, turn, None)
            }
            Some(turns) => {
                let core = Rc::clone(&self.core);
                let mut others = Others { worker: self, turns };
                let meanwhile: Option<&mut dyn Meanwhile> = Some(&mut others);
                run_gathered(&core, session, request, gathering, None, output, id, turn, meanwhile)
            }
        };
        match after {
            After::Resumes => Then::Read,
            After::Blocks => Then::Suspend,
            After::Waits if matches!(session.pending, Some(Pending::Holding(_))) => Then::Suspend,
            After::Waits => Then::Await,
            After::Closes => Then::CloseAfterFlush,
        }
    }

    /// Suspends a client in front of a command that is held back.
    fn hold_back(&self, session: &mut Session, id: ConnectionId) -> Then {
        session.pending = Some(Pending::Paused);
        // What was parsed of it is parsed again.
        session.parser = RequestParser::new();
        self.core.statistics().blocked_clients.add(1);
        self.core.held_back.borrow_mut().push(id);
        Then::Suspend
    }

    /// Goes on with a sliced command. [`Then::Read`] when it has answered.
    fn go_on(&mut self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Then {
        let Some(Pending::Sliced(mut sliced)) = session.pending.take() else {
            unreachable!("only sliced commands ask for another turn")
        };
        if sliced.advance(&self.core, session, io.turn, &mut io.output.0) {
            return Then::Read;
        }
        let then = if sliced.waits() { Then::Await } else { Then::Again };
        session.pending = Some(Pending::Sliced(sliced));
        then
    }

    fn letter(&mut self, letter: Letter<Shard, Job>, connections: &mut Connections<'_, Self>) {
        match letter {
            Letter::Done(job) => self.finish(job, connections),
            Letter::Turn { work, held } => {
                let cell = self.core.shared.cells.cell(held.id);
                let job = cell.take_turn(work, held, &ShardPost(&self.core.post));
                self.finish(job, connections);
            }
            Letter::Granted { ticket, held } if ticket == OWN_TICKET => {
                self.core.granted_for_save(held, connections.turn());
            }
            Letter::Granted { ticket, held } => {
                let Some(id) = self.core.clients.borrow().get(&ticket.0).copied() else {
                    self.core.shared.cells.put_back(held, &ShardPost(&self.core.post));
                    return;
                };
                let turn = *connections.turn();
                let core = &self.core;
                let window = &mut self.window;
                let mut held = Some(held);
                let after = connections.with(id, |session, output| {
                    let held = held.take().expect("called once");
                    core.answer(session, output, |session, output| {
                        Pending::granted(core, session, held, window, output, id, &turn)
                    })
                });
                if let Some(held) = held {
                    // The connection is closing; its `closed` has released the rest, or will.
                    self.core.shared.cells.put_back(held, &ShardPost(&self.core.post));
                }
                go_on(after, id, connections);
            }
            Letter::Knock(shard) => {
                self.core.shared.cells.cell(shard).answer_knock(&ShardPost(&self.core.post));
            }
        }
    }

    /// Hands a finished job's replies to its connection, which goes on.
    fn finish(&mut self, mut job: Job, connections: &mut Connections<'_, Self>) {
        job.send_letters(&self.core.post);
        if job.errand.is_some() {
            return;
        }
        // It is run again where it can have slices.
        let is_long = |packed: &mut PackedCommand| matches!(packed.result, Err(ReplyError::Long));
        let long = job.commands.pop_if(is_long);
        for packed in &job.commands {
            self.core.statistics().called(packed.entry.counted_as, &packed.result);
            self.core.statistics().took(packed.entry.counted_as, packed.cost.nanos);
        }
        let turn = *connections.turn();
        connections.with(job.origin, |session, output| {
            for packed in &job.commands {
                session.note_command(packed.entry);
                let request = Request {
                    entry: packed.entry,
                    args: packed.args.as_args(),
                    bytes: packed.cost.request_bytes,
                };
                self.core.tell(session, request, packed.cost, &turn);
            }
            self.core.answer(session, output, |session, output| {
                session.pending = long.map(|packed| {
                    let PackedCommand { entry, args, cost, .. } = packed;
                    let request =
                        Request { entry, args: args.as_args(), bytes: cost.request_bytes };
                    Pending::Deferred(Box::new(request.to_owned()))
                });
                output.append(job.output);
            });
            if !session.facts.late_invalidations.is_empty() {
                self.core.tell_late(session, &mut output.0);
            }
        });
        connections.resume(job.origin);
    }

    /// Ends the holding of shards whose time is over; when the next one's will be.
    fn release_held(
        &self,
        turn: &Turn,
        connections: &mut Connections<'_, Self>,
    ) -> Option<Instant> {
        if self.core.holders.borrow().is_empty() {
            return None;
        }
        let mut over = Vec::new();
        self.core.holders.borrow_mut().retain(|(until, id)| {
            let is_over = *until <= turn.instant;
            if is_over {
                over.push(*id);
            }
            !is_over
        });
        for id in over {
            let after = connections.with(id, |session, output| {
                self.core.answer(session, output, |session, output| match session.pending.take() {
                    Some(Pending::Holding(holding)) => {
                        holding.finish(&self.core, session, output, id, turn)
                    }
                    other => {
                        session.pending = other;
                        After::Waits
                    }
                })
            });
            go_on(after, id, connections);
        }
        self.core.holders.borrow().iter().map(|(until, _)| *until).min()
    }
}

impl Core {
    /// Brings what this worker derived from the configuration up to date.
    #[inline]
    pub(crate) fn follow_settings(&self) {
        let version = self.shared.config.version();
        let is_tracking = self.shared.tracking.any();
        if version != self.config_version.get()
            || is_tracking != self.limits.get().interest.has(Interest::CHANGES)
        {
            self.config_version.set(version);
            let settings = self.shared.config.current();
            self.limits.set(self.call_limits());
            self.query_bytes_max.set(settings.query_buffer_limit_bytes);
            self.output_limits.set(settings.output_limits);
            self.busy_script_nanos.set(settings.busy_script_nanos());
            self.thresholds.set(Thresholds::new(&settings.watch));
            self.shared.journal.follow(&settings);
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
        if config.protected_mode && !config.has_password() && !is_local(peer) {
            statistics.connections_refused.add(1);
            return Err(Refusal { last_words: PROTECTED_MODE_REFUSAL.into() });
        }
        statistics.connections.add(1);
        let client_id = self.core.shared.new_client_id();
        self.core.clients.borrow_mut().insert(client_id, id);
        self.core.shared.add_connection(client_id, id);
        Ok(Session::new(client_id, peer.clone(), turn.now, config.request_limits()))
    }

    fn receive(&mut self, session: &mut Session, io: Io<'_, Outbox>) -> Progress {
        self.core.follow_settings();
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

    fn mail(&mut self, mail: Mail, connections: &mut Connections<'_, Self>) {
        match mail {
            Mail::Shard(letter) => self.letter(letter, connections),
            Mail::Question { from, question } => {
                let (to, mail) = match question.answer(from, &self.core, connections) {
                    Said::Now(answer) => (from.worker, Mail::Answer { to: from, answer }),
                    Said::AskAgain => (self.core.worker, Mail::Question { from, question }),
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
            Mail::Redirected { to, what } => {
                self.core.deliver_redirected(to, &what, connections);
            }
            Mail::SetIdleExempt { id, exempt } => connections.set_idle_exempt(id, exempt),
            Mail::Resume(id) => {
                connections.resume(id);
            }
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
            Mail::Synced => {
                connections.release_withheld();
                self.core.look_at_log_waits(connections);
            }
            Mail::Saved { to, succeeded } => self.core.saved(to, succeeded, connections),
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
        self.core.shared.journal.write_out(&self.core.shared.stopwatch);
    }

    fn withholds(&self, session: &mut Session) -> bool {
        let journal = &self.core.shared.journal;
        journal.is_strict() && journal.withholds(self.core.worker, session.written_to(journal))
    }

    fn served(&mut self) {
        self.window.release(&self.core.shared.cells, &ShardPost(&self.core.post));
    }

    fn stopping(&mut self, _: &mut Connections<'_, Self>) -> Stopping {
        self.core.may_end()
    }

    fn tick(&mut self, connections: &mut Connections<'_, Self>) -> NextTick {
        let turn = *connections.turn();
        self.count_tick(connections);
        self.core.follow_settings();
        self.core.restriction.set(self.core.shared.restriction());
        self.core.shared.journal.write_out(&self.core.shared.stopwatch);
        if let Some(pause) = self.core.pause.get()
            && turn.now >= pause.until
        {
            self.core.follow_pause(turn.now, connections);
        }
        self.core.give_watches_back(turn.now);
        let wait_ends = self.core.end_overdue_waits(turn.now, connections);
        let next_release = self.release_held(&turn, connections);
        if self.core.shared.takes_notice_of_excess() {
            self.make_room_everywhere(&turn);
        }
        let mut due = *self.background_due.get_or_insert(turn.instant);
        if turn.instant >= due {
            let paused = self.core.shared.background_paused.load(Ordering::Relaxed);
            if !paused && self.tend_shards(&turn) {
                return NextTick::Now;
            }
            if self.core.worker == WorkerId(0) {
                self.core.shared.sample(turn.instant);
                self.core.shared.forget_tracked_surplus(self.core.limits.get().tracked_keys_max);
                self.core.shared.forget_tracked_leftovers();
            }
            self.core.begin_due_save(&turn);
            self.look_at_buffers(&turn, connections);
            due = turn.instant + BACKGROUND_INTERVAL;
            self.background_due = Some(due);
        }
        let mut wake = next_release.map_or(due, |release| release.min(due));
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
        self.core.discard(&mut session, turn.now);
        self.core.end_subscriptions(&mut session, id);
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

impl Worker {
    /// Runs what is left of a connection's input after a window it may have shared with others.
    fn receive_from(
        &mut self,
        session: &mut Session,
        mut io: Io<'_, Outbox>,
        ahead: Ahead,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Progress {
        let Ahead { consumed, waits, unsent_before } = ahead;
        let progress = if waits {
            Progress { consumed, then: Then::Await }
        } else if consumed > 0 && consumed == io.input.len() {
            Progress { consumed, then: Then::Read }
        } else {
            self.run_commands(session, &mut io, consumed, turns)
        };
        let statistics = self.core.statistics();
        statistics.reads.add(1);
        statistics.input_bytes.add(progress.consumed as u64);
        statistics.output_bytes.add((io.output.0.len() - unsent_before) as u64);
        progress
    }

    /// Runs the commands in the input from `consumed` on.
    fn run_commands(
        &mut self,
        session: &mut Session,
        io: &mut Io<'_, Outbox>,
        mut consumed: usize,
        mut turns: Option<&mut Turns<'_, Self>>,
    ) -> Progress {
        crash::note_client(session.client_id);
        if session.pending.is_some() {
            let then = self.go_on_with_pending(session, io, turns.as_deref_mut());
            if then != Then::Read {
                return Progress { consumed, then };
            }
        }
        let mut commands = 0;
        loop {
            // The command before can have changed it.
            session.limits.bulk_bytes_max = self.core.limits.get().string_bytes_max;
            let mut at = consumed;
            self.batch.clear();
            let barrier = if session.transaction.is_some() {
                session.run_muted(io, |session, io| {
                    let spans = &mut self.batch.spans;
                    self.core.collect_queued(session, io, spans, &mut at, &mut commands)
                })
            } else {
                self.collect(session, io.input, &mut at, 0)
            };
            if !self.batch.operations.is_empty() {
                commands += self.batch.operations.len();
                let ran = session.run_muted(io, |session, io| self.run_window(session, io));
                if let Ran::Part { consumed: ran_to, then } = ran {
                    consumed = ran_to;
                    if then == Then::Read {
                        continue;
                    }
                    break Progress { consumed, then };
                }
            }
            consumed = at;
            let then = match barrier {
                Barrier::Full => Then::Read,
                Barrier::Incomplete => break Progress { consumed, then: Then::Read },
                Barrier::Paused => {
                    break Progress { consumed, then: self.hold_back(session, io.id) };
                }
                Barrier::Command { entry, begin, .. }
                    if turns.is_none() && self.core.runs_apart(session, entry) =>
                {
                    break wait_for_turn(session, begin);
                }
                Barrier::Command { entry, place, begin, end, first_span } => {
                    consumed = end;
                    commands += 1;
                    let batch = std::mem::take(&mut self.batch);
                    let args = Args::new(&io.input[begin..end], &batch.spans[first_span..]);
                    let request = Request { entry, args, bytes: end - begin };
                    let turns = turns.as_deref_mut();
                    let then = session.run_muted(io, |session, io| {
                        self.run_single(session, request, place, io, turns)
                    });
                    self.batch = batch;
                    then
                }
                Barrier::Inline { args, end } => {
                    let begin = std::mem::replace(&mut consumed, end);
                    commands += 1;
                    let args = args.as_args();
                    match self.core.admit_in(session, args) {
                        Ok(entry) if self.core.holds_back_in(session, entry, args) => {
                            break Progress {
                                consumed: begin,
                                then: self.hold_back(session, io.id),
                            };
                        }
                        Ok(entry) if self.core.queues(session, entry) => {
                            let request = Request { entry, args, bytes: end - begin };
                            session.run_muted(io, |session, io| {
                                self.core.queue(session, request, io.output);
                            });
                            Then::Read
                        }
                        Ok(entry) if turns.is_none() && self.core.runs_apart(session, entry) => {
                            break wait_for_turn(session, begin);
                        }
                        Ok(entry) => {
                            let turns = turns.as_deref_mut();
                            let place = self.core.place(entry, args);
                            let request = Request { entry, args, bytes: end - begin };
                            session.run_muted(io, |session, io| {
                                self.run_single(session, request, place, io, turns)
                            })
                        }
                        Err(_) if is_http(args) => {
                            break refuse_attack(io, session);
                        }
                        Err(error) => {
                            self.refuse(session, args, &error, io);
                            Then::Read
                        }
                    }
                }
                Barrier::Refused { error, begin, end, first_span } => {
                    consumed = end;
                    let args = Args::new(&io.input[begin..end], &self.batch.spans[first_span..]);
                    self.refuse(session, args, &error, io);
                    Then::Read
                }
                Barrier::Malformed(error) => {
                    ReplyWriter::new(&mut io.output.0, session.protocol).error(error.message());
                    break Progress { consumed: io.input.len(), then: Then::CloseAfterFlush };
                }
                Barrier::QueueOverflow => break self.refuse_overflow(session, consumed),
                Barrier::Attack => break refuse_attack(io, session),
            };
            if then != Then::Read {
                break Progress { consumed, then };
            }
            if commands >= COMMANDS_PER_TURN || io.output.0.len() > io.output_high_water_bytes {
                break Progress { consumed, then: Then::Again };
            }
        }
    }

    /// Goes on with a command that was under way. [`Then::Read`] when it has answered.
    fn go_on_with_pending(
        &mut self,
        session: &mut Session,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        if turns.is_none()
            && let Some(then) = self.core.put_apart(session, io)
        {
            return then;
        }
        match session.pending.take() {
            sliced @ Some(Pending::Sliced(_)) => {
                session.pending = sliced;
                session.finish_pending(io, |session, io| self.go_on(session, io))
            }
            Some(Pending::Deferred(request)) => {
                let request = request.as_request();
                session.finish_pending(io, |session, io| {
                    // What is known of where it runs can have changed.
                    let place = self.core.place(request.entry, request.args);
                    self.run_single(session, request, place, io, turns)
                })
            }
            Some(Pending::Ready(ready)) => {
                let (request, gathering) = ready.into_parts();
                let request = request.as_request();
                session.finish_pending(io, |session, io| {
                    self.run_over(session, request, gathering, io, turns)
                })
            }
            Some(Pending::Paused) => {
                self.core.statistics().blocked_clients.remove(1);
                Then::Read
            }
            other => {
                session.pending = other;
                Then::Read
            }
        }
    }

    /// Answers a command that was not admitted, and counts it. Of a transaction it was to be part of
    /// nothing runs, and when it was to run one, that is over.
    #[cold]
    fn refuse(
        &self,
        session: &mut Session,
        args: Args<'_>,
        error: &ReplyError,
        io: &mut Io<'_, Outbox>,
    ) {
        self.core.count_refusal(args, error);
        let refusal = match self.core.shared.table.named(args.at(0)) {
            Some(entry) if self.core.runs_queue(entry) => {
                self.core.discard(session, io.turn.now);
                self.core.show(session, Request { entry, args, bytes: 0 }, io.turn);
                ServerError::exec_refused(error).to_string().into_bytes().into()
            }
            _ => {
                self.core.refuse_transaction(session);
                error.line()
            }
        };
        session.run_muted(io, |session, io| {
            ReplyWriter::new(&mut io.output.0, session.protocol).error(refusal);
        });
    }

    /// A client that queues without end is closed as one is that sends without end.
    #[cold]
    fn refuse_overflow(&self, session: &Session, consumed: usize) -> Progress {
        self.core.statistics().connections_overflowed.add(1);
        tracing::warn!(
            client = session.client_id,
            peer = ?session.facts.peer.remote,
            "closed a client that reached the limit of its query buffer with queued commands"
        );
        Progress { consumed, then: Then::Close }
    }
}

/// Does with a connection what became of its pending command; nothing if the connection is gone.
fn go_on(after: Option<After>, id: ConnectionId, connections: &mut Connections<'_, Worker>) {
    match after {
        Some(After::Resumes) => {
            connections.resume(id);
        }
        Some(After::Closes) => {
            connections.close(id, true);
        }
        Some(After::Blocks) => {
            connections.suspend(id);
        }
        Some(After::Waits) | None => {}
    }
}

/// Redis aborts such a connection without a word.
fn refuse_attack(io: &Io<'_, Outbox>, session: &Session) -> Progress {
    tracing::warn!(
        peer = ?session.facts.peer.remote,
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: \
         commands to Darter. This is likely due to an attacker attempting to use Cross Protocol \
         Scripting to compromise your instance. Connection aborted."
    );
    Progress { consumed: io.input.len(), then: Then::Close }
}
