//! Clients that run commands against a live server and write down what they see.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use fastrand::Rng;

use super::check::{Violation, check};
use super::history::{Action, GROUP_KEYS, MISSING, Operation};
use super::kind::{Kind, key_name, number_seen};
use super::ladder::{self, RUNGS};
use crate::request::{Command, words};
use crate::{Client, ClientError, Value};

/// Size and shape of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Commands recorded and checked, at least.
    pub operations: usize,
    /// Clients at once. Every other one uses pipelines.
    pub clients: usize,
    /// Most commands in a pipeline.
    pub pipeline_max: usize,
    /// Groups of keys in use at once: the fewer, the more clients meet.
    pub groups: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { seed: 1, operations: 1_000_000, clients: 8, pipeline_max: 16, groups: 24 }
    }
}

/// Commands between two checks. New keys for each round keep histories, and memory, small.
const ROUND: usize = 50_000;

/// What a run found to be in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub operations: usize,
    /// Looks at the ladder.
    pub looks: usize,
    /// Of WATCH and EXEC.
    pub swaps: Swaps,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum Failure {
    /// A group whose history has no order.
    Disorder {
        round: usize,
        group: usize,
        violation: Box<Violation>,
    },
    /// A look at the ladder that shows no beginning of the pipeline.
    Ladder {
        fault: &'static str,
        rungs: Vec<i64>,
    },
    /// A reply no command of this kind may have.
    Replies {
        commands: Vec<Command>,
        replies: Vec<Value>,
    },
    Client(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disorder { round, group, violation } => {
                write!(f, "round {round}, group {group}: {violation}")
            }
            Self::Ladder { fault, rungs } => write!(f, "{fault}: {rungs:?}"),
            Self::Replies { commands, replies } => {
                write!(f, "{commands:?} was answered {replies:?}")
            }
            Self::Client(error) => write!(f, "{error}"),
        }
    }
}

/// Runs the plan against a server, whose data is lost, and checks everything.
pub fn run(address: SocketAddr, plan: Plan) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let started = Instant::now();
    for round in 0.. {
        if outcome.operations >= plan.operations {
            break;
        }
        connect(address)?.call(&["FLUSHALL"])?;
        let (histories, looks, swaps) = play_round(address, plan, round, started)?;
        outcome.operations += histories.iter().map(Vec::len).sum::<usize>();
        outcome.looks += looks;
        outcome.swaps.done += swaps.done;
        outcome.swaps.refused += swaps.refused;
        check_all(&histories, round)?;
    }
    Ok(outcome)
}

/// The operations on each group.
type Histories = Vec<Vec<Operation>>;

fn connect(address: SocketAddr) -> Result<Client, ClientError> {
    Client::connect(address).map_err(ClientError::Io)
}

