//! Commands about the client and the server.

pub mod connection;

use crate::session_command::SessionCommand;

/// Every session command and subcommand, containers included.
pub static COMMANDS: &[&SessionCommand] = &[&connection::PING, &connection::SELECT];
