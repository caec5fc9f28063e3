//! Keys of every type, in every form that a server keeps them in.

use crate::request::{Command, words};

/// Keys of every type in every form that redis-server 7.0 has, and what makes them.
pub fn contents() -> Vec<(&'static str, Vec<Command>)> {
    let line = |text: &str| words(text);
    let many = |command: &str, key: &str, count: u32, make: &dyn Fn(u32) -> Vec<Vec<u8>>| {
        let mut words = vec![command.as_bytes().to_vec(), key.as_bytes().to_vec()];
        (0..count).for_each(|number| words.extend(make(number)));
        words
    };
    let text = |number: u32| format!("element number {number}").into_bytes();
    let digits = |number: u32| number.to_string().into_bytes();
    vec![
        ("int8", vec![line("SET int8 -5")]),
        ("int16", vec![line("SET int16 3000")]),
        ("int32", vec![line("SET int32 -700000")]),
        ("int64", vec![line("SET int64 9223372036854775807")]),
        ("embstr", vec![line("SET embstr hello")]),
        ("empty", vec![vec![b"SET".to_vec(), b"empty".to_vec(), Vec::new()]]),
        ("packed", vec![vec![b"SET".to_vec(), b"packed".to_vec(), b"abc".repeat(400)]]),
        ("sparse", vec![line("SETBIT sparse 80000 1")]),
        ("hll", vec![line("PFADD hll a b c d e")]),
        ("list", vec![line("RPUSH list a -1 70000 5000000000 hello")]),
        ("biglist", vec![many("RPUSH", "biglist", 3000, &|n| vec![text(n)])]),
        ("longlist", vec![vec![b"RPUSH".to_vec(), b"longlist".to_vec(), vec![b'x'; 20_000]]]),
        ("intset16", vec![line("SADD intset16 1 2 -300")]),
        ("intset32", vec![line("SADD intset32 1 70000")]),
        ("intset64", vec![line("SADD intset64 1 5000000000")]),
        ("set", vec![line("SADD set a b 17")]),
        ("bigset", vec![many("SADD", "bigset", 1000, &|n| vec![text(n)])]),
        ("sorted", vec![line("ZADD sorted 1.5 a -inf b inf c 3 17")]),
        ("bigsorted", vec![many("ZADD", "bigsorted", 1000, &|n| vec![digits(n), text(n)])]),
        ("hash", vec![line("HSET hash a 1 b two c 70000")]),
        ("bighash", vec![many("HSET", "bighash", 1000, &|n| vec![text(n), digits(n)])]),
        (
            "stream",
            vec![
                line("XADD stream 1-1 f v g 12"),
                line("XADD stream 1-2 f w g -700000"),
                line("XADD stream 5-0 other field"),
                line("XDEL stream 1-1"),
                line("XGROUP CREATE stream readers 0"),
                line("XGROUP CREATE stream idle 5-0"),
                line("XREADGROUP GROUP readers me COUNT 1 STREAMS stream >"),
                line("XREADGROUP GROUP readers you STREAMS stream >"),
            ],
        ),
        ("emptystream", vec![line("XGROUP CREATE emptystream g $ MKSTREAM")]),
    ]
}
