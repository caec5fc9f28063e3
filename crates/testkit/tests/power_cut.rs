//! Machines that lose their power: of what was written only that is there again which was on the disk.
//!
//! The server's system calls are watched (strace), so that it is known how much of each file had been synced when it was
//! killed; the rest is cut off before the next start, or becomes zeroes, as file systems leave it. Names of files
//! are taken to survive: that is what makes losing their contents hurt most.
//!
//! And disks on which a sync fails.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use darter_testkit::durable::{call, darter_in, eventually, info, kill, ok};
use darter_testkit::mode::SERVER_MODES;
use darter_testkit::rounds::{Counts, Rounds, Told, WRITERS, check, load, load_until};
use darter_testkit::{Client, Server, ServerSpec, Value};

/// Times the power goes, per mode.
const CYCLES: usize = 13;

/// The system calls that change files or bring them onto the disk.
const WATCHED: &str = "openat,write,writev,ftruncate,fsync,fdatasync,rename,unlink";

#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    let modes = [SERVER_MODES[2], SERVER_MODES[3], SERVER_MODES[6], SERVER_MODES[7]];
    for mode in modes {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        let arguments = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
        let mut rounds = [Rounds::default(); WRITERS];
        for cycle in 0..=CYCLES {
            let trace = directory.path().join(format!("trace-{cycle}"));
            let spec = darter_in(mode, &data, &arguments);
            let watch = format!("trace={WATCHED}");
            let spec = watched(&spec, directory.path(), &trace, &[], &[&watch]);
            // What is there now has survived a power cut, so it is on the disk.
            let before = sizes(&data);
            let mut server = Server::start(&spec).unwrap();
            let mut client = server.connect().unwrap();
            for (writer, rounds) in rounds.iter_mut().enumerate() {
                let (least, context) = (rounds.acknowledged(), format!("{mode}, cycle {cycle}"));
                check(&mut client, writer, rounds, least, &context);
            }
            let enough = 100 + cycle as u64 * 7919 % 500;
            load(&mut server, &mut rounds, enough, cycle % 2 == 1);
            let pid = server.pid().to_string();
            let is_complete = || fs::read_to_string(&trace).is_ok_and(|trace| is_end(&trace, &pid));
            assert!(eventually(is_complete), "strace has not come to an end");
            let trace = fs::read_to_string(&trace).unwrap();
            cut_power(&data, &synced(&trace, &data, before), cycle % 3 == 2);
        }
    }
}

/// Times the power goes under `everysec`, per mode: each takes some seconds.
const SECONDS_CYCLES: u32 = 4;

/// How much later after a sync the power goes at most, in milliseconds: the next one is under way by then.
const LATER_MAX: u64 = 1200;

/// What a loaded machine may add to the second that may be lost.
const LATE_MAX: Duration = Duration::from_secs(2);

/// A power cut under `everysec`, and what clients had been told of before.
struct Cut {
    at: SystemTime,
    told: Vec<Told>,
    /// What was there when clients began.
    begun: [Counts; WRITERS],
    longest_sync: Duration,
}

impl Cut {
    /// How long before the cut that had been acknowledged which is gone, of what `found` has left of it.
    fn lost(&self, found: &[Counts; WRITERS]) -> Duration {
        let is_lost = |told: &&Told| {
            let counts = told.counts.iter().flatten();
            let left = found.iter().flatten().zip(self.begun.iter().flatten());
            counts.zip(left).any(|(told, (found, begun))| *told > found - begun)
        };
        let oldest = self.told.iter().find(is_lost);
        oldest.map_or(Duration::ZERO, |told| self.at.duration_since(told.at).unwrap_or_default())
    }
}

