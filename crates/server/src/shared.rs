//! What all workers share: the cells, the command table, the configuration, the counters.

use crate::config::ConfigStore;
use crate::job::Job;
use crate::session_command::{SessionCommand, SessionRun};
use crate::statistics::{Counter, WorkerStatistics};
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{Command, CommandId, Entry, Handler, Table};
use darter_runtime::runtime::ShutdownHandle;
use darter_runtime::{ReactorChoice, Tunables};
use darter_shard::{KeyHasher, Shard, ShardOptions};
use darter_txn::{Cells, Router};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Who this process is. Decided once at start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// 40 hexadecimal digits, different in every run.
    pub run_id: String,
    /// When it started.
    pub started_at: UnixMillis,
    /// Process id.
    pub process_id: u32,
    /// The port clients are told, 0 without TCP.
    pub port: u16,
    /// Darter's version.
    pub version: &'static str,
    /// Commit and the like, for `INFO`.
    pub build: &'static str,
    /// Absolute path of the executable.
    pub executable: String,
    /// Absolute path of the configuration file, empty without.
    pub config_file: String,
}

/// Everything workers share. Made once and never dropped.
#[derive(Debug)]
pub struct Shared {
    /// The shards.
    pub cells: Cells<Shard, Job>,
    /// Every command.
    pub table: Table,
    /// How session commands run, by [`CommandId`].
    session_runs: Vec<Option<SessionRun>>,
    /// How keys are hashed.
    pub hasher: KeyHasher,
    /// The configuration.
    pub config: ConfigStore,
    /// Per worker.
    pub statistics: Box<[WorkerStatistics]>,
    /// Per shard: what background work did.
    pub identity: Identity,
    /// `DEBUG SET-ACTIVE-EXPIRE`.
    pub active_expire: AtomicBool,
    /// Set once the runtime runs.
    pub running: OnceLock<Running>,
    next_client_id: AtomicU64,
}

/// What is known once the runtime runs.
#[derive(Debug)]
pub struct Running {
    /// Which host, and why.
    pub reactor: ReactorChoice,
    /// Ends the process.
    pub shutdown: ShutdownHandle,
    /// Settings of the runtime that can be changed.
    pub tunables: Tunables,
}

impl Shared {
    /// Makes the shards and joins the command families.
    pub fn new(
        router: Router,
        seed: u64,
        config: ConfigStore,
        identity: Identity,
        families: &[&[&'static Command]],
        session_commands: &[&'static SessionCommand],
    ) -> Self {
        let mut all: Vec<&[&'static Command]> = families.to_vec();
        let roots: Vec<&'static Command> = session_commands
            .iter()
            .filter(|session| !session.is_subcommand)
            .map(|session| &session.command)
            .collect();
        all.push(&roots);
        let table = Table::new(&all);
        let hasher = KeyHasher::new(seed);
        let options =
            ShardOptions { databases: config.current().databases, hasher: hasher.clone() };
        let mut session_runs = vec![None; table.len()];
        for entry in table.commands() {
            join_runs(entry, session_commands, &mut session_runs);
        }
        Self {
            cells: Cells::new(router, |id: ShardId| Shard::new(id, &options)),
            hasher,
            session_runs,
            config,
            statistics: (0..router.worker_count())
                .map(|_| WorkerStatistics::new(table.len()))
                .collect(),
            table,
            identity,
            active_expire: AtomicBool::new(true),
            running: OnceLock::new(),
            next_client_id: AtomicU64::new(1),
        }
    }

    /// From slots to shards to workers.
    #[inline]
    pub fn router(&self) -> Router {
        self.cells.router()
    }

    /// A number no client has had.
    pub fn new_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How a session command runs.
    pub fn session_run(&self, id: CommandId) -> Option<SessionRun> {
        self.session_runs[id.index()]
    }

    /// One counter summed over all workers.
    pub fn total(&self, counter: impl Fn(&WorkerStatistics) -> &Counter) -> u64 {
        self.statistics.iter().map(|statistics| counter(statistics).read()).sum()
    }
}

fn join_runs(
    entry: &Entry,
    session_commands: &[&'static SessionCommand],
    runs: &mut [Option<SessionRun>],
) {
    if matches!(entry.command.handler, Handler::Session) {
        let session = session_commands
            .iter()
            .find(|session| std::ptr::eq(&raw const session.command, entry.command))
            .expect("every session command is in the list that says how it runs");
        runs[entry.id.index()] = Some(session.run);
    }
    for subcommand in &entry.subcommands {
        join_runs(subcommand, session_commands, runs);
    }
}
