//! Questions to the clients of all workers: `CLIENT LIST`, `CLIENT KILL`.
//!
//! Sessions live on their workers, so the asking client is suspended, every worker (its own too)
//! gets the question by mail, and the reply is written once the last answer is in. No answer needs a
//! shard. One that takes long is found by a thread for such work, and sent when it is there. A client that goes
//! away meanwhile takes its survey with it; answers that still come are dropped.

use crate::access::Revocation;
use crate::commands::client::filter::Filter;
use crate::commands::client::line;
use crate::commands::error::ServerError;
use crate::config::rewrite::Rewriting;
use crate::config::special::reason;
use crate::late_reply::LateReply;
use crate::mail::Mail;
use crate::pending::{After, Pending};
use crate::pubsub::listing::Listing;
use crate::session::Session;
use crate::waiting::End;
use crate::worker::{Core, Worker};
use darter_base::WorkerId;
use darter_command_table::{CommandId, ReplyError};
use darter_resp::{Output, Protocol, ReplyWriter};
use darter_runtime::{ConnectionId, Connections, Share};
use darter_structures::allocator;
use darter_txn::Ending;
use std::path::PathBuf;
use std::sync::Arc;

/// What of a busy worker waiting for a thread that does the work takes: next to nothing.
const SHARE: Share = Share::new(100);

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// A line for each client that is meant.
    List(Filter),
    /// Close each client that is meant, and tell how many.
    Kill(Filter),
    /// The same, as `CLIENT KILL` answered when it took an address only.
    KillOne(Filter),
    /// Put the pause into force that there is now, or is no longer.
    FollowPause,
    /// Deliver what was published before; then the publisher hears how many received it.
    CatchUp { receivers: i64 },
    /// Give unused memory back to the system.
    Purge,
    /// Free the memory of what was flushed.
    Free,
    /// Let the client with this number go on, if it waits.
    Unblock { client_id: u64, end: End },
    /// Write the configuration into its file.
    Rewrite(Arc<Rewriting>),
    /// Take the users of this file in place of those there are.
    LoadUsers(PathBuf),
    /// Write the users into this file.
    SaveUsers(PathBuf),
    /// List who listens to what.
    Listeners(Arc<Listing>),
}

/// What one worker answers.
#[derive(Debug)]
pub enum Answer {
    /// `(client id, line)` for each of its clients that is meant.
    Lines(Vec<(u64, String)>),
    /// How many of its clients were closed, and whether the asking one is to be closed as well.
    Killed { count: usize, asker: bool },
    /// Whether there was such a client.
    Unblocked(bool),
    /// It is done.
    Done,
    /// It was tried; why it could not be done.
    Tried(Result<(), ServerError>),
    /// Users were taken from a file, which ends connections, or why they were not.
    UsersLoaded(Result<Revocation, ServerError>),
    /// The whole reply.
    Reply(Output),
}

/// What a worker says when it is asked.
#[derive(Debug)]
pub enum Said {
    /// Its answer.
    Now(Answer),
    /// That it is to be asked again a little later.
    AskAgain,
    /// Nothing: its answer comes by itself.
    Later,
}

/// Which workers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Everybody,
    /// That of the asking client.
    Own,
    These(Vec<WorkerId>),
}

/// A question of a client, and how its answer is written.
#[derive(Debug)]
pub struct Survey {
    question: Question,
    asked: Asked,
    asking: Asking,
}

/// The command that asks.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// Which it is.
    pub command: CommandId,
    /// How its reply is written.
    pub protocol: Protocol,
}

impl Survey {
    /// A question to every worker.
    pub const fn of_everybody(question: Question, asking: Asking) -> Self {
        Self { question, asked: Asked::Everybody, asking }
    }

    /// A question to the worker of the asking client only.
    pub const fn of_own_worker(question: Question, asking: Asking) -> Self {
        Self { question, asked: Asked::Own, asking }
    }

    /// A question to these workers.
    pub const fn of_workers(workers: Vec<WorkerId>, question: Question, asking: Asking) -> Self {
        Self { question, asked: Asked::These(workers), asking }
    }

