//! RDB files as each version of Redis and Valkey has written them, in every form that a value has had, loaded here and by
//! the servers that can: they hold what the commands make that say the same.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use darter_testkit::diff::contents::{Contents, first_difference, read};
use darter_testkit::durable::{call, darter_in, has_valkey, in_directory, ok};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::old_forms::{
    File, counted, element, intset, length, listpack, number_string, packed_string, score_text,
    string, ziplist, zipmap,
};
use darter_testkit::request::words;
use darter_testkit::{Client, Server, ServerSpec, Value};

/// One shard and many, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// Every version of Redis up to 8.8, and Valkey 9's.
const VERSIONS: [u16; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, VALKEY];
const VALKEY: u16 = 80;

const DEADLINE_SECONDS: i32 = 2_000_000_000;
/// In the middle of 2100: alive, however slow the machine is.
const DEADLINE_MS: i64 = 4_118_000_000_123;

/// A value in a form that it has had.
struct Form {
    /// The first version that has it; Valkey has Redis's up to 11.
    since: u16,
    kind: u8,
    content: Vec<u8>,
    /// What makes the same, with `KEY` for its key.
    setup: Vec<Vec<Vec<u8>>>,
}

impl Form {
    fn is_in(&self, version: u16) -> bool {
        if version == VALKEY {
            self.since <= 11 || self.since == VALKEY
        } else {
            self.since <= version
        }
    }
}

fn form(since: u16, kind: u8, content: Vec<u8>, setup: &[&str]) -> Form {
    let setup = setup.iter().map(|line| words(line)).collect();
    Form { since, kind, content, setup }
}

fn elements(texts: &str) -> Vec<darter_testkit::old_forms::Element<'_>> {
    texts.split(' ').map(element).collect()
}

fn raw_id(ms: u64, number: u64) -> Vec<u8> {
    [ms.to_be_bytes(), number.to_be_bytes()].concat()
}

fn score_bytes(score: f64) -> Vec<u8> {
    score.to_le_bytes().to_vec()
}

fn deadline(ms: i64) -> Vec<u8> {
    ms.to_le_bytes().to_vec()
}

fn strings() -> Vec<Form> {
    let long = "x".repeat(20_000);
    vec![
        form(1, 0, string(b"hello"), &["SET KEY hello"]),
        form(1, 0, number_string(-5), &["SET KEY -5"]),
        form(1, 0, number_string(-3000), &["SET KEY -3000"]),
        form(1, 0, number_string(70_000), &["SET KEY 70000"]),
        form(1, 0, packed_string(b'a', 200), &[&format!("SET KEY {}", "a".repeat(200))]),
        form(1, 0, string(long.as_bytes()), &[&format!("SET KEY {long}")]),
        // A length of 64 bits, for what needs one of 6.
        form(8, 0, [&b"\x81\0\0\0\0\0\0\0\x03abc"[..]].concat(), &["SET KEY abc"]),
    ]
}

fn lists() -> Vec<Form> {
    let packed = "q".repeat(70);
    let long = "y".repeat(300);
    let ziplist_of_all = "a 0 12 -1 100 -3000 70000 -8000000 9000000 5000000000 end";
    let rpush = |texts: &str| format!("RPUSH KEY {texts}");
    let plain = [string(b"a"), number_string(300), packed_string(b'q', 70)];
    let quicklist =
        [ziplist(&elements("a b -7")), ziplist(&elements("c")), ziplist(&elements(&long))];
    let mut nodes = vec![[vec![1], string(long.as_bytes())].concat()];
    nodes.push(
        [
            vec![2],
            listpack(&elements("a 0 127 -1 4095 -4096 32767 70000 -8388608 9000000 5000000000")),
        ]
        .concat(),
    );
    vec![
        form(1, 1, counted(&plain), &[&rpush(&format!("a 300 {packed}"))]),
        form(2, 10, ziplist(&elements(ziplist_of_all)), &[&rpush(ziplist_of_all)]),
        form(
            2,
            10,
            ziplist(&elements(&format!("{long} {long} z"))),
            &[&rpush(&format!("{long} {long} z"))],
        ),
        form(7, 14, counted(&quicklist), &[&rpush(&format!("a b -7 c {long}"))]),
        form(
            10,
            18,
            counted(&nodes),
            &[&rpush(&format!(
                "{long} a 0 127 -1 4095 -4096 32767 70000 -8388608 9000000 5000000000"
            ))],
        ),
    ]
}

