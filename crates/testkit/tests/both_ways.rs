//! Files of redis-server and valkey-server in Darter, and Darter's in them: keys of every type in every form, compared as
//! the servers show them, key by key.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use darter_testkit::diff::contents::{Contents, first_difference, read};
use darter_testkit::durable::{
    call, darter_in, eventually, has_valkey, in_directory, info, kill, ok,
};
use darter_testkit::encodings::contents;
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// One shard and many, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

const LIBRARY: &str = "#!lua name=l\nredis.register_function('f', function() return 7 end)";

/// In the middle of 2100: alive, however slow the machine is.
const DEADLINE_MS: i64 = 4_118_000_000_123;

/// The peers that this machine has, and whether they know deadlines of fields.
fn peers() -> Vec<(&'static str, bool)> {
    let valkey = has_valkey().then_some(("valkey-server", true));
    [("redis-server", false)].into_iter().chain(valkey).collect()
}

fn peer_in(peer: &str, directory: &Path, more: &[&str]) -> ServerSpec {
    let arguments = ["--enable-debug-command", "yes"].map(str::to_owned).to_vec();
    let spec = ServerSpec { name: peer.to_owned(), program: peer.into(), arguments };
    in_directory(&spec, directory, more)
}

/// Keys of every form, some with deadlines, in two databases, and a function.
fn fill(client: &mut Client, has_field_deadlines: bool) {
    for (key, setup) in contents() {
        for command in &setup {
            let reply = client.call(command).unwrap();
            assert!(!matches!(reply, Value::Error(_)), "{key}: {reply:?}");
        }
    }
    for key in ["int8", "packed", "biglist", "bigset", "sorted", "bighash", "stream"] {
        let line = format!("PEXPIREAT {key} {DEADLINE_MS}");
        assert_eq!(call(client, &line), Value::Integer(1), "{key}");
    }
    if has_field_deadlines {
        call(client, "HSET fields a 1 b 2 c 3");
        call(client, &format!("HPEXPIREAT fields {DEADLINE_MS} FIELDS 2 a c"));
    }
    for line in ["SELECT 3", "MSET one 1 two 2", "RPUSH list x y", "SELECT 0"] {
        call(client, line);
    }
    client.call(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]).unwrap();
}

/// What a server shows of its data, and what its function says.
fn shown(server: &Server) -> Contents {
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "FCALL f 0"), Value::Integer(7), "{}", server.log());
    let mut contents = read(server.address()).unwrap();
    for entry in contents.values_mut() {
        // A string that grew is not embedded before it is loaded anew.
        if entry.encoding.text() == Some(b"raw") {
            entry.encoding = Value::Bulk(b"embstr".to_vec());
        }
    }
    // Digests of hashes tell of deadlines of fields here, but not in Valkey.
    if let Some(fields) = contents.get_mut(&(0, b"fields".to_vec())) {
        fields.digest = call(&mut client, "HPEXPIRETIME fields FIELDS 3 a b c");
    }
    contents
}

fn agree(reference: &Contents, subject: &Contents, context: &str) {
    if let Some(difference) = first_difference(reference, subject) {
        panic!("{context}: {difference}");
    }
}

#[test]
fn files_of_all_data() {
    for (peer, has_field_deadlines) in peers() {
        for (mode, compresses) in MODES.into_iter().zip(["yes", "no"]) {
            let context = format!("{peer}, {mode}");
            let directory = tempfile::tempdir().unwrap();
            let options = ["--save", "", "--rdbcompression", compresses];
            let theirs = peer_in(peer, directory.path(), &options);
            let ours = darter_in(mode, directory.path(), &options);
            let server = Server::start(&theirs).unwrap();
            let mut client = server.connect().unwrap();
            fill(&mut client, has_field_deadlines);
            let filled = shown(&server);
            assert_eq!(call(&mut client, "SAVE"), ok());
            drop(server);

            let server = Server::start(&ours).unwrap();
            let loaded = shown(&server);
            agree(&filled, &loaded, &format!("{context}, its file here"));
            assert_eq!(call(&mut server.connect().unwrap(), "SAVE"), ok());
            drop(server);
            let server = Server::start(&theirs).unwrap();
            agree(&shown(&server), &loaded, &format!("{context}, what we made of it there"));
            drop(server);

            // What was made here.
            let server = Server::start(&ours).unwrap();
            let mut client = server.connect().unwrap();
            assert_eq!(call(&mut client, "FLUSHALL"), ok());
            fill(&mut client, has_field_deadlines);
            let filled = shown(&server);
            assert_eq!(call(&mut client, "SAVE"), ok());
            drop(server);
            let server = Server::start(&theirs).unwrap();
            agree(&shown(&server), &filled, &format!("{context}, our file there"));
        }
    }
}

fn rewrite(server: &Server) {
    let mut client = server.connect().unwrap();
    assert!(matches!(call(&mut client, "BGREWRITEAOF"), Value::Simple(_)));
    assert!(eventually(|| {
        let mut client = server.connect().unwrap();
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled"]
            .iter()
            .all(|field| info(&mut client, "persistence", field) == "0")
    }));
}

#[test]
fn logs() {
    for (peer, has_field_deadlines) in peers() {
        for (mode, preamble) in MODES.into_iter().zip(["yes", "no"]) {
            let context = format!("{peer}, {mode}");
            let directory = tempfile::tempdir().unwrap();
            let options = ["--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
            let theirs = peer_in(peer, directory.path(), &options);
            let ours = darter_in(mode, directory.path(), &options);
            // One after the other goes on with the log, with a base of its own and without.
            let (mut before, mut turn) = (None::<Contents>, 0);
            for spec in [&theirs, &ours, &ours, &theirs, &theirs, &ours] {
                let context = format!("{context}, turn {turn}");
                let mut server = Server::start(spec).unwrap();
                let mut client = server.connect().unwrap();
                if let Some(before) = &before {
                    let loaded = shown(&server);
                    let is_theirs = spec == &theirs;
                    let (reference, subject) =
                        if is_theirs { (&loaded, before) } else { (before, &loaded) };
                    agree(reference, subject, &context);
                }
                if turn % 2 == 0 {
                    assert_eq!(call(&mut client, "FLUSHALL"), ok());
                    fill(&mut client, has_field_deadlines);
                }
                if turn % 3 == 1 {
                    rewrite(&server);
                }
                call(&mut client, &format!("RPUSH turns {turn}"));
                before = Some(shown(&server));
                turn += 1;
                // What was answered has been written.
                kill(&mut server);
            }
        }
    }
}
