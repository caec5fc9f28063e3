//! Disks that answer with errors: system calls of a server at work are made to fail (strace), for as long as the tracer is
//! there. Writes are refused while reads go on, nothing that failed to be synced is synced again, all is well within a
//! second of the end of the errors, and nothing acknowledged is lost with the process.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use darter_testkit::durable::{call, darter_in, eventually, info, kill, ok};
use darter_testkit::mode::{SERVER_MODES, ServerMode};
use darter_testkit::{Client, Server, Value};

/// One shard and many, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// Clients that write all the time.
const WRITERS: usize = 3;

/// Files of the log that a server comes to in a test, at most.
const FILES_MAX: usize = 30;

/// What fails.
struct Fault {
    /// The calls, as in `-e inject`.
    injections: &'static [&'static str],
    /// Of the log's files alone; of any file otherwise.
    is_of_log: bool,
    /// How often it is to fail at least.
    times: usize,
    /// What makes it happen.
    command: Option<&'static str>,
}

const fn of_log(injections: &'static [&'static str], times: usize) -> Fault {
    Fault { injections, is_of_log: true, times, command: None }
}

const fn of_any(injections: &'static [&'static str], times: usize) -> Fault {
    Fault { injections, is_of_log: false, times, command: None }
}

/// Of files of the log, whatever brings them onto the disk.
const WRITES: &[Fault] = &[
    of_log(&["write,writev:error=EIO"], 3),
    of_log(&["write,writev:error=ENOSPC"], 3),
    of_log(&["write,writev:error=EDQUOT"], 3),
    // What was written in part cannot be cut off again.
    of_log(&["write,writev:error=ENOSPC", "ftruncate:error=EIO"], 2),
];

/// What comes of a sync that fails.
const SYNCS: &[Fault] = &[
    of_any(&["fdatasync:error=EIO"], 1),
    of_any(&["fdatasync,fsync:error=EIO"], 3),
    of_any(&["fdatasync:error=EIO", "rename:error=EIO"], 3),
    of_any(&["fdatasync:error=EIO", "openat:error=EIO"], 3),
    Fault {
        injections: &["fdatasync:error=EIO"],
        is_of_log: false,
        times: 2,
        command: Some("BGREWRITEAOF"),
    },
    Fault {
        injections: &["fsync:error=EIO"],
        is_of_log: false,
        times: 3,
        command: Some("BGREWRITEAOF"),
    },
    Fault {
        injections: &["rename:error=EIO"],
        is_of_log: false,
        times: 3,
        command: Some("BGREWRITEAOF"),
    },
];

/// Of the file of all data.
const SAVES: &[Fault] = &[
    Fault { injections: &["fsync:error=EIO"], is_of_log: false, times: 2, command: Some("BGSAVE") },
    Fault {
        injections: &["rename:error=EIO"],
        is_of_log: false,
        times: 1,
        command: Some("BGSAVE"),
    },
    Fault {
        injections: &["openat:error=EIO"],
        is_of_log: false,
        times: 2,
        command: Some("BGSAVE"),
    },
];

/// Calls that fail while this is there.
struct Errors {
    tracer: Child,
    trace: PathBuf,
}

impl Errors {
    /// Lets calls of all threads of a server fail from now on.
    fn begin(server: &Server, fault: &Fault, data: &Path, trace: PathBuf) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-s", "60", "-p", &server.pid().to_string(), "-o"]);
        command.arg(&trace);
        let calls = fault.injections.iter().map(|injection| injection.split(':').next().unwrap());
        command.arg("-e").arg(format!("trace={}", calls.collect::<Vec<_>>().join(",")));
        for injection in fault.injections {
            command.arg("-e").arg(format!("inject={injection}"));
        }
        if fault.is_of_log {
            for number in 1..FILES_MAX {
                let name = format!("appendonlydir/appendonly.aof.{number}.incr.aof");
                command.arg("-P").arg(data.join(name));
            }
        }
        let tracer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { tracer, trace }
    }

    fn trace(&self) -> String {
        fs::read_to_string(&self.trace).unwrap_or_default()
    }

    /// Lets everything succeed again.
    fn end(mut self) -> String {
        let tracer = self.tracer.id().to_string();
        assert!(Command::new("kill").arg(tracer).status().unwrap().success());
        self.tracer.wait().unwrap();
        self.trace()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}

/// Whether somebody watches each thread.
fn is_traced(server: &Server) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    threads.filter_map(Result::ok).all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}

fn is_refusal(value: &Value) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(b"MISCONF "))
}

/// Writes, and tries again what was refused, until told to stop; how much was acknowledged.
fn write(mut client: Client, writer: usize, stops: &AtomicBool) -> u64 {
    let mut count = 0;
    while !stops.load(Ordering::Relaxed) {
        let answer = client.call(&["SET", &format!("{writer}:{count}"), "x"]).unwrap();
        if is_refusal(&answer) {
            thread::sleep(Duration::from_millis(2));
        } else {
            assert_eq!(answer, ok());
            count += 1;
        }
    }
    count
}

