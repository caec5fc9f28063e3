//! Commands about the client and the server.
//!
//! A file holds a command or a small group, a folder a container. Each command is a `static` beside
//! its function; [`COMMANDS`] lists them all, and containers list their subcommands once more.
//! Texts of errors are in [`error`].

#![allow(clippy::unnecessary_wraps, reason = "every command has the same signature")]

pub mod acl;
pub mod auth;
pub mod client;
pub mod cluster;
pub mod command;
pub mod command_log;
pub mod config;
pub mod connection;
pub mod debug;
pub mod error;
pub mod hash_import;
pub mod hotkeys;
pub mod info;
pub mod latency;
pub mod lolwut;
pub mod memory;
pub mod migrate;
pub mod module;
pub mod monitor;
pub mod persistence;
pub mod pubsub;
pub mod replication;
pub mod script;
pub mod server;
pub mod syncing;
pub mod transaction;
pub mod wait;

use crate::session_command::SessionCommand;

/// Every session command and subcommand, containers included.
pub static COMMANDS: &[&[&SessionCommand]] = &[
    acl::COMMANDS,
    auth::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    cluster::COMMANDS,
    command::COMMANDS,
    command_log::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    lolwut::COMMANDS,
    debug::COMMANDS,
    hash_import::COMMANDS,
    hotkeys::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    module::COMMANDS,
    monitor::COMMANDS,
    persistence::COMMANDS,
    pubsub::COMMANDS,
    replication::COMMANDS,
    syncing::COMMANDS,
    script::COMMANDS,
    server::COMMANDS,
    transaction::COMMANDS,
    wait::COMMANDS,
];
