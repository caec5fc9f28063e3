//! Logs of redis-server and valkey-server, read whole; logs of ours, read by them, continued by them, and read again; and
//! logs that somebody has written into.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use darter_persistence::{
    Appender, BaseFormat, Log, LogId, Options, Place, Recipient, Recovered, Refused, Seal, recover,
};
use darter_rdb::Version;
use darter_rdb::file::{self, Checksum, Reader, Record};
use darter_resp::Args;
use darter_testkit::durable::has_valkey;
use darter_testkit::encodings::contents;
use darter_testkit::mutation::drive_one_by_one;
use darter_testkit::request::{encode, words};
use darter_testkit::{Client, Server, ServerSpec, Value};
use tempfile::TempDir;

/// Keeps what it is given.
#[derive(Default)]
struct Kept {
    /// The RDB data at the beginning.
    snapshot: Option<Vec<u8>>,
    /// Requests.
    commands: Vec<u8>,
    count: usize,
}

impl Recipient for Kept {
    fn begin(&mut self, _bytes: u64) {}

    fn file(&mut self, _path: &Path, _bytes: u64) {}

    fn snapshot(&mut self, rdb: &mut dyn Read, path: &Path) -> Result<u64, String> {
        let mut reader = Reader::new(rdb).map_err(|error| error.to_string())?;
        while !matches!(
            reader.next_record().map_err(|error| error.to_string())?,
            Record::End { .. }
        ) {}
        let len = reader.offset();
        let mut bytes = fs::read(path).map_err(|error| error.to_string())?;
        bytes.truncate(usize::try_from(len).map_err(|error| error.to_string())?);
        self.snapshot = Some(bytes);
        Ok(len)
    }

    fn command(&mut self, _at: u64, args: Args<'_>) -> Result<(), Refused> {
        encode(&args.iter().collect::<Vec<_>>(), &mut self.commands);
        self.count += 1;
        Ok(())
    }

    fn progress(&mut self, _bytes: u64) {}
}

fn place(directory: &Path) -> Place {
    Place::new(directory, "appendonlydir", "appendonly.aof")
}

fn read(directory: &Path) -> (Kept, Recovered) {
    let mut kept = Kept::default();
    let recovered = recover(&place(directory), &Options::default(), &mut kept);
    (kept, recovered.unwrap_or_else(|error| panic!("{error}")))
}

/// A server that works in `directory`.
fn start(peer: &str, directory: &Path, options: &[&str]) -> Server {
    let directory = directory.to_str().expect("a path in UTF-8");
    let mut arguments = vec!["--save", "", "--enable-debug-command", "yes", "--dir", directory];
    arguments.extend(options);
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    let spec = ServerSpec { name: peer.to_owned(), program: peer.into(), arguments };
    Server::start(&spec).unwrap_or_else(|error| panic!("{error}"))
}

fn call(client: &mut Client, line: &str) -> Value {
    let reply = client.call(&words(line)).expect("the server answers");
    assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    reply
}

