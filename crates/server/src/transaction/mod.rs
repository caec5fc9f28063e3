//! Transactions: commands that a client queues and then runs as one step.
//!
//! ```text
//! MULTI      the session gets a queue
//! ...        each command is looked up, placed, and copied into the queue
//! EXEC       the shards of all of them and of the watched keys are gathered, and while they are
//!            held the watched keys' versions are compared and the commands run, one by one
//! ```
//!
//! Gathering is the coordinator's ([`crate::pending`]), so a transaction is one operation like any
//! other over several shards, with the guarantees `docs/transactions.md` argues for. A transaction
//! over one shard takes that shard alone.
//!
//! The commands themselves are in [`crate::commands::transaction`].

mod execute;
mod queue;
mod watches;

pub use execute::{exec, shards_of};
pub use queue::Transaction;
pub use watches::{WatchedKey, Watches};
