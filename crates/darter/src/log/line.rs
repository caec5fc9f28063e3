//! The forms of a line.
//!
//! Redis's is `pid:M 21 Nov 2026 10:00:00.123 * message`: the letter behind the process id is the
//! role, the sign before the message the level (`.` debug, `-` verbose, `*` notice, `#` warning).
//! Scripts find what they look for in the message. The other two have the fields of Valkey's.

use darter_server::config::{LogFormat, LogSettings, LogTimestamp};
use jiff::Zoned;
use std::fmt::Write as _;
use tracing::Level;

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    process_id: u32,
    format: LogFormat,
    timestamp: LogTimestamp,
}

impl Form {
    pub(super) fn of(settings: &LogSettings) -> Self {
        Self {
            process_id: std::process::id(),
            format: settings.format,
            timestamp: settings.timestamp,
        }
    }

    /// Whether text that is no event may stand between the lines.
    pub(super) fn takes_pictures(self) -> bool {
        self.format == LogFormat::Legacy
    }

    /// The line of an event, its end included.
    pub(super) fn line(self, time: &Zoned, level: Level, message: &str) -> String {
        let pid = self.process_id;
        let time = self.time(time);
        match self.format {
            LogFormat::Legacy => format!("{pid}:M {time} {} {message}\n", sign_of(level)),
            LogFormat::Logfmt => {
                let message = message.replace('"', "'");
                format!(
                    "pid={pid} role=primary timestamp=\"{time}\" level={} message=\"{message}\"\n",
                    name_of(level)
                )
            }
            LogFormat::Json => format!(
                "{{\"pid\":{pid},\"role\":\"primary\",\"timestamp\":\"{time}\",\"level\":\"{}\",\
                 \"message\":\"{}\"}}\n",
                name_of(level),
                escaped(message)
            ),
        }
    }

    fn time(self, time: &Zoned) -> String {
        match self.timestamp {
            LogTimestamp::Legacy => time.strftime("%d %b %Y %H:%M:%S%.3f").to_string(),
            LogTimestamp::Iso8601 => time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            LogTimestamp::Milliseconds => time.timestamp().as_millisecond().to_string(),
        }
    }
}

const fn sign_of(level: Level) -> char {
    match level {
        Level::ERROR | Level::WARN => '#',
        Level::INFO => '*',
        Level::DEBUG => '-',
        Level::TRACE => '.',
    }
}

const fn name_of(level: Level) -> &'static str {
    match level {
        Level::ERROR | Level::WARN => "warning",
        Level::INFO => "notice",
        Level::DEBUG => "info",
        Level::TRACE => "debug",
    }
}

/// A text between the quotes of JSON.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\\' => escaped.extend(['\\', char]),
            '\u{0}'..='\u{1f}' => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(char));
            }
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: LogFormat, timestamp: LogTimestamp, level: Level, message: &str) -> String {
        let time: Zoned = "2026-11-25T09:05:07.0456+01:00[+01:00]".parse().unwrap();
        Form { process_id: 12, format, timestamp }.line(&time, level, message)
    }

    #[test]
    fn lines_have_the_forms_of_redis_and_valkey() {
        use LogFormat::{Json, Legacy, Logfmt};
        assert_eq!(
            line(Legacy, LogTimestamp::Legacy, Level::INFO, "Server initialized"),
            "12:M 25 Nov 2026 09:05:07.045 * Server initialized\n"
        );
        assert_eq!(
            line(Logfmt, LogTimestamp::Iso8601, Level::WARN, r#"a "b""#),
            "pid=12 role=primary timestamp=\"2026-11-25T09:05:07.045+01:00\" level=warning \
             message=\"a 'b'\"\n"
        );
        assert_eq!(
            line(Json, LogTimestamp::Milliseconds, Level::TRACE, "a \"b\" \u{1}"),
            "{\"pid\":12,\"role\":\"primary\",\"timestamp\":\"1795593907045\",\"level\":\"debug\",\
             \"message\":\"a \\\"b\\\" \\u0001\"}\n"
        );
    }
}
