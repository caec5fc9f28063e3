use super::*;
use crate::cell::Ticket;
use crate::gathering::{Gathering, Step};
use crate::route::Routing;
use crate::testing::{ALICE, BOB, Log, Marks, Post, cells, log_of, mark};

/// Operation `index` leaves `index` as its mark on its shards.
struct Script {
    shards: Vec<u16>,
    /// The other shards of operations that have several, by index.
    others: Vec<(usize, Vec<ShardId>)>,
    /// Operations run here rather than packed.
    ran: Vec<usize>,
    /// Which shards were held when the program was prepared.
    prepared: Vec<Option<Vec<u16>>>,
    packed: Vec<(usize, usize)>,
}

impl Script {
    fn over(shards: &[u16]) -> Self {
        Self {
            shards: shards.to_vec(),
            others: vec![],
            ran: vec![],
            prepared: vec![],
            packed: vec![],
        }
    }

    /// Operation `index` has these shards besides.
    fn and(mut self, index: usize, others: &[u16]) -> Self {
        self.others.push((index, others.iter().map(|id| ShardId(*id)).collect()));
        self
    }
}

impl Program<Log> for Script {
    type Work = Marks;

    fn len(&self) -> usize {
        self.shards.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        ShardId(self.shards[index])
    }

    fn others_of(&self, index: usize) -> &[ShardId] {
        self.others.iter().find(|(of, _)| *of == index).map_or(&[], |(_, others)| others)
    }

    fn prepare(&mut self, window: &Window<Log>) {
        let mut held: Vec<u16> = self.shards.clone();
        held.retain(|&id| window.held(ShardId(id)).is_some());
        held.sort_unstable();
        held.dedup();
        self.prepared.push(Some(held));
    }

    fn run(&mut self, index: usize, mut view: View<'_, Log>) -> bool {
        let ids = [self.shard_of(index)];
        for id in ids.iter().chain(self.others_of(index)) {
            view.shard(*id).push(u32::try_from(index).expect("small"));
        }
        self.ran.push(index);
        true
    }

    fn pack(&mut self, from: usize, to: usize) -> Marks {
        self.packed.push((from, to));
        Marks((from..to).map(|index| u32::try_from(index).expect("small")).collect())
    }
}

fn assert_holds_nothing(window: &Window<Log>) {
    assert!(window.held.is_empty());
    assert!(window.position.iter().all(|&position| position == 0));
}

#[test]
fn a_program_over_free_shards_runs_to_the_end_in_order() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let (mut window, mut script) = (Window::new(4), Script::over(&[3, 0, 3, 2, 0]));
    assert_eq!(window.run(&mut script, &cells, ALICE, &carrier), Outcome::Finished);
    assert_eq!(script.ran, [0, 1, 2, 3, 4]);
    assert_eq!(script.prepared, [Some(vec![0, 2, 3])], "prepared once, over all that is free");
    assert_holds_nothing(&window);
    assert_eq!(log_of(&cells, ShardId(0)), [1, 4]);
    assert_eq!(log_of(&cells, ShardId(2)), [3]);
    assert_eq!(log_of(&cells, ShardId(3)), [0, 2]);
    assert!(carrier.is_empty());
}

#[test]
fn an_empty_program_is_finished() {
    let (cells, carrier) = (cells(1, Routing::Auto), Post::default());
    let mut script = Script::over(&[]);
    assert!(script.is_empty());
    assert_eq!(Window::new(1).run(&mut script, &cells, ALICE, &carrier), Outcome::Finished);
}

#[test]
fn an_operation_whose_shard_is_out_is_posted_and_nothing_after_it_runs() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take().unwrap();
    let (mut window, mut script) = (Window::new(4), Script::over(&[0, 1, 1, 2, 1]));
    let outcome = window.run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 3 }, "the run of equal shards is posted as one");
    assert_eq!(script.ran, [0]);
    assert_eq!(script.packed, [(1, 3)]);
    assert_eq!(script.prepared, [Some(vec![0, 2])]);
    assert_holds_nothing(&window);
    assert_eq!(log_of(&cells, ShardId(0)), [0]);
    assert_eq!(log_of(&cells, ShardId(2)), [], "it had been taken, and was given back unused");

    cells.put_back(out, &carrier);
    carrier.expect_done(ALICE, &Marks(vec![1, 2]));
    assert_eq!(log_of(&cells, ShardId(1)), [1, 2]);
}

/// A script whose operations are of several clients.
struct Shared {
    script: Script,
    origins: Vec<usize>,
}

impl Program<Log> for Shared {
    type Work = Marks;

    fn len(&self) -> usize {
        self.script.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        self.script.shard_of(index)
    }

    fn origin_of(&self, index: usize) -> usize {
        self.origins[index]
    }

