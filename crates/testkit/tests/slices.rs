//! Commands that run in slices: others are served meanwhile, and nobody can tell that it was not one step.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::{Client, Server, Value, request};

/// One worker, so that nobody else could serve the other client.
const ALONE: ServerMode = ServerMode { workers: 1, shards: 1, reactor: "epoll", routing: "auto" };

fn start(mode: ServerMode) -> Server {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    Server::start(&mode.spec(&program)).unwrap()
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

/// Makes collections of `count` elements.
fn fill(client: &mut Client, count: usize) {
    client.set_reply_timeout(Duration::from_mins(2)).unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(5000) {
        let with = |command: &str, key: &str, of: &dyn Fn(usize) -> Vec<String>| {
            let head = [command.to_owned(), key.to_owned()];
            head.into_iter().chain(some.iter().flat_map(|number| of(*number))).collect::<Vec<_>>()
        };
        let element = |number| vec![format!("e{number}")];
        let later = |number| vec![format!("e{}", number + count / 2)];
        let negated =
            |number: usize| vec![format!("-{number}"), format!("e{}", number + count / 2)];
        let scored = |number: usize| vec![number.to_string(), format!("e{number}")];
        let field = |number| vec![format!("e{number}"), "0".to_owned()];
        let place = |number: usize| {
            let (east, north) = (number % 150, number / 150);
            vec![format!("0.{east:03}"), format!("0.{north:03}"), format!("e{number}")]
        };
        for command in [
            with("RPUSH", "list", &element),
            with("SADD", "set", &element),
            with("SADD", "set2", &later),
            with("ZADD", "zset", &scored),
            with("ZADD", "zset2", &negated),
            with("HSET", "hash", &field),
            with("GEOADD", "geo", &place),
        ] {
            client.call(&command).unwrap();
        }
        let weights =
            |number: &usize| [format!("w_e{number}"), (number * 7919 % 100_003).to_string()];
        let weights = some.iter().flat_map(weights);
        client.call(&["MSET".to_owned()].into_iter().chain(weights).collect::<Vec<_>>()).unwrap();
        let entries: Vec<Vec<String>> = some
            .iter()
            .map(|number| format!("XADD stream {}-1 f v", number + 1))
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
        client.pipeline(&entries).unwrap();
    }
    for line in [
        "XGROUP CREATE stream g 0",
        "COPY stream pending",
        "XREADGROUP GROUP g c STREAMS pending >",
    ] {
        call(client, line);
    }
    call(client, &format!("SET text {}", "some text ".repeat(count).trim_end().replace(' ', "_")));
}

/// Whether another client was answered at a time when the command of `words` had begun and had no answer yet.
fn lets_others_in<W: AsRef<[u8]>>(long: &mut Client, other: &mut Client, words: &[W]) -> bool {
    let Value::Integer(id) = call(long, "CLIENT ID") else { panic!("an id") };
    let name = String::from_utf8_lossy(words[0].as_ref()).to_lowercase();
    // Maybe with a subcommand.
    let begun = format!(" cmd={name}");
    long.send(words).unwrap();
    loop {
        let Value::Bulk(clients) = call(other, &format!("CLIENT LIST ID {id}")) else {
            panic!("a list of clients")
        };
        let has_begun = String::from_utf8_lossy(&clients).contains(&begun);
        let has_answer = long.has_received().unwrap();
        if has_begun || has_answer {
            assert_eq!(call(other, "PING"), Value::Simple("PONG".into()));
            return !has_answer;
        }
    }
}

#[test]
fn others_are_served_while_a_long_reply_is_made() {
    let server = start(ALONE);
    fill(&mut server.connect().unwrap(), 60_000);
    call(&mut server.connect().unwrap(), "SETRANGE bits 40000000 abc");
    let mut other = server.connect().unwrap();
    for line in [
        "LRANGE list 0 -1",
        "HGETALL hash",
        "HKEYS hash",
        "HVALS hash",
        "SMEMBERS set",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZRANGEBYSCORE zset -inf +inf",
        "ZREVRANGE zset 0 -1",
        "XRANGE stream - +",
        "XREVRANGE stream + -",
        "XREAD STREAMS stream 0",
        "SINTER set set2",
        "SUNIONSTORE stored set set2",
        "ZUNION 2 zset zset2",
        "ZINTERSTORE stored 2 zset zset2",
        "ZRANGESTORE stored zset 0 -1",
        "COPY hash stored REPLACE",
        "DUMP bits",
        "DUMP list",
        "DUMP pending",
        "DEBUG DIGEST-VALUE hash",
        "DEBUG DIGEST",
        "COPY pending stored REPLACE",
        "SRANDMEMBER set 50000",
        "HRANDFIELD hash 50000",
        "ZRANDMEMBER zset 50000",
        "SORT list ALPHA",
        "SORT set ALPHA STORE stored",
        "SORT list BY w_* GET w_* GET #",
        "SORT set BY w_* STORE stored",
        "SORT_RO zset BY nosort GET w_*",
        "SORT list BY w_*->f GET w_*->f STORE stored",
        "GEOSEARCH geo FROMLONLAT 0 0 BYRADIUS 1000 km ASC",
        "GEOSEARCHSTORE stored geo FROMLONLAT 0 0 BYRADIUS 1000 km",
        "XPENDING pending g - + 60000",
        "XINFO STREAM pending FULL COUNT 0",
        "BITCOUNT bits",
        "BITPOS bits 1",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(is_let_in(&server, &mut other, &words), "{line} kept the other client waiting");
    }
    for key in ["bits", "list", "set", "zset", "hash", "stream"] {
        let words = restoring("d", &dump(&mut other, key));
        assert!(is_let_in(&server, &mut other, &words), "RESTORE of {key} kept the other waiting");
    }
}

/// Whether the other client is let in at last; it may have been too slow for once.
fn is_let_in<W: AsRef<[u8]>>(server: &Server, other: &mut Client, words: &[W]) -> bool {
    (0..50).any(|_| {
        let mut long = server.connect().unwrap();
        let was_let_in = lets_others_in(&mut long, other, words);
        long.end();
        was_let_in
    })
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    let Value::Bulk(payload) = call(client, &format!("DUMP {key}")) else { panic!("a payload") };
    payload
}

/// RESTORE over whatever is there.
fn restoring(key: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    [b"RESTORE".as_slice(), key.as_bytes(), b"0", payload, b"REPLACE"].map(<[u8]>::to_vec).into()
}

const BIG: [&str; 7] = ["text", "list", "set", "zset", "hash", "stream", "pending"];

#[test]
fn what_is_restored_in_slices_is_what_was_dumped() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill(&mut client, 60_000);
        for key in BIG {
            let payload = dump(&mut client, key);
            assert!(payload.len() > 300_000, "{key} is restored in slices");
            let mut words = restoring("d", &payload);
            assert_eq!(client.call(&words).unwrap(), Value::Simple("OK".into()), "{mode}: {key}");
            assert_eq!(digest(&mut client, "d"), digest(&mut client, key), "{mode}: {key}");
            for property in ["OBJECT ENCODING", "TYPE", "XINFO STREAM"] {
                let [of, expected] =
                    ["d", key].map(|key| call(&mut client, &format!("{property} {key}")));
                assert_eq!(of, expected, "{mode}: {property} {key}");
            }
            words[2] = b"5000000".to_vec();
            client.call(&words).unwrap();
            let Value::Integer(ttl) = call(&mut client, "TTL d") else { panic!("seconds") };
            assert!((4000..=5000).contains(&ttl), "{mode}: {key}");
            // Over already: nothing is left.
            words[2] = b"1".to_vec();
            words.push(b"ABSTTL".to_vec());
            client.call(&words).unwrap();
            assert_eq!(call(&mut client, "EXISTS d"), Value::Integer(0), "{mode}: {key}");
        }
    }
}

