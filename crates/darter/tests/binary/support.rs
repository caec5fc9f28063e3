//! A server process with a directory of its own, and a client that speaks to it in lines.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary of this build.
pub(crate) fn darter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darter"));
    command.env_clear();
    command
}

/// What a run that ends by itself printed.
pub(crate) fn run(arguments: &[&str]) -> Output {
    darter().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Waits until `found` finds something.
#[expect(clippy::disallowed_methods, reason = "a test that waits for ever tells nothing")]
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A running server that listens on a unix socket, and on TCP when told so. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) directory: TempDir,
}

impl Server {
    /// Starts one with more arguments than where to work and to listen; `{}` in them is its
    /// directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments, |_| {})
    }

    /// Starts one in a directory that has files already.
    pub(crate) fn start_in(
        directory: TempDir,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let path = |name: &str| directory.path().join(name);
        let output = |name: &str| fs::File::create(path(name)).unwrap();
        let shown = directory.path().to_string_lossy().into_owned();
        let (file, rest) = match arguments {
            [file, rest @ ..] if !file.starts_with('-') => (Some(file), rest),
            _ => (None, arguments),
        };
        let mut command = darter();
        command
            .args(file.map(|file| file.replace("{}", &shown)))
            .args(["--port", "0", "--workers", "1", "--reactor", "epoll"])
            .args(["--unixsocket", &format!("{shown}/socket"), "--dir", &shown])
            // Whatever limit the container has that the test runs in.
            .args(["--maxmemory", "0"])
            .args(rest.iter().map(|word| word.replace("{}", &shown)))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"));
        change(&mut command);
        let mut this = Self { child: command.spawn().unwrap(), directory };
        wait_for("the server", || {
            let ended = this.child.try_wait().unwrap();
            assert!(ended.is_none_or(|status| status.success()), "{}", this.log());
            // It answers before that, while it loads what data there are.
            let log = this.log() + &read(&this.path("log"));
            log.contains("Ready to accept connections").then_some(())
        });
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        read("stdout") + &read("stderr")
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the end of the server", || self.child.try_wait().unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        Client(BufReader::new(UnixStream::connect(self.path("socket")).unwrap()))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub(crate) struct Client(BufReader<UnixStream>);

impl Client {
    /// Sends one inline command and returns its reply: arrays as lines, errors with their `-`.
    pub(crate) fn call(&mut self, command: &str) -> String {
        self.send(command);
        let mut replies = Vec::new();
        let mut missing = 1;
        while missing > 0 {
            missing -= 1;
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() {
                // The server is gone.
                break;
            }
            match line.split_at(1) {
                ("*", count) => missing += count.parse::<usize>().unwrap(),
                ("$", "-1") => replies.push("nil".to_owned()),
                ("$", bytes) => {
                    let mut text = vec![0; bytes.parse::<usize>().unwrap() + 2];
                    self.0.read_exact(&mut text).unwrap();
                    replies.push(String::from_utf8_lossy(&text).trim_end().to_owned());
                }
                (":" | "+", text) => replies.push(text.to_owned()),
                _ => replies.push(line.to_owned()),
            }
        }
        replies.join("\n")
    }

    /// Sends one inline command and does not wait.
    pub(crate) fn send(&mut self, command: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
    }

    /// The value of a parameter.
    pub(crate) fn config(&mut self, name: &str) -> String {
        let reply = self.call(&format!("CONFIG GET {name}"));
        reply.split_once('\n').map_or(String::new(), |(_, value)| value.to_owned())
    }
}

/// Writes a file into a new directory.
pub(crate) fn directory_with(name: &str, text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), text).unwrap();
    directory
}

/// Reads a file that may not be there yet.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
