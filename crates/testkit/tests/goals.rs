//! What a cache may not do to its other clients: keep them waiting for big values that go, burn a processor on what
//! expires, or fill up with what nobody reads. `redis-server` runs the same loads, as a measure of the measure: what it does
//! badly has to be found.
//!
//! What another client waits for is measured as [`Bystander`] says.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use darter_testkit::bystander::shortest;
use darter_testkit::durable::wait_for;
use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary, oracle_spec};
use darter_testkit::{Bystander, Client, Server, Value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// Members of a big set.
const MEMBERS: usize = 1_000_000;
/// Keys, or fields, that expire within a second.
const EXPIRING: usize = 200_000;
/// The longest that anybody may have to wait for a big value that goes.
const WAIT_MAX: Duration = Duration::from_millis(10);
/// The longest that anybody may have to wait for replies that somebody else does not read.
const UNREAD_WAIT_MAX: Duration = Duration::from_millis(50);
/// How much too long a wait may be measured.
const READING_LAG: Duration = Duration::from_millis(10);
/// How often it is measured whether more effort shows.
const EFFORT_ROUNDS: usize = 12;
/// Clients that ask for sixteen values of a megabyte and read none.
const SLEEPERS: usize = 100;
/// Few enough for a machine that runs the tests of `redis-server`, which keeps all of it.
const REDIS_SLEEPERS: usize = 24;
const VALUE_BYTES: usize = 1 << 20;
const VALUES_ASKED: usize = 16;
/// What so many may make the server grow by.
const UNREAD_BYTES_MAX: u64 = 128 << 20;
/// Subscribers that do not read.
const STUCK: usize = 1000;
/// Few enough, likewise.
const REDIS_STUCK: usize = 20;
/// What so many may make the server grow by.
const STUCK_BYTES_MAX: u64 = 256 << 20;
const MESSAGE_BYTES: usize = 64 << 10;
const CONNECTIONS: usize = 9000;
const CONNECTION_BYTES_MAX: u64 = 10 << 10;

fn darter_in(mode: ServerMode) -> Server {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    Server::start(&mode.spec(&program)).unwrap()
}

fn darter() -> Server {
    darter_in(SERVER_MODES[0])
}

fn redis() -> Server {
    Server::start(&oracle_spec()).unwrap_or_else(|error| panic!("redis-server is needed: {error}"))
}

/// Has this process open so many files, as far as the system lets it; how many it may.
fn files_of(needed: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = needed as u64;
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit }).unwrap();
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap())
}

