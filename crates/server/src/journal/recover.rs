//! Recovery: doing again what the log says.

use super::files::{Files, random_id};
use super::{Journal, lock};
use crate::commands::connection::SELECT;
use crate::commands::error::ServerError;
use crate::commands::script::library_change;
use crate::commands::transaction::{EXEC, MULTI};
use crate::dispatch::{Client, run_handler};
use crate::observed::Author;
use crate::saving::{self, load};
use crate::scripting::WorkerScripts;
use crate::scripting::change::LibraryChange;
use crate::shared::Shared;
use crate::tracking::Remember;
use darter_base::number::parse_u64;
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{CallLimits, Entry, Handler, RdbVersions, ReplyError, ShardView};
use darter_persistence::{Log, LogError, Options, Recipient, Recovered, Tail, recover};
use darter_resp::{Args, Output, Protocol};
use darter_runtime::{ConnectionId, wall_clock};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When what the log says is done again: nothing has expired then, for the log says what has.
const BEFORE_EVERYTHING: UnixMillis = UnixMillis(0);

/// Memory kept for replies that nobody hears.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

/// Why the log was not recovered.
#[derive(Debug)]
pub enum RecoveryError {
    /// What is wrong with its files.
    Log(LogError),
    /// What the system refused.
    Io(io::Error),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(out),
            Self::Io(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for RecoveryError {}

/// Recovers the log, if there is to be one, before any worker runs, and goes on with it. `false`: there is none to be.
/// Where there was none yet, the file of all data is loaded and becomes its base.
///
/// # Errors
/// When the files are damaged, or cannot be read or written.
pub fn load_at_start(shared: &'static Shared) -> Result<bool, RecoveryError> {
    if !shared.config.current().journal.is_on {
        return Ok(false);
    }
    let begun = shared.stopwatch.now();
    let work = |view: &mut ShardView<'_>| {
        let recovered = recover_into(shared, view)?;
        if recovered.tail == Tail::Nothing {
            begin_with_file(shared, view)?;
        }
        go_on(shared, view, recovered)
    };
    let result = saving::automatic::with_all_shards(shared, work);
    result.map_err(RecoveryError::Io)??;
    let nanos = shared.stopwatch.nanos_between(begun, shared.stopwatch.now());
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    tracing::info!("DB loaded from append only file: {seconds:.3} seconds");
    Ok(true)
}

/// Loads the file of all data where there is no log yet, so that nothing is lost when one is switched on.
fn begin_with_file(shared: &'static Shared, view: &mut ShardView<'_>) -> Result<(), RecoveryError> {
    if !shared.config.current().data_file().exists() {
        return Ok(());
    }
    let loaded = load::load_held(shared, view, load::Present::Refused, wall_clock());
    let loaded = loaded.map_err(|error| RecoveryError::Io(io::Error::other(error)))?;
    tracing::warn!(
        "There is no append only file yet; it begins with the {} keys of the RDB file",
        loaded.keys
    );
    Ok(())
}

/// Throws away what the shards hold that `view` is over, which are all, and loads what the log says (DEBUG LOADAOF).
///
/// # Errors
/// When it cannot be written or read. The shards have a part of it then.
pub fn reload(shared: &'static Shared, view: &mut ShardView<'_>) -> Result<(), RecoveryError> {
    let failed = |why: String| RecoveryError::Io(io::Error::other(why));
    // Nobody writes meanwhile. Where no log is kept there may still be one.
    let mut files = lock(&shared.journal.files);
    if let Some(present) = &mut *files {
        present.write(&shared.journal).map_err(|failure| failed(failure.to_string()))?;
    }
    load::flush(view);
    recover_into(shared, view)?;
    Ok(())
}

/// Loads what the log says into the shards that `view` is over, which are all and empty.
fn recover_into(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
) -> Result<Recovered, RecoveryError> {
    let settings = shared.config.current();
    let options = Options {
        cuts_torn_end: settings.journal.loads_truncated,
        limits: settings.authenticated_limits(),
    };
    let now = wall_clock();
    for shard in view.each() {
        shard.begin_replay(now);
    }
    let mut replay = Replay {
        shared,
        view,
        limits: CallLimits {
            slices: false,
            replayed_at: Some(now),
            // What was taken once is taken again, whatever the configuration says now.
            rdb_versions: RdbVersions::Any,
            string_bytes_max: u64::MAX,
            ..settings.call_limits()
        },
        db: DbIndex(0),
        output: Output::new(),
        scripts: RefCell::default(),
        commands: 0,
    };
    let recovered = recover(&settings.log_place(), &options, &mut replay);
    let Replay { view, commands, .. } = replay;
    for shard in view.each() {
        shard.end_replay();
    }
    let recovered = recovered.map_err(RecoveryError::Log)?;
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            "AOF {} was truncated: {} bytes at its end were no whole record and are gone ({})",
            torn.path.display(),
            torn.cut_bytes,
            torn.reason
        );
        lock(&shared.journal.status).truncated_bytes = torn.cut_bytes;
    }
    let keys: usize = view.each().map(|shard| shard.len()).sum();
    tracing::info!("Done loading AOF, commands: {commands}, keys loaded: {keys}");
    Ok(recovered)
}

