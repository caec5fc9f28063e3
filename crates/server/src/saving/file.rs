//! The file of a save: written under another name and put in place when it is whole and on the disk.

use super::as_commands::AsCommands;
use super::{NO_SHARD, Purpose, Save};
use crate::config::Settings;
use crate::delay::Delay;
use crate::replication::FullSync;
use crate::shared::{REDIS_VERSION, Shared, lock};
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::ShardView;
use darter_persistence::{BaseFormat, Place, Seal};
use darter_rdb::Version;
use darter_rdb::file::{Checksum, push_aux, push_database, push_end, push_function, push_header};
use darter_shard::Chunk;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

/// Written between two syncs, so that the last one does not have everything to do
/// (`rdb-save-incremental-fsync`).
const SYNC_EVERY_BYTES: u64 = 4 << 20;

/// Of a file, read for replicas.
const SENT_AT_A_TIME_BYTES: usize = 64 << 10;

/// Where a file goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    directory: PathBuf,
    path: PathBuf,
    /// The log that it is for: its directory need not be there yet.
    log: Option<Place>,
    has_checksum: bool,
    syncs_on_the_way: bool,
    format: BaseFormat,
    /// The replicas that it is for.
    replicas: Option<Delivery>,
}

/// What brings a save to replicas.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) shared: &'static Shared,
    pub(super) save: Arc<Save>,
    pub(super) full_sync: Arc<FullSync>,
}

impl Delivery {
    /// Hands bytes to replicas, unless the save is given up.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        self.full_sync.put(bytes, || self.save.is_abandoned.load(Ordering::Relaxed))?;
        self.shared.replication.ring(self.shared);
        Ok(())
    }
}

/// What stands before the keys.
#[derive(Debug)]
pub(super) struct Preface {
    version: Version,
    /// What follows the header.
    bytes: Vec<u8>,
    /// Keys of all shards.
    pub(super) keys: u64,
    /// Changes of all shards.
    pub(super) changes: u64,
}

/// The thread of a save.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) shared: &'static Shared,
    pub(super) save: Arc<Save>,
    pub(super) arrivals: Receiver<(ShardId, Chunk)>,
    /// How many last chunks there will be.
    pub(super) shards: usize,
    pub(super) target: Target,
    pub(super) preface: Preface,
}

impl Target {
    pub(super) fn of(settings: &Settings, purpose: Purpose) -> Self {
        let (directory, path, log) = match purpose {
            Purpose::File | Purpose::Replicas => {
                (settings.directory.clone(), settings.data_file(), None)
            }
            Purpose::LogBase => {
                let place = settings.log_place();
                (place.directory().to_owned(), base_path(settings), Some(place))
            }
        };
        Self {
            directory,
            path,
            log,
            has_checksum: settings.saving.has_checksum,
            syncs_on_the_way: settings.saving.syncs_on_the_way,
            format: format_of(settings, purpose),
            replicas: None,
        }
    }

    /// The same for replicas.
    pub(super) fn with_replicas(self, replicas: Option<Delivery>) -> Self {
        Self { replicas, ..self }
    }
}

/// What a file consists of.
pub fn format_of(settings: &Settings, purpose: Purpose) -> BaseFormat {
    match purpose {
        Purpose::LogBase => settings.journal.base_format,
        Purpose::File | Purpose::Replicas => BaseFormat::Rdb,
    }
}

impl Preface {
    /// Of what `view`, which is over all shards, holds now.
    pub(super) fn of(
        shared: &Shared,
        view: &mut ShardView<'_>,
        purpose: Purpose,
        full_sync: Option<&FullSync>,
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
        push_aux(&mut bytes, b"redis-ver", REDIS_VERSION.as_bytes());
        push_aux(&mut bytes, b"redis-bits", usize::BITS.to_string().as_bytes());
        push_aux(&mut bytes, b"ctime", (now.0 / 1000).to_string().as_bytes());
        push_aux(&mut bytes, b"used-mem", used_bytes.to_string().as_bytes());
        let is_base = if purpose == Purpose::LogBase { b"1" } else { b"0" };
        push_aux(&mut bytes, b"aof-base", is_base);
        let place = match (full_sync, purpose) {
            (Some(full_sync), _) => Some((full_sync.id, full_sync.start)),
            // Who is started with the file can go on from there.
            (None, Purpose::File) => shared.replication.has(),
            (None, _) => None,
        };
        if let Some((id, at)) = place {
            // That of a primary says it itself.
            let db = shared.replication.selected().0.to_string();
            push_aux(&mut bytes, b"repl-stream-db", db.as_bytes());
            push_aux(&mut bytes, b"repl-id", id.as_bytes());
            push_aux(&mut bytes, b"repl-offset", at.to_string().as_bytes());
        }
        for library in shared.scripts.libraries().iter() {
            push_function(&mut bytes, &library.text);
        }
        for (db, (keys, with_deadline)) in (0_u32..).zip(&totals) {
            if *keys > 0 {
                push_database(&mut bytes, db, *keys, *with_deadline);
            }
        }
        let keys = totals.iter().map(|(keys, _)| *keys as u64).sum();
        Self { version, bytes, keys, changes }
    }
}

