//! Clients that wait for what other servers or files will have: until then their connection is
//! suspended, and their worker looks at the clock for them.

use crate::commands::error::{SHUTDOWN_FAILED, ServerError};
use crate::mail::Mail;
use crate::pending::Pending;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::{Core, Worker};
use darter_base::UnixMillis;
use darter_command_table::{Flags, ReplyError};
use darter_replication::Offset;
use darter_resp::ReplyWriter;
use darter_runtime::{ConnectionId, Connections};
use darter_txn::Ending;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// So many replicas that have the stream up to there (`WAIT`).
    Replicas { count: usize, offset: Offset },
    /// Files that have it (`WAITAOF`).
    Files(Files),
    /// The file of all data (`SAVE`).
    Save,
    /// The end of the process (`SHUTDOWN`).
    TheEnd,
}

/// The log, here and at replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// Whether the one here is waited for.
    pub here: bool,
    /// Of how many replicas they are.
    pub elsewhere: usize,
    /// Where in the log what was written ends.
    pub offset: u64,
    /// Where in the stream for replicas it does.
    pub streamed_to: Offset,
}

impl Files {
    /// Whether everything is there that is waited for.
    fn are_there(self, shared: &Shared) -> bool {
        (!self.here || shared.journal.is_synced(self.offset))
            && (self.elsewhere == 0
                || shared.replication.having_on_disk(self.streamed_to) >= self.elsewhere)
    }
}

impl Awaited {
    /// Whether what is waited for has come.
    pub fn has_come(self, shared: &Shared) -> bool {
        match self {
            Self::Replicas { count, offset } => shared.replication.having(offset) >= count,
            Self::Files(files) => files.are_there(shared),
            Self::Save | Self::TheEnd => false,
        }
    }

    /// Writes how many have it, here and elsewhere.
    pub fn write(self, shared: &Shared, reply: &mut ReplyWriter<'_>) {
        let write_count = |reply: &mut ReplyWriter<'_>, count: usize| {
            reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
        };
        match self {
            Self::Replicas { offset, .. } => {
                write_count(reply, shared.replication.having(offset));
            }
            Self::Files(Files { offset, streamed_to, .. }) => {
                let journal = &shared.journal;
                let is_here = journal.is_attached() && journal.is_synced(offset);
                reply.array(2);
                reply.integer(is_here.into());
                write_count(reply, shared.replication.having_on_disk(streamed_to));
            }
            Self::Save => reply.ok(),
            Self::TheEnd => unreachable!("nobody is answered when the process ends"),
        }
    }

    /// Whether a wait for it can end so.
    const fn is_ended_by(self, end: End) -> bool {
        match self {
            Self::Replicas { .. } | Self::Files(_) => {
                matches!(end, End::TimedOut | End::Unblocked | End::Demoted)
            }
            Self::Save => false,
            Self::TheEnd => matches!(end, End::DoesNotEnd),
        }
    }

    /// Whether it cannot come any more: there is no log.
    fn is_lost(self, shared: &Shared) -> bool {
        matches!(self, Self::Files(files) if files.here) && !shared.journal.is_attached()
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
    /// The same, as this server is a replica now.
    Demoted,
    /// The same, as the process does not end.
    DoesNotEnd,
    /// The same; the client goes on at the primary.
    Redirected,
}

impl End {
    /// The error that is the reply, if it is one.
    pub fn error(self, shared: &Shared) -> Option<ReplyError> {
        const DEMOTED: ReplyError = ReplyError::Text(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        );
        match self {
            Self::TimedOut => None,
            Self::Unblocked => {
                Some(ReplyError::Text("UNBLOCKED client unblocked via CLIENT UNBLOCK"))
            }
            Self::Demoted => Some(DEMOTED),
            Self::Redirected => Some(shared.following.redirection().unwrap_or(DEMOTED)),
            Self::DoesNotEnd => Some(ReplyError::Text(SHUTDOWN_FAILED)),
        }
    }
}

/// How what a client waits for ends when this server becomes a replica; `None`: it does not.
fn end_on_replica(session: &Session) -> Option<End> {
    let facts = &session.facts;
    match &session.pending {
        Some(Pending::Waiting(waiting)) => (waiting.awaited.is_ended_by(End::Demoted)
            && !facts.reads_from_replicas)
            .then_some(End::Demoted),
        Some(Pending::Blocked(blocked)) => {
            // The primary's changes come here as well.
            let stays =
                facts.reads_from_replicas && !blocked.waiter.entry.command.flags.has(Flags::WRITE);
            let end = if facts.takes_redirects { End::Redirected } else { End::Demoted };
            (!stays).then_some(end)
        }
        _ => None,
    }
}

impl Core {
    /// Lets a client wait, which must then be suspended.
    pub fn begin_waiting(&self, session: &mut Session, id: ConnectionId, waiting: Waiting) {
        // It counts as run when it has its answer.
        session.take_command_back();
        session.pending = Some(Pending::Waiting(waiting));
        self.statistics().blocked_clients.add(1);
        if let Some(until) = waiting.until {
            self.statistics().timed_clients.add(1);
            self.deadlines.borrow_mut().add(until, session.client_id, id);
        }
    }

    /// Forgets a client that waits no longer, or is gone.
    pub fn end_waiting(&self, client_id: u64, waiting: &Waiting) {
        self.statistics().blocked_clients.remove(1);
        if let Some(until) = waiting.until {
            self.statistics().timed_clients.remove(1);
            self.deadlines.borrow_mut().remove(until, client_id);
        }
    }