#[test]
fn big_commands_in_slices_run_once_and_in_order_while_others_want_their_shards() {
    const BYTES: usize = 3 << 20;
    const ROUNDS: i64 = 12;
    for mode in SERVER_MODES {
        let server = start(*mode);
        let mut client = server.connect().unwrap();
        let payloads = ["one", "other"].map(|key| {
            call(&mut client, &format!("SETRANGE {key} {BYTES} {key}"));
            dump(&mut client, key)
        });
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reader = server.connect().unwrap();
                let keys = ["d", "n", "e", "f"];
                let reads = keys.map(|key| vec!["STRLEN", key]);
                while !is_over.load(Ordering::Relaxed) {
                    reader.pipeline(&reads).unwrap();
                }
            });
            let mut request = Vec::new();
            for _ in 0..ROUNDS {
                request::encode(&["INCR", "n"], &mut request);
                for payload in &payloads {
                    request::encode(&restoring("d", payload), &mut request);
                    request::encode(&["STRLEN", "d"], &mut request);
                }
            }
            client.send_bytes(&request).unwrap();
            for round in 1..=ROUNDS {
                let mut next = || client.read_reply().unwrap().value;
                assert_eq!(next(), Value::Integer(round), "{mode}");
                for key in ["one", "other"] {
                    assert_eq!(next(), Value::Simple("OK".into()), "{mode}");
                    let len = i64::try_from(BYTES + key.len()).unwrap();
                    assert_eq!(next(), Value::Integer(len), "{mode}: {key}");
                }
            }
            is_over.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        assert_eq!(digest(&mut client, "d"), digest(&mut client, "other"), "{mode}");
        assert!(!client.has_received().unwrap(), "{mode}: more replies than commands");
    }
}

