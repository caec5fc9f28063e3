//! Who listens to what, as PUBSUB lists it.
//!
//! Of very many channels a thread for such work makes the list: its worker would keep its clients waiting for
//! a tenth of a second with a million. Each part of the directory is locked for itself meanwhile, so that it is as it was at
//! some moment; a channel that has subscribers all the time is in the list.

use super::{Directory, Kind};
use darter_resp::{Args, OwnedArgs, ReplyWriter};

/// From how many channels on a thread makes the list.
pub const CHANNELS_AT_ONCE_MAX: usize = 10_000;

/// A list of channels.
#[derive(Debug)]
pub enum Listing {
    /// Those with subscribers, that match if there is a pattern.
    Channels { kind: Kind, pattern: Option<Box<[u8]>> },
    /// These, with the numbers of their subscribers.
    Counts { kind: Kind, channels: OwnedArgs },
}

impl Listing {
    /// Answers with it.
    pub fn write(&self, directory: &Directory, reply: &mut ReplyWriter<'_>) {
        match self {
            Self::Channels { kind, pattern } => {
                write_channels(directory, *kind, pattern.as_deref(), reply);
            }
            Self::Counts { kind, channels } => {
                write_counts(directory, *kind, channels.as_args(), reply);
            }
        }
    }
}

/// Answers with the channels that have subscribers, those that match if there is a pattern.
pub fn write_channels(
    directory: &Directory,
    kind: Kind,
    pattern: Option<&[u8]>,
    reply: &mut ReplyWriter<'_>,
) {
    let found = directory.channels(kind, pattern);
    reply.array(found.len());
    for channel in found {
        reply.bulk(&channel);
    }
}

/// Answers with `channels` and the numbers of their subscribers.
pub fn write_counts(
    directory: &Directory,
    kind: Kind,
    channels: Args<'_>,
    reply: &mut ReplyWriter<'_>,
) {
    reply.array(channels.len() * 2);
    for channel in channels.iter() {
        let count = directory.subscriber_count(kind, channel);
        reply.bulk(channel);
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
