//! Saves in the background and what happens meanwhile: changes of values too long to be written at once, saves that
//! have to wait for each other, and what is thrown away.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use darter_testkit::durable::{call, darter_in, eventually, info, ok};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::{Client, Server, Value};

/// One worker and several, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[2], SERVER_MODES[4]];

fn persistence(client: &mut Client, field: &str) -> String {
    info(client, "persistence", field)
}

fn simple(text: &str) -> Value {
    Value::Simple(text.as_bytes().to_vec())
}

/// A field of INFO persistence is `value` sooner or later.
fn becomes(server: &Server, field: &str, value: &str) -> bool {
    eventually(|| persistence(&mut server.connect().unwrap(), field) == value)
}

/// Values of every type that are written in parts.
fn fill(client: &mut Client) {
    call(client, "SETRANGE {k}string 4000000 end");
    for round in 0..20 {
        let element =
            |number: usize| format!("element-{:06}-of-a-long-value", round * 1000 + number);
        let mut lines = Vec::new();
        for (command, words_each) in [("RPUSH", 1), ("SADD", 1), ("ZADD", 2), ("HSET", 2)] {
            let key = format!("{{k}}{}", command.to_lowercase());
            let mut line = vec![command.to_owned(), key];
            for number in 0..1000 {
                if words_each == 2 {
                    line.push(if command == "ZADD" { number.to_string() } else { element(number) });
                }
                line.push(element(number));
            }
            lines.push(line);
        }
        for number in 0..1000 {
            let words = ["XADD", "{k}stream", "*", "f", &element(number)];
            lines.push(words.map(str::to_owned).to_vec());
        }
        let replies = client.pipeline(&lines).unwrap();
        assert!(!replies.iter().any(|reply| matches!(reply, Value::Error(_))));
    }
    call(client, "XGROUP CREATE {k}stream group 0");
    call(client, "XREADGROUP GROUP group consumer COUNT 5000 STREAMS {k}stream >");
}

/// Changes of each of them, one by one, in a transaction and in scripts.
const CHANGES: &[&str] = &[
    "APPEND {k}string tail",
    "LPOP {k}rpush",
    "SREM {k}sadd element-000003-of-a-long-value",
    "ZINCRBY {k}zadd 5 element-000003-of-a-long-value",
    "HSET {k}hset new field",
    "XADD {k}stream * f v",
    "XACK {k}stream group 0-1",
    "MULTI",
    "RPUSH {k}rpush x",
    "RENAME {k}zadd {k}renamed",
    "EXEC",
    "EVAL return(redis.call('HDEL',KEYS[1],'new')) 1 {k}hset",
    "EVAL return(redis.call('DEL','{k}sadd')) 0",
    "COPY {k}rpush {k}copy",
    "UNLINK {k}string",
    "FLUSHDB",
    "SET {k}string short",
];

#[test]
fn long_values_are_saved_as_they_were_while_they_change() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--save", "", "--appendonly", "no"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        fill(&mut client);
        let digest = call(&mut client, "DEBUG DIGEST");
        // Others change the same, so that changes also come to shards that are out.
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut lines = vec![vec!["BGSAVE"]];
            lines.extend(CHANGES.iter().map(|line| line.split(' ').collect()));
            let replies = client.pipeline(&lines).unwrap();
            assert_eq!(replies[0], simple("Background saving started"), "{mode}");
            for (line, reply) in CHANGES.iter().zip(&replies[1..]) {
                assert!(!matches!(reply, Value::Error(_)), "{mode}, {line}: {reply:?}");
            }
            assert_eq!(replies[1], Value::Integer(4_000_007), "{mode}");
            scope.spawn(|| {
                let mut other = server.connect().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    call(&mut other, "HSET {k}hset other field");
                    call(&mut other, "GET {k}string");
                }
            });
            assert!(becomes(&server, "rdb_saves", "1"), "{mode}");
            stop.store(true, Ordering::Relaxed);
        });
        let copy = tempfile::tempdir().unwrap();
        fs::copy(directory.path().join("dump.rdb"), copy.path().join("dump.rdb")).unwrap();
        let loaded = Server::start(&darter_in(mode, copy.path(), &options)).unwrap();
        assert_eq!(call(&mut loaded.connect().unwrap(), "DEBUG DIGEST"), digest, "{mode}");
    }
}

/// Writing each key takes so long that a save goes on until it is told otherwise.
const SLOWLY: &str = "CONFIG SET rdb-key-save-delay 10000000";
const QUICKLY: &str = "CONFIG SET rdb-key-save-delay 0";

