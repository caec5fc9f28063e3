//! The bytes waiting to be sent on one connection.
//!
//! ```text
//! bytes    [ sent already | $5 CR LF hello CR LF $40000 CR LF | CR LF +OK CR LF ]
//!                         ^ sent                              ^ pieces[0].at
//! pieces                                                      [ 40000 shared bytes ]
//! ```
//!
//! Everything small is copied to the end of one vector. A large value is not: it becomes a *piece*, a
//! counted reference to the buffer the value is stored in, with the position in the vector it is to be
//! sent before. The same list takes the header of an array whose length became known only after much
//! of it was written. Sending walks both in order.
//!
//! One vector for all small bytes, rather than a chain of blocks as in Redis, keeps the common append
//! free of choices and the common send a single slice. Its price is that a vector which outgrows its
//! capacity is copied: at most twice the bytes written altogether.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use darter_base::SharedBytes;

use crate::ledger::Ledger;

/// Shared buffers below this size are copied: a slice more for the kernel to gather costs more than
/// copying a few kilobytes. Measured with `examples/shared_bench.rs` (AMD EPYC, loopback, November 2026),
/// sharing costs 100 to 300 ns more than copying up to 4 KB, the same at 8 to 16 KB, and saves a tenth
/// to a third from 32 KB on. What it saves in memory while a client is slow to read, it saves at any size.
pub const SHARED_BYTES_MIN: usize = 16 * 1024;

/// With fewer bytes than this behind it, the header of an array is put in its place by moving them.
const MOVED_BYTES_MAX: usize = 4096;

/// Sent bytes are given up for reuse once there are so many, and as many as unsent ones.
const COMPACTED_BYTES_MIN: usize = 64 * 1024;

/// Replies in the order they are to be sent. `Send`; belongs to one connection or one batch.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that were sent. No more than the first piece's `at`.
    sent: usize,
    /// In order of `at`; none is empty.
    pieces: VecDeque<Piece>,
    /// Unsent bytes in `pieces`.
    pieces_bytes: usize,
    pub(crate) ledger: Ledger,
}

/// `data[start..end]`, to be sent before `bytes[at]` of its output.
#[derive(Debug)]
struct Piece {
    at: usize,
    data: SharedBytes,
    start: usize,
    end: usize,
}

impl Piece {
    fn as_bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    const fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A position in an [`Output`] at which a header will be inserted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    at: usize,
    pieces: usize,
}

