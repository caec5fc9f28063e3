//! What can be known of the files before they are read.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use darter_base::number::parse_i64;

use crate::error::{LogError, Spot, Why};
use crate::line::{HEADER_BYTES, HEADER_MARK, parse_header};
use crate::manifest::{FileKind, Manifest, Seal};
use crate::place::Place;
use crate::position::{Link, Position};

/// A file that counts.
#[derive(Debug)]
pub(super) struct FileAt {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    /// Where the manifest, or else its first line, says that it begins.
    pub(super) link: Option<Link>,
    /// Where its first line says that it begins: it is ours then.
    pub(super) header: Option<Link>,
    pub(super) seal: Option<Seal>,
    /// Where the next file begins, if this one must lead there.
    pub(super) until: Option<Position>,
}

/// The files that `manifest` names, if each begins where the one before may end.
pub(super) fn survey(place: &Place, manifest: &Manifest) -> Result<Vec<FileAt>, LogError> {
    let mut files = Vec::new();
    for (kind, entry) in manifest.files() {
        let path = place.file(&entry.name);
        let io = |error| LogError::io(&path, error);
        let mut file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if let Some(seal) = entry.seal
            && seal.bytes != size
        {
            let reason = format!("the file has {size} bytes, and was closed with {}", seal.bytes);
            return Err(LogError::at(&path, size.min(seal.bytes), Why::Damaged(reason)));
        }
        let header = match kind {
            FileKind::Base if size == 0 => {
                return Err(LogError::new(&path, Spot::Whole, Why::Empty));
            }
            FileKind::Incremental => read_header(&path, &mut file, entry.link)?,
            FileKind::Base | FileKind::History => None,
        };
        let link = entry.link.or(header);
        files.push(FileAt { path, size, link, header, seal: entry.seal, until: None });
    }
    connect(&mut files, manifest.base.is_some())?;
    refuse_newer(place, manifest)?;
    Ok(files)
}

/// The header of an incremental file; `None` for a file of Redis.
fn read_header(
    path: &Path,
    file: &mut File,
    expected: Option<Link>,
) -> Result<Option<Link>, LogError> {
    let mut line = Vec::with_capacity(HEADER_BYTES);
    let io = |error| LogError::io(path, error);
    file.take(HEADER_BYTES as u64).read_to_end(&mut line).map_err(io)?;
    let wrong = |why| Err(LogError::at(path, 0, why));
    match (parse_header(&line), expected) {
        (Some(found), Some(expected)) if found != expected => {
            let reason = if found.log == expected.log {
                format!(
                    "the file begins at position {} of its log, and the one that belongs here at {}",
                    found.at.offset, expected.at.offset
                )
            } else {
                format!("the file is of the log {}, not of {}", found.log, expected.log)
            };
            wrong(Why::Foreign(reason))
        }
        (Some(found), _) => Ok(Some(found)),
        // The header is on the disk before the manifest names the file.
        (None, Some(_)) if line.is_empty() => wrong(Why::Empty),
        (None, Some(_)) => wrong(Why::Damaged("the first line is not as it was written".into())),
        (None, None) if line.starts_with(HEADER_MARK) => {
            wrong(Why::Damaged("the first line is not as it was written".into()))
        }
        (None, None) => Ok(None),
    }
}

/// Checks that each file may begin where the one before ends, and notes where that must be.
fn connect(files: &mut [FileAt], has_base: bool) -> Result<(), LogError> {
    for index in 0..files.len() {
        let (before, rest) = files.split_at_mut(index);
        let Some(file) = rest.first() else { break };
        let Some(Link { log, at }) = file.link else { continue };
        let foreign = |reason| Err(LogError::at(&file.path, 0, Why::Foreign(reason)));
        let Some(before) = before.last_mut() else {
            if !has_base && at != Link::beginning(log).at {
                let at = at.offset;
                return foreign(format!(
                    "the log begins at position {at}, and nothing is before it"
                ));
            }
            continue;
        };
        match before.link {
            Some(link) if link.log == log => {
                if has_base && index == 1 && link.at != at {
                    return foreign(format!(
                        "the file begins at position {}, and the base is of position {}",
                        at.offset, link.at.offset
                    ));
                }
                before.until = Some(at);
            }
            // Somebody else has continued the log in between, and what there was then is sealed.
            Some(_) if before.seal.is_some() && !(has_base && index == 1) => {}
            Some(link) => {
                return foreign(format!(
                    "the file is of the log {log}, and the one before of {}",
                    link.log
                ));
            }
            None => {}
        }
    }
    Ok(())
}

/// Refuses files of the log that no manifest speaks of: they would silently not count.
pub(crate) fn refuse_orphans(place: &Place) -> Result<(), LogError> {
    match files_of(place)?.first() {
        Some(_) => Err(LogError::new(place.directory(), Spot::Whole, Why::NoManifest)),
        None => Ok(()),
    }
}

/// Refuses a manifest that is older than the directory: a file that goes on where its last one ends, and that
/// something was written to. (A file without anything may be there after a crash.)
fn refuse_newer(place: &Place, manifest: &Manifest) -> Result<(), LogError> {
    let Some(last) = manifest.incremental.last() else { return Ok(()) };
    let Some(Link { log, .. }) = last.link else { return Ok(()) };
    for (name, kind, sequence) in files_of(place)? {
        if kind != FileKind::Incremental || sequence <= last.sequence || manifest.names(&name) {
            continue;
        }
        let path = place.file(&name);
        let io = |error| LogError::io(&path, error);
        let mut file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let header = read_header(&path, &mut file, None).ok().flatten();
        if size > HEADER_BYTES as u64 && header.is_some_and(|link| link.log == log) {
            return Err(LogError::new(place.manifest(), Spot::Whole, Why::OldManifest(path)));
        }
    }
    Ok(())
}

/// The base and incremental files in the directory, by name.
fn files_of(place: &Place) -> Result<Vec<(OsString, FileKind, i64)>, LogError> {
    let directory = place.directory();
    let io = |error| LogError::io(directory, error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        if let Some((kind, sequence)) = kind_of(&name, place.name()) {
            files.push((name, kind, sequence));
        }
    }
    Ok(files)
}

/// What the file `name` of the log `log` is, by its name: `<log>.<number>.base.rdb` and the like.
fn kind_of(name: &OsStr, log: &OsStr) -> Option<(FileKind, i64)> {
    let rest = name.as_bytes().strip_prefix(log.as_bytes())?.strip_prefix(b".")?;
    let end = rest.iter().position(|&byte| byte == b'.')?;
    let kind = match &rest[end..] {
        b".base.rdb" | b".base.aof" => FileKind::Base,
        b".incr.aof" => FileKind::Incremental,
        _ => return None,
    };
    Some((kind, parse_i64(&rest[..end])?))
}
