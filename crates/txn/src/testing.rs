//! What the tests of this crate share: a shard that writes down what was run on it, and a carrier
//! that keeps the letters for the test to look at.

use crate::{Carrier, Cells, Held, Letter, Router, Routing, Ticket, Work};
use darter_base::{ShardId, WorkerId};
use std::cell::RefCell;
use std::collections::VecDeque;

/// A worker of the test.
pub(crate) const ALICE: WorkerId = WorkerId(0);
/// Another worker of the test.
pub(crate) const BOB: WorkerId = WorkerId(1);

/// Everything that was run on a shard, in order.
pub(crate) type Log = Vec<u32>;

/// Appends its marks to the shard's log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) Vec<u32>);

impl Work<Log> for Marks {
    fn run(&mut self, held: &mut Held<Log>) {
        held.shard.extend(&self.0);
    }
}

/// Work of a single mark.
pub(crate) fn mark(mark: u32) -> Marks {
    Marks(vec![mark])
}

/// Mailboxes of all workers in one queue, in order of sending.
#[derive(Default)]
pub(crate) struct Post {
    letters: RefCell<VecDeque<(WorkerId, Letter<Log, Marks>)>>,
}

impl Carrier<Log, Marks> for Post {
    fn deliver(&self, to: WorkerId, letter: Letter<Log, Marks>) {
        self.letters.borrow_mut().push_back((to, letter));
    }
}

impl Post {
    pub(crate) fn is_empty(&self) -> bool {
        self.letters.borrow().is_empty()
    }

    /// The next letter is this work, finished.
    pub(crate) fn expect_done(&self, to: WorkerId, work: &Marks) {
        match self.letters.borrow_mut().pop_front() {
            Some((receiver, Letter::Done(done))) if receiver == to && done == *work => {}
            other => panic!("expected {work:?} done for {to:?}, got {other:?}"),
        }
    }

    /// The next letter is a grant under this ticket.
    pub(crate) fn expect_granted(&self, to: WorkerId, ticket: Ticket) -> Held<Log> {
        match self.letters.borrow_mut().pop_front() {
            Some((receiver, Letter::Granted { ticket: for_whom, held }))
                if receiver == to && for_whom == ticket =>
            {
                held
            }
            other => panic!("expected a grant of {ticket:?} for {to:?}, got {other:?}"),
        }
    }

    /// The next letter is this work with its shard.
    pub(crate) fn expect_turn(&self, to: WorkerId) -> (Marks, Held<Log>) {
        match self.letters.borrow_mut().pop_front() {
            Some((receiver, Letter::Turn { work, held })) if receiver == to => (work, held),
            other => panic!("expected a turn for {to:?}, got {other:?}"),
        }
    }

    /// The next letter is a knock at this shard's home.
    pub(crate) fn expect_knock(&self, to: WorkerId, id: ShardId) {
        match self.letters.borrow_mut().pop_front() {
            Some((receiver, Letter::Knock(shard))) if receiver == to && shard == id => {}
            other => panic!("expected a knock at {id:?} for {to:?}, got {other:?}"),
        }
    }
}

/// Cells with empty logs, two workers.
pub(crate) fn cells(shard_count: u16, routing: Routing) -> Cells<Log, Marks> {
    Cells::new(Router::new(shard_count, 2, routing), |_| Log::new())
}

/// The log of a shard that is expected to be free, with nobody waiting.
pub(crate) fn log_of(cells: &Cells<Log, Marks>, id: ShardId) -> Log {
    let held = cells.cell(id).try_take().expect("the shard is free and nobody waits for it");
    let log = held.shard.to_vec();
    let post = Post::default();
    cells.put_back(held, &post);
    assert!(post.is_empty(), "nobody waited");
    log
}
