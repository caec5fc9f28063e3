//! What clients and scripts meet when a primary becomes a replica: transactions that are queued or make it one, and scripts
//! that say what they need.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::durable::{call, darter_in, eventually, ok};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::{Client, Server, Value};
use tempfile::TempDir;

/// One worker and several, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// Nobody listens there.
const BECOME_REPLICA: &str = "REPLICAOF 127.0.0.1 1";

const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
const STALE: &str =
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";

/// Bodies of scripts.
const READS: &str = "return redis.call('GET', KEYS[1])";
const WRITES: &str = "return redis.call('DEL', KEYS[1])";

fn start(mode: ServerMode) -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&darter_in(mode, directory.path(), &["--save", ""])).unwrap();
    (server, directory)
}

fn error(text: &str) -> Value {
    Value::Error(text.into())
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

/// Runs a script with this first line.
fn eval(client: &mut Client, shebang: &str, body: &str) -> Value {
    client.call(&["EVAL", &format!("{shebang}\n{body}"), "1", "k"]).unwrap()
}

/// Whether a reply is an error that begins so.
fn fails(reply: &Value, beginning: &str) -> bool {
    matches!(reply, Value::Error(line) if line.starts_with(beginning.as_bytes()))
}

#[test]
fn a_transaction_that_makes_a_replica_ends_as_it_was_admitted() {
    for mode in MODES {
        let (server, _directory) = start(mode);
        let mut client = server.connect().unwrap();
        for line in [
            "MULTI",
            "SET a 1",
            BECOME_REPLICA,
            "SET b 2",
            "EVAL return(redis.call('SET',KEYS[1],'3')) 1 c",
        ] {
            call(&mut client, line);
        }
        let reply = call(&mut client, "EXEC");
        let replies = reply.elements().unwrap();
        assert_eq!(replies[..3], [ok(), ok(), ok()], "{mode}");
        assert!(fails(&replies[3], READ_ONLY), "{mode}: {:?}", replies[3]);
        assert_eq!(call(&mut client, "SET d 4"), error(READ_ONLY));
        let held = call(&mut client, "MGET a b c d");
        let expected = [bulk("1"), bulk("2"), Value::NullBulk, Value::NullBulk];
        assert_eq!(held.elements().unwrap(), expected, "{mode}");
    }
}

#[test]
fn what_was_queued_before_is_refused_as_a_whole() {
    for mode in MODES {
        let (server, _directory) = start(mode);
        let mut client = server.connect().unwrap();
        let mut other = server.connect().unwrap();
        call(&mut other, "CONFIG SET replica-serve-stale-data no");
        let abort = "EXECABORT Transaction discarded because of: ";
        for (queued, refusal) in [
            ("SET a 1", READ_ONLY),
            ("GET a", STALE),
            ("PING", STALE),
            ("EVAL return(1) 0", ""),
            ("INFO replication", ""),
        ] {
            call(&mut client, "MULTI");
            assert_eq!(call(&mut client, queued), Value::Simple(b"QUEUED".to_vec()), "{queued}");
            call(&mut other, BECOME_REPLICA);
            let reply = call(&mut client, "EXEC");
            match refusal {
                "" => assert_eq!(reply.elements().unwrap().len(), 1, "{mode} {queued}"),
                _ => assert_eq!(reply, error(&format!("{abort}{refusal}")), "{mode} {queued}"),
            }
            call(&mut other, "REPLICAOF NO ONE");
            assert!(eventually(|| call(&mut client, "GET a") == Value::NullBulk));
        }
    }
}

#[test]
fn a_script_runs_where_it_says_that_it_can() {
    for mode in MODES {
        let (server, _directory) = start(mode);
        let mut client = server.connect().unwrap();
        call(&mut client, "SET k v");
        call(&mut client, BECOME_REPLICA);
        assert_eq!(eval(&mut client, "#!lua flags=no-writes", READS), bulk("v"), "{mode}");
        assert_eq!(eval(&mut client, "#!lua", READS), error(READ_ONLY), "{mode}");
        assert_eq!(eval(&mut client, "", READS), bulk("v"), "{mode}");
        assert!(fails(&eval(&mut client, "", WRITES), READ_ONLY), "{mode}");

        call(&mut client, "CONFIG SET replica-serve-stale-data no");
        assert!(eventually(|| call(&mut client, "GET k") == error(STALE)));
        let mut stale = |shebang, body| eval(&mut client, shebang, body);
        assert_eq!(stale("", "return 1"), error(STALE), "{mode}");
        assert_eq!(stale("#!lua flags=no-writes", "return 1"), error(STALE), "{mode}");
        let allowed = "#!lua flags=allow-stale,no-writes";
        assert_eq!(stale(allowed, "return 1"), Value::Integer(1), "{mode}");
        let in_script = "ERR Can not execute the command on a stale replica";
        assert!(fails(&stale(allowed, READS), in_script), "{mode}");
        let shown = stale(allowed, "return redis.call('INFO', 'replication')");
        assert!(matches!(shown, Value::Bulk(_)), "{mode}: {shown:?}");
        assert_eq!(stale("#!lua flags=allow-stale", "return 1"), error(READ_ONLY), "{mode}");
    }
}

#[test]
fn a_script_without_enough_replicas_does_what_it_says_that_it_does() {
    for mode in MODES {
        let (server, _directory) = start(mode);
        let mut client = server.connect().unwrap();
        call(&mut client, "SET k v");
        call(&mut client, "CONFIG SET min-replicas-to-write 1");
        let lacks = "NOREPLICAS Not enough good replicas to write.";
        assert!(eventually(|| call(&mut client, "SET k w") == error(lacks)));
        assert_eq!(eval(&mut client, "#!lua flags=no-writes", READS), bulk("v"), "{mode}");
        assert_eq!(eval(&mut client, "", READS), bulk("v"), "{mode}");
        assert_eq!(eval(&mut client, "#!lua", READS), error(lacks), "{mode}");
        assert!(fails(&eval(&mut client, "", WRITES), lacks), "{mode}");
    }
}
