//! Darter as a replica: of redis-server, of valkey-server where there is one, and of Darter. It gets all data and whatever
//! happens after, goes on after its link was cut, and loses nothing to a transfer that breaks.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use darter_testkit::cutter::Cutter;
use darter_testkit::diff::contents::first_difference;
use darter_testkit::durable::{
    call, darter_in, eventually, go_on, in_directory, info, ok, peers, stand_still, wait_for,
};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::replication::{CHANGES, agree, catch_up, fill, held, replication, statistic};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// One worker and several, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// How long a loaded machine may take for anything.
const PATIENCE: Duration = Duration::from_mins(2);

/// Who is the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Peer(&'static str),
    Darter(ServerMode),
}

/// The primaries that this machine has.
fn primaries() -> Vec<Kind> {
    peers().into_iter().map(Kind::Peer).chain(MODES.map(Kind::Darter)).collect()
}

fn start(kind: Kind, directory: &Path, more: &[&str]) -> Server {
    let options = [&["--save", ""], more].concat();
    let spec = match kind {
        Kind::Darter(mode) => darter_in(mode, directory, &options),
        Kind::Peer(program) => {
            let spec = ServerSpec {
                name: program.to_owned(),
                program: program.into(),
                arguments: ["--enable-debug-command", "yes"].map(str::to_owned).to_vec(),
            };
            let options = [&["--repl-diskless-sync-delay", "0"], &*options].concat();
            in_directory(&spec, directory, &options)
        }
    };
    Server::start(&spec).unwrap()
}

/// Makes `replica` one of what listens at `primary`.
fn follow(replica: &Server, primary: SocketAddr) {
    let line = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    assert_eq!(call(&mut replica.connect().unwrap(), &line), ok());
}

/// A primary, and a replica that has all of its data.
struct Pair {
    _directories: [tempfile::TempDir; 2],
    primary: Server,
    replica: Server,
}

impl Pair {
    fn start(mode: ServerMode) -> Self {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Darter(mode), directories[0].path(), &[]);
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        follow(&replica, primary.address());
        catch_up(&primary, &replica);
        Self { _directories: directories, primary, replica }
    }
}

#[test]
fn all_data_come_and_then_what_happens() {
    for kind in primaries() {
        for (mode, load) in MODES.into_iter().zip(["disabled", "on-empty-db"]) {
            for diskless in ["yes", "no"] {
                let context = format!("{kind:?}, {mode}, {load}, diskless {diskless}");
                let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
                let options = ["--repl-diskless-sync", diskless];
                let primary = start(kind, directories[0].path(), &options);
                let mut client = primary.connect().unwrap();
                fill(&mut client);
                let options = ["--repl-diskless-load", load];
                let replica = start(Kind::Darter(mode), directories[1].path(), &options);
                let mut ours = replica.connect().unwrap();
                if load == "disabled" {
                    call(&mut ours, "SET old 1");
                }
                follow(&replica, primary.address());
                agree(&primary, &replica, &context);
                let libraries = call(&mut ours, "FUNCTION LIST");
                assert_eq!(libraries.elements().map(<[Value]>::len), Some(1), "{context}");
                for line in CHANGES {
                    let reply = call(&mut client, line);
                    assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
                }
                assert!(eventually(|| call(&mut client, "EXISTS gone") == Value::Integer(0)));
                assert_eq!(call(&mut client, "WAIT 1 60000"), Value::Integer(1), "{context}");
                agree(&primary, &replica, &context);
                assert_eq!(call(&mut ours, "FUNCTION LIST"), Value::Array(Vec::new()));
                call(&mut client, "FLUSHALL");
                call(&mut client, "SET last 1");
                agree(&primary, &replica, &context);
                assert_eq!(call(&mut ours, "DBSIZE"), Value::Integer(1), "{context}");
                assert_eq!(statistic(&primary, "sync_full"), 1, "{context}");
                assert!(!replica.log().contains("CRITICAL"), "{}", replica.log());
            }
        }
    }
}