/// Under `everysec` what is left is a prefix as well, and has everything that was acknowledged before the last sync: all
/// but that of a second, and of what the sync takes.
#[test]
fn a_second_is_lost_with_the_power_at_most() {
    for mode in [SERVER_MODES[2], SERVER_MODES[6]] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        let arguments = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];
        let mut rounds = [Rounds::default(); WRITERS];
        let mut least = [Counts::default(); WRITERS];
        let mut last_cut: Option<Cut> = None;
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut random = fastrand::Rng::with_seed(seed);
        for cycle in 0..=SECONDS_CYCLES {
            let trace = directory.path().join(format!("trace-{cycle}"));
            let spec = darter_in(mode, &data, &arguments);
            let watch = format!("trace={WATCHED}");
            let spec = watched(&spec, directory.path(), &trace, &["-ttt"], &[&watch]);
            let before = sizes(&data);
            let mut server = Server::start(&spec).unwrap();
            let mut client = server.connect().unwrap();
            for (writer, rounds) in rounds.iter_mut().enumerate() {
                let context = format!("{mode}, cycle {cycle}");
                check(&mut client, writer, rounds, least[writer], &context);
            }
            let begun = rounds.map(|rounds| rounds.begun());
            if let Some(cut) = last_cut.take() {
                let (lost, sync) = (cut.lost(&begun), cut.longest_sync);
                let may_be_lost = Duration::from_secs(1) + sync + LATE_MAX;
                let context = format!("{mode}, cycle {cycle}, seed {seed}");
                assert!(lost < may_be_lost, "{context}: {lost:?}, syncs took up to {sync:?}");
            }
            let later = Duration::from_millis(random.u64(0..LATER_MAX));
            let syncs = |client: &mut Client| -> u64 {
                info(client, "persistence", "aof_syncs").parse().unwrap()
            };
            let (syncs_before, mut told) = (syncs(&mut client), Vec::new());
            let mut synced_at = None;
            load_until(&mut server, &mut rounds, cycle % 2 == 1, |counts| {
                told.push(Told { at: SystemTime::now(), counts: *counts });
                thread::sleep(Duration::from_millis(1));
                // At another place between two syncs each time.
                if synced_at.is_none() && syncs(&mut client) >= syncs_before + 2 {
                    synced_at = Some(Instant::now());
                }
                synced_at.is_some_and(|at| at.elapsed() >= later)
            });
            let killed_at = SystemTime::now();
            let pid = server.pid().to_string();
            let read = || fs::read_to_string(&trace).unwrap_or_default();
            let is_complete = || is_end(&untimed(&read()), &pid);
            assert!(eventually(is_complete), "strace has not come to an end");
            let trace = read();
            let safe_at = safe_at(&trace).expect("there were syncs");
            let safe = told.iter().rev().find(|told| told.at <= safe_at);
            for writer in 0..WRITERS {
                let since = safe.map_or(Counts::default(), |told| told.counts[writer]);
                least[writer] = begun[writer];
                least[writer].iter_mut().zip(since).for_each(|(least, since)| *least += since);
            }
            cut_power(&data, &synced(&untimed(&trace), &data, before), cycle % 3 == 2);
            let longest_sync = longest_sync(&trace);
            last_cut = Some(Cut { at: killed_at, told, begun, longest_sync });
        }
    }
}

/// The thread, the time and the call of a line of a trace.
fn timed(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, timed) = line.split_once(' ')?;
    let (time, call) = timed.trim_start().split_once(' ')?;
    Some((thread, time, call))
}

/// How long the longest sync of a trace took of those during which something else happened.
fn longest_sync(trace: &str) -> Duration {
    let mut begun: BTreeMap<&str, f64> = BTreeMap::new();
    let mut longest = 0.0_f64;
    for line in trace.lines() {
        let Some((thread, time, call)) = timed(line) else { continue };
        let Ok(time) = time.parse::<f64>() else { continue };
        if call.starts_with("fdatasync(") && call.ends_with("<unfinished ...>") {
            begun.insert(thread, time);
        } else if call.starts_with("<... fdatasync resumed>")
            && let Some(since) = begun.remove(thread)
        {
            longest = longest.max(time - since);
        }
    }
    Duration::from_secs_f64(longest)
}

/// A trace without its times.
fn untimed(trace: &str) -> String {
    let without = |line: &str| {
        let (thread, _, call) = timed(line)?;
        Some(format!("{thread} {call}\n"))
    };
    trace.lines().filter_map(without).collect()
}

