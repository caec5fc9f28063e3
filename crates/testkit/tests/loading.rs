//! Loading data at the start: what clients are answered meanwhile, and that it does not matter how many threads do it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use darter_base::UnixMillis;
use darter_rdb::file::{self, Checksum, Entry, Hint};
use darter_rdb::{Compressor, Version};
use darter_testkit::durable::{
    call, darter_in, eventually, in_directory, info, ok, terminate, wait_for_end,
};
use darter_testkit::mode::{SERVER_MODES, ServerMode, oracle_spec};
use darter_testkit::{Client, Server, Value};
use darter_value::ValueRef;

const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// One second for each key: it lasts until a test has seen enough.
const SLOWLY: &[&str] = &["--key-load-delay", "1000000"];

const REFUSED: &[&str] = &[
    "PING",
    "GET key:1",
    "SET a b",
    "DBSIZE",
    "KEYS *",
    "EVAL return 0",
    "WATCH a",
    "SAVE",
    "MEMORY STATS",
    "DEBUG RELOAD",
    "CONFIG SET dir /",
    "CONFIG SET appendonly yes",
];

fn loading() -> Value {
    Value::Error(LOADING.into())
}

fn is_loading(client: &mut Client) -> bool {
    info(client, "persistence", "loading") == "1"
}

/// Lets loading go on as fast as it can, and waits for its end.
fn let_it_load(server: &Server) {
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "CONFIG SET key-load-delay 0"), ok());
    assert!(eventually(|| !is_loading(&mut server.connect().unwrap())));
}

/// A directory with a file of some keys.
fn directory_with_keys(mode: ServerMode) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&darter_in(mode, directory.path(), &[])).unwrap();
    let mut client = server.connect().unwrap();
    call(&mut client, "DEBUG POPULATE 100 key 40");
    assert_eq!(call(&mut client, "SAVE"), ok());
    directory
}

#[test]
fn who_comes_while_data_are_loaded_is_told_so() {
    for mode in [SERVER_MODES[0], SERVER_MODES[SERVER_MODES.len() - 1]] {
        let directory = directory_with_keys(mode);
        let spec = darter_in(mode, directory.path(), SLOWLY);
        let server = Server::start_loading(&spec).unwrap();
        let mut client = server.connect().unwrap();
        for line in REFUSED {
            assert_eq!(call(&mut client, line), loading(), "{line}, {mode}");
        }
        assert_eq!(call(&mut client, "ECHO a"), Value::Bulk(b"a".to_vec()));
        assert_eq!(call(&mut client, "CONFIG SET maxmemory 100mb"), ok());
        assert_eq!(call(&mut client, "CLIENT SETNAME a"), ok());
        assert_eq!(call(&mut client, "SELECT 1"), ok());
        assert_eq!(call(&mut client, "SELECT 0"), ok());
        let field = |client: &mut Client, field: &str| info(client, "persistence", field);
        assert_eq!(field(&mut client, "loading"), "1");
        assert_eq!(field(&mut client, "async_loading"), "0");
        assert_ne!(field(&mut client, "loading_total_bytes"), "0");
        for name in ["start_time", "rdb_used_mem", "loaded_bytes", "loaded_perc", "eta_seconds"] {
            field(&mut client, &format!("loading_{name}"));
        }

        // What was refused is no part of a transaction; what was not is.
        assert_eq!(call(&mut client, "MULTI"), ok());
        assert_eq!(call(&mut client, "GET key:1"), loading());
        let Value::Error(text) = call(&mut client, "EXEC") else { panic!("an error") };
        assert!(text.starts_with(b"EXECABORT"));
        assert_eq!(call(&mut client, "MULTI"), ok());
        call(&mut client, "INFO persistence");
        let Value::Array(replies) = call(&mut client, "EXEC") else { panic!("an array") };
        let [Value::Bulk(text)] = &replies[..] else { panic!("{replies:?}") };
        assert!(String::from_utf8_lossy(text).contains("\r\nloading:1\r\n"));

        let_it_load(&server);
        assert_eq!(call(&mut client, "DBSIZE"), Value::Integer(100), "{mode}");
        assert_eq!(call(&mut client, "PING"), Value::Simple(b"PONG".to_vec()));
        let Value::Bulk(text) = call(&mut client, "INFO persistence") else { panic!("a text") };
        assert!(!String::from_utf8_lossy(&text).contains("loading_"));
        assert!(server.log().contains("Ready to accept connections"));
    }
}

