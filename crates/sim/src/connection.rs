//! One client's connection, as its worker sees it: the smallest server that uses windows and
//! coordinators the way the real one does.

use crate::coverage::Path;
use crate::defect::{Defect, SpoiltGathering};
use crate::plan::Client;
use crate::stage::{choose, now, preemption_point};
use crate::toy::{Op, OpId, Reply, Toy, execute};
use crate::world::{Post, Posted, World};
use darter_base::ShardId;
use darter_txn::{Gathering, Held, Outcome, Program, Step, Ticket, View, Window};
use std::ops::Range;

/// Operations for which a window keeps what a gathering brought: now more than come, now fewer.
const KEPT_OPERATIONS: usize = 3;

/// Where a connection stands.
#[derive(Debug)]
enum State {
    /// The next operation can be begun.
    Ready,
    /// Operations lie in an inbox, or are done and on their way back.
    Posted,
    /// A coordinator waits for a shard.
    Gathering(Coordinator),
    /// Everything is answered.
    Finished,
    /// The client has closed the connection.
    Gone,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    client: usize,
    /// The first operation that has not been begun.
    next: usize,
    /// The pipeline it belongs to; the number of pipelines when there is none.
    pipeline: usize,
    /// Packed operations that have not come back: at most one, but for a defect.
    outstanding: usize,
    state: State,
}

impl Connection {
    /// The connection of a client that has not sent anything.
    pub fn new(client: usize) -> Self {
        Self { client, next: 0, pipeline: 0, outstanding: 0, state: State::Ready }
    }

    /// Whose it is.
    pub fn client(&self) -> usize {
        self.client
    }

    /// Whether [`Connection::serve`] can go on.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Whether the client has closed it.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// From when on this connection may be found gone.
    pub fn vanish_at(&self, world: &World) -> Option<u32> {
        match self.state {
            State::Gone | State::Finished => None,
            _ => self.plan(world).vanish_at,
        }
    }

    /// Whether it may be found gone now.
    pub fn may_vanish(&self, world: &World) -> bool {
        self.vanish_at(world).is_some_and(|tick| tick <= now())
    }

    /// The connection is closed: what it has begun elsewhere is left to its fate.
    pub fn vanish(&mut self, world: &World, post: &Post) {
        world.say(post.me, || format!("client {} vanishes", self.client));
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Gathering(mut coordinator) => {
                world.took(Path::VanishedGathering);
                coordinator.release(world, post);
            }
            State::Posted => world.took(Path::VanishedPosted),
            _ => world.took(Path::VanishedAtRest),
        }
        self.settle(world);
    }

    /// The schedule is over: a coordinator that never got its shards lets go of what it has.
    pub fn abandon(&mut self, world: &World, post: &Post) {
        if let State::Gathering(coordinator) = &mut self.state {
            coordinator.release(world, post);
        }
    }

    /// Runs as much as can be run without waiting: a window, or a coordinated operation.
    pub fn serve(&mut self, window: &mut Window<Toy>, world: &World, post: &Post) {
        self.send(world, post);
        if self.next == self.end_of_window(world) {
            self.gather(self.next..self.next + 1, world, post);
        } else {
            run_window(&mut [self], window, world, post);
        }
    }

    /// Runs what several connections can run in one window; leaves the others as they are.
    pub fn serve_together(
        connections: &mut [Self],
        window: &mut Window<Toy>,
        world: &World,
        post: &Post,
    ) {
        let mut ready: Vec<&mut Self> = connections
            .iter_mut()
            .filter(|connection| {
                connection.is_ready() && connection.next < connection.end_of_window(world)
            })
            .collect();
        for connection in &ready {
            connection.send(world, post);
        }
        run_window(&mut ready, window, world, post);
    }

    /// The client sends a pipeline, if it has not sent this one already.
    fn send(&self, world: &World, post: &Post) {
        let pipeline = self.plan(world).pipelines[self.pipeline].clone();
        if self.next == pipeline.start {
            world.say(post.me, || format!("client {} sends {pipeline:?}", self.client));
            for index in pipeline {
                world.invoked(self.id(index));
            }
        }
    }

    /// Where the operations end that the pipeline goes on with and a window can run.
    fn end_of_window(&self, world: &World) -> usize {
        let plan = self.plan(world);
        let pipeline = &plan.pipelines[self.pipeline];
        // The pipeline that overtakes has one wait under way when it begins the next: a coordinator's
        // would be lost, which is another defect.
        if world.plan.style.windows_take_several && world.defect != Some(Defect::OvertakingPipeline)
        {
            return pipeline.end;
        }
        (self.next..pipeline.end)
            .find(|&index| plan.ops[index].only_shard(world.router()).is_none())
            .unwrap_or(pipeline.end)
    }

    /// Work of this connection has been run.
    pub fn take_done(&mut self, work: Posted, world: &World, post: &Post) {
        world.say(post.me, || format!("client {} gets {:?}", self.client, work.first));
        if self.is_gone() {
            world.took(Path::DoneLate);
            return;
        }
        assert_eq!(work.replies.len(), work.ops.len(), "done means done");
        for (reply, index) in work.replies.into_iter().zip(work.first.index..) {
            world.responded(self.id(index), reply);
        }
        self.outstanding -= 1;
        self.go_on(world);
    }

    /// A reserved shard has come. Whoever gets it back must put it into its seat. `window` may keep
    /// the shards for what comes next.
    #[must_use = "a shard that is dropped is lost"]
    pub fn take_grant(
        &mut self,
        ticket: Ticket,
        held: Held<Toy>,
        window: &mut Window<Toy>,
        world: &World,
        post: &Post,
    ) -> Option<Held<Toy>> {
        let State::Gathering(coordinator) = &mut self.state else { return Some(held) };
        assert_eq!(coordinator.ticket(), ticket, "one reservation at a time");
        coordinator.accept(held);
        self.advance(Some(window), world, post);
        None
    }

    /// Collects the shards for the first of the operations `ops`, and those of the others with them.
    fn gather(&mut self, ops: Range<usize>, world: &World, post: &Post) {
        let ops = &self.plan(world).ops[ops];
        self.state = State::Gathering(Coordinator::new(ops, self.id(self.next), world));
        self.advance(None, world, post);
    }

    /// Goes on collecting shards, and runs the operation when all are there.
    fn advance(&mut self, window: Option<&mut Window<Toy>>, world: &World, post: &Post) {
        let id = self.id(self.next);
        let op = &self.plan(world).ops[self.next];
        let State::Gathering(coordinator) = &mut self.state else {
            unreachable!("called while gathering");
        };
        if coordinator.advance(op, world, post) == Step::Waiting {
            world.took(Path::GatheringWaited);
            return;
        }
        world.took(Path::Gathered);
        let reply = coordinator.run(op, id, world);
        world.say(post.me, || format!("client {} ran {op}: {reply:?}", self.client));
        world.responded(id, reply);
        match window {
            Some(window) if choose(|choices| choices.one_in(2)) => {
                coordinator.hand_over(window, world, post);
            }
            _ => coordinator.release(world, post),
        }
        self.next += 1;
        self.go_on(world);
    }

    /// Finds the state after something has been begun or finished.
    fn go_on(&mut self, world: &World) {
        let plan = self.plan(world);
        let pipeline_over = self.next == plan.pipelines[self.pipeline].end;
        self.state = if self.outstanding > 0 {
            let overtakes = world.defect == Some(Defect::OvertakingPipeline)
                && !pipeline_over
                && plan.ops[self.next].only_shard(world.router()).is_some();
            if overtakes { State::Ready } else { State::Posted }
        } else if self.next == plan.ops.len() {
            self.settle(world);
            State::Finished
        } else {
            self.pipeline += usize::from(pipeline_over);
            State::Ready
        };
    }

    fn settle(&self, world: &World) {
        world.settled.borrow_mut()[self.client] = true;
    }

    fn id(&self, index: usize) -> OpId {
        OpId { client: self.client, index }
    }

    fn plan<'a>(&self, world: &'a World) -> &'a Client {
        &world.plan.clients[self.client]
    }
}

