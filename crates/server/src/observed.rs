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
use darter_shard::{Event, Interest, News};
use std::cell::RefCell;

/// Whose command it is, as far as observers care.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// The client.
    pub id: ConnectionId,
    /// Whether keys that its commands read are remembered.
    pub remember: Remember,
}

/// Keys that a transaction or a script has changed, until its end: clients that are told of all keys that
/// begin in some way hear of those of one step together.
#[derive(Debug, Default)]
pub struct Together(RefCell<Vec<Box<[u8]>>>);

impl Together {
    /// Tells of them. To be called while their shards are held.
    pub fn tell(self, shared: &Shared, by: ConnectionId) {
        shared.broadcast_changes(&self.0.into_inner(), Some(by));
    }
}

/// Runs a command by `run`, and tells what it did.
#[expect(clippy::too_many_arguments, reason = "what a command is, and who hears of it")]
#[cold]
pub fn run_observed(
    shared: &Shared,
    entry: &Entry,
    args: Args<'_>,
    author: Author,
    limits: &CallLimits,
    view: &mut ShardView<'_>,
    together: Option<&Together>,
    run: impl FnOnce(&mut ShardView<'_>) -> ReplyResult,
) -> ReplyResult {
    let (result, news) = observe(limits.interest, view, run);
    shared.tell(news, limits.interest, Some(author.id), together);
    if author.remember.next_command() && entry.command.flags.has(Flags::READONLY) {
        entry.command.each_key(args, |index| {
            shared.remember_read(args.at(index), author.id, limits.tracked_keys_max);
        });
    }
    result
}

/// Lets `work` work on shards, for a client's command or without one, and tells what it did.
#[inline]
pub fn work_observed<R>(
    shared: &Shared,
    interest: Interest,
    view: &mut ShardView<'_>,
    by: Option<ConnectionId>,
    work: impl FnOnce(&mut ShardView<'_>) -> R,
) -> R {
    if !interest.any() {
        return work(view);
    }
    let (result, news) = observe(interest, view, work);
    shared.tell(news, interest, by, None);
    result
}

fn observe<R>(
    interest: Interest,
    view: &mut ShardView<'_>,
    work: impl FnOnce(&mut ShardView<'_>) -> R,
) -> (R, News) {
    for shard in view.each() {
        shard.observe(interest);
    }
    let result = work(view);
    let mut news = News::default();
    for shard in view.each() {
        news.join(shard.take_news());
        shard.observe(Interest::NONE);
    }
    (result, news)
}

impl Shared {
    /// Tells everybody who wants to hear of it, while the shards are held.
    fn tell(
        &self,
        news: News,
        interest: Interest,
        by: Option<ConnectionId>,
        together: Option<&Together>,
    ) {
        if news.flushed && self.tracking.any() {
            self.invalidate_all(by);
        }
        if !news.changed.is_empty() && self.tracking.any() {
            self.invalidate_read(&news.changed, by);
            match together {
                Some(together) => together.0.borrow_mut().extend(news.changed),
                None => self.broadcast_changes(&news.changed, by),
            }
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
