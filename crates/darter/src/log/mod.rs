//! The log: events of `tracing`, a line each.
//!
//! * [`line`](mod@line): the forms of a line, Redis's by default.
//! * [`sink`]: where lines go.

mod line;
mod sink;

use darter_server::config::{LogLevel, LogSettings};
use line::Form;
use sink::Sink;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The running log, to change how it works.
#[derive(Clone)]
pub(crate) struct Log {
    level: reload::Handle<LevelFilter, tracing_subscriber::Registry>,
    shared: Arc<Mutex<Shared>>,
}

/// What writing a line needs.
struct Shared {
    form: Form,
    sink: Sink,
}

impl Log {
    /// Starts logging. An error when the file cannot be opened.
    pub(crate) fn start(settings: &LogSettings) -> io::Result<Self> {
        let sink = Sink::open(settings)?;
        let shared = Arc::new(Mutex::new(Shared { form: Form::of(settings), sink }));
        let (filter, level) = reload::Layer::new(filter_of(settings.level));
        let lines = Lines { shared: Arc::clone(&shared) };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { level, shared })
    }

    /// Puts level and form of changed settings into force.
    pub(crate) fn apply(&self, settings: &LogSettings) {
        // Fails only when the log is gone, which happens at the end.
        let _ = self.level.reload(filter_of(settings.level));
        lock(&self.shared).form = Form::of(settings);
    }

    /// Writes `text` as it is, in Redis's form only: the others have nothing but events.
    pub(crate) fn picture(&self, text: &str) {
        let mut shared = lock(&self.shared);
        if shared.form.takes_pictures() {
            shared.sink.write(text.as_bytes());
        }
    }
}

/// A thread that panicked while it held the log has at worst left half a line.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The filter that lets events of `level` through, and all that matter more.
const fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Nothing => LevelFilter::OFF,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Debug => LevelFilter::TRACE,
    }
}

/// Makes a line of every event.
struct Lines {
    shared: Arc<Mutex<Shared>>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        text.message.push_str(&text.fields);
        let level = *event.metadata().level();
        let mut shared = lock(&self.shared);
        let line = shared.form.line(&jiff::Zoned::now(), level, &text.message);
        shared.sink.write(line.as_bytes());
        shared.sink.write_to_syslog(level, &text.message);
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
