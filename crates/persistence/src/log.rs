//! Changing the set of files.
//!
//! Each change is one new manifest, which is on the disk before anything goes by it. A file is created, and its header
//! is on the disk, before a manifest names it; it is deleted after a manifest has stopped to name it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::appender::Appender;
use crate::error::{LogError, Spot, Why};
use crate::line::Header;
use crate::manifest::{Entry, Manifest, Seal};
use crate::place::Place;
use crate::position::{Link, LogId, Position};
use crate::recovery::{Recovered, Tail};
use crate::sync::sync_directory;

/// The files of a log that is being written. Belongs to the thread that creates and replaces them.
#[derive(Debug)]
pub struct Log {
    place: Place,
    id: LogId,
    manifest: Manifest,
    /// Whether the manifest on the disk is the one here. Until a new log has its base it is not: what was there before
    /// still counts.
    is_published: bool,
    /// Whether it is known which manifest a restart will find.
    is_settled: bool,
    /// The highest sequence numbers that were used, if only in vain: the manifest that a restart finds may have them.
    last_base: i64,
    last_file: i64,
    /// Files that were begun in vain: a restart may find a manifest with them, until another one is in place.
    vain: Vec<PathBuf>,
}

/// Where a log goes on that was read.
#[derive(Debug)]
pub enum Resumed {
    /// In its last file.
    In(Appender),
    /// In a file that is to begin there.
    At(Position),
}

/// What a base consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFormat {
    /// RDB (`aof-use-rdb-preamble yes`).
    Rdb,
    /// Commands.
    Commands,
}

impl BaseFormat {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Rdb => "rdb",
            Self::Commands => "aof",
        }
    }
}

impl Log {
    /// A new log at `place`, in the place of what may be there, which counts until [`Log::install_base`]. `id` is drawn at random.
    /// Begin with [`Log::begin_file`].
    pub fn create(place: Place, id: LogId) -> Result<Self, LogError> {
        place.ensure_directory().map_err(|error| LogError::io(place.directory(), error))?;
        let manifest = Manifest::load(&place)?.unwrap_or_default();
        Ok(Self::of(place, id, manifest))
    }

    const fn of(place: Place, id: LogId, manifest: Manifest) -> Self {
        Self {
            place,
            id,
            manifest,
            is_published: false,
            is_settled: true,
            last_base: 0,
            last_file: 0,
            vain: Vec::new(),
        }
    }

    /// The log that was read, and the file to append to; where there is none that can be, the position at which one is
    /// to begin once there is something to append, so that nothing is changed by looking. `id`, drawn at random, is its
    /// name from there on if its last file is not ours.
    pub fn resume(
        place: Place,
        recovered: Recovered,
        id: LogId,
    ) -> Result<(Self, Resumed), LogError> {
        let Recovered { manifest, tail, .. } = recovered;
        let log = |place, id| Self { is_published: true, ..Self::of(place, id, manifest) };
        match tail {
            Tail::Open { path, end, size } => {
                let appender = Appender::reopen(&path, end.at, size)
                    .map_err(|error| LogError::io(&path, error))?;
                Ok((log(place, end.log), Resumed::In(appender)))
            }
            Tail::Closed(link) => {
                let link = link.unwrap_or(Link::beginning(id));
                Ok((log(place, link.log), Resumed::At(link.at)))
            }
            Tail::Nothing => {
                let log = Self::create(place, id)?;
                Ok((log, Resumed::At(Link::beginning(id).at)))
            }
        }
    }

    /// The file in which a log goes on, begun if there is none.
    pub fn go_on(&mut self, resumed: Resumed) -> Result<Appender, LogError> {
        match resumed {
            Resumed::In(appender) => Ok(appender),
            Resumed::At(at) => self.begin_file(at),
        }
    }

    /// Publishes nothing until [`Log::install_base`]: the present file cannot be relied on, and nothing behind it must be
    /// found before there is a base that makes up for it.
    pub const fn withdraw(&mut self) {
        self.is_published = false;
    }

    /// The position at which a new log begins.
    pub fn beginning(&self) -> Position {
        Link::beginning(self.id).at
    }

