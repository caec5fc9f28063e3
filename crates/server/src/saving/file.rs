//! The file of a save: written under another name and put in place when it is whole and on the disk.

use super::{Purpose, Save};
use crate::config::Settings;
use crate::shared::{REDIS_VERSION, Shared, lock};
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::ShardView;
use darter_persistence::Seal;
use darter_rdb::Version;
use darter_rdb::file::{Checksum, push_aux, push_database, push_end, push_function, push_header};
use darter_shard::Chunk;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

/// Written between two syncs, so that the last one does not have everything to do
/// (`rdb-save-incremental-fsync`).
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Where a file goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    directory: PathBuf,
    path: PathBuf,
    has_checksum: bool,
    syncs_on_the_way: bool,
}

/// What stands before the keys.
#[derive(Debug, Default)]
pub(super) struct Preface {
    bytes: Vec<u8>,
    /// Keys of all shards.
    pub(super) keys: u64,
    /// Changes of all shards.
    pub(super) changes: u64,
}

/// The thread of a save.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) save: Arc<Save>,
    pub(super) arrivals: Receiver<Chunk>,
    /// How many last chunks there will be.
    pub(super) shards: usize,
    pub(super) target: Target,
    pub(super) preface: Preface,
}

impl Target {
    pub(super) fn of(settings: &Settings, purpose: Purpose) -> Self {
        let (directory, path) = match purpose {
            Purpose::File => (settings.directory.clone(), settings.data_file()),
            Purpose::LogBase => {
                let directory = settings.log_place().directory().to_owned();
                let path = base_path(settings);
                (directory, path)
            }
        };
        Self {
            directory,
            path,
            has_checksum: settings.saving.has_checksum,
            syncs_on_the_way: settings.saving.syncs_on_the_way,
        }
    }
}

impl Preface {
    /// Of what `view`, which is over all shards, holds now.
    pub(super) fn of(
        shared: &Shared,
        view: &mut ShardView<'_>,
        purpose: Purpose,
        now: UnixMillis,
    ) -> Self {
        let databases = shared.config.current().databases;
        let mut totals = vec![(0_usize, 0_usize); databases.into()];
        let (mut used_bytes, mut changes, mut has_field_deadlines) = (0, 0, false);
        for shard in view.each() {
            used_bytes += shard.used_bytes();
            changes += shard.changes();
            for (db, totals) in (0..databases).zip(&mut totals) {
                let keyspace = shard.keyspace(DbIndex(db), now);
                totals.0 += keyspace.len();
                totals.1 += keyspace.expires_len();
                has_field_deadlines |= keyspace.deadline_holders_len() > 0;
            }
        }
        // Older servers read the file unless there is something that they cannot know.
        let version = if has_field_deadlines { Version::VALKEY_9 } else { Version::REDIS_7_0 };
        let mut bytes = Vec::new();
        push_header(&mut bytes, version);
        push_aux(&mut bytes, b"redis-ver", REDIS_VERSION.as_bytes());
        push_aux(&mut bytes, b"redis-bits", usize::BITS.to_string().as_bytes());
        push_aux(&mut bytes, b"ctime", (now.0 / 1000).to_string().as_bytes());
        push_aux(&mut bytes, b"used-mem", used_bytes.to_string().as_bytes());
        let is_base = if purpose == Purpose::LogBase { b"1" } else { b"0" };
        push_aux(&mut bytes, b"aof-base", is_base);
        for library in &shared.scripts.libraries().0 {
            push_function(&mut bytes, &library.text);
        }
        for (db, (keys, with_deadline)) in (0_u32..).zip(&totals) {
            if *keys > 0 {
                push_database(&mut bytes, db, *keys, *with_deadline);
            }
        }
        let keys = totals.iter().map(|(keys, _)| *keys as u64).sum();
        Self { bytes, keys, changes }
    }
}

