//! What INFO and DEBUG say of memory, where it can be told to be true.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use darter_testkit::durable::{info_field, wait_for};
use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::{Client, Server, Value};

/// How long a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_secs(30);

fn servers() -> impl Iterator<Item = (ServerMode, Server)> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    [SERVER_MODES[0], SERVER_MODES[6]].into_iter().map(move |mode| {
        (mode, Server::start(&mode.spec(&program)).unwrap_or_else(|error| panic!("{error}")))
    })
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

fn field_of(info: &Value, field: &str) -> u64 {
    info_field(info, field).parse().unwrap()
}

fn info(client: &mut Client, field: &str) -> u64 {
    field_of(&call(client, "INFO"), field)
}

/// A test suite that asks how much is used behind FLUSHALL, to set a limit above that, set it higher each time.
#[test]
fn a_flush_of_little_data_has_freed_it_when_it_answers() {
    for (mode, server) in servers() {
        let mut client = server.connect().unwrap();
        // What it has taken when another process had the processor meanwhile is freed later: that is seldom.
        let is_free = (0..20).any(|_| {
            call(&mut client, "DEBUG POPULATE 5000");
            let used = info(&mut client, "used_memory");
            let both = [vec!["FLUSHALL"], vec!["INFO", "memory"]];
            let replies = client.pipeline(&both).unwrap();
            let left = field_of(&replies[1], "lazyfree_pending_objects");
            left == 0 && field_of(&replies[1], "used_memory") + 5000 * 32 < used
        });
        assert!(is_free, "{mode}");
    }
}

#[test]
fn what_tracked_clients_have_read_is_counted_and_makes_room_when_it_is_forgotten() {
    for (mode, server) in servers() {
        let mut client = server.connect().unwrap();
        let mut tracked = server.connect().unwrap();
        call(&mut tracked, "HELLO 3");
        call(&mut tracked, "CLIENT TRACKING ON");
        let name = |number: usize| format!("{number:04}{}", "x".repeat(1000));
        for number in 0..1000 {
            call(&mut client, &format!("SET {} x", name(number)));
        }
        let before = info(&mut client, "used_memory");
        for number in 0..1000 {
            call(&mut tracked, &format!("GET {}", name(number)));
        }
        let used = info(&mut client, "used_memory");
        assert!(used > before + 1_000_000, "{mode}: {before}, then {used}");
        // Of 500 kB that are too much, half are what is remembered of the keys that go.
        call(&mut client, "CONFIG SET maxmemory-policy allkeys-random");
        call(&mut client, &format!("CONFIG SET maxmemory {}", used - 500_000));
        wait_for("room", PATIENCE, || info(&mut client, "used_memory") <= used - 500_000);
        let Value::Integer(left) = call(&mut client, "DBSIZE") else { panic!("a number") };
        // Each shard evicts some before it hears of that.
        let least = if mode.shards == 1 { 650 } else { 450 };
        assert!((least..800).contains(&left), "{mode}: {left} keys are left");
    }
}

/// Each key that is evicted is told to ten clients: what that takes on its way to them is ten times the key, and is gone at once.
#[test]
fn messages_of_evicted_keys_evict_no_further_ones() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let server = Server::start(&SERVER_MODES[0].spec(&program)).unwrap();
    let mut client = server.connect().unwrap();
    call(&mut client, "CONFIG SET maxmemory-policy allkeys-lru");
    let mut tracked: Vec<Client> = (0..10).map(|_| server.connect().unwrap()).collect();
    for tracked in &mut tracked {
        call(tracked, "HELLO 3");
        call(tracked, "CLIENT TRACKING ON");
    }
    for number in 0..300 {
        let name = format!("{number}{}", "x".repeat(1000));
        call(&mut client, &format!("SET {name} x"));
        for tracked in &mut tracked {
            call(tracked, &format!("GET {name}"));
        }
    }
    let limit = info(&mut client, "used_memory") - 40_000;
    call(&mut client, &format!("CONFIG SET maxmemory {limit}"));
    wait_for("room", PATIENCE, || info(&mut client, "used_memory") <= limit);
    let evicted = info(&mut client, "evicted_keys");
    assert!((10..=50).contains(&evicted), "{evicted} are evicted");
    for tracked in tracked {
        tracked.end();
    }
    wait_for("the ends", PATIENCE, || info(&mut client, "connected_clients") == 1);
    wait_for("what they had read is forgotten", PATIENCE, || {
        info(&mut client, "tracking_total_keys") == 0
    });
    let evicted = info(&mut client, "evicted_keys");
    assert!(evicted <= 50, "{evicted} are evicted in the end");
}

