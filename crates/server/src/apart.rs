//! Commands that can take long, and what their worker does meanwhile.
//!
//! Scripts run for as long as they like. A connection whose next command runs one is served apart from its
//! worker's others ([`Then::Apart`]). As long as the script is short that is all; a longer one lets them
//! have their turns again and again ([`Meanwhile`]): they are served as always, over all shards but those
//! that the script holds. Only scripts have to wait for one another, because each worker has one engine.

use crate::mail::Mail;
use crate::outbox::Outbox;
use crate::pending::Pending;
use crate::request::Request;
use crate::session::Session;
use crate::session_command::SessionRun;
use crate::worker::{Core, Worker};
use darter_acl::Context;
use darter_command_table::Entry;
use darter_resp::{ReplyWriter, RequestParser};
use darter_runtime::{ConnectionId, Io, Progress, Then, Turns};
use std::fmt;

/// What a command can have done while it runs.
pub trait Meanwhile: fmt::Debug {
    /// Serves the worker's other connections once. With `again` those that wait for the command to end
    /// are looked at again: something has changed for them.
    fn serve_others(&mut self, again: bool);
}

/// A worker whose other connections can be served.
pub struct Others<'a, 't> {
    pub worker: &'a mut Worker,
    pub turns: &'a mut Turns<'t, Worker>,
}

impl fmt::Debug for Others<'_, '_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Others").finish_non_exhaustive()
    }
}

impl Meanwhile for Others<'_, '_> {
    fn serve_others(&mut self, again: bool) {
        if again {
            self.turns.show_waiting();
        }
        self.turns.take(self.worker);
    }
}

/// The same for a shorter time.
pub fn reborrow<'b>(
    meanwhile: &'b mut Option<&mut (dyn Meanwhile + '_)>,
) -> Option<&'b mut (dyn Meanwhile + 'b)> {
    match meanwhile {
        Some(meanwhile) => Some(&mut **meanwhile),
        None => None,
    }
}

/// The client that is served apart.
#[derive(Clone, Copy, Debug)]
pub struct ServedApart {
    /// Its connection.
    pub id: ConnectionId,
    /// Whether it is told of things unasked: messages, keys to forget, commands.
    pub listens: bool,
}

impl ServedApart {
    /// A client about to be served apart.
    pub fn new(session: &Session, id: ConnectionId) -> Self {
        let listens = session.subscribes || session.monitors || session.facts.tracking.is_some();
        Self { id, listens }
    }

    /// Whether a letter has to wait until it has been served, because it is about it, or may be.
    pub fn delays(self, mail: &Mail) -> bool {
        match mail {
            Mail::Question { .. } | Mail::Revoked { .. } => true,
            Mail::Published(_) | Mail::Invalidate(_) | Mail::Monitored(_) => self.listens,
            Mail::Redirected { to: id, .. }
            | Mail::RedirectionBroken(id)
            | Mail::SetIdleExempt { id, .. } => *id == self.id,
            Mail::Shard(_)
            | Mail::Served(_)
            | Mail::Retry(_)
            | Mail::Resume(_)
            | Mail::Connected { .. }
            | Mail::Transferred { .. }
            | Mail::Saved { .. }
            | Mail::Synced
            | Mail::Replicate
            | Mail::Acknowledged
            | Mail::LookAtClients
            | Mail::Demoted
            | Mail::DoesNotEnd
            | Mail::FollowPause
            | Mail::StandStill(_)
            | Mail::TendShards
            | Mail::Answer { .. } => false,
        }
    }
}

impl Core {
    /// Whether a command can take so long that its connection is to be served apart.
    pub fn runs_apart(&self, session: &Session, entry: &Entry) -> bool {
        match self.shared.session_run(entry.id) {
            Some(SessionRun::Script(_)) => true,
            Some(SessionRun::Queued(_)) => {
                session.transaction.as_ref().is_some_and(|transaction| transaction.runs_scripts())
            }
            _ => false,
        }
    }

    /// What a connection that is not served apart does with a pending command that has to be; `None` if
    /// it has no such command. While another one runs, none keeps shards, and none waits for a busy one.
    pub fn put_apart(&self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Option<Then> {
        let is_apart = match &session.pending {
            Some(Pending::Ready(_)) => true,
            Some(Pending::Deferred(request)) => {
                self.runs_apart(session, request.as_request().entry)
            }
            _ => false,
        };
        if !is_apart {
            return None;
        }
        if !self.scripts.borrow().is_running() {
            return Some(Then::Apart);
        }
        if let Some(Pending::Ready(ready)) =
            session.pending.take_if(|pending| matches!(pending, Pending::Ready(_)))
        {
            session.take_command_back();
            session.pending = Some(ready.give_up(self));
        }
        let Some(Pending::Deferred(request)) = session.pending.take() else {
            unreachable!("the only other one that is served apart")
        };
        let Request { entry, args, .. } = request.as_request();
        let refusal = self.shared.scripts.busy.any().then(|| self.busy_with(session, entry, args));
        let Some(Some(error)) = refusal else {
            session.pending = Some(Pending::Deferred(request));
            return Some(Then::Apart);
        };
        self.count_refusal(session, args, &error, Context::TopLevel, io.turn.now);
        session.finish_pending(io, |session, io| {
            ReplyWriter::new(&mut io.output.0, session.protocol).error(error.line());
        });
        Some(Then::Read)
    }
}

/// A connection waits with the command at `consumed` until it is served apart.
pub fn wait_for_turn(session: &mut Session, consumed: usize) -> Progress {
    // What was parsed of the command is parsed again.
    session.parser = RequestParser::new();
    Progress { consumed, then: Then::Apart }
}
