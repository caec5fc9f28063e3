//! An incremental file of ours.

use std::fs::File;
use std::io;

use super::damage::{self, Verdict};
use super::groups::{Groups, Next};
use super::plain;
use super::survey::FileAt;
use super::{FileEnd, Later, Reading};
use crate::error::{LogError, Why};
use crate::line::{CHUNK_LINE_BYTES, ChunkLine, HEADER_BYTES, chain_of};
use crate::position::Position;
use crate::source::Source;

/// Reads a file whose header was read already.
pub(super) fn read(at: &FileAt, reading: &mut Reading<'_>) -> Result<FileEnd, LogError> {
    let io = |error: io::Error| LogError::io(&at.path, error);
    let Some(link) = at.header else { return plain::read(at, reading) };
    let mut file = File::open(&at.path).map_err(io)?;
    let mut source = Source::new(&mut file, HEADER_BYTES as u64).map_err(io)?;
    let mut position = link.at;
    let (mut is_continued, mut torn) = (false, None);
    let mut later = None;
    let mut size = source.offset();
    reading.whole = size;
    while at.until.is_none_or(|until| until.offset != position.offset) {
        source.fill(CHUNK_LINE_BYTES).map_err(io)?;
        let next = match next_chunk(&mut source, position).map_err(io)? {
            Found::End => break,
            Found::Commands => {
                is_continued = true;
                break;
            }
            Found::Chunk(line) => line,
            Found::Torn(reason) => {
                torn = Some(reason.to_owned());
                break;
            }
            Found::Damaged(damaged) => {
                match damage::judge(&mut source, &damaged).map_err(io)? {
                    Verdict::PowerCut => torn = Some(damaged.reason),
                    Verdict::Damage { later_chunks: 0 } => {
                        return Err(LogError::at(&at.path, size, Why::Damaged(damaged.reason)));
                    }
                    Verdict::Damage { later_chunks } => {
                        let reason =
                            format!("{}, and {later_chunks} chunks follow it", damaged.reason);
                        return Err(LogError::at(&at.path, size, Why::Damaged(reason)));
                    }
                }
                break;
            }
        };
        if let Some(of_chunk) = deliver(at, &source, next, reading)? {
            later = Some(Later { of_chunk });
            break;
        }
        let len = next.len as usize;
        source.consume(CHUNK_LINE_BYTES + len);
        position = Position { offset: position.offset + u64::from(next.len), chain: next.chain };
        size = source.offset();
        reading.whole = size;
        reading.report(size);
    }
    if let Some(until) = at.until
        && until != position
        && later.is_none()
    {
        let reason =
            torn.unwrap_or_else(|| format!("this is position {} of the log", position.offset));
        let reason = format!("{reason}; the next file goes on at {}", until.offset);
        return Err(LogError::at(&at.path, size, Why::Foreign(reason)));
    }
    if is_continued || (at.seal.is_some() && later.is_none()) {
        drop(source);
        return continued(at, &mut file, size, reading);
    }
    Ok(FileEnd { size, position: Some(position), seal: None, torn, later })
}

/// What follows the last whole chunk.
enum Found {
    End,
    /// Commands without a line in front: Redis has continued the file.
    Commands,
    /// In the window as a whole, as it was written.
    Chunk(ChunkLine),
    /// The file ends before it does.
    Torn(&'static str),
    Damaged(damage::Damaged),
}

fn next_chunk(source: &mut Source<'_>, position: Position) -> io::Result<Found> {
    let window = source.window();
    let damaged = |reason: String, len| {
        Ok(Found::Damaged(damage::Damaged { offset: position.offset, len, reason }))
    };
    if window.is_empty() {
        return Ok(Found::End);
    }
    if window[0] == b'*' || window.starts_with(b"#TS:") {
        return Ok(Found::Commands);
    }
    if window.len() < CHUNK_LINE_BYTES {
        return Ok(Found::Torn("the file ends within the line in front of a chunk"));
    }
    let Some(line) = ChunkLine::parse(window) else {
        return damaged("the line in front of a chunk is not as it was written".into(), 0);
    };
    let len = CHUNK_LINE_BYTES + line.len as usize;
    if line.offset != position.offset {
        let reason = format!(
            "a chunk of position {} is where that of position {} should be",
            line.offset, position.offset
        );
        return damaged(reason, len);
    }
    if !source.fill(len)? {
        return Ok(Found::Torn("the file ends within a chunk"));
    }
    let (text, groups) = source.window()[..len].split_at(CHUNK_LINE_BYTES);
    if chain_of(text, groups, position.chain) != line.chain {
        return damaged("a chunk does not fit its checksum".into(), len);
    }
    Ok(Found::Chunk(line))
}

/// Delivers what is in the chunk that the window begins with; up to which byte of it, if what follows is later than
/// asked for.
fn deliver(
    at: &FileAt,
    source: &Source<'_>,
    line: ChunkLine,
    reading: &mut Reading<'_>,
) -> Result<Option<usize>, LogError> {
    let mut rest = &source.window()[CHUNK_LINE_BYTES..CHUNK_LINE_BYTES + line.len as usize];
    let mut offset = source.offset() + CHUNK_LINE_BYTES as u64;
    while !rest.is_empty() {
        let len = match reading.groups.next(rest) {
            Next::Group(len) => {
                reading.deliver(rest, &at.path, offset)?;
                len
            }
            Next::Comment(len) if reading.is_later(&rest[..len]) => {
                return Ok(Some(line.len as usize - rest.len()));
            }
            Next::Comment(len) => len,
            Next::Unfinished { .. } => {
                reading.groups.forget();
                let reason = "a chunk ends within a command or a transaction".to_owned();
                return Err(LogError::at(&at.path, offset, Why::Damaged(reason)));
            }
            Next::Malformed { at: wrong, why } => {
                let offset = offset + wrong as u64;
                return Err(LogError::at(&at.path, offset, Why::Damaged(why.to_owned())));
            }
        };
        rest = &rest[len..];
        offset += len as u64;
    }
    Ok(None)
}

/// Reads what Redis has appended to the file, which is nobody's to continue then.
fn continued(
    at: &FileAt,
    file: &mut File,
    size: u64,
    reading: &mut Reading<'_>,
) -> Result<FileEnd, LogError> {
    let io = |error| LogError::io(&at.path, error);
    if !is_redis(&mut Source::new(file, size).map_err(io)?, &mut reading.groups).map_err(io)? {
        let reason = "commands that are not in a chunk".to_owned();
        return Err(LogError::at(&at.path, size, Why::Damaged(reason)));
    }
    let crc = super::base::crc_of(file, size).map_err(io)?;
    plain::read_from(at, file, size, crc, reading)
}

/// Whether the first commands are such that Redis may have written them after a start: it says first which database
/// it means. So what is there twice is not taken for what was added.
fn is_redis(source: &mut Source<'_>, groups: &mut Groups) -> io::Result<bool> {
    loop {
        match groups.next(source.window()) {
            Next::Group(_) => {
                let mut names = groups.commands(source.window()).map(|(_, args)| args.at(0));
                let is_select = |name: &[u8]| name.eq_ignore_ascii_case(b"SELECT");
                return Ok(names.by_ref().take(2).any(is_select));
            }
            Next::Comment(len) => source.consume(len),
            Next::Unfinished { needed } if source.fill(needed)? => {}
            // What is torn is judged like any other end.
            Next::Unfinished { .. } => {
                groups.forget();
                return Ok(true);
            }
            Next::Malformed { .. } => return Ok(false),
        }
    }
}
