//! From connections' input to windows of commands, and running them over shards.

use crate::blocking::{Serving, serve_ready};
use crate::commands::error::ServerError;
use crate::job::{Job, PackedCommand};
use crate::mail::{Mail, ShardPost};
use crate::observed::{Author, Cause, Together, run_observed};
use crate::outbox::Outbox;
use crate::saving::is_put_off;
use crate::session::Session;
use crate::shared::Shared;
use crate::statistics::WorkerStatistics;
use crate::watch::{Cost, Thresholds};
use crate::worker::Worker;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    BEFORE_EVERYTHING, Call, CallLimits, Command, Effects, Entry, Flags, Handler, ReplyError,
    ReplyResult, ShardView, WaitSlot,
};
use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter, Span};
use darter_runtime::{Arrivals, ConnectionId, Io, Post, Ticks, crash};
use darter_shard::Shard;
use darter_txn::{Program, View, Window};

/// Commands taken together: enough to overlap the cache misses of their lookups, few enough that
/// the shards they hold are soon back.
pub const WINDOW_COMMANDS: usize = 32;

/// The state of a client that commands on keys depend on.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The database it selected.
    pub db: DbIndex,
    /// The protocol replies are written in.
    pub protocol: Protocol,
    /// Who it is, for those who want to hear of what it does.
    pub author: Author,
    /// Whether its commands are no accesses, as far as eviction is concerned (CLIENT NO-TOUCH).
    pub leaves_no_trace: bool,
    /// Whether it imports data: in import mode nothing has expired for it.
    pub imports: bool,
    /// Whether its command must read no keys but those among its arguments, since its user may not read all.
    pub stays_within: bool,
}

/// The connections whose commands are in a window, by their place.
pub trait Seats {
    /// The session, input and output of the connection at `place`.
    fn at(&mut self, place: usize) -> (&mut Session, Io<'_, Outbox>);
}

impl Seats for Arrivals<'_, Worker> {
    #[inline]
    fn at(&mut self, place: usize) -> (&mut Session, Io<'_, Outbox>) {
        Arrivals::at(self, place)
    }
}

/// A window of one connection's commands, at place 0.
#[derive(Debug)]
pub struct Alone<'a, 'io> {
    pub session: &'a mut Session,
    pub io: &'a mut Io<'io, Outbox>,
}

impl Seats for Alone<'_, '_> {
    #[inline]
    fn at(&mut self, _: usize) -> (&mut Session, Io<'_, Outbox>) {
        (self.session, Io { output: self.io.output, ..*self.io })
    }
}

/// One command of a window.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Whose command it is.
    pub place: usize,
    /// What to run.
    pub entry: &'static Entry,
    /// Where in the input it begins, in bytes.
    pub begin: usize,
    /// Where in the input it ends.
    pub end: usize,
    /// Its arguments in the window's spans: first and one past the last.
    pub spans: (usize, usize),
    /// The database its client selected.
    pub db: DbIndex,
    /// The shard all its keys are in; the lowest of several.
    pub shard: ShardId,
    /// The other shards its keys are in, ascending, in the window's list: first and one past the last.
    pub others: (usize, usize),
    /// The hash of its only key, to fetch memory ahead; 0 when it has none or several.
    pub hash: u64,
}

impl Operation {
    /// Its size on the wire.
    pub const fn request_bytes(&self) -> usize {
        self.end - self.begin
    }
}

/// A window's commands and the spans of their arguments. Scratch space of a worker.
#[derive(Debug, Default)]
pub struct Batch {
    /// In the order they were sent.
    pub operations: Vec<Operation>,
    /// Relative to each operation's beginning.
    pub spans: Vec<Span>,
    /// The shards of the operations that have several.
    pub shards: Vec<ShardId>,
}

impl Batch {
    /// Empties it for the next window.
    pub fn clear(&mut self) {
        self.operations.clear();
        self.spans.clear();
        self.shards.clear();
    }
}

