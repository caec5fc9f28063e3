//! The typed settings: what the rest of the server reads.

use crate::client_memory::ClientMemoryLimit;
use crate::following::FollowingSettings;
use crate::journal::JournalSettings;
use crate::replication::ReplicationSettings;
use crate::residence::DefragSettings;
use crate::saving::automatic::AtTheEnd;
use crate::saving::schedule::Schedule;
use crate::session::Session;
use crate::watch::thresholds::WatchSettings;
use darter_acl::ChannelDefault;
use darter_base::memory_size::parse_memory_bytes;
use darter_base::number::parse_i64;
use darter_command_table::{CallLimits, MemoryLimit, RdbVersions, Unlinks};
use darter_resp::Limits;
use darter_runtime::{Pinning, Reactor};
use darter_shard::{
    AccessNotes, EncodingLimits, EvictionOrder, EvictionPolicy, Interest, LfuOptions,
    SnapshotContents,
};
use darter_txn::Routing;
use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;

/// Every setting that has an effect. Made from the rows' defaults, changed by their values.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Words of the `bind` line.
    pub bind: Vec<String>,
    /// TCP port; 0: none.
    pub port: u16,
    /// Kernel's queue of connections not accepted yet.
    pub tcp_backlog: u32,
    /// Seconds of silence before TCP keepalive probes; 0: never.
    pub tcp_keepalive_seconds: u32,
    /// Path of the unix socket, if any.
    pub unix_socket: Option<PathBuf>,
    /// Mode of the unix socket; `None`: the umask decides.
    pub unix_socket_mode: Option<u32>,
    /// Group of the unix socket; empty: that of the process.
    pub unix_socket_group: String,
    /// Seconds without input after which a client is disconnected; 0: never.
    pub idle_timeout_seconds: u32,
    /// Most connections at a time.
    pub maxclients: usize,
    /// Events that are published (`notify-keyspace-events`).
    pub notified_events: Interest,
    /// Keys remembered for clients that are tracked; 0: any number.
    pub tracked_keys_max: usize,
    /// Versions of the RDB format in which values are taken.
    pub rdb_versions: RdbVersions,
    /// Without a password, only clients on this machine are served.
    pub protected_mode: bool,
    /// Number of databases, 1..=65535.
    pub databases: u16,
    /// Longest argument and longest string value, in bytes.
    pub proto_max_bulk_len: u64,
    /// Unconsumed input of one connection above which it is closed, in bytes.
    pub query_buffer_limit_bytes: usize,
    /// Unsent output of one connection above which it is closed.
    pub output_limits: OutputLimits,
    /// Memory that all clients may take.
    pub client_memory: ClientMemoryLimit,
    /// Password that the default user was given; empty: none. Rules can have given it another one since.
    pub requirepass: Vec<u8>,
    /// File of users, if there is one.
    pub user_file: Option<PathBuf>,
    /// Channels of a new user.
    pub channel_default: ChannelDefault,
    /// Refusals that ACL LOG remembers.
    pub access_log_entries_max: usize,
    /// Worker threads; `None`: one per processor.
    pub workers: Option<NonZeroU16>,
    /// Shards; `None`: as many as suit the workers.
    pub shards: Option<NonZeroU16>,
    /// What hosts the workers.
    pub reactor: Reactor,
    /// How a worker reaches a shard.
    pub routing: Routing,
    /// Whether workers are bound to processors.
    pub pinning: Pinning,
    /// Memory that keys and buffers may use, in bytes; 0: any.
    pub maxmemory_bytes: u64,
    /// What happens above that.
    pub eviction: EvictionSettings,
    /// `import-mode`: nothing expires or is evicted.
    pub imports: bool,
    /// `active-expire-effort`, 1 to 10.
    pub expire_effort: u32,
    /// Whether a flush does not wait until the memory is free, unless it is told to (`lazyfree-lazy-user-flush`).
    pub lazy_user_flush: bool,
    /// What deletions that nobody asked for are called in the log and for replicas (`lazyfree-lazy-eviction`, `-expire`,
    /// `-server-del`).
    pub unlinks: Unlinks,
    /// `activedefrag`.
    pub defrag: DefragSettings,
    /// The log.
    pub log: LogSettings,
    /// The process.
    pub process: ProcessSettings,
    /// Working directory: snapshots and relative paths begin there.
    pub directory: PathBuf,
    /// How the data are saved.
    pub saving: SavingSettings,
    /// The log of changes.
    pub journal: JournalSettings,
    /// Replication.
    pub replication: ReplicationSettings,
    /// Being a replica.
    pub following: FollowingSettings,
    /// Where this node is, told to clients; empty: not told.
    pub availability_zone: String,
    /// TCP port of the metrics endpoint; 0: none.
    pub metrics_port: u16,
    /// Addresses it listens on, as words of a `bind` line.
    pub metrics_bind: Vec<String>,
    /// Up to which size collections are compact.
    pub encodings: EncodingLimits,
    /// Who may use `DEBUG`.
    pub debug_command: Permission,
    /// Who may set protected parameters.
    pub protected_configs: Permission,
    /// What is remembered about commands.
    pub watch: WatchSettings,
    /// `busy-reply-threshold`, in milliseconds.
    pub busy_script_millis: u64,
}

