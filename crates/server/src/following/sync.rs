//! A full sync: all data of the primary take the place of this server's.
//!
//! They go to a file first, whose checksum is looked at, and until that is there the old ones are served; so a transfer that
//! breaks off, or is damaged on its way, costs nothing. Only a server that has no data may load them as they come.

use super::TransferProgress;
use super::link::{End, Wire};
use super::settings::LoadsAsItComes;
use super::shards::Access;
use crate::loading::Terms;
use crate::loading::snapshot::{self, Present};
use crate::saving;
use crate::shared::Shared;
use darter_base::DbIndex;
use darter_base::crc64::crc64;
use darter_command_table::{BEFORE_EVERYTHING, CallLimits, RdbVersions, ShardView};
use darter_replication::{Announced, Extent, Offset, ReplicationId};
use darter_runtime::{Arrival, Ticks, wall_clock};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The checksum at the end of the data.
const SUM_BYTES: usize = 8;

/// How often the primary hears that this server is busy, and lives.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(1);

/// Gets all data, which are those of this place in this history. The database in which the stream goes on.
pub(super) fn synchronize(
    shared: &'static Shared,
    turn: u64,
    access: &Access,
    wire: &mut Wire,
    id: ReplicationId,
    at: Offset,
) -> Result<DbIndex, End> {
    let extent = announced(wire)?;
    let settings = shared.config.current();
    let total_bytes = extent.total_bytes();
    shared.following.note(turn, |state| {
        state.transfer = Some(TransferProgress { total_bytes, read_bytes: 0 });
    });
    let target = Target { shared, turn, access, id, at };
    let mut incoming = Incoming::new(shared, turn, wire, extent);
    if settings.following.loads_as_it_comes == LoadsAsItComes::IfEmpty
        && let Some(loaded) = target.load_as_it_comes(&mut incoming)?
    {
        return Ok(loaded);
    }
    let file = Temporary::create(&settings.directory)?;
    incoming.copy_to(&file)?;
    let Incoming { wire, .. } = incoming;
    let db = target.load_file(&file, wire)?;
    tracing::info!("PRIMARY <-> REPLICA sync: Finished with success");
    Ok(db)
}

/// What the primary says it is going to send.
fn announced(wire: &mut Wire) -> Result<Extent, End> {
    loop {
        let line = wire.line().map_err(End::Failed)?;
        return match Announced::of_line(&line) {
            Announced::Alive => continue,
            Announced::Bytes(bytes) => {
                tracing::info!(
                    "PRIMARY <-> REPLICA sync: receiving {bytes} bytes from primary to disk"
                );
                Ok(Extent::of_bytes(bytes))
            }
            Announced::UpTo(mark) => {
                tracing::info!(
                    "PRIMARY <-> REPLICA sync: receiving streamed RDB from primary with EOF to disk"
                );
                Ok(Extent::up_to(mark))
            }
            Announced::Refused(words) => Err(End::Failed(format!(
                "PRIMARY aborted replication with an error: {}",
                String::from_utf8_lossy(&words)
            ))),
            Announced::Malformed => Err(End::Failed(
                "Bad protocol from PRIMARY, the first byte is not '$': are you sure the host and port are right?"
                    .to_owned(),
            )),
        };
    }
}

/// Where data go, and what they are.
#[derive(Clone, Copy)]
struct Target<'a> {
    shared: &'static Shared,
    turn: u64,
    access: &'a Access,
    id: ReplicationId,
    at: Offset,
}

