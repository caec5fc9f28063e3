//! A log of Redis before 7.0, which is one file, becomes the base of a directory.

use std::fs;

use crate::error::LogError;
use crate::manifest::{Entry, Manifest};
use crate::place::Place;
use crate::sync::sync_directory;

/// Moves the single file into the directory if it is there and the directory says nothing else. Each step may be
/// the last one before a crash: then it is done again.
pub(crate) fn upgrade(place: &Place) -> Result<(), LogError> {
    let single = place.single_file();
    if !single.is_file() {
        return Ok(());
    }
    let destination = place.file(place.name());
    let is_begun = |manifest: &Manifest| {
        let is_it = |base: &Entry| base.name == place.name();
        manifest.incremental.is_empty() && manifest.base.as_ref().is_none_or(is_it)
    };
    if Manifest::load(place)?.is_some_and(|manifest| !is_begun(&manifest)) || destination.exists() {
        return Ok(());
    }
    super::recovery::refuse_orphans(place)?;
    let directory = place.directory();
    let io = |error| LogError::io(directory, error);
    place.ensure_directory().map_err(io)?;
    let base = Some(Entry::plain(place.name().to_owned(), 1));
    Manifest { base, ..Manifest::default() }.store(place)?;
    fs::rename(&single, &destination).map_err(|error| LogError::io(&single, error))?;
    sync_directory(directory).map_err(io)?;
    sync_directory(place.above()).map_err(|error| LogError::io(place.above(), error))
}