impl Writing {
    /// Writes what arrives until every shard has sent its last chunk, whatever becomes of the file.
    pub(super) fn run(self) -> io::Result<Seal> {
        let Self { shared, save, arrivals, shards, target, preface } = self;
        let delay_micros = || shared.config.current().saving.save_delay_micros;
        let mut delay = Delay::of(delay_micros());
        let path = temporary_path(&target.directory);
        let mut temporary = Temporary::begin(path, &target, &preface);
        if temporary.is_err() {
            save.is_abandoned.store(true, Ordering::Relaxed);
        }
        let mut left = shards;
        let mut order = InOrder::default();
        while left > 0 {
            // The other end is part of `save`, which is here.
            let Ok((shard, chunk)) = arrivals.recv() else { break };
            left -= usize::from(chunk.is_last);
            save.queued_bytes.fetch_sub(chunk.bytes.len(), Ordering::Relaxed);
            if save.is_abandoned.load(Ordering::Relaxed) {
                continue;
            }
            order.add(shard, chunk);
            while let Some(chunk) = order.next() {
                let is_abandoned = || save.is_abandoned.load(Ordering::Relaxed);
                let go_on = || if is_abandoned() { Err(()) } else { Ok(delay_micros()) };
                if delay.pass(chunk.keys, go_on).is_err() {
                    break;
                }
                if let Ok(file) = &mut temporary {
                    let written = file.write_entries(&chunk);
                    save.written_bytes.store(file.seal.bytes, Ordering::Relaxed);
                    if let Err(error) = written {
                        temporary = Err(error);
                        save.is_abandoned.store(true, Ordering::Relaxed);
                    }
                }
            }
            let writes_long = order.writes_long.map_or(NO_SHARD, |shard| shard.0.into());
            save.writes_long.store(writes_long, Ordering::Relaxed);
        }
        let mut file = temporary?;
        file.complete(target.replicas.is_none())?;
        if let Some(delivery) = &target.replicas {
            return file.hand_over(delivery);
        }
        let _installing = lock(&save.installing);
        if save.is_abandoned.load(Ordering::Relaxed) {
            return Err(io::Error::other("the save was given up"));
        }
        file.install(&target)
    }
}

/// Writes a file of what `fill` hands to the function it is given. One at a time: whoever calls it holds all shards.
pub(super) fn write_at_once(
    target: &Target,
    preface: &Preface,
    fill: impl FnOnce(&mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()>,
) -> io::Result<Seal> {
    let mut file = Temporary::begin(path_at_once(&target.directory), target, preface)?;
    fill(&mut |chunk| file.write_entries(chunk))?;
    file.complete(true)?;
    file.install(target)
}

/// Chunks of all shards in an order in which they make a file: the parts of a long value follow each other. Those
/// that have to wait are few, as shards send no more while they know of it ([`Save::advance`]).
#[derive(Debug, Default)]
struct InOrder {
    /// The shard whose long value has begun and goes on.
    writes_long: Option<ShardId>,
    waiting: VecDeque<(ShardId, Chunk)>,
}

impl InOrder {
    fn add(&mut self, shard: ShardId, chunk: Chunk) {
        self.waiting.push_back((shard, chunk));
    }

    /// What can be written next.
    fn next(&mut self) -> Option<Chunk> {
        let fits =
            |(shard, _): &(ShardId, Chunk)| self.writes_long.is_none_or(|long| long == *shard);
        let at = self.waiting.iter().position(fits)?;
        let (shard, chunk) = self.waiting.remove(at)?;
        self.writes_long = chunk.goes_on.then_some(shard);
        Some(chunk)
    }
}

/// What bytes are written to.
#[derive(Debug)]
enum Sink {
    /// A file.
    File(File),
    /// Replicas, without a file. Whoever gives the save up ends it.
    Replicas(Delivery),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Replicas(delivery) => delivery.put(bytes),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync_data(),
            Self::Replicas(..) => Ok(()),
        }
    }
}

/// The file under its temporary name. Dropped before it is in place it is deleted. What goes to replicas at once has none.
#[derive(Debug)]
struct Temporary {
    sink: Sink,
    path: PathBuf,
    checksum: Checksum,
    has_checksum: bool,
    /// For one that is to consist of commands.
    commands: Option<AsCommands>,
    /// Of all bytes.
    seal: Seal,
    syncs_on_the_way: bool,
    bytes_since_sync: u64,
    is_in_place: bool,
}

