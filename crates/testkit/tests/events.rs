//! Keyspace events: the same commands to Darter and to redis-server 7.0 must be told of in the same way.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;

use darter_testkit::mode::{self, SERVER_MODES, darter_binary};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// What is not of Redis 7.0: commands, or what they are told as, which follow Valkey 9.
const NEWER: &[(&str, &str)] = &[
    ("EXPIRE s -1", "expired s"),
    ("SET t v PX 100000 NX", "new t, set t, expire t"),
    ("SET t v EXAT 1", "expired t"),
    ("HSET h f v g v", "new h, hset h"),
    ("HEXPIRE h 100 FIELDS 1 f", "hexpire h"),
    ("HPERSIST h FIELDS 1 f", "hpersist h"),
    ("HPERSIST h FIELDS 1 f", ""),
    ("HSETEX h EX 100 FIELDS 1 f v", "hset h, hexpire h"),
    ("HSETEX h FIELDS 1 f v", "hset h"),
    ("HGETEX h EX 100 FIELDS 1 f", "hexpire h"),
    ("HGETEX h PERSIST FIELDS 1 f", "hpersist h"),
    ("HGETDEL h FIELDS 1 g", "hdel h"),
    ("HEXPIRE h 0 FIELDS 1 f", "hexpired h, del h"),
];

/// Commands of all families, in an order that makes keys come, change and go.
const COMMANDS: &str = "
    SET s v
    SET s v EX 100
    SET s v KEEPTTL
    SET s v NX
    SET s w XX GET
    SETEX s 100 v
    PSETEX s 100000 v
    SETNX s v
    SETNX n v
    GETSET s w
    APPEND s x
    SETRANGE s 1 y
    SETRANGE s 1 ''
    GETDEL s
    GETDEL s
    MSET a 1 b 2
    MSETNX c 1 d 2
    MSETNX c 1 d 2
    INCR a
    DECRBY a 3
    INCRBYFLOAT a 1.5
    GETEX b EX 100
    GETEX b PERSIST
    GETEX b PERSIST
    GETEX b
    EXPIRE b 100
    PEXPIRE b 100000 NX
    PERSIST b
    PERSIST b
    PERSIST nothing
    SETBIT bits 7 1
    SETBIT bits 7 1
    BITFIELD bits SET u8 0 255
    BITFIELD bits GET u8 0
    BITOP AND dest bits bits
    BITOP OR dest nothing
    BITOP OR dest nothing
    PFADD hll a b
    PFADD hll a b
    PFMERGE hll2 hll
    RENAME a e
    RENAMENX e b
    RENAMENX e f
    COPY f g
    COPY f g REPLACE
    COPY f g
    MOVE f 1
    DEL g h i
    UNLINK b
    UNLINK b
    LPUSH l a b c
    RPUSH l d
    LPUSHX l e
    LPUSHX nolist e
    LINSERT l BEFORE a x
    LINSERT l BEFORE nothing x
    LSET l 0 y
    LREM l 0 y
    LREM l 0 nothing
    LPOP l
    RPOP l 2
    LPOP nolist
    LMOVE l m LEFT RIGHT
    RPOPLPUSH m m
    LTRIM l 0 0
    LTRIM l 0 0
    RPOPLPUSH m k
    LMPOP 2 nolist l LEFT COUNT 5
    LTRIM k 5 6
    RPUSH k 1
    LREM k 0 1
    SORT nothing STORE sorted
    RPUSH so 3 1 2
    SORT so STORE sorted
    SORT nothing STORE sorted
    SADD set a b c
    SADD set a
    SREM set a
    SREM set a
    SMOVE set set2 b
    SMOVE set set2 nothing
    SMOVE set set2 c
    SADD set x y z
    SPOP set
    SPOP set 10
    SADD s1 a b
    SADD s2 b c
    SINTERSTORE si s1 s2
    SUNIONSTORE su s1 s2
    SDIFFSTORE sd s1 s2
    SINTERSTORE si s1 nothing
    SINTERSTORE si s1 nothing
    ZADD z 1 a 2 b 3 c
    ZADD z 1 a
    ZADD z CH 5 a
    ZINCRBY z 1 a
    ZADD z INCR 1 a
    ZREM z nothing
    ZREM z a
    ZPOPMIN z
    ZPOPMAX z
    ZADD z 1 a 2 b 3 c 4 d
    ZREMRANGEBYRANK z 0 0
    ZREMRANGEBYSCORE z 2 2
    ZREMRANGEBYLEX z - +
    ZADD z 1 a 2 b
    ZRANGESTORE zr z 0 -1
    ZRANGESTORE zr z 5 6
    ZUNIONSTORE zu 1 z
    ZINTERSTORE zi 1 z
    ZDIFFSTORE zd 2 z z
    ZDIFFSTORE zu 2 z z
    ZMPOP 1 z MIN COUNT 10
    GEOADD geo 13.361389 38.115556 p
    GEOSEARCHSTORE geo2 geo FROMMEMBER p BYRADIUS 10 km
    GEORADIUS geo 13 38 500 km STORE geo3
    GEOSEARCHSTORE geo2 nothing FROMLONLAT 1 1 BYRADIUS 10 km
    HSET hash f 1 g 2
    HSET hash f 1
    HSETNX hash f 1
    HSETNX hash i 1
    HMSET hash f 2
    HINCRBY hash f 1
    HINCRBYFLOAT hash f 1.5
    HDEL hash nothing
    HDEL hash f
    HDEL hash g i
    XADD x 1-1 f v
    XADD x MAXLEN 1 2-1 f v
    XADD x MAXLEN 10 3-1 f v
    XDEL x 2-1
    XDEL x 9-9
    XGROUP CREATE x grp 0
    XGROUP CREATECONSUMER x grp one
    XGROUP CREATECONSUMER x grp one
    XREADGROUP GROUP grp two STREAMS x >
    XREADGROUP GROUP grp two STREAMS x >
    XCLAIM x grp three 0 3-1
    XAUTOCLAIM x grp four 0 0
    XGROUP SETID x grp 0
    XGROUP DELCONSUMER x grp two
    XGROUP DELCONSUMER x grp nobody
    XGROUP DESTROY x grp
    XGROUP DESTROY x grp
    XSETID x 9-9
    XTRIM x MAXLEN 0
    XTRIM x MAXLEN 0
    XGROUP CREATE made grp $ MKSTREAM
    EXISTS gone
    GET gone
    TTL gone
    TYPE gone
    HGET gone f
    LLEN gone
    SET gone v
    FLUSHDB
    MULTI
    SET in v
    LPUSH inlist a
    LPOP inlist
    EXEC
    DUMP in
