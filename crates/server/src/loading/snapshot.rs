//! Loading a file of all data.

use super::crew::{Crew, with_crew};
use super::filler::Terms;
use crate::config::Settings;
use crate::delay::Delay;
use crate::scripting::WorkerScripts;
use crate::scripting::library::{add, compile};
use crate::scripting::store::Libraries;
use crate::shared::Shared;
use darter_base::number::{parse_i64, parse_u64};
use darter_base::{DbIndex, UnixMillis, WorkerId};
use darter_command_table::{BEFORE_EVERYTHING, CallLimits, RdbVersions, ReplyError, ShardView};
use darter_persistence::Refused;
use darter_rdb::file::{ReadError, Reader, Record};
use darter_replication::{Offset, ReplicationId};
use darter_runtime::wall_clock;
use darter_shard::{FlushScope, Shard};
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes between two notes of how far it is.
const NOTE_BYTES: u64 = 1 << 20;

/// What a file had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Keys that are there now.
    pub keys: u64,
    /// Keys left out, as they had expired.
    pub expired: u64,
    /// Keys left out, as they had no elements: old servers could write such.
    pub empty: u64,
}

/// Where in a history the data of a file are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamPlace {
    /// Which history, and how far it had come; `None`: the file does not say.
    pub history: Option<(ReplicationId, Offset)>,
    /// The database in which its stream goes on.
    pub db: DbIndex,
}

/// What happens to keys that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// They are an error: no file has a key twice.
    Refused,
    /// They are replaced.
    Replaced,
}

/// Why a file was not loaded. What was read before stays.
#[derive(Debug)]
pub struct LoadError {
    path: PathBuf,
    why: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for LoadError {}

/// Loads the file that saves write into the shards that `view` is over, which are all.
///
/// # Errors
/// When the file cannot be read, is damaged, or has what this version does not know; and when there is none.
pub fn load(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    present: Present,
    now: UnixMillis,
) -> Result<(Loaded, StreamPlace), LoadError> {
    let settings = shared.config.current();
    let path = settings.data_file();
    let failed = |why: String| LoadError { path: path.clone(), why };
    let file = File::open(&path).map_err(|error| failed(error.to_string()))?;
    let bytes = file.metadata().map_err(|error| failed(error.to_string()))?.len();
    shared.loading.expect(bytes);
    let limits = CallLimits { is_saving: false, ..shared.call_limits() };
    let terms = Terms { present, now, limits };
    let loaded = with_crew(shared, view, terms, |crew| {
        let (mut reader, place) = read(crew, file)?;
        reader.finish().map_err(|error| error.to_string())?;
        Ok((crew.loaded(), place))
    });
    let (loaded, place) = loaded.map_err(failed)?;
    let changes = view.each().map(|shard| shard.changes()).sum();
    shared.saving.note_loaded(loaded, changes);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
        loaded.keys,
        loaded.expired,
        loaded.empty
    );
    Ok((loaded, place))
}

/// What to do about a file that a server cannot start with, behind words of Redis for those who search logs for them.
const ADVICE: &str = "Terminating server after rdb file reading failure. Nothing was changed. `darter check-rdb` shows what in the file can be read; restore it from a copy, or move \
                      it away to start without its data.";

/// The same for a server that starts, which says what to do if it fails.
///
/// # Errors
/// As [`load`].
pub fn load_at_start(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
) -> Result<(Loaded, StreamPlace), LoadError> {
    let now = wall_clock();
    let loaded = if shared.config.current().following.primary.is_some() {
        // What comes of the stream finds what it found there; its primary says what has expired.
        view.each().for_each(|shard| shard.begin_replay(now));
        let loaded = load(shared, view, Present::Refused, BEFORE_EVERYTHING);
        view.each().for_each(Shard::end_replay);
        loaded
    } else {
        load(shared, view, Present::Refused, now)
    };
    loaded.map_err(|LoadError { path, why }| {
        let why = format!("{why}. {ADVICE}");
        LoadError { path, why }
    })
}

/// Loads RDB data, which may be followed by something else; how many bytes they are. What was put off has been done
/// when this returns.
///
/// # Errors
/// When the data cannot be read, or a key cannot be set.
pub fn load_from(crew: &mut Crew, source: impl io::Read) -> Result<u64, String> {
    read(crew, source).map(|(reader, _)| reader.offset())
}

/// Loads the data of a primary into the shards that `view` is over, which are all and empty. The database in which its
/// stream goes on.
///
/// # Errors
/// When they cannot be read, are damaged, or have what this version does not know. A part of them may be there then.
pub fn load_from_primary(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    source: impl io::Read,
    terms: Terms,
) -> Result<DbIndex, String> {
    let (loaded, db) = with_crew(shared, view, terms, |crew| {
        let (mut reader, StreamPlace { db, .. }) = read(crew, source)?;
        reader.finish().map_err(|error| error.to_string())?;
        Ok::<_, String>((crew.loaded(), db))
    })?;
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}, empty keys skipped: {}.",
        loaded.keys,
        loaded.expired,
        loaded.empty
    );
    Ok(db)
}

/// Sees whether there is a file that begins as one that can be loaded, before anything makes room for it.
///
/// # Errors
/// When there is none, or it is of another version.
pub fn look_at(shared: &Shared) -> Result<(), LoadError> {
    let settings = shared.config.current();
    let path = settings.data_file();
    let failed = |why: String| LoadError { path: path.clone(), why };
    let file = File::open(&path).map_err(|error| failed(error.to_string()))?;
    begin(file, &settings).map(|_| ()).map_err(|error| failed(error.to_string()))
}

