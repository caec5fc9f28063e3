//! The log, the slow log, latency and notifications.

use crate::config::parameter::{
    INT, LONG, Parameter, Rewrite, choice, flag, formed, number, text, words,
};
use crate::config::settings::{Facility, LogFormat, LogLevel, LogTimestamp};
use crate::config::special;
use crate::config::value::Value;

/// A value's text, whatever bytes it has.
fn text_of(value: &Value) -> String {
    String::from_utf8_lossy(value.bytes()).into_owned()
}

pub(super) static PARAMETERS: &[Parameter] = &[
    choice("loglevel", LogLevel::WORDS, "notice", "Which events are logged.")
        .sets(|to, value| to.log.level = LogLevel::of_choice(value.choice())),
    text("logfile", "", "File of the log; empty: standard output.")
        .at_start()
        .rewrite(Rewrite::Line)
        .sets(|to, value| to.log.file = text_of(value)),
    choice("log-format", LogFormat::WORDS, "legacy", "Form of a line of the log.")
        .sets(|to, value| to.log.format = LogFormat::of_choice(value.choice())),
    choice("log-timestamp-format", LogTimestamp::WORDS, "legacy", "Form of the time in the log.")
        .sets(|to, value| to.log.timestamp = LogTimestamp::of_choice(value.choice())),
    flag(
        "hide-user-data-from-log",
        "yes",
        "Leaves arguments of commands out of the log; they never are in it.",
    ),
    flag("syslog-enabled", "no", "Logs to syslog too.")
        .at_start()
        .sets(|to, value| to.log.to_syslog = value.is_yes()),
    text("syslog-ident", "darter", "Name in syslog.")
        .at_start()
        .sets(|to, value| to.log.syslog_ident = text_of(value)),
    choice("syslog-facility", Facility::WORDS, "local0", "Facility in syslog.")
        .at_start()
        .sets(|to, value| to.log.syslog_facility = Facility::of_choice(value.choice())),
    flag("always-show-logo", "no", "Draws a picture at start even where nobody watches.")
        .at_start()
        .sets(|to, value| to.log.shows_logo = value.is_yes()),
    flag("crash-log-enabled", "yes", "Logs a report when crashing.")
        .sets(|to, value| to.log.reports_crashes = value.is_yes()),
    flag("crash-memcheck-enabled", "yes", "Tests the memory when crashing."),
    flag("use-exit-on-panic", "no", "Ends without a core dump.").hidden(),
    flag("enable-debug-assert", "no", "Checks more, for tests.").at_start().hidden(),
    text("debug-context", "", "Remark for crash reports.").rewrite(Rewrite::Line).hidden(),
    number("watchdog-period", 0, INT, "0", "Logs what takes longer.").unit("milliseconds").hidden(),
    number("slowlog-log-slower-than", -1, LONG, "10000", "Run time from which a command is slow.")
        .unit("microseconds")
        .alias(&["commandlog-execution-slower-than"])
        .sets(|to, value| to.watch.slow_micros = value.number()),
    number("slowlog-max-len", 0, LONG, "128", "Slow commands remembered.")
        .alias(&["commandlog-slow-execution-max-len"])
        .sets(|to, value| to.watch.slow_len_max = value.number()),
    number("commandlog-request-larger-than", -1, LONG, "1048576", "Size of a large request.")
        .unit("bytes")
        .sets(|to, value| to.watch.large_request_bytes = value.number()),
    number("commandlog-large-request-max-len", 0, LONG, "128", "Large requests remembered.")
        .sets(|to, value| to.watch.large_request_len_max = value.number()),
    number("commandlog-reply-larger-than", -1, LONG, "1048576", "Size of a large reply.")
        .unit("bytes")
        .sets(|to, value| to.watch.large_reply_bytes = value.number()),
    number("commandlog-large-reply-max-len", 0, LONG, "128", "Large replies remembered.")
        .sets(|to, value| to.watch.large_reply_len_max = value.number()),
    number("latency-monitor-threshold", 0, LONG, "0", "Events remembered from here; 0: none.")
        .unit("milliseconds")
        .sets(|to, value| to.watch.latency_millis = value.number()),
    flag("latency-tracking", "yes", "Keeps histograms of commands' run times.")
        .sets(|to, value| to.watch.tracks_latency = value.is_yes()),
    words(
        "latency-tracking-info-percentiles",
        special::percentiles,
        "50 99 99.9",
        "Percentiles of them that INFO shows.",
    )
    .sets(|to, value| to.watch.percentiles = special::shown_percentiles(value.bytes())),
    formed("notify-keyspace-events", special::keyspace_events, "", "Which events are published.")
        .sets(|to, value| to.notified_events = special::events_of(value.bytes())),
];