/// Asserts that no file was synced again after that had failed.
fn assert_no_second_sync(trace: &str, context: &str) {
    let mut failed = BTreeMap::new();
    // A call that took its time is on two lines, the file on the first.
    let mut begun = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_sync = call.starts_with("fsync(") || call.starts_with("fdatasync(");
        let file = call.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let file = match file {
            Some((file, _)) if is_sync => file,
            _ if call.starts_with("<... f") => begun.remove(thread).unwrap_or_default(),
            _ => continue,
        };
        if call.ends_with("<unfinished ...>") {
            begun.insert(thread, file);
        } else if call.contains("(INJECTED)") && !Path::new(file).is_dir() {
            let times: &mut usize = failed.entry(file.to_owned()).or_default();
            *times += 1;
            assert_eq!(*times, 1, "{context}: {file} was synced again: {trace}");
        }
    }
}

/// What a server does about a fault; how long after the end of the errors it accepts writes.
fn survives(mode: ServerMode, arguments: &[&str], fault: &Fault) -> Duration {
    let context = format!("{mode}, {arguments:?}, {:?}, {:?}", fault.injections, fault.command);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let spec = darter_in(mode, &data, arguments);
    let mut server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "SET before 1"), ok());
    let stops = &AtomicBool::new(false);
    let (heals_after, counts) = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let client = server.connect().unwrap();
                scope.spawn(move || write(client, writer, stops))
            })
            .collect();
        let trace = directory.path().join("trace");
        let errors = Errors::begin(&server, fault, &data, trace);
        let is_traced = eventually(|| is_traced(&server));
        if let Some(command) = fault.command {
            call(&mut client, command);
        }
        let is_refused = eventually(|| is_refusal(&call(&mut client, "PING")));
        let has_failed = eventually(|| errors.trace().matches("(INJECTED)").count() >= fault.times);
        let read = call(&mut client, "GET before");
        // It is refused for as long as that lasts.
        let is_still_refused = is_refusal(&call(&mut client, "PING"));
        let trace = errors.end();
        let since = Instant::now();
        let heals = eventually(|| !is_refusal(&call(&mut client, "PING")));
        let heals_after = since.elapsed();
        stops.store(true, Ordering::Relaxed);
        assert!(is_traced, "strace has to be allowed to attach to a process");
        assert!(is_refused && is_still_refused, "{context}: {}", server.log());
        assert!(has_failed, "{context}: {trace}");
        assert_eq!(read, Value::Bulk(b"1".to_vec()), "{context}");
        assert!(heals, "{context}: {}", server.log());
        assert_no_second_sync(&trace, &context);
        let counts = writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>();
        (heals_after, counts)
    });
    let set = eventually(|| call(&mut client, "SET after 1") == ok());
    assert!(set, "{context}: {}", server.log());
    if arguments.contains(&"no") {
        // Nothing else says when it is in the file.
        assert!(eventually(|| info(&mut client, "persistence", "aof_buffer_length") == "0"));
    } else if arguments.contains(&"--appendonly") {
        assert!(matches!(call(&mut client, "WAITAOF 1 0 0"), Value::Array(_)), "{context}");
    } else {
        assert!(eventually(|| call(&mut client, "SAVE") == ok()), "{context}");
    }
    kill(&mut server);
    let server = Server::start(&spec).unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut client = server.connect().unwrap();
    for key in ["before", "after"] {
        assert_eq!(call(&mut client, &format!("EXISTS {key}")), Value::Integer(1), "{context}");
    }
    for (writer, count) in counts.into_iter().enumerate() {
        for key in 0..count {
            let exists = call(&mut client, &format!("EXISTS {writer}:{key}"));
            assert_eq!(exists, Value::Integer(1), "{context}: {writer}:{key} of {count}");
        }
    }
    heals_after
}

/// A loaded machine may be late now and then.
fn heals_at_once(arguments: &[&str], faults: &[Fault]) {
    for (fault, mode) in faults.iter().zip(MODES.into_iter().cycle()) {
        let heals_at_once =
            (0..3).any(|_| survives(mode, arguments, fault) < Duration::from_secs(1));
        assert!(heals_at_once, "{mode}, {arguments:?}: {:?}", fault.injections);
    }
}

fn log(policy: &str) -> [&str; 6] {
    ["--appendonly", "yes", "--appendfsync", policy, "--save", ""]
}

#[test]
fn a_log_that_cannot_be_written_is_written_when_it_can_be() {
    for policy in ["always", "everysec", "no"] {
        heals_at_once(&log(policy), WRITES);
    }
}

#[test]
fn a_log_that_cannot_be_synced_is_written_anew() {
    for policy in ["always", "everysec"] {
        heals_at_once(&log(policy), SYNCS);
    }
}

#[test]
fn data_that_cannot_be_saved_are_saved_when_they_can_be() {
    heals_at_once(&["--save", "3600 1"], SAVES);
}
