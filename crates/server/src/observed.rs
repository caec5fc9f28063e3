//! Running commands when somebody wants to hear of what they do: of keys that changed, of events, or to record it.
//!
//! All are told before the shards are given back, so that everybody hears of one key's changes in the
//! order in which they happened.

use crate::pubsub::Kind;
use crate::recording::Group;
use crate::shared::Shared;
use crate::tracking::Remember;
use darter_base::DbIndex;
use darter_command_table::{CallLimits, Effects, Entry, Flags, ReplyResult, ShardView};
use darter_resp::{Args, OwnedArgs};
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

/// What a transaction or a script has done, until its end.
#[derive(Debug, Default)]
pub struct Together {
    /// Keys it has changed: clients that are told of all keys that begin in some way hear of those of one step
    /// together.
    changed: RefCell<Vec<Box<[u8]>>>,
    /// What it did, to be recorded.
    recorded: RefCell<Group>,
    /// What it published, of which replicas hear behind that.
    published: RefCell<Vec<OwnedArgs>>,
}

impl Together {
    /// Adds a command to what it did.
    pub fn record(&self, db: DbIndex, args: Args<'_>) {
        self.recorded.borrow_mut().add(db, args);
    }

    /// Adds a message to what it published.
    pub fn add_message(&self, args: Args<'_>) {
        self.published.borrow_mut().push(args.iter().collect());
    }

    /// Tells of it and records it. To be called while its shards are held.
    pub fn tell(self, shared: &Shared, by: ConnectionId) {
        shared.broadcast_changes(&self.changed.into_inner(), Some(by));
        let recorded = self.recorded.into_inner();
        if !recorded.is_empty() {
            shared.record_group(&recorded);
        }
        for message in self.published.into_inner() {
            shared.replicate_message(message.as_args());
        }
    }
}

/// The command that shards are worked on for.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    pub entry: &'a Entry,
    pub args: Args<'a>,
    /// The database it is run in.
    pub db: DbIndex,
    /// Whose it is, if the client is still there.
    pub by: Option<ConnectionId>,
    /// What it is a part of.
    pub together: Option<&'a Together>,
}

/// Runs a client's command by `run`, tells what it did, and records it.
#[cold]
pub fn run_observed(
    shared: &Shared,
    cause: Cause<'_>,
    author: Author,
    limits: &CallLimits,
    view: &mut ShardView<'_>,
    run: impl FnOnce(&mut ShardView<'_>, Option<&mut Effects>) -> ReplyResult,
) -> ReplyResult {
    let Cause { entry, args, .. } = cause;
    let result = work_observed_for(shared, limits.interest, view, cause, run);
    if author.remember.next_command() && entry.command.flags.has(Flags::READONLY) {
        entry.command.each_key(args, |index| {
            shared.remember_read(args.at(index), author.id, limits.tracked_keys_max);
        });
    }
    result
}

/// Lets `work` work on shards for a command, tells what it did, and records it.
pub fn work_observed_for<R>(
    shared: &Shared,
    interest: Interest,
    view: &mut ShardView<'_>,
    cause: Cause<'_>,
    work: impl FnOnce(&mut ShardView<'_>, Option<&mut Effects>) -> R,
) -> R {
    let interest = shared.recorded_interest(interest);
    if !interest.any() {
        return work(view, None);
    }
    let mut effects = Effects::new(shared.unlinking.get());
    let is_recorded = shared.is_recorded();
    let changes_before = changes(view);
    let (result, news) =
        observe(interest, view, |view| work(view, is_recorded.then_some(&mut effects)));
    if is_recorded {
        let has_changed =
            changes_before != changes(view) && cause.entry.command.flags.has(Flags::WRITE);
        record(shared, cause, &news, has_changed, &effects);
    }
    shared.tell(news, interest, cause.by, cause.together);
    result
}

/// Lets `work` work on shards without a command, tells what it did, and records what went by itself.
#[inline]
pub fn work_observed<R>(
    shared: &Shared,
    interest: Interest,
    view: &mut ShardView<'_>,
    by: Option<ConnectionId>,
    work: impl FnOnce(&mut ShardView<'_>) -> R,
) -> R {
    let interest = shared.recorded_interest(interest);
    if !interest.any() {
        return work(view);
    }
    let (result, news) = observe(interest, view, work);
    if !news.gone.is_empty() {
        shared.record_gone(&news.gone);
    }
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

/// Changes that the shards count.
fn changes(view: &mut ShardView<'_>) -> u64 {
    view.each().map(|shard| shard.changes()).fold(0, u64::wrapping_add)
}

/// Records what went by itself while a command ran, and what it did.
fn record(shared: &Shared, cause: Cause<'_>, news: &News, has_changed: bool, effects: &Effects) {
    let Cause { args, db, together, .. } = cause;
    let add_step = |group: &mut Group| {
        group.add_gone(&news.gone, shared.unlinking.get());
        if effects.replace_command() {
            group.add_effects(db, effects);
        } else if has_changed {
            group.add(db, args);
        }
    };
    if let Some(together) = together {
        return add_step(&mut together.recorded.borrow_mut());
    }
    if !news.gone.is_empty() {
        // What a command finds to be gone is a part of its step, unless it comes across any keys there are.
        if !cause.entry.command.keys.is_empty() {
            let mut group = Group::default();
            add_step(&mut group);
            return shared.record_group(&group);
        }
        shared.record_gone(&news.gone);
    }
    if effects.replace_command() {
        shared.record_effects(db, effects);
    } else if has_changed {
        shared.record(db, args);
    }
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
                Some(together) => together.changed.borrow_mut().extend(news.changed),
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
