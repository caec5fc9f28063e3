//! Commands outside windows: alone, over gathered shards, or in slices.

use super::Worker;
use crate::apart::{Meanwhile, Others};
use crate::caller::Caller;
use crate::mail::Mail;
use crate::outbox::Outbox;
use crate::pending::{Advance, After, Coordinated, Pending, Sliced, run_gathered};
use crate::place::Place;
use crate::pubsub::{LongChange, must_read_letters};
use crate::request::Request;
use crate::session::Session;
use crate::session_command::Flow;
use crate::transaction;
use darter_base::ShardId;
use darter_command_table::Handler;
use darter_resp::RequestParser;
use darter_runtime::{ConnectionId, Io, Then, Turns};
use darter_shard::Shard;
use darter_txn::{Gathering, View};
use std::rc::Rc;

impl Worker {
    /// Runs one command outside a window.
    pub(super) fn run_single(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        place: Place,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let place = match place {
            Place::Script(source) => self.core.place_of_script(request.entry, request.args, source),
            place => place,
        };
        session.note_command(request.entry);
        match place {
            Place::Shard(shard, _) => self.run_on(session, request, vec![shard], io, turns),
            Place::Several(shards) | Place::Gathered(shards) => {
                self.run_on(session, request, shards, io, turns)
            }
            // Nobody has the shards, and what was admitted nevertheless does without.
            Place::All if self.core.shared.loading.is_under_way() => {
                self.run_alone(session, request, io)
            }
            Place::All => {
                let shards = self.core.shared.router().shards().collect();
                self.run_on(session, request, shards, io, turns)
            }
            Place::Slices => self.run_slices(session, request, io),
            Place::Script(_) => unreachable!("it was found out where"),
            Place::Queued => self.run_queued(session, request, io, turns),
            Place::Session => self.run_alone(session, request, io),
        }
    }

    fn run_slices(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
    ) -> Then {
        let Handler::Sliced(begin) = request.entry.command.handler else {
            unreachable!("placed by its handler")
        };
        let caller = Caller::new(&self.core, session, io.id, io.turn);
        let begun = caller.begin_slices(request, begin, &mut io.output.0);
        self.core.statistics().called(request.entry.counted_as, &begun);
        let Ok(slice) = begun else { return Then::Read };
        // It goes on at once, with whatever precedes it in the input.
        let request = Request { stays: false, ..request };
        session.pending = Some(Pending::Sliced(Box::new(Sliced::new(request, slice))));
        self.go_on(session, io)
    }

    fn run_alone(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
    ) -> Then {
        let output = &mut io.output.0;
        let unsent_before = output.len();
        let begun = self.core.shared.stopwatch.now();
        let mut view = View::several(&mut [], self.core.shared.router());
        let mut caller = Caller::new(&self.core, session, io.id, io.turn);
        let result = caller.run(request, &mut view, output);
        if matches!(result, Ok(Flow::Defer)) {
            return self.defer(session, request, io.id);
        }
        let nanos = self.core.nanos_since(begun);
        if let Ok(Flow::Change(changing)) = result {
            let reply_bytes = output.len() - unsent_before;
            let change = LongChange::new(request, *changing, nanos, reply_bytes);
            session.pending = Some(Pending::Changing(Box::new(change)));
            return Then::Again;
        }
        let then = match result {
            Ok(Flow::Later(reply)) => match reply.go_on(&self.core, session, io.id, output) {
                After::Resumes => Then::Read,
                After::Waits | After::Blocks => Then::Await,
                After::Closes => Then::CloseAfterFlush,
                After::Exceeds => Then::CloseAboveLimit,
            },
            Ok(Flow::Yield) => {
                self.core.post.send(self.core.worker, Mail::Resume(io.id));
                Then::Await
            }
            Ok(Flow::Defer | Flow::Change(_)) => unreachable!("dealt with"),
            Ok(
                Flow::Block(_)
                | Flow::Slices(_)
                | Flow::Connect(_)
                | Flow::Transfer(_)
                | Flow::PutOff,
            ) => {
                unreachable!("only commands over shards wait for keys, run in slices or send keys")
            }
            Ok(Flow::Wait) => Then::Suspend,
            Ok(Flow::Close) => Then::CloseAfterFlush,
            Ok(Flow::Next) | Err(_) => Then::Read,
        };
        // What it set counts for itself already.
        self.core.follow_settings();
        self.core.note(session, request, nanos, io.output.0.len() - unsent_before, io.turn);
        then
    }

    /// Runs a command over the shards of what the client watches and has queued.
    fn run_queued(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let subscribes = session.transaction.as_ref().is_some_and(|queue| queue.subscribes());
        if subscribes && must_read_letters(&self.core, session) {
            return self.defer(session, request, io.id);
        }
        let shards = transaction::shards_of(session);
        if shards.is_empty() || self.core.shared.loading.is_under_way() {
            return self.run_alone(session, request, io);
        }
        self.run_on(session, request, shards, io, turns)
    }

    /// Runs a command again when the letters that are there now have been read.
    fn defer(&self, session: &mut Session, request: Request<'_>, id: ConnectionId) -> Then {
        session.take_command_back();
        session.pending = Some(Pending::Deferred(Box::new(request.to_owned())));
        self.core.post.send(self.core.worker, Mail::Resume(id));
        Then::Await
    }

    pub(super) fn run_on(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        shards: Vec<ShardId>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        match Coordinated::start(&self.core, session, request, shards) {
            Ok(gathering) => self.run_over(session, request, gathering, io, turns),
            Err(pending) => {
                session.pending = Some(pending);
                Then::Await
            }
        }
    }

    /// Runs a command over the shards gathered for it.
    pub(super) fn run_over(
        &mut self,
        session: &mut Session,
        request: Request<'_>,
        gathering: Gathering<Shard>,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        let output = &mut io.output.0;
        let (id, turn) = (io.id, io.turn);
        let after = match turns {
            None => {
                let core = &self.core;
                run_gathered(core, session, request, gathering, None, output, id, turn, None)
            }
            Some(turns) => {
                let core = Rc::clone(&self.core);
                let mut others = Others { worker: self, turns };
                let meanwhile: Option<&mut dyn Meanwhile> = Some(&mut others);
                run_gathered(&core, session, request, gathering, None, output, id, turn, meanwhile)
            }
        };
        match after {
            After::Resumes => Then::Read,
            After::Blocks => Then::Suspend,
            After::Waits => Then::Await,
            After::Closes => Then::CloseAfterFlush,
            After::Exceeds => Then::CloseAboveLimit,
        }
    }

    /// Suspends a client in front of a command that is held back.
    pub(super) fn hold_back(&self, session: &mut Session, id: ConnectionId) -> Then {
        session.pending = Some(Pending::Paused);
        // What was parsed of it is parsed again.
        session.parser = RequestParser::new();
        self.core.statistics().blocked_clients.add(1);
        self.core.held_back.borrow_mut().push(id);
        Then::Suspend
    }

    /// Goes on with a sliced command. [`Then::Read`] when it has answered.
    pub(super) fn go_on(&mut self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Then {
        let Some(Pending::Sliced(mut sliced)) = session.pending.take() else {
            unreachable!("only sliced commands ask for another turn")
        };
        match sliced.advance(&self.core, session, io.turn, &mut io.output.0, io.input) {
            Advance::Exceeds => return Then::CloseAboveLimit,
            Advance::Done => return Then::Read,
            Advance::More => {}
        }
        sliced.own_if_unlucky(io.input);
        let then = if sliced.waits() { Then::Await } else { Then::Again };
        session.pending = Some(Pending::Sliced(sliced));
        then
    }
}
