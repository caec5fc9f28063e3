//! Other servers as replicas of Darter: redis-server, and valkey-server where there is one. They get all data and
//! whatever happens after, go on after their links were cut, and are waited for.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use darter_testkit::diff::contents::first_difference;
use darter_testkit::durable::{
    call, darter_in, eventually, in_directory, info, ok, peers, wait_for,
};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::replication::{CHANGES, agree, catch_up, fill, held, replication, statistic};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// One worker and several, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// How long a loaded machine may take for anything.
const PATIENCE: Duration = Duration::from_mins(2);

fn primary(mode: ServerMode, directory: &Path, more: &[&str]) -> Server {
    let options = [&["--save", ""], more].concat();
    Server::start(&darter_in(mode, directory, &options)).unwrap()
}

/// A server that is a replica of `primary`.
fn replica(peer: &str, directory: &Path, primary: &Server, more: &[&str]) -> Server {
    let spec = ServerSpec {
        name: peer.to_owned(),
        program: peer.into(),
        arguments: ["--enable-debug-command", "yes", "--save", ""].map(str::to_owned).to_vec(),
    };
    let port = primary.address().port();
    let server = Server::start(&in_directory(&spec, directory, more)).unwrap();
    let line = format!("REPLICAOF 127.0.0.1 {port}");
    assert_eq!(call(&mut server.connect().unwrap(), &line), ok());
    server
}

#[test]
fn a_replica_gets_all_data_and_what_happens() {
    for peer in peers() {
        for mode in MODES {
            let context = format!("{peer}, {mode}");
            let directory = tempfile::tempdir().unwrap();
            let primary = primary(mode, directory.path(), &[]);
            let mut client = primary.connect().unwrap();
            fill(&mut client);
            let replica = replica(peer, directory.path(), &primary, &[]);
            agree(&primary, &replica, &context);
            let mut theirs = replica.connect().unwrap();
            let libraries = call(&mut theirs, "FUNCTION LIST");
            assert_eq!(libraries.elements().map(<[Value]>::len), Some(1), "{context}");

            // Somebody waits for an element, and for two.
            let mut waiting = primary.connect().unwrap();
            waiting.send(&["BLMOVE", "queue", "other", "LEFT", "RIGHT", "0"]).unwrap();
            assert!(eventually(|| info(&mut client, "clients", "blocked_clients") == "1"));
            call(&mut client, "RPUSH queue 1 2 3");
            assert_eq!(waiting.read_reply().unwrap().value, Value::Bulk(b"1".to_vec()));
            for line in CHANGES {
                let reply = call(&mut client, line);
                assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
            }
            // What has expired goes when the primary says so.
            assert!(eventually(|| call(&mut client, "EXISTS gone") == Value::Integer(0)));
            assert_eq!(call(&mut client, "WAIT 1 60000"), Value::Integer(1), "{context}");
            agree(&primary, &replica, &context);
            assert_eq!(call(&mut theirs, "FUNCTION LIST"), Value::Array(Vec::new()));
            call(&mut client, "FLUSHALL");
            call(&mut client, "SET last 1");
            agree(&primary, &replica, &context);
            assert_eq!(call(&mut theirs, "DBSIZE"), Value::Integer(1));
            assert_eq!(statistic(&primary, "sync_full"), 1);
        }
    }
}

#[test]
fn subscribers_of_a_replica_hear_what_is_published_at_the_primary() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let primary = primary(mode, directory.path(), &[]);
        let replica = replica("redis-server", directory.path(), &primary, &[]);
        catch_up(&primary, &replica);
        let mut subscriber = replica.connect().unwrap();
        subscriber.send(&["SUBSCRIBE", "news"]).unwrap();
        subscriber.read_reply().unwrap();
        let mut client = primary.connect().unwrap();
        call(&mut client, "PUBLISH news one");
        for line in ["MULTI", "PUBLISH news two", "SET k v", "EXEC"] {
            call(&mut client, line);
        }
        for message in ["one", "two"] {
            let heard = subscriber.read_reply().unwrap().value;
            let elements = heard.elements().unwrap().to_vec();
            assert_eq!(elements[2], Value::Bulk(message.into()));
        }
        agree(&primary, &replica, "after the messages");
    }
}

