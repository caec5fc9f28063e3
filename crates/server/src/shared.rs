//! What all workers share: the cells, the command table, the configuration, the counters.

use crate::access::AccessControl;
use crate::client_memory::ClientMemory;
use crate::config::rewrite::Rewriter;
use crate::config::{ConfigStore, Settings};
use crate::departure::Departure;
use crate::following::Following;
use crate::histogram::Histogram;
use crate::job::Job;
use crate::journal::Journal;
use crate::loading::Loading;
use crate::mail::Mail;
use crate::memory::Allotments;
use crate::metrics::Figures;
use crate::pause::SharedPause;
use crate::pubsub::Directory;
use crate::rates::{Amounts, Rates};
use crate::recording::Unlinking;
use crate::replication::Replication;
use crate::residence::Residence;
use crate::saving::Saving;
use crate::scripting::Scripts;
use crate::session_command::{SessionCommand, SessionRun};
use crate::statistics::{Totals, WorkerStatistics, latency_of};
use crate::tracking::TrackingTable;
use crate::watch::hot_keys::HotKeys;
use crate::watch::monitor::Monitors;
use crate::watch::{CommandLogs, LatencyEvents};
use darter_base::{ShardId, UnixMillis, WorkerId};
use darter_command_table::{
    CallLimits, Command, CommandId, Entry, Handler, MemoryLimit, Rename, RenameError, Table,
    Unlinks,
};
use darter_replication::ReplicationId;
use darter_runtime::handle::ShutdownHandle;
use darter_runtime::{ConnectionId, Post, ReactorChoice, RemotePost, Stopwatch};
use darter_shard::{Interest, KeyHasher, Shard, ShardOptions};
use darter_txn::{Cells, Router};
use hashbrown::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// The version clients are told. Libraries compare it, some as a string, and refuse what looks older
/// than a feature they need; Darter's own version is in `darter_version`.
pub const REDIS_VERSION: &str = "7.4.5";

/// Who this process is. Decided once at start.
#[derive(Clone, Debug)]
pub struct Identity {
    /// 40 hexadecimal digits, different in every run.
    pub run_id: String,
    /// The name of the history of this data set at first.
    pub replication_id: ReplicationId,
    /// When it started.
    pub started_at: UnixMillis,
    /// Process id.
    pub process_id: u32,
    /// Darter's version.
    pub version: &'static str,
    /// The commit it was built from, zeroes when that is not known.
    pub commit: &'static str,
    /// Name of the allocator.
    pub allocator: &'static str,
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
    /// Who may do what.
    pub acl: AccessControl,
    /// How session commands run, by [`CommandId`].
    session_runs: Vec<Option<SessionRun>>,
    /// How keys are hashed.
    pub hasher: KeyHasher,
    /// The configuration.
    pub config: ConfigStore,
    /// Writes it into its file.
    pub rewriter: Rewriter,
    /// Per worker, and behind them that of the thread that carries out what a primary says.
    pub statistics: Box<[WorkerStatistics]>,
    /// What the counters were at `CONFIG RESETSTAT`.
    baseline: Mutex<Totals>,
    /// Histograms as they were then, by [`CommandId`].
    latency_baseline: Mutex<Vec<Histogram>>,
    /// How much happens per second.
    pub rates: Rates,
    /// Bytes each shard used when its home worker last looked.
    shard_bytes: Box<[AtomicU64]>,
    /// What shards have, while somebody may read it: set when the metrics endpoint is started.
    pub figures: OnceLock<Figures>,
    /// Bytes all shards used when they were made.
    pub startup_bytes: u64,
    /// The most memory used, in bytes.
    peak_bytes: AtomicU64,
    /// Who this process is.
    pub identity: Identity,
    /// Who may use how much of the memory limit.
    pub(crate) allotments: Allotments,
    /// What memory the process really takes.
    pub(crate) residence: Residence,
    /// Which clients may be closed for memory.
    pub(crate) client_memory: ClientMemory,
    /// `DEBUG SET-ACTIVE-EXPIRE`.
    pub active_expire: AtomicBool,
    /// `DEBUG SET-SKIP-CHECKSUM-VALIDATION`.
    pub skips_checksums: AtomicBool,
    /// Whether all output counts against its limit, from the first byte (`DEBUG CLIENT-ENFORCE-REPLY-LIST`).
    pub lists_replies: AtomicBool,
    /// What run times are measured with.
    pub stopwatch: Stopwatch,
    /// Commands that were slow or large.
    pub command_logs: CommandLogs,
    /// What took longer than it should.
    pub latency: LatencyEvents,
    /// Which keys cost the most.
    pub hot_keys: HotKeys,
    /// Scripts and functions.
    pub scripts: Scripts,
    /// Who subscribed to what.
    pub pubsub: Directory,
    /// Who has read which keys.
    pub tracking: TrackingTable,
    /// Where every client's connection is, by client id.
    connections: Mutex<HashMap<u64, ConnectionId>>,
    /// Mailboxes, for what happens where there is no worker at hand; set by the first worker.
    post: OnceLock<RemotePost<Mail>>,
    /// Who sees every command.
    pub monitors: Monitors,
    /// Waits for keys that have ended: places in queues may be worth nothing now.
    pub waits_ended: AtomicU64,
    /// `CLIENT PAUSE`.
    pub pause: SharedPause,
    /// The stream of changes and who gets it.
    pub replication: Replication,
    /// Whose replica this server is.
    pub following: Following,
    /// All data in a file.
    pub saving: Saving,
    /// What files hold, on its way into the shards.
    pub loading: Loading,
    /// The end of the process.
    pub departure: Departure,
    /// The log of changes.
    pub journal: Journal,
    /// What deletions that nobody asked for are called there and for replicas.
    pub unlinking: Unlinking,
    /// `DEBUG PAUSE-CRON`.
    pub background_paused: AtomicBool,
    /// Set once the runtime runs.
    pub running: OnceLock<Running>,
    next_client_id: AtomicU64,
}

