//! The log of changes: what is there again after the server was ended in any way, here and in redis-server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use darter_testkit::durable::{
    call, darter_in, eventually, in_directory, info, kill, ok, terminate,
};
use darter_testkit::mode::{SERVER_MODES, oracle_spec};
use darter_testkit::{Client, Server, Value};

/// Changes of every kind, in an order that matters.
const LINES: &[&str] = &[
    "SET text hello",
    "APPEND text ,world",
    "SET number 12345",
    "INCRBY number 5",
    "INCRBYFLOAT float 1.5",
    "SET mortal v PX 100000000",
    "SETEX mortal2 100000 v",
    "EXPIRE text 100000",
    "GETEX mortal PERSIST",
    "SET gone v PX 100000000",
    "EXPIRE gone -1",
    "RPUSH list a b c 1 2 3",
    "LPOP list",
    "LMOVE list other LEFT RIGHT",
    "BLMOVE list other LEFT RIGHT 1",
    "RPUSH queue 1 2 3 4 5 6",
    "PEXPIRE queue 100000000",
    "LMOVEM queue moved LEFT LEFT COUNT 2 BULK",
    "BLMOVEM queue moved RIGHT LEFT 1 EXACTLY 1 OBO",
    "LMOVEM queue queue RIGHT RIGHT COUNT 2 OBO",
    "LMOVEM queue queue LEFT LEFT COUNT 9 OBO",
    "BLMPOP 1 1 list LEFT",
    "SADD integers 1 2 3",
    "SADD set a b c d e f",
    "SPOP set",
    "SPOP set 2",
    "SUNIONSTORE union set integers",
    "ZADD zset 1.5 a 2 b inf c 7 d",
    "ZINCRBY zset 3 a",
    "ZPOPMIN zset",
    "ZUNIONSTORE zunion 2 zset set",
    "HSET hash f v g w",
    "HINCRBYFLOAT hash n 1.25",
    "XADD stream * f v",
    "XADD stream * f w",
    "XGROUP DESTROY stream group",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group alice COUNT 1 STREAMS stream >",
    "XADD stream MAXLEN ~ 100 * f x",
    "PFADD hll a b c",
    "SETRANGE large 20000 x",
    "BITFIELD bits SET u8 0 255",
    "RENAME text renamed",
    "COPY renamed copied",
    "MSET m1 1 m2 2 m3 3 m4 4 m5 5",
    "DEL m1 m3",
    "MOVE m2 1",
    "EVAL redis.call('set','s1','1');redis.call('set','s2','2');return(redis.call('incr','s1')) 0",
    "SELECT 5",
    "SET elsewhere 1",
    "SWAPDB 5 6",
    "SORT nokey STORE sorted",
    "SET back 1",
    "FLUSHDB",
    "SET kept 1",
    "SELECT 0",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "GEOSEARCHSTORE near geo FROMMEMBER Palermo BYRADIUS 500 km",
];

const ON: &[&str] = &["--appendonly", "yes", "--save", ""];

fn fill(client: &mut Client) {
    for line in LINES {
        let reply = call(client, line);
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
    }
    let transaction = ["MULTI", "SET t1 1", "RPUSH t2 a b", "INCR t1", "EXEC"];
    for line in transaction {
        call(client, line);
    }
    let library = "#!lua name=l\nredis.register_function('f', function() return 7 end)";
    client.call(&["FUNCTION", "LOAD", "REPLACE", library]).unwrap();
    let dump = client.call(&["FUNCTION", "DUMP"]).unwrap();
    let Value::Bulk(dump) = dump else { panic!("a dump") };
    client.call(&[b"FUNCTION".as_slice(), b"DELETE", b"l"]).unwrap();
    client.call(&[b"FUNCTION".as_slice(), b"RESTORE", &dump]).unwrap();
}

