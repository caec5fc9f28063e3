//! DUMP payloads between Darter and redis-server: every encoding both ways, and damaged ones.

use darter_testkit::encodings::contents;
use darter_testkit::{Client, Server, Value, mode, mutation};
use fastrand::Rng;

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

/// Bytes of the version and of the checksum at the end of a payload.
const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// One to three places damaged, or a piece taken out, doubled or brought elsewhere; the checksum made right again.
fn damaged(payload: &[u8], random: &mut Rng) -> Vec<u8> {
    let content = payload.len() - VERSION_BYTES - CHECKSUM_BYTES;
    let mut bytes = payload[..content].to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..bytes.len());
        match random.u8(0..7) {
            0 => bytes[at] = 0xff,
            1 => bytes[at] = 0x81,
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 | 4 => bytes[at] = random.u8(..),
            choice => {
                let piece = bytes[at..bytes.len().min(at + random.usize(1..16))].to_vec();
                if choice == 5 && bytes.len() > piece.len() {
                    bytes.drain(at..at + piece.len());
                }
                let to = random.usize(0..=bytes.len());
                if choice == 6 || random.bool() {
                    bytes.splice(to..to, piece);
                }
            }
        }
    }
    bytes.extend_from_slice(&payload[content..content + VERSION_BYTES]);
    let checksum = darter_base::crc64::crc64(0, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The most memory that keys and buffers have taken.
fn peak_bytes(client: &mut Client) -> u64 {
    let info = call(client, &words(&[b"INFO", b"memory"]));
    let info = String::from_utf8_lossy(info.text().expect("a text")).into_owned();
    let peak = info.lines().find_map(|line| line.strip_prefix("used_memory_peak:"));
    peak.and_then(|peak| peak.parse().ok()).expect("a number of bytes")
}

/// Mutants of payloads that redis-server 7.0 has written, of every encoding: none kills the server, keeps it from
/// answering, or takes memory out of proportion, and one that is refused changes nothing.
#[test]
fn damaged_payloads_neither_kill_nor_stall() {
    const MUTANTS: usize = 3000;
    /// Far above what the longest payload is worth, far below what a declared count could ask for.
    const GROWTH_BYTES_MAX: u64 = 64 << 20;
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seed = number(mutation::SEED_VARIABLE).unwrap_or(1);
    let mutants =
        number("DARTER_MUTANTS").map_or(MUTANTS, |it| usize::try_from(it).expect("a count"));
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
    let mut random = Rng::with_seed(seed);
    let before = peak_bytes(&mut darter);
    let mut restored = 0;
    let mut kept = call(&mut darter, &words(&[b"DEBUG", b"DIGEST-VALUE", b"mutant"]));
    for number in 0..mutants {
        let payload = damaged(&payloads[number % payloads.len()], &mut random);
        let reply = restore(&mut darter, "mutant", &payload);
        let digest = call(&mut darter, &words(&[b"DEBUG", b"DIGEST-VALUE", b"mutant"]));
        if let Value::Simple(_) = reply {
            restored += 1;
            // What was accepted is a value like any other.
            seen(&mut darter, "mutant");
            dump(&mut darter, "mutant");
            kept = digest;
        } else {
            assert_eq!(reply, Value::Error(b"ERR Bad data format".to_vec()), "mutant {number}");
            assert_eq!(digest, kept, "mutant {number}");
        }
    }
    assert!(darter_server.is_running());
    assert!(restored > 0 && restored < mutants, "{restored}");
    let growth = peak_bytes(&mut darter) - before;
    assert!(growth <= GROWTH_BYTES_MAX, "{growth} bytes");
    eprintln!(
        "seed {seed}: {mutants} mutants, {restored} of them values; {growth} bytes more at most"
    );
}
