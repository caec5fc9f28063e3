//! Changes of long values that are put off until the snapshot under way has written these.
//!
//! A key that is about to change is written first, and a value of a million elements takes longer than others should wait.
//! So whoever wants to change one gives its shards back after a slice of the writing, and comes again, while everybody
//! else is served. What cannot be put off, such as what a script does to keys it has not declared, is done at once, and the
//! value written in one piece.
//!
//! Commands wait in the same place until keys have been evicted or moved together for them ([`Shared::has_to_wait`]).

use crate::mail::Mail;
use crate::request::{OwnedRequest, Request};
use crate::session::Session;
use crate::session_command::Flow;
use crate::shared::Shared;
use crate::transaction::Transaction;
use crate::worker::Core;
use darter_base::crc16::slot_of;
use darter_base::{DbIndex, WorkerId};
use darter_command_table::{Command, Flags, ShardView};
use darter_resp::Args;
use darter_runtime::{ConnectionId, Turn};
use darter_shard::Key;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Whether a command is better put off, as it may change a long value that is not written yet. It is the next to be
/// written.
#[cold]
pub fn is_put_off(
    shared: &Shared,
    view: &mut ShardView<'_>,
    command: &Command,
    args: Args<'_>,
    db: DbIndex,
) -> bool {
    if command.flags.has(Flags::READONLY) {
        return false;
    }
    let mut is_put_off = false;
    command.each_key(args, |index| {
        let name = args.at(index);
        let shard = view.router().shard_of(slot_of(name));
        if view.spans(shard) {
            let key = Key::new(&shared.hasher, name);
            is_put_off |= view.shard(shard).holds_back(db, &key);
        }
    });
    is_put_off
}

/// Puts off what a client has sent, a transaction because of anything that is queued, if it has to wait. A slice is
/// written then.
#[cold]
pub fn put_off(
    shared: &Shared,
    view: &mut ShardView<'_>,
    session: &Session,
    request: Request<'_>,
    turn: &Turn,
) -> Option<Flow> {
    let save = shared.saving.current()?;
    let queued = session.transaction.as_deref().map_or(&[][..], Transaction::commands);
    let queued = queued.iter().map(OwnedRequest::as_request);
    let mut has_to_wait = false;
    for Request { entry, args, .. } in queued.chain([request]) {
        has_to_wait |= is_put_off(shared, view, entry.command, args, session.db);
    }
    let mut goes_on = false;
    if has_to_wait {
        for shard in view.each() {
            goes_on |= save.advance(shard, turn.now);
        }
    }
    // Nothing can be written while too much waits for the disk.
    has_to_wait.then_some(if goes_on { Flow::Defer } else { Flow::PutOff })
}

/// How long a command is put off if there is nothing to be done meanwhile.
const PAUSE: Duration = Duration::from_millis(1);

/// Clients whose commands are put off, and until when, in this order.
#[derive(Debug, Default)]
pub struct PutOff {
    clients: VecDeque<(Instant, ConnectionId)>,
}

impl PutOff {
    /// Adds one, at `now`.
    pub fn add(&mut self, id: ConnectionId, now: Instant) {
        self.clients.push_back((now + PAUSE, id));
    }

    /// The next whose time has come.
    pub fn next_due(&mut self, now: Instant) -> Option<ConnectionId> {
        self.clients.pop_front_if(|(due, _)| *due <= now).map(|(_, id)| id)
    }

    /// When that of the first comes.
    pub fn due(&self) -> Option<Instant> {
        self.clients.front().map(|(due, _)| *due)
    }
}

impl Core {
    /// Lets those go on whose commands have been put off for long enough; until when the next ones are.
    pub fn resume_put_off(&self, turn: &Turn) -> Option<Instant> {
        let mut put_off = self.put_off.borrow_mut();
        // Some of them wait for keys to go, and would wait again.
        let keys_go = !self.shared.background_paused.load(Ordering::Relaxed)
            && self.shared.has_some_wait(&self.limits.get().memory);
        if keys_go && !put_off.clients.is_empty() {
            for worker in (0..self.shared.router().worker_count()).map(WorkerId) {
                self.post.send(worker, Mail::TendShards);
            }
            return Some(turn.instant + PAUSE);
        }
        while let Some(id) = put_off.next_due(turn.instant) {
            self.post.send(self.worker, Mail::Resume(id));
        }
        put_off.due()
    }
}
