//! The memory limit, eviction, expiry, freeing and defragmentation.

use crate::config::parameter::{INT, LONG, Parameter, choice, flag, memory, number, of_kind};
use crate::config::settings::MaxmemoryPolicy;
use crate::config::value::Kind;

pub(super) static PARAMETERS: &[Parameter] = &[
    of_kind(
        "maxmemory",
        Kind::MachineMemory,
        "auto",
        "Memory above which keys are evicted; 0: none. A percentage is one of what the machine or \
         the container has. auto: in a container with a limit three quarters of it less 16mb, but at \
         least a quarter; elsewhere none.",
    )
    .unit("bytes")
    .sets(|to, value| to.maxmemory_bytes = value.number()),
    choice("maxmemory-policy", MaxmemoryPolicy::NAMES, "noeviction", "Which keys are evicted.")
        .sets(|to, value| to.eviction.policy = MaxmemoryPolicy::of_choice(value.choice())),
    number("maxmemory-samples", 1, 64, "5", "Keys looked at to evict one.")
        .sets(|to, value| to.eviction.samples = value.number()),
    number(
        "maxmemory-eviction-tenacity",
        0,
        100,
        "10",
        "How many keys one write may evict: 12.8 for each step up to 10, 15% more with each step \
         from there on, any number at 100; 32 times as many for what its own shard has grown by. The rest is evicted \
         in the background.",
    )
    .sets(|to, value| to.eviction.tenacity = value.number()),
    number("lfu-log-factor", 0, INT, "10", "How slowly a key's frequency counter grows.")
        .sets(|to, value| to.eviction.lfu_log_factor = value.number()),
    number("lfu-decay-time", 0, INT, "1", "After how long it shrinks; 0: never.")
        .unit("minutes")
        .sets(|to, value| to.eviction.lfu_decay_minutes = value.number()),
    number(
        "active-expire-effort",
        1,
        10,
        "1",
        "How much of each worker's time may be spent on deleting what has expired: 25 percent, and 2 more with each \
         step.",
    )
    .sets(|to, value| to.expire_effort = value.number()),
    flag(
        "lazyfree-lazy-eviction",
        "yes",
        "Evicted keys are UNLINK in the log and for replicas, with no DEL. Values are freed in the background.",
    )
    .sets(|to, value| to.unlinks.evicted = value.is_yes()),
    flag(
        "lazyfree-lazy-expire",
        "yes",
        "Expired keys are UNLINK in the log and for replicas, with no DEL. Values are freed in the background.",
    )
    .sets(|to, value| to.unlinks.expired = value.is_yes()),
    flag(
        "lazyfree-lazy-server-del",
        "yes",
        "What SPOP or RESTORE leaves of a key that goes is UNLINK in the log and for replicas, with no DEL. Values are \
         freed in the background.",
    )
    .sets(|to, value| to.unlinks.implied = value.is_yes()),
    flag("lazyfree-lazy-user-del", "yes", "DEL frees in the background."),
    flag(
        "lazyfree-lazy-user-flush",
        "yes",
        "FLUSHALL and FLUSHDB do not wait until the memory is free, unless told SYNC; with no they do, unless told ASYNC.",
    )
    .sets(|to, value| to.lazy_user_flush = value.is_yes()),
    flag("activerehashing", "yes", "Tables grow in the background."),
    flag("activedefrag", "yes", "Moves values to give memory back, and keeps RSS near maxmemory.")
        .sets(|to, value| to.defrag.is_on = value.is_yes()),
    memory("active-defrag-ignore-bytes", 1, LONG, "100mb", "Waste below which nothing is moved.")
        .unit("bytes")
        .sets(|to, value| to.defrag.ignored_bytes = value.number()),
    number("active-defrag-threshold-lower", 0, 1000, "10", "Waste from which values are moved.")
        .unit("percent")
        .sets(|to, value| to.defrag.lower_percent = value.number()),
    number("active-defrag-threshold-upper", 0, 1000, "100", "Waste at which most effort is made.")
        .unit("percent")
        .sets(|to, value| to.defrag.upper_percent = value.number()),
    number("active-defrag-cycle-min", 1, 99, "1", "Least processor time for it.")
        .unit("percent")
        .sets(|to, value| to.defrag.effort_min = value.number()),
    number("active-defrag-cycle-max", 1, 99, "25", "Most processor time for it.")
        .unit("percent")
        .sets(|to, value| to.defrag.effort_max = value.number()),
    number("active-defrag-cycle-us", 0, 100_000, "500", "Time of one round.").unit("microseconds"),
    number("active-defrag-max-scan-fields", 1, LONG, "1000", "Fields moved in one go."),
    flag("jemalloc-bg-thread", "yes", "The allocator of Redis cleans up in a thread."),
    flag("disable-thp", "yes", "Does without transparent huge pages.").at_start(),
];