#[test]
fn what_cannot_be_restored_in_slices_changes_nothing() {
    let server = start(ALONE);
    let mut client = server.connect().unwrap();
    fill(&mut client, 60_000);
    call(&mut client, "SET d before");
    let error = |client: &mut Client, words: &[Vec<u8>], expected: &str| {
        let reply = client.call(words).unwrap();
        assert_eq!(reply, Value::Error(expected.into()));
        assert_eq!(call(client, "GET d"), Value::Bulk(b"before".to_vec()));
    };
    for key in BIG {
        let payload = dump(&mut client, key);
        let mut words = restoring("d", &payload);
        words.pop();
        error(&mut client, &words, "BUSYKEY Target key name already exists.");
        let mut flipped = payload.clone();
        flipped[payload.len() / 2] ^= 1;
        let wrong = "ERR DUMP payload version or checksum are wrong";
        error(&mut client, &restoring("d", &flipped), wrong);
        // Ends too early, with a checksum that is right.
        let mut cut = payload[..payload.len() - 30].to_vec();
        cut.extend_from_slice(&payload[payload.len() - 10..payload.len() - 8]);
        cut.extend(darter_base::crc64::crc64(0, &cut).to_le_bytes());
        error(&mut client, &restoring("d", &cut), "ERR Bad data format");
    }
}

#[test]
fn what_is_restored_in_slices_is_restored_again_from_the_log() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let options = ["--appendonly", "yes"].map(str::to_owned);
    let server = Server::start(&ALONE.spec(&program).with_arguments(&options)).unwrap();
    let mut client = server.connect().unwrap();
    fill(&mut client, 60_000);
    for key in BIG {
        let payload = dump(&mut client, key);
        let copy = format!("copy-{key}");
        let mut words = restoring(&copy, &payload);
        words[2] = b"5000000".to_vec();
        client.call(&words).unwrap();
    }
    assert_eq!(call(&mut client, "DEBUG LOADAOF"), Value::Simple("OK".into()));
    for key in BIG {
        let copy = format!("copy-{key}");
        let Value::Integer(ttl) = call(&mut client, &format!("TTL {copy}")) else {
            panic!("seconds")
        };
        assert!((4000..=5000).contains(&ttl), "{key}");
        call(&mut client, &format!("PERSIST {copy}"));
        assert_eq!(digest(&mut client, &copy), digest(&mut client, key), "{key}");
    }
}