impl Output {
    /// Nothing to send, nothing allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes still to be sent.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.pieces_bytes
    }

    /// Whether there is nothing to be sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held, the shared buffers' unsent bytes included.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>() + self.pieces_bytes
    }

    /// Adds a copy of `bytes`, already in wire format.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds `data`, already in wire format, by reference unless it is short of [`SHARED_BYTES_MIN`].
    pub fn extend_shared(&mut self, data: &SharedBytes) {
        if data.len() < SHARED_BYTES_MIN {
            self.extend(data);
        } else {
            self.push_shared(data.clone());
        }
    }

    /// Adds `data`, already in wire format, by reference whatever its size.
    pub fn push_shared(&mut self, data: SharedBytes) {
        let piece = Piece { at: self.bytes.len(), start: 0, end: data.len(), data };
        self.push_piece(piece);
    }

    /// Adds `data[range]`, already in wire format, by reference if that is not too wasteful: it is not
    /// short of [`SHARED_BYTES_MIN`], nor of a quarter of the buffer it keeps alive.
    ///
    /// # Panics
    /// If the range is not inside of the data.
    pub fn extend_shared_range(&mut self, data: &SharedBytes, range: Range<usize>) {
        if range.len() < SHARED_BYTES_MIN || range.len() < data.len() / 4 {
            self.extend(&data[range]);
        } else {
            assert!(range.end <= data.len(), "a piece is inside of its buffer");
            let (start, end) = (range.start, range.end);
            self.push_piece(Piece { at: self.bytes.len(), data: data.clone(), start, end });
        }
    }

    /// Makes room for `additional` more bytes at once.
    pub fn reserve(&mut self, additional: usize) {
        self.bytes.reserve(additional);
    }

    /// Moves everything in `other` behind what is here. Copies at most [`SHARED_BYTES_MIN`] bytes.
    pub fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            other.ledger.append(&self.ledger);
            *self = other;
            return;
        }
        self.ledger.append(&other.ledger);
        let base = self.bytes.len();
        if other.bytes.len() - other.sent < SHARED_BYTES_MIN {
            self.extend(&other.bytes[other.sent..]);
            for mut piece in other.pieces {
                piece.at = base + piece.at - other.sent;
                self.push_piece(piece);
            }
            return;
        }
        // Too many bytes to copy: they become a shared buffer, cut where a piece goes between.
        let data = SharedBytes::from(other.bytes);
        let mut start = other.sent;
        for mut piece in other.pieces {
            let end = piece.at;
            self.push_piece(Piece { at: base, data: data.clone(), start, end });
            start = end;
            piece.at = base;
            self.push_piece(piece);
        }
        let end = data.len();
        self.push_piece(Piece { at: base, data, start, end });
    }

    /// Moves everything out, leaving nothing here and nothing allocated.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Drops everything unsent and keeps at most `capacity_bytes_max` bytes allocated.
    pub fn clear(&mut self, capacity_bytes_max: usize) {
        self.ledger = Ledger::default();
        self.bytes.clear();
        self.bytes.shrink_to(capacity_bytes_max);
        self.sent = 0;
        self.pieces.clear();
        self.pieces.shrink_to(capacity_bytes_max / size_of::<Piece>());
        self.pieces_bytes = 0;
    }

    /// The first contiguous bytes still to be sent; empty only if there are none.
    #[inline]
    pub fn first_chunk(&self) -> &[u8] {
        match self.pieces.front() {
            None => &self.bytes[self.sent..],
            Some(piece) if piece.at == self.sent => piece.as_bytes(),
            Some(piece) => &self.bytes[self.sent..piece.at],
        }
    }

    /// All that is still to be sent, unless it lies in several pieces or there is nothing.
    #[inline]
    pub fn contiguous(&self) -> Option<&[u8]> {
        let first = self.first_chunk();
        (first.len() == self.len() && !first.is_empty()).then_some(first)
    }

    /// Fills `slices` from the front with what is still to be sent, in order, and returns how many it
    /// filled; 0 only if there is nothing to be sent or no room.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks()) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// Everything still to be sent, in order; no chunk is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut position = self.sent;
        let before_pieces = self.pieces.iter().flat_map(move |piece| {
            let before = &self.bytes[position..piece.at];
            position = piece.at;
            [before, piece.as_bytes()]
        });
        let last = self.pieces.back().map_or(self.sent, |piece| piece.at);
        let after_pieces = std::iter::once(&self.bytes[last..]);
        before_pieces.chain(after_pieces).filter(|chunk| !chunk.is_empty())
    }

    /// Everything still to be sent, copied into one vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.chunks().collect::<Vec<_>>().concat()
    }

    /// Forgets the first `count` bytes: they were sent. Panics if there are fewer.
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len(), "more bytes sent than were there");
        self.ledger.assert_complete();
        while let Some(piece) = self.pieces.front_mut() {
            let before = piece.at - self.sent;
            if count < before {
                break;
            }
            count -= before;
            self.sent = piece.at;
            if count < piece.len() {
                piece.start += count;
                self.pieces_bytes -= count;
                return self.compact();
            }
            count -= piece.len();
            self.pieces_bytes -= piece.len();
            self.pieces.pop_front();
        }
        self.sent += count;
        self.compact();
    }

    /// Panics if a reply is incomplete, in builds with debug assertions.
    pub fn assert_complete(&self) {
        self.ledger.assert_complete();
    }

    /// Replies written since the last [`clear`](Self::clear) or [`take`](Self::take), pushes
    /// included. Counted in builds with debug assertions only: `None` in others.
    pub fn replies(&self) -> Option<u64> {
        self.ledger.values()
    }

    /// Panics if this is not as its fields' comments say.
    pub fn check_invariants(&self) {
        let mut position = self.sent;
        for piece in &self.pieces {
            assert!(position <= piece.at && piece.start < piece.end, "pieces out of order");
            assert!(piece.end <= piece.data.len(), "a piece ends behind its data");
            position = piece.at;
        }
        assert!(position <= self.bytes.len(), "more sent than there is");
        let pieces_bytes: usize = self.pieces.iter().map(Piece::len).sum();
        assert_eq!(pieces_bytes, self.pieces_bytes, "bytes in pieces");
    }

    /// The end of what was written so far.
    pub(crate) fn mark(&self) -> Mark {
        Mark { at: self.bytes.len(), pieces: self.pieces.len() }
    }

    /// Inserts `header` at `mark`. Nothing was sent since, and marks set later were used before.
    pub(crate) fn insert(&mut self, mark: Mark, header: &[u8]) {
        let len = self.bytes.len();
        if len - mark.at <= MOVED_BYTES_MAX {
            self.bytes.extend_from_slice(header);
            self.bytes.copy_within(mark.at..len, mark.at + header.len());
            self.bytes[mark.at..mark.at + header.len()].copy_from_slice(header);
            for piece in self.pieces.range_mut(mark.pieces..) {
                piece.at += header.len();
            }
        } else {
            let data = SharedBytes::from(header.to_vec());
            let piece = Piece { at: mark.at, start: 0, end: data.len(), data };
            self.pieces_bytes += piece.len();
            self.pieces.insert(mark.pieces, piece);
        }
    }

    /// Makes what was written since `mark`, which is in `bytes` alone, safe for one line.
    pub(crate) fn replace_line_ends_since(&mut self, mark: Mark) {
        for byte in &mut self.bytes[mark.at..] {
            if matches!(byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
    }

    fn push_piece(&mut self, piece: Piece) {
        if piece.len() > 0 {
            self.pieces_bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Gives up the room of sent bytes if that is worth it.
    fn compact(&mut self) {
        if self.sent == self.bytes.len() && self.pieces.is_empty() {
            self.bytes.clear();
            self.sent = 0;
        } else if self.sent >= COMPACTED_BYTES_MIN && self.sent >= self.bytes.len() - self.sent {
            self.bytes.drain(..self.sent);
            for piece in &mut self.pieces {
                piece.at -= self.sent;
            }
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests;