impl Target<'_> {
    /// Loads the data in place of this server's.
    fn load_file(&self, file: &Temporary, wire: &mut Wire) -> Result<DbIndex, End> {
        let shared = self.shared;
        let broken = |error: io::Error| {
            End::Failed(format!("Failed trying to load the PRIMARY synchronization DB: {error}"))
        };
        let source = File::open(&file.path).map_err(broken)?;
        let bytes = source.metadata().map_err(broken)?.len();
        self.with_all_shards(|view| {
            shared.loading.begin();
            shared.loading.expect(bytes);
            let source = WhileAlive { source, shared, wire, told: shared.stopwatch.now() };
            self.replace_with(view, source)
        })
    }

    /// Loads the data as they come, if there are none here; `None` if there are.
    fn load_as_it_comes(&self, incoming: &mut Incoming<'_>) -> Result<Option<DbIndex>, End> {
        let shared = self.shared;
        self.with_all_shards(|view| {
            if view.each().any(|shard| !shard.is_empty()) {
                return Ok(None);
            }
            shared.loading.begin();
            shared.loading.expect(incoming.extent.total_bytes().unwrap_or(0));
            let loaded = self.replace_with(view, &mut *incoming);
            // The data may be followed by something that is not looked at.
            loaded.and_then(|db| incoming.skip().map(|()| Some(db)))
        })
    }

    fn with_all_shards<R>(
        &self,
        work: impl FnOnce(&mut ShardView<'_>) -> Result<R, End>,
    ) -> Result<R, End> {
        let shared = self.shared;
        let all = shared.router().shards().collect();
        let worked = self.access.with(all, |view| {
            let result =
                if shared.following.is_turn(self.turn) { work(view) } else { Err(End::Superseded) };
            // What a part of the data was loaded of must not be taken for all of them at the end of the process.
            if result.is_ok() || shared.loading.check_end(shared).is_ok() {
                shared.loading.end();
            }
            result
        });
        shared.journal.write_out(&shared.stopwatch);
        worked.unwrap_or(Err(End::Superseded))
    }

    /// Throws away what there is and loads what `source` has.
    fn replace_with(&self, view: &mut ShardView<'_>, source: impl Read) -> Result<DbIndex, End> {
        let (shared, now) = (self.shared, wall_clock());
        let settings = shared.config.current();
        // What is being saved is another data set.
        saving::give_up_held(shared, view, now);
        let had_log = shared.journal.is_attached();
        if had_log {
            shared.journal.detach(shared);
        }
        tracing::info!("PRIMARY <-> REPLICA sync: Flushing old data");
        snapshot::flush(view);
        if shared.tracking.any() {
            shared.invalidate_all(None);
        }
        if !settings.following.flushes_lazily {
            for shard in view.each() {
                while shard.collect_garbage(1) {}
            }
        }
        tracing::info!("PRIMARY <-> REPLICA sync: Loading DB in memory");
        for shard in view.each() {
            shard.begin_replay(now);
        }
        let limits =
            CallLimits { slices: false, rdb_versions: RdbVersions::Any, ..shared.call_limits() };
        // The primary says what has expired.
        let terms = Terms { present: Present::Refused, now: BEFORE_EVERYTHING, limits };
        let loaded = snapshot::load_from_primary(shared, view, source, terms);
        for shard in view.each() {
            shard.end_replay();
        }
        let result = match loaded {
            Ok(db) => {
                shared.replication.adopt(shared, self.id, self.at, db);
                Ok(db)
            }
            Err(why) => {
                snapshot::flush(view);
                shared.replication.forget_data(shared);
                Err(End::Failed(format!(
                    "Failed trying to load the PRIMARY synchronization DB: {why}"
                )))
            }
        };
        shared.follow_memory_settings(&shared.call_limits(), view);
        if had_log {
            shared.journal.ask_for_base();
        }
        result
    }
}

/// The data as they come.
struct Incoming<'a> {
    shared: &'static Shared,
    turn: u64,
    wire: &'a mut Wire,
    extent: Extent,
    /// Data that came and were not read.
    data: Vec<u8>,
    read: usize,
}

impl<'a> Incoming<'a> {
    const fn new(shared: &'static Shared, turn: u64, wire: &'a mut Wire, extent: Extent) -> Self {
        Self { shared, turn, wire, extent, data: Vec::new(), read: 0 }
    }

