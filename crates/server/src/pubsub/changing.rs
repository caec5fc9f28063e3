//! Subscribing to names and the opposite, however many: some names in each turn of the connection.
//!
//! Each name is a subscription of its own, as if it had come with a command of its own, so nothing has to be hidden from
//! others between two of them.

use super::Kind;
use crate::mail::Mail;
use crate::outbox::Outbox;
use crate::pending::Pending;
use crate::request::{OwnedRequest, Request};
use crate::session::Session;
use crate::worker::{Core, Worker};
use darter_resp::{Args, Output, ReplyWriter};
use darter_runtime::{ConnectionId, Io, Then};
use std::sync::Arc;

/// Names dealt with in one go: a millisecond or two.
pub const NAMES_PER_SLICE: usize = 1024;

/// What is to be done with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Subscribing.
    Begin(Kind),
    /// The opposite.
    End(Kind),
    /// Ending what there is of every kind without a word, before the command that asked for it runs.
    EndSilently,
}

/// A change of some subscriptions, however far it is.
#[derive(Debug)]
pub struct Changing {
    change: Change,
    /// What the client has, if it is not the command that names them.
    held: Option<Vec<(Kind, Arc<[u8]>)>>,
    /// Names dealt with, from the first one on.
    done: usize,
}

/// The same with the command that asked for it, for more than one turn.
#[derive(Debug)]
pub struct LongChange {
    request: OwnedRequest,
    changing: Changing,
    /// How long it ran so far.
    nanos: u64,
    /// Bytes written of its reply.
    reply_bytes: usize,
}

impl Changing {
    /// A change of the names a command has, or of all of those kinds that the client has.
    pub fn new(session: &Session, args: Args<'_>, change: Change) -> Self {
        let kinds = match change {
            Change::End(kind) if args.len() == 1 => Some(vec![kind]),
            Change::EndSilently => Some(vec![Kind::Channel, Kind::Pattern, Kind::ShardChannel]),
            Change::Begin(_) | Change::End(_) => None,
        };
        let subscriptions = session.facts.subscriptions.as_deref();
        let held = kinds.map(|kinds| {
            let sets = kinds.into_iter().filter_map(|kind| Some((kind, subscriptions?.of(kind))));
            sets.flat_map(|(kind, names)| names.iter().map(move |name| (kind, Arc::clone(name))))
                .collect()
        });
        Self { change, held, done: 0 }
    }

    /// Whether the command that asked for it runs behind it.
    pub fn precedes_command(&self) -> bool {
        self.change == Change::EndSilently
    }

    /// Deals with up to `count` names of the command; `true` when none is left.
    pub fn advance(
        &mut self,
        core: &Core,
        session: &mut Session,
        id: ConnectionId,
        args: Args<'_>,
        output: &mut Output,
        count: usize,
    ) -> bool {
        let given = args.tail(1);
        let total = self.held.as_ref().map_or(given.len(), Vec::len);
        let to = self.done.saturating_add(count).min(total);
        for index in self.done..to {
            let held = self.held.as_ref().map(|held| &held[index]);
            let name = held.map_or_else(|| given.at(index), |(_, name)| &**name);
            match self.change {
                Change::Begin(kind) => core.subscribe(session, id, kind, name),
                Change::End(kind) => core.unsubscribe(session, id, kind, name),
                Change::EndSilently => {
                    let kind = held.map_or(Kind::Channel, |(kind, _)| *kind);
                    core.unsubscribe(session, id, kind, name);
                }
            }
            self.confirm(session, index, Some(name), output);
        }
        if total == 0 {
            self.confirm(session, 0, None, output);
        }
        self.done = to;
        to == total
    }

    /// Writes the message about one name, the `index`-th of the command. It is heard whatever CLIENT REPLY
    /// says, as in Redis.
    fn confirm(
        &self,
        session: &mut Session,
        index: usize,
        name: Option<&[u8]>,
        output: &mut Output,
    ) {
        let (word, kind): (&[u8], _) = match self.change {
            Change::Begin(kind @ Kind::Channel) => (b"subscribe", kind),
            Change::Begin(kind @ Kind::Pattern) => (b"psubscribe", kind),
            Change::Begin(kind @ Kind::ShardChannel) => (b"ssubscribe", kind),
            Change::End(kind @ Kind::Channel) => (b"unsubscribe", kind),
            Change::End(kind @ Kind::Pattern) => (b"punsubscribe", kind),
            Change::End(kind @ Kind::ShardChannel) => (b"sunsubscribe", kind),
            Change::EndSilently => return,
        };
        session.is_heard = true;
        let held = session.facts.subscriptions.as_ref();
        let count = held.map_or(0, |held| held.counted_with(kind));
        let mut reply = ReplyWriter::new(output, session.protocol);
        if index == 0 {
            reply.push(3);
        } else {
            reply.further_push(3);
        }
        reply.bulk(word);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Whether messages are under way to this worker that were published before: they come first, both to
/// whom they still reach and past whom they do not concern. Asked twice, since the command runs again
/// when they have come; the second time the answer is no, whatever came meanwhile. A transaction asks
/// before it runs.
pub fn must_read_letters(core: &Core, session: &mut Session) -> bool {
    let has_read = std::mem::take(&mut session.facts.has_read_letters);
    if has_read || !core.shared.pubsub.transit(core.worker).is_busy() {
        return false;
    }
    session.facts.has_read_letters = true;
    true
}

impl LongChange {
    /// What is left of a change after its first names.
    pub fn new(request: Request<'_>, changing: Changing, nanos: u64, reply_bytes: usize) -> Self {
        Self { request: request.to_owned(), changing, nanos, reply_bytes }
    }
}

impl Worker {
    /// Goes on with a change of subscriptions. [`Then::Read`] when it is done and answered.
    pub fn go_on_changing(&self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Then {
        let Some(Pending::Changing(mut change)) = session.pending.take() else {
            unreachable!("only changes of subscriptions ask for this")
        };
        let core = self.core();
        if must_read_letters(core, session) {
            session.pending = Some(Pending::Changing(change));
            core.post.send(core.worker, Mail::Resume(io.id));
            return Then::Await;
        }
        let output = &mut io.output.0;
        let unsent_before = output.len();
        let begun = core.shared.stopwatch.now();
        let args = change.request.as_request().args;
        let is_done = change.changing.advance(core, session, io.id, args, output, NAMES_PER_SLICE);
        change.nanos += core.nanos_since(begun);
        change.reply_bytes += output.len() - unsent_before;
        if !is_done {
            session.pending = Some(Pending::Changing(change));
            return Then::Again;
        }
        if change.changing.precedes_command() {
            session.take_command_back();
            session.pending = Some(Pending::Deferred(Box::new(change.request)));
            return Then::Again;
        }
        let request = change.request.as_request();
        core.note(session, request, change.nanos, change.reply_bytes, io.turn);
        Then::Read
    }
}