#[test]
fn endless_picks_take_no_memory_and_keep_nobody_waiting() {
    let server = start(ALONE);
    let mut other = server.connect().unwrap();
    fill(&mut other, 1000);
    for line in [
        "SRANDMEMBER set -9223372036854775807",
        "HRANDFIELD hash -4611686018427387903 WITHVALUES",
        "ZRANDMEMBER zset -4611686018427387903 WITHSCORES",
    ] {
        let mut long = server.connect().unwrap();
        long.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
        // More than all buffers in between hold.
        long.read_bytes(32 << 20).unwrap();
        assert_eq!(call(&mut other, "PING"), Value::Simple("PONG".into()), "{line}");
        let Value::Bulk(memory) = call(&mut other, "INFO memory") else { panic!("a text") };
        let memory = String::from_utf8_lossy(&memory).into_owned();
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        assert!(used.parse::<u64>().unwrap() < 24 << 20, "{line} uses {used} bytes");
        // In a transaction the reply cannot be sent as it is made.
        let mut bounded = server.connect().unwrap();
        call(&mut bounded, "MULTI");
        call(&mut bounded, line);
        let Value::Array(replies) = call(&mut bounded, "EXEC") else { panic!("replies") };
        assert_eq!(replies, [Value::Error("ERR value is out of range".into())]);
    }
}

#[test]
fn picks_go_on_when_the_collection_goes() {
    let server = start(ALONE);
    let mut other = server.connect().unwrap();
    let mut long = server.connect().unwrap();
    long.set_reply_timeout(Duration::from_mins(2)).unwrap();
    call(&mut other, "SADD s a b c");
    long.send(&["SRANDMEMBER", "s", "-3000000"]).unwrap();
    long.read_bytes(b"*3000000\r\n".len()).unwrap();
    // Too many for the sockets' buffers, so that it cannot be through.
    call(&mut other, "DEL s");
    call(&mut other, "SET s text");
    for _ in 0..3000 {
        let some = long.read_bytes(1000 * b"$1\r\na\r\n".len()).unwrap();
        for member in some.chunks(7) {
            assert!(matches!(member, b"$1\r\na\r\n" | b"$1\r\nb\r\n" | b"$1\r\nc\r\n"));
        }
    }
    assert_eq!(call(&mut long, "PING"), Value::Simple("PONG".into()));
}

/// The elements of a reply in RESP2 whose elements are numbers behind an `e`.
fn numbers(reply: &Value) -> Vec<usize> {
    let Value::Array(elements) = reply else { panic!("an array, not {reply:?}") };
    let number = |element: &Value| match element {
        Value::Bulk(text) => String::from_utf8_lossy(&text[1..]).parse().unwrap(),
        other => panic!("an element, not {other:?}"),
    };
    elements.iter().map(number).collect()
}

#[test]
fn a_long_read_sees_one_state_of_what_changes_all_the_time() {
    const LEN: usize = 20_000;
    for mode in SERVER_MODES {
        let server = start(*mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, LEN);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                let rotations = vec![vec!["RPOPLPUSH", "list", "list"]; 20];
                while !is_over.load(Ordering::Relaxed) {
                    writer.pipeline(&rotations).unwrap();
                }
            });
            for _ in 0..5 {
                let seen = numbers(&call(&mut reader, "LRANGE list 0 -1"));
                assert_eq!(seen.len(), LEN, "{mode}");
                for pair in seen.windows(2) {
                    assert_eq!((pair[0] + 1) % LEN, pair[1], "{mode}: a torn list");
                }
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}

