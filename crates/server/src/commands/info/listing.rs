//! The sections of INFO with a line for each thing there is.

use super::field::as_f64;
use super::snapshot::Snapshot;
use darter_command_table::Entry;
use std::fmt::Write as _;

/// A line for each command that was called or refused.
pub(super) fn commands(info: &Snapshot, text: &mut String) {
    add_commands(info, info.shared.table.commands(), text);
}

fn add_commands(info: &Snapshot, entries: &[Entry], text: &mut String) {
    for entry in entries {
        let totals = info.totals.command(entry.id);
        if totals.calls + totals.rejected > 0 {
            let per_call =
                if totals.calls == 0 { 0.0 } else { as_f64(totals.micros) / as_f64(totals.calls) };
            let line = format_args!(
                "cmdstat_{}:calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},\
                 failed_calls={}\r\n",
                entry.full_name, totals.calls, totals.micros, totals.rejected, totals.failed
            );
            text.write_fmt(line).expect("writing to a string does not fail");
        }
        add_commands(info, &entry.subcommands, text);
    }
}

/// A line for each error code that was answered.
pub(super) fn errors(info: &Snapshot, text: &mut String) {
    for (code, count) in &info.totals.error_codes {
        let line = format_args!("errorstat_{}:count={count}\r\n", safe(code));
        text.write_fmt(line).expect("writing to a string does not fail");
    }
}

/// A code as a field's name: what separates name and value becomes an underscore, as in Redis.
fn safe(code: &str) -> String {
    code.replace(|letter: char| "#:\n\r".contains(letter), "_")
}

/// A line for each database that has keys.
pub(super) fn keyspace(info: &Snapshot, text: &mut String) {
    for (number, database) in info.shards.databases.iter().enumerate() {
        if database.keys == 0 {
            continue;
        }
        let line = format_args!(
            "db{number}:keys={},expires={},avg_ttl={}\r\n",
            database.keys,
            database.expires,
            database.average_ttl_ms()
        );
        text.write_fmt(line).expect("writing to a string does not fail");
    }
}

/// Nothing.
pub(super) fn nothing(_: &Snapshot, _: &mut String) {}