/// A batch being run.
#[derive(Debug)]
pub struct Commands<'a, S> {
    pub batch: &'a Batch,
    pub seats: &'a mut S,
    pub now: UnixMillis,
    pub limits: CallLimits,
    pub shared: &'static Shared,
    pub statistics: &'static WorkerStatistics,
    /// Mailboxes.
    pub post: &'a Post<Mail>,
    /// From which cost on a command is remembered.
    pub thresholds: Thresholds,
    /// When the latest command had run, or the first one began.
    pub ended: Ticks,
    /// How many operations have run here.
    pub ran: usize,
    /// Those to be remembered, by their index.
    pub notable: &'a mut Vec<(usize, Cost)>,
}

impl Batch {
    /// The arguments of an operation that is in the input of `io`.
    pub fn args<'a>(&'a self, operation: &Operation, io: &Io<'a, Outbox>) -> Args<'a> {
        let spans = &self.spans[operation.spans.0..operation.spans.1];
        Args::new(&io.input[operation.begin..operation.end], spans).lying_in(io.shared)
    }

    /// The shards of an operation besides its lowest.
    #[inline]
    pub fn others_of(&self, operation: &Operation) -> &[ShardId] {
        &self.shards[operation.others.0..operation.others.1]
    }

    /// All shards of the operations from `first` on that are of the same connection, with repetitions.
    pub fn shards_from(&self, first: usize) -> Vec<ShardId> {
        let place = self.operations[first].place;
        let of_same = self.operations[first..].iter().filter(|operation| operation.place == place);
        of_same
            .flat_map(|operation| {
                [operation.shard].into_iter().chain(self.others_of(operation).iter().copied())
            })
            .collect()
    }
}

impl Client {
    #[inline]
    pub fn of(
        session: &Session,
        id: ConnectionId,
        entry: &Entry,
        args: Args<'_>,
        databases: u16,
    ) -> Self {
        let author = Author { id, remember: session.remember };
        let leaves_no_trace = session.facts.no_touch;
        let imports = session.facts.imports;
        Self {
            db: session.db,
            protocol: session.protocol,
            author,
            leaves_no_trace,
            imports,
            stays_within: !session.may_reach_beyond(entry, args, databases),
        }
    }
}

impl<S> Commands<'_, S> {
    #[cold]
    fn serve(&self, view: &mut ShardView<'_>) {
        let carrier = ShardPost(self.post);
        let serving = Serving {
            shared: self.shared,
            now: self.now,
            limits: self.limits,
            carrier: Some(&carrier),
        };
        for (to, mail) in serve_ready(view, &serving) {
            self.post.send(to, mail);
        }
    }
}

