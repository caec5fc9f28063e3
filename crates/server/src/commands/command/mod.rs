//! COMMAND: what the server's commands are, from the command table.

mod docs;
mod info;
mod keys;
mod list;

use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{
    Arg, Arity, Category, Command, Entry, Flags, Group, Handler, ReplyError,
};

/// COMMAND and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &COMMAND,
    &COUNT,
    &docs::DOCS,
    &keys::GETKEYS,
    &keys::GETKEYSANDFLAGS,
    &HELP,
    &INFO,
    &list::LIST,
];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) where N is the number of commands to look up",
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Category::CONNECTION,
    handler: Handler::Session,
    ..Command::BASE
};

/// What every command is.
pub static COMMAND: SessionCommand = SessionCommand::alone(
    Command {
        name: "COMMAND",
        summary: "What every command is.",
        complexity: "O(N) where N is the number of commands",
        arity: Arity::AtLeast(1),
        subcommands: &[
            &COUNT.command,
            &docs::DOCS.command,
            &keys::GETKEYS.command,
            &keys::GETKEYSANDFLAGS.command,
            &HELP.command,
            &INFO.command,
            &list::LIST.command,
        ],
        tips: &["nondeterministic_output_order"],
        ..BASE
    },
    command,
);

fn command(call: &mut SessionCall<'_>) -> SessionResult {
    if let Some(subcommand) = call.args.get(1) {
        let subcommand = subcommand.to_vec();
        return Err(ReplyError::UnknownSubcommand { subcommand, command: COMMAND.command.name });
    }
    info_of_all(call)
}

/// How many commands there are.
static COUNT: SessionCommand = SessionCommand::alone(
    Command {
        name: "COUNT",
        summary: "How many commands there are.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let count = call.shared.table.commands().len();
        call.reply().integer(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(Flow::Next)
    },
)
.within();

/// What some commands are.
static INFO: SessionCommand = SessionCommand::alone(
    Command {
        name: "INFO",
        summary: "What some commands are, or all.",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("command-name").optional().multiple()],
        tips: &["nondeterministic_output_order"],
        history: &[("7.0.0", "Allowed to be called with no argument to get info on all commands.")],
        ..BASE
    },
    info_of_some,
)
.within();

fn info_of_some(call: &mut SessionCall<'_>) -> SessionResult {
    let names = call.args.tail(2);
    if names.is_empty() {
        return info_of_all(call);
    }
    let table = &call.shared.table;
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names.iter() {
        match table.full_named(name) {
            Some(entry) => info::write(&mut reply, entry),
            None => reply.null(),
        }
    }
    Ok(Flow::Next)
}

fn info_of_all(call: &mut SessionCall<'_>) -> SessionResult {
    let entries: &'static [Entry] = call.shared.table.commands();
    let mut reply = call.reply();
    reply.array(entries.len());
    for entry in entries {
        info::write(&mut reply, entry);
    }
    Ok(Flow::Next)
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "5.0.0",
        summary: "Tells which subcommands there are.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| call.help("COMMAND", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "LIST",
    "    Return a list of all commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full command.",
];
