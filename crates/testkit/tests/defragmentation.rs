//! Values survive being moved while they are written, read and evicted, and nothing is moved with `activedefrag no`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{ServerMode, darter_binary};
use darter_testkit::{Client, Server, Value};
use std::time::{Duration, Instant};

const LIMIT_BYTES: u64 = 48 << 20;

/// Sizes of values, phase after phase; each writes about as much as there is room for.
const PHASES: [usize; 8] = [24, 700, 9000, 100, 40_000, 2000, 24, 60_000];

/// Phases with `activedefrag no`.
const PHASES_WITHOUT: usize = 2;

/// What a key takes beside its value, about.
const KEY_BYTES: usize = 60;

const CONNECTIONS: usize = 4;
const BATCH_BYTES: usize = 128 << 10;
const BATCH_COMMANDS_MAX: usize = 500;

fn field(client: &mut Client, name: &str) -> u64 {
    let Value::Bulk(info) = client.call(&["INFO"]).unwrap() else { panic!("no INFO") };
    let info = String::from_utf8(info).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

fn value(number: usize, size: usize) -> Vec<u8> {
    let pattern = format!("{number:016}");
    pattern.bytes().cycle().take(size).collect()
}

fn set(number: usize, size: usize) -> Vec<Vec<u8>> {
    vec![b"SET".to_vec(), format!("key:{number}").into_bytes(), value(number, size)]
}

/// Fills the cache once with values of `size` bytes, of keys from `number` on; which key is the next.
fn fill(clients: &mut [Client], mut number: usize, size: usize) -> usize {
    let mut room = usize::try_from(LIMIT_BYTES).unwrap();
    while room > 0 {
        for client in &mut *clients {
            let count = (BATCH_BYTES / size).clamp(1, BATCH_COMMANDS_MAX);
            let batch: Vec<_> = (number..number + count).map(|key| set(key, size)).collect();
            for reply in client.pipeline(&batch).unwrap() {
                assert_eq!(reply, Value::Simple(b"OK".to_vec()), "values of {size} bytes");
            }
            number += count;
            room = room.saturating_sub(count * (size + KEY_BYTES));
        }
    }
    number
}

fn switch(client: &mut Client, value: &str) {
    let reply = client.call(&["CONFIG", "SET", "activedefrag", value]).unwrap();
    assert_eq!(reply, Value::Simple(b"OK".to_vec()));
}

fn values_survive(workers: u16, shards: u16) {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let mode = ServerMode { workers, shards, reactor: "epoll", routing: "auto" };
    let options =
        format!("--maxmemory {LIMIT_BYTES} --maxmemory-policy allkeys-lru --activedefrag no");
    let options: Vec<_> = options.split(' ').map(str::to_owned).collect();
    let spec = mode.spec(&program).with_arguments(&options);
    let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect().unwrap()).collect();
    let mut client = server.connect().unwrap();
    let mut begun = Vec::new();
    let mut keys = 0;
    for (phase, size) in PHASES.into_iter().enumerate() {
        if phase == PHASES_WITHOUT {
            for name in ["active_defrag_hits", "active_defrag_misses", "maxmemory_correction"] {
                assert_eq!(field(&mut client, name), 0, "{name} while it is off");
            }
            switch(&mut client, "yes");
        }
        begun.push((keys, size));
        keys = fill(&mut clients, keys, size);
    }

    // What is there is what was written, wherever it was moved to.
    let mut present = 0;
    for number in (0..keys).step_by(7) {
        let at = begun.partition_point(|(first, _)| *first <= number) - 1;
        match client.call(&["GET", &format!("key:{number}")]).unwrap() {
            Value::NullBulk => {}
            found => {
                assert_eq!(found, Value::Bulk(value(number, begun[at].1)), "key:{number}");
                present += 1;
            }
        }
    }
    assert!(present > 20, "{present} of {keys} keys");
    assert!(field(&mut client, "active_defrag_hits") > 1000);
    assert!(field(&mut client, "evicted_keys") > 0);

    // Each worker hears of it in its next tick.
    switch(&mut client, "no");
    let until = Instant::now() + Duration::from_mins(1);
    for name in ["active_defrag_running", "maxmemory_correction"] {
        while field(&mut client, name) > 0 {
            assert!(Instant::now() < until, "{name} stays");
        }
    }
}

#[test]
fn values_survive_moves_of_one_worker() {
    values_survive(1, 1);
}

#[test]
fn values_survive_moves_of_two_workers() {
    values_survive(2, 8);
}