    /// Begins an incremental file at `at`, where the one before ends, or, if that could not be synced or written, where what
    /// is certain of it ends.
    pub fn begin_file(&mut self, at: Position) -> Result<Appender, LogError> {
        let sequence = self.next_sequence(self.manifest.incremental.last(), self.last_file)?;
        self.last_file = sequence;
        let name = self.place.with_suffix(&format!(".{sequence}.incr.aof"));
        let link = Link { log: self.id, at };
        let path = self.place.file(&name);
        let header = Header { link, is_published: self.is_published };
        let appender = Appender::create(&path, &header).map_err(|error| {
            let _ = fs::remove_file(&path);
            LogError::io(&path, error)
        })?;
        let entry = Entry { link: Some(link), ..Entry::plain(name, sequence) };
        let mut manifest = self.manifest.clone();
        manifest.incremental.push(entry);
        if let Err(error) = self.change_to(manifest) {
            self.vain.push(path);
            return Err(error);
        }
        Ok(appender)
    }

    /// Where a base is written before it is one: a file in the directory that nobody else uses.
    pub fn temporary(&self, process: u32) -> PathBuf {
        let mut name = OsString::from(format!("temp-rewriteaof-{process}."));
        name.push(self.place.name());
        self.place.file(&name)
    }

    /// Makes the file at `temporary`, which is whole and on the disk, the base, in the place of the one before and of all
    /// incremental files before `at`, where the snapshot was taken and a file begins. The files that no longer count are deleted by
    /// [`Log::delete_history`].
    pub fn install_base(
        &mut self,
        temporary: &Path,
        format: BaseFormat,
        at: Position,
        seal: Seal,
    ) -> Result<(), LogError> {
        let link = Link { log: self.id, at };
        let mut manifest = self.manifest.clone();
        // Of several that begin there, all but the last are empty.
        let first = manifest.incremental.iter().rposition(|entry| entry.link == Some(link));
        let Some(first) = first else {
            let why = Why::Foreign(format!("no file begins at position {}", at.offset));
            return Err(LogError::new(self.place.directory(), Spot::Whole, why));
        };
        let sequence = self.next_sequence(manifest.base.as_ref(), self.last_base)?;
        self.last_base = sequence;
        let name = self.place.with_suffix(&format!(".{sequence}.base.{}", format.suffix()));
        let path = self.place.file(&name);
        fs::rename(temporary, &path).map_err(|error| LogError::io(temporary, error))?;
        manifest.history.extend(manifest.base.take());
        manifest.history.extend(manifest.incremental.drain(..first));
        manifest.base =
            Some(Entry { link: Some(link), seal: Some(seal), ..Entry::plain(name, sequence) });
        let was_published = self.is_published;
        self.publish(manifest)?;
        if !was_published {
            self.mark_published()?;
        }
        Ok(())
    }

    /// Deletes the files that no longer count.
    pub fn delete_history(&mut self) -> Result<(), LogError> {
        if self.manifest.history.is_empty() || !self.is_published {
            return Ok(());
        }
        for entry in &self.manifest.history {
            let path = self.place.file(&entry.name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LogError::io(path, error));
                }
                _ => {}
            }
        }
        let mut manifest = self.manifest.clone();
        manifest.history.clear();
        self.change_to(manifest)
    }

    /// The files.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where they are.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is certain which files a restart will read. After a change that failed in the wrong moment it is not,
    /// until another one succeeds: what is appended meanwhile to a file that was to be followed by another may not count.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }

    fn change_to(&mut self, manifest: Manifest) -> Result<(), LogError> {
        if self.is_published {
            return self.publish(manifest);
        }
        let directory = self.place.directory();
        sync_directory(directory).map_err(|error| LogError::io(directory, error))?;
        self.manifest = manifest;
        Ok(())
    }

    fn publish(&mut self, manifest: Manifest) -> Result<(), LogError> {
        manifest.write(&self.place)?;
        self.is_settled = false;
        Manifest::put_in_place(&self.place)?;
        self.is_settled = true;
        self.is_published = true;
        self.manifest = manifest;
        for path in self.vain.drain(..) {
            // They are in nobody's way.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Says in the files that were begun before the manifest named them that it does.
    fn mark_published(&self) -> Result<(), LogError> {
        for Entry { name, link, .. } in &self.manifest.incremental {
            let Some(link) = *link else { continue };
            let path = self.place.file(name);
            Appender::change_header(&path, &Header { link, is_published: true })
                .map_err(|error| LogError::io(&path, error))?;
        }
        Ok(())
    }

    /// The number behind those that were used.
    fn next_sequence(&self, last: Option<&Entry>, used: i64) -> Result<i64, LogError> {
        let last = last.map_or(0, |entry| entry.sequence).max(used);
        last.checked_add(1).ok_or_else(|| {
            let why = Why::Manifest("the last sequence number is the highest there can be");
            LogError::new(self.place.manifest(), Spot::Whole, why)
        })
    }
}
