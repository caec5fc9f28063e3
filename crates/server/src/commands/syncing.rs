//! What replicas send: who they are (REPLCONF), and that they want data (PSYNC, SYNC).

use crate::commands::error::ServerError;
use crate::commands::replication::client_of;
use crate::following::Following;
use crate::replication::{Announced, Phase};
use crate::session::Replies;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{
    Arg, Arity, Category, Command, Entry, Flags, Group, Handler, ReplyError,
};
use darter_replication::{Offset, SyncRequest};
use darter_resp::Args;

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&PSYNC, &REPLCONF, &SYNC];

/// Whether a replica may send the command: one that is not answered.
pub fn is_for_replicas(entry: &Entry) -> bool {
    COMMANDS.iter().any(|session| std::ptr::eq(&raw const session.command, entry.command))
}

/// What they have in common.
const BASE: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT),
    handler: Handler::Session,
    ..Command::BASE
};

/// The longest address a replica may say it listens on, as in Redis.
const ADDRESS_BYTES_MAX: usize = 255;

/// Begins replication, as a replica asks for it.
static PSYNC: SessionCommand = SessionCommand::all_shards_if(
    Command {
        name: "PSYNC",
        since: "2.8.0",
        summary: "Begins replication, as a replica asks for it.",
        arity: Arity::AtLeast(3),
        flags: BASE.flags.and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI),
        args: &[Arg::string("replicationid"), Arg::integer("offset")],
        ..BASE
    },
    takes_over,
    |call, _| {
        if takes_over(call.args) {
            take_over(call)?;
        }
        begin(call, false, |args| {
            let request = SyncRequest::parse(args.at(1), args.at(2));
            request.ok_or(ReplyError::NotAnInteger)
        })
    },
);

/// The same, as old replicas ask.
static SYNC: SessionCommand = SessionCommand::alone(
    Command {
        name: "SYNC",
        summary: "Begins replication, as an old replica asks for it.",
        arity: Arity::Exactly(1),
        flags: BASE.flags.and(Flags::NO_ASYNC_LOADING).and(Flags::NO_MULTI),
        ..BASE
    },
    |call| begin(call, true, |_| Ok(SyncRequest::Full)),
);

/// Whether the primary asks its replica to be the primary.
fn takes_over(args: Args<'_>) -> bool {
    args.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"FAILOVER"))
}

/// Makes this replica the primary, as its primary asks it to. All shards are held.
fn take_over(call: &SessionCall<'_>) -> Result<(), ReplyError> {
    let (shared, id) = (call.shared, call.args.at(1));
    tracing::info!("Failover request received for replid {}.", id.escape_ascii());
    if !shared.following.is_replica() {
        return Err(ServerError::TakeoverOfPrimary.into());
    }
    if !id.eq_ignore_ascii_case(shared.replication.id().as_bytes()) {
        return Err(ServerError::TakeoverOfAnother.into());
    }
    Following::lead(shared);
    Following::configure(shared, None);
    call.core.restriction.set(shared.restriction());
    tracing::info!("PRIMARY MODE enabled (failover request from '{}')", client_of(call.session));
    Ok(())
}

