//! What `redis_exporter` shows: its names, types and labels.

use crate::commands::info::{self, Shown};
use crate::metrics::page::{Moment, Samples, seconds};
use crate::metrics::row::Source::{Info, InfoMicros, Samples as Given};
use crate::metrics::row::{Kind, Row};
use crate::statistics::CommandTotals;
use crate::watch::{CommandLog, LogKind};
use darter_command_table::Entry;

/// Databases that are on the page even without keys.
const DATABASES_SHOWN: usize = 16;

pub(in crate::metrics) static SERVER: &[Row] = &[
    Row::gauge("redis_up", "1: the server answers.", Given(|_, samples| samples.put(1))),
    Row::gauge(
        "redis_instance_info",
        "Always 1; the labels tell which server this is.",
        Given(instance),
    )
    .labels(&[
        "redis_version",
        "redis_build_id",
        "redis_mode",
        "role",
        "os",
        "tcp_port",
        "run_id",
        "process_id",
        "maxmemory_policy",
    ]),
    Row::gauge(
        "redis_start_time_seconds",
        "When the server started.",
        Given(|moment, samples| {
            samples.put(moment.info.shared.identity.started_at.0 / 1000);
        }),
    )
    .unit("seconds since 1970"),
    Row::gauge(
        "redis_uptime_in_seconds",
        "For how long it has been running.",
        Info("uptime_in_seconds"),
    )
    .unit("seconds"),
    Row::gauge("redis_process_id", "Process id.", Info("process_id")),
    Row::gauge(
        "redis_io_threads_active",
        "Always 0: workers do their own input and output.",
        Info("io_threads_active"),
    ),
    Row::gauge("redis_cluster_enabled", "1: cluster mode.", Info("cluster_enabled")),
    Row::gauge(
        "redis_config_maxclients",
        "Most clients at a time.",
        Given(|moment, samples| {
            samples.put(moment.info.settings.maxclients);
        }),
    ),
    Row::gauge(
        "redis_config_io_threads",
        "Redis's network threads, which Darter does not have; see darter_workers.",
        Given(|moment, samples| samples.put(moment.info.config_number("io-threads"))),
    ),
    Row::gauge(
        "redis_config_maxmemory",
        "Memory above which keys are evicted; 0: none.",
        Info("maxmemory"),
    )
    .unit("bytes"),
];