#[test]
fn what_is_evicted_goes_at_the_replica() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let options = ["--maxmemory", "40mb", "--maxmemory-policy", "allkeys-lru"];
        let primary = primary(mode, directory.path(), &options);
        let replica = replica("redis-server", directory.path(), &primary, &[]);
        catch_up(&primary, &replica);
        let mut client = primary.connect().unwrap();
        let value = "x".repeat(10_000);
        for first in (0..6000).step_by(100) {
            let requests: Vec<Vec<String>> = (first..first + 100)
                .map(|number| vec!["SET".to_owned(), format!("key:{number}"), value.clone()])
                .collect();
            client.pipeline(&requests).unwrap();
        }
        assert!(statistic(&primary, "evicted_keys") > 1000, "{mode}");
        // Nothing more is to go while they are compared.
        call(&mut client, "CONFIG SET maxmemory 0");
        agree(&primary, &replica, &mode.to_string());
    }
}

/// Writes over the whole keyspace until it is told to end: commands over one key and over several, transactions, scripts,
/// what expires and what is popped.
fn write(address: SocketAddr, number: u64, ends: &AtomicBool, written: &AtomicU64) {
    let mut client = Client::connect(address).unwrap();
    let mut round = 0_u64;
    while !ends.load(Ordering::Relaxed) {
        let key = |which: u64| format!("key:{}", (round * 7919 + which * 31 + number) % 500);
        let mut lines = Vec::new();
        for which in 0..16 {
            lines.push(format!("SET {} {round}:{which}:{number}", key(which)));
        }
        lines.push(format!("MSET {} {round} {} {number}", key(20), key(21)));
        lines.push("MULTI".to_owned());
        lines.push(format!("INCR counter:{number}"));
        lines.push(format!("RPUSH list:{} {round}", round % 20));
        lines.push("EXEC".to_owned());
        lines.push(format!("LPOP list:{}", (round + 3) % 20));
        lines.push(format!("SPOP set:{}", round % 10));
        lines.push(format!("SADD set:{} {round} {number}", round % 10));
        lines.push(format!("EVAL redis.call('APPEND',KEYS[1],ARGV[1]) 1 {} x", key(22)));
        lines.push(format!("SET short:{} x PX 30", round % 50));
        lines.push(format!("DEL {}", key(23)));
        let requests: Vec<Vec<String>> =
            lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
        client.pipeline(&requests).unwrap();
        written.fetch_add(lines.len() as u64, Ordering::Relaxed);
        round += 1;
    }
}

/// Cuts of one run.
const CUTS: u64 = 60;

#[test]
fn a_link_that_is_cut_goes_on_where_it_was() {
    for (peer, mode) in peers().into_iter().cycle().zip(MODES) {
        let context = format!("{peer}, {mode}");
        let directory = tempfile::tempdir().unwrap();
        let primary = primary(mode, directory.path(), &[]);
        let replica = replica(peer, directory.path(), &primary, &[]);
        catch_up(&primary, &replica);
        let (ends, written) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..2 {
                let (ends, written) = (&ends, &written);
                let address = primary.address();
                scope.spawn(move || write(address, number, ends, written));
            }
            let mut client = primary.connect().unwrap();
            for cut in 1..=CUTS {
                let before = written.load(Ordering::Relaxed);
                wait_for("writes", PATIENCE, || written.load(Ordering::Relaxed) > before + 200);
                assert_eq!(call(&mut client, "CLIENT KILL TYPE replica"), Value::Integer(1));
                let syncs =
                    || statistic(&primary, "sync_partial_ok") + statistic(&primary, "sync_full");
                assert!(
                    eventually(|| syncs() == cut + 1),
                    "{context}: cut {cut}\n{}",
                    replica.log()
                );
                assert!(eventually(|| replication(&primary, "slave0").contains("state=online")));
            }
            ends.store(true, Ordering::Relaxed);
        });
        assert_eq!(statistic(&primary, "sync_full"), 1, "{context}: {}", primary.log());
        assert_eq!(statistic(&primary, "sync_partial_ok"), CUTS, "{context}");
        // What is due in a moment would go in the middle of the comparison.
        let mut client = primary.connect().unwrap();
        for number in 0..50 {
            call(&mut client, &format!("DEL short:{number}"));
        }
        agree(&primary, &replica, &context);
    }
}