";

struct Subject {
    _server: Server,
    client: Client,
    listener: Client,
}

impl Subject {
    fn start(spec: &ServerSpec, letters: &str) -> Self {
        let server = Server::start(spec).unwrap_or_else(|error| panic!("{error}"));
        let mut client = server.connect().unwrap();
        client.call(&["CONFIG", "SET", "notify-keyspace-events", letters]).unwrap();
        let mut listener = server.connect().unwrap();
        listener.call(&["PSUBSCRIBE", "__key*__:*", "mark"]).unwrap();
        listener.read_reply().unwrap();
        Self { _server: server, client, listener }
    }

    /// What is told of a command, in order: `event key`, once of each kind.
    fn told(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> =
            command.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        let reply = self.client.call(&words).unwrap();
        if command == "MULTI" || reply == Value::Simple(b"QUEUED".to_vec()) {
            return Vec::new();
        }
        self.client.call(&["PUBLISH", "mark", "x"]).unwrap();
        let (mut by_key, mut by_event) = (Vec::new(), Vec::new());
        loop {
            let message = self.listener.read_reply().unwrap().value;
            let parts: Vec<String> = message.elements().unwrap()[2..]
                .iter()
                .map(|part| String::from_utf8_lossy(part.text().unwrap()).into_owned())
                .collect();
            let [channel, payload] = &*parts else { panic!("{parts:?}") };
            if channel == "mark" {
                break;
            } else if let Some(rest) = channel.strip_prefix("__keyspace@") {
                by_key.push(format!("{payload} {}", rest.split_once(':').unwrap().1));
            } else {
                by_event.push(format!("{} {payload}", channel.split_once(':').unwrap().1));
            }
        }
        assert_eq!(by_key, by_event, "{command}");
        by_key
    }
}