/// Writes over the whole keyspace until it is told to end.
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
fn a_link_that_is_cut_anywhere_goes_on_where_it_was() {
    for (number, kind) in primaries().into_iter().enumerate() {
        let mode = MODES[number % MODES.len()];
        let context = format!("{kind:?}, {mode}");
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        // redis-server keeps a megabyte unless told otherwise.
        let keeps: &[&str] = match kind {
            Kind::Peer(_) => &["--repl-backlog-size", "64mb"],
            Kind::Darter(_) => &[],
        };
        let primary = start(kind, directories[0].path(), keeps);
        let cutter = Cutter::start(primary.address()).unwrap();
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        follow(&replica, cutter.address());
        catch_up(&primary, &replica);
        let (ends, written) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..2 {
                let (ends, written) = (&ends, &written);
                let address = primary.address();
                scope.spawn(move || write(address, number, ends, written));
            }
            for cut in 1..=CUTS {
                let before = written.load(Ordering::Relaxed);
                wait_for("writes", PATIENCE, || written.load(Ordering::Relaxed) > before + 200);
                let connections = cutter.connections();
                // In the middle of whatever is being said.
                cutter.cut_after(u32::try_from(cut * 997 % 20_000).unwrap());
                assert!(
                    eventually(|| {
                        cutter.connections() > connections
                            && replication(&replica, "master_link_status") == "up"
                    }),
                    "{context}: cut {cut}\n{}",
                    replica.log()
                );
            }
            ends.store(true, Ordering::Relaxed);
        });
        let (full, partial) =
            (statistic(&primary, "sync_full"), statistic(&primary, "sync_partial_ok"));
        assert_eq!(full, 1, "{context}: {partial} partial\n{}", replica.log());
        assert!(partial >= CUTS, "{context}: {partial}");
        // What is due in a moment would go in the middle of the comparison.
        let mut client = primary.connect().unwrap();
        for number in 0..50 {
            call(&mut client, &format!("DEL short:{number}"));
        }
        agree(&primary, &replica, &context);
    }
}

#[test]
fn a_transfer_that_breaks_costs_nothing() {
    for (number, kind) in primaries().into_iter().enumerate() {
        let mode = MODES[number % MODES.len()];
        for diskless in ["yes", "no"] {
            let context = format!("{kind:?}, {mode}, diskless {diskless}");
            let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let options = ["--repl-diskless-sync", diskless, "--rdbcompression", "no"];
            let primary = start(kind, directories[0].path(), &options);
            let mut client = primary.connect().unwrap();
            call(&mut client, "DEBUG POPULATE 20000 filler 100");
            let cutter = Cutter::start(primary.address()).unwrap();
            let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
            let mut ours = replica.connect().unwrap();
            call(&mut ours, "SET old 1");
            let tries = || replica.log().matches("Full resync from primary").count();
            cutter.cut_after(700_000);
            follow(&replica, cutter.address());
            assert!(eventually(|| tries() >= 1), "{context}\n{}", replica.log());
            assert!(eventually(
                || replica.log().contains("I/O error") || replica.log().contains("closed")
            ));
            assert_eq!(call(&mut ours, "GET old"), Value::Bulk(b"1".to_vec()), "{context}");
            // Once more, with a byte that is another one than it was.
            cutter.spoil_after(600_000);
            agree(&primary, &replica, &context);
            let log = replica.log();
            assert!(tries() >= 3, "{context}\n{log}");
            assert!(log.contains("checksum is wrong"), "{context}\n{log}");
            assert_eq!(call(&mut ours, "EXISTS old"), Value::Integer(0), "{context}");
            // Nothing of it is left.
            let left = std::fs::read_dir(directories[1].path()).unwrap().flatten();
            let left: Vec<_> = left.map(|file| file.file_name()).collect();
            assert!(
                left.iter().all(|name| !name.to_string_lossy().starts_with("temp-")),
                "{left:?}"
            );
        }
    }
}

#[test]
fn a_replica_refuses_writes_and_serves_old_data_unless_told_not_to() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Peer("redis-server"), directories[0].path(), &[]);
        let cutter = Cutter::start(primary.address()).unwrap();
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        call(&mut primary.connect().unwrap(), "SET a 1");
        follow(&replica, cutter.address());
        catch_up(&primary, &replica);
        let mut client = replica.connect().unwrap();
        let read_only =
            Value::Error(b"READONLY You can't write against a read only replica.".to_vec());
        for line in ["SET a 2", "DEL a", "EVAL return(redis.pcall('SET','a','2')) 0"] {
            assert_eq!(call(&mut client, line), read_only, "{line}");
        }
        assert_eq!(call(&mut client, "MULTI"), ok());
        assert_eq!(call(&mut client, "SET a 2"), read_only);
        assert!(matches!(call(&mut client, "EXEC"), Value::Error(_)));
        assert_eq!(call(&mut client, "GET a"), Value::Bulk(b"1".to_vec()));
        assert_eq!(replication(&replica, "role"), "slave");
        assert_eq!(replication(&replica, "master_host"), "127.0.0.1");
        assert_eq!(replication(&replica, "master_port"), cutter.address().port().to_string());
        assert_eq!(replication(&replica, "slave_read_only"), "1");
        let role = call(&mut client, "ROLE");
        let role = role.elements().unwrap();
        assert_eq!(role[0], Value::Bulk(b"slave".to_vec()));
        assert_eq!(role[3], Value::Bulk(b"connected".to_vec()));
        let line = call(&mut client, &format!("REPLICAOF 127.0.0.1 {}", cutter.address().port()));
        assert_eq!(line, Value::Simple(b"OK Already connected to specified master".to_vec()));
        let configured = call(&mut client, "CONFIG GET replicaof");
        let expected = format!("127.0.0.1 {}", cutter.address().port()).into_bytes();
        assert_eq!(configured.elements().unwrap()[1], Value::Bulk(expected));

        // The primary is gone.
        drop(primary);
        assert!(eventually(|| replication(&replica, "master_link_status") == "down"));
        assert_eq!(call(&mut client, "GET a"), Value::Bulk(b"1".to_vec()));
        call(&mut client, "CONFIG SET replica-serve-stale-data no");
        let stale =
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
        assert!(eventually(|| call(&mut client, "GET a") == Value::Error(stale.into())));
        assert!(matches!(call(&mut client, "INFO replication"), Value::Bulk(_)));
        call(&mut client, "CONFIG SET replica-serve-stale-data yes");
        call(&mut client, "CONFIG SET replica-read-only no");
        assert!(eventually(|| call(&mut client, "SET b 2") == ok()));
        call(&mut client, "CONFIG SET replica-read-only yes");
        assert!(eventually(|| call(&mut client, "SET b 3") == read_only));
        assert_eq!(call(&mut client, "REPLICAOF NO ONE"), ok());
        assert!(eventually(|| call(&mut client, "SET b 3") == ok()));
        assert_eq!(replication(&replica, "role"), "master");
    }
}

