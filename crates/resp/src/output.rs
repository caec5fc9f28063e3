//! The bytes waiting to be sent on one connection.

use std::io::IoSlice;
use std::sync::Arc;

/// Replies in the order they are to be sent: bytes written here, and shared buffers borrowed from
/// values without copying.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    /// Nothing to send, nothing allocated.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0 }
    }

    /// Bytes still to be sent.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a copy of `bytes`, already in wire format.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds `data` without copying it, unless it is small.
    pub fn push_shared(&mut self, data: Arc<Vec<u8>>) {
        self.bytes.extend_from_slice(&data);
    }

    /// The first contiguous piece still to be sent; empty only if nothing is.
    pub fn first_chunk(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Fills `slices` from the front with what is still to be sent and returns how many it filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let chunk = self.first_chunk();
        match slices.first_mut() {
            Some(slice) if !chunk.is_empty() => {
                *slice = IoSlice::new(chunk);
                1
            }
            _ => 0,
        }
    }

    /// Forgets the first `count` bytes: they were sent. Panics if there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes sent than were there");
        self.sent += count;
    }

    /// Moves everything in `other` behind what is here.
    pub fn append(&mut self, other: Self) {
        self.extend(other.first_chunk());
    }

    /// Moves everything out, leaving nothing here.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Drops everything unsent and keeps at most `capacity_bytes_max` bytes allocated.
    pub fn clear(&mut self, capacity_bytes_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity_bytes_max);
        self.sent = 0;
    }

    /// Bytes of memory held, shared buffers included.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
