//! A disk without room, or that takes nothing for another reason: writes are refused while what is there is served,
//! nothing acknowledged is lost, and all is well again as soon as it takes something again.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use darter_testkit::durable::{call, darter_in, eventually, info, kill, ok};
use darter_testkit::mode::SERVER_MODES;
use darter_testkit::{Client, Server, ServerSpec, Value};

/// Clients that write until they are refused.
const WRITERS: usize = 4;

/// Left of a disk that is filled up.
const SPARE_BYTES: u64 = 128 << 10;

/// A file system of a few megabytes, in a namespace of its own: nobody has to be root.
struct SmallDisk {
    holder: Child,
    /// Where it is, for those inside.
    inside: tempfile::TempDir,
    /// Starts servers there.
    scripts: tempfile::TempDir,
}

impl SmallDisk {
    fn new() -> Self {
        let inside = tempfile::tempdir().unwrap();
        let script = "mount -t tmpfs -o size=4m none \"$0\" && echo mounted && exec cat";
        let holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(inside.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let disk = Self { holder, inside, scripts: tempfile::tempdir().unwrap() };
        let is_mounted = || {
            disk.path()
                .metadata()
                .is_ok_and(|found| found.dev() != disk.inside.path().metadata().unwrap().dev())
        };
        assert!(
            eventually(is_mounted),
            "user namespaces with mounts are needed (unshare --user --mount)"
        );
        disk
    }

    /// Where it is, for those outside.
    fn path(&self) -> PathBuf {
        let inside = self.inside.path().strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }

    /// The same server, on this disk.
    fn hold(&self, spec: &ServerSpec) -> ServerSpec {
        let program = self.scripts.path().join("darter");
        let script = format!(
            "#!/bin/sh\nexec nsenter -t {} --user --mount --preserve-credentials -- '{}' \"$@\"\n",
            self.holder.id(),
            spec.program.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        ServerSpec { program, ..spec.clone() }
    }

    /// Leaves next to no room.
    fn fill_up(&self) {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
        while ballast.write_all(&vec![1; 64 << 10]).is_ok() {}
        let full = ballast.metadata().unwrap().len();
        ballast.set_len(full.saturating_sub(SPARE_BYTES)).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// Allows nothing but reading, or everything.
    fn mount_again(&self, how: &str) {
        let status = Command::new("nsenter")
            .args(["-t", &self.holder.id().to_string(), "--user", "--mount"])
            .args(["--preserve-credentials", "mount", "-o"])
            .arg(format!("remount,{how}"))
            .arg(self.inside.path())
            .status()
            .unwrap();
        assert!(status.success(), "remount,{how}: {status}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Lets a server write no file beyond so many bytes: writing fails as it can at any time.
fn limit_files(server: &Server, bytes: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")])
        .status()
        .unwrap();
    assert!(status.success(), "prlimit: {status}");
}

fn is_refusal(value: &Value) -> bool {
    matches!(value, Value::Error(text) if text.starts_with(b"MISCONF Errors writing to the AOF file: "))
}

/// Writes until it is refused or told to stop; how often it was acknowledged.
fn write(mut client: Client, writer: usize, stops: &AtomicBool) -> u64 {
    let value = "x".repeat(1000);
    let mut count = 0;
    while !stops.load(Ordering::Relaxed) {
        let answer = client.call(&["SET", &format!("{writer}:{count}"), &value]).unwrap();
        if is_refusal(&answer) {
            break;
        }
        assert_eq!(answer, ok());
        count += 1;
    }
    count
}

#[test]
fn nothing_is_lost_on_a_full_disk_and_all_is_well_when_there_is_room() {
    for policy in ["always", "everysec", "no"] {
        for mode in [SERVER_MODES[0], SERVER_MODES[6]] {
            let context = format!("{mode}, {policy}");
            let disk = SmallDisk::new();
            let arguments = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
            let spec = disk.hold(&darter_in(mode, disk.inside.path(), &arguments));
            let mut server = Server::start(&spec).unwrap();
            let mut client = server.connect().unwrap();
            assert_eq!(call(&mut client, "SET before 1"), ok());
            for round in 0..2 {
                disk.fill_up();
                let stops = &AtomicBool::new(false);
                let counts: Vec<u64> = thread::scope(|scope| {
                    let start = |writer| {
                        let client = server.connect().unwrap();
                        scope.spawn(move || write(client, writer, stops))
                    };
                    let writers: Vec<_> = (0..WRITERS).map(start).collect();
                    // A write that its worker carries out before it knows that the disk is full is not answered until
                    // there is room; that worker's PING tells whether it knows.
                    let is_refused = || is_refusal(&call(&mut client, "PING"));
                    assert!(eventually(is_refused), "{context}");
                    assert!(is_refusal(&call(&mut client, "SET other 1")), "{context}");
                    assert_eq!(call(&mut client, "GET before"), Value::Bulk(b"1".to_vec()));
                    assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "err");
                    disk.make_room();
                    // Whoever waits is answered, and whoever comes is not refused.
                    let heals = || call(&mut server.connect().unwrap(), "SET after 1") == ok();
                    assert!(eventually(heals), "{context}");
                    // Some may not have been refused.
                    stops.store(true, Ordering::Relaxed);
                    writers.into_iter().map(|writer| writer.join().unwrap()).collect()
                });
                assert!(eventually(|| call(&mut server.connect().unwrap(), "SET after 1") == ok()));
                assert_eq!(info(&mut client, "persistence", "aof_last_write_status"), "ok");
                kill(&mut server);
                server = Server::start(&spec).unwrap();
                client = server.connect().unwrap();
                for (writer, count) in counts.iter().enumerate() {
                    let keys: Vec<String> =
                        (0..*count).map(|key| format!("{writer}:{key}")).collect();
                    let mut words = vec!["EXISTS".to_owned()];
                    words.extend(keys);
                    if *count > 0 {
                        let found = client.call(&words).unwrap();
                        let expected = i64::try_from(*count).unwrap();
                        assert_eq!(found, Value::Integer(expected), "{context}, round {round}");
                    }
                }
                // A base is smaller than what led to it.
                assert_eq!(call(&mut client, "FLUSHALL"), ok());
                assert_eq!(call(&mut client, "SET before 1"), ok());
                assert!(matches!(call(&mut client, "BGREWRITEAOF"), Value::Simple(_)));
                assert!(eventually(|| {
                    let mut client = server.connect().unwrap();
                    info(&mut client, "persistence", "aof_rewrite_in_progress") == "0"
                }));
            }
        }
    }
}

/// How long a save takes to fail: longer than what counts as failing at once.
const SLOW: Duration = Duration::from_millis(1300);

/// Whether PING is refused, as writes are, since the data cannot be saved.
fn refuses(client: &mut Client) -> bool {
    matches!(call(client, "PING"), Value::Error(text) if text.starts_with(b"MISCONF"))
}

/// Whether all is well within a second of the end of what made a save fail after a while.
fn heals_at_once(client: &mut Client, data: &Path, spoil: &dyn Fn(), mend: &dyn Fn()) -> bool {
    // What there is room for is a dozen keys.
    let micros = SLOW.as_micros() / 10;
    assert_eq!(call(client, &format!("CONFIG SET rdb-key-save-delay {micros}")), ok());
    assert!(matches!(call(client, "INCR count"), Value::Integer(_)));
    assert!(matches!(call(client, "BGSAVE"), Value::Simple(_)));
    let is_begun = || {
        fs::read_dir(data)
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("temp-"))
    };
    assert!(eventually(is_begun));
    spoil();
    assert!(eventually(|| refuses(client)));
    assert!(eventually(|| info(client, "persistence", "rdb_bgsave_in_progress") == "0"));
    assert_ne!(info(client, "persistence", "rdb_last_bgsave_time_sec"), "0", "it fails slowly");
    assert_eq!(call(client, "GET 1"), Value::Bulk(vec![b'x'; VALUE_BYTES]));
    assert_eq!(call(client, "CONFIG SET rdb-key-save-delay 0"), ok());
    mend();
    let since = Instant::now();
    assert!(eventually(|| !refuses(client)));
    since.elapsed() < Duration::from_secs(1)
}

/// Large enough that few of them fill the disk.
const VALUE_BYTES: usize = 10_000;

/// What makes a save fail: its name, how it comes, and how it goes.
type Cause<'a> = (&'a str, Box<dyn Fn() + 'a>, Box<dyn Fn() + 'a>);

/// A save that failed after a while is tried again as soon as what made it fail has gone, though no save point has been
/// reached.
#[test]
fn a_save_that_took_long_to_fail_is_tried_again_when_its_cause_has_gone() {
    let disk = SmallDisk::new();
    let arguments = ["--save", "3600 1", "--rdbcompression", "no"];
    fs::create_dir(disk.path().join("data")).unwrap();
    let spec = disk.hold(&darter_in(SERVER_MODES[0], &disk.inside.path().join("data"), &arguments));
    let server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    let value = "x".repeat(VALUE_BYTES);
    for key in 0..20 {
        assert_eq!(client.call(&["SET", &key.to_string(), &value]).unwrap(), ok());
    }
    let (data, away) = (disk.path().join("data"), disk.path().join("away"));
    let file = data.join("dump.rdb");
    let causes: [Cause<'_>; 4] = [
        ("no room", Box::new(|| disk.fill_up()), Box::new(|| disk.make_room())),
        (
            "the directory is gone",
            Box::new(|| fs::rename(&data, &away).unwrap()),
            Box::new(|| fs::rename(&away, &data).unwrap()),
        ),
        (
            "a directory in its place",
            Box::new(|| {
                // It is there if there was a save before.
                let _ = fs::remove_file(&file);
                fs::create_dir(&file).unwrap();
            }),
            Box::new(|| fs::remove_dir(&file).unwrap()),
        ),
        (
            "a limit that nothing shows but the save itself",
            Box::new(|| limit_files(&server, &SPARE_BYTES.to_string())),
            Box::new(|| limit_files(&server, "unlimited")),
        ),
    ];
    for (cause, spoil, mend) in &causes {
        // A busy machine may be slow in one round, not in all.
        assert!((0..5).any(|_| heals_at_once(&mut client, &data, spoil, mend)), "{cause}");
    }
}

/// One that fails at once.
#[test]
fn a_save_is_tried_again_when_its_directory_can_be_written_again() {
    let disk = SmallDisk::new();
    let spec = disk.hold(&darter_in(SERVER_MODES[0], disk.inside.path(), &["--save", "3600 1"]));
    let server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    let heals_at_once = || {
        assert!(matches!(call(&mut client, "INCR count"), Value::Integer(_)));
        disk.mount_again("ro");
        assert!(matches!(call(&mut client, "BGSAVE"), Value::Simple(_)));
        assert!(eventually(|| refuses(&mut client)));
        disk.mount_again("rw");
        let since = Instant::now();
        assert!(eventually(|| !refuses(&mut client)));
        since.elapsed() < Duration::from_secs(1)
    };
    assert!(std::iter::repeat_with(heals_at_once).take(5).any(|heals| heals));
}

/// The log fails for another reason than want of room.
#[test]
fn a_log_that_could_not_be_written_heals_at_once_and_keeps_what_was_acknowledged() {
    for policy in ["always", "everysec", "no"] {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
        let spec = darter_in(SERVER_MODES[0], directory.path(), &arguments);
        let mut server = Server::start(&spec).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(call(&mut client, "SET before 1"), ok());
        let mut count = 0;
        let mut heals_at_once = || {
            let bytes: u64 = info(&mut client, "persistence", "aof_current_size").parse().unwrap();
            limit_files(&server, &(bytes + 200).to_string());
            let stops = &AtomicBool::new(false);
            thread::scope(|scope| {
                // One that waits for the disk is answered when it takes something again.
                let writing = server.connect().unwrap();
                let writer = scope.spawn(move || write(writing, 0, stops));
                assert!(eventually(|| is_refusal(&call(&mut client, "PING"))), "{policy}");
                assert_eq!(call(&mut client, "GET before"), Value::Bulk(b"1".to_vec()));
                limit_files(&server, "unlimited");
                let since = Instant::now();
                assert!(eventually(|| !is_refusal(&call(&mut client, "PING"))), "{policy}");
                let heals = since.elapsed() < Duration::from_secs(1);
                stops.store(true, Ordering::Relaxed);
                count = writer.join().unwrap().max(count);
                heals
            })
        };
        assert!((0..5).any(|_| heals_at_once()), "{policy}");
        assert_eq!(call(&mut client, "SET after 1"), ok());
        let expected = call(&mut client, "DEBUG DIGEST");
        if policy == "no" {
            // Nothing else says when it is in the file.
            assert!(eventually(|| info(&mut client, "persistence", "aof_buffer_length") == "0"));
        } else {
            assert!(matches!(call(&mut client, "WAITAOF 1 0 0"), Value::Array(_)));
        }
        kill(&mut server);
        let server = Server::start(&spec).unwrap();
        let mut client = server.connect().unwrap();
        assert_eq!(call(&mut client, "DEBUG DIGEST"), expected, "{policy}");
        for key in 0..count {
            assert_eq!(call(&mut client, &format!("EXISTS 0:{key}")), Value::Integer(1));
        }
    }
}
