//! Loading a file of all data.

use super::Saving;
use crate::scripting::WorkerScripts;
use crate::scripting::library::{added, compile};
use crate::scripting::store::Libraries;
use crate::shared::{Shared, lock};
use darter_base::crc16::slot_of;
use darter_base::{DbIndex, UnixMillis, WorkerId};
use darter_command_table::{ReplyError, ShardView};
use darter_rdb::file::{RawEntry, Reader, Record};
use darter_rdb::{Built, build};
use darter_runtime::wall_clock;
use darter_shard::{Deadline, EncodingLimits, Expiry, FlushScope, Key};
use darter_value::Rules;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Read from the file at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What a file had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Keys that are there now.
    pub keys: u64,
    /// Keys left out, as they had expired.
    pub expired: u64,
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

/// Loads the file that saves write, if there is one, before any worker runs.
///
/// # Errors
/// When the file cannot be read, is damaged, or has what this version does not know.
pub fn load_at_start(shared: &'static Shared) -> Result<(), Box<dyn std::error::Error>> {
    let settings = shared.config.current();
    let path = settings.data_file();
    match path.try_exists() {
        Ok(false) => return Ok(()),
        Ok(true) => {}
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    }
    let begun = shared.stopwatch.now();
    super::automatic::with_all_shards(shared, |view| {
        load_held(shared, view, Present::Refused, wall_clock())
    })??;
    let nanos = shared.stopwatch.nanos_between(begun, shared.stopwatch.now());
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    tracing::info!("DB loaded from disk: {seconds:.3} seconds");
    Ok(())
}

/// Loads that file into the shards that `view` is over, which are all, before it returns.
///
/// # Errors
/// As [`load_at_start`], and when there is no file.
pub fn load_held(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    present: Present,
    now: UnixMillis,
) -> Result<Loaded, LoadError> {
    let settings = shared.config.current();
    let path = settings.data_file();
    let failed = |why: String| LoadError { path: path.clone(), why };
    let file = File::open(&path).map_err(|error| failed(error.to_string()))?;
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    let loading = Loading::new(shared, view, present, now);
    let (loaded, mut reader) = loading.load(source).map_err(failed)?;
    reader.finish().map_err(|error| failed(error.to_string()))?;
    let changes = view.each().map(|shard| shard.changes()).sum();
    shared.saving.note_loaded(loaded, changes);
    tracing::info!(
        "Done loading RDB, keys loaded: {}, keys expired: {}.",
        loaded.keys,
        loaded.expired
    );
    Ok(loaded)
}

/// Loads the base of a log into the shards that `view` is over, which are all, and says how many bytes it was. What
/// has expired is loaded as well: the log says what became of it.
pub fn load_base(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
    source: impl io::Read,
    now: UnixMillis,
) -> Result<(Loaded, u64), String> {
    let loading = Loading::new(shared, view, Present::Refused, now);
    let (loaded, reader) = loading.load(source)?;
    Ok((loaded, reader.offset()))
}

/// Deletes all data.
pub fn flush(view: &mut ShardView<'_>) {
    for shard in view.each() {
        shard.flush(FlushScope::All);
    }
}

struct Loading<'a, 'v> {
    shared: &'static Shared,
    view: &'a mut ShardView<'v>,
    present: Present,
    now: UnixMillis,
    db: DbIndex,
    databases: u16,
    limits: EncodingLimits,
    loaded: Loaded,
    libraries: Libraries,
    scripts: WorkerScripts,
}

impl<'a, 'v> Loading<'a, 'v> {
    fn new(
        shared: &'static Shared,
        view: &'a mut ShardView<'v>,
        present: Present,
        now: UnixMillis,
    ) -> Self {
        let settings = shared.config.current();
        Self {
            shared,
            view,
            present,
            now,
            db: DbIndex(0),
            databases: settings.databases,
            limits: settings.encodings,
            loaded: Loaded::default(),
            libraries: Libraries::default(),
            scripts: WorkerScripts::default(),
        }
    }

