//! The report of a crash, in the log: what happened, where, during which command, and what the
//! server was. Arguments of commands are not part of it.

use darter_runtime::crash::{self, FatalSignal, InFlight};
use darter_server::REDIS_VERSION;
use darter_server::config::Settings;
use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether crashes are reported.
static IS_WANTED: AtomicBool = AtomicBool::new(true);

/// What the running server can tell about itself.
static FACTS: OnceLock<Box<dyn Fn() -> Vec<String> + Send + Sync>> = OnceLock::new();

/// Reports panics and fatal signals from now on.
pub(crate) fn install() {
    panic::set_hook(Box::new(report_panic));
    if let Err(error) = crash::watch(report_signal) {
        tracing::warn!("crashes will not be reported: {error}");
    }
}

/// Puts changed settings into force.
pub(crate) fn apply(settings: &Settings) {
    IS_WANTED.store(settings.log.reports_crashes, Ordering::Relaxed);
}

/// What is told about the server besides its version. Called while it crashes: it must not wait.
pub(crate) fn set_facts(facts: impl Fn() -> Vec<String> + Send + Sync + 'static) {
    // There is one server in a process.
    let _ = FACTS.set(Box::new(facts));
}

fn report_panic(info: &PanicHookInfo<'_>) {
    if IS_WANTED.load(Ordering::Relaxed) {
        let text = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what = format!("panicked at {place}: {text}");
        let stack = Backtrace::force_capture().to_string();
        report(&what, stack.lines().map(str::to_owned), crash::in_flight());
    } else {
        tracing::error!("{info}");
    }
    crash::mark_reported();
}

fn report_signal(signal: &FatalSignal) {
    if IS_WANTED.load(Ordering::Relaxed) {
        let what = format!(
            "crashed by signal: {} ({}), si_code: {}, accessing address: {:#x}",
            signal.signal,
            signal.name(),
            signal.code,
            signal.address
        );
        report(&what, signal.stack().into_iter(), signal.in_flight);
    }
}

fn report(what: &str, stack: impl Iterator<Item = String>, in_flight: InFlight) {
    let line = |text: &str| tracing::error!("{text}");
    line("=== DARTER BUG REPORT START: Cut & paste starting from here ===");
    line(&format!("Darter {} {what}", env!("CARGO_PKG_VERSION")));
    line("------ STACK TRACE ------");
    line(&format!("Thread: {}", thread::current().name().unwrap_or("unnamed")));
    stack.for_each(|frame| line(&frame));
    line("------ CURRENT COMMAND ------");
    let InFlight { command, arguments, client } = in_flight;
    if command.is_empty() {
        line("none");
    } else {
        let whose = match client {
            0 => "a client of another worker".to_owned(),
            id => format!("client id={id}"),
        };
        line(&format!("{command}, {arguments} arguments, of {whose}"));
    }
    line("------ SERVER ------");
    line(&format!(
        "darter_version:{} redis_version:{REDIS_VERSION} git_sha1:{} arch_bits:{} process_id:{}",
        env!("CARGO_PKG_VERSION"),
        crate::start::COMMIT,
        usize::BITS,
        std::process::id()
    ));
    for fact in FACTS.get().map(|facts| facts()).unwrap_or_default() {
        line(&fact);
    }
    line("=== DARTER BUG REPORT END. Please report it with the lines from START to END. ===");
}
