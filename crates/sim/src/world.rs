//! What the virtual workers share: cells, mail, and the book in which everything is written down.

use crate::coverage::{Coverage, Path};
use crate::defect::Defect;
use crate::history::History;
use crate::plan::Plan;
use crate::stage::{choose, now, preemption_point, tick};
use crate::toy::{Execution, ExecutionLog, Op, OpId, Reply, Toy, execute};
use darter_base::WorkerId;
use darter_txn::{Carrier, Cells, Held, Letter, Router, View, Work};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// A letter of this simulator.
pub type Mail = Letter<Toy, Posted>;

/// The world of one schedule.
///
/// Borrows of its `RefCell`s are short: none lasts over a preemption point.
#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    pub defect: Option<Defect>,
    pub cells: Cells<Toy, Posted>,
    pub history: RefCell<History>,
    pub log: ExecutionLog,
    pub coverage: Coverage,
    /// Set when the schedule is over: the workers leave.
    pub over: Cell<bool>,
    /// Per client, whether there is nothing more to wait for.
    pub settled: RefCell<Vec<bool>>,
    /// Per worker: the moment from which one of its connections may be found gone.
    pub vanish_at: Vec<Cell<u32>>,
    /// Letters under way, by receiver and sender.
    links: Vec<Vec<RefCell<VecDeque<Mail>>>>,
    /// Letters under way, by receiver.
    waiting: Vec<Cell<u32>>,
    /// What happened, in words; only for a schedule that is looked at.
    trace: Option<RefCell<Vec<String>>>,
}

impl World {
    /// The world of `plan` before anything has happened.
    pub fn new(plan: Plan, defect: Option<Defect>, traced: bool) -> Self {
        let log = ExecutionLog::default();
        let workers = usize::from(plan.router.worker_count());
        Self {
            defect,
            cells: Cells::new(plan.router, |id| Toy::new(id, &log)),
            history: RefCell::new(History::of(&plan)),
            log,
            coverage: Coverage::default(),
            over: Cell::new(false),
            settled: RefCell::new(vec![false; plan.clients.len()]),
            vanish_at: vec![Cell::new(u32::MAX); workers],
            links: (0..workers)
                .map(|_| (0..workers).map(|_| RefCell::default()).collect())
                .collect(),
            waiting: vec![Cell::new(0); workers],
            trace: traced.then(RefCell::default),
            plan,
        }
    }

    /// From slots to shards.
    pub fn router(&self) -> Router {
        self.plan.router
    }

    /// Writes a line into the trace, if there is one.
    pub fn say(&self, who: WorkerId, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{:5} worker {}: {}", now(), who.0, line()));
        }
    }

    /// Counts a path taken.
    pub fn took(&self, path: Path) {
        self.coverage.took(path);
    }

    /// The trace so far.
    pub fn trace(&self) -> Vec<String> {
        self.trace.as_ref().map_or_else(Vec::new, |trace| trace.borrow().clone())
    }

    /// Notes that a client sends an operation now.
    pub fn invoked(&self, id: OpId) {
        self.history.borrow_mut().record(id).invoked = Some(tick());
    }

    /// Notes that an operation runs now, outside any shard (a defect).
    pub fn note(&self, id: OpId) {
        self.log.borrow_mut().push(Execution { id, tick: tick() });
    }

    /// Notes that an operation is answered now.
    pub fn responded(&self, id: OpId, reply: Reply) {
        let response = Some((tick(), reply));
        let mut history = self.history.borrow_mut();
        let record = history.record(id);
        assert!(record.response.is_none(), "operation {id:?} is answered once");
        record.response = response;
    }

    /// Whether a letter is under way to `worker`.
    pub fn has_mail(&self, worker: WorkerId) -> bool {
        self.waiting[worker.index()].get() > 0
    }

    /// Hands a letter over for transport.
    pub fn send(&self, from: WorkerId, to: WorkerId, letter: Mail) {
        self.links[to.index()][from.index()].borrow_mut().push_back(letter);
        let waiting = &self.waiting[to.index()];
        waiting.set(waiting.get() + 1);
    }

    /// A letter for `to` arrives: from any sender, and if the plan says so out of order.
    pub fn receive(&self, to: WorkerId) -> Option<Mail> {
        let links = &self.links[to.index()];
        let senders = links.iter().filter(|link| !link.borrow().is_empty());
        let chosen = choose(|choices| {
            let count = senders.clone().count();
            (count > 0).then(|| choices.position(count))
        })?;
        let mut link = senders.clone().nth(chosen).expect("one of them").borrow_mut();
        let position = if self.plan.style.in_order {
            0
        } else {
            choose(|choices| choices.position(link.len()))
        };
        let waiting = &self.waiting[to.index()];
        waiting.set(waiting.get() - 1);
        link.remove(position)
    }
}

/// A worker's side of the mail.
#[derive(Debug)]
pub struct Post {
    pub world: Rc<World>,
    pub me: WorkerId,
}

impl Carrier<Toy, Posted> for Post {
    fn deliver(&self, to: WorkerId, letter: Mail) {
        preemption_point();
        let world = &self.world;
        match (world.defect, letter) {
            (Some(Defect::DeafPutBack), Letter::Granted { ticket, held }) => {
                world.say(self.me, || format!("(defect) {ticket:?} unheard, {:?} seated", held.id));
                world.cells.put_back(held, self);
            }
            (Some(Defect::LostKnock), Letter::Knock(_)) if choose(|c| c.one_in(4)) => {}
            (_, letter) => world.send(self.me, to, letter),
        }
        preemption_point();
    }
}

/// Operations of one client and one shard, left in an inbox.
#[derive(Debug)]
pub struct Posted {
    /// The first of them.
    pub first: OpId,
    pub ops: Vec<Op>,
    /// Of those that have run.
    pub replies: Vec<Reply>,
    router: Router,
}

impl Posted {
    /// Packs `ops`, of which `first` is the first.
    pub fn new(first: OpId, ops: &[Op], router: Router) -> Self {
        Self { first, ops: ops.to_vec(), replies: Vec::with_capacity(ops.len()), router }
    }
}

impl Work<Toy> for Posted {
    fn run(&mut self, held: &mut Held<Toy>) {
        for (op, index) in self.ops.iter().zip(self.first.index..) {
            let id = OpId { index, ..self.first };
            self.replies.push(execute(op, id, &mut View::one(held, self.router)));
        }
    }

    fn preemption_point() {
        preemption_point();
    }
}
