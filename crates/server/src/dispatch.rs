//! From a connection's input to windows of commands, and running them over shards.

use crate::job::{Job, PackedCommand};
use crate::shared::Shared;
use crate::statistics::WorkerStatistics;
use crate::watch::{Cost, Thresholds};
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{Call, CallLimits, Entry, Handler, ReplyResult, ShardView};
use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter, Span};
use darter_runtime::{ConnectionId, Ticks, crash};
use darter_shard::{KeyHasher, Shard};
use darter_txn::{Held, Program, View, Window};

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
}

/// One command of a window, on one shard.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What to run.
    pub entry: &'static Entry,
    /// Where in the input it begins, in bytes.
    pub begin: usize,
    /// Where in the input it ends.
    pub end: usize,
    /// Its arguments in the window's spans: first and one past the last.
    pub spans: (usize, usize),
    /// The shard all its keys are in.
    pub shard: ShardId,
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
}

impl Batch {
    /// Empties it for the next window.
    pub fn clear(&mut self) {
        self.operations.clear();
        self.spans.clear();
    }

    /// The arguments of an operation that is in `input`.
    pub fn args<'a>(&'a self, input: &'a [u8], operation: &Operation) -> Args<'a> {
        Args::new(
            &input[operation.begin..operation.end],
            &self.spans[operation.spans.0..operation.spans.1],
        )
    }
}

/// A batch being run for one connection.
#[derive(Debug)]
pub struct Commands<'a> {
    pub batch: &'a Batch,
    pub input: &'a [u8],
    pub output: &'a mut Output,
    pub client: Client,
    pub origin: ConnectionId,
    pub now: UnixMillis,
    pub limits: CallLimits,
    pub shared: &'static Shared,
    pub statistics: &'static WorkerStatistics,
    /// From which cost on a command is remembered.
    pub thresholds: Thresholds,
    /// When the latest command had run, or the first one began.
    pub ended: Ticks,
    /// How many operations have run here.
    pub ran: usize,
    /// Those to be remembered, by their index.
    pub notable: &'a mut Vec<(usize, Cost)>,
}

impl<'a> Commands<'a> {
    fn args(&self, operation: &Operation) -> Args<'a> {
        self.batch.args(self.input, operation)
    }
}

impl Program<Shard> for Commands<'_> {
    type Work = Job;

    fn len(&self) -> usize {
        self.batch.operations.len()
    }

    #[inline]
    fn shard_of(&self, index: usize) -> ShardId {
        self.batch.operations[index].shard
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
                shard.prefetch(self.client.db, operation.hash);
            }
        }
        for operation in &self.batch.operations {
            if let Some(shard) = held(operation) {
                shard.prefetch_entry(self.client.db, operation.hash);
            }
        }
    }

    #[inline]
    fn run(&mut self, index: usize, held: &mut Held<Shard>) {
        let operation = &self.batch.operations[index];
        let unsent_before = self.output.len();
        let result = run_command(
            operation.entry,
            self.args(operation),
            self.client,
            self.now,
            self.limits,
            &self.shared.hasher,
            &mut View::one(held, self.shared.router()),
            self.output,
        );
        let stopwatch = &self.shared.stopwatch;
        let ended = stopwatch.now();
        let cost = Cost {
            nanos: stopwatch.nanos_between(self.ended, ended),
            request_bytes: operation.request_bytes(),
            reply_bytes: self.output.len() - unsent_before,
        };
        self.ended = ended;
        self.ran = index + 1;
        self.statistics.called(operation.entry.id, &result);
        self.statistics.took(operation.entry.id, cost.nanos);
        if self.thresholds.is_notable(cost) {
            self.notable.push((index, cost));
        }
    }

    #[cold]
    fn pack(&mut self, from: usize, to: usize) -> Job {
        self.statistics.posted.add(1);
        let commands = self.batch.operations[from..to]
            .iter()
            .map(|operation| PackedCommand {
                entry: operation.entry,
                args: OwnedArgs::from(self.args(operation)),
                cost: Cost { request_bytes: operation.request_bytes(), ..Cost::default() },
                result: Ok(()),
            })
            .collect();
        Job {
            origin: self.origin,
            shared: self.shared,
            client: self.client,
            now: self.now,
            limits: Box::new(self.limits),
            commands,
            output: Output::new(),
        }
    }
}

/// Runs one command over the shards of `view` and writes its reply, an error included.
#[expect(clippy::too_many_arguments, reason = "the one place where all of them meet")]
#[inline]
pub fn run_command(
    entry: &'static Entry,
    args: Args<'_>,
    client: Client,
    now: UnixMillis,
    limits: CallLimits,
    hasher: &KeyHasher,
    view: &mut ShardView<'_>,
    output: &mut Output,
) -> ReplyResult {
    let (Handler::Keyed(handler) | Handler::AllShards(handler)) = entry.command.handler else {
        unreachable!("only commands over shards are dispatched to shards")
    };
    crash::note_command(&entry.full_name, args.len());
    let mut call = Call {
        command: entry.command,
        args,
        reply: ReplyWriter::new(output, client.protocol),
        db: client.db,
        now,
        limits,
        hasher,
        router: view.router(),
    };
    let result = handler(&mut call, view);
    if let Err(error) = &result {
        ReplyWriter::new(output, client.protocol).error(error.line());
    }
    result
}
