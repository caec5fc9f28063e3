//! MEMORY: what memory is used for. What a key takes is a command over its shard.

use crate::session_command::SessionCommand;
use darter_command_table::{Arity, Command, Flags, Group, Handler};
use darter_commands::server::memory as keys;

/// The container and its subcommands about the server.
pub static COMMANDS: &[&SessionCommand] = &[&MEMORY, &HELP];

/// Commands about memory.
pub static MEMORY: SessionCommand = SessionCommand::container(Command {
    name: "MEMORY",
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about memory.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&HELP.command, &keys::USAGE],
    ..Command::BASE
});

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        group: Group::Server,
        since: "4.0.0",
        summary: "Tells which subcommands there are.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        handler: Handler::Session,
        ..Command::BASE
    },
    |call| call.help("MEMORY", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    not sampled: the number is exact.",
];
