//! Whose replica this server is, and what it is.

use crate::commands::client::line;
use crate::commands::error::ServerError;
use crate::following::{Failover, Followed, Following, Phase, Primary, Wanted};
use crate::session::Session;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_base::number::parse_i64;
use darter_command_table::{
    Arg, Arity, Category, Command, Deprecation, Flags, Group, Handler, ReplyError, ShardView,
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
    let (args, shared) = (call.args, call.shared);
    if args.len() == 2 && args.at(1).eq_ignore_ascii_case(b"ABORT") {
        if shared.following.failover.give_up(shared) {
            return call.ok();
        }
        return Err(ServerError::NoFailover.into());
    }
    let (mut index, mut target, mut timeout, mut is_forced) = (1, None, None, false);
    while let Some(option) = args.get(index) {
        let rest = args.tail(index + 1);
        index += match &*option.to_ascii_lowercase() {
            b"timeout" if !rest.is_empty() && timeout.is_none() => {
                let millis = parse_i64(rest.at(0)).ok_or(ReplyError::NotAnInteger)?;
                if millis <= 0 {
                    return Err(ServerError::FailoverTimeout.into());
                }
                timeout = Some(millis);
                2
            }
            b"to" if rest.len() >= 2 && target.is_none() => {
                let port = parse_i64(rest.at(1)).ok_or(ReplyError::NotAnInteger)?;
                // Nobody listens at a number that is none of a port.
                let port = u16::try_from(port).unwrap_or(0);
                target = Some(Primary { host: String::from_utf8_lossy(rest.at(0)).into(), port });
                3
            }
            b"force" if !is_forced => {
                is_forced = true;
                1
            }
            _ => return Err(ReplyError::Syntax),
        };
    }
    let following = &shared.following;
    if following.failover.is_under_way() {
        return Err(ServerError::FailoverUnderWay.into());
    }
    if following.is_replica() {
        return Err(ServerError::FailoverOfReplica.into());
    }
    if shared.replication.replica_count() == 0 {
        return Err(ServerError::NoReplicas.into());
    }
    if is_forced && (timeout.is_none() || target.is_none()) {
        return Err(ServerError::FailoverForced.into());
    }
    match target.as_ref().map(|target| shared.replication.replica_at(target)) {
        Some(None) => return Err(ServerError::FailoverToNoReplica.into()),
        Some(Some(false)) => return Err(ServerError::FailoverToOffline.into()),
        Some(Some(true)) | None => {}
    }
    let now = call.turn.now;
    let until = match timeout {
        None => None,
        Some(millis) => Some(now.checked_add(millis).ok_or(ServerError::TimeoutOutOfRange)?),
    };
    if !Failover::begin(shared, Wanted { target, until, is_forced }, now) {
        return Err(ServerError::FailoverUnderWay.into());
    }
    // Nobody writes any more when this is answered.
    call.ask(Question::FollowPause)
}

/// Makes the server a replica, or a primary again.
static REPLICAOF: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "REPLICAOF",
        since: "5.0.0",
        summary: "Makes the server a replica, or a primary.",
        ..REPLICA_OF
    },
    replica_of,
);

/// The same by its old name.
static SLAVEOF: SessionCommand = SessionCommand::all_shards(
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

fn replica_of(call: &mut SessionCall<'_>, _: &mut ShardView<'_>) -> SessionResult {
    let shared = call.shared;
    let (host, port) = (call.args.at(1), call.args.at(2));
    if host.eq_ignore_ascii_case(b"NO") && port.eq_ignore_ascii_case(b"ONE") {
        if Following::lead(shared) == Followed::Now {
            call.core.restriction.set(shared.restriction());
            tracing::info!(
                "PRIMARY MODE enabled (user request from '{}')",
                client_of(call.session)
            );
            Following::configure(shared, None);
        }
        return call.ok();
    }
    let port = parse_i64(port).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(ServerError::PrimaryPort)?;
    let host = String::from_utf8_lossy(host).into_owned();
    let primary = Primary { host, port };
    let shown = format!("{}:{port}", primary.host);
    if Following::follow(shared, primary.clone()) == Followed::Already {
        tracing::info!(
            "REPLICAOF would result into synchronization with the primary we are already connected with. No operation \
             performed."
        );
        call.reply().simple("OK Already connected to specified master");
        return Ok(Flow::Next);
    }
    call.core.restriction.set(shared.restriction());
    tracing::info!("REPLICAOF {shown} enabled (user request from '{}')", client_of(call.session));
    Following::configure(shared, Some(&primary));
    call.ok()
}

/// Who asks, for the log.
pub fn client_of(session: &Session) -> String {
    let facts = &session.facts;
    let address = line::address(session, &facts.peer.remote);
    format!("id={} addr={address} name={}", session.client_id, facts.name.escape_ascii())
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
        let end = i64::try_from(report.end).unwrap_or(i64::MAX);
        let standing = call.shared.following.standing(&call.shared.stopwatch, call.turn.now);
        let mut reply = call.reply();
        if let Some(standing) = standing {
            reply.array(5);
            reply.bulk(b"slave");
            reply.bulk(standing.primary.host.as_bytes());
            reply.integer(standing.primary.port.into());
            reply.bulk(standing.phase.name().as_bytes());
            reply.integer(if standing.phase == Phase::Connected { end } else { -1 });
            return Ok(Flow::Next);
        }
        reply.array(3);
        reply.bulk(b"master");
        reply.integer(end);
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