    /// Gets data that were not read, if there are more.
    fn fill(&mut self) -> Result<(), String> {
        while self.read == self.data.len() && !self.extent.is_whole() {
            self.data.clear();
            self.read = 0;
            if self.wire.window().is_empty() && self.wire.receive_in_time()? == Arrival::Nothing {
                return Err("Timeout receiving bulk data from PRIMARY...".to_owned());
            }
            let window = self.wire.window();
            let rest = self.extent.take(window, &mut self.data).len();
            let taken = window.len() - rest;
            self.wire.consume(taken);
            let read_bytes = self.extent.received_bytes();
            let noted = self.shared.following.note(self.turn, |state| {
                if let Some(transfer) = &mut state.transfer {
                    transfer.read_bytes = read_bytes;
                }
            });
            noted.ok_or("the transfer was given up")?;
        }
        Ok(())
    }

    /// Writes everything to a file, and looks whether it is what was sent.
    fn copy_to(&mut self, file: &Temporary) -> Result<(), End> {
        let written = |error: io::Error| {
            End::Failed(format!(
                "Write error or short write writing to the DB dump file needed for PRIMARY <-> REPLICA synchronization: \
                 {error}"
            ))
        };
        let mut sum = Sum::default();
        let mut target = &file.file;
        loop {
            self.fill().map_err(End::Failed)?;
            let piece = &self.data[self.read..];
            if piece.is_empty() {
                break;
            }
            let piece = &piece[..piece.len().min(PIECE_BYTES)];
            sum.add(piece);
            target.write_all(piece).map_err(written)?;
            self.read += piece.len();
        }
        if !sum.is_right() {
            return Err(End::Failed(
                "What the primary sent is damaged: its checksum is wrong".to_owned(),
            ));
        }
        Ok(())
    }

    /// Passes over what is left.
    fn skip(&mut self) -> Result<(), End> {
        loop {
            self.fill().map_err(End::Failed)?;
            if self.read == self.data.len() {
                return Ok(());
            }
            self.read = self.data.len();
        }
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill().map_err(io::Error::other)?;
        let rest = &self.data[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// A file that is read while the primary hears now and then that this server lives.
struct WhileAlive<'a> {
    source: File,
    shared: &'static Shared,
    wire: &'a mut Wire,
    told: Ticks,
}

impl Read for WhileAlive<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stopwatch, now) = (&self.shared.stopwatch, self.shared.stopwatch.now());
        if u128::from(stopwatch.nanos_between(self.told, now)) >= SIGN_OF_LIFE_INTERVAL.as_nanos() {
            self.told = now;
            // If that does not work the link is gone, which shows when there is something to be heard.
            let _ = self.wire.send(b"\n");
        }
        self.source.read(buffer)
    }
}

/// The checksum of data as they come, which they end with.
#[derive(Debug, Default)]
struct Sum {
    /// Of everything but the last bytes.
    sum: u64,
    last: Vec<u8>,
}

impl Sum {
    fn add(&mut self, piece: &[u8]) {
        self.last.extend_from_slice(piece);
        let summed = self.last.len().saturating_sub(SUM_BYTES);
        self.sum = crc64(self.sum, &self.last[..summed]);
        self.last.drain(..summed);
    }

    /// Whether it is what the data say; they need not say anything.
    fn is_right(&self) -> bool {
        let Ok(said) = <[u8; SUM_BYTES]>::try_from(self.last.as_slice()) else { return false };
        matches!(u64::from_le_bytes(said), 0) || u64::from_le_bytes(said) == self.sum
    }
}

/// A file that is needed until it is loaded.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn create(directory: &Path) -> Result<Self, End> {
        let path = saving::temporary_path(directory);
        let file = File::create(&path).map_err(|error| {
            End::Failed(format!(
                "Opening the temp file needed for PRIMARY <-> REPLICA synchronization: {error}"
            ))
        })?;
        Ok(Self { file, path })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left of it is of no use; an error here changes nothing.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_compared_with_their_checksum() {
        let data = b"REDIS0011 and so on";
        let sum = crc64(0, data).to_le_bytes();
        for size in 1..30 {
            for (end, is_right) in [(sum, true), ([0; 8], true), ([7; 8], false)] {
                let mut found = Sum::default();
                [data.as_slice(), &end].concat().chunks(size).for_each(|piece| found.add(piece));
                assert_eq!(found.is_right(), is_right, "{size} {end:?}");
            }
        }
        assert!(!Sum::default().is_right());
    }
}
