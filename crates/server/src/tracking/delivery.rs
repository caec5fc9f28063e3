//! From a change to the clients that are to be told of it.

use super::Tracking;
use super::state::{Mode, Remember};
use crate::mail::Mail;
use crate::pending::Pending;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::{Core, Worker};
use darter_base::WorkerId;
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_runtime::{ConnectionId, Connections};
use darter_txn::Answered;
use hashbrown::HashSet;
use std::sync::Arc;

/// The channel in which a RESP2 client that is told instead of another one hears of keys.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Which keys are to be forgotten.
#[derive(Clone, Debug)]
pub enum Invalidated {
    /// These.
    Keys(Arc<[Box<[u8]>]>),
    /// All.
    All,
}

/// Which of its clients a worker is to tell.
#[derive(Clone, Debug)]
enum Whom {
    /// These.
    These(Vec<ConnectionId>),
    /// All that are tracked but these.
    AllBut(Arc<HashSet<ConnectionId>>),
}

/// What a worker is to tell its clients.
#[derive(Clone, Debug)]
pub struct Invalidation {
    /// Whom.
    to: Whom,
    /// What.
    what: Invalidated,
    /// Whether for having asked for all keys that begin so.
    is_broadcast: bool,
    /// Whose command it was.
    by: Option<ConnectionId>,
}

/// Splits clients by the workers they are on.
fn by_worker(clients: impl Iterator<Item = ConnectionId>) -> Vec<(WorkerId, Vec<ConnectionId>)> {
    let mut split: Vec<(WorkerId, Vec<ConnectionId>)> = Vec::new();
    for client in clients {
        match split.iter_mut().find(|(worker, _)| *worker == client.worker) {
            Some((_, clients)) => clients.push(client),
            None => split.push((client.worker, vec![client])),
        }
    }
    split
}

/// Keys that are forgotten in one go.
const SURPLUS_KEYS_PER_SLICE: usize = 1000;

impl Shared {
    /// Tells clients of keys they have read that they changed, by whose command if it was one. To be
    /// called while the keys' shards are held.
    pub fn invalidate_read(&self, keys: &[Box<[u8]>], by: Option<ConnectionId>) {
        for key in keys {
            if let Some(readers) = self.tracking.forget(key) {
                self.tell_readers(key.clone(), &readers, by);
            }
        }
    }

    /// Tells clients of keys that begin as they asked for that they changed, in one message for each such
    /// beginning. To be called while the keys' shards are held.
    pub fn broadcast_changes(&self, keys: &[Box<[u8]>], by: Option<ConnectionId>) {
        self.tracking.each_prefix(keys, |keys, clients| {
            let mut keys = keys;
            keys.sort_unstable();
            keys.dedup();
            self.send_invalidations(&Invalidated::Keys(keys.into()), clients, true, by);
        });
    }

    fn tell_readers(
        &self,
        key: Box<[u8]>,
        readers: &HashSet<ConnectionId>,
        by: Option<ConnectionId>,
    ) {
        self.send_invalidations(&Invalidated::Keys(Arc::from([key])), readers, false, by);
    }

    fn send_invalidations(
        &self,
        what: &Invalidated,
        clients: &HashSet<ConnectionId>,
        is_broadcast: bool,
        by: Option<ConnectionId>,
    ) {
        let clients = clients.iter().copied();
        let own = clients.filter(|client| !self.tell_instead(*client, what, is_broadcast, by));
        for (worker, to) in by_worker(own) {
            let (to, what) = (Whom::These(to), what.clone());
            self.send(worker, Mail::Invalidate(Invalidation { to, what, is_broadcast, by }));
        }
    }

    /// Tells the one that is told instead of a tracked client, at once and not by way of that client's worker: who is
    /// told for several hears of changes in their order. False if the client is to be told itself, maybe that the other
    /// one is gone.
    fn tell_instead(
        &self,
        client: ConnectionId,
        what: &Invalidated,
        is_broadcast: bool,
        by: Option<ConnectionId>,
    ) -> bool {
        let Some(redirection) = self.tracking.redirection(client) else { return false };
        if matches!(what, Invalidated::Keys(_))
            && (is_broadcast != redirection.is_broadcast
                || (redirection.no_loop && by == Some(client)))
        {
            return true;
        }
        let Some(to) = self.connection_of(redirection.to) else { return false };
        let redirected = Mail::Redirected { to, instead_of: client, what: what.clone() };
        self.send(to.worker, redirected);
        true
    }

