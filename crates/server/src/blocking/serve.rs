//! Trying those who wait for keys that became ready, before the shards go back.

use super::errand::signal_keys;
use super::waiter::Blocked;
use crate::dispatch::run_command;
use crate::mail::{Mail, ShardPost};
use crate::shared::Shared;
use crate::worker::Core;
use darter_base::{DbIndex, ShardId, UnixMillis, WorkerId};
use darter_command_table::{CallLimits, ReplyResult, ShardView, WaitSlot};
use darter_resp::{Output, ReplyWriter};
use darter_runtime::crash;
use darter_shard::{ReadyQueue, Shard, ShardOptions, ValueRef, Waiter};
use darter_txn::{Fruitless, Held, Trial, View};
use std::any::Any;
use std::sync::Arc;

/// The answer to a command that waited, on its way to its client.
#[derive(Debug)]
pub struct Served {
    /// What was answered.
    pub waiter: Arc<Blocked>,
    /// The reply, an error included.
    pub reply: Output,
    /// Whether it is an error, and which.
    pub result: ReplyResult,
    /// How long it ran, waiting apart.
    pub nanos: u64,
}

/// Who serves, and when.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// What all workers share.
    pub shared: &'static Shared,
    /// The time.
    pub now: UnixMillis,
    /// Facts of the configuration.
    pub limits: CallLimits,
    /// How shards that are taken for BLMOVE's destination are given back; without it none is.
    pub carrier: Option<&'a ShardPost<'a>>,
}

/// Letters to workers.
pub type Letters = Vec<(WorkerId, Mail)>;

/// Tries those who wait for keys of the view that became ready, until none is left. Must be called after each
/// command, before the shards go back. Returns what has to be sent to their workers.
///
/// A shard that a waiter needs and that is not in the view is taken for the time being if it is free.
#[cold]
pub fn serve_ready(view: &mut ShardView<'_>, serving: &Serving<'_>) -> Letters {
    let mut letters = Letters::new();
    let own_client = crash::in_flight().client;
    if let Some(extra) = serve_within(view, serving, &mut letters) {
        serve_beyond(view, extra, serving, &mut letters);
    }
    crash::note_client(own_client);
    letters
}

/// Goes on with an `extra` shard beside those of the view. A view wants its shards side by side, so they are
/// taken out of it, and hollow ones keep their places.
fn serve_beyond(
    view: &mut ShardView<'_>,
    extra: Held<Shard>,
    serving: &Serving<'_>,
    letters: &mut Letters,
) {
    let options = ShardOptions { databases: 1, hasher: serving.shared.hasher.clone() };
    let mut wide = view.take_out(|id| Box::new(Shard::new(id, &options)));
    let lent: Vec<ShardId> = wide.iter().map(|held| held.id).collect();
    let mut next = Some(extra);
    while let Some(extra) = next {
        let place = wide.partition_point(|held| held.id < extra.id);
        wide.insert(place, extra);
        next = serve_within(&mut View::several(&mut wide, view.router()), serving, letters);
    }
    for held in wide {
        if lent.contains(&held.id) {
            view.put_in(held);
        } else {
            let carrier =
                serving.carrier.expect("shards are taken only with a way to give them back");
            serving.shared.cells.put_back(held, carrier);
        }
    }
}

