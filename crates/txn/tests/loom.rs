//! Every interleaving of two workers at one or two cells, and those of three workers with a bounded
//! number of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p darter-txn --test loom --release`
//!
//! What each model asserts: every operation has run exactly once, in the order in which its worker
//! gave it away; every box is back in its seat with nobody waiting; and nobody waits for ever, for
//! loom reports a deadlock when all threads wait for their mail. A drain is one batch here
//! (`DRAIN_BATCHES_MAX`), so the hand-over of a long inbox is among what is explored.

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may")]

use darter_base::{ShardId, WorkerId};
use darter_txn::{
    Carrier, Cells, Gathering, Held, Letter, Outcome, Program, Router, Routing, Step, Ticket, View,
    Window, Work,
};
use loom::sync::Arc;
use loom::sync::mpsc::{Receiver, Sender, channel};
use loom::thread;

/// A shard: the marks of everything that was run on it, in order.
type Tape = Vec<u8>;

#[derive(Debug)]
struct Marks(Vec<u8>);

impl Work<Tape> for Marks {
    fn run(&mut self, held: &mut Held<Tape>) {
        held.shard.extend(&self.0);
    }
}

enum Mail {
    Letter(Letter<Tape, Marks>),
    /// From a worker that needs the receiver, as home, no longer.
    Finished,
}

type Shared = Arc<Cells<Tape, Marks>>;

struct Post(Vec<Sender<Mail>>);

impl Carrier<Tape, Marks> for Post {
    fn deliver(&self, to: WorkerId, letter: Letter<Tape, Marks>) {
        assert!(self.0[to.index()].send(Mail::Letter(letter)).is_ok(), "nobody waits for the mail");
    }
}

/// One thread.
struct Worker {
    me: WorkerId,
    mail: Receiver<Mail>,
    post: Post,
    cells: Shared,
    /// Own operations in somebody's inbox.
    outstanding: usize,
}

impl Worker {
    fn cell_post(&mut self, shard: u16, mark: u8) {
        let work = Marks(vec![mark]);
        let router = self.cells.router();
        let id = ShardId(shard);
        self.cells.cell(id).post(self.me, work, router.home_of(id), &self.post);
        self.outstanding += 1;
    }

    /// One connection with one operation.
    fn run(&mut self, shard: u16, mark: u8) {
        let cell = self.cells.cell(ShardId(shard));
        match cell.take_or_post(self.me, || Marks(vec![mark])) {
            Some(mut held) => {
                held.shard.push(mark);
                cell.put_back(held, &self.post);
            }
            None => self.outstanding += 1,
        }
    }

    /// A whole coordinated operation over all shards.
    fn run_on_all(&mut self, mark: u8) {
        let mut wanted: Vec<ShardId> = self.cells.router().shards().collect();
        if mark.is_multiple_of(2) {
            // Clients name their keys in any order.
            wanted.reverse();
        }
        let mut gathering = Gathering::new(wanted);
        let ticket = Ticket(u64::from(mark));
        while gathering.advance(&self.cells, self.me, ticket) == Step::Waiting {
            gathering.accept(self.wait_for_grant(ticket));
        }
        for tape in gathering.view(&self.cells).each() {
            tape.push(mark);
        }
        gathering.release(&self.cells, &self.post);
    }

    /// A coordinated operation over all shards whose shards a window keeps for `script`.
    fn run_on_all_and_keep(&mut self, mark: u8, mut script: Script) {
        let mut gathering = Gathering::new(self.cells.router().shards().collect());
        let ticket = Ticket(u64::from(mark));
        while gathering.advance(&self.cells, self.me, ticket) == Step::Waiting {
            gathering.accept(self.wait_for_grant(ticket));
        }
        for tape in gathering.view(&self.cells).each() {
            tape.push(mark);
        }
        let mut window = Window::new(self.cells.router().shard_count());
        gathering.hand_over(&mut window, usize::MAX);
        let outcome = window.run(&mut script, &self.cells, self.me, &self.post);
        assert_eq!(outcome, Outcome::Finished, "everything is held");
        window.release(&self.cells, &self.post);
    }

    /// One operation over all shards, in a window if they are free, else by a coordinator.
    fn run_on_all_in_a_window(&mut self, mark: u8) {
        let mut window = Window::new(self.cells.router().shard_count());
        let others = self.cells.router().shards().skip(1).collect();
        let mut program = OverAll { mark, others };
        match window.run(&mut program, &self.cells, self.me, &self.post) {
            Outcome::Finished => {}
            Outcome::NeedsGathering { at: 0 } => self.run_on_all(mark),
            other => panic!("{other:?}"),
        }
    }

