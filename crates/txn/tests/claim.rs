//! Every interleaving of those who find a waiter ready, of its being retried, and of the end of its wait.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p darter-txn --test claim --release`
//!
//! The waiter waits for an element of either of two lists, each in a shard of its own, as BLPOP does. Asserted
//! is that no element is taken twice or lost, and that none is left while the waiter goes on waiting.

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may")]

use darter_txn::{Claim, Ending, Fruitless, Trial};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Elements of a list; its lock stands for the shard's being held.
type List = Mutex<usize>;

#[derive(Debug)]
struct World {
    lists: [List; 2],
    claim: Claim,
    answers: AtomicUsize,
}

impl World {
    fn new() -> Arc<Self> {
        let lists = [Mutex::new(0), Mutex::new(0)];
        Arc::new(Self { lists, claim: Claim::default(), answers: AtomicUsize::new(0) })
    }

    /// Writes `elements` to a list and serves who waits for it, as the holder of a shard does before giving it
    /// back. None is a write that leaves nothing: the list was deleted again.
    fn write(&self, list: usize, elements: usize) {
        let mut held = self.lists[list].lock().unwrap();
        *held += elements;
        let is_retried = self.serve(&mut [&mut held]);
        drop(held);
        if is_retried {
            self.retry();
        }
    }

    /// What the waiter's own worker does with the letter that asks it to.
    fn retry(&self) {
        let [one, other] = &self.lists;
        let (mut one, mut other) = (one.lock().unwrap(), other.lock().unwrap());
        self.claim.begin_retry();
        assert!(!self.serve(&mut [&mut one, &mut other]), "nobody else holds a shard it waits for");
    }

    /// Whether the waiter has to be retried.
    fn serve(&self, held: &mut [&mut usize]) -> bool {
        if self.claim.begin_trial() != Trial::Begun {
            return false;
        }
        match held.iter_mut().find(|elements| ***elements > 0) {
            Some(elements) => {
                **elements -= 1;
                self.answers.fetch_add(1, Ordering::Relaxed);
                self.claim.answered();
                false
            }
            None => self.claim.end_trial() == Fruitless::Retried,
        }
    }

    fn elements(&self) -> usize {
        self.lists.iter().map(|list| *list.lock().unwrap()).sum()
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }
}

type Role = fn(&World);

/// Runs one thread per role and `last` on the main one, under every schedule; then `check` looks at the result.
fn explore(roles: &'static [Role], last: Role, check: fn(&World)) {
    loom::model(move || {
        let world = World::new();
        let threads: Vec<_> = roles
            .iter()
            .map(|role| {
                let world = Arc::clone(&world);
                thread::spawn(move || role(&world))
            })
            .collect();
        last(&world);
        for thread in threads {
            thread.join().unwrap();
        }
        check(&world);
    });
}

#[test]
fn two_that_find_it_ready_answer_it_once() {
    explore(
        &[|world| world.write(0, 1)],
        |world| world.write(1, 1),
        |world| {
            assert_eq!((world.answers(), world.elements()), (1, 1));
            assert!(world.claim.is_over());
        },
    );
}

#[test]
fn what_comes_while_it_is_tried_in_vain_is_not_overlooked() {
    explore(
        &[|world| world.write(0, 0)],
        |world| world.write(1, 1),
        |world| assert_eq!((world.answers(), world.elements()), (1, 0)),
    );
}

#[test]
fn two_that_find_nothing_leave_it_waiting() {
    explore(
        &[|world| world.write(0, 0)],
        |world| world.write(1, 0),
        |world| {
            assert_eq!(world.claim.end(), Ending::Ended);
            assert_eq!(world.answers(), 0);
        },
    );
}

#[test]
fn two_and_a_third_answer_it_once() {
    explore(
        &[|world| world.write(0, 0), |world| world.write(1, 1)],
        |world| world.write(0, 1),
        |world| assert_eq!((world.answers(), world.elements()), (1, 1)),
    );
}

#[test]
fn when_its_time_is_up_it_is_answered_or_ended() {
    explore(
        &[|world| world.write(0, 0), |world| world.write(1, 1)],
        |world| match world.claim.end() {
            Ending::Ended => assert_eq!(world.claim.end(), Ending::Over),
            // It is asked again when the trial is over.
            Ending::Busy | Ending::Over => {}
        },
        |world| {
            assert_eq!(world.answers() + world.elements(), 1, "nothing is lost");
            assert_eq!(world.claim.end(), Ending::Over, "no element is left while it waits");
        },
    );
}

#[test]
fn when_its_client_goes_nothing_is_lost() {
    explore(
        &[|world| world.write(0, 0), |world| world.write(1, 1)],
        |world| {
            world.claim.abandon();
        },
        |world| {
            // What was answered to a client that is gone is given back by its worker.
            assert_eq!(world.answers() + world.elements(), 1);
            assert!(world.claim.is_over());
        },
    );
}
