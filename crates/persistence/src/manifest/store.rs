//! The manifest on the disk.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};

use super::Manifest;
use crate::error::{LogError, Spot, Why};
use crate::place::Place;
use crate::sync::sync_directory;

/// More than any manifest: it has a line per file.
const BYTES_MAX: u64 = 16 << 20;

impl Manifest {
    /// Reads the manifest at `place`; `None` if there is none.
    pub fn load(place: &Place) -> Result<Option<Self>, LogError> {
        let path = place.manifest();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io(path, error)),
        };
        let mut text = Vec::new();
        if let Err(error) = file.take(BYTES_MAX + 1).read_to_end(&mut text) {
            return Err(LogError::io(path, error));
        }
        if text.len() as u64 > BYTES_MAX {
            return Err(LogError::new(
                path,
                Spot::Whole,
                Why::Manifest("the manifest is too long"),
            ));
        }
        match Self::parse(&text) {
            Ok(manifest) => Ok(Some(manifest)),
            Err((line, why)) => Err(LogError::new(path, Spot::Line(line), Why::Manifest(why))),
        }
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
        let io = |error| LogError::io(&next, error);
        let mut file = File::create(&next).map_err(io)?;
        file.write_all(&self.render()).map_err(io)?;
        file.sync_all().map_err(io)
    }

    /// The second half. After an error it is not known which of the two a restart will find.
    pub(crate) fn put_in_place(place: &Place) -> Result<(), LogError> {
        let path = place.manifest();
        fs::rename(place.next_manifest(), &path).map_err(|error| LogError::io(path, error))?;
        sync_directory(place.directory()).map_err(|error| LogError::io(place.directory(), error))
    }
}
