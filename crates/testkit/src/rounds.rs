//! Clients that make changes of every kind in rounds until the server is gone, and what of them is there again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::SystemTime;

use crate::durable::{call, kill};
use crate::{Client, Server, Value};

/// Clients that write.
pub const WRITERS: usize = 4;
/// Kinds of changes that every client makes in turn.
const KINDS: usize = 9;
/// Keys of changes over several keys; they are in many shards.
const TOGETHER: usize = 8;

/// How often each kind of change was made.
pub type Counts = [u64; KINDS];

/// What all clients had been told of at a time.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub at: SystemTime,
    pub counts: [Counts; WRITERS],
}

/// How often a client has made each kind of change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rounds {
    /// Before the server was started.
    begun: Counts,
    /// As far as it was told.
    acknowledged: Counts,
    /// Including the one it was not told of.
    sent: Counts,
}

impl Rounds {
    /// What was there before the server was started.
    pub const fn begun(&self) -> Counts {
        self.begun
    }

    /// What the client was told of.
    pub const fn acknowledged(&self) -> Counts {
        self.acknowledged
    }
}

/// Lets clients write until `enough` has been acknowledged, kills the server, and notes what they were told.
///
/// # Panics
/// If the server answers an error.
pub fn load(server: &mut Server, rounds: &mut [Rounds; WRITERS], enough: u64, rewrites: bool) {
    load_until(server, rounds, rewrites, |told| {
        thread::yield_now();
        told.iter().flatten().sum::<u64>() >= enough
    });
}

/// The same until `is_enough`, which is asked again and again with what was acknowledged since the start.
///
/// # Panics
/// If the server answers an error.
pub fn load_until(
    server: &mut Server,
    rounds: &mut [Rounds; WRITERS],
    rewrites: bool,
    mut is_enough: impl FnMut(&[Counts; WRITERS]) -> bool,
) {
    let acknowledged: [[AtomicU64; KINDS]; WRITERS] = Default::default();
    let is_over = AtomicBool::new(false);
    let connect = || server.connect().expect("a server that answers");
    let clients: Vec<Client> = rounds.iter().map(|_| connect()).collect();
    let rewriter = rewrites.then(connect);
    thread::scope(|scope| {
        let start = |((writer, rounds), client)| {
            let acknowledged = &acknowledged[writer];
            scope.spawn(move || write(client, writer, rounds, acknowledged))
        };
        let writers: Vec<_> = rounds.iter_mut().enumerate().zip(clients).map(start).collect();
        if let Some(mut client) = rewriter {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut saves = [["BGREWRITEAOF"], ["BGSAVE"]].iter().cycle();
                while !is_over.load(Ordering::Relaxed)
                    && client.call(saves.next().expect("it goes round")).is_ok()
                {}
            });
        }
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut are_there = true;
        while are_there
            && !is_enough(&acknowledged.each_ref().map(|counts| counts.each_ref().map(count)))
        {
            are_there = !writers.iter().any(ScopedJoinHandle::is_finished);
        }
        // Otherwise the others would go on for ever.
        kill(server);
        is_over.store(true, Ordering::Relaxed);
        assert!(
            are_there,
            "a client was left alone before the server was killed: {}",
            server.log()
        );
    });
}

/// Makes changes until the server is gone.
fn write(
    mut client: Client,
    writer: usize,
    rounds: &mut Rounds,
    acknowledged: &[AtomicU64; KINDS],
) {
    // Half of the clients send all changes of a round at once.
    let at_once = writer % 2 == 1;
    loop {
        for kind in 0..KINDS {
            rounds.sent[kind] += 1;
            for request in change(writer, kind, rounds.sent[kind]) {
                if client.send(&request).is_err() {
                    return;
                }
            }
            if !at_once && !is_told(&mut client, kind, rounds, acknowledged) {
                return;
            }
        }
        for kind in 0..KINDS {
            if at_once && !is_told(&mut client, kind, rounds, acknowledged) {
                return;
            }
        }
    }
}

