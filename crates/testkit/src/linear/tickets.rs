//! Elements on their way through queues: each arrives once, and in order.
//!
//! Producers push numbered elements to lists, some to two lists in one transaction. Movers carry them on
//! to other lists, in other shards (LMOVE). Consumers pop them and draw a ticket from a counter of the
//! list, in one transaction, so that the tickets tell in which order the elements were popped. Then, for
//! each list, the tickets are 1, 2, 3 and so on, and each producer's elements come in its order; and
//! every element that was pushed is popped once.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;
use hashbrown::HashSet;

use crate::{Client, ClientError, Value};

/// Lists that elements are pushed to, and as many they are popped from.
const LANES: usize = 4;

/// Clients of each kind.
const CLIENTS: usize = 3;

/// Pops in a row from empty lists after which what has not come counts as lost.
const EMPTY_POPS_MAX: usize = 20_000;

/// An element: who pushed it, and its number in the order of that client.
pub type Element = (usize, u64);

/// What a consumer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pop {
    /// From which list.
    pub lane: usize,
    /// When, in the order of the pops from that list.
    pub ticket: u64,
    /// `None`: the list was empty.
    pub element: Option<Element>,
}

/// Why a run failed.
#[derive(Debug)]
pub enum Failure {
    /// What the consumers got is not what queues give.
    Fault(String),
    /// A reply no command of this kind may have.
    Reply(Value),
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
            Self::Fault(fault) => f.write_str(fault),
            Self::Reply(reply) => write!(f, "unexpected reply {reply:?}"),
            Self::Client(error) => write!(f, "{error}"),
        }
    }
}

/// What is wrong with what was popped, after every producer pushed `pushed` elements.
pub fn fault(producers: usize, pushed: u64, pops: &mut [Pop]) -> Option<String> {
    pops.sort_unstable_by_key(|pop| (pop.lane, pop.ticket));
    let mut seen: HashSet<Element> = HashSet::new();
    for of_lane in pops.chunk_by(|one, other| one.lane == other.lane) {
        let mut latest = vec![0; producers];
        for (expected, pop) in (1..).zip(of_lane) {
            if pop.ticket != expected {
                return Some(format!("ticket {expected} is missing or was drawn twice: {pop:?}"));
            }
            let Some((producer, number)) = pop.element else { continue };
            if !seen.insert((producer, number)) {
                return Some(format!("an element was popped twice: {pop:?}"));
            }
            if number <= latest[producer] {
                return Some(format!("{pop:?} comes behind number {} of it", latest[producer]));
            }
            latest[producer] = number;
        }
    }
    let everything = (0..producers).flat_map(|producer| (1..=pushed).map(move |it| (producer, it)));
    let mut lost = everything.filter(|element| !seen.contains(element));
    lost.next().map(|element| format!("an element was lost: {element:?}"))
}