/// Puts changed settings into force outside of this crate. On an error nothing was changed; it names
/// the parameter that is refused.
pub type ApplySettings = Box<dyn Fn(&Settings) -> Result<(), (&'static str, String)> + Send + Sync>;

/// What is known once the runtime runs.
pub struct Running {
    /// Which host, and why.
    pub reactor: ReactorChoice,
    /// Ends the process.
    pub shutdown: ShutdownHandle,
    /// Who watches over the process, as INFO shows it.
    pub supervisor: &'static str,
    /// For settings that the runtime, the log or the system have to know.
    pub apply: ApplySettings,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Running").field("reactor", &self.reactor).finish_non_exhaustive()
    }
}

impl Shared {
    /// Makes the shards and joins the command families, some of them called by other names. An
    /// error has the number of the rename that cannot be.
    pub fn new(
        router: Router,
        seed: u64,
        config: ConfigStore,
        identity: Identity,
        families: &[&[&'static Command]],
        session_commands: &[&[&'static SessionCommand]],
        renames: &[Rename],
    ) -> Result<Self, (usize, RenameError)> {
        let session_commands = session_commands.concat();
        let mut all: Vec<&[&'static Command]> = families.to_vec();
        let roots: Vec<&'static Command> = session_commands
            .iter()
            .filter(|session| !session.is_subcommand)
            .map(|session| &session.command)
            .collect();
        all.push(&roots);
        let table = Table::renamed(&all, renames)?;
        let hasher = KeyHasher::new(seed);
        let options =
            ShardOptions { databases: config.current().databases, hasher: hasher.clone() };
        let mut session_runs = vec![None; table.len()];
        for entry in table.commands() {
            join_runs(entry, &session_commands, &mut session_runs);
        }
        let mut startup_bytes = 0;
        let cells = Cells::new(router, |id: ShardId| {
            let mut shard = Shard::new(id, &options);
            shard.note_accesses(config.current().eviction.access_notes());
            startup_bytes += shard.used_bytes() as u64;
            shard
        });
        Ok(Self {
            cells,
            startup_bytes,
            session_runs,
            config,
            rewriter: Rewriter::default(),
            statistics: (0..=router.worker_count())
                .map(|_| WorkerStatistics::new(table.len()))
                .collect(),
            baseline: Mutex::new(Totals::default()),
            latency_baseline: Mutex::new(vec![Histogram::default(); table.len()]),
            rates: Rates::default(),
            shard_bytes: router.shards().map(|_| AtomicU64::new(0)).collect(),
            figures: OnceLock::new(),
            peak_bytes: AtomicU64::new(0),
            acl: AccessControl::new(&table),
            table,
            replication: Replication::new(router.worker_count().into(), identity.replication_id),
            following: Following::default(),
            departure: Departure::default(),
            saving: Saving::new(identity.started_at, router.shard_count().into()),
            loading: Loading::new(router),
            journal: Journal::new(router.worker_count().into()),
            unlinking: Unlinking::new(Unlinks::ALL),
            identity,
            allotments: Allotments::new(usize::from(router.shard_count())),
            residence: Residence::default(),
            client_memory: ClientMemory::new(router.worker_count().into()),
            active_expire: AtomicBool::new(true),
            skips_checksums: AtomicBool::new(false),
            lists_replies: AtomicBool::new(false),
            stopwatch: Stopwatch::new(),
            command_logs: CommandLogs::default(),
            latency: LatencyEvents::default(),
            hot_keys: HotKeys::default(),
            scripts: Scripts::new(usize::from(router.worker_count())),
            pubsub: Directory::new(hasher.clone(), usize::from(router.worker_count())),
            tracking: TrackingTable::new(hasher.clone()),
            connections: Mutex::default(),
            post: OnceLock::new(),
            hasher,
            monitors: Monitors::default(),
            waits_ended: AtomicU64::new(0),
            pause: SharedPause::default(),
            background_paused: AtomicBool::new(false),
            running: OnceLock::new(),
            next_client_id: AtomicU64::new(1),
        })
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

    /// What commands depend on now.
    pub fn call_limits(&self) -> CallLimits {
        let mut limits = self.config.current().call_limits();
        if self.tracking.any() {
            limits.interest = limits.interest.and(Interest::CHANGES);
        }
        if self.following.is_replica() {
            // The primary says what goes.
            limits.keeps_expired = true;
            if self.config.current().following.ignores_maxmemory {
                limits.memory = MemoryLimit::NONE;
            }
        }
        limits.is_saving = self.saving.is_under_way();
        limits.checks_payloads = !self.skips_checksums.load(Ordering::Relaxed);
        limits
    }

    /// Notes where a client's connection is.
    pub fn add_connection(&self, client_id: u64, id: ConnectionId) {
        self.lock_connections().insert(client_id, id);
    }

    /// The client is gone.
    pub fn remove_connection(&self, client_id: u64) {
        self.lock_connections().remove(&client_id);
    }

    /// Where a client's connection is.
    pub fn connection_of(&self, client_id: u64) -> Option<ConnectionId> {
        self.lock_connections().get(&client_id).copied()
    }

    fn lock_connections(&self) -> MutexGuard<'_, HashMap<u64, ConnectionId>> {
        self.connections.lock().expect("nothing that can panic runs under this lock")
    }

    /// Lets letters be sent from anywhere.
    pub fn set_post(&self, post: &Post<Mail>) {
        self.post.get_or_init(|| post.remote());
    }

    /// Sends a letter from wherever a shard is worked on. Where a worker's own post is at hand, that is
    /// cheaper.
    pub fn send(&self, to: WorkerId, mail: Mail) {
        if let Some(post) = self.post.get() {
            post.send(to, mail);
        }
    }

    /// How a session command runs.
    pub fn session_run(&self, id: CommandId) -> Option<SessionRun> {
        self.session_runs[id.index()]
    }
}

/// What is measured.
impl Shared {
    /// What workers count.
    pub fn worker_statistics(&self) -> &[WorkerStatistics] {
        &self.statistics[..self.router().worker_count().into()]
    }

    /// What is counted of commands that a primary says. Its only writer is who carries them out, while the shards are held
    /// in which that is done and it is their turn.
    pub fn follower_statistics(&self) -> &WorkerStatistics {
        self.statistics.last().expect("it is behind those of the workers")
    }

    /// Lets the counters begin at zero again (`CONFIG RESETSTAT`).
    pub fn reset_statistics(&self) {
        for worker in &self.statistics {
            worker.reset();
        }
        *self.lock_baseline() = Totals::of(&self.statistics);
        for (index, baseline) in self.lock_latency_baseline().iter_mut().enumerate() {
            let id = CommandId(u16::try_from(index).expect("ids are 16 bits"));
            *baseline = latency_of(&self.statistics, id);
        }
        self.peak_bytes.store(0, Ordering::Relaxed);
        self.journal.reset_statistics();
        self.replication.reset_statistics();
        self.following.reset_statistics();
    }

    /// What the counters were when they began at zero.
    pub fn baseline(&self) -> Totals {
        self.lock_baseline().clone()
    }

    /// How long a command took since the counters began at zero.
    pub fn latency_of(&self, id: CommandId) -> Histogram {
        let all = latency_of(&self.statistics, id);
        all.since(&self.lock_latency_baseline()[id.index()])
    }

    fn lock_latency_baseline(&self) -> MutexGuard<'_, Vec<Histogram>> {
        self.latency_baseline.lock().expect("a baseline is replaced, never half changed")
    }

    fn lock_baseline(&self) -> MutexGuard<'_, Totals> {
        self.baseline.lock().expect("the baseline is replaced, never half changed")
    }

    /// Memory of all connections' buffers, of the commands they have queued, and of what is known of hot keys, in
    /// bytes.
    pub fn buffer_bytes(&self) -> u64 {
        let workers = self.statistics.iter();
        let bytes = workers.map(|worker| worker.buffer_bytes.read() + worker.queued_bytes.read());
        bytes.sum::<u64>() + self.hot_keys.memory_bytes()
    }

    /// Memory of the buffers of replicas, in bytes.
    pub fn replica_buffer_bytes(&self) -> u64 {
        self.statistics.iter().map(|worker| worker.replica_buffer_bytes.read()).sum()
    }

    /// Memory of all clients, while `maxmemory-clients` is set.
    pub fn client_bytes(&self) -> u64 {
        self.statistics.iter().map(|worker| worker.client_bytes.read()).sum()
    }

    /// Notes what a shard uses.
    pub fn note_shard_bytes(&self, id: ShardId, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.shard_bytes[id.index()].store(bytes, Ordering::Relaxed);
    }

    /// Notes that `bytes` are used and returns the most that ever were.
    pub fn note_peak(&self, bytes: u64) -> u64 {
        self.peak_bytes.fetch_max(bytes, Ordering::Relaxed).max(bytes)
    }

    /// Takes the samples that rates and the peak are made of. One worker calls this now and then.
    pub fn sample(&self, at: Instant) {
        let mut sums = Amounts::default();
        for worker in &self.statistics {
            sums.commands += worker.commands.read();
            sums.input_bytes += worker.input_bytes.read();
            sums.output_bytes += worker.output_bytes.read();
            sums.ticks += worker.ticks.read();
            sums.tick_nanos += worker.tick_nanos.read();
        }
        self.rates.sample(at, sums);
        self.note_peak(self.used_bytes());
    }

    /// Memory of keys, values and buffers, and of what tracked clients have read, as of when workers last looked after their
    /// shards.
    pub fn used_bytes(&self) -> u64 {
        let shards: u64 = self.shard_bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        let tracking = u64::try_from(self.tracking.memory_bytes()).unwrap_or(u64::MAX);
        let streams = self.journal.buffer_bytes() + self.replication.memory_bytes();
        shards + self.buffer_bytes() + self.replica_buffer_bytes() + tracking + streams
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

/// Locks what is never half changed while it is locked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
