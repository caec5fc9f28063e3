//! From which size on a value has another encoding.

use crate::config::parameter::{INT, LONG, Parameter, memory, number};
use crate::config::value::Value;
use darter_shard::NodeLimit;

/// A limit as the structures know it: what is beyond 32 bits limits nothing.
fn limit(value: &Value) -> u32 {
    u32::try_from(value.number::<u64>()).unwrap_or(u32::MAX)
}

pub(super) static PARAMETERS: &[Parameter] = &[
    number("hash-max-listpack-entries", 0, LONG, "512", "Fields of a compact hash.")
        .alias(&["hash-max-ziplist-entries"])
        .sets(|to, value| to.encodings.hash.entries_max = limit(value)),
    memory("hash-max-listpack-value", 0, LONG, "64", "Longest field or value of a compact hash.")
        .unit("bytes")
        .alias(&["hash-max-ziplist-value"])
        .sets(|to, value| to.encodings.hash.value_bytes_max = limit(value)),
    number("list-max-listpack-size", i32::MIN as i128, INT, "-2", "Size of a list's nodes.")
        .alias(&["list-max-ziplist-size"])
        .sets(|to, value| to.encodings.list = NodeLimit::of_parameter(value.number())),
    number("list-compress-depth", 0, INT, "0", "Nodes at a list's ends that are not compressed."),
    number("set-max-intset-entries", 0, LONG, "512", "Members of a set of integers.")
        .sets(|to, value| to.encodings.intset_entries_max = limit(value)),
    number("set-max-listpack-entries", 0, LONG, "128", "Members of a compact set.")
        .sets(|to, value| to.encodings.set.entries_max = limit(value)),
    number("set-max-listpack-value", 0, LONG, "64", "Longest member of a compact set.")
        .unit("bytes")
        .sets(|to, value| to.encodings.set.value_bytes_max = limit(value)),
    number("zset-max-listpack-entries", 0, LONG, "128", "Members of a compact sorted set.")
        .alias(&["zset-max-ziplist-entries"])
        .sets(|to, value| to.encodings.sorted_set.entries_max = limit(value)),
    memory("zset-max-listpack-value", 0, LONG, "64", "Longest member of a compact sorted set.")
        .unit("bytes")
        .alias(&["zset-max-ziplist-value"])
        .sets(|to, value| to.encodings.sorted_set.value_bytes_max = limit(value)),
    memory("hll-sparse-max-bytes", 0, LONG, "3000", "Size of a sparse HyperLogLog.")
        .unit("bytes")
        .sets(|to, value| to.encodings.hll_sparse_bytes_max = limit(value)),
    memory("stream-node-max-bytes", 0, LONG, "4096", "Size of a stream's nodes.")
        .unit("bytes")
        .sets(|to, value| to.encodings.stream_node_bytes_max = limit(value)),
    number("stream-node-max-entries", 0, LONG, "100", "Entries of a stream's nodes.")
        .sets(|to, value| to.encodings.stream_node_entries_max = limit(value)),
    number("stream-idmp-duration", 1, 86_400, "100", "How long idempotent ids of XADD are known.")
        .unit("seconds")
        .sets(|to, value| to.encodings.idempotence.duration_s = limit(value)),
    number("stream-idmp-maxsize", 1, 10_000, "100", "Idempotent ids of one producer of a stream.")
        .sets(|to, value| to.encodings.idempotence.ids_max = limit(value)),
];
