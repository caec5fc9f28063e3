//! MIGRATE between Darter and redis-server 7.0, and to servers that do not do what they should.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary, oracle_spec};
use darter_testkit::{Client, Server, Value};

/// One key of each type and encoding, in any shards.
const KEYS: &[(&str, &str)] = &[
    ("text", "SET text hello"),
    ("number", "SET number 12345"),
    ("mortal", "SET mortal v PX 100000000"),
    ("list", "RPUSH list a b c 1 2 3"),
    ("integers", "SADD integers 1 2 3"),
    ("set", "SADD set a b c"),
    ("zset", "ZADD zset 1.5 a 2 b inf c"),
    ("hash", "HSET hash f v g w"),
    ("stream", "XADD stream 1-1 f v"),
    ("hll", "PFADD hll a b c"),
];

fn darter(mode: ServerMode) -> Server {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    Server::start(&mode.spec(&program)).unwrap()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').map(|word| word.replace("''", "")).collect::<Vec<_>>()).unwrap()
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn error(text: &str) -> Value {
    Value::Error(text.as_bytes().to_vec())
}

#[test]
fn keys_of_every_type_go_to_redis_and_come_back() {
    let redis = Server::start(&oracle_spec()).unwrap();
    let redis_port = redis.address().port();
    let mut there = redis.connect().unwrap();
    for mode in SERVER_MODES {
        let server = darter(*mode);
        let port = server.address().port();
        let mut here = server.connect().unwrap();
        for (_, line) in KEYS {
            call(&mut here, line);
        }
        let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
        let names = names.join(" ");
        let digests = format!("DEBUG DIGEST-VALUE {names}");
        let before = call(&mut here, &digests);
        let go = format!("MIGRATE 127.0.0.1 {redis_port} '' 3 20000 KEYS {names} nokey");
        assert_eq!(call(&mut here, &go), ok(), "{mode}");
        assert_eq!(call(&mut here, "DBSIZE"), Value::Integer(0), "{mode}");
        call(&mut there, "SELECT 3");
        assert_eq!(
            call(&mut there, "DBSIZE"),
            Value::Integer(i64::try_from(KEYS.len()).unwrap()),
            "{mode}"
        );
        assert_eq!(call(&mut there, "ZSCORE zset a"), Value::Bulk(b"1.5".to_vec()));
        let Value::Integer(ttl) = call(&mut there, "PTTL mortal") else { panic!("a number") };
        assert!((1..=100_000_000).contains(&ttl), "{mode}: {ttl}");
        let back = format!("MIGRATE 127.0.0.1 {port} '' 0 20000 KEYS {names}");
        assert_eq!(call(&mut there, &back), ok(), "{mode}");
        assert_eq!(call(&mut there, "DBSIZE"), Value::Integer(0), "{mode}");
        assert_eq!(call(&mut here, &digests), before, "{mode}");
    }
}

#[test]
fn options_are_those_of_redis() {
    let source = darter(SERVER_MODES[2]);
    let target = darter(SERVER_MODES[0]);
    let port = target.address().port();
    let (mut here, mut there) = (source.connect().unwrap(), target.connect().unwrap());
    let migrate =
        |client: &mut Client, what: &str| call(client, &format!("MIGRATE 127.0.0.1 {port} {what}"));
    call(&mut here, "SET k 1");
    assert_eq!(migrate(&mut here, "k 0 20000 COPY"), ok());
    assert_eq!(call(&mut here, "GET k"), Value::Bulk(b"1".to_vec()));
    assert_eq!(call(&mut there, "GET k"), Value::Bulk(b"1".to_vec()));
    let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
    call(&mut here, "MSET k 2 l 3");
    // The other key is moved nevertheless.
    assert_eq!(migrate(&mut here, "'' 0 20000 KEYS k l"), error(busy));
    assert_eq!(call(&mut here, "EXISTS k l"), Value::Integer(1));
    assert_eq!(call(&mut there, "MGET k l"), Value::Array(bulks(&["1", "3"])));
    assert_eq!(migrate(&mut here, "k 0 20000 REPLACE"), ok());
    assert_eq!(call(&mut here, "EXISTS k"), Value::Integer(0));
    assert_eq!(call(&mut there, "GET k"), Value::Bulk(b"2".to_vec()));
    call(&mut here, "SET k 4");
    let range = "ERR Target instance replied with error: ERR DB index is out of range";
    assert_eq!(migrate(&mut here, "k 999 20000 REPLACE"), error(range));
    assert_eq!(call(&mut here, "GET k"), Value::Bulk(b"4".to_vec()));
    call(&mut there, "CONFIG SET requirepass secret");
    let denied = "ERR Target instance replied with error: NOAUTH Authentication required.";
    assert_eq!(migrate(&mut here, "k 0 20000 REPLACE"), error(denied));
    let Value::Error(wrong) = migrate(&mut here, "k 0 20000 REPLACE AUTH no") else {
        panic!("an error")
    };
    assert!(wrong.starts_with(b"ERR Target instance replied with error: WRONGPASS"));
    assert_eq!(call(&mut here, "GET k"), Value::Bulk(b"4".to_vec()));
    assert_eq!(migrate(&mut here, "k 0 20000 REPLACE AUTH secret COPY"), ok());
    assert_eq!(migrate(&mut here, "k 0 20000 REPLACE AUTH2 default secret"), ok());
    assert_eq!(call(&mut here, "GET k"), Value::NullBulk);
    assert_eq!(call(&mut there, "GET k"), Value::Bulk(b"4".to_vec()));
    let Value::Bulk(info) = call(&mut here, "INFO commandstats") else { panic!("a text") };
    let info = String::from_utf8_lossy(&info).into_owned();
    let line = info.lines().find(|line| line.starts_with("cmdstat_migrate:")).unwrap();
    assert!(line.starts_with("cmdstat_migrate:calls=8,"), "{line}");
    assert!(line.ends_with("failed_calls=4"), "{line}");
}

fn bulks(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::Bulk(text.as_bytes().to_vec())).collect()
}

