//! Directories that something has damaged: whatever it was, the server refuses to start and says where the damage is and what
//! to do, or has all data, or, where only the end of the log is torn, those of a whole prefix of what happened, and
//! says so. `darter check-aof` and `darter check-rdb` find the same, and what `--fix` leaves is a prefix.
//!
//! `DARTER_DAMAGES` says how many damages are tried, `DARTER_SEED` which; what came of them is printed.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::print_stdout, reason = "it tells how many damages came to what")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use darter_testkit::durable::{call, darter_in, eventually, info, kill, ok};
use darter_testkit::encodings::contents;
use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::request::{encode, words};
use darter_testkit::{Client, Server, Value};
use tempfile::TempDir;

/// The modes in which directories are written, and damaged ones are started.
const MODES: [ServerMode; 3] = [SERVER_MODES[2], SERVER_MODES[6], SERVER_MODES[0]];

/// How many damages are tried unless `DARTER_DAMAGES` says so.
const DAMAGES: usize = 420;

/// Longer than any of the tools may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(20);

/// Neither of the three.
const WRONG: &str = "wrong";

/// In the middle of 2100: alive, however slow the machine is.
const DEADLINE_MS: i64 = 4_118_000_000_123;

const LIBRARY: &str = "#!lua name=l\nredis.register_function('f', function() return 7 end)";

/// All that a server shows of its data.
type State = (Value, Value);

/// A directory's files, by their paths in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A directory that a server has written, and how it came to be.
struct Subject {
    name: &'static str,
    options: Vec<&'static str>,
    files: Files,
    /// The data after each step.
    states: Vec<State>,
    /// The file whose end may be torn, if there is one.
    last: Option<PathBuf>,
    /// The sizes that it had, and how many steps were in it then.
    sizes: Vec<(usize, usize)>,
    /// Files as they were at some time, and of another directory.
    others: Vec<(String, PathBuf, Vec<u8>)>,
}

/// What may come of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    /// All data, or a refusal.
    AllOrNothing,
    /// A prefix of at least so many steps as well.
    Prefix(usize),
}

struct Damage {
    what: String,
    files: Files,
    allowed: Allowed,
    /// The file that something was done to.
    path: PathBuf,
    /// Whether it is the only one, and what was done has a place in it.
    has_place: bool,
}

/// What came of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Whole,
    /// So many steps, of which the log told.
    Torn(usize),
    /// Cut off exactly behind a chunk, or an older file: nothing can tell.
    Short(usize),
}

fn state(client: &mut Client) -> State {
    (call(client, "DEBUG DIGEST"), call(client, "FUNCTION LIST WITHCODE"))
}

fn run(client: &mut Client, request: &[Vec<u8>]) {
    let reply = client.call(request).unwrap();
    assert!(!matches!(reply, Value::Error(_)), "{reply:?}");
}

fn run_line(client: &mut Client, line: &str) {
    run(client, &words(line));
}

/// The `step`-th change: a single command, one over many shards, a transaction or a script, each of which is there as a
/// whole or not at all, and none of which leaves the data as they were.
fn change(client: &mut Client, step: usize) {
    let many = |command: &str| {
        let pairs: Vec<_> = (0..8).map(|index| format!("{command}{index} {step}")).collect();
        format!("{command} {}", pairs.join(" "))
    };
    match step % 12 {
        0 => run_line(client, &format!("SET text {step}")),
        1 => run_line(client, &many("MSET")),
        2 => {
            run_line(client, "MULTI");
            for index in 0..8 {
                run_line(client, &format!("SET multi{index} {step}"));
            }
            run_line(client, "SELECT 3");
            run_line(client, &format!("RPUSH other {step}"));
            run_line(client, "SELECT 0");
            run_line(client, "EXEC");
        }
        3 => {
            let script = "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end";
            let head = ["EVAL".to_owned(), script.to_owned(), "8".to_owned()];
            let keys = (0..8).map(|index| format!("script{index}"));
            let words = head.into_iter().chain(keys).chain([step.to_string()]);
            run(client, &words.map(String::into_bytes).collect::<Vec<_>>());
        }
        4 => run_line(client, &format!("RPUSH steps {step}")),
        5 => run_line(client, &format!("ZADD scores {step} member{step}")),
        6 => run_line(client, &format!("HSET fields f{step} {step} last {step}")),
        7 => run_line(client, &format!("XADD events * step {step}")),
        8 => run_line(client, &format!("SADD members {step}")),
        9 => run_line(client, "INCR count"),
        10 => run_line(client, &format!("SET timed {step} PXAT {DEADLINE_MS}")),
        _ => run(
            client,
            &[b"SET".to_vec(), b"long".to_vec(), step.to_string().repeat(300).into_bytes()],
        ),
    }
}

