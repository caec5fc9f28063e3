//! DEBUG: what test suites need to look inside, refused unless `enable-debug-command` allows it.
//!
//! Subcommands about keys are commands over shards and come with their families.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, Group, Handler, ReplyError};
use darter_resp::Protocol;
use std::sync::atomic::Ordering;

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&DEBUG, &HELP, &PROTOCOL, &SET_ACTIVE_EXPIRE];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands for tests.
pub static DEBUG: SessionCommand = SessionCommand::container(Command {
    name: "DEBUG",
    summary: "A container for commands for tests.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&HELP.command, &PROTOCOL.command, &SET_ACTIVE_EXPIRE.command],
    handler: Handler::Container,
    ..BASE
});

/// Deletes expired keys in the background, or no longer.
static SET_ACTIVE_EXPIRE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SET-ACTIVE-EXPIRE",
        summary: "Deletes expired keys in the background, or no longer.",
        arity: Arity::Exactly(3),
        args: &[Arg::integer("enabled")],
        ..BASE
    },
    |call| {
        let enabled = parse_i64(call.args.at(2)).unwrap_or(0) != 0;
        call.shared.active_expire.store(enabled, Ordering::Relaxed);
        call.ok()
    },
)
.within();

/// A reply of each type.
static PROTOCOL: SessionCommand = SessionCommand::alone(
    Command {
        name: "PROTOCOL",
        summary: "Answers with a reply of the type asked for.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("type")],
        ..BASE
    },
    protocol,
)
.within();

fn protocol(call: &mut SessionCall<'_>) -> SessionResult {
    let kind = call.args.at(2).to_ascii_lowercase();
    let is_resp3 = call.session.protocol == Protocol::Resp3;
    let mut reply = call.reply();
    match &*kind {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if is_resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            // Attributes are no reply by themselves.
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !is_resp3 => return Err(ServerError::NotInResp2.into()),
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            // Nor are pushes.
            reply.bulk(b"Some real reply following the push reply");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(*b"txt", b"This is a verbatim\nstring"),
        _ => return Err(ServerError::ProtocolType.into()),
    }
    Ok(Flow::Next)
}

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        summary: "Tells which subcommands there are.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| call.help("DEBUG", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "PROTOCOL <type>",
    "    Reply with a test value of the specified type. <type> can be: string,",
    "    integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys (and hash-fields) in background ",
    "    when they are not accessed (otherwise the behavior). Setting it",
    "    to 1 reenables back the default.",
];

/// Whether the client may use DEBUG; looked at before any of its subcommands runs.
pub fn is_allowed(call: &SessionCall<'_>) -> Result<(), ReplyError> {
    let permission = call.shared.config.current().debug_command;
    if permission.allows(call.session.is_local()) {
        Ok(())
    } else {
        Err(ServerError::DebugNotAllowed.into())
    }
}
