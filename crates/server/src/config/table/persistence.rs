//! Snapshots and the append-only log.

use crate::config::parameter::{
    INT, LONG, Parameter, Rewrite, checked, choice, flag, formed, memory, number, words,
};
use crate::config::settings::SavePoint;
use crate::config::special;
use crate::journal::SyncPolicy;
use crate::saving::schedule::Schedule;
use darter_command_table::RdbVersions;
use darter_persistence::BaseFormat;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

pub(super) static PARAMETERS: &[Parameter] = &[
    formed("dir", special::directory, ".", "Working directory, also of snapshots and log.")
        .protected()
        .waits_for_data()
        .rewrite(Rewrite::Always)
        .sets(|to, value| to.directory = OsStr::from_bytes(value.bytes()).into()),
    words("save", special::save, "3600 1 300 100 60 10000", "Save after seconds with changes.")
        .collects()
        .rewrite(Rewrite::Always)
        .sets(|to, value| to.saving.points = SavePoint::of_text(value.bytes())),
    words(
        "snapshot-cron",
        special::schedule,
        "",
        "Save by the clock: five fields as in crontab, UTC.",
    )
    .alias(&["snapshot_cron"])
    .rewrite(Rewrite::UnlessDefault)
    .sets(|to, value| to.saving.schedule = Schedule::parse(value.bytes())),
    checked("dbfilename", special::db_file_name, "dump.rdb", "File of the snapshot.")
        .protected()
        .sets(|to, value| to.saving.file_name = OsStr::from_bytes(value.bytes()).into()),
    flag("rdbcompression", "yes", "Compresses strings in snapshots.")
        .sets(|to, value| to.saving.compresses = value.is_yes()),
    flag("rdbchecksum", "yes", "Adds a checksum to snapshots.")
        .at_start()
        .sets(|to, value| to.saving.has_checksum = value.is_yes()),
    flag("rdb-save-incremental-fsync", "yes", "Writes snapshots to disk bit by bit.")
        .sets(|to, value| to.saving.syncs_on_the_way = value.is_yes()),
    flag("rdb-del-sync-files", "no", "Deletes snapshots made for replicas only."),
    choice(
        "rdb-version-check",
        &["strict", "relaxed"],
        "strict",
        "Refuses values of newer versions.",
    )
    .sets(|to, value| {
        let versions = [RdbVersions::Known, RdbVersions::Any];
        to.rdb_versions = versions[value.choice()];
    }),
    number("rdb-key-save-delay", i32::MIN as i128, INT, "0", "Delays saving each key, for tests.")
        .unit("microseconds")
        .hidden()
        .sets(|to, value| to.saving.save_delay_micros = value.number()),
    number("key-load-delay", i32::MIN as i128, INT, "0", "Delays loading each key, for tests.")
        .unit("microseconds")
        .hidden()
        .sets(|to, value| to.saving.load_delay_micros = value.number()),
    memory(
        "loading-process-events-interval-bytes",
        1024,
        INT,
        "2mb",
        "Loaded between looks around.",
    )
    .unit("bytes")
    .hidden(),
    flag("stop-writes-on-bgsave-error", "yes", "Refuses writes after a snapshot has failed.")
        .sets(|to, value| to.saving.stops_writes = value.is_yes()),
    choice("sanitize-dump-payload", &["no", "yes", "clients"], "no", "Checks what RESTORE brings."),
    flag("appendonly", "no", "Keeps a log of changes.")
        .waits_for_data()
        .sets(|to, value| to.journal.is_on = value.is_yes()),
    checked(
        "appendfilename",
        special::append_file_name,
        "appendonly.aof",
        "What files of the log are called.",
    )
    .at_start()
    .sets(|to, value| to.journal.file_name = OsStr::from_bytes(value.bytes()).into()),
    checked("appenddirname", special::append_dir_name, "appendonlydir", "Directory of the log.")
        .at_start()
        .sets(|to, value| to.journal.directory_name = OsStr::from_bytes(value.bytes()).into()),
    choice("appendfsync", &["everysec", "always", "no"], "everysec", "When the log is synced.")
        .sets(|to, value| {
            let policies = [SyncPolicy::EverySecond, SyncPolicy::Always, SyncPolicy::Never];
            to.journal.syncs = policies[value.choice()];
        }),
    flag("no-appendfsync-on-rewrite", "no", "Does not sync the log while it is rewritten.")
        .sets(|to, value| to.journal.rests_during_rewrite = value.is_yes()),
    number("auto-aof-rewrite-percentage", 0, INT, "100", "Growth at which the log is rewritten.")
        .unit("percent")
        .sets(|to, value| to.journal.growth_percent = value.number()),
    memory("auto-aof-rewrite-min-size", 0, LONG, "64mb", "Size from which the log is rewritten.")
        .unit("bytes")
        .sets(|to, value| to.journal.bytes_min = value.number()),
    flag("aof-load-truncated", "yes", "Loads a log whose end is missing.")
        .sets(|to, value| to.journal.loads_truncated = value.is_yes()),
    flag("aof-use-rdb-preamble", "yes", "Rewrites the log as a snapshot.").sets(|to, value| {
        let is_rdb = value.is_yes();
        to.journal.base_format = if is_rdb { BaseFormat::Rdb } else { BaseFormat::Commands };
    }),
    flag("aof-rewrite-incremental-fsync", "yes", "Writes a new log to disk bit by bit."),
    flag("aof-timestamp-enabled", "no", "Notes the time in the log.")
        .sets(|to, value| to.journal.has_timestamps = value.is_yes()),
    flag("aof-disable-auto-gc", "no", "Keeps old files of the log.")
        .sets(|to, value| to.journal.keeps_history = value.is_yes()),
    number("shutdown-timeout", 0, INT, "10", "How long a shutdown waits for replicas.")
        .unit("seconds")
        .sets(|to, value| to.process.shutdown_millis = value.number::<i64>().saturating_mul(1000)),
    words(
        "shutdown-on-sigint",
        special::shutdown,
        "default",
        "What SIGINT does: SHUTDOWN with these options.",
    )
    .sets(|to, value| to.process.on_interrupt = special::shutdown_request(value.bytes())),
    words("shutdown-on-sigterm", special::shutdown, "default", "What SIGTERM does, likewise.")
        .sets(|to, value| to.process.on_terminate = special::shutdown_request(value.bytes())),
];