fn sets() -> Vec<Form> {
    vec![
        form(1, 2, counted(&[string(b"a"), number_string(17)]), &["SADD KEY a 17"]),
        form(1, 2, counted(&[number_string(1), number_string(2)]), &["SADD KEY 1 2"]),
        form(2, 11, intset(2, &[-300, 1, 2]), &["SADD KEY 1 2 -300"]),
        form(2, 11, intset(4, &[-70_000, 1]), &["SADD KEY 1 -70000"]),
        form(2, 11, intset(8, &[1, 5_000_000_000]), &["SADD KEY 1 5000000000"]),
        form(11, 20, listpack(&elements("a 17 -5")), &["SADD KEY a 17 -5"]),
    ]
}

fn sorted_sets() -> Vec<Form> {
    let scores = [("a", 1.5), ("b", f64::NEG_INFINITY), ("c", f64::INFINITY), ("17", -3.0)];
    let with = |score: fn(f64) -> Vec<u8>| {
        let member =
            |(member, value): (&str, f64)| [string(member.as_bytes()), score(value)].concat();
        counted(&scores.map(member))
    };
    let setup = "ZADD KEY 1.5 a -inf b inf c -3 17";
    let in_order = elements("b -inf 17 -3 a 1.5 c inf");
    vec![
        form(1, 3, with(score_text), &[setup]),
        form(2, 12, ziplist(&in_order), &[setup]),
        form(8, 5, with(score_bytes), &[setup]),
        form(10, 17, listpack(&in_order), &[setup]),
    ]
}

fn hashes() -> Vec<Form> {
    let (short, middle, long) = ("m".repeat(253), "n".repeat(254), "v".repeat(300));
    let pairs: [(&[u8], &[u8]); 5] = [
        (b"f", b"v"),
        (b"n", b"12"),
        (b"s", short.as_bytes()),
        (middle.as_bytes(), b"1"),
        (b"l", long.as_bytes()),
    ];
    let set_all = format!("HSET KEY f v n 12 s {short} {middle} 1 l {long}");
    let plain = [string(b"f"), string(b"v"), string(b"n"), number_string(12)].concat();
    let small = "HSET KEY f v n 12";
    let expire = |field: &str, ms: i64| format!("HPEXPIREAT KEY {ms} FIELDS 1 {field}");
    let (expire_f, expire_n) = (expire("f", DEADLINE_MS), expire("n", DEADLINE_MS + 7));
    let expiring: [&str; 3] = ["HSET KEY f v n 12 p q", &expire_f, &expire_n];
    let since_earliest = |ms: u64, field: &str, value: &str| {
        [length(ms), string(field.as_bytes()), string(value.as_bytes())].concat()
    };
    let at = DEADLINE_MS.unsigned_abs();
    let relative =
        [since_earliest(1, "f", "v"), since_earliest(8, "n", "12"), since_earliest(0, "p", "q")];
    let absolute = [
        since_earliest(at, "f", "v"),
        since_earliest(at + 7, "n", "12"),
        since_earliest(0, "p", "q"),
    ];
    let in_listpack = format!("f v {DEADLINE_MS} n 12 {} p q 0", DEADLINE_MS + 7);
    let in_listpack = listpack(&elements(&in_listpack));
    let valkey = |field: &str, value: &str, ms: i64| {
        [string(field.as_bytes()), string(value.as_bytes()), deadline(ms)].concat()
    };
    let of_valkey =
        [valkey("f", "v", DEADLINE_MS), valkey("n", "12", DEADLINE_MS + 7), valkey("p", "q", -1)];
    vec![
        form(1, 4, [length(2), plain].concat(), &[small]),
        form(2, 9, zipmap(&pairs), &[&set_all]),
        form(4, 13, ziplist(&elements("f v n 12")), &[small]),
        form(10, 16, listpack(&elements("f v n 12")), &[small]),
        // Candidates of 7.4, then 7.4.
        form(12, 22, counted(&absolute), &expiring),
        form(12, 23, in_listpack.clone(), &expiring),
        form(12, 24, [deadline(DEADLINE_MS), counted(&relative)].concat(), &expiring),
        form(12, 25, [deadline(DEADLINE_MS), in_listpack].concat(), &expiring),
        form(VALKEY, 22, counted(&of_valkey), &expiring),
    ]
}