/// Keys of every type in every form, and a function.
fn fill(client: &mut Client) {
    for command in contents().iter().flat_map(|(_, setup)| setup) {
        run(client, command);
    }
    run_line(client, &format!("PEXPIREAT hash {DEADLINE_MS}"));
    run(client, &["FUNCTION", "LOAD", LIBRARY].map(|word| word.as_bytes().to_vec()));
}

fn read_files(directory: &Path) -> Files {
    let mut files = Files::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                files.insert(path.strip_prefix(directory).unwrap().to_owned(), content);
            }
        }
    }
    files
}

/// What a start does not delete: what a killed process has not finished.
fn lasting(directory: &Path) -> Files {
    let mut files = read_files(directory);
    files.retain(|path, _| !path.file_name().unwrap().to_string_lossy().starts_with("temp-"));
    files
}

fn write_files(directory: &Path, files: &Files) {
    for (path, content) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Waits for a snapshot to be there.
fn settled(server: &Server) {
    let mut client = server.connect().unwrap();
    assert!(eventually(|| {
        ["aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"]
            .iter()
            .all(|field| info(&mut client, "persistence", field) == "0")
    }));
}

/// The last incremental file.
fn last_of(files: &Files) -> Option<PathBuf> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("appendonly.aof.")?.strip_suffix(".incr.aof")?.parse::<u64>().ok()
    };
    files.keys().filter_map(|path| Some((number(path)?, path))).max().map(|(_, path)| path.clone())
}

/// What a subject does in the middle of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Writes the log anew, and saves.
    Rewrite,
    /// Is killed while it writes the log anew.
    HalfRewrite,
    /// Is started with a log of commands as of Redis before 7.0.
    OldLog,
    /// Saves only.
    Save,
}

/// Writes a directory.
fn write_subject(
    name: &'static str,
    mode: ServerMode,
    options: &[&'static str],
    turn: Turn,
    steps: usize,
) -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let mut others = Vec::new();
    if turn == Turn::OldLog {
        let mut log = Vec::new();
        for command in contents().iter().flat_map(|(_, setup)| setup) {
            encode(command, &mut log);
        }
        fs::write(directory.path().join("appendonly.aof"), log).unwrap();
    }
    let mut server = Server::start(&darter_in(mode, directory.path(), options)).unwrap();
    let mut client = server.connect().unwrap();
    let empty = state(&mut client);
    if turn != Turn::OldLog {
        fill(&mut client);
    }
    // Nothing, too, where there is only a file that may be gone.
    let mut states = if turn == Turn::Save { vec![empty] } else { Vec::new() };
    states.push(state(&mut client));
    let (mut sizes, mut last) = (Vec::new(), None);
    let keep = |others: &mut Vec<_>, step: usize| {
        for (path, content) in read_files(directory.path()) {
            others.push((format!("{} of step {step}", path.display()), path, content));
        }
    };
    for step in 1..=steps {
        change(&mut client, step);
        if turn != Turn::Save && !options.contains(&"always") {
            // It is acknowledged before it is in the file, whose size is to tell what is.
            assert!(eventually(|| info(&mut client, "persistence", "aof_buffer_length") == "0"));
        }
        let now = state(&mut client);
        assert!(!states.contains(&now), "{name}: step {step} changes nothing");
        states.push(now);
        if step == steps / 3 {
            keep(&mut others, step);
            match turn {
                Turn::Rewrite => {
                    assert!(matches!(call(&mut client, "BGREWRITEAOF"), Value::Simple(_)));
                    settled(&server);
                    assert_eq!(call(&mut client, "SAVE"), ok());
                }
                Turn::HalfRewrite => {
                    assert_eq!(call(&mut client, "CONFIG SET rdb-key-save-delay 10000000"), ok());
                    assert!(matches!(call(&mut client, "BGREWRITEAOF"), Value::Simple(_)));
                }
                Turn::Save => assert_eq!(call(&mut client, "SAVE"), ok()),
                Turn::OldLog => {}
            }
        }
        if step == steps * 2 / 3 {
            keep(&mut others, step);
            if turn == Turn::Save {
                assert_eq!(call(&mut client, "SAVE"), ok());
            }
        }
        let files = read_files(directory.path());
        let written_to = last_of(&files);
        if written_to != last {
            sizes.clear();
            last = written_to;
        }
        if let Some(last) = &last {
            sizes.push((files[last].len(), step));
        }
    }
    if turn == Turn::Save {
        assert_eq!(call(&mut client, "SAVE"), ok());
    }
    kill(&mut server);
    let files = read_files(directory.path());
    let options = options.to_vec();
    Subject { name, options, files, states, last, sizes, others }
}

