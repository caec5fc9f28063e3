//! WAIT and WAITAOF: until writes are safe, here or elsewhere.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::waiting::{Awaited, Files, Waiting};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&WAIT, &WAITAOF];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Generic,
    complexity: "O(1)",
    flags: Flags::BLOCKING,
    acl: Category::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    handler: Handler::Session,
    ..Command::BASE
};

/// Waits until replicas have what the connection has written.
static WAIT: SessionCommand = SessionCommand::alone(
    Command {
        name: "WAIT",
        since: "3.0.0",
        summary: "Waits until replicas have what the connection has written.",
        arity: Arity::Exactly(3),
        args: &[Arg::integer("numreplicas"), Arg::integer("timeout")],
        ..BASE
    },
    wait,
);

fn wait(call: &mut SessionCall<'_>) -> SessionResult {
    if call.shared.following.is_replica() {
        return Err(ServerError::WaitOnReplica.into());
    }
    let replicas = parse_i64(call.args.at(1)).ok_or(ReplyError::NotAnInteger)?;
    let timeout = timeout_millis(call.args.at(2))?;
    let count = usize::try_from(replicas).unwrap_or(0);
    let offset = call.session.streamed_to(call.shared);
    begin(call, Awaited::Replicas { count, offset }, timeout)
}

/// Waits until what the connection has written is on disk, here or at replicas.
static WAITAOF: SessionCommand = SessionCommand::alone(
    Command {
        name: "WAITAOF",
        since: "7.2.0",
        summary: "Waits until what the connection has written is on disk, here or at replicas.",
        arity: Arity::Exactly(4),
        args: &[Arg::integer("numlocal"), Arg::integer("numreplicas"), Arg::integer("timeout")],
        ..BASE
    },
    wait_for_files,
);

fn wait_for_files(call: &mut SessionCall<'_>) -> SessionResult {
    let local = parse_i64(call.args.at(1)).ok_or(ReplyError::NotAnInteger)?;
    if !(0..=1).contains(&local) {
        return Err(ReplyError::OutsideOf { min: 0, max: 1 });
    }
    let replicas = parse_i64(call.args.at(2)).filter(|replicas| *replicas >= 0);
    let replicas = replicas.ok_or(ServerError::NotPositive)?;
    let timeout = timeout_millis(call.args.at(3))?;
    if call.shared.following.is_replica() {
        return Err(ServerError::WaitForFilesOnReplica.into());
    }
    let journal = &call.shared.journal;
    if local > 0 && !journal.is_attached() {
        return Err(ServerError::NoJournalToWaitFor.into());
    }
    let files = Files {
        here: local > 0,
        elsewhere: usize::try_from(replicas).unwrap_or(usize::MAX),
        offset: call.session.written_to(call.shared),
        streamed_to: call.session.streamed_to(call.shared),
    };
    begin(call, Awaited::Files(files), timeout)
}

/// Milliseconds; 0: for ever.
fn timeout_millis(arg: &[u8]) -> Result<i64, ServerError> {
    let millis = parse_i64(arg).ok_or(ServerError::TimeoutNotAnInteger)?;
    if millis < 0 { Err(ServerError::TimeoutNegative) } else { Ok(millis) }
}

fn begin(call: &mut SessionCall<'_>, awaited: Awaited, timeout_millis: i64) -> SessionResult {
    if call.nested || awaited.has_come(call.shared) {
        awaited.write(call.shared, &mut call.reply());
        return Ok(Flow::Next);
    }
    let now = call.turn.now;
    let until = match timeout_millis {
        0 => None,
        millis => Some(now.checked_add(millis).ok_or(ServerError::TimeoutOutOfRange)?),
    };
    call.core.begin_waiting(call.session, call.id, Waiting { awaited, until });
    call.core.wait_for_log(call.id, awaited);
    Ok(Flow::Wait)
}
