//! From which size on a value has another encoding.

use crate::config::parameter::{INT, LONG, Parameter, memory, number};

pub(super) static PARAMETERS: &[Parameter] = &[
    number("hash-max-listpack-entries", 0, LONG, "512", "Fields of a compact hash.")
        .alias(&["hash-max-ziplist-entries"]),
    memory("hash-max-listpack-value", 0, LONG, "64", "Longest field or value of a compact hash.")
        .unit("bytes")
        .alias(&["hash-max-ziplist-value"]),
    number("list-max-listpack-size", i32::MIN as i128, INT, "-2", "Size of a list's nodes.")
        .alias(&["list-max-ziplist-size"]),
    number("list-compress-depth", 0, INT, "0", "Nodes at a list's ends that are not compressed."),
    number("set-max-intset-entries", 0, LONG, "512", "Members of a set of integers."),
    number("set-max-listpack-entries", 0, LONG, "128", "Members of a compact set."),
    number("set-max-listpack-value", 0, LONG, "64", "Longest member of a compact set.")
        .unit("bytes"),
    number("zset-max-listpack-entries", 0, LONG, "128", "Members of a compact sorted set.")
        .alias(&["zset-max-ziplist-entries"]),
    memory("zset-max-listpack-value", 0, LONG, "64", "Longest member of a compact sorted set.")
        .unit("bytes")
        .alias(&["zset-max-ziplist-value"]),
    memory("hll-sparse-max-bytes", 0, LONG, "3000", "Size of a sparse HyperLogLog.").unit("bytes"),
    memory("stream-node-max-bytes", 0, LONG, "4096", "Size of a stream's nodes.").unit("bytes"),
    number("stream-node-max-entries", 0, LONG, "100", "Entries of a stream's nodes."),
];
