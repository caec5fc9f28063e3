//! Clients that wait for what other servers or files will have: until then their connection is
//! suspended, and their worker looks at the clock for them.

use crate::commands::error::ServerError;
use crate::journal::Journal;
use crate::mail::Mail;
use crate::pending::Pending;
use crate::session::Session;
use crate::worker::{Core, Worker};
use darter_base::UnixMillis;
use darter_resp::ReplyWriter;
use darter_runtime::{ConnectionId, Connections};
use darter_txn::Ending;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Replicas that have what was written (`WAIT`).
    Replicas,
    /// Files that have it (`WAITAOF`).
    Files(Files),
    /// The file of all data (`SAVE`).
    Save,
}

/// The log, here and at replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// Whether the one here is waited for.
    pub here: bool,
    /// Whether those of replicas are.
    pub elsewhere: bool,
    /// Where in the log what was written ends.
    pub offset: u64,
}

impl Files {
    /// Whether everything is there that is waited for.
    pub fn are_there(self, journal: &Journal) -> bool {
        !self.elsewhere && (!self.here || journal.is_synced(self.offset))
    }
}

impl Awaited {
    /// Writes how many have it, here and elsewhere.
    pub fn write(self, journal: &Journal, reply: &mut ReplyWriter<'_>) {
        match self {
            Self::Replicas => reply.integer(0),
            Self::Files(Files { offset, .. }) => {
                let is_here = journal.is_attached() && journal.is_synced(offset);
                reply.array(2);
                reply.integer(is_here.into());
                reply.integer(0);
            }
            Self::Save => reply.ok(),
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
            Some(Pending::Waiting(waiting)) => {
                session.finish_pending(output, |session, output| {
                    session.pending = None;
                    session.commands += 1;
                    let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                    match end {
                        End::TimedOut => waiting.awaited.write(&self.shared.journal, &mut reply),
                        End::Unblocked => reply.error(ServerError::Unblocked.to_string()),
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

    /// Notes that a client waits for the log. What it waits for elsewhere no sync here brings.
    pub fn wait_for_log(&self, id: ConnectionId, files: Files) {
        if files.elsewhere {
            return;
        }
        self.log_waits.borrow_mut().push(id);
        if !self.shared.journal.withholds(self.worker, files.offset) {
            self.post.send(self.worker, Mail::Synced);
        }
    }

    /// More of the log is on the disk, or there is none any more: ends the waits of those who waited for that.
    pub fn look_at_log_waits(&self, connections: &mut Connections<'_, Worker>) {
        let journal = &self.shared.journal;
        for id in self.log_waits.take() {
            let ended = connections.with(id, |session, output| {
                let Some(Pending::Waiting(waiting)) = session.pending else { return false };
                let Awaited::Files(files) = waiting.awaited else { return false };
                let is_lost = files.here && !journal.is_attached();
                if !is_lost && !files.are_there(journal) {
                    self.wait_for_log(id, files);
                    return false;
                }
                session.finish_pending(output, |session, output| {
                    session.pending = None;
                    session.commands += 1;
                    let mut reply = ReplyWriter::new(&mut output.0, session.protocol);
                    if is_lost {
                        reply.error(ServerError::NoJournalToWaitFor.to_string());
                    } else {
                        waiting.awaited.write(journal, &mut reply);
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
                        waiting.awaited.write(&self.shared.journal, &mut reply);
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
