//! A connection's output buffer, as the runtime sends it.

use darter_resp::Output;
use darter_runtime::Outgoing;
use std::io::IoSlice;

/// Replies on their way to the socket: the reply writer fills it, the runtime sends it.
#[derive(Debug, Default)]
pub struct Outbox(pub Output);

impl Outgoing for Outbox {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contiguous(&self) -> Option<&[u8]> {
        self.0.contiguous()
    }

    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.0.io_slices(slices)
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }

    fn clear(&mut self, capacity_bytes_max: usize) {
        self.0.clear(capacity_bytes_max);
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}
