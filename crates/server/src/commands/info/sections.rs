//! The sections of INFO and their fields, in Redis's order.
//!
//! A constant is a value, too: it is the true one until the feature that changes it arrives.

use super::field::Shown::{
    Absent, Count, Human, Lines, Micros, Percent, Ratio, Signed, Text, Word,
};
use super::field::{Content, Field, Section, When, as_f64, field};
use super::{listing, system};
use crate::config::memory_limit;
use crate::following::Phase;
use crate::pubsub::Kind;
use crate::saving::Purpose;
use crate::shared::REDIS_VERSION;
use darter_replication::ReplicationId;
use darter_txn::Routing;

/// Memory that the process may use: of the machine, or of its control group.
fn total_memory_bytes() -> u64 {
    memory_limit::read().map_or(0, |limit| limit.bytes)
}

const fn fields(title: &'static str, fields: &'static [Field]) -> Section {
    Section { title, shown: When::ByDefault, content: Content::Fields(fields) }
}

pub(super) static SECTIONS: &[Section] = &[
    fields("Server", SERVER),
    fields("Clients", CLIENTS),
    fields("Memory", MEMORY),
    fields("Persistence", PERSISTENCE),
    fields("Stats", STATS),
    fields("Replication", REPLICATION),
    fields("CPU", CPU),
    Section { title: "Modules", shown: When::ByDefault, content: Content::Lines(listing::nothing) },
    Section {
        title: "Commandstats",
        shown: When::AllAre,
        content: Content::Lines(listing::commands),
    },
    Section {
        title: "Errorstats",
        shown: When::ByDefault,
        content: Content::Lines(listing::errors),
    },
    Section {
        title: "Latencystats",
        shown: When::AllAre,
        content: Content::Lines(listing::latencies),
    },
    fields("Cluster", &[field("cluster_enabled", |_| Count(0))]),
    Section {
        title: "Keyspace",
        shown: When::ByDefault,
        content: Content::Lines(listing::keyspace),
    },
    Section { title: "Debug", shown: When::Named, content: Content::Fields(DEBUG) },
];

static SERVER: &[Field] = &[
    field("redis_version", |_| Word(REDIS_VERSION)),
    field("darter_version", |info| Word(info.shared.identity.version)),
    field("redis_git_sha1", |info| Word(info.shared.identity.commit)),
    field("redis_git_dirty", |_| Count(0)),
    field("redis_build_id", |info| Word(info.shared.identity.commit)),
    field("redis_mode", |_| Word("standalone")),
    field("server_mode", |_| Word("standalone")),
    field("os", |_| Text(system::os())),
    field("arch_bits", |_| Count(u64::from(usize::BITS))),
    field("monotonic_clock", |info| Text(info.shared.stopwatch.description())),
    field("multiplexing_api", |_| Word("epoll")),
    field("darter_reactor", |info| {
        Text(info.shared.running.get().map_or(String::new(), |running| running.reactor.to_string()))
    }),
    field("workers", |info| Count(info.shared.router().worker_count().into())),
    field("shards", |info| Count(info.shared.router().shard_count().into())),
    field("routing", |info| match info.shared.router().routing() {
        Routing::Auto => Word("auto"),
        Routing::Queue => Word("queue"),
    }),
    field("process_id", |info| Count(info.shared.identity.process_id.into())),
    field("process_supervised", |info| {
        Word(info.shared.running.get().map_or("no", |running| running.supervisor))
    }),
    field("run_id", |info| Text(info.shared.identity.run_id.clone())),
    field("tcp_port", |info| Count(info.settings.port.into())),
    field("server_time_usec", |info| Signed(info.now_micros)),
    field("uptime_in_seconds", |info| Count(info.uptime_seconds())),
    field("uptime_in_days", |info| Count(info.uptime_seconds() / 86_400)),
    field("hz", |info| Count(info.config_number("hz"))),
    field("configured_hz", |info| Count(info.config_number("hz"))),
    field("lru_clock", |info| Signed((info.now.0 / 1000) & 0xFF_FFFF)),
    field("shutdown_in_milliseconds", |info| match info.shared.departure.waits_until() {
        Some(until) => Signed(until.0.saturating_sub(info.now.0).max(0)),
        None => Absent,
    }),
    field("executable", |info| Text(info.shared.identity.executable.clone())),
    field("config_file", |info| Text(info.shared.identity.config_file.clone())),
    field("io_threads_active", |_| Count(0)),
    field("availability_zone", |info| Text(info.settings.availability_zone.clone())),
];

