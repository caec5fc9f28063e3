//! Running commands when somebody wants to hear of what they do: of keys that changed, or of events.
//!
//! Both are told before the shards are given back, so that everybody hears of one key's changes in the
//! order in which they happened.

use crate::pubsub::Kind;
use crate::shared::Shared;
use crate::tracking::Remember;
use darter_command_table::{CallLimits, Entry, Flags, ReplyResult, ShardView};
use darter_resp::Args;
use darter_runtime::ConnectionId;
use darter_shard::{Event, Interest, News, Shard};

/// Whose command it is, as far as observers care.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// The client.
    pub id: ConnectionId,
    /// Whether keys that its commands read are remembered.
    pub remember: Remember,
}

/// Runs a command by `run`, and tells what it did.
#[cold]
pub fn run_observed(
    shared: &Shared,
    entry: &Entry,
    args: Args<'_>,
    author: Author,
    limits: &CallLimits,
    view: &mut ShardView<'_>,
    run: impl FnOnce(&mut ShardView<'_>) -> ReplyResult,
) -> ReplyResult {
    for shard in view.each() {
        shard.observe(limits.interest);
    }
    let result = run(view);
    let mut news = News::default();
    for shard in view.each() {
        news.join(shard.take_news());
        shard.observe(Interest::NONE);
    }
    shared.tell(&news, limits.interest, Some(author.id));
    if author.remember.next_command() && entry.command.flags.has(Flags::READONLY) {
        entry.command.each_key(args, |index| {
            shared.remember_read(args.at(index), author.id, limits.tracked_keys_max);
        });
    }
    result
}

/// Lets `work` work on a shard outside of commands, and tells what it did.
pub fn work_observed<R>(
    shared: &Shared,
    interest: Interest,
    shard: &mut Shard,
    work: impl FnOnce(&mut Shard) -> R,
) -> R {
    if !interest.any() {
        return work(shard);
    }
    shard.observe(interest);
    let result = work(shard);
    let news = shard.take_news();
    shard.observe(Interest::NONE);
    shared.tell(&news, interest, None);
    result
}

impl Shared {
    /// Tells everybody who wants to hear of it, while the shards are held.
    fn tell(&self, news: &News, interest: Interest, by: Option<ConnectionId>) {
        if news.flushed && self.tracking.any() {
            self.invalidate_all(by);
        }
        if !news.changed.is_empty() && self.tracking.any() {
            self.invalidate(&news.changed, by);
        }
        if !news.events.is_empty() && self.pubsub.any() {
            self.publish_events(&news.events, interest);
        }
    }

    /// Publishes events: in a channel for each key, and in one for each kind of event.
    fn publish_events(&self, events: &[Event], interest: Interest) {
        for event in events {
            let db = event.db.0;
            if interest.has(Interest::BY_KEY) {
                let mut channel = format!("__keyspace@{db}__:").into_bytes();
                channel.extend_from_slice(&event.key);
                self.publish(Kind::Channel, &channel, event.name.as_bytes());
            }
            if interest.has(Interest::BY_EVENT) {
                let channel = format!("__keyevent@{db}__:{}", event.name);
                self.publish(Kind::Channel, channel.as_bytes(), &event.key);
            }
        }
    }
}