#[test]
fn a_long_sort_sees_one_state_of_the_keys_it_meets() {
    const LEN: usize = 20_000;
    for mode in SERVER_MODES {
        let server = start(*mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, LEN);
        call(&mut reader, &format!("MSET w_e0 0 w_e{} 0", LEN - 1));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                for number in 1_u64.. {
                    // The first and the last key that are read, together.
                    let last = LEN - 1;
                    call(
                        &mut writer,
                        &format!("MSET w_e0 {number} w_e{last} {number} other {number}"),
                    );
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            for _ in 0..5 {
                let sorted = call(&mut reader, "SORT list BY nosort GET w_*");
                let Value::Array(seen) = sorted else { panic!("an array, not {sorted:?}") };
                assert_eq!(seen.len(), LEN, "{mode}");
                assert_eq!(seen.first(), seen.last(), "{mode}: torn");
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
        // What others write beside it does not matter; what it has read itself it may write over.
        let stored = call(&mut reader, "SORT list BY w_* STORE w_e0");
        assert_eq!(stored, Value::Integer(i64::try_from(LEN).unwrap()), "{mode}");
        assert_eq!(call(&mut reader, "TYPE w_e0"), Value::Simple("list".into()), "{mode}");
    }
}

#[test]
fn long_replies_are_the_same_in_slices_and_in_one_piece() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill(&mut client, 19_000);
        call(&mut client, "SETRANGE bits 40000000 abc");
        for line in ["COPY list list DB 3", "COPY zset zset DB 7", "COPY w_3 w_3 DB 7"] {
            call(&mut client, line);
        }
        for line in [
            "LRANGE list 7 -3",
            "HGETALL hash",
            "HKEYS hash",
            "HVALS hash",
            "SMEMBERS set",
            "ZRANGE zset 5 -4 WITHSCORES",
            "ZRANGE zset (3 +inf BYSCORE LIMIT 10 17000 WITHSCORES",
            "ZREVRANGEBYSCORE zset +inf 12",
            "ZREVRANGEBYLEX zset + - LIMIT 0 18000",
            "XRANGE stream 12 18999",
            "XRANGE stream - + COUNT 17000",
            "XREVRANGE stream 18500 (5 COUNT 18000",
            "XREVRANGE stream + -",
            "XREAD COUNT 17000 STREAMS none stream 5 7",
            "SINTER set set2 set",
            "SUNION set set2 none",
            "SUNION set2 set none set hash2 set2",
            "SDIFF set none",
            "SINTERCARD 2 set set2 LIMIT 9000",
            "SINTERCARD 2 set set2",
            "SUNIONCARD 2 set set2 LIMIT 9000",
            "SUNIONCARD 2 set set2",
            "SUNIONCARD 5 set2 set none set2 set2 LIMIT 19001",
            "SUNIONCARD 5 set2 set none set2 set2",
            "SUNIONCARD 2 set set2 APPROX",
            "SUNIONCARD 3 set none set2 APPROX LIMIT 9000",
            "SDIFFCARD 2 set2 set",
            "SDIFFCARD 2 set none LIMIT 9000",
            "ZUNION 2 zset zset2 WEIGHTS 2 0.5 WITHSCORES",
            "ZUNION 2 zset set AGGREGATE MIN WITHSCORES",
            "ZINTER 3 zset zset2 set AGGREGATE MAX WITHSCORES",
            "ZDIFF 2 zset zset2 WITHSCORES",
            "ZINTERCARD 2 zset zset2 LIMIT 9000",
            "SUNION set list",
            "ZUNION 2 zset hash",
            "SORT list",
            "SORT list ALPHA",
            "SORT set ALPHA DESC LIMIT 100 17000 GET # GET none",
            "SORT_RO zset ALPHA LIMIT 0 3",
            "SORT list BY nosort GET #",
            "SORT zset BY nosort DESC LIMIT 1000 17500",
            "SORT list BY nosort LIMIT 2 17001 DESC",
            "SORT zset2 BY score",
            "SORT list BY w_* GET # GET w_* GET none_* GET none",
            "SORT set BY w_* DESC LIMIT 100 17000",
            "SORT set BY w_* ALPHA",
            "SORT list BY none_* GET w_*->f",
            "SORT list BY hash->e* GET # LIMIT 0 5",
            "SORT_RO zset BY nosort DESC GET w_* LIMIT 1 18000",
            "SORT list BY list*",
            "GEOSEARCH geo FROMLONLAT 0 0 BYRADIUS 1000 km WITHDIST WITHCOORD WITHHASH",
            "GEOSEARCH geo FROMMEMBER e17 BYBOX 30 30 km",
            "GEOSEARCH geo FROMMEMBER e17 BYRADIUS 1000 km COUNT 18000 ANY",
            "GEORADIUS geo 0 0 1000 km",
            "GEORADIUSBYMEMBER_RO geo e1 1000 km",
            "XINFO STREAM pending FULL COUNT 0",
            "XINFO STREAM pending FULL COUNT 17000",
            "BITCOUNT bits",
            "BITCOUNT bits 3 -5 BIT",
            "BITCOUNT bits -1 -2",
            "BITPOS bits 1",
            "BITPOS bits 1 -2",
            "BITPOS bits 0 3",
            "DUMP bits",
            "DUMP list",
            "DUMP pending",
            "DUMP set",
            "DUMP zset",
            "DUMP hash",
            "DEBUG DIGEST-VALUE list pending bits none set zset hash geo",
            "DEBUG DIGEST",
        ] {
            for protocol in ["2", "3"] {
                call(&mut client, &format!("HELLO {protocol}"));
                let sliced = call(&mut client, line);
                call(&mut client, "MULTI");
                call(&mut client, line);
                let Value::Array(whole) = call(&mut client, "EXEC") else { panic!("replies") };
                assert!(whole == [sliced], "{mode}: {line} in RESP{protocol}");
            }
        }
    }
}