#[test]
fn what_has_expired_is_hidden_until_the_primary_says_that_it_is_gone() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Peer("redis-server"), directories[0].path(), &[]);
        let mut theirs = primary.connect().unwrap();
        call(&mut theirs, "DEBUG SET-ACTIVE-EXPIRE 0");
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        follow(&replica, primary.address());
        catch_up(&primary, &replica);
        call(&mut theirs, "SET k v PX 1");
        call(&mut theirs, "RPUSH l a");
        call(&mut theirs, "PEXPIRE l 1");
        catch_up(&primary, &replica);
        let mut ours = replica.connect().unwrap();
        assert!(eventually(|| call(&mut ours, "EXISTS k l") == Value::Integer(0)));
        assert_eq!(call(&mut ours, "GET k"), Value::NullBulk);
        assert_eq!(call(&mut ours, "LRANGE l 0 -1"), Value::Array(Vec::new()));
        assert_eq!(call(&mut ours, "DBSIZE"), Value::Integer(2));
        // Nobody else deletes it.
        let expired = || info(&mut replica.connect().unwrap(), "stats", "expired_keys");
        assert_eq!(expired(), "0");
        assert_eq!(call(&mut theirs, "EXISTS k l"), Value::Integer(0));
        catch_up(&primary, &replica);
        assert_eq!(call(&mut ours, "DBSIZE"), Value::Integer(0));
    }
}

#[test]
fn a_promoted_replica_is_gone_on_with_by_the_others() {
    for (first, second) in [(MODES[0], MODES[1]), (MODES[1], MODES[0])] {
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Peer("redis-server"), directories[0].path(), &[]);
        let one = start(Kind::Darter(first), directories[1].path(), &[]);
        let two = start(Kind::Darter(second), directories[2].path(), &[]);
        let mut client = primary.connect().unwrap();
        fill(&mut client);
        follow(&one, primary.address());
        catch_up(&primary, &one);
        // What one gets goes on to two as it is.
        follow(&two, one.address());
        for line in CHANGES {
            call(&mut client, line);
        }
        assert!(eventually(|| call(&mut client, "EXISTS gone") == Value::Integer(0)));
        agree(&primary, &one, "the first");
        agree(&one, &two, "the second");
        assert_eq!(
            replication(&two, "master_replid"),
            replication(&primary, "master_replid"),
            "it is one history"
        );
        drop(primary);
        assert_eq!(call(&mut one.connect().unwrap(), "REPLICAOF NO ONE"), ok());
        let mut client = one.connect().unwrap();
        assert!(eventually(|| call(&mut client, "SET after 1") == ok()));
        agree(&one, &two, "after the promotion");
        assert_eq!(statistic(&one, "sync_full"), 1, "{}", two.log());
        assert_eq!(replication(&two, "master_replid"), replication(&one, "master_replid"));
    }
}

