//! A shard's seat and its inbox.
//!
//! ```text
//!             try_take                       put_back, inbox empty
//!   seated ------------> out (owned by one) ------------------------> seated
//!                         |   ^
//!                         |   | run a queued batch, answer its poster   (put_back, at most
//!                         |   +-- then look again                        DRAIN_BATCHES_MAX)
//!                         |
//!                         +--> next in the inbox is a reservation: the box travels to the
//!                              coordinator's worker in a letter and stays out
//! ```
//!
//! The mutex guards a pointer and a short queue and is held for a few instructions, never while a
//! shard is worked on; a failed `try_take` costs one uncontended lock. A one-word token in place of
//! the mutex measured the same (see `docs/decisions/0001-cells.md`).
//!
//! Two facts make lost hand-overs impossible: a box is put into the seat only under the lock that
//! saw the inbox empty, and an entry is added to the inbox only under the lock that saw the seat
//! empty (or, in queue routing, together with a knock at the home worker).

use crate::route::Router;
use crate::sync::{Mutex, MutexGuard};
use crate::view::Held;
use darter_base::{ShardId, WorkerId};
use std::collections::VecDeque;

/// Queued batches that one worker runs for others before it passes the shard on, so that its own
/// connections are not kept waiting by a popular shard. Loom explores every interleaving, hence the
/// hand-over must be within its reach.
pub const DRAIN_BATCHES_MAX: usize = if cfg!(loom) { 1 } else { 16 };

/// Work that can be left in a shard's inbox and run by whoever holds the shard.
pub trait Work<S>: Send {
    /// Runs to the end on the shard; must not wait for anything.
    fn run(&mut self, shard: &mut Held<S>);

    /// Called before each look at a seat. The simulator switches between virtual workers here;
    /// everybody else leaves it as it is, and then it is nothing.
    #[inline]
    fn preemption_point() {}
}

/// Names the waiter of a reservation to the worker that receives the grant (a connection, say).
///
/// Must not be used for another reservation before its grant has come, even if the waiter has
/// gone: the late grant would be taken for the new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What travels between workers.
#[derive(Debug)]
pub enum Letter<S, W> {
    /// Posted work has been run; it carries its own replies.
    Done(W),
    /// A reservation's turn has come: the receiver holds the shard now, and must put it back.
    Granted { ticket: Ticket, held: Held<S> },
    /// The sender ran enough of the inbox for others: the receiver holds the shard now, runs this
    /// work, which it had posted itself, and puts the shard back.
    Turn { work: W, held: Held<S> },
    /// Queue routing: something lies in the inbox of a shard the receiver is home to.
    Knock(ShardId),
}

/// How letters get from worker to worker. Delivery is reliable: a lost letter loses a shard or
/// leaves a connection waiting for ever. No order is relied on, not even between two workers.
pub trait Carrier<S, W> {
    /// Hands `letter` to the mailbox of `to`, which may be the sender itself; never blocks and never
    /// runs the letter on the spot.
    fn deliver(&self, to: WorkerId, letter: Letter<S, W>);
}

#[derive(Debug)]
enum Entry<W> {
    Batch { from: WorkerId, work: W },
    Reservation { from: WorkerId, ticket: Ticket },
}

#[derive(Debug)]
struct Seat<S, W> {
    /// `None` while somebody owns the shard.
    shard: Option<Box<S>>,
    /// Those who found the shard out, first come first served. Each connection has at most one entry
    /// in all the inboxes together, and a vanished one keeps it until it is answered; so the bound
    /// is the number of connections, if vanished ones count until then.
    ///
    /// Not empty while the shard is seated only in queue routing, and then a knock is under way.
    inbox: VecDeque<Entry<W>>,
}

/// The seat of one shard. Shared by all workers.
///
/// Aligned so that neighbours never share a cache line, nor the pair of lines that some processors
/// fetch together: before that, two workers on neighbouring cells paid 17 to 20 ns per take and
/// put-back instead of 9 (2026-11-21, `examples/cell_cost.rs`, on an otherwise idle machine).
#[derive(Debug)]
#[repr(align(128))]
pub struct Cell<S, W> {
    id: ShardId,
    seat: Mutex<Seat<S, W>>,
}

impl<S, W: Work<S>> Cell<S, W> {
    /// A cell with `shard` in its seat.
    pub fn new(id: ShardId, shard: Box<S>) -> Self {
        Self { id, seat: Mutex::new(Seat { shard: Some(shard), inbox: VecDeque::new() }) }
    }

    /// Takes the shard if it is free and nobody waits for it.
    #[inline]
    #[must_use = "a shard that is dropped is lost"]
    pub fn try_take(&self) -> Option<Held<S>> {
        let mut seat = self.lock();
        if !seat.inbox.is_empty() {
            return None;
        }
        seat.shard.take().map(|shard| Held { id: self.id, shard })
    }

    /// Whether the shard is out and nobody waits for it, so that it comes back to its seat.
    pub(crate) fn comes_back(&self) -> bool {
        let seat = self.lock();
        seat.shard.is_none() && seat.inbox.is_empty()
    }

