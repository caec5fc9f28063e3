//! RDB files of redis-server and valkey-server, read exactly; and written again, loaded by those servers.

use std::fs::{self, File};
use std::path::Path;

use darter_base::UnixMillis;
use darter_rdb::file::{self, Checksum, Entry, Hint, RawEntry, Reader, Record};
use darter_rdb::{Built, Compressor, Version, build};
use darter_structures::KeyHasher;
use darter_testkit::durable::has_valkey;
use darter_testkit::encodings::contents;
use darter_testkit::request::words;
use darter_testkit::{Client, Server, ServerSpec, Value, mode};
use darter_value::{EncodingLimits, Rules, ValueRef};
use tempfile::TempDir;

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('f', function() return 1 end)\n";

/// In the middle of 2100: alive, however slow the machine is.
const DEADLINE_MS: i64 = 4_118_000_000_123;

/// A server that works in `directory`, in which a file may be.
fn start(peer: &str, directory: &Path, options: &[&str]) -> Server {
    let directory = directory.to_str().expect("a path in UTF-8");
    let mut arguments = vec!["--enable-debug-command", "yes", "--dir", directory];
    arguments.extend(options);
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let spec = ServerSpec {
        name: peer.to_owned(),
        program: peer.into(),
        arguments: vec!["--save".to_owned(), String::new()],
    };
    Server::start(&spec.with_arguments(&arguments)).unwrap_or_else(|error| panic!("{error}"))
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&words(line)).expect("the server answers")
}

/// Keys of every form in database 0, some with deadlines, others in database 3, and a function.
fn fill(client: &mut Client) {
    for (_, setup) in contents() {
        for command in &setup {
            client.call(command).expect("the server answers");
        }
    }
    for key in ["int8", "biglist", "stream", "bighash"] {
        let reply = call(client, &format!("PEXPIREAT {key} {DEADLINE_MS}"));
        assert_eq!(reply, Value::Integer(1), "{key}");
    }
    client.call(&["FUNCTION", "LOAD", LIBRARY]).expect("the server answers");
    call(client, "SELECT 3");
    call(client, "MSET one 1 two 2");
    call(client, "SELECT 0");
}

/// An entry of `database` is what the server answers about it.
fn compare(client: &mut Client, database: u64, entry: &RawEntry<'_>) {
    // Tables may be in another order when they are written again.
    const TABLES: [u8; 4] = [2, 4, 5, 22];
    call(client, &format!("SELECT {database}"));
    let key = entry.key.to_vec();
    let shown = key.escape_ascii().to_string();
    let value = entry.value;
    let payload = client.call(&[b"DUMP".to_vec(), key.clone()]).expect("the server answers");
    let payload = payload.text().expect("the key is there").to_vec();
    assert_eq!(value.kind, payload[0], "{shown}");
    assert_eq!(value.content.len(), payload.len() - 11, "{shown}");
    if !TABLES.contains(&value.kind) {
        assert_eq!(value.content, &payload[1..payload.len() - 10], "{shown}");
    }
    let deadline = client.call(&[b"PEXPIRETIME".to_vec(), key]).expect("the server answers");
    assert_eq!(deadline, Value::Integer(entry.deadline_ms.unwrap_or(-1)), "{shown}");
}

/// The file that says what `entry` says, appended to.
fn write_again(out: &mut Vec<u8>, entry: &RawEntry<'_>, compressor: &mut Compressor) -> Version {
    let now = UnixMillis(0);
    let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(1));
    let value = entry.value.decode().expect("a sound value").expect("with elements");
    let built = build(value, Rules { limits: &limits, hasher: &hasher }, now);
    let value = match &built {
        Built::Text(text) => ValueRef::Bytes(text),
        Built::Object(object) => ValueRef::Object(object.view()),
        Built::Nothing => panic!("nothing has expired"),
    };
    let hint = match (entry.idle_seconds, entry.frequency) {
        (Some(seconds), _) => Hint::IdleSeconds(seconds),
        (None, Some(counter)) => Hint::Frequency(counter),
        (None, None) => Hint::None,
    };
    let deadline_ms = entry.deadline_ms.map(i64::unsigned_abs);
    let entry = Entry { key: &entry.key, value, deadline_ms, hint };
    file::push_entry(out, &entry, compressor, now).expect("it has elements")
}