#[test]
fn a_replica_keeps_a_log_of_its_own() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let chained = tempfile::tempdir().unwrap();
        let primary = start(Kind::Peer("redis-server"), directories[0].path(), &[]);
        let mut client = primary.connect().unwrap();
        fill(&mut client);
        let options = ["--appendonly", "yes", "--appendfsync", "always"];
        let replica = start(Kind::Darter(mode), directories[1].path(), &options);
        call(&mut replica.connect().unwrap(), "SET old 1");
        follow(&replica, primary.address());
        catch_up(&primary, &replica);
        for line in CHANGES {
            call(&mut client, line);
        }
        assert!(eventually(|| call(&mut client, "EXISTS gone") == Value::Integer(0)));
        agree(&primary, &replica, "with a log");
        let persistence = |field: &str| info(&mut replica.connect().unwrap(), "persistence", field);
        // The log is whole once the data that came are its base.
        assert!(eventually(|| {
            persistence("aof_rewrites") != "0" && persistence("aof_rewrite_in_progress") == "0"
        }));
        assert_eq!(persistence("aof_last_bgrewrite_status"), "ok");
        call(&mut client, "SET behind 1");
        agree(&primary, &replica, "behind the base");
        // redis-server 7.0 does not listen to that; Darter does.
        let chained = start(Kind::Darter(mode), chained.path(), &[]);
        follow(&replica, chained.address());
        catch_up(&chained, &replica);
        let mut client = chained.connect().unwrap();
        call(&mut client, "SET on disk");
        let waited = call(&mut client, "WAITAOF 0 1 60000");
        assert_eq!(waited.elements().unwrap()[1], Value::Integer(1), "{}", replica.log());
        call(&mut replica.connect().unwrap(), "REPLICAOF NO ONE");
        follow(&replica, primary.address());
        catch_up(&primary, &replica);
        assert!(eventually(|| info(
            &mut replica.connect().unwrap(),
            "persistence",
            "aof_rewrites"
        ) == "3"));
        assert!(eventually(|| {
            info(&mut replica.connect().unwrap(), "persistence", "aof_rewrite_in_progress") == "0"
        }));
        drop(replica);
        let again = start(Kind::Darter(mode), directories[1].path(), &options);
        if let Some(difference) = first_difference(&held(&primary), &held(&again)) {
            panic!("{mode}: {difference}\n{}", again.log());
        }
    }
}

#[test]
fn a_replica_that_was_started_again_goes_on_where_it_was() {
    for kind in [Kind::Peer("redis-server"), Kind::Darter(MODES[1])] {
        for mode in MODES {
            let context = format!("{kind:?}, {mode}");
            let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
            let primary = start(kind, directories[0].path(), &[]);
            let mut client = primary.connect().unwrap();
            fill(&mut client);
            let port = primary.address().port().to_string();
            let options = ["--replicaof", "127.0.0.1", &port];
            let mut replica = start(Kind::Darter(mode), directories[1].path(), &options);
            catch_up(&primary, &replica);
            call(&mut client, "SELECT 3");
            call(&mut client, "SET a 1");
            catch_up(&primary, &replica);
            replica.connect().unwrap().send(&["SHUTDOWN", "SAVE"]).unwrap();
            assert!(eventually(|| !replica.is_running()), "{}", replica.log());
            // Of the database that was selected before.
            call(&mut client, "SET a 2");
            let replica = start(Kind::Darter(mode), directories[1].path(), &options);
            agree(&primary, &replica, &context);
            assert_eq!(statistic(&primary, "sync_full"), 1, "{context}\n{}", replica.log());
            assert_eq!(statistic(&primary, "sync_partial_ok"), 1, "{context}");
        }
    }
}

#[test]
fn who_waits_for_what_does_not_come_to_a_replica_is_told() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = start(Kind::Darter(mode), directory.path(), &[]);
        let mut client = server.connect().unwrap();
        let mut waiting: Vec<Client> = (0..3).map(|_| server.connect().unwrap()).collect();
        waiting[0].send(&["BLPOP", "queue", "0"]).unwrap();
        waiting[1].send(&["XREAD", "BLOCK", "0", "STREAMS", "stream", "$"]).unwrap();
        waiting[2].send(&["WAIT", "1", "0"]).unwrap();
        assert!(eventually(|| info(&mut client, "clients", "blocked_clients") == "3"));
        assert_eq!(call(&mut client, "REPLICAOF 127.0.0.1 1"), ok());
        for client in &mut waiting {
            let told = "UNBLOCKED force unblock from blocking operation, instance state changed \
                        (master -> replica?)";
            assert_eq!(client.read_reply().unwrap().value, Value::Error(told.into()));
            assert!(client.read_reply().is_err(), "it is closed");
        }
        assert_eq!(info(&mut client, "clients", "blocked_clients"), "0");
    }
}

/// An RDB file without keys, of version 9, and without a checksum.
const EMPTY: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

