//! Commands about the client and the server.
//!
//! A file holds a command or a small group, a folder a container. Each command is a `static` beside
//! its function; [`COMMANDS`] lists them all, and containers list their subcommands once more.
//! Texts of errors are in [`error`].

#![allow(clippy::unnecessary_wraps, reason = "every command has the same signature")]

pub mod absent;
pub mod auth;
pub mod client;
pub mod command;
pub mod config;
pub mod connection;
pub mod debug;
pub mod error;
pub mod info;
pub mod memory;
pub mod server;

use crate::session_command::SessionCommand;

/// Every session command and subcommand, containers included.
pub static COMMANDS: &[&[&SessionCommand]] = &[
    auth::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    command::COMMANDS,
    config::COMMANDS,
    info::COMMANDS,
    debug::COMMANDS,
    memory::COMMANDS,
    absent::COMMANDS,
    server::COMMANDS,
];
