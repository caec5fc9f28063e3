//! PING, SELECT and their like.

use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult, SessionRun};
use darter_base::DbIndex;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError};

/// Answers PONG, or its argument.
pub static PING: SessionCommand = SessionCommand {
    command: Command {
        name: "PING",
        group: Group::Connection,
        since: "1.0.0",
        summary: "Tells whether the server answers.",
        complexity: "O(1)",
        arity: Arity::AtLeast(1),
        flags: Flags::FAST,
        acl: Category::CONNECTION,
        args: &[Arg::string("message").optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Session,
        ..Command::BASE
    },
    run: SessionRun::Alone(ping),
    is_subcommand: false,
};

fn ping(call: &mut SessionCall<'_>) -> SessionResult {
    if call.args.len() > 2 {
        return Err(ReplyError::WrongArity(call.entry.full_name.clone()));
    }
    match call.args.get(1) {
        Some(message) => call.reply().bulk(message),
        None => call.reply().simple("PONG"),
    }
    Ok(Flow::Next)
}

/// Chooses the database of the connection.
pub static SELECT: SessionCommand = SessionCommand {
    command: Command {
        name: "SELECT",
        group: Group::Connection,
        since: "1.0.0",
        summary: "Chooses the database of the connection.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        acl: Category::CONNECTION,
        args: &[Arg::integer("index")],
        handler: Handler::Session,
        ..Command::BASE
    },
    run: SessionRun::Alone(select),
    is_subcommand: false,
};

fn select(call: &mut SessionCall<'_>) -> SessionResult {
    let index = parse_i64(call.args.at(1)).ok_or(ReplyError::InvalidDbIndex)?;
    let databases = call.shared.config.current().databases;
    let index = u16::try_from(index).ok().filter(|index| *index < databases);
    call.session.db = DbIndex(index.ok_or(ReplyError::DbIndexOutOfRange)?);
    call.ok()
}
