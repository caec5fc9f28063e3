//! MONITOR: shows the client every command of every client. What is shown, and how it comes there, is
//! told in [`crate::watch::monitor`].

use crate::commands::error::ServerError;
use crate::session_command::SessionCommand;
use darter_command_table::{Arity, Command, Flags, Group, Handler};

/// The command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&MONITOR];

/// Shows every command.
pub static MONITOR: SessionCommand = SessionCommand::alone(
    Command {
        name: "MONITOR",
        group: Group::Server,
        summary: "Shows every command that the server runs.",
        complexity: "O(1); from then on every command of every client costs a line.",
        arity: Arity::Exactly(1),
        flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
        handler: Handler::Session,
        ..Command::BASE
    },
    |call| {
        if call.nested {
            return Err(ServerError::MonitorInTransaction.into());
        }
        call.core.begin_monitoring(call.session);
        call.ok()
    },
);
