//! The log of changes: what `redis_exporter` does not show. On the page while a log is kept.

use crate::commands::info::as_f64;
use crate::journal::Journal;
use crate::metrics::page::{Moment, Samples, seconds};
use crate::metrics::row::Source::{Info, Samples as Given};
use crate::metrics::row::{Kind, Row};

/// Bounds of the histogram's buckets, in nanoseconds: from a disk with a battery to one that hangs.
const BOUNDS: [u64; 11] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

pub(in crate::metrics) static LOG: &[Row] = &[
    Row::gauge(
        "darter_log_unsynced_bytes",
        "Bytes in the file that may not be on the disk yet.",
        Info("aof_unsynced_bytes"),
    )
    .unit("bytes"),
    Row::gauge(
        "darter_log_sync_duration_seconds",
        "How long bringing the file onto the disk took, each time.",
        Given(sync_times),
    )
    .kind(Kind::Histogram)
    .unit("seconds")
    .labels(&["le"]),
    Row::gauge(
        "darter_log_sync_duration_max_seconds",
        "The longest of these since the start.",
        Given(|moment, samples| {
            if let Some(log) = log_of(moment) {
                samples.put(seconds(log.status().sync_nanos_max / 1000));
            }
        }),
    )
    .unit("seconds"),
    Row::gauge(
        "darter_log_last_sync_timestamp_seconds",
        "When it was brought onto the disk the last time; 0: not yet.",
        Info("aof_last_sync_time"),
    )
    .unit("seconds since 1970"),
    Row::counter(
        "darter_log_rewrites_total",
        "How often the log was written anew.",
        Info("aof_rewrites"),
    ),
    Row::gauge(
        "darter_log_rewrite_failures",
        "How often that failed since it succeeded.",
        Info("aof_rewrites_consecutive_failures"),
    ),
    Row::gauge(
        "darter_log_truncated_bytes",
        "What was cut off the end of the log when it was loaded, because it was torn.",
        Info("aof_last_load_truncated_bytes"),
    )
    .unit("bytes"),
];

/// The log, if one is kept.
fn log_of(moment: &Moment) -> Option<&'static Journal> {
    let shared = moment.info.shared;
    moment.info.settings.journal.is_on.then_some(&shared.journal)
}

fn sync_times(moment: &Moment, samples: &mut Samples<'_>) {
    let Some(log) = log_of(moment) else { return };
    let times = log.sync_times();
    for bound in BOUNDS {
        let le = (as_f64(bound) / 1e9).to_string();
        samples.put_with("_bucket", &[("le", &le)], times.count_up_to(bound));
    }
    samples.put_with("_bucket", &[("le", "+Inf")], times.count());
    samples.put_with("_sum", &[], as_f64(log.status().sync_nanos) / 1e9);
    samples.put_with("_count", &[], times.count());
}
