//! The vocabulary every other crate shares: identifiers, time and size units, hash slots, and the
//! text forms Redis gives to numbers, patterns and quoted words.
//!
//! Nothing here does I/O, allocates on a hot path, reads a clock or knows a command. Read [`id`]
//! first.

#![forbid(unsafe_code)]

mod big_natural;
pub mod crc16;
pub mod crc64;
pub mod extended;
pub mod float;
pub mod glob;
pub mod id;
pub mod memory_size;
pub mod number;
mod rounding;
pub mod shared_bytes;
pub mod split_args;
pub mod time;

pub use id::{DbIndex, ShardId, Slot, WorkerId};
pub use shared_bytes::SharedBytes;
pub use time::UnixMillis;
