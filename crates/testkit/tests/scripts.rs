//! Scripts that take too long: what everybody else meets meanwhile, and how such a script ends.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::{Client, Server, Value};

/// Enough that every worker has some.
const CLIENTS: usize = 8;

const ENDLESS: &str = "while true do end";

fn servers(threshold_millis: &str) -> impl Iterator<Item = (ServerMode, Server)> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let options = ["--busy-reply-threshold".to_owned(), threshold_millis.to_owned()];
    SERVER_MODES.iter().map(move |mode| {
        let spec = mode.spec(&program).with_arguments(&options);
        (*mode, Server::start(&spec).unwrap_or_else(|error| panic!("{error}")))
    })
}

fn clients(server: &Server) -> Vec<Client> {
    (0..CLIENTS).map(|_| server.connect().unwrap()).collect()
}

fn call(client: &mut Client, words: &str) -> Value {
    let words: Vec<&str> = words.split(' ').collect();
    client.call(&words).unwrap()
}

fn error(value: Value) -> String {
    match value {
        Value::Error(line) => String::from_utf8(line).unwrap(),
        other => panic!("no error: {other:?}"),
    }
}

fn is_busy(value: &Value) -> bool {
    matches!(value, Value::Error(line) if line.starts_with(b"BUSY "))
}

fn wait_until_busy(client: &mut Client) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_busy(&call(client, "PING")) {
        assert!(Instant::now() < patience, "the script does not become busy");
    }
}

/// Which of some keys are refused to a client.
fn refused_keys(client: &mut Client) -> Vec<bool> {
    (0..24).map(|number| is_busy(&call(client, &format!("GET key:{number}")))).collect()
}

#[test]
fn a_busy_script_refuses_what_is_in_its_way_on_every_worker() {
    for (mode, server) in servers("100") {
        let mut clients = clients(&server);
        let mut queueing = server.connect().unwrap();
        assert_eq!(call(&mut queueing, "MULTI"), Value::Simple(b"OK".to_vec()));
        assert_eq!(call(&mut queueing, "GET k"), Value::Simple(b"QUEUED".to_vec()));
        let mut script = server.connect().unwrap();
        script.send(&["EVAL", ENDLESS, "1", "k"]).unwrap();
        wait_until_busy(&mut clients[0]);
        // New ones are accepted, and go to all workers.
        clients.extend((0..CLIENTS).map(|_| server.connect().unwrap()));
        let refused = refused_keys(&mut clients[0]);
        assert_eq!(refused.iter().all(|refused| *refused), mode.shards == 1, "{mode}");
        for client in &mut clients {
            assert!(is_busy(&call(client, "PING")), "{mode}");
            assert!(is_busy(&call(client, "GET k")), "{mode}");
            client.send_bytes(b"PING\r\n").unwrap();
            assert!(is_busy(&client.read_reply().unwrap().value), "{mode}: inline");
            assert_eq!(refused_keys(client), refused, "{mode}: the same for everybody");
            assert_eq!(call(client, "MULTI"), Value::Simple(b"OK".to_vec()));
            assert!(is_busy(&call(client, "SET k v")));
            assert!(is_busy(&call(client, "GET key:1")), "{mode}: transactions are refused");
            assert!(error(call(client, "EXEC")).starts_with("EXECABORT "));
            assert!(error(call(client, "FUNCTION KILL")).starts_with("BUSY "));
        }
        assert!(error(call(&mut queueing, "EXEC")).starts_with("EXECABORT "), "{mode}");
        let killer = clients.last_mut().unwrap();
        assert_eq!(call(killer, "SCRIPT KILL"), Value::Simple(b"OK".to_vec()));
        let killed = error(script.read_reply().unwrap().value);
        assert!(killed.contains("Script killed by user with SCRIPT KILL"), "{killed}");
        for client in &mut clients {
            assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()));
            assert_eq!(call(client, "GET k"), Value::NullBulk);
        }
        assert!(error(call(&mut clients[0], "SCRIPT KILL")).starts_with("NOTBUSY "));
    }
}