/// What was acknowledged until then was on the disk after the last sync of a trace that came to its end: what was recorded
/// until the last write but one had begun is in the last one before that sync, at the latest.
fn safe_at(trace: &str) -> Option<SystemTime> {
    // Of each file: the first write to a new one is not of what waited, and a sync is of one file.
    let mut writes: BTreeMap<PathBuf, Vec<f64>> = BTreeMap::new();
    // A sync does not wait for a write that is under way.
    let mut writing: BTreeMap<&str, (PathBuf, f64)> = BTreeMap::new();
    let mut begun: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    let mut safe_at = None;
    for line in trace.lines() {
        let (thread, timed) = line.split_once(' ')?;
        let Some((time, call)) = timed.trim_start().split_once(' ') else { continue };
        if call.starts_with("<... fdatasync resumed>") || call.starts_with("<... fsync resumed>") {
            let sync = begun.remove(thread).flatten();
            safe_at = if call.ends_with("= 0") && sync.is_some() { sync } else { safe_at };
        } else if call.starts_with("<... write")
            && let Some((path, time)) = writing.remove(thread)
        {
            writes.entry(path).or_default().push(time);
        }
        let file = file_of(call).filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
        let Some(path) = file else { continue };
        let is_unfinished = call.ends_with(" <unfinished ...>");
        if call.starts_with("write") {
            let time = time.parse().expect("seconds");
            if is_unfinished {
                writing.insert(thread, (path, time));
            } else {
                writes.entry(path).or_default().push(time);
            }
        } else if call.starts_with("fdatasync") || call.starts_with("fsync") {
            let written = writes.get(&path).map_or(&[][..], Vec::as_slice);
            let last_but_one = written.len().checked_sub(2).map(|at| written[at]);
            if is_unfinished {
                begun.insert(thread, last_but_one);
            } else if call.ends_with("= 0") {
                safe_at = last_but_one.or(safe_at);
            }
        }
    }
    Some(UNIX_EPOCH + Duration::from_secs_f64(safe_at?))
}

#[test]
fn a_trace_tells_what_was_safe() {
    let trace = "\
        7 1.0 writev(3</d/a.1.incr.aof>, [], 1) = 5\n\
        7 2.0 write(3</d/a.1.incr.aof>, \"x\", 1) = 1\n\
        8 2.5 fdatasync(3</d/a.1.incr.aof> <unfinished ...>\n\
        7 3.0 write(3</d/a.1.incr.aof>, \"x\", 1) = 1\n\
        8 3.5 <... fdatasync resumed>) = 0\n";
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(safe_at(trace), at(1));
    assert_eq!(longest_sync(trace), Duration::from_secs(1));
    let later = "8 4.0 fdatasync(3</d/a.1.incr.aof>) = 0\n";
    assert_eq!(safe_at(&format!("{trace}{later}")), at(2));
    let during = "\
        7 5.0 write(3</d/a.1.incr.aof>, \"x\", 1 <unfinished ...>\n\
        8 5.5 fdatasync(3</d/a.1.incr.aof>) = 0\n\
        7 6.0 <... write resumed>) = 1\n";
    assert_eq!(safe_at(&format!("{trace}{during}")), at(2));
    assert_eq!(safe_at(&format!("{trace}{during}{later}")), at(3));
    let next = "\
        7 5.0 write(4</d/a.2.incr.aof>, \"header\", 6) = 6\n\
        8 5.5 fdatasync(4</d/a.2.incr.aof>) = 0\n";
    assert_eq!(safe_at(&format!("{trace}{next}")), at(1));
    let failed = "8 4.0 fdatasync(3</d/a.1.incr.aof>) = -1 EIO (Input/output error)\n";
    assert_eq!(safe_at(&format!("{trace}{failed}")), at(1));
    assert_eq!(untimed("7   1.5 +++ exited +++\n"), "7 +++ exited +++\n");
}

