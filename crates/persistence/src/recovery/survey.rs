//! What can be known of the files before they are read.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use darter_base::number::parse_i64;

use crate::error::{LogError, Spot, Why};
use crate::line::{HEADER_BYTES, HEADER_MARK, Header};
use crate::manifest::{FileKind, Manifest, Seal};
use crate::place::Place;
use crate::position::{Link, Position};

/// A file that counts.
#[derive(Debug)]
pub(crate) struct FileAt {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// Where the manifest, or else its first line, says that it begins.
    pub(super) link: Option<Link>,
    /// Where its first line says that it begins: it is ours then.
    pub(crate) header: Option<Link>,
    pub(super) seal: Option<Seal>,
    /// Where the next file begins, if this one must lead there.
    pub(super) until: Option<Position>,
}

/// The files that `manifest` names, if each begins where the one before may end.
pub(crate) fn survey(place: &Place, manifest: &Manifest) -> Result<Vec<FileAt>, LogError> {
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
            // One of commands may have none: a server of Redis that began with nothing.
            FileKind::Base if size == 0 && entry.name.as_bytes().ends_with(b".rdb") => {
                return Err(LogError::new(&path, Spot::Whole, Why::Empty));
            }
            FileKind::Incremental => read_header(&path, &mut file, entry.link)?,
            FileKind::Base | FileKind::History => None,
        };
        let header = header.map(|header| header.link);
        let link = entry.link.or(header);
        files.push(FileAt { path, size, link, header, seal: entry.seal, until: None });
    }
    connect(&mut files, manifest.base.is_some())?;
    refuse_newer(place, manifest)?;
    Ok(files)
}

/// A file by itself.
pub(crate) fn survey_file(path: PathBuf) -> Result<FileAt, LogError> {
    let io = |error| LogError::io(&path, error);
    let mut file = File::open(&path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let header = read_header(&path, &mut file, None)?.map(|header| header.link);
    Ok(FileAt { path, size, link: header, header, seal: None, until: None })
}

/// The header of an incremental file; `None` for a file of Redis.
fn read_header(
    path: &Path,
    file: &mut File,
    expected: Option<Link>,
) -> Result<Option<Header>, LogError> {
    let mut line = Vec::with_capacity(HEADER_BYTES);
    let io = |error| LogError::io(path, error);
    file.take(HEADER_BYTES as u64).read_to_end(&mut line).map_err(io)?;
    let wrong = |why| Err(LogError::at(path, 0, why));
    match (Header::parse(&line), expected) {
        (Some(Header { link: found, .. }), Some(expected)) if found != expected => {
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

/// Refuses files of the log when there is no manifest: they would silently not count. What a crash left behind before the
/// first manifest of a log of ours was written has a file among it that says so.
pub(crate) fn refuse_orphans(place: &Place) -> Result<(), LogError> {
    let (mut has_base, mut is_begun, mut counts) = (false, false, false);
    for (name, kind, _) in files_of(place)? {
        match kind {
            FileKind::Incremental => match Orphan::look_at(&place.file(&name))? {
                Orphan::Begun => is_begun = true,
                Orphan::Empty => {}
                Orphan::Published { .. } | Orphan::Foreign => counts = true,
            },
            FileKind::Base | FileKind::History => has_base = true,
        }
    }
    if counts || (has_base && !is_begun) {
        return Err(LogError::new(place.directory(), Spot::Whole, Why::NoManifest));
    }
    Ok(())
}

/// Refuses a manifest of ours that is older than the directory: one that does not name a later incremental file that something
/// was written to. (A file without anything may be there after a crash.)
fn refuse_newer(place: &Place, manifest: &Manifest) -> Result<(), LogError> {
    let Some(last) = manifest.incremental.last() else { return Ok(()) };
    if last.link.is_none() {
        return Ok(());
    }
    for (name, kind, sequence) in files_of(place)? {
        if kind != FileKind::Incremental || sequence <= last.sequence || manifest.names(&name) {
            continue;
        }
        let path = place.file(&name);
        if matches!(
            Orphan::look_at(&path)?,
            Orphan::Published { has_content: true } | Orphan::Foreign
        ) {
            return Err(LogError::new(place.manifest(), Spot::Whole, Why::OldManifest(path)));
        }
    }
    Ok(())
}

/// An incremental file that the manifest does not name.
enum Orphan {
    /// Begun for a manifest that was to be written.
    Begun,
    /// One did name it.
    Published {
        /// Whether there are chunks in it.
        has_content: bool,
    },
    /// Nothing is in it, or not all of its header.
    Empty,
    /// Of Redis, or damaged.
    Foreign,
}

impl Orphan {
    fn look_at(path: &Path) -> Result<Self, LogError> {
        let io = |error| LogError::io(path, error);
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut line = Vec::with_capacity(HEADER_BYTES);
        file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut line).map_err(io)?;
        Ok(match Header::parse(&line) {
            Some(Header { is_published: false, .. }) => Self::Begun,
            Some(_) => Self::Published { has_content: size > HEADER_BYTES as u64 },
            None if line.len() < HEADER_BYTES && HEADER_MARK.starts_with(head(&line)) => {
                Self::Empty
            }
            None if line.iter().all(|&byte| byte == 0) => Self::Empty,
            None => Self::Foreign,
        })
    }
}

/// As much of the line as a header's mark is long.
fn head(line: &[u8]) -> &[u8] {
    &line[..line.len().min(HEADER_MARK.len())]
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
