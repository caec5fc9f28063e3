//! A stream that is read piece by piece, in a buffer that holds one record as a whole.
//!
//! ```text
//! bytes: ... | record read so far | not read yet | room
//!            mark                 at             filled
//! ```
//!
//! The buffer grows as bytes of a record arrive, twofold each time, and never because of a length that is only
//! declared. Places within a record are counted from its start, since the record moves in the buffer.

use std::io::{self, Read};
use std::ops::Range;

use super::checksum::Checksum;
use super::error::Why;

/// The buffer when records are small.
const BUFFER_BYTES: usize = 128 << 10;
/// A buffer beyond this is given back after the record it was needed for.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Source<R> {
    from: R,
    bytes: Vec<u8>,
    /// Where the record at hand begins. `mark <= at <= filled <= bytes.len()`
    mark: usize,
    /// Up to where it has been read.
    at: usize,
    /// Up to where the buffer is filled.
    filled: usize,
    /// Bytes that have left the buffer.
    gone: u64,
    /// Of all bytes before `summed`, which is `<= at`.
    checksum: Checksum,
    summed: usize,
    sums: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            bytes: vec![0; BUFFER_BYTES],
            mark: 0,
            at: 0,
            filled: 0,
            gone: 0,
            checksum: Checksum::new(),
            summed: 0,
            sums: true,
        }
    }

    /// Computes no sum from now on.
    pub(super) const fn stop_summing(&mut self) {
        self.sums = false;
    }

    /// Bytes read so far.
    pub(super) const fn offset(&self) -> u64 {
        self.gone + self.at as u64
    }

    /// Begins a record: what was read before is no longer needed.
    pub(super) fn begin(&mut self) {
        self.mark = self.at;
        if self.bytes.len() > BUFFER_BYTES_KEPT && self.filled - self.at <= BUFFER_BYTES {
            self.move_to_front();
            self.bytes.truncate(BUFFER_BYTES);
            self.bytes.shrink_to_fit();
        }
    }

    /// Bytes of the record read so far.
    pub(super) const fn record_len(&self) -> usize {
        self.at - self.mark
    }

    /// A part of the record.
    pub(super) fn part(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.mark + range.start..self.mark + range.end]
    }

    /// The sum of everything read so far.
    pub(super) fn checksum(&mut self) -> u64 {
        self.sum_up();
        self.checksum.value()
    }

    /// Reads over `len` bytes, which are part of the record.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), Why> {
        let in_buffer = (self.filled - self.at) as u64;
        if len > in_buffer {
            // No file is that long.
            let len = usize::try_from(len).map_err(|_| Why::EndsEarly)?;
            self.fill(len)?;
            self.at += len;
        } else {
            self.at += usize::try_from(len).map_err(|_| Why::EndsEarly)?;
        }
        Ok(())
    }

    pub(super) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Why> {
        if self.filled - self.at < LEN {
            self.fill(LEN)?;
        }
        let taken = self.bytes[self.at..self.at + LEN].try_into().map_err(|_| Why::EndsEarly)?;
        self.at += LEN;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Why> {
        self.array().map(|[byte]| byte)
    }

    /// Whether the stream ends here.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Why> {
        match self.fill(1) {
            Ok(()) => Ok(false),
            Err(Why::EndsEarly) => Ok(true),
            Err(why) => Err(why),
        }
    }

    /// What has not been read.
    pub(super) fn into_rest(mut self) -> (Vec<u8>, R) {
        self.bytes.truncate(self.filled);
        self.bytes.drain(..self.at);
        (self.bytes, self.from)
    }

    /// Reads until `len` bytes are there that have not been read over.
    #[cold]
    fn fill(&mut self, len: usize) -> Result<(), Why> {
        while self.filled - self.at < len {
            if self.filled == self.bytes.len() || self.at > BUFFER_BYTES / 2 {
                self.move_to_front();
            }
            if self.filled == self.bytes.len() {
                let more = self.bytes.len();
                self.bytes
                    .try_reserve_exact(more)
                    .map_err(|_| Why::Io(io::Error::from(io::ErrorKind::OutOfMemory)))?;
                self.bytes.resize(2 * more, 0);
            }
            match self.from.read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Err(Why::EndsEarly),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Io(error)),
            }
        }
        Ok(())
    }

    fn move_to_front(&mut self) {
        self.sum_up();
        self.bytes.copy_within(self.mark..self.filled, 0);
        self.gone += self.mark as u64;
        self.at -= self.mark;
        self.filled -= self.mark;
        self.summed -= self.mark;
        self.mark = 0;
    }

    fn sum_up(&mut self) {
        if self.sums {
            self.checksum.add(&self.bytes[self.summed..self.at]);
        }
        self.summed = self.at;
    }
}