/// Tries `what` until it is true, for as long as a loaded machine may need.
fn eventually(mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !what() {
        assert!(Instant::now() < deadline, "it has not happened");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Changes of all kinds: single commands, transactions, scripts, several databases.
fn change(client: &mut Client, round: u32) {
    for (_, setup) in contents() {
        for command in &setup {
            client.call(command).expect("the server answers");
        }
    }
    call(client, "SPOP bigset 300");
    call(client, "PEXPIRE bighash 100000000");
    call(client, "MULTI");
    call(client, &format!("INCRBY counter {round}"));
    call(client, "LPUSH list transaction");
    call(client, "EXEC");
    let script = "for i = 1, 3 do redis.call('RPUSH', KEYS[1], i) end";
    client.call(&["EVAL", script, "1", "scripted"]).expect("the server answers");
    call(client, "SELECT 3");
    call(client, &format!("MSET one 1 round {round}"));
    call(client, "SELECT 0");
}

fn digest(client: &mut Client) -> Value {
    call(client, "DEBUG DIGEST")
}

/// What was kept makes these data.
fn makes(peer: &str, kept: &Kept, expected: &Value) {
    let directory = TempDir::new().expect("a directory");
    if let Some(snapshot) = &kept.snapshot {
        fs::write(directory.path().join("dump.rdb"), snapshot).expect("room for a file");
    }
    let server = start(peer, directory.path(), &[]);
    let mut client = server.connect().expect("it listens");
    client.send_bytes(&kept.commands).expect("it reads");
    for index in 0..kept.count {
        let reply = client.read_reply().expect("it answers").value;
        assert!(!matches!(reply, Value::Error(_)), "command {index}: {reply:?}");
    }
    assert_eq!(digest(&mut client), *expected);
}

/// A log that `peer` writes is read whole, at its beginning, after a rewrite, and after its end.
fn reads_the_log_of(peer: &str, options: &[&str]) {
    let directory = TempDir::new().expect("a directory");
    let options = [&["--appendonly", "yes", "--appendfsync", "no"], options].concat();
    let server = start(peer, directory.path(), &options);
    let mut client = server.connect().expect("it listens");
    let read_again = |client: &mut Client| {
        let expected = digest(client);
        let (kept, recovered) = read(directory.path());
        assert!(recovered.torn.is_none(), "{recovered:?}");
        makes(peer, &kept, &expected);
    };
    change(&mut client, 1);
    read_again(&mut client);
    call(&mut client, "BGREWRITEAOF");
    eventually(|| {
        let info = call(&mut client, "INFO persistence");
        let info = String::from_utf8_lossy(info.text().expect("text")).into_owned();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    read_again(&mut client);
    change(&mut client, 2);
    read_again(&mut client);
}

#[test]
fn logs_of_redis_are_read() {
    reads_the_log_of("redis-server", &[]);
    reads_the_log_of(
        "redis-server",
        &["--aof-use-rdb-preamble", "no", "--aof-timestamp-enabled", "yes"],
    );
}

#[test]
fn logs_of_valkey_are_read() {
    if has_valkey() {
        reads_the_log_of("valkey-server", &["--aof-timestamp-enabled", "yes"]);
        reads_the_log_of("valkey-server", &["--aof-use-rdb-preamble", "no"]);
    }
}

fn group(lines: &[&str]) -> Vec<u8> {
    let mut group = Vec::new();
    for line in lines {
        encode(&words(line), &mut group);
    }
    group
}

/// Installs a base that has nothing in it.
fn install_base(log: &mut Log, format: BaseFormat, appender: &Appender) {
    let mut content = Vec::new();
    match format {
        BaseFormat::Rdb => {
            file::push_header(&mut content, Version::REDIS_7_0);
            let mut checksum = Checksum::new();
            checksum.add(&content);
            file::push_end(&mut content, Some(checksum));
        }
        BaseFormat::Commands => content = group(&["SELECT 0", "SET base 1"]),
    }
    let temporary = log.temporary(1);
    fs::write(&temporary, &content).expect("room for a file");
    File::open(&temporary).and_then(|file| file.sync_all()).expect("a disk");
    let mut seal = Seal::EMPTY;
    seal.add(&content);
    log.install_base(&temporary, format, appender.position(), seal).expect("a file begins there");
}

/// A log with a base and two incremental files.
fn write(directory: &Path, format: BaseFormat) {
    let mut log = Log::create(place(directory), LogId([7; 16])).expect("a directory");
    let mut appender = log.begin_file(log.beginning()).expect("room for a file");
    install_base(&mut log, format, &appender);
    let append = |appender: &mut Appender, lines: &[&str]| {
        appender.append(&group(lines)).expect("room for a chunk");
    };
    append(&mut appender, &["SELECT 0", "SET a 1", "RPUSH l 1 2 3"]);
    append(&mut appender, &["MULTI", "INCR a", "SELECT 3", "SET b 1", "EXEC"]);
    let mut appender = log.begin_file(appender.position()).expect("room for a file");
    let timed = [b"#TS:1700000000\r\n".to_vec(), group(&["SELECT 0", "INCR a"])].concat();
    appender.append(&timed).expect("room for a chunk");
    append(&mut appender, &["DEL l"]);
}

/// A log of ours is loaded by `peer`, which goes on with it; that is read again, and goes on as ours.
fn passes_both_ways(peer: &str, format: BaseFormat) {
    let directory = TempDir::new().expect("a directory");
    write(directory.path(), format);
    let options = ["--appendonly", "yes"];
    let expected = {
        let server = start(peer, directory.path(), &options);
        let mut client = server.connect().expect("it listens");
        let value = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        assert_eq!(call(&mut client, "GET a"), value("3"), "{}", server.log());
        assert_eq!(call(&mut client, "EXISTS l"), Value::Integer(0));
        let expects_base = i64::from(format == BaseFormat::Commands);
        assert_eq!(call(&mut client, "EXISTS base"), Value::Integer(expects_base));
        call(&mut client, "MULTI");
        call(&mut client, "SET theirs 1");
        call(&mut client, "INCR a");
        call(&mut client, "EXEC");
        change(&mut client, 1);
        digest(&mut client)
    };
    let (kept, recovered) = read(directory.path());
    makes(peer, &kept, &expected);
    let (mut log, resumed) =
        Log::resume(place(directory.path()), recovered, LogId([8; 16])).expect("a log");
    let mut appender = log.go_on(resumed).expect("a file");
    assert_eq!(log.manifest().incremental.len(), 3);
    appender.append(&group(&["SELECT 0", "SET ours 1"])).expect("room for a chunk");
    let server = start(peer, directory.path(), &options);
    let mut client = server.connect().expect("it listens");
    assert_eq!(call(&mut client, "EXISTS ours theirs a"), Value::Integer(3), "{}", server.log());
    makes(peer, &read(directory.path()).0, &digest(&mut client));
    // Its own base, then, in the place of all of ours.
    call(&mut client, "BGREWRITEAOF");
    eventually(|| {
        let info = call(&mut client, "INFO persistence");
        let info = String::from_utf8_lossy(info.text().expect("text")).into_owned();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    makes(peer, &read(directory.path()).0, &digest(&mut client));
}

#[test]
fn logs_pass_to_redis_and_back() {
    passes_both_ways("redis-server", BaseFormat::Rdb);
    passes_both_ways("redis-server", BaseFormat::Commands);
}

#[test]
fn logs_pass_to_valkey_and_back() {
    if has_valkey() {
        passes_both_ways("valkey-server", BaseFormat::Rdb);
        passes_both_ways("valkey-server", BaseFormat::Commands);
    }
}

#[test]
fn redis_finds_nothing_wrong_with_a_log_of_ours() {
    for format in [BaseFormat::Rdb, BaseFormat::Commands] {
        let directory = TempDir::new().expect("a directory");
        write(directory.path(), format);
        let manifest = place(directory.path()).manifest();
        let output = Command::new("redis-check-aof").arg(&manifest).output();
        // Part of the server's package with most systems, but not with all.
        let Ok(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("All AOF files and manifest are valid"), "{text}");
    }
}

/// Whatever is written into the files of a log: commands that are delivered are those that were written, as far as our
/// files go, and nothing panics or hangs.
#[test]
fn files_that_somebody_has_written_into_are_refused_or_read() {
    let directory = TempDir::new().expect("a directory");
    write(directory.path(), BaseFormat::Commands);
    let place = place(directory.path());
    let (whole, _) = read(directory.path());
    let names: Vec<_> = fs::read_dir(place.directory())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let seeds: Vec<_> = names.iter().map(|path| fs::read(path).expect("a file")).collect();
    let count = drive_one_by_one("log", &seeds, |input| {
        // The file that it is most like: it begins alike.
        let likeness = |seed: &Vec<u8>| seed.iter().zip(input).take_while(|(a, b)| a == b).count();
        let most_like = (0..seeds.len()).max_by_key(|&index| likeness(&seeds[index]));
        let most_like = most_like.expect("there are files");
        for (index, (path, seed)) in names.iter().zip(&seeds).enumerate() {
            let content = if index == most_like { input } else { seed };
            fs::write(path, content).expect("room for a file");
        }
        let mut kept = Kept::default();
        match recover(&place, &Options::default(), &mut kept) {
            Ok(_) => assert!(whole.commands.starts_with(&kept.commands)),
            Err(error) => assert!(error.path.starts_with(place.directory()), "{error}"),
        }
    });
    assert!(count > 0);
}