#[test]
fn a_sync_that_failed_is_made_up_for_by_a_new_base() {
    let mode = SERVER_MODES[2];
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let arguments = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
    let spec = darter_in(mode, &data, &arguments);
    let trace = directory.path().join("trace");
    // The second one of a thread; only that of the log comes to two.
    let failing = ["trace=fdatasync", "inject=fdatasync:error=EIO:when=2"];
    let mut server =
        Server::start(&watched(&spec, directory.path(), &trace, &[], &failing)).unwrap();
    let mut client = server.connect().unwrap();
    for value in 1..=5 {
        // What was not on the disk is answered when it is, in the base.
        assert_eq!(call(&mut client, &format!("SET k {value}")), ok());
    }
    assert!(server.log().contains("Error writing to the AOF file"), "{}", server.log());
    assert_eq!(info(&mut client, "persistence", "aof_rewrites"), "1");
    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "ok");
    kill(&mut server);
    let trace = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let at = lines.iter().position(|line| line.contains("EIO")).expect("a sync has failed");
    let (before, later) = lines.split_at(at + 1);
    // A call that took its time is on two lines, the file on the first.
    let thread = lines[at].split(' ').next();
    let of_thread = before.iter().rev().filter(|line| line.split(' ').next() == thread);
    let failed = of_thread.copied().find_map(file_of).unwrap();
    let again = later.iter().filter(|line| file_of(line).as_ref() == Some(&failed)).count();
    assert_eq!(again, 0, "{} was synced again: {trace}", failed.display());
    let server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "GET k"), Value::Bulk(b"5".to_vec()));
}

/// The same server with its system calls watched, by these expressions of strace.
fn watched(
    spec: &ServerSpec,
    directory: &Path,
    trace: &Path,
    options: &[&str],
    expressions: &[&str],
) -> ServerSpec {
    let program = directory.join("watched");
    let expressions: String =
        expressions.iter().flat_map(|expression| [" -e '", *expression, "'"]).collect();
    let script = format!(
        "#!/bin/sh\nexec strace -D -f --seccomp-bpf -qq -y -s 400 {}{expressions} -o '{}' '{}' \"$@\"\n",
        options.join(" "),
        trace.display(),
        spec.program.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    ServerSpec { program, ..spec.clone() }
}

/// Every file below a directory, and how long it is.
fn sizes(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(sizes(&entry.path()));
        } else {
            found.insert(entry.path(), metadata.len());
        }
    }
    found
}

/// A file as the system calls have left it.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    bytes: u64,
    synced: u64,
}

/// Whether a trace goes to where the process was killed. Short numbers of processes have more spaces behind them.
fn is_end(trace: &str, pid: &str) -> bool {
    trace.lines().rev().any(|line| {
        line.split_once(' ')
            .is_some_and(|(of, what)| of == pid && what.trim_start() == "+++ killed by SIGKILL +++")
    })
}

/// How much of each file is on the disk after the system calls of a trace, of a process in `directory`.
fn synced(trace: &str, directory: &Path, before: BTreeMap<PathBuf, u64>) -> BTreeMap<PathBuf, u64> {
    let on_disk = |(path, bytes)| (path, Written { bytes, synced: bytes });
    let mut files: BTreeMap<PathBuf, Written> = before.into_iter().map(on_disk).collect();
    // Calls that have begun, by thread, with what the file held then.
    let mut begun: BTreeMap<&str, (String, u64)> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let whole = if let Some(rest) = call.strip_prefix("<... ") {
            let Some((head, bytes)) = begun.remove(thread) else { continue };
            let rest = rest.split_once('>').map_or("", |(_, rest)| rest);
            apply(&mut files, &format!("{head}{rest}"), directory, bytes);
            continue;
        } else if let Some(head) = call.strip_suffix(" <unfinished ...>") {
            let bytes =
                file_of(head).and_then(|path| files.get(&path)).map_or(0, |file| file.bytes);
            begun.insert(thread, (head.to_owned(), bytes));
            continue;
        } else {
            call
        };
        let bytes = file_of(whole).and_then(|path| files.get(&path)).map_or(0, |file| file.bytes);
        apply(&mut files, whole, directory, bytes);
    }
    // Calls whose results the process did not live to see.
    for (call, bytes) in begun.into_values() {
        apply(&mut files, &format!("{call}) = ?"), directory, bytes);
    }
    files.into_iter().map(|(path, file)| (path, file.synced)).collect()
}

