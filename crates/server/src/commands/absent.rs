//! Commands about what there is not yet: no scripts, no functions.
//!
//! Clients and test suites ask for these before anything else. Their answers are true: there is
//! nothing to flush and nothing to list.

use crate::commands::error::ServerError;
use crate::session_command::{SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler};

/// The containers and their subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&FUNCTION, &FUNCTION_FLUSH, &SCRIPT, &SCRIPT_FLUSH];

/// Commands about functions.
static FUNCTION: SessionCommand = SessionCommand::container(Command {
    name: "FUNCTION",
    group: Group::Scripting,
    since: "7.0.0",
    summary: "A container for commands about functions.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&FUNCTION_FLUSH.command],
    ..Command::BASE
});

/// Deletes all functions.
static FUNCTION_FLUSH: SessionCommand = SessionCommand::alone(
    Command {
        name: "FLUSH",
        since: "7.0.0",
        summary: "Deletes all functions.",
        flags: Flags::WRITE.and(Flags::NOSCRIPT),
        ..FLUSH
    },
    |call| flush(call, ServerError::FunctionFlushMode),
)
.within();

/// Commands about scripts.
static SCRIPT: SessionCommand = SessionCommand::container(Command {
    name: "SCRIPT",
    group: Group::Scripting,
    since: "2.6.0",
    summary: "A container for commands about scripts.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&SCRIPT_FLUSH.command],
    ..Command::BASE
});

/// Forgets all scripts.
static SCRIPT_FLUSH: SessionCommand = SessionCommand::alone(
    Command {
        name: "FLUSH",
        since: "2.6.0",
        summary: "Forgets all scripts.",
        flags: Flags::NOSCRIPT,
        ..FLUSH
    },
    |call| flush(call, ServerError::ScriptFlushMode),
)
.within();

/// What both kinds of flushing have in common.
const FLUSH: Command = Command {
    group: Group::Scripting,
    complexity: "O(N) where N is the number deleted",
    arity: Arity::AtLeast(2),
    acl: Category::SCRIPTING,
    args: &[Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")])
        .optional()
        .since("6.2.0")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Session,
    ..Command::BASE
};

fn flush(call: &mut SessionCall<'_>, refusal: ServerError) -> SessionResult {
    let is_mode =
        |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    match call.args.len() {
        2 => call.ok(),
        3 if is_mode(call.args.at(2)) => call.ok(),
        _ => Err(refusal.into()),
    }
}
