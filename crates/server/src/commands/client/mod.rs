//! CLIENT: the connection itself, and all connections.

pub mod filter;
pub mod identity;
pub mod line;
pub mod modes;
pub mod others;

use crate::session_command::SessionCommand;
use darter_command_table::{Arity, Category, Command, Flags, Group, Handler};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &CLIENT,
    &identity::CAPA,
    &identity::GETNAME,
    &HELP,
    &identity::ID,
    &others::INFO,
    &others::KILL,
    &others::LIST,
    &modes::NO_EVICT,
    &modes::NO_TOUCH,
    &modes::REPLY,
    &identity::SETINFO,
    &identity::SETNAME,
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
        &identity::CAPA.command,
        &identity::GETNAME.command,
        &HELP.command,
        &identity::ID.command,
        &others::INFO.command,
        &others::KILL.command,
        &others::LIST.command,
        &modes::NO_EVICT.command,
        &modes::NO_TOUCH.command,
        &modes::REPLY.command,
        &identity::SETINFO.command,
        &identity::SETNAME.command,
    ],
    ..Command::BASE
});

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
    "CAPA <option> [options...]",
    "    The client claims its some capability options. Options are:",
    "    * REDIRECT",
    "      The client can handle redirection during primary and replica failover in standalone mode.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
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
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
];