impl Settings {
    /// After how long a script is busy, in nanoseconds.
    pub const fn busy_script_nanos(&self) -> u64 {
        self.busy_script_millis.saturating_mul(1_000_000)
    }

    /// How much of a worker's time may be spent on deleting what has expired, in percent: as much as of Redis's one thread.
    pub const fn expire_percent(&self) -> u32 {
        25 + 2 * (self.expire_effort - 1)
    }

    /// The file of all data.
    pub fn data_file(&self) -> PathBuf {
        self.directory.join(&self.saving.file_name)
    }

    /// What goes into a file of all data.
    pub const fn snapshot_contents(&self) -> SnapshotContents {
        use MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru};
        let policy = self.eviction.policy;
        SnapshotContents {
            has_hints: matches!(policy, AllkeysLfu | AllkeysLru | VolatileLfu | VolatileLru),
            compresses: self.saving.compresses,
        }
    }

    /// What commands check arguments against.
    pub fn call_limits(&self) -> CallLimits {
        CallLimits {
            string_bytes_max: self.proto_max_bulk_len,
            databases: self.databases,
            encodings: self.encodings,
            interest: self.notified_events,
            tracked_keys_max: self.tracked_keys_max,
            rdb_versions: self.rdb_versions,
            slices: true,
            by_script: false,
            stays_within: false,
            memory: self.memory_limit(),
            keeps_expired: self.imports,
            imports: self.imports,
            is_saving: false,
            checks_payloads: true,
            replayed_at: None,
        }
    }

    /// How much memory may be used.
    pub fn memory_limit(&self) -> MemoryLimit {
        match self.maxmemory_bytes {
            0 => MemoryLimit::NONE,
            bytes => {
                // What is being imported is not to be lost.
                let policy = self.eviction.policy().filter(|_| !self.imports);
                let keys_per_write = self.eviction.keys_per_write();
                MemoryLimit { bytes, policy, lowered_by: 0, keys_per_write }
            }
        }
    }

    /// How much memory all clients may take, in bytes; `None`: any.
    pub fn client_bytes_max(&self) -> Option<u64> {
        self.client_memory.bytes(self.maxmemory_bytes)
    }

    /// What requests of a client that has just connected may be made of.
    pub fn request_limits(&self, unauthenticated: bool) -> Limits {
        Limits { unauthenticated, ..self.authenticated_limits() }
    }

    /// What requests of a client that has authenticated may be made of.
    pub fn authenticated_limits(&self) -> Limits {
        Limits { bulk_bytes_max: self.proto_max_bulk_len, ..Limits::authenticated() }
    }

    /// Whether clients must authenticate.
    pub fn has_password(&self) -> bool {
        !self.requirepass.is_empty()
    }
}

