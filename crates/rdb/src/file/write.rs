//! Records, appended to a vector.

use darter_base::UnixMillis;
use darter_value::{ObjectRef, ValueRef};

use super::{Checksum, opcodes};
use crate::compress::Compressor;
use crate::encode_value;
use crate::functions::encode_functions;
use crate::types::Version;
use crate::writer::{Output, push_count, push_number, push_string};

/// A key as it is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// What it holds.
    pub value: ValueRef<'a>,
    /// When it expires, in Unix milliseconds.
    pub deadline_ms: Option<u64>,
    /// What is known of its use.
    pub hint: Hint,
}

/// What eviction goes by, under the policy that the writer had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    #[default]
    None,
    /// Seconds since the last use.
    IdleSeconds(u64),
    /// The counter of uses.
    Frequency(u8),
}

/// Begins a file in `version`: 9 bytes for every version, so that it may be replaced afterwards.
pub fn push_header(out: &mut Vec<u8>, version: Version) {
    let number = version.0;
    let text = if version.is_valkey() {
        format!("VALKEY{number:03}")
    } else {
        format!("REDIS{number:04}")
    };
    out.extend_from_slice(text.as_bytes());
}

/// An auxiliary field: readers skip those they do not know.
pub fn push_aux(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(opcodes::AUX);
    push_string(out, name);
    push_string(out, value);
}

/// A library of functions.
pub fn push_function(out: &mut Vec<u8>, code: &[u8]) {
    encode_functions(out, code);
}

/// The keys that follow are of this database.
pub fn push_select(out: &mut Vec<u8>, index: u32) {
    out.push(opcodes::DATABASE);
    push_number(out, index.into());
}

/// As [`push_select`], and how many keys of it there are, and how many of those with a deadline: a hint.
pub fn push_database(out: &mut Vec<u8>, index: u32, keys: usize, with_deadline: usize) {
    push_select(out, index);
    out.push(opcodes::SIZES);
    push_count(out, keys);
    push_count(out, with_deadline);
}

/// A key with its value; the version that a reader must know, of which the header must be. Fields of a hash
/// that have expired at `now` are left out, and the key if it has no others: `None`, and nothing is appended.
pub fn push_entry(
    out: &mut Vec<u8>,
    entry: &Entry<'_>,
    compressor: &mut Compressor,
    now: UnixMillis,
) -> Option<Version> {
    if has_expired_wholly(entry.value, now) {
        return None;
    }
    push_preface(out, entry);
    let mut output = Output::with_key(out, compressor, entry.key);
    Some(encode_value::write(&mut output, entry.value, now))
}

/// What stands in front of the type of a value.
pub(super) fn push_preface(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if let Some(deadline_ms) = entry.deadline_ms {
        out.push(opcodes::DEADLINE_MS);
        out.extend(deadline_ms.to_le_bytes());
    }
    match entry.hint {
        Hint::None => {}
        Hint::IdleSeconds(seconds) => {
            out.push(opcodes::IDLE);
            push_number(out, seconds);
        }
        Hint::Frequency(counter) => out.extend([opcodes::FREQUENCY, counter]),
    }
}

pub(super) fn has_expired_wholly(value: ValueRef<'_>, now: UnixMillis) -> bool {
    let ValueRef::Object(ObjectRef::Hash(hash)) = value else { return false };
    if !hash.holds_deadlines() {
        return false;
    }
    let mut lives = false;
    hash.for_each(now.0, |_| lives = true);
    !lives
}

/// Ends a file. The checksum is that of all bytes before; without one, readers check nothing.
pub fn push_end(out: &mut Vec<u8>, checksum: Option<Checksum>) {
    out.push(opcodes::END);
    let sum = checksum.map_or(0, |mut checksum| {
        checksum.add(&[opcodes::END]);
        checksum.value()
    });
    out.extend(sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_to_the_byte() {
        let mut out = Vec::new();
        push_header(&mut out, Version::REDIS_7_0);
        push_aux(&mut out, b"redis-bits", b"64");
        push_database(&mut out, 3, 70, 1);
        let entry = |key, value| Entry { key, value, deadline_ms: None, hint: Hint::None };
        let now = UnixMillis(0);
        let mut push = |entry: Entry<'_>| {
            let version = push_entry(&mut out, &entry, &mut Compressor::on(), now);
            assert_eq!(version, Some(Version::REDIS_7_0));
        };
        push(entry(b"a", ValueRef::Bytes(b"x")));
        push(Entry { deadline_ms: Some(500), ..entry(b"12", ValueRef::Integer(-1)) });
        push(Entry { hint: Hint::Frequency(9), ..entry(b"f", ValueRef::Raw(b"")) });
        push(Entry {
            deadline_ms: Some(1),
            hint: Hint::IdleSeconds(64),
            ..entry(b"i", ValueRef::Bytes(&[b'a'; 100]))
        });
        let mut checksum = Checksum::new();
        checksum.add(&out);
        push_end(&mut out, Some(checksum));
        let expected = b"REDIS0010\
            \xfa\x0aredis-bits\xc0\x40\
            \xfe\x03\xfb\x40\x46\x01\
            \x00\x01a\x01x\
            \xfc\xf4\x01\0\0\0\0\0\0\x00\xc0\x0c\xc0\xff\
            \xf9\x09\x00\x01f\x00\
            \xfc\x01\0\0\0\0\0\0\0\xf8\x40\x40\x00\x01i\xc3\x05\x40\x64\x00a\xe0\x5a\0\
            \xff";
        assert_eq!(
            out[..expected.len()].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!(out.len(), expected.len() + 8);
        let mut out = Vec::new();
        push_header(&mut out, Version::VALKEY_9);
        push_end(&mut out, None);
        assert_eq!(out, b"VALKEY080\xff\0\0\0\0\0\0\0\0");
    }
}