    /// Tells all tracked clients that every key is gone.
    pub fn invalidate_all(&self, by: Option<ConnectionId>) {
        self.tracking.clear();
        let redirected = self.tracking.redirected().into_iter();
        let told = redirected
            .filter(|client| self.tell_instead(*client, &Invalidated::All, false, by))
            .collect::<HashSet<_>>();
        let told = Arc::new(told);
        for worker in (0..self.router().worker_count()).map(WorkerId) {
            let (to, what) = (Whom::AllBut(Arc::clone(&told)), Invalidated::All);
            let invalidation = Invalidation { to, what, is_broadcast: false, by };
            self.send(worker, Mail::Invalidate(invalidation));
        }
    }

    /// Forgets some of the keys beyond `keys_max`, of which there are many when that was lowered.
    pub fn forget_tracked_surplus(&self, keys_max: usize) {
        for _ in 0..SURPLUS_KEYS_PER_SLICE {
            let Some((key, readers)) = self.tracking.forget_surplus(b"", keys_max) else { return };
            self.tell_readers(key, &readers, None);
        }
    }

    /// Forgets some of the keys, of which there may be many, when nobody is tracked any more: changes are
    /// not looked at then.
    pub fn forget_tracked_leftovers(&self) {
        for _ in 0..SURPLUS_KEYS_PER_SLICE {
            if self.tracking.any() || self.tracking.key_count() == 0 {
                return;
            }
            let Some((key, readers)) = self.tracking.forget_one(b"") else { return };
            // Somebody may be tracked again, and have read the key, since then.
            if self.tracking.any() {
                self.tell_readers(key, &readers, None);
            }
        }
    }

    /// Remembers that a client has read a key. Of too many keys another one is forgotten.
    pub fn remember_read(&self, key: &[u8], reader: ConnectionId, keys_max: usize) {
        self.tracking.remember(key, reader);
        if let Some((key, readers)) = self.tracking.forget_surplus(key, keys_max) {
            self.tell_readers(key, &readers, None);
        }
    }
}

impl Core {
    /// Tracks a client from now on, as it asked for.
    pub fn begin_tracking(&self, session: &mut Session, id: ConnectionId, mut tracking: Tracking) {
        let before = session.facts.tracking.take();
        if before.is_none() {
            self.shared.tracking.add_client();
            self.trackers.borrow_mut().insert(id);
        }
        self.shared.tracking.add_prefixes(&mut tracking.prefixes, id);
        // What it asked for before still holds.
        if let Some(before) = before.filter(|before| !before.prefixes.is_empty()) {
            let mut prefixes = [before.prefixes, tracking.prefixes].concat();
            prefixes.sort_unstable();
            prefixes.dedup();
            tracking.prefixes = prefixes.into();
        }
        session.remember = tracking.remember();
        self.shared.tracking.redirect(id, tracking.redirection());
        session.facts.tracking = Some(Box::new(tracking));
    }

    /// Tracks it no longer.
    pub fn end_tracking(&self, session: &mut Session, id: ConnectionId) {
        let Some(tracking) = session.facts.tracking.take() else { return };
        session.remember = Remember::Never;
        self.trackers.borrow_mut().remove(&id);
        self.shared.tracking.remove_prefixes(&tracking.prefixes, id);
        self.shared.tracking.redirect(id, None);
        self.shared.tracking.remove_client();
        self.shared.forget_tracked_leftovers();
    }

    /// Tells this worker's clients.
    pub fn deliver_invalidation(
        &self,
        invalidation: &Invalidation,
        connections: &mut Connections<'_, Worker>,
    ) {
        let all: Vec<ConnectionId>;
        let to = match &invalidation.to {
            Whom::These(these) => these,
            Whom::AllBut(told) => {
                let trackers = self.trackers.borrow();
                all = trackers.iter().copied().filter(|id| !told.contains(id)).collect();
                &all
            }
        };
        for id in to {
            let redirect = connections
                .with(*id, |session, output| self.tell_tracked(session, output, *id, invalidation));
            // It has asked for that since the letter was written.
            if let Some(Some(redirect)) = redirect {
                let (to, instead_of, what) = (redirect, *id, invalidation.what.clone());
                self.post.send(to.worker, Mail::Redirected { to, instead_of, what });
            }
        }
    }

