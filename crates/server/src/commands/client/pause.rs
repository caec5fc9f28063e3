//! Holding clients back, and letting them go on: PAUSE, UNPAUSE, UNBLOCK.

use super::BASE;
use crate::commands::error::ServerError;
use crate::pause::{Cause, Paused};
use crate::session_command::{SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use crate::waiting::End;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};

/// Holds commands of all clients back for a while.
pub static PAUSE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PAUSE",
        since: "3.0.0",
        summary: "Holds commands of all clients back for a while.",
        arity: Arity::AtLeast(3),
        flags: BASE.flags.and(Flags::ADMIN),
        args: &[
            Arg::integer("timeout"),
            Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")])
                .optional()
                .since("6.2.0"),
        ],
        history: &[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")],
        ..BASE
    },
    pause,
)
.within();

fn pause(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args;
    let paused = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        _ if args.len() > 4 => return Err(ReplyError::WrongArity(call.entry.full_name.clone())),
        None | Some(b"all") => Paused::Everything,
        Some(b"write") => Paused::Writes,
        Some(_) => return Err(ServerError::PauseMode.into()),
    };
    let millis = parse_i64(args.at(2)).ok_or(ServerError::TimeoutNotAnInteger)?;
    if millis < 0 {
        return Err(ServerError::TimeoutNegative.into());
    }
    let now = call.turn.now;
    let until = now.checked_add(millis).ok_or(ServerError::TimeoutOutOfRange)?;
    call.shared.pause.begin(Cause::Command, paused, until, now);
    call.ask(Question::FollowPause)
}

/// Ends a pause.
pub static UNPAUSE: SessionCommand = SessionCommand::alone(
    Command {
        name: "UNPAUSE",
        since: "6.2.0",
        summary: "Ends a pause.",
        complexity: "O(N) where N is the number of clients held back",
        arity: Arity::Exactly(2),
        flags: BASE.flags.and(Flags::ADMIN),
        ..BASE
    },
    |call| {
        call.shared.pause.end(Cause::Command);
        call.ask(Question::FollowPause)
    },
)
.within();

/// Lets a blocked client go on.
pub static UNBLOCK: SessionCommand = SessionCommand::alone(
    Command {
        name: "UNBLOCK",
        since: "5.0.0",
        summary: "Lets a blocked client go on, as if its time was up or with an error.",
        arity: Arity::AtLeast(3),
        flags: BASE.flags.and(Flags::ADMIN),
        args: &[
            Arg::integer("client-id"),
            Arg::one_of(
                "unblock-type",
                &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")],
            )
            .optional(),
        ],
        ..BASE
    },
    unblock,
)
.within();

/// Who is held back by a pause cannot be let go on alone.
fn unblock(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args;
    let end = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        _ if args.len() > 4 => return Err(ReplyError::WrongArity(call.entry.full_name.clone())),
        None | Some(b"timeout") => End::TimedOut,
        Some(b"error") => End::Unblocked,
        Some(_) => return Err(ServerError::UnblockReason.into()),
    };
    let id = parse_i64(args.at(2)).ok_or(ReplyError::NotAnInteger)?;
    // Numbers of clients are positive.
    let client_id = u64::try_from(id).unwrap_or(0);
    call.ask(Question::Unblock { client_id, end })
}