fn text_of(client: &mut Client, line: &str) -> String {
    let Value::Bulk(text) = call(client, line) else { panic!("{line} answers with a text") };
    String::from_utf8(text).unwrap()
}

/// A number of the first line that begins in this way.
fn line_of(text: &str, begin: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix(begin));
    number.unwrap_or_else(|| panic!("no {begin:?} in {text}")).parse().unwrap()
}

/// Valkey's lines, which suites read with regular expressions, and in `full` as many entries in buckets as there are.
#[test]
fn tables_are_described_as_they_are() {
    for (mode, server) in servers() {
        let mut client = server.connect().unwrap();
        assert_eq!(text_of(&mut client, "DEBUG HTSTATS 0"), "[Dictionary HT]\n[Expires HT]\n");
        call(&mut client, "DEBUG POPULATE 3000");
        for number in 0..1000 {
            call(&mut client, &format!("SADD set m{number}"));
            call(&mut client, &format!("HSET hash f{number} v"));
            call(&mut client, &format!("ZADD zset {number} m{number}"));
        }
        let beginning = "[Dictionary HT]\nHash table 0 stats (main hash table):\n table size: ";
        for (line, entries, is_database) in [
            ("DEBUG HTSTATS 0 full", 3003, true),
            ("DEBUG HTSTATS-KEY set full", 1000, false),
            ("DEBUG HTSTATS-KEY hash full", 1000, false),
            ("DEBUG HTSTATS-KEY zset full", 1000, false),
        ] {
            let text = text_of(&mut client, line);
            let skipped = if is_database { 0 } else { "[Dictionary HT]\n".len() };
            assert!(text.starts_with(&beginning[skipped..]), "{mode}: {text}");
            assert_eq!(text.ends_with("[Expires HT]\n"), is_database, "{mode}: {text}");
            assert_eq!(line_of(&text, " number of entries: "), entries);
            let buckets = line_of(&text, " top-level buckets: ");
            assert_eq!(line_of(&text, " table size: "), buckets * 8);
            let (_, fill) = text.split_once(" bucket fill distribution:\n").unwrap();
            let fill = fill.lines().filter_map(|line| line.trim().split_once(": "));
            let mut sums = (0, line_of(&text, " entries in overflow: "));
            for (filled, rest) in fill {
                let count: u64 = rest.split(' ').next().unwrap().parse().unwrap();
                sums = (sums.0 + count, sums.1 + count * filled.parse::<u64>().unwrap());
            }
            assert_eq!(sums, (buckets, entries), "{mode}: {text}");
            let brief = text_of(&mut client, line.strip_suffix(" full").unwrap());
            let end = brief.strip_suffix("[Expires HT]\n").unwrap_or(&brief);
            assert!(text.starts_with(end) && end.ends_with(" rehashing index: -1\n"), "{brief}");
        }
    }
}

#[test]
fn the_doctor_sees_scripts_that_are_made_again_and_again() {
    for (mode, server) in servers() {
        let mut client = server.connect().unwrap();
        let report = |client: &mut Client| text_of(client, "MEMORY DOCTOR");
        assert!(report(&mut client).contains("empty"), "{mode}");
        client.call(&[&b"SET"[..], b"big", &vec![b'x'; 6 << 20]]).unwrap();
        for number in 0..1000 {
            call(&mut client, &format!("SCRIPT LOAD return({number})"));
        }
        assert!(!report(&mut client).contains("Many scripts"), "{mode}");
        call(&mut client, "SCRIPT LOAD return(1001)");
        assert!(report(&mut client).contains("Many scripts"), "{mode}");
        call(&mut client, "SCRIPT FLUSH");
        assert!(!report(&mut client).contains("Many scripts"), "{mode}");
    }
}
