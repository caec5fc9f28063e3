//! Recovery: doing again what the log says.

use super::files::{Files, random_id};
use super::{Journal, lock};
use crate::commands::connection::SELECT;
use crate::commands::error::ServerError;
use crate::commands::script::code_change;
use crate::commands::transaction::{EXEC, MULTI};
use crate::loading::snapshot::{self, Present};
use crate::loading::{Crew, Terms, with_crew};
use crate::saving;
use crate::scripting::WorkerScripts;
use crate::scripting::change::CodeChange;
use crate::session_command::SessionRun;
use crate::shared::Shared;
use darter_base::DbIndex;
use darter_base::number::parse_u64;
use darter_command_table::{
    BEFORE_EVERYTHING, CallLimits, Entry, Handler, RdbVersions, ReplyError, ShardView,
};
use darter_persistence::{Log, LogError, Options, Recipient, Recovered, Refused, Resumed, Tail};
use darter_resp::Args;
use darter_runtime::wall_clock;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

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

/// Recovers the log into the shards that `view` is over, which are all and empty, and goes on with it. Where there was
/// none yet, the file of all data is loaded and becomes its base.
///
/// # Errors
/// When the files are damaged, or cannot be read or written.
pub fn recover(shared: &'static Shared, view: &mut ShardView<'_>) -> Result<(), RecoveryError> {
    let recovered = recover_into(shared, view)?;
    if recovered.tail == Tail::Nothing {
        begin_with_file(shared, view)?;
    }
    go_on(shared, view, recovered)
}

/// Loads the file of all data where there is no log yet, so that nothing is lost when one is switched on.
fn begin_with_file(shared: &'static Shared, view: &mut ShardView<'_>) -> Result<(), RecoveryError> {
    if !shared.config.current().data_file().exists() {
        return Ok(());
    }
    let loaded = snapshot::load_at_start(shared, view);
    let (loaded, _) = loaded.map_err(|error| RecoveryError::Io(io::Error::other(error)))?;
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
    snapshot::flush(view);
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
    let terms = Terms {
        present: Present::Refused,
        // The log says what has expired.
        now: BEFORE_EVERYTHING,
        limits: CallLimits {
            slices: false,
            replayed_at: Some(now),
            // What was taken once is taken again, whatever the configuration says now.
            rdb_versions: RdbVersions::Any,
            string_bytes_max: u64::MAX,
            ..settings.call_limits()
        },
    };
    let (recovered, commands) = with_crew(shared, view, terms, |crew| {
        let mut replay = Replay {
            shared,
            crew,
            db: DbIndex(0),
            scripts: RefCell::default(),
            commands: 0,
            failed: None,
        };
        let recovered = darter_persistence::recover(&settings.log_place(), &options, &mut replay);
        (recovered, replay.commands)
    });
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
        let installed = files.install_base(&settings, settings.journal.base_format, seal);
        installed.map_err(|error| RecoveryError::Io(io::Error::other(error.to_string())))?;
        files
    } else {
        let last_bytes = match &recovered.tail {
            Tail::Open { size, .. } => *size,
            _ => 0,
        };
        let (mut log, present) =
            Log::resume(place, recovered, random_id()).map_err(RecoveryError::Log)?;
        // As in Redis there is a file from the start. If it cannot be begun, that is tried again with the first write.
        let present = match present {
            Resumed::At(at) => log.begin_file(at).map_or(Resumed::At(at), Resumed::In),
            present @ Resumed::In(_) => present,
        };
        Files::going_on(log, present, bytes.saturating_sub(last_bytes))
    };
    journal.begin_at(files.position().offset);
    let mut status = lock(&journal.status);
    status.bytes = files.bytes();
    status.bytes_after_base = if has_base { base_bytes } else { status.bytes };
    drop(status);
    *lock(&journal.files) = Some(files);
    journal.is_found.store(true, Ordering::Relaxed);
    journal.is_attached.store(true, Ordering::Relaxed);
    // The first client may be faster than the thread for the file.
    journal.follow(shared, &settings);
    Journal::start(shared).map_err(RecoveryError::Io)
}

/// Does again what the log says.
struct Replay<'a> {
    shared: &'static Shared,
    crew: &'a mut Crew,
    db: DbIndex,
    /// Compiles functions and scripts.
    scripts: RefCell<WorkerScripts>,
    commands: u64,
    /// Why what follows is not done.
    failed: Option<String>,
}

impl Recipient for Replay<'_> {
    fn begin(&mut self, bytes: u64) {
        self.shared.loading.expect(bytes);
    }

    fn file(&mut self, path: &Path, bytes: u64) {
        // Each file says by itself which database it is about.
        self.db = DbIndex(0);
        tracing::info!("Reading {} ({bytes} bytes)", path.display());
    }

    fn snapshot(&mut self, rdb: &mut dyn Read, _: &Path) -> Result<u64, String> {
        snapshot::load_from(self.crew, rdb)
    }

    fn command(&mut self, at: u64, args: Args<'_>) -> Result<(), Refused> {
        let refused = |reason: String| Refused { at, reason };
        if let Some(reason) = self.failed.take() {
            return Err(refused(reason));
        }
        let entry = self.shared.table.find(args).map_err(|error| {
            let name = String::from_utf8_lossy(args.at(0)).into_owned();
            // As Redis says it, for those who search logs for that.
            refused(format!("Unknown command '{name}' reading the append only file: {error}"))
        })?;
        self.commands += 1;
        match entry.command.handler {
            Handler::Keyed(_) | Handler::AllShards(_) => self.crew.run(at, entry, self.db, args),
            _ => self
                .run_for_session(entry, args)
                .map_err(|error| refused(format!("{} answers: {error}", entry.full_name))),
        }
    }

    fn finish_file(&mut self) -> Result<(), Refused> {
        self.crew.settle()
    }

    fn progress(&mut self, bytes: u64) {
        self.failed = self.crew.note(bytes).err();
    }
}

impl Replay<'_> {
    /// Runs a command that is not about keys.
    fn run_for_session(&mut self, entry: &'static Entry, args: Args<'_>) -> Result<(), ReplyError> {
        let command = entry.command;
        if std::ptr::eq(command, &raw const SELECT.command) {
            let databases = self.crew.terms().limits.databases;
            let index = parse_u64(args.at(1)).and_then(|index| u16::try_from(index).ok());
            let index = index.filter(|index| *index < databases);
            self.db = DbIndex(index.ok_or(ReplyError::DbIndexOutOfRange)?);
            return Ok(());
        }
        // What is between them comes only when all of it is there, and nobody else is.
        if std::ptr::eq(command, &raw const MULTI.command)
            || std::ptr::eq(command, &raw const EXEC.command)
        {
            return Ok(());
        }
        let refused = match self.shared.session_run(entry.id) {
            // It may do something else than it did.
            Some(SessionRun::Script(_)) => ServerError::ScriptFromLog,
            _ => ServerError::NotFromLog,
        };
        let carry_out = code_change(command).ok_or(refused)?;
        carry_out(&CodeChange::of_log(self.shared, &self.scripts, args)).map(|_| ())
    }
}