/// Lets `operations` elements go through queues of a server, whose data is lost, and checks what comes
/// out; how many operations that were.
pub fn run(address: SocketAddr, operations: usize) -> Result<usize, Failure> {
    connect(address)?.call(&["FLUSHALL"])?;
    let pushed = (operations / CLIENTS).max(1) as u64;
    let left = &AtomicUsize::new(usize::try_from(pushed).unwrap_or(usize::MAX) * CLIENTS);
    // Whoever fails lets the others end.
    let give_up = |_: &Failure| left.store(0, Ordering::Relaxed);
    let (mut pops, moves) = thread::scope(|scope| {
        let producers: Vec<_> = (0..CLIENTS)
            .map(|it| scope.spawn(move || produce(address, it, pushed).inspect_err(give_up)))
            .collect();
        let movers: Vec<_> = (0..CLIENTS)
            .map(|it| scope.spawn(move || carry(address, it, left).inspect_err(give_up)))
            .collect();
        let consumers: Vec<_> = (0..CLIENTS)
            .map(|it| scope.spawn(move || consume(address, it, left).inspect_err(give_up)))
            .collect();
        for producer in producers {
            join(producer)?;
        }
        let mut pops = Vec::new();
        for consumer in consumers {
            pops.extend(join(consumer)?);
        }
        left.store(0, Ordering::Relaxed);
        let moves: usize = movers.into_iter().map(join).sum::<Result<_, _>>()?;
        Ok::<_, Failure>((pops, moves))
    })?;
    let total = usize::try_from(pushed).unwrap_or(usize::MAX) * CLIENTS + moves + pops.len();
    fault(CLIENTS, pushed, &mut pops).map_or(Ok(total), |fault| Err(Failure::Fault(fault)))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn connect(address: SocketAddr) -> Result<Client, ClientError> {
    Client::connect(address).map_err(ClientError::Io)
}

/// The names carry no hash tag, so that the lists lie in different shards.
fn name(what: &str, lane: usize) -> Vec<u8> {
    format!("{what}:{lane}").into_bytes()
}

fn produce(address: SocketAddr, producer: usize, count: u64) -> Result<(), Failure> {
    let mut client = connect(address)?;
    let mut rng = Rng::with_seed(producer as u64);
    let push = |lane, number: u64| {
        vec![b"RPUSH".to_vec(), name("inbox", lane), format!("{producer}:{number}").into_bytes()]
    };
    let mut number = 0;
    while number < count {
        let lane = rng.usize(0..LANES);
        if number + 2 <= count && rng.bool() {
            let other = (lane + 1) % LANES;
            let commands = [
                vec![b"MULTI".to_vec()],
                push(lane, number + 1),
                push(other, number + 2),
                vec![b"EXEC".to_vec()],
            ];
            client.pipeline(&commands)?;
            number += 2;
        } else {
            client.call(&push(lane, number + 1))?;
            number += 1;
        }
    }
    Ok(())
}

/// Carries elements on until none is left; how often.
fn carry(address: SocketAddr, index: usize, left: &AtomicUsize) -> Result<usize, Failure> {
    let mut client = connect(address)?;
    let mut moves = 0;
    for lane in (index..).map(|it| it % LANES) {
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        let (from, to) = (name("inbox", lane), name("outbox", lane));
        client.call(&[b"LMOVE", &from[..], &to, b"LEFT", b"RIGHT"])?;
        moves += 1;
    }
    Ok(moves)
}

/// Pops until nothing is left, or comes.
fn consume(address: SocketAddr, index: usize, left: &AtomicUsize) -> Result<Vec<Pop>, Failure> {
    let mut client = connect(address)?;
    let mut pops = Vec::new();
    let mut empty_pops = 0;
    for lane in (index..).map(|it| it % LANES) {
        if left.load(Ordering::Relaxed) == 0 || empty_pops == EMPTY_POPS_MAX {
            break;
        }
        let commands = [
            vec![b"MULTI".to_vec()],
            vec![b"LPOP".to_vec(), name("outbox", lane)],
            vec![b"INCR".to_vec(), name("ticket", lane)],
            vec![b"EXEC".to_vec()],
        ];
        let reply = client.pipeline(&commands)?.pop().unwrap_or(Value::Null);
        let pop = pop_of(lane, &reply).ok_or(Failure::Reply(reply))?;
        if pop.element.is_some() {
            let less = |count: usize| count.checked_sub(1);
            let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            empty_pops = 0;
        } else {
            empty_pops += 1;
        }
        pops.push(pop);
    }
    Ok(pops)
}

fn pop_of(lane: usize, reply: &Value) -> Option<Pop> {
    let [element, ticket] = reply.elements()? else { return None };
    let element = if element.is_null() {
        None
    } else {
        let text = std::str::from_utf8(element.text()?).ok()?;
        let (producer, number) = text.split_once(':')?;
        Some((producer.parse().ok()?, number.parse().ok()?))
    };
    Some(Pop { lane, ticket: u64::try_from(ticket.integer()?).ok()?, element })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pops: &[(usize, u64, Option<Element>)]) -> Option<String> {
        let pop = |&(lane, ticket, element): &(usize, u64, Option<Element>)| Pop {
            lane,
            ticket,
            element,
        };
        fault(2, 2, &mut pops.iter().map(pop).collect::<Vec<_>>())
    }

    #[test]
    fn what_goes_wrong_is_found() {
        let (a1, a2, b1, b2) = (Some((0, 1)), Some((0, 2)), Some((1, 1)), Some((1, 2)));
        let fine = [(0, 2, a2), (0, 1, a1), (1, 1, b1), (1, 2, None), (1, 3, b2)];
        assert_eq!(verdict(&fine), None);
        let mut twice = fine;
        twice[3].2 = a1;
        assert!(verdict(&twice).is_some_and(|it| it.contains("popped twice")));
        let mut lost = fine;
        lost[4].2 = None;
        assert!(verdict(&lost).is_some_and(|it| it.contains("lost: (1, 2)")));
        let mut backwards = fine;
        (backwards[0].2, backwards[1].2) = (a1, a2);
        assert!(verdict(&backwards).is_some_and(|it| it.contains("comes behind number 2")));
        let mut same_ticket = fine;
        same_ticket[3].1 = 1;
        assert!(verdict(&same_ticket).is_some_and(|it| it.contains("ticket 2 is missing")));
    }
}
