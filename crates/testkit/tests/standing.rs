//! DEBUG SLEEP: the whole server stands still.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;
use std::time::{Duration, Instant};

use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Client, Server, Value};

const PATIENCE: Duration = Duration::from_mins(1);

/// One worker, and four on each reactor.
fn servers() -> impl Iterator<Item = Server> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    [SERVER_MODES[0], SERVER_MODES[2], SERVER_MODES[6]].into_iter().map(move |mode| {
        Server::start(&mode.spec(&program)).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn ping(client: &mut Client) -> Result<Value, darter_testkit::ClientError> {
    client.call(&["PING"])
}

#[test]
fn nobody_is_answered_while_the_server_sleeps_and_everybody_afterwards() {
    const SLEEP: Duration = Duration::from_millis(300);
    for server in servers() {
        // New connections go to the worker that has the fewest.
        let mut others: Vec<Client> = (0..8).map(|_| server.connect().unwrap()).collect();
        let mut client = server.connect().unwrap();
        let begun = Instant::now();
        client.send_bytes(b"SET k v PX 200\r\nDEBUG SLEEP 0.3\r\nGET k\r\n").unwrap();
        let ok = Value::Simple(b"OK".to_vec());
        assert_eq!(client.read_reply().unwrap().value, ok);
        assert_eq!(client.read_reply().unwrap().value, ok);
        assert!(begun.elapsed() >= SLEEP, "it slept for {:?}", begun.elapsed());
        // Time went on meanwhile.
        assert_eq!(client.read_reply().unwrap().value, Value::NullBulk);
        for other in &mut others {
            assert_eq!(ping(other).unwrap(), Value::Simple(b"PONG".to_vec()));
        }
    }
}

#[test]
fn every_worker_stands_still_and_the_server_can_be_ended() {
    for mut server in servers() {
        let mut others: Vec<Client> = (0..8).map(|_| server.connect().unwrap()).collect();
        let mut client = server.connect().unwrap();
        client.send(&["DEBUG", "SLEEP", "600"]).unwrap();
        let begun = Instant::now();
        for other in &mut others {
            // It needs no data.
            other.set_reply_timeout(Duration::from_millis(300)).unwrap();
            while ping(other).is_ok() {
                assert!(begun.elapsed() < PATIENCE, "a worker goes on");
            }
        }
        let killed = Command::new("kill").arg(server.pid().to_string()).status().unwrap();
        assert!(killed.success());
        let begun = Instant::now();
        while server.is_running() {
            assert!(begun.elapsed() < PATIENCE, "the server sleeps on");
            std::thread::yield_now();
        }
    }
}
