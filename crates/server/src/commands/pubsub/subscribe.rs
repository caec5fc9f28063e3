//! SUBSCRIBE and its like, and their opposites.
//!
//! They answer one message for each name, whether or not something changed: what happened, the name,
//! and how many subscriptions the client has then.

use super::BASE;
use crate::pubsub::{Change, Changing, Kind, NAMES_PER_SLICE, must_read_letters};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Access, Arg, Arity, ChannelUse, Command, Flags, KeySpec};

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
        channels: Some(ChannelUse::Subscribes),
        args: &[Arg::string("channel").multiple()],
        ..BASE
    },
    |call| change(call, Change::Begin(Kind::Channel)),
);

/// Listens to all channels that match.
pub static PSUBSCRIBE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PSUBSCRIBE",
        summary: "Listens to all channels whose names match.",
        complexity: "O(N) where N is the number of patterns",
        arity: Arity::AtLeast(2),
        flags: FLAGS,
        channels: Some(ChannelUse::SubscribesToPatterns),
        args: &[Arg::pattern("pattern").multiple()],
        ..BASE
    },
    |call| change(call, Change::Begin(Kind::Pattern)),
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
        channels: Some(ChannelUse::Subscribes),
        args: &[Arg::string("shardchannel").multiple()],
        ..BASE
    },
    |call| change(call, Change::Begin(Kind::ShardChannel)),
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
    |call| change(call, Change::End(Kind::Channel)),
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
    |call| change(call, Change::End(Kind::Pattern)),
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
    |call| change(call, Change::End(Kind::ShardChannel)),
);

fn change(call: &mut SessionCall<'_>, change: Change) -> SessionResult {
    if !call.nested && must_read_letters(call.core, call.session) {
        return Ok(Flow::Defer);
    }
    let at_once = if call.nested { usize::MAX } else { NAMES_PER_SLICE };
    let mut changing = Changing::new(call.session, call.args, change);
    if changing.advance(call.core, call.session, call.id, call.args, call.output, at_once) {
        Ok(Flow::Next)
    } else {
        Ok(Flow::Change(Box::new(changing)))
    }
}
