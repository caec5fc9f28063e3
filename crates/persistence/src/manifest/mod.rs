//! The manifest: which files make up a log.
//!
//! A line per file, of pairs of a key and a value, as Redis 7 writes it; quoted as in its configuration where need
//! be. Two more pairs, which Redis ignores, and a comment as the last line are ours:
//!
//! ```text
//! file appendonly.aof.2.base.rdb seq 2 type b darter-link <log>:<offset>:<chain> darter-seal <bytes>:<crc>
//! file appendonly.aof.1.incr.aof seq 1 type h
//! file appendonly.aof.2.incr.aof seq 2 type i darter-link <log>:<offset>:<chain>
//! #darter-manifest <crc of everything above>
//! ```
//!
//! A *link* says where in the log the file begins, a *seal* how many bytes a file that will not change any
//! more has, and their CRC32C. Where there is a link or a seal the last line must be there: without it lines could be
//! missing.

mod parse;
mod render;
mod store;

use std::ffi::{OsStr, OsString};

use crate::position::Link;

/// The files of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Everything at one instant.
    pub base: Option<Entry>,
    /// Files that no longer count, and may be deleted.
    pub history: Vec<Entry>,
    /// What has changed since, in order; sequence numbers rise.
    pub incremental: Vec<Entry>,
}

/// What the manifest says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which is no path.
    pub name: OsString,
    /// Its number among those of its kind, at least 1.
    pub sequence: i64,
    /// Where in the log it begins; `None` for a file of Redis.
    pub link: Option<Link>,
    /// What it consists of, where that is known.
    pub seal: Option<Seal>,
    /// Pairs of keys and values that are not ours to understand, unquoted.
    pub others: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// All of its bytes.
    pub bytes: u64,
    /// Their CRC32C.
    pub crc: u32,
}

impl Seal {
    /// Of a file without bytes.
    pub const EMPTY: Self = Self { bytes: 0, crc: 0 };

    /// The file goes on with `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
    }
}

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Everything at one instant.
    Base,
    /// Nothing any more.
    History,
    /// What has changed since.
    Incremental,
}

impl FileKind {
    const fn letter(self) -> u8 {
        match self {
            Self::Base => b'b',
            Self::History => b'h',
            Self::Incremental => b'i',
        }
    }
}

impl Manifest {
    /// Whether it names no file that counts.
    pub const fn is_empty(&self) -> bool {
        self.base.is_none() && self.incremental.is_empty()
    }

    /// The files that count, in the order in which they are read.
    pub fn files(&self) -> impl Iterator<Item = (FileKind, &Entry)> {
        let base = self.base.iter().map(|entry| (FileKind::Base, entry));
        base.chain(self.incremental.iter().map(|entry| (FileKind::Incremental, entry)))
    }

    /// Whether some file of any kind is called that.
    pub(crate) fn names(&self, name: &OsStr) -> bool {
        let mut all = self.base.iter().chain(&self.history).chain(&self.incremental);
        all.any(|entry| entry.name == name)
    }
}

impl Entry {
    /// A file of which nothing else is known.
    pub const fn plain(name: OsString, sequence: i64) -> Self {
        Self { name, sequence, link: None, seal: None, others: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
