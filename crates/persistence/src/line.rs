//! The lines in an incremental file that Redis takes for comments.
//!
//! ```text
//! #DARTER 1 <state, 1> <log, 32> <offset, 16> <chain, 8> <sum of the line, 8> CR LF       the first line of a file
//! #C <offset, 16> <length, 8> <unsynced, 8> <chain, 8> <sum of the line, 8> CR LF         in front of a chunk
//! ```
//!
//! Numbers are in hexadecimal, of a fixed width, so that a line is known by its length. The sum of a line is the
//! CRC32C of what precedes it there: a line that has it right is one, whatever is around. A chunk's chain
//! goes on from the chunk before, over its own line up to there, and over its bytes. *Unsynced* is how many bytes in front of
//! the chunk may not have reached the disk when it was written: damage before those cannot be the work of a power
//! cut. The *state* is `u` until a manifest names the file, if what was there before counts until then, and `p` otherwise.

use crate::position::{Link, LogId, Position, hex_number, hex_sum};

/// Of a file's first line.
pub(crate) const HEADER_BYTES: usize = 81;
/// Of the line in front of a chunk.
pub(crate) const CHUNK_LINE_BYTES: usize = 57;
/// How every header begins.
pub(crate) const HEADER_MARK: &[u8] = b"#DARTER ";
/// How every chunk's line begins.
pub(crate) const CHUNK_MARK: &[u8] = b"#C ";
/// What says that nothing is known of what is synced.
const UNSYNCED_UNKNOWN: u32 = u32::MAX;
/// No log gets that far; so that positions can be computed with.
const OFFSET_MAX: u64 = i64::MAX as u64;
/// Of a chunk's line, what the chain goes over: all in front of it.
const CHAINED_BYTES: usize = 38;
/// Sum, CR, LF.
const END_BYTES: usize = 10;

/// The first line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Where the file begins.
    pub(crate) link: Link,
    /// Whether it counts for certain: a file that does not may be there after a crash without a manifest that names it.
    pub(crate) is_published: bool,
}

impl Header {
    /// The line's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Link { log, at: Position { offset, chain } } = self.link;
        let state = if self.is_published { 'p' } else { 'u' };
        let line =
            sealed(format!("#DARTER 1 {state} {log} {offset:016x} {chain:08x} ").into_bytes());
        debug_assert_eq!(line.len(), HEADER_BYTES);
        line
    }

    /// What a line says, if it is one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let [mark, version, state, log, offset, chain] = fields(line, HEADER_BYTES)?;
        (mark == b"#DARTER" && version == b"1").then_some(())?;
        let is_published = match state {
            b"p" => true,
            b"u" => false,
            _ => return None,
        };
        let offset = hex_number(offset).filter(|&offset| offset <= OFFSET_MAX)?;
        let at = Position { offset, chain: hex_sum(chain)? };
        Some(Self { link: Link { log: LogId::parse(log)?, at }, is_published })
    }
}

/// The line in front of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkLine {
    /// Where the chunk begins.
    pub(crate) offset: u64,
    /// Its bytes, without the line.
    pub(crate) len: u32,
    /// How many bytes of the log in front of it may not have been synced; `None`: nobody knows.
    pub(crate) unsynced: Option<u32>,
    /// Of the position behind it.
    pub(crate) chain: u32,
}

impl ChunkLine {
    /// The line in front of `groups`, of `len` bytes, which follow `before`; `synced` is an offset that is on the disk.
    pub(crate) fn of(groups: &[u8], len: u32, before: Position, synced: Option<u64>) -> Self {
        let unsynced = synced
            .and_then(|synced| u32::try_from(before.offset.saturating_sub(synced)).ok())
            .filter(|&bytes| bytes != UNSYNCED_UNKNOWN);
        let mut line = Self { offset: before.offset, len, unsynced, chain: 0 };
        line.chain = chain_of(&line.bytes(), groups, before.chain);
        line
    }

    /// The log up to here was on the disk when the line was written.
    pub(crate) fn synced(&self) -> Option<u64> {
        self.offset.checked_sub(self.unsynced?.into())
    }