    /// A coordinator that gives up instead of waiting; its grant, if one comes, goes straight back.
    fn vanish_while_gathering(&mut self, mark: u8) {
        let mut gathering = Gathering::new(self.cells.router().shards().collect());
        let ticket = Ticket(u64::from(mark));
        gathering.advance(&self.cells, self.me, ticket);
        gathering.release(&self.cells, &self.post);
        if gathering.is_waiting() {
            let late = self.wait_for_grant(ticket);
            self.cells.put_back(late, &self.post);
        }
    }

    /// One connection with a pipeline of marks.
    fn run_window(&mut self, mut script: Script) {
        let mut window = Window::new(self.cells.router().shard_count());
        while let Outcome::Posted { next } =
            window.run(&mut script, &self.cells, self.me, &self.post)
        {
            script.0.drain(..next);
            self.outstanding += 1;
            self.settle();
        }
    }

    fn wait_for_grant(&mut self, expected: Ticket) -> Held<Tape> {
        loop {
            match self.receive() {
                Mail::Letter(Letter::Granted { ticket, held }) => {
                    assert_eq!(ticket, expected);
                    return held;
                }
                other => self.answer(other),
            }
        }
    }

    /// Waits until every own operation has been run.
    fn settle(&mut self) {
        while self.outstanding > 0 {
            let mail = self.receive();
            self.answer(mail);
        }
    }

    /// Answers knocks until as many other workers have finished.
    fn be_home_for(&mut self, mut others: usize) {
        while others > 0 || self.outstanding > 0 {
            match self.receive() {
                Mail::Finished => others -= 1,
                mail @ Mail::Letter(_) => self.answer(mail),
            }
        }
    }

    fn finish(&mut self, home: u16) {
        self.settle();
        assert!(self.post.0[usize::from(home)].send(Mail::Finished).is_ok());
    }

    fn receive(&self) -> Mail {
        self.mail.recv().expect("senders outlive the receiver")
    }

    fn answer(&mut self, mail: Mail) {
        match mail {
            Mail::Letter(Letter::Done(_)) => self.outstanding -= 1,
            Mail::Letter(Letter::Turn { work, held }) => {
                self.cells.cell(held.id).take_turn(work, held, &self.post);
                self.outstanding -= 1;
            }
            Mail::Letter(Letter::Knock(id)) => self.cells.cell(id).answer_knock(&self.post),
            Mail::Letter(Letter::Granted { .. }) | Mail::Finished => panic!("nobody expects this"),
        }
    }
}

/// A pipeline: mark and shard of each operation.
struct Script(Vec<(u8, u16)>);

impl Program<Tape> for Script {
    type Work = Marks;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        ShardId(self.0[index].1)
    }

    fn prepare(&mut self, _: &Window<Tape>) {}

    fn run(&mut self, index: usize, mut view: View<'_, Tape>) -> bool {
        view.first().push(self.0[index].0);
        true
    }

    fn pack(&mut self, from: usize, to: usize) -> Marks {
        Marks(self.0[from..to].iter().map(|&(mark, _)| mark).collect())
    }
}

/// One operation that leaves its mark on all shards.
struct OverAll {
    mark: u8,
    others: Vec<ShardId>,
}

impl Program<Tape> for OverAll {
    type Work = Marks;

    fn len(&self) -> usize {
        1
    }

    fn shard_of(&self, _: usize) -> ShardId {
        ShardId(0)
    }

    fn others_of(&self, _: usize) -> &[ShardId] {
        &self.others
    }

    fn prepare(&mut self, _: &Window<Tape>) {}

    fn run(&mut self, _: usize, mut view: View<'_, Tape>) -> bool {
        for tape in view.each() {
            tape.push(self.mark);
        }
        true
    }

    fn pack(&mut self, _: usize, _: usize) -> Marks {
        panic!("it is over several shards")
    }
}

/// What a worker does; returns with nothing outstanding.
type Role = fn(&mut Worker);

/// Most preemptions per schedule of three workers; two are explored without a bound.
const PREEMPTIONS_MAX: usize = 5;