/// Runs the operations that each of `connections` goes on with, in a window they share.
fn run_window(
    connections: &mut [&mut Connection],
    window: &mut Window<Toy>,
    world: &World,
    post: &Post,
) {
    let upcoming = |connection: &&mut Connection| -> Vec<OpId> {
        let indices = connection.next..connection.end_of_window(world);
        indices.map(|index| connection.id(index)).collect()
    };
    let mut ops: Vec<OpId> = connections.iter().flat_map(upcoming).collect();
    let mut gathers = Vec::new();
    let shared = connections.len() > 1;
    while !ops.is_empty() {
        let mut script = Script::new(&ops, post, world);
        let (ran, waits) = match window.run(&mut script, &world.cells, post.me, post) {
            Outcome::Finished => (ops.len(), None),
            Outcome::Posted { next } => (next, Some(ops[next - 1].client)),
            Outcome::NeedsGathering { at } => {
                world.took(Path::WindowNeedsGathering);
                let client = ops[at].client;
                let end = ops.iter().filter(|id| id.client == client).map(|id| id.index + 1).max();
                gathers.push((client, ops[at].index..end.expect("it is among them")));
                let ran: Vec<OpId> = ops.drain(..at).collect();
                note_ran(connections, &ran);
                ops.retain(|id| id.client != client);
                continue;
            }
        };
        let ran: Vec<OpId> = ops.drain(..ran).collect();
        note_ran(connections, &ran);
        world.took(match (waits, shared) {
            (None, false) => Path::WindowFinished,
            (None, true) => Path::SharedFinished,
            (Some(_), false) => Path::WindowPosted,
            (Some(_), true) => Path::SharedPosted,
        });
        if let Some(client) = waits {
            world.say(post.me, || format!("client {client} has posted"));
            ops.retain(|id| id.client != client);
            let of = connections.iter_mut().find(|connection| connection.client == client);
            of.expect("its operations are in the window").outstanding += 1;
        }
    }
    for connection in connections {
        match gathers.iter().find(|(client, _)| *client == connection.client) {
            Some((_, ops)) => connection.gather(ops.clone(), world, post),
            None => connection.go_on(world),
        }
    }
}