/// What a primary may send that is none, from its first answer on.
fn nonsense() -> Vec<Vec<u8>> {
    let id = "0123456789abcdef0123456789abcdef01234567";
    // PING, REPLCONF twice, PSYNC.
    let greeting = format!("+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC {id} 5\r\n").into_bytes();
    let full = [greeting.as_slice(), b"\n\n$18\r\n", EMPTY].concat();
    assert_eq!(EMPTY.len(), 18);
    let after = |start: &[u8], rest: &[u8]| [start, rest].concat();
    vec![
        b"-ERR no\r\n".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![b'x'; 100_000],
        b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC x 5\r\n".to_vec(),
        b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n".to_vec(),
        after(&greeting, b"-ERR no\r\n"),
        after(&greeting, b"$x\r\n"),
        after(&greeting, b"$9223372036854775807\r\nREDIS"),
        after(&greeting, b"$18446744073709551615\r\nREDIS"),
        after(&greeting, b"$EOF:short\r\n"),
        after(&greeting, b"$5\r\nREDIS"),
        after(&greeting, b"$18\r\nREDIS0009\xfe\0\0\0\0\0\0\0\0"),
        after(&full, b"*1\r\n$999999999999\r\n"),
        after(&full, b"*2147483648\r\n"),
        after(&full, b"*3\r\n$3\r\nSET\r\n$536870912\r\nx"),
        after(&full, b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n"),
        after(&full, b"*1\r\n$4\r\nEXEC\r\n"),
        after(&full, b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$1\r\n1\r\n"),
        after(&full, b"SET a b\r\n"),
        after(&full, b"*2\r\n$6\r\nSELECT\r\n$3\r\n999\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n-1\r\n"),
        after(&full, b"*1\r\n$3\r\nFOO\r\n*1\r\n$3\r\nGET\r\n*2\r\n$4\r\nINCR\r\n$0\r\n\r\n"),
        after(&full, b"*1\r\n$8\r\nSHUTDOWN\r\n*3\r\n$5\r\nDEBUG\r\n$8\r\nSEGFAULT\r\n$1\r\nx\r\n"),
        after(
            &full,
            b"*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n",
        ),
        after(&full, b"*3\r\n$9\r\nREPLICAOF\r\n$2\r\nNO\r\n$3\r\nONE\r\n"),
    ]
}

#[test]
fn a_primary_that_sends_nonsense_does_no_harm() {
    for mode in MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = start(Kind::Darter(mode), directory.path(), &["--repl-timeout", "1"]);
        let mut client = server.connect().unwrap();
        for bytes in nonsense() {
            let shown = bytes[..bytes.len().min(300)].escape_ascii().to_string();
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let address = listener.local_addr().unwrap();
            call(&mut client, "REPLICAOF NO ONE");
            assert!(eventually(|| call(&mut client, "SET kept 1") == ok()), "{shown}");
            follow(&server, address);
            let (mut stream, _) = listener.accept().unwrap();
            // It may be cut off before it has said everything.
            let _ = std::io::Write::write_all(&mut stream, &bytes);
            // What was sent has been dealt with when the replica has heard the end of it.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
            assert_eq!(replication(&server, "role"), "slave", "{shown}");
            assert!(
                eventually(|| matches!(call(&mut client, "GET h"), Value::NullBulk)),
                "{shown}"
            );
            let is_empty = bytes.windows(EMPTY.len()).any(|part| part == EMPTY);
            let kept = call(&mut client, "EXISTS kept");
            // Data without a checksum that cannot be loaded leave nothing.
            let is_damaged = bytes.ends_with(b"\xfe\0\0\0\0\0\0\0\0");
            let expected = i64::from(!is_empty && !is_damaged);
            assert_eq!(kept, Value::Integer(expected), "{shown}\n{}", server.log());
        }
    }
}

#[test]
fn a_primary_hands_over_to_a_replica() {
    // Darter to Darter, and in either direction with redis-server.
    let redis = Kind::Peer("redis-server");
    let pairs = [
        (Kind::Darter(MODES[0]), Kind::Darter(MODES[1])),
        (Kind::Darter(MODES[1]), redis),
        (redis, Kind::Darter(MODES[1])),
    ];
    for (first, second) in pairs {
        let context = format!("{first:?} to {second:?}");
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let one = start(first, directories[0].path(), &[]);
        let two = start(second, directories[1].path(), &[]);
        follow(&two, one.address());
        catch_up(&one, &two);
        assert!(eventually(|| replication(&one, "slave0").contains("state=online")));
        let (ends, written) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let (ends, written, address) = (&ends, &written, one.address());
            // Until it is told that this is a replica.
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                while !ends.load(Ordering::Relaxed) {
                    match call(&mut client, "INCR counter") {
                        Value::Integer(_) => written.fetch_add(1, Ordering::Relaxed),
                        error => {
                            assert!(matches!(error, Value::Error(_)), "{error:?}");
                            break;
                        }
                    };
                }
            });
            wait_for("writes", PATIENCE, || written.load(Ordering::Relaxed) > 100);
            let port = two.address().port();
            let line = format!("FAILOVER TO 127.0.0.1 {port}");
            let answer = call(&mut one.connect().unwrap(), &line);
            let is_done = eventually(|| {
                replication(&two, "role") == "master" && replication(&one, "role") == "slave"
            });
            // Also if it has gone wrong, or the writer would go on for ever.
            ends.store(true, Ordering::Relaxed);
            assert_eq!(answer, ok(), "{context}");
            assert!(is_done, "{context}\n{}\n{}", one.log(), two.log());
        });
        // Whatever was acknowledged is there.
        let mut client = two.connect().unwrap();
        let counted = Value::Bulk(written.load(Ordering::Relaxed).to_string().into_bytes());
        assert_eq!(call(&mut client, "GET counter"), counted, "{context}");
        assert_eq!(call(&mut client, "INCR after"), Value::Integer(1), "{context}");
        agree(&two, &one, &context);
        assert_eq!(replication(&one, "master_failover_state"), "no-failover");
        assert_eq!(statistic(&two, "sync_full"), 0, "{context}\n{}", one.log());
        assert_eq!(statistic(&two, "sync_partial_ok"), 1, "{context}");
    }
}