    /// Loads the data, which may be followed by something else.
    fn load<R: io::Read>(mut self, source: R) -> Result<(Loaded, Reader<R>), String> {
        let reader = Reader::new(source).map_err(|error| error.to_string())?;
        let has_checksum = self.shared.config.current().saving.has_checksum;
        let mut reader = if has_checksum { reader } else { reader.without_checksum() };
        self.run(&mut reader)?;
        let Self { shared, loaded, libraries, .. } = self;
        shared.scripts.change_libraries(|_| Ok::<_, ReplyError>(libraries)).ok();
        Ok((loaded, reader))
    }

    fn run(&mut self, reader: &mut Reader<impl io::Read>) -> Result<(), String> {
        loop {
            let begins_at = reader.offset();
            match reader.next_record().map_err(|error| error.to_string())? {
                Record::Database(index) => self.db = self.database(index)?,
                Record::Function(code) => self.library(&code)?,
                Record::Entry(entry) => {
                    self.key(&entry).map_err(|why| format!("{why} (at byte {begins_at})"))?;
                }
                Record::ModuleAux { module } => {
                    tracing::warn!("Data of the module {module} are skipped");
                }
                Record::End { .. } => break,
                // About the file, hints, and what can only be with modules.
                Record::Aux { .. }
                | Record::Sizes { .. }
                | Record::Slot { .. }
                | Record::SlotImport { .. }
                | Record::ModuleEntry { .. } => {}
            }
        }
        Ok(())
    }

    fn database(&self, index: u64) -> Result<DbIndex, String> {
        let known = u16::try_from(index).ok().filter(|index| *index < self.databases);
        known.map(DbIndex).ok_or_else(|| {
            format!(
                "the file has database {index}, but only {} are configured (databases)",
                self.databases
            )
        })
    }

    fn library(&mut self, code: &[u8]) -> Result<(), String> {
        let described = |error: ReplyError| format!("a library of functions: {error}");
        let engine = &mut self.scripts;
        let library = compile(engine, WorkerId(0), &self.shared.stopwatch, code, |_| Ok(()))
            .map_err(described)?;
        self.libraries = added(&self.libraries, &Arc::new(library)).map_err(described)?;
        Ok(())
    }

    fn key(&mut self, entry: &RawEntry<'_>) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(&entry.key).into_owned();
        if entry.deadline_ms.is_some_and(|deadline_ms| deadline_ms <= self.now.0) {
            self.loaded.expired += 1;
            return Ok(());
        }
        let expiry = match entry.deadline_ms.map(Deadline::new) {
            None => Expiry::Clear,
            Some(Ok(deadline)) => Expiry::At(deadline),
            Some(Err(_)) => return Err(format!("the deadline of key {:?} is too late", shown())),
        };
        let value = entry.value.decode();
        let value = value.map_err(|_| format!("the value of key {:?} is damaged", shown()))?;
        let Some(value) = value else {
            tracing::warn!("Key {:?} has no elements and is left out", shown());
            return Ok(());
        };
        let shard = self.view.shard_of(|| slot_of(&entry.key));
        let hasher = shard.hasher().clone();
        let rules = Rules { limits: &self.limits, hasher: &hasher };
        let key = Key::new(&hasher, &entry.key);
        let mut keyspace = shard.keyspace(self.db, self.now);
        if self.present == Present::Refused && keyspace.peek(&key).is_some() {
            return Err(format!("key {:?} comes twice", shown()));
        }
        match build(value, rules, self.now) {
            Built::Text(text) => keyspace.set_string(&key, &text, expiry),
            Built::Object(object) => keyspace.set_object(&key, object, expiry),
            Built::Nothing => {
                self.loaded.expired += 1;
                return Ok(());
            }
        };
        if let Some(seconds) = entry.idle_seconds {
            keyspace.set_idle_seconds(&key, u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        if let Some(counter) = entry.frequency {
            keyspace.set_frequency(&key, counter);
        }
        self.loaded.keys += 1;
        Ok(())
    }
}

impl Saving {
    /// What was loaded is saved already.
    fn note_loaded(&self, loaded: Loaded, changes: u64) {
        self.note_file(changes);
        lock(&self.history).loaded = loaded;
    }
}
