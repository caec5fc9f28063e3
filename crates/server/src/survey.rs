//! Questions to the clients of all workers: `CLIENT LIST`, `CLIENT KILL`.
//!
//! Sessions live on their workers, so the asking client is suspended, every worker (its own too)
//! gets the question by mail, and the reply is written once the last answer is in.

use crate::mail::Mail;
use crate::pending::{After, Pending};
use crate::session::Session;
use crate::worker::Worker;
use darter_base::WorkerId;
use darter_resp::{Output, ReplyWriter};
use darter_runtime::{ConnectionId, Connections, Post};
use std::sync::Arc;

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// One line for each client.
    List,
}

/// What one worker answers.
#[derive(Debug)]
pub enum Answer {
    /// `(client id, line)` for each of its clients.
    Lines(Vec<(u64, String)>),
}

/// Answers being collected for one client.
#[derive(Debug)]
pub struct Survey {
    outstanding: usize,
    answers: Vec<Answer>,
}

impl Survey {
    /// Asks every worker on behalf of the client at `from`, which must be suspended.
    pub fn start(session: &mut Session, from: ConnectionId, post: &Post<Mail>, question: Question) {
        let question = Arc::new(question);
        let outstanding = post.worker_count();
        for worker in 0..outstanding {
            let worker = WorkerId(u16::try_from(worker).expect("worker numbers fit 16 bits"));
            post.send(worker, Mail::Question { from, question: Arc::clone(&question) });
        }
        session.pending =
            Some(Pending::Survey(Box::new(Self { outstanding, answers: Vec::new() })));
    }
}

impl Question {
    /// This worker's part of the answer.
    pub fn answer(&self, _from: ConnectionId, connections: &mut Connections<'_, Worker>) -> Answer {
        match self {
            Self::List => {
                let mut lines = Vec::new();
                connections.for_each(|_, session, info| {
                    lines.push((session.client_id, format!("id={} {info:?}", session.client_id)));
                });
                Answer::Lines(lines)
            }
        }
    }
}

/// Adds one worker's answer; writes the reply after the last one.
pub fn collect(session: &mut Session, answer: Answer, output: &mut Output) -> After {
    let Some(Pending::Survey(mut survey)) = session.pending.take() else {
        return After::Waits;
    };
    survey.answers.push(answer);
    survey.outstanding -= 1;
    if survey.outstanding > 0 {
        session.pending = Some(Pending::Survey(survey));
        return After::Waits;
    }
    let mut lines = Vec::new();
    for Answer::Lines(part) in survey.answers {
        lines.extend(part);
    }
    lines.sort_unstable();
    let text: String = lines.into_iter().map(|(_, line)| line + "\n").collect();
    ReplyWriter::new(output, session.protocol).verbatim(*b"txt", text.as_bytes());
    After::Resumes
}
