//! PING and its like.

use crate::commands::error::ServerError;
use crate::pubsub::{Change, Changing, NAMES_PER_SLICE};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::DbIndex;
use darter_base::number::parse_i64;
use darter_command_table::{
    Arg, Arity, Category, Command, DatabaseUse, Deprecation, Flags, Group, Handler, ReplyError,
};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] =
    &[&ECHO, &PING, &QUIT, &READONLY, &READWRITE, &RESET, &SELECT];

/// What the commands of this file have in common.
const BASE: Command = Command {
    group: Group::Connection,
    complexity: "O(1)",
    acl: Category::CONNECTION,
    handler: Handler::Session,
    ..Command::BASE
};

/// Answers its argument.
pub static ECHO: SessionCommand = SessionCommand::alone(
    Command {
        name: "ECHO",
        summary: "Answers its argument.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
        args: &[Arg::string("message")],
        ..BASE
    },
    |call| {
        let args = call.args;
        call.reply().bulk_argument(args, 1);
        Ok(Flow::Next)
    },
);

/// Answers PONG, or its argument.
pub static PING: SessionCommand = SessionCommand::alone(
    Command {
        name: "PING",
        summary: "Tells whether the server answers.",
        arity: Arity::AtLeast(1),
        flags: Flags::FAST.and(Flags::FOR_SUBSCRIBERS),
        args: &[Arg::string("message").optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        ..BASE
    },
    ping,
);

fn ping(call: &mut SessionCall<'_>) -> SessionResult {
    if call.args.len() > 2 {
        return Err(ReplyError::WrongArity(call.entry.full_name.clone()));
    }
    if call.session.confined {
        // Only replies of the shape of messages fit between messages.
        let message = call.args.get(1).unwrap_or_default();
        let mut reply = call.reply();
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(message);
        return Ok(Flow::Next);
    }
    let args = call.args;
    if args.len() > 1 {
        call.reply().bulk_argument(args, 1);
    } else {
        call.reply().simple("PONG");
    }
    Ok(Flow::Next)
}

/// Closes the connection.
pub static QUIT: SessionCommand = SessionCommand::alone(
    Command {
        name: "QUIT",
        summary: "Closes the connection.",
        arity: Arity::AtLeast(1),
        flags: Flags::NOSCRIPT
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::FAST)
            .and(Flags::NO_AUTH)
            .and(Flags::ALLOW_BUSY)
            .and(Flags::AT_ONCE)
            .and(Flags::FOR_SUBSCRIBERS),
        deprecated: Some(Deprecation {
            since: "7.2.0",
            replaced_by: "just closing the connection",
        }),
        ..BASE
    },
    |call| {
        call.reply().ok();
        Ok(Flow::Close)
    },
);

/// Lets the connection read from a replica. Here it shows as a flag of the client.
pub static READONLY: SessionCommand = SessionCommand::alone(
    Command {
        name: "READONLY",
        summary: "Lets the connection read from a replica of a cluster.",
        ..READ_FROM_REPLICA
    },
    |call| {
        call.session.facts.reads_from_replicas = true;
        call.ok()
    },
);

/// Lets the connection no longer read from a replica.
pub static READWRITE: SessionCommand = SessionCommand::alone(
    Command {
        name: "READWRITE",
        summary: "Lets the connection no longer read from a replica of a cluster.",
        ..READ_FROM_REPLICA
    },
    |call| {
        call.session.facts.reads_from_replicas = false;
        call.ok()
    },
);

/// What both have in common.
const READ_FROM_REPLICA: Command = Command {
    group: Group::Cluster,
    since: "3.0.0",
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    ..BASE
};

/// Puts the connection back into the state it began in.
pub static RESET: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESET",
        since: "6.2.0",
        summary: "Puts the connection back into the state it began in.",
        arity: Arity::Exactly(1),
        flags: Flags::NOSCRIPT
            .and(Flags::LOADING)
            .and(Flags::STALE)
            .and(Flags::FAST)
            .and(Flags::NO_AUTH)
            .and(Flags::ALLOW_BUSY)
            .and(Flags::AT_ONCE)
            .and(Flags::FOR_SUBSCRIBERS),
        ..BASE
    },
    |call| {
        if call.session.facts.replica.is_some() {
            return Err(ServerError::ResetOfReplica.into());
        }
        let held = call.session.facts.subscriptions.as_ref().map_or(0, |held| held.total());
        if held > NAMES_PER_SLICE && !call.nested {
            let changing = Changing::new(call.session, call.args, Change::EndSilently);
            return Ok(Flow::Change(Box::new(changing)));
        }
        call.core.discard(call.session, call.turn.now);
        call.session.reset();
        call.shared.estrange(call.session);
        call.core.end_monitoring(call.session);
        call.core.end_subscriptions(call.session, call.id);
        call.core.end_tracking(call.session, call.id);
        call.reply().simple("RESET");
        Ok(Flow::Next)
    },
);

/// Chooses the database of the connection.
pub static SELECT: SessionCommand = SessionCommand::alone(
    Command {
        name: "SELECT",
        summary: "Chooses the database of the connection.",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY),
        databases: DatabaseUse::Named(|_, visit| visit(1)),
        args: &[Arg::integer("index")],
        ..BASE
    },
    select,
);

fn select(call: &mut SessionCall<'_>) -> SessionResult {
    let index = parse_i64(call.args.at(1)).ok_or(ReplyError::NotAnInteger)?;
    let index = i32::try_from(index).map_err(|_| ServerError::NotAnInt)?;
    let databases = call.shared.config.current().databases;
    let index = u16::try_from(index).ok().filter(|index| *index < databases);
    call.session.db = DbIndex(index.ok_or(ReplyError::DbIndexOutOfRange)?);
    call.ok()
}
