//! PUBLISH and SPUBLISH.

use super::BASE;
use crate::pubsub::Kind;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_command_table::{Access, Arg, Arity, ChannelUse, Command, Flags, KeySpec};

/// What both may do.
const FLAGS: Flags = BASE.flags.and(Flags::FAST).and(Flags::MAY_REPLICATE);

/// Sends a message to the subscribers of a channel.
pub static PUBLISH: SessionCommand = SessionCommand::alone(
    Command {
        name: "PUBLISH",
        summary: "Sends a message to the subscribers of a channel.",
        complexity: "O(N+M) where N is the number of subscribers and M that of patterns which \
                     begin as the channel does",
        arity: Arity::Exactly(3),
        flags: FLAGS,
        channels: Some(ChannelUse::Publishes),
        args: &[Arg::string("channel"), Arg::string("message")],
        ..BASE
    },
    |call| publish(call, Kind::Channel),
);

/// Sends a message to the subscribers of a shard channel.
pub static SPUBLISH: SessionCommand = SessionCommand::alone(
    Command {
        name: "SPUBLISH",
        since: "7.0.0",
        summary: "Sends a message to the subscribers of a shard channel.",
        complexity: "O(N) where N is the number of subscribers",
        arity: Arity::Exactly(3),
        flags: FLAGS,
        keys: &[KeySpec::at(1, Access::NOT_KEY)],
        channels: Some(ChannelUse::Publishes),
        args: &[Arg::string("shardchannel"), Arg::string("message")],
        ..BASE
    },
    |call| publish(call, Kind::ShardChannel),
);

fn publish(call: &mut SessionCall<'_>, kind: Kind) -> SessionResult {
    match call.together {
        Some(together) if call.shared.replication.is_fed() => together.add_message(call.args),
        _ => call.shared.replicate_message(call.args),
    }
    let published = call.core.publish(kind, call.args.at(1), call.args.at(2));
    let receivers = i64::try_from(published.receivers).unwrap_or(i64::MAX);
    if !published.behind.is_empty() {
        return call.ask_workers(published.behind, Question::CatchUp { receivers });
    }
    call.reply().integer(receivers);
    // A message to oneself comes behind the reply and before that to the next command.
    Ok(if call.session.subscribes { Flow::Yield } else { Flow::Next })
}
