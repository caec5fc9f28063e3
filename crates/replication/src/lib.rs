//! The protocol of replication: histories and places in them, what is kept of a stream, and what servers say to each
//! other before it flows.
//!
//! A *history* is a sequence of changes that has a name, 40 hexadecimal digits ([`ReplicationId`]). A place in it is the
//! number of bytes that came before ([`Offset`]). Whoever has all of a history up to some place can go on from there if
//! whoever it asks still has the rest in its [`Backlog`] (a *partial sync*); otherwise it gets all data of one instant, and
//! the place in the history where they are (a *full sync*).
//!
//! Nothing here knows sockets, threads, clocks or shards. Read [`History`] first.

#![forbid(unsafe_code)]

mod backlog;
mod handshake;
mod history;
mod id;
mod offset;
mod request;
mod stream;
mod transfer;

pub use backlog::Backlog;
pub use handshake::{Answer, Handshake, Introduction};
pub use history::{Fork, History};
pub use id::ReplicationId;
pub use offset::Offset;
pub use request::SyncRequest;
pub use stream::{Next, Units};
pub use transfer::{Announced, Extent};
