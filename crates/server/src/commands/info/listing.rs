//! The sections of INFO with a line for each thing there is.

use super::field::as_f64;
use super::snapshot::Snapshot;
use crate::replication::Shown;
use darter_command_table::Entry;
use std::fmt::{self, Write as _};

/// A line for each command that was called or refused.
pub(super) fn commands(info: &Snapshot, text: &mut String) -> fmt::Result {
    add_commands(info, info.shared.table.commands(), text)
}

fn add_commands(info: &Snapshot, entries: &[Entry], text: &mut String) -> fmt::Result {
    for entry in entries {
        let totals = info.totals.command(entry.id);
        if totals.calls + totals.rejected > 0 {
            let micros = as_f64(totals.nanos) / 1000.0;
            let per_call = if totals.calls == 0 { 0.0 } else { micros / as_f64(totals.calls) };
            write!(
                text,
                "cmdstat_{}:calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},\
                 failed_calls={}\r\n",
                entry.full_name,
                totals.calls,
                totals.nanos / 1000,
                totals.rejected,
                totals.failed
            )?;
        }
        add_commands(info, &entry.subcommands, text)?;
    }
    Ok(())
}

/// A line for each replica.
pub(super) fn replicas(info: &Snapshot) -> String {
    let mut text = String::new();
    for (number, replica) in info.replication.replicas.iter().enumerate() {
        let Shown { ip, port, state, acknowledged, lag_seconds, .. } = replica;
        let written = write!(
            text,
            "slave{number}:ip={ip},port={port},state={state},offset={acknowledged},\
             lag={lag_seconds},type=replica\r\n"
        );
        written.expect("writing to a string does not fail");
    }
    text
}

/// A line for each error code that was answered.
pub(super) fn errors(info: &Snapshot, text: &mut String) -> fmt::Result {
    for (code, count) in &info.totals.error_codes {
        write!(text, "errorstat_{}:count={count}\r\n", safe(code))?;
    }
    Ok(())
}

/// A code as a field's name: what separates name and value becomes an underscore, as in Redis.
fn safe(code: &str) -> String {
    code.replace(|letter: char| "#:\n\r".contains(letter), "_")
}

/// A line for each database that has keys.
pub(super) fn keyspace(info: &Snapshot, text: &mut String) -> fmt::Result {
    for (number, database) in info.shards.databases.iter().enumerate() {
        if database.keys == 0 {
            continue;
        }
        write!(
            text,
            "db{number}:keys={},expires={},avg_ttl={},keys_with_volatile_items={}\r\n",
            database.keys,
            database.expires,
            database.average_ttl_ms(),
            database.deadline_holders
        )?;
    }
    Ok(())
}

/// A line with the percentiles of each command's run times.
pub(super) fn latencies(info: &Snapshot, text: &mut String) -> fmt::Result {
    if !info.settings.watch.tracks_latency {
        return Ok(());
    }
    add_latencies(info, info.shared.table.commands(), text)
}

fn add_latencies(info: &Snapshot, entries: &[Entry], text: &mut String) -> fmt::Result {
    for entry in entries {
        let histogram = info.shared.latency_of(entry.id);
        if histogram.count() > 0 {
            write!(text, "latency_percentiles_usec_{}:", entry.full_name)?;
            for (index, percentile) in info.settings.watch.percentiles.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let nanos = histogram.percentile(*percentile);
                write!(text, "{comma}p{percentile}={}.{:03}", nanos / 1000, nanos % 1000)?;
            }
            text.push_str("\r\n");
        }
        add_latencies(info, &entry.subcommands, text)?;
    }
    Ok(())
}

/// Nothing.
pub(super) fn nothing(_: &Snapshot, _: &mut String) -> fmt::Result {
    Ok(())
}