fn subjects() -> Vec<Subject> {
    let log = ["--save", "", "--appendonly", "yes"];
    let with = |more: &[&'static str]| [&log, more].concat();
    let always = with(&["--appendfsync", "always", "--aof-timestamp-enabled", "yes"]);
    let second = with(&["--appendfsync", "everysec", "--aof-disable-auto-gc", "yes"]);
    let none = with(&["--appendfsync", "no", "--aof-use-rdb-preamble", "no"]);
    let mut subjects = vec![
        write_subject("log", MODES[0], &always, Turn::Rewrite, 60),
        write_subject("half", MODES[1], &second, Turn::HalfRewrite, 45),
        write_subject("commands", MODES[2], &none, Turn::Rewrite, 45),
        write_subject("kept", MODES[1], &second, Turn::Rewrite, 36),
        write_subject("old", MODES[0], &always, Turn::OldLog, 36),
        write_subject("dump", MODES[1], &["--save", ""], Turn::Save, 36),
    ];
    // Of each, files of another that have the same names.
    let all: Vec<_> =
        subjects.iter().map(|subject| (subject.name, subject.files.clone())).collect();
    for subject in &mut subjects {
        // A file of all data is one of its own, whoever wrote it.
        let is_log = subject.last.is_some();
        for (name, files) in all.iter().filter(|(name, _)| is_log && *name != subject.name) {
            for (path, content) in files {
                let what = format!("{} of the directory \"{name}\"", path.display());
                subject.others.push((what, path.clone(), content.clone()));
            }
        }
    }
    subjects
}

impl Subject {
    /// How many steps the last file has to keep if it is as it was up to `size`.
    fn least_of(&self, size: usize) -> usize {
        let before_last = self.sizes.first().map_or(0, |&(_, step)| step.saturating_sub(1));
        let whole = self.sizes.iter().rev().find(|&&(whole, _)| whole <= size);
        whole.map_or(before_last, |&(_, step)| step)
    }

    /// What may come of a damage at byte `at` of `path`, if it is one that a power cut can do.
    fn allowed(&self, path: &Path, at: usize, as_power_cut: bool) -> Allowed {
        if as_power_cut && self.last.as_deref() == Some(path) {
            Allowed::Prefix(self.least_of(at))
        } else {
            Allowed::AllOrNothing
        }
    }

    fn with(&self, path: &Path, content: Vec<u8>) -> Files {
        let mut files = self.files.clone();
        files.insert(path.to_owned(), content);
        files
    }

    /// What can be done to whole files.
    fn whole_damages(&self) -> Vec<Damage> {
        let mut damages = Vec::new();
        let mut add = |what: String, files: Files, allowed: Allowed, path: &Path| {
            damages.push(Damage { what, files, allowed, path: path.to_owned(), has_place: false });
        };
        for (path, content) in &self.files {
            let shown = path.display();
            let mut files = self.files.clone();
            files.remove(path);
            let is_dump = self.last.is_none();
            // Nothing says then that there was one.
            let allowed = if is_dump { Allowed::Prefix(0) } else { Allowed::AllOrNothing };
            add(format!("{shown} removed"), files, allowed, path);
            add(
                format!("{shown} emptied"),
                self.with(path, Vec::new()),
                self.allowed(path, 0, true),
                path,
            );
            let zeroes = self.with(path, vec![0; content.len()]);
            add(format!("{shown} all zeroes"), zeroes, self.allowed(path, 0, true), path);
            let twice = self.with(path, content.repeat(2));
            add(format!("{shown} twice in itself"), twice, Allowed::AllOrNothing, path);
            // A copy under the next names that the log may give.
            for (from, to) in [(".1.", ".2."), (".2.", ".3."), (".3.", ".4."), (".rdb", ".aof")] {
                let copy = PathBuf::from(path.to_str().unwrap().replace(from, to));
                if !self.files.contains_key(&copy) {
                    let what = format!("{shown} copied as {}", copy.display());
                    add(what, self.with(&copy, content.clone()), Allowed::AllOrNothing, path);
                }
            }
            for (other, second) in self.files.range::<PathBuf, _>(path.clone()..).skip(1) {
                let mut files = self.with(path, second.clone());
                files.insert(other.clone(), content.clone());
                let what = format!("{shown} and {} exchanged", other.display());
                add(what, files, Allowed::AllOrNothing, path);
            }
            for (of, other, replacement) in &self.others {
                // An older file of the same name cannot be told from one that has lost its end, or is a copy from then.
                let is_older = other == path && replacement != content;
                let allowed = match is_older {
                    true if is_dump => Allowed::Prefix(0),
                    true => self.allowed(path, 0, true),
                    false => Allowed::AllOrNothing,
                };
                if is_older || (other.extension() == path.extension() && other != path) {
                    let what = format!("{shown} replaced by {of}");
                    add(what, self.with(path, replacement.clone()), allowed, path);
                }
            }
        }
        damages
    }

    /// Something done to some file, somewhere in it.
    fn damage_by(&self, random: &mut fastrand::Rng) -> Damage {
        // Most can happen to the last one.
        let last = self.last.as_ref().filter(|_| random.u8(..3) == 0);
        let any = || random.choice(self.files.keys());
        let path = last.or_else(any).unwrap();
        let content = &self.files[path];
        let shown = path.display();
        let at = self.place_in(path, content, random);
        let (what, changed, allowed) = match random.u8(..10) {
            0..=2 => {
                let allowed = self.allowed(path, at, true);
                (format!("truncated to {at}"), content[..at].to_vec(), allowed)
            }
            3..=4 => {
                let mut changed = content.clone();
                let (at, bit) = (at.min(content.len() - 1), random.u8(..8));
                changed[at] ^= 1 << bit;
                (format!("bit {bit} of byte {at} flipped"), changed, Allowed::AllOrNothing)
            }
            5..=6 => {
                let len = *random.choice(&[1, 8, 57, 512, 4096, content.len()]).unwrap();
                let end = content.len().min(at + len);
                let mut changed = content.clone();
                changed[at..end].fill(0);
                (format!("{at}..{end} zero"), changed, self.allowed(path, at, true))
            }
            7 => {
                let len = *random.choice(&[1, 57, 200, 4096]).unwrap();
                let end = content.len().min(at + len);
                // Where that begins in a chunk it may be as if the file ended there.
                let allowed = self.allowed(path, at, true);
                let changed = [&content[..at], &content[end..]].concat();
                (format!("{at}..{end} cut out"), changed, allowed)
            }
            8 => {
                let len = *random.choice(&[1, 57, 200, 4096]).unwrap();
                let end = content.len().min(at + len);
                let changed = [&content[..end], &content[at..]].concat();
                (format!("{at}..{end} twice"), changed, Allowed::AllOrNothing)
            }
            _ => {
                let foreign: [&[u8]; 9] = [
                    b"\0",
                    &[0; 700],
                    b"#",
                    b"#C ",
                    b"garbage",
                    b"*3\r\n$3\r\nSET\r\n$7\r\nforeign\r\n$1\r\n1\r\n",
                    b"*99999999\r\n$",
                    b"\xff",
                    content,
                ];
                let foreign = *random.choice(&foreign).unwrap();
                let foreign = &foreign[..foreign.len().min(2000)];
                let at = if random.bool() { content.len() } else { at };
                let changed = [&content[..at], foreign, &content[at..]].concat();
                let start = foreign[..foreign.len().min(8)].escape_ascii();
                // Zeroes are what a power cut leaves where something was not synced.
                let is_hole = foreign.iter().all(|&byte| byte == 0);
                let allowed = self.allowed(path, at, is_hole);
                (format!("{start}... put in at {at}"), changed, allowed)
            }
        };
        let files = self.with(path, changed);
        let has_place = true;
        let what = format!("{shown} {what}");
        Damage { what, files, allowed, path: path.clone(), has_place }
    }

    /// A place in a file: anywhere, or beside where something begins.
    fn place_in(&self, path: &Path, content: &[u8], random: &mut fastrand::Rng) -> usize {
        let near = |at: usize, random: &mut fastrand::Rng| {
            (at + random.usize(..5)).saturating_sub(2).min(content.len())
        };
        match random.u8(..8) {
            0..=3 => random.usize(..=content.len()),
            4 => near(0, random),
            5 => near(content.len(), random),
            6 if self.last.as_deref() == Some(path) => {
                let (size, _) = *random.choice(&self.sizes).unwrap();
                near(size, random)
            }
            _ => {
                let lines = content.iter().enumerate().filter(|&(_, &byte)| byte == b'\n');
                let ends: Vec<_> = lines.map(|(at, _)| at + 1).collect();
                let end = random.choice(&ends).copied().unwrap_or(0);
                near(end, random)
            }
        }
    }
}

/// Tells how it ended: by itself, with 0 or 1.
fn tool(arguments: &[&str], context: &dyn Fn() -> String) -> (bool, String) {
    let mut child = Command::new(darter_binary().unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let watch = thread::spawn(move || {
        let began = Instant::now();
        while Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok() {
            if began.elapsed() > TOOL_TIMEOUT {
                let _ = Command::new("kill").arg("-9").arg(pid.to_string()).status();
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let stdin = child.stdin.take();
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    watch.join().unwrap();
    let text = [stdout, stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = status.code();
    assert!(matches!(code, Some(0 | 1)), "{}: {arguments:?}: {status}: {text}", context());
    assert!(!text.contains("panicked"), "{}: {arguments:?}: {text}", context());
    (code == Some(0), text)
}

/// Starts a server on the directory and finds out what it has.
fn start(
    subject: &Subject,
    directory: &Path,
    mode: ServerMode,
    damage: &Damage,
    context: &dyn Fn() -> String,
) -> Outcome {
    let before = lasting(directory);
    let spec = darter_in(mode, directory, &subject.options);
    let server = match Server::start(&spec) {
        Ok(server) => server,
        Err(error) => {
            assert!(error.reason.contains("(exit status: 1)"), "{}: {error}", context());
            assert!(!error.log.contains("panicked"), "{}: {error}", context());
            explains(&error.log, damage, context);
            assert!(lasting(directory) == before, "{}: files were changed: {error}", context());
            return Outcome::Refused;
        }
    };
    let mut client = server.connect().unwrap();
    let found = state(&mut client);
    let step = subject.states.iter().position(|state| *state == found);
    let Some(step) = step else {
        panic!("{}: the data are not those of any step: {}", context(), server.log());
    };
    let torn = if subject.last.is_some() {
        let bytes = info(&mut client, "persistence", "aof_last_load_truncated_bytes");
        bytes.parse::<u64>().unwrap()
    } else {
        0
    };
    let log = server.log();
    assert_eq!(torn > 0, log.contains("was truncated"), "{}: {log}", context());
    assert!(!log.contains("panicked"), "{}: {log}", context());
    match step + 1 == subject.states.len() {
        true if torn == 0 => Outcome::Whole,
        _ if torn > 0 => Outcome::Torn(step),
        _ => Outcome::Short(step),
    }
}

/// What is said of a refusal names the file, the place where there is one, and what can be done.
fn explains(log: &str, damage: &Damage, context: &dyn Fn() -> String) {
    let lines = || log.lines().filter(|line| line.contains(" # "));
    let name = damage.path.file_name().unwrap().to_str().unwrap();
    // What is wrong with a file may show in the one that names it, or follows it.
    let is_named = lines().any(|line| {
        line.contains(name) || line.contains("appendonly") || line.contains("dump.rdb")
    });
    assert!(is_named, "{}: names no file: {log}", context());
    if damage.has_place {
        let has_place = lines()
            .any(|line| line.contains("byte ") || line.contains("line ") || line.contains("empty"));
        assert!(has_place, "{}: names no place: {log}", context());
    }
    let advises = lines().any(|line| {
        ["check-aof", "check-rdb", "Restore"].iter().any(|advice| line.contains(advice))
    });
    assert!(advises, "{}: says not what to do: {log}", context());
}

/// Does the damage, and looks at what comes of it.
fn examine(subject: &Subject, damage: &Damage, mode: ServerMode) -> Outcome {
    let context = || format!("{}: {}", subject.name, damage.what);
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &damage.files);
    let outcome = check_first(subject, directory.path(), mode, damage, &context);
    let all = subject.states.len() - 1;
    match (outcome, damage.allowed) {
        (Outcome::Refused | Outcome::Whole, _) => {}
        (Outcome::Torn(step), Allowed::AllOrNothing) if step == all => {}
        (Outcome::Torn(step) | Outcome::Short(step), Allowed::Prefix(least)) if step >= least => {}
        (outcome, allowed) => panic!("{}: {outcome:?}, {allowed:?}", context()),
    }
    if let Outcome::Torn(step) | Outcome::Short(step) = outcome {
        goes_on(subject, directory.path(), mode, step, &context);
    }
    outcome
}

/// Asks the tools first, then starts the server, and repairs what it refuses.
fn check_first(
    subject: &Subject,
    directory: &Path,
    mode: ServerMode,
    damage: &Damage,
    context: &dyn Fn() -> String,
) -> Outcome {
    let dump = directory.join("dump.rdb");
    if subject.last.is_none() {
        let (is_sound, text) = tool(&["check-rdb", dump.to_str().unwrap()], context);
        let outcome = start(subject, directory, mode, damage, context);
        // Without a file a server begins with nothing.
        assert_eq!(
            is_sound || !damage.files.contains_key(Path::new("dump.rdb")),
            outcome != Outcome::Refused,
            "{}: {text}",
            context()
        );
        return outcome;
    }
    if dump.exists() {
        tool(&["check-rdb", dump.to_str().unwrap()], context);
    }
    let manifest = directory.join("appendonlydir/appendonly.aof.manifest");
    let (is_sound, text) = tool(&["check-aof", manifest.to_str().unwrap()], context);
    assert!(read_files(directory) == damage.files, "{}: check-aof changes files", context());
    let outcome = start(subject, directory, mode, damage, context);
    let expected = matches!(outcome, Outcome::Whole | Outcome::Short(_));
    assert_eq!(is_sound, expected, "{}: {outcome:?}, but check-aof: {text}", context());
    if matches!(outcome, Outcome::Refused | Outcome::Torn(_)) {
        // On the directory as it was.
        let directory = tempfile::tempdir().unwrap();
        write_files(directory.path(), &damage.files);
        repair(subject, &directory, mode, damage, outcome, context);
    }
    outcome
}

/// Lets `--fix` cut off what is not whole. What is left of it is a prefix, or nothing was changed.
fn repair(
    subject: &Subject,
    directory: &TempDir,
    mode: ServerMode,
    damage: &Damage,
    before: Outcome,
    context: &dyn Fn() -> String,
) {
    let directory = directory.path();
    let manifest = directory.join("appendonlydir/appendonly.aof.manifest");
    let manifest = manifest.to_str().unwrap();
    let (is_fixed, text) = tool(&["check-aof", "--fix", "--yes", manifest], context);
    let context = || format!("{}, repaired", context());
    if !is_fixed {
        assert!(read_files(directory) == damage.files, "{}: {text}", context());
        assert_eq!(before, Outcome::Refused, "{}: {text}", context());
        return;
    }
    let outcome = start(subject, directory, mode, damage, &context);
    let is_prefix = matches!(outcome, Outcome::Whole | Outcome::Short(_));
    assert!(is_prefix, "{}: {outcome:?}: {text}", context());
    if let Outcome::Torn(step) = before {
        let all = subject.states.len() - 1;
        let expected = if step == all { Outcome::Whole } else { Outcome::Short(step) };
        assert_eq!(outcome, expected, "{}: {text}", context());
    }
}

/// What was left can be written to, and is there again.
fn goes_on(
    subject: &Subject,
    directory: &Path,
    mode: ServerMode,
    step: usize,
    context: &dyn Fn() -> String,
) {
    let spec = darter_in(mode, directory, &subject.options);
    let mut server = Server::start(&spec).unwrap_or_else(|error| panic!("{}: {error}", context()));
    let mut client = server.connect().unwrap();
    assert_eq!(state(&mut client), subject.states[step], "{}: again", context());
    run_line(&mut client, "SET more 1");
    if subject.last.is_none() {
        assert_eq!(call(&mut client, "SAVE"), ok());
    }
    let longer = state(&mut client);
    kill(&mut server);
    let server = Server::start(&spec).unwrap_or_else(|error| panic!("{}: {error}", context()));
    assert_eq!(state(&mut server.connect().unwrap()), longer, "{}: and more", context());
}

fn number(name: &str) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn whatever_happens_to_a_file_no_wrong_data_are_served() {
    let subjects = subjects();
    for subject in &subjects {
        let files: Vec<_> =
            subject.files.iter().map(|(path, content)| (path, content.len())).collect();
        println!("{}: {} steps, {files:?}", subject.name, subject.states.len() - 1);
        let whole = Damage {
            what: "nothing".to_owned(),
            files: subject.files.clone(),
            allowed: Allowed::AllOrNothing,
            path: PathBuf::from("-"),
            has_place: false,
        };
        assert_eq!(examine(subject, &whole, MODES[0]), Outcome::Whole, "{}", subject.name);
    }
    let count = match number("DARTER_DAMAGES") {
        0 => DAMAGES,
        count => count,
    };
    let mut random = fastrand::Rng::with_seed(number("DARTER_SEED") as u64);
    let mut damages: Vec<(&Subject, Damage)> = subjects
        .iter()
        .flat_map(|subject| {
            subject.whole_damages().into_iter().map(move |damage| (subject, damage))
        })
        .collect();
    // Half of them at most are such, but for a long run, which has all of them.
    random.shuffle(&mut damages);
    damages.truncate(count / 2);
    while damages.len() < count {
        let subject = &subjects[damages.len() % subjects.len()];
        damages.push((subject, subject.damage_by(&mut random)));
    }
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, usize>::new()));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, |count| count.get().min(4)) {
            scope.spawn(|| {
                while let Some((subject, damage)) =
                    damages.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let mode = MODES[damage.what.len() % MODES.len()];
                    // What is wrong with one says nothing about the others.
                    let examined =
                        panic::catch_unwind(AssertUnwindSafe(|| examine(subject, damage, mode)));
                    let all = subject.states.len() - 1;
                    let kind = match examined {
                        Ok(Outcome::Refused) => "refused",
                        Ok(Outcome::Whole) => "whole",
                        Ok(Outcome::Torn(step)) if step == all => "whole, with something cut off",
                        Ok(Outcome::Torn(_)) => "prefix, said",
                        Ok(Outcome::Short(_)) => "prefix, cut off at its end",
                        Err(_) => WRONG,
                    };
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    *outcomes.entry(format!("{}: {kind}", subject.name)).or_default() += 1;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    for (kind, count) in &outcomes {
        let _ = writeln!(text, "{kind}: {count}");
    }
    println!("{count} damages in {:?}\n{text}", began.elapsed());
    assert!(!text.contains(WRONG), "see above");
    assert_eq!(outcomes.values().sum::<usize>(), count);
}
