//! Commands that cannot finish within the call that read them: those over several shards while one
//! is out, those in slices, and questions to all workers.

use crate::apart::Meanwhile;
use crate::blocking::clients::BlockedClient;
use crate::caller::Caller;
use crate::dispatch::keeping_expired;
use crate::late_reply::LateReply;
use crate::mail::{Mail, ShardPost};
use crate::observed::{Cause, work_observed_for};
use crate::pubsub::LongChange;
use crate::request::{OwnedRequest, Request, SlicedRequest};
use crate::session::Session;
use crate::session_command::Flow;
use crate::survey::Collection;
use crate::waiting::Waiting;
use crate::worker::Core;
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{Progress, Slice};
use darter_resp::{Output, ReplyWriter};
use darter_runtime::{ConnectionId, Ticks, Turn};
use darter_shard::Shard;
use darter_txn::{Gathering, Held, Step, Ticket, Window};
use std::fmt;

/// A client's command under way.
#[derive(Debug)]
pub enum Pending {
    /// Posted to a shard's inbox; its replies come back with the job.
    Posted,
    /// Collecting its shards.
    Gathering(Box<Coordinated>),
    /// Has its shards, and is to run apart from other connections.
    Ready(Box<Coordinated>),
    /// To be run once letters have been read. It counts as run then, not before.
    Deferred(Box<OwnedRequest>),
    /// Running in slices.
    Sliced(Box<Sliced>),
    /// Changing subscriptions, some in each turn.
    Changing(Box<LongChange>),
    /// Asking all workers.
    Survey(Box<Collection>),
    /// Keeping shards from others while everything stands still.
    Holding(Box<Holding>),
    /// Held back by a pause.
    Paused,
    /// Waiting for keys.
    Blocked(Box<BlockedClient>),
    /// Waiting for other servers or files.
    Waiting(Waiting),
    /// Waiting for a connection to another server.
    Connecting(Box<OwnedRequest>),
    /// Waiting for keys to be at another server.
    Transferring,
}

/// A command over several shards.
#[derive(Debug)]
pub struct Coordinated {
    request: OwnedRequest,
    gathering: Gathering<Shard>,
}

/// A command that has run and keeps its shards (`DEBUG SLEEP`).
#[derive(Debug)]
pub struct Holding {
    request: OwnedRequest,
    gathering: Gathering<Shard>,
    since: Ticks,
    reply: Box<LateReply>,
}

impl Holding {
    /// Gives the shards back and answers.
    pub fn finish(
        mut self,
        core: &Core,
        session: &mut Session,
        output: &mut Output,
        id: ConnectionId,
        turn: &Turn,
    ) -> After {
        self.gathering.release(&core.shared.cells, &ShardPost(&core.post));
        let unsent_before = output.len();
        let after = self.reply.go_on(core, session, id, output);
        let reply_bytes = output.len() - unsent_before;
        let nanos = core.nanos_since(self.since);
        core.note(session, self.request.as_request(), nanos, reply_bytes, turn);
        after
    }
}

/// A command that visits shard after shard.
pub struct Sliced {
    request: SlicedRequest,
    /// How long its slices ran, waiting apart.
    nanos: u64,
    slice: Box<dyn Slice>,
    /// Bytes written of its reply.
    reply_bytes: usize,
    /// Set while the shard it wants next is reserved.
    gathering: Option<Gathering<Shard>>,
    /// How often in a row it has given back what it was granted, because its arguments were not at hand.
    grants_unused: u32,
    next: Progress,
}

impl fmt::Debug for Sliced {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sliced").field("next", &self.next).finish_non_exhaustive()
    }
}

/// What became of a command in slices when it had its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It goes on later.
    More,
    /// It has answered.
    Done,
    /// Its reply is more than the client may have unsent, and nothing more of it was written.
    Exceeds,
}

/// Slices of one command run in one go before other connections have their turn.
const SLICES_PER_TURN: usize = 4;

/// How many shards a command gives back unused before it copies its arguments to use the next one at once.
const GRANTS_UNUSED_MAX: u32 = 8;

/// How often a command looks at the seat of a shard that is out before it waits for it: as long as a short script
/// takes, two or three microseconds. Being granted one takes longer, and whoever else wants the shard meanwhile has to
/// wait as well, so that one wait makes others (scripts of one key, pipelined, on two workers and eight shards, November
/// 2026: one in twelve had to wait).
const LOOKS: u32 = 24;