impl Writing {
    /// Writes what arrives until every shard has sent its last chunk, whatever becomes of the file.
    pub(super) fn run(self) -> io::Result<Seal> {
        let Self { save, arrivals, shards, target, preface } = self;
        let mut temporary = Temporary::begin(&target, &preface);
        if temporary.is_err() {
            save.is_abandoned.store(true, Ordering::Relaxed);
        }
        let mut left = shards;
        while left > 0 {
            // The other end is part of `save`, which is here.
            let Ok(chunk) = arrivals.recv() else { break };
            left -= usize::from(chunk.is_last);
            save.queued_bytes.fetch_sub(chunk.bytes.len(), Ordering::Relaxed);
            if save.is_abandoned.load(Ordering::Relaxed) {
                continue;
            }
            if let Ok(file) = &mut temporary
                && let Err(error) = file.write(&chunk.bytes)
            {
                temporary = Err(error);
                save.is_abandoned.store(true, Ordering::Relaxed);
            }
        }
        let mut file = temporary?;
        file.complete()?;
        let _installing = lock(&save.installing);
        if save.is_abandoned.load(Ordering::Relaxed) {
            return Err(io::Error::other("the save was given up"));
        }
        file.install(&target)
    }
}

/// Writes a file of what `fill` hands to the function it is given.
pub(super) fn write_at_once(
    target: &Target,
    preface: &Preface,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
) -> io::Result<Seal> {
    let mut file = Temporary::begin(target, preface)?;
    fill(&mut |bytes| file.write(bytes))?;
    file.complete()?;
    file.install(target)
}

/// The file under its temporary name. Dropped before it is in place it is deleted.
#[derive(Debug)]
struct Temporary {
    file: File,
    path: PathBuf,
    checksum: Checksum,
    has_checksum: bool,
    /// Of all bytes.
    seal: Seal,
    syncs_on_the_way: bool,
    bytes_since_sync: u64,
    is_in_place: bool,
}

impl Temporary {
    fn begin(target: &Target, preface: &Preface) -> io::Result<Self> {
        let path = temporary_path(&target.directory);
        let file = File::create(&path)?;
        let mut begun = Self {
            file,
            path,
            checksum: Checksum::new(),
            has_checksum: target.has_checksum,
            seal: Seal::EMPTY,
            syncs_on_the_way: target.syncs_on_the_way,
            bytes_since_sync: 0,
            is_in_place: false,
        };
        begun.write(&preface.bytes)?;
        Ok(begun)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if self.has_checksum {
            self.checksum.add(bytes);
        }
        self.seal.add(bytes);
        self.bytes_since_sync += bytes.len() as u64;
        if self.syncs_on_the_way && self.bytes_since_sync >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.bytes_since_sync = 0;
        }
        Ok(())
    }

    /// Brings it onto the disk as a whole.
    fn complete(&mut self) -> io::Result<()> {
        let mut end = Vec::new();
        push_end(&mut end, self.has_checksum.then_some(self.checksum));
        self.file.write_all(&end)?;
        self.seal.add(&end);
        self.file.sync_all()
    }

    /// Puts it in place.
    fn install(mut self, target: &Target) -> io::Result<Seal> {
        fs::rename(&self.path, &target.path)?;
        self.is_in_place = true;
        sync_directory(&target.directory)?;
        Ok(self.seal)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_in_place {
            // What is left of it is of no use; an error here changes nothing.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The base of a log before it is made part of it.
pub fn base_path(settings: &Settings) -> PathBuf {
    settings.log_place().directory().join(format!("temp-base-{}.rdb", std::process::id()))
}

/// A name that nobody else uses: one save can still be thrown away while the next one begins.
fn temporary_path(directory: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    directory.join(format!("temp-{}-{count}.rdb", std::process::id()))
}

/// Whether the data can be saved as far as can be said without doing it.
pub(super) fn try_target(settings: &Settings) -> io::Result<()> {
    if settings.data_file().is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let path = temporary_path(&settings.directory);
    File::create(&path)?;
    fs::remove_file(&path)
}

/// A name that was changed stays changed only once the directory is on the disk.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