/// The first line of the answer to a request for `path`.
fn probe(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_server_that_loads_lives_and_is_not_ready() {
    let mode = SERVER_MODES[0];
    let directory = directory_with_keys(mode);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_text = port.to_string();
    let options = [SLOWLY, &["--metrics-port", &port_text]].concat();
    let server = Server::start_loading(&darter_in(mode, directory.path(), &options)).unwrap();
    let mut client = server.connect().unwrap();
    assert!(eventually(|| server.log().contains("Metrics on")));
    assert!(is_loading(&mut client));
    assert!(probe(port, "/healthz").contains(" 200 "));
    assert!(probe(port, "/readyz").contains(" 503 "));
    let_it_load(&server);
    assert!(probe(port, "/readyz").contains(" 200 "));
}

#[test]
fn a_server_that_loads_can_be_ended_and_leaves_its_files_alone() {
    for mode in [SERVER_MODES[0], SERVER_MODES[SERVER_MODES.len() - 1]] {
        let directory = directory_with_keys(mode);
        let before = fs::read(directory.path().join("dump.rdb")).unwrap();
        let spec = darter_in(mode, directory.path(), &[SLOWLY, &["--save", "1 0"]].concat());
        let mut server = Server::start_loading(&spec).unwrap();
        terminate(&mut server);
        assert!(server.log().contains("during loading"), "{}", server.log());
        let mut server = Server::start_loading(&spec).unwrap();
        let mut client = server.connect().unwrap();
        assert!(client.call(&["SHUTDOWN", "SAVE"]).is_err());
        wait_for_end(&mut server);
        assert_eq!(fs::read(directory.path().join("dump.rdb")).unwrap(), before, "{mode}");
    }
}

/// Changes of many keys, with commands over several of them in between.
fn change_much(client: &mut Client) {
    let mut lines = Vec::new();
    for round in 0..3000_u32 {
        let (one, other) = (round % 700, (round * 7 + 3) % 700);
        lines.push(format!("SET text:{one} {round}"));
        lines.push(format!("RPUSH list:{other} {round} x"));
        lines.push(format!("HSET hash:{one} f{round} {round}"));
        lines.push(format!("ZADD zset:{other} {round} m{one}"));
        if round % 1000 < 40 {
            lines.push(format!("MSET text:{other} m many:{one} {round}"));
            lines.push(format!("RENAME text:{other} moved:{one}"));
            lines.push(format!("SUNIONSTORE sum:{one} set:{one} set:{other}"));
        }
        if round % 50 == 0 {
            lines.push("MULTI".to_owned());
            lines.push(format!("INCR count:{one}"));
            lines.push(format!("SADD set:{other} {round}"));
            lines.push("EXEC".to_owned());
            lines.push(format!("SELECT {}", round / 50 % 3));
        }
    }
    for line in lines {
        let reply = call(client, &line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
}

#[test]
fn a_log_comes_to_the_same_with_any_number_of_threads() {
    let log = &["--appendonly", "yes", "--save", ""];
    let directory = tempfile::tempdir().unwrap();
    let first = SERVER_MODES[SERVER_MODES.len() - 1];
    let server = Server::start(&darter_in(first, directory.path(), log)).unwrap();
    let mut client = server.connect().unwrap();
    change_much(&mut client);
    let digest = call(&mut client, "DEBUG DIGEST");
    assert_eq!(call(&mut client, "DEBUG LOADAOF"), ok());
    assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
    drop(server);
    for mode in SERVER_MODES {
        let server = Server::start(&darter_in(*mode, directory.path(), log)).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(call(&mut client, "DEBUG DIGEST"), digest, "{mode}");
    }
    let redis = Server::start(&in_directory(&oracle_spec(), directory.path(), log)).unwrap();
    let mut client = redis.connect().unwrap();
    assert_eq!(call(&mut client, "DEBUG DIGEST"), digest);
}

/// A file of so many keys, the `twice`th of them again at its end, with a right checksum; where that one begins.
fn file_with_key_twice(keys: usize, twice: usize) -> (Vec<u8>, usize) {
    let (mut out, mut compressor) = (Vec::new(), Compressor::off());
    file::push_header(&mut out, Version::REDIS_7_0);
    let mut last = 0;
    for number in (0..keys).chain([twice]) {
        last = out.len();
        let key = format!("key:{number}");
        let value = ValueRef::Bytes(b"a value");
        let entry = Entry { key: key.as_bytes(), value, deadline_ms: None, hint: Hint::None };
        file::push_entry(&mut out, &entry, &mut compressor, UnixMillis(0)).unwrap();
    }
    let mut checksum = Checksum::new();
    checksum.add(&out);
    file::push_end(&mut out, Some(checksum));
    (out, last)
}

/// Redis before 7.0 could be told to record scripts as they were called.
#[test]
fn a_script_in_an_old_log_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("appendonly.aof");
    let log = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n\
               *4\r\n$4\r\nEVAL\r\n$24\r\nredis.call('INCR', 'n');\r\n$1\r\n0\r\n$1\r\nx\r\n";
    fs::write(&file, log).unwrap();
    let options = ["--appendonly", "yes"];
    let mode = SERVER_MODES[0];
    let refused = Server::start(&darter_in(mode, directory.path(), &options)).unwrap_err();
    for expected in
        ["byte 27", "eval answers: ERR scripts are not run again", "lua-replicate-commands"]
    {
        assert!(refused.log.contains(expected), "{expected}: {refused}");
    }
}

#[test]
fn an_error_says_where_it_is_whoever_finds_it() {
    for mode in [SERVER_MODES[0], SERVER_MODES[2]] {
        for keys in [10, 30_000] {
            let directory = tempfile::tempdir().unwrap();
            let (file, at) = file_with_key_twice(keys, 7);
            fs::write(directory.path().join("dump.rdb"), file).unwrap();
            let refused = Server::start(&darter_in(mode, directory.path(), &[])).unwrap_err();
            let expected = format!("key \"key:7\" comes twice (at byte {at})");
            assert!(refused.log.contains(&expected), "{mode}, {keys} keys: {refused}");
        }
    }
}