fn darters() -> impl Iterator<Item = ServerSpec> {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    [SERVER_MODES[0], SERVER_MODES[6]].into_iter().map(move |mode| mode.spec(&program))
}

#[test]
fn every_command_is_told_of_as_in_redis() {
    let redis = mode::oracle_spec();
    for spec in darters() {
        let mut ours = Subject::start(&spec, "KEAnm");
        let mut theirs = Subject::start(&redis, "KEAnm");
        let mut differ = BTreeMap::new();
        let commands = COMMANDS.lines().map(str::trim).filter(|line| !line.is_empty());
        for (line, command) in commands.enumerate() {
            let (our, their) = (ours.told(command), theirs.told(command));
            if our != their {
                differ.insert(line, format!("{command}: ours {our:?}, theirs {their:?}"));
            }
        }
        assert!(differ.is_empty(), "{differ:#?}");
    }
}

#[test]
fn what_redis_does_not_have_is_told_of_as_in_valkey() {
    for spec in darters() {
        let mut ours = Subject::start(&spec, "KEAn");
        ours.client.call(&["SET", "s", "v"]).unwrap();
        ours.told("PING");
        for (command, expected) in NEWER {
            assert_eq!(ours.told(command).join(", "), *expected, "{command}");
        }
    }
}

#[test]
fn classes_and_channels_are_chosen_by_letters() {
    for spec in darters() {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut client = server.connect().unwrap();
        let mut listener = server.connect().unwrap();
        listener.call(&["PSUBSCRIBE", "*"]).unwrap();
        let mut told = |letters: &str, command: &[&str]| {
            client.call(&["CONFIG", "SET", "notify-keyspace-events", letters]).unwrap();
            client.call(command).unwrap();
            client.call(&["PUBLISH", "mark", "x"]).unwrap();
            let mut channels = Vec::new();
            loop {
                let message = listener.read_reply().unwrap().value;
                let channel = message.elements().unwrap()[2].text().unwrap().to_vec();
                if channel == b"mark" {
                    return channels.join(" ");
                }
                channels.push(String::from_utf8(channel).unwrap());
            }
        };
        assert_eq!(told("", &["SET", "k", "v"]), "");
        assert_eq!(told("A", &["SET", "k", "v"]), "");
        assert_eq!(told("KA", &["SET", "k", "v"]), "__keyspace@0__:k");
        assert_eq!(told("EA", &["SET", "k", "v"]), "__keyevent@0__:set");
        assert_eq!(told("E$", &["SET", "k", "v", "EX", "9"]), "__keyevent@0__:set");
        assert_eq!(told("Eg", &["SET", "k", "v", "EX", "9"]), "__keyevent@0__:expire");
        assert_eq!(told("El", &["LPUSH", "l", "v"]), "__keyevent@0__:lpush");
        assert_eq!(told("El", &["LPOP", "l"]), "__keyevent@0__:lpop");
        assert_eq!(told("Em", &["GET", "l"]), "__keyevent@0__:keymiss");
        assert_eq!(told("En", &["SET", "l", "v"]), "__keyevent@0__:new");
    }
}

#[test]
fn keys_expire_by_themselves_and_when_they_are_looked_for() {
    for spec in darters() {
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let mut client = server.connect().unwrap();
        client.call(&["CONFIG", "SET", "notify-keyspace-events", "Ex"]).unwrap();
        let mut listener = server.connect().unwrap();
        listener.call(&["SUBSCRIBE", "__keyevent@0__:expired"]).unwrap();
        for key in 0..20 {
            client.call(&["SET", &format!("key:{key}"), "v", "PX", "20"]).unwrap();
        }
        for _ in 0..20 {
            let message = listener.read_reply().unwrap().value;
            assert!(message.elements().unwrap()[2].text().unwrap().starts_with(b"key:"));
        }
    }
}
