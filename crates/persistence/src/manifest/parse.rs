//! Text to manifest.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use darter_base::number::parse_i64;
use darter_base::split_args::split_args;

use super::render::{LINK_KEY, SEAL_KEY, SUM_MARK};
use super::{Entry, FileKind, Manifest, Seal};
use crate::position::{Link, LogId, Position, hex_sum};

/// Longest line, with its end: what Redis reads.
const LINE_BYTES_MAX: usize = 1024;
/// What Redis says of most things that are wrong; its tests look for it.
const FORMAT: &str = "Invalid AOF manifest file format";

impl Manifest {
    /// The manifest that `text` is; otherwise the line that is wrong, counted from 1, and how.
    pub fn parse(text: &[u8]) -> Result<Self, (usize, &'static str)> {
        if text.is_empty() {
            return Err((1, "Found an empty AOF manifest"));
        }
        let mut manifest = Self::default();
        let mut is_summed = false;
        let mut is_ours = false;
        let mut position = 0;
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let number = index + 1;
            let wrong = |reason| (number, reason);
            if is_summed {
                return Err(wrong("a line behind the checksum, which is the last"));
            }
            if line.first() == Some(&b'#') {
                if line.starts_with(SUM_MARK) {
                    check_sum(line, &text[..position]).map_err(wrong)?;
                    is_summed = true;
                }
            } else if line.len() > LINE_BYTES_MAX || line.last() != Some(&b'\n') {
                return Err(wrong("The AOF manifest file contains too long line"));
            } else {
                let (kind, entry) = parse_line(line).map_err(wrong)?;
                is_ours |= entry.link.is_some() || entry.seal.is_some();
                manifest.take(kind, entry).map_err(wrong)?;
            }
            position += line.len();
        }
        if is_ours && !is_summed {
            let lines = text.split_inclusive(|&byte| byte == b'\n').count();
            return Err((lines, "the checksum that must be the last line is not there"));
        }
        if manifest.is_empty() {
            return Err((1, "the manifest names no file that counts"));
        }
        Ok(manifest)
    }

    fn take(&mut self, kind: FileKind, entry: Entry) -> Result<(), &'static str> {
        match kind {
            FileKind::Base if self.base.is_some() => {
                return Err("Found duplicate base file information");
            }
            FileKind::Base => self.base = Some(entry),
            FileKind::History => self.history.push(entry),
            FileKind::Incremental => {
                if self.incremental.last().is_some_and(|last| entry.sequence <= last.sequence) {
                    return Err("Found a non-monotonic sequence number");
                }
                self.incremental.push(entry);
            }
        }
        Ok(())
    }
}

fn check_sum(line: &[u8], before: &[u8]) -> Result<(), &'static str> {
    let sum = line[SUM_MARK.len()..].strip_suffix(b"\n").and_then(hex_sum);
    match sum {
        None => Err("the checksum of the manifest is not whole"),
        Some(sum) if sum != crc32c::crc32c(before) => {
            Err("the checksum of the manifest is wrong: something above was changed")
        }
        Some(_) => Ok(()),
    }
}

fn parse_line(line: &[u8]) -> Result<(FileKind, Entry), &'static str> {
    if line.contains(&0) {
        return Err(FORMAT);
    }
    let words = split_args(line).map_err(|_| FORMAT)?;
    if words.len() < 6 {
        return Err(FORMAT);
    }
    let (pairs, []) = words.as_chunks::<2>() else { return Err(FORMAT) };
    let (mut name, mut sequence, mut kind) = (None, None, None);
    let (mut link, mut seal, mut others) = (None, None, Vec::new());
    for [key, value] in pairs {
        if key.eq_ignore_ascii_case(b"file") {
            name = Some(parse_name(value)?);
        } else if key.eq_ignore_ascii_case(b"seq") {
            sequence = Some(parse_i64(value).filter(|&number| number > 0).ok_or(FORMAT)?);
        } else if key.eq_ignore_ascii_case(b"type") {
            kind = Some(match value.first() {
                Some(b'b') => FileKind::Base,
                Some(b'h') => FileKind::History,
                Some(b'i') => FileKind::Incremental,
                _ => return Err("Unknown AOF file type"),
            });
        } else if key == LINK_KEY {
            link = Some(parse_link(value).ok_or("the link is malformed")?);
        } else if key == SEAL_KEY {
            seal = Some(parse_seal(value).ok_or("the seal is malformed")?);
        } else {
            others.push((key.clone(), value.clone()));
        }
    }
    let (Some(name), Some(sequence), Some(kind)) = (name, sequence, kind) else {
        return Err(FORMAT);
    };
    Ok((kind, Entry { name, sequence, link, seal, others }))
}

fn parse_name(name: &[u8]) -> Result<OsString, &'static str> {
    let is_path = name.contains(&b'/') || name.contains(&b'\\') || matches!(name, b"." | b"..");
    match name {
        b"" => Err(FORMAT),
        _ if is_path => Err("File can't be a path, just a filename"),
        _ => Ok(OsString::from_vec(name.to_vec())),
    }
}

fn parse_link(text: &[u8]) -> Option<Link> {
    let [log, offset, chain] = colon_separated(text)?;
    let at = Position { offset: unsigned(offset)?, chain: hex_sum(chain)? };
    Some(Link { log: LogId::parse(log)?, at })
}

fn parse_seal(text: &[u8]) -> Option<Seal> {
    let [bytes, crc] = colon_separated(text)?;
    Some(Seal { bytes: unsigned(bytes)?, crc: hex_sum(crc)? })
}

fn colon_separated<const N: usize>(text: &[u8]) -> Option<[&[u8]; N]> {
    let parts: Vec<_> = text.split(|&byte| byte == b':').collect();
    parts.try_into().ok()
}

fn unsigned(text: &[u8]) -> Option<u64> {
    parse_i64(text).and_then(|number| u64::try_from(number).ok())
}