fn begin<R: io::Read>(source: R, settings: &Settings) -> Result<Reader<R>, ReadError> {
    match settings.rdb_versions {
        RdbVersions::Known => Reader::new(source),
        RdbVersions::Any => Reader::of_any_version(source),
    }
}

/// Deletes all data.
pub fn flush(view: &mut ShardView<'_>) {
    for shard in view.each() {
        shard.flush(FlushScope::All);
    }
}

/// Loads the data; the reader is behind them. Where in a history they are, if they say so.
fn read<R: io::Read>(crew: &mut Crew, source: R) -> Result<(Reader<R>, StreamPlace), String> {
    let settings = crew.shared().config.current();
    let reader = begin(source, &settings).map_err(|error| error.to_string())?;
    let is_checked = settings.saving.has_checksum && crew.terms().limits.checks_payloads;
    let mut reader = if is_checked { reader } else { reader.without_checksum() };
    let mut reading = Reading {
        crew,
        db: DbIndex(0),
        libraries: Vec::new(),
        delay: Delay::of(settings.saving.load_delay_micros),
        noted_bytes: 0,
        place: StreamPlace::default(),
        history: (None, None),
    };
    let result = reading.run(&mut reader);
    let Reading { crew, libraries, mut place, history: (id, at), .. } = reading;
    place.history = id.zip(at);
    // A key that was refused stands in front of what could not be read.
    crew.settle().map_err(|Refused { at, reason }| format!("{reason} (at byte {at})"))?;
    result?;
    let libraries = compile_all(crew.shared(), &libraries)?;
    let Ok(()) = crew.shared().scripts.change_libraries(|known| {
        *known = libraries;
        Ok::<_, Infallible>(())
    });
    Ok((reader, place))
}

/// Compiles libraries, each with the place where it begins, which runs code of theirs: not before the checksum of their
/// file was found right.
fn compile_all(
    shared: &'static Shared,
    libraries: &[(u64, Box<[u8]>)],
) -> Result<Libraries, String> {
    let mut scripts = WorkerScripts::default();
    let mut compiled = Libraries::default();
    for (at, code) in libraries {
        let described =
            |error: ReplyError| format!("a library of functions: {error} (at byte {at})");
        let library = compile(&mut scripts, WorkerId(0), &shared.stopwatch, code, |_| Ok(()))
            .map_err(described)?;
        add(&mut compiled, &Arc::new(library)).map_err(described)?;
    }
    Ok(compiled)
}

/// What reading needs.
struct Reading<'a> {
    crew: &'a mut Crew,
    db: DbIndex,
    /// Libraries of functions, and where each begins.
    libraries: Vec<(u64, Box<[u8]>)>,
    delay: Delay,
    /// How far it was when that was noted last.
    noted_bytes: u64,
    place: StreamPlace,
    history: (Option<ReplicationId>, Option<Offset>),
}

impl Reading<'_> {
    fn run(&mut self, reader: &mut Reader<impl io::Read>) -> Result<(), String> {
        loop {
            let begins_at = reader.offset();
            if begins_at - self.noted_bytes >= NOTE_BYTES {
                self.noted_bytes = begins_at;
                self.crew.note(begins_at)?;
            }
            let placed = |reason: String| format!("{reason} (at byte {begins_at})");
            match reader.next_record().map_err(|error| error.to_string())? {
                Record::Database(index) => self.db = self.database(index).map_err(placed)?,
                Record::Function(code) => self.libraries.push((begins_at, code.as_ref().into())),
                Record::Entry(entry) => {
                    let shared = self.crew.shared();
                    self.delay.pass(1, || {
                        shared.loading.check_end(shared)?;
                        Ok::<_, String>(shared.config.current().saving.load_delay_micros)
                    })?;
                    let set = self.crew.set(begins_at, self.db, &entry);
                    set.map_err(|Refused { at, reason }| format!("{reason} (at byte {at})"))?;
                }
                Record::ModuleAux { module } => {
                    tracing::warn!("Data of the module {module} are skipped");
                }
                Record::Aux { name, value } => self.note(&name, &value),
                Record::End { .. } => break,
                // Hints, and what can only be with modules.
                Record::Sizes { .. }
                | Record::Slot { .. }
                | Record::SlotImport { .. }
                | Record::ModuleEntry { .. } => {}
            }
        }
        Ok(())
    }

    /// What the file says of itself.
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        match name {
            b"redis-ver" => tracing::info!("Loading RDB produced by Redis version {text}"),
            b"valkey-ver" => tracing::info!("Loading RDB produced by Valkey version {text}"),
            b"ctime" => {
                if let Some(seconds) = parse_i64(value) {
                    let age = (wall_clock().0 / 1000).saturating_sub(seconds).max(0);
                    tracing::info!("RDB age {age} seconds");
                }
            }
            b"repl-stream-db" => {
                // -1: it says so itself.
                let known = parse_u64(value).and_then(|index| self.database(index).ok());
                self.place.db = known.unwrap_or_default();
            }
            b"repl-id" => self.history.0 = ReplicationId::parse(value),
            b"repl-offset" => self.history.1 = parse_u64(value).and_then(Offset::new),
            b"used-mem" => {
                if let Some(bytes) = parse_u64(value) {
                    tracing::info!("RDB memory usage when created {} Mb", bytes >> 20);
                    self.crew.shared().loading.note_used_bytes(bytes);
                }
            }
            _ => {}
        }
    }

    fn database(&self, index: u64) -> Result<DbIndex, String> {
        let databases = self.crew.terms().limits.databases;
        let known = u16::try_from(index).ok().filter(|index| *index < databases);
        known.map(DbIndex).ok_or_else(|| {
            format!(
                "the file has database {index}, but only {databases} are configured (databases)"
            )
        })
    }
}
