//! Client-side caching: TRACKING, TRACKINGINFO, GETREDIR, CACHING. No client is tracked yet, and these
//! say so. IMPORT-SOURCE, which belongs to a mode the server does not have, is here as well.

use super::BASE;
use super::modes::{ON_OR_OFF, is_on};
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, ReplyError};

/// Tells the client when keys it has read change.
pub static TRACKING: SessionCommand = SessionCommand::alone(
    Command {
        name: "TRACKING",
        since: "6.0.0",
        summary: "Tells the client when keys it has read change. Cannot be turned on yet.",
        complexity: "O(1). Some options may introduce additional complexity.",
        arity: Arity::AtLeast(3),
        args: &[
            Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
            Arg::integer("client-id").token("REDIRECT").optional(),
            Arg::string("prefix").token("PREFIX").optional().multiple_with_token(),
            Arg::word("bcast", "BCAST").optional(),
            Arg::word("optin", "OPTIN").optional(),
            Arg::word("optout", "OPTOUT").optional(),
            Arg::word("noloop", "NOLOOP").optional(),
        ],
        ..BASE
    },
    tracking,
)
.within();

fn tracking(call: &mut SessionCall<'_>) -> SessionResult {
    let options = call.args.tail(3);
    let mut index = 0;
    while let Some(option) = options.get(index) {
        let has_value = index + 1 < options.len();
        index += match &*option.to_ascii_lowercase() {
            b"redirect" if has_value => {
                parse_i64(options.at(index + 1)).ok_or(ReplyError::NotAnInteger)?;
                2
            }
            b"prefix" if has_value => 2,
            b"bcast" | b"optin" | b"optout" | b"noloop" => 1,
            _ => return Err(ReplyError::Syntax),
        };
    }
    if is_on(call.args.at(2))? {
        return Err(ServerError::NoTracking.into());
    }
    call.ok()
}

/// Tells how the connection is tracked.
pub static TRACKINGINFO: SessionCommand = SessionCommand::alone(
    Command {
        name: "TRACKINGINFO",
        since: "6.2.0",
        summary: "Tells how the connection is tracked.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let mut reply = call.reply();
        reply.map(3);
        reply.bulk(b"flags");
        reply.set(1);
        reply.bulk(b"off");
        reply.bulk(b"redirect");
        reply.integer(-1);
        reply.bulk(b"prefixes");
        reply.array(0);
        Ok(Flow::Next)
    },
)
.within();

/// The connection that is told of changed keys instead.
pub static GETREDIR: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETREDIR",
        since: "6.0.0",
        summary: "The connection that is told of changed keys instead.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        call.reply().integer(-1);
        Ok(Flow::Next)
    },
)
.within();

/// Chooses whether the keys of the next command are tracked.
pub static CACHING: SessionCommand = SessionCommand::alone(
    Command {
        name: "CACHING",
        since: "6.0.0",
        summary: "Chooses whether the keys of the next command are tracked.",
        arity: Arity::Exactly(3),
        args: &[Arg::one_of("mode", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])],
        ..BASE
    },
    |_| Err(ServerError::NotTracked.into()),
)
.within();

/// Makes the connection one that imports data.
pub static IMPORT_SOURCE: SessionCommand = SessionCommand::alone(
    Command {
        name: "IMPORT-SOURCE",
        since: "8.1.0",
        summary: "Makes the connection one that imports data. There is no import mode.",
        arity: Arity::Exactly(3),
        args: ON_OR_OFF,
        ..BASE
    },
    import_source,
)
.within();

fn import_source(call: &mut SessionCall<'_>) -> SessionResult {
    match is_on(call.args.at(2)) {
        Ok(false) => call.ok(),
        _ => Err(ServerError::NotInImportMode.into()),
    }
}