static CLIENTS: &[Field] = &[
    field("connected_clients", |info| Count(info.connected_clients())),
    field("cluster_connections", |_| Count(0)),
    field("maxclients", |info| Count(info.settings.maxclients as u64)),
    field("client_recent_max_input_buffer", |info| Count(info.clients.recent_input_max)),
    field("client_recent_max_output_buffer", |info| Count(info.clients.recent_output_max)),
    field("blocked_clients", |info| Count(info.clients.blocked)),
    field("monitor_clients", |info| Count(info.clients.monitors)),
    field("tracking_clients", |info| Count(info.shared.tracking.client_count() as u64)),
    field("pubsub_clients", |info| Count(info.clients.subscribers)),
    field("watching_clients", |info| Count(info.clients.watching)),
    field("clients_in_timeout_table", |info| Count(info.clients.timed)),
    field("total_watched_keys", |info| Count(info.shards.watched_keys)),
    field("total_blocking_keys", |info| Count(info.shards.waited_keys)),
    field("total_blocking_keys_on_nokey", |info| Count(info.shards.waited_keys_on_anything)),
    field("paused_reason", |info| Word(info.pause.map_or("none", |pause| pause.cause.name()))),
    field("paused_actions", |info| Word(info.pause.map_or("none", |pause| pause.paused.name()))),
    field("paused_timeout_milliseconds", |info| Count(info.pause_millis())),
];

static MEMORY: &[Field] = &[
    field("used_memory", |info| Count(info.used_bytes())),
    field("used_memory_human", |info| Human(info.used_bytes())),
    field("used_memory_rss", |info| Count(info.resident_bytes)),
    field("used_memory_rss_human", |info| Human(info.resident_bytes)),
    field("used_memory_peak", |info| Count(info.peak_bytes)),
    field("used_memory_peak_human", |info| Human(info.peak_bytes)),
    field("used_memory_peak_perc", |info| {
        Percent(100.0 * as_f64(info.used_bytes()) / as_f64(info.peak_bytes.max(1)))
    }),
    field("used_memory_overhead", |info| Count(info.overhead_bytes())),
    field("used_memory_startup", |info| Count(info.startup_bytes)),
    field("used_memory_dataset", |info| Count(info.dataset_bytes())),
    field("used_memory_dataset_perc", |info| Percent(info.dataset_percent())),
    field("allocator_allocated", |info| Count(info.used_bytes())),
    field("allocator_active", |info| Count(info.committed_bytes)),
    field("allocator_resident", |info| Count(info.resident_bytes)),
    field("allocator_muzzy", |_| Count(0)),
    field("total_system_memory", |_| Count(total_memory_bytes())),
    field("total_system_memory_human", |_| Human(total_memory_bytes())),
    field("used_memory_lua", |info| Count(info.engine_bytes)),
    field("used_memory_vm_eval", |info| {
        Count(info.engine_bytes.saturating_sub(info.library_bytes))
    }),
    field("used_memory_lua_human", |info| Human(info.engine_bytes)),
    field("used_memory_scripts_eval", |info| Count(info.scripts.scripts_bytes)),
    field("number_of_cached_scripts", |info| Count(info.scripts.scripts)),
    field("number_of_functions", |info| Count(info.scripts.functions)),
    field("number_of_libraries", |info| Count(info.scripts.libraries)),
    field("used_memory_vm_functions", |info| Count(info.library_bytes)),
    field("used_memory_vm_total", |info| Count(info.engine_bytes)),
    field("used_memory_vm_total_human", |info| Human(info.engine_bytes)),
    field("used_memory_functions", |info| Count(info.scripts.functions_bytes)),
    field("used_memory_scripts", |info| {
        Count(info.scripts.scripts_bytes + info.scripts.functions_bytes)
    }),
    field("used_memory_scripts_human", |info| {
        Human(info.scripts.scripts_bytes + info.scripts.functions_bytes)
    }),
    field("maxmemory", |info| Count(info.config_number("maxmemory"))),
    field("maxmemory_human", |info| Human(info.config_number("maxmemory"))),
    field("maxmemory_policy", |info| Text(info.config("maxmemory-policy"))),
    field("allocator_frag_ratio", |info| Ratio(info.allocator_ratio())),
    field("allocator_frag_bytes", |info| {
        Signed(info.committed_bytes.cast_signed() - info.used_bytes().cast_signed())
    }),
    field("allocator_rss_ratio", |info| {
        Ratio(as_f64(info.resident_bytes) / as_f64(info.committed_bytes.max(1)))
    }),
    field("allocator_rss_bytes", |info| {
        Signed(info.resident_bytes.cast_signed() - info.committed_bytes.cast_signed())
    }),
    // What the allocator has in RAM is taken for what the process has.
    field("rss_overhead_ratio", |_| Ratio(1.0)),
    field("rss_overhead_bytes", |_| Signed(0)),
    field("maxmemory_correction", |info| Count(info.shared.residence.correction().unsigned_abs())),
    field("mem_fragmentation_ratio", |info| Ratio(info.fragmentation_ratio())),
    field("mem_fragmentation_bytes", |info| {
        Signed(info.resident_bytes.cast_signed() - info.used_bytes().cast_signed())
    }),
    field("mem_not_counted_for_evict", |info| Count(info.uncounted_bytes())),
    field("mem_replication_backlog", |info| {
        Count(info.replication.memory_bytes - info.replication.beyond_bytes)
    }),
    field("mem_total_replication_buffers", |info| Count(info.replication.memory_bytes)),
    field("mem_replicas_repl_buffer", |info| Count(info.slow_replica_bytes())),
    field("mem_clients_slaves", |info| Count(info.replica_bytes())),
    field("mem_clients_normal", |info| Count(info.buffer_bytes)),
    field("mem_cluster_links", |_| Count(0)),
    field("mem_aof_buffer", |info| Count(info.log_buffer_bytes)),
    field("mem_allocator", |info| Word(info.shared.identity.allocator)),
    field("mem_overhead_db_hashtable_rehashing", |_| Count(0)),
    field("active_defrag_running", |info| Count(info.shared.residence.effort().into())),
    field("lazyfree_pending_objects", |info| Count(info.shards.garbage)),
    field("lazyfreed_objects", |info| Count(info.shards.freed_later)),
];

