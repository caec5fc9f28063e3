//! Questions to the clients of all workers: `CLIENT LIST`, `CLIENT KILL`.
//!
//! Sessions live on their workers, so the asking client is suspended, every worker (its own too)
//! gets the question by mail, and the reply is written once the last answer is in. A client that
//! goes away meanwhile takes its survey with it; answers that still come are dropped.

use crate::commands::client::filter::Filter;
use crate::commands::client::line;
use crate::commands::error::ServerError;
use crate::mail::Mail;
use crate::pending::{After, Pending};
use crate::session::Session;
use crate::session_command::SessionCall;
use crate::waiting::End;
use crate::worker::{Core, Worker};
use darter_base::WorkerId;
use darter_resp::{Output, ReplyWriter};
use darter_runtime::{ConnectionId, Connections};
use darter_structures::allocator;
use std::sync::Arc;

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
    /// Let the client with this number go on, if it waits.
    Unblock { client_id: u64, end: End },
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
}

/// Answers being collected for one client.
#[derive(Debug)]
pub struct Survey {
    question: Arc<Question>,
    outstanding: usize,
    answers: Vec<Answer>,
}

impl Survey {
    /// Asks every worker on behalf of the calling client, which must then be suspended.
    pub fn start(call: &mut SessionCall<'_>, question: Question) {
        let workers = u16::try_from(call.post.worker_count()).expect("worker numbers fit 16 bits");
        Self::ask(call, (0..workers).map(WorkerId), question);
    }

    /// Asks the worker of the calling client only.
    pub fn start_here(call: &mut SessionCall<'_>, question: Question) {
        Self::ask(call, std::iter::once(call.id.worker), question);
    }

    /// Asks these workers.
    pub fn start_at(call: &mut SessionCall<'_>, workers: &[WorkerId], question: Question) {
        Self::ask(call, workers.iter().copied(), question);
    }

    fn ask(
        call: &mut SessionCall<'_>,
        workers: impl ExactSizeIterator<Item = WorkerId>,
        question: Question,
    ) {
        let question = Arc::new(question);
        let outstanding = workers.len();
        for worker in workers {
            let mail = Mail::Question { from: call.id, question: Arc::clone(&question) };
            call.post.send(worker, mail);
        }
        let survey = Self { question, outstanding, answers: Vec::new() };
        call.session.pending = Some(Pending::Survey(Box::new(survey)));
    }
}

impl Question {
    fn filter(&self) -> Option<&Filter> {
        match self {
            Self::List(filter) | Self::Kill(filter) | Self::KillOne(filter) => Some(filter),
            Self::FollowPause | Self::CatchUp { .. } | Self::Purge | Self::Unblock { .. } => None,
        }
    }

    /// This worker's part of the answer.
    pub fn answer(
        &self,
        from: ConnectionId,
        core: &Core,
        connections: &mut Connections<'_, Worker>,
    ) -> Answer {
        let now = connections.turn().now;
        if let Self::Unblock { client_id, end } = self {
            let id = core.clients.get(client_id).copied();
            return Answer::Unblocked(id.is_some_and(|id| core.unblock(id, *end, connections)));
        }
        if matches!(self, Self::CatchUp { .. }) {
            // Letters are read in order: it has been delivered.
            return Answer::Done;
        }
        if matches!(self, Self::Purge) {
            allocator::release_unused();
            return Answer::Done;
        }
        let Some(filter) = self.filter() else {
            core.follow_pause(now, connections);
            return Answer::Done;
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
            return Answer::Lines(lines);
        }
        // The asking client is closed behind its reply.
        let asker = meant.contains(&from);
        let count = meant.len();
        for id in meant {
            if id != from {
                connections.close(id, false);
            }
        }
        Answer::Killed { count, asker }
    }
}

/// Adds one worker's answer; writes the reply after the last one.
pub fn collect(session: &mut Session, answer: Answer, output: &mut Output) -> After {
    let mut survey = match session.pending.take() {
        Some(Pending::Survey(survey)) => survey,
        other => {
            session.pending = other;
            return After::Waits;
        }
    };
    survey.answers.push(answer);
    survey.outstanding -= 1;
    if survey.outstanding > 0 {
        session.pending = Some(Pending::Survey(survey));
        return After::Waits;
    }
    let reply = ReplyWriter::new(output, session.protocol);
    finish(&survey.question, survey.answers, reply)
}

fn finish(question: &Question, answers: Vec<Answer>, mut reply: ReplyWriter<'_>) -> After {
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
        Question::KillOne(_) if count == 0 => reply.error(ServerError::NoSuchClient.to_string()),
        Question::KillOne(_) | Question::FollowPause | Question::Purge => reply.ok(),
    }
    if kills_asker { After::Closes } else { After::Resumes }
}
