//! Clients that ask and do not read: they must cost little, and end where a limit says so.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use darter_testkit::durable::wait_for;
use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Client, Server, Value};

/// How long a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// A value large enough that sixteen of them fill every buffer on the way.
const VALUE_BYTES: usize = 1 << 20;
const VALUES_ASKED: usize = 16;

fn servers() -> impl Iterator<Item = Server> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    [SERVER_MODES[0], SERVER_MODES[6]].into_iter().map(move |mode| {
        Server::start(&mode.spec(&program)).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn client_with_value(server: &Server) -> Client {
    let mut client = server.connect().unwrap();
    client.call(&["SET".as_bytes(), b"big", &vec![b'x'; VALUE_BYTES]]).unwrap();
    client
}

/// A client that asks for everything and reads nothing.
fn sleeper(server: &Server) -> Client {
    let mut client = server.connect().unwrap();
    client.send_bytes("GET big\r\n".repeat(VALUES_ASKED).as_bytes()).unwrap();
    client
}

fn text(value: Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn field(client: &mut Client, section: &str, name: &str) -> u64 {
    let info = text(client.call(&["INFO", section]).unwrap());
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

/// How much unread output each client has, from `CLIENT LIST`.
fn unread(client: &mut Client) -> Vec<u64> {
    let list = text(client.call(&["CLIENT", "LIST"]).unwrap());
    let omem = |line: &str| {
        line.split(' ').find_map(|field| field.strip_prefix("omem=")).unwrap().parse().unwrap()
    };
    list.lines().map(omem).collect()
}

#[test]
fn a_hundred_clients_that_never_read_cost_little_and_keep_nobody_waiting() {
    const SLEEPERS: usize = 100;
    for server in servers() {
        let mut watcher = client_with_value(&server);
        let before = server.resident_bytes().unwrap();
        let sleepers: Vec<Client> = (0..SLEEPERS).map(|_| sleeper(&server)).collect();
        wait_for("every sleeper's socket is full", PATIENCE, || {
            unread(&mut watcher).iter().filter(|bytes| **bytes > 0).count() == SLEEPERS
        });
        assert!(unread(&mut watcher).iter().all(|bytes| *bytes <= 3 * VALUE_BYTES as u64));
        let grown = server.resident_bytes().unwrap().saturating_sub(before);
        assert!(grown <= 128 << 20, "{grown} bytes more resident");
        drop(sleepers);
        wait_for("they are gone", PATIENCE, || unread(&mut watcher).len() == 1);
    }
}

#[test]
fn a_client_above_its_hard_limit_is_closed_and_counted() {
    const COUNTER: &str = "client_output_buffer_limit_disconnections";
    for server in servers() {
        let mut watcher = client_with_value(&server);
        let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0"];
        watcher.call(&limit).unwrap();
        let mut client = server.connect().unwrap();
        client.call(&["CLIENT", "SETNAME", "greedy"]).unwrap();
        client.send(&["GET", "big"]).unwrap();
        client.read_end().unwrap();
        // By its worker, once the socket is closed.
        wait_for("it is counted", PATIENCE, || field(&mut watcher, "stats", COUNTER) == 1);
        wait_for("it is logged", PATIENCE, || {
            server.log().contains("overcoming of output buffer limits")
        });

        // The other classes have limits of their own, and none is none.
        let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0 slave 1 1 1"];
        watcher.call(&limit).unwrap();
        let mut client = server.connect().unwrap();
        let value = client.call(&["GET", "big"]).unwrap();
        assert_eq!(value, Value::Bulk(vec![b'x'; VALUE_BYTES]));
        assert_eq!(field(&mut watcher, "stats", COUNTER), 1);
    }
}

/// How much a client may have unread counts for the reply as a whole, also where it is sent while it is made.
#[test]
fn a_client_whose_reply_is_above_its_hard_limit_is_closed_however_fast_it_reads() {
    const KEY_BYTES: usize = 100;
    for server in servers() {
        let mut watcher = server.connect().unwrap();
        watcher.call(&["DEBUG", "POPULATE", "1000", &"k".repeat(KEY_BYTES)]).unwrap();
        watcher.call(&["HSET", "hash", "field", "value"]).unwrap();
        watcher.call(&["CONFIG", "RESETSTAT"]).unwrap();
        let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0"];
        watcher.call(&limit).unwrap();
        // Its length is known last, so that none of it is below the 16 KiB that do not count.
        let replies: [&[&str]; 2] = [&["KEYS", "kkk*"], &["HRANDFIELD", "hash", "-999999999"]];
        for (closed, command) in (1..).zip(replies) {
            let mut client = server.connect().unwrap();
            client.send(command).unwrap();
            assert!(client.read_reply().is_err(), "{command:?}");
            wait_for("it is counted", PATIENCE, || {
                field(&mut watcher, "stats", "client_output_buffer_limit_disconnections") == closed
            });
        }
        // Who does not want the reply has none.
        let mut client = server.connect().unwrap();
        client.send_bytes(b"CLIENT REPLY SKIP\r\nKEYS kkk*\r\nPING\r\n").unwrap();
        assert_eq!(client.read_reply().unwrap().value, Value::Simple(b"PONG".to_vec()));
    }
}

#[test]
fn a_client_that_stays_above_its_soft_limit_is_closed() {
    for server in servers() {
        let mut watcher = client_with_value(&server);
        let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 0 100000 1"];
        watcher.call(&limit).unwrap();
        let sleeper = sleeper(&server);
        wait_for("it is closed", PATIENCE, || {
            field(&mut watcher, "stats", "client_output_buffer_limit_disconnections") == 1
        });
        assert_eq!(unread(&mut watcher).len(), 1);
        drop(sleeper);
    }
}

#[test]
fn before_authentication_little_output_may_be_unread() {
    for server in servers() {
        let mut watcher = server.connect().unwrap();
        watcher.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
        watcher.call(&["AUTH", "secret"]).unwrap();
        let mut client = server.connect().unwrap();
        // Until the socket or the server gives up: the refusals fill every buffer on the way.
        let requests = "GET k\r\n".repeat(10_000);
        wait_for("it is closed", PATIENCE, || client.send_bytes(requests.as_bytes()).is_err());
        wait_for("it is counted", PATIENCE, || {
            field(&mut watcher, "stats", "client_output_buffer_limit_disconnections") == 1
        });
    }
}

#[test]
fn output_can_be_made_to_count_from_the_first_byte() {
    for server in servers() {
        let mut watcher = server.connect().unwrap();
        watcher.call(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
        watcher.call(&["AUTH", "secret"]).unwrap();
        let enforce = |watcher: &mut Client, enabled| {
            watcher.call(&["DEBUG", "CLIENT-ENFORCE-REPLY-LIST", enabled]).unwrap();
        };
        enforce(&mut watcher, "1");
        // A block of 16 KiB is above the limit of 1 KiB, though little of it is used.
        let mut client = server.connect().unwrap();
        client.send(&["GET", "k"]).unwrap();
        client.read_end().unwrap();
        wait_for("it is counted", PATIENCE, || {
            field(&mut watcher, "stats", "client_output_buffer_limit_disconnections") == 1
        });
        // Who has been authenticated once is no stranger.
        let mut known = server.connect().unwrap();
        known.call(&["AUTH", "secret"]).unwrap();
        known.call(&["RESET"]).unwrap();
        assert!(matches!(known.call(&["GET", "k"]).unwrap(), Value::Error(_)));
        enforce(&mut watcher, "0");
        let mut client = server.connect().unwrap();
        assert!(matches!(client.call(&["GET", "k"]).unwrap(), Value::Error(_)));
    }
}

#[test]
fn memory_that_buffers_gave_back_can_be_used_at_once() {
    const LIMIT_BYTES: u64 = 24 << 20;
    for server in servers() {
        let mut client = client_with_value(&server);
        client.call(&["CONFIG", "SET", "maxmemory", &LIMIT_BYTES.to_string()]).unwrap();
        let sleepers: Vec<Client> = (0..40).map(|_| sleeper(&server)).collect();
        wait_for("there is no room", PATIENCE, || {
            matches!(client.call(&["SET", "k", "v"]).unwrap(), Value::Error(_))
        });
        drop(sleepers);
        wait_for("it is given back", PATIENCE, || {
            field(&mut client, "memory", "used_memory") < LIMIT_BYTES
        });
        let reply = client.call(&["SET", "k", "v"]).unwrap();
        assert_eq!(reply, Value::Simple(b"OK".to_vec()));
    }
}

#[test]
fn no_key_is_evicted_for_buffers_that_were_given_back() {
    const ROOM_BYTES: u64 = 4 << 20;
    const VALUES: usize = 100;
    for server in servers() {
        let mut client = client_with_value(&server);
        let before = field(&mut client, "memory", "used_memory");
        let sleepers: Vec<Client> = (0..40).map(|_| sleeper(&server)).collect();
        wait_for("every sleeper's socket is full", PATIENCE, || {
            unread(&mut client).iter().filter(|bytes| **bytes > 0).count() == 40
        });
        let limit = field(&mut client, "memory", "used_memory") + ROOM_BYTES;
        client.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).unwrap();
        client.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]).unwrap();
        drop(sleepers);
        wait_for("their buffers are freed", PATIENCE, || {
            field(&mut client, "memory", "used_memory") < before + ROOM_BYTES
        });
        let value = vec![b'x'; 100_000];
        for index in 0..VALUES {
            let key = format!("key:{index}");
            client.call(&["SET".as_bytes(), key.as_bytes(), &value]).unwrap();
        }
        assert_eq!(field(&mut client, "stats", "evicted_keys"), 0, "limit {limit}");
    }
}
