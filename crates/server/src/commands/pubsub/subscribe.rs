//! SUBSCRIBE and its like, and their opposites.
//!
//! They answer one message for each name, whether or not something changed: what happened, the name,
//! and how many subscriptions the client has then.

use super::BASE;
use crate::pubsub::Kind;
use crate::session::Session;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::worker::Core;
use darter_command_table::{Access, Arg, Arity, Command, Flags, KeySpec};
use std::sync::Arc;

/// What they may do.
const FLAGS: Flags = BASE.flags.and(Flags::NOSCRIPT).and(Flags::FOR_SUBSCRIBERS);

/// Shard channels route like keys.
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::NOT_KEY)];

/// Listens to channels.
pub static SUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SUBSCRIBE",
        summary: "Listens to channels.",
        complexity: "O(N) where N is the number of channels",
        arity: Arity::AtLeast(2),
        flags: FLAGS,
        args: &[Arg::string("channel").multiple()],
        ..BASE
    },
    |call| subscribe(call, Kind::Channel),
);

/// Listens to all channels that match.
pub static PSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PSUBSCRIBE",
        summary: "Listens to all channels whose names match.",
        complexity: "O(N) where N is the number of patterns",
        arity: Arity::AtLeast(2),
        flags: FLAGS,
        args: &[Arg::pattern("pattern").multiple()],
        ..BASE
    },
    |call| subscribe(call, Kind::Pattern),
);

/// Listens to shard channels.
pub static SSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SSUBSCRIBE",
        since: "7.0.0",
        summary: "Listens to shard channels.",
        complexity: "O(N) where N is the number of shard channels",
        arity: Arity::AtLeast(2),
        flags: FLAGS,
        keys: SHARD_CHANNELS,
        args: &[Arg::string("shardchannel").multiple()],
        ..BASE
    },
    |call| subscribe(call, Kind::ShardChannel),
);

/// Listens no longer to channels.
pub static UNSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "UNSUBSCRIBE",
        summary: "Listens no longer to channels, or to none at all.",
        complexity: "O(N) where N is the number of channels",
        arity: Arity::AtLeast(1),
        flags: FLAGS,
        args: &[Arg::string("channel").optional().multiple()],
        ..BASE
    },
    |call| unsubscribe(call, Kind::Channel),
);

/// Listens no longer to channels that match.
pub static PUNSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PUNSUBSCRIBE",
        summary: "Listens no longer to channels that match patterns, or any pattern.",
        complexity: "O(N) where N is the number of patterns",
        arity: Arity::AtLeast(1),
        flags: FLAGS,
        args: &[Arg::pattern("pattern").optional().multiple()],
        ..BASE
    },
    |call| unsubscribe(call, Kind::Pattern),
);

/// Listens no longer to shard channels.
pub static SUNSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SUNSUBSCRIBE",
        since: "7.0.0",
        summary: "Listens no longer to shard channels, or to none at all.",
        complexity: "O(N) where N is the number of shard channels",
        arity: Arity::AtLeast(1),
        flags: FLAGS,
        keys: SHARD_CHANNELS,
        args: &[Arg::string("shardchannel").optional().multiple()],
        ..BASE
    },
    |call| unsubscribe(call, Kind::ShardChannel),
);

fn subscribe(call: &mut SessionCall<'_>, kind: Kind) -> SessionResult {
    if !call.nested && must_read_letters(call.core, call.session) {
        return Ok(Flow::Defer);
    }
    let word: &[u8] = match kind {
        Kind::Channel => b"subscribe",
        Kind::Pattern => b"psubscribe",
        Kind::ShardChannel => b"ssubscribe",
    };
    for (index, name) in call.args.tail(1).iter().enumerate() {
        call.core.subscribe(call.session, call.id, kind, name);
        confirm(call, kind, index, word, Some(name));
    }
    Ok(Flow::Next)
}

fn unsubscribe(call: &mut SessionCall<'_>, kind: Kind) -> SessionResult {
    if !call.nested && must_read_letters(call.core, call.session) {
        return Ok(Flow::Defer);
    }
    let word: &[u8] = match kind {
        Kind::Channel => b"unsubscribe",
        Kind::Pattern => b"punsubscribe",
        Kind::ShardChannel => b"sunsubscribe",
    };
    let mut confirmed = 0;
    let mut end = |call: &mut SessionCall<'_>, name: &[u8]| {
        call.core.unsubscribe(call.session, call.id, kind, name);
        confirm(call, kind, confirmed, word, Some(name));
        confirmed += 1;
    };
    if call.args.len() > 1 {
        for name in call.args.tail(1).iter() {
            end(call, name);
        }
        return Ok(Flow::Next);
    }
    let held = call.session.facts.subscriptions.as_ref();
    let names: Vec<Arc<[u8]>> =
        held.map_or(Vec::new(), |held| held.of(kind).iter().map(Arc::clone).collect());
    for name in &names {
        end(call, name);
    }
    if names.is_empty() {
        confirm(call, kind, 0, word, None);
    }
    Ok(Flow::Next)
}

/// Whether messages are under way to this worker that were published before: they come first, both to
/// whom they still reach and past whom they do not concern. Asked twice, since the command runs again
/// when they have come; the second time the answer is no, whatever came meanwhile. A transaction asks
/// before it runs.
pub fn must_read_letters(core: &Core, session: &mut Session) -> bool {
    let has_read = std::mem::take(&mut session.facts.has_read_letters);
    if has_read || !core.shared.pubsub.transit(core.worker).is_busy() {
        return false;
    }
    session.facts.has_read_letters = true;
    true
}

/// Writes the message about one name, the `index`-th of the command. It is heard whatever CLIENT REPLY
/// says, as in Redis.
fn confirm(call: &mut SessionCall<'_>, kind: Kind, index: usize, word: &[u8], name: Option<&[u8]>) {
    call.session.is_heard = true;
    let held = call.session.facts.subscriptions.as_ref();
    let count = held.map_or(0, |held| held.counted_with(kind));
    let mut reply = call.reply();
    if index == 0 {
        reply.push(3);
    } else {
        reply.further_push(3);
    }
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
}
