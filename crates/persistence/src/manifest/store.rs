//! The manifest on the disk.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::Manifest;
use crate::error::{LogError, Spot, Why};
use crate::place::Place;
use crate::sync::sync_directory;

/// More than any manifest: it has a line per file.
const BYTES_MAX: u64 = 16 << 20;

impl Manifest {
    /// Reads the manifest at `place`; `None` if there is none.
    pub fn load(place: &Place) -> Result<Option<Self>, LogError> {
        match Self::read(&place.manifest()) {
            Err(LogError { why: Why::Missing, .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(manifest) => Ok(Some(manifest)),
        }
    }

    /// Reads the manifest that the file at `path` is.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let io = |error| LogError::io(path, error);
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut text))
            .map_err(io)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(LogError::new(
                path,
                Spot::Whole,
                Why::Manifest("the manifest is too long"),
            ));
        }
        Self::parse(&text)
            .map_err(|(line, why)| LogError::new(path, Spot::Line(line), Why::Manifest(why)))
    }

    /// Puts this manifest in the place of the one at `place`. When it returns, that is on the disk, together with the
    /// names of all files that were created before.
    pub fn store(&self, place: &Place) -> Result<(), LogError> {
        self.write(place)?;
        Self::put_in_place(place)
    }

    /// The first half of [`Manifest::store`]: the new one is on the disk, beside the old one, which still counts.
    pub(crate) fn write(&self, place: &Place) -> Result<(), LogError> {
        let next = place.next_manifest();
        let written = File::create(&next).and_then(|mut file| {
            file.write_all(&self.render())?;
            file.sync_all()
        });
        written.map_err(|error| {
            // A file that could not be synced is not written again.
            let _ = fs::remove_file(&next);
            LogError::io(&next, error)
        })
    }

    /// The second half. After an error it is not known which of the two a restart will find.
    pub(crate) fn put_in_place(place: &Place) -> Result<(), LogError> {
        let path = place.manifest();
        fs::rename(place.next_manifest(), &path).map_err(|error| LogError::io(path, error))?;
        sync_directory(place.directory()).map_err(|error| LogError::io(place.directory(), error))
    }
}