    /// Asks on behalf of the client `from`. `reply` is what its answer is a part of.
    pub fn ask(self, core: &Core, from: ConnectionId, reply: Box<LateReply>) -> Box<Collection> {
        let Self { question, asked, asking } = self;
        let question = Arc::new(question);
        let workers = match asked {
            Asked::Own => vec![from.worker],
            Asked::These(workers) => workers,
            Asked::Everybody => {
                let count = core.post.worker_count();
                let count = u16::try_from(count).expect("worker numbers fit 16 bits");
                (0..count).map(WorkerId).collect()
            }
        };
        let outstanding = workers.len();
        for worker in workers {
            let mail = Mail::Question { from, question: Arc::clone(&question) };
            core.post.send(worker, mail);
        }
        Box::new(Collection { question, asking, outstanding, answers: Vec::new(), reply })
    }
}

/// Answers being collected for one client.
#[derive(Debug)]
pub struct Collection {
    question: Arc<Question>,
    asking: Asking,
    outstanding: usize,
    answers: Vec<Answer>,
    reply: Box<LateReply>,
}

impl Question {
    fn filter(&self) -> Option<&Filter> {
        match self {
            Self::List(filter) | Self::Kill(filter) | Self::KillOne(filter) => Some(filter),
            Self::FollowPause
            | Self::CatchUp { .. }
            | Self::Purge
            | Self::Free
            | Self::Unblock { .. }
            | Self::Rewrite(_)
            | Self::LoadUsers(_)
            | Self::SaveUsers(_)
            | Self::Listeners(_) => None,
        }
    }

    /// This worker's part of the answer.
    pub fn answer(
        &self,
        from: ConnectionId,
        core: &Core,
        connections: &mut Connections<'_, Worker>,
    ) -> Said {
        let now = connections.turn().now;
        if let Self::Unblock { client_id, end } = self {
            let id = core.clients.borrow().get(client_id).copied();
            let ending = id.map_or(Ending::Over, |id| core.unblock(id, *end, connections));
            return match ending {
                Ending::Busy => Said::AskAgain,
                _ => Said::Now(Answer::Unblocked(ending == Ending::Ended)),
            };
        }
        if let Self::Rewrite(rewriting) = self {
            core.rewrite(Arc::clone(rewriting), from);
            return Said::Later;
        }
        if let Self::LoadUsers(file) = self {
            core.load_users(file.clone(), from);
            return Said::Later;
        }
        if let Self::SaveUsers(file) = self {
            core.save_users(file.clone(), from);
            return Said::Later;
        }
        if let Self::Listeners(listing) = self {
            core.list(Arc::clone(listing), from);
            return Said::Later;
        }
        if matches!(self, Self::CatchUp { .. }) {
            // Letters are read in order: it has been delivered.
            return Said::Now(Answer::Done);
        }
        if matches!(self, Self::Free) {
            return if core.has_flushed_garbage() {
                Said::AskAgain
            } else {
                Said::Now(Answer::Done)
            };
        }
        if matches!(self, Self::Purge) {
            allocator::release_unused();
            return Said::Now(Answer::Done);
        }
        let Some(filter) = self.filter() else {
            core.follow_pause(now, connections);
            return Said::Now(Answer::Done);
        };
        let skips_asker = filter.skips_asker.unwrap_or(false);
        let mut meant = Vec::new();
        let mut lines = Vec::new();
        connections.for_each(|id, session, info| {
            if (id == from && skips_asker) || !filter.matches(session, info, now) {
                return;
            }
            match self {
                Self::List(_) => {
                    lines.push((session.client_id, line::describe(session, info, now)));
                }
                _ => meant.push(id),
            }
        });
        if matches!(self, Self::List(_)) {
            return Said::Now(Answer::Lines(lines));
        }
        // The asking client is closed behind its reply.
        let asker = meant.contains(&from);
        let mut count = meant.len();
        // The link to the primary is nobody's.
        if core.worker == WorkerId(0) {
            let is_cut = core.shared.following.cut_if(|ends| filter.means_primary(ends));
            count += usize::from(is_cut);
        }
        for id in meant {
            if id != from {
                connections.close(id, false);
            }
        }
        Said::Now(Answer::Killed { count, asker })
    }
}

