//! Windows: commands of one or several connections that run under one taking of shards.

use super::{COMMANDS_PER_TURN, Worker};
use crate::barrier::Barrier;
use crate::dispatch::{Alone, Commands, Operation, Seats, WINDOW_COMMANDS};
use crate::mail::ShardPost;
use crate::outbox::Outbox;
use crate::pending::Pending;
use crate::place::Place;
use crate::request::Request;
use crate::session::{Awaited, Replies, Session};
use crate::watch::monitor::Lines;
use darter_resp::{Args, Parsed, RequestParser};
use darter_runtime::{Arrivals, Io, Then, Turn, crash};
use darter_txn::Outcome;

/// How far a connection has come in a window it shared with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    /// Bytes of input dealt with.
    pub(super) consumed: usize,
    /// Whether it waits for commands that were posted.
    pub(super) waits: bool,
    /// Bytes of output there were before.
    pub(super) unsent_before: usize,
}

/// How far a connection's window came.
pub(super) enum Ran {
    All,
    /// Up to here, and what the connection does next.
    Part {
        consumed: usize,
        then: Then,
    },
}

/// Why a window stopped early.
enum Stop {
    /// Commands were posted, up to this one: the connection they are of waits.
    Posted(usize),
    /// This command's shards have to be gathered.
    NeedsGathering(usize),
}

impl Worker {
    /// Adds commands from `input[at..]` to the window until something does not fit it. `place` is the
    /// connection's.
    pub(super) fn collect(
        &mut self,
        session: &mut Session,
        input: &[u8],
        at: &mut usize,
        place: usize,
    ) -> Barrier {
        // A client that skips one reply has that command run by itself.
        let commands_max = if session.replies == Replies::SkipNext { 1 } else { WINDOW_COMMANDS };
        let is_busy = self.core.shared.scripts.busy.any();
        while self.batch.operations.len() < commands_max {
            let begin = *at;
            let first_span = self.batch.spans.len();
            if begin == input.len() {
                return Barrier::Incomplete;
            }
            let parsed =
                session.parser.parse(&input[begin..], &mut self.batch.spans, &session.limits);
            let end = match parsed {
                Parsed::Command { consumed } => begin + consumed,
                Parsed::Nothing { consumed } => {
                    *at = begin + consumed;
                    continue;
                }
                Parsed::Inline { consumed, args } => {
                    return Barrier::Inline { args, end: begin + consumed };
                }
                Parsed::Incomplete { needed_bytes, argument_bytes } => {
                    session.awaited = Awaited { bytes: needed_bytes, argument_bytes };
                    return Barrier::Incomplete;
                }
                Parsed::Malformed(error) => return Barrier::Malformed(error),
            };
            let args = Args::new(&input[begin..end], &self.batch.spans[first_span..]);
            let entry = match self.core.admit(session, args) {
                Ok(entry) => entry,
                Err(error) => return Barrier::of_refusal(error, args, (begin, end), first_span),
            };
            if is_busy && let Some(error) = self.core.busy_with(session, entry, args) {
                return Barrier::of_refusal(error, args, (begin, end), first_span);
            }
            if self.core.holds_back_from(session, entry, args) {
                return Barrier::Paused;
            }
            let begin_others = self.batch.shards.len();
            let (shard, hash) = match self.core.place(entry, args) {
                Place::Shard(shard, hash) => (shard, hash),
                Place::Several(shards) => {
                    self.batch.shards.extend_from_slice(&shards[1..]);
                    (shards[0], 0)
                }
                place => return Barrier::Command { entry, place, begin, end, first_span },
            };
            self.batch.operations.push(Operation {
                place,
                entry,
                begin,
                end,
                spans: (first_span, self.batch.spans.len()),
                db: session.db,
                shard,
                others: (begin_others, self.batch.shards.len()),
                hash,
            });
            *at = end;
        }
        Barrier::Full
    }

    /// Runs the collected window, of which `None` is left unless it stopped early.
    fn run_seats(&mut self, seats: &mut impl Seats, turn: &Turn) -> Option<Stop> {
        let mut commands = Commands {
            batch: &self.batch,
            seats,
            now: turn.now,
            limits: self.core.limits.get(),
            shared: self.core.shared,
            statistics: self.core.statistics(),
            post: &self.core.post,
            thresholds: self.core.thresholds.get(),
            ended: self.core.shared.stopwatch.now(),
            ran: 0,
            notable: &mut self.notable,
        };
        let outcome = self.window.run(
            &mut commands,
            &self.core.shared.cells,
            self.core.worker,
            &ShardPost(&self.core.post),
        );
        let ran = commands.ran;
        if !self.notable.is_empty() || self.core.shared.monitors.any() {
            self.tell_of_window(seats, ran, turn);
        }
        let (last, stop) = match outcome {
            Outcome::Finished => return None,
            Outcome::Posted { next } => (next - 1, Stop::Posted(next)),
            Outcome::NeedsGathering { at } => (at, Stop::NeedsGathering(at)),
        };
        let (session, _) = seats.at(self.batch.operations[last].place);
        if matches!(stop, Stop::Posted(_)) {
            session.pending = Some(Pending::Posted);
        }
        // What was parsed behind is parsed again.
        session.parser = RequestParser::new();
        Some(stop)
    }

