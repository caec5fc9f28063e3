//! The base: RDB, or commands, or RDB with commands behind it.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use super::survey::FileAt;
use super::{FileEnd, Reading, plain};
use crate::error::{LogError, Why};
use crate::manifest::Seal;

/// How RDB begins.
const RDB_MARKS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];
/// Longest of them.
const MARK_BYTES: usize = 6;

/// Loads the base.
pub(super) fn read(at: &FileAt, reading: &mut Reading<'_>) -> Result<FileEnd, LogError> {
    let io = |error| LogError::io(&at.path, error);
    let mut file = File::open(&at.path).map_err(io)?;
    if !is_rdb(&mut file).map_err(io)? {
        return plain::read_from(at, &mut file, 0, 0, reading);
    }
    let mut summed = Summed { file: &mut file, bytes: 0, crc: 0 };
    let len = reading
        .recipient
        .snapshot(&mut summed, &at.path)
        .map_err(|reason| LogError::at(&at.path, summed.bytes, Why::Refused(reason)))?;
    if len > summed.bytes {
        let reason = "the data are said to be longer than what was read of them".into();
        return Err(LogError::at(&at.path, summed.bytes, Why::Refused(reason)));
    }
    reading.whole = len;
    reading.recipient.progress(reading.bytes_before + len);
    if len == at.size {
        let seal = Seal { bytes: len, crc: summed.crc };
        return Ok(FileEnd {
            size: len,
            position: None,
            seal: Some(seal),
            torn: None,
            later: None,
        });
    }
    // What was read beyond the end of the RDB data is commands: they are summed again from there.
    let crc = crc_of(&mut file, len).map_err(io)?;
    plain::read_from(at, &mut file, len, crc, reading)
}

/// Whether the file begins as RDB does. Leaves it at its beginning.
pub(crate) fn is_rdb(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::with_capacity(MARK_BYTES);
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(MARK_BYTES as u64).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(RDB_MARKS.iter().any(|mark| start.starts_with(mark)))
}

/// The CRC32C of the first `len` bytes.
pub(super) fn crc_of(file: &mut File, len: u64) -> io::Result<u32> {
    file.seek(SeekFrom::Start(0))?;
    let mut summed = Summed { file, bytes: 0, crc: 0 };
    io::copy(&mut summed.by_ref().take(len), &mut io::sink())?;
    Ok(summed.crc)
}

/// Sums what passes.
pub(crate) struct Summed<'a> {
    pub(crate) file: &'a mut File,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        self.crc = crc32c::crc32c_append(self.crc, &buffer[..count]);
        Ok(count)
    }
}
