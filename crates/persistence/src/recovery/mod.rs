//! Reading a log from its beginning to its end.
//!
//! Everything that can be known without reading the files whole is checked first (`survey`): that they are there,
//! and that each begins where the one before ends. Then the base is loaded (`base`), and the files after it are read:
//! ours chunk by chunk (`chunks`), each compared with its checksum before anything of it is delivered, those of Redis
//! command by command (`plain`). Only the end of the last file may be torn.

mod base;
mod chunks;
mod damage;
mod groups;
mod plain;
mod survey;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use darter_resp::{Args, Limits};

use crate::error::{LogError, Why};
use crate::manifest::{Manifest, Seal};
use crate::place::Place;
use crate::position::{Link, Position};
use groups::Groups;
use survey::FileAt;
pub(crate) use survey::refuse_orphans;

/// How to read a log.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether a torn end is cut off (`aof-load-truncated`), or refused.
    pub cuts_torn_end: bool,
    /// Of an argument, and of a command (`proto-max-bulk-len`).
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { cuts_torn_end: true, limits: Limits::authenticated() }
    }
}

/// Takes what is in a log.
pub trait Recipient {
    /// So many bytes are going to be read. Called once, when all files are known to be there.
    fn begin(&mut self, bytes: u64);

    /// A file is going to be read.
    fn file(&mut self, path: &Path, bytes: u64);

    /// Loads the RDB data that `rdb` begins with, which may be read further than they go, and says how many bytes they
    /// are.
    fn snapshot(&mut self, rdb: &mut dyn Read, path: &Path) -> Result<u64, String>;

    /// Carries out a command. Those of a transaction come in a row, MULTI first and EXEC last, if all of them are
    /// there.
    fn command(&mut self, args: Args<'_>) -> Result<(), String>;

    /// So many bytes of all have been read.
    fn progress(&mut self, bytes: u64);
}

/// What was found.
#[derive(Debug)]
pub struct Recovered {
    /// The files, and what they consist of.
    pub manifest: Manifest,
    /// How the log goes on.
    pub tail: Tail,
    /// What was cut off at the end.
    pub torn: Option<Torn>,
    /// Bytes of all files that count, without what was cut off.
    pub bytes: u64,
    /// Bytes of the base.
    pub base_bytes: u64,
}

/// How a log goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// There is none: neither a manifest nor files of it.
    Nothing,
    /// In its last file.
    Open {
        /// The file.
        path: PathBuf,
        /// Where it ends.
        end: Link,
        /// Bytes of it.
        size: u64,
    },
    /// In a new file that begins there; `None`: the last one is not ours, and says nothing about it.
    Closed(Option<Link>),
}

/// What was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// From which file.
    pub path: PathBuf,
    /// How many bytes are left of it.
    pub kept_bytes: u64,
    /// How many are gone.
    pub cut_bytes: u64,
    /// What was wrong with them.
    pub reason: String,
}

/// Delivers what is in the log at `place`. On an error some of it may have been delivered, and no file was
/// changed; a log of Redis before 7.0 may have been moved to where it belongs now.
pub fn recover(
    place: &Place,
    options: &Options,
    recipient: &mut dyn Recipient,
) -> Result<Recovered, LogError> {
    crate::upgrade::upgrade(place)?;
    let Some(mut manifest) = Manifest::load(place)? else {
        refuse_orphans(place)?;
        return Ok(Recovered {
            manifest: Manifest::default(),
            tail: Tail::Nothing,
            torn: None,
            bytes: 0,
            base_bytes: 0,
        });
    };
    let files = survey::survey(place, &manifest)?;
    recipient.begin(files.iter().map(|file| file.size).sum());
    let mut reading = Reading { recipient, groups: Groups::new(options.limits), bytes_before: 0 };
    let last = files.len().wrapping_sub(1);
    let has_base = manifest.base.is_some();
    let (mut tail, mut torn, mut base_bytes) = (Tail::Closed(None), None, 0);
    for (index, file) in files.iter().enumerate() {
        reading.recipient.file(&file.path, file.size);
        let is_base = has_base && index == 0;
        let end = if is_base {
            base::read(file, &mut reading)?
        } else if file.header.is_some() {
            chunks::read(file, &mut reading)?
        } else {
            plain::read(file, &mut reading)?
        };
        if let Some(reason) = end.torn {
            let is_last = index == last;
            torn = Some(cut(file, end.size, is_last, reason, options)?);
        }
        if let Some(seal) = end.seal {
            check_seal(file, seal, end.size)?;
            let entry = if is_base {
                manifest.base.as_mut()
            } else {
                manifest.incremental.get_mut(index - usize::from(has_base))
            };
            if let Some(entry) = entry {
                entry.seal = Some(seal);
            }
        }
        if is_base {
            base_bytes = end.size;
        }
        tail = match (end.position, file.header) {
            (Some(at), Some(Link { log, .. })) => {
                Tail::Open { path: file.path.clone(), end: Link { log, at }, size: end.size }
            }
            _ => Tail::Closed(if is_base { file.link } else { None }),
        };
        reading.bytes_before += end.size;
        reading.recipient.progress(reading.bytes_before);
    }
    Ok(Recovered { manifest, tail, torn, bytes: reading.bytes_before, base_bytes })
}

/// What the reading of a file needs.
struct Reading<'a> {
    recipient: &'a mut dyn Recipient,
    groups: Groups,
    /// Of files that were read before.
    bytes_before: u64,
}

/// How a file ends.
struct FileEnd {
    /// Bytes up to where it is whole.
    size: u64,
    /// There, in the log, if it can be continued.
    position: Option<Position>,
    /// What it consists of, if it will not be continued.
    seal: Option<Seal>,
    /// What is wrong with the rest.
    torn: Option<String>,
}

impl Reading<'_> {
    /// Delivers the group that was found at the beginning of `window`, which is at `offset` of the file.
    fn deliver(&mut self, window: &[u8], path: &Path, offset: u64) -> Result<(), LogError> {
        for (at, args) in self.groups.commands(window) {
            if let Err(reason) = self.recipient.command(args) {
                return Err(LogError::at(path, offset + at as u64, Why::Refused(reason)));
            }
        }
        Ok(())
    }
}

fn check_seal(file: &FileAt, found: Seal, size: u64) -> Result<(), LogError> {
    match file.seal {
        Some(seal) if seal != found => {
            let reason = format!(
                "the file has {} bytes with the checksum {:08x}; the manifest says {} and {:08x}",
                found.bytes, found.crc, seal.bytes, seal.crc
            );
            Err(LogError::at(&file.path, size, Why::Damaged(reason)))
        }
        _ => Ok(()),
    }
}

/// Cuts the torn end of the last file off.
fn cut(
    file: &FileAt,
    size: u64,
    is_last: bool,
    reason: String,
    options: &Options,
) -> Result<Torn, LogError> {
    if !is_last {
        let reason = format!("{reason}, and another file follows");
        return Err(LogError::at(&file.path, size, Why::Damaged(reason)));
    }
    if !options.cuts_torn_end {
        return Err(LogError::at(&file.path, size, Why::Torn(reason)));
    }
    shorten(&file.path, size).map_err(|error| LogError::io(&file.path, error))?;
    let cut_bytes = file.size.saturating_sub(size);
    Ok(Torn { path: file.path.clone(), kept_bytes: size, cut_bytes, reason })
}

fn shorten(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(size)?;
    file.sync_all()
}