/// Goes on with a log that was recovered.
fn go_on(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    recovered: Recovered,
) -> Result<(), RecoveryError> {
    let settings = shared.config.current();
    let journal = &shared.journal;
    let (bytes, base_bytes) = (recovered.bytes, recovered.base_bytes);
    let has_base = recovered.manifest.base.is_some();
    let place = settings.log_place();
    let files = if recovered.tail == Tail::Nothing || !has_base && bytes == 0 {
        let mut files = Files::create(&settings).map_err(RecoveryError::Log)?;
        let seal = saving::write_base_held(shared, view, wall_clock());
        let seal = seal.map_err(RecoveryError::Io)?;
        let installed = files.install_base(&settings, seal);
        installed.map_err(|error| RecoveryError::Io(io::Error::other(error.to_string())))?;
        files
    } else {
        let last_bytes = match &recovered.tail {
            Tail::Open { size, .. } => *size,
            _ => 0,
        };
        let (log, present) =
            Log::resume(place, recovered, random_id()).map_err(RecoveryError::Log)?;
        Files::going_on(log, present, bytes.saturating_sub(last_bytes))
    };
    journal.begin_at(files.position().offset);
    let mut status = lock(&journal.status);
    status.bytes = files.bytes();
    status.bytes_after_base = if has_base { base_bytes } else { status.bytes };
    drop(status);
    *lock(&journal.files) = Some(files);
    journal.is_attached.store(true, Ordering::Relaxed);
    journal.follow(&settings);
    Journal::start(shared).map_err(RecoveryError::Io)
}

/// Does again what the log says.
struct Replay<'a, 'v> {
    shared: &'static Shared,
    view: &'a mut ShardView<'v>,
    limits: CallLimits,
    db: DbIndex,
    /// Replies nobody hears.
    output: Output,
    /// Compiles functions.
    scripts: RefCell<WorkerScripts>,
    commands: u64,
}

impl Recipient for Replay<'_, '_> {
    fn begin(&mut self, _: u64) {}

    fn file(&mut self, path: &Path, bytes: u64) {
        tracing::info!("Reading {} ({bytes} bytes)", path.display());
    }

    fn snapshot(&mut self, rdb: &mut dyn Read, _: &Path) -> Result<u64, String> {
        let (_, bytes) = load::load_base(self.shared, self.view, rdb, BEFORE_EVERYTHING)?;
        Ok(bytes)
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let entry = self.shared.table.find(args).map_err(|error| error.to_string())?;
        self.commands += 1;
        let result = self.run(entry, args);
        self.output.clear(OUTPUT_BYTES_KEPT);
        result.map_err(|error| format!("{} answers: {error}", entry.full_name))
    }

    fn progress(&mut self, _: u64) {}
}

impl Replay<'_, '_> {
    fn run(&mut self, entry: &'static Entry, args: Args<'_>) -> Result<(), ReplyError> {
        let command = entry.command;
        match command.handler {
            Handler::Keyed(_) | Handler::AllShards(_) => {
                let author = Author { id: ConnectionId::NOBODY, remember: Remember::default() };
                let client = Client {
                    db: self.db,
                    protocol: Protocol::Resp2,
                    author,
                    leaves_no_trace: false,
                };
                let (limits, output) = (&self.limits, &mut self.output);
                run_handler(
                    command,
                    args,
                    client,
                    BEFORE_EVERYTHING,
                    limits,
                    self.shared,
                    self.view,
                    output,
                    None,
                    None,
                )
            }
            Handler::Session if std::ptr::eq(command, &raw const SELECT.command) => {
                let databases = self.limits.databases;
                let index = parse_u64(args.at(1)).and_then(|index| u16::try_from(index).ok());
                let index = index.filter(|index| *index < databases);
                self.db = DbIndex(index.ok_or(ReplyError::DbIndexOutOfRange)?);
                Ok(())
            }
            // What is between them comes only when all of it is there, and nobody else is.
            Handler::Session
                if std::ptr::eq(command, &raw const MULTI.command)
                    || std::ptr::eq(command, &raw const EXEC.command) =>
            {
                Ok(())
            }
            _ => {
                let carry_out = library_change(command).ok_or(ServerError::NotFromLog)?;
                carry_out(&LibraryChange::of_log(self.shared, &self.scripts, args)).map(|_| ())
            }
        }
    }
}