impl Default for Settings {
    /// Before any row has set anything; see [`crate::config::ConfigStore::new`].
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            port: 0,
            tcp_backlog: 0,
            tcp_keepalive_seconds: 0,
            unix_socket: None,
            unix_socket_mode: None,
            unix_socket_group: String::new(),
            idle_timeout_seconds: 0,
            maxclients: 0,
            notified_events: Interest::NONE,
            tracked_keys_max: 0,
            rdb_versions: RdbVersions::Known,
            protected_mode: true,
            databases: 1,
            proto_max_bulk_len: 0,
            query_buffer_limit_bytes: 0,
            output_limits: OutputLimits::default(),
            client_memory: ClientMemoryLimit::default(),
            requirepass: Vec::new(),
            user_file: None,
            channel_default: ChannelDefault::None,
            access_log_entries_max: 0,
            workers: None,
            shards: None,
            reactor: Reactor::Auto,
            routing: Routing::Auto,
            pinning: Pinning::Auto,
            maxmemory_bytes: 0,
            eviction: EvictionSettings::default(),
            imports: false,
            expire_effort: 1,
            lazy_user_flush: true,
            unlinks: Unlinks::ALL,
            defrag: DefragSettings::default(),
            log: LogSettings::default(),
            process: ProcessSettings::default(),
            directory: PathBuf::new(),
            saving: SavingSettings::default(),
            journal: JournalSettings::default(),
            replication: ReplicationSettings::default(),
            following: FollowingSettings::default(),
            availability_zone: String::new(),
            metrics_port: 0,
            metrics_bind: Vec::new(),
            encodings: EncodingLimits::default(),
            debug_command: Permission::Nobody,
            protected_configs: Permission::Nobody,
            watch: WatchSettings::default(),
            busy_script_millis: 5000,
        }
    }
}

/// What happens when memory is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvictionSettings {
    /// `maxmemory-policy`.
    pub policy: MaxmemoryPolicy,
    /// `maxmemory-samples`.
    pub samples: usize,
    /// `maxmemory-eviction-tenacity`.
    pub tenacity: u8,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`, in minutes.
    pub lfu_decay_minutes: u32,
}

/// `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MaxmemoryPolicy {
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    #[default]
    NoEviction,
    VolatileLrm,
    AllkeysLrm,
    VolatileS3,
    AllkeysS3,
}

impl MaxmemoryPolicy {
    /// Their names, in the order of [`of_choice`](Self::of_choice).
    pub const NAMES: &[&str] = &[
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
        "volatile-lrm",
        "allkeys-lrm",
        "volatile-s3",
        "allkeys-s3",
    ];

    /// The policy with the name of this index.
    pub const fn of_choice(choice: usize) -> Self {
        [
            Self::VolatileLru,
            Self::VolatileLfu,
            Self::VolatileRandom,
            Self::VolatileTtl,
            Self::AllkeysLru,
            Self::AllkeysLfu,
            Self::AllkeysRandom,
            Self::NoEviction,
            Self::VolatileLrm,
            Self::AllkeysLrm,
            Self::VolatileS3,
            Self::AllkeysS3,
        ][choice]
    }
}

/// Keys one write evicts at most at a tenacity of 10, the default. It has to make room for one value, which may be as
/// big as many others.
const KEYS_PER_WRITE: f64 = 128.0;