pub(in crate::metrics) static CLIENTS: &[Row] = &[
    Row::gauge("redis_connected_clients", "Clients connected.", Info("connected_clients")),
    Row::gauge(
        "redis_cluster_connections",
        "Connections of the cluster's bus.",
        Info("cluster_connections"),
    ),
    Row::gauge(
        "redis_blocked_clients",
        "Clients that wait in a blocking command.",
        Info("blocked_clients"),
    ),
    Row::gauge("redis_tracking_clients", "Clients that cache keys.", Info("tracking_clients")),
    Row::gauge(
        "redis_clients_in_timeout_table",
        "Blocked clients with a timeout.",
        Info("clients_in_timeout_table"),
    ),
    Row::counter(
        "redis_connections_received_total",
        "Connections accepted.",
        Info("total_connections_received"),
    ),
    Row::counter(
        "redis_rejected_connections_total",
        "Connections refused: too many, or kept out by protected mode.",
        Info("rejected_connections"),
    ),
    Row::gauge("redis_pubsub_channels", "Channels with subscribers.", Info("pubsub_channels")),
    Row::gauge("redis_pubsub_patterns", "Patterns with subscribers.", Info("pubsub_patterns")),
    Row::gauge(
        "redis_pubsubshard_channels",
        "Shard channels with subscribers.",
        Info("pubsubshard_channels"),
    ),
    Row::gauge("redis_pubsub_clients", "Clients with subscriptions.", Info("pubsub_clients")),
    Row::gauge(
        "redis_client_recent_max_input_buffer_bytes",
        "Largest input buffer of late.",
        Info("client_recent_max_input_buffer"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_client_recent_max_output_buffer_bytes",
        "Largest output buffer of late.",
        Info("client_recent_max_output_buffer"),
    )
    .unit("bytes"),
];

pub(in crate::metrics) static MEMORY: &[Row] = &[
    Row::gauge(
        "redis_memory_used_bytes",
        "Memory of keys, values and buffers.",
        Info("used_memory"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_rss_bytes",
        "Memory of the process that is in RAM.",
        Info("used_memory_rss"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_peak_bytes",
        "The most memory that was used.",
        Info("used_memory_peak"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_overhead_bytes",
        "Memory of everything but keys and values.",
        Info("used_memory_overhead"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_dataset_bytes",
        "Memory of keys and values.",
        Info("used_memory_dataset"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_max_bytes",
        "Memory above which keys are evicted; 0: none.",
        Info("maxmemory"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_mem_fragmentation_ratio",
        "Memory in RAM to memory used.",
        Info("mem_fragmentation_ratio"),
    ),
    Row::gauge(
        "redis_mem_fragmentation_bytes",
        "Memory in RAM less memory used.",
        Info("mem_fragmentation_bytes"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_mem_not_counted_for_eviction_bytes",
        "Memory used that eviction does not look at.",
        Info("mem_not_counted_for_evict"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_mem_clients_normal",
        "Memory of clients' buffers.",
        Info("mem_clients_normal"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_mem_clients_slaves",
        "Memory of replicas' buffers.",
        Info("mem_clients_slaves"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_active_defrag_running",
        "1: values are being moved to give memory back.",
        Info("active_defrag_running"),
    ),
    Row::gauge(
        "redis_memory_used_startup_bytes",
        "Memory used before the first key and client.",
        Info("used_memory_startup"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_lua_bytes",
        "Memory of the script engine.",
        Info("used_memory_lua"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_memory_used_scripts_bytes",
        "Memory of cached scripts.",
        Info("used_memory_scripts"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_number_of_cached_scripts",
        "Cached scripts.",
        Info("number_of_cached_scripts"),
    ),
    Row::gauge(
        "redis_allocator_allocated_bytes",
        "Memory the allocator has given out.",
        Info("allocator_allocated"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_allocator_active_bytes",
        "Memory it holds for that.",
        Info("allocator_active"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_allocator_resident_bytes",
        "Memory it holds in RAM.",
        Info("allocator_resident"),
    )
    .unit("bytes"),
    Row::gauge("redis_allocator_frag_ratio", "Held to given out.", Info("allocator_frag_ratio")),
    Row::gauge("redis_allocator_frag_bytes", "Held less given out.", Info("allocator_frag_bytes"))
        .unit("bytes"),
    Row::gauge("redis_allocator_rss_ratio", "In RAM to held.", Info("allocator_rss_ratio")),
    Row::gauge("redis_allocator_rss_bytes", "In RAM less held.", Info("allocator_rss_bytes"))
        .unit("bytes"),
    Row::gauge(
        "redis_lazyfree_pending_objects",
        "Values that wait to be freed.",
        Info("lazyfree_pending_objects"),
    ),
    Row::gauge(
        "redis_defrag_hits",
        "Values that defragmentation moved.",
        Info("active_defrag_hits"),
    ),
    Row::gauge("redis_defrag_misses", "Values that it left.", Info("active_defrag_misses")),
    Row::gauge("redis_defrag_key_hits", "Keys that it moved.", Info("active_defrag_key_hits")),
    Row::gauge("redis_defrag_key_misses", "Keys that it left.", Info("active_defrag_key_misses")),
];

pub(in crate::metrics) static PERSISTENCE: &[Row] = &[
    Row::gauge("redis_loading_dump_file", "1: the data are being loaded.", Info("loading")),
    Row::gauge(
        "redis_rdb_changes_since_last_save",
        "Changes since the last snapshot.",
        Info("rdb_changes_since_last_save"),
    ),
    Row::gauge(
        "redis_rdb_bgsave_in_progress",
        "1: a snapshot is being written.",
        Info("rdb_bgsave_in_progress"),
    ),
    Row::gauge(
        "redis_rdb_last_save_timestamp_seconds",
        "When the last snapshot was written; without one, when the server started.",
        Info("rdb_last_save_time"),
    )
    .unit("seconds since 1970"),
    Row::gauge(
        "redis_rdb_last_bgsave_status",
        "1: the last snapshot was written, or there was none.",
        Info("rdb_last_bgsave_status"),
    ),
    Row::gauge(
        "redis_rdb_last_bgsave_duration_sec",
        "How long it took; -1 without one.",
        Info("rdb_last_bgsave_time_sec"),
    )
    .unit("seconds"),
    Row::gauge(
        "redis_rdb_current_bgsave_duration_sec",
        "How long the one under way has taken; -1 without one.",
        Info("rdb_current_bgsave_time_sec"),
    )
    .unit("seconds"),
    Row::gauge("redis_rdb_saves_total", "Snapshots written since the start.", Info("rdb_saves")),
    Row::gauge(
        "redis_rdb_last_load_loaded_keys",
        "Keys that were loaded at the start.",
        Info("rdb_last_load_keys_loaded"),
    ),
    Row::gauge(
        "redis_rdb_last_load_expired_keys",
        "Keys that had expired by then.",
        Info("rdb_last_load_keys_expired"),
    ),
    Row::gauge("redis_aof_enabled", "1: a log of changes is kept.", Info("aof_enabled")),
    Row::gauge("redis_aof_current_size_bytes", "Bytes of its files.", Info("aof_current_size"))
        .unit("bytes"),
    Row::gauge(
        "redis_aof_base_size_bytes",
        "Bytes of them when it was written anew the last time, or at the start.",
        Info("aof_base_size"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_aof_buffer_length",
        "Bytes recorded that are not in its file yet.",
        Info("aof_buffer_length"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_aof_pending_bio_fsync",
        "1: it is being brought onto the disk.",
        Info("aof_pending_bio_fsync"),
    ),
    Row::gauge(
        "redis_aof_delayed_fsync",
        "Times a write had to wait for that.",
        Info("aof_delayed_fsync"),
    ),
    Row::gauge(
        "redis_aof_pending_rewrite",
        "1: it will be written anew.",
        Info("aof_pending_rewrite"),
    ),
    Row::gauge(
        "redis_aof_rewrite_in_progress",
        "1: the log is being rewritten.",
        Info("aof_rewrite_in_progress"),
    ),
    Row::gauge(
        "redis_aof_rewrite_scheduled",
        "1: the log will be rewritten.",
        Info("aof_rewrite_scheduled"),
    ),
    Row::gauge(
        "redis_aof_last_rewrite_duration_sec",
        "How long the last rewriting took; -1 without one.",
        Info("aof_last_rewrite_time_sec"),
    )
    .unit("seconds"),
    Row::gauge(
        "redis_aof_current_rewrite_duration_sec",
        "How long the one under way has taken; -1 without one.",
        Info("aof_current_rewrite_time_sec"),
    )
    .unit("seconds"),
    Row::gauge(
        "redis_aof_last_bgrewrite_status",
        "1: the last rewriting was done, or there was none.",
        Info("aof_last_bgrewrite_status"),
    ),
    Row::gauge(
        "redis_aof_last_write_status",
        "1: the log could be written.",
        Info("aof_last_write_status"),
    ),
    Row::gauge(
        "redis_rdb_last_cow_size_bytes",
        "Always 0: Darter does not fork.",
        Info("rdb_last_cow_size"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_aof_last_cow_size_bytes",
        "Always 0: Darter does not fork.",
        Info("aof_last_cow_size"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_module_fork_in_progress",
        "Always 0: Darter does not fork.",
        Info("module_fork_in_progress"),
    ),
    Row::gauge(
        "redis_module_fork_last_cow_size",
        "Always 0: Darter does not fork.",
        Info("module_fork_last_cow_size"),
    )
    .unit("bytes"),
];

pub(in crate::metrics) static STATISTICS: &[Row] = &[
    Row::counter(
        "redis_commands_processed_total",
        "Commands run.",
        Info("total_commands_processed"),
    ),
    Row::counter("redis_net_input_bytes_total", "Bytes received.", Info("total_net_input_bytes"))
        .unit("bytes"),
    Row::counter(
        "redis_net_output_bytes_total",
        "Bytes of replies.",
        Info("total_net_output_bytes"),
    )
    .unit("bytes"),
    Row::counter(
        "redis_total_reads_processed",
        "Reads of clients' sockets.",
        Info("total_reads_processed"),
    ),
    Row::counter(
        "redis_total_writes_processed",
        "Writes to clients' sockets.",
        Info("total_writes_processed"),
    ),
    Row::counter(
        "redis_expired_keys_total",
        "Keys deleted because their time was over.",
        Info("expired_keys"),
    ),
    Row::counter("redis_evicted_keys_total", "Keys deleted to make room.", Info("evicted_keys")),
    Row::counter(
        "redis_evicted_clients_total",
        "Clients closed because all together took too much memory.",
        Info("evicted_clients"),
    ),
    Row::counter("redis_keyspace_hits_total", "Reads that found their key.", Info("keyspace_hits")),
    Row::counter("redis_keyspace_misses_total", "Reads that did not.", Info("keyspace_misses")),
    Row::gauge(
        "redis_latest_fork_seconds",
        "Always 0: Darter does not fork.",
        InfoMicros("latest_fork_usec"),
    )
    .unit("seconds"),
    Row::gauge(
        "redis_migrate_cached_sockets_total",
        "Connections kept for MIGRATE.",
        Info("migrate_cached_sockets"),
    ),
    Row::gauge(
        "redis_tracking_total_keys",
        "Keys that clients cache.",
        Info("tracking_total_keys"),
    ),
    Row::gauge(
        "redis_tracking_total_items",
        "The same, counted once for each client.",
        Info("tracking_total_items"),
    ),
    Row::gauge(
        "redis_tracking_total_prefixes",
        "Prefixes that clients cache.",
        Info("tracking_total_prefixes"),
    ),
    Row::counter(
        "redis_unexpected_error_replies",
        "Errors where none may be.",
        Info("unexpected_error_replies"),
    ),
    Row::counter("redis_total_error_replies", "Errors answered.", Info("total_error_replies")),
    Row::counter(
        "redis_io_threaded_reads_processed",
        "Reads by network threads.",
        Info("io_threaded_reads_processed"),
    ),
    Row::counter(
        "redis_io_threaded_writes_processed",
        "Writes by network threads.",
        Info("io_threaded_writes_processed"),
    ),
    Row::counter(
        "redis_dump_payload_sanitizations",
        "Payloads of RESTORE that were checked.",
        Info("dump_payload_sanitizations"),
    ),
    Row::gauge(
        "redis_expired_stale_percentage",
        "Share of keys that have expired and are still there.",
        Info("expired_stale_perc"),
    ),
    Row::gauge(
        "redis_expired_time_cap_reached_total",
        "Times the search for them ran out of time.",
        Info("expired_time_cap_reached_count"),
    ),
];

pub(in crate::metrics) static REPLICATION: &[Row] = &[
    Row::gauge("redis_connected_slaves", "Replicas connected.", Info("connected_slaves")),
    Row::gauge(
        "redis_master_repl_offset",
        "How far the stream of changes is.",
        Info("master_repl_offset"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_second_repl_offset",
        "How far that of the former primary is good.",
        Info("second_repl_offset"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_repl_backlog_is_active",
        "1: the latest changes are kept for replicas that come back.",
        Info("repl_backlog_active"),
    ),
    Row::gauge(
        "redis_replication_backlog_bytes",
        "How much of them is kept.",
        Info("repl_backlog_size"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_repl_backlog_first_byte_offset",
        "Where in the stream they begin.",
        Info("repl_backlog_first_byte_offset"),
    )
    .unit("bytes"),
    Row::gauge(
        "redis_repl_backlog_history_bytes",
        "How much is there now.",
        Info("repl_backlog_histlen"),
    )
    .unit("bytes"),
    Row::gauge("redis_replica_resyncs_full", "Full syncs with replicas.", Info("sync_full")),
    Row::gauge(
        "redis_replica_partial_resync_accepted",
        "Partial syncs with replicas.",
        Info("sync_partial_ok"),
    ),
    Row::gauge(
        "redis_replica_partial_resync_denied",
        "Partial syncs that were not possible.",
        Info("sync_partial_err"),
    ),
    Row::gauge(
        "redis_slave_info",
        "On a replica, always 1; the labels tell of whom.",
        Given(replica),
    )
    .labels(&["master_host", "master_port", "read_only"]),
    Row::gauge(
        "redis_master_link_up",
        "On a replica, 1: connected to the primary.",
        Info("master_link_status"),
    )
    .labels(&[]),
    Row::gauge(
        "redis_master_last_io_seconds_ago",
        "On a replica, since when nothing came from the primary.",
        Info("master_last_io_seconds_ago"),
    )
    .unit("seconds"),
    Row::gauge(
        "redis_slave_expires_tracked_keys",
        "On a replica that takes writes, its own keys that expire.",
        Info("slave_expires_tracked_keys"),
    ),
];

pub(in crate::metrics) static PROCESSOR: &[Row] = &[
    Row::counter(
        "redis_cpu_sys_seconds_total",
        "Processor time in the kernel.",
        Info("used_cpu_sys"),
    )
    .unit("seconds"),
    Row::counter(
        "redis_cpu_user_seconds_total",
        "Processor time in the server.",
        Info("used_cpu_user"),
    )
    .unit("seconds"),
    Row::counter(
        "redis_cpu_sys_children_seconds_total",
        "The same of child processes.",
        Info("used_cpu_sys_children"),
    )
    .unit("seconds"),
    Row::counter(
        "redis_cpu_user_children_seconds_total",
        "The same of child processes.",
        Info("used_cpu_user_children"),
    )
    .unit("seconds"),
    Row::counter(
        "redis_cpu_sys_main_thread_seconds_total",
        "The same of the workers alone, in the kernel.",
        Info("used_cpu_sys_main_thread"),
    )
    .unit("seconds"),
    Row::counter(
        "redis_cpu_user_main_thread_seconds_total",
        "The same of the workers alone.",
        Info("used_cpu_user_main_thread"),
    )
    .unit("seconds"),
];

pub(in crate::metrics) static COMMANDS: &[Row] = &[
    Row::counter(
        "redis_commands_total",
        "Calls of each command.",
        Given(|moment, samples| {
            each_command(moment, |name, calls| samples.put_labelled(&[("cmd", name)], calls.calls));
        }),
    )
    .labels(&["cmd"]),
    Row::counter(
        "redis_commands_duration_seconds_total",
        "Time each command took.",
        Given(|moment, samples| {
            each_command(moment, |name, calls| {
                samples.put_labelled(&[("cmd", name)], seconds(calls.nanos / 1000));
            });
        }),
    )
    .unit("seconds")
    .labels(&["cmd"]),
    Row::counter(
        "redis_commands_rejected_calls_total",
        "Calls refused before they ran.",
        Given(|moment, samples| {
            each_command(moment, |name, calls| {
                samples.put_labelled(&[("cmd", name)], calls.rejected);
            });
        }),
    )
    .labels(&["cmd"]),
    Row::counter(
        "redis_commands_failed_calls_total",
        "Calls that answered an error.",
        Given(|moment, samples| {
            each_command(moment, |name, calls| {
                samples.put_labelled(&[("cmd", name)], calls.failed);
            });
        }),
    )
    .labels(&["cmd"]),
    Row::counter(
        "redis_errors_total",
        "Errors answered, by their first word.",
        Given(|moment, samples| {
            for (code, count) in &moment.info.totals.error_codes {
                samples.put_labelled(&[("err", code)], count);
            }
        }),
    )
    .labels(&["err"]),
    Row::gauge(
        "redis_latency_percentiles_usec",
        "Time each command took, in microseconds, by percentile.",
        Given(latency_percentiles),
    )
    .kind(Kind::Summary)
    .unit("microseconds")
    .labels(&["cmd", "quantile"]),
    Row::gauge(
        "redis_slowlog_length",
        "Commands in the slow log.",
        Given(|moment, samples| samples.put(slow_log(moment).len())),
    ),
    Row::gauge(
        "redis_slowlog_last_id",
        "Number of the latest of them; 0 without one.",
        Given(|moment, samples| {
            samples.put(slow_log(moment).latest(1).first().map_or(0, |(number, _)| *number));
        }),
    ),
    Row::gauge(
        "redis_last_slow_execution_duration_seconds",
        "How long the latest of them took; 0 without one.",
        Given(|moment, samples| {
            let latest = slow_log(moment).latest(1);
            samples.put(seconds(latest.first().map_or(0, |(_, entry)| entry.value)));
        }),
    )
    .unit("seconds"),
];

pub(in crate::metrics) static DATABASES: &[Row] = &[
    Row::gauge(
        "redis_db_keys",
        "Keys of each database.",
        Given(|moment, samples| {
            each_database(moment, |name, database| {
                samples.put_labelled(&[("db", name)], database.keys);
            });
        }),
    )
    .labels(&["db"]),
    Row::gauge(
        "redis_db_keys_expiring",
        "Keys of each database that expire.",
        Given(|moment, samples| {
            each_database(moment, |name, database| {
                samples.put_labelled(&[("db", name)], database.expires);
            });
        }),
    )
    .labels(&["db"]),
    Row::gauge(
        "redis_db_avg_ttl_seconds",
        "Mean time to live of those, estimated.",
        Given(|moment, samples| {
            each_database(moment, |name, database| {
                if database.keys > 0 {
                    let millis = info::as_f64(database.average_ttl_ms());
                    samples.put_labelled(&[("db", name)], millis / 1e3);
                }
            });
        }),
    )
    .unit("seconds")
    .labels(&["db"]),
];

fn slow_log(moment: &Moment) -> &'static CommandLog {
    moment.info.shared.command_logs.log(LogKind::Slow)
}

fn latency_percentiles(moment: &Moment, samples: &mut Samples<'_>) {
    let settings = &moment.info.settings.watch;
    if !settings.tracks_latency {
        return;
    }
    each_entry(moment, |name, entry| {
        let shared = moment.info.shared;
        let histogram = shared.latency_of(entry.id);
        if histogram.count() == 0 {
            return;
        }
        for percentile in &settings.percentiles {
            let labels = [("cmd", name), ("quantile", &percentile.to_string())];
            samples.put_labelled(&labels, info::as_f64(histogram.percentile(*percentile)) / 1e3);
        }
        let totals = moment.info.totals.command(entry.id);
        samples.put_with("_sum", &[("cmd", name)], totals.nanos / 1000);
        samples.put_with("_count", &[("cmd", name)], totals.calls);
    });
}

fn field(moment: &Moment, name: &str) -> String {
    info::value(&moment.info, name).as_ref().map_or(String::new(), Shown::to_string)
}

fn instance(moment: &Moment, samples: &mut Samples<'_>) {
    let of = |name| field(moment, name);
    samples.put_labelled(
        &[
            ("redis_version", &of("redis_version")),
            ("redis_build_id", &of("redis_git_sha1")),
            ("redis_mode", &of("redis_mode")),
            ("role", &of("role")),
            ("os", &of("os")),
            ("tcp_port", &of("tcp_port")),
            ("run_id", &of("run_id")),
            ("process_id", &of("process_id")),
            ("maxmemory_policy", &of("maxmemory_policy")),
        ],
        1,
    );
}

fn replica(moment: &Moment, samples: &mut Samples<'_>) {
    let of = |name| field(moment, name);
    if of("role") == "slave" {
        samples.put_labelled(
            &[
                ("master_host", &of("master_host")),
                ("master_port", &of("master_port")),
                ("read_only", &of("slave_read_only")),
            ],
            1,
        );
    }
}

/// What has been done with each command that was called or refused, by its full name.
fn each_command(moment: &Moment, mut give: impl FnMut(&str, CommandTotals)) {
    each_entry(moment, |name, entry| {
        let totals = moment.info.totals.command(entry.id);
        if totals.calls + totals.rejected > 0 {
            give(name, totals);
        }
    });
}

/// Every command and subcommand, by its full name.
pub(super) fn each_entry(moment: &Moment, mut give: impl FnMut(&str, &Entry)) {
    let mut rest: Vec<&Entry> = moment.info.shared.table.commands().iter().rev().collect();
    while let Some(entry) = rest.pop() {
        give(&entry.full_name, entry);
        rest.extend(entry.subcommands.iter().rev());
    }
}

fn each_database(moment: &Moment, mut give: impl FnMut(&str, &info::DatabaseTotals)) {
    let count = usize::from(moment.info.settings.databases);
    let empty = info::DatabaseTotals::default();
    for number in 0..count {
        let database = moment.info.shards.databases.get(number).unwrap_or(&empty);
        if number < DATABASES_SHOWN || database.keys > 0 {
            give(&format!("db{number}"), database);
        }
    }
}
