//! Where a log is.

use crate::sync::sync_directory;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The directory of a log, and what its files are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server's working directory (`dir`), where logs of Redis before 7.0 are.
    above: PathBuf,
    /// The directory (`appenddirname`).
    directory: PathBuf,
    /// What names of files begin with (`appendfilename`).
    name: OsString,
}

impl Place {
    /// The log `name` in the directory `directory` of `above`.
    pub fn new(
        above: impl Into<PathBuf>,
        directory: impl AsRef<OsStr>,
        name: impl Into<OsString>,
    ) -> Self {
        let above = above.into();
        let directory = above.join(directory.as_ref());
        Self { above, directory, name: name.into() }
    }

    /// The log whose manifest is at `path`.
    pub fn of_manifest(path: &Path) -> Self {
        let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let name = path.file_name().unwrap_or_default().as_bytes();
        let name = name.strip_suffix(b".manifest").unwrap_or(name);
        Self { above: directory.clone(), directory, name: OsStr::from_bytes(name).to_owned() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What names of files begin with.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The path of a file in the directory.
    pub fn file(&self, name: &OsStr) -> PathBuf {
        self.directory.join(name)
    }

    /// The path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        self.file(&self.with_suffix(".manifest"))
    }

    /// Where the next manifest is written.
    pub(crate) fn next_manifest(&self) -> PathBuf {
        let mut name = OsString::from("temp-");
        name.push(self.with_suffix(".manifest"));
        self.file(&name)
    }

    /// A log of Redis before 7.0.
    pub(crate) fn single_file(&self) -> PathBuf {
        self.above.join(&self.name)
    }

    /// Creates the directory unless it is there. Anybody may be the first.
    ///
    /// # Errors
    /// When it cannot be created, or something else has its name.
    pub fn ensure_directory(&self) -> io::Result<()> {
        match fs::create_dir(&self.directory) {
            Ok(()) => sync_directory(self.above()),
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && self.directory.is_dir() =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The directory that the directory is in.
    pub(crate) fn above(&self) -> &Path {
        if self.above.as_os_str().is_empty() { Path::new(".") } else { &self.above }
    }

    pub(crate) fn with_suffix(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }
}
