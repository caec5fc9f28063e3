//! A disk without room: writes are refused while what is there is served, nothing acknowledged is lost, and all is
//! well again when there is room again.

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
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
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

/// A save that failed after a while is tried again when there is room, not only when its time has come.
#[test]
fn a_save_that_took_long_to_fail_is_tried_again_when_there_is_room() {
    let disk = SmallDisk::new();
    let arguments = ["--save", "1 1", "--rdbcompression", "no"];
    let spec = disk.hold(&darter_in(SERVER_MODES[0], disk.inside.path(), &arguments));
    let server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    let is_refused = |client: &mut Client| matches!(call(client, "PING"), Value::Error(text) if text.starts_with(b"MISCONF"));
    let value = "x".repeat(10_000);
    for key in 0..50 {
        assert_eq!(client.call(&["SET", &key.to_string(), &value]).unwrap(), ok());
    }
    // A busy machine may be slow in one round, not in all.
    let heals_at_once = (0..5).any(|_| {
        disk.fill_up();
        // What there is room for is a dozen of them.
        let micros = SLOW.as_micros() / 10;
        assert_eq!(call(&mut client, &format!("CONFIG SET rdb-key-save-delay {micros}")), ok());
        assert!(matches!(call(&mut client, "INCR count"), Value::Integer(_)));
        assert!(eventually(|| is_refused(&mut client)));
        let seconds = info(&mut client, "persistence", "rdb_last_bgsave_time_sec");
        assert_ne!(seconds, "0", "it fails slowly");
        assert_eq!(call(&mut client, "CONFIG SET rdb-key-save-delay 0"), ok());
        disk.make_room();
        let since = Instant::now();
        assert!(eventually(|| !is_refused(&mut client)));
        since.elapsed() < Duration::from_secs(1)
    });
    assert!(heals_at_once);
}
