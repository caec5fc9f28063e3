//! Producers and consumers against a live server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::check::{Element, History, Taken, Violation};
use crate::request::Command;
use crate::{Client, ClientError, Value};

/// Size and shape of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Elements put in and taken out, at least.
    pub operations: usize,
    /// Lists at once.
    pub keys: usize,
    pub producers: usize,
    pub consumers: usize,
    /// How often in a thousand a consumer goes while it waits. Every other round nobody does, so that order
    /// can be checked.
    pub deaths_per_mille: u32,
    /// Whether elements are moved several at a time as well (BLMOVEM, which redis-server 7.0 does not have).
    pub moves_several: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            operations: 1_000_000,
            keys: 24,
            producers: 3,
            consumers: 8,
            deaths_per_mille: 30,
            moves_several: true,
        }
    }
}

/// Elements made between two checks.
const ROUND: usize = 20_000;

/// How long an element may be on its way back that a consumer did not live to get.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// What was found to be in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Elements made and taken.
    pub operations: usize,
    /// Consumers that went while they waited.
    pub deaths: usize,
}

/// Why a run ended early.
#[derive(Debug)]
pub enum Failure {
    Violation { round: usize, violation: Violation },
    Reply { command: Command, reply: Value },
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
            Self::Violation { round, violation } => write!(f, "round {round}: {violation}"),
            Self::Reply { command, reply } => write!(f, "{command:?} was answered {reply:?}"),
            Self::Client(error) => write!(f, "{error}"),
        }
    }
}

/// Runs the plan against a server, whose data is lost, and checks everything.
pub fn run(address: SocketAddr, plan: Plan) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for round in 0.. {
        if outcome.operations >= plan.operations {
            break;
        }
        let deaths_per_mille = if round % 2 == 0 { plan.deaths_per_mille } else { 0 };
        let plan = Plan { deaths_per_mille, ..plan };
        connect(address)?.call(&["FLUSHALL"])?;
        let (history, deaths) = play_round(address, plan, round)?;
        outcome.operations += history.pushed.len() + history.taken.len();
        outcome.deaths += deaths;
        history.check().map_err(|violation| Failure::Violation { round, violation })?;
    }
    Ok(outcome)
}

fn connect(address: SocketAddr) -> Result<Client, ClientError> {
    Client::connect(address).map_err(ClientError::Io)
}

/// The name of a list. Without hash tags they lie in many shards.
fn name(key: usize) -> Vec<u8> {
    format!("queue-{key}").into_bytes()
}

/// What tells a consumer that the round is over.
const STOP: &[u8] = b"stop";

