//! Getting names of files onto the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the entries of a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