#[test]
fn a_long_digest_sees_one_state_of_what_changes_all_the_time() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, 20_000);
        let digest = |client: &mut Client| call(client, "DEBUG DIGEST");
        let (there, back) = ("SMOVE set elsewhere e7", "SMOVE elsewhere set e7");
        let (one, _, other) = (digest(&mut reader), call(&mut reader, there), digest(&mut reader));
        assert_ne!(one, other, "{mode}");
        call(&mut reader, back);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                let moves = [there, back].map(|line| line.split(' ').collect::<Vec<_>>());
                while !is_over.load(Ordering::Relaxed) {
                    writer.pipeline(&moves).unwrap();
                }
            });
            for _ in 0..5 {
                let seen = digest(&mut reader);
                assert!(seen == one || seen == other, "{mode}: what never was");
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
        assert_eq!(digest(&mut reader), one, "{mode}");
    }
}

/// What is at `key`, in one word.
fn digest(client: &mut Client, key: &str) -> Value {
    call(client, &format!("DEBUG DIGEST-VALUE {key}"))
}

#[test]
fn what_is_stored_is_the_same_in_slices_and_in_one_piece() {
    for mode in [SERVER_MODES[0], SERVER_MODES[3]] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill(&mut client, 19_000);
        call(&mut client, "SETRANGE bits 10000000 abc");
        call(&mut client, "SETRANGE bits2 9000000 defg");
        call(&mut client, "EXPIRE hash 5000");
        call(&mut client, "HEXPIRE hash 5000 FIELDS 2 e1 e18000");
        for line in [
            "SINTERSTORE d set set2",
            "SUNIONSTORE d set set2",
            "SUNIONSTORE set3 set set2 none set set2 none set",
            "SDIFFSTORE d set set2",
            "ZUNIONSTORE d 2 zset zset2 WEIGHTS 2 3 AGGREGATE MAX",
            "ZINTERSTORE d 2 set zset2",
            "ZDIFFSTORE d 2 zset zset2",
            "ZRANGESTORE d zset 5 18500 REV",
            "ZRANGESTORE d zset (17 +inf BYSCORE LIMIT 100 17000",
            "COPY set d REPLACE",
            "COPY zset d REPLACE",
            "COPY hash d REPLACE",
            "COPY list d REPLACE",
            "COPY pending d REPLACE",
            "COPY bits d REPLACE",
            "SORT list ALPHA STORE d",
            "SORT set BY nosort STORE d",
            "SORT set ALPHA GET # GET none LIMIT 10 17000 STORE d",
            "SORT none STORE d",
            "GEOSEARCHSTORE d geo FROMLONLAT 0 0 BYRADIUS 1000 km",
            "GEOSEARCHSTORE d geo FROMMEMBER e3 BYRADIUS 1000 km STOREDIST",
            "GEORADIUS geo 0 0 1000 km STORE d",
            "COPY hash d",
            "BITOP XOR d bits bits2",
            "BITOP NOT d bits",
            "SINTERSTORE d set none",
            "SUNIONSTORE d set list",
        ] {
            let key = line.split(' ').find(|word| matches!(*word, "d" | "set3")).unwrap();
            let sliced = (call(&mut client, line), digest(&mut client, key));
            let ttl = call(&mut client, &format!("TTL {key}"));
            call(&mut client, "MULTI");
            call(&mut client, line);
            let Value::Array(whole) = call(&mut client, "EXEC") else { panic!("replies") };
            assert_eq!(whole, [sliced.0], "{mode}: {line}");
            assert_eq!(digest(&mut client, key), sliced.1, "{mode}: {line}");
            let Value::Integer(later) = call(&mut client, &format!("TTL {key}")) else { panic!() };
            assert!(
                matches!(ttl, Value::Integer(ttl) if ttl.abs_diff(later) < 600),
                "{mode}: {line}"
            );
        }
        for line in ["SRANDMEMBER set 18500", "HRANDFIELD hash 18500", "ZRANDMEMBER zset 18500"] {
            let mut seen = numbers(&call(&mut client, line));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 18_500, "{mode}: {line}");
        }
    }
}

