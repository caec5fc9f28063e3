//! DUMP payloads between Darter and redis-server: every encoding both ways, and damaged ones.

use darter_testkit::mutation::drive_one_by_one;
use darter_testkit::{Client, Server, Value, mode};

/// Keys of every type in every form that redis-server 7.0 has, and what makes them.
fn contents() -> Vec<(&'static str, Vec<Vec<Vec<u8>>>)> {
    let line = |text: &str| darter_testkit::request::words(text);
    let many = |command: &str, key: &str, count: u32, make: &dyn Fn(u32) -> Vec<Vec<u8>>| {
        let mut words = vec![command.as_bytes().to_vec(), key.as_bytes().to_vec()];
        (0..count).for_each(|number| words.extend(make(number)));
        words
    };
    let text = |number: u32| format!("element number {number}").into_bytes();
    let digits = |number: u32| number.to_string().into_bytes();
    vec![
        ("int8", vec![line("SET int8 -5")]),
        ("int16", vec![line("SET int16 3000")]),
        ("int32", vec![line("SET int32 -700000")]),
        ("int64", vec![line("SET int64 9223372036854775807")]),
        ("embstr", vec![line("SET embstr hello")]),
        ("empty", vec![vec![b"SET".to_vec(), b"empty".to_vec(), Vec::new()]]),
        ("packed", vec![vec![b"SET".to_vec(), b"packed".to_vec(), b"abc".repeat(400)]]),
        ("sparse", vec![line("SETBIT sparse 80000 1")]),
        ("hll", vec![line("PFADD hll a b c d e")]),
        ("list", vec![line("RPUSH list a -1 70000 5000000000 hello")]),
        ("biglist", vec![many("RPUSH", "biglist", 3000, &|n| vec![text(n)])]),
        ("longlist", vec![vec![b"RPUSH".to_vec(), b"longlist".to_vec(), vec![b'x'; 20_000]]]),
        ("intset16", vec![line("SADD intset16 1 2 -300")]),
        ("intset32", vec![line("SADD intset32 1 70000")]),
        ("intset64", vec![line("SADD intset64 1 5000000000")]),
        ("set", vec![line("SADD set a b 17")]),
        ("bigset", vec![many("SADD", "bigset", 1000, &|n| vec![text(n)])]),
        ("sorted", vec![line("ZADD sorted 1.5 a -inf b inf c 3 17")]),
        ("bigsorted", vec![many("ZADD", "bigsorted", 1000, &|n| vec![digits(n), text(n)])]),
        ("hash", vec![line("HSET hash a 1 b two c 70000")]),
        ("bighash", vec![many("HSET", "bighash", 1000, &|n| vec![text(n), digits(n)])]),
        (
            "stream",
            vec![
                line("XADD stream 1-1 f v g 12"),
                line("XADD stream 1-2 f w g -700000"),
                line("XADD stream 5-0 other field"),
                line("XDEL stream 1-1"),
                line("XGROUP CREATE stream readers 0"),
                line("XGROUP CREATE stream idle 5-0"),
                line("XREADGROUP GROUP readers me COUNT 1 STREAMS stream >"),
                line("XREADGROUP GROUP readers you STREAMS stream >"),
            ],
        ),
        ("emptystream", vec![line("XGROUP CREATE emptystream g $ MKSTREAM")]),
    ]
}

fn call(client: &mut Client, words: &[Vec<u8>]) -> Value {
    client.call(words).expect("the server answers")
}

fn words(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    parts.iter().map(|part| part.to_vec()).collect()
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    let reply = call(client, &words(&[b"DUMP", key.as_bytes()]));
    reply.text().unwrap_or_else(|| panic!("DUMP {key}: {reply:?}")).to_vec()
}

