//! Commands that run in slices: others are served meanwhile, and nobody can tell that it was not one step.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::{Client, Server, Value};

/// One worker, so that nobody else could serve the other client.
const ALONE: ServerMode = ServerMode { workers: 1, shards: 1, reactor: "epoll", routing: "auto" };

fn start(mode: ServerMode) -> Server {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    Server::start(&mode.spec(&program)).unwrap()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

/// Makes collections of `count` elements.
fn fill(client: &mut Client, count: usize) {
    client.set_reply_timeout(Duration::from_mins(2)).unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(5000) {
        let with = |command: &str, key: &str, of: &dyn Fn(usize) -> Vec<String>| {
            let head = [command.to_owned(), key.to_owned()];
            head.into_iter().chain(some.iter().flat_map(|number| of(*number))).collect::<Vec<_>>()
        };
        let element = |number| vec![format!("e{number}")];
        let later = |number| vec![format!("e{}", number + count / 2)];
        let negated =
            |number: usize| vec![format!("-{number}"), format!("e{}", number + count / 2)];
        let scored = |number: usize| vec![number.to_string(), format!("e{number}")];
        let field = |number| vec![format!("e{number}"), "0".to_owned()];
        for command in [
            with("RPUSH", "list", &element),
            with("SADD", "set", &element),
            with("SADD", "set2", &later),
            with("ZADD", "zset", &scored),
            with("ZADD", "zset2", &negated),
            with("HSET", "hash", &field),
        ] {
            client.call(&command).unwrap();
        }
        let entries: Vec<Vec<String>> = some
            .iter()
            .map(|number| format!("XADD stream {}-1 f v", number + 1))
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
        client.pipeline(&entries).unwrap();
    }
}

/// Whether another client was answered at a time when `line` had begun and had no answer yet.
fn lets_others_in(long: &mut Client, other: &mut Client, line: &str) -> bool {
    let Value::Integer(id) = call(long, "CLIENT ID") else { panic!("an id") };
    let name = line.split(' ').next().unwrap().to_lowercase();
    let begun = format!(" cmd={name} ");
    long.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
    loop {
        let Value::Bulk(clients) = call(other, &format!("CLIENT LIST ID {id}")) else {
            panic!("a list of clients")
        };
        let has_begun = String::from_utf8_lossy(&clients).contains(&begun);
        let has_answer = long.has_received().unwrap();
        if has_begun || has_answer {
            assert_eq!(call(other, "PING"), Value::Simple("PONG".into()));
            return !has_answer;
        }
    }
}

#[test]
fn others_are_served_while_a_long_reply_is_made() {
    let server = start(ALONE);
    fill(&mut server.connect().unwrap(), 60_000);
    let mut other = server.connect().unwrap();
    for line in [
        "LRANGE list 0 -1",
        "HGETALL hash",
        "HKEYS hash",
        "HVALS hash",
        "SMEMBERS set",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZRANGEBYSCORE zset -inf +inf",
        "ZREVRANGE zset 0 -1",
        "XRANGE stream - +",
        "XREVRANGE stream + -",
        "XREAD STREAMS stream 0",
        "SINTER set set2",
        "SUNIONSTORE stored set set2",
        "ZUNION 2 zset zset2",
        "ZINTERSTORE stored 2 zset zset2",
        "ZRANGESTORE stored zset 0 -1",
        "COPY hash stored REPLACE",
        "DUMP list",
        "SRANDMEMBER set 50000",
        "HRANDFIELD hash 50000",
        "ZRANDMEMBER zset 50000",
    ] {
        // The other client may have been too slow for once.
        let was_let_in = (0..50).any(|_| {
            let mut long = server.connect().unwrap();
            let was_let_in = lets_others_in(&mut long, &mut other, line);
            long.end();
            was_let_in
        });
        assert!(was_let_in, "{line} kept the other client waiting");
    }
}

#[test]
fn endless_picks_take_no_memory_and_keep_nobody_waiting() {
    let server = start(ALONE);
    let mut other = server.connect().unwrap();
    fill(&mut other, 1000);
    for line in [
        "SRANDMEMBER set -9223372036854775807",
        "HRANDFIELD hash -4611686018427387903 WITHVALUES",
        "ZRANDMEMBER zset -4611686018427387903 WITHSCORES",
    ] {
        let mut long = server.connect().unwrap();
        long.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
        // More than all buffers in between hold.
        long.read_bytes(32 << 20).unwrap();
        assert_eq!(call(&mut other, "PING"), Value::Simple("PONG".into()), "{line}");
        let Value::Bulk(memory) = call(&mut other, "INFO memory") else { panic!("a text") };
        let memory = String::from_utf8_lossy(&memory).into_owned();
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        assert!(used.parse::<u64>().unwrap() < 24 << 20, "{line} uses {used} bytes");
        // In a transaction the reply cannot be sent as it is made.
        let mut bounded = server.connect().unwrap();
        call(&mut bounded, "MULTI");
        call(&mut bounded, line);
        let Value::Array(replies) = call(&mut bounded, "EXEC") else { panic!("replies") };
        assert_eq!(replies, [Value::Error("ERR value is out of range".into())]);
    }
}

#[test]
fn picks_go_on_when_the_collection_goes() {
    let server = start(ALONE);
    let mut other = server.connect().unwrap();
    let mut long = server.connect().unwrap();
    long.set_reply_timeout(Duration::from_mins(2)).unwrap();
    call(&mut other, "SADD s a b c");
    long.send(&["SRANDMEMBER", "s", "-3000000"]).unwrap();
    long.read_bytes(b"*3000000\r\n".len()).unwrap();
    // Too many for the sockets' buffers, so that it cannot be through.
    call(&mut other, "DEL s");
    call(&mut other, "SET s text");
    for _ in 0..3000 {
        let some = long.read_bytes(1000 * b"$1\r\na\r\n".len()).unwrap();
        for member in some.chunks(7) {
            assert!(matches!(member, b"$1\r\na\r\n" | b"$1\r\nb\r\n" | b"$1\r\nc\r\n"));
        }
    }
    assert_eq!(call(&mut long, "PING"), Value::Simple("PONG".into()));
}

/// The elements of a reply in RESP2 whose elements are numbers behind an `e`.
fn numbers(reply: &Value) -> Vec<usize> {
    let Value::Array(elements) = reply else { panic!("an array, not {reply:?}") };
    let number = |element: &Value| match element {
        Value::Bulk(text) => String::from_utf8_lossy(&text[1..]).parse().unwrap(),
        other => panic!("an element, not {other:?}"),
    };
    elements.iter().map(number).collect()
}

#[test]
fn a_long_read_sees_one_state_of_what_changes_all_the_time() {
    const LEN: usize = 20_000;
    for mode in SERVER_MODES {
        let server = start(*mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, LEN);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                let rotations = vec![vec!["RPOPLPUSH", "list", "list"]; 20];
                while !is_over.load(Ordering::Relaxed) {
                    writer.pipeline(&rotations).unwrap();
                }
            });
            for _ in 0..5 {
                let seen = numbers(&call(&mut reader, "LRANGE list 0 -1"));
                assert_eq!(seen.len(), LEN, "{mode}");
                for pair in seen.windows(2) {
                    assert_eq!((pair[0] + 1) % LEN, pair[1], "{mode}: a torn list");
                }
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}

#[test]
fn long_replies_are_the_same_in_slices_and_in_one_piece() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill(&mut client, 19_000);
        for line in [
            "LRANGE list 7 -3",
            "HGETALL hash",
            "HKEYS hash",
            "HVALS hash",
            "SMEMBERS set",
            "ZRANGE zset 5 -4 WITHSCORES",
            "ZRANGE zset (3 +inf BYSCORE LIMIT 10 17000 WITHSCORES",
            "ZREVRANGEBYSCORE zset +inf 12",
            "ZREVRANGEBYLEX zset + - LIMIT 0 18000",
            "XRANGE stream 12 18999",
            "XRANGE stream - + COUNT 17000",
            "XREVRANGE stream 18500 (5 COUNT 18000",
            "XREVRANGE stream + -",
            "XREAD COUNT 17000 STREAMS none stream 5 7",
            "SINTER set set2 set",
            "SUNION set set2 none",
            "SUNION set2 set none set hash2 set2",
            "SDIFF set none",
            "SINTERCARD 2 set set2 LIMIT 9000",
            "SINTERCARD 2 set set2",
            "ZUNION 2 zset zset2 WEIGHTS 2 0.5 WITHSCORES",
            "ZUNION 2 zset set AGGREGATE MIN WITHSCORES",
            "ZINTER 3 zset zset2 set AGGREGATE MAX WITHSCORES",
            "ZDIFF 2 zset zset2 WITHSCORES",
            "ZINTERCARD 2 zset zset2 LIMIT 9000",
            "SUNION set list",
            "ZUNION 2 zset hash",
            "DUMP list",
            "DUMP set",
            "DUMP zset",
            "DUMP hash",
        ] {
            for protocol in ["2", "3"] {
                call(&mut client, &format!("HELLO {protocol}"));
                let sliced = call(&mut client, line);
                call(&mut client, "MULTI");
                call(&mut client, line);
                let Value::Array(whole) = call(&mut client, "EXEC") else { panic!("replies") };
                assert!(whole == [sliced], "{mode}: {line} in RESP{protocol}");
            }
        }
    }
}