/// Reads requests until `count` of them have come.
fn read_requests(stream: &mut TcpStream, count: usize) {
    let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
    while seen.split(|byte| *byte == b'*').count() <= count {
        let got = stream.read(&mut chunk).unwrap();
        assert!(got > 0, "the other side has gone");
        seen.extend_from_slice(&chunk[..got]);
    }
}

#[test]
fn others_are_served_while_the_target_is_slow_and_nothing_is_lost() {
    for mode in [SERVER_MODES[0], SERVER_MODES[4]] {
        let source = darter(mode);
        let target = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = target.local_addr().unwrap().port();
        let mut mover = source.connect().unwrap();
        mover.set_reply_timeout(Duration::from_mins(1)).unwrap();
        let mut other = source.connect().unwrap();
        let mut writer = source.connect().unwrap();
        call(&mut other, "SET k 1");
        let line = format!("MIGRATE 127.0.0.1 {port} k 0 60000");
        mover.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let (mut stream, _) = target.accept().unwrap();
        read_requests(&mut stream, 2);
        // Its shard is held now; the worker is not.
        assert_eq!(call(&mut other, "PING"), Value::Simple(b"PONG".to_vec()), "{mode}");
        writer.send(&["INCR", "k"]).unwrap();
        assert_eq!(call(&mut other, "PING"), Value::Simple(b"PONG".to_vec()), "{mode}");
        assert!(!writer.has_received().unwrap(), "{mode}: the key is on its way");
        stream.write_all(b"+OK\r\n+OK\r\n").unwrap();
        assert_eq!(mover.read_reply().unwrap().value, ok(), "{mode}");
        // It came after the key had gone.
        assert_eq!(writer.read_reply().unwrap().value, Value::Integer(1), "{mode}");
        assert_eq!(call(&mut other, "GET k"), Value::Bulk(b"1".to_vec()), "{mode}");
    }
}

