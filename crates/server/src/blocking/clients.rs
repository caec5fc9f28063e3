//! Clients that wait for keys, on their worker: how a wait begins and ends.

use super::serve::Served;
use super::waiter::Blocked;
use crate::dispatch::Client;
use crate::mail::ShardPost;
use crate::pending::{After, Pending};
use crate::request::Request;
use crate::session::Session;
use crate::waiting::End;
use crate::watch::Cost;
use crate::worker::{Core, Worker};
use darter_base::crc16::slot_of;
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{ReplyError, ShardView, Wait};
use darter_resp::{OwnedArgs, ReplyWriter};
use darter_runtime::{ConnectionId, Connections, Turn};
use darter_shard::{Key, Shard};
use darter_txn::{Ending, Gathering, Held, Step, Ticket, Trial};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A client's command that waits for keys.
#[derive(Debug)]
pub struct BlockedClient {
    /// What the queues have of it.
    pub waiter: Arc<Blocked>,
    /// When its time is up.
    until: Option<UnixMillis>,
    /// When it is looked at again, as it is noted among the deadlines.
    noted: Option<UnixMillis>,
    /// How long it ran before it began to wait.
    nanos: u64,
    /// Its size on the wire, in bytes.
    request_bytes: usize,
    /// Set while its shards are collected to try it again.
    pub gathering: Option<Gathering<Shard>>,
}

