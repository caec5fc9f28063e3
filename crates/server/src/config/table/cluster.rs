//! Cluster mode.

use crate::config::parameter::{INT, LONG, Parameter, checked, choice, flag, memory, number, text};
use crate::config::special;

pub(super) static PARAMETERS: &[Parameter] = &[
    flag("cluster-enabled", "no", "Cluster mode.")
        .at_start()
        .refused("cluster mode is not supported by this version"),
    text("cluster-config-file", "nodes.conf", "File of the cluster's state.").at_start(),
    choice(
        "cluster-config-save-behavior",
        &["sync", "best-effort"],
        "sync",
        "What an error in writing that file does.",
    ),
    number("cluster-databases", 1, INT, "1", "Number of databases in cluster mode.").fixed(),
    number("cluster-port", 0, 65_535, "0", "Port of the cluster bus; 0: port + 10000.").at_start(),
    number("cluster-node-timeout", 0, LONG, "15000", "Silence after which a node has failed.")
        .unit("milliseconds"),
    number("cluster-ping-interval", 0, LONG, "0", "How often nodes are pinged.").hidden(),
    number("cluster-message-gossip-perc", 1, 100, "10", "Nodes told of in a message.").hidden(),
    number("cluster-migration-barrier", 0, INT, "1", "Replicas a primary keeps."),
    number("cluster-replica-validity-factor", 0, INT, "10", "How stale a promoted replica may be.")
        .alias(&["cluster-slave-validity-factor"]),
    flag("cluster-replica-no-failover", "no", "Does not promote this replica by itself.")
        .alias(&["cluster-slave-no-failover"]),
    flag("cluster-require-full-coverage", "yes", "Refuses all when a slot has no node."),
    flag("cluster-allow-reads-when-down", "no", "Reads while the cluster is down."),
    flag("cluster-allow-pubsubshard-when-down", "yes", "Shard channels while it is down."),
    flag("cluster-allow-replica-migration", "yes", "Replicas move to primaries without one."),
    number(
        "cluster-manual-failover-timeout",
        1,
        INT,
        "5000",
        "How long CLUSTER FAILOVER may take.",
    )
    .unit("milliseconds"),
    number("cluster-blacklist-ttl", 0, LONG, "60", "How long a forgotten node is refused.")
        .unit("seconds"),
    memory("cluster-link-sendbuf-limit", 0, u64::MAX as i128, "0", "Unsent bytes to a node.")
        .unit("bytes"),
    number("cluster-slot-migration-log-max-len", 0, LONG, "1000", "Slot migrations remembered."),
    memory("slot-migration-max-failover-repl-bytes", -1, LONG, "0", "Unsent when a slot changes.")
        .unit("bytes"),
    flag("cluster-slot-stats-enabled", "no", "Counts per slot."),
    number("cluster-compatibility-sample-ratio", 0, 100, "0", "Commands checked for cluster mode.")
        .unit("percent"),
    choice(
        "cluster-preferred-endpoint-type",
        &["ip", "hostname", "unknown-endpoint"],
        "ip",
        "What clients are told to connect to.",
    ),
    text("cluster-announce-ip", "", "Address told to clients and nodes."),
    text("cluster-announce-client-ipv4", "", "IPv4 address told to clients."),
    text("cluster-announce-client-ipv6", "", "IPv6 address told to clients."),
    checked("cluster-announce-hostname", special::host_name, "", "Host name told to clients."),
    checked("cluster-announce-human-nodename", special::node_name, "", "Name of the node in logs."),
    number("cluster-announce-port", 0, 65_535, "0", "Port told to clients."),
    number("cluster-announce-tls-port", 0, 65_535, "0", "TLS port told to clients."),
    number("cluster-announce-client-port", 0, 65_535, "0", "Port told to clients only."),
    number("cluster-announce-client-tls-port", 0, 65_535, "0", "TLS port told to clients only."),
    number("cluster-announce-bus-port", 0, 65_535, "0", "Bus port told to nodes."),
    text("availability-zone", "", "Where this node is, told to clients.").sets(|to, value| {
        to.availability_zone = String::from_utf8_lossy(value.bytes()).into_owned();
    }),
];