static PERSISTENCE: &[Field] = &[
    field("loading", |info| Count(info.loading.is_some().into())),
    field("async_loading", |_| Count(0)),
    field("current_cow_peak", |_| Count(0)),
    field("current_cow_size", |_| Count(0)),
    field("current_cow_size_age", |_| Count(0)),
    field("current_fork_perc", |_| Ratio(0.0)),
    field("current_save_keys_processed", |info| Count(info.save.unwrap_or_default().keys_done)),
    field("current_save_keys_total", |info| Count(info.save.unwrap_or_default().keys)),
    field("rdb_changes_since_last_save", |info| {
        Count(info.shared.saving.unsaved(info.shards.changes))
    }),
    field("rdb_bgsave_in_progress", |info| {
        let is_for_file = info.save_for(Purpose::File).is_some();
        Count((is_for_file || info.save_for(Purpose::Replicas).is_some()).into())
    }),
    field("rdb_last_save_time", |info| Signed(info.saves.last_save.0 / 1000)),
    field("rdb_last_bgsave_status", |info| {
        Word(if info.saves.last_succeeded { "ok" } else { "err" })
    }),
    field("rdb_last_bgsave_time_sec", |info| Signed(info.saves.last_seconds)),
    field("rdb_current_bgsave_time_sec", |info| {
        Signed(info.save_for(Purpose::File).map_or(-1, |save| save.seconds))
    }),
    field("rdb_saves", |info| Count(info.saves.saves)),
    field("rdb_last_cow_size", |_| Count(0)),
    field("rdb_last_load_keys_expired", |info| Count(info.saves.loaded.expired)),
    field("rdb_last_load_keys_loaded", |info| Count(info.saves.loaded.keys)),
    field("aof_enabled", |info| Count(info.settings.journal.is_on.into())),
    field("aof_rewrite_in_progress", |info| {
        let begins = info.settings.journal.is_on && !info.shared.journal.is_attached();
        let begins = begins || info.shared.journal.is_base_scheduled() && !info.waits_for_save();
        Count((info.save_for(Purpose::LogBase).is_some() || begins).into())
    }),
    field("aof_rewrite_scheduled", |info| {
        Count((info.shared.journal.is_base_scheduled() && info.waits_for_save()).into())
    }),
    field("aof_last_rewrite_time_sec", |info| Signed(info.log.rewrite_seconds)),
    field("aof_current_rewrite_time_sec", |info| {
        Signed(info.save_for(Purpose::LogBase).map_or(-1, |save| save.seconds))
    }),
    field("aof_last_bgrewrite_status", |info| {
        Word(if info.log.failed_rewrites == 0 { "ok" } else { "err" })
    }),
    field("aof_rewrites", |info| Count(info.log.rewrites)),
    field("aof_rewrites_consecutive_failures", |info| Count(info.log.failed_rewrites)),
    field("aof_last_write_status", |info| {
        Word(if info.shared.journal.has_failed() { "err" } else { "ok" })
    }),
    field("aof_last_cow_size", |_| Count(0)),
    field("aof_current_size", |info| info.of_log(info.log.bytes)),
    field("aof_base_size", |info| info.of_log(info.log.bytes_after_base)),
    field("aof_pending_rewrite", |info| {
        info.of_log(info.shared.journal.is_base_scheduled().into())
    }),
    field("aof_buffer_length", |info| info.of_log(info.shared.journal.waiting_bytes())),
    field("aof_pending_bio_fsync", |info| info.of_log(info.shared.journal.is_syncing().into())),
    field("aof_delayed_fsync", |info| info.of_log(info.log.delayed_syncs)),
    field("aof_syncs", |info| info.of_log(info.log.syncs)),
    field("aof_sync_usec_avg", |info| {
        info.of_log(info.log.sync_nanos / info.log.syncs.max(1) / 1000)
    }),
    field("aof_sync_usec_max", |info| info.of_log(info.log.sync_nanos_max / 1000)),
    field("aof_last_sync_time", |info| {
        info.of_log(info.log.synced_at.map_or(0, |at| at.0.cast_unsigned() / 1000))
    }),
    field("aof_unsynced_bytes", |info| info.of_log(info.shared.journal.unsynced_bytes())),
    field("aof_last_load_truncated_bytes", |info| info.of_log(info.log.truncated_bytes)),
    field("module_fork_in_progress", |_| Count(0)),
    field("module_fork_last_cow_size", |_| Count(0)),
    field("loading_start_time", |info| info.of_loading(|at| Signed(at.began_at.0 / 1000))),
    field("loading_total_bytes", |info| info.of_loading(|at| Count(at.total_bytes))),
    field("loading_rdb_used_mem", |info| info.of_loading(|at| Count(at.used_bytes_then))),
    field("loading_loaded_bytes", |info| info.of_loading(|at| Count(at.loaded_bytes))),
    field("loading_loaded_perc", |info| info.of_loading(|at| Ratio(at.percent()))),
    field("loading_eta_seconds", |info| info.of_loading(|at| Count(at.seconds_left))),
];

