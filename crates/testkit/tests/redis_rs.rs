//! redis-rs against Darter, over both protocols, without special settings.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{self, SERVER_MODES};
use darter_testkit::{Server, ServerSpec};
use redis::{Commands as _, Connection, ErrorKind, Value, cmd, pipe};
use std::collections::HashSet;

/// Runs `test` with a connection of each protocol to a server of one worker and of several.
fn with_connections(test: impl Fn(&mut Connection, &str)) {
    if !mode::darter_exists() {
        return;
    }
    let program = mode::darter_binary().unwrap();
    for server_mode in [&SERVER_MODES[0], &SERVER_MODES[2]] {
        let spec: ServerSpec = server_mode.spec(&program);
        let server = Server::start(&spec).unwrap();
        for query in ["", "?protocol=resp3"] {
            let url = format!("redis://{}/{query}", server.address());
            let mut connection =
                redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
            connection.flushall::<()>().unwrap();
            test(&mut connection, &url);
        }
    }
}

#[test]
fn strings_numbers_and_expiry() {
    with_connections(|redis, _| {
        redis.set::<_, _, ()>("a", 41).unwrap();
        assert_eq!(redis.incr::<_, _, i64>("a", 1).unwrap(), 42);
        assert_eq!(redis.mget::<_, Vec<Option<i64>>>(&["a", "none"]).unwrap(), [Some(42), None]);
        redis.set_ex::<_, _, ()>("b", &[0_u8, 255, 13, 10], 100).unwrap();
        assert_eq!(redis.get::<_, Vec<u8>>("b").unwrap(), [0, 255, 13, 10]);
        assert!(redis.ttl::<_, i64>("b").unwrap() > 90);
        assert!(redis.exists::<_, bool>("b").unwrap());
        assert_eq!(redis.del::<_, i64>(&["a", "b", "none"]).unwrap(), 2);
    });
}

#[test]
fn a_large_value_survives() {
    with_connections(|redis, _| {
        let value = vec![7_u8; 32 << 20];
        redis.set::<_, _, ()>("large", &value).unwrap();
        assert!(redis.get::<_, Vec<u8>>("large").unwrap() == value);
    });
}

#[test]
fn a_pipeline_answers_in_order() {
    with_connections(|redis, _| {
        let mut pipeline = pipe();
        for number in 0..500 {
            pipeline.set(format!("k{number}"), number).ignore().incr(format!("k{number}"), 1);
        }
        let replies: Vec<i64> = pipeline.query(redis).unwrap();
        assert_eq!(replies, (1..=500).collect::<Vec<_>>());
    });
}

#[test]
fn a_scan_finds_every_key() {
    with_connections(|redis, _| {
        let names: HashSet<String> = (0..300).map(|number| format!("s{number}")).collect();
        for name in &names {
            redis.set::<_, _, ()>(name, "x").unwrap();
        }
        let found = redis.scan_match::<_, String>("s*").unwrap();
        let found: HashSet<String> = found.map(Result::unwrap).collect();
        assert_eq!(found, names);
    });
}

#[test]
fn errors_have_their_code() {
    with_connections(|redis, _| {
        redis.set::<_, _, ()>("text", "x").unwrap();
        let error = redis.incr::<_, _, i64>("text", 1).unwrap_err();
        assert_eq!(error.code(), Some("ERR"));
        let error = cmd("NOSUCH").query::<()>(redis).unwrap_err();
        assert!(error.to_string().contains("unknown command 'NOSUCH'"), "{error}");
        let error = redis.get::<_, i64>("text").unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Io, "the connection still works");
        assert_eq!(redis.get::<_, String>("text").unwrap(), "x");
    });
}

#[test]
fn a_map_is_a_map_where_the_protocol_has_them() {
    with_connections(|redis, url| {
        let reply: Value = cmd("CONFIG").arg("GET").arg("databases").query(redis).unwrap();
        let is_map = matches!(reply, Value::Map(_));
        assert_eq!(is_map, url.ends_with("resp3"), "{reply:?}");
        let pairs: Vec<(String, String)> = redis::from_redis_value(reply).unwrap();
        assert_eq!(pairs, [("databases".to_owned(), "16".to_owned())]);
    });
}

#[test]
fn a_connection_can_be_made_again_after_it_was_killed() {
    with_connections(|redis, url| {
        let id: i64 = cmd("CLIENT").arg("ID").query(redis).unwrap();
        let client = redis::Client::open(url).unwrap();
        let mut admin = client.get_connection().unwrap();
        let killed: i64 = cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(&mut admin).unwrap();
        assert_eq!(killed, 1);
        let error = redis.get::<_, Option<String>>("a").unwrap_err();
        assert!(error.is_connection_dropped() || error.is_io_error(), "{error}");
        *redis = client.get_connection().unwrap();
        assert_eq!(redis.get::<_, Option<String>>("a").unwrap(), None);
    });
}
