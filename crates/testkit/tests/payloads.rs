//! DUMP payloads between Darter and redis-server: every encoding both ways, and damaged ones.

use darter_testkit::encodings::contents;
use darter_testkit::mutation::drive_one_by_one;
use darter_testkit::{Client, Server, Value, mode};

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
