//! The end-to-end test harness: real servers, real sockets, no mocks.
//!
//! * [`server`] starts and stops one server process, Darter or the oracle, as listed in [`mode`].
//! * [`client`] speaks raw RESP to it; [`value`] and [`reply`] keep exact shapes and exact bytes.
//! * [`transcript`] runs `tests/transcripts`: what each command must answer, as data.
//! * [`encodings`] has a key of every type in every form.
//! * [`diff`] sends one random command stream to two servers and compares everything.
//! * [`linear`] records concurrent histories and checks that they could have happened one by one.
//! * [`queues`] checks that what producers make reaches waiting consumers once and in order.
//! * [`bystander`] measures how long a command keeps another client waiting.
//! * [`mutation`] drives the entry points of fuzz targets.
//! * [`old_forms`] writes RDB files as servers of all times did.
//! * [`replication`] compares a primary with its replicas; [`cutter`] cuts the links between them.
//! * [`proxy`] breaks a server on purpose, to prove that the checkers notice.
//!
//! It does not use the shipped RESP code: a mistake made there must not be made here as well. It is
//! never a dependency of shipped code. Read [`transcript`] first.

#![forbid(unsafe_code)]

pub mod bystander;
pub mod client;
pub mod cutter;
pub mod diff;
pub mod durable;
pub mod encodings;
pub mod linear;
pub mod mode;
pub mod mutation;
pub mod old_forms;
pub mod proxy;
pub mod queues;
pub mod replication;
pub mod reply;
pub mod request;
pub mod rounds;
pub mod server;
pub mod transcript;
pub mod value;

pub use bystander::Bystander;
pub use client::{Client, ClientError, Reply};
pub use mode::{Feed, Protocol, ServerMode};
pub use server::{Server, ServerSpec, StartError};
pub use value::Value;
