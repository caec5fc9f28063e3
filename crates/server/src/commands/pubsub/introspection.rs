//! PUBSUB: who listens to what.

use super::BASE;
use crate::commands::error::ServerError;
use crate::pubsub::Kind;
use crate::pubsub::listing::{CHANNELS_AT_ONCE_MAX, Listing, write_channels, write_counts};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use crate::survey::Question;
use darter_command_table::{Arg, Arity, Command, Flags};

/// The container.
pub static PUBSUB: SessionCommand = SessionCommand::container(Command {
    name: "PUBSUB",
    since: "2.8.0",
    summary: "A container for commands about who listens.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    subcommands: &[
        &CHANNELS.command,
        &HELP.command,
        &NUMPAT.command,
        &NUMSUB.command,
        &SHARDCHANNELS.command,
        &SHARDNUMSUB.command,
    ],
    handler: Command::BASE.handler,
    ..BASE
});

/// Channels with subscribers.
pub static CHANNELS: SessionCommand = SessionCommand::alone(
    Command {
        name: "CHANNELS",
        since: "2.8.0",
        summary: "Channels with subscribers.",
        complexity: "O(N) where N is the number of channels with subscribers",
        arity: Arity::AtLeast(2),
        args: &[Arg::pattern("pattern").optional()],
        ..BASE
    },
    |call| channels(call, Kind::Channel),
)
.within();

/// How many patterns there are.
pub static NUMPAT: SessionCommand = SessionCommand::alone(
    Command {
        name: "NUMPAT",
        since: "2.8.0",
        summary: "How many different patterns have subscribers.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let count = call.shared.pubsub.count(Kind::Pattern);
        call.reply().integer(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(Flow::Next)
    },
)
.within();

/// How many subscribers channels have.
pub static NUMSUB: SessionCommand = SessionCommand::alone(
    Command {
        name: "NUMSUB",
        since: "2.8.0",
        summary: "How many subscribers channels have, those by patterns apart.",
        complexity: "O(N) where N is the number of channels asked for",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("channel").optional().multiple()],
        ..BASE
    },
    |call| subscriber_counts(call, Kind::Channel),
)
.within();

/// Shard channels with subscribers.
pub static SHARDCHANNELS: SessionCommand = SessionCommand::alone(
    Command {
        name: "SHARDCHANNELS",
        since: "7.0.0",
        summary: "Shard channels with subscribers.",
        complexity: "O(N) where N is the number of shard channels with subscribers",
        arity: Arity::AtLeast(2),
        args: &[Arg::pattern("pattern").optional()],
        ..BASE
    },
    |call| channels(call, Kind::ShardChannel),
)
.within();

/// How many subscribers shard channels have.
pub static SHARDNUMSUB: SessionCommand = SessionCommand::alone(
    Command {
        name: "SHARDNUMSUB",
        since: "7.0.0",
        summary: "How many subscribers shard channels have.",
        complexity: "O(N) where N is the number of shard channels asked for",
        arity: Arity::AtLeast(2),
        args: &[Arg::string("shardchannel").optional().multiple()],
        ..BASE
    },
    |call| subscriber_counts(call, Kind::ShardChannel),
)
.within();

/// Tells which subcommands there are.
pub static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        since: "6.2.0",
        summary: "Tells which subcommands there are.",
        complexity: "O(1)",
        arity: Arity::Exactly(2),
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("PUBSUB", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
];

fn channels(call: &mut SessionCall<'_>, kind: Kind) -> SessionResult {
    if call.args.len() > 3 {
        let subcommand = call.args.at(1).to_vec();
        return Err(ServerError::SubcommandArguments { command: "PUBSUB", subcommand }.into());
    }
    let (pattern, directory) = (call.args.get(2), &call.shared.pubsub);
    if directory.count(kind) > CHANNELS_AT_ONCE_MAX {
        let pattern = pattern.map(Box::from);
        return call
            .ask_own_worker(Question::Listeners(Listing::Channels { kind, pattern }.into()));
    }
    write_channels(directory, kind, pattern, &mut call.reply());
    Ok(Flow::Next)
}

fn subscriber_counts(call: &mut SessionCall<'_>, kind: Kind) -> SessionResult {
    let channels = call.args.tail(2);
    if channels.len() > CHANNELS_AT_ONCE_MAX {
        let channels = channels.into();
        return call.ask_own_worker(Question::Listeners(Listing::Counts { kind, channels }.into()));
    }
    write_counts(&call.shared.pubsub, kind, channels, &mut call.reply());
    Ok(Flow::Next)
}