fn play_round(address: SocketAddr, plan: Plan, round: usize) -> Result<(History, usize), Failure> {
    let started = Instant::now();
    let at_work = AtomicUsize::new(plan.consumers);
    let mut history = History { gives_back: plan.deaths_per_mille > 0, ..History::default() };
    let seed = plan.seed.wrapping_add(round as u64 * 1000);
    let deaths = thread::scope(|scope| {
        let consumers: Vec<_> = (0..plan.consumers)
            .map(|index| {
                let rng = Rng::with_seed(seed + 100 + index as u64);
                let (started, at_work) = (&started, &at_work);
                scope.spawn(move || {
                    let result = Consumer::new(address, plan, rng, *started)?.work();
                    at_work.fetch_sub(1, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        let producers: Vec<_> = (0..plan.producers)
            .map(|index| {
                let rng = Rng::with_seed(seed + index as u64);
                scope.spawn(move || produce(address, plan, index, rng))
            })
            .collect();
        for producer in producers {
            history.pushed.extend(join(producer)?);
        }
        stop_all(address, plan, &at_work, &consumers)?;
        let mut deaths = 0;
        for consumer in consumers {
            let (taken, died) = join(consumer)?;
            history.taken.extend(taken);
            deaths += died;
        }
        Ok::<_, Failure>(deaths)
    })?;
    // What a consumer did not live to get may be on its way back still.
    let deadline = Instant::now() + RETURN_TIMEOUT;
    loop {
        history.left = what_is_left(address, plan)?;
        if !matches!(history.check(), Err(Violation::Lost(_)))
            || !history.gives_back
            || Instant::now() > deadline
        {
            return Ok((history, deaths));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Puts stops into the lists until every consumer has found one, or failed.
fn stop_all<T>(
    address: SocketAddr,
    plan: Plan,
    at_work: &AtomicUsize,
    consumers: &[thread::ScopedJoinHandle<'_, T>],
) -> Result<(), Failure> {
    let mut client = connect(address)?;
    while at_work.load(Ordering::Relaxed) > 0
        && !consumers.iter().all(thread::ScopedJoinHandle::is_finished)
    {
        for key in 0..plan.keys {
            client.call(&[b"RPUSH".as_slice(), &name(key), STOP])?;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn what_is_left(address: SocketAddr, plan: Plan) -> Result<Vec<Element>, Failure> {
    let mut client = connect(address)?;
    let mut left = Vec::new();
    for key in 0..plan.keys {
        for name in [name(key), moved(key)] {
            let reply = client.call(&[b"LRANGE".as_slice(), &name, b"0", b"-1"])?;
            let texts = reply.elements().unwrap_or_default().iter().filter_map(Value::text);
            left.extend(texts.filter_map(element_of));
        }
    }
    Ok(left)
}

/// Where elements of a list are moved to.
fn moved(key: usize) -> Vec<u8> {
    format!("moved-{key}").into_bytes()
}

fn text_of(element: Element) -> Vec<u8> {
    format!("{}:{}", element.producer, element.number).into_bytes()
}

fn element_of(text: &[u8]) -> Option<Element> {
    let (producer, number) = std::str::from_utf8(text).ok()?.split_once(':')?;
    Some(Element { producer: producer.parse().ok()?, number: number.parse().ok()? })
}

/// Puts elements into random lists, alone, several at once and in pipelines.
fn produce(
    address: SocketAddr,
    plan: Plan,
    producer: usize,
    mut rng: Rng,
) -> Result<Vec<(Element, usize)>, Failure> {
    let mut client = connect(address)?;
    let mut pushed = Vec::new();
    let mut number = 0;
    let count = ROUND / plan.producers;
    while number < count {
        let mut commands: Vec<Command> = Vec::new();
        let commands_count = if rng.u8(..4) == 0 { rng.usize(1..8) } else { 1 };
        for _ in 0..commands_count {
            let key = rng.usize(..plan.keys);
            let mut command = vec![b"RPUSH".to_vec(), name(key)];
            for _ in 0..if rng.u8(..4) == 0 { rng.usize(1..4) } else { 1 } {
                let element = Element { producer, number };
                command.push(text_of(element));
                pushed.push((element, key));
                number += 1;
            }
            commands.push(command);
        }
        let replies = client.pipeline(&commands)?;
        for (command, reply) in commands.into_iter().zip(replies) {
            if !matches!(reply, Value::Integer(_)) {
                return Err(Failure::Reply { command, reply });
            }
        }
        // Producers that are ahead leave nobody waiting, which is what is to be tested.
        if rng.u8(..8) == 0 {
            thread::sleep(Duration::from_micros(rng.u64(..300)));
        }
    }
    Ok(pushed)
}

/// What a reply of a consumer says.
#[derive(Default)]
struct Came {
    elements: Vec<(usize, Element)>,
    stop: bool,
}

struct Consumer {
    address: SocketAddr,
    client: Client,
    plan: Plan,
    rng: Rng,
    started: Instant,
    taken: Vec<Taken>,
    deaths: usize,
}

impl Consumer {
    fn new(
        address: SocketAddr,
        plan: Plan,
        rng: Rng,
        started: Instant,
    ) -> Result<Self, ClientError> {
        let client = connect(address)?;
        Ok(Self { address, client, plan, rng, started, taken: Vec::new(), deaths: 0 })
    }

    /// Takes elements until a stop comes.
    fn work(mut self) -> Result<(Vec<Taken>, usize), Failure> {
        loop {
            let dies = self.rng.u32(..1000) < self.plan.deaths_per_mille;
            let moves = !dies && self.rng.u8(..16) == 0;
            let command = self.command(moves);
            let asked = self.started.elapsed();
            self.client.send(&command).map_err(ClientError::Io)?;
            if dies {
                self.deaths += 1;
                if self.rng.bool() {
                    thread::sleep(Duration::from_micros(self.rng.u64(..500)));
                }
                self.client.close_sending().map_err(ClientError::Io)?;
            }
            let reply = match self.client.read_reply() {
                Ok(reply) => reply.value,
                Err(ClientError::Closed { rest }) if dies && rest.is_empty() => {
                    self.client = connect(self.address)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let came = self.started.elapsed();
            let Some(Came { elements, stop }) = meaning(&command, &reply) else {
                return Err(Failure::Reply { command, reply });
            };
            let taken = elements.into_iter();
            self.taken.extend(taken.map(|(key, element)| Taken { key, element, asked, came }));
            if stop {
                return Ok((self.taken, self.deaths));
            }
            if dies {
                self.client = connect(self.address)?;
            }
        }
    }

    /// A command that waits for some lists; mostly for ever, so that nobody may be forgotten.
    fn command(&mut self, moves: bool) -> Command {
        let mut word = |words: &[&[u8]]| words[self.rng.usize(..words.len())].to_vec();
        let timeout = word(&[b"0", b"0", b"0", b"0.002"]);
        let kind = word(&[b"BLPOP", b"BLPOP", b"BLMPOP"]);
        let first = self.rng.usize(..self.plan.keys);
        if moves {
            let how_many = if self.plan.moves_several { self.rng.usize(..3) } else { 0 };
            let name_of_command: &[u8] = if how_many == 0 { b"BLMOVE" } else { b"BLMOVEM" };
            let words: [&[u8]; 3] = [b"LEFT", b"RIGHT", &timeout];
            let mut command = vec![name_of_command.to_vec(), name(first), moved(first)];
            command.extend(words.map(<[u8]>::to_vec));
            if how_many > 0 {
                let selector: &[u8] = if how_many == 1 { b"COUNT" } else { b"EXACTLY" };
                let count = self.rng.usize(1..4).to_string();
                let words: [&[u8]; 3] = [selector, count.as_bytes(), b"BULK"];
                command.extend(words.map(<[u8]>::to_vec));
            }
            return command;
        }
        let count = self.rng.usize(1..=4);
        let keys = (0..count).map(|_| name(self.rng.usize(..self.plan.keys)));
        let keys: Vec<Vec<u8>> = keys.collect();
        if kind == b"BLPOP" {
            return [vec![kind], keys, vec![timeout]].concat();
        }
        let most = self.rng.usize(1..4).to_string().into_bytes();
        let count = count.to_string().into_bytes();
        let end = vec![b"LEFT".to_vec(), b"COUNT".to_vec(), most];
        [vec![kind, timeout, count], keys, end].concat()
    }
}

/// What a reply says; `None` if it is no reply to this command.
fn meaning(command: &Command, reply: &Value) -> Option<Came> {
    if matches!(reply, Value::NullArray | Value::NullBulk) {
        return Some(Came::default());
    }
    // What was moved lies in the other list, where it is found in the end.
    if command[0] == b"BLMOVE" {
        return Some(Came { elements: Vec::new(), stop: reply.text()? == STOP });
    }
    if command[0] == b"BLMOVEM" {
        let moved = reply.elements()?;
        let is_enough = command.get(6).is_none_or(|selector| {
            let asked_for =
                command.get(7).and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
            asked_for.is_some_and(|count: usize| {
                if selector == b"EXACTLY" { moved.len() == count } else { moved.len() <= count }
            })
        });
        let stop = moved.iter().any(|element| element.text() == Some(STOP));
        return (is_enough && !moved.is_empty()).then_some(Came { elements: Vec::new(), stop });
    }
    let [key, rest] = reply.elements()? else { return None };
    let key = std::str::from_utf8(key.text()?).ok()?.strip_prefix("queue-")?.parse().ok()?;
    let texts: Vec<&[u8]> = match rest {
        Value::Bulk(text) => vec![text],
        many => many.elements()?.iter().filter_map(Value::text).collect(),
    };
    let mut came = Came::default();
    for text in texts {
        if text == STOP {
            came.stop = true;
        } else {
            came.elements.push((key, element_of(text)?));
        }
    }
    Some(came)
}
