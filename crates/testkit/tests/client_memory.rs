//! `maxmemory-clients`: the largest clients are closed until all together take no more, here and in redis-server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{SERVER_MODES, darter_binary, oracle_spec};
use darter_testkit::{Client, Server, ServerSpec, Value};
use std::time::{Duration, Instant};

const MB: usize = 1 << 20;

fn specs() -> Vec<ServerSpec> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let modes = [SERVER_MODES[0], SERVER_MODES[3], SERVER_MODES[6]];
    modes.iter().map(|mode| mode.spec(&program)).chain([oracle_spec()]).collect()
}

fn text(value: Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn evicted(client: &mut Client) -> usize {
    let info = text(client.call(&["INFO", "stats"]).unwrap());
    let line = info.lines().find_map(|line| line.strip_prefix("evicted_clients:"));
    line.unwrap().parse().unwrap()
}

/// The names of all clients that have one and what they take, and what all take together.
fn clients(client: &mut Client) -> (Vec<(String, usize)>, usize) {
    let list = text(client.call(&["CLIENT", "LIST"]).unwrap());
    let named: Vec<_> = list.lines().map(|line| (field(line, "name"), number(line))).collect();
    let sum = named.iter().map(|(_, bytes)| bytes).sum();
    (named.into_iter().filter(|(name, _)| !name.is_empty()).collect(), sum)
}

fn field(line: &str, name: &str) -> String {
    let prefix = format!("{name}=");
    line.split(' ').find_map(|field| field.strip_prefix(&prefix)).unwrap().to_owned()
}

fn number(line: &str) -> usize {
    field(line, "tot-mem").parse().unwrap()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_mins(2);
    while !done() {
        assert!(Instant::now() < patience, "in vain: {what}");
        // The server needs the processor more than the question does.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ok(client: &mut Client, command: &[&str]) {
    assert_eq!(client.call(command).unwrap(), Value::Simple(b"OK".to_vec()), "{command:?}");
}

/// A client that nobody closes.
fn watcher(server: &Server) -> Client {
    let mut client = server.connect().unwrap();
    // redis-server compares every key that is watched with every other one.
    client.set_reply_timeout(Duration::from_mins(2)).unwrap();
    ok(&mut client, &["CLIENT", "NO-EVICT", "ON"]);
    client
}

/// A client that has sent most of an argument of so many bytes.
fn client_of(server: &Server, name: &str, bytes: usize) -> Client {
    let mut client = server.connect().unwrap();
    ok(&mut client, &["CLIENT", "SETNAME", name]);
    client.send_bytes(format!("*2\r\n$3\r\nGET\r\n${bytes}\r\n").as_bytes()).unwrap();
    client.send_bytes(&vec![b'x'; bytes - 1]).unwrap();
    client
}

#[test]
fn the_largest_clients_are_closed_when_the_limit_sinks() {
    for spec in specs() {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut watcher = watcher(&server);
        let mut held = Vec::new();
        for index in 0..3 {
            held.push(client_of(&server, &format!("large-{index}"), MB));
            held.push(client_of(&server, &format!("small-{index}"), MB / 8));
        }
        let mut protected = server.connect().unwrap();
        ok(&mut protected, &["CLIENT", "NO-EVICT", "ON"]);
        ok(&mut protected, &["CLIENT", "SETNAME", "protected"]);
        protected.send_bytes(format!("*1\r\n${}\r\n", 2 * MB).as_bytes()).unwrap();
        protected.send_bytes(&vec![b'x'; 2 * MB - 1]).unwrap();
        wait_for("everything has arrived", || {
            let (named, _) = clients(&mut watcher);
            let least = |name: &str| match name.split('-').next() {
                Some("large") => MB,
                Some("small") => MB / 8,
                _ => 2 * MB,
            };
            named.len() == 7 && named.iter().all(|(name, bytes)| *bytes >= least(name) - 1)
        });
        let (before, sum) = clients(&mut watcher);
        assert_eq!(evicted(&mut watcher), 0, "{}", spec.name);

        // One large client too much: as a part of maxmemory.
        let limit = sum - MB / 2;
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory", &(limit * 2).to_string()]);
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory-clients", "50%"]);
        wait_for("one is closed", || evicted(&mut watcher) == 1);
        let (after, sum) = clients(&mut watcher);
        assert!(sum <= limit, "{}: {after:?}", spec.name);
        let count = |prefix: &str| after.iter().filter(|one| one.0.starts_with(prefix)).count();
        assert_eq!((count("large"), count("small"), count("protected")), (2, 3, 1), "{before:?}");

        // All that may go: what is left is above the limit.
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory-clients", &MB.to_string()]);
        wait_for("all are closed", || clients(&mut watcher).0.len() == 1);
        assert_eq!(clients(&mut watcher).0[0].0, "protected");
        wait_for("all are counted", || evicted(&mut watcher) == 6);
        wait_for("the log tells of it", || server.log().contains("Evicting client: id="));
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory-clients", "0"]);
        let mut another = client_of(&server, "another", MB);
        wait_for("it is not closed", || clients(&mut watcher).0.iter().any(|one| one.1 > MB / 2));
        another.send_bytes(b"x\r\n").unwrap();
        assert_eq!(another.read_reply().unwrap().value, Value::NullBulk);
        drop(held);
    }
}

#[test]
fn a_client_that_grows_beyond_the_limit_is_closed() {
    for spec in specs() {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut watcher = watcher(&server);
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory-clients", &(2 * MB).to_string()]);
        let mut closed = 0;
        let mut is_closed = |what: &str, watcher: &mut Client| {
            closed += 1;
            wait_for(what, || evicted(watcher) == closed);
        };

        let mut input = server.connect().unwrap();
        // It may be closed while it sends.
        let _ = input.send_bytes(format!("*1\r\n${}\r\n", 8 * MB).as_bytes());
        let _ = input.send_bytes(&vec![b'x'; 7 * MB]);
        is_closed("too much input", &mut watcher);

        let mut queuing = server.connect().unwrap();
        ok(&mut queuing, &["MULTI"]);
        let value = "v".repeat(MB);
        for _ in 0..8 {
            let _ = queuing.send(&["SET", "k", &value]);
        }
        is_closed("too many commands queued", &mut watcher);

        let mut watching = server.connect().unwrap();
        for from in (0..80_000).step_by(10_000) {
            let keys = (from..from + 10_000).map(|key| format!("key:{key}"));
            let command: Vec<String> = std::iter::once("WATCH".to_owned()).chain(keys).collect();
            let _ = watching.send(&command);
        }
        is_closed("too many keys watched", &mut watcher);

        let mut modest = server.connect().unwrap();
        assert_eq!(modest.call(&["PING"]).unwrap(), Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn a_client_is_closed_for_a_command_that_is_too_much_before_it_runs() {
    // Where there are several workers, what the others' clients take is not asked for before it runs.
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    for spec in [SERVER_MODES[0].spec(&program), oracle_spec()] {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut watcher = watcher(&server);
        ok(&mut watcher, &["CONFIG", "SET", "maxmemory-clients", "3000000"]);
        let mut client = server.connect().unwrap();
        ok(&mut client, &["MSET", "k", "v", "big", &"x".repeat(1_000_000)]);
        let sent = client.call(&["MSET", "k", "changed", "big", &"x".repeat(3_000_000)]);
        assert!(sent.is_err(), "{}: {sent:?}", spec.name);
        let kept = watcher.call(&["GET", "k"]).unwrap();
        assert_eq!(kept, Value::Bulk(b"v".to_vec()), "{}", spec.name);
        assert_eq!(evicted(&mut watcher), 1, "{}", spec.name);
    }
}

#[test]
fn clients_that_send_equal_arguments_take_equal_memory() {
    for spec in specs() {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut watcher = watcher(&server);
        let _held: Vec<_> =
            (0..4).map(|index| client_of(&server, &format!("equal-{index}"), MB)).collect();
        wait_for("everything has arrived", || {
            let list = text(watcher.call(&["CLIENT", "LIST"]).unwrap());
            let named = list.lines().filter(|line| field(line, "name").starts_with("equal"));
            let arrived = named.filter(|line| field(line, "qbuf") == (MB - 1).to_string());
            arrived.count() == 4
        });
        let (named, _) = clients(&mut watcher);
        let bytes = |(_, bytes): &(String, usize)| *bytes;
        let (least, most) = (named.iter().map(bytes).min(), named.iter().map(bytes).max());
        let (least, most) = (least.unwrap(), most.unwrap());
        assert!(least >= MB && most <= MB + MB / 3, "{}: {named:?}", spec.name);
        assert!(most - least <= most / 100, "{}: {named:?}", spec.name);
    }
}