/// The file that a call's first argument is.
fn file_of(call: &str) -> Option<PathBuf> {
    let (_, arguments) = call.split_once('(')?;
    let (_, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    arguments.starts_with(|digit: char| digit.is_ascii_digit()).then(|| PathBuf::from(path))
}

/// What a call has done to the files; a sync brings those `bytes` onto the disk that were there when it began.
fn apply(files: &mut BTreeMap<PathBuf, Written>, call: &str, directory: &Path, bytes: u64) {
    let Some((name, _)) = call.split_once('(') else { return };
    let Some((arguments, result)) = call.rsplit_once(" = ") else { return };
    let texts = arguments.split('"').skip(1).step_by(2);
    let paths: Vec<PathBuf> = texts.map(|text| directory.join(text)).collect();
    // Nobody was told whether a file has another name, but it can be seen.
    let is_renamed = || name == "rename" && !paths[0].exists();
    if result.starts_with('-') || (result.starts_with('?') && !is_renamed()) {
        return;
    }
    match (name, file_of(call)) {
        ("openat", _) if arguments.contains("O_TRUNC") => {
            files.insert(paths[0].clone(), Written::default());
        }
        ("write" | "writev", Some(path)) => {
            let count: u64 = result.trim().parse().unwrap_or(0);
            if let Some(file) = files.get_mut(&path) {
                file.bytes += count;
            }
        }
        ("ftruncate", Some(path)) => {
            let (_, length) = arguments.rsplit_once(", ").unwrap();
            let length: u64 = length.trim_end_matches(')').parse().unwrap();
            if let Some(file) = files.get_mut(&path) {
                *file = Written { bytes: length, synced: file.synced.min(length) };
            }
        }
        ("fsync" | "fdatasync", Some(path)) => {
            if let Some(file) = files.get_mut(&path) {
                file.synced = file.synced.max(bytes);
            }
        }
        ("rename", _) => {
            if let Some(file) = files.remove(&paths[0]) {
                files.insert(paths[1].clone(), file);
            }
        }
        ("unlink", _) => {
            files.remove(&paths[0]);
        }
        _ => {}
    }
}

/// Leaves of each file what was on the disk; what was not is gone, or zeroes.
fn cut_power(directory: &Path, synced: &BTreeMap<PathBuf, u64>, leaves_zeroes: bool) {
    for (path, present) in sizes(directory) {
        let kept = synced.get(&path).copied().unwrap_or(0).min(present);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(kept).unwrap();
        if leaves_zeroes {
            file.set_len(present).unwrap();
        }
    }
}

#[test]
fn a_trace_tells_what_was_on_the_disk() {
    let trace = "\
        7 openat(AT_FDCWD</>, \"/d/a\", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3</d/a>\n\
        7 write(3</d/a>, \"x\"..., 10) = 10\n\
        8 fdatasync(3</d/a> <unfinished ...>\n\
        7 writev(3</d/a>, [{iov_base=\"y\", iov_len=5}], 1) = 5\n\
        8 <... fdatasync resumed>) = 0\n\
        7 rename(\"a\", \"/d/b\") = 0\n\
        7 write(4</d/old>, \"z\", 1) = 1\n\
        7 fdatasync(4</d/old>) = -1 EIO (Input/output error)\n\
        7 ftruncate(5</d/cut>, 3) = 0\n\
        8 rename(\"old\", \"/d/new\" <unfinished ...>\n";
    let before = [("/d/old", 4), ("/d/cut", 9)].map(|(path, bytes)| (PathBuf::from(path), bytes));
    let found = synced(trace, Path::new("/d"), before.into());
    assert!(is_end("41 x\n7   +++ killed by SIGKILL +++\n42 +++ exited with 0 +++\n", "7"));
    assert!(!is_end("17 +++ killed by SIGKILL +++\n", "7") && !is_end(trace, "7"));
    let expected = [("/d/b", 10), ("/d/new", 4), ("/d/cut", 3)];
    assert_eq!(found, expected.map(|(path, bytes)| (PathBuf::from(path), bytes)).into());
}