static STATS: &[Field] = &[
    field("total_connections_received", |info| Count(info.totals.connections)),
    field("total_commands_processed", |info| Count(info.totals.commands)),
    field("instantaneous_ops_per_sec", |info| Count(info.shared.rates.per_second().commands)),
    field("total_net_input_bytes", |info| {
        Count(info.totals.input_bytes + info.shared.following.counts().input_bytes)
    }),
    field("total_net_output_bytes", |info| {
        Count(info.totals.output_bytes + info.totals.replicated_bytes)
    }),
    field("total_net_repl_input_bytes", |info| Count(info.shared.following.counts().input_bytes)),
    field("total_net_repl_output_bytes", |info| Count(info.totals.replicated_bytes)),
    field("instantaneous_input_kbps", |info| {
        Ratio(as_f64(info.shared.rates.per_second().input_bytes) / 1024.0)
    }),
    field("instantaneous_output_kbps", |info| {
        Ratio(as_f64(info.shared.rates.per_second().output_bytes) / 1024.0)
    }),
    field("instantaneous_input_repl_kbps", |_| Ratio(0.0)),
    field("instantaneous_output_repl_kbps", |_| Ratio(0.0)),
    field("rejected_connections", |info| Count(info.totals.connections_refused)),
    field("sync_full", |info| Count(info.replication.full_syncs)),
    field("sync_partial_ok", |info| Count(info.replication.partial_syncs)),
    field("sync_partial_err", |info| Count(info.replication.partial_syncs_refused)),
    field("expired_keys", |info| Count(info.shards.expired)),
    field("expired_fields", |info| Count(info.shards.expired_fields)),
    field("expired_stale_perc", |info| Ratio(info.shards.stale_percent())),
    field("expired_time_cap_reached_count", |info| Count(info.totals.expiry_stops)),
    field("expire_cycle_cpu_milliseconds", |info| Count(info.totals.expiry_nanos / 1_000_000)),
    field("evicted_keys", |info| Count(info.shards.evicted)),
    field("evicted_clients", |info| Count(info.totals.clients_evicted)),
    field("evicted_scripts", |info| Count(info.scripts.evicted)),
    field("total_eviction_exceeded_time", |_| Count(0)),
    field("current_eviction_exceeded_time", |_| Count(0)),
    field("keyspace_hits", |info| Count(info.shards.hits)),
    field("keyspace_misses", |info| Count(info.shards.misses)),
    field("pubsub_channels", |info| Count(info.subscribed(Kind::Channel))),
    field("pubsub_patterns", |info| Count(info.subscribed(Kind::Pattern))),
    field("pubsubshard_channels", |info| Count(info.subscribed(Kind::ShardChannel))),
    field("latest_fork_usec", |_| Count(0)),
    field("total_forks", |_| Count(0)),
    field("migrate_cached_sockets", |_| Count(0)),
    field("slave_expires_tracked_keys", |_| Count(0)),
    field("active_defrag_hits", |info| Count(info.totals.defrag_moved)),
    field("active_defrag_misses", |info| Count(info.totals.defrag_kept)),
    field("active_defrag_key_hits", |_| Count(0)),
    field("active_defrag_key_misses", |_| Count(0)),
    field("total_active_defrag_time", |info| Count(info.totals.defrag_nanos / 1_000_000)),
    field("current_active_defrag_time", |_| Count(0)),
    field("tracking_total_keys", |info| Count(info.shared.tracking.key_count() as u64)),
    field("tracking_total_items", |info| Count(info.shared.tracking.item_count() as u64)),
    field("tracking_total_prefixes", |info| Count(info.shared.tracking.prefix_count() as u64)),
    field("unexpected_error_replies", |_| Count(0)),
    field("total_error_replies", |info| Count(info.totals.errors)),
    field("dump_payload_sanitizations", |_| Count(0)),
    field("total_reads_processed", |info| Count(info.totals.reads)),
    field("total_writes_processed", |info| Count(info.totals.sends)),
    field("client_query_buffer_limit_disconnections", |info| {
        Count(info.totals.connections_overflowed)
    }),
    field("client_output_buffer_limit_disconnections", |info| {
        Count(info.totals.connections_unread)
    }),
    field("io_threaded_reads_processed", |_| Count(0)),
    field("io_threaded_writes_processed", |_| Count(0)),
    field("io_threaded_freed_objects", |_| Count(0)),
    field("io_threaded_accept_processed", |_| Count(0)),
    field("io_threaded_poll_processed", |_| Count(0)),
    field("io_threaded_total_prefetch_batches", |_| Count(0)),
    field("io_threaded_total_prefetch_entries", |_| Count(0)),
    // No buffer of a client is kept at some size.
    field("reply_buffer_shrinks", |_| Count(0)),
    field("reply_buffer_expands", |_| Count(0)),
    field("eventloop_cycles", |info| Count(info.totals.ticks)),
    field("eventloop_duration_sum", |info| Count(info.totals.tick_nanos / 1000)),
    field("eventloop_duration_cmd_sum", |info| Count(info.totals.command_nanos() / 1000)),
    field("instantaneous_eventloop_cycles_per_sec", |info| {
        Count(info.shared.rates.per_second().ticks)
    }),
    field("instantaneous_eventloop_duration_usec", |info| {
        Count(info.shared.rates.per_second().nanos_per_tick() / 1000)
    }),
    field("acl_access_denied_auth", |info| Count(info.totals.wrong_passwords)),
    field("acl_access_denied_cmd", |info| Count(info.totals.denied_commands)),
    field("acl_access_denied_key", |info| Count(info.totals.denied_keys)),
    field("acl_access_denied_channel", |info| Count(info.totals.denied_channels)),
    // Nobody is told from a certificate.
    field("acl_access_denied_tls_cert", |_| Count(0)),
    field("acl_access_denied_db", |info| Count(info.totals.denied_databases)),
    field("darter_posted_operations", |info| Count(info.totals.posted)),
    field("darter_coordinated_operations", |info| Count(info.totals.coordinated)),
    field("darter_coordinated_waits", |info| Count(info.totals.coordinated_waits)),
];