/// Runs one worker per role, the last on the main thread, under every schedule; then `check` looks
/// at the tapes.
fn explore(routing: Routing, shard_count: u16, roles: &'static [Role], check: fn(&[Tape])) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = (roles.len() > 2).then_some(PREEMPTIONS_MAX);
    builder.check(move || {
        let worker_count = u16::try_from(roles.len()).unwrap();
        let router = Router::new(shard_count, worker_count, routing);
        let cells: Shared = Arc::new(Cells::new(router, |_| Tape::new()));
        let (senders, receivers): (Vec<_>, Vec<_>) = roles.iter().map(|_| channel()).unzip();
        let mut workers: Vec<_> = receivers
            .into_iter()
            .zip(0..)
            .map(|(mail, me)| Worker {
                me: WorkerId(me),
                mail,
                post: Post(senders.clone()),
                cells: cells.clone(),
                outstanding: 0,
            })
            .collect();
        let mut last = workers.pop().unwrap();
        let threads: Vec<_> = workers
            .into_iter()
            .zip(roles)
            .map(|(mut worker, role)| {
                thread::spawn(move || {
                    role(&mut worker);
                    assert_eq!(worker.outstanding, 0);
                    worker
                })
            })
            .collect();
        roles[roles.len() - 1](&mut last);
        assert_eq!(last.outstanding, 0);
        let workers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();

        let tapes: Vec<Tape> = router
            .shards()
            .map(|id| *cells.cell(id).try_take().expect("seated, and nobody waits").shard)
            .collect();
        check(&tapes);
        drop((workers, last));
    });
}

fn sorted(tape: &Tape) -> Tape {
    let mut sorted = tape.clone();
    sorted.sort_unstable();
    sorted
}

fn assert_before(tape: &Tape, earlier: u8, later: u8) {
    let position = |mark| tape.iter().position(|&found| found == mark).unwrap();
    assert!(position(earlier) < position(later), "{earlier} before {later} in {tape:?}");
}

#[test]
fn two_workers_want_one_shard() {
    const ROLES: &[Role] = &[
        |worker| {
            worker.run(0, 1);
            worker.settle();
        },
        |worker| {
            worker.run(0, 2);
            worker.settle();
        },
    ];
    explore(Routing::Auto, 1, ROLES, |tapes| assert_eq!(sorted(&tapes[0]), [1, 2]));
}

#[test]
fn three_workers_want_one_shard() {
    const ROLES: &[Role] = &[
        |worker| {
            worker.run(0, 1);
            worker.settle();
        },
        |worker| {
            worker.run(0, 2);
            worker.settle();
        },
        |worker| {
            worker.run(0, 3);
            worker.settle();
        },
    ];
    explore(Routing::Auto, 1, ROLES, |tapes| assert_eq!(sorted(&tapes[0]), [1, 2, 3]));
}

#[test]
fn what_one_worker_posts_runs_in_that_order_across_hand_overs() {
    const ROLES: &[Role] = &[
        |worker| {
            worker.run(0, 1);
            worker.run(0, 2);
            worker.run(0, 3);
            worker.settle();
        },
        |worker| {
            worker.run(0, 11);
            worker.run(0, 12);
            worker.run(0, 13);
            worker.settle();
        },
    ];
    explore(Routing::Auto, 1, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3, 11, 12, 13]);
        for (earlier, later) in [(1, 2), (2, 3), (11, 12), (12, 13)] {
            assert_before(&tapes[0], earlier, later);
        }
    });
}

#[test]
fn reservations_meet_posted_work() {
    const ROLES: &[Role] = &[
        |worker| worker.run_on_all(1),
        |worker| worker.run_on_all(2),
        |worker| {
            worker.run(0, 3);
            worker.run(0, 4);
            worker.settle();
        },
    ];
    explore(Routing::Auto, 1, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3, 4]);
        assert_before(&tapes[0], 3, 4);
    });
}

#[test]
fn two_coordinators_over_two_shards_agree_on_an_order() {
    const ROLES: &[Role] = &[|worker| worker.run_on_all(1), |worker| worker.run_on_all(2)];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2]);
        assert_eq!(tapes[0], tapes[1], "strictly one after the other");
    });
}

#[test]
fn three_coordinators_over_two_shards_agree_on_an_order() {
    const ROLES: &[Role] = &[
        |worker| worker.run_on_all(1),
        |worker| worker.run_on_all(2),
        |worker| worker.run_on_all(3),
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3]);
        assert_eq!(tapes[0], tapes[1], "strictly one after the other");
    });
}

#[test]
fn a_coordinator_meets_a_window_that_goes_the_other_way() {
    const ROLES: &[Role] = &[
        |worker| worker.run_on_all(1),
        |worker| worker.run_window(Script(vec![(5, 1), (6, 0), (7, 1)])),
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 6]);
        assert_eq!(sorted(&tapes[1]), [1, 5, 7]);
        assert_before(&tapes[1], 5, 7);
        // If the coordinator saw the second operation, it saw the first.
        if tapes[0] == [6, 1] {
            assert_before(&tapes[1], 5, 1);
        }
        // And if it came before the first, then before all of them.
        if tapes[1][0] == 1 {
            assert_eq!(tapes[0], [1, 6]);
        }
    });
}

