//! Manifest to text.

use std::os::unix::ffi::OsStrExt as _;

use darter_base::split_args::append_quoted;

use super::{Entry, FileKind, Manifest};
use crate::position::{Link, Position};

pub(super) const LINK_KEY: &[u8] = b"darter-link";
pub(super) const SEAL_KEY: &[u8] = b"darter-seal";
pub(super) const SUM_MARK: &[u8] = b"#darter-manifest ";

impl Manifest {
    /// The text that [`Manifest::parse`] reads, in Redis's order: base, history, incremental files.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Some(entry) = &self.base {
            push_line(&mut text, FileKind::Base, entry);
        }
        for entry in &self.history {
            push_line(&mut text, FileKind::History, entry);
        }
        for entry in &self.incremental {
            push_line(&mut text, FileKind::Incremental, entry);
        }
        let sum = crc32c::crc32c(&text);
        text.extend_from_slice(SUM_MARK);
        text.extend_from_slice(format!("{sum:08x}\n").as_bytes());
        text
    }
}

fn push_line(text: &mut Vec<u8>, kind: FileKind, entry: &Entry) {
    text.extend_from_slice(b"file ");
    push_word(text, entry.name.as_bytes());
    text.extend_from_slice(format!(" seq {} type ", entry.sequence).as_bytes());
    text.push(kind.letter());
    for (key, value) in &entry.others {
        text.push(b' ');
        push_word(text, key);
        text.push(b' ');
        push_word(text, value);
    }
    if let Some(Link { log, at: Position { offset, chain } }) = entry.link {
        push_pair(text, LINK_KEY, &format!("{log}:{offset}:{chain:08x}"));
    }
    if let Some(seal) = entry.seal {
        push_pair(text, SEAL_KEY, &format!("{}:{:08x}", seal.bytes, seal.crc));
    }
    text.push(b'\n');
}

fn push_pair(text: &mut Vec<u8>, key: &[u8], value: &str) {
    text.push(b' ');
    text.extend_from_slice(key);
    text.push(b' ');
    text.extend_from_slice(value.as_bytes());
}

fn push_word(text: &mut Vec<u8>, word: &[u8]) {
    let is_plain = |&byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    // A `#` would be no comment there, but reads like one.
    if !word.is_empty() && word.iter().all(is_plain) && word[0] != b'#' {
        text.extend_from_slice(word);
    } else {
        append_quoted(text, word);
    }
}
