//! The log, the slow log, latency and notifications.

use crate::config::parameter::{INT, LONG, Parameter, choice, flag, number, text, words};
use crate::config::settings::LogLevel;
use crate::config::special;

const FACILITIES: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

pub(super) static PARAMETERS: &[Parameter] = &[
    choice("loglevel", LogLevel::WORDS, "notice", "Which events are logged.")
        .sets(|to, value| to.log_level = LogLevel::of_choice(value.choice())),
    text("logfile", "", "File of the log; empty: standard output.")
        .at_start()
        .sets(|to, value| to.log_file = String::from_utf8_lossy(value.bytes()).into_owned()),
    choice("log-format", &["legacy", "logfmt", "json"], "legacy", "Form of a line of the log."),
    choice(
        "log-timestamp-format",
        &["legacy", "iso8601", "milliseconds"],
        "legacy",
        "Form of the time in the log.",
    ),
    flag("hide-user-data-from-log", "yes", "Leaves keys and values out of the log."),
    flag("syslog-enabled", "no", "Logs to syslog.").at_start(),
    text("syslog-ident", "darter", "Name in syslog.").at_start(),
    choice("syslog-facility", FACILITIES, "local0", "Facility in syslog.").at_start(),
    flag("always-show-logo", "no", "Draws a picture at start.").at_start(),
    flag("crash-log-enabled", "yes", "Logs a report when crashing."),
    flag("crash-memcheck-enabled", "yes", "Tests the memory when crashing."),
    flag("use-exit-on-panic", "no", "Ends without a core dump.").hidden(),
    flag("enable-debug-assert", "no", "Checks more, for tests.").at_start().hidden(),
    text("debug-context", "", "Remark for crash reports.").hidden(),
    number("watchdog-period", 0, INT, "0", "Logs what takes longer.").unit("milliseconds").hidden(),
    number("slowlog-log-slower-than", -1, LONG, "10000", "Run time from which a command is slow.")
        .unit("microseconds")
        .alias(&["commandlog-execution-slower-than"]),
    number("slowlog-max-len", 0, LONG, "128", "Slow commands remembered.")
        .alias(&["commandlog-slow-execution-max-len"]),
    number("commandlog-request-larger-than", -1, LONG, "1048576", "Size of a large request.")
        .unit("bytes"),
    number("commandlog-large-request-max-len", 0, LONG, "128", "Large requests remembered."),
    number("commandlog-reply-larger-than", -1, LONG, "1048576", "Size of a large reply.")
        .unit("bytes"),
    number("commandlog-large-reply-max-len", 0, LONG, "128", "Large replies remembered."),
    number("latency-monitor-threshold", 0, LONG, "0", "Events remembered from here; 0: none.")
        .unit("milliseconds"),
    flag("latency-tracking", "yes", "Keeps histograms of commands' run times."),
    words(
        "latency-tracking-info-percentiles",
        special::percentiles,
        "50 99 99.9",
        "Percentiles of them that INFO shows.",
    ),
    words("notify-keyspace-events", special::keyspace_events, "", "Which events are published."),
];