/// What is at `key`, in one word.
fn digest(client: &mut Client, key: &str) -> Value {
    call(client, &format!("DEBUG DIGEST-VALUE {key}"))
}

#[test]
fn what_is_stored_is_the_same_in_slices_and_in_one_piece() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill(&mut client, 19_000);
        call(&mut client, "SETRANGE bits 10000000 abc");
        call(&mut client, "SETRANGE bits2 9000000 defg");
        call(&mut client, "EXPIRE hash 5000");
        call(&mut client, "HEXPIRE hash 5000 FIELDS 2 e1 e18000");
        for line in [
            "SINTERSTORE d set set2",
            "SUNIONSTORE d set set2",
            "SUNIONSTORE set3 set set2 none set set2 none set",
            "SDIFFSTORE d set set2",
            "ZUNIONSTORE d 2 zset zset2 WEIGHTS 2 3 AGGREGATE MAX",
            "ZINTERSTORE d 2 set zset2",
            "ZDIFFSTORE d 2 zset zset2",
            "ZRANGESTORE d zset 5 18500 REV",
            "ZRANGESTORE d zset (17 +inf BYSCORE LIMIT 100 17000",
            "COPY set d REPLACE",
            "COPY zset d REPLACE",
            "COPY hash d REPLACE",
            "COPY hash d",
            "BITOP XOR d bits bits2",
            "BITOP NOT d bits",
            "SINTERSTORE d set none",
            "SUNIONSTORE d set list",
        ] {
            let key = line.split(' ').find(|word| matches!(*word, "d" | "set3")).unwrap();
            let sliced = (call(&mut client, line), digest(&mut client, key));
            let ttl = call(&mut client, &format!("TTL {key}"));
            call(&mut client, "MULTI");
            call(&mut client, line);
            let Value::Array(whole) = call(&mut client, "EXEC") else { panic!("replies") };
            assert_eq!(whole, [sliced.0], "{mode}: {line}");
            assert_eq!(digest(&mut client, key), sliced.1, "{mode}: {line}");
            let Value::Integer(later) = call(&mut client, &format!("TTL {key}")) else { panic!() };
            assert!(
                matches!(ttl, Value::Integer(ttl) if ttl.abs_diff(later) < 600),
                "{mode}: {line}"
            );
        }
        for line in ["SRANDMEMBER set 18500", "HRANDFIELD hash 18500", "ZRANDMEMBER zset 18500"] {
            let mut seen = numbers(&call(&mut client, line));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 18_500, "{mode}: {line}");
        }
    }
}

#[test]
fn work_on_several_keys_sees_one_state_of_what_changes_all_the_time() {
    const LEN: usize = 20_000;
    for mode in [SERVER_MODES[2], SERVER_MODES[3]] {
        let server = start(mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, LEN);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                let there = vec!["SMOVE", "set", "elsewhere", "e7"];
                let back = vec!["SMOVE", "elsewhere", "set", "e7"];
                while !is_over.load(Ordering::Relaxed) {
                    writer.pipeline(&[there.clone(), back.clone()]).unwrap();
                }
            });
            for _ in 0..5 {
                let reply = call(&mut reader, "SUNION set elsewhere");
                assert_eq!(numbers(&reply).len(), LEN, "{mode}: a member is away");
                let stored = call(&mut reader, "SUNIONSTORE stored elsewhere set");
                assert_eq!(stored, Value::Integer(20_000), "{mode}: a member is away");
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}