/// How a command that waited came to its end, as far as it is counted.
#[derive(Clone, Copy, Debug)]
enum Finished<'a> {
    /// It ran, or its time was up.
    Ran(&'a Result<(), ReplyError>),
    /// Somebody ended it with an error (CLIENT UNBLOCK): Redis counts it as run and as refused.
    Unblocked(&'a ReplyError),
}

/// How often a wait is looked at again that could not be ended because it was just being tried.
const BUSY_MILLIS: i64 = 1;

/// How often one is looked at again that may not be tried because of a pause.
const HELD_MILLIS: i64 = 100;

impl Core {
    /// Lets the client wait whose command found nothing over the shards of `view`.
    pub fn begin_blocking(
        &self,
        session: &mut Session,
        request: Request<'_>,
        view: &mut ShardView<'_>,
        wait: Wait,
        id: ConnectionId,
        nanos: u64,
    ) {
        let args = with_meanings(request, &wait);
        let databases = self.limits.get().databases;
        let client = Client::of(session, id, request.entry, args.as_args(), databases);
        let router = self.shared.router();
        let mut needs = None;
        request.entry.command.each_key(args.as_args(), |index| {
            if !wait.keys.contains(&index) {
                needs = Some(router.shard_of(slot_of(args.as_args().at(index))));
            }
        });
        let who = (client, session.access.clone());
        let waiter =
            Blocked::new(id, who, request.entry, args, wait.keys.clone(), needs, wait.again_at);
        let waiter = Arc::new(waiter);
        for index in wait.keys {
            let bytes = waiter.args.as_args().at(index);
            let key = Key::new(&self.shared.hasher, bytes);
            let shard = view.shard_of(|| slot_of(bytes));
            shard.wait(client.db, &key, wait.wanted, Arc::<Blocked>::clone(&waiter));
        }
        self.statistics().blocked_clients.add(1);
        if wait.until.is_some() {
            self.statistics().timed_clients.add(1);
        }
        let noted = earlier(wait.until, wait.again_at);
        if let Some(at) = noted {
            self.deadlines.borrow_mut().add(at, session.client_id, id);
        }
        session.pending = Some(Pending::Blocked(Box::new(BlockedClient {
            waiter,
            until: wait.until,
            noted,
            nanos,
            request_bytes: request.bytes,
            gathering: None,
        })));
    }

    /// Forgets a client that waits no longer. It may have places in queues still.
    fn end_blocking(&self, session_id: u64, blocked: &BlockedClient) {
        self.statistics().blocked_clients.remove(1);
        if blocked.until.is_some() {
            self.statistics().timed_clients.remove(1);
        }
        if let Some(at) = blocked.noted {
            self.deadlines.borrow_mut().remove(at, session_id);
        }
        self.shared.waits_ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets a client that is gone. What it was collecting is to be released by the caller.
    pub fn leave_blocked(&self, session: &Session, blocked: &BlockedClient, turn: &Turn) {
        self.end_blocking(session.client_id, blocked);
        if blocked.waiter.claim.abandon() {
            self.wake_those_behind(&blocked.waiter, turn.now);
        }
    }

    /// Ends the wait of a client for keys, if it can be ended now.
    pub fn unblock_from_keys(
        &self,
        session: &mut Session,
        output: &mut darter_resp::Output,
        end: End,
        id: ConnectionId,
        turn: &Turn,
    ) -> Ending {
        let Some(Pending::Blocked(blocked)) = &mut session.pending else { return Ending::Over };
        let ending = blocked.waiter.claim.end();
        if ending != Ending::Ended {
            if ending == Ending::Busy && end == End::TimedOut {
                self.note_deadline(session.client_id, blocked, Some(soon(turn.now)), id);
            }
            return ending;
        }
        let Some(Pending::Blocked(blocked)) = session.pending.take() else { return ending };
        self.end_blocking(session.client_id, &blocked);
        let unsent_before = output.len();
        let mut reply = ReplyWriter::new(output, session.protocol);
        let error = end.error(self.shared);
        let result = match &error {
            None => {
                reply.null_array();
                Finished::Ran(&Ok(()))
            }
            Some(error) => {
                reply.error(error.line());
                Finished::Unblocked(error)
            }
        };
        let reply_bytes = output.len() - unsent_before;
        self.note_finished(session, &blocked, result, (blocked.nanos, reply_bytes), turn);
        ending
    }

    /// Looks at a client that is due to be looked at, and whose time may not be up: it is tried again if it asked for
    /// that by now and no pause holds it back. Whether it goes on waiting.
    pub fn goes_on_waiting(
        &self,
        session: &mut Session,
        id: ConnectionId,
        now: UnixMillis,
    ) -> bool {
        let client_id = session.client_id;
        let Some(Pending::Blocked(blocked)) = &mut session.pending else { return false };
        let is_later = |at: Option<UnixMillis>| at.is_none_or(|at| at > now);
        if !is_later(blocked.until) {
            return false;
        }
        let is_held = self.holds_back(blocked.waiter.entry, blocked.waiter.args.as_args());
        // Somebody else may be trying it, or its worker be collecting its shards.
        if !is_held
            && !is_later(blocked.waiter.again_at())
            && blocked.waiter.claim.begin_trial() == Trial::Begun
            && blocked.waiter.claim.postpone()
        {
            self.advance_retry(client_id, blocked, None, now);
        }
        let again_at = blocked.waiter.again_at();
        let again_at = match again_at {
            again_at if is_later(again_at) => again_at,
            _ if is_held => Some(UnixMillis(now.0.saturating_add(HELD_MILLIS))),
            _ => Some(soon(now)),
        };
        self.note_deadline(client_id, blocked, earlier(blocked.until, again_at), id);
        true
    }

    /// Notes when a client is to be looked at again, in place of what was noted.
    fn note_deadline(
        &self,
        client_id: u64,
        blocked: &mut BlockedClient,
        at: Option<UnixMillis>,
        id: ConnectionId,
    ) {
        let mut deadlines = self.deadlines.borrow_mut();
        if let Some(before) = std::mem::replace(&mut blocked.noted, at) {
            deadlines.remove(before, client_id);
        }
        if let Some(at) = at {
            deadlines.add(at, client_id, id);
        }
    }

    /// Counts and remembers a command that has waited.
    fn note_finished(
        &self,
        session: &mut Session,
        blocked: &BlockedClient,
        result: Finished<'_>,
        (nanos, reply_bytes): (u64, usize),
        turn: &Turn,
    ) {
        let entry = blocked.waiter.entry;
        session.note_command(entry);
        match result {
            Finished::Ran(Err(error @ ReplyError::NoPermission(_))) => {
                self.statistics().refused(entry.counted_as, error);
                return;
            }
            Finished::Ran(result) => self.statistics().called(entry.counted_as, result),
            Finished::Unblocked(error) => {
                self.statistics().called::<()>(entry.counted_as, &Ok(()));
                self.statistics().refused(entry.counted_as, error);
            }
        }
        self.statistics().took(entry.counted_as, nanos);
        let cost = Cost { nanos, request_bytes: blocked.request_bytes, reply_bytes };
        if self.thresholds.get().is_notable(cost) {
            self.remember(session, entry, blocked.waiter.args.as_args(), cost, turn.now);
        }
    }

    /// Goes on collecting the shards of a waiter that is to be tried again, with one more or none, and
    /// tries it when there are all.
    pub fn advance_retry(
        &self,
        client_id: u64,
        blocked: &mut BlockedClient,
        granted: Option<Held<Shard>>,
        now: UnixMillis,
    ) {
        let gathering = blocked
            .gathering
            .get_or_insert_with(|| Gathering::new(self.shards_of(&blocked.waiter)));
        if let Some(held) = granted {
            gathering.accept(held);
        }
        let cells = &self.shared.cells;
        if gathering.advance(cells, self.worker, Ticket(client_id)) == Step::Waiting {
            return;
        }
        self.retry(&blocked.waiter, &mut gathering.view(cells), now);
        gathering.release(cells, &ShardPost(&self.post));
        blocked.gathering = None;
    }

    fn shards_of(&self, waiter: &Blocked) -> Vec<ShardId> {
        let (args, router) = (waiter.args.as_args(), self.shared.router());
        let mut shards = Vec::new();
        waiter.entry.command.each_key(args, |index| {
            let shard = router.shard_of(slot_of(args.at(index)));
            if let Err(place) = shards.binary_search(&shard) {
                shards.insert(place, shard);
            }
        });
        shards
    }
}

impl Worker {
    /// Gives a client the answer to its command that waited, or, when it is gone, gives back what the command
    /// took.
    pub(crate) fn deliver(&self, served: Served, connections: &mut Connections<'_, Self>) {
        let turn = *connections.turn();
        let core = self.core();
        let Served { waiter, reply, result, nanos } = served;
        let mut undelivered = Some(reply);
        let delivered = connections.with(waiter.origin, |session, output| {
            let is_its = matches!(&session.pending, Some(Pending::Blocked(blocked))
                if Arc::ptr_eq(&blocked.waiter, &waiter));
            if !is_its {
                return;
            }
            let Some(Pending::Blocked(blocked)) = session.pending.take() else { return };
            let Some(reply) = undelivered.take() else { return };
            core.end_blocking(session.client_id, &blocked);
            let request = (waiter.entry, waiter.args.as_args());
            core.note_late_denial(session, request, &result, turn.now);
            let cost = (blocked.nanos + nanos, reply.len());
            core.note_finished(session, &blocked, Finished::Ran(&result), cost, &turn);
            core.answer(session, output, |_, output| output.append(reply));
            core.tell_late(session, &mut output.0);
        });
        match undelivered {
            None => debug_assert!(delivered.is_some(), "it was delivered to somebody"),
            Some(reply) => return core.give_back(&waiter, reply, turn.now),
        }
        connections.resume(waiter.origin);
    }

    /// Tries a client's command again, over all its shards.
    pub(crate) fn retry(&self, waiter: &Arc<Blocked>, connections: &mut Connections<'_, Self>) {
        let now = connections.turn().now;
        connections.with(waiter.origin, |session, _| {
            let client_id = session.client_id;
            if let Some(Pending::Blocked(blocked)) = &mut session.pending
                && Arc::ptr_eq(&blocked.waiter, waiter)
            {
                self.core().advance_retry(client_id, blocked, None, now);
            }
        });
    }
}

impl BlockedClient {
    /// What becomes of one that was granted a shard.
    pub fn granted(
        &mut self,
        core: &Core,
        client_id: u64,
        held: Held<Shard>,
        turn: &Turn,
    ) -> After {
        core.advance_retry(client_id, self, Some(held), turn.now);
        After::Waits
    }
}

/// When a client is looked at again that could not be dealt with.
const fn soon(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_add(BUSY_MILLIS))
}

fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    one.into_iter().chain(other).min()
}

/// The arguments as they are to be when the command is run again.
fn with_meanings(request: Request<'_>, wait: &Wait) -> OwnedArgs {
    let mut meant = wait.meant.iter().peekable();
    let mut args = OwnedArgs::new();
    for (index, arg) in request.args.iter().enumerate() {
        match meant.next_if(|(at, _)| *at == index) {
            Some((_, meaning)) => args.push(meaning),
            None => args.push(arg),
        }
    }
    args
}