/// What `peer` has saved is read, compared with what it says, and written again in `version`.
fn passes_both_ways(peer: &str, options: &[&str], version: Version, more: &[&str]) {
    let theirs = TempDir::new().expect("a directory");
    let server = start(peer, theirs.path(), options);
    let mut client = server.connect().expect("it listens");
    fill(&mut client);
    for line in more {
        let reply = call(&mut client, line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    assert_eq!(call(&mut client, "SAVE"), Value::Simple(b"OK".to_vec()));
    let digest = call(&mut client, "DEBUG DIGEST");
    let saved = File::open(theirs.path().join("dump.rdb")).expect("it was saved");
    let mut reader = Reader::new(saved).expect("a header");
    assert_eq!(reader.version(), version);
    let mut compressor = Compressor::on();
    let mut out = Vec::new();
    file::push_header(&mut out, version);
    let (mut database, mut keys, mut functions, mut hints) = (0, [0; 16], 0, [0; 2]);
    loop {
        match reader.next_record().expect("a sound file") {
            Record::Aux { name, value } => file::push_aux(&mut out, &name, &value),
            Record::Database(index) => database = index,
            Record::Sizes { keys, with_deadline } => {
                let index = u32::try_from(database).expect("a small number");
                let [keys, with_deadline] = [keys, with_deadline]
                    .map(|count| usize::try_from(count).expect("a small number"));
                file::push_database(&mut out, index, keys, with_deadline);
            }
            Record::Function(code) => {
                assert_eq!(code, LIBRARY.as_bytes());
                file::push_function(&mut out, &code);
                functions += 1;
            }
            Record::Entry(entry) => {
                compare(&mut client, database, &entry);
                assert!(write_again(&mut out, &entry, &mut compressor) <= version);
                hints[0] += usize::from(entry.idle_seconds.is_some());
                hints[1] += usize::from(entry.frequency.is_some());
                keys[usize::try_from(database).expect("a small number")] += 1;
            }
            Record::End { checked } => {
                assert!(checked);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    reader.finish().expect("nothing follows");
    assert_eq!(functions, 1);
    for index in [0, 3] {
        call(&mut client, &format!("SELECT {index}"));
        assert_eq!(call(&mut client, "DBSIZE"), Value::Integer(keys[index]), "database {index}");
    }
    let all = usize::try_from(keys[0] + keys[3]).expect("a small number");
    let policy = options.join(" ");
    assert_eq!(hints[0], if policy.contains("lru") { all } else { 0 });
    assert_eq!(hints[1], if policy.contains("lfu") { all } else { 0 });

    let mut checksum = Checksum::new();
    checksum.add(&out);
    file::push_end(&mut out, Some(checksum));
    let ours = TempDir::new().expect("a directory");
    fs::write(ours.path().join("dump.rdb"), &out).expect("room for a file");
    let server = start(peer, ours.path(), options);
    let mut client = server.connect().expect("it listens");
    assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{}", server.log());
    assert_eq!(call(&mut client, "PEXPIRETIME biglist"), Value::Integer(DEADLINE_MS));
    assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(1));
    // What it saves of that is a file as well.
    assert_eq!(call(&mut client, "SAVE"), Value::Simple(b"OK".to_vec()));
}

#[test]
fn files_of_redis_pass_both_ways() {
    assert_eq!(mode::oracle_spec().name, "redis-server");
    for options in [
        &["--rdbcompression", "no"][..],
        &["--maxmemory-policy", "allkeys-lru"],
        &["--maxmemory-policy", "allkeys-lfu"],
    ] {
        passes_both_ways("redis-server", options, Version::REDIS_7_0, &[]);
    }
}

#[test]
fn files_of_valkey_pass_both_ways() {
    if !has_valkey() {
        return;
    }
    let fields = [
        "HSET volatile a 1 b 2 c 3",
        "HPEXPIREAT volatile 4118000000123 FIELDS 2 a c",
        "SADD smallset a b 17 -5",
    ];
    for policy in ["noeviction", "allkeys-lfu"] {
        passes_both_ways(
            "valkey-server",
            &["--maxmemory-policy", policy],
            Version::VALKEY_9,
            &fields,
        );
    }
}