/// Tries waiters over the view, until none is left or one needs a shard that it does not have and that could
/// be taken: then it is to be called again with it.
fn serve_within(
    view: &mut ShardView<'_>,
    serving: &Serving<'_>,
    letters: &mut Letters,
) -> Option<Held<Shard>> {
    while let Some((id, db, mut queue)) = take_ready(view) {
        let mut extra = None;
        loop {
            let found = view.shard(id).look_up(db, serving.now, &queue.key());
            let found = found.map(ValueRef::value_type);
            let Some(waiter) = queue.next(found) else { break };
            let waiter = blocked(waiter);
            match waiter.claim.begin_trial() {
                Trial::Begun => {}
                Trial::Elsewhere => {
                    queue.keep();
                    continue;
                }
                Trial::Postponed => {
                    queue.keep();
                    break;
                }
                Trial::Over => continue,
            }
            if let Some(needed) = waiter.needs.filter(|needed| !view.holds_shard(*needed)) {
                let cell = serving.shared.cells.cell(needed);
                extra = serving.carrier.and_then(|_| cell.try_take());
                if extra.is_some() {
                    // Nobody else can have found it ready: it waits for one key.
                    if waiter.claim.end_trial() == Fruitless::Retried {
                        waiter.claim.begin_retry();
                    }
                    queue.keep();
                    break;
                }
                if waiter.claim.postpone() {
                    queue.keep();
                    letters.push((waiter.origin.worker, Mail::Retry(waiter)));
                    break;
                }
                continue;
            }
            match run(&waiter, view, serving) {
                Some(served) => {
                    waiter.claim.answered();
                    letters.push((waiter.origin.worker, Mail::Served(Box::new(served))));
                }
                None => match waiter.claim.end_trial() {
                    Fruitless::Waits => queue.keep(),
                    Fruitless::Retried => {
                        queue.keep();
                        letters.push((waiter.origin.worker, Mail::Retry(waiter)));
                    }
                    Fruitless::Over => {}
                },
            }
        }
        if extra.is_some() {
            let key = queue.key();
            let bytes = Box::<[u8]>::from(key.bytes);
            let key = darter_shard::Key { bytes: &bytes, hash: key.hash };
            view.shard(id).put_back_queue(db, queue);
            view.shard(id).signal(db, &key);
            return extra;
        }
        view.shard(id).put_back_queue(db, queue);
    }
    None
}

/// The queue of the next key that is ready.
fn take_ready(view: &mut ShardView<'_>) -> Option<(ShardId, DbIndex, ReadyQueue)> {
    view.each().find_map(|shard| {
        let (db, queue) = shard.take_ready()?;
        Some((shard.id(), db, queue))
    })
}

/// Runs a waiter's command again; `None` when it goes on waiting.
fn run(waiter: &Arc<Blocked>, view: &mut ShardView<'_>, serving: &Serving<'_>) -> Option<Served> {
    let stopwatch = &serving.shared.stopwatch;
    let begun = stopwatch.now();
    crash::note_client(0);
    let mut reply = Output::new();
    let (shared, args, client) = (serving.shared, waiter.args.as_args(), waiter.client);
    // Rights can have been taken while it waited.
    if let Some(error) = waiter.access.refusal_since(shared, waiter.entry, args, client.db) {
        ReplyWriter::new(&mut reply, client.protocol).error(error.line());
        return Some(Served { waiter: Arc::clone(waiter), reply, result: Err(error), nanos: 0 });
    }
    let mut slot = WaitSlot { again: true, wait: None };
    // Nobody would run the slices: it is answered here and now.
    let limits = CallLimits { slices: false, ..serving.limits };
    let result = run_command(
        waiter.entry,
        waiter.args.as_args(),
        waiter.client,
        serving.now,
        &limits,
        serving.shared,
        view,
        &mut reply,
        Some(&mut slot),
        None,
    );
    if let Some(wait) = slot.wait {
        waiter.set_again_at(wait.again_at, view);
        return None;
    }
    let nanos = stopwatch.nanos_between(begun, stopwatch.now());
    Some(Served { waiter: Arc::clone(waiter), reply, result, nanos })
}

/// There is no other kind of waiter.
fn blocked(waiter: Arc<dyn Waiter>) -> Arc<Blocked> {
    let any: Arc<dyn Any + Send + Sync> = waiter;
    any.downcast().expect("only commands wait for keys")
}

impl Core {
    /// Serves those who wait for keys of the view that became ready; see [`serve_ready`].
    #[inline]
    pub fn serve(&self, view: &mut ShardView<'_>, now: UnixMillis) {
        if view.each().any(|shard| shard.has_ready()) {
            self.serve_now(view, now);
        }
    }

    #[cold]
    fn serve_now(&self, view: &mut ShardView<'_>, now: UnixMillis) {
        let carrier = ShardPost(&self.post);
        let serving = Serving {
            shared: self.shared,
            now,
            limits: self.limits.get(),
            carrier: Some(&carrier),
        };
        for (to, mail) in serve_ready(view, &serving) {
            self.post.send(to, mail);
        }
    }

    /// Tries a waiter that has all its shards now, in its place, and those behind it.
    pub fn retry(&self, waiter: &Blocked, view: &mut ShardView<'_>, now: UnixMillis) {
        waiter.claim.begin_retry();
        signal_keys(waiter, view);
        self.serve(view, now);
    }
}
