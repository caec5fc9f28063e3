//! Clients that wait for keys: `BLPOP` and its like, `XREAD BLOCK`.
//!
//! A command that may wait runs through the coordinator, over all shards of its keys. If it finds nothing,
//! it is made a [`Blocked`] and gets a place in the queue of each key, before the shards go back: so nothing
//! can become ready unnoticed. Whoever changes a key somebody waits for tries its waiters before the shard
//! goes back ([`serve`]): the waiter's own command is run again over the shards that are held, and its reply
//! is sent to its worker by mail ([`clients`]). `docs/transactions.md` says what that guarantees.
//!
//! Read [`waiter`] first.

pub mod clients;
pub mod deadlines;
pub mod errand;
pub mod serve;
pub mod waiter;

pub use deadlines::Deadlines;
pub use errand::Errand;
pub use serve::{Served, Serving, serve_ready};
pub use waiter::Blocked;