    fn prepare(&mut self, window: &Window<Log>) {
        self.script.prepare(window);
    }

    fn run(&mut self, index: usize, view: View<'_, Log>) -> bool {
        self.script.run(index, view)
    }

    fn pack(&mut self, from: usize, to: usize) -> Marks {
        self.script.pack(from, to)
    }
}

#[test]
fn only_operations_of_one_client_are_posted_together() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take().unwrap();
    let script = Script::over(&[0, 1, 1, 1, 0]);
    let mut program = Shared { script, origins: vec![7, 7, 7, 8, 8] };
    let outcome = Window::new(2).run(&mut program, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 3 });
    assert_eq!(program.script.packed, [(1, 3)]);
    cells.put_back(out, &carrier);
    carrier.expect_done(ALICE, &Marks(vec![1, 2]));
}

/// Gives a shard back when operation `at` runs, or is packed.
struct Returning<'a> {
    script: Script,
    at: usize,
    out: Option<Held<Log>>,
    cells: &'a Cells<Log, Marks>,
    carrier: &'a Post,
}

impl Returning<'_> {
    fn come_back(&mut self, index: usize) {
        if index == self.at
            && let Some(out) = self.out.take()
        {
            self.cells.put_back(out, self.carrier);
        }
    }
}

impl Program<Log> for Returning<'_> {
    type Work = Marks;

    fn len(&self) -> usize {
        self.script.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        self.script.shard_of(index)
    }

    fn prepare(&mut self, window: &Window<Log>) {
        self.script.prepare(window);
    }

    fn run(&mut self, index: usize, view: View<'_, Log>) -> bool {
        let has_run = self.script.run(index, view);
        self.come_back(index);
        has_run
    }

    fn pack(&mut self, from: usize, to: usize) -> Marks {
        self.come_back(from);
        self.script.pack(from, to)
    }
}

#[test]
fn a_shard_found_out_is_tried_again_when_its_operation_is_reached() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take();
    let script = Script::over(&[0, 1, 2]);
    let mut program = Returning { script, at: 0, out, cells: &cells, carrier: &carrier };
    let outcome = Window::new(4).run(&mut program, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!(program.script.ran, [0, 1, 2]);
    assert!(program.script.packed.is_empty() && carrier.is_empty());
    assert_eq!(log_of(&cells, ShardId(1)), [1]);
}

#[test]
fn a_shard_that_returns_while_its_operations_are_packed_runs_them_once() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(1)).try_take();
    let script = Script::over(&[0, 1, 1, 0, 2]);
    let mut program = Returning { script, at: 1, out, cells: &cells, carrier: &carrier };
    let mut window = Window::new(4);
    assert_eq!(window.run(&mut program, &cells, ALICE, &carrier), Outcome::Finished);
    assert_eq!(program.script.ran, [0, 1, 2, 3, 4]);
    assert_holds_nothing(&window);
    assert_eq!(log_of(&cells, ShardId(0)), [0, 3]);
    assert_eq!(log_of(&cells, ShardId(1)), [1, 2]);
    assert_eq!(log_of(&cells, ShardId(2)), [4]);
}

#[test]
fn a_window_does_not_overtake_those_who_wait() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    assert!(cells.cell(ShardId(0)).take_or_reserve(BOB, Ticket(1)).is_none());
    cells.put_back(out, &carrier);
    let granted = carrier.expect_granted(BOB, Ticket(1));
    let mut script = Script::over(&[0, 1]);
    let outcome = Window::new(2).run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 1 });
    cells.put_back(granted, &carrier);
    carrier.expect_done(ALICE, &mark(0));
}

/// Somebody posts at shard 1 while the window holds it.
struct Visited<'a>(Script, &'a Cells<Log, Marks>);

impl Program<Log> for Visited<'_> {
    type Work = Marks;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn shard_of(&self, index: usize) -> ShardId {
        self.0.shard_of(index)
    }

    fn prepare(&mut self, _: &Window<Log>) {
        assert!(self.1.cell(ShardId(1)).take_or_post(BOB, || mark(77)).is_none());
    }

    fn run(&mut self, index: usize, view: View<'_, Log>) -> bool {
        self.0.run(index, view)
    }

    fn pack(&mut self, from: usize, to: usize) -> Marks {
        self.0.pack(from, to)
    }
}

#[test]
fn what_others_queued_meanwhile_is_run_by_the_window() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let mut program = Visited(Script::over(&[0, 1]), &cells);
    let outcome = Window::new(2).run(&mut program, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Finished);
    carrier.expect_done(BOB, &mark(77));
    assert_eq!(log_of(&cells, ShardId(1)), [1, 77]);
}