impl<S: Seats> Program<Shard> for Commands<'_, S> {
    type Work = Job;

    fn len(&self) -> usize {
        self.batch.operations.len()
    }

    #[inline]
    fn shard_of(&self, index: usize) -> ShardId {
        self.batch.operations[index].shard
    }

    #[inline]
    fn others_of(&self, index: usize) -> &[ShardId] {
        self.batch.others_of(&self.batch.operations[index])
    }

    #[inline]
    fn origin_of(&self, index: usize) -> usize {
        self.batch.operations[index].place
    }

    fn prepare(&mut self, window: &Window<Shard>) {
        // One lookup has nothing to overlap with.
        if self.batch.operations.len() == 1 {
            return;
        }
        let held = |operation: &Operation| {
            if operation.hash == 0 { None } else { window.held(operation.shard) }
        };
        for operation in &self.batch.operations {
            if let Some(shard) = held(operation) {
                shard.prefetch(operation.db, operation.hash);
            }
        }
        for operation in &self.batch.operations {
            if let Some(shard) = held(operation) {
                shard.prefetch_entry(operation.db, operation.hash);
            }
        }
    }

    #[inline]
    fn run(&mut self, index: usize, mut view: View<'_, Shard>) -> bool {
        let operation = &self.batch.operations[index];
        let (session, io) = self.seats.at(operation.place);
        crash::note_client(session.client_id);
        session.note_command(operation.entry);
        let unsent_before = io.output.0.len();
        let args = self.batch.args(operation, &io);
        let result = run_command(
            operation.entry,
            args,
            Client::of(session, io.id, operation.entry, args, self.limits.databases),
            self.now,
            &self.limits,
            self.shared,
            &mut view,
            &mut io.output.0,
            None,
            None,
        );
        if matches!(result, Err(ReplyError::Long)) {
            session.take_command_back();
            self.ran = index;
            return false;
        }
        if self.limits.interest.any() {
            session.remember = session.remember.after_command();
        }
        let stopwatch = &self.shared.stopwatch;
        let ended = stopwatch.now();
        let cost = Cost {
            nanos: stopwatch.nanos_between(self.ended, ended),
            request_bytes: operation.request_bytes(),
            reply_bytes: io.output.0.len() - unsent_before,
        };
        self.ended = ended;
        self.ran = index + 1;
        if operation.others.0 != operation.others.1 {
            self.statistics.coordinated.add(1);
        }
        self.statistics.called(operation.entry.counted_as, &result);
        self.statistics.took(operation.entry.counted_as, cost.nanos);
        if self.thresholds.is_notable(cost) {
            self.notable.push((index, cost));
        }
        // Those who wait for a key get it before the next command of the window sees it.
        if view.each().any(|shard| shard.has_ready()) {
            self.serve(&mut view);
        }
        true
    }

    #[cold]
    fn pack(&mut self, from: usize, to: usize) -> Job {
        self.statistics.posted.add(1);
        let operations = &self.batch.operations[from..to];
        let (session, io) = self.seats.at(operations[0].place);
        let commands = operations
            .iter()
            .map(|operation| {
                let args = self.batch.args(operation, &io);
                let databases = self.limits.databases;
                PackedCommand {
                    entry: operation.entry,
                    args: OwnedArgs::from(args),
                    stays_within: !session.may_reach_beyond(operation.entry, args, databases),
                    cost: Cost { request_bytes: operation.request_bytes(), ..Cost::default() },
                    result: Ok(()),
                }
            })
            .collect();
        let first = &operations[0];
        let args = self.batch.args(first, &io);
        let client = Client::of(session, io.id, first.entry, args, self.limits.databases);
        session.remember = session.remember.after_command();
        Job {
            origin: io.id,
            shared: self.shared,
            client,
            access: session.access.clone(),
            now: self.now,
            limits: Box::new(self.limits),
            commands,
            errand: None,
            output: Output::new(),
            letters: Vec::new(),
        }
    }
}

