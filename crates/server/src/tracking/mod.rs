//! Client-side caching: telling clients that keys they have read have changed (`CLIENT TRACKING`).
//!
//! Which clients have read which key is in one [`table`] that all workers share, since a key can be
//! read on one worker and changed on another. Both are noted while the key's shard is held
//! ([`crate::observed`]), so no change falls between a read and the note of it. What a client asked for
//! is its session's ([`state`]); letters carry invalidations to its worker, which knows what to do with
//! them ([`delivery`]).
//!
//! When nobody tracks, a command costs one look at a word that says so.

pub mod delivery;
pub mod state;
pub mod table;

pub use delivery::{Invalidated, Invalidation, break_redirection};
pub use state::{Remember, Tracking};
pub use table::TrackingTable;