#[test]
fn others_are_served_while_a_big_value_is_written_down() {
    /// Processor time that the server may take before it answers a PING: much less than for the value.
    const WAIT_MAX: Duration = Duration::from_millis(100);
    let source = darter(SERVER_MODES[0]);
    let target = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = target.local_addr().unwrap().port();
    let mut other = source.connect().unwrap();
    call(&mut other, "SETRANGE k 250000000 x");
    let line = format!("MIGRATE 127.0.0.1 {port} k 0 60000");
    // The other client may have had to wait for a processor itself.
    let are_served = (0..10).any(|_| {
        let mut mover = source.connect().unwrap();
        mover.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
        let (stream, _) = target.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        // The value is whole before the first request is sent.
        let mut longest = Duration::ZERO;
        while stream.peek(&mut [0]).is_err() {
            let before = source.cpu_time().unwrap();
            assert_eq!(call(&mut other, "PING"), Value::Simple(b"PONG".to_vec()));
            longest = longest.max(source.cpu_time().unwrap().saturating_sub(before));
        }
        drop(stream);
        // Nobody has taken the key.
        let broken = mover.read_reply().unwrap().value;
        assert!(broken.is_error(), "{broken:?}");
        longest <= WAIT_MAX
    });
    assert!(are_served, "who needs no shard waits");
    assert_eq!(call(&mut other, "EXISTS k"), Value::Integer(1));
}

#[test]
fn a_target_that_breaks_off_or_is_too_slow_gets_nothing() {
    let source = darter(SERVER_MODES[2]);
    let target = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = target.local_addr().unwrap().port();
    let mut client = source.connect().unwrap();
    let mut other = source.connect().unwrap();
    let reading = error("IOERR error or timeout reading to target instance");
    call(&mut other, "MSET a 1 b 2");
    // It breaks off after the first key.
    let line = format!("MIGRATE 127.0.0.1 {port} '' 0 20000 KEYS a b");
    let words: Vec<String> = line.split(' ').map(|word| word.replace("''", "")).collect();
    client.send(&words).unwrap();
    let (mut stream, _) = target.accept().unwrap();
    read_requests(&mut stream, 3);
    stream.write_all(b"+OK\r\n+OK\r\n").unwrap();
    drop(stream);
    assert_eq!(client.read_reply().unwrap().value, reading);
    assert_eq!(call(&mut other, "EXISTS a"), Value::Integer(0));
    assert_eq!(call(&mut other, "EXISTS b"), Value::Integer(1));
    // It never answers.
    client
        .send(&format!("MIGRATE 127.0.0.1 {port} b 0 300").split(' ').collect::<Vec<_>>())
        .unwrap();
    let (stream, _) = target.accept().unwrap();
    assert_eq!(client.read_reply().unwrap().value, reading);
    drop(stream);
    assert_eq!(call(&mut other, "GET b"), Value::Bulk(b"2".to_vec()));
    // The client goes; the key goes as it would have.
    client
        .send(&format!("MIGRATE 127.0.0.1 {port} b 0 60000").split(' ').collect::<Vec<_>>())
        .unwrap();
    let (mut stream, _) = target.accept().unwrap();
    read_requests(&mut stream, 2);
    drop(client);
    stream.write_all(b"+OK\r\n+OK\r\n").unwrap();
    assert_eq!(call(&mut other, "EXISTS b"), Value::Integer(0));
}

#[test]
fn it_is_refused_where_nobody_can_wait() {
    let source = darter(SERVER_MODES[0]);
    let mut client = source.connect().unwrap();
    call(&mut client, "SET k 1");
    call(&mut client, "MULTI");
    call(&mut client, "MIGRATE 127.0.0.1 1 k 0 100");
    let inside = error("ERR MIGRATE is not possible in a transaction or a script");
    assert_eq!(call(&mut client, "EXEC"), Value::Array(vec![inside]));
    assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"1".to_vec()));
}
