//! The server: client sessions, dispatch of their commands to shards, and everything a client can
//! ask about the server itself.
//!
//! One [`worker::Worker`] runs on each worker thread as the runtime's service. It turns a
//! connection's input into windows of commands, runs those over shards it holds
//! ([`darter_txn::Window`]), sends those over several shards through the coordinator
//! ([`pending`]), and runs those about the session itself ([`commands`]).
//!
//! The crate knows no data type and no command family of `darter-commands`: those arrive as rows of
//! the command table. Read [`worker`] first, then [`dispatch`].

#![forbid(unsafe_code)]

pub mod access;
pub mod admission;
pub mod apart;
pub mod barrier;
pub mod blocking;
pub mod caller;
pub mod client_memory;
pub mod commands;
pub mod config;
mod delay;
pub mod departure;
pub mod dispatch;
pub mod fieldsets;
pub mod following;
pub mod histogram;
pub mod job;
pub mod journal;
pub mod late_reply;
pub mod loading;
pub mod mail;
pub mod memory;
pub mod metrics;
pub mod migration;
pub mod observed;
pub mod outbox;
pub mod pause;
pub mod pending;
pub mod place;
pub mod pubsub;
pub mod rates;
pub mod recording;
pub mod replication;
pub mod request;
pub mod residence;
pub mod saving;
pub mod scripting;
pub mod session;
pub mod session_command;
pub mod shared;
pub mod statistics;
pub mod survey;
pub mod tracking;
pub mod transaction;
pub mod waiting;
pub mod watch;
pub mod worker;

pub use config::{ConfigStore, Settings};
pub use mail::Mail;
pub use outbox::Outbox;
pub use session::Session;
pub use session_command::{Flow, SessionCall, SessionCommand, SessionRun};
pub use shared::{Identity, REDIS_VERSION, Running, Shared};
pub use worker::Worker;