/// What can be seen of a key, whatever it is: its contents, whether it expires, and what its groups remember but times.
fn state(client: &mut Client, key: &str) -> (Value, bool, Vec<Value>) {
    let groups = call(client, &format!("XINFO GROUPS {key}"));
    let mut pending = Vec::new();
    if let Value::Array(entries) = call(client, &format!("XPENDING {key} g - + 40000")) {
        for entry in entries {
            let Value::Array(entry) = entry else { panic!("an entry") };
            pending.extend([entry[0].clone(), entry[1].clone(), entry[3].clone()]);
        }
    }
    pending.push(groups);
    let ttl = call(client, &format!("TTL {key}"));
    let expires = matches!(ttl, Value::Integer(seconds) if seconds > 0);
    (digest(client, key), expires, pending)
}

/// Commands that take very much out of `d`, and what that is a copy of.
const TAKING: &[(&str, &str)] = &[
    ("zset", "ZREMRANGEBYRANK d 100 18500"),
    ("zset", "ZREMRANGEBYRANK d 0 -1"),
    ("zset", "ZREMRANGEBYRANK d 0 -2"),
    ("zset", "ZREMRANGEBYSCORE d (7 +inf"),
    ("zset", "ZREMRANGEBYLEX d - +"),
    ("zset", "ZPOPMIN d 18000"),
    ("zset", "ZPOPMAX d 30000"),
    ("zset", "ZMPOP 1 d MAX COUNT 17500"),
    ("list", "LPOP d 17000"),
    ("list", "RPOP d 20000"),
    ("list", "LMPOP 1 d RIGHT COUNT 18000"),
    ("stream", "XREADGROUP GROUP g c STREAMS d >"),
    ("stream", "XREADGROUP GROUP g c COUNT 17000 STREAMS d >"),
    ("stream", "XREADGROUP GROUP g c NOACK STREAMS d >"),
    ("pending", "XREADGROUP GROUP g c STREAMS d 0"),
    ("pending", "XREADGROUP GROUP g c COUNT 17000 STREAMS d 300-1"),
    ("pending", "XAUTOCLAIM d g e 0 0 COUNT 30000"),
    ("pending", "XAUTOCLAIM d g e 0 500 COUNT 17000 JUSTID"),
    ("pending", "XAUTOCLAIM d g c 0 0 COUNT 17000"),
    ("pending", "XAUTOCLAIM d none c 0 0 COUNT 17000"),
];

fn fill_to_take(client: &mut Client) {
    fill(client, 19_000);
    for key in ["zset", "list", "set", "pending"] {
        call(client, &format!("EXPIRE {key} 5000"));
    }
    call(client, "XDEL pending 12-1 700-1 18999-1");
    call(client, "XTRIM pending MINID = 100-1");
}