    /// Ends the wait of a client, if it waits and that can be done now.
    pub fn unblock(
        &self,
        id: ConnectionId,
        end: End,
        connections: &mut Connections<'_, Worker>,
    ) -> Ending {
        let turn = *connections.turn();
        let ended = connections.with(id, |session, output| match session.pending {
            Some(Pending::Waiting(waiting)) if waiting.awaited.is_ended_by(end) => {
                session.finish_pending(output, |session, output| {
                    session.pending = None;
                    session.commands += 1;
                    let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                    match end.error(self.shared) {
                        None => waiting.awaited.write(self.shared, &mut reply),
                        Some(error) => reply.error(error.line()),
                    }
                });
                self.end_waiting(session.client_id, &waiting);
                Ending::Ended
            }
            Some(Pending::Blocked(_)) => session.finish_pending(output, |session, output| {
                self.unblock_from_keys(session, &mut output.0, end, id, &turn)
            }),
            _ => Ending::Over,
        });
        if ended == Some(Ending::Ended) {
            connections.resume(id);
        }
        ended.unwrap_or(Ending::Over)
    }

    /// Ends what clients wait for that does not come to a replica, and closes them, or sends them to the primary if they follow
    /// redirections; whether that could be done for all of them.
    pub fn end_waits_of_primary(&self, connections: &mut Connections<'_, Worker>) -> bool {
        let clients: Vec<_> = self.clients.borrow().values().copied().collect();
        let mut have_ended = true;
        for id in clients {
            let end = connections.with(id, |session, _| end_on_replica(session)).flatten();
            let Some(end) = end else { continue };
            match self.unblock(id, end, connections) {
                Ending::Ended if end == End::Demoted => {
                    connections.close(id, true);
                }
                Ending::Busy => have_ended = false,
                Ending::Ended | Ending::Over => {}
            }
        }
        have_ended
    }

    /// Tells clients that wait for the end of the process that it does not come.
    pub fn end_waits_for_the_end(&self, connections: &mut Connections<'_, Worker>) {
        let clients: Vec<_> = self.clients.borrow().values().copied().collect();
        for id in clients {
            let waits = connections.with(id, |session, _| {
                matches!(&session.pending, Some(Pending::Waiting(waiting)) if waiting.awaited == Awaited::TheEnd)
            });
            if waits == Some(true) {
                self.unblock(id, End::DoesNotEnd, connections);
            }
        }
    }

    /// Notes that a client waits for the log, here or at replicas.
    pub fn wait_for_log(&self, id: ConnectionId, awaited: Awaited) {
        self.log_waits.borrow_mut().push(id);
        let (here, elsewhere) = match awaited {
            Awaited::Replicas { .. } => (None, true),
            Awaited::Files(files) => (files.here.then_some(files.offset), files.elsewhere > 0),
            Awaited::Save | Awaited::TheEnd => return,
        };
        if elsewhere {
            self.shared.replication.await_answers(self.worker);
        }
        if let Some(offset) = here
            && !self.shared.journal.withholds(self.worker, offset)
            && !elsewhere
        {
            self.post.send(self.worker, Mail::Synced);
        }
        if elsewhere && awaited.has_come(self.shared) {
            // Since it was looked at the last time, so that nobody may say so again.
            self.post.send(self.worker, Mail::Acknowledged);
        }
    }

    /// More of the log is on the disk or at replicas, or there is none any more: ends the waits of those who waited for that.
    pub fn look_at_log_waits(&self, connections: &mut Connections<'_, Worker>) {
        for id in self.log_waits.take() {
            let ended = connections.with(id, |session, output| {
                let Some(Pending::Waiting(waiting)) = session.pending else { return false };
                let awaited = waiting.awaited;
                let is_lost = awaited.is_lost(self.shared);
                if !is_lost && !awaited.has_come(self.shared) {
                    self.wait_for_log(id, awaited);
                    return false;
                }
                session.finish_pending(output, |session, output| {
                    session.pending = None;
                    session.commands += 1;
                    let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                    if is_lost {
                        reply.error(ServerError::NoJournalToWaitFor.to_string());
                    } else {
                        awaited.write(self.shared, &mut reply);
                    }
                });
                self.end_waiting(session.client_id, &waiting);
                true
            });
            if ended == Some(true) {
                connections.resume(id);
            }
        }
    }

    /// The save that a client waits for has ended.
    pub fn saved(
        &self,
        to: ConnectionId,
        succeeded: bool,
        connections: &mut Connections<'_, Worker>,
    ) {
        let ended = connections.with(to, |session, output| match session.pending {
            Some(Pending::Waiting(waiting)) if waiting.awaited == Awaited::Save => {
                session.finish_pending(output, |session, output| {
                    session.pending = None;
                    let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                    if succeeded {
                        waiting.awaited.write(self.shared, &mut reply);
                    } else {
                        reply.error(ServerError::SaveFailed.to_string());
                    }
                });
                self.end_waiting(session.client_id, &waiting);
                true
            }
            _ => false,
        });
        if ended == Some(true) {
            connections.resume(to);
        }
    }

    /// Ends the waits whose time is up, and tries those again that asked for it; when the next one's will be.
    pub fn end_overdue_waits(
        &self,
        now: UnixMillis,
        connections: &mut Connections<'_, Worker>,
    ) -> Option<UnixMillis> {
        loop {
            let due = self.deadlines.borrow_mut().take_due(now);
            let Some(id) = due else { break };
            let goes_on = connections.with(id, |session, _| self.goes_on_waiting(session, id, now));
            if goes_on != Some(true) {
                self.unblock(id, End::TimedOut, connections);
            }
        }
        self.deadlines.borrow().next()
    }
}