    /// Tells a tracked client, or says who is to be told instead.
    fn tell_tracked(
        &self,
        session: &mut Session,
        output: &mut crate::outbox::Outbox,
        id: ConnectionId,
        invalidation: &Invalidation,
    ) -> Option<ConnectionId> {
        let protocol = session.protocol;
        let tracking = session.facts.tracking.as_mut()?;
        let is_for_it = match invalidation.what {
            Invalidated::All => true,
            Invalidated::Keys(_) => {
                invalidation.is_broadcast == (tracking.mode == Mode::Broadcast)
                    && !(tracking.no_loop && invalidation.by == Some(id))
            }
        };
        if !is_for_it {
            return None;
        }
        if tracking.redirect == 0 {
            let is_own = invalidation.by == Some(id);
            let flushes = matches!(invalidation.what, Invalidated::All);
            let comes_late = match &session.pending {
                Some(Pending::Posted) if is_own => Answered::Yes,
                // No command that waits flushes.
                Some(Pending::Blocked(blocked)) if is_own && !flushes => {
                    blocked.waiter.claim.is_answered()
                }
                _ => Answered::No,
            };
            match comes_late {
                Answered::Yes => {
                    session.facts.late_invalidations.push(invalidation.what.clone());
                }
                // It is soon known which of its commands changed that: the one that waits, or one before.
                Answered::Maybe => {
                    let again = Invalidation { to: Whom::These(vec![id]), ..invalidation.clone() };
                    self.post.send(self.worker, Mail::Invalidate(again));
                }
                Answered::No if protocol == Protocol::Resp3 => {
                    write(&invalidation.what, &mut output.0, protocol);
                }
                Answered::No => {}
            }
            return None;
        }
        let instead = self.shared.connection_of(tracking.redirect);
        if instead.is_none() {
            break_redirection(session, &mut output.0);
        }
        instead
    }

    /// Tells a client of what its own command changed, which has been answered now.
    pub fn tell_late(&self, session: &mut Session, output: &mut Output) {
        for what in std::mem::take(&mut session.facts.late_invalidations) {
            if session.protocol == Protocol::Resp3 {
                write(&what, output, session.protocol);
            }
        }
    }

    /// Tells a client of keys that another one has read; or that one, if it is gone or about to be.
    pub fn deliver_redirected(
        &self,
        to: ConnectionId,
        instead_of: ConnectionId,
        what: &Invalidated,
        connections: &mut Connections<'_, Worker>,
    ) {
        let told = connections.with(to, |session, output| {
            if session.protocol == Protocol::Resp3 || session.subscribes {
                write(what, &mut output.0, session.protocol);
            }
        });
        if told.is_none() {
            self.post.send(instead_of.worker, Mail::RedirectionBroken(instead_of));
        }
    }
}

/// Notes that the client is gone that was told instead of this one, and tells it so.
pub fn break_redirection(session: &mut Session, output: &mut Output) {
    let protocol = session.protocol;
    let Some(tracking) = session.facts.tracking.as_mut() else { return };
    if tracking.redirect == 0 {
        return;
    }
    tracking.is_broken = true;
    if protocol == Protocol::Resp3 {
        let mut reply = ReplyWriter::new(output, protocol);
        reply.push(2);
        reply.bulk(b"tracking-redir-broken");
        reply.integer(i64::try_from(tracking.redirect).unwrap_or(i64::MAX));
    }
}

fn write(what: &Invalidated, output: &mut Output, protocol: Protocol) {
    let mut reply = ReplyWriter::new(output, protocol);
    if protocol == Protocol::Resp3 {
        reply.push(2);
        reply.bulk(b"invalidate");
    } else {
        reply.array(3);
        reply.bulk(b"message");
        reply.bulk(CHANNEL);
    }
    match what {
        Invalidated::All => reply.null(),
        Invalidated::Keys(keys) => {
            reply.array(keys.len());
            for key in &**keys {
                reply.bulk(key);
            }
        }
    }
}