#[test]
fn what_is_taken_is_the_same_in_slices_and_in_one_piece() {
    for (mode, protocol) in [(SERVER_MODES[0], "2"), (SERVER_MODES[3], "3")] {
        let server = start(mode);
        let mut client = server.connect().unwrap();
        fill_to_take(&mut client);
        call(&mut client, &format!("HELLO {protocol}"));
        for (source, line) in TAKING {
            let copy = format!("COPY {source} d REPLACE");
            call(&mut client, &copy);
            let sliced = call(&mut client, line);
            let state_sliced = state(&mut client, "d");
            call(&mut client, &copy);
            call(&mut client, "MULTI");
            call(&mut client, line);
            let Value::Array(whole) = call(&mut client, "EXEC") else { panic!("replies") };
            assert!(whole == [sliced], "{mode}: {line} in RESP{protocol}");
            assert_eq!(state(&mut client, "d"), state_sliced, "{mode}: {line}");
        }
        call(&mut client, "HELLO 2");
        call(&mut client, "COPY set d REPLACE");
        let mut popped = numbers(&call(&mut client, "SPOP d 17500"));
        popped.extend(numbers(&call(&mut client, "SMEMBERS d")));
        popped.sort_unstable();
        assert!(popped.into_iter().eq(0..19_000), "{mode}: every member goes or stays");
        assert_eq!(call(&mut client, "SCARD d"), Value::Integer(1500), "{mode}");
        assert!(matches!(call(&mut client, "TTL d"), Value::Integer(1..)), "{mode}");
        assert_eq!(numbers(&call(&mut client, "SPOP d 20000")).len(), 1500, "{mode}");
        assert_eq!(call(&mut client, "EXISTS d"), Value::Integer(0), "{mode}");
    }
}

#[test]
fn what_is_taken_in_slices_is_taken_again_from_the_log() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let options = ["--appendonly", "yes"].map(str::to_owned);
    let server = Server::start(&ALONE.spec(&program).with_arguments(&options)).unwrap();
    let mut client = server.connect().unwrap();
    fill_to_take(&mut client);
    let popping = [("set", "SPOP d 17500"), ("set", "SPOP d 30000")];
    let mut taken = Vec::new();
    for (number, (source, line)) in TAKING.iter().chain(&popping).enumerate() {
        let key = format!("d{number}");
        call(&mut client, &format!("COPY {source} {key}"));
        call(&mut client, &line.replace(" d ", &format!(" {key} ")));
        taken.push((line, state(&mut client, &key), key));
    }
    assert_eq!(call(&mut client, "DEBUG LOADAOF"), Value::Simple("OK".into()));
    for (line, before, key) in taken {
        assert_eq!(state(&mut client, &key), before, "{line}");
    }
}

#[test]
fn a_waiter_is_given_more_than_one_slice_at_once() {
    let server = start(ALONE);
    let (mut waiter, mut other) = (server.connect().unwrap(), server.connect().unwrap());
    call(&mut other, "XGROUP CREATE t g $ MKSTREAM");
    for (key, line) in
        [("s", "XREAD BLOCK 0 STREAMS s $"), ("t", "XREADGROUP GROUP g c BLOCK 0 STREAMS t >")]
    {
        waiter.send(&line.split(' ').collect::<Vec<_>>()).unwrap();
        while !matches!(call(&mut other, "INFO clients"), Value::Bulk(text)
            if String::from_utf8_lossy(&text).contains("blocked_clients:1\r"))
        {}
        let script = "for i = 1, 17000 do redis.call('XADD', KEYS[1], '*', 'f', i) end";
        other.call(&["EVAL", script, "1", key]).unwrap();
        let Value::Array(streams) = waiter.read_reply().unwrap().value else { panic!("streams") };
        let Value::Array(stream) = &streams[0] else { panic!("a stream") };
        assert!(matches!(&stream[1], Value::Array(entries) if entries.len() == 17_000), "{line}");
    }
}

#[test]
fn work_on_several_keys_sees_one_state_of_what_changes_all_the_time() {
    const LEN: usize = 20_000;
    for mode in [SERVER_MODES[2], SERVER_MODES[3]] {
        let server = start(mode);
        let mut reader = server.connect().unwrap();
        fill(&mut reader, LEN);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut writer = server.connect().unwrap();
                let there = vec!["SMOVE", "set", "elsewhere", "e7"];
                let back = vec!["SMOVE", "elsewhere", "set", "e7"];
                while !is_over.load(Ordering::Relaxed) {
                    writer.pipeline(&[there.clone(), back.clone()]).unwrap();
                }
            });
            for _ in 0..5 {
                let reply = call(&mut reader, "SUNION set elsewhere");
                assert_eq!(numbers(&reply).len(), LEN, "{mode}: a member is away");
                let stored = call(&mut reader, "SUNIONSTORE stored elsewhere set");
                assert_eq!(stored, Value::Integer(20_000), "{mode}: a member is away");
            }
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap();
        });
    }
}
