//! The binary from end to end: a process with a directory of its own, spoken to over its socket.
#![expect(clippy::unwrap_used, reason = "tests end with the first thing that goes wrong")]

mod check_aof;
mod check_rdb;
mod client;
mod configuration;
mod process;
mod shipped_files;
mod support;