#[test]
fn all_data_are_of_one_instant_while_they_change() {
    for (peer, mode) in peers().into_iter().cycle().zip(MODES) {
        for is_diskless in ["yes", "no"] {
            let context = format!("{peer}, {mode}, diskless {is_diskless}");
            let directory = tempfile::tempdir().unwrap();
            let options = ["--repl-diskless-sync", is_diskless];
            let primary = primary(mode, directory.path(), &options);
            let mut client = primary.connect().unwrap();
            call(&mut client, "DEBUG POPULATE 4000 filler 10000");
            let (ends, written) = (AtomicBool::new(false), AtomicU64::new(0));
            let replicas = thread::scope(|scope| {
                let (ends, written) = (&ends, &written);
                let address = primary.address();
                scope.spawn(move || write(address, 1, ends, written));
                let directory = directory.path();
                let one = replica(peer, directory, &primary, &["--dbfilename", "one"]);
                let two = replica(peer, directory, &primary, &["--dbfilename", "two"]);
                for replica in [&one, &two] {
                    assert!(eventually(|| replication(replica, "master_link_status") == "up"));
                }
                let before = written.load(Ordering::Relaxed);
                wait_for("writes", PATIENCE, || written.load(Ordering::Relaxed) > before + 2000);
                ends.store(true, Ordering::Relaxed);
                [one, two]
            });
            for number in 0..50 {
                call(&mut client, &format!("DEL short:{number}"));
            }
            assert_eq!(call(&mut client, "WAIT 2 60000"), Value::Integer(2), "{context}");
            for replica in &replicas {
                agree(&primary, replica, &context);
            }
            assert_eq!(statistic(&primary, "sync_full"), 2, "{context}");
        }
    }
}

#[test]
fn replicas_that_come_together_share_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let options = ["--repl-diskless-sync-delay", "3600", "--repl-diskless-sync-max-replicas", "3"];
    let primary = primary(MODES[1], directory.path(), &options);
    let mut client = primary.connect().unwrap();
    fill(&mut client);
    let replicas = ["one", "two", "three"]
        .map(|name| replica("redis-server", directory.path(), &primary, &["--dbfilename", name]));
    for replica in &replicas {
        agree(&primary, replica, "together");
    }
    assert_eq!(primary.log().matches("Starting BGSAVE for SYNC").count(), 1, "{}", primary.log());
    assert_eq!(statistic(&primary, "sync_full"), 3);
    assert_eq!(call(&mut client, "WAIT 3 60000"), Value::Integer(3));
}

#[test]
fn writes_are_waited_for_and_refused_without_replicas() {
    let directory = tempfile::tempdir().unwrap();
    let primary = primary(MODES[1], directory.path(), &["--min-replicas-to-write", "1"]);
    let mut client = primary.connect().unwrap();
    let refused = Value::Error(b"NOREPLICAS Not enough good replicas to write.".to_vec());
    for line in ["SET a 1", "EVAL return(redis.pcall('SET','a','1')) 0"] {
        assert!(eventually(|| call(&mut client, line) == refused), "{line}");
    }
    assert_eq!(call(&mut client, "GET a"), Value::NullBulk);
    assert_eq!(replication(&primary, "min_slaves_good_slaves"), "0");
    let replica = replica("redis-server", directory.path(), &primary, &[]);
    catch_up(&primary, &replica);
    assert!(eventually(|| call(&mut client, "SET a 1") == ok()));
    assert_eq!(call(&mut client, "WAIT 1 60000"), Value::Integer(1));
    assert_eq!(call(&mut client, "WAIT 2 10"), Value::Integer(1));
    let role = call(&mut client, "ROLE");
    let listed = role.elements().unwrap()[2].elements().unwrap();
    let port = replica.address().port().to_string();
    assert_eq!(listed[0].elements().unwrap()[1], Value::Bulk(port.clone().into_bytes()));
    let line = replication(&primary, "slave0");
    assert!(line.starts_with(&format!("ip=127.0.0.1,port={port},state=online,offset=")), "{line}");
    let Value::Bulk(list) = call(&mut client, "CLIENT LIST TYPE replica") else { panic!() };
    assert!(String::from_utf8(list).unwrap().contains(" flags=S "));
    // It does not answer any more.
    call(&mut replica.connect().unwrap(), "REPLICAOF NO ONE");
    assert!(eventually(|| call(&mut client, "SET a 2") == refused));
    assert_eq!(replication(&primary, "connected_slaves"), "0");
}

/// The line that a server sends.
fn line(client: &mut Client) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(client.read_bytes(1).unwrap());
        if line == b"\n" {
            line.clear();
        }
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// Asks for all data and reads them: the history, and where in it the stream goes on.
fn take_all(client: &mut Client, capability: &str) -> (String, u64) {
    assert_eq!(call(client, &format!("REPLCONF capa {capability}")), ok());
    client.send(&["PSYNC", "?", "-1"]).unwrap();
    let greeting = line(client);
    let words: Vec<&str> = greeting.split(' ').collect();
    assert_eq!(words[0], "+FULLRESYNC");
    let header = line(client);
    let data = if let Some(mark) = header.strip_prefix("$EOF:") {
        let mut data = Vec::new();
        while !data.ends_with(mark.as_bytes()) {
            data.extend(client.read_bytes(1).unwrap());
        }
        client.send(&["REPLCONF", "ACK", "0"]).unwrap();
        data
    } else {
        client.read_bytes(header.strip_prefix('$').unwrap().parse().unwrap()).unwrap()
    };
    assert!(data.starts_with(b"REDIS00"));
    (words[1].to_owned(), words[2].parse().unwrap())
}