/// Whichever thread is the first to need the directory makes it: which one that is, is chance.
#[test]
fn a_log_can_be_written_before_there_has_been_one() {
    for mode in MODES.into_iter().cycle().take(10) {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--save", "", "--appendonly", "no"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        let started = simple("Background append only file rewriting started");
        assert_eq!(call(&mut client, "BGREWRITEAOF"), started);
        let is_over = becomes(&server, "aof_rewrites", "1");
        assert!(is_over, "{mode}: {}", server.log());
        assert_eq!(persistence(&mut client, "aof_last_bgrewrite_status"), "ok");
        assert!(directory.path().join("appendonlydir/appendonly.aof.manifest").is_file());
    }
}

#[test]
fn saves_wait_for_each_other() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--save", "", "--appendonly", "yes"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        for line in ["MSET {a}1 x {a}2 y", SLOWLY] {
            assert_eq!(call(&mut client, line), ok());
        }
        assert_eq!(call(&mut client, "BGSAVE"), simple("Background saving started"));
        let already = b"ERR Background save already in progress".to_vec();
        assert_eq!(call(&mut client, "BGSAVE"), Value::Error(already.clone()));
        assert_eq!(call(&mut client, "SAVE"), Value::Error(already));
        let scheduled = simple("Background append only file rewriting scheduled");
        assert_eq!(call(&mut client, "BGREWRITEAOF"), scheduled, "{mode}");
        assert_eq!(persistence(&mut client, "aof_rewrite_scheduled"), "1");
        assert_eq!(persistence(&mut client, "aof_rewrite_in_progress"), "0");
        assert_eq!(call(&mut client, QUICKLY), ok());
        assert!(becomes(&server, "aof_rewrites", "1"), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_saves"), "1", "{mode}");

        // The other way round.
        assert_eq!(call(&mut client, SLOWLY), ok());
        let started = simple("Background append only file rewriting started");
        assert_eq!(call(&mut client, "BGREWRITEAOF"), started);
        let already = b"ERR Background append only file rewriting already in progress".to_vec();
        assert_eq!(call(&mut client, "BGREWRITEAOF"), Value::Error(already));
        let Value::Error(_) = call(&mut client, "BGSAVE") else { panic!("{mode}") };
        let scheduled = simple("Background saving scheduled");
        assert_eq!(call(&mut client, "BGSAVE SCHEDULE"), scheduled);
        let cancelled = simple("Scheduled background saving cancelled");
        assert_eq!(call(&mut client, "BGSAVE CANCEL"), cancelled);
        assert_eq!(call(&mut client, "BGSAVE SCHEDULE"), scheduled);
        assert_eq!(call(&mut client, QUICKLY), ok());
        assert!(becomes(&server, "rdb_saves", "2"), "{mode}");
        assert_eq!(persistence(&mut client, "aof_rewrites"), "2", "{mode}");

        // Who wants to wait for a save waits for the log as well.
        assert_eq!(call(&mut client, SLOWLY), ok());
        assert_eq!(call(&mut client, "BGREWRITEAOF"), started);
        let mut saver = server.connect().unwrap();
        saver.send(&["SAVE"]).unwrap();
        assert!(eventually(|| info(&mut client, "clients", "blocked_clients") == "1"), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_saves"), "2", "{mode}");
        assert_eq!(call(&mut client, QUICKLY), ok());
        assert_eq!(saver.read_reply().unwrap().value, ok(), "{mode}");
        assert_eq!(persistence(&mut client, "aof_rewrites"), "3", "{mode}");
        assert_eq!(persistence(&mut client, "rdb_saves"), "3", "{mode}");

        // A base that is given up does not stand in the way of the next one, which is begun as soon as it has ended.
        assert_eq!(call(&mut client, SLOWLY), ok());
        assert_eq!(call(&mut client, "BGREWRITEAOF"), started);
        assert_eq!(call(&mut client, "CONFIG SET appendonly no"), ok());
        assert_eq!(call(&mut client, "BGREWRITEAOF"), started, "{mode}");
        assert_eq!(call(&mut client, QUICKLY), ok());
        assert_eq!(persistence(&mut client, "aof_rewrite_scheduled"), "0", "{mode}");
        assert!(becomes(&server, "aof_rewrite_in_progress", "0"), "{mode}");
        assert_eq!(persistence(&mut client, "aof_rewrites"), "4", "{mode}");
    }
}

