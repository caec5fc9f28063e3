//! Coroutines for the virtual workers, and the points at which one may be interrupted.
//!
//! A worker runs until it yields; the scheduler then resumes another. Real code reaches
//! [`preemption_point`] through a static function ([`darter_txn::Work::preemption_point`]), so the
//! choices of the running schedule live in a thread-local.

use crate::random::Random;
use generator::{Generator, Gn};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Why a worker gave the stage away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It was interrupted and wants to go on.
    Preempted,
    /// It has nothing to do until a letter or an event arrives.
    Idle,
    /// Its part is over.
    Over,
}

thread_local! {
    static CHOICES: Cell<Random> = const { Cell::new(Random::new(0)) };
    static PREEMPT_ONE_IN: Cell<u32> = const { Cell::new(1) };
    static TICK: Cell<u32> = const { Cell::new(0) };
}

/// Begins a schedule: its choices, and how rarely a worker is interrupted.
pub fn begin(choices: Random, preempt_one_in: u32) {
    CHOICES.set(choices);
    PREEMPT_ONE_IN.set(preempt_one_in);
    TICK.set(0);
}

/// Lets the schedule choose.
pub fn choose<T>(with: impl FnOnce(&mut Random) -> T) -> T {
    let mut choices = CHOICES.get();
    let chosen = with(&mut choices);
    CHOICES.set(choices);
    chosen
}

/// The next moment of the schedule. Moments are unique, so events are totally ordered.
pub fn tick() -> u32 {
    let now = TICK.get() + 1;
    TICK.set(now);
    now
}

/// The latest moment.
pub fn now() -> u32 {
    TICK.get()
}

/// Possibly switches to another worker. Must not be called while a `RefCell` is borrowed.
pub fn preemption_point() {
    if choose(|choices| choices.one_in(PREEMPT_ONE_IN.get())) && generator::is_generator() {
        leave(Pause::Preempted);
    }
}

/// Leaves the stage until there is something to do.
pub fn idle() {
    leave(Pause::Idle);
}

#[expect(
    deprecated,
    reason = "a static function has no scope to yield through; loom does the same"
)]
fn leave(pause: Pause) {
    generator::yield_with(pause);
}

type Role = Box<dyn FnOnce()>;

thread_local! {
    /// The role that the actor resumed next takes up: a coroutine's own captures would have to be
    /// `Send`, and roles are not.
    static ROLE: RefCell<Option<Role>> = const { RefCell::new(None) };
}

/// In words of 8 bytes; reserved, not touched, so generous.
const STACK_WORDS: usize = 32 * 1024;

/// One coroutine, which plays a role per schedule. Making one costs more than a whole schedule.
pub struct Actor {
    coroutine: Generator<'static, (), Pause>,
    /// Given, not yet taken up.
    role: Option<Role>,
}

impl Default for Actor {
    fn default() -> Self {
        let coroutine = Gn::new_opt(STACK_WORDS, || {
            while let Some(play) = ROLE.take() {
                play();
                leave(Pause::Over);
            }
            Pause::Over
        });
        Self { coroutine, role: None }
    }
}

impl Actor {
    /// Gives the role to play from the next [`Actor::resume`] on; the last one must be over.
    pub fn cast(&mut self, role: impl FnOnce() + 'static) {
        self.role = Some(Box::new(role));
    }

    /// Runs until the next pause.
    pub fn resume(&mut self) -> Pause {
        if let Some(role) = self.role.take() {
            ROLE.set(Some(role));
        }
        self.coroutine.resume().expect("the coroutine ends with its actor")
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Actor").finish_non_exhaustive()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Dropped in the middle, a coroutine is unwound: only for a thread that panics anyway.
        if !std::thread::panicking() {
            assert_eq!(self.resume(), Pause::Over, "no role is left half played");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn actors_interleave_at_each_point_and_play_again() {
        begin(Random::new(1), 1);
        let mut actors = [Actor::default(), Actor::default()];
        for _ in 0..2 {
            let lines: Rc<RefCell<Vec<u32>>> = Rc::default();
            for (number, actor) in (0..).step_by(10).zip(&mut actors) {
                let lines = Rc::clone(&lines);
                actor.cast(move || {
                    for line in 0..3 {
                        lines.borrow_mut().push(number + line);
                        preemption_point();
                    }
                });
            }
            let mut pauses = vec![];
            while pauses.last() != Some(&Pause::Over) {
                for actor in &mut actors {
                    pauses.push(actor.resume());
                }
            }
            assert_eq!(*lines.borrow(), [0, 10, 1, 11, 2, 12]);
            assert_eq!(pauses[..6], [Pause::Preempted; 6]);
            assert_eq!(pauses[6..], [Pause::Over; 2]);
        }
    }

    #[test]
    fn outside_a_coroutine_nothing_is_interrupted() {
        begin(Random::new(1), 1);
        preemption_point();
        let earlier = tick();
        assert_eq!(tick(), earlier + 1);
        assert_eq!(now(), earlier + 1);
    }
}
