//! `--check-system`: whether the machine is set up for a cache server, a line each, in the form of
//! Redis's.

use crate::files;
use darter_server::config::memory_limit;
use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What a look at the system says.
enum Finding {
    Fine,
    /// Works, but not as well as it could; how to change that.
    Warning(String),
    /// The system does not tell.
    Skipped,
}

/// A check and the name it is shown with.
type Check = (&'static str, fn() -> Finding);

/// Every check.
const CHECKS: &[Check] = &[
    ("overcommit", overcommit),
    ("THP", huge_pages),
    ("backlog", backlog),
    ("open-files", open_files),
    ("memory", memory),
    ("io_uring", io_uring),
];

/// Runs them all and tells of them on standard output. Warnings keep nobody from running.
pub(crate) fn run() -> ExitCode {
    let line = |(name, check): &Check| match check() {
        Finding::Fine => format!("[{name}]...OK\n"),
        Finding::Skipped => format!("[{name}]...skipped\n"),
        Finding::Warning(how) => format!("[{name}]...WARNING:\n{how}\n"),
    };
    let text: Vec<String> = CHECKS.iter().map(line).collect();
    // Nobody to tell when standard output is closed.
    let _ = io::stdout().lock().write_all(text.concat().as_bytes());
    ExitCode::SUCCESS
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn overcommit() -> Finding {
    match setting("/proc/sys/vm/overcommit_memory").as_deref() {
        None => Finding::Skipped,
        Some("2") => Finding::Warning(
            "Memory overcommit is switched off: allocations may fail while there is memory left. \
             Set vm.overcommit_memory to 0 or 1."
                .to_owned(),
        ),
        Some(_) => Finding::Fine,
    }
}

fn huge_pages() -> Finding {
    match setting("/sys/kernel/mm/transparent_hugepage/enabled") {
        None => Finding::Skipped,
        // Darter asks for small pages itself; this is about what else runs here.
        Some(text) if text.contains("[always]") => Finding::Warning(
            "Transparent huge pages are always used: other programs may cause pauses. Set \
             /sys/kernel/mm/transparent_hugepage/enabled to madvise."
                .to_owned(),
        ),
        Some(_) => Finding::Fine,
    }
}

fn backlog() -> Finding {
    match setting("/proc/sys/net/core/somaxconn").and_then(|text| text.parse::<u32>().ok()) {
        None => Finding::Skipped,
        Some(most) if most < BACKLOG => Finding::Warning(format!(
            "net.core.somaxconn is {most}, lower than the default tcp-backlog of {BACKLOG}: many \
             connections at once may be refused."
        )),
        Some(_) => Finding::Fine,
    }
}

/// The default of `tcp-backlog`.
const BACKLOG: u32 = 511;

/// The default of `maxclients`.
const CLIENTS: u64 = 10_000;

fn open_files() -> Finding {
    let needed = CLIENTS + files::reserve(1);
    let limit = files::raise_to(needed);
    if limit.now >= needed {
        return Finding::Fine;
    }
    Finding::Warning(format!(
        "At most {} open files are allowed, {needed} are needed for {CLIENTS} clients: raise 'ulimit \
         -n' or LimitNOFILE.",
        limit.now
    ))
}

fn memory() -> Finding {
    match memory_limit::read() {
        None => Finding::Skipped,
        Some(_) => Finding::Fine,
    }
}

fn io_uring() -> Finding {
    match setting("/proc/sys/kernel/io_uring_disabled").as_deref() {
        None | Some("0") => Finding::Fine,
        Some(_) => Finding::Warning(
            "io_uring is switched off (kernel.io_uring_disabled): the epoll reactor is used instead."
                .to_owned(),
        ),
    }
}
