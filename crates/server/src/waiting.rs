//! Clients that wait for what other servers or files will have: until then their connection is
//! suspended, and their worker looks at the clock for them.

use crate::commands::error::ServerError;
use crate::pending::Pending;
use crate::session::Session;
use crate::worker::{Core, Worker};
use darter_base::UnixMillis;
use darter_resp::ReplyWriter;
use darter_runtime::{ConnectionId, Connections};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Replicas that have what was written (`WAIT`).
    Replicas,
    /// Files that have it (`WAITAOF`).
    Files,
}

impl Awaited {
    /// Writes how many have it: none, here and elsewhere.
    pub fn write(self, reply: &mut ReplyWriter<'_>) {
        match self {
            Self::Replicas => reply.integer(0),
            Self::Files => {
                reply.array(2);
                reply.integer(0);
                reply.integer(0);
            }
        }
    }
}

/// A wait.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// For what.
    pub awaited: Awaited,
    /// Until when; `None`: for ever.
    pub until: Option<UnixMillis>,
}

/// How a wait ends before what is waited for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The reply tells how far it came.
    TimedOut,
    /// The reply is an error.
    Unblocked,
}

impl Core {
    /// Lets a client wait, which must then be suspended.
    pub fn begin_waiting(&self, session: &mut Session, id: ConnectionId, waiting: Waiting) {
        session.pending = Some(Pending::Waiting(waiting));
        self.statistics().blocked_clients.add(1);
        if let Some(until) = waiting.until {
            self.statistics().timed_clients.add(1);
            self.waiting.borrow_mut().push((until, id));
        }
    }

    /// Forgets a client that waits no longer, or is gone.
    pub fn end_waiting(&self, id: ConnectionId, waiting: &Waiting) {
        self.statistics().blocked_clients.remove(1);
        if waiting.until.is_some() {
            self.statistics().timed_clients.remove(1);
            self.waiting.borrow_mut().retain(|(_, other)| *other != id);
        }
    }

    /// Ends the wait of a client; `false` if it does not wait.
    pub fn unblock(
        &self,
        id: ConnectionId,
        end: End,
        connections: &mut Connections<'_, Worker>,
    ) -> bool {
        let ended = connections.with(id, |session, output| {
            let Some(Pending::Waiting(waiting)) = session.pending else { return false };
            session.finish_pending(output, |session, output| {
                session.pending = None;
                let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                match end {
                    End::TimedOut => waiting.awaited.write(&mut reply),
                    End::Unblocked => reply.error(ServerError::Unblocked.to_string()),
                }
            });
            self.end_waiting(id, &waiting);
            true
        });
        if ended == Some(true) {
            connections.resume(id);
        }
        ended == Some(true)
    }

    /// Ends the waits whose time is up; when the next one's will be.
    pub fn end_overdue_waits(
        &self,
        now: UnixMillis,
        connections: &mut Connections<'_, Worker>,
    ) -> Option<UnixMillis> {
        if self.waiting.borrow().is_empty() {
            return None;
        }
        let over: Vec<ConnectionId> = self
            .waiting
            .borrow()
            .iter()
            .filter(|(until, _)| *until <= now)
            .map(|(_, id)| *id)
            .collect();
        for id in over {
            self.unblock(id, End::TimedOut, connections);
        }
        self.waiting.borrow().iter().map(|(until, _)| *until).min()
    }
}