/// A stream of 1-1, 1-2 and 9-0, of which 1-2 was deleted, in two nodes, with a group that has 9-0 and 1-1 pending.
fn stream(kind: u8) -> Vec<u8> {
    let (second, third, fourth, fifth) = (kind >= 19, kind >= 21, kind >= 26, kind >= 27);
    // Live and deleted; fields; entries: flags, id relative to the node's, what differs, how far back it began.
    let first = elements("1 1 1 f 0 2 0 0 v 4 1 0 1 1 g w 6");
    let other = elements("1 0 1 h 0 2 0 0 70000 4");
    let nodes = [
        [string(&raw_id(1, 1)), listpack(&first)].concat(),
        [string(&raw_id(9, 0)), listpack(&other)].concat(),
    ];
    let mut out = counted(&nodes);
    // How many, and the last id.
    out.extend([2, 9, 0]);
    if second {
        // First id, greatest deleted one, ever added.
        out.extend([1, 1, 1, 2, 3]);
    }
    let mut group = [string(b"g"), vec![9, 0]].concat();
    if second {
        group.push(3);
    }
    let pending = |id: Vec<u8>, at_ms| [id, deadline(at_ms), vec![2]].concat();
    // In the fifth form nobody has one of them.
    let given_back_ms = if fifth { 0 } else { 1000 };
    group.extend(counted(&[pending(raw_id(1, 1), 1000), pending(raw_id(9, 0), given_back_ms)]));
    let mut consumer = [string(b"c"), deadline(2000)].concat();
    if third {
        consumer.extend(deadline(1500));
    }
    let owned = if fifth { vec![raw_id(1, 1)] } else { vec![raw_id(1, 1), raw_id(9, 0)] };
    consumer.extend(counted(&owned));
    group.extend(counted(&[consumer]));
    if fifth {
        group.extend(counted(&[raw_id(9, 0)]));
    }
    out.extend(counted(&[group]));
    if fourth {
        let added = [string(b"id-1"), vec![9, 0]].concat();
        let producer = [string(b"producer"), counted(&[added])].concat();
        out.extend([100, 100].map(length).concat());
        out.extend(counted(&[producer]));
        out.extend([1, 0]);
    }
    out
}

fn streams() -> Vec<Form> {
    let claim = |id: &str| format!("XCLAIM KEY g c 0 {id} TIME 1000 RETRYCOUNT 2 FORCE JUSTID");
    let (first, second) = (claim("1-1"), claim("9-0"));
    let made = [
        "XADD KEY 1-1 f v",
        "XADD KEY 1-2 g w",
        "XADD KEY 9-0 h 70000",
        "XDEL KEY 1-2",
        "XGROUP CREATE KEY g 9-0 ENTRIESREAD 3",
        &first,
        &second,
    ];
    let given_back = [&made[..], &["XNACK KEY g FAIL IDS 1 9-0"]].concat();
    let forms = [(9, 15), (10, 19), (11, 21), (13, 26), (14, 27)];
    let make = |(since, kind)| {
        form(since, kind, stream(kind), if kind == 27 { &given_back } else { &made })
    };
    forms.map(make).into()
}

/// Every form, each with a key of its own.
fn forms() -> Vec<(String, Form)> {
    let all = [strings(), lists(), sets(), sorted_sets(), hashes(), streams()];
    let name = |(index, form): (usize, Form)| (format!("{}:{index}", form.kind), form);
    all.into_iter().flatten().enumerate().map(name).collect()
}

const LIBRARY: &str = "#!lua name=l\nredis.register_function('f', function() return 7 end)";

/// What stands in front of the keys of a version.
fn begin(version: u16, keys: u64) -> File {
    let mut file = File::new(version);
    if version >= 7 {
        file.aux("redis-ver", "255.255.255");
        file.aux("redis-bits", "64");
        file.aux("ctime", "1447000000");
        file.aux("used-mem", "1000000");
        file.aux("something-new", "of which nobody knows");
    }
    if version >= 10 {
        file.function(LIBRARY);
    }
    file.database(0);
    if version >= 7 {
        file.sizes(keys, 2);
    }
    if (12..VALKEY).contains(&version) {
        file.slot(5, 1, 0);
    }
    file
}

fn file_of(version: u16, forms: &[(String, Form)]) -> Vec<u8> {
    let mut file = begin(version, forms.len() as u64 + 3);
    for (index, (name, form)) in forms.iter().enumerate() {
        match index % 2 {
            _ if version < 9 => {}
            0 => file.idle(1000),
            _ => file.frequency(7),
        }
        file.key(name, form.kind, &form.content);
    }
    file.deadline_seconds(DEADLINE_SECONDS);
    file.key("seconds", 0, &string(b"v"));
    file.deadline_seconds(1_000_000_000);
    file.key("gone", 0, &string(b"v"));
    if version >= 3 {
        file.deadline_ms(DEADLINE_MS);
        file.key("milliseconds", 0, &string(b"v"));
    }
    file.database(5);
    file.key("other", 1, &counted(&[string(b"x"), string(b"y")]));
    file.finish()
}

