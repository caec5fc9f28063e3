//! No single command keeps other clients waiting for long, whatever it asks of a big value or many keys. `redis-server` runs
//! some of the same, as a measure of the measure.
//!
//! What another client waits for is measured as [`Bystander`] says.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use darter_testkit::bystander::shortest;
use darter_testkit::mode::{SERVER_MODES, darter_binary, oracle_spec};
use darter_testkit::{Bystander, Client, Server, Value, request};

/// Elements of each collection, and keys.
const COUNT: usize = 1_000_000;
/// Keys that a command names.
const NAMED: usize = 10_000;
/// Groups of a stream.
const GROUPS: usize = 100_000;
/// Entries that a command names.
const IDS: usize = 100_000;
/// Rules of a user, and patterns of a command.
const RULES: usize = 100_000;
/// The same of those that take longer.
const LONG_RULES: usize = RULES / 4;
/// Places on a map, and corners of what is looked for on it.
const PLACES: usize = 10_000;
const CORNERS: u32 = 50_000;
/// Entries of a stream that are few but wide.
const WIDE: usize = 1000;
const WIDE_FIELDS: usize = 3000;
/// Elements that are few but long.
const LONG: usize = 16_000;
const ELEMENT_BYTES: usize = 8000;
/// Length of a long argument.
const LONG_BYTES: usize = 250_000_000;
/// Channels that a client subscribes to.
const CHANNELS: usize = 100_000;
/// The longest that anybody may have to wait for another's command, plus what a reading of time can be behind.
const WAIT_MAX: Duration = Duration::from_millis(110);

/// Words that a command is named by.
const WORDS_SHOWN: usize = 5;
/// Bytes of each.
const WORD_BYTES_SHOWN: usize = 20;

