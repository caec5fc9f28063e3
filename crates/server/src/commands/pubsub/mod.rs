//! Pub/sub: subscribing, publishing, and telling who listens. How messages travel is told in
//! [`crate::pubsub`].

pub mod introspection;
pub mod publish;
pub mod subscribe;

use crate::session_command::SessionCommand;
use darter_command_table::{Command, Flags, Group, Handler};

/// Every command and subcommand of this folder.
pub static COMMANDS: &[&SessionCommand] = &[
    &subscribe::PSUBSCRIBE,
    &publish::PUBLISH,
    &introspection::PUBSUB,
    &introspection::CHANNELS,
    &introspection::HELP,
    &introspection::NUMPAT,
    &introspection::NUMSUB,
    &introspection::SHARDCHANNELS,
    &introspection::SHARDNUMSUB,
    &subscribe::PUNSUBSCRIBE,
    &publish::SPUBLISH,
    &subscribe::SSUBSCRIBE,
    &subscribe::SUBSCRIBE,
    &subscribe::SUNSUBSCRIBE,
    &subscribe::UNSUBSCRIBE,
];

/// What they have in common.
const BASE: Command = Command {
    group: Group::PubSub,
    since: "2.0.0",
    flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE),
    handler: Handler::Session,
    ..Command::BASE
};