/// The data, and whether the library is there.
fn state(client: &mut Client) -> (Value, Value) {
    (call(client, "DEBUG DIGEST"), call(client, "FCALL f 0"))
}

fn is_rewritten(client: &mut Client) -> bool {
    info(client, "persistence", "aof_rewrite_in_progress") == "0"
        && info(client, "persistence", "aof_rewrite_scheduled") == "0"
}

fn rewrite(server: &Server, client: &mut Client) {
    let answer = call(client, "BGREWRITEAOF");
    assert!(matches!(answer, Value::Simple(_)), "{answer:?}");
    assert!(eventually(|| is_rewritten(&mut server.connect().unwrap())));
    assert_eq!(info(client, "persistence", "aof_last_bgrewrite_status"), "ok");
}

#[test]
fn what_is_logged_is_there_again_here_and_in_redis() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        // What a base consists of makes no difference.
        let (preamble, base) =
            if mode.shards == 4 { ("no", "2.base.aof") } else { ("yes", "2.base.rdb") };
        let options = [ON, &["--aof-use-rdb-preamble", preamble]].concat();
        let mut server = Server::start(&darter_in(*mode, directory, &options)).unwrap();
        let mut client = server.connect().unwrap();
        fill(&mut client);
        let filled = state(&mut client);
        kill(&mut server);

        let mut server = Server::start(&darter_in(*mode, directory, &options)).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(state(&mut client), filled, "{mode}");
        assert_eq!(call(&mut client, "DEBUG LOADAOF"), ok());
        assert_eq!(state(&mut client), filled, "{mode}");
        rewrite(&server, &mut client);
        let base = directory.join(format!("appendonlydir/appendonly.aof.{base}"));
        assert!(base.exists(), "{mode}");
        fill(&mut client);
        let filled = state(&mut client);
        kill(&mut server);

        redis_agrees(directory, &filled);
        let mut server = Server::start(&darter_in(*mode, directory, &options)).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(call(&mut client, "GET redis"), Value::Bulk(b"was here".to_vec()), "{mode}");
        call(&mut client, "DEL redis");
        assert_eq!(state(&mut client), filled, "{mode}");
        terminate(&mut server);

        // With another number of shards.
        let other = SERVER_MODES.iter().find(|other| other.shards != mode.shards).unwrap();
        let server = Server::start(&darter_in(*other, directory, &options)).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(state(&mut client), filled, "{mode}");
    }
}

/// Loads the log in redis-server, which goes on with it.
fn redis_agrees(directory: &Path, filled: &(Value, Value)) {
    let mut redis = Server::start(&in_directory(&oracle_spec(), directory, ON)).unwrap();
    let mut client = redis.connect().unwrap();
    assert_eq!(state(&mut client), *filled, "redis-server");
    client.call(&["SET", "redis", "was here"]).unwrap();
    rewrite(&redis, &mut client);
    terminate(&mut redis);
}

#[test]
fn it_is_switched_on_and_off_while_the_server_runs() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let off = &["--save", ""];
        let mut server = Server::start(&darter_in(*mode, directory, off)).unwrap();
        let mut client = server.connect().unwrap();
        fill(&mut client);
        for policy in ["always", "everysec", "no"] {
            assert_eq!(call(&mut client, &format!("CONFIG SET appendfsync {policy}")), ok());
            assert_eq!(call(&mut client, "CONFIG SET appendonly yes"), ok());
            assert!(eventually(|| is_rewritten(&mut server.connect().unwrap())), "{mode}");
            call(&mut client, &format!("SET logged {policy}"));
            assert_eq!(call(&mut client, "CONFIG SET appendonly no"), ok());
            call(&mut client, &format!("SET unlogged {policy}"));
        }
        call(&mut client, "DEL unlogged");
        assert_eq!(call(&mut client, "CONFIG SET appendonly yes"), ok());
        assert!(eventually(|| is_rewritten(&mut server.connect().unwrap())), "{mode}");
        let filled = state(&mut client);
        kill(&mut server);
        let server = Server::start(&darter_in(*mode, directory, ON)).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(state(&mut client), filled, "{mode}");
    }
}

