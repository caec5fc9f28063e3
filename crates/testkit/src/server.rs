//! One server process under test: started, known to be ready, its log kept, killed on drop.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Client, Value};

/// How long a server may take from its start to its first reply.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How often another port is tried when somebody was faster in taking the chosen one.
const PORT_TRIES: usize = 8;

/// The line both Redis and Darter log when they listen. Waiting for it, rather than only for a
/// reply, makes sure that what answers on the port is the process just started.
const READY_LINE: &[u8] = b"Ready to accept connections";

/// The line of a server that listens and has not loaded its data yet.
const LISTENING_LINE: &[u8] = b"Server initialized";

/// How to start a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// What to call it in reports.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Options other than `--port`.
    pub arguments: Vec<String>,
}

impl ServerSpec {
    /// The same server with more options.
    #[must_use]
    pub fn with_arguments(&self, more: &[String]) -> Self {
        let mut spec = self.clone();
        spec.arguments.extend_from_slice(more);
        spec
    }
}

/// Why a server did not come up; with what it had logged.
#[derive(Debug)]
pub struct StartError {
    pub reason: String,
    pub log: String,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; its log:\n{}", self.reason, self.log)
    }
}

impl std::error::Error for StartError {}

/// A running server. Dropping it kills the process and removes its working directory.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Log>,
    // Dropped after the process has ended.
    _directory: TempDir,
}

impl Server {
    /// Starts a server on a free loopback port and returns once it answers.
    pub fn start(spec: &ServerSpec) -> Result<Self, StartError> {
        Self::start_until(spec, Self::wait_until_ready)
    }

    /// Starts a server on a free loopback port and returns once it listens: it may be loading data.
    pub fn start_loading(spec: &ServerSpec) -> Result<Self, StartError> {
        Self::start_until(spec, |server| server.wait_for_line(LISTENING_LINE))
    }

    fn start_until(
        spec: &ServerSpec,
        wait: impl Fn(&mut Self) -> Result<(), String>,
    ) -> Result<Self, StartError> {
        let mut last = None;
        for port in free_ports().take(PORT_TRIES) {
            let mut server = Self::spawn(spec, port)?;
            match wait(&mut server) {
                Ok(()) => return Ok(server),
                Err(reason) => {
                    let log = server.log();
                    let port_was_taken = log.contains("Address already in use");
                    let error = StartError { reason: format!("{}: {reason}", spec.name), log };
                    if !port_was_taken {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| StartError {
            reason: format!("{}: no free port", spec.name),
            log: String::new(),
        }))
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection to it.
    pub fn connect(&self) -> std::io::Result<Client> {
        Client::connect(self.address)
    }

    /// What it has written to stdout and stderr so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.bytes()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time that its threads have taken. It can be some milliseconds behind: for a thread that runs it counts
    /// up to the latest tick.
    pub fn cpu_time(&self) -> std::io::Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()))?;
        let nanos = tasks.flatten().filter_map(|task| {
            // None of a thread that has ended meanwhile.
            let schedule = fs::read_to_string(task.path().join("schedstat")).ok()?;
            schedule.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(Duration::from_nanos(nanos.sum()))
    }

    /// What of its memory is resident, in bytes.
    pub fn resident_bytes(&self) -> std::io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let kibibytes: u64 = kibibytes.ok_or(ErrorKind::InvalidData)?;
        Ok(kibibytes * 1024)
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn spawn(spec: &ServerSpec, port: u16) -> Result<Self, StartError> {
        let failed = |what: &str, error: &std::io::Error| StartError {
            reason: format!("{}: {what} {}: {error}", spec.name, spec.program.display()),
            log: String::new(),
        };
        let directory =
            tempfile::tempdir().map_err(|error| failed("no working directory for", &error))?;
        let mut command = Command::new(&spec.program);
        command.args(["--port", &port.to_string()]).args(&spec.arguments);
        command.current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let patience = Instant::now() + START_TIMEOUT;
        let mut child = loop {
            match command.spawn() {
                // A program that was just written: a process that another thread is starting has the file open until
                // it runs its own.
                Err(error)
                    if error.kind() == ErrorKind::ExecutableFileBusy
                        && Instant::now() < patience =>
                {
                    std::thread::yield_now();
                }
                spawned => break spawned.map_err(|error| failed("cannot start", &error))?,
            }
        };
        let log = Arc::new(Log::default());
        if let Some(stdout) = child.stdout.take() {
            Log::collect(&log, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            Log::collect(&log, stderr);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { child, address, log, _directory: directory })
    }

    /// Waits until there is a line with `text` in its log.
    fn wait_for_line(&mut self, text: &[u8]) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.log.wait_for(text, Duration::from_millis(20)) {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.log.wait_for_end(START_TIMEOUT);
                return Err(format!("ended before it was ready ({status})"));
            }
            if Instant::now() > deadline {
                return Err("did not say that it is ready".to_owned());
            }
        }
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        self.wait_for_line(READY_LINE)?;
        let mut client = self.connect().map_err(|error| format!("cannot connect: {error}"))?;
        match client.call(&["PING"]) {
            // With a password set, a refusal is a sign of life too.
            Ok(Value::Simple(_)) => Ok(()),
            Ok(Value::Error(text)) if text.starts_with(b"NOAUTH") => Ok(()),
            Ok(other) => Err(format!("answered PING with {other:?}")),
            Err(error) => Err(format!("did not answer PING: {error}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that nobody listens on right now, from `DARTER_TEST_PORTS` (`first-last`) or a default
/// range. Another process may take one in between; starting the server will tell.
fn free_ports() -> impl Iterator<Item = u16> {
    let (first, last) = std::env::var("DARTER_TEST_PORTS")
        .ok()
        .and_then(|range| {
            let (first, last) = range.split_once('-')?;
            Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?))
        })
        .unwrap_or((7051, 7099));
    // Starting at a random place keeps test processes that run side by side out of each other's way.
    let count = last.saturating_sub(first) + 1;
    let offset = fastrand::u16(0..count);
    (0..count)
        .map(move |step| first + (offset + step) % count)
        .filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
}

/// What a process writes, collected by a thread per stream.
#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    bytes: Vec<u8>,
    streams_open: usize,
}

impl Log {
    fn collect(log: &Arc<Self>, mut stream: impl Read + Send + 'static) {
        log.lock().streams_open += 1;
        let log = Arc::clone(log);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                log.lock().bytes.extend_from_slice(&chunk[..count]);
                log.grown.notify_all();
            }
            log.lock().streams_open -= 1;
            log.grown.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    fn wait_for(&self, text: &[u8], timeout: Duration) -> bool {
        let seen = |state: &LogState| state.bytes.windows(text.len()).any(|window| window == text);
        self.wait_while(timeout, |state| !seen(state))
    }

    fn wait_for_end(&self, timeout: Duration) -> bool {
        self.wait_while(timeout, |state| state.streams_open > 0)
    }

    fn wait_while(&self, timeout: Duration, holds: impl Fn(&LogState) -> bool) -> bool {
        let waited = self.grown.wait_timeout_while(self.lock(), timeout, |state| holds(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}