impl Temporary {
    fn begin(path: PathBuf, target: &Target, preface: &Preface) -> io::Result<Self> {
        if let Some(place) = &target.log {
            place.ensure_directory()?;
        }
        let sink = match &target.replicas {
            Some(delivery) if let Some(mark) = &delivery.full_sync.mark => {
                let mut line = b"$EOF:".to_vec();
                line.extend_from_slice(mark);
                line.extend_from_slice(b"\r\n");
                delivery.put(&line)?;
                Sink::Replicas(delivery.clone())
            }
            _ => Sink::File(File::create(&path)?),
        };
        let mut begun = Self {
            sink,
            path,
            checksum: Checksum::new(),
            has_checksum: target.has_checksum,
            commands: (target.format == BaseFormat::Commands)
                .then(|| AsCommands::new(preface.version)),
            seal: Seal::EMPTY,
            syncs_on_the_way: target.syncs_on_the_way,
            bytes_since_sync: 0,
            is_in_place: false,
        };
        if begun.commands.is_none() {
            let mut header = Vec::new();
            push_header(&mut header, preface.version);
            begun.write(&header)?;
        }
        begun.write_records(&preface.bytes, false)?;
        Ok(begun)
    }

    fn write_entries(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.write_records(&chunk.bytes, chunk.goes_on)
    }

    fn write_records(&mut self, rdb: &[u8], goes_on: bool) -> io::Result<()> {
        match &mut self.commands {
            None => self.write(rdb),
            Some(commands) => {
                let commands = commands.convert(rdb, goes_on).map_err(io::Error::other)?;
                self.write(&commands)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        if self.has_checksum {
            self.checksum.add(bytes);
        }
        self.seal.add(bytes);
        self.bytes_since_sync += bytes.len() as u64;
        if self.syncs_on_the_way && self.bytes_since_sync >= SYNC_EVERY_BYTES {
            self.sink.sync_data()?;
            self.bytes_since_sync = 0;
        }
        Ok(())
    }

    /// Gets it to its end. A file that stays is on the disk then as a whole.
    fn complete(&mut self, stays: bool) -> io::Result<()> {
        let mut end = Vec::new();
        if self.commands.is_none() {
            push_end(&mut end, self.has_checksum.then_some(self.checksum));
        }
        self.sink.write_all(&end)?;
        self.seal.add(&end);
        match &self.sink {
            // What is for replicas is needed once.
            Sink::File(file) if stays => file.sync_all(),
            Sink::File(_) | Sink::Replicas(..) => Ok(()),
        }
    }

    /// Gets everything to replicas: what is in a file, and what says that it ends.
    fn hand_over(self, delivery: &Delivery) -> io::Result<Seal> {
        if let Some(mark) = &delivery.full_sync.mark {
            delivery.put(mark)?;
        } else {
            self.hand_over_file(delivery)?;
        }
        delivery.full_sync.complete();
        Ok(self.seal)
    }

    fn hand_over_file(&self, delivery: &Delivery) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        delivery.put(format!("${}\r\n", self.seal.bytes).as_bytes())?;
        let mut buffer = vec![0; SENT_AT_A_TIME_BYTES];
        let mut left = self.seal.bytes;
        while left > 0 {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            delivery.put(&buffer[..count])?;
            left = left.saturating_sub(count as u64);
        }
        Ok(())
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
        if !self.is_in_place && matches!(self.sink, Sink::File(_)) {
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
pub fn temporary_path(directory: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    directory.join(format!("temp-{}-{count}.rdb", std::process::id()))
}

/// As Redis calls a file that everybody waits for.
fn path_at_once(directory: &Path) -> PathBuf {
    directory.join(format!("temp-{}.rdb", std::process::id()))
}

/// Whether the data can be saved as far as can be said without doing it: a small file can, and there is room for so
/// many bytes.
pub(super) fn try_target(settings: &Settings, needed_bytes: u64) -> io::Result<()> {
    if settings.data_file().is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let found = rustix::fs::statvfs(&settings.directory)?;
    if found.f_bavail.saturating_mul(found.f_frsize) < needed_bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let path = temporary_path(&settings.directory);
    let mut file = File::create(&path)?;
    let tried = file.write_all(&[0]).and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    tried.and(removed)
}

/// A name that was changed stays changed only once the directory is on the disk.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_long_value_follow_each_other() {
        let mut order = InOrder::default();
        let mut written = Vec::new();
        let sent = [
            (0, "a", false),
            (1, "b1", true),
            (0, "c", false),
            (2, "d1", true),
            (1, "b2", true),
            (2, "d2", false),
            (2, "e", false),
            (1, "b3", false),
            (1, "f", false),
        ];
        for (shard, text, goes_on) in sent {
            let chunk = Chunk { bytes: text.into(), goes_on, ..Chunk::default() };
            order.add(ShardId(shard), chunk);
            while let Some(chunk) = order.next() {
                written.push(String::from_utf8(chunk.bytes).unwrap());
            }
        }
        assert_eq!(written, ["a", "b1", "b2", "b3", "c", "d1", "d2", "e", "f"]);
        assert_eq!(order.writes_long, None);
    }
}