#[test]
fn handing_over_can_be_given_up() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Darter(mode), directories[0].path(), &[]);
        let mut client = primary.connect().unwrap();
        let error = |client: &mut Client, line: &str, text: &str| {
            assert_eq!(call(client, line), Value::Error(text.into()), "{line}");
        };
        error(&mut client, "FAILOVER", "ERR FAILOVER requires connected replicas.");
        let cutter = Cutter::start(primary.address()).unwrap();
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        follow(&replica, cutter.address());
        catch_up(&primary, &replica);
        let port = replica.address().port();
        error(
            &mut client,
            "FAILOVER TO 127.0.0.1 1",
            "ERR FAILOVER target HOST and PORT is not a replica.",
        );
        error(
            &mut client,
            &format!("FAILOVER TO 127.0.0.1 {port} FORCE"),
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        );
        // It stands still, so it will not have what is written now.
        stand_still(&replica);
        call(&mut client, "SET a 1");
        assert_eq!(call(&mut client, &format!("FAILOVER TO 127.0.0.1 {port} TIMEOUT 100")), ok());
        let state = || replication(&primary, "master_failover_state");
        let mut writer = primary.connect().unwrap();
        writer.send(&["SET", "b", "1"]).unwrap();
        assert!(eventually(|| state() == "no-failover"), "{}", primary.log());
        assert!(primary.log().contains("Replica never caught up before timeout"));
        assert_eq!(writer.read_reply().unwrap().value, ok(), "it was held back");
        assert_eq!(call(&mut client, "FAILOVER"), ok());
        assert_eq!(state(), "waiting-for-sync");
        error(&mut client, "FAILOVER", "ERR FAILOVER already in progress.");
        assert_eq!(call(&mut client, "FAILOVER ABORT"), ok());
        assert_eq!(state(), "no-failover", "at once");
        error(&mut client, "FAILOVER ABORT", "ERR No failover in progress.");
        assert_eq!(call(&mut client, "SET c 1"), ok());
        go_on(&replica);
        agree(&primary, &replica, "as before");
        assert_eq!(replication(&primary, "role"), "master");
        // One that does not want to be the primary.
        call(&mut replica.connect().unwrap(), "ACL SETUSER default -psync");
        assert_eq!(call(&mut client, &format!("FAILOVER TO 127.0.0.1 {port}")), ok());
        let refused = || primary.log().contains("Failover target rejected psync request");
        assert!(eventually(|| refused() && state() == "no-failover"), "{}", primary.log());
        assert_eq!(replication(&primary, "role"), "master");
        assert_eq!(call(&mut client, "SET d 1"), ok());
        agree(&primary, &replica, "refused");
        assert_eq!(statistic(&primary, "sync_full"), 1);
    }
}

/// Writers wait for as long as handing over takes, whatever becomes of `CLIENT PAUSE` meanwhile.
#[test]
fn a_pause_of_clients_and_handing_over_end_by_themselves() {
    for mode in MODES {
        let Pair { _directories, primary, replica } = Pair::start(mode);
        stand_still(&replica);
        let mut client = primary.connect().unwrap();
        call(&mut client, "SET a 1");
        assert_eq!(call(&mut client, "FAILOVER"), ok());
        let paused = |client: &mut Client| {
            ["paused_reason", "paused_actions"].map(|field| info(client, "clients", field))
        };
        let mut writer = primary.connect().unwrap();
        writer.send(&["SET", "b", "1"]).unwrap();
        wait_for_blocked(&primary, 1);
        assert_eq!(call(&mut client, "CLIENT PAUSE 1000000 WRITE"), ok());
        assert_eq!(paused(&mut client), ["failover_in_progress", "write"]);
        assert_eq!(call(&mut client, "CLIENT UNPAUSE"), ok());
        assert_eq!(paused(&mut client), ["failover_in_progress", "write"]);
        wait_for_blocked(&primary, 1);
        assert_eq!(call(&mut client, "CLIENT PAUSE 1000000 WRITE"), ok());
        assert_eq!(call(&mut client, "FAILOVER ABORT"), ok());
        assert_eq!(paused(&mut client), ["client_pause", "write"], "asked for meanwhile");
        wait_for_blocked(&primary, 1);
        assert_eq!(call(&mut client, "CLIENT UNPAUSE"), ok());
        assert_eq!(paused(&mut client), ["none", "none"]);
        assert_eq!(writer.read_reply().unwrap().value, ok());
        go_on(&replica);
    }
}