static REPLICATION: &[Field] = &[
    field("role", |info| Word(if info.following.is_some() { "slave" } else { "master" })),
    field("master_host", |info| info.of_link(|link| Text(link.primary.host.clone()))),
    field("master_port", |info| info.of_link(|link| Count(link.primary.port.into()))),
    field("master_link_status", |info| {
        info.of_link(|link| Word(if link.phase == Phase::Connected { "up" } else { "down" }))
    }),
    field("master_last_io_seconds_ago", |info| {
        info.of_link(|link| match link.silent_seconds.filter(|_| link.phase == Phase::Connected) {
            Some(seconds) => Count(seconds),
            None => Signed(-1),
        })
    }),
    field("master_sync_in_progress", |info| {
        info.of_link(|link| Count((link.phase == Phase::Sync).into()))
    }),
    field("slave_read_repl_offset", |info| info.of_link(|_| Count(info.replication.end))),
    field("slave_repl_offset", |info| info.of_link(|_| Count(info.replication.end))),
    field("master_sync_total_bytes", |info| info.of_transfer(|at| Count(at.total()))),
    field("master_sync_read_bytes", |info| info.of_transfer(|at| Count(at.read_bytes))),
    field("master_sync_left_bytes", |info| {
        info.of_transfer(|at| Signed(at.total().wrapping_sub(at.read_bytes).cast_signed()))
    }),
    field("master_sync_perc", |info| {
        info.of_transfer(|at| Ratio(100.0 * as_f64(at.read_bytes) / as_f64(at.total().max(1))))
    }),
    field("master_sync_last_io_seconds_ago", |info| {
        info.of_link(|link| match (link.transfer, link.silent_seconds) {
            (Some(_), Some(seconds)) => Count(seconds),
            _ => Absent,
        })
    }),
    field("master_link_down_since_seconds", |info| {
        info.of_link(|link| match (link.phase, link.down_seconds) {
            (Phase::Connected, _) => Absent,
            (_, Some(seconds)) => Signed(seconds),
            (_, None) => Signed(-1),
        })
    }),
    field("slave_priority", |info| info.of_link(|_| Count(info.settings.following.priority))),
    field("slave_read_only", |info| {
        info.of_link(|_| Count(info.settings.following.is_read_only.into()))
    }),
    field("replica_announced", |info| {
        info.of_link(|_| Count(info.settings.following.is_announced.into()))
    }),
    field("connected_slaves", |info| Count(info.replication.replicas.len() as u64)),
    field("min_slaves_good_slaves", |info| {
        let settings = &info.settings.replication;
        if settings.replicas_min > 0 && settings.lag_seconds_max > 0 {
            Count(info.replication.good_replicas)
        } else {
            Absent
        }
    }),
    field("slave", |info| Lines(listing::replicas(info))),
    field("replicas_waiting_psync", |_| Count(0)),
    field("master_failover_state", |info| Word(info.shared.following.failover.state())),
    field("master_replid", |info| Text(info.replication.id.to_string())),
    field("master_replid2", |info| {
        let id = info.replication.fork.map_or(ReplicationId::NONE, |fork| fork.id);
        Text(id.to_string())
    }),
    field("master_repl_offset", |info| Count(info.replication.end)),
    // Of the first byte that is not of that history: they are counted from 1.
    field("second_repl_offset", |info| match info.replication.fork {
        Some(fork) => Count(fork.end.bytes() + 1),
        None => Signed(-1),
    }),
    field("repl_backlog_active", |info| Count(info.replication.is_kept.into())),
    field("repl_backlog_size", |info| Count(info.settings.replication.kept_bytes())),
    field("repl_backlog_first_byte_offset", |info| Count(info.replication.kept_from)),
    field("repl_backlog_histlen", |info| Count(info.replication.kept_bytes)),
];

static CPU: &[Field] = &[
    field("used_cpu_sys", |info| Micros(info.cpu.system)),
    field("used_cpu_user", |info| Micros(info.cpu.user)),
    field("used_cpu_sys_children", |info| Micros(info.cpu.children_system)),
    field("used_cpu_user_children", |info| Micros(info.cpu.children_user)),
    // What the main thread does in Redis the workers do here.
    field("used_cpu_sys_main_thread", |info| Micros(info.workers_cpu.system)),
    field("used_cpu_user_main_thread", |info| Micros(info.workers_cpu.user)),
    field("used_active_time_main_thread", |info| Micros(info.totals.tick_nanos / 1000)),
];

static DEBUG: &[Field] = &[
    field("eventloop_duration_aof_sum", |_| Count(0)),
    field("eventloop_duration_cron_sum", |info| Count(info.totals.tending_nanos / 1000)),
    field("eventloop_duration_max", |info| Count(info.clients.tick_nanos_max / 1000)),
    field("eventloop_cmd_per_cycle_max", |info| Count(info.clients.tick_commands_max)),
];