impl EvictionSettings {
    /// Keys that one write evicts at most. Redis's curve for the time it takes for that: in proportion up to 10, from
    /// there on 15 % more with each step, and without a bound at 100.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and some ten million"
    )]
    pub fn keys_per_write(&self) -> usize {
        let keys = match self.tenacity {
            100.. => return usize::MAX,
            tenacity @ ..=10 => KEYS_PER_WRITE * f64::from(tenacity) / 10.0,
            tenacity => KEYS_PER_WRITE * 1.15_f64.powi(i32::from(tenacity) - 10),
        };
        keys.max(1.0) as usize
    }

    /// How keys are chosen; `None` if none is evicted.
    pub fn policy(&self) -> Option<EvictionPolicy> {
        use MaxmemoryPolicy as Name;
        let order = match self.policy {
            Name::VolatileLru | Name::AllkeysLru | Name::VolatileLrm | Name::AllkeysLrm => {
                EvictionOrder::Lru
            }
            Name::VolatileLfu | Name::AllkeysLfu => EvictionOrder::Lfu(self.lfu_options()),
            Name::VolatileRandom | Name::AllkeysRandom => EvictionOrder::Random,
            Name::VolatileTtl => EvictionOrder::Ttl,
            Name::VolatileS3 | Name::AllkeysS3 => EvictionOrder::S3,
            Name::NoEviction => return None,
        };
        let only_volatile = matches!(
            self.policy,
            Name::VolatileLru
                | Name::VolatileLfu
                | Name::VolatileRandom
                | Name::VolatileTtl
                | Name::VolatileLrm
                | Name::VolatileS3
        );
        Some(EvictionPolicy { order, only_volatile, samples: self.samples })
    }

    /// What is noted of accesses.
    pub const fn access_notes(&self) -> AccessNotes {
        match self.policy {
            MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu => {
                AccessNotes::Frequency(self.lfu_options())
            }
            MaxmemoryPolicy::VolatileLrm | MaxmemoryPolicy::AllkeysLrm => AccessNotes::Changes,
            MaxmemoryPolicy::VolatileS3 | MaxmemoryPolicy::AllkeysS3 => AccessNotes::Queues,
            _ => AccessNotes::Clock,
        }
    }

    const fn lfu_options(&self) -> LfuOptions {
        LfuOptions { log_factor: self.lfu_log_factor, decay_minutes: self.lfu_decay_minutes }
    }
}

/// What is logged, where and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Which events.
    pub level: LogLevel,
    /// The file; empty: standard output.
    pub file: String,
    /// The form of a line.
    pub format: LogFormat,
    /// The form of the time in it.
    pub timestamp: LogTimestamp,
    /// Whether a crash is reported.
    pub reports_crashes: bool,
    /// Whether it goes to syslog too.
    pub to_syslog: bool,
    /// Our name there.
    pub syslog_ident: String,
    /// Our facility there.
    pub syslog_facility: Facility,
    /// Draws a picture at start even where nobody watches.
    pub shows_logo: bool,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Redis's.
    #[default]
    Legacy,
    /// `name=value` pairs.
    Logfmt,
    /// An object.
    Json,
}

impl LogFormat {
    /// The words of `log-format`.
    pub(super) const WORDS: &'static [&'static str] = &["legacy", "logfmt", "json"];

    /// The format of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Legacy, Self::Logfmt, Self::Json][choice]
    }
}

/// The form of the time in a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTimestamp {
    /// Redis's: `25 Nov 2026 10:00:00.123`.
    #[default]
    Legacy,
    /// `2026-11-25T10:00:00.123+01:00`.
    Iso8601,
    /// Since 1970.
    Milliseconds,
}

impl LogTimestamp {
    /// The words of `log-timestamp-format`.
    pub(super) const WORDS: &'static [&'static str] = &["legacy", "iso8601", "milliseconds"];

    /// The form of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Legacy, Self::Iso8601, Self::Milliseconds][choice]
    }
}

/// A facility of syslog, by its number in the protocol (RFC 3164, section 4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facility(pub u8);

impl Facility {
    /// The words of `syslog-facility`.
    pub(super) const WORDS: &'static [&'static str] =
        &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

    /// The facility of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        Self([1, 16, 17, 18, 19, 20, 21, 22, 23][choice])
    }
}

/// What the process is to its system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSettings {
    /// File the process id is written to; empty: none.
    pub pid_file: String,
    /// Runs in the background.
    pub daemonize: bool,
    /// Who is told of the start.
    pub supervised: Supervised,
    /// What Linux's `oom_score_adj` is set to.
    pub oom_score: OomScore,
    /// Shows a title in lists of processes.
    pub shows_title: bool,
    /// What it is made of.
    pub title_template: String,
    /// How long the end waits for replicas, in milliseconds.
    pub shutdown_millis: i64,
    /// What SIGINT asks for.
    pub on_interrupt: ShutdownRequest,
    /// What SIGTERM asks for.
    pub on_terminate: ShutdownRequest,
}

/// What a signal to end asks for, as far as it makes a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Whether the data are saved before; if they cannot be, the server goes on.
    pub saves: AtTheEnd,
    /// It ends even so.
    pub is_forced: bool,
    /// Replicas are not waited for.
    pub is_hurried: bool,
}