impl Coordinated {
    /// Collects `shards` for a command; `Err` when one is out and the command must wait.
    pub fn start(
        core: &Core,
        session: &Session,
        request: Request<'_>,
        shards: Vec<ShardId>,
    ) -> Result<Gathering<Shard>, Pending> {
        core.statistics().coordinated.add(1);
        let mut gathering = Gathering::new(shards);
        let (cells, ticket) = (&core.shared.cells, Ticket(session.client_id));
        // What a script here keeps does not come back while this looks.
        let looks = if core.scripts.borrow().is_running() { 0 } else { LOOKS };
        match gathering.advance_patiently(cells, core.worker, ticket, looks) {
            Step::Ready => Ok(gathering),
            Step::Waiting => {
                core.statistics().coordinated_waits.add(1);
                let request = request.to_owned();
                Err(Pending::Gathering(Box::new(Self { request, gathering })))
            }
        }
    }
}

impl Coordinated {
    /// Gives its shards back. It begins again later.
    pub fn give_up(mut self, core: &Core) -> Pending {
        self.gathering.release(&core.shared.cells, &ShardPost(&core.post));
        Pending::Deferred(Box::new(self.request))
    }

    /// What has its shards, and the shards.
    pub fn into_parts(self) -> (OwnedRequest, Gathering<Shard>) {
        (self.request, self.gathering)
    }
}

/// What became of a pending command that was given a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It waits for another shard.
    Waits,
    /// It waits for other clients, which can take for ever.
    Blocks,
    /// The connection goes on.
    Resumes,
    /// The connection closes once its output is sent.
    Closes,
    /// The connection closes at once: its reply is more than it may have unsent.
    Exceeds,
}

/// Commands for which shards that had to be waited for are kept: enough to pay for the hand-over, few
/// enough that the others who wait have them soon.
const KEPT_COMMANDS: usize = 256;

/// Runs a command for which all shards are held, and gives them back, or to `keeper`.
#[expect(clippy::too_many_arguments, reason = "the one place where all of them meet")]
pub fn run_gathered(
    core: &Core,
    session: &mut Session,
    request: Request<'_>,
    mut gathering: Gathering<Shard>,
    keeper: Option<&mut Window<Shard>>,
    output: &mut Output,
    id: ConnectionId,
    turn: &Turn,
    meanwhile: Option<&mut dyn Meanwhile>,
) -> After {
    let Request { entry, args, .. } = request;
    if let Some(error) = core.refusal_since_admitted(session, entry, args, turn.now) {
        gathering.release(&core.shared.cells, &ShardPost(&core.post));
        session.take_command_back();
        if core.runs_queue(entry) {
            core.discard(session, turn.now);
        }
        ReplyWriter::new(output, session.protocol).error(error.line());
        return After::Resumes;
    }
    let unsent_before = output.len();
    let begun = core.shared.stopwatch.now();
    let mut view = gathering.view(&core.shared.cells);
    let result = Caller::new(core, session, id, turn)
        .while_serving(meanwhile.map(|meanwhile| meanwhile as _))
        .run(request, &mut view, output);
    // What it set counts for itself already.
    core.follow_settings();
    let (reply, after) = match result {
        Ok(Flow::Later(reply)) if !reply.held_for.is_zero() => {
            core.serve(&mut view, turn.now);
            core.begin_standing_still(reply.held_for, id, turn);
            let holding = Holding { request: request.to_owned(), gathering, since: begun, reply };
            session.pending = Some(Pending::Holding(Box::new(holding)));
            return After::Waits;
        }
        Ok(Flow::Block(wait)) => {
            let nanos = core.nanos_since(begun);
            // It is counted when it has its answer.
            session.take_command_back();
            core.begin_blocking(session, request, &mut view, *wait, id, nanos);
            core.serve(&mut view, turn.now);
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
            core.show(session, request, turn);
            return After::Blocks;
        }
        Ok(Flow::Later(reply)) => (Some(reply), After::Resumes),
        Ok(flow @ (Flow::Defer | Flow::PutOff)) => {
            // Placed anew, it may need other shards.
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
            session.take_command_back();
            session.pending = Some(Pending::Deferred(Box::new(request.to_owned())));
            if matches!(flow, Flow::PutOff) {
                core.put_off.borrow_mut().add(id, turn.instant);
            } else {
                core.post.send(core.worker, Mail::Resume(id));
            }
            return After::Waits;
        }
        Ok(Flow::Connect(target)) => {
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
            session.pending = Some(Pending::Connecting(Box::new(request.to_owned())));
            core.connect(*target, id);
            return After::Blocks;
        }
        Ok(Flow::Transfer(transfer)) => {
            session.pending = Some(Pending::Transferring);
            core.transfer(request.to_owned(), *transfer, gathering, begun, id);
            return After::Blocks;
        }
        Ok(Flow::Slices(slice)) => {
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
            session.pending = Some(Pending::Sliced(Box::new(Sliced::new(request, slice))));
            core.post.send(core.worker, Mail::Resume(id));
            return After::Waits;
        }
        Ok(Flow::Close) => (None, After::Closes),
        Ok(Flow::Wait) => (None, After::Blocks),
        Ok(Flow::Change(_)) => {
            unreachable!("only commands over no shard change subscriptions in turns")
        }
        Ok(Flow::Next | Flow::Yield) | Err(_) => (None, After::Resumes),
    };
    let nanos = core.nanos_since(begun);
    core.serve(&mut view, turn.now);
    match keeper {
        Some(window) => gathering.hand_over(window, KEPT_COMMANDS),
        None => gathering.release(&core.shared.cells, &ShardPost(&core.post)),
    }
    let after = reply.map_or(after, |reply| reply.go_on(core, session, id, output));
    core.note(session, request, nanos, output.len() - unsent_before, turn);
    after
}