fn number(client: &mut Client, words: &[&str]) -> i64 {
    match client.call(words).unwrap() {
        Value::Integer(number) => number,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn used_bytes(info: Value) -> u64 {
    let info = text(info);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.unwrap().parse().unwrap()
}

fn milliseconds_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// Sends many commands and reads their replies, none of which may be an error.
fn send_all(client: &mut Client, commands: impl Iterator<Item = Vec<Vec<u8>>>) {
    let commands: Vec<_> = commands.collect();
    for batch in commands.chunks(1000) {
        for reply in client.pipeline(batch).unwrap() {
            assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
        }
    }
}

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn fill_set(client: &mut Client) {
    send_all(
        client,
        (0..MEMBERS).step_by(1000).map(|from| {
            let members = (from..from + 1000).map(|member| format!("member:{member}").into_bytes());
            words("SADD big").into_iter().chain(members).collect()
        }),
    );
}

/// The longest that another client waits from `command` on until the big set has gone.
fn longest_wait(server: &Server, command: &str) -> Duration {
    let mut client = server.connect().unwrap();
    client.set_reply_timeout(Duration::from_mins(1)).unwrap();
    let mut other = Bystander::of(server).unwrap();
    client.call(&["SET", "small", "x"]).unwrap();
    fill_set(&mut client);
    let is_kept =
        |other: &mut Bystander<'_>| used_bytes(other.ask(&["INFO", "memory"]).unwrap()) > 20 << 20;
    assert!(is_kept(&mut other));
    other.restart().unwrap();
    client.send(&words(command)).unwrap();
    while is_kept(&mut other) {}
    client.read_reply().unwrap();
    assert_ne!(client.call(&["TYPE", "big"]).unwrap(), Value::Simple(b"set".to_vec()));
    client.call(&["FLUSHALL"]).unwrap();
    other.longest()
}

#[test]
fn nobody_waits_for_a_big_value_that_goes() {
    let ways = [
        "DEL big",
        "UNLINK big",
        "PEXPIRE big 1",
        "SET big x",
        "RENAME small big",
        "FLUSHALL",
        "FLUSHALL SYNC",
        "FLUSHDB SYNC",
    ];
    let server = darter();
    let most = WAIT_MAX + READING_LAG;
    for command in ways {
        let waited = shortest(most, || longest_wait(&server, command));
        eprintln!("{command}: {waited:?}");
        assert!(waited <= most, "{command}: {waited:?}");
    }
    // It can be seen.
    let server = redis();
    let waits = ways.map(|command| {
        let waited = longest_wait(&server, command);
        eprintln!("redis-server, {command}: {waited:?}");
        waited
    });
    assert!(waits[0] > 2 * most && waits.iter().filter(|wait| **wait > most).count() > 3);
}

#[test]
fn a_flush_that_waits_answers_when_the_memory_is_free() {
    for mode in [SERVER_MODES[0], SERVER_MODES[2]] {
        let server = darter_in(mode);
        let mut client = server.connect().unwrap();
        client.set_reply_timeout(Duration::from_mins(1)).unwrap();
        let before = used_bytes(client.call(&["INFO", "memory"]).unwrap());
        let ok = Value::Simple(b"OK".to_vec());
        for command in ["FLUSHALL SYNC", "FLUSHDB sync", "FLUSHALL"] {
            if command == "FLUSHALL" {
                let lazy = ["CONFIG", "SET", "lazyfree-lazy-user-flush", "no"];
                assert_eq!(client.call(&lazy).unwrap(), ok);
            }
            if command == "FLUSHALL SYNC" {
                fill_set(&mut client);
            }
            client.call(&["DEBUG", "POPULATE", "300000"]).unwrap();
            assert_eq!(client.call(&words(command)).unwrap(), ok, "{mode}: {command}");
            // Buffers that were there before may be gone.
            let left = used_bytes(client.call(&["INFO", "memory"]).unwrap());
            let left = left.saturating_sub(before.min(1 << 20));
            assert!(left < 8 << 20, "{mode}: {left} bytes are left after {command}");
            assert_eq!(number(&mut client, &["DBSIZE"]), 0);
        }
        // As a part of something it does not wait.
        client.call(&["DEBUG", "POPULATE", "300000"]).unwrap();
        for (command, reply) in [
            ("MULTI", ok.clone()),
            ("FLUSHALL SYNC", Value::Simple(b"QUEUED".to_vec())),
            ("EXEC", Value::Array(vec![ok.clone()])),
            ("DBSIZE", Value::Integer(0)),
        ] {
            assert_eq!(client.call(&words(command)).unwrap(), reply, "{mode}: {command}");
        }
        let reply = client.call(&["FLUSHALL", "LATER"]).unwrap();
        assert_eq!(reply, Value::Error(b"ERR syntax error".to_vec()));
        let script = "return redis.call('FLUSHALL', 'SYNC')";
        assert_eq!(client.call(&["EVAL", script, "0"]).unwrap(), ok);
    }
}

/// How long it takes to delete `EXPIRING` keys that have expired already with so much effort, and the server's processor
/// time meanwhile.
fn deleting(server: &Server, effort: &str) -> (Duration, Duration) {
    let mut client = server.connect().unwrap();
    client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]).unwrap();
    client.call(&["CONFIG", "SET", "active-expire-effort", effort]).unwrap();
    client.call(&["CONFIG", "RESETSTAT"]).unwrap();
    send_all(&mut client, (0..EXPIRING).map(|key| words(&format!("SET key:{key} value PX 1000"))));
    client.call(&["BLPOP", "nothing", "1.1"]).unwrap();
    let (begun, before) = (Instant::now(), server.cpu_time().unwrap());
    client.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]).unwrap();
    let deleted = format!("expired_keys:{EXPIRING}\r\n");
    while !text(client.call(&["INFO", "stats"]).unwrap()).contains(&deleted) {
        client.call(&["BLPOP", "nothing", "0.01"]).unwrap();
    }
    (begun.elapsed(), server.cpu_time().unwrap().saturating_sub(before))
}

#[test]
fn deleting_what_has_expired_takes_a_share_of_the_time_that_is_set() {
    let server = darter();
    // Wall clock, of a machine that may be busy with something else in either half.
    let is_followed = (0..EFFORT_ROUNDS).any(|_| {
        let (calm, took) = deleting(&server, "1");
        // A quarter, and what asking costs; a machine that is busy makes the share smaller.
        assert!(took * 10 <= calm * 4 + READING_LAG * 10, "{took:?} of {calm:?}");
        let (eager, took) = deleting(&server, "10");
        assert!(took * 10 <= eager * 6 + READING_LAG * 10, "{took:?} of {eager:?}");
        // 25 of 43 percent.
        eager * 10 <= calm * 8
    });
    assert!(is_followed, "with more effort it took as long");
}

