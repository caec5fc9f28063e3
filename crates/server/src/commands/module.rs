//! MODULE: there are none, and none can be loaded.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCommand};
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&MODULE, &HELP, &LIST, &LOAD, &LOADEX, &UNLOAD];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING),
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands about modules.
static MODULE: SessionCommand = SessionCommand::container(Command {
    name: "MODULE",
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about modules.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&HELP.command, &LIST.command, &LOAD.command, &LOADEX.command, &UNLOAD.command],
    ..Command::BASE
});

/// The modules that are loaded.
static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        summary: "The modules that are loaded.",
        complexity: "O(N) where N is the number of loaded modules.",
        arity: Arity::Exactly(2),
        flags: Flags::ADMIN.and(Flags::NOSCRIPT),
        tips: &["nondeterministic_output_order"],
        ..BASE
    },
    |call| {
        call.reply().array(0);
        Ok(Flow::Next)
    },
)
.within();

/// Loads a module.
static LOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOAD",
        summary: "Loads a module. Modules are not supported.",
        args: &[Arg::string("path"), Arg::string("arg").optional().multiple()],
        ..BASE
    },
    |_| Err(ServerError::NoModules.into()),
)
.within();

/// Loads a module with a configuration.
static LOADEX: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOADEX",
        since: "7.0.0",
        summary: "Loads a module with a configuration. Modules are not supported.",
        args: &[
            Arg::string("path"),
            Arg::block("configs", &[Arg::string("name"), Arg::string("value")])
                .token("CONFIG")
                .optional()
                .multiple_with_token(),
            Arg::string("args").token("ARGS").optional().multiple(),
        ],
        ..BASE
    },
    |_| Err(ServerError::NoModules.into()),
)
.within();

/// Unloads a module.
static UNLOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "UNLOAD",
        summary: "Unloads a module.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("name")],
        ..BASE
    },
    |_| Err(ServerError::NoSuchModule.into()),
)
.within();

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "5.0.0",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("MODULE", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "LIST",
    "    Return a list of loaded modules. There are none.",
    "LOAD <path> [<arg> ...]",
    "    Load a module library from <path>. Not supported.",
    "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
    "    Load a module library from <path>, with a configuration. Not supported.",
    "UNLOAD <name>",
    "    Unload a module.",
];
