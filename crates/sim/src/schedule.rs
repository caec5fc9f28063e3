//! Runs one schedule from its seed to its verdict.

use crate::check::{Failure, judge};
use crate::coverage::Coverage;
use crate::defect::Defect;
use crate::plan::Plan;
use crate::random::Random;
use crate::stage::{self, Actor, Pause, choose};
use crate::toy::Values;
use crate::worker::Worker;
use crate::world::World;
use darter_base::WorkerId;
use std::rc::Rc;

/// Most workers of a plan.
const WORKERS_MAX: usize = 4;

/// Turns after which a schedule is called endless; the longest take a few thousand.
const TURNS_MAX: u32 = 200_000;

/// What came of a schedule.
#[derive(Debug)]
pub struct Report {
    /// What is wrong, if anything.
    pub failure: Option<Failure>,
    pub coverage: Coverage,
    /// How often a worker was put on the stage.
    pub turns: u32,
    /// The plan, what happened and what the clients saw, in words; empty unless asked for.
    pub story: String,
}

/// Runs schedules one after the other, on one thread.
#[derive(Debug, Default)]
pub struct Simulator {
    actors: [Actor; WORKERS_MAX],
}

impl Simulator {
    /// Runs the schedule of `seed`, with a defect if one is given, and tells its story if `told`.
    pub fn run(&mut self, seed: u64, defect: Option<Defect>, told: bool) -> Report {
        let plan = Plan::of(seed);
        let mut story = if told { plan.to_string() } else { String::new() };
        stage::begin(plan.choices, plan.style.preempt_one_in);
        let world = Rc::new(World::new(plan, defect, told));

        let turns = self.play(&world);
        let failure = if turns == TURNS_MAX { Err(Failure::Endless) } else { examine(&world) };
        if told {
            story.extend(world.trace().iter().flat_map(|line| [line, "\n"]));
            story.push_str(&world.history.borrow().to_string());
        }
        if turns < TURNS_MAX {
            self.dismiss(&world);
        }
        Report { failure: failure.err(), coverage: world.coverage.clone(), turns, story }
    }

    /// Puts workers on the stage until none has anything to do.
    fn play(&mut self, world: &Rc<World>) -> u32 {
        let workers = usize::from(world.router().worker_count());
        let actors = &mut self.actors[..workers];
        for (actor, me) in actors.iter_mut().zip(0..) {
            let worker = Worker::new(world, WorkerId(me));
            actor.cast(move || worker.work());
        }
        let mut pauses = [Pause::Preempted; WORKERS_MAX];
        let mut odds = [1; WORKERS_MAX];
        for turn in 0..TURNS_MAX {
            if choose(|choices| choices.one_in(world.plan.style.reweigh_one_in)) {
                odds = odds.map(|_| choose(|choices| choices.choose(&[1, 4, 16, 64])));
            }
            let can_run = |worker: usize| {
                let me = WorkerId(u16::try_from(worker).expect("at most WORKERS_MAX"));
                pauses[worker] == Pause::Preempted
                    || world.has_mail(me)
                    || world.vanish_at[worker].get() <= stage::now()
            };
            let Some(next) = draw(&odds[..workers], can_run) else { return turn };
            stage::tick();
            pauses[next] = actors[next].resume();
        }
        TURNS_MAX
    }

    /// Lets the workers leave the stage.
    fn dismiss(&mut self, world: &World) {
        world.over.set(true);
        stage::begin(Random::new(0), u32::MAX);
        for actor in &mut self.actors[..usize::from(world.router().worker_count())] {
            while actor.resume() != Pause::Over {}
        }
    }
}

/// One of the workers that can run, by their odds.
fn draw(odds: &[u32], can_run: impl Fn(usize) -> bool) -> Option<usize> {
    let able = || odds.iter().enumerate().filter(|(worker, _)| can_run(*worker));
    let total: u32 = able().map(|(_, odds)| odds).sum();
    if total == 0 {
        return None;
    }
    let mut lot = choose(|choices| choices.below(total));
    for (worker, &odds) in able() {
        if lot < odds {
            return Some(worker);
        }
        lot -= odds;
    }
    unreachable!("the lot is below the sum of the odds")
}

/// Judges a world that has come to rest.
fn examine(world: &World) -> Result<(), Failure> {
    let settled = world.settled.borrow();
    let clients: Vec<usize> = (0..settled.len()).filter(|&client| !settled[client]).collect();
    if !clients.is_empty() {
        return Err(Failure::Stalled { clients });
    }
    let mut rest = Values::default();
    for id in world.router().shards() {
        let held = world.cells.cell(id).try_take().filter(|held| held.shard.id == id);
        let held = held.ok_or(Failure::ShardLost { shard: id.0 })?;
        for (rest, value) in rest.iter_mut().zip(held.shard.values) {
            // Each key lives in one shard and is 0 in all others.
            *rest += value;
        }
    }
    let mut history = world.history.borrow_mut();
    history.conclude(&world.log.borrow(), rest);
    judge(&history)
}
