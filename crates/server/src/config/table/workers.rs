//! Threads, shards, and what hosts them. Most of these are Darter's own.

use crate::config::parameter::{INT, Parameter, choice, flag, number, of_kind, text};
use crate::config::value::Kind;
use darter_runtime::{Pinning, Reactor};
use darter_txn::Routing;
use std::num::NonZeroU16;

pub(super) static PARAMETERS: &[Parameter] = &[
    number("workers", 0, 1024, "0", "Worker threads; 0: one per available processor.")
        .fixed()
        .sets(|to, value| to.workers = NonZeroU16::new(value.number())),
    number(
        "shards",
        0,
        16_384,
        "0",
        "Parts of the keyspace; 0: 1 for one worker, else 4 for each.",
    )
    .fixed()
    .sets(|to, value| to.shards = NonZeroU16::new(value.number())),
    choice("reactor", &["auto", "glommio", "epoll"], "auto", "What hosts the workers.")
        .fixed()
        .sets(|to, value| {
            to.reactor = [Reactor::Auto, Reactor::Glommio, Reactor::Epoll][value.choice()];
        }),
    choice("routing", &["auto", "queue"], "auto", "Run on a free shard in place, or always queue.")
        .fixed()
        .sets(|to, value| to.routing = [Routing::Auto, Routing::Queue][value.choice()]),
    choice("pin", &["auto", "yes", "no"], "auto", "Bind each worker to a processor.")
        .fixed()
        .sets(|to, value| to.pinning = [Pinning::Auto, Pinning::On, Pinning::Off][value.choice()]),
    number("databases", 1, 65_535, "16", "Number of databases that SELECT chooses from.")
        .at_start()
        .sets(|to, value| to.databases = value.number()),
    number("io-threads", 1, 256, "1", "Redis's network threads; see workers."),
    flag("io-threads-do-reads", "no", "Whether Redis's network threads read."),
    flag("io-threads-always-active", "no", "Keeps network threads from sleeping.").hidden(),
    number("prefetch-batch-max-size", 0, 128, "16", "Commands whose keys are fetched ahead."),
    of_kind(
        "hz",
        Kind::Clamped { max: INT, low: 1, high: 500 },
        "10",
        "How often background work is looked for.",
    )
    .unit("per second"),
    flag("dynamic-hz", "yes", "Looks more often with many clients."),
    text("server-cpulist", "", "Processors of the workers.").alias(&["server_cpulist"]).at_start(),
    text("bio-cpulist", "", "Processors of background threads.").alias(&["bio_cpulist"]).at_start(),
    text("aof-rewrite-cpulist", "", "Processors of log rewriting.")
        .alias(&["aof_rewrite_cpulist"])
        .at_start(),
    text("bgsave-cpulist", "", "Processors of snapshots.").alias(&["bgsave_cpulist"]).at_start(),
];
