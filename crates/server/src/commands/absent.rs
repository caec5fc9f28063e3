//! Commands about what there is not yet: no scripts, no functions, no modules, one user.
//!
//! Clients and test suites ask for these before anything else. Their answers are true: there is
//! nothing to flush and nothing to list.

use crate::commands::error::ServerError;
use crate::session::DEFAULT_USER;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler};

/// The containers and their subcommands.
pub static COMMANDS: &[&SessionCommand] =
    &[&ACL, &ACL_WHOAMI, &FUNCTION, &FUNCTION_FLUSH, &MODULE, &MODULE_LIST, &SCRIPT, &SCRIPT_FLUSH];

/// Commands about users.
static ACL: SessionCommand = SessionCommand::container(Command {
    name: "ACL",
    group: Group::Server,
    since: "6.0.0",
    summary: "A container for commands about users.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&ACL_WHOAMI.command],
    ..Command::BASE
});

/// The user of the connection.
static ACL_WHOAMI: SessionCommand = SessionCommand::alone(
    Command {
        name: "WHOAMI",
        group: Group::Server,
        since: "6.0.0",
        summary: "The user of the connection.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
        handler: Handler::Session,
        ..Command::BASE
    },
    |call| {
        call.reply().bulk(DEFAULT_USER.as_bytes());
        Ok(Flow::Next)
    },
)
.within();

/// Commands about modules.
static MODULE: SessionCommand = SessionCommand::container(Command {
    name: "MODULE",
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about modules.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&MODULE_LIST.command],
    ..Command::BASE
});

/// The modules that are loaded.
static MODULE_LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        group: Group::Server,
        since: "4.0.0",
        summary: "The modules that are loaded.",
        complexity: "O(N) where N is the number of loaded modules",
        arity: Arity::Exactly(2),
        flags: Flags::ADMIN.and(Flags::NOSCRIPT),
        tips: &["nondeterministic_output_order"],
        handler: Handler::Session,
        ..Command::BASE
    },
    |call| {
        call.reply().array(0);
        Ok(Flow::Next)
    },
)
.within();

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