/// Notes that operations have run or been posted.
fn note_ran(connections: &mut [&mut Connection], ran: &[OpId]) {
    for id in ran {
        let of = connections.iter_mut().find(|connection| connection.client == id.client);
        of.expect("its operations are in the window").next += 1;
    }
}

/// Operations that come next, connection by connection.
struct Script<'a> {
    ops: &'a [OpId],
    /// The shards of each, ascending.
    shards: Vec<Vec<ShardId>>,
    /// Operations below this index have been packed.
    packed: usize,
    post: &'a Post,
    world: &'a World,
}

impl<'a> Script<'a> {
    fn new(ops: &'a [OpId], post: &'a Post, world: &'a World) -> Self {
        let mut script = Self { ops, shards: vec![], packed: 0, post, world };
        let shards = |index| script.op(index).shards_ascending(world.router());
        script.shards = (0..ops.len()).map(shards).collect();
        script
    }

    fn op(&self, index: usize) -> &'a Op {
        let OpId { client, index } = self.ops[index];
        &self.world.plan.clients[client].ops[index]
    }
}

impl Program<Toy> for Script<'_> {
    type Work = Posted;

    fn len(&self) -> usize {
        self.ops.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        self.shards[index][0]
    }

    fn others_of(&self, index: usize) -> &[ShardId] {
        &self.shards[index][1..]
    }

    fn origin_of(&self, index: usize) -> usize {
        self.ops[index].client
    }

    fn prepare(&mut self, _: &Window<Toy>) {
        preemption_point();
    }

    fn run(&mut self, index: usize, mut view: View<'_, Toy>) -> bool {
        if index < self.packed {
            self.world.took(Path::PackedInVain);
            self.packed = 0;
        }
        let (op, id) = (self.op(index), self.ops[index]);
        let reply = execute(op, id, &mut view);
        self.world.say(self.post.me, || format!("client {} ran {op}: {reply:?}", id.client));
        self.world.responded(id, reply);
        true
    }

    fn pack(&mut self, from: usize, to: usize) -> Posted {
        preemption_point();
        self.packed = to;
        let first = self.ops[from];
        let of_one = self.ops[from..to].iter().all(|id| id.client == first.client);
        assert!(of_one, "operations of several clients were packed together");
        let ops = &self.world.plan.clients[first.client].ops[first.index..][..to - from];
        Posted::new(first, ops, self.world.router())
    }
}

/// The real gathering, or one with a defect.
#[derive(Debug)]
struct Coordinator {
    gathering: Kind,
    ticket: Ticket,
}

#[derive(Debug)]
enum Kind {
    Real(Gathering<Toy>),
    Spoilt(SpoiltGathering),
}

impl Coordinator {
    /// For the first of `ops`, with the shards of the others.
    fn new(ops: &[Op], id: OpId, world: &World) -> Self {
        let gathering = match world.defect {
            Some(defect) if defect.spoils_coordinator_of(id.client) => {
                Kind::Spoilt(SpoiltGathering::new(&ops[0], world))
            }
            _ => {
                let shards = ops.iter().flat_map(|op| op.shards(world.router())).collect();
                Kind::Real(Gathering::new(shards))
            }
        };
        Self { gathering, ticket: ticket_of(id) }
    }

    fn ticket(&self) -> Ticket {
        self.ticket
    }

    fn advance(&mut self, op: &Op, world: &World, post: &Post) -> Step {
        match &mut self.gathering {
            Kind::Real(gathering) => gathering.advance(&world.cells, post.me, self.ticket),
            Kind::Spoilt(gathering) => gathering.advance(op, self.ticket, world, post),
        }
    }

    fn accept(&mut self, held: Held<Toy>) {
        match &mut self.gathering {
            Kind::Real(gathering) => gathering.accept(held),
            Kind::Spoilt(gathering) => gathering.accept(held),
        }
    }

    fn run(&mut self, op: &Op, id: OpId, world: &World) -> Reply {
        match &mut self.gathering {
            Kind::Real(gathering) => execute(op, id, &mut gathering.view(&world.cells)),
            Kind::Spoilt(gathering) => gathering.run(op, id, world),
        }
    }

    fn hand_over(&mut self, window: &mut Window<Toy>, world: &World, post: &Post) {
        match &mut self.gathering {
            Kind::Real(gathering) => {
                world.took(Path::WindowKept);
                gathering.hand_over(window, KEPT_OPERATIONS);
            }
            Kind::Spoilt(gathering) => gathering.release(world, post),
        }
    }

    fn release(&mut self, world: &World, post: &Post) {
        match &mut self.gathering {
            Kind::Real(gathering) => gathering.release(&world.cells, post),
            Kind::Spoilt(gathering) => gathering.release(world, post),
        }
    }
}

/// Tickets name the operation, hence are never used twice.
fn ticket_of(id: OpId) -> Ticket {
    Ticket((id.client as u64) << 32 | id.index as u64)
}

/// The client whose operation a ticket names.
pub fn client_of(ticket: Ticket) -> usize {
    usize::try_from(ticket.0 >> 32).expect("a client's number")
}