/// Makes with commands what the file has.
fn make(client: &mut Client, version: u16, forms: &[(String, Form)]) {
    let run = |client: &mut Client, command: &[Vec<u8>]| {
        let reply = client.call(command).unwrap();
        assert!(!matches!(reply, Value::Error(_)), "{command:?}: {reply:?}");
    };
    for (name, form) in forms {
        for command in &form.setup {
            let mut command = command.clone();
            command
                .iter_mut()
                .filter(|word| *word == b"KEY")
                .for_each(|word| *word = name.clone().into());
            run(client, &command);
        }
    }
    run(client, &words(&format!("SET seconds v EXAT {DEADLINE_SECONDS}")));
    if version >= 3 {
        run(client, &words(&format!("SET milliseconds v PXAT {DEADLINE_MS}")));
    }
    for line in ["SELECT 5", "RPUSH other x y", "SELECT 0"] {
        run(client, &words(line));
    }
}

/// What a server shows; of hashes, when their fields expire.
fn shown(server: &Server, knows_deadlines: bool) -> Contents {
    let mut client = server.connect().unwrap();
    let mut contents = read(server.address()).unwrap();
    for ((database, key), entry) in &mut contents {
        // How a value is kept depends on what it has been, and so does what digests tell of it.
        entry.encoding = Value::Null;
        entry.digest = Value::Null;
        if knows_deadlines && entry.kind.text() == Some(b"hash") {
            assert_eq!(*database, 0);
            let command = [&b"HPEXPIRETIME"[..], key, b"FIELDS", b"3", b"f", b"n", b"p"];
            entry.digest = client.call(&command).unwrap();
        }
        if entry.kind.text() == Some(b"stream") {
            let command = [&b"XPENDING"[..], key, b"g", b"-", b"+", b"10"];
            let mut pending = client.call(&command).unwrap();
            forget_idle_times(&mut pending);
            entry.groups.push(pending);
        }
    }
    contents
}

fn forget_idle_times(pending: &mut Value) {
    let Value::Array(entries) = pending else { panic!("{pending:?}") };
    for entry in entries {
        let Value::Array(parts) = entry else { panic!("{entry:?}") };
        parts[2] = Value::Null;
    }
}

fn agrees(spec: &ServerSpec, version: u16, forms: &[(String, Form)], directory: &Path) {
    let context = format!("{}, version {version}", spec.name);
    let knows_deadlines = !spec.name.starts_with("redis");
    fs::write(directory.join("dump.rdb"), file_of(version, forms)).unwrap();
    let server = Server::start(spec).unwrap_or_else(|error| panic!("{context}: {error}"));
    let loaded = shown(&server, knows_deadlines);
    let mut client = server.connect().unwrap();
    if version >= 10 {
        assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(7), "{context}");
    }
    // What was loaded can be saved, and is the same again.
    assert_eq!(call(&mut client, "DEBUG RELOAD"), ok(), "{context}");
    let reloaded = shown(&server, knows_deadlines);
    if let Some(difference) = first_difference(&loaded, &reloaded) {
        panic!("{context}, saved and loaded again: {difference}");
    }
    assert_eq!(call(&mut client, "FLUSHALL"), ok());
    make(&mut client, version, forms);
    if let Some(difference) = first_difference(&shown(&server, knows_deadlines), &loaded) {
        panic!("{context}: {difference}");
    }
}

fn peer_in(peer: &str, directory: &Path) -> ServerSpec {
    let arguments = ["--enable-debug-command", "yes"].map(str::to_owned).to_vec();
    let spec = ServerSpec { name: peer.to_owned(), program: peer.into(), arguments };
    in_directory(&spec, directory, &["--save", ""])
}

/// The peers that can load files of this version, of those that this machine has.
fn peers_for(version: u16) -> Vec<&'static str> {
    let redis = (version <= 10).then_some("redis-server");
    let valkey = (has_valkey() && (version <= 11 || version == VALKEY)).then_some("valkey-server");
    redis.into_iter().chain(valkey).collect()
}

#[test]
fn files_of_all_versions_hold_what_they_say() {
    for version in VERSIONS {
        let mut forms = forms();
        forms.retain(|(_, form)| form.is_in(version));
        let directory = tempfile::tempdir().unwrap();
        for peer in peers_for(version) {
            agrees(&peer_in(peer, directory.path()), version, &forms, directory.path());
        }
        for mode in MODES {
            let spec = darter_in(mode, directory.path(), &["--save", ""]);
            agrees(&spec, version, &forms, directory.path());
        }
    }
}

/// What only a version to come has is refused, and so is a form in a file that cannot have it.
#[test]
fn forms_that_a_version_does_not_have_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (version, kind) in [(15, 0), (VALKEY, 26), (VALKEY, 24), (14, 28), (12, 8)] {
        let mut file = begin(version, 1);
        file.key("key", kind, &stream(26));
        fs::write(directory.path().join("dump.rdb"), file.finish()).unwrap();
        let refused = Server::start(&darter_in(MODES[0], directory.path(), &[])).unwrap_err();
        assert!(
            refused.log.contains("Can't handle") || refused.log.contains("Unknown type"),
            "{refused}"
        );
    }
}