#[test]
fn a_base_that_fails_is_tried_less_often_until_somebody_asks() {
    let mode = MODES[0];
    let directory = tempfile::tempdir().unwrap();
    let options = [
        "--save",
        "",
        "--appendonly",
        "yes",
        "--auto-aof-rewrite-min-size",
        "1kb",
        "--auto-aof-rewrite-percentage",
        "1",
    ];
    let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
    let mut client = server.connect().unwrap();
    // A directory that is not empty in place of the file stops even root.
    let name = format!("temp-base-{}.rdb", server.pid());
    let obstacle = directory.path().join("appendonlydir").join(name);
    fs::create_dir_all(obstacle.join("full")).unwrap();
    call(&mut client, &format!("SET k {}", "x".repeat(4000)));
    assert!(becomes(&server, "aof_rewrites_consecutive_failures", "3"));
    assert_eq!(persistence(&mut client, "aof_last_bgrewrite_status"), "err");
    fs::remove_dir_all(&obstacle).unwrap();
    // By itself it would be tried a minute later.
    assert_eq!(persistence(&mut client, "aof_rewrites"), "0");
    call(&mut client, "BGREWRITEAOF");
    assert!(becomes(&server, "aof_rewrites", "1"));
    assert_eq!(persistence(&mut client, "aof_rewrites_consecutive_failures"), "0");
    assert_eq!(call(&mut client, "SET k v"), ok(), "the log went on meanwhile");
}

#[test]
fn what_was_flushed_does_not_come_back() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dump.rdb");
        let options = ["--save", "3600 1"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        call(&mut client, "DEBUG POPULATE 100 key 1000");
        assert_eq!(call(&mut client, "SAVE"), ok());
        let full = fs::metadata(&file).unwrap().len();
        let is_emptied = || fs::metadata(&file).unwrap().len() < full / 10;
        for line in [SLOWLY, "SET k v"] {
            assert_eq!(call(&mut client, line), ok());
        }
        assert_eq!(call(&mut client, "BGSAVE"), simple("Background saving started"));
        assert_eq!(call(&mut client, "FLUSHALL"), ok());
        assert!(is_emptied(), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_changes_since_last_save"), "0", "{mode}");
        assert!(becomes(&server, "rdb_bgsave_in_progress", "0"), "{mode}");
        assert!(is_emptied(), "{mode}: what was being saved is thrown away");
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "ok", "{mode}");

        // In a transaction: behind it. Without save points the file is left alone.
        assert_eq!(call(&mut client, QUICKLY), ok());
        for (points, is_emptied_then) in [("", false), ("3600 1", true)] {
            call(&mut client, "DEBUG POPULATE 100 key 1000");
            assert_eq!(call(&mut client, "SAVE"), ok());
            assert_eq!(client.call(&["CONFIG", "SET", "save", points]).unwrap(), ok());
            let lines = [vec!["MULTI"], vec!["FLUSHALL"], vec!["SET", "k", "v"], vec!["EXEC"]];
            client.pipeline(&lines).unwrap();
            if is_emptied_then {
                assert!(eventually(is_emptied), "{mode}");
            } else {
                assert!(!is_emptied(), "{mode}");
            }
        }
    }
}

#[test]
fn always_holds_from_the_answer_that_says_so() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        // Whoever is answered without waiting is answered long before the file is written.
        assert_eq!(call(&mut client, "DEBUG AOF-FLUSH-SLEEP 100000"), ok());
        for round in 0..5 {
            assert_eq!(call(&mut client, "CONFIG SET appendfsync no"), ok());
            let value = format!("written-in-round-{round}");
            let lines = [vec!["CONFIG", "SET", "appendfsync", "always"], vec!["SET", "k", &value]];
            assert_eq!(client.pipeline(&lines).unwrap(), [ok(), ok()]);
            let log = directory.path().join("appendonlydir/appendonly.aof.1.incr.aof");
            let log = fs::read(log).unwrap();
            let is_there = log.windows(value.len()).any(|window| window == value.as_bytes());
            assert!(is_there, "{mode}, round {round}");
        }
    }
}

/// DEBUG RELOAD and DEBUG LOADAOF take data away and bring them back; others wait, and see neither.
#[test]
fn nobody_sees_data_that_are_half_loaded() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--save", "", "--appendonly", "yes"];
        let server = Server::start(&darter_in(mode, directory.path(), &options)).unwrap();
        let mut client = server.connect().unwrap();
        let lines: Vec<Vec<String>> = (0..2000)
            .map(|number| vec!["SET".to_owned(), format!("key:{number}"), "v".to_owned()])
            .collect();
        client.pipeline(&lines).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut other = server.connect().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    for number in [0, 999, 1999] {
                        let value = call(&mut other, &format!("GET key:{number}"));
                        assert_eq!(value, Value::Bulk(b"v".to_vec()), "{mode}");
                    }
                    assert_eq!(call(&mut other, "DBSIZE"), Value::Integer(2000), "{mode}");
                }
            });
            for _ in 0..5 {
                assert_eq!(call(&mut client, "DEBUG RELOAD"), ok());
                assert_eq!(call(&mut client, "DEBUG LOADAOF"), ok());
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