/// What the server takes for `EXPIRING` deadlines within a second, from the first one until nothing is left, besides
/// what it is asked meanwhile; `fill` sets them, from a time on.
fn expiry(fill: impl Fn(&mut Client, u64)) -> Duration {
    let server = darter();
    let mut client = server.connect().unwrap();
    let mut first = milliseconds_now() + 2000;
    while {
        fill(&mut client, first);
        // Some have expired already where filling takes so long.
        milliseconds_now() >= first
    } {
        client.call(&["FLUSHALL"]).unwrap();
        first = milliseconds_now() + 2 * (milliseconds_now() - first + 2000);
    }
    // The server's clock, and no work for it meanwhile.
    let wait = |client: &mut Client, milliseconds: u64| {
        let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        client.call(&["BLPOP", "nothing", &seconds]).unwrap();
    };
    wait(&mut client, first.saturating_sub(milliseconds_now()).max(1));
    let before = server.cpu_time().unwrap();
    while number(&mut client, &["DBSIZE"]) > 0 {
        wait(&mut client, 50);
    }
    server.cpu_time().unwrap().saturating_sub(before)
}

/// A quarter of a processor for a million in a second, and for looking once in a tenth of it, with room for a machine that
/// is three times as slow.
const EXPIRY_MAX: Duration = Duration::from_millis(3 * 250 * EXPIRING as u64 / 1_000_000 + 150);

#[test]
fn keys_that_expire_within_a_second_take_a_part_of_it() {
    let took = expiry(|client, first| {
        send_all(
            client,
            (0..EXPIRING).map(|key| {
                let at = first + (key as u64).wrapping_mul(7919) % 1000;
                words(&format!("SET key:{key} 12345678901234567890 PXAT {at}"))
            }),
        );
    });
    assert!(took <= EXPIRY_MAX, "{took:?}");
}

#[test]
fn fields_that_expire_within_a_second_take_a_part_of_it() {
    const FIELDS: usize = 100;
    let took = expiry(|client, first| {
        send_all(
            client,
            (0..EXPIRING).step_by(FIELDS).map(|from| {
                let at = first + (from as u64).wrapping_mul(7919) % 1000;
                let fields =
                    (from..from + FIELDS).map(|field| format!(" field:{field} 1234567890"));
                let fields: String = fields.collect();
                // Few hashes, and big ones.
                words(&format!("HSETEX big:{} PXAT {at} FIELDS {FIELDS}{fields}", from / 100 % 8))
            }),
        );
    });
    assert!(took <= EXPIRY_MAX, "{took:?}");
}

/// How much more is resident when many clients ask for much and read nothing, once each has something unread; and how
/// long another one waits meanwhile.
fn growth(server: &Server, sleepers: usize) -> (u64, Duration) {
    let mut other = Bystander::of(server).unwrap();
    let mut client = server.connect().unwrap();
    client.call(&["SET".as_bytes(), b"big", &vec![b'x'; VALUE_BYTES]]).unwrap();
    let before = server.resident_bytes().unwrap();
    let mut connected: Vec<Client> = (0..sleepers).map(|_| server.connect().unwrap()).collect();
    other.restart().unwrap();
    let ask = || {
        for sleeper in &mut connected {
            sleeper.send_bytes("GET big\r\n".repeat(VALUES_ASKED).as_bytes()).unwrap();
        }
        wait_for("everybody has something unread", PATIENCE, || {
            let list = text(client.call(&["CLIENT", "LIST"]).unwrap());
            list.lines().filter(|line| !line.contains(" omem=0 ")).count() >= sleepers
        });
    };
    other.ask_beside(&["PING"], ask).unwrap();
    let grown = server.resident_bytes().unwrap().saturating_sub(before);
    drop(connected);
    (grown, other.longest())
}

#[test]
fn replies_that_nobody_reads_are_not_made() {
    let server = darter();
    let most = UNREAD_WAIT_MAX + READING_LAG;
    let mut grown = 0;
    let waited = shortest(most, || {
        let (bytes, waited) = growth(&server, SLEEPERS);
        grown = grown.max(bytes);
        waited
    });
    eprintln!("{SLEEPERS} clients: {grown} bytes, others wait {waited:?}");
    assert!(grown <= UNREAD_BYTES_MAX, "{grown} bytes");
    assert!(waited <= most, "{waited:?}");
    let (grown, waited) = growth(&redis(), REDIS_SLEEPERS);
    eprintln!("redis-server, {REDIS_SLEEPERS} clients: {grown} bytes, others wait {waited:?}");
    assert!(grown > UNREAD_BYTES_MAX * REDIS_SLEEPERS as u64 / SLEEPERS as u64, "{grown} bytes");
}