impl Sliced {
    /// A command about to visit its first shard.
    pub fn new(request: Request<'_>, slice: Box<dyn Slice>) -> Self {
        let request = SlicedRequest::of(request);
        let next = slice.begin();
        Self { request, nanos: 0, next, slice, reply_bytes: 0, gathering: None, grants_unused: 0 }
    }

    /// How many bytes of its connection's input it is.
    pub const fn bytes_in_input(&self) -> usize {
        self.request.bytes_in_input()
    }

    /// Runs a few slices. `true` when the command has answered; otherwise it waits for its shard if
    /// [`Sliced::waits`], else it wants another turn.
    pub fn advance(
        &mut self,
        core: &Core,
        session: &Session,
        turn: &Turn,
        output: &mut Output,
        input: &[u8],
    ) -> Advance {
        let ticket = Ticket(session.client_id);
        for _ in 0..SLICES_PER_TURN {
            let shards = match self.next {
                Progress::On(shard) => vec![shard],
                Progress::Together => self.slice.shards(),
                Progress::Done => break,
            };
            let mut gathering = self.gathering.take().unwrap_or_else(|| Gathering::new(shards));
            if gathering.advance(&core.shared.cells, core.worker, ticket) == Step::Waiting {
                self.gathering = Some(gathering);
                return Advance::More;
            }
            self.grants_unused = 0;
            let begun = core.shared.stopwatch.now();
            let mut view = gathering.view(&core.shared.cells);
            let limits = core.limits.get();
            let by = core.clients.borrow().get(&session.client_id).copied();
            let is_together = self.next == Progress::Together;
            let Request { entry, args, .. } = self.request.in_input(input);
            let cause = Cause { entry, args, db: session.db, by, together: None };
            let slice = &mut self.slice;
            let now = session.sees_at(&limits, turn.now);
            self.next = work_observed_for(
                core.shared,
                limits.interest,
                &mut view,
                cause,
                |view, effects| {
                    let next = keeping_expired(&limits, view, |view| {
                        if is_together {
                            slice.run_together(view, now)
                        } else {
                            slice.run(args, view.first(), now)
                        }
                    });
                    if let Some(effects) = effects.filter(|_| next == Progress::Done) {
                        slice.describe(args, effects);
                    }
                    next
                },
            );
            self.nanos += core.nanos_since(begun);
            core.serve(&mut view, turn.now);
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
        }
        let is_above_limit = self.is_above_limit(core, session);
        let is_done = self.next == Progress::Done || is_above_limit;
        if is_done {
            for left in self.slice.leave() {
                core.leave_watch(left, turn.now);
            }
        }
        if !is_above_limit {
            let unsent_before = output.len();
            let mut reply = ReplyWriter::new(output, session.protocol);
            if is_done {
                self.slice.finish(&mut reply);
            } else {
                self.slice.write_ready(&mut reply);
            }
            self.reply_bytes += output.len() - unsent_before;
        }
        if is_done {
            core.note(session, self.request.in_input(input), self.nanos, self.reply_bytes, turn);
        }
        match (is_above_limit, is_done) {
            (true, _) => Advance::Exceeds,
            (false, true) => Advance::Done,
            (false, false) => Advance::More,
        }
    }

