//! One connection's input, to its end or to where the connection has to wait.

use super::windows::{Ahead, Ran};
use super::{COMMANDS_PER_TURN, Worker};
use crate::apart::wait_for_turn;
use crate::barrier::{Barrier, is_http};
use crate::commands::error::ServerError;
use crate::commands::replication::client_of;
use crate::outbox::Outbox;
use crate::pending::Pending;
use crate::request::Request;
use crate::session::{Awaited, Session};
use darter_acl::Context;
use darter_command_table::{Flags, ReplyError};
use darter_resp::{Args, ReplyWriter};
use darter_runtime::{Io, Progress, Then, Turns, crash};

impl Worker {
    /// Runs what is left of a connection's input after a window it may have shared with others.
    pub(super) fn receive_from(
        &mut self,
        session: &mut Session,
        mut io: Io<'_, Outbox>,
        ahead: Ahead,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Progress {
        let Ahead { consumed, waits, unsent_before } = ahead;
        let progress = if waits {
            Progress { consumed, then: Then::Await }
        } else if consumed > 0 && consumed == io.input.len() {
            Progress { consumed, then: Then::Read }
        } else {
            self.run_commands(session, &mut io, consumed, turns)
        };
        self.see_to_excess(io.turn);
        let statistics = self.core.statistics();
        statistics.reads.add(1);
        statistics.input_bytes.add(progress.consumed as u64);
        statistics.output_bytes.add((io.output.0.len() - unsent_before) as u64);
        progress
    }

    /// Runs the commands in the input from `consumed` on.
    fn run_commands(
        &mut self,
        session: &mut Session,
        io: &mut Io<'_, Outbox>,
        mut consumed: usize,
        mut turns: Option<&mut Turns<'_, Self>>,
    ) -> Progress {
        crash::note_client(session.client_id);
        session.awaited = Awaited::default();
        if session.pending.is_some() {
            let staying_bytes = session.bytes_in_input();
            let then = self.go_on_with_pending(session, io, turns.as_deref_mut());
            if !session.stays_in_input() {
                consumed += staying_bytes;
            }
            if then != Then::Read {
                return Progress { consumed, then };
            }
        }
        let mut commands = 0;
        loop {
            // The command before can have changed both.
            self.core.follow_users(session);
            session.limits.bulk_bytes_max = self.core.limits.get().string_bytes_max;
            let mut at = consumed;
            self.batch.clear();
            let barrier = if session.transaction.is_some() {
                session.run_muted(io, |session, io| {
                    let spans = &mut self.batch.spans;
                    self.core.collect_queued(session, io, spans, &mut at, &mut commands)
                })
            } else {
                self.collect(session, io.input, &mut at, 0)
            };
            if !self.batch.operations.is_empty() {
                commands += self.batch.operations.len();
                let ran = session.run_muted(io, |session, io| self.run_window(session, io));
                if let Ran::Part { consumed: ran_to, then } = ran {
                    consumed = ran_to;
                    if then == Then::Read {
                        continue;
                    }
                    break Progress { consumed, then };
                }
            }
            consumed = at;
            let then = match barrier {
                Barrier::Full => Then::Read,
                Barrier::Incomplete => break Progress { consumed, then: Then::Read },
                Barrier::Paused => {
                    break Progress { consumed, then: self.hold_back(session, io.id) };
                }
                Barrier::Command { entry, begin, .. }
                    if turns.is_none() && self.core.runs_apart(session, entry) =>
                {
                    break wait_for_turn(session, begin);
                }
                Barrier::Command { entry, place, begin, end, first_span } => {
                    consumed = end;
                    commands += 1;
                    let batch = std::mem::take(&mut self.batch);
                    let args = Args::new(&io.input[begin..end], &batch.spans[first_span..]);
                    let args = args.lying_in(io.shared);
                    let stays = self.core.stays_in_input(end - begin, io.input);
                    let request = Request { entry, args, bytes: end - begin, stays };
                    let turns = turns.as_deref_mut();
                    let then = session.run_muted(io, |session, io| {
                        self.run_single(session, request, place, io, turns)
                    });
                    self.batch = batch;
                    if session.stays_in_input() {
                        consumed = begin;
                    }
                    then
                }
                Barrier::Inline { args, end } => {
                    let begin = std::mem::replace(&mut consumed, end);
                    commands += 1;
                    let args = args.as_args();
                    match self.core.admit_in(session, args) {
                        Ok(entry) if self.core.holds_back_in(session, entry, args) => {
                            break Progress {
                                consumed: begin,
                                then: self.hold_back(session, io.id),
                            };
                        }
                        Ok(entry) if self.core.queues(session, entry) => {
                            let bytes = end - begin;
                            let request = Request { entry, args, bytes, stays: false };
                            session.run_muted(io, |session, io| {
                                self.core.queue(session, request, io.output);
                            });
                            Then::Read
                        }
                        Ok(entry) if turns.is_none() && self.core.runs_apart(session, entry) => {
                            break wait_for_turn(session, begin);
                        }
                        Ok(entry) => {
                            let turns = turns.as_deref_mut();
                            let place = self.core.place(entry, args);
                            let bytes = end - begin;
                            let request = Request { entry, args, bytes, stays: false };
                            session.run_muted(io, |session, io| {
                                self.run_single(session, request, place, io, turns)
                            })
                        }
                        Err(_) if is_http(args) => {
                            break refuse_attack(io, session);
                        }
                        Err(error) => self.refuse(session, args, &error, io),
                    }
                }
                Barrier::Refused { error, begin, end, first_span } => {
                    consumed = end;
                    let args = Args::new(&io.input[begin..end], &self.batch.spans[first_span..]);
                    self.refuse(session, args, &error, io)
                }
                Barrier::Malformed(error) => {
                    ReplyWriter::new(&mut io.output.0, session.protocol).error(error.message());
                    break Progress { consumed: io.input.len(), then: Then::CloseAfterFlush };
                }
                Barrier::QueueOverflow => break self.refuse_overflow(session, consumed),
                Barrier::Attack => break refuse_attack(io, session),
            };
            if then != Then::Read {
                break Progress { consumed, then };
            }
            if commands >= COMMANDS_PER_TURN || io.output.0.len() > io.output_high_water_bytes {
                break Progress { consumed, then: Then::Again };
            }
        }
    }

    /// Goes on with a command that was under way. [`Then::Read`] when it has answered.
    fn go_on_with_pending(
        &mut self,
        session: &mut Session,
        io: &mut Io<'_, Outbox>,
        turns: Option<&mut Turns<'_, Self>>,
    ) -> Then {
        if turns.is_none()
            && let Some(then) = self.core.put_apart(session, io)
        {
            return then;
        }
        match session.pending.take() {
            sliced @ Some(Pending::Sliced(_)) => {
                session.pending = sliced;
                session.finish_pending(io, |session, io| self.go_on(session, io))
            }
            changing @ Some(Pending::Changing(_)) => {
                session.pending = changing;
                session.finish_pending(io, |session, io| self.go_on_changing(session, io))
            }
            Some(Pending::Deferred(request)) => {
                let request = request.as_request();
                session.finish_pending(io, |session, io| {
                    let Request { entry, args, .. } = request;
                    let now = io.turn.now;
                    if let Some(error) = self.core.refusal_since_admitted(session, entry, args, now)
                    {
                        ReplyWriter::new(&mut io.output.0, session.protocol).error(error.line());
                        return Then::Read;
                    }
                    // What is known of where it runs can have changed.
                    let place = self.core.place(request.entry, request.args);
                    self.run_single(session, request, place, io, turns)
                })
            }
            Some(Pending::Ready(ready)) => {
                let (request, gathering) = ready.into_parts();
                let request = request.as_request();
                session.finish_pending(io, |session, io| {
                    self.run_over(session, request, gathering, io, turns)
                })
            }
            Some(Pending::Paused) => {
                self.core.statistics().blocked_clients.remove(1);
                Then::Read
            }
            other => {
                session.pending = other;
                Then::Read
            }
        }
    }

    /// Answers a command that was not admitted, and counts it. Of a transaction it was to be part of
    /// nothing runs, and when it was to run one, that is over.
    #[cold]
    fn refuse(
        &self,
        session: &mut Session,
        args: Args<'_>,
        error: &ReplyError,
        io: &mut Io<'_, Outbox>,
    ) -> Then {
        if let Ok(entry) = self.core.shared.table.find(args) {
            session.last_command = &entry.full_name;
        }
        let context =
            if session.transaction.is_some() { Context::Multi } else { Context::TopLevel };
        self.core.count_refusal(session, args, error, context, io.turn.now);
        let refusal = match self.core.shared.table.named(args.at(0)) {
            Some(entry) if self.core.runs_queue(entry) => {
                let goes_elsewhere = self.core.redirects_queued(session);
                self.core.discard(session, io.turn.now);
                self.core.show(session, Request { entry, args, bytes: 0, stays: false }, io.turn);
                if goes_elsewhere {
                    error.line()
                } else {
                    ServerError::exec_refused(error).to_string().into_bytes().into()
                }
            }
            _ => {
                self.core.refuse_transaction(session);
                error.line()
            }
        };
        session.run_muted(io, |session, io| {
            ReplyWriter::new(&mut io.output.0, session.protocol).error(refusal);
        });
        if session.facts.replica.is_some() {
            return self.close_replica(session, args, error);
        }
        Then::Read
    }

    /// Closes a replica that sends what is to be answered: it would take the answer for a part of the stream.
    #[cold]
    fn close_replica(&self, session: &Session, args: Args<'_>, error: &ReplyError) -> Then {
        let (client, entry) = (client_of(session), self.core.shared.table.find(args));
        let command = entry.as_ref().map_or("<unknown>", |entry| &entry.full_name);
        let uses_keys = [Flags::READONLY, Flags::WRITE, Flags::MAY_REPLICATE];
        if entry.is_ok_and(|entry| uses_keys.iter().any(|flag| entry.command.flags.has(*flag))) {
            let line = String::from_utf8_lossy(&error.line()).into_owned();
            tracing::warn!(
                "== CRITICAL == This primary is sending an error to its replica: '-{line}' after processing the command \
                 '{command}'"
            );
        }
        tracing::warn!(
            "Replica generated a reply to command '{command}', disconnecting it: {client}"
        );
        Then::Close
    }

    /// A client that queues without end is closed as one is that sends without end.
    #[cold]
    fn refuse_overflow(&self, session: &Session, consumed: usize) -> Progress {
        self.core.statistics().connections_overflowed.add(1);
        tracing::warn!(
            client = session.client_id,
            peer = ?session.facts.peer.remote,
            "closed a client that reached the limit of its query buffer with queued commands"
        );
        Progress { consumed, then: Then::Close }
    }
}

/// Redis aborts such a connection without a word.
fn refuse_attack(io: &Io<'_, Outbox>, session: &Session) -> Progress {
    tracing::warn!(
        peer = ?session.facts.peer.remote,
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: \
         commands to Darter. This is likely due to an attacker attempting to use Cross Protocol \
         Scripting to compromise your instance. Connection aborted."
    );
    Progress { consumed: io.input.len(), then: Then::Close }
}
