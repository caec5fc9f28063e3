//! Primary and replica.

use crate::config::parameter::{
    INT, LONG, Parameter, Rewrite, choice, flag, memory, number, text, words,
};
use crate::config::special;
use crate::following::{LoadsAsItComes, Primary};

pub(super) static PARAMETERS: &[Parameter] = &[
    words("replicaof", special::replica_of, "", "Host and port of the primary.")
        .alias(&["slaveof"])
        .at_start()
        .rewrite(Rewrite::UnlessDefault)
        .sets(|to, value| to.following.primary = Primary::of_line(value.bytes())),
    text("primaryauth", "", "Password for the primary.")
        .secret()
        .alias(&["masterauth"])
        .sets(|to, value| to.following.password = value.bytes().to_vec()),
    text("primaryuser", "", "User for the primary.")
        .secret()
        .alias(&["masteruser"])
        .sets(|to, value| to.following.user = value.bytes().to_vec()),
    flag("replica-serve-stale-data", "yes", "Serves reads while the primary is away.")
        .alias(&["slave-serve-stale-data"])
        .sets(|to, value| to.following.serves_stale_data = value.is_yes()),
    flag("replica-read-only", "yes", "Refuses writes on a replica.")
        .alias(&["slave-read-only"])
        .sets(|to, value| to.following.is_read_only = value.is_yes()),
    flag("replica-ignore-maxmemory", "yes", "A replica evicts nothing by itself.")
        .alias(&["slave-ignore-maxmemory"])
        .sets(|to, value| to.following.ignores_maxmemory = value.is_yes()),
    flag("replica-ignore-disk-write-errors", "no", "A replica goes on when its disk fails."),
    flag("replica-lazy-flush", "yes", "Frees the old data in the background at a full sync.")
        .alias(&["slave-lazy-flush"])
        .sets(|to, value| to.following.flushes_lazily = value.is_yes()),
    flag("replica-announced", "yes", "Whether sentinels tell clients of this replica.")
        .sets(|to, value| to.following.is_announced = value.is_yes()),
    number("replica-priority", 0, INT, "100", "Lower ones are promoted first; 0: never.")
        .alias(&["slave-priority"])
        .sets(|to, value| to.following.priority = value.number()),
    text("replica-announce-ip", "", "Address told to the primary.")
        .alias(&["slave-announce-ip"])
        .sets(|to, value| to.following.announced_ip = value.bytes().to_vec()),
    number("replica-announce-port", 0, 65_535, "0", "Port told to the primary.")
        .alias(&["slave-announce-port"])
        .sets(|to, value| to.following.announced_port = value.number()),
    number("repl-timeout", 1, INT, "60", "Silence after which a link is down.")
        .unit("seconds")
        .sets(|to, value| to.replication.timeout_seconds = value.number()),
    number("repl-ping-replica-period", 1, INT, "10", "How often replicas are pinged.")
        .unit("seconds")
        .alias(&["repl-ping-slave-period"])
        .sets(|to, value| to.replication.ping_seconds = value.number()),
    memory("repl-backlog-size", 1, LONG, "10mb", "Changes kept for a partial sync.")
        .unit("bytes")
        .sets(|to, value| to.replication.backlog_bytes = value.number()),
    number("repl-backlog-ttl", 0, LONG, "3600", "How long they are kept without replicas.")
        .unit("seconds")
        .sets(|to, value| to.replication.backlog_seconds = value.number()),
    flag("repl-disable-tcp-nodelay", "no", "Sends to replicas in larger packets."),
    flag("repl-diskless-sync", "yes", "Sends a full sync without a file.")
        .sets(|to, value| to.replication.is_diskless = value.is_yes()),
    number("repl-diskless-sync-delay", 0, INT, "0", "Waits for more replicas.")
        .unit("seconds")
        .sets(|to, value| to.replication.delay_seconds = value.number()),
    number("repl-diskless-sync-max-replicas", 0, INT, "0", "Replicas that end the wait; 0: none.")
        .sets(|to, value| to.replication.delayed_replicas_max = value.number()),
    choice(
        "repl-diskless-load",
        &["disabled", "on-empty-db", "swapdb"],
        "disabled",
        "Loads a full sync without a file.",
    )
    .sets(|to, value| {
        // What there is stays until the file is there, which is what `swapdb` is for.
        let is_if_empty = value.choice() == 1;
        to.following.loads_as_it_comes =
            if is_if_empty { LoadsAsItComes::IfEmpty } else { LoadsAsItComes::Never };
    }),
    flag("repl-mptcp", "no", "Connects to the primary with Multipath TCP.").fixed(),
    flag("repl-rdb-channel", "no", "Full sync over a connection of its own, in Redis.").hidden(),
    flag("dual-channel-replication-enabled", "no", "Full sync over a connection of its own."),
    memory("replica-full-sync-buffer-limit", 0, LONG, "0", "Changes kept during a full sync.")
        .unit("bytes"),
    number("min-replicas-to-write", 0, INT, "0", "Replicas without which writes are refused.")
        .alias(&["min-slaves-to-write"])
        .sets(|to, value| to.replication.replicas_min = value.number()),
    number("min-replicas-max-lag", 0, INT, "10", "Lag up to which a replica counts.")
        .unit("seconds")
        .alias(&["min-slaves-max-lag"])
        .sets(|to, value| to.replication.lag_seconds_max = value.number()),
    choice(
        "propagation-error-behavior",
        &["ignore", "panic", "panic-on-replicas"],
        "ignore",
        "What an error in the replication stream does.",
    ),
];
