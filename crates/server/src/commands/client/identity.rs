//! What the connection is called: ID, GETNAME, SETNAME, SETINFO, CAPA.

use super::BASE;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Command, Flags};

/// Longest name or attribute of a client, in bytes: enough for any, too little to fill memory with.
const NAME_BYTES_MAX: usize = 1 << 16;

/// Whether `text` fits a field of a line of `CLIENT LIST`: printable ASCII without spaces.
fn fits_line(text: &[u8]) -> bool {
    text.len() <= NAME_BYTES_MAX && text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Refuses a client's name that would break `CLIENT LIST`. An empty one is fine: it takes the name
/// away.
pub fn check_name(name: &[u8]) -> Result<(), ServerError> {
    if fits_line(name) { Ok(()) } else { Err(ServerError::ClientName) }
}

/// The number of the connection.
pub static ID: SessionCommand = SessionCommand::alone(
    Command {
        name: "ID",
        since: "5.0.0",
        summary: "The number of the connection.",
        arity: Arity::Exactly(2),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        ..BASE
    },
    |call| {
        let id = i64::try_from(call.session.client_id).unwrap_or(i64::MAX);
        call.reply().integer(id);
        Ok(Flow::Next)
    },
)
.within();

/// The name of the connection.
pub static GETNAME: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETNAME",
        since: "2.6.9",
        summary: "The name of the connection.",
        arity: Arity::Exactly(2),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        ..BASE
    },
    get_name,
)
.within();

fn get_name(call: &mut SessionCall<'_>) -> SessionResult {
    let name = call.session.facts.name.clone();
    if name.is_empty() {
        call.reply().null();
    } else {
        call.reply().bulk(&name);
    }
    Ok(Flow::Next)
}

/// Names the connection.
pub static SETNAME: SessionCommand = SessionCommand::alone(
    Command {
        name: "SETNAME",
        since: "2.6.9",
        summary: "Names the connection.",
        arity: Arity::Exactly(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        args: &[Arg::string("connection-name")],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..BASE
    },
    |call| {
        let name = call.args.at(2);
        check_name(name)?;
        call.session.facts.name = name.to_vec();
        call.ok()
    },
)
.within();

/// Notes what the client library tells of itself.
pub static SETINFO: SessionCommand = SessionCommand::alone(
    Command {
        name: "SETINFO",
        since: "7.2.0",
        summary: "Notes what the client library tells of itself.",
        arity: Arity::Exactly(4),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        args: &[Arg::one_of(
            "attr",
            &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")],
        )],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        ..BASE
    },
    set_info,
)
.within();

fn set_info(call: &mut SessionCall<'_>) -> SessionResult {
    let (attribute, value) = (call.args.at(2), call.args.at(3));
    let facts = &mut call.session.facts;
    let field = match &*attribute.to_ascii_lowercase() {
        b"lib-name" => &mut facts.lib_name,
        b"lib-ver" => &mut facts.lib_version,
        _ => return Err(ServerError::UnknownAttribute(attribute.to_vec()).into()),
    };
    if !fits_line(value) {
        return Err(ServerError::ClientAttribute(attribute.to_vec()).into());
    }
    *field = value.to_vec();
    call.ok()
}

/// Notes what the client can do; what is not known is ignored.
pub static CAPA: SessionCommand = SessionCommand::alone(
    Command {
        name: "CAPA",
        since: "8.0.0",
        summary: "Notes what the client can do.",
        arity: Arity::AtLeast(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        args: &[Arg::string("capability").multiple()],
        ..BASE
    },
    |call| {
        if call.args.tail(2).iter().any(|word| word.eq_ignore_ascii_case(b"redirect")) {
            call.session.facts.takes_redirects = true;
        }
        call.ok()
    },
)
.within();
