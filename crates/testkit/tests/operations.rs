//! What an operator does to clients that do not behave.

use std::time::{Duration, Instant};

use darter_testkit::durable::info_field;
use darter_testkit::{Client, Server, Value, mode};

/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn darter() -> Server {
    let program = mode::darter_binary().expect("darter builds");
    Server::start(&mode::SERVER_MODES[2].spec(&program)).expect("darter starts")
}

fn call(client: &mut Client, line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).expect("replies")
}

/// A field of INFO.
fn info(client: &mut Client, field: &str) -> String {
    info_field(&call(client, "INFO"), field)
}

/// Waits until a field of INFO has a value.
fn until(client: &mut Client, field: &str, value: &str) {
    let begun = Instant::now();
    while info(client, field) != value {
        assert!(begun.elapsed() < PATIENCE, "{field} is {}", info(client, field));
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let server = darter();
    let mut client = server.connect().expect("connects");
    assert_eq!(
        client
            .call(&["CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0"])
            .expect("replies"),
        Value::Simple("OK".into())
    );
    let mut monitor = server.connect().expect("connects");
    assert_eq!(call(&mut monitor, "MONITOR"), Value::Simple("OK".into()));
    assert_eq!(info(&mut client, "monitor_clients"), "1");
    // More than what its socket takes, and the limit.
    let long = "x".repeat(100_000);
    for _ in 0..300 {
        client.call(&["ECHO", &long]).expect("replies");
    }
    until(&mut client, "client_output_buffer_limit_disconnections", "1");
    until(&mut client, "monitor_clients", "0");
}

#[test]
fn monitors_see_the_clients_of_every_worker() {
    let server = darter();
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect().expect("connects")).collect();
    let mut monitor = server.connect().expect("connects");
    assert_eq!(call(&mut monitor, "MONITOR"), Value::Simple("OK".into()));
    for round in 0..10 {
        for (number, client) in clients.iter_mut().enumerate() {
            call(client, &format!("SET key:{number}:{round} value"));
        }
    }
    let mut seen = vec![0; clients.len()];
    for _ in 0..10 * clients.len() {
        let reply = monitor.read_reply().expect("a line");
        let Value::Simple(line) = reply.value else { panic!("a line is a simple string") };
        let line = String::from_utf8_lossy(&line).into_owned();
        let key = line.split('"').nth(3).expect("a key");
        let mut parts = key.split(':').skip(1).map(|part| part.parse::<usize>().expect("a number"));
        let (number, round) = (parts.next().expect("number"), parts.next().expect("round"));
        assert_eq!(seen[number], round, "a client's commands are shown in its order");
        seen[number] += 1;
    }
}

#[test]
fn clients_that_are_held_back_can_be_killed() {
    let server = darter();
    let mut client = server.connect().expect("connects");
    assert_eq!(call(&mut client, "CLIENT PAUSE 100000 WRITE"), Value::Simple("OK".into()));
    let mut held = server.connect().expect("connects");
    let Value::Integer(id) = call(&mut held, "CLIENT ID") else { panic!("a number") };
    held.send(&["SET", "k", "v"]).expect("sends");
    until(&mut client, "blocked_clients", "1");
    assert_eq!(call(&mut client, &format!("CLIENT KILL ID {id}")), Value::Integer(1));
    until(&mut client, "blocked_clients", "0");
    assert_eq!(call(&mut client, "CLIENT UNPAUSE"), Value::Simple("OK".into()));
    assert_eq!(call(&mut client, "EXISTS k"), Value::Integer(0));
}
