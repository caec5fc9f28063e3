//! Replies that are not complete when their command has run: parts of them are answers of other
//! workers ([`crate::survey`]), or shards are to be kept from others for a while before.
//!
//! A transaction does not stop for these. It runs to its end, gives its shards back, and then the
//! parts of its reply that are missing are asked for, one after the other in the order of its
//! commands.

use crate::mail::Mail;
use crate::pending::{After, Pending};
use crate::session::Session;
use crate::survey::Survey;
use crate::worker::Core;
use darter_resp::Output;
use darter_runtime::ConnectionId;
use std::collections::VecDeque;
use std::time::Duration;

/// A reply in parts, not all of them known.
#[derive(Debug, Default)]
pub struct LateReply {
    /// How long everything stands still before the reply is sent, the command's shards kept.
    pub held_for: Duration,
    /// What the reply begins with; it may be the header of an array with some of its values.
    begun: Output,
    /// What comes behind that.
    parts: VecDeque<Part>,
    /// Whether the connection closes behind the reply.
    closes: bool,
    /// Whether letters are read before the connection goes on.
    yields: bool,
}

#[derive(Debug)]
enum Part {
    /// Whole values.
    Values(Output),
    /// Whatever the answer will be.
    Survey(Survey),
}

impl LateReply {
    /// The answer to a question.
    pub fn to_question(survey: Survey) -> Self {
        Self { parts: VecDeque::from([Part::Survey(survey)]), ..Self::default() }
    }

    /// `reply`, after the shards were kept for a while.
    pub fn held(held_for: Duration, reply: Output) -> Self {
        Self { held_for, begun: reply, ..Self::default() }
    }

    /// Where the next value goes that is known.
    pub fn output(&mut self) -> &mut Output {
        if self.parts.is_empty() {
            return &mut self.begun;
        }
        if matches!(self.parts.back(), Some(Part::Survey(_))) {
            self.parts.push_back(Part::Values(Output::new()));
        }
        match self.parts.back_mut() {
            Some(Part::Values(output)) => output,
            _ => unreachable!("put there just now"),
        }
    }

    /// Where the answer goes that was asked for last.
    pub const fn answer(&mut self) -> &mut Output {
        &mut self.begun
    }

    /// Adds a whole reply behind this one.
    pub fn append(&mut self, other: Self) {
        self.held_for += other.held_for;
        self.output().append(other.begun);
        self.parts.extend(other.parts);
        self.closes |= other.closes;
        self.yields |= other.yields;
    }

    /// The connection closes once the reply is sent.
    pub const fn close(&mut self) {
        self.closes = true;
    }

    /// The connection goes on once this worker's letters have been read.
    pub const fn yields(&mut self) {
        self.yields = true;
    }

    /// Asks for the next part that is missing, or sends the reply when there is none.
    pub fn go_on(
        mut self: Box<Self>,
        core: &Core,
        session: &mut Session,
        id: ConnectionId,
        output: &mut Output,
    ) -> After {
        while let Some(part) = self.parts.pop_front() {
            match part {
                Part::Values(values) => self.begun.append(values),
                Part::Survey(survey) => {
                    session.pending = Some(Pending::Survey(survey.ask(core, id, self)));
                    return After::Waits;
                }
            }
        }
        output.append(self.begun);
        if self.closes {
            After::Closes
        } else if self.yields {
            core.post.send(core.worker, Mail::Resume(id));
            After::Waits
        } else {
            After::Resumes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::{Asking, Question};
    use darter_command_table::CommandId;
    use darter_resp::{Protocol, ReplyWriter};

    #[test]
    fn what_is_known_stays_in_order_around_what_is_not() {
        let write = |output: &mut Output, value| {
            ReplyWriter::new(output, Protocol::Resp2).integer(value);
        };
        let mut reply = LateReply::default();
        write(reply.output(), 1);
        let mut slept = Output::new();
        write(&mut slept, 2);
        reply.append(LateReply::held(Duration::from_secs(1), slept));
        reply.append(LateReply::held(Duration::from_secs(2), Output::new()));
        write(reply.output(), 3);
        assert_eq!(reply.begun.to_vec(), b":1\r\n:2\r\n:3\r\n");
        assert_eq!(reply.held_for, Duration::from_secs(3));
        let asking = Asking { command: CommandId(0), protocol: Protocol::Resp2 };
        reply.parts.push_back(Part::Survey(Survey::of_everybody(Question::Purge, asking)));
        write(reply.output(), 5);
        write(reply.answer(), 4);
        assert_eq!(reply.begun.to_vec(), b":1\r\n:2\r\n:3\r\n:4\r\n");
    }
}
