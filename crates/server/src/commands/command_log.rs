//! SLOWLOG and COMMANDLOG: the latest commands that were slow, large, or answered much.
//!
//! COMMANDLOG is Valkey's; SLOWLOG is the same for the first of its three logs.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::watch::LogKind;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler};

/// Both containers and their subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &COMMANDLOG,
    &COMMANDLOG_GET,
    &COMMANDLOG_HELP,
    &COMMANDLOG_LEN,
    &COMMANDLOG_RESET,
    &SLOWLOG,
    &SLOWLOG_GET,
    &SLOWLOG_HELP,
    &SLOWLOG_LEN,
    &SLOWLOG_RESET,
];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE),
    tips: &["request_policy:all_nodes"],
    handler: Handler::Session,
    ..Command::BASE
};

const COUNT_TIPS: &[&str] =
    &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"];

const RESET_TIPS: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The names of the logs.
const KINDS: Arg = Arg::one_of(
    "type",
    &[
        Arg::word("slow", "SLOW"),
        Arg::word("large-request", "LARGE-REQUEST"),
        Arg::word("large-reply", "LARGE-REPLY"),
    ],
);

/// Entries that SLOWLOG GET answers unless told otherwise.
const SLOWLOG_GET_COUNT: usize = 10;

/// Commands about notable commands.
static COMMANDLOG: SessionCommand = SessionCommand::container(Command {
    name: "COMMANDLOG",
    group: Group::Server,
    since: "8.1.0",
    summary: "A container for commands about commands that were slow or large.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &COMMANDLOG_GET.command,
        &COMMANDLOG_HELP.command,
        &COMMANDLOG_LEN.command,
        &COMMANDLOG_RESET.command,
    ],
    ..Command::BASE
});

/// The latest entries of a log.
static COMMANDLOG_GET: SessionCommand = SessionCommand::alone(
    Command {
        name: "GET",
        since: "8.1.0",
        summary: "The latest entries of a log of commands.",
        complexity: "O(N) where N is the number of entries returned",
        arity: Arity::Exactly(4),
        args: &[Arg::integer("count"), KINDS],
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..BASE
    },
    |call| {
        let count = count_of(call.args.at(2))?;
        let kind = kind_of(call.args.at(3))?;
        write_latest(call, kind, count)
    },
)
.within();

/// How long a log is.
static COMMANDLOG_LEN: SessionCommand = SessionCommand::alone(
    Command {
        name: "LEN",
        since: "8.1.0",
        summary: "The number of entries in a log of commands.",
        arity: Arity::Exactly(3),
        args: &[KINDS],
        tips: COUNT_TIPS,
        ..BASE
    },
    |call| {
        let kind = kind_of(call.args.at(2))?;
        write_len(call, kind)
    },
)
.within();

/// Empties a log.
static COMMANDLOG_RESET: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESET",
        since: "8.1.0",
        summary: "Empties a log of commands.",
        complexity: "O(N) where N is the number of entries",
        arity: Arity::Exactly(3),
        args: &[KINDS],
        tips: RESET_TIPS,
        ..BASE
    },
    |call| {
        let kind = kind_of(call.args.at(2))?;
        call.shared.command_logs.log(kind).clear();
        call.ok()
    },
)
.within();

/// Tells which subcommands there are.
static COMMANDLOG_HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "8.1.0",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        tips: &[],
        ..BASE
    },
    |call| call.help("COMMANDLOG", COMMANDLOG_HELP_LINES),
)
.within();

const COMMANDLOG_HELP_LINES: &[&str] = &[
    "GET <count> <type>",
    "    Return top <count> entries of the specified <type> from the commandlog (-1 mean all).",
    "    Entries are made of:",
    "    id, timestamp,",
    "        time in microseconds for type of slow,",
    "        or size in bytes for type of large-request,",
    "        or size in bytes for type of large-reply",
    "    arguments array, client IP and port,",
    "    client name",
    "LEN <type>",
    "    Return the length of the specified type of commandlog.",
    "RESET <type>",
    "    Reset the specified type of commandlog.",
];

/// Commands about slow commands.
static SLOWLOG: SessionCommand = SessionCommand::container(Command {
    name: "SLOWLOG",
    group: Group::Server,
    since: "2.2.12",
    summary: "A container for commands about slow commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &SLOWLOG_GET.command,
        &SLOWLOG_HELP.command,
        &SLOWLOG_LEN.command,
        &SLOWLOG_RESET.command,
    ],
    ..Command::BASE
});

/// The latest slow commands.
static SLOWLOG_GET: SessionCommand = SessionCommand::alone(
    Command {
        name: "GET",
        since: "2.2.12",
        summary: "The latest slow commands.",
        complexity: "O(N) where N is the number of entries returned",
        arity: Arity::AtLeast(2),
        args: &[Arg::integer("count").optional()],
        history: &[("4.0.0", "Added client IP address, port and name to the reply.")],
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        ..BASE
    },
    |call| match call.args.len() {
        2 => write_latest(call, LogKind::Slow, SLOWLOG_GET_COUNT),
        3 => {
            let count = count_of(call.args.at(2))?;
            write_latest(call, LogKind::Slow, count)
        }
        _ => Err(ServerError::SubcommandArguments {
            command: SLOWLOG.command.name,
            subcommand: call.args.at(1).to_vec(),
        }
        .into()),
    },
)
.within();

/// How many slow commands there are.
static SLOWLOG_LEN: SessionCommand = SessionCommand::alone(
    Command {
        name: "LEN",
        since: "2.2.12",
        summary: "The number of slow commands in the log.",
        arity: Arity::Exactly(2),
        tips: COUNT_TIPS,
        ..BASE
    },
    |call| write_len(call, LogKind::Slow),
)
.within();

/// Forgets the slow commands.
static SLOWLOG_RESET: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESET",
        since: "2.2.12",
        summary: "Empties the log of slow commands.",
        complexity: "O(N) where N is the number of entries",
        arity: Arity::Exactly(2),
        tips: RESET_TIPS,
        ..BASE
    },
    |call| {
        call.shared.command_logs.log(LogKind::Slow).clear();
        call.ok()
    },
)
.within();

/// Tells which subcommands there are.
static SLOWLOG_HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "6.2.0",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        tips: &[],
        ..BASE
    },
    |call| call.help("SLOWLOG", SLOWLOG_HELP_LINES),
)
.within();

const SLOWLOG_HELP_LINES: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

/// How many entries are asked for: -1 stands for all.
fn count_of(arg: &[u8]) -> Result<usize, ServerError> {
    match parse_i64(arg) {
        Some(-1) => Ok(usize::MAX),
        Some(count) => usize::try_from(count).map_err(|_| ServerError::LogCount),
        None => Err(ServerError::LogCount),
    }
}

fn kind_of(arg: &[u8]) -> Result<LogKind, ServerError> {
    LogKind::named(arg).ok_or(ServerError::LogType)
}

fn write_len(call: &mut SessionCall<'_>, kind: LogKind) -> SessionResult {
    let len = call.shared.command_logs.log(kind).len();
    call.reply().integer(signed(len as u64));
    Ok(Flow::Next)
}

fn write_latest(call: &mut SessionCall<'_>, kind: LogKind, count: usize) -> SessionResult {
    let latest = call.shared.command_logs.log(kind).latest(count);
    let mut reply = call.reply();
    reply.array(latest.len());
    for (number, entry) in latest {
        reply.array(6);
        reply.integer(signed(number));
        reply.integer(entry.at.0 / 1000);
        reply.integer(signed(entry.value));
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.address.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(Flow::Next)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