#[test]
fn queue_routing_posts_what_is_not_at_home_and_holds_nothing_meanwhile() {
    let (cells, carrier) = (cells(6, Routing::Queue), Post::default());
    // Alice is home to shards 0, 2 and 4, Bob to 1, 3 and 5.
    let (mut window, mut script) = (Window::new(6), Script::over(&[0, 2, 1, 1, 0, 4]));
    let outcome = window.run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 4 });
    assert_eq!(script.ran, [0, 1]);
    assert_eq!(script.prepared, [Some(vec![0, 2])], "what is behind the posted one is not taken");
    assert_holds_nothing(&window);
    assert_eq!(log_of(&cells, ShardId(0)), [0]);
    carrier.expect_knock(BOB, ShardId(1));
    cells.cell(ShardId(1)).answer_knock(&carrier);
    carrier.expect_done(ALICE, &Marks(vec![2, 3]));
    assert_eq!(log_of(&cells, ShardId(1)), [2, 3]);
}

#[test]
fn an_operation_over_several_free_shards_runs_among_the_others() {
    for routing in [Routing::Auto, Routing::Queue] {
        let (cells, carrier) = (cells(4, routing), Post::default());
        let (mut window, mut script) = (Window::new(4), Script::over(&[0, 1, 2]).and(1, &[2, 3]));
        let outcome = window.run(&mut script, &cells, ALICE, &carrier);
        assert_eq!(outcome, Outcome::Finished);
        assert_holds_nothing(&window);
        assert_eq!(log_of(&cells, ShardId(1)), [1]);
        assert_eq!(log_of(&cells, ShardId(2)), [1, 2]);
        assert_eq!(log_of(&cells, ShardId(3)), [1]);
    }
}

#[test]
fn an_operation_over_several_shards_of_which_one_is_out_needs_a_gathering() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(3)).try_take().unwrap();
    let mut script = Script::over(&[0, 1, 1]).and(1, &[2, 3]);
    let mut window = Window::new(4);
    let outcome = window.run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::NeedsGathering { at: 1 });
    assert_eq!(script.ran, [0]);
    assert_holds_nothing(&window);
    cells.put_back(out, &carrier);
    assert!(carrier.is_empty());
}

#[test]
fn one_over_several_shards_is_not_posted_with_those_before_it() {
    let (cells, carrier) = (cells(2, Routing::Auto), Post::default());
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    let mut script = Script::over(&[0, 0, 0]).and(1, &[1]);
    let outcome = Window::new(2).run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 1 });
    cells.put_back(out, &carrier);
    carrier.expect_done(ALICE, &mark(0));
}

/// A window that keeps shards 1 and 3.
fn keeping(cells: &Cells<Log, Marks>, operations: usize) -> Window<Log> {
    let mut gathering = Gathering::new(vec![ShardId(3), ShardId(1)]);
    assert_eq!(gathering.advance(cells, ALICE, Ticket(1)), Step::Ready);
    let mut window = Window::new(4);
    gathering.hand_over(&mut window, operations);
    window
}

#[test]
fn what_a_gathering_brought_is_kept_for_so_many_operations() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let mut window = keeping(&cells, 3);
    assert_eq!(window.run(&mut Script::over(&[1, 2]), &cells, ALICE, &carrier), Outcome::Finished);
    for kept in 1..4 {
        assert!(cells.cell(ShardId(kept)).try_take().is_none(), "kept, or taken besides");
    }
    window.run(&mut Script::over(&[3]), &cells, ALICE, &carrier);
    assert_holds_nothing(&window);
    assert_eq!(log_of(&cells, ShardId(1)), [0]);
    assert_eq!(log_of(&cells, ShardId(2)), [1]);
    assert_eq!(log_of(&cells, ShardId(3)), [0]);
}

#[test]
fn what_is_kept_is_given_back_before_anything_is_waited_for() {
    let (cells, carrier) = (cells(4, Routing::Auto), Post::default());
    let mut window = keeping(&cells, 100);
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    let outcome = window.run(&mut Script::over(&[1, 0]), &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::Posted { next: 2 });
    assert_holds_nothing(&window);
    cells.put_back(out, &carrier);
    carrier.expect_done(ALICE, &mark(1));

    let mut window = keeping(&cells, 100);
    let out = cells.cell(ShardId(0)).try_take().unwrap();
    let mut script = Script::over(&[0]).and(0, &[1]);
    let outcome = window.run(&mut script, &cells, ALICE, &carrier);
    assert_eq!(outcome, Outcome::NeedsGathering { at: 0 });
    assert_holds_nothing(&window);
    cells.put_back(out, &carrier);

    let mut window = keeping(&cells, 100);
    window.release(&cells, &carrier);
    assert_holds_nothing(&window);
}