fn play_round(
    address: SocketAddr,
    plan: Plan,
    round: usize,
    started: Instant,
) -> Result<(Histories, usize, Swaps), Failure> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let players: Vec<_> = (0..plan.clients)
            .map(|client| {
                scope.spawn(move || Player::new(address, plan, round, client, started)?.play())
            })
            .collect();
        let writer = scope.spawn(|| climb(address, round, &done));
        let viewer = scope.spawn(|| view(address, round, &done));

        let mut histories = vec![Vec::new(); plan.groups];
        let mut swaps = Swaps::default();
        let mut failure = None;
        for player in players {
            match join(player) {
                Ok((operations, own)) => {
                    swaps.done += own.done;
                    swaps.refused += own.refused;
                    for (group, operation) in operations {
                        histories[group].push(operation);
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        done.store(true, Ordering::Relaxed);
        join(writer)?;
        let looks = join(viewer)?;
        failure.map_or(Ok((histories, looks, swaps)), Err)
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn check_all(histories: &Histories, round: usize) -> Result<(), Failure> {
    // Two halves at once; memory for the search bounds how many it may be.
    let check_half = |first: usize| {
        let mut half = histories.iter().enumerate().skip(first).step_by(2);
        half.try_for_each(|(group, operations)| {
            check(operations).map_err(|violation| Failure::Disorder { round, group, violation })
        })
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| check_half(1));
        check_half(0)?;
        join(other)
    })
}

/// One client.
struct Player {
    client: Client,
    index: usize,
    plan: Plan,
    round: usize,
    rng: Rng,
    started: Instant,
    /// Values written so far by this client: each is unlike all others.
    written: i64,
    swaps: Swaps,
}

/// What became of writes that were to happen only if nothing had changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swaps {
    pub done: usize,
    /// Something had changed.
    pub refused: usize,
}

/// Commands under way: their group, and what to make of the replies.
struct Sent {
    group: usize,
    commands: Vec<Command>,
    kind: Kind,
}

impl Player {
    fn new(
        address: SocketAddr,
        plan: Plan,
        round: usize,
        index: usize,
        started: Instant,
    ) -> Result<Self, Failure> {
        let seed = plan.seed.wrapping_mul(1_000_003) ^ ((round as u64) << 16) ^ index as u64;
        let client = connect(address)?;
        Ok(Self {
            client,
            index,
            plan,
            round,
            rng: Rng::with_seed(seed),
            started,
            written: 0,
            swaps: Swaps::default(),
        })
    }

    fn play(mut self) -> Result<(Vec<(usize, Operation)>, Swaps), Failure> {
        let quota = ROUND.min(self.plan.operations) / self.plan.clients;
        let mut operations = Vec::with_capacity(quota);
        while operations.len() < quota {
            let depth = if self.index.is_multiple_of(2) {
                1
            } else {
                self.rng.usize(1..=self.plan.pipeline_max)
            };
            if depth == 1 && self.rng.u8(0..100) < 15 {
                self.compare_and_set(&mut operations)?;
                continue;
            }
            let batch: Vec<Sent> = (0..depth).map(|_| self.choose()).collect();
            let mut bytes = Vec::new();
            for command in batch.iter().flat_map(|sent| &sent.commands) {
                crate::request::encode(command, &mut bytes);
            }
            let invoked = self.now();
            self.client.send_bytes(&bytes).map_err(ClientError::Io)?;
            for sent in batch {
                let replies = sent.commands.iter().map(|_| Ok(self.client.read_reply()?.value));
                let replies = replies.collect::<Result<Vec<Value>, ClientError>>()?;
                let action = self.understand(&sent.kind, replies)?;
                operations.push((sent.group, self.operation(invoked, action)));
            }
        }
        Ok((operations, self.swaps))
    }

    /// Reads keys that are watched, and writes them unless they have changed. If EXEC answers, the keys
    /// were the same then as when they were read: reading and writing took effect as one.
    fn compare_and_set(&mut self, operations: &mut Vec<(usize, Operation)>) -> Result<(), Failure> {
        // Where clients meet most.
        let group = 0;
        let keys = if self.rng.bool() { vec![self.rng.usize(0..2)] } else { self.some_keys() };
        let mut watch = words("WATCH");
        watch.extend(keys.iter().map(|&key| key_name(self.round, group, key)));
        self.client.call(&watch)?;
        let (invoked, replies) = self.ask(group, &Kind::Read(keys.clone()))?;
        let seen = self.understand(&Kind::Read(keys.clone()), replies)?;
        operations.push((group, self.operation(invoked, seen.clone())));

        let value = self.fresh();
        let written = keys.into_iter().map(|key| (key, value)).collect();
        let write = Kind::Transaction(vec![Kind::Write(written)]);
        let (invoked, replies) = self.ask(group, &write)?;
        if replies.last().is_some_and(Value::is_null) {
            self.swaps.refused += 1;
            return Ok(());
        }
        self.swaps.done += 1;
        let written = self.understand(&write, replies)?;
        let both = Action::Transaction(vec![seen, written.parts()[0].clone()]);
        operations.push((group, self.operation(invoked, both)));
        Ok(())
    }

    /// Sends what is wanted and reads the replies; when it was sent.
    fn ask(&mut self, group: usize, kind: &Kind) -> Result<(u64, Vec<Value>), Failure> {
        let invoked = self.now();
        let replies = self.client.pipeline(&kind.commands(self.round, group))?;
        Ok((invoked, replies))
    }

    fn understand(&self, kind: &Kind, replies: Vec<Value>) -> Result<Action, Failure> {
        kind.clone()
            .finish(&replies)
            .ok_or(Failure::Replies { commands: kind.commands(self.round, 0), replies })
    }

    /// An operation that ends now.
    fn operation(&self, invoked: u64, action: Action) -> Operation {
        Operation { client: self.index, invoked, returned: self.now(), action }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn choose(&mut self) -> Sent {
        // The lower the number of a group, the more is done with it.
        let group = self.rng.usize(0..self.plan.groups).min(self.rng.usize(0..self.plan.groups));
        let kind = match self.rng.u8(0..100) {
            0..=9 => self.all_or_none(),
            10..=19 => {
                let parts = (0..self.rng.usize(1..=8)).map(|_| self.simple()).collect();
                self.as_one(parts)
            }
            _ => self.simple(),
        };
        Sent { group, commands: kind.commands(self.round, group), kind }
    }

    /// A transaction or a script over all keys of a group, one command each: all written with one value, or
    /// all read.
    fn all_or_none(&mut self) -> Kind {
        let mut keys: Vec<usize> = (0..GROUP_KEYS).collect();
        self.rng.shuffle(&mut keys);
        let parts = if self.rng.bool() {
            let value = self.fresh();
            keys.into_iter().map(|key| Kind::Write(vec![(key, value)])).collect()
        } else {
            keys.into_iter().map(|key| Kind::Read(vec![key])).collect()
        };
        self.as_one(parts)
    }

    fn as_one(&mut self, parts: Vec<Kind>) -> Kind {
        match self.rng.u8(0..4) {
            0 | 1 => Kind::Transaction(parts),
            choice => Kind::Script { parts, names_keys: choice == 2 },
        }
    }

    /// What one command does.
    fn simple(&mut self) -> Kind {
        let key = self.rng.usize(0..GROUP_KEYS);
        match self.rng.u8(0..100) {
            0..=24 => Kind::Read(vec![key]),
            25..=44 => Kind::Write(vec![(key, self.fresh())]),
            45..=59 => Kind::Increment { key },
            60..=69 => Kind::Swap { key, written: self.fresh() },
            70..=74 => Kind::Delete(vec![key]),
            75..=77 => Kind::Delete(self.some_keys()),
            78..=87 => {
                let value = self.fresh();
                Kind::Write(self.some_keys().into_iter().map(|key| (key, value)).collect())
            }
            _ => Kind::Read(self.some_keys()),
        }
    }

    /// Two keys or more, in any order.
    fn some_keys(&mut self) -> Vec<usize> {
        let mut keys: Vec<usize> = (0..GROUP_KEYS).collect();
        self.rng.shuffle(&mut keys);
        keys.truncate(self.rng.usize(2..=GROUP_KEYS));
        keys
    }

    /// A value nobody else writes, with room for increments in between.
    fn fresh(&mut self) -> i64 {
        self.written += 1;
        let client = i64::try_from(self.index).unwrap_or(0) + 1;
        (client << 48) + (self.written << 20)
    }
}

fn rung_name(round: usize, rung: usize) -> Vec<u8> {
    format!("round:{round}:rung:{rung}").into_bytes()
}

/// Writes to the ladder until told to stop: several times over in one pipeline, so that pipelines do
/// not begin and end with it.
fn climb(address: SocketAddr, round: usize, done: &AtomicBool) -> Result<(), Failure> {
    let mut client = connect(address)?;
    let mut height = 0;
    while !done.load(Ordering::Relaxed) {
        let mut commands = Vec::new();
        for _ in 0..3 {
            height += 1;
            let set =
                |rung| vec![b"SET".to_vec(), rung_name(round, rung), format!("{height}").into()];
            commands.extend((0..RUNGS).map(set));
        }
        client.pipeline(&commands)?;
    }
    Ok(())
}

/// Looks at the ladder until told to stop, and counts the looks.
fn view(address: SocketAddr, round: usize, done: &AtomicBool) -> Result<usize, Failure> {
    let mut client = connect(address)?;
    let mut snapshot = words("MGET");
    snapshot.extend((0..RUNGS).map(|rung| rung_name(round, rung)));
    let descent: Vec<Command> =
        (0..RUNGS).rev().map(|rung| vec![b"GET".to_vec(), rung_name(round, rung)]).collect();
    let number = |value: &Value| number_seen(value).filter(|&it| it != MISSING).unwrap_or(0);
    let mut looks = 0;
    while !done.load(Ordering::Relaxed) {
        let reply = client.call(&snapshot)?;
        let rungs: Vec<i64> = reply.elements().unwrap_or_default().iter().map(number).collect();
        if let Some(fault) = ladder::fault_in_snapshot(&rungs) {
            return Err(Failure::Ladder { fault, rungs });
        }
        let rungs: Vec<i64> = client.pipeline(&descent)?.iter().map(number).collect();
        if let Some(fault) = ladder::fault_in_descent(&rungs) {
            return Err(Failure::Ladder { fault, rungs });
        }
        looks += 2;
    }
    Ok(looks)
}