#[test]
fn the_stream_goes_on_from_any_place_that_is_kept() {
    for mode in MODES {
        for capability in ["eof", "psync2"] {
            let directory = tempfile::tempdir().unwrap();
            let primary = primary(mode, directory.path(), &[]);
            let mut client = primary.connect().unwrap();
            call(&mut client, "SET before 1");
            let mut replica = primary.connect().unwrap();
            let (id, offset) = take_all(&mut replica, capability);
            call(&mut client, "SET a 1");
            call(&mut client, "INCR a");
            let expected = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n\
                            *2\r\n$4\r\nINCR\r\n$1\r\na\r\n";
            assert_eq!(replica.read_bytes(expected.len()).unwrap(), expected.as_bytes());
            for skipped in [0, 1, 23, expected.len()] {
                let mut again = primary.connect().unwrap();
                call(&mut again, "REPLCONF listening-port 7 capa psync2");
                let first = offset + skipped as u64 + 1;
                again.send(&["PSYNC", &id, &first.to_string()]).unwrap();
                assert_eq!(line(&mut again), format!("+CONTINUE {id}"));
                let rest = &expected.as_bytes()[skipped..];
                assert_eq!(again.read_bytes(rest.len()).unwrap(), rest);
            }
            assert_eq!(statistic(&primary, "sync_partial_ok"), 4);
            // What has not happened, and another history.
            let far = (offset + 1000).to_string();
            let other = "0123456789".repeat(4);
            for (id, first) in [(&id, far), (&other, "1".to_owned())] {
                let mut again = primary.connect().unwrap();
                again.send(&["PSYNC", id, &first]).unwrap();
                assert!(line(&mut again).starts_with("+FULLRESYNC"));
            }
            assert_eq!(statistic(&primary, "sync_partial_err"), 2);
        }
    }
}

/// The commands that a replica is sent, up to the one that begins with `last`, words in lower case.
fn commands_up_to(client: &mut Client, last: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    while commands.last().is_none_or(|command| !command.starts_with(last)) {
        let header = line(client);
        let count: usize = header.strip_prefix('*').unwrap().parse().unwrap();
        let mut words = Vec::new();
        for _ in 0..count {
            let length: usize = line(client).strip_prefix('$').unwrap().parse().unwrap();
            words.push(String::from_utf8(client.read_bytes(length).unwrap()).unwrap());
            client.read_bytes(2).unwrap();
        }
        commands.push(words.join(" ").to_lowercase());
    }
    commands
}

