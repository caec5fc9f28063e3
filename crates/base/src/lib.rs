//! The vocabulary every other crate shares: identifiers, time and size units, hash slots.
//!
//! Nothing here does I/O, allocates on a hot path, reads a clock or knows a command. Read [`id`]
//! first.

#![forbid(unsafe_code)]

pub mod id;
pub mod time;

pub use id::{DbIndex, ShardId, Slot, WorkerId};
pub use time::UnixMillis;