fn begin(
    call: &mut SessionCall<'_>,
    is_silent: bool,
    request: impl FnOnce(Args<'_>) -> Result<SyncRequest, ReplyError>,
) -> SessionResult {
    if call.session.facts.replica.is_some() {
        return Ok(Flow::Next);
    }
    let following = &call.shared.following;
    if following.failover.is_under_way() {
        return Err(ServerError::SyncWhileFailingOver.into());
    }
    if following.is_replica() && !following.is_connected() {
        return Err(ServerError::NoLinkToPrimary.into());
    }
    // What is in front of the data would be taken for a part of them.
    if !call.output.is_empty() {
        return Err(ServerError::SyncBehindReplies.into());
    }
    let request = request(call.args)?;
    let goes_on = call.core.attach_replica(call.session, call.id, request, is_silent, call.turn);
    if goes_on {
        let replica = call.session.facts.replica.as_ref();
        call.output.extend(b"+CONTINUE");
        if replica.is_some_and(|replica| replica.announced.follows_renaming) {
            let id = call.shared.replication.id();
            call.output.extend(b" ");
            call.output.extend(id.as_bytes());
        }
        call.output.extend(b"\r\n");
    }
    // From now on it gets the stream, in which replies have no place.
    call.session.replies = Replies::Off;
    Ok(Flow::Next)
}

/// What a replica says of itself, and how far it is.
pub static REPLCONF: SessionCommand = SessionCommand::alone(
    Command {
        name: "REPLCONF",
        is_internal: true,
        since: "3.0.0",
        summary: "What a replica says of itself, and how far it is.",
        complexity: "O(1)",
        arity: Arity::AtLeast(1),
        flags: BASE.flags.and(Flags::LOADING).and(Flags::STALE).and(Flags::ALLOW_BUSY),
        acl: Category::ADMIN.and(Category::DANGEROUS),
        ..BASE
    },
    configure,
);

fn configure(call: &mut SessionCall<'_>) -> SessionResult {
    let args = call.args;
    if args.len().is_multiple_of(2) {
        return Err(ReplyError::Syntax);
    }
    let mut index = 1;
    while let (Some(option), Some(value)) = (args.get(index), args.get(index + 1)) {
        match &*option.to_ascii_lowercase() {
            b"ack" => {
                let option = args.get(index + 2);
                let on_disk = option.is_some_and(|name| name.eq_ignore_ascii_case(b"fack"));
                acknowledge(call, value, args.get(index + 3).filter(|_| on_disk));
                return Ok(Flow::Next);
            }
            b"getack" => return Ok(Flow::Next),
            name => {
                let announced = call.session.facts.announced.get_or_insert_default();
                announce(announced, name, value)?;
            }
        }
        index += 2;
    }
    call.ok()
}

/// A replica says one thing of itself.
fn announce(announced: &mut Announced, name: &[u8], value: &[u8]) -> Result<(), ReplyError> {
    match name {
        b"listening-port" => {
            let port = parse_i64(value).ok_or(ReplyError::NotAnInteger)?;
            announced.port = u16::try_from(port).map_err(|_| ReplyError::NotAnInteger)?;
        }
        b"ip-address" => {
            if value.len() > ADDRESS_BYTES_MAX {
                return Err(ServerError::ReplicaAddressTooLong(value.len()).into());
            }
            // It is shown in lines.
            let ip =
                String::from_utf8_lossy(value).replace(|letter: char| letter.is_control(), "?");
            announced.ip = (!ip.is_empty()).then_some(ip);
        }
        b"capa" => match &*value.to_ascii_lowercase() {
            b"eof" => announced.takes_mark = true,
            b"psync2" => announced.follows_renaming = true,
            // What this server does not know it does not use.
            _ => {}
        },
        b"rdb-only" => {
            announced.wants_data_only = match parse_i64(value) {
                Some(0) => false,
                Some(1) => true,
                Some(_) => return Err(ReplyError::OutsideOf { min: 0, max: 1 }),
                None => return Err(ReplyError::NotAnInteger),
            };
        }
        b"version" => {
            let parts = value.split(|byte| *byte == b'.');
            let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            if parts.clone().count() != 3 || !parts.clone().all(is_number) {
                return Err(ServerError::ReplicaVersion(value.to_vec()).into());
            }
        }
        name => return Err(ServerError::UnknownReplicaOption(name.to_vec()).into()),
    }
    Ok(())
}

/// A replica says up to where it has the stream.
fn acknowledge(call: &SessionCall<'_>, offset: &[u8], on_disk: Option<&[u8]>) {
    let Some(replica) = &call.session.facts.replica else { return };
    let parse = |number| parse_i64(number).and_then(|bytes| u64::try_from(bytes).ok());
    let place = |number| parse(number).and_then(Offset::new);
    let Some(offset) = place(offset) else { return };
    let replication = &call.shared.replication;
    replica.note_heard(call.turn.now);
    let mut is_news = replica.note_acknowledged(offset, on_disk.and_then(place));
    if matches!(replica.phase(), Phase::Loads) {
        replica.enter(Phase::Online);
        tracing::info!("Synchronization with replica {} succeeded", replica.name());
        replication.count_good(&call.shared.config.current().replication, call.turn.now);
        is_news = true;
    }
    if is_news {
        replication.tell_acknowledged(call.shared);
    }
}
