//! Writing to an incremental file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::line::{self, ChunkLine, Header};
use crate::position::Position;

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
    pub(crate) fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        drop(file);
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(&header.bytes())?;
        file.sync_all()?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            position: header.link.at,
            synced: None,
            size: line::HEADER_BYTES as u64,
            is_poisoned: false,
        })
    }

    /// Writes the header anew, of the same length, and waits until it is on the disk.
    pub(crate) fn change_header(path: &Path, header: &Header) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&header.bytes())?;
        file.sync_data()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Link, LogId};
    use std::fs;
    use tempfile::TempDir;

    fn header() -> Header {
        Header { link: Link::beginning(LogId([1; 16])), is_published: true }
    }

    #[test]
    fn chunks_follow_one_another() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "something that was there before").unwrap();
        let mut appender = Appender::create(&path, &header()).unwrap();
        let before = appender.position();
        assert_eq!(appender.append(b"").unwrap(), before);
        appender.append(b"*1\r\n$4\r\nPING\r\n").unwrap();
        appender.note_synced(14);
        let end = appender.append(b"*1\r\n$4\r\nPING\r\n").unwrap();
        assert_eq!(end.offset, 28);
        let written = fs::read(&path).unwrap();
        assert_eq!(written.len() as u64, appender.size());
        let text = String::from_utf8(written).unwrap();
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(lines[0].starts_with("#DARTER 1 p 0101010101"), "{text}");
        assert!(lines[1].starts_with("#C 0000000000000000 0000000e ffffffff "), "{text}");
        assert!(lines[5].starts_with("#C 000000000000000e 0000000e 00000000 "), "{text}");
        // What is behind a whole chunk is cut off.
        fs::write(&path, format!("{text}torn")).unwrap();
        let mut appender = Appender::reopen(&path, end, appender.size()).unwrap();
        appender.append(b"*1\r\n$4\r\nPING\r\n").unwrap();
        assert_eq!(fs::read(&path).unwrap().len() as u64, appender.size());
        let error = Appender::reopen(&path, end, appender.size() + 1).unwrap_err();
        assert!(error.to_string().contains("shorter"));
    }

    #[test]
    fn after_a_write_that_cannot_be_undone_nothing_is_appended() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let mut appender = Appender::create(&path, &header()).unwrap();
        let before = (appender.position(), appender.size());
        let writable = std::mem::replace(&mut appender.file, Arc::new(File::open(&path).unwrap()));
        for _ in 0..2 {
            assert!(matches!(appender.append(b"x"), Err(AppendError::Poisoned(_))));
            appender.file = Arc::clone(&writable);
        }
        assert_eq!((appender.position(), appender.size()), before);
        assert_eq!(fs::read(&path).unwrap().len() as u64, before.1);
    }

    /// A device that is always full, where there is one.
    #[test]
    fn what_does_not_fit_is_no_part_of_the_file() {
        let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        let mut appender = Appender::create(&path, &header()).unwrap();
        appender.file = Arc::new(full);
        let error = appender.append(b"x").unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(appender.position(), header().link.at);
    }
}