#[test]
fn before_the_threshold_others_are_served_and_who_needs_its_keys_waits() {
    for (mode, server) in servers("3600000") {
        let mut clients = clients(&server);
        let mut script = server.connect().unwrap();
        script.send(&["EVAL", ENDLESS, "1", "k"]).unwrap();
        let mut waiting = server.connect().unwrap();
        let mut starting = server.connect().unwrap();
        for client in &mut clients {
            assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()), "{mode}");
            assert!(error(call(client, "SCRIPT KILL")).starts_with("NOTBUSY "));
        }
        waiting.send(&["GET", "k"]).unwrap();
        starting.send(&["EVAL", "return 1", "1", "k"]).unwrap();
        for client in &mut clients {
            assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()), "{mode}");
        }
        let lowered = call(&mut clients[0], "CONFIG SET busy-reply-threshold 1");
        assert_eq!(lowered, Value::Simple(b"OK".to_vec()), "{mode}");
        wait_until_busy(&mut clients[1]);
        assert_eq!(call(&mut clients[2], "SCRIPT KILL"), Value::Simple(b"OK".to_vec()));
        assert!(error(script.read_reply().unwrap().value).contains("killed"));
        let waited = waiting.read_reply().unwrap().value;
        assert!(waited == Value::NullBulk || is_busy(&waited), "{mode}: {waited:?}");
        let started = starting.read_reply().unwrap().value;
        assert!(started == Value::Integer(1) || is_busy(&started), "{mode}: {started:?}");
        assert_eq!(call(&mut waiting, "PING"), Value::Simple(b"PONG".to_vec()));
        assert_eq!(call(&mut starting, "PING"), Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn a_script_that_has_written_cannot_be_killed_and_the_server_can() {
    for (mode, mut server) in servers("100") {
        let mut clients = clients(&server);
        let mut script = server.connect().unwrap();
        let text = "redis.call('SET', KEYS[1], 'v') while true do end";
        script.send(&["EVAL", text, "1", "k"]).unwrap();
        wait_until_busy(&mut clients[0]);
        for client in &mut clients {
            let refusal = error(call(client, "SCRIPT KILL"));
            assert!(refusal.starts_with("UNKILLABLE "), "{mode}: {refusal}");
        }
        clients[0].send(&["SHUTDOWN", "NOSAVE"]).unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while server.is_running() {
            assert!(Instant::now() < patience, "{mode}: it does not end");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_busy_function_is_shown_and_killed() {
    let library = "#!lua name=lib\nredis.register_function('f', function() while true do end end)";
    for (mode, server) in servers("100") {
        let mut clients = clients(&server);
        clients[0].call(&["FUNCTION", "LOAD", library]).unwrap();
        let mut script = server.connect().unwrap();
        script.send(&["FCALL", "f", "0"]).unwrap();
        wait_until_busy(&mut clients[0]);
        for client in &mut clients {
            let refusal = error(call(client, "PING"));
            assert!(refusal.contains("FUNCTION KILL"), "{mode}: {refusal}");
            assert!(is_busy(&call(client, "SCRIPT KILL")), "{mode}");
            let stats = call(client, "FUNCTION STATS");
            let running = stats.elements().and_then(|fields| fields[1].elements());
            assert_eq!(running.map(<[Value]>::len), Some(6), "{mode}: {stats:?}");
        }
        assert_eq!(call(&mut clients[3], "FUNCTION KILL"), Value::Simple(b"OK".to_vec()));
        assert!(error(script.read_reply().unwrap().value).contains("FUNCTION KILL"));
    }
}

#[test]
fn a_script_in_a_transaction_can_be_killed_and_the_rest_runs() {
    for (mode, server) in servers("100") {
        let mut clients = clients(&server);
        let mut script = server.connect().unwrap();
        let commands: [&[&str]; 4] =
            [&["MULTI"], &["EVAL", ENDLESS, "1", "k"], &["ECHO", "behind"], &["EXEC"]];
        for command in commands {
            script.send(command).unwrap();
        }
        for _ in 0..3 {
            script.read_reply().unwrap();
        }
        wait_until_busy(&mut clients[0]);
        assert_eq!(call(&mut clients[1], "SCRIPT KILL"), Value::Simple(b"OK".to_vec()));
        let replies = script.read_reply().unwrap().value;
        let replies = replies.elements().unwrap();
        assert!(matches!(replies[0], Value::Error(_)), "{mode}: {replies:?}");
        assert_eq!(replies[1], Value::Bulk(b"behind".to_vec()), "{mode}");
    }
}

#[test]
fn scripts_of_some_milliseconds_lose_nobodys_reply() {
    const SPIN: &str = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end return ARGV[2]";
    for (_, server) in servers("5000") {
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let mut client = server.connect().unwrap();
                scope.spawn(move || {
                    for round in 0..4 {
                        let text = round.to_string();
                        let key = format!("k{number}");
                        for spins in ["1", "100000", "10", "300000"] {
                            client.send(&["ECHO", &text]).unwrap();
                            client.send(&["GET", "nothing"]).unwrap();
                            client.send(&["EVAL", SPIN, "1", &key, spins, &text]).unwrap();
                        }
                        for _ in 0..4 {
                            let echo = client.read_reply().unwrap().value;
                            let nothing = client.read_reply().unwrap().value;
                            let script = client.read_reply().unwrap().value;
                            let text = Value::Bulk(text.clone().into_bytes());
                            assert_eq!(
                                [echo, nothing, script],
                                [text.clone(), Value::NullBulk, text]
                            );
                        }
                    }
                });
            }
        });
    }
}
