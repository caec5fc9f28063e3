//! The log, line by line as Redis writes it: `pid:M 21 Nov 2026 10:00:00.123 * message`.
//!
//! The letter behind the process id is the role, the sign before the message the level: `.` debug,
//! `-` verbose, `*` notice, `#` warning. Scripts find what they look for in the message.

use darter_server::config::LogLevel;
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Changes which events are logged.
pub(crate) type LevelHandle = reload::Handle<LevelFilter, tracing_subscriber::Registry>;

/// Starts logging to `file`, or to standard output when it is empty.
pub(crate) fn start(level: LogLevel, file: &str) -> io::Result<LevelHandle> {
    let writer = if file.is_empty() {
        BoxMakeWriter::new(io::stdout)
    } else {
        let file = OpenOptions::new().create(true).append(true).open(file)?;
        BoxMakeWriter::new(Mutex::new(file))
    };
    let (filter, handle) = reload::Layer::new(filter_of(level));
    let lines = tracing_subscriber::fmt::layer().event_format(RedisLine::new()).with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(handle)
}

/// The filter that lets events of `level` through, and all that matter more.
pub(crate) const fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Nothing => LevelFilter::OFF,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Debug => LevelFilter::TRACE,
    }
}

/// The form of a line.
struct RedisLine {
    process_id: u32,
}

impl RedisLine {
    fn new() -> Self {
        Self { process_id: std::process::id() }
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

impl<S, N> FormatEvent<S, N> for RedisLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = jiff::Zoned::now();
        let mut text = Text::default();
        event.record(&mut text);
        writeln!(
            writer,
            "{}:M {} {} {}{}",
            self.process_id,
            time.strftime("%d %b %Y %H:%M:%S%.3f"),
            sign_of(*event.metadata().level()),
            text.message,
            text.fields
        )
    }
}

/// The message of an event, and its other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A line break in a value must not look like another line of the log.
        let shown = format!("{value:?}").replace(['\n', '\r'], " ");
        if field.name() == "message" {
            self.message = shown;
        } else {
            self.fields.extend([" ", field.name(), "=", &shown]);
        }
    }
}
