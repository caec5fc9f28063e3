//! What the driver needs from an output buffer.

use std::io::IoSlice;

/// Bytes on their way out, sent from the front. Implemented by the crate that writes replies; the
/// runtime only sends.
pub trait Outgoing {
    /// Bytes not sent yet.
    fn len(&self) -> usize;

    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that is not sent yet, unless it lies in several pieces or there is nothing.
    fn contiguous(&self) -> Option<&[u8]>;

    /// Fills `slices` from the front with what is not sent yet and returns how many were filled.
    /// Fills at least one unless empty; need not cover everything.
    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;

    /// Drops the first `count` bytes, `count <= len()`.
    fn advance(&mut self, count: usize);

    /// Empties it, keeping at most `capacity_bytes_max` bytes of memory for the next use.
    fn clear(&mut self, capacity_bytes_max: usize);

    /// Heap memory held, for accounting.
    fn memory_bytes(&self) -> usize;
}
