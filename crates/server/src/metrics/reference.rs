//! The reference of all metrics, `docs/metrics.md`, made from the rows.

use super::row::Row;
use super::rows::SECTIONS;
use std::fmt::{self, Write as _};

/// What stands above the first section.
const HEAD: &str = "\
# Metrics

<!-- Made from crates/server/src/metrics/rows by a test of darter-server; with DARTER_BLESS=1 in the
environment the test writes this file instead of comparing it. -->

`metrics-port` switches on an HTTP endpoint of its own, on the addresses of `metrics-bind` (this
machine only, unless told otherwise):

| path | answer |
|---|---|
| `/metrics` | the page below, in the text format of Prometheus |
| `/healthz` | 200 as long as the process lives: for liveness probes |
| `/readyz` | 200 while it serves; 503 while it loads, before it has started and once it shuts down: for readiness probes |

The port of the clients answers no HTTP: like Redis, Darter closes a connection that sends it, so that
no web page can talk to a server behind a firewall.

Metrics named `redis_*` have the names, types and labels that `redis_exporter` gives the fields of
INFO, so its dashboards and alerts work unchanged, and the exporter itself works as well. Those named
`darter_*` are our own. `docs/grafana-dashboard.json` shows both. Values of shards are at most a tenth
of a second old, or as old as the last moment their shard was free; everything else is as of the
request. A page costs a fraction of a millisecond, on a thread that holds no shard and that the system
schedules behind the workers. Requests have bounds: one a connection, 64 connections at a time (the
oldest makes room), 8 KiB, 5 seconds.

A metric of something the server does not have, or that has not happened yet, is not on the page.
";

/// The whole text.
///
/// # Errors
/// None: writing to a string does not fail.
pub fn markdown() -> Result<String, fmt::Error> {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        write!(text, "\n## {}\n\n| metric | type | unit | |\n|---|---|---|---|\n", section.title)?;
        for row in section.rows {
            write_row(&mut text, row)?;
        }
    }
    Ok(text)
}

fn write_row(text: &mut String, row: &Row) -> fmt::Result {
    let labels = match row.labels {
        [] => String::new(),
        labels => format!("{{{}}}", labels.join(", ")),
    };
    writeln!(text, "| `{}{labels}` | {} | {} | {} |", row.name, row.kind.name(), row.unit, row.help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_reference_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let made = markdown().unwrap();
        if std::env::var_os("DARTER_BLESS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == made,
            "docs/metrics.md is not what the rows say: run this test with DARTER_BLESS=1"
        );
    }
}
