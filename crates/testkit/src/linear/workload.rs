//! Clients that run commands against a live server and write down what they see.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use fastrand::Rng;

use super::check::{Violation, check};
use super::history::{Action, GROUP_KEYS, MISSING, Operation};
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
    Reply {
        command: Command,
        reply: Value,
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
            Self::Reply { command, reply } => write!(f, "{command:?} was answered {reply:?}"),
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
        let (histories, looks) = play_round(address, plan, round, started)?;
        outcome.operations += histories.iter().map(Vec::len).sum::<usize>();
        outcome.looks += looks;
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
) -> Result<(Histories, usize), Failure> {
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
        let mut failure = None;
        for player in players {
            match join(player) {
                Ok(operations) => {
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
        failure.map_or(Ok((histories, looks)), Err)
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
}

/// A command under way: its group, and what to make of its reply.
struct Sent {
    group: usize,
    command: Command,
    kind: Kind,
}

enum Kind {
    Read(Vec<usize>),
    Write(Vec<(usize, i64)>),
    Swap { key: usize, written: i64 },
    Increment { key: usize },
    Delete(Vec<usize>),
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
        Ok(Self { client, index, plan, round, rng: Rng::with_seed(seed), started, written: 0 })
    }

    fn play(mut self) -> Result<Vec<(usize, Operation)>, Failure> {
        let quota = ROUND.min(self.plan.operations) / self.plan.clients;
        let mut operations = Vec::with_capacity(quota);
        while operations.len() < quota {
            let depth = if self.index.is_multiple_of(2) {
                1
            } else {
                self.rng.usize(1..=self.plan.pipeline_max)
            };
            let batch: Vec<Sent> = (0..depth).map(|_| self.choose()).collect();
            let mut bytes = Vec::new();
            for sent in &batch {
                crate::request::encode(&sent.command, &mut bytes);
            }
            let invoked = self.now();
            self.client.send_bytes(&bytes).map_err(ClientError::Io)?;
            for sent in batch {
                let reply = self.client.read_reply()?.value;
                let returned = self.now();
                let action = sent
                    .kind
                    .finish(&reply)
                    .ok_or(Failure::Reply { command: sent.command, reply })?;
                let operation = Operation { client: self.index, invoked, returned, action };
                operations.push((sent.group, operation));
            }
        }
        Ok(operations)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn choose(&mut self) -> Sent {
        // The lower the number of a group, the more is done with it.
        let group = self.rng.usize(0..self.plan.groups).min(self.rng.usize(0..self.plan.groups));
        let key = self.rng.usize(0..GROUP_KEYS);
        let kind = match self.rng.u8(0..100) {
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
        };
        Sent { group, command: kind.command(self.round, group), kind }
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

/// Keys of a group carry no hash tag, so that they lie in different shards.
fn key_name(round: usize, group: usize, key: usize) -> Vec<u8> {
    format!("round:{round}:group:{group}:key:{key}").into_bytes()
}

impl Kind {
    fn command(&self, round: usize, group: usize) -> Command {
        let name = |key: usize| key_name(round, group, key);
        let number = |value: i64| value.to_string().into_bytes();
        match self {
            Self::Read(keys) => {
                let mut command = words(if keys.len() == 1 { "GET" } else { "MGET" });
                command.extend(keys.iter().map(|&key| name(key)));
                command
            }
            Self::Write(pairs) => {
                let mut command = words(if pairs.len() == 1 { "SET" } else { "MSET" });
                command.extend(pairs.iter().flat_map(|&(key, value)| [name(key), number(value)]));
                command
            }
            Self::Swap { key, written } => vec![b"GETSET".to_vec(), name(*key), number(*written)],
            Self::Increment { key } => vec![b"INCR".to_vec(), name(*key)],
            Self::Delete(keys) => {
                let mut command = words("DEL");
                command.extend(keys.iter().map(|&key| name(key)));
                command
            }
        }
    }

    /// What was done, seen from the reply; `None` if the reply makes no sense.
    fn finish(self, reply: &Value) -> Option<Action> {
        Some(match self {
            Self::Read(keys) => {
                let values = match reply.elements() {
                    Some(values) => values.iter().map(number_seen).collect::<Option<Vec<_>>>()?,
                    None => vec![number_seen(reply)?],
                };
                if values.len() != keys.len() {
                    return None;
                }
                Action::Read(keys.into_iter().zip(values).collect())
            }
            Self::Write(pairs) => {
                if *reply != Value::Simple(b"OK".to_vec()) {
                    return None;
                }
                Action::Write(pairs)
            }
            Self::Swap { key, written } => Action::Swap { key, seen: number_seen(reply)?, written },
            Self::Increment { key } => Action::Increment { key, became: reply.integer()? },
            Self::Delete(keys) => Action::Delete { keys, found: reply.integer()? },
        })
    }
}

fn number_seen(value: &Value) -> Option<i64> {
    if value.is_null() {
        return Some(MISSING);
    }
    std::str::from_utf8(value.text()?).ok()?.parse().ok()
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