fn restore(client: &mut Client, key: &str, payload: &[u8]) -> Value {
    call(client, &words(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"]))
}

/// What a client can see of a value.
fn seen(client: &mut Client, key: &str) -> Vec<Value> {
    let key = key.as_bytes();
    let mut seen = vec![
        call(client, &words(&[b"TYPE", key])),
        call(client, &words(&[b"DEBUG", b"DIGEST-VALUE", key])),
    ];
    if key.ends_with(b"stream") {
        seen.push(call(client, &words(&[b"XRANGE", key, b"-", b"+"])));
        seen.push(call(client, &words(&[b"XINFO", b"GROUPS", key])));
        seen.push(call(client, &words(&[b"XPENDING", key, b"readers"])));
    }
    seen
}

fn servers() -> (Server, Server) {
    let debug = ["--enable-debug-command".to_owned(), "yes".to_owned()];
    let redis = mode::oracle_spec().with_arguments(&debug);
    let program = mode::darter_binary().expect("Darter builds");
    let darter = mode::SERVER_MODES[0].spec(&program).with_arguments(&debug);
    let start = |spec| Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
    (start(redis), start(darter))
}

#[test]
fn payloads_of_every_encoding_pass_both_ways() {
    let (redis, darter) = servers();
    let (mut redis, mut darter) = (redis.connect().unwrap(), darter.connect().unwrap());
    for (key, setup) in contents() {
        for command in &setup {
            call(&mut redis, command);
        }
        let expected = seen(&mut redis, key);
        let theirs = dump(&mut redis, key);
        assert_eq!(restore(&mut darter, key, &theirs), Value::Simple(b"OK".to_vec()), "{key}");
        assert_eq!(seen(&mut darter, key), expected, "{key}, from Redis to Darter");
        let ours = dump(&mut darter, key);
        assert_eq!(restore(&mut redis, key, &ours), Value::Simple(b"OK".to_vec()), "{key}");
        assert_eq!(seen(&mut redis, key), expected, "{key}, from Darter to Redis");
    }
}

/// Longest payload to be mutated here: short ones are decoded more often.
const SEED_BYTES_MAX: usize = 1000;

/// Bytes of the version and the checksum at the end of a payload.
const SEAL_BYTES: usize = 10;

#[test]
fn the_decoder_bears_any_bytes() {
    let redis = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let mut client = redis.connect().expect("connects");
    let mut seeds = Vec::new();
    for (key, setup) in contents() {
        for command in &setup {
            call(&mut client, command);
        }
        let mut payload = dump(&mut client, key);
        payload.truncate(payload.len() - SEAL_BYTES);
        if payload.len() <= SEED_BYTES_MAX {
            seeds.push(payload);
        }
    }
    assert!(drive_one_by_one("value", &seeds, darter_rdb::exercise::value) > 0);
}

#[test]
fn damaged_payloads_neither_kill_nor_stall() {
    const MUTANTS: usize = 3000;
    let (redis, mut darter_server) = servers();
    let (mut redis, mut darter) = (redis.connect().unwrap(), darter_server.connect().unwrap());
    let payloads: Vec<_> = contents()
        .into_iter()
        .map(|(key, setup)| {
            for command in &setup {
                drop(call(&mut redis, command));
            }
            dump(&mut redis, key)
        })
        .collect();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut restored = 0;
    for number in 0..MUTANTS {
        let mut payload = payloads[number % payloads.len()].clone();
        let content = payload.len() - 10;
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..content);
            payload[at] = match rng.u8(0..4) {
                0 => 0xff,
                1 => 0x81,
                2 => payload[at].wrapping_add(1),
                _ => rng.u8(..),
            };
        }
        let sealed = payload.len() - 8;
        let checksum = darter_base::crc64::crc64(0, &payload[..sealed]);
        payload[sealed..].copy_from_slice(&checksum.to_le_bytes());
        let reply = restore(&mut darter, "mutant", &payload);
        if let Value::Simple(_) = reply {
            restored += 1;
            // What was accepted is a value like any other.
            seen(&mut darter, "mutant");
            dump(&mut darter, "mutant");
        } else {
            assert_eq!(reply, Value::Error(b"ERR Bad data format".to_vec()), "mutant {number}");
        }
    }
    assert!(darter_server.is_running());
    assert!(restored > 0 && restored < MUTANTS, "{restored}");
}