/// Calls of a command that INFO counts.
fn calls(server: &Server, command: &str) -> u64 {
    let Value::Bulk(text) = call(&mut server.connect().unwrap(), "INFO commandstats") else {
        panic!("a text")
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let start = format!("cmdstat_{command}:calls=");
    let found = text.lines().find_map(|line| line.strip_prefix(&*start)?.split(',').next());
    found.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn what_the_primary_says_is_counted_by_command_and_its_link_can_be_killed() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let primary = start(Kind::Darter(mode), directories[0].path(), &[]);
        let replica = start(Kind::Darter(mode), directories[1].path(), &[]);
        follow(&replica, primary.address());
        agree(&primary, &replica, "at first");
        let mut client = primary.connect().unwrap();
        assert_eq!(call(&mut client, "SADD s 1 2 3 4 5 6 7"), Value::Integer(7));
        for _ in 0..3 {
            call(&mut client, "SPOP s 2");
        }
        agree(&primary, &replica, "counted");
        assert_eq!([calls(&replica, "sadd"), calls(&replica, "srem")], [1, 3]);
        assert_eq!(calls(&replica, "spop"), 0, "it is told what was taken");
        let mut client = replica.connect().unwrap();
        assert_eq!(call(&mut client, "CONFIG RESETSTAT"), ok());
        assert_eq!(calls(&replica, "srem"), 0);
        assert!(eventually(|| info(&mut client, "clients", "connected_clients") == "1"));
        assert_eq!(call(&mut client, "CLIENT KILL TYPE normal SKIPME yes"), Value::Integer(0));
        assert_eq!(statistic(&primary, "sync_partial_ok"), 0);
        assert_eq!(call(&mut client, "CLIENT KILL TYPE primary"), Value::Integer(1));
        assert!(eventually(|| statistic(&primary, "sync_partial_ok") == 1), "{}", replica.log());
        agree(&primary, &replica, "after its link was killed");
        assert_eq!(call(&mut client, &format!("CLIENT KILL {}", primary.address())), ok());
        assert!(eventually(|| statistic(&primary, "sync_partial_ok") == 2), "{}", replica.log());
        agree(&primary, &replica, "after it was killed by its address");
        assert_eq!(statistic(&primary, "sync_full"), 1);
    }
}

#[test]
fn clients_that_can_be_redirected_are_sent_to_the_primary() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let primary = start(Kind::Darter(MODES[1]), directories[0].path(), &[]);
    let replica = start(Kind::Darter(MODES[1]), directories[1].path(), &[]);
    let mut client = replica.connect().unwrap();
    assert_eq!(call(&mut client, "CLIENT CAPA redirect"), ok());
    assert_eq!(call(&mut client, "MULTI"), ok());
    assert_eq!(call(&mut client, "SET k 1"), Value::Simple(b"QUEUED".to_vec()));
    follow(&replica, primary.address());
    let elsewhere = Value::Error(format!("REDIRECT {}", primary.address()).into_bytes());
    assert_eq!(call(&mut client, "EXEC"), elsewhere);
    assert_eq!(call(&mut client, "EXEC"), Value::Error(b"ERR EXEC without MULTI".to_vec()));
    let header = "#!lua\nreturn 1";
    for command in ["SET k 1", "GET k", "EVAL_RO return(1) 0"] {
        assert_eq!(call(&mut client, command), elsewhere, "{command}");
    }
    assert_eq!(client.call(&["EVAL", header, "0"]).unwrap(), elsewhere);
    // Of a script that says nothing of itself is not known what it does.
    assert_eq!(call(&mut client, "EVAL return(redis.call('get','k')) 1 k"), Value::NullBulk);
    let refused = |reply: Value, start: &str| {
        let Value::Error(line) = reply else { panic!("{reply:?}") };
        assert!(line.starts_with(start.as_bytes()), "{}", line.escape_ascii());
    };
    let line = "EVAL return(redis.call('set','k','1')) 1 k";
    refused(
        call(&mut client, line),
        "READONLY You can't write against a read only replica. script",
    );
    assert_eq!(call(&mut client, "PING"), Value::Simple(b"PONG".to_vec()));
    assert_eq!(call(&mut client, "READONLY"), ok());
    assert_eq!(call(&mut client, "GET k"), Value::NullBulk);
    assert_eq!(call(&mut client, "SET k 1"), elsewhere);
    let read_only = Value::Error(b"READONLY You can't write against a read only replica.".to_vec());
    let mut plain = replica.connect().unwrap();
    assert_eq!(call(&mut plain, "SET k 1"), read_only);
    assert_eq!(plain.call(&["EVAL", header, "0"]).unwrap(), read_only);
    assert_eq!(plain.call(&["EVAL_RO", header, "0"]).unwrap(), read_only);
    let only_reads = "#!lua flags=no-writes\nreturn 1";
    assert_eq!(plain.call(&["EVAL", only_reads, "0"]).unwrap(), Value::Integer(1));
    // A script has to say that old data will do.
    drop(primary);
    assert!(eventually(|| replication(&replica, "master_link_status") == "down"));
    assert_eq!(call(&mut plain, "CONFIG SET replica-serve-stale-data no"), ok());
    let stale = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    assert!(eventually(|| call(&mut plain, "GET k") == Value::Error(stale.into())));
    assert_eq!(call(&mut plain, "EVAL return(1) 0"), Value::Error(stale.into()));
    assert_eq!(plain.call(&["EVAL", only_reads, "0"]).unwrap(), Value::Error(stale.into()));
    assert_eq!(plain.call(&["EVAL", header, "0"]).unwrap(), read_only);
    let serves = "#!lua flags=no-writes,allow-stale\nreturn redis.call('get','k')";
    let reply = plain.call(&["EVAL", serves, "1", "k"]).unwrap();
    refused(reply, "ERR Can not execute the command on a stale replica script");
}