#[test]
fn waiting_for_the_log_ends_when_it_is_on_the_disk() {
    for mode in SERVER_MODES {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(&darter_in(*mode, directory.path(), ON)).unwrap();
        let mut client = server.connect().unwrap();
        let told = |here| Value::Array(vec![Value::Integer(here), Value::Integer(0)]);
        assert_eq!(call(&mut client, "WAITAOF 1 0 0"), told(1), "{mode}: nothing was written");
        for policy in ["everysec", "always"] {
            assert_eq!(call(&mut client, &format!("CONFIG SET appendfsync {policy}")), ok());
            call(&mut client, "INCR count");
            assert_eq!(call(&mut client, "WAITAOF 1 0 0"), told(1), "{mode}, {policy}");
        }
        // Nobody else's writes are waited for.
        assert_eq!(call(&mut client, "CONFIG SET appendfsync no"), ok());
        call(&mut client, "INCR count");
        assert_eq!(call(&mut client, "WAITAOF 1 0 10"), told(0), "{mode}");
        let mut other = server.connect().unwrap();
        assert_eq!(call(&mut other, "WAITAOF 1 0 0"), told(1), "{mode}");
        // Those who wait when it ends are told.
        client.send(&["WAITAOF", "1", "0", "0"]).unwrap();
        assert!(eventually(|| {
            info(&mut server.connect().unwrap(), "clients", "blocked_clients") == "1"
        }));
        assert_eq!(call(&mut other, "CONFIG SET appendonly no"), ok());
        let answer = client.read_reply().unwrap();
        assert!(matches!(answer.value, Value::Error(_)), "{mode}: {answer:?}");
    }
}

/// Files of the log with such an ending.
fn files_with(directory: &Path, ending: &str) -> usize {
    let names = std::fs::read_dir(directory.join("appendonlydir")).unwrap();
    names
        .filter(|name| name.as_ref().unwrap().file_name().to_str().unwrap().ends_with(ending))
        .count()
}

/// Files that the manifest names as those that no longer count.
fn history_of(directory: &Path) -> usize {
    let manifest = directory.join("appendonlydir/appendonly.aof.manifest");
    std::fs::read_to_string(manifest).unwrap().matches(" type h").count()
}

#[test]
fn files_that_no_longer_count_are_kept_if_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let keeping = [ON, &["--aof-disable-auto-gc", "yes"]].concat();
    let count = |ending| files_with(directory, ending);
    let mut server = Server::start(&darter_in(SERVER_MODES[0], directory, &keeping)).unwrap();
    let mut client = server.connect().unwrap();
    for round in 1..=2 {
        fill(&mut client);
        rewrite(&server, &mut client);
        assert_eq!((count(".base.rdb"), count(".incr.aof")), (round + 1, round + 1));
        assert_eq!(history_of(directory), 2 * round);
    }
    // They change nothing at the start, which keeps them as well.
    let filled = state(&mut client);
    kill(&mut server);
    let server = Server::start(&darter_in(SERVER_MODES[0], directory, &keeping)).unwrap();
    let mut client = server.connect().unwrap();
    assert_eq!(state(&mut client), filled);
    assert_eq!((count(".base.rdb"), count(".incr.aof"), history_of(directory)), (3, 3, 4));
    // They go as soon as they are not to be kept.
    assert_eq!(call(&mut client, "CONFIG SET aof-disable-auto-gc no"), ok());
    let is_alone = || (count(".base.rdb"), count(".incr.aof"), history_of(directory)) == (1, 1, 0);
    assert!(eventually(is_alone));
    assert_eq!(call(&mut client, "SET more v"), ok());
    rewrite(&server, &mut client);
    assert!(eventually(is_alone));
}
