//! How the connection is treated: NO-EVICT, NO-TOUCH, IMPORT-SOURCE, REPLY.

use super::BASE;
use crate::commands::error::ServerError;
use crate::session::Replies;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};

/// The argument of a mode.
pub(super) const ON_OR_OFF: &[Arg] =
    &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])];

/// Whether a mode is turned on.
pub(super) fn is_on(word: &[u8]) -> Result<bool, ReplyError> {
    match &*word.to_ascii_lowercase() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(ReplyError::Syntax),
    }
}

/// Protects the connection when others are closed for memory.
pub static NO_EVICT: SessionCommand = SessionCommand::alone(
    Command {
        name: "NO-EVICT",
        since: "7.0.0",
        summary: "Protects the connection when others are closed for memory.",
        arity: Arity::Exactly(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY).and(Flags::ADMIN),
        args: ON_OR_OFF,
        ..BASE
    },
    |call| {
        call.session.facts.no_evict = is_on(call.args.at(2))?;
        call.ok()
    },
)
.within();

/// Lets the connection read keys without making them look used.
pub static NO_TOUCH: SessionCommand = SessionCommand::alone(
    Command {
        name: "NO-TOUCH",
        since: "7.2.0",
        summary: "Lets the connection read keys without making them look used.",
        arity: Arity::Exactly(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY),
        args: ON_OR_OFF,
        ..BASE
    },
    |call| {
        call.session.facts.no_touch = is_on(call.args.at(2))?;
        call.ok()
    },
)
.within();

/// Makes the connection one that imports data, for which nothing has expired.
pub static IMPORT_SOURCE: SessionCommand = SessionCommand::alone(
    Command {
        name: "IMPORT-SOURCE",
        since: "8.1.0",
        summary: "Makes the connection one that imports data, for which nothing has expired.",
        arity: Arity::Exactly(3),
        args: ON_OR_OFF,
        ..BASE
    },
    |call| {
        let is_on = is_on(call.args.at(2));
        if !call.shared.config.current().imports && is_on != Ok(false) {
            return Err(ServerError::NotInImportMode.into());
        }
        call.session.facts.imports = is_on?;
        call.ok()
    },
)
.within();

/// Chooses which replies are sent.
pub static REPLY: SessionCommand = SessionCommand::alone(
    Command {
        name: "REPLY",
        since: "3.2.0",
        summary: "Chooses which replies are sent.",
        arity: Arity::Exactly(3),
        flags: BASE.flags.and(Flags::ALLOW_BUSY).and(Flags::NO_MULTI),
        args: &[Arg::one_of(
            "action",
            &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")],
        )],
        ..BASE
    },
    reply,
)
.within();

fn reply(call: &mut SessionCall<'_>) -> SessionResult {
    match &*call.args.at(2).to_ascii_lowercase() {
        b"on" => {
            call.session.replies = Replies::On;
            return call.ok();
        }
        b"off" => call.session.replies = Replies::Off,
        b"skip" if call.session.replies == Replies::Off => {}
        b"skip" => call.session.replies = Replies::SkipNext,
        _ => return Err(ReplyError::Syntax),
    }
    Ok(Flow::Next)
}
