//! Shards for a thread that is no worker.
//!
//! The thread takes them as a coordinator does, in ascending order. What is granted to it comes by mail to worker 0,
//! which passes it on.

use super::Following;
use crate::mail::ByMail;
use crate::shared::{Shared, lock};
use darter_base::{ShardId, WorkerId};
use darter_command_table::ShardView;
use darter_shard::Shard;
use darter_txn::{Gathering, Held, Step, Ticket};
use std::sync::mpsc::{Receiver, Sender, channel};

/// The worker that grants come to.
const POSTMAN: WorkerId = WorkerId(0);

/// Tickets of threads begin here: clients have smaller numbers.
const TICKETS_FROM: u64 = 1 << 63;

/// Where grants for threads are passed on to.
pub(super) type Doors = Vec<(Ticket, Sender<Held<Shard>>)>;

/// A thread's way to shards.
#[derive(Debug)]
pub(super) struct Access {
    shared: &'static Shared,
    ticket: Ticket,
    grants: Receiver<Held<Shard>>,
}

impl Access {
    /// For the thread of this turn ([`Following`]), of which there is one.
    pub(super) fn of(shared: &'static Shared, turn: u64) -> Self {
        Self::by_ticket(shared, TICKETS_FROM | turn)
    }

    /// For another thread; no other one has this ticket.
    pub(super) fn by_ticket(shared: &'static Shared, ticket: u64) -> Self {
        let ticket = Ticket(ticket);
        let (door, grants) = channel();
        lock(&shared.following.doors).push((ticket, door));
        Self { shared, ticket, grants }
    }

    /// Lets `work` work on these shards, once all of them are held. `None` if they never will be, as the process ends.
    pub(super) fn with<R>(
        &self,
        wanted: Vec<ShardId>,
        work: impl FnOnce(&mut ShardView<'_>) -> R,
    ) -> Option<R> {
        if !self.shared.following.begin_holding() {
            return None;
        }
        let cells = &self.shared.cells;
        let mut gathering = Gathering::new(wanted);
        while gathering.advance(cells, POSTMAN, self.ticket) == Step::Waiting {
            let held = self.grants.recv().expect("the door is there for as long as this is");
            gathering.accept(held);
        }
        let result = work(&mut gathering.view(cells));
        gathering.release(cells, &ByMail(self.shared));
        self.shared.following.end_holding();
        Some(result)
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let ticket = self.ticket;
        lock(&self.shared.following.doors).retain(|(other, _)| *other != ticket);
    }
}

impl Following {
    /// Passes on a shard that was granted to a thread; gives it back if it was not.
    pub fn pass_on(&self, ticket: Ticket, held: Held<Shard>) -> Result<(), Held<Shard>> {
        let doors = lock(&self.doors);
        match doors.iter().find(|(other, _)| *other == ticket) {
            Some((_, door)) => door.send(held).map_err(|refused| refused.0),
            None => Err(held),
        }
    }
}