/// Publishes to subscribers who do not read, and to one who does, until `enough` says so of how many receive it still; by
/// how much the server has grown at most.
fn growth_by_subscribers(
    server: &Server,
    stuck: usize,
    enough: impl Fn(usize, usize) -> bool,
) -> u64 {
    assert!(files_of(2 * stuck + 200) > stuck + 100, "too few files may be open");
    let mut client = server.connect().unwrap();
    let mut healthy = server.connect().unwrap();
    healthy.call(&["SUBSCRIBE", "news"]).unwrap();
    let connect = || {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        // The kernel is not what is tested.
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16 << 10).unwrap();
        stream.write_all(b"SUBSCRIBE news\r\n").unwrap();
        stream
    };
    let subscribed: Vec<TcpStream> = (0..stuck).map(|_| connect()).collect();
    let receivers = |client: &mut Client| {
        let reply = client.call(&["PUBSUB", "NUMSUB", "news"]).unwrap();
        match reply.elements().unwrap()[1] {
            Value::Integer(count) => usize::try_from(count).unwrap(),
            ref other => panic!("{other:?}"),
        }
    };
    wait_for("all have subscribed", PATIENCE, || receivers(&mut client) == stuck + 1);
    let before = server.resident_bytes().unwrap();
    let mut grown = 0;
    let mut number = 0;
    let payload = |number: usize| format!("{number} {}", "x".repeat(MESSAGE_BYTES)).into_bytes();
    let mut publish = |client: &mut Client| {
        client.call(&[b"PUBLISH".as_slice(), b"news", &payload(number)]).unwrap();
        // Who reads gets all of it.
        let message = healthy.read_reply().unwrap().value;
        assert_eq!(message.elements().unwrap()[2].text().unwrap(), payload(number));
        grown = grown.max(server.resident_bytes().unwrap().saturating_sub(before));
        number += 1;
        number
    };
    wait_for("enough is published", PATIENCE, || {
        let published = publish(&mut client);
        enough(published, receivers(&mut client))
    });
    drop(subscribed);
    grown
}

#[test]
fn subscribers_that_do_not_read_are_closed_and_cost_others_nothing() {
    for mode in [SERVER_MODES[0], SERVER_MODES[2]] {
        let server = darter_in(mode);
        let grown = growth_by_subscribers(&server, STUCK, |_, receivers| receivers == 1);
        eprintln!("{mode}, {STUCK} subscribers: {grown} bytes");
        assert!(grown <= STUCK_BYTES_MAX, "{mode}: {grown} bytes");
    }
    let grown = growth_by_subscribers(&redis(), REDIS_STUCK, |published, _| published == 200);
    eprintln!("redis-server, {REDIS_STUCK} subscribers: {grown} bytes");
    assert!(grown > STUCK_BYTES_MAX * REDIS_STUCK as u64 / STUCK as u64, "{grown} bytes");
}

/// What one of many connections costs that have asked for something, with the error that one too many is told.
fn connection_bytes(server: &Server, connections: usize) -> u64 {
    let mut client = server.connect().unwrap();
    client.call(&["CONFIG", "SET", "maxclients", &(connections + 1).to_string()]).unwrap();
    let before = server.resident_bytes().unwrap();
    let mut connected: Vec<Client> = (0..connections).map(|_| server.connect().unwrap()).collect();
    let value = "v".repeat(1000);
    for client in &mut connected {
        client.call(&["SET", "key", &value]).unwrap();
        client.call(&["GET", "key"]).unwrap();
    }
    let grown = server.resident_bytes().unwrap().saturating_sub(before);
    let mut refused = server.connect().unwrap();
    let refusal = refused.read_reply().unwrap().value;
    assert_eq!(refusal, Value::Error(b"ERR max number of clients reached".to_vec()));
    refused.read_end().unwrap();
    // Who was there is served, and there is room for another one in the place of one that goes.
    assert_eq!(connected[0].call(&["PING"]).unwrap(), Value::Simple(b"PONG".to_vec()));
    connected.pop().unwrap().end();
    wait_for("there is room", PATIENCE, || {
        server.connect().unwrap().call(&["PING"]).is_ok_and(|reply| !reply.is_error())
    });
    grown / connections as u64
}

#[test]
fn thousands_of_connections_cost_little_and_one_too_many_is_told_so() {
    // Both ends of a connection are a file of somebody.
    let connections = CONNECTIONS.min(files_of(CONNECTIONS + 200) - 100);
    for mode in [SERVER_MODES[0], SERVER_MODES[6]] {
        let bytes = connection_bytes(&darter_in(mode), connections);
        eprintln!("{mode}, {connections} connections: {bytes} bytes each");
        assert!(bytes <= CONNECTION_BYTES_MAX, "{mode}: {bytes} bytes each");
    }
    // It counts something.
    let bytes = connection_bytes(&redis(), connections);
    eprintln!("redis-server, {connections} connections: {bytes} bytes each");
    assert!(bytes > 0);
}
