//! Getting names of files onto the disk.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes the entries of a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates the directory `path` in `above` unless it is there.
pub(crate) fn ensure_directory(path: &Path, above: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => sync_directory(if above.as_os_str().is_empty() { Path::new(".") } else { above }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
