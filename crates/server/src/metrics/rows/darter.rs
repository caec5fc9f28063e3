//! What only Darter has.

use super::redis::each_entry;
use crate::commands::info::{ShardTotals, as_f64};
use crate::metrics::page::{Moment, Samples, seconds};
use crate::metrics::row::Source::Samples as Given;
use crate::metrics::row::{Kind, Row};
use crate::statistics::WorkerStatistics;
use std::fmt::Display;

pub(in crate::metrics) static WORKERS: &[Row] = &[
    Row::gauge(
        "darter_build_info",
        "Always 1; the labels tell which build this is, and what hosts its workers.",
        Given(|moment, samples| {
            let shared = moment.info.shared;
            let reactor =
                shared.running.get().map_or(String::new(), |running| running.reactor.to_string());
            let labels = [
                ("version", shared.identity.version),
                ("commit", shared.identity.commit),
                ("reactor", &reactor),
            ];
            samples.put_labelled(&labels, 1);
        }),
    )
    .labels(&["version", "commit", "reactor"]),
    Row::gauge(
        "darter_workers",
        "Worker threads.",
        Given(|moment, samples| {
            samples.put(moment.info.shared.router().worker_count());
        }),
    ),
    Row::gauge(
        "darter_worker_connections",
        "Connections each worker serves.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| {
                worker.connections.read().saturating_sub(worker.connections_closed.read())
            });
        }),
    )
    .labels(&["worker"]),
    Row::gauge(
        "darter_worker_buffer_bytes",
        "Memory of their buffers.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.buffer_bytes.read());
        }),
    )
    .unit("bytes")
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_commands_total",
        "Commands run.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.commands.read());
        }),
    )
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_reads_total",
        "Times input was looked at: commands to reads is how much clients pipeline.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.reads.read());
        }),
    )
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_ticks_total",
        "Rounds of the worker's loop: commands to ticks is how much work one wake-up finds.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.ticks.read());
        }),
    )
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_busy_seconds_total",
        "Time these took, sleep apart.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| seconds(worker.tick_nanos.read() / 1000));
        }),
    )
    .unit("seconds")
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_input_bytes_total",
        "Bytes received.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.input_bytes.read());
        }),
    )
    .unit("bytes")
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_output_bytes_total",
        "Bytes of replies.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.output_bytes.read());
        }),
    )
    .unit("bytes")
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_posted_total",
        "Commands whose shard was out with another worker, which was left to run them.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.posted.read());
        }),
    )
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_coordinated_total",
        "Commands over several shards.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.coordinated.read());
        }),
    )
    .labels(&["worker"]),
    Row::counter(
        "darter_worker_coordinated_waits_total",
        "Those of them that had to wait for a shard.",
        Given(|moment, samples| {
            each_worker(moment, samples, |worker| worker.coordinated_waits.read());
        }),
    )
    .labels(&["worker"]),
];

pub(in crate::metrics) static SHARDS: &[Row] = &[
    Row::gauge(
        "darter_shards",
        "Shards.",
        Given(|moment, samples| {
            samples.put(moment.info.shared.router().shard_count());
        }),
    ),
    Row::gauge(
        "darter_shard_keys",
        "Keys of each shard, in all its databases.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| {
                shard.databases.iter().map(|database| database.keys).sum()
            });
        }),
    )
    .labels(&["shard"]),
    Row::gauge(
        "darter_shard_bytes",
        "Memory of its keys and values.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.used_bytes);
        }),
    )
    .unit("bytes")
    .labels(&["shard"]),
    Row::counter(
        "darter_shard_changes_total",
        "Changes to its keys.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.changes);
        }),
    )
    .labels(&["shard"]),
    Row::counter(
        "darter_shard_hits_total",
        "Reads that found their key.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.hits);
        }),
    )
    .labels(&["shard"]),
    Row::counter(
        "darter_shard_misses_total",
        "Reads that did not.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.misses);
        }),
    )
    .labels(&["shard"]),
    Row::counter(
        "darter_shard_expired_keys_total",
        "Keys deleted because their time was over.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.expired);
        }),
    )
    .labels(&["shard"]),
    Row::counter(
        "darter_shard_evicted_keys_total",
        "Keys deleted to make room.",
        Given(|moment, samples| {
            each_shard(moment, samples, |shard| shard.evicted);
        }),
    )
    .labels(&["shard"]),
];

/// Bounds of the histogram's buckets, in nanoseconds: from a fast command to a second.
const BOUNDS: [u64; 12] = [
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

pub(in crate::metrics) static COMMANDS: &[Row] = &[Row::gauge(
    "darter_command_duration_seconds",
    "Time each command took, to the six percent its buckets are wide.",
    Given(durations),
)
.kind(Kind::Histogram)
.unit("seconds")
.labels(&["cmd", "le"])];

fn durations(moment: &Moment, samples: &mut Samples<'_>) {
    each_entry(moment, |name, entry| {
        let histogram = moment.info.shared.latency_of(entry.id);
        let count = histogram.count();
        if count == 0 {
            return;
        }
        for bound in BOUNDS {
            let labels = [("cmd", name), ("le", &(as_f64(bound) / 1e9).to_string())];
            samples.put_with("_bucket", &labels, histogram.count_up_to(bound));
        }
        samples.put_with("_bucket", &[("cmd", name), ("le", "+Inf")], count);
        let nanos = moment.info.totals.command(entry.id).nanos;
        samples.put_with("_sum", &[("cmd", name)], as_f64(nanos) / 1e9);
        samples.put_with("_count", &[("cmd", name)], count);
    });
}

fn each_worker<V: Display>(
    moment: &Moment,
    samples: &mut Samples<'_>,
    value: impl Fn(&WorkerStatistics) -> V,
) {
    for (number, worker) in moment.info.shared.worker_statistics().iter().enumerate() {
        samples.put_labelled(&[("worker", &number.to_string())], value(worker));
    }
}

fn each_shard(moment: &Moment, samples: &mut Samples<'_>, value: impl Fn(&ShardTotals) -> u64) {
    for (number, shard) in moment.shards.iter().enumerate() {
        samples.put_labelled(&[("shard", &number.to_string())], value(shard));
    }
}
