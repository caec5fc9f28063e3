//! Looking through the files of a log one by one, and repairing the last one, for `darter check-aof`.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use darter_resp::Limits;

use crate::appender::Appender;
use crate::error::{LogError, Spot, Why};
use crate::line::{CHUNK_LINE_BYTES, ChunkLine, HEADER_BYTES};
use crate::manifest::{FileKind, Manifest};
use crate::place::Place;
use crate::position::Position;
use crate::recovery::{FileAt, Reading, Recipient, base, shorten, survey, survey_file};

/// The files of a log, or one file by itself.
#[derive(Debug)]
pub struct Examination {
    files: Vec<(FileKind, FileAt)>,
    is_directory: bool,
}

/// What a file is like.
#[derive(Debug)]
pub struct Report {
    /// Bytes of it.
    pub size: u64,
    /// Bytes up to where it is whole.
    pub whole: u64,
    /// What is there.
    pub finding: Finding,
    /// Where what a command could be in begins.
    begins_at: u64,
    /// What to do to cut the rest off.
    cut: Cut,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Finding {
    /// Nothing.
    Sound,
    /// Nothing is in it.
    Empty,
    /// What follows is later than was asked for.
    Later,
    /// The rest is a torn end; the server cuts it off by itself, if it may.
    Torn(String),
    /// The rest cannot be read, and the server refuses it.
    Damaged(LogError),
}

/// How to shorten a file.
#[derive(Debug)]
struct Cut {
    path: PathBuf,
    to: u64,
    /// Bytes of the chunk there that are kept, and where in the log it begins.
    of_chunk: Option<(usize, Position)>,
}

impl Examination {
    /// Of what the file at `path` is: a manifest with the files it names, or a file of commands. Errors are what no
    /// file can be blamed for alone: one is missing, or belongs to another log.
    pub fn begin(path: &Path) -> Result<Self, LogError> {
        if !is_manifest(path).map_err(|error| LogError::io(path, error))? {
            let file = survey_file(path.to_owned())?;
            let mut opened = File::open(path).map_err(|error| LogError::io(path, error))?;
            let is_rdb = base::is_rdb(&mut opened).map_err(|error| LogError::io(path, error))?;
            let kind = if is_rdb { FileKind::Base } else { FileKind::Incremental };
            return Ok(Self { files: vec![(kind, file)], is_directory: false });
        }
        let manifest = Manifest::read(path)?;
        let kinds: Vec<_> = manifest.files().map(|(kind, _)| kind).collect();
        let files = survey(&Place::of_manifest(path), &manifest)?;
        Ok(Self { files: kinds.into_iter().zip(files).collect(), is_directory: true })
    }

    /// Whether there is a manifest.
    pub const fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// The files, in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = (FileKind, &Path)> {
        self.files.iter().map(|(kind, file)| (*kind, file.path.as_path()))
    }

    /// Whether the file at `index` begins with RDB data.
    pub fn is_rdb(&self, index: usize) -> io::Result<bool> {
        let Some((FileKind::Base, file)) = self.files.get(index) else { return Ok(false) };
        base::is_rdb(&mut File::open(&file.path)?)
    }

    /// Reads the file at `index`, as far as it is whole and up to the first comment that says a time later than `last_second`,
    /// in Unix seconds.
    pub fn examine(
        &self,
        index: usize,
        last_second: Option<i64>,
        limits: Limits,
        recipient: &mut dyn Recipient,
    ) -> Result<Report, LogError> {
        let Some((kind, file)) = self.files.get(index) else {
            return Err(LogError::new(PathBuf::new(), Spot::Whole, Why::Missing));
        };
        let cut = |to| Cut { path: file.path.clone(), to, of_chunk: None };
        let begins_at = if file.header.is_some() { HEADER_BYTES as u64 } else { 0 };
        let report = |whole, finding| {
            let size = file.size;
            Report { size, whole, finding, begins_at, cut: cut(whole) }
        };
        if file.size == 0 {
            return Ok(report(0, Finding::Empty));
        }
        let mut reading = Reading::new(recipient, limits);
        reading.stop_after(last_second);
        let end = match reading.read(file, *kind == FileKind::Base) {
            Ok(end) => end,
            Err(error @ LogError { why: Why::Io(_) | Why::Missing, .. }) => return Err(error),
            Err(error) => return Ok(report(reading.whole(), Finding::Damaged(error))),
        };
        if let Some(error) = file.seal_error(&end) {
            return Ok(report(end.size, Finding::Damaged(error)));
        }
        if let Some(reason) = end.torn {
            return Ok(report(end.size, Finding::Torn(reason)));
        }
        let Some(later) = end.later else { return Ok(report(end.size, Finding::Sound)) };
        let mut report = report(end.size, Finding::Later);
        if later.of_chunk > 0 {
            report.cut.of_chunk = end.position.map(|position| (later.of_chunk, position));
            report.whole += (CHUNK_LINE_BYTES + later.of_chunk) as u64;
        }
        Ok(report)
    }
}

impl Report {
    /// Whether nothing is in front of what would be cut off.
    pub fn keeps_nothing(&self) -> bool {
        self.cut.to <= self.begins_at && self.cut.of_chunk.is_none()
    }

    /// Cuts off what is not whole, or later than asked for.
    pub fn cut(&self) -> io::Result<()> {
        let Cut { path, to, of_chunk } = &self.cut;
        let Some((kept, position)) = *of_chunk else { return shorten(path, *to) };
        // A chunk of the beginning of this one takes its place.
        let mut groups = Vec::new();
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(to + CHUNK_LINE_BYTES as u64))?;
        file.take(kept as u64).read_to_end(&mut groups)?;
        let mut appender = Appender::reopen(path, position, *to)?;
        appender.append(&groups).map_err(io::Error::other)?;
        appender.sync_handle().sync()
    }
}

/// Whether a file is a manifest: by its name, whatever is left of it; else if its first line that is no comment is one of a
/// manifest. Lines of ours are comments, too.
fn is_manifest(path: &Path) -> io::Result<bool> {
    /// Longer than any comment of a manifest.
    const LINE_BYTES_MAX: u64 = 4096;
    if path.extension().is_some_and(|extension| extension == "manifest") {
        return Ok(true);
    }
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.first() != Some(&b'#') || ChunkLine::parse(&line).is_some() {
            return Ok(line.starts_with(b"file"));
        }
    }
}
