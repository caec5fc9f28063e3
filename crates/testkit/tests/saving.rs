//! All data in a file: written while clients go on, loaded here and by redis-server, and what happens when the
//! file cannot be written or read.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use darter_rdb::Version;
use darter_rdb::file::{Checksum, push_end, push_function, push_header};
use darter_testkit::durable::{
    call, darter_in, eventually, in_directory, info, ok, terminate, wait_for_end,
};
use darter_testkit::mode::{SERVER_MODES, oracle_spec};
use darter_testkit::{Client, Server, Value};

/// Values of every type, small and large.
const LINES: &[&str] = &[
    "SET text hello",
    "SET number 12345",
    "SET mortal v PX 100000000",
    "RPUSH list a b c 1 2 3",
    "SADD integers 1 2 3",
    "SADD set a b c",
    "ZADD zset 1.5 a 2 b inf c",
    "HSET hash f v g w",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream g 0",
    "PFADD hll a b c",
    "SETRANGE large 100000 x",
    "DEBUG POPULATE 5000 key 40",
];

fn persistence(client: &mut Client, field: &str) -> String {
    info(client, "persistence", field)
}

#[test]
fn what_is_saved_is_loaded_here_and_by_redis() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&darter_in(*mode, directory.path(), &[])).unwrap();
        let mut client = server.connect().unwrap();
        for line in LINES {
            let reply = call(&mut client, line);
            assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
        }
        call(&mut client, "SELECT 9");
        call(&mut client, "SET other database");
        let library = "#!lua name=l\nredis.register_function('f', function() return 7 end)";
        client.call(&["FUNCTION", "LOAD", library]).unwrap();
        let digest = call(&mut client, "DEBUG DIGEST");
        assert_eq!(call(&mut client, "SAVE"), ok(), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_changes_since_last_save"), "0");
        drop(server);

        let again = Server::start(&darter_in(*mode, directory.path(), &[])).unwrap();
        let mut client = again.connect().unwrap();
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
        assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(7));
        assert_eq!(persistence(&mut client, "rdb_last_load_keys_loaded"), "5012");
        assert_eq!(call(&mut client, "DEBUG RELOAD"), ok(), "{mode}");
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
        assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(7));
        // A file that nobody can read makes no room for itself.
        let path = directory.path().join("dump.rdb");
        let file = fs::read(&path).unwrap();
        fs::write(&path, [b"REDIS0999", &file[9..]].concat()).unwrap();
        let refused = call(&mut client, "DEBUG RELOAD NOSAVE");
        assert!(matches!(refused, Value::Error(_)), "{mode}: {refused:?}");
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
        fs::write(&path, &file).unwrap();
        drop(again);

        let redis = Server::start(&in_directory(&oracle_spec(), directory.path(), &[])).unwrap();
        let mut client = redis.connect().unwrap();
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
        assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(7));
        // The other way: its compact forms, and compressed strings.
        assert_eq!(call(&mut client, "SAVE"), ok());
        drop(redis);
        let back = Server::start(&darter_in(*mode, directory.path(), &[])).unwrap();
        let mut client = back.connect().unwrap();
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
    }
}

