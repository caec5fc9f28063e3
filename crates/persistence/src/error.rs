//! What may be wrong with a log.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// What is wrong, and where. Says what to do about it.
#[derive(Debug)]
pub struct LogError {
    /// The file or the directory.
    pub path: PathBuf,
    /// Where in it.
    pub spot: Spot,
    /// What is wrong.
    pub why: Why,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// All of it.
    Whole,
    /// A byte, counted from 0.
    Byte(u64),
    /// A line, counted from 1.
    Line(usize),
}

/// What is wrong with a log.
#[derive(Debug)]
pub enum Why {
    /// The system says so.
    Io(io::Error),
    /// The file is not there.
    Missing,
    /// The file has nothing in it, and should have.
    Empty,
    /// The manifest does not follow its format.
    Manifest(&'static str),
    /// Files of a log, and no manifest that says which of them count.
    NoManifest,
    /// A newer file, by name, than the manifest knows.
    OldManifest(PathBuf),
    /// The end of the file is not whole, and must be.
    Torn(String),
    /// Something in the file is not as it was written.
    Damaged(String),
    /// A file that is sound, but not the one that belongs here.
    Foreign(String),
    /// A command could not be carried out, or data could not be loaded.
    Refused(String),
}

/// A command that could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where in the file it begins.
    pub at: u64,
    /// Why.
    pub reason: String,
}

impl Refused {
    pub(crate) fn in_file(self, path: &Path) -> LogError {
        LogError::at(path, self.at, Why::Refused(self.reason))
    }
}

impl LogError {
    pub(crate) fn new(path: impl Into<PathBuf>, spot: Spot, why: Why) -> Self {
        Self { path: path.into(), spot, why }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, error: io::Error) -> Self {
        let why =
            if error.kind() == io::ErrorKind::NotFound { Why::Missing } else { Why::Io(error) };
        Self::new(path, Spot::Whole, why)
    }

    pub(crate) fn at(path: &Path, byte: u64, why: Why) -> Self {
        Self::new(path, Spot::Byte(byte), why)
    }

    /// What to do about it.
    pub const fn advice(&self) -> &'static str {
        match self.why {
            Why::Io(_) => "Nothing was changed.",
            Why::Missing | Why::Empty | Why::NoManifest | Why::OldManifest(_) | Why::Foreign(_) => {
                "Restore the whole directory as it was at one time, from a copy made while nothing wrote to \
                 it; or move it away to start without its data."
            }
            Why::Manifest(_) => {
                "Restore the manifest together with the files beside it. `darter check-aof <manifest>` says \
                 whether they fit."
            }
            Why::Torn(_) => {
                "Make a copy of the directory, then cut the end off with `darter check-aof --fix <manifest>`, or set \
                 aof-load-truncated to yes."
            }
            Why::Damaged(_) => {
                "Make a copy of the directory, then see with `darter check-aof <manifest>` what can be read; \
                 `--fix` cuts off the rest, if the file is the last one."
            }
            Why::Refused(_) => {
                "The file is not damaged in a way that its checksums show; `darter check-aof <manifest>` \
                 looks through all files."
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(out),
            Self::Missing => out.write_str("the file is missing"),
            Self::Empty => out.write_str("the file is empty, and something was written to it"),
            Self::Manifest(reason) => out.write_str(reason),
            Self::NoManifest => out.write_str(
                "there are files of a log, but no manifest that says which of them count",
            ),
            Self::OldManifest(newer) => {
                write!(
                    out,
                    "the manifest is older than {}, which it does not name",
                    newer.display()
                )
            }
            // As the peers say it, for those who search logs for that.
            Self::Torn(reason) => {
                write!(out, "Unexpected end of file reading the append only file: {reason}")
            }
            Self::Damaged(reason) => {
                write!(out, "Bad file format reading the append only file: {reason}")
            }
            Self::Foreign(reason) | Self::Refused(reason) => out.write_str(reason),
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(out)?;
        match self.spot {
            Spot::Whole => {}
            Spot::Byte(byte) => write!(out, ", byte {byte}")?,
            Spot::Line(line) => write!(out, ", line {line}")?,
        }
        if let Why::Missing = self.why {
            // As the system says it, for those who search logs for that.
            return write!(out, " is missing: No such file or directory. {}", self.advice());
        }
        write!(out, ": {}. {}", self.why, self.advice())
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Why::Io(error) = &self.why { Some(error) } else { None }
    }
}