    /// Takes the shard if it is free, otherwise queues the work that `pack` makes. The answer to
    /// queued work arrives at `from` as [`Letter::Done`] or [`Letter::Turn`]. The work may be packed
    /// and dropped again unrun, when the shard comes back meanwhile.
    #[must_use = "a shard that is dropped is lost"]
    pub fn take_or_post(&self, from: WorkerId, pack: impl FnOnce() -> W) -> Option<Held<S>> {
        if let Some(held) = self.try_take() {
            return Some(held);
        }
        // Packing copies arguments: not under the lock. The shard may have come back meanwhile.
        let work = pack();
        let mut seat = self.lock();
        if seat.inbox.is_empty()
            && let Some(shard) = seat.shard.take()
        {
            return Some(Held { id: self.id, shard });
        }
        seat.inbox.push_back(Entry::Batch { from, work });
        None
    }

    /// Takes the shard if it is free, otherwise reserves it: the grant arrives at `from` as
    /// [`Letter::Granted`] with this ticket.
    #[must_use = "a shard that is dropped is lost"]
    pub fn take_or_reserve(&self, from: WorkerId, ticket: Ticket) -> Option<Held<S>> {
        let mut seat = self.lock();
        if seat.inbox.is_empty()
            && let Some(shard) = seat.shard.take()
        {
            return Some(Held { id: self.id, shard });
        }
        seat.inbox.push_back(Entry::Reservation { from, ticket });
        None
    }

    /// Queues work for the home worker, whether or not the shard is free (queue routing).
    pub fn post(&self, from: WorkerId, work: W, home: WorkerId, carrier: &impl Carrier<S, W>) {
        let knock = {
            let mut seat = self.lock();
            // Out: its holder will look into the inbox. Not empty: an earlier poster knocked.
            let knock = seat.shard.is_some() && seat.inbox.is_empty();
            seat.inbox.push_back(Entry::Batch { from, work });
            knock
        };
        if knock {
            carrier.deliver(home, Letter::Knock(self.id));
        }
    }

    /// Answers a [`Letter::Knock`]: runs what lies in the inbox if the shard is in its seat.
    pub fn answer_knock(&self, carrier: &impl Carrier<S, W>) {
        let taken = self.lock().shard.take();
        if let Some(shard) = taken {
            self.put_back(Held { id: self.id, shard }, carrier);
        }
    }

    /// Gives the shard back: runs what was queued meanwhile, or passes the box on.
    ///
    /// # Panics
    /// When the shard belongs to another cell or this cell's seat is taken.
    pub fn put_back(&self, mut held: Held<S>, carrier: &impl Carrier<S, W>) {
        assert_eq!(held.id, self.id, "a shard returns to its own cell");
        for drained in 0.. {
            let entry = {
                let mut seat = self.lock();
                assert!(seat.shard.is_none(), "one box, one owner");
                let Some(entry) = seat.inbox.pop_front() else {
                    seat.shard = Some(held.shard);
                    return;
                };
                entry
            };
            match entry {
                Entry::Reservation { from, ticket } => {
                    carrier.deliver(from, Letter::Granted { ticket, held });
                    return;
                }
                Entry::Batch { from, work } if drained == DRAIN_BATCHES_MAX => {
                    carrier.deliver(from, Letter::Turn { work, held });
                    return;
                }
                Entry::Batch { from, mut work } => {
                    work.run(&mut held);
                    carrier.deliver(from, Letter::Done(work));
                }
            }
        }
    }

    /// Runs work that came back with its shard in a [`Letter::Turn`] and returns it finished.
    pub fn take_turn(&self, mut work: W, mut held: Held<S>, carrier: &impl Carrier<S, W>) -> W {
        work.run(&mut held);
        self.put_back(held, carrier);
        work
    }

    fn lock(&self) -> MutexGuard<'_, Seat<S, W>> {
        W::preemption_point();
        // Nothing that can panic runs under the lock but the assertions above, and after one of
        // those the process must not serve on.
        self.seat.lock().expect("a cell's lock is never poisoned")
    }
}

/// Every cell of the process, and the router to them.
#[derive(Debug)]
pub struct Cells<S, W> {
    cells: Box<[Cell<S, W>]>,
    router: Router,
}

impl<S, W: Work<S>> Cells<S, W> {
    /// Seats one shard, made by `make`, in each cell.
    pub fn new(router: Router, mut make: impl FnMut(ShardId) -> S) -> Self {
        let cells = router.shards().map(|id| Cell::new(id, Box::new(make(id)))).collect();
        Self { cells, router }
    }

    /// The cell of a shard.
    #[inline]
    pub fn cell(&self, id: ShardId) -> &Cell<S, W> {
        &self.cells[id.index()]
    }

    /// From slots to these cells.
    #[inline]
    pub fn router(&self) -> Router {
        self.router
    }

    /// Gives a shard back to its cell.
    #[inline]
    pub fn put_back(&self, held: Held<S>, carrier: &impl Carrier<S, W>) {
        self.cell(held.id).put_back(held, carrier);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