/// Reads what the server says to a change; `false` when it says nothing any more.
fn is_told(
    client: &mut Client,
    kind: usize,
    rounds: &mut Rounds,
    acknowledged: &[AtomicU64; KINDS],
) -> bool {
    let replies = if kind == 6 { TOGETHER + 2 } else { 1 };
    for _ in 0..replies {
        match client.read_reply() {
            Ok(reply) => {
                let value = &reply.value;
                assert!(!matches!(value, Value::Error(_)), "kind {kind}: {value:?}");
            }
            Err(_) => return false,
        }
    }
    rounds.acknowledged[kind] += 1;
    acknowledged[kind].fetch_add(1, Ordering::Relaxed);
    true
}

/// The requests of one change, the `round`-th of its kind.
fn change(writer: usize, kind: usize, round: u64) -> Vec<Vec<String>> {
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pairs = |name: &str| {
        let pair = |index| format!("{writer}:{name}{index} {round}");
        (0..TOGETHER).map(pair).collect::<Vec<_>>().join(" ")
    };
    match kind {
        0 => vec![words(format!("SET {writer}:text {round}"))],
        1 => vec![words(format!("INCR {writer}:count"))],
        2 => vec![words(format!("RPUSH {writer}:list {round}"))],
        3 => vec![words(format!("ZADD {writer}:zset {round} {round}"))],
        4 => vec![words(format!("HSET {writer}:hash field {round}"))],
        5 => vec![words(format!("XADD {writer}:stream * round {round}"))],
        6 => {
            let sets = (0..TOGETHER).map(|index| format!("SET {writer}:multi{index} {round}"));
            let lines = ["MULTI".to_owned()].into_iter().chain(sets).chain(["EXEC".to_owned()]);
            lines.map(words).collect()
        }
        7 => vec![words(format!("MSET {}", pairs("mset")))],
        _ => {
            let script = "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end";
            let keys = (0..TOGETHER).map(|index| format!("{writer}:script{index}"));
            let head = ["EVAL".to_owned(), script.to_owned(), TOGETHER.to_string()];
            vec![head.into_iter().chain(keys).chain([round.to_string()]).collect()]
        }
    }
}

/// Compares what is there with what a client has done, of which it is `least` at least, and goes on from what is there.
///
/// # Panics
/// If something is lost or torn.
pub fn check(
    client: &mut Client,
    writer: usize,
    rounds: &mut Rounds,
    least: Counts,
    context: &str,
) {
    let number = |value: Value| match value {
        Value::Integer(number) => u64::try_from(number).expect("a count"),
        Value::Bulk(text) => String::from_utf8(text).expect("digits").parse().expect("a number"),
        Value::NullBulk => 0,
        other => panic!("{context}: {other:?}"),
    };
    let mut found = [0; KINDS];
    let single = ["GET :text", "GET :count", "LLEN :list", "ZCARD :zset", "HGET :hash field"];
    let single = single.into_iter().chain(["XLEN :stream"]);
    for (kind, line) in single.enumerate() {
        found[kind] = number(call(client, &line.replace(':', &format!("{writer}:"))));
    }
    for (kind, name) in [(6, "multi"), (7, "mset"), (8, "script")] {
        let mut values = (0..TOGETHER)
            .map(|index| number(call(client, &format!("GET {writer}:{name}{index}"))))
            .collect::<Vec<_>>();
        values.dedup();
        assert_eq!(values.len(), 1, "{context}: {name} of writer {writer} is torn: {values:?}");
        found[kind] = values[0];
    }
    let context = format!("{context}, writer {writer}: {found:?} of {rounds:?}");
    for ((kind, found), least) in found.iter().enumerate().zip(least) {
        assert!((least..=rounds.sent[kind]).contains(found), "kind {kind}, {context}");
    }
    // One change of each kind after the other: so are those that are left.
    let mut left = found;
    left.iter_mut().zip(rounds.begun).for_each(|(left, begun)| *left -= begun);
    assert!(left.is_sorted_by(|before, after| before >= after), "{context}");
    assert!(left[0] - left[KINDS - 1] <= 1, "{context}");
    *rounds = Rounds { begun: found, acknowledged: found, sent: found };
}