/// Who is told of the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Supervised {
    /// Nobody.
    #[default]
    No,
    /// Whoever the environment says started us.
    Auto,
    /// systemd, or whoever speaks its protocol.
    Systemd,
    /// upstart.
    Upstart,
}

impl Supervised {
    /// The words of `supervised`.
    pub(super) const WORDS: &'static [&'static str] = &["upstart", "systemd", "auto", "no"];

    /// The value of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Upstart, Self::Systemd, Self::Auto, Self::No][choice]
    }
}

/// How likely Linux ends the process when memory runs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomScore {
    /// What `value` means.
    pub mode: OomScoreMode,
    /// -2000..=2000; what comes of it is kept within -1000..=1000.
    pub value: i32,
}

/// What the value of an [`OomScore`] means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomScoreMode {
    /// Nothing: the score is as it was at the start.
    #[default]
    Untouched,
    /// It is added to what it was at the start.
    Relative,
    /// It is the score.
    Absolute,
}

impl OomScoreMode {
    /// The words of `oom-score-adj`; `yes` is an older one for `relative`.
    pub(super) const WORDS: &'static [&'static str] = &["no", "yes", "relative", "absolute"];

    /// The mode of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Untouched, Self::Relative, Self::Relative, Self::Absolute][choice]
    }
}

/// Which events are logged: this one and all below it in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// None.
    Nothing,
    /// Only what an operator should look at.
    Warning,
    /// What happens to the server as a whole.
    #[default]
    Notice,
    /// What happens to single clients.
    Verbose,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// The words of `loglevel`.
    pub(super) const WORDS: &'static [&'static str] =
        &["debug", "verbose", "notice", "warning", "nothing"];

    /// The level of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Debug, Self::Verbose, Self::Notice, Self::Warning, Self::Nothing][choice]
    }
}

/// Who may do something that can harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// No client.
    Nobody,
    /// Every client.
    Everybody,
    /// Clients on this machine.
    Local,
}

impl Permission {
    /// The words of the parameters that give permission.
    pub(super) const WORDS: &'static [&'static str] = &["no", "yes", "local"];

    /// The permission of a word's position in [`Self::WORDS`].
    pub(super) fn of_choice(choice: usize) -> Self {
        [Self::Nobody, Self::Everybody, Self::Local][choice]
    }

    /// Whether a client that is, or is not, on this machine has it.
    pub fn allows(self, is_local: bool) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Local => is_local,
        }
    }
}

/// How the data are saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each parameter")]
pub struct SavingSettings {
    /// When (`save`).
    pub points: Vec<SavePoint>,
    /// When, by the clock (`snapshot-cron`).
    pub schedule: Option<Schedule>,
    /// In which file of the directory (`dbfilename`).
    pub file_name: PathBuf,
    /// Whether strings are compressed (`rdbcompression`).
    pub compresses: bool,
    /// Whether there is a checksum (`rdbchecksum`).
    pub has_checksum: bool,
    /// Whether parts are synced before the whole is (`rdb-save-incremental-fsync`).
    pub syncs_on_the_way: bool,
    /// Whether writes are refused when it cannot be done (`stop-writes-on-bgsave-error`).
    pub stops_writes: bool,
    /// By how many microseconds loading is delayed for each key, or for one of so many if below zero
    /// (`key-load-delay`).
    pub load_delay_micros: i64,
    /// The same for saving (`rdb-key-save-delay`).
    pub save_delay_micros: i64,
}

/// After `seconds`, if there were at least `changes` changes, the data are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// At least 1.
    pub seconds: i64,
    /// How many.
    pub changes: u64,
}

impl SavePoint {
    /// Pairs of seconds (at least 1) and changes (at least 0).
    pub(super) fn parse_all(words: &[&[u8]]) -> Option<Vec<Self>> {
        let (pairs, []) = words.as_chunks::<2>() else { return None };
        let points = pairs.iter().map(|[seconds, changes]| {
            let seconds = parse_i64(seconds).filter(|seconds| *seconds >= 1)?;
            let changes = u64::try_from(parse_i64(changes)?).ok()?;
            Some(Self { seconds, changes })
        });
        points.collect()
    }

