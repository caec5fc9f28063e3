//! The checksum at the end of a file.

use darter_base::crc64::crc64;

/// The sum over all bytes that have gone by. To be started with a file's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Of nothing.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds the bytes that follow.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = crc64(self.0, bytes);
    }

    /// As it is written.
    pub const fn value(self) -> u64 {
        self.0
    }
}
