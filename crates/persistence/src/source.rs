//! A file that is read from its beginning, in a window that holds what is looked at as a whole.
//!
//! ```text
//! file:   consumed ... | window                | not read yet
//!                      offset
//! buffer:         ...  | start          filled | room
//! ```
//!
//! The window grows as bytes arrive, twofold each time, and never because of a length that is only declared.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

/// The buffer, unless something longer is looked at.
const BUFFER_BYTES: usize = 1 << 20;
/// A buffer beyond this is given back when what it was needed for is consumed.
const BUFFER_BYTES_KEPT: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Source<'f> {
    file: &'f mut File,
    buffer: Vec<u8>,
    /// `start <= filled <= buffer.len()`
    start: usize,
    filled: usize,
    /// Bytes of the file in front of the window.
    offset: u64,
    is_at_end: bool,
    /// The CRC32C of everything consumed, if anybody asks.
    crc: Option<u32>,
}

impl<'f> Source<'f> {
    /// Reads `file` from `offset`.
    pub(crate) fn new(file: &'f mut File, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self { file, buffer, start: 0, filled: 0, offset, is_at_end: false, crc: None })
    }

    /// As [`Source::new`], and sums what is consumed; `crc` is the sum of what is before `offset`.
    pub(crate) fn summing(file: &'f mut File, offset: u64, crc: u32) -> io::Result<Self> {
        Ok(Self { crc: Some(crc), ..Self::new(file, offset)? })
    }

    /// Where in the file the window begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The sum of everything in front of the window, if it is computed.
    pub(crate) const fn crc(&self) -> Option<u32> {
        self.crc
    }

    /// What was read and not consumed.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    /// Reads until the window holds `len` bytes; whether it does, or the file ends before.
    pub(crate) fn fill(&mut self, len: usize) -> io::Result<bool> {
        while self.filled - self.start < len {
            if self.is_at_end {
                return Ok(false);
            }
            self.read_more()?;
        }
        Ok(true)
    }

    /// The window is past `len` bytes, which it holds.
    pub(crate) fn consume(&mut self, len: usize) {
        let consumed = &self.buffer[self.start..self.start + len];
        self.crc = self.crc.map(|crc| crc32c::crc32c_append(crc, consumed));
        self.start += len;
        self.offset += len as u64;
        if self.buffer.len() > BUFFER_BYTES_KEPT && self.filled - self.start <= BUFFER_BYTES {
            self.move_to_front();
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    #[cold]
    fn read_more(&mut self) -> io::Result<()> {
        if self.start == self.filled || self.filled == self.buffer.len() {
            self.move_to_front();
        }
        if self.filled == self.buffer.len() {
            let more = self.buffer.len();
            self.buffer.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
            self.buffer.resize(2 * more, 0);
        }
        match self.file.read(&mut self.buffer[self.filled..]) {
            Ok(0) => self.is_at_end = true,
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
    }
}