/// Two keys that are only ever changed together, in any shards.
#[test]
fn a_file_is_of_one_instant_however_busy_the_server_is() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&darter_in(*mode, directory.path(), &[])).unwrap();
        let mut client = server.connect().unwrap();
        call(&mut client, "DEBUG POPULATE 60000 key 40");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in 0..3 {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || {
                    let mut client = server.connect().unwrap();
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        round += 1;
                        let lines = [
                            "MULTI".to_owned(),
                            format!("INCR {{a}}{writer}"),
                            format!("RPUSH {{b}}{writer} {round}"),
                            format!("SET key:{} {writer}", round * 37 % 60_000),
                            format!("INCR {{c}}{writer}"),
                            "EXEC".to_owned(),
                        ];
                        for line in lines {
                            call(&mut client, &line);
                        }
                    }
                });
            }
            for save in 1..=3 {
                let before = call(&mut client, "GET {a}0");
                let line = if save == 2 { "SAVE" } else { "BGSAVE" };
                let reply = call(&mut client, line);
                assert!(!matches!(reply, Value::Error(_)), "{mode}: {reply:?}");
                let saves = save.to_string();
                let is_saved = || {
                    let mut client = server.connect().unwrap();
                    persistence(&mut client, "rdb_saves") == saves
                };
                assert!(eventually(is_saved), "{mode}");
                let copy = tempfile::tempdir().unwrap();
                let file = |directory: &Path| directory.join("dump.rdb");
                fs::copy(file(directory.path()), file(copy.path())).unwrap();
                let loaded = Server::start(&darter_in(*mode, copy.path(), &[])).unwrap();
                let mut reader = loaded.connect().unwrap();
                for writer in 0..3 {
                    let first = call(&mut reader, &format!("GET {{a}}{writer}"));
                    let last = call(&mut reader, &format!("GET {{c}}{writer}"));
                    assert_eq!(first, last, "{mode}: a part of a transaction");
                    let count = match &first {
                        Value::Bulk(text) => String::from_utf8_lossy(text).parse().unwrap(),
                        _ => 0,
                    };
                    let len = call(&mut reader, &format!("LLEN {{b}}{writer}"));
                    assert_eq!(len, Value::Integer(count), "{mode}: a part of a transaction");
                }
                if let (Value::Bulk(before), Value::Bulk(after)) =
                    (before, call(&mut reader, "GET {a}0"))
                {
                    let number =
                        |text: &[u8]| String::from_utf8_lossy(text).parse::<i64>().unwrap();
                    assert!(number(&after) >= number(&before), "{mode}: older than the command");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn the_end_of_the_process_saves_unless_told_not_to() {
    let directory = tempfile::tempdir().unwrap();
    let start =
        |more: &[&str]| Server::start(&darter_in(SERVER_MODES[3], directory.path(), more)).unwrap();
    let points: &[&str] = &["--save", "3600", "1000"];
    let never: &[&str] = &["--save", ""];
    let mut server = start(points);
    call(&mut server.connect().unwrap(), "SET k 1");
    terminate(&mut server);

    let mut server = start(never);
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"1".to_vec()));
    call(&mut client, "SET k 2");
    client.send(&["SHUTDOWN", "SAVE"]).unwrap();
    client.read_end().unwrap();
    wait_for_end(&mut server);

    let mut server = start(points);
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"2".to_vec()));
    call(&mut client, "SET k 3");
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    client.read_end().unwrap();
    wait_for_end(&mut server);

    // Without save points nothing is saved.
    let mut server = start(never);
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"2".to_vec()));
    call(&mut client, "SET k 4");
    terminate(&mut server);
    let server = start(never);
    assert_eq!(call(&mut server.connect().unwrap(), "GET k"), Value::Bulk(b"2".to_vec()));
}

#[test]
fn one_save_at_a_time_and_reloading_throws_it_away() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&darter_in(*mode, directory.path(), &[])).unwrap();
        let mut client = server.connect().unwrap();
        call(&mut client, "DEBUG POPULATE 100000 key 40");
        let digest = call(&mut client, "DEBUG DIGEST");
        for round in 0..5 {
            let lines =
                ["BGSAVE", "SAVE", "BGSAVE CANCEL", "DEBUG RELOAD", "BGSAVE", "DEBUG RELOAD"];
            let lines: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).into();
            let replies = client.pipeline(&lines).unwrap();
            assert_eq!(replies[3], ok(), "{mode}, round {round}");
            assert_eq!(replies[5], ok(), "{mode}, round {round}");
        }
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
        let is_over = || {
            let mut client = server.connect().unwrap();
            persistence(&mut client, "rdb_bgsave_in_progress") == "0"
        };
        assert!(eventually(is_over), "{mode}");
        assert_eq!(call(&mut client, "SAVE"), ok(), "{mode}");
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "{mode}: nothing but the file");
    }
}

#[test]
fn save_points_save_by_themselves() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let directory = tempfile::tempdir().unwrap();
        let server =
            Server::start(&darter_in(mode, directory.path(), &["--save", "1", "3"])).unwrap();
        let mut client = server.connect().unwrap();
        call(&mut client, "MSET a 1 b 2 c 3");
        call(&mut client, "INCR a");
        call(&mut client, "INCR a");
        let is_saved = || {
            let mut client = server.connect().unwrap();
            persistence(&mut client, "rdb_changes_since_last_save") == "0"
        };
        assert!(eventually(is_saved), "{mode}");
        assert!(directory.path().join("dump.rdb").exists());
    }
}

