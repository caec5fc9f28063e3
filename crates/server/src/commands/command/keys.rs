//! COMMAND GETKEYS and GETKEYSANDFLAGS: which arguments of a command are keys.

use super::BASE;
use super::info::write_names;
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Access, Arg, Arity, Command, Entry, Flags, ReplyError, Table};
use darter_resp::Args;

const ARGS: &[Arg] = &[Arg::string("command"), Arg::string("arg").optional().multiple()];

/// The keys of a command with its arguments.
pub(super) static GETKEYS: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETKEYS",
        summary: "The keys of a command with its arguments.",
        complexity: "O(N) where N is the number of arguments",
        arity: Arity::AtLeast(3),
        args: ARGS,
        ..BASE
    },
    get_keys,
)
.within();

/// The keys of a command with its arguments, and what it does to them.
pub(super) static GETKEYSANDFLAGS: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETKEYSANDFLAGS",
        since: "7.0.0",
        summary: "The keys of a command with its arguments, and what it does to them.",
        complexity: "O(N) where N is the number of arguments",
        arity: Arity::AtLeast(3),
        args: ARGS,
        ..BASE
    },
    get_keys_and_flags,
)
.within();

fn get_keys(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args.tail(2);
    let keys = keys_of(&call.shared.table, args)?;
    let mut reply = call.reply();
    reply.array(keys.len());
    for (index, _) in keys {
        reply.bulk(args.at(index));
    }
    Ok(Flow::Next)
}

fn get_keys_and_flags(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args.tail(2);
    let keys = keys_of(&call.shared.table, args)?;
    let mut reply = call.reply();
    reply.array(keys.len());
    for (index, access) in keys {
        reply.array(2);
        reply.bulk(args.at(index));
        write_names(&mut reply, access.names());
    }
    Ok(Flow::Next)
}

/// Index and access of each key among `args`.
fn keys_of(table: &Table, args: Args<'_>) -> Result<Vec<(usize, Access)>, ReplyError> {
    let command = look_up(table, args).ok_or(ServerError::InvalidCommand)?.command;
    if !command.has_keys() {
        return Err(ServerError::NoKeyArguments.into());
    }
    if !command.arity.admits(args.len()) {
        return Err(ServerError::InvalidArgumentCount.into());
    }
    let mut keys = Vec::new();
    command.each_key_access(args, |index, access| keys.push((index, access)));
    if keys.is_empty() && !command.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(ServerError::InvalidArguments.into());
    }
    Ok(keys)
}

/// The command or subcommand `args` begin with, whatever their number.
fn look_up<'t>(table: &'t Table, args: Args<'_>) -> Option<&'t Entry> {
    let entry = table.named(args.at(0))?;
    match args.get(1) {
        Some(name) if !entry.subcommands.is_empty() => entry.subcommand(name),
        _ => Some(entry),
    }
}