    /// Runs the collected window of one connection, to where it has to wait.
    pub(super) fn run_window(&mut self, session: &mut Session, io: &mut Io<'_, Outbox>) -> Ran {
        let turn = io.turn;
        match self.run_seats(&mut Alone { session, io }, turn) {
            None => Ran::All,
            Some(Stop::Posted(next)) => {
                Ran::Part { consumed: self.batch.operations[next - 1].end, then: Then::Await }
            }
            Some(Stop::NeedsGathering(at)) => {
                let shards = self.batch.shards_from(at);
                let batch = std::mem::take(&mut self.batch);
                let operation = &batch.operations[at];
                let request = Request {
                    entry: operation.entry,
                    args: batch.args(operation, io),
                    bytes: operation.request_bytes(),
                    stays: self.core.stays_in_input(operation.request_bytes(), io.input),
                };
                session.note_command(request.entry);
                let then = self.run_on(session, request, shards, io, None);
                let consumed =
                    if session.stays_in_input() { operation.begin } else { operation.end };
                self.batch = batch;
                Ran::Part { consumed, then }
            }
        }
    }

    /// Runs what several connections' input begins with in windows they share: the shards are taken once
    /// for all, and the cache misses of their lookups overlap. Commands that do not fit a window are
    /// left to [`Worker::receive_from`].
    pub(super) fn run_ahead(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        self.batch.clear();
        for place in 0..arrivals.len() {
            let (session, io) = arrivals.at(place);
            let unsent_before = io.output.0.len();
            self.ahead.push(Ahead { consumed: 0, waits: false, unsent_before });
            if session.runs_in_windows() {
                crash::note_client(session.client_id);
                self.core.follow_users(session);
                session.limits.bulk_bytes_max = self.core.limits.get().string_bytes_max;
                self.run_ahead_of(arrivals, place);
            }
        }
        self.run_shared(arrivals);
    }

    /// Adds what the connection at `place` has sent to the window, and runs that whenever it is full, as long as the
    /// connection has to wait for nothing.
    fn run_ahead_of(&mut self, arrivals: &mut Arrivals<'_, Self>, place: usize) {
        for _ in 0..COMMANDS_PER_TURN / WINDOW_COMMANDS {
            let mut consumed = self.ahead[place].consumed;
            let (session, io) = arrivals.at(place);
            if io.output.0.len() > io.output_high_water_bytes {
                return;
            }
            self.collect(session, io.input, &mut consumed, place);
            self.ahead[place].consumed = consumed;
            if self.batch.operations.len() < WINDOW_COMMANDS {
                return;
            }
            self.run_shared(arrivals);
            if self.ahead[place].waits || self.ahead[place].consumed != consumed {
                return;
            }
        }
    }

    /// Runs a window of several connections' commands to the end.
    fn run_shared(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        let turn = *arrivals.turn();
        while !self.batch.operations.is_empty() {
            let next = match self.run_seats(arrivals, &turn) {
                None => break,
                Some(Stop::Posted(next)) => {
                    let Operation { place, end, .. } = self.batch.operations[next - 1];
                    let ahead = &mut self.ahead[place];
                    (ahead.consumed, ahead.waits) = (end, true);
                    next
                }
                Some(Stop::NeedsGathering(at)) => {
                    let Operation { place, begin, .. } = self.batch.operations[at];
                    self.ahead[place].consumed = begin;
                    at + 1
                }
            };
            let place = self.batch.operations[next - 1].place;
            self.batch.operations.drain(..next);
            self.batch.operations.retain(|operation| operation.place != place);
        }
        self.batch.clear();
    }

    /// Remembers the commands of a window that are worth it, and shows the `ran` that have run here to
    /// monitors.
    #[cold]
    fn tell_of_window(&mut self, seats: &mut impl Seats, ran: usize, turn: &Turn) {
        for (index, cost) in self.notable.drain(..) {
            let operation = &self.batch.operations[index];
            let (session, io) = seats.at(operation.place);
            let args = self.batch.args(operation, &io);
            self.core.remember(session, operation.entry, args, cost, turn.now);
        }
        if self.core.shared.monitors.any() {
            let mut lines = Lines::default();
            for operation in &self.batch.operations[..ran] {
                let (session, io) = seats.at(operation.place);
                lines.add(session, operation.entry, self.batch.args(operation, &io), turn);
            }
            self.core.send_to_monitors(lines);
        }
    }
}
