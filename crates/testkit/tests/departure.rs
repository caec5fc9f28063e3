//! The end of a primary: it waits for replicas that have not got everything, for as long as `shutdown-timeout` says.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use darter_testkit::durable::{
    call, darter_in, eventually, go_on, info, ok, signal, stand_still, wait_for_end,
};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::replication::catch_up;
use darter_testkit::{Client, Server, Value};
use tempfile::TempDir;

/// One worker and several, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// A primary and a replica that has everything but the last change, as it is stopped.
struct Pair {
    primary: Server,
    client: Client,
    replica: Server,
    _directories: [TempDir; 2],
}

impl Pair {
    fn start(mode: ServerMode, options: &[&str]) -> Self {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let start = |directory: &Path, more: &[&str]| {
            let options = [&["--save", ""], more].concat();
            Server::start(&darter_in(mode, directory, &options)).unwrap()
        };
        let primary = start(directories[0].path(), options);
        let replica = start(directories[1].path(), &[]);
        let mut client = primary.connect().unwrap();
        call(&mut client, "SET k 1");
        let line = format!("REPLICAOF 127.0.0.1 {}", primary.address().port());
        assert_eq!(call(&mut replica.connect().unwrap(), &line), ok());
        catch_up(&primary, &replica);
        stand_still(&replica);
        call(&mut client, "INCR k");
        Self { primary, client, replica, _directories: directories }
    }

    fn go_on(&self) {
        go_on(&self.replica);
    }

    /// How many clients wait for the end, once it has begun.
    fn wait_for_waiters(&mut self, count: usize) {
        let count = count.to_string();
        assert!(eventually(|| info(&mut self.client, "clients", "blocked_clients") == count));
        assert!(eventually(|| self.is_ending()));
    }

    fn is_ending(&mut self) -> bool {
        let Value::Bulk(text) = call(&mut self.client, "INFO server") else { panic!("a text") };
        String::from_utf8_lossy(&text).contains("shutdown_in_milliseconds:")
    }
}

/// Waits for a line of the server's log, which is written beside what clients see.
fn wait_for_line(server: &Server, line: &str) {
    assert!(eventually(|| server.log().contains(line)), "{line}\n{}", server.log());
}

fn refused() -> Value {
    Value::Error(b"ERR Errors trying to SHUTDOWN. Check logs.".to_vec())
}

#[test]
fn an_end_waits_until_replicas_have_everything() {
    for mode in MODES {
        for by_signal in [false, true] {
            let mut pair = Pair::start(mode, &["--shutdown-timeout", "300"]);
            let mut asking = pair.primary.connect().unwrap();
            if by_signal {
                signal(&pair.primary, "-TERM");
            } else {
                asking.send(&["SHUTDOWN"]).unwrap();
            }
            assert!(eventually(|| pair.is_ending()), "{mode}");
            let mut writer = pair.primary.connect().unwrap();
            writer.send(&["SET", "late", "1"]).unwrap();
            assert_eq!(call(&mut pair.client, "GET k"), Value::Bulk(b"2".to_vec()));
            pair.go_on();
            wait_for_end(&mut pair.primary);
            assert!(writer.read_reply().is_err(), "{mode}: a write is answered that nobody gets");
            assert!(asking.read_reply().is_err());
            wait_for_line(&pair.primary, "Waiting for replicas before shutting down.");
            wait_for_line(&pair.primary, "1 of 1 replicas are in sync when shutting down.");
            let mut theirs = pair.replica.connect().unwrap();
            assert_eq!(call(&mut theirs, "GET k"), Value::Bulk(b"2".to_vec()), "{mode}");
            assert_eq!(call(&mut theirs, "GET late"), Value::NullBulk, "{mode}");
        }
    }
}

#[test]
fn an_end_waits_no_longer_than_it_may() {
    for mode in MODES {
        let mut pair = Pair::start(mode, &["--shutdown-timeout", "1"]);
        signal(&pair.primary, "-TERM");
        wait_for_end(&mut pair.primary);
        wait_for_line(&pair.primary, "Lagging replica 127.0.0.1:");
        wait_for_line(&pair.primary, "0 of 1 replicas are in sync when shutting down.");
    }
}

#[test]
fn nobody_is_waited_for_who_need_not_be() {
    for mode in MODES {
        for (timeout, words) in [("0", &["SHUTDOWN"][..]), ("300", &["SHUTDOWN", "NOW"])] {
            let mut pair = Pair::start(mode, &["--shutdown-timeout", timeout]);
            pair.client.send(words).unwrap();
            wait_for_end(&mut pair.primary);
            let log = pair.primary.log();
            assert!(!log.contains("Waiting for replicas"), "{log}");
        }
    }
}

