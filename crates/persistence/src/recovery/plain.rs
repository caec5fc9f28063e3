//! A file of commands without checksums, as Redis writes it.

use std::fs::File;
use std::io;

use super::groups::Next;
use super::survey::FileAt;
use super::{FileEnd, Later, Reading};
use crate::error::{LogError, Why};
use crate::manifest::Seal;
use crate::source::Source;

/// Reads a file from its beginning.
pub(super) fn read(at: &FileAt, reading: &mut Reading<'_>) -> Result<FileEnd, LogError> {
    let mut file = File::open(&at.path).map_err(|error| LogError::io(&at.path, error))?;
    read_from(at, &mut file, 0, 0, reading)
}

/// Reads a file from `offset`; `crc` is the sum of what is before.
pub(super) fn read_from(
    at: &FileAt,
    file: &mut File,
    offset: u64,
    crc: u32,
    reading: &mut Reading<'_>,
) -> Result<FileEnd, LogError> {
    let io = |error: io::Error| LogError::io(&at.path, error);
    let mut source = Source::summing(file, offset, crc).map_err(io)?;
    let mut later = None;
    let torn = loop {
        let offset = source.offset();
        reading.whole = offset;
        let len = match reading.groups.next(source.window()) {
            Next::Group(len) => {
                reading.deliver(source.window(), &at.path, offset)?;
                len
            }
            Next::Comment(len) if reading.is_later(&source.window()[..len]) => {
                later = Some(Later { of_chunk: 0 });
                break None;
            }
            Next::Comment(len) => len,
            Next::Unfinished { needed } => {
                if source.fill(needed).map_err(io)? {
                    continue;
                }
                if source.window().is_empty() {
                    break None;
                }
                break Some(if reading.groups.is_in_transaction() {
                    "the file ends within a transaction".to_owned()
                } else {
                    "the file ends within a command".to_owned()
                });
            }
            Next::Malformed { at: wrong, why } => {
                let spot = offset + wrong as u64;
                return Err(LogError::at(&at.path, spot, Why::Damaged(why.to_owned())));
            }
        };
        source.consume(len);
        reading.report(source.offset());
    };
    let size = source.offset();
    let seal = source.crc().map(|crc| Seal { bytes: size, crc });
    Ok(FileEnd { size, position: None, seal, torn, later })
}
