//! `maxmemory` holds whatever takes the place of what: big values also where only tiny ones can go.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::bystander::shortest;
use darter_testkit::durable::{info, info_field, wait_for};
use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Bystander, Client, Server, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keys of some 50 bytes that are there first.
const TINY_KEYS: usize = 1_000_000;
/// What a batch of commands writes, if a value is not bigger.
const BATCH_BYTES: usize = 4 << 20;
/// What buffers may take that no value is in.
const BUFFER_BYTES: usize = 2 << 20;
/// The longest that other clients may wait, in processor time of the server, with one worker.
const WAIT_MAX: Duration = Duration::from_millis(100);

fn ok(client: &mut Client, words: &[&str]) {
    assert_eq!(client.call(words).unwrap(), Value::Simple(b"OK".to_vec()), "{words:?}");
}

fn used_bytes(info: &Value) -> usize {
    info_field(info, "used_memory").parse().unwrap()
}

/// The most that is used, and the longest that another client waits, while values of so many bytes take the place of tiny
/// ones; and the limit.
fn replace_tiny_values(server: &Server, value_bytes: usize) -> (usize, Duration, usize) {
    let mut client = server.connect().unwrap();
    client.set_reply_timeout(Duration::from_mins(2)).unwrap();
    ok(&mut client, &["FLUSHALL"]);
    ok(&mut client, &["CONFIG", "SET", "maxmemory", "0"]);
    // What is not freed yet is used, and would be in the limit.
    wait_for("FLUSHALL", Duration::from_mins(1), || {
        info(&mut client, "memory", "lazyfree_pending_objects") == "0"
    });
    ok(&mut client, &["DEBUG", "POPULATE", &TINY_KEYS.to_string(), "tiny", "16"]);
    let mut other = Bystander::of(server).unwrap();
    let limit = used_bytes(&other.ask(&["INFO", "memory"]).unwrap());
    ok(&mut client, &["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let value = "x".repeat(value_bytes);
    let names: Vec<_> = (0..limit * 3 / 2 / value_bytes).map(|key| format!("big:{key}")).collect();
    let has_written = AtomicBool::new(false);
    let mut most = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for names in names.chunks((BATCH_BYTES / value_bytes).max(1)) {
                let batch: Vec<_> = names.iter().map(|name| vec!["SET", name, &value]).collect();
                for reply in client.pipeline(&batch).unwrap() {
                    assert_eq!(reply, Value::Simple(b"OK".to_vec()));
                }
            }
            has_written.store(true, Ordering::Relaxed);
        });
        while !has_written.load(Ordering::Relaxed) {
            most = most.max(used_bytes(&other.ask(&["INFO", "memory"]).unwrap()));
        }
    });
    (most, other.longest(), limit)
}

#[test]
fn big_values_take_the_place_of_tiny_ones_without_going_beyond_the_limit() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    for mode in [SERVER_MODES[0], SERVER_MODES[6]] {
        for defrag in ["no", "yes"] {
            let words = ["--maxmemory-policy", "allkeys-lru", "--activedefrag", defrag];
            let spec = mode.spec(&program).with_arguments(&words.map(str::to_owned));
            let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
            for value_bytes in [64 << 10, 1 << 20, 8 << 20] {
                let case = format!("{mode}, activedefrag {defrag}, values of {value_bytes} bytes");
                // Where several workers are, their times add up.
                let wait_max = if mode.workers > 1 { Duration::MAX } else { WAIT_MAX };
                let wait = shortest(wait_max, || {
                    let (most, wait, limit) = replace_tiny_values(&server, value_bytes);
                    // One value more than there is room for is stored, the next one is in a buffer, and what was in one is counted
                    // there until the next tick of its worker.
                    let bound = limit + limit / 32 + 3 * value_bytes + BUFFER_BYTES;
                    assert!(most <= bound, "{case}: {most} with a limit of {limit}");
                    wait
                });
                assert!(wait <= wait_max, "{case}: others waited {wait:?}");
            }
        }
    }
}
