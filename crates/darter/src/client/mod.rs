//! What the binary is besides a server: a client for probes and scripts.
//!
//! An image or a host that has Darter has a way to ask it something, without another program:
//! [`cli`] sends one command as `redis-cli` does, [`healthcheck`] asks whether the server serves.
//! [`invocation`] tells from the command line which of them is meant. None of them is a replacement
//! for `redis-cli`'s interactive modes.

pub(crate) mod cli;
pub(crate) mod healthcheck;
pub(crate) mod invocation;

mod connection;
mod print;