impl Core {
    /// Lets who listens to what be listed for a client.
    fn list(&self, listing: Arc<Listing>, to: ConnectionId) {
        let (shared, worker) = (self.shared, self.worker);
        let (post, background) = (self.post.clone(), self.background.clone());
        self.background.spawn(SHARE, async move {
            let listed = background.blocking(move || {
                let mut output = Output::new();
                // It is the same in both protocols.
                let mut reply = ReplyWriter::new(&mut output, Protocol::Resp2);
                listing.write(&shared.pubsub, &mut reply);
                output
            });
            post.send(worker, Mail::Answer { to, answer: Answer::Reply(listed.await) });
        });
    }

    /// Lets the configuration be written, and the client hear of it.
    fn rewrite(&self, rewriting: Arc<Rewriting>, to: ConnectionId) {
        let (shared, worker) = (self.shared, self.worker);
        let (post, background) = (self.post.clone(), self.background.clone());
        self.background.spawn(SHARE, async move {
            let written = background.blocking(move || shared.rewriter.write(&rewriting)).await;
            let result = written.map_err(|error| {
                let reason = reason(&error);
                tracing::warn!("CONFIG REWRITE failed: {reason}");
                ServerError::RewriteFailed(reason)
            });
            if result.is_ok() {
                tracing::info!("CONFIG REWRITE executed with success.");
            }
            post.send(worker, Mail::Answer { to, answer: Answer::Tried(result) });
        });
    }
}

/// Adds one worker's answer. After the last one the reply goes on.
pub fn collect(
    core: &Core,
    session: &mut Session,
    answer: Answer,
    id: ConnectionId,
    output: &mut Output,
) -> After {
    let mut collection = match session.pending.take() {
        Some(Pending::Survey(collection)) => collection,
        other => {
            session.pending = other;
            return After::Waits;
        }
    };
    collection.answers.push(answer);
    collection.outstanding -= 1;
    if collection.outstanding > 0 {
        session.pending = Some(Pending::Survey(collection));
        return After::Waits;
    }
    let Collection { question, asking, answers, mut reply, .. } = *collection;
    let is_revoked = answers.iter().any(
        |answer| matches!(answer, Answer::UsersLoaded(Ok(revocation)) if revocation.ends(session)),
    );
    match write(&question, answers, ReplyWriter::new(reply.answer(), asking.protocol)) {
        Ok(Afterwards::GoesOn) if !is_revoked => {}
        Ok(_) => reply.close(),
        Err(error) => {
            let error = ReplyError::from(error);
            ReplyWriter::new(reply.answer(), asking.protocol).error(error.line());
            // It was counted as a call when it asked.
            core.statistics().failed(asking.command);
            core.statistics().error(&error);
        }
    }
    reply.go_on(core, session, id, output)
}

/// What becomes of the asking client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    GoesOn,
    Closes,
}

/// Writes the answer of all, unless it is an error.
fn write(
    question: &Question,
    answers: Vec<Answer>,
    mut reply: ReplyWriter<'_>,
) -> Result<Afterwards, ServerError> {
    let mut lines = Vec::new();
    let mut count = 0;
    let mut kills_asker = false;
    for answer in answers {
        match answer {
            Answer::Lines(part) => lines.extend(part),
            Answer::Killed { count: part, asker } => {
                count += part;
                kills_asker |= asker;
            }
            Answer::Unblocked(unblocked) => count += usize::from(unblocked),
            Answer::Done => {}
            Answer::Tried(result) => result?,
            Answer::UsersLoaded(result) => result.map(|_| ())?,
            Answer::Reply(whole) => reply.output().append(whole),
        }
    }
    match question {
        Question::List(_) => {
            lines.sort_unstable();
            let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
            reply.verbatim(*b"txt", text.as_bytes());
        }
        Question::Kill(_) | Question::Unblock { .. } => {
            reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
        Question::CatchUp { receivers } => reply.integer(*receivers),
        Question::Listeners(_) => {}
        Question::KillOne(_) if count == 0 => return Err(ServerError::NoSuchClient),
        Question::KillOne(_)
        | Question::FollowPause
        | Question::Purge
        | Question::Free
        | Question::LoadUsers(_)
        | Question::SaveUsers(_)
        | Question::Rewrite(_) => reply.ok(),
    }
    Ok(if kills_asker { Afterwards::Closes } else { Afterwards::GoesOn })
}