#[test]
fn what_goes_by_itself_is_told_as_it_is_set() {
    for mode in MODES {
        for (value, deletion) in [("yes", "unlink"), ("no", "del")] {
            let directory = tempfile::tempdir().unwrap();
            let options = ["expire", "eviction", "server-del"]
                .map(|what| [format!("--lazyfree-lazy-{what}"), value.to_owned()]);
            let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
            let primary = primary(mode, directory.path(), &options);
            let mut client = primary.connect().unwrap();
            let mut replica = primary.connect().unwrap();
            take_all(&mut replica, "eof");
            call(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
            for line in [
                "FLUSHDB",
                "MULTI",
                "SET a 1",
                "SET b 1 PX 1",
                "DEBUG SLEEP 0.01",
                "EXEC",
                "INCR b",
                "EXPIRE a -1",
                "SADD s m",
                "SPOP s 2",
                "DEL b",
                "SET c 1 PX 1",
            ] {
                let reply = call(&mut client, line);
                assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
            }
            assert!(eventually(|| call(&mut client, "EXISTS c") == Value::Integer(0)));
            call(&mut client, "SET d 1");
            call(&mut client, "CONFIG SET maxmemory-policy allkeys-random maxmemory 1");
            assert!(eventually(|| call(&mut client, "DBSIZE") == Value::Integer(0)));
            call(&mut client, "CONFIG SET maxmemory 0");
            call(&mut client, "SET last 1");
            let told = commands_up_to(&mut replica, "set last");
            // When it expires is a time.
            let told = told.iter().map(|command| command.split(" pxat").next().unwrap());
            let expected = "select 0; flushdb; multi; set a 1; set b 1; exec; multi; DELETION b; incr b; exec; DELETION a; \
                            sadd s m; DELETION s; del b; set c 1; DELETION c; set d 1; DELETION d; set last 1";
            assert_eq!(
                told.collect::<Vec<_>>().join("; "),
                expected.replace("DELETION", deletion),
                "{mode}"
            );
        }
    }
}

#[test]
fn a_replica_that_asks_like_a_client_is_closed() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let primary = primary(mode, directory.path(), &[]);
        let mut client = primary.connect().unwrap();
        for (asked, said) in [("PING", "'ping'"), ("GET foo", "'get'"), ("FOO", "'<unknown>'")] {
            let mut replica = primary.connect().unwrap();
            take_all(&mut replica, "eof");
            let words: Vec<&str> = asked.split(' ').collect();
            replica.send(&words).unwrap();
            assert!(replica.read_bytes(1).is_err(), "{asked}");
            assert!(eventually(|| replication(&primary, "connected_slaves") == "0"), "{asked}");
            let said = format!("Replica generated a reply to command {said}, disconnecting it: ");
            assert!(eventually(|| primary.log().contains(&said)), "{}", primary.log());
        }
        let critical = "Replica can't interact with the keyspace";
        assert!(eventually(|| primary.log().contains(critical)), "{}", primary.log());
        assert_eq!(call(&mut client, "PING"), Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn what_was_kept_for_a_replica_goes_with_it() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let primary = primary(mode, directory.path(), &["--repl-backlog-size", "16384"]);
        let mut client = primary.connect().unwrap();
        let mut replica = primary.connect().unwrap();
        take_all(&mut replica, "psync2");
        let value = "x".repeat(100_000);
        let buffers = |client: &mut Client| -> u64 {
            info(client, "memory", "mem_clients_slaves").parse().unwrap()
        };
        for _ in 0..200 {
            call(&mut client, &format!("SET key {value}"));
        }
        assert!(buffers(&mut client) > 8 << 20, "{mode}");
        assert!(statistic(&primary, "total_net_repl_output_bytes") > 0);
        assert_eq!(call(&mut client, "CLIENT KILL TYPE replica"), Value::Integer(1));
        assert!(eventually(|| buffers(&mut client) == 0), "{mode}");
    }
}

#[test]
fn a_replica_that_does_not_read_is_closed_and_costs_a_bounded_amount() {
    let directory = tempfile::tempdir().unwrap();
    let options = [
        "--client-output-buffer-limit",
        "replica 4mb 0 0",
        "--repl-backlog-size",
        "1mb",
        "--maxmemory",
        "64mb",
    ];
    let primary = primary(MODES[0], directory.path(), &options);
    let mut client = primary.connect().unwrap();
    let mut replica = primary.connect().unwrap();
    take_all(&mut replica, "psync2");
    let value = "x".repeat(100_000);
    let mut most = 0;
    let is_gone = |client: &mut Client| info(client, "replication", "connected_slaves") == "0";
    let mut rounds = 0;
    while !is_gone(&mut client) {
        call(&mut client, &format!("SET key {value}"));
        let taken: u64 =
            info(&mut client, "memory", "mem_total_replication_buffers").parse().unwrap();
        most = most.max(taken);
        rounds += 1;
        assert!(rounds < 2000, "it is not closed");
    }
    // What it had not got goes with it, so the most is seen before the write that is too much.
    assert!((3 << 20..8 << 20).contains(&most), "{most}");
    assert_eq!(statistic(&primary, "client_output_buffer_limit_disconnections"), 1);
    call(&mut client, "SET key 1");
    let kept: u64 = info(&mut client, "replication", "repl_backlog_histlen").parse().unwrap();
    assert!(kept < (1 << 20) + 50_000, "{kept}");
}

#[test]
fn redis_cli_takes_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let primary = primary(MODES[1], directory.path(), &[]);
    let mut client = primary.connect().unwrap();
    fill(&mut client);
    let file = directory.path().join("taken.rdb");
    let port = primary.address().port().to_string();
    let run = Command::new("redis-cli").args(["-p", &port, "--rdb"]).arg(&file).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let spec = ServerSpec {
        name: "redis-server".to_owned(),
        program: "redis-server".into(),
        arguments: ["--enable-debug-command", "yes"].map(str::to_owned).to_vec(),
    };
    let options = ["--dbfilename", "taken.rdb"];
    let server = Server::start(&in_directory(&spec, directory.path(), &options)).unwrap();
    assert_eq!(first_difference(&held(&primary), &held(&server)), None);
    assert!(eventually(|| replication(&primary, "connected_slaves") == "0"));
}
