//! The errors of session commands, with their exact texts.

use darter_command_table::{ReplyError, until_nul};
use std::fmt;

/// An error reply of a session command. The texts are Redis's to the letter: clients match on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// A number outside of 32 bits.
    NotAnInt,
    /// `EXEC` of a client that queues nothing.
    ExecWithoutMulti,
    /// `EXEC` after a command was refused.
    ExecAborted,
    /// `EXEC` that is refused itself, for the reason given.
    ExecRefused(String),
    /// `DISCARD` of a client that queues nothing.
    DiscardWithoutMulti,
    /// A command that cannot be queued.
    NotInTransaction(String),
    /// `HIMPORT PREPARE` with a field that is there twice.
    DuplicateField,
    /// `HIMPORT SET` with a fieldset that was not prepared.
    NoFieldset,
    /// `HIMPORT SET` with more values than fields, or fewer.
    FieldsetMismatch,
    /// `MONITOR` in a transaction.
    MonitorInTransaction,
    /// `HELLO` with a number that is no protocol.
    UnsupportedProtocol,
    /// `HELLO` with something that is no number.
    ProtocolNotAnInteger,
    /// `HELLO` with an option it does not have.
    HelloOption(Vec<u8>),
    /// `HELLO` of a client that has to authenticate and does not.
    HelloNeedsAuth,
    /// `AUTH` with a password only, when none is needed.
    NoPasswordConfigured,
    /// A client's name with bytes that would break a line of `CLIENT LIST`.
    ClientName,
    /// A library's name or version with such bytes; which of them.
    ClientAttribute(Vec<u8>),
    /// `CLIENT SETINFO` with an attribute that is none.
    UnknownAttribute(Vec<u8>),
    /// A class of clients that is none.
    UnknownClientType(Vec<u8>),
    /// A user that is none.
    NoSuchUser(Vec<u8>),
    /// `CLIENT KILL` with the address of nobody.
    NoSuchClient,
    /// A client's number that is no positive number.
    ClientId,
    /// An age or idle time that is no number; which of them.
    AgeNotAnInteger(&'static str),
    /// An age or idle time that is not positive; which of them.
    AgeNotPositive(&'static str),
    /// `CLIENT PAUSE` in a way there is not.
    PauseMode,
    /// A time that is no number.
    TimeoutNotAnInteger,
    /// A time before now.
    TimeoutNegative,
    /// A time that never comes.
    TimeoutOutOfRange,
    /// `CLIENT UNBLOCK` for a reason that is none.
    UnblockReason,
    /// `CLIENT TRACKING` with REDIRECT twice.
    RedirectedTwice,
    /// `CLIENT TRACKING` with REDIRECT to nobody.
    NoRedirectTarget,
    /// `CLIENT TRACKING` with PREFIX alone.
    PrefixWithoutBroadcast,
    /// `CLIENT TRACKING` of a client that is tracked in the other way.
    BroadcastSwitched,
    /// `CLIENT TRACKING` with BCAST, and OPTIN or OPTOUT.
    BroadcastWithOptions,
    /// `CLIENT TRACKING` with OPTIN and OPTOUT.
    OptInAndOut,
    /// `CLIENT TRACKING` with the other one of the two than before.
    OptSwitched,
    /// `CLIENT TRACKING` with a prefix that begins as another one of the client does.
    PrefixesOverlap {
        prefix: Vec<u8>,
        other: Vec<u8>,
        is_known: bool,
    },
    /// `CLIENT CACHING YES` without OPTIN.
    NotOptIn,
    /// `CLIENT CACHING NO` without OPTOUT.
    NotOptOut,
    /// `CLIENT CACHING` of a client that is not tracked.
    NotTracked,
    /// `CLIENT IMPORT-SOURCE` without import mode.
    NotInImportMode,
    /// A count that is neither positive nor -1, for all.
    LogCount,
    /// `COMMANDLOG` with a kind of log that is none.
    LogType,
    /// `HOTKEYS START` while it is under way.
    HotKeysUnderWay,
    /// `HOTKEYS RESET` while it is under way.
    HotKeysNotStopped,
    /// `HOTKEYS START` without METRICS.
    MetricsMissing,
    /// `HOTKEYS START` with a number of metrics that cannot be.
    MetricsCount,
    /// `HOTKEYS START` with a metric twice; which one.
    MetricTwice(&'static str),
    /// `HOTKEYS START` with fewer metrics than it says.
    MetricsMismatch,
    /// `HOTKEYS START` with metrics that are none.
    NoMetrics,
    /// `HOTKEYS START` with a number of keys that cannot be.
    HotKeysCount,
    /// `HOTKEYS START` with a duration that cannot be.
    HotKeysDuration,
    /// `HOTKEYS START` with a ratio that is none.
    SampleRatio,
    /// `HOTKEYS START` with slots.
    SlotsWithoutCluster,
    /// `LATENCY GRAPH` of what has not happened.
    NoLatencySamples(Vec<u8>),
    /// `ACL CAT` of a category that is none.
    UnknownCategory(Vec<u8>),
    /// `ACL DELUSER` of the only one there is.
    DefaultUserStays,
    /// `ACL DRYRUN` for nobody.
    UserNotFound(Vec<u8>),
    /// `ACL DRYRUN` of a command that is none.
    CommandNotFound(Vec<u8>),
    /// `ACL GENPASS` with a length that is none.
    PasswordBits,
    /// The system has no random numbers.
    NoRandomness,
    /// `ACL LOAD` and `ACL SAVE` without a file.
    NoUserFile,
    /// `ACL SETUSER` with a name that cannot be one.
    UserNameWithSpaces,
    /// `ACL SETUSER`: why it changed nothing.
    UserNotChanged(Vec<u8>),
    /// `ACL LOAD`: what is wrong with the file.
    UsersNotLoaded(Vec<u8>),
    /// `ACL SAVE` that could not write the file.
    UsersNotSaved,
    /// A command of a transaction that the user may not run any more, and why.
    AccessChanged(&'static str),
    /// `MODULE LOAD`.
    NoModules,
    /// `MODULE UNLOAD`.
    NoSuchModule,
    /// What changes data while the log cannot be written, and why it cannot.
    CannotLog(Option<String>),
    /// `DEBUG LOADAOF` that could not load.
    LogNotLoaded,
    /// A command in the log that is not done again from there.
    NotFromLog,
    /// A script in the log.
    ScriptFromLog,
    /// `BGREWRITEAOF` while it is under way.
    RewriteUnderWay,
    /// A save while the log is rewritten.
    SaveDuringRewrite,
    /// `BGSAVE CANCEL` without a save.
    NoSaveToCancel,
    /// A save while another one is under way.
    SaveUnderWay,
    /// `SAVE` that could not write the file.
    SaveFailed,
    /// What needs the data while they are being loaded.
    Loading,
    /// What changes data while they cannot be saved.
    CannotSave,
    /// Too few replicas keep up (`min-replicas-to-write`).
    TooFewReplicas,
    /// A command that no primary sends, or only one before Redis 7.0.
    NotFromPrimary,
    /// SYNC or PSYNC to a replica whose link is down.
    NoLinkToPrimary,
    /// WAIT on a replica.
    WaitOnReplica,
    /// WAITAOF on a replica.
    WaitForFilesOnReplica,
    /// FAILOVER on a replica.
    FailoverOfReplica,
    /// FAILOVER while it is under way.
    FailoverUnderWay,
    /// FAILOVER with `FORCE` that does not say when, or to whom.
    FailoverForced,
    /// FAILOVER to who is no replica.
    FailoverToNoReplica,
    /// FAILOVER to a replica that has not got its data.
    FailoverToOffline,
    /// PSYNC that asks a primary to be one.
    TakeoverOfPrimary,
    /// PSYNC that asks to be the primary of another history.
    TakeoverOfAnother,
    /// PSYNC while a failover is under way.
    SyncWhileFailingOver,
    /// What changes data on a replica.
    ReadOnlyReplica,
    /// A script of which a stale replica runs none, one that may write on a read-only replica, a command that a script calls there.
    ScriptStaleReplica,
    ScriptOnReadOnlyReplica,
    ScriptCommandStale,
    /// What a client that follows redirections is to ask the primary for.
    Redirect {
        host: String,
        port: u16,
    },
    /// What needs data on a replica whose link is down.
    StaleReplica,
    /// SYNC or PSYNC behind commands whose answers are not sent.
    SyncBehindReplies,
    /// RESET by a replica.
    ResetOfReplica,
    /// REPLCONF with an option that there is not.
    UnknownReplicaOption(Vec<u8>),
    /// REPLCONF with an address that is none.
    ReplicaAddressTooLong(usize),
    /// REPLCONF with a version that is none.
    ReplicaVersion(Vec<u8>),
    /// `DEBUG RELOAD` with a word it does not know.
    ReloadOptions,
    /// `DEBUG RELOAD` that could not read it.
    ReloadFailed,
    /// What needs a cluster.
    NoCluster,
    /// What needs replication.
    NoReplication,
    /// `FAILOVER ABORT` without a failover.
    NoFailover,
    /// `FAILOVER` in no time.
    FailoverTimeout,
    /// `FAILOVER` to nobody.
    NoReplicas,
    /// The port of a primary that is none.
    PrimaryPort,
    /// A number that is negative or none.
    NotPositive,
    /// `WAITAOF` for a file that is not written.
    NoJournalToWaitFor,
    /// `MIGRATE` with a key and with `KEYS`.
    MigrationOfTwoKinds,
    /// `MIGRATE` as a part of a transaction or a script.
    MigrationInside,
    /// `MIGRATE` to a server that does not answer.
    MigrationUnreachable,
    /// The connection of a `MIGRATE` broke or was too slow.
    MigrationBroken {
        what: &'static str,
    },
    /// What the other server said to a `MIGRATE`.
    MigrationRefused(String),
    /// Letters that stand for no flag of a client.
    UnknownFlags {
        negated: bool,
        flags: Vec<u8>,
    },
    /// Letters that stand for no capability of a client.
    UnknownCapabilities {
        negated: bool,
        capabilities: Vec<u8>,
    },
    /// A database in a filter that is no number.
    FilterDbNotAnInteger {
        negated: bool,
    },
    /// A database in a filter that there is not.
    FilterDbOutOfRange {
        negated: bool,
        last: u16,
    },
    /// `COMMAND GETKEYS` of a command that is none.
    InvalidCommand,
    /// `COMMAND GETKEYS` of a command without keys.
    NoKeyArguments,
    /// `COMMAND GETKEYS` with too few or too many arguments.
    InvalidArgumentCount,
    /// `COMMAND GETKEYS` with arguments that name no keys.
    InvalidArguments,
    /// `CONFIG SET` of a parameter there is not.
    UnknownParameter(String),
    /// `CONFIG SET` of a parameter that cannot be set, or not to this value.
    ParameterRefused {
        name: String,
        reason: String,
    },
    /// `CONFIG REWRITE` without a file.
    NoConfigFile,
    /// `CONFIG REWRITE` that cannot write, and why.
    RewriteFailed(String),
    /// `DEBUG` without permission.
    DebugNotAllowed,
    /// `DEBUG` with a subcommand it does not have, or not with these arguments.
    DebugArguments(Vec<u8>),
    /// A subcommand with too few or too many arguments, where the command itself looks at them.
    SubcommandArguments {
        command: &'static str,
        subcommand: Vec<u8>,
    },
    /// A command that a RESP2 client with subscriptions may not run.
    OnlyForSubscribers(&'static str),
    /// A command from a replica that only a client may send.
    ReplicaAsks,
    /// `DEBUG PROTOCOL` with a type that is none.
    ProtocolType,
    /// Something RESP2 cannot say.
    NotInResp2,
    /// A script with more keys than arguments.
    TooManyScriptKeys,
    /// FCALL was told no number of keys.
    ScriptKeysNotANumber,
    /// A script with less than no keys.
    NegativeScriptKeys,
    /// A script that is not known.
    NoSuchScript,
    /// A script that may write, where it may not.
    ScriptMayWrite,
    /// A script calls a command that is none.
    ScriptCommandUnknown,
    /// A script calls a command with too few or too many arguments.
    ScriptCommandArity,
    /// A script calls a command that scripts may not.
    ScriptCommandDenied,
    /// A script that may not write does.
    ScriptReadOnly,
    /// A script that has written needs a shard that it did not declare and cannot have.
    ScriptStrayed,
    /// `SCRIPT DEBUG` with a mode that is none.
    ScriptDebugMode,
    /// `SCRIPT DEBUG YES`.
    NoScriptDebugger,
    /// `SCRIPT KILL` of none.
    NoBusyScript,
    /// `SCRIPT KILL` of one that has written.
    BusyScriptWrote,
    /// A command that needs what a busy script keeps.
    Busy {
        is_function: bool,
    },
    /// `FCALL` of a function that is none.
    FunctionNotFound,
    /// `FUNCTION LOAD` of a function there is already.
    FunctionExists(String),
    /// `FUNCTION DELETE` of a library that is none.
    LibraryNotFound,
    /// `FUNCTION LOAD` of a library there is already.
    LibraryExists(Vec<u8>),
    /// `FUNCTION RESTORE` of a library there is already.
    RestoredLibraryExists(Vec<u8>),
    /// `FUNCTION LOAD` with an option it does not have.
    FunctionLoadOption(Vec<u8>),
    /// `FUNCTION LIST` with an option it does not have.
    FunctionListOption(Vec<u8>),
    /// `FUNCTION LIST LIBRARYNAME` without a name.
    LibraryNameMissing,
    /// `FUNCTION RESTORE` of what is no dump.
    FunctionPayload,
    /// `FUNCTION RESTORE` of a dump of something else; why.
    FunctionPayloadType(&'static str),
    /// `FUNCTION RESTORE` in a way there is not.
    RestorePolicy,
    /// `SCRIPT FLUSH` in a way there is not.
    ScriptFlushMode,
    /// `FUNCTION FLUSH` in a way there is not.
    FunctionFlushMode,
    /// `SHUTDOWN ABORT` without a shutdown.
    NoShutdown,
    /// `SHUTDOWN FAILOVER`.
    FailoverAtTheEnd,
    /// `SHUTDOWN` that cannot save.
    ShutdownFailed,
}

/// What SHUTDOWN answers when the process does not end.
pub const SHUTDOWN_FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

impl ServerError {
    /// `EXEC` that is refused for the same reason as any other command.
    pub fn exec_refused(error: &ReplyError) -> Self {
        let text = error.to_string();
        let reason = text.strip_prefix("ERR ").unwrap_or(&text);
        Self::ExecRefused(reason.to_owned())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT-" } else { "" };
        let text = match self {
            Self::NotAnInt => {
                "ERR value is out of range, value must between -2147483648 and 2147483647"
            }
            Self::Redirect { host, port } => return write!(formatter, "REDIRECT {host}:{port}"),
            Self::ExecWithoutMulti => "ERR EXEC without MULTI",
            Self::ExecAborted => "EXECABORT Transaction discarded because of previous errors.",
            Self::ExecRefused(reason) => {
                return write!(formatter, "EXECABORT Transaction discarded because of: {reason}");
            }
            Self::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            Self::NotInTransaction(command) => {
                return write!(
                    formatter,
                    "ERR Command '{command}' not allowed inside a transaction"
                );
            }
            Self::DuplicateField => "ERR duplicate field name in fieldset",
            Self::NoFieldset => "ERR no such fieldset",
            Self::FieldsetMismatch => "ERR value count does not match fieldset field count",
            Self::MonitorInTransaction => "ERR MONITOR isn't allowed for DENY BLOCKING client",
            Self::UnsupportedProtocol => "NOPROTO unsupported protocol version",
            Self::ProtocolNotAnInteger => "ERR Protocol version is not an integer or out of range",
            Self::HelloOption(option) => {
                return write!(formatter, "ERR Syntax error in HELLO option '{}'", echo(option));
            }
            Self::HelloNeedsAuth => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
                 and select the RESP protocol version at the same time"
            }
            Self::NoPasswordConfigured => {
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?"
            }
            Self::ClientName => {
                "ERR Client names cannot contain spaces, newlines or special characters."
            }
            Self::ClientAttribute(attribute) => {
                return write!(
                    formatter,
                    "ERR {} cannot contain spaces, newlines or special characters.",
                    echo(attribute)
                );
            }
            Self::UnknownAttribute(attribute) => {
                return write!(formatter, "ERR Unrecognized option '{}'", echo(attribute));
            }
            Self::UnknownClientType(kind) => {
                return write!(formatter, "ERR Unknown client type '{}'", echo(kind));
            }
            Self::NoSuchUser(user) => {
                return write!(formatter, "ERR No such user '{}'", echo(user));
            }
            Self::NoSuchClient => "ERR No such client",
            Self::UnknownCategory(name) => {
                return write!(formatter, "ERR Unknown category '{}'", echo(name));
            }
            Self::DefaultUserStays => "ERR The 'default' user cannot be removed",
            Self::UserNotFound(user) => {
                return write!(formatter, "ERR User '{}' not found", echo(user));
            }
            Self::CommandNotFound(command) => {
                return write!(formatter, "ERR Command '{}' not found", echo(command));
            }
            Self::PasswordBits => {
                "ERR ACL GENPASS argument must be the number of bits for the output password, a \
                 positive number up to 4096"
            }
            Self::NoRandomness => "ERR the system gives no random numbers",
            Self::NoUserFile => {
                "ERR This instance is not configured to use an ACL file. You may want to specify \
                 users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you \
                 have a configuration file set) in order to store users in the configuration."
            }
            Self::UserNameWithSpaces => "ERR Usernames can't contain spaces or null characters",
            Self::UserNotChanged(why) | Self::UsersNotLoaded(why) => {
                return write!(formatter, "ERR {}", echo(why));
            }
            Self::UsersNotSaved => {
                "ERR There was an error trying to save the ACLs. Please check the server logs for \
                 more information"
            }
            Self::AccessChanged(reason) => {
                return write!(
                    formatter,
                    "NOPERM ACLs rules changed between the moment the transaction was accumulated \
                     and the EXEC call. This command is no longer allowed for the following \
                     reason: {reason}"
                );
            }
            Self::NoModules => "ERR Error loading the extension: modules are not supported",
            Self::NoSuchModule => "ERR Error unloading module: no such module with that name",
            Self::CannotLog(cause) => {
                let cause = cause.as_deref().unwrap_or("unknown");
                return write!(formatter, "MISCONF Errors writing to the AOF file: {cause}");
            }
            Self::NoSaveToCancel => {
                "ERR Background saving is currently not in progress or scheduled"
            }
            Self::LogNotLoaded => "ERR Error trying to load the AOF files, check server logs",
            Self::NotFromLog => "ERR this command is not carried out from the log",
            Self::ScriptFromLog => {
                "ERR scripts are not run again: Redis before 7.0 records them as they were called if \
                 lua-replicate-commands is no. Set that to yes there, and have the log rewritten"
            }
            Self::RewriteUnderWay => {
                "ERR Background append only file rewriting already in progress"
            }
            Self::SaveDuringRewrite => {
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE \
                 SCHEDULE in order to schedule a BGSAVE whenever possible."
            }
            Self::SaveUnderWay => "ERR Background save already in progress",
            Self::SaveFailed => "ERR",
            Self::Loading => "LOADING Redis is loading the dataset in memory",
            Self::CannotSave => {
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
                 persist to disk. Commands that may modify the data set are disabled, because this \
                 instance is configured to report errors during writes if RDB snapshotting fails \
                 (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
                 the RDB error."
            }
            Self::NotFromPrimary => "ERR a primary sends what its commands and scripts did",
            Self::NoLinkToPrimary => "NOMASTERLINK Can't SYNC while not connected with my master",
            Self::WaitOnReplica => {
                "ERR WAIT cannot be used with replica instances. Please also note that if a replica is \
                 configured to be writable (which is not the default) writes to replicas are just local \
                 and are not propagated."
            }
            Self::WaitForFilesOnReplica => {
                "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
                 replicas are just local and are not propagated."
            }
            Self::FailoverUnderWay => "ERR FAILOVER already in progress.",
            Self::FailoverForced => {
                "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
            }
            Self::FailoverToNoReplica => "ERR FAILOVER target HOST and PORT is not a replica.",
            Self::FailoverToOffline => "ERR FAILOVER target replica is not online.",
            Self::TakeoverOfPrimary => "ERR PSYNC FAILOVER can't be sent to a master.",
            Self::TakeoverOfAnother => "ERR PSYNC FAILOVER replid must match my replid.",
            Self::SyncWhileFailingOver => "NOMASTERLINK Can't SYNC while failing over",
            Self::FailoverOfReplica => "ERR FAILOVER is not valid when server is a replica.",
            Self::ReadOnlyReplica => "READONLY You can't write against a read only replica.",
            Self::StaleReplica => {
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
            }
            Self::ScriptStaleReplica => {
                "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag \
                 is not set on the script."
            }
            Self::ScriptOnReadOnlyReplica => {
                "READONLY Can not run script with write flag on readonly replica"
            }
            Self::ScriptCommandStale => "ERR Can not execute the command on a stale replica",
            Self::TooFewReplicas => "NOREPLICAS Not enough good replicas to write.",
            Self::ResetOfReplica => "ERR can only reset normal client connections",
            Self::SyncBehindReplies => "ERR SYNC and PSYNC are invalid with pending output",
            Self::UnknownReplicaOption(option) => {
                return write!(formatter, "ERR Unrecognized REPLCONF option: {}", echo(option));
            }
            Self::ReplicaAddressTooLong(bytes) => {
                return write!(
                    formatter,
                    "ERR REPLCONF ip-address provided by replica instance is too long: {bytes} bytes"
                );
            }
            Self::ReplicaVersion(version) => {
                return write!(formatter, "ERR Unrecognized version format: {}", echo(version));
            }
            Self::ReloadOptions => {
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
            }
            Self::ReloadFailed => "ERR Error trying to load the RDB dump, check server logs.",
            Self::NoCluster => "ERR This instance has cluster support disabled",
            Self::NoReplication => "ERR Replication is not supported by this version",
            Self::NoFailover => "ERR No failover in progress.",
            Self::FailoverTimeout => "ERR FAILOVER timeout must be greater than 0",
            Self::NoReplicas => "ERR FAILOVER requires connected replicas.",
            Self::PrimaryPort => "ERR Invalid master port",
            Self::NotPositive => "ERR value is out of range, must be positive",
            Self::NoJournalToWaitFor => {
                "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
            }
            Self::MigrationOfTwoKinds => {
                "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
            }
            Self::MigrationInside => "ERR MIGRATE is not possible in a transaction or a script",
            Self::MigrationUnreachable => "IOERR error or timeout connecting to the client",
            Self::MigrationBroken { what } => {
                return write!(formatter, "IOERR error or timeout {what} to target instance");
            }
            Self::MigrationRefused(error) => {
                return write!(formatter, "ERR Target instance replied with error: {error}");
            }
            Self::PauseMode => "ERR CLIENT PAUSE mode must be WRITE or ALL",
            Self::TimeoutNotAnInteger => "ERR timeout is not an integer or out of range",
            Self::TimeoutNegative => "ERR timeout is negative",
            Self::TimeoutOutOfRange => "ERR timeout is out of range",
            Self::UnblockReason => "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            Self::RedirectedTwice => "ERR A client can only redirect to a single other client",
            Self::NoRedirectTarget => "ERR The client ID you want redirect to does not exist",
            Self::PrefixWithoutBroadcast => "ERR PREFIX option requires BCAST mode to be enabled",
            Self::BroadcastSwitched => {
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode."
            }
            Self::BroadcastWithOptions => "ERR OPTIN and OPTOUT are not compatible with BCAST",
            Self::OptInAndOut => "ERR You can't specify both OPTIN mode and OPTOUT mode",
            Self::OptSwitched => {
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                 client, and then re-enabling it with a different mode."
            }
            Self::PrefixesOverlap { prefix, other, is_known } => {
                let which =
                    if *is_known { "an existing prefix" } else { "another provided prefix" };
                return write!(
                    formatter,
                    "ERR Prefix '{}' overlaps with {which} '{}'. Prefixes for a single client \
                     must not overlap.",
                    echo(prefix),
                    echo(other)
                );
            }
            Self::NotOptIn => {
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
            }
            Self::NotOptOut => {
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
            }
            Self::NotTracked => {
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
                 OPTIN or OPTOUT mode enabled"
            }
            Self::NotInImportMode => "ERR Server is not in import mode",
            Self::LogCount => "ERR count should be greater than or equal to -1",
            Self::LogType => {
                "ERR type should be one of the following: slow, large-request, large-reply"
            }
            Self::HotKeysUnderWay => "ERR hotkey tracking session already in progress",
            Self::HotKeysNotStopped => {
                "ERR hotkey tracking session in progress, stop tracking first"
            }
            Self::MetricsMissing => "ERR METRICS parameter is required",
            Self::MetricsCount => "ERR METRICS count must be > 0 and <= 2",
            Self::MetricTwice(metric) => {
                return write!(formatter, "ERR METRICS {metric} defined more than once!");
            }
            Self::MetricsMismatch => {
                "ERR METRICS count does not match number of metric types provided"
            }
            Self::NoMetrics => "ERR METRICS no valid metrics passed. Supported: CPU|NET",
            Self::HotKeysCount => "ERR COUNT must be between 1 and 64",
            Self::HotKeysDuration => "ERR DURATION must be between 1 and 1000000",
            Self::SampleRatio => "ERR SAMPLE ratio must be positive",
            Self::SlotsWithoutCluster => "ERR SLOTS parameter cannot be used in non-cluster mode",
            Self::NoLatencySamples(event) => {
                return write!(formatter, "ERR No samples available for event '{}'", echo(event));
            }
            Self::ClientId => "ERR client-id should be greater than 0",
            Self::AgeNotAnInteger(what) => {
                return write!(formatter, "ERR {what} is not an integer or out of range");
            }
            Self::AgeNotPositive(what) => {
                return write!(formatter, "ERR {what} should be greater than 0");
            }
            Self::UnknownFlags { negated: false, flags } => {
                return write!(
                    formatter,
                    "ERR Unknown flags found in the provided filter: {}",
                    echo(flags)
                );
            }
            Self::UnknownFlags { negated: true, flags } => {
                return write!(
                    formatter,
                    "ERR Unknown flags found in the NOT-FLAGS filter: {}",
                    echo(flags)
                );
            }
            Self::UnknownCapabilities { negated: false, capabilities } => {
                return write!(
                    formatter,
                    "ERR Unknown capa found in the provided filter: {}",
                    echo(capabilities)
                );
            }
            Self::UnknownCapabilities { negated: true, capabilities } => {
                return write!(
                    formatter,
                    "ERR Unknown capa found in the NOT-CAPA filter: {}",
                    echo(capabilities)
                );
            }
            Self::FilterDbNotAnInteger { negated } => {
                return write!(
                    formatter,
                    "ERR {}DB is not an integer or out of range",
                    not(negated)
                );
            }
            Self::FilterDbOutOfRange { negated, last } => {
                return write!(
                    formatter,
                    "ERR {}DB number should be between 0 and {last}",
                    not(negated)
                );
            }
            Self::InvalidCommand => "ERR Invalid command specified",
            Self::NoKeyArguments => "ERR The command has no key arguments",
            Self::InvalidArgumentCount => "ERR Invalid number of arguments specified for command",
            Self::InvalidArguments => "ERR Invalid arguments specified for command",
            Self::UnknownParameter(name) => {
                return write!(
                    formatter,
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                );
            }
            Self::ParameterRefused { name, reason } => {
                return write!(
                    formatter,
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
                );
            }
            Self::NoConfigFile => "ERR The server is running without a config file",
            Self::RewriteFailed(reason) => {
                return write!(formatter, "ERR Rewriting config file: {reason}");
            }
            Self::DebugNotAllowed => {
                "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
                 \"local\", you can run it from a local connection, otherwise you need to set this \
                 option in the configuration file, and then restart the server."
            }
            Self::DebugArguments(subcommand) => {
                return write!(
                    formatter,
                    "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
                    echo(subcommand)
                );
            }
            Self::SubcommandArguments { command, subcommand } => {
                return write!(
                    formatter,
                    "ERR unknown subcommand or wrong number of arguments for '{}'. Try {command} \
                     HELP.",
                    echo(subcommand)
                );
            }
            Self::OnlyForSubscribers(command) => {
                return write!(
                    formatter,
                    "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING \
                     / QUIT / RESET are allowed in this context"
                );
            }
            Self::ReplicaAsks => "ERR Replica can't interact with the keyspace",
            Self::ProtocolType => {
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
            }
            Self::NotInResp2 => "ERR RESP2 is not supported by this command",
            Self::ScriptKeysNotANumber => "ERR Bad number of keys provided",
            Self::TooManyScriptKeys => "ERR Number of keys can't be greater than number of args",
            Self::NegativeScriptKeys => "ERR Number of keys can't be negative",
            Self::NoSuchScript => "NOSCRIPT No matching script.",
            Self::ScriptMayWrite => {
                "ERR Can not execute a script with write flag using *_ro command."
            }
            Self::ScriptCommandUnknown => "ERR Unknown command called from script",
            Self::ScriptCommandArity => "ERR Wrong number of args calling command from script",
            Self::ScriptCommandDenied => "ERR This Redis command is not allowed from script",
            Self::ScriptReadOnly => "ERR Write commands are not allowed from read-only scripts.",
            Self::ScriptStrayed => {
                "ERR Script used a key it did not declare after it had written, and the key is in \
                 use elsewhere; it will hold everything when it is run again"
            }
            Self::ScriptDebugMode => "ERR Use SCRIPT DEBUG YES/SYNC/NO",
            Self::NoScriptDebugger => "ERR Scripts cannot be debugged by this version",
            Self::NoBusyScript => "NOTBUSY No scripts in execution right now.",
            Self::BusyScriptWrote => {
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command."
            }
            Self::Busy { is_function: false } => {
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE."
            }
            Self::Busy { is_function: true } => {
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                 NOSAVE."
            }
            Self::FunctionNotFound => "ERR Function not found",
            Self::FunctionExists(name) => {
                return write!(formatter, "ERR Function {name} already exists");
            }
            Self::LibraryNotFound => "ERR Library not found",
            Self::LibraryExists(name) => {
                return write!(formatter, "ERR Library '{}' already exists", echo(name));
            }
            Self::RestoredLibraryExists(name) => {
                return write!(formatter, "ERR Library {} already exists", echo(name));
            }
            Self::FunctionLoadOption(option) => {
                return write!(formatter, "ERR Unknown option given: {}", echo(option));
            }
            Self::FunctionListOption(option) => {
                return write!(formatter, "ERR Unknown argument {}", echo(option));
            }
            Self::LibraryNameMissing => "ERR library name argument was not given",
            Self::FunctionPayload => "ERR DUMP payload version or checksum are wrong",
            Self::FunctionPayloadType(reason) => return write!(formatter, "ERR {reason}"),
            Self::RestorePolicy => {
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
            }
            Self::ScriptFlushMode => "ERR SCRIPT FLUSH only support SYNC|ASYNC option",
            Self::FunctionFlushMode => "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
            Self::NoShutdown => "ERR No shutdown in progress.",
            Self::FailoverAtTheEnd => "ERR SHUTDOWN FAILOVER is only supported in cluster mode.",
            Self::ShutdownFailed => SHUTDOWN_FAILED,
        };
        formatter.write_str(text)
    }
}

/// Bytes of an argument, each as the character of the same number: all fixed texts are ASCII, so the
/// reply gets the same bytes back.
fn echo(bytes: &[u8]) -> String {
    until_nul(bytes).iter().map(|byte| char::from(*byte)).collect()
}

impl From<ServerError> for ReplyError {
    fn from(error: ServerError) -> Self {
        let to_byte = |char| u8::try_from(u32::from(char)).unwrap_or(b'?');
        Self::Line(error.to_string().chars().map(to_byte).collect())
    }
}