/// Waits until so many clients of a server are blocked.
fn wait_for_blocked(server: &Server, count: u64) {
    let blocked = || info(&mut server.connect().unwrap(), "clients", "blocked_clients");
    assert!(eventually(|| blocked() == count.to_string()), "{}\n{}", blocked(), server.log());
}

#[test]
fn clients_that_wait_are_sent_to_the_new_primary() {
    for mode in MODES {
        let Pair { _directories, primary, replica } = Pair::start(mode);
        let [mut moves, mut reads, mut plain] = [(); 3].map(|()| primary.connect().unwrap());
        for client in [&mut moves, &mut reads] {
            assert_eq!(call(client, "CLIENT CAPA redirect"), ok());
        }
        assert_eq!(call(&mut reads, "READONLY"), ok());
        moves.send(&["BLPOP", "list", "0"]).unwrap();
        reads.send(&["XREAD", "BLOCK", "0", "STREAMS", "stream", "0"]).unwrap();
        plain.send(&["BLPOP", "list", "0"]).unwrap();
        wait_for_blocked(&primary, 3);
        let mut client = primary.connect().unwrap();
        let port = replica.address().port();
        assert_eq!(call(&mut client, &format!("FAILOVER TO 127.0.0.1 {port}")), ok());
        let elsewhere = Value::Error(format!("REDIRECT {}", replica.address()).into_bytes());
        assert_eq!(moves.read_reply().unwrap().value, elsewhere);
        let Value::Error(line) = plain.read_reply().unwrap().value else { panic!("an error") };
        assert!(line.starts_with(b"UNBLOCKED"), "{}", line.escape_ascii());
        plain.read_end().unwrap();
        assert_eq!(call(&mut moves, "GET k"), elsewhere, "it is not");
        // What only reads goes on with what the new primary says.
        wait_for_blocked(&primary, 1);
        call(&mut replica.connect().unwrap(), "XADD stream 1-1 a b");
        assert!(matches!(reads.read_reply().unwrap().value, Value::Array(_)));
    }
}

#[test]
fn clients_that_can_be_redirected_wait_until_there_is_a_new_primary() {
    for mode in MODES {
        let Pair { _directories, primary, replica } = Pair::start(mode);
        let [mut reads, mut writes, mut queues] = [(); 3].map(|()| primary.connect().unwrap());
        for client in [&mut reads, &mut writes, &mut queues] {
            assert_eq!(call(client, "CLIENT CAPA redirect"), ok());
        }
        assert_eq!(call(&mut queues, "MULTI"), ok());
        assert_eq!(call(&mut queues, "GET k"), Value::Simple(b"QUEUED".to_vec()));
        stand_still(&replica);
        let mut client = primary.connect().unwrap();
        let port = replica.address().port();
        let line = format!("FAILOVER TO 127.0.0.1 {port} FORCE TIMEOUT 1");
        assert_eq!(call(&mut client, &line), ok());
        let state = || replication(&primary, "master_failover_state");
        assert!(eventually(|| state() == "failover-in-progress"), "{}", primary.log());
        assert_eq!(info(&mut client, "clients", "paused_reason"), "failover_in_progress");
        reads.send(&["GET", "k"]).unwrap();
        writes.send(&["SET", "k", "1"]).unwrap();
        queues.send(&["EXEC"]).unwrap();
        wait_for_blocked(&primary, 3);
        go_on(&replica);
        let elsewhere = Value::Error(format!("REDIRECT {}", replica.address()).into_bytes());
        for client in [&mut reads, &mut writes, &mut queues] {
            assert_eq!(client.read_reply().unwrap().value, elsewhere);
        }
        assert_eq!(replication(&replica, "role"), "master");
    }
}