#[test]
fn the_clock_saves() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--save", "", "--snapshot-cron", "* * * * *"];
    let server = Server::start(&darter_in(SERVER_MODES[0], directory.path(), &options)).unwrap();
    let mut client = server.connect().unwrap();
    call(&mut client, "SET k v");
    let saves = || persistence(&mut server.connect().unwrap(), "rdb_saves");
    // The minute may just have begun.
    assert!((0..2).any(|_| eventually(|| saves() != "0")));
    let Value::Error(_) = call(&mut client, "CONFIG SET snapshot-cron 61") else { panic!() };
    assert_eq!(call(&mut client, "CONFIG SET snapshot-cron ''"), ok());
}

/// A directory in place of the file is what stops even root.
#[test]
fn writes_are_refused_while_they_cannot_be_saved() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let server =
            Server::start(&darter_in(*mode, directory.path(), &["--save", "1", "1"])).unwrap();
        let mut client = server.connect().unwrap();
        let obstacle = directory.path().join("dump.rdb");
        fs::create_dir(&obstacle).unwrap();
        call(&mut client, "SET k v");
        let mut queueing = server.connect().unwrap();
        for line in ["MULTI", "SET k x"] {
            call(&mut queueing, line);
        }
        assert_eq!(call(&mut client, "SAVE"), Value::Error(b"ERR".to_vec()), "{mode}");
        let is_refused = || {
            let reply = call(&mut server.connect().unwrap(), "SET another w");
            matches!(reply, Value::Error(text) if text.starts_with(b"MISCONF "))
        };
        assert!(eventually(is_refused), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "err");
        assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"v".to_vec()), "{mode}");
        let Value::Error(text) = call(&mut client, "PING") else { panic!("{mode}") };
        assert!(text.starts_with(b"MISCONF "));
        // What was queued before is not carried out either.
        let Value::Error(text) = call(&mut queueing, "EXEC") else { panic!("{mode}") };
        let expected = b"EXECABORT Transaction discarded because of: MISCONF ";
        assert!(text.starts_with(expected), "{mode}: {}", text.escape_ascii());
        let script = "return redis.call('SET', KEYS[1], 'w')";
        let Value::Error(text) = client.call(&["EVAL", script, "1", "k"]).unwrap() else {
            panic!("{mode}")
        };
        assert!(text.starts_with(b"MISCONF "), "{mode}: {}", text.escape_ascii());
        client.send(&["SHUTDOWN"]).unwrap();
        let reply = client.read_reply().unwrap();
        let refused = b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec();
        assert_eq!(reply.value, Value::Error(refused), "{mode}");
        fs::remove_dir(&obstacle).unwrap();
        assert!(eventually(|| call(&mut server.connect().unwrap(), "SET k w") == ok()), "{mode}");
        assert_eq!(persistence(&mut client, "rdb_last_bgsave_status"), "ok");
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "{mode}: nothing but the file");
    }
}

#[test]
fn a_damaged_file_is_refused_with_its_name_and_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let mode = SERVER_MODES[0];
    let server = Server::start(&darter_in(mode, directory.path(), &[])).unwrap();
    let mut client = server.connect().unwrap();
    for line in LINES {
        call(&mut client, line);
    }
    call(&mut client, "SAVE");
    drop(server);
    let file = directory.path().join("dump.rdb");
    let bytes = fs::read(&file).unwrap();
    let damaged: [Vec<u8>; 4] =
        [bytes[..bytes.len() / 2].to_vec(), bytes[..8].to_vec(), [&bytes[..], b"more"].concat(), {
            let mut flipped = bytes.clone();
            let at = flipped.len() - 4;
            flipped[at] ^= 1;
            flipped
        }];
    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        let error = Server::start(&darter_in(mode, directory.path(), &[])).unwrap_err();
        assert!(error.log.contains("dump.rdb"), "{error}");
        assert!(error.log.contains("(at byte "), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "it is left as it is");
    }
}

#[test]
fn no_library_of_a_damaged_file_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = Vec::new();
    push_header(&mut file, Version::REDIS_7_0);
    push_function(&mut file, b"#!lua name=l\nit_runs()");
    let mut checksum = Checksum::new();
    checksum.add(&file);
    push_end(&mut file, Some(checksum));
    let start = |file: &[u8]| {
        fs::write(directory.path().join("dump.rdb"), file).unwrap();
        Server::start(&darter_in(SERVER_MODES[0], directory.path(), &[])).unwrap_err().log
    };
    let log = start(&file);
    assert!(log.contains("it_runs") && log.contains("(at byte "), "{log}");
    let last = file.len() - 1;
    file[last] ^= 1;
    let log = start(&file);
    assert!(log.contains("RDB CRC error") && !log.contains("it_runs"), "{log}");
}
