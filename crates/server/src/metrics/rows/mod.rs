//! The tables.

mod darter;
mod log;
mod redis;

use super::row::Section;

/// Every section, in the order of the page: first what dashboards for Redis know.
pub(super) static SECTIONS: &[Section] = &[
    Section { title: "Server", rows: redis::SERVER },
    Section { title: "Clients", rows: redis::CLIENTS },
    Section { title: "Memory", rows: redis::MEMORY },
    Section { title: "Persistence", rows: redis::PERSISTENCE },
    Section { title: "Statistics", rows: redis::STATISTICS },
    Section { title: "Replication", rows: redis::REPLICATION },
    Section { title: "Processor time", rows: redis::PROCESSOR },
    Section { title: "Commands and errors", rows: redis::COMMANDS },
    Section { title: "Databases", rows: redis::DATABASES },
    Section { title: "Darter's workers", rows: darter::WORKERS },
    Section { title: "Darter's shards", rows: darter::SHARDS },
    Section { title: "Darter's commands", rows: darter::COMMANDS },
    Section { title: "Darter's log of changes", rows: log::LOG },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::info;
    use crate::metrics::row::{Kind, Row, Source};
    use hashbrown::HashSet;

    /// Names that dashboards for Redis use (763 and 11835 of Grafana's, and the exporter's own).
    const EXPECTED: &str = "redis_up redis_uptime_in_seconds redis_connected_clients \
        redis_blocked_clients redis_memory_used_bytes redis_memory_max_bytes \
        redis_memory_used_rss_bytes redis_mem_fragmentation_ratio redis_commands_processed_total \
        redis_commands_total redis_commands_duration_seconds_total redis_keyspace_hits_total \
        redis_keyspace_misses_total redis_net_input_bytes_total redis_net_output_bytes_total \
        redis_expired_keys_total redis_evicted_keys_total redis_db_keys redis_db_keys_expiring \
        redis_db_avg_ttl_seconds redis_connected_slaves redis_master_repl_offset \
        redis_master_link_up redis_slave_info redis_rdb_last_bgsave_status \
        redis_rdb_changes_since_last_save redis_rdb_last_save_timestamp_seconds redis_aof_enabled \
        redis_slowlog_length redis_latency_percentiles_usec redis_rejected_connections_total \
        redis_instance_info redis_start_time_seconds";

    /// Fields of INFO that are there in some states of the server only.
    const SOMETIMES: &[&str] = &[
        "master_link_status",
        "master_last_io_seconds_ago",
        "expired_stale_perc",
        "expired_time_cap_reached_count",
    ];

    #[test]
    fn every_name_that_dashboards_use_has_a_row() {
        let names: HashSet<&str> =
            SECTIONS.iter().flat_map(|section| section.rows).map(|row| row.name).collect();
        for name in EXPECTED.split_whitespace() {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn our_dashboard_shows_only_what_there_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/grafana-dashboard.json");
        let dashboard = std::fs::read_to_string(path).unwrap();
        let rows: Vec<&Row> = SECTIONS.iter().flat_map(|section| section.rows).collect();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let names = dashboard.split(|letter| !is_name(letter));
        let mut count = 0;
        for name in names.filter(|word| word.starts_with("redis_") || word.starts_with("darter_")) {
            let name = name.trim_end_matches("_bucket");
            assert!(rows.iter().any(|row| row.name == name), "{name}");
            count += 1;
        }
        assert!(count > 20, "the dashboard is there");
    }

    #[test]
    fn rows_are_as_the_format_wants_them() {
        let mut names = HashSet::new();
        for row in SECTIONS.iter().flat_map(|section| section.rows) {
            assert!(names.insert(row.name), "{} is there twice", row.name);
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(row.name.bytes().all(allowed), "{}", row.name);
            assert!(
                row.help.ends_with('.') && !row.help.contains(['\n', '\\', '|']),
                "{}",
                row.name
            );
            if row.name.starts_with("darter_") && row.kind == Kind::Counter {
                assert!(row.name.ends_with("_total"), "{}", row.name);
            }
            if let Source::Info(field) | Source::InfoMicros(field) = row.source {
                assert!(info::is_field(field) || SOMETIMES.contains(&field), "{field}");
            }
        }
    }
}
