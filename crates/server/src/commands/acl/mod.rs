//! ACL: users and what they may do.

mod categories;
mod change;
mod file;
mod log;
mod password;
mod show;

use crate::commands::error::ServerError;
use crate::session_command::{SessionCall, SessionCommand};
use categories::CAT;
use change::{DELUSER, SETUSER};
use darter_command_table::{Arity, Command, Flags, Group, Handler, ReplyError};
use file::{LOAD, SAVE};
use log::LOG;
use password::GENPASS;
use show::{DRYRUN, GETUSER, LIST, USERS, WHOAMI};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &ACL, &CAT, &DELUSER, &DRYRUN, &GENPASS, &GETUSER, &HELP, &LIST, &LOAD, &LOG, &SAVE, &SETUSER,
    &USERS, &WHOAMI,
];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    handler: Handler::Session,
    ..Command::BASE
};

/// The flags of those that everybody may use.
const HARMLESS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);

const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// Commands about users.
static ACL: SessionCommand = SessionCommand::container(Command {
    name: "ACL",
    group: Group::Server,
    since: "6.0.0",
    summary: "A container for commands about users.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &CAT.command,
        &DELUSER.command,
        &DRYRUN.command,
        &GENPASS.command,
        &GETUSER.command,
        &HELP.command,
        &LIST.command,
        &LOAD.command,
        &LOG.command,
        &SAVE.command,
        &SETUSER.command,
        &USERS.command,
        &WHOAMI.command,
    ],
    ..Command::BASE
});

/// As a container answers to arguments that no subcommand takes.
fn too_many_arguments(call: &SessionCall<'_>) -> ReplyError {
    let subcommand = call.args.at(1).to_vec();
    ServerError::SubcommandArguments { command: ACL.command.name, subcommand }.into()
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        summary: "Tells which subcommands there are.",
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("ACL", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <rule> [<rule> ...]",
    "    Create or modify a user with the specified rules.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];