/// Runs one command over the shards of `view` and writes its reply, an error included. It may wait if it is given
/// where to say so. A part of a transaction or a script has its changes told `together` with others.
#[expect(clippy::too_many_arguments, reason = "the one place where all of them meet")]
#[inline]
pub fn run_command(
    entry: &'static Entry,
    args: Args<'_>,
    client: Client,
    now: UnixMillis,
    limits: &CallLimits,
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    output: &mut Output,
    waits: Option<&mut WaitSlot>,
    together: Option<&Together>,
) -> ReplyResult {
    crash::note_command(&entry.full_name, args.len());
    let command = entry.command;
    // It can have become a replica since the command was admitted. Of the parts of a transaction or a script others have made sure.
    if command.flags.has(Flags::WRITE) && together.is_none() && shared.following.refuses_writes() {
        let error = ReplyError::from(ServerError::ReadOnlyReplica);
        ReplyWriter::new(output, client.protocol).error(error.line());
        return Err(error);
    }
    let is_recorded = shared.is_recorded();
    let is_plain = limits.are_plain() && !client.leaves_no_trace && !client.stays_within;
    if is_plain && !is_recorded {
        return run_handler(command, args, client, now, limits, shared, view, output, waits, None);
    }
    if limits.is_saving && limits.slices && is_put_off(shared, view, command, args, client.db) {
        return Err(ReplyError::Long);
    }
    if limits.memory.is_set() && command.flags.has(Flags::DENYOOM) {
        if !shared.make_room(limits, view, now) {
            ReplyWriter::new(output, client.protocol).error(ReplyError::OutOfMemory.line());
            return Err(ReplyError::OutOfMemory);
        }
        if limits.slices && command.slices.is_none() && shared.has_to_wait(&limits.memory, args) {
            return Err(ReplyError::Long);
        }
    }
    let importers;
    let (limits, now) = if limits.imports && client.imports {
        importers = limits.of_importer(now);
        view.each().for_each(|shard| shard.begin_replay(now));
        (&importers, BEFORE_EVERYTHING)
    } else {
        (limits, now)
    };
    let confined;
    let limits = if client.stays_within {
        confined = CallLimits { stays_within: true, ..*limits };
        &confined
    } else {
        limits
    };
    // A write has to know what is there.
    let keeps_expired = limits.keeps_expired && command.flags.has(Flags::READONLY);
    for shard in view.each() {
        shard.ignore_accesses(client.leaves_no_trace);
        shard.keep_expired(keeps_expired);
    }
    let result = if limits.interest.any() || is_recorded {
        let by = Some(client.author.id);
        let cause = Cause { entry, args, db: client.db, by, together };
        run_observed(shared, cause, client.author, limits, view, |view, effects| {
            run_handler(command, args, client, now, limits, shared, view, output, waits, effects)
        })
    } else {
        run_handler(command, args, client, now, limits, shared, view, output, waits, None)
    };
    for shard in view.each() {
        shard.ignore_accesses(false);
        shard.keep_expired(false);
        if limits.imports {
            shard.end_replay();
        }
        if limits.memory.is_set() {
            shared.settle_after(&limits.memory, shard);
        }
    }
    result
}

/// Lets `work` work on shards, in which keys that have expired stay meanwhile if the limits say so.
pub fn keeping_expired<R>(
    limits: &CallLimits,
    view: &mut ShardView<'_>,
    work: impl FnOnce(&mut ShardView<'_>) -> R,
) -> R {
    view.each().for_each(|shard| shard.keep_expired(limits.keeps_expired));
    let result = work(view);
    view.each().for_each(|shard| shard.keep_expired(false));
    result
}

/// As [`run_command`], without telling anybody.
#[expect(clippy::too_many_arguments, reason = "the one place where all of them meet")]
#[inline]
pub fn run_handler(
    command: &'static Command,
    args: Args<'_>,
    client: Client,
    now: UnixMillis,
    limits: &CallLimits,
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    output: &mut Output,
    waits: Option<&mut WaitSlot>,
    effects: Option<&mut Effects>,
) -> ReplyResult {
    let (Handler::Keyed(handler) | Handler::AllShards(handler)) = command.handler else {
        unreachable!("only commands over shards are dispatched to shards")
    };
    let mut call = Call {
        command,
        args,
        reply: ReplyWriter::new(output, client.protocol),
        db: client.db,
        now,
        limits,
        hasher: &shared.hasher,
        router: view.router(),
        waits,
        effects,
    };
    let result = handler(&mut call, view);
    if let Err(error) = &result {
        answer_error(error, command, client.protocol, view, output);
    }
    result
}

/// Writes the reply of a command that failed, unless it is only to run elsewhere.
#[cold]
fn answer_error(
    error: &ReplyError,
    command: &Command,
    protocol: Protocol,
    view: &mut ShardView<'_>,
    output: &mut Output,
) {
    if matches!(error, ReplyError::Long) {
        // What it looked up it looks up again.
        view.first().take_hit_back();
        return;
    }
    if let ReplyError::MalformedValue(found) = error {
        tracing::warn!("{found}: {} is refused", command.name);
    }
    ReplyWriter::new(output, protocol).error(error.line());
}
