//! CLIENT: the connection itself, and all connections.

pub mod filter;
pub mod identity;
pub mod line;
pub mod modes;
pub mod others;
pub mod pause;
pub mod tracking;

use crate::session_command::SessionCommand;
use darter_command_table::{Arity, Category, Command, Entry, Flags, Group, Handler};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &CLIENT,
    &tracking::CACHING,
    &identity::CAPA,
    &identity::GETNAME,
    &tracking::GETREDIR,
    &HELP,
    &identity::ID,
    &modes::IMPORT_SOURCE,
    &others::INFO,
    &others::KILL,
    &others::LIST,
    &modes::NO_EVICT,
    &modes::NO_TOUCH,
    &pause::PAUSE,
    &modes::REPLY,
    &identity::SETINFO,
    &identity::SETNAME,
    &tracking::TRACKING,
    &tracking::TRACKINGINFO,
    &pause::UNBLOCK,
    &pause::UNPAUSE,
];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Connection,
    complexity: "O(1)",
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    acl: Category::CONNECTION,
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands about connections.
pub static CLIENT: SessionCommand = SessionCommand::container(Command {
    name: "CLIENT",
    group: Group::Connection,
    since: "2.4.0",
    summary: "A container for commands about connections.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &tracking::CACHING.command,
        &identity::CAPA.command,
        &identity::GETNAME.command,
        &tracking::GETREDIR.command,
        &HELP.command,
        &identity::ID.command,
        &modes::IMPORT_SOURCE.command,
        &others::INFO.command,
        &others::KILL.command,
        &others::LIST.command,
        &modes::NO_EVICT.command,
        &modes::NO_TOUCH.command,
        &pause::PAUSE.command,
        &modes::REPLY.command,
        &identity::SETINFO.command,
        &identity::SETNAME.command,
        &tracking::TRACKING.command,
        &tracking::TRACKINGINFO.command,
        &pause::UNBLOCK.command,
        &pause::UNPAUSE.command,
    ],
    ..Command::BASE
});

/// Whether a command is one of CLIENT's.
pub fn has(entry: &Entry) -> bool {
    let subcommands = CLIENT.command.subcommands;
    subcommands.iter().any(|subcommand| std::ptr::eq(*subcommand, entry.command))
}

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
    |call| call.help("CLIENT", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "CAPA <option> [options...]",
    "    The client claims its some capability options. Options are:",
    "    * REDIRECT",
    "      The client can handle redirection during primary and replica failover in standalone mode.",
    "GETNAME",
    "    Return the name of the current connection.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "ID",
    "    Return the ID of the current connection.",
    "IMPORT-SOURCE (ON|OFF)",
    "    Mark this connection as an import source if import-mode is enabled.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are those of LIST.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * ID <client-id> [<client-id> ...]",
    "    * ADDR (<ip:port>|<unixsocket>:0), LADDR, IP <ip>",
    "    * USER <username>, NAME <name>, LIB-NAME <name>, LIB-VER <version>",
    "    * DB <index>, FLAGS <letters>, CAPA <letters>",
    "    * MAXAGE <seconds>, IDLE <seconds>",
    "    * NOT-<option> <value>: all but those",
    "    * SKIPME (YES|NO): whether the current connection is left out",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
];
