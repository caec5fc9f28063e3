//! Reading a log from its beginning to its end.
//!
//! Everything that can be known without reading the files whole is checked first (`survey`): that they are there,
//! and that each begins where the one before ends. Then the base is loaded (`base`), and the files after it are read:
//! ours chunk by chunk (`chunks`), each compared with its checksum before anything of it is delivered, those of Redis
//! command by command (`plain`). Only the end of the last file may be torn.

pub(crate) mod base;
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

use darter_base::number::parse_i64;
use darter_resp::{Args, Limits};

use crate::error::{LogError, Refused, Why};
use crate::manifest::{Manifest, Seal};
use crate::place::Place;
use crate::position::{Link, Position};
use groups::Groups;
pub(crate) use survey::{FileAt, refuse_orphans, survey, survey_file};

/// Bytes between two reports of progress.
const REPORT_BYTES: u64 = 1 << 20;

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

    /// Carries out a command, which begins at byte `at` of the file, now or later. Those of a transaction come in a
    /// row, MULTI first and EXEC last, if all of them are there. An error may be about an earlier command.
    fn command(&mut self, at: u64, args: Args<'_>) -> Result<(), Refused>;

    /// The file at hand has been read, to its end or to what is wrong with it: everything has to be carried out now
    /// that was not.
    fn finish_file(&mut self) -> Result<(), Refused> {
        Ok(())
    }

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
    let files = survey(place, &manifest)?;
    recipient.begin(files.iter().map(|file| file.size).sum());
    let mut reading = Reading::new(recipient, options.limits);
    let last = files.len().wrapping_sub(1);
    let has_base = manifest.base.is_some();
    let (mut tail, mut torn, mut base_bytes) = (Tail::Closed(None), None, 0);
    for (index, file) in files.iter().enumerate() {
        reading.recipient.file(&file.path, file.size);
        let is_base = has_base && index == 0;
        let end = reading.read(file, is_base)?;
        if let Some(reason) = &end.torn {
            torn = Some(cut(file, end.size, index == last, reason, options)?);
        }
        if let Some(error) = file.seal_error(&end) {
            return Err(error);
        }
        if let Some(seal) = end.seal {
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

/// What the reading of files needs.
pub(crate) struct Reading<'a> {
    recipient: &'a mut dyn Recipient,
    groups: Groups,
    /// Of files that were read before.
    bytes_before: u64,
    /// Of all files, when that was reported last.
    reported: u64,
    /// The file at hand is whole up to there; after an error, too.
    whole: u64,
    /// Stops at the first comment that says a later time, in Unix seconds.
    last_second: Option<i64>,
}

/// How a file ends.
pub(crate) struct FileEnd {
    /// Bytes up to where it is whole.
    pub(crate) size: u64,
    /// There, in the log, if it can be continued.
    pub(crate) position: Option<Position>,
    /// What it consists of, if it will not be continued.
    pub(crate) seal: Option<Seal>,
    /// What is wrong with the rest.
    pub(crate) torn: Option<String>,
    /// Why the rest was not read.
    pub(crate) later: Option<Later>,
}

/// A comment that says a later time than was asked for.
#[derive(Debug)]
pub(crate) struct Later {
    /// Bytes in front of it in its chunk, which begins where the file's size is said to be.
    pub(crate) of_chunk: usize,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(recipient: &'a mut dyn Recipient, limits: Limits) -> Self {
        let groups = Groups::new(limits);
        Self { recipient, groups, bytes_before: 0, reported: 0, whole: 0, last_second: None }
    }

    /// Stops at the first comment that says a later time than this, in Unix seconds.
    pub(crate) const fn stop_after(&mut self, last_second: Option<i64>) {
        self.last_second = last_second;
    }

    /// Up to where the file that was read last is whole.
    pub(crate) const fn whole(&self) -> u64 {
        self.whole
    }

    /// Reads a file to where it is no longer whole.
    pub(crate) fn read(&mut self, file: &FileAt, is_base: bool) -> Result<FileEnd, LogError> {
        self.whole = 0;
        let end = if is_base {
            base::read(file, self)
        } else if file.header.is_some() {
            chunks::read(file, self)
        } else {
            plain::read(file, self)
        };
        // What was refused stands in front of what could not be read.
        self.recipient.finish_file().map_err(|refused| refused.in_file(&file.path))?;
        end
    }

    /// The file at hand has been read up to `offset`.
    fn report(&mut self, offset: u64) {
        let bytes = self.bytes_before + offset;
        if bytes.saturating_sub(self.reported) >= REPORT_BYTES {
            self.reported = bytes;
            self.recipient.progress(bytes);
        }
    }

    /// Whether a comment says a later time than is asked for.
    fn is_later(&self, comment: &[u8]) -> bool {
        let Some(last_second) = self.last_second else { return false };
        let time = comment.strip_prefix(b"#TS:").map(<[u8]>::trim_ascii_end).and_then(parse_i64);
        time.is_some_and(|time| time > last_second)
    }

    /// Delivers the group that was found at the beginning of `window`, which is at `offset` of the file.
    fn deliver(&mut self, window: &[u8], path: &Path, offset: u64) -> Result<(), LogError> {
        for (at, args) in self.groups.commands(window) {
            let carried_out = self.recipient.command(offset + at as u64, args);
            carried_out.map_err(|refused| refused.in_file(path))?;
        }
        Ok(())
    }
}

impl FileAt {
    /// What is wrong if the file is not what the manifest says that it consists of.
    pub(crate) fn seal_error(&self, end: &FileEnd) -> Option<LogError> {
        let (seal, found) = (self.seal?, end.seal?);
        let reason = format!(
            "the file has {} bytes with the checksum {:08x}; the manifest says {} and {:08x}",
            found.bytes, found.crc, seal.bytes, seal.crc
        );
        (seal != found).then(|| LogError::at(&self.path, end.size, Why::Damaged(reason)))
    }
}

/// Cuts the torn end of the last file off.
fn cut(
    file: &FileAt,
    size: u64,
    is_last: bool,
    reason: &str,
    options: &Options,
) -> Result<Torn, LogError> {
    if !is_last {
        let reason = format!("{reason}, and another file follows");
        return Err(LogError::at(&file.path, size, Why::Damaged(reason)));
    }
    let reason = reason.to_owned();
    if !options.cuts_torn_end {
        return Err(LogError::at(&file.path, size, Why::Torn(reason)));
    }
    shorten(&file.path, size).map_err(|error| LogError::io(&file.path, error))?;
    let cut_bytes = file.size.saturating_sub(size);
    Ok(Torn { path: file.path.clone(), kept_bytes: size, cut_bytes, reason })
}

pub(crate) fn shorten(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(size)?;
    file.sync_all()
}
