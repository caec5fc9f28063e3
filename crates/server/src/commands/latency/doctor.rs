//! What LATENCY DOCTOR says.

use super::slowest;
use crate::shared::Shared;
use crate::watch::latency::{COMMAND, EXPIRE_CYCLE, FAST_COMMAND};
use darter_base::UnixMillis;
use std::fmt::Write as _;

/// Commands named in the report.
const SLOWEST_SHOWN: usize = 3;

/// A report on the events there were, with advice.
pub(super) fn report(shared: &Shared, now: UnixMillis) -> String {
    let watch = shared.config.current().watch.clone();
    let all = shared.latency.all();
    if all.is_empty() && watch.latency_millis == 0 {
        return "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Darter \
                instance. You may use \"CONFIG SET latency-monitor-threshold <milliseconds>.\" in \
                order to enable it.\n"
            .to_owned();
    }
    if all.is_empty() {
        return "Dave, no latency spike was observed during the lifetime of this Darter instance, \
                not in the slightest bit. I honestly think you ought to sit down calmly, take a \
                stress pill, and think things over.\n"
            .to_owned();
    }
    let mut text = String::from(
        "Dave, I have observed latency spikes in this Darter instance. You don't mind talking about \
         it, do you Dave?\n\n",
    );
    // Writing to a string does not fail.
    for (number, (event, series)) in (1..).zip(&all) {
        let summary = series.summary(now);
        let _ = writeln!(
            text,
            "{number}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {} \
             sec). Worst all time event {}ms.",
            summary.samples,
            summary.mean,
            summary.deviation,
            summary.period_seconds / i64::try_from(summary.samples).unwrap_or(1).max(1),
            series.max_millis
        );
    }
    text.push_str("\nI have a few advices for you:\n\n");
    let happened = |event: &str| all.iter().any(|(known, _)| *known == event);
    if happened(COMMAND) || happened(FAST_COMMAND) {
        if watch.slow_micros < 0 || watch.slow_len_max == 0 {
            text.push_str(
                "- The log of slow commands is off: set slowlog-log-slower-than to 10000 and \
                 slowlog-max-len to 128 to see which ones they are.\n",
            );
        } else {
            text.push_str(
                "- SLOWLOG GET shows which commands were slow. Commands on large values hold their \
                 shard while they run, and commands over all keys hold every shard.\n",
            );
        }
        let slowest = slowest(shared, SLOWEST_SHOWN);
        if !slowest.is_empty() {
            let shown: Vec<String> = slowest
                .iter()
                .map(|(entry, nanos)| format!("{} ({} us)", entry.full_name, nanos / 1000))
                .collect();
            let _ = writeln!(
                text,
                "- By their 99th percentile the slowest commands are: {}.",
                shown.join(", ")
            );
        }
    }
    if happened(FAST_COMMAND) {
        text.push_str(
            "- Commands that take constant time were slow: the process did not get the processor. \
             Measure with redis-cli --intrinsic-latency, give it dedicated processors, or run fewer \
             workers.\n",
        );
    }
    if happened(EXPIRE_CYCLE) {
        text.push_str(
            "- Deleting expired keys took long: many keys expire at the same time. Spread their \
             deadlines.\n",
        );
    }
    text
}
