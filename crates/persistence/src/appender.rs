//! Writing to an incremental file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::line::{self, ChunkLine};
use crate::position::{Link, Position};

/// The incremental file that is being written. One thread appends; another may sync ([`SyncHandle`]).
///
/// What a failed append has left behind is cut off again, so that the file ends with a whole chunk and the next append may
/// be tried. If it cannot be cut off the appender is poisoned: begin another file at [`Appender::position`].
#[derive(Debug)]
pub struct Appender {
    file: Arc<File>,
    path: PathBuf,
    /// Behind the last whole chunk.
    position: Position,
    /// Up to there, the log is known to be on the disk.
    synced: Option<u64>,
    /// Bytes of the file up to the last whole chunk.
    size: u64,
    is_poisoned: bool,
}

/// Why nothing was appended.
#[derive(Debug)]
pub enum AppendError {
    /// The system refused; the file is as before, and appending may be tried again.
    Io(io::Error),
    /// The system refused, and something may be behind the last whole chunk that must not be there: nothing can be
    /// appended to this file any more.
    Poisoned(io::Error),
}

/// Syncs a file that another thread appends to.
#[derive(Clone, Debug)]
pub struct SyncHandle {
    file: Arc<File>,
}

impl SyncHandle {
    /// Waits until everything is on the disk that had been appended when this began. After an error
    /// nobody knows what is, nor will another try say: begin another file with what was not synced, or a base.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Appender {
    /// Creates the file, or empties the one that is there, and waits until its header is on the disk.
    pub(crate) fn create(path: &Path, link: &Link) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        drop(file);
        let mut file = OpenOptions::new().append(true).open(path)?;
        let header = line::header(link);
        file.write_all(&header)?;
        file.sync_all()?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            position: link.at,
            synced: None,
            size: header.len() as u64,
            is_poisoned: false,
        })
    }

    /// Opens a file that was read up to `position`, which is behind its byte `size`, and cuts off what follows.
    pub(crate) fn reopen(path: &Path, position: Position, size: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        let present = file.metadata()?.len();
        if present < size {
            return Err(io::Error::other("the file has become shorter since it was read"));
        }
        if present > size {
            file.set_len(size)?;
            file.sync_all()?;
        }
        let file = Arc::new(file);
        let path = path.to_owned();
        Ok(Self { file, path, position, synced: None, size, is_poisoned: false })
    }

    /// Appends whole groups (commands; MULTI to EXEC) as one chunk, in one write if the system takes it at once.
    /// On an error nothing was appended.
    pub fn append(&mut self, groups: &[u8]) -> Result<Position, AppendError> {
        let refuse = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        if self.is_poisoned {
            return Err(AppendError::Poisoned(refuse("an earlier write left something behind")));
        }
        let len = u32::try_from(groups.len())
            .map_err(|_| AppendError::Io(refuse("a chunk of 4 GiB or more")))?;
        if len == 0 {
            return Ok(self.position);
        }
        let line = ChunkLine::of(groups, len, self.position, self.synced);
        if let Err(error) = write_both(&self.file, &line.bytes(), groups) {
            return Err(self.cut_back(error));
        }
        self.size += line::CHUNK_LINE_BYTES as u64 + u64::from(len);
        self.position =
            Position { offset: self.position.offset + u64::from(len), chain: line.chain };
        Ok(self.position)
    }

    fn cut_back(&mut self, error: io::Error) -> AppendError {
        if self.file.set_len(self.size).is_ok() {
            return AppendError::Io(error);
        }
        self.is_poisoned = true;
        AppendError::Poisoned(error)
    }

    /// Notes that the log up to `offset` is on the disk, so that damage in front of it will not be taken for the work of
    /// a power cut.
    pub fn note_synced(&mut self, offset: u64) {
        debug_assert!(offset <= self.position.offset);
        self.synced = self.synced.max(Some(offset));
    }

    /// Where in the log the next append begins.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Bytes of the file.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For whoever syncs.
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle { file: Arc::clone(&self.file) }
    }
}

/// Writes the line and the groups behind it.
fn write_both(mut file: &File, mut line: &[u8], mut groups: &[u8]) -> io::Result<()> {
    while !groups.is_empty() {
        match file.write_vectored(&[IoSlice::new(line), IoSlice::new(groups)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                let of_line = count.min(line.len());
                line = &line[of_line..];
                groups = &groups[count - of_line..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl fmt::Display for AppendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) | Self::Poisoned(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (Self::Io(error) | Self::Poisoned(error)) = self;
        Some(error)
    }
}
