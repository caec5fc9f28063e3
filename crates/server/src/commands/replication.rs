//! Whose replica this server is, and what it is: it can only be a primary yet.

use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{
    Arg, Arity, Category, Command, Deprecation, Flags, Group, Handler, ReplyError,
};

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&FAILOVER, &REPLICAOF, &ROLE, &SLAVEOF];

/// What they have in common.
const BASE: Command = Command {
    group: Group::Server,
    complexity: "O(1)",
    flags: Flags::ADMIN.and(Flags::NOSCRIPT),
    handler: Handler::Session,
    ..Command::BASE
};

/// Makes a replica the primary.
static FAILOVER: SessionCommand = SessionCommand::alone(
    Command {
        name: "FAILOVER",
        since: "6.2.0",
        summary: "Makes a replica the primary.",
        arity: Arity::AtLeast(1),
        flags: BASE.flags.and(Flags::STALE),
        args: &[
            Arg::block(
                "target",
                &[
                    Arg::string("host"),
                    Arg::integer("port"),
                    Arg::word("force", "FORCE").optional(),
                ],
            )
            .token("TO")
            .optional(),
            Arg::word("abort", "ABORT").optional(),
            Arg::integer("milliseconds").token("TIMEOUT").optional(),
        ],
        ..BASE
    },
    fail_over,
);

fn fail_over(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args;
    if args.len() == 2 && args.at(1).eq_ignore_ascii_case(b"ABORT") {
        return Err(ServerError::NoFailover.into());
    }
    let (mut index, mut to, mut timeout, mut force) = (1, false, false, false);
    while let Some(option) = args.get(index) {
        let rest = args.tail(index + 1);
        index += match &*option.to_ascii_lowercase() {
            b"timeout" if !rest.is_empty() && !timeout => {
                let millis = parse_i64(rest.at(0)).ok_or(ReplyError::NotAnInteger)?;
                if millis <= 0 {
                    return Err(ServerError::FailoverTimeout.into());
                }
                timeout = true;
                2
            }
            b"to" if rest.len() >= 2 && !to => {
                parse_i64(rest.at(1)).ok_or(ReplyError::NotAnInteger)?;
                to = true;
                3
            }
            b"force" if !force => {
                force = true;
                1
            }
            _ => return Err(ReplyError::Syntax),
        };
    }
    Err(ServerError::NoReplicas.into())
}

/// Makes the server a replica, or a primary again.
static REPLICAOF: SessionCommand = SessionCommand::alone(
    Command {
        name: "REPLICAOF",
        since: "5.0.0",
        summary: "Makes the server a replica, or a primary. It can only be a primary yet.",
        ..REPLICA_OF
    },
    replica_of,
);

/// The same by its old name.
static SLAVEOF: SessionCommand = SessionCommand::alone(
    Command {
        name: "SLAVEOF",
        summary: "The old name of REPLICAOF.",
        deprecated: Some(Deprecation { since: "5.0.0", replaced_by: "`REPLICAOF`" }),
        ..REPLICA_OF
    },
    replica_of,
);

/// What both have in common.
const REPLICA_OF: Command = Command {
    arity: Arity::Exactly(3),
    flags: BASE.flags.and(Flags::NO_ASYNC_LOADING).and(Flags::STALE),
    args: &[Arg::one_of(
        "args",
        &[
            Arg::block("host-port", &[Arg::string("host"), Arg::integer("port")]),
            Arg::block("no-one", &[Arg::word("no", "NO"), Arg::word("one", "ONE")]),
        ],
    )],
    ..BASE
};

fn replica_of(call: &mut SessionCall<'_>) -> SessionResult {
    let (host, port) = (call.args.at(1), call.args.at(2));
    if host.eq_ignore_ascii_case(b"NO") && port.eq_ignore_ascii_case(b"ONE") {
        return call.ok();
    }
    match parse_i64(port) {
        Some(0..=65_535) => Err(ServerError::NoReplication.into()),
        _ => Err(ServerError::PrimaryPort.into()),
    }
}

/// Whether the server is a primary or a replica.
static ROLE: SessionCommand = SessionCommand::alone(
    Command {
        name: "ROLE",
        since: "2.8.12",
        summary: "Whether the server is a primary or a replica, and of whom.",
        arity: Arity::Exactly(1),
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
        acl: Category::ADMIN.and(Category::DANGEROUS),
        ..BASE
    },
    |call| {
        let report = call.shared.replication.report(call.turn.now);
        let mut reply = call.reply();
        reply.array(3);
        reply.bulk(b"master");
        reply.integer(i64::try_from(report.end).unwrap_or(i64::MAX));
        let online = report.replicas.iter().filter(|replica| replica.is_online);
        reply.array(online.clone().count());
        for replica in online {
            reply.array(3);
            reply.bulk(replica.ip.as_bytes());
            reply.bulk(replica.port.to_string().as_bytes());
            reply.bulk(replica.acknowledged.to_string().as_bytes());
        }
        Ok(Flow::Next)
    },
);