    /// Gives a granted shard back, and with it what else was collected: the arguments are in the input, which only the
    /// connection's own turn shows, and that can be late. `held` if it is to be used now.
    fn leave_grant(&mut self, core: &Core, held: Held<Shard>) -> Option<Held<Shard>> {
        if self.bytes_in_input() == 0 {
            return Some(held);
        }
        let carrier = ShardPost(&core.post);
        core.shared.cells.put_back(held, &carrier);
        if let Some(mut gathering) = self.gathering.take() {
            gathering.release(&core.shared.cells, &carrier);
        }
        self.grants_unused += 1;
        None
    }

    /// Copies its arguments from the input if it waits for a shard that it has been granted in vain again and again.
    pub fn own_if_unlucky(&mut self, input: &[u8]) {
        if self.waits() && self.grants_unused >= GRANTS_UNUSED_MAX && self.bytes_in_input() > 0 {
            self.request = SlicedRequest::Owned(self.request.in_input(input).to_owned());
        }
    }

    /// Whether its reply is more than the client may have unsent. All of it counts, the part that was sent already as
    /// well: what a limit allows does not depend on how fast a client reads, and Redis has such a reply as a
    /// whole before it sends any of it, none of it in its static buffer if its length is known last.
    fn is_above_limit(&self, core: &Core, session: &Session) -> bool {
        let limit = core.output_limits.get().of(session).hard_bytes;
        let bytes = self.reply_bytes.saturating_add(self.slice.coming_bytes());
        limit > 0 && bytes >= limit && session.hears_pending()
    }

    /// Whether a reservation is under way.
    pub fn waits(&self) -> bool {
        self.gathering.is_some()
    }
}

impl Pending {
    /// Gives a granted shard to the command that reserved it, and runs it if that was the last. Its
    /// shards are kept in `window` for what its connection, and others that are served in this tick, go on
    /// with.
    pub fn granted(
        core: &Core,
        session: &mut Session,
        held: Held<Shard>,
        window: &mut Window<Shard>,
        output: &mut Output,
        id: ConnectionId,
        turn: &Turn,
    ) -> After {
        let ticket = Ticket(session.client_id);
        match session.pending.take() {
            Some(Self::Gathering(mut coordinated)) => {
                coordinated.gathering.accept(held);
                let step = coordinated.gathering.advance(&core.shared.cells, core.worker, ticket);
                if step == Step::Waiting {
                    session.pending = Some(Self::Gathering(coordinated));
                    return After::Waits;
                }
                if core.runs_apart(session, coordinated.request.as_request().entry) {
                    session.pending = Some(Self::Ready(coordinated));
                    return After::Resumes;
                }
                let Coordinated { request, gathering } = *coordinated;
                let request = request.as_request();
                let window = Some(window);
                run_gathered(core, session, request, gathering, window, output, id, turn, None)
            }
            Some(Self::Sliced(mut sliced)) => {
                let Some(held) = sliced.leave_grant(core, held) else {
                    session.pending = Some(Self::Sliced(sliced));
                    return After::Resumes;
                };
                sliced
                    .gathering
                    .as_mut()
                    .expect("a sliced command that was granted a shard had reserved it")
                    .accept(held);
                match sliced.advance(core, session, turn, output, &[]) {
                    Advance::Exceeds => return After::Exceeds,
                    Advance::Done => return After::Resumes,
                    Advance::More => {}
                }
                let waits = sliced.waits();
                session.pending = Some(Self::Sliced(sliced));
                if waits { After::Waits } else { After::Resumes }
            }
            Some(Self::Blocked(mut blocked)) if blocked.gathering.is_some() => {
                let after = blocked.granted(core, session.client_id, held, turn);
                session.pending = Some(Self::Blocked(blocked));
                after
            }
            other => {
                session.pending = other;
                core.shared.cells.put_back(held, &ShardPost(&core.post));
                After::Waits
            }
        }
    }

    /// Drops the command of a client that is gone. A grant still under way is put straight back.
    pub fn abandon(self, core: &Core, now: UnixMillis) {
        let gathering = match self {
            Self::Gathering(coordinated) | Self::Ready(coordinated) => Some(coordinated.gathering),
            Self::Sliced(mut sliced) => {
                for left in sliced.slice.leave() {
                    core.leave_watch(left, now);
                }
                sliced.gathering
            }
            Self::Holding(holding) => Some(holding.gathering),
            Self::Blocked(blocked) => blocked.gathering,
            Self::Posted
            | Self::Deferred(_)
            | Self::Changing(_)
            | Self::Survey(_)
            | Self::Paused
            | Self::Waiting(_)
            | Self::Connecting(_)
            | Self::Transferring => None,
        };
        if let Some(mut gathering) = gathering {
            gathering.release(&core.shared.cells, &ShardPost(&core.post));
        }
    }
}