#[test]
fn operations_over_several_shards_in_windows_agree_on_an_order() {
    const ROLES: &[Role] = &[
        |worker| worker.run_on_all_in_a_window(1),
        |worker| worker.run_on_all_in_a_window(2),
        |worker| worker.run_window(Script(vec![(5, 1), (6, 0)])),
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        let coordinated =
            |tape: &Tape| -> Tape { tape.iter().copied().filter(|mark| *mark < 3).collect() };
        assert_eq!(sorted(&tapes[0]), [1, 2, 6]);
        assert_eq!(sorted(&tapes[1]), [1, 2, 5]);
        assert_eq!(coordinated(&tapes[0]), coordinated(&tapes[1]), "one after the other");
        for mark in [1, 2] {
            let before = |tape: &Tape, single| {
                tape.iter().position(|it| *it == mark) > tape.iter().position(|it| *it == single)
            };
            // Whoever saw the second operation of the pipeline saw the first.
            assert!(!before(&tapes[0], 6) || before(&tapes[1], 5));
        }
    });
}

#[test]
fn a_window_that_keeps_its_shards_meets_others() {
    const ROLES: &[Role] = &[
        |worker| worker.run_on_all_and_keep(1, Script(vec![(3, 1), (4, 0)])),
        |worker| worker.run_on_all_in_a_window(2),
        |worker| worker.run_window(Script(vec![(5, 1)])),
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 4]);
        assert_eq!(sorted(&tapes[1]), [1, 2, 3, 5]);
        // Nobody gets in between what the keeping window does on a shard.
        assert!(tapes[0].windows(2).any(|pair| pair == [1, 4]));
        assert!(tapes[1].windows(2).any(|pair| pair == [1, 3]));
    });
}

#[test]
fn two_windows_that_go_opposite_ways() {
    const ROLES: &[Role] = &[
        |worker| worker.run_window(Script(vec![(1, 0), (2, 1)])),
        |worker| worker.run_window(Script(vec![(11, 1), (12, 0)])),
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 12]);
        assert_eq!(sorted(&tapes[1]), [2, 11]);
        assert!(
            !(tapes[0] == [12, 1] && tapes[1] == [2, 11]),
            "each second operation before the other's first: a cycle"
        );
    });
}

#[test]
fn a_coordinator_that_vanishes_stops_nobody() {
    const ROLES: &[Role] = &[
        |worker| worker.vanish_while_gathering(1),
        |worker| worker.run_on_all(2),
        |worker| {
            worker.run(1, 3);
            worker.settle();
        },
    ];
    explore(Routing::Auto, 2, ROLES, |tapes| {
        assert_eq!(tapes[0], [2]);
        assert_eq!(sorted(&tapes[1]), [2, 3]);
    });
}

#[test]
fn two_workers_post_at_a_third_ones_shard() {
    const ROLES: &[Role] = &[
        |home| home.be_home_for(2),
        |worker| {
            worker.cell_post(0, 1);
            worker.cell_post(0, 2);
            worker.finish(0);
        },
        |worker| {
            worker.cell_post(0, 3);
            worker.finish(0);
        },
    ];
    explore(Routing::Queue, 1, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3]);
        assert_before(&tapes[0], 1, 2);
    });
}

#[test]
fn home_uses_its_shard_while_others_post_and_knock() {
    const ROLES: &[Role] = &[
        |home| {
            home.run(0, 1);
            home.run(0, 2);
            home.be_home_for(1);
        },
        |worker| {
            worker.cell_post(0, 3);
            worker.cell_post(0, 4);
            worker.finish(0);
        },
    ];
    explore(Routing::Queue, 1, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3, 4]);
        assert_before(&tapes[0], 1, 2);
        assert_before(&tapes[0], 3, 4);
    });
}

#[test]
fn a_coordinator_meets_posted_work_and_a_knock() {
    const ROLES: &[Role] = &[
        |home| {
            home.run(0, 1);
            home.be_home_for(2);
        },
        |worker| {
            worker.cell_post(0, 2);
            worker.finish(0);
        },
        |worker| {
            worker.run_on_all(3);
            worker.finish(0);
        },
    ];
    explore(Routing::Queue, 1, ROLES, |tapes| assert_eq!(sorted(&tapes[0]), [1, 2, 3]));
}

#[test]
fn nobody_overtakes_what_waits_for_a_knock() {
    const ROLES: &[Role] = &[
        |home| {
            home.cell_post(0, 1);
            home.run(0, 2);
            home.be_home_for(1);
        },
        |worker| {
            worker.cell_post(0, 3);
            worker.run_on_all(4);
            worker.finish(0);
        },
    ];
    explore(Routing::Queue, 1, ROLES, |tapes| {
        assert_eq!(sorted(&tapes[0]), [1, 2, 3, 4]);
        assert_before(&tapes[0], 1, 2);
        assert_before(&tapes[0], 3, 4);
    });
}