#[test]
fn an_end_that_is_called_off_lets_writes_go_on() {
    for mode in MODES {
        let mut pair = Pair::start(mode, &["--shutdown-timeout", "300"]);
        let mut asking = [(); 2].map(|()| pair.primary.connect().unwrap());
        for client in &mut asking {
            client.send(&["SHUTDOWN"]).unwrap();
        }
        pair.wait_for_waiters(2);
        assert_eq!(info(&mut pair.client, "clients", "paused_reason"), "shutdown_in_progress");
        assert_eq!(
            call(&mut pair.client, "CLIENT UNPAUSE"),
            ok(),
            "it ends what CLIENT PAUSE began"
        );
        assert_eq!(info(&mut pair.client, "clients", "paused_actions"), "write");
        let mut writer = pair.primary.connect().unwrap();
        writer.send(&["SET", "a", "1"]).unwrap();
        assert_eq!(call(&mut pair.client, "SHUTDOWN ABORT"), ok(), "{mode}");
        for client in &mut asking {
            assert_eq!(client.read_reply().unwrap().value, refused(), "{mode}");
        }
        assert_eq!(writer.read_reply().unwrap().value, ok(), "{mode}");
        assert!(!pair.is_ending());
        wait_for_line(&pair.primary, "Shutdown manually aborted.");
        // And again.
        asking[0].send(&["SHUTDOWN"]).unwrap();
        pair.wait_for_waiters(1);
        pair.go_on();
        wait_for_end(&mut pair.primary);
        assert!(asking[0].read_reply().is_err());
    }
}

#[test]
fn an_end_is_called_off_by_a_log_that_is_not_complete() {
    for mode in MODES {
        let options = ["--shutdown-timeout", "300", "--rdb-key-save-delay", "30000000"];
        let mut pair = Pair::start(mode, &options);
        let mut asking = pair.primary.connect().unwrap();
        asking.send(&["SHUTDOWN"]).unwrap();
        pair.wait_for_waiters(1);
        assert_eq!(call(&mut pair.client, "CONFIG SET appendonly yes"), ok());
        pair.go_on();
        assert_eq!(asking.read_reply().unwrap().value, refused(), "{mode}");
        wait_for_line(&pair.primary, "Writing initial AOF, can't exit");
        wait_for_line(&pair.primary, "Errors trying to shut down the server.");
        assert_eq!(call(&mut pair.client, "SET a 1"), ok(), "{mode}");
    }
}

/// A replica that is about to end follows nobody any more. If it does not end it does again.
#[test]
fn a_replica_whose_end_is_called_off_follows_again() {
    for mode in MODES {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let options = ["--save", "", "--enable-debug-command", "yes"];
        let start = |at: usize| Server::start(&darter_in(mode, directories[at].path(), &options));
        let [primary, replica] = [start(0).unwrap(), start(1).unwrap()];
        let mut client = replica.connect().unwrap();
        let line = format!("REPLICAOF 127.0.0.1 {}", primary.address().port());
        assert_eq!(call(&mut client, &line), ok());
        catch_up(&primary, &replica);
        // Signals wait for the end of this, behind everything else.
        assert_eq!(call(&mut client, "DEBUG PAUSE-CRON 1"), ok());
        signal(&replica, "-TERM");
        let mut asking = primary.connect().unwrap();
        let mut followers = || info(&mut asking, "replication", "connected_slaves");
        assert!(eventually(|| followers() == "0"), "{mode}: {}", replica.log());
        assert_eq!(call(&mut client, "SHUTDOWN ABORT"), ok());
        assert_eq!(call(&mut client, "DEBUG PAUSE-CRON 0"), ok());
        assert!(eventually(|| followers() == "1"), "{mode}: {}", replica.log());
        call(&mut primary.connect().unwrap(), "SET later 1");
        catch_up(&primary, &replica);
        assert_eq!(call(&mut client, "GET later"), Value::Bulk(b"1".to_vec()), "{mode}");
        assert_eq!(info(&mut primary.connect().unwrap(), "stats", "sync_full"), "1", "{mode}");
        // And whom it follows can be decided anew.
        assert_eq!(call(&mut client, "REPLICAOF NO ONE"), ok());
        assert!(eventually(|| followers() == "0"), "{mode}: {}", replica.log());
        assert_eq!(call(&mut client, &line), ok());
        catch_up(&primary, &replica);
    }
}