/// On the keys that [`fill`], [`fill_more`] and [`keep`] make: commands of one client, separated by `; `, and behind `<- ` those that
/// bring back what they have changed.
const ROWS: &[&str] = &[
    // What a command makes room for at once.
    "SETRANGE new 268435456 x <- UNLINK new",
    "SETBIT new 2147483648 1 <- UNLINK new",
    "BITFIELD new SET u8 #268435456 1 <- UNLINK new",
    "BITOP NOT stored full",
    "APPEND full x <- COPY kept:full full REPLACE",
    "SETRANGE full 200000000 x <- COPY kept:full full REPLACE",
    "SETRANGE full 450000000 x <- COPY kept:full full REPLACE",
    "BITCOUNT long",
    "DUMP dumped",
    "DEBUG DIGEST-VALUE long",
    "COPY long stored REPLACE; SET stored x",
    "DEL long <- SETRANGE long 450000000 x",
    // Whole collections.
    "LRANGE list 0 -1",
    "HGETALL hash",
    "SMEMBERS set",
    "ZRANGE zset 0 -1 WITHSCORES",
    "ZRANGEBYSCORE zset -inf +inf LIMIT 500000 1",
    "LPOS list nothing",
    "LINDEX list 500000",
    "LINSERT list BEFORE nothing x",
    "LREM list 0 nothing",
    "SORT integers",
    "SORT list ALPHA STORE stored",
    "SORT integers BY key:* ALPHA LIMIT 0 10",
    "SORT integers BY nosort GET key:*",
    "SINTER set integers",
    "SUNIONSTORE stored set integers",
    "SDIFFSTORE stored set integers",
    "ZUNIONSTORE stored 2 zset set",
    "ZINTERSTORE stored 2 zset set",
    "ZRANGESTORE stored zset 0 -1",
    "COPY hash stored REPLACE",
    "DUMP set",
    "DEBUG DIGEST-VALUE zset",
    "DEBUG DIGEST",
    "MEMORY USAGE hash SAMPLES 0",
    "KEYS *",
    "KEYS nothing*",
    "SCAN 0 COUNT 10000000",
    "SSCAN set 0 COUNT 10000000",
    "HSCAN hash 0 COUNT 10000000",
    "ZSCAN zset 0 COUNT 10000000",
    "RANDOMKEY",
    // Few elements.
    "XRANGE wide - +",
    "XREVRANGE wide + -",
    "XREAD STREAMS wide 0",
    "COPY wide stored REPLACE; SET stored x",
    "DUMP wide",
    "DEBUG DIGEST-VALUE wide",
    "LRANGE longs 0 -1",
    "COPY longs stored REPLACE; SET stored x",
    "DUMP longs",
    "DEBUG DIGEST-VALUE longs",
    "SMEMBERS longer",
    "DUMP longer",
    // Many picks.
    "SRANDMEMBER set -10000000",
    "HRANDFIELD hash -1000000 WITHVALUES",
    "ZRANDMEMBER zset -1000000",
    "SRANDMEMBER set 500000",
    // What goes.
    "SPOP set 300000 <- COPY kept:set set REPLACE",
    "LPOP list 300000 <- COPY kept:list list REPLACE",
    "LPOP longs 16000 <- COPY kept:longs longs REPLACE",
    "SPOP longer 16000 <- COPY kept:longer longer REPLACE",
    "ZPOPMIN zset 300000 <- COPY kept:zset zset REPLACE",
    "ZREMRANGEBYRANK zset 10 -10 <- COPY kept:zset zset REPLACE",
    "LTRIM list 10 -10 <- COPY kept:list list REPLACE",
    "RENAME hash stored <- COPY kept:hash hash REPLACE",
    "XREADGROUP GROUP group claimer CLAIM 0 STREAMS stream > <- COPY kept:stream stream REPLACE",
    "XTRIM stream MAXLEN 0 DELREF <- COPY kept:stream stream REPLACE",
    "XTRIM grouped MAXLEN 0 DELREF <- COPY kept:grouped grouped REPLACE",
    "SELECT 1; FLUSHDB SYNC <- SELECT 1; DEBUG POPULATE 1000000; SELECT 0",
];
/// What the rows find each time, in the order of what they work on; `stored` and `restored` may be anything.
const FOUND: &[&str] = &[
    "DBSIZE",
    "LLEN list",
    "SCARD set",
    "SCARD integers",
    "ZCARD zset",
    "ZCARD places",
    "HLEN hash",
    "HLEN fading",
    "STRLEN full",
    "STRLEN long",
    "STRLEN dumped",
    "LLEN longs",
    "SCARD longer",
    "XLEN wide",
    "XLEN stream",
    "XPENDING stream group",
    "XLEN grouped",
    "XPENDING grouped 1",
];

type Words = Vec<Vec<u8>>;

/// Commands of one client that may make others wait, and its end.
struct Long {
    commands: Vec<Words>,
    /// What another client brings back then, so that they can be measured again and the next ones find what these did.
    undo: Vec<Words>,
}

impl Long {
    /// A command that leaves everything as it finds it.
    fn of(words: Words) -> Self {
        Self { commands: vec![words], undo: Vec::new() }
    }

    /// One of [`ROWS`].
    fn row(line: &str) -> Self {
        let (commands, undo) = line.split_once(" <- ").unwrap_or((line, ""));
        let all =
            |lines: &str| lines.split("; ").filter(|line| !line.is_empty()).map(words).collect();
        Self { commands: all(commands), undo: all(undo) }
    }

