//! Every parameter, by section.
//!
//! Beside our own, these are the parameters of Redis 7.0 and 8.0 and of Valkey 9.1, so that their
//! configuration files, command lines and test suites work as they are. Where the defaults of
//! Redis and Valkey differ, the row has Valkey's.

mod clients;
mod cluster;
mod log;
mod memory;
mod metrics;
mod network;
mod persistence;
mod process;
mod replication;
mod structures;
mod tls;
mod workers;

use crate::config::parameter::Parameter;
use std::sync::LazyLock;

/// Parameters that belong together.
#[derive(Debug)]
pub struct Section {
    /// Its heading in help and reference.
    pub title: &'static str,
    /// Its rows.
    pub parameters: &'static [Parameter],
}

/// The sections, in the order of the documentation.
pub static SECTIONS: &[Section] = &[
    Section { title: "Network", parameters: network::PARAMETERS },
    Section { title: "Workers and shards", parameters: workers::PARAMETERS },
    Section { title: "Clients and security", parameters: clients::PARAMETERS },
    Section { title: "Memory", parameters: memory::PARAMETERS },
    Section { title: "Data structures", parameters: structures::PARAMETERS },
    Section { title: "Persistence", parameters: persistence::PARAMETERS },
    Section { title: "Replication", parameters: replication::PARAMETERS },
    Section { title: "Cluster", parameters: cluster::PARAMETERS },
    Section { title: "TLS", parameters: tls::PARAMETERS },
    Section { title: "Log and statistics", parameters: log::PARAMETERS },
    Section { title: "Metrics", parameters: metrics::PARAMETERS },
    Section { title: "Process", parameters: process::PARAMETERS },
];

/// A parameter and its number: the index of its value in the store.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Dense from 0, in the order of [`rows`].
    pub index: usize,
    /// The row itself.
    pub parameter: &'static Parameter,
}

/// Every row, section after section.
pub fn rows() -> impl Iterator<Item = Row> {
    SECTIONS
        .iter()
        .flat_map(|section| section.parameters)
        .enumerate()
        .map(|(index, parameter)| Row { index, parameter })
}

static NAMES: LazyLock<Vec<(&'static str, Row)>> = LazyLock::new(|| {
    let mut names: Vec<(&'static str, Row)> =
        rows().flat_map(|row| row.parameter.names().map(move |name| (name, row))).collect();
    names.sort_by_key(|(name, _)| *name);
    names
});

/// Every name and alias with its row, sorted by name.
pub fn names() -> &'static [(&'static str, Row)] {
    &NAMES
}

/// The row of the parameter with this name or alias, in any case.
pub fn row_named(name: &[u8]) -> Option<Row> {
    let lower = name.to_ascii_lowercase();
    let found = NAMES.binary_search_by_key(&lower.as_slice(), |(name, _)| name.as_bytes()).ok()?;
    Some(NAMES[found].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_lower_case() {
        for pair in NAMES.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "two parameters of one name");
        }
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        for (name, row) in NAMES.iter() {
            assert!(name.bytes().all(allowed), "{name}");
            assert!(row.parameter.summary.ends_with('.'), "{name} has a sentence as its summary");
        }
    }

    #[test]
    fn every_parameter_of_redis_and_valkey_is_known() {
        // What CONFIG GET * answers there, and the names it hides.
        let lists = [
            include_str!("redis_7_0_names.txt"),
            include_str!("redis_8_0_names.txt"),
            include_str!("valkey_9_1_names.txt"),
        ];
        for name in lists.into_iter().flat_map(str::lines) {
            assert!(row_named(name.as_bytes()).is_some(), "{name}");
        }
    }
}