    /// The line's bytes.
    pub(crate) fn bytes(&self) -> [u8; CHUNK_LINE_BYTES] {
        let mut line = *b"#C oooooooooooooooo llllllll uuuuuuuu cccccccc ssssssss\r\n";
        push_hex(&mut line[3..19], self.offset);
        push_hex(&mut line[20..28], self.len.into());
        push_hex(&mut line[29..37], self.unsynced.unwrap_or(UNSYNCED_UNKNOWN).into());
        push_hex(&mut line[38..46], self.chain.into());
        let sum = crc32c::crc32c(&line[..CHUNK_LINE_BYTES - END_BYTES]);
        push_hex(&mut line[47..55], sum.into());
        line
    }

    /// What a line says, if it is one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let [mark, offset, len, unsynced, chain] = fields(line, CHUNK_LINE_BYTES)?;
        let unsynced = hex_sum(unsynced)?;
        (mark == b"#C").then_some(Self {
            offset: hex_number(offset).filter(|&offset| offset <= OFFSET_MAX)?,
            len: hex_sum(len)?,
            unsynced: (unsynced != UNSYNCED_UNKNOWN).then_some(unsynced),
            chain: hex_sum(chain)?,
        })
    }
}

/// The chain behind a chunk: of its line, as far as that says something else, and of its bytes.
pub(crate) fn chain_of(line: &[u8], groups: &[u8], before: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(before, &line[..CHAINED_BYTES]), groups)
}

/// Fills `digits` with the last digits of `number`, which has no more.
fn push_hex(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
    debug_assert_eq!(number, 0, "a number of more digits");
}

fn sealed(mut line: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&line);
    line.extend_from_slice(format!("{sum:08x}\r\n").as_bytes());
    line
}

/// The fields of a line of `len` bytes whose sum is right.
fn fields<const N: usize>(line: &[u8], len: usize) -> Option<[&[u8]; N]> {
    let line = line.get(..len)?;
    let (content, end) = line.split_at(len - END_BYTES);
    let sum = hex_sum(end.strip_suffix(b"\r\n")?)?;
    if sum != crc32c::crc32c(content) {
        return None;
    }
    let mut found = [b"".as_slice(); N];
    let mut fields = content.strip_suffix(b" ")?.split(|&byte| byte == b' ');
    for field in &mut found {
        *field = fields.next()?;
    }
    fields.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link { log: LogId([0xab; 16]), at: Position { offset: 0x1234, chain: 0x9_8765 } }
    }

    #[test]
    fn lines_come_back_and_no_bit_of_them_may_differ() {
        let header = Header { link: link(), is_published: true };
        for header in [header, Header { is_published: false, ..header }] {
            assert_eq!(Header::parse(&header.bytes()), Some(header));
        }
        let line = ChunkLine::of(b"abc", 3, link().at, Some(0x1200));
        assert_eq!(line.synced(), Some(0x1200));
        assert_eq!(ChunkLine::parse(&line.bytes()), Some(line));
        for (bytes, is_line) in [
            (header.bytes(), (|line| Header::parse(line).is_some()) as fn(&[u8]) -> bool),
            (line.bytes().to_vec(), |line| ChunkLine::parse(line).is_some()),
        ] {
            assert!(bytes.len() < 127 && is_line(&bytes));
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= 1 << bit;
                    assert!(!is_line(&bytes), "byte {at}, bit {bit}");
                }
                assert!(!is_line(&bytes[..at]));
            }
        }
    }

    #[test]
    fn what_is_not_known_to_be_synced_is_not_said_to_be() {
        let at = Position { offset: 1 << 40, chain: 0 };
        for synced in [None, Some(0)] {
            let line = ChunkLine::of(b"", 0, at, synced);
            assert_eq!(line.synced(), None);
            assert_eq!(ChunkLine::parse(&line.bytes()), Some(line));
        }
        assert_eq!(ChunkLine::of(b"", 0, at, Some(u64::MAX)).synced(), Some(1 << 40));
    }
}
