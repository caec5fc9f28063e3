//! The coordinator: taking several shards for one operation.

use crate::cell::{Carrier, Cells, Ticket, Work};
use crate::view::{Held, View};
use crate::window::Window;
use darter_base::{ShardId, WorkerId};

/// What a [`Gathering`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All shards are held: run the operation, then [`Gathering::release`].
    Ready,
    /// One shard is out and has been reserved: wait for its grant.
    Waiting,
}

/// Pauses of the processor between two looks at a seat, so that its owner is not kept from it: some tenths of a
/// microsecond.
const PAUSES_PER_LOOK: u32 = 8;

/// Shards being collected in ascending order for one operation, and held until it has run.
///
/// Holding while waiting is safe here, and only here: every waiter that holds takes in ascending
/// order, so among them the one waiting for the highest shard never waits for another one, and
/// those that take out of order (windows) never wait while holding.
///
/// Dropping one that still holds shards would lose them, hence the assertion in `drop`.
#[derive(Debug)]
pub struct Gathering<S> {
    /// Strictly ascending.
    wanted: Vec<ShardId>,
    /// The first `held.len()` of `wanted`.
    held: Vec<Held<S>>,
    /// Whether a reservation is under way. Outlives `release`: the grant still comes.
    reserved: bool,
}

impl<S> Gathering<S> {
    /// Starts a gathering of `wanted`, in any order and with repetitions; holds nothing yet.
    ///
    /// # Panics
    /// When `wanted` is empty.
    pub fn new(mut wanted: Vec<ShardId>) -> Self {
        assert!(!wanted.is_empty(), "an operation touches at least one shard");
        wanted.sort_unstable();
        wanted.dedup();
        Self { held: Vec::with_capacity(wanted.len()), wanted, reserved: false }
    }

    /// Takes what is free, up to the first shard that is out, which it reserves under `ticket`.
    ///
    /// # Panics
    /// When a reservation is under way: a second one would bring a grant that nobody expects.
    pub fn advance<W: Work<S>>(
        &mut self,
        cells: &Cells<S, W>,
        me: WorkerId,
        ticket: Ticket,
    ) -> Step {
        self.advance_patiently(cells, me, ticket, 0)
    }

    /// The same, but of a shard that is out and that nobody waits for it is seen up to `looks` times whether it is
    /// back before it is reserved. For operations that keep shards no longer than that themselves: a few
    /// microseconds, less than it takes to be granted one.
    ///
    /// # Panics
    /// As [`Gathering::advance`].
    pub fn advance_patiently<W: Work<S>>(
        &mut self,
        cells: &Cells<S, W>,
        me: WorkerId,
        ticket: Ticket,
        looks: u32,
    ) -> Step {
        assert!(!self.reserved, "one reservation at a time");
        while self.held.len() < self.wanted.len() {
            let next = self.wanted[self.held.len()];
            for _ in 0..looks {
                if !cells.cell(next).comes_back() {
                    break;
                }
                (0..PAUSES_PER_LOOK).for_each(|_| std::hint::spin_loop());
            }
            let Some(held) = cells.cell(next).take_or_reserve(me, ticket) else {
                self.reserved = true;
                return Step::Waiting;
            };
            self.held.push(held);
        }
        Step::Ready
    }

    /// Accepts the shard a grant brought; go on with [`Gathering::advance`].
    ///
    /// # Panics
    /// When it is not the shard this gathering waits for, or nothing is waited for any more: a grant
    /// that comes after [`Gathering::release`] goes straight back to its cell instead.
    pub fn accept(&mut self, held: Held<S>) {
        assert!(self.reserved, "a grant answers a reservation");
        assert_eq!(self.wanted.get(self.held.len()), Some(&held.id), "the shard waited for");
        self.reserved = false;
        self.held.push(held);
    }

    /// The view to run the operation over.
    ///
    /// # Panics
    /// When not all shards are held.
    pub fn view<W: Work<S>>(&mut self, cells: &Cells<S, W>) -> View<'_, S> {
        assert_eq!(self.held.len(), self.wanted.len(), "every shard is held");
        View::several(&mut self.held, cells.router())
    }

    /// Hands all shards over to `window`, which keeps them for the next `operations` operations.
    ///
    /// # Panics
    /// When not all shards are held.
    pub fn hand_over(&mut self, window: &mut Window<S>, operations: usize) {
        assert_eq!(self.held.len(), self.wanted.len(), "every shard is held");
        self.wanted.clear();
        window.keep(self.held.drain(..), operations);
    }

    /// Gives every held shard back, highest first, and forgets what was still wanted. May be called
    /// at any time, as when the connection vanishes. A reservation that is under way stays in its
    /// inbox: its grant must be answered by putting the shard straight back, and until then the
    /// ticket must not be used again.
    pub fn release<W: Work<S>>(&mut self, cells: &Cells<S, W>, carrier: &impl Carrier<S, W>) {
        self.wanted.clear();
        while let Some(held) = self.held.pop() {
            cells.put_back(held, carrier);
        }
    }

    /// Whether a reservation is under way, whose grant will arrive: also after
    /// [`Gathering::release`].
    pub fn is_waiting(&self) -> bool {
        self.reserved
    }
}

impl<S> Drop for Gathering<S> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.held.is_empty(), "a gathering is released before it is dropped");
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
