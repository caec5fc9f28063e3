//! A primary and its replicas: what they hold, what they say of each other, and what is done at the primary.

use crate::diff::contents::{Contents, first_difference, read};
use crate::durable::{eventually, info};
use crate::encodings::contents;
use crate::{Client, Server, Value};

const LIBRARY: &str = "#!lua name=l\nredis.register_function('f', function() return 7 end)";

/// A field of INFO replication.
///
/// # Panics
/// If the server does not answer.
pub fn replication(server: &Server, field: &str) -> String {
    info(&mut server.connect().expect("a connection"), "replication", field)
}

/// A count of INFO stats.
///
/// # Panics
/// If there is none.
pub fn statistic(server: &Server, field: &str) -> u64 {
    let count = info(&mut server.connect().expect("a connection"), "stats", field);
    count.parse().expect("a count")
}

/// Waits until a replica has everything that its primary has sent.
///
/// # Panics
/// If it never does.
pub fn catch_up(primary: &Server, replica: &Server) {
    let has_all = || {
        let offset = replication(primary, "master_repl_offset");
        replication(replica, "master_link_status") == "up"
            && replication(replica, "slave_repl_offset") == offset
    };
    assert!(eventually(has_all), "{}\n{}", primary.log(), replica.log());
}

/// What a server holds, forms aside: they depend on how a value came about.
///
/// # Panics
/// If the server does not answer.
pub fn held(server: &Server) -> Contents {
    let mut contents = read(server.address()).expect("contents");
    for entry in contents.values_mut() {
        entry.encoding = Value::Null;
    }
    contents
}

/// Waits until a replica has everything, and compares what both hold.
///
/// # Panics
/// If it is not the same.
pub fn agree(primary: &Server, replica: &Server, context: &str) {
    catch_up(primary, replica);
    if let Some(difference) = first_difference(&held(primary), &held(replica)) {
        panic!("{context}: {difference}\n{}\n{}", primary.log(), replica.log());
    }
}

/// Makes keys of every form and a function.
///
/// # Panics
/// If a command fails.
pub fn fill(client: &mut Client) {
    for (key, setup) in contents() {
        for command in &setup {
            let reply = client.call(command).expect("a reply");
            assert!(!matches!(reply, Value::Error(_)), "{key}: {reply:?}");
        }
    }
    client.call(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]).expect("a reply");
}

/// What is not simply carried out again, or happens in more than one place, a command a line.
pub const CHANGES: &[&str] = &[
    "SELECT 3",
    "SET a 1 EX 1000",
    "SELECT 0",
    "MSET x 1 y 2 z 3",
    "INCRBYFLOAT x 0.1",
    "SADD s 1 2 3 4 5 6 7 8 9",
    "SPOP s 4",
    "XADD st * f v",
    "XGROUP CREATE st g 0",
    "XREADGROUP GROUP g c STREAMS st >",
    "RPUSH l 1 2 3",
    "EXPIRE l 1000",
    "MULTI",
    "RPUSH {t}1 a",
    "SELECT 2",
    "RPUSH {t}2 b",
    "SELECT 0",
    "INCR counted",
    "EXEC",
    "EVAL redis.call('SET',KEYS[1],redis.call('TIME')[1]);return(redis.call('INCR','undeclared')) 1 timed",
    "RENAME y w",
    "SWAPDB 3 4",
    "COPY w copied",
    "GEOADD geo 13.361389 38.115556 Palermo",
    "PFADD hll a b c",
    "SETBIT bits 70000 1",
    "HSET h a 1 b 2",
    "SORT l STORE sorted",
    "SET gone 1 PX 1",
    "FUNCTION FLUSH",
];
