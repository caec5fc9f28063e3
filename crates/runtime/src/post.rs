//! Letters between workers.
//!
//! Every worker has one mailbox. [`Post`] lives on a worker and never wakes the receiver at once:
//! the driver kicks each worker that got a letter, at most once per tick, after the event batch,
//! and only when it sleeps. [`RemotePost`] may be used from any thread and kicks right away.

use crate::shared::{Letter, Shared};
use darter_base::WorkerId;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// A worker's handle to all mailboxes. Cheap to clone; stays on its worker's thread.
#[derive(Debug)]
pub struct Post<M> {
    worker: WorkerId,
    shared: Arc<Shared<M>>,
    round: Rc<Round>,
}

/// Who got letters since the last kicks.
#[derive(Debug)]
struct Round {
    receivers: RefCell<Vec<WorkerId>>,
    /// By worker: is in `receivers`.
    listed: Box<[Cell<bool>]>,
}

/// Letters in one mailbox above which a sender with a choice should stop making more. A mailbox
/// itself has no bound: what fills it is bounded by what connections may have in flight, and
/// refusing a letter would mean losing half of a command.
pub const MAILBOX_HIGH_WATER: usize = 16_384;

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        let (shared, round) = (Arc::clone(&self.shared), Rc::clone(&self.round));
        Self { worker: self.worker, shared, round }
    }
}

impl<M: Send + 'static> Post<M> {
    pub(crate) fn new(worker: WorkerId, shared: Arc<Shared<M>>) -> Self {
        let listed = shared.desks.iter().map(|_| Cell::new(false)).collect();
        let round = Rc::new(Round { receivers: RefCell::default(), listed });
        Self { worker, shared, round }
    }

    /// The worker this handle belongs to.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.shared.desks.len()
    }

    /// Puts a letter into `to`'s mailbox; it is read in that worker's next tick. To oneself: in
    /// this tick if sent from `receive`, else in the next one, which follows at once. Never blocks,
    /// never fails; letters to a worker that has stopped are dropped with it.
    pub fn send(&self, to: WorkerId, mail: M) {
        self.send_letter(to, Letter::Mail(mail));
    }

    /// Letters waiting in `to`'s mailbox, roughly. A sender that could wait should, above
    /// [`MAILBOX_HIGH_WATER`].
    pub fn waiting(&self, to: WorkerId) -> usize {
        self.shared.desks[to.index()].mailbox.count()
    }

    /// A handle for other threads.
    pub fn remote(&self) -> RemotePost<M> {
        RemotePost { shared: Arc::clone(&self.shared) }
    }

    pub(crate) fn send_letter(&self, to: WorkerId, letter: Letter<M>) {
        self.shared.desks[to.index()].mailbox.push(letter);
        if to != self.worker && !self.round.listed[to.index()].replace(true) {
            self.round.receivers.borrow_mut().push(to);
        }
    }

    /// Wakes those that got letters since the last call and sleep. This is done in each tick; for who cannot
    /// let them wait for its end.
    pub fn kick_receivers(&self) {
        let mut receivers = self.round.receivers.borrow_mut();
        for worker in receivers.drain(..) {
            self.round.listed[worker.index()].set(false);
            self.shared.desks[worker.index()].bell.ring();
        }
    }
}

/// A handle to all mailboxes for threads that are not workers. Each letter to a sleeping worker
/// wakes it.
#[derive(Debug)]
pub struct RemotePost<M> {
    pub(crate) shared: Arc<Shared<M>>,
}

impl<M> Clone for RemotePost<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Send + 'static> RemotePost<M> {
    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.shared.desks.len()
    }

    /// Puts a letter into `to`'s mailbox and wakes it if it sleeps.
    pub fn send(&self, to: WorkerId, mail: M) {
        let desk = &self.shared.desks[to.index()];
        desk.mailbox.push(Letter::Mail(mail));
        desk.bell.ring();
    }
}
