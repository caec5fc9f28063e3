//! Servers that are ended and started again: what is left of their data.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::mode::{ServerMode, darter_binary};
use crate::{Client, Server, ServerSpec, Value};

/// How long a loaded machine may take for anything.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Darter in `mode`, with its files in `directory`.
///
/// # Panics
/// If there is no binary to test.
pub fn darter_in(mode: ServerMode, directory: &Path, more: &[&str]) -> ServerSpec {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    in_directory(&mode.spec(&program), directory, more)
}

/// A server with its files in `directory`.
///
/// # Panics
/// If the path is no UTF-8.
pub fn in_directory(spec: &ServerSpec, directory: &Path, more: &[&str]) -> ServerSpec {
    let directory = directory.to_str().expect("directories of tests have plain names");
    let mut arguments = vec!["--dir".to_owned(), directory.to_owned()];
    arguments.extend(more.iter().map(|&word| word.to_owned()));
    spec.with_arguments(&arguments)
}

/// Whether there is a valkey-server 9 on this machine.
pub fn has_valkey() -> bool {
    let version = Command::new("valkey-server").arg("--version").output();
    version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("v=9."))
}

/// The peers that this machine has.
pub fn peers() -> Vec<&'static str> {
    ["redis-server"].into_iter().chain(has_valkey().then_some("valkey-server")).collect()
}

/// The reply to a line of words; two single quotes stand for an empty word.
///
/// # Panics
/// If there is none.
pub fn call(client: &mut Client, line: &str) -> Value {
    let words: Vec<String> = line.split(' ').map(|word| word.replace("''", "")).collect();
    client.call(&words).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// `+OK`.
pub fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// Tries `what` until it is true, for as long as a loaded machine may need.
pub fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if what() {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Asks again and again, without a pause, until it is so.
///
/// # Panics
/// If it is not within `patience`.
pub fn wait_for(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::yield_now();
    }
}

/// Waits until the process has ended.
///
/// # Panics
/// If it does not.
pub fn wait_for_end(server: &mut Server) {
    let deadline = Instant::now() + PATIENCE;
    while server.is_running() {
        assert!(Instant::now() < deadline, "it does not end: {}", server.log());
        thread::sleep(PAUSE);
    }
}

/// Asks the process to end, and waits until it has.
///
/// # Panics
/// If it does not.
pub fn terminate(server: &mut Server) {
    signal(server, "-TERM");
    wait_for_end(server);
}

/// Ends the process without its help, and waits until it has ended.
///
/// # Panics
/// If it does not.
pub fn kill(server: &mut Server) {
    signal(server, "-KILL");
    wait_for_end(server);
}

/// Lets the process stand still. When this returns it does: the system tells one thread, which may have to wait for a processor
/// while the others still answer.
///
/// # Panics
/// If it does not.
pub fn stand_still(server: &Server) {
    signal(server, "-STOP");
    let tasks = format!("/proc/{}/task", server.pid());
    let stands = |task: fs::DirEntry| {
        let line = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // Behind the name, which can be anything.
        line.rsplit_once(") ").is_none_or(|(_, behind)| behind.starts_with('T'))
    };
    let all_stand = || fs::read_dir(&tasks).is_ok_and(|tasks| tasks.flatten().all(stands));
    assert!(eventually(all_stand), "a thread of {} runs", server.pid());
}

/// Lets it go on.
///
/// # Panics
/// If there is none.
pub fn go_on(server: &Server) {
    signal(server, "-CONT");
}

/// Sends a signal, which has its effect some time later.
///
/// # Panics
/// If that cannot be done.
pub fn signal(server: &Server, signal: &str) {
    let sent = Command::new("kill").arg(signal).arg(server.pid().to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
}

/// A field of INFO.
///
/// # Panics
/// If there is none of that name.
pub fn info(client: &mut Client, section: &str, field: &str) -> String {
    info_field(&call(client, &format!("INFO {section}")), field)
}

/// A field of what INFO has answered.
///
/// # Panics
/// If there is none of that name.
pub fn info_field(info: &Value, field: &str) -> String {
    let Value::Bulk(text) = info else { panic!("INFO is text: {info:?}") };
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).to_owned()
}
