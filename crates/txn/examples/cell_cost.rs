//! What an uncontended take and put-back costs, in nanoseconds; the figures of
//! `docs/decisions/0001-cells.md`.
//!
//! `cargo run --release -p darter-txn --example cell_cost`

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::print_stdout, reason = "a measurement prints its result")]

use darter_base::{ShardId, WorkerId};
use darter_txn::{
    Carrier, Cells, Gathering, Held, Letter, Program, Router, Routing, Step, Ticket, View, Window,
    Work,
};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Some ten milliseconds, so that on a shared machine some repeats are not disturbed.
const ROUNDS: u32 = 1_000_000;
const REPEATS: u32 = 100;

/// A shard large enough not to share a cache line with its neighbour.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    operations: u64,
}

struct NoWork;

impl Work<Shard> for NoWork {
    fn run(&mut self, _: &mut Held<Shard>) {}
}

/// Nobody waits in these measurements, so nothing is ever sent.
struct NoCarrier;

impl Carrier<Shard, NoWork> for NoCarrier {
    fn deliver(&self, _: WorkerId, _: Letter<Shard, NoWork>) {
        unreachable!("nobody waits for a shard here");
    }
}

/// Sixteen operations, spread over `shard_count` shards.
struct Sixteen {
    shard_count: u16,
}

impl Program<Shard> for Sixteen {
    type Work = NoWork;

    fn len(&self) -> usize {
        16
    }

    fn shard_of(&self, index: usize) -> ShardId {
        ShardId(u16::try_from(index).expect("below 16") * 5 % self.shard_count)
    }

    fn prepare(&mut self, _: &Window<Shard>) {}

    fn run(&mut self, _: usize, mut view: View<'_, Shard>) -> bool {
        view.first().operations += 1;
        true
    }

    fn pack(&mut self, _: usize, _: usize) -> NoWork {
        NoWork
    }
}

/// Best of several runs: the machine is shared, so the least disturbed one is the cost.
fn nanos_per_round(rounds: u32, mut round: impl FnMut()) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..rounds {
                round();
            }
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let cells: Cells<Shard, NoWork> =
        Cells::new(Router::new(8, 2, Routing::Auto), |_| Shard::default());

    let cell = cells.cell(ShardId(3));
    let cost = nanos_per_round(ROUNDS, || {
        let mut held = black_box(cell).try_take().expect("nobody else takes it");
        held.shard.operations += 1;
        cell.put_back(held, &NoCarrier);
    });
    println!("take + put back, one thread                {cost:6.1} ns");

    let held = cell.try_take().expect("nobody else takes it");
    let cost = nanos_per_round(ROUNDS, || assert!(black_box(cell).try_take().is_none()));
    cell.put_back(held, &NoCarrier);
    println!("take that finds the shard out              {cost:6.1} ns");

    for shard_count in [1, 4, 8] {
        let mut window = Window::new(8);
        let mut program = Sixteen { shard_count };
        let cost = nanos_per_round(ROUNDS / 16, || {
            window.run(&mut program, &cells, WorkerId(0), &NoCarrier);
        });
        println!(
            "window of 16 operations over {shard_count} shards      {:6.1} ns per op",
            cost / 16.0
        );
    }

    let cost = nanos_per_round(ROUNDS / 16, || {
        let mut gathering = Gathering::new(vec![ShardId(5), ShardId(2)]);
        assert_eq!(gathering.advance(&cells, WorkerId(0), Ticket(0)), Step::Ready);
        gathering.view(&cells).first().operations += 1;
        gathering.release(&cells, &NoCarrier);
    });
    println!("gathering of 2 shards                      {cost:6.1} ns");

    let barrier = Barrier::new(2);
    let costs = std::thread::scope(|scope| {
        [ShardId(0), ShardId(1)]
            .map(|id| {
                let (barrier, cell) = (&barrier, cells.cell(id));
                scope.spawn(move || {
                    barrier.wait();
                    nanos_per_round(ROUNDS, || {
                        let mut held = black_box(cell).try_take().expect("each has its own");
                        held.shard.operations += 1;
                        cell.put_back(held, &NoCarrier);
                    })
                })
            })
            .map(|thread| thread.join().expect("the measuring thread does not panic"))
    });
    println!("two threads, neighbouring cells            {:6.1} ns", costs[0].max(costs[1]));
}