    /// Those of a parameter's text.
    pub(super) fn of_text(text: &[u8]) -> Vec<Self> {
        let words: Vec<&[u8]> =
            text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        Self::parse_all(&words).unwrap_or_default()
    }
}

/// Unsent output of one class of clients above which a client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// At once, in bytes; 0: never.
    pub hard_bytes: u64,
    /// After being above it for a while, in bytes; 0: never.
    pub soft_bytes: u64,
    /// For how long.
    pub soft_seconds: u64,
}

/// What a client that has never authenticated may leave unread, whatever is configured: 1 KiB beyond
/// what every client may, as in Redis.
const UNAUTHENTICATED_OUTPUT: darter_runtime::OutputLimit =
    darter_runtime::OutputLimit { hard_bytes: 1024, soft_bytes: 0, soft_seconds: 0 };

impl OutputLimit {
    /// In the runtime's units. A limit beyond what can be counted is none.
    fn for_runtime(&self) -> darter_runtime::OutputLimit {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(0);
        darter_runtime::OutputLimit {
            hard_bytes: bytes(self.hard_bytes),
            soft_bytes: bytes(self.soft_bytes),
            soft_seconds: u32::try_from(self.soft_seconds).unwrap_or(u32::MAX),
        }
    }
}

/// The limits of each class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that send commands and read replies.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    /// Redis's.
    fn default() -> Self {
        let limit = |hard_bytes, soft_bytes, soft_seconds| OutputLimit {
            hard_bytes,
            soft_bytes,
            soft_seconds,
        };
        Self {
            normal: limit(0, 0, 0),
            replica: limit(256 << 20, 64 << 20, 60),
            pubsub: limit(32 << 20, 8 << 20, 60),
        }
    }
}

impl OutputLimits {
    /// Changes the classes named in `words`: quadruples of class, hard limit, soft limit, seconds.
    pub(super) fn change(&mut self, words: &[&[u8]]) -> Result<(), &'static str> {
        let (quadruples, []) = words.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.");
        };
        let mut changed = *self;
        for [class, hard, soft, seconds] in quadruples {
            let limit = match &*class.to_ascii_lowercase() {
                b"normal" => &mut changed.normal,
                b"slave" | b"replica" => &mut changed.replica,
                b"pubsub" => &mut changed.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration."),
            };
            let parsed = || {
                Some(OutputLimit {
                    hard_bytes: parse_memory_bytes(hard)?,
                    soft_bytes: parse_memory_bytes(soft)?,
                    soft_seconds: u64::try_from(parse_i64(seconds)?).ok()?,
                })
            };
            *limit = parsed().ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        *self = changed;
        Ok(())
    }

    /// The limit of a client.
    pub fn of(&self, session: &Session) -> darter_runtime::OutputLimit {
        if session.limits.unauthenticated && !session.ever_authenticated {
            return UNAUTHENTICATED_OUTPUT;
        }
        if session.facts.replica.is_some() {
            // How far it is behind is what is limited, see `replication`.
            return darter_runtime::OutputLimit::default();
        }
        if session.subscribes { self.pubsub.for_runtime() } else { self.normal.for_runtime() }
    }

    /// The limits as [`fmt::Display`] shows them.
    ///
    /// # Panics
    /// When the text is anything else.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let mut limits = Self::default();
        let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
        limits.change(&words).expect("the text was made from limits");
        limits
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)];
        for (index, (class, limit)) in classes.into_iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            let OutputLimit { hard_bytes, soft_bytes, soft_seconds } = limit;
            write!(formatter, "{space}{class} {hard_bytes} {soft_bytes} {soft_seconds}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_bounds_the_keys_of_a_write() {
        let keys = |tenacity| EvictionSettings { tenacity, ..Default::default() }.keys_per_write();
        assert_eq!([0, 1, 5, 10].map(keys), [1, 12, 64, 128]);
        assert_eq!((keys(11), keys(20)), (147, 517));
        assert!((1_000_000..=usize::MAX >> 1).contains(&keys(99)));
        assert_eq!(keys(100), usize::MAX);
    }
}