    /// How they begin.
    fn name(&self) -> String {
        let names = self.commands.iter().map(|words| {
            let shown = words.iter().take(WORDS_SHOWN).map(|word| {
                let end = word.len().min(WORD_BYTES_SHOWN);
                word[..end].escape_ascii().to_string()
            });
            shown.collect::<Vec<_>>().join(" ")
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// The longest that another client waits, from before the commands until the replies have come and the client is gone.
    fn wait(&self, server: &Server) -> Duration {
        const MARK: &str = "the end of the reply";
        let mut other = Bystander::of(server).unwrap();
        let mut bytes = Vec::new();
        for words in &self.commands {
            request::encode(words, &mut bytes);
        }
        request::encode(&["PING", MARK], &mut bytes);
        let read_to_end = || {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(&bytes).unwrap();
            // Millions of elements are not kept.
            let (mut chunk, mut tail) = (vec![0; 1 << 16], Vec::new());
            while !tail.ends_with(format!("{MARK}\r\n").as_bytes()) {
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "closed");
                tail.extend_from_slice(&chunk[..count]);
                tail.drain(..tail.len().saturating_sub(2 * MARK.len()));
            }
        };
        other.ask_beside(&["PING"], read_to_end).unwrap();
        other.longest()
    }

    /// The same if that is short enough, else the shortest of a few. All of them, and whoever comes next, find what is there
    /// now.
    fn shortest_wait(&self, server: &Server, client: &mut Client) -> Duration {
        let before = Found::of(client);
        shortest(WAIT_MAX, || {
            let wait = self.wait(server);
            for words in &self.undo {
                let reply = client.call(words).unwrap();
                assert!(!reply.is_error(), "{}: {reply:?}", self.name());
            }
            assert_eq!(Found::of(client), before, "{} changed what is measured", self.name());
            wait
        })
    }
}

/// What commands find, as far as it can be told quickly.
#[derive(Debug, PartialEq)]
struct Found {
    sizes: Vec<Value>,
    /// Error replies so far: a command that is refused keeps nobody waiting.
    errors: String,
}

impl Found {
    fn of(client: &mut Client) -> Self {
        let sizes = FOUND.iter().map(|line| client.call(&words(line)).unwrap()).collect();
        let Value::Bulk(info) = client.call(&["INFO", "stats"]).unwrap() else { panic!("a text") };
        let info = String::from_utf8(info).unwrap();
        let line = info.lines().find(|line| line.starts_with("total_error_replies:"));
        Self { sizes, errors: line.unwrap().to_owned() }
    }
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Collections of [`COUNT`] elements.
fn fill(client: &mut Client, keys: &[&str]) {
    const AT_ONCE: usize = 5000;
    let begin = |key: &&str| match *key {
        "list" => "RPUSH list",
        "set" => "SADD set",
        "integers" => "SADD integers",
        "zset" => "ZADD zset",
        "hash" => "HSET hash",
        other => panic!("{other}"),
    };
    for key in keys {
        for from in (0..COUNT).step_by(AT_ONCE) {
            let mut command = words(begin(key));
            for number in from..from + AT_ONCE {
                if matches!(*key, "integers" | "zset") {
                    command.push(number.to_string().into_bytes());
                }
                if *key != "integers" {
                    command.push(format!("element:{number}").into_bytes());
                }
                if *key == "hash" {
                    command.push(b"1".to_vec());
                }
            }
            assert!(!client.call(&command).unwrap().is_error());
        }
    }
}

/// RESTORE of a string of 250 MB.
fn restoring(client: &mut Client) -> Words {
    client.call(&["SETRANGE", "text", "250000000", "x"]).unwrap();
    let command = restore(client, "text");
    client.call(&["UNLINK", "text"]).unwrap();
    command
}

/// RESTORE of what `key` has.
fn restore(client: &mut Client, key: &str) -> Words {
    let Value::Bulk(payload) = client.call(&["DUMP", key]).unwrap() else { panic!("a payload") };
    let mut command = words("RESTORE restored 0");
    command.extend([payload, b"REPLACE".to_vec()]);
    command
}

/// Commands that name many keys.
fn naming() -> Vec<Long> {
    let with = |name: &str, key: &str| {
        let keys = (0..NAMED).map(|number| format!("{key}:{number}").into_bytes());
        words(name).into_iter().chain(keys).collect::<Words>()
    };
    let pairs = with("", "key").into_iter().skip(1).flat_map(|key| [key, b"v".to_vec()]);
    let set: Words = words("MSET").into_iter().chain(pairs).collect();
    vec![
        Long::of(with("WATCH", "key")),
        Long::of(with("MGET", "key")),
        Long::of(set.clone()),
        Long::of(with("EXISTS", "key")),
        Long::of(with("SUNION", "small")),
        Long::of(with("PFCOUNT", "counted")),
        Long { commands: vec![with("UNLINK", "key")], undo: vec![set] },
    ]
}

/// Makes a stream of [`COUNT`] entries, all of which are pending in a group, one that has [`GROUPS`] groups, a hash of
/// [`COUNT`] fields that expire, [`PLACES`] places, [`WIDE`] entries with [`WIDE_FIELDS`] fields, [`LONG`] long elements, and [`NAMED`] small sets and `HyperLogLogs`.
fn fill_more(client: &mut Client) {
    const AT_ONCE: usize = 50_000;
    let mut run = |script: &str, from: usize| {
        let (from, to) = (from.to_string(), (from + AT_ONCE - 1).to_string());
        let reply = client.call(&["EVAL", script, "0", &from, &to]).unwrap();
        assert!(!reply.is_error(), "{reply:?}");
    };
    for from in (1..=COUNT).step_by(AT_ONCE) {
        run(
            "for i = ARGV[1], ARGV[2] do redis.call('XADD', 'stream', i .. '-1', 'f', 'v') end",
            from,
        );
    }
    for from in (1..=GROUPS).step_by(AT_ONCE) {
        let script = "for i = ARGV[1], ARGV[2] do \
                      redis.call('XGROUP', 'CREATE', 'grouped', i, '0', 'MKSTREAM') end";
        run(script, from);
    }
    let scripts = [
        (
            "local fields = {} for i = 1, 2 * ARGV[2] do fields[i] = i % 10 end for i = 1, ARGV[1] do \
          redis.call('XADD', 'wide', i, unpack(fields)) end",
            WIDE,
            WIDE_FIELDS,
        ),
        (
            "local text = string.rep('x', ARGV[2]) for i = 1, ARGV[1] do \
          redis.call('RPUSH', 'longs', text) redis.call('SADD', 'longer', i .. text) end",
            LONG,
            ELEMENT_BYTES,
        ),
    ];
    for (script, count, size) in scripts {
        let (count, size) = (count.to_string(), size.to_string());
        assert!(!client.call(&["EVAL", script, "0", &count, &size]).unwrap().is_error());
    }
    let script = "for i = 0, ARGV[1] - 1 do \
                  redis.call('SADD', 'small:' .. i, i, i + 1) \
                  redis.call('PFADD', 'counted:' .. i, i) end";
    assert!(!client.call(&["EVAL", script, "0", &NAMED.to_string()]).unwrap().is_error());
    let script = "for i = 0, ARGV[1] - 1 do \
                  redis.call('GEOADD', 'places', i % 360 - 180, i % 160 - 80, i) end";
    assert!(!client.call(&["EVAL", script, "0", &PLACES.to_string()]).unwrap().is_error());
    for from in (0..COUNT).step_by(AT_ONCE) {
        let mut command = words("HSETEX fading EX 100000 FIELDS");
        command.push(AT_ONCE.to_string().into_bytes());
        let pairs = (from..from + AT_ONCE).flat_map(|number| [number.to_string(), "v".to_owned()]);
        command.extend(pairs.map(String::into_bytes));
        assert!(!client.call(&command).unwrap().is_error());
    }
    for number in 1..=1000 {
        let id = format!("{number}-1");
        client.call(&["XADD", "grouped", &id, "f", "v"]).unwrap();
    }
    client.call(&["XREADGROUP", "GROUP", "1", "reader", "STREAMS", "grouped", ">"]).unwrap();
    client.call(&["XGROUP", "CREATE", "stream", "group", "0"]).unwrap();
    client.call(&["XREADGROUP", "GROUP", "group", "reader", "STREAMS", "stream", ">"]).unwrap();
}

/// Makes long strings, and keeps what commands take something from.
fn keep(client: &mut Client) {
    let lines = [
        "SETRANGE bits 134217728 x",
        "BITOP NOT full bits",
        "COPY full kept:full",
        "COPY full dumped",
        "SETRANGE dumped 250000000 x",
        "COPY full long",
        "SETRANGE long 450000000 x",
        "COPY set kept:set",
        "COPY list kept:list",
        "COPY zset kept:zset",
        "COPY hash kept:hash",
        "COPY stream kept:stream",
        "COPY grouped kept:grouped",
        "COPY longs kept:longs",
        "COPY longer kept:longer",
        "SET stored x",
        "SET restored x",
        "SELECT 1",
        "DEBUG POPULATE 1000000",
        "SELECT 0",
    ];
    for line in lines {
        let reply = client.call(&words(line)).unwrap();
        assert!(!reply.is_error() && reply != Value::Integer(0), "{line}: {reply:?}");
    }
}

/// Users with very many rules.
fn ruling() -> Vec<Long> {
    let with = |name: &str, rule: &dyn Fn(usize) -> String| {
        let count = if name == "keys" { RULES } else { LONG_RULES };
        let rules = (0..count).map(|number| rule(number).into_bytes());
        Long::of(words(&format!("ACL SETUSER {name}")).into_iter().chain(rules).collect())
    };
    vec![
        with("keys", &|number| format!("{}{number}", if number % 2 == 0 { "~key:" } else { "&" })),
        with("passwords", &|number| format!(">{number}")),
        with("words", &|number| format!("+get|{number}")),
        with("selectors", &|number| format!("(+get ~{number})")),
        Long::of(words("ACL LIST")),
        Long::of(words("ACL GETUSER passwords")),
    ]
}

/// Very many patterns that find no parameter, and many that find some.
fn patterns() -> Vec<Long> {
    let with = |count: usize, pattern: &dyn Fn(usize) -> String| {
        let patterns = (0..count).map(|number| pattern(number).into_bytes());
        Long::of(words("CONFIG GET").into_iter().chain(patterns).collect())
    };
    vec![
        with(RULES, &|number| format!("maxmemory{number}")),
        with(RULES, &|number| format!("a{number}*")),
        with(LONG_RULES, &|number| format!("*{number}")),
        with(RULES, &|_| "*".to_owned()),
        with(RULES, &|_| "*max*e*".to_owned()),
    ]
}

/// A search within very many lines.
fn searching() -> Long {
    let corners = (0..CORNERS).flat_map(|number| {
        let longitude = 359.0 * f64::from(number) / f64::from(CORNERS) - 179.5;
        [longitude, f64::from(number % 7 * 20) - 60.0]
            .map(|degrees| degrees.to_string().into_bytes())
    });
    let begin = words("GEOSEARCH places BYPOLYGON");
    Long::of(begin.into_iter().chain([CORNERS.to_string().into_bytes()]).chain(corners).collect())
}

/// Commands on the streams that name very many entries.
fn entries() -> Vec<Long> {
    let ids = |begin: &str| {
        let ids = (1..=IDS).map(|number| format!("{number}-1").into_bytes());
        let begin = words(begin).into_iter().chain([IDS.to_string().into_bytes()]);
        let undo = vec![words("COPY kept:stream stream REPLACE")];
        Long { commands: vec![begin.chain(ids).collect()], undo }
    };
    vec![ids("XDELEX stream DELREF IDS"), ids("XACKDEL stream group DELREF IDS")]
}

/// Commands with an argument of hundreds of megabytes.
fn long_arguments() -> Vec<Long> {
    let long = |line: &str, bytes| {
        let mut command = words(line);
        command.push(vec![b'v'; bytes]);
        command
    };
    let new = |commands| Long { commands, undo: vec![words("DEL new")] };
    let moved = [words("LMOVE new new LEFT LEFT"), words("LMOVE new stored LEFT LEFT")];
    let moving = [vec![words("DEL stored"), long("RPUSH new", LONG_BYTES)], moved.into()].concat();
    vec![
        Long::of(long("SET stored", LONG_BYTES)),
        Long::of(long("MSET stored", LONG_BYTES)),
        Long::of(long("ECHO", LONG_BYTES)),
        Long {
            commands: vec![words("MULTI"), long("SET stored", LONG_BYTES), words("EXEC")],
            undo: Vec::new(),
        },
        new(vec![long("SADD new", LONG_BYTES / 4), words("SMEMBERS new")]),
        new(vec![long("SETRANGE new 0", LONG_BYTES)]),
        new(vec![long("HSET new field", LONG_BYTES), words("HGET new field")]),
        new(vec![long("HSETEX new FIELDS 1 field", LONG_BYTES)]),
        new(vec![long("LPUSH new", LONG_BYTES), words("LRANGE new 0 -1")]),
        Long { commands: moving, undo: vec![words("SET stored x")] },
    ]
}

/// Subscribing to many names, and the ways in which that ends.
fn subscribing() -> Vec<Long> {
    let with = |name: &str, end: &str| {
        let names = (0..CHANNELS).map(|number| format!("channel:{number}{end}").into_bytes());
        words(name).into_iter().chain(names).collect::<Words>()
    };
    let ways = [
        vec![with("SUBSCRIBE", ""), with("UNSUBSCRIBE", "")],
        vec![with("SUBSCRIBE", ""), words("UNSUBSCRIBE")],
        vec![with("PSUBSCRIBE", "*"), with("PUNSUBSCRIBE", "*")],
        vec![with("PSUBSCRIBE", "*"), words("RESET")],
        vec![with("SSUBSCRIBE", ""), words("SUNSUBSCRIBE")],
        vec![with("SSUBSCRIBE", "")],
    ];
    ways.map(|commands| Long { commands, undo: Vec::new() }).into()
}

/// Held by each test while it measures: one of them keeps all processors busy.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn no_command_makes_others_wait_for_long() {
    let _alone = alone();
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    let server = Server::start(&SERVER_MODES[0].spec(&program)).unwrap();
    let mut client = server.connect().unwrap();
    client.set_reply_timeout(Duration::from_mins(1)).unwrap();
    fill(&mut client, &["list", "set", "integers", "zset", "hash"]);
    let populated = client.call(&["DEBUG", "POPULATE", &COUNT.to_string()]).unwrap();
    assert_eq!(populated, Value::Simple(b"OK".to_vec()));
    fill_more(&mut client);
    keep(&mut client);
    let restores = [restoring(&mut client), restore(&mut client, "fading")];
    let restores = restores.into_iter().chain([restore(&mut client, "stream")]);
    let rows = subscribing().into_iter().chain(naming()).chain(restores.map(Long::of));
    let rows = rows
        .chain(ruling())
        .chain([searching()])
        .chain(patterns())
        .chain(entries())
        .chain(long_arguments());
    for long in rows.chain(ROWS.iter().map(|line| Long::row(line))) {
        let wait = long.shortest_wait(&server, &mut client);
        eprintln!("{}: {wait:?}", long.name());
        assert!(wait <= WAIT_MAX, "{}: {wait:?}", long.name());
    }
}

#[test]
fn the_peer_is_seen_to_make_others_wait() {
    let _alone = alone();
    let server = Server::start(&oracle_spec()).unwrap_or_else(|error| panic!("{error}"));
    let mut client = server.connect().unwrap();
    client.set_reply_timeout(Duration::from_mins(1)).unwrap();
    fill(&mut client, &["set"]);
    let mut rows = naming();
    rows.truncate(1);
    rows.push(Long::row("SETRANGE new 268435456 x"));
    rows.push(Long::row("SRANDMEMBER set -500000"));
    let waits = rows.iter().map(|long| {
        let wait = long.wait(&server);
        eprintln!("redis-server, {}: {wait:?}", long.name());
        wait
    });
    assert!(waits.max().unwrap() > 2 * WAIT_MAX);
}

#[test]
fn a_wait_is_not_explained_by_a_busy_machine() {
    let _alone = alone();
    let server = Server::start(&oracle_spec()).unwrap_or_else(|error| panic!("{error}"));
    let mut client = server.connect().unwrap();
    client.set_reply_timeout(Duration::from_mins(1)).unwrap();
    fill(&mut client, &["set"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 * available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..3 {
            let before = server.cpu_time().unwrap();
            client.call(&words("SUNIONSTORE stored set")).unwrap();
            let worked = server.cpu_time().unwrap().saturating_sub(before);
            let wait = Long::row("SUNIONSTORE stored set").wait(&server);
            eprintln!("a wait for some {worked:?}: {wait:?}");
            // It never takes the same time twice.
            assert!(worked > WAIT_MAX && wait > worked / 2, "{wait:?} of {worked:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
