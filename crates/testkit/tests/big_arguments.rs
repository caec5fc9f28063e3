//! Arguments of megabytes are taken over as they were read, and nobody can tell: what they set, what is done to it
//! afterwards, and what comes behind them on the connection. `redis-server` answers the same.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{SERVER_MODES, darter_binary, oracle_spec};
use darter_testkit::{Client, Server, Value};

/// Enough to be taken over.
const LONG_BYTES: usize = 3_000_000;

type Words = Vec<Vec<u8>>;

/// Bytes that are not like those beside them.
fn long_text(seed: usize) -> Vec<u8> {
    (0..LONG_BYTES).map(|at| ((at + seed) * 7919 % 251).to_le_bytes()[0]).collect()
}

/// A line, of which the word `LONG` stands for a long text.
fn words(line: &str, seed: usize) -> Words {
    let word = |word: &str| if word == "LONG" { long_text(seed) } else { word.as_bytes().to_vec() };
    line.split(' ').map(word).collect()
}

/// What a client sends, in this order.
fn commands() -> Vec<Words> {
    let lines = [
        "SET {a} LONG",
        "GET {a}",
        "APPEND {a} tail",
        "GETRANGE {a} 2999990 -1",
        "SETRANGE {a} 3 xyz",
        "GET {a}",
        "SET {a} LONG EX 100 GET",
        "SETRANGE {a} 6000000 end",
        "GET {a}",
        "GETSET {a} LONG",
        "COPY {a} {a}copy",
        "SETEX {a} 100 LONG",
        "GET {a}copy",
        "SETNX {a}new LONG",
        "GET {a}new",
        "MSET {a} LONG b short c LONG",
        "MGET {a} b c",
        "ECHO LONG",
        "PING LONG",
        "MULTI",
        "SET {a} LONG",
        "APPEND {a} x",
        "ECHO LONG",
        "SET b LONG",
        "EXEC",
        "GET {a}",
        "STRLEN b",
        "SET {a} LONG XX GET NX",
        "SET {a} LONG NX",
        "RPUSH list LONG short LONG",
        "LRANGE list 0 -1",
        "LPUSH list LONG",
        "LINSERT list BEFORE short LONG",
        "LSET list -1 LONG",
        "LSET list 7 LONG",
        "LINSERT list BEFORE LONG x",
        "LRANGE list 0 -1",
        "LMOVE list list LEFT RIGHT",
        "RPOPLPUSH list moved",
        "LMOVE list moved LEFT LEFT",
        "LRANGE moved 0 -1",
        "LREM list 1 LONG",
        "LPUSHX list LONG",
        "LPOP list 2",
        "LRANGE list 0 -1",
        "HSET hash field LONG",
        "HGET hash field",
        "HSETNX hash field LONG",
        "HSETNX hash other LONG",
        "HMSET hash field x third LONG",
        "HMGET hash field other third",
        "HDEL hash third",
        "SETRANGE {a} 0 LONG",
        "GET {a}",
        "APPEND {a} tail",
        "SETRANGE {a} 0 LONG",
        "GET {a}",
        "SETRANGE {a}other 0 LONG",
        "GET {a}other",
        "SETRANGE hash 0 LONG",
        "SADD set LONG",
        "SMEMBERS set",
        "EVAL return{redis.call('SET',KEYS[1],ARGV[1]),#ARGV[1]} 1 {a} LONG",
        "GET {a}",
        "PUBLISH nobody LONG",
        "DEL {a} b",
        "PING",
    ];
    lines.iter().enumerate().map(|(seed, line)| words(line, seed)).collect()
}

fn answers(server: &Server) -> Vec<Value> {
    let mut client = server.connect().unwrap();
    commands().iter().map(|words| client.call(words).unwrap()).collect()
}

#[test]
fn nobody_can_tell_that_arguments_are_taken_over() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let peer = Server::start(&oracle_spec()).unwrap_or_else(|error| panic!("{error}"));
    let expected = answers(&peer);
    for mode in [SERVER_MODES[0], SERVER_MODES[2], SERVER_MODES[7]] {
        let server = Server::start(&mode.spec(&program)).unwrap();
        for round in 0..2 {
            let answered = answers(&server);
            for (index, (answer, expected)) in answered.iter().zip(&expected).enumerate() {
                assert!(answer == expected, "{mode}: command {index} in round {round}");
            }
            server.connect().unwrap().call(&["FLUSHALL"]).unwrap();
        }
    }
}

#[test]
fn what_is_taken_over_takes_little_more_than_its_bytes() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    for mode in [SERVER_MODES[0], SERVER_MODES[2]] {
        let server = Server::start(&mode.spec(&program)).unwrap();
        let mut client = server.connect().unwrap();
        let used = |client: &mut Client| {
            let Value::Integer(bytes) = client.call(&["MEMORY", "USAGE", "key"]).unwrap() else {
                panic!("a number")
            };
            usize::try_from(bytes).unwrap()
        };
        for command in [words("SET key LONG", 1), words("MSET other x key LONG", 1)] {
            client.call(&command).unwrap();
            assert!((LONG_BYTES..LONG_BYTES * 17 / 16).contains(&used(&mut client)), "{mode}");
        }
        // Of a text beside which there is as much else its own bytes are kept.
        client.call(&words("MSET other LONG key LONG", 1)).unwrap();
        assert!((LONG_BYTES..LONG_BYTES * 17 / 16).contains(&used(&mut client)), "{mode}");
    }
}
