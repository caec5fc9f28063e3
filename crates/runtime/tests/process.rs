//! What needs a process of its own: limits, filters, signals, idle cost. Each test starts this
//! binary again as a server (`child`) and talks to it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(clippy::print_stdout, reason = "the server talks to the test")]
#![cfg(target_os = "linux")]

mod support;

use darter_runtime::{Reactor, ReactorKind, Stopping};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use support::Client;

/// The variable that makes this binary a server, and its instructions, separated by spaces.
const INSTRUCTIONS: &str = "DARTER_TEST_SERVER";

/// Not a test: the server's side. Ends at once unless it was started as one.
#[test]
fn child() {
    let Ok(instructions) = std::env::var(INSTRUCTIONS) else { return };
    let mut config = support::config(Reactor::Auto, 2);
    config.handle_signals = true;
    let mut stopping = Stopping::Ready;
    for instruction in instructions.split_whitespace() {
        let (name, value) = instruction.split_once('=').unwrap_or((instruction, ""));
        match name {
            "deny-io-uring" => deny_io_uring(),
            "memlock" => limit(Resource::Memlock, value.parse().unwrap()),
            "files" => limit(Resource::Nofile, value.parse().unwrap()),
            "epoll" => config.reactor = Reactor::Epoll,
            "glommio" => config.reactor = Reactor::Glommio,
            "never-ready" => stopping = Stopping::Wait,
            other => panic!("no such instruction: {other}"),
        }
    }
    let (sender, _notes) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let started =
        darter_runtime::start(&config, move |context: darter_runtime::WorkerContext<_>| {
            support::Lab::new(context, sender.lock().unwrap().clone(), stopping)
        });
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("server: failed: {error}");
            return;
        }
    };
    println!("server: reactor {}", runtime.reactor());
    println!("server: listening {}", runtime.addresses()[0].as_ref().unwrap());
    runtime.join().unwrap();
    println!("server: ended");
}

/// What the default seccomp profile of container runtimes does to io_uring.
fn deny_io_uring() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    // The same numbers on every architecture.
    const IO_URING_CALLS: [i64; 3] = [425, 426, 427];
    const EPERM: u32 = 1;
    let rules = IO_URING_CALLS.map(|call| (call, vec![])).into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let denied = SeccompAction::Errno(EPERM);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

fn limit(resource: Resource, value: u64) {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).unwrap();
}

struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    reactor: String,
    address: String,
}

fn spawn(instructions: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(INSTRUCTIONS, instructions)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The next line of the server's own, without its prefix.
fn said(output: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the server said nothing more");
        // The test harness does not end its own line before the first one.
        if let Some((_, said)) = line.split_once("server: ") {
            return said.trim_end().to_owned();
        }
    }
}

impl Server {
    fn start(instructions: &str) -> Self {
        let (child, mut output) = spawn(instructions);
        let reactor = said(&mut output).strip_prefix("reactor ").unwrap().to_owned();
        let address = said(&mut output).strip_prefix("listening ").unwrap().to_owned();
        Self { child, output, reactor, address }
    }

    fn connect(&self) -> Client {
        Client::new(TcpStream::connect(&self.address).unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// CPU time used so far, in the kernel's ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Times any of its workers went to sleep.
    fn sleeps(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let statuses =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        let workers = statuses.filter(|status| status.starts_with("Name:\tdarter-w"));
        workers.map(|status| field(&status, "voluntary_ctxt_switches:")).sum()
    }

    /// Anonymous memory, wherever it is: pages of the program itself come and go.
    fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        (field(&status, "RssAnon:") + field(&status, "VmSwap:")) * 1024
    }

    fn end(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(said(&mut self.output), "ended");
        assert!(self.child.wait().unwrap().success());
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits on a connection on which nothing can come.
fn listen_in_vain(client: &mut Client, duration: Duration) {
    client.stream.set_read_timeout(Some(duration)).unwrap();
    let error = client.stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    client.stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
}

#[test]
fn a_process_that_may_not_use_io_uring_is_served_by_epoll() {
    let server = Server::start("deny-io-uring");
    assert!(server.reactor.starts_with("epoll (io_uring_setup"), "{}", server.reactor);
    assert!(server.reactor.contains("seccomp"), "{}", server.reactor);
    assert_eq!(server.connect().ask("PING"), "+PONG");
    server.end();
}

/// The other tests run on whatever `auto` chooses; this one makes sure that it is glommio unless
/// the system, and not a mistake of ours, is against it.
#[test]
fn glommio_is_chosen_unless_the_system_denies_it() {
    let server = Server::start("");
    let chosen = server.reactor == "glommio (io_uring works)";
    let denied = ["epoll (io_uring_setup", "epoll (RLIMIT_MEMLOCK", "epoll (/proc is not mounted"];
    assert!(chosen || denied.iter().any(|it| server.reactor.starts_with(it)), "{}", server.reactor);
    server.end();
}

#[test]
fn glommio_on_demand_is_an_error_where_it_cannot_run() {
    let (mut child, mut output) = spawn("deny-io-uring glommio");
    let answer = said(&mut output);
    assert!(answer.starts_with("failed: glommio cannot run here: io_uring_setup"), "{answer}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn too_little_lockable_memory_means_epoll() {
    let server = Server::start("memlock=65536");
    assert_eq!(server.reactor, "epoll (RLIMIT_MEMLOCK is 64 KiB, io_uring needs 512 KiB)");
    assert_eq!(server.connect().ask("PING"), "+PONG");
    server.end();
}

#[test]
fn the_least_lockable_memory_the_probe_accepts_is_enough() {
    let server = Server::start("memlock=524288");
    if server.reactor.starts_with(&ReactorKind::Glommio.to_string()) {
        assert_eq!(server.connect().ask("PING"), "+PONG");
    } else {
        assert!(server.reactor.starts_with("epoll (io_uring"), "{}", server.reactor);
    }
    server.end();
}

#[test]
fn running_out_of_descriptors_neither_spins_nor_loses_the_waiting() {
    for host in ["epoll", ""] {
        let server = Server::start(&format!("files=64 {host}"));
        let mut clients: Vec<Client> = (0..80).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("PING\n");
        }
        assert_eq!(clients[0].line(), "+PONG");
        let mut last = clients.pop().unwrap();
        let before = server.cpu_ticks();
        listen_in_vain(&mut last, Duration::from_secs(1));
        let used = server.cpu_ticks() - before;
        assert!(used <= 5, "{used} ticks of 10 ms in a second without descriptors");
        // The kernel serves its queue in order: the last one comes when all before it are gone.
        clients.clear();
        assert_eq!(last.line(), "+PONG");
        server.end();
    }
}

#[test]
fn an_idle_server_uses_no_cpu() {
    for host in ["epoll", ""] {
        let server = Server::start(host);
        let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_eq!(client.ask("PING"), "+PONG");
        }
        // What is periodic shows in every second; what is left over from the start does not.
        let quiet_second = |_: usize| {
            let before = (server.cpu_ticks(), server.sleeps());
            listen_in_vain(&mut clients[0], Duration::from_secs(1));
            (server.cpu_ticks(), server.sleeps()) == before
        };
        assert!((0..4).any(quiet_second), "it wakes up in every second");
        server.end();
    }
}

#[test]
fn an_idle_connection_costs_less_than_a_kibibyte() {
    const CONNECTIONS: u64 = 2000;
    let files = getrlimit(Resource::Nofile);
    if files.current.is_some_and(|limit| limit < CONNECTIONS + 100) {
        setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    }
    for host in ["epoll", ""] {
        let server = Server::start(host);
        // Whatever a first connection brings along is not counted.
        assert_eq!(server.connect().ask("BIG 100000").len(), 100_000);
        let before = server.memory_bytes();
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.connect()).collect();
        for client in &mut clients {
            // Each has had input in two parts and output.
            client.send("PI");
        }
        for client in &mut clients {
            client.send("NG\nBIG 5000\n");
            assert_eq!(client.line(), "+PONG");
            assert_eq!(client.line().len(), 5000);
        }
        let each = (server.memory_bytes() - before) / CONNECTIONS;
        assert!(each < 1024, "{each} bytes");
        server.end();
    }
}

#[test]
fn sigterm_lets_requests_in_progress_finish() {
    let server = Server::start("");
    let mut client = server.connect();
    let mut large = server.connect();
    large.send("BIG 20000000\n");
    large.skip(1);
    assert_eq!(client.ask("ASK 0"), "+0");
    let began = Instant::now();
    server.signal(Signal::TERM);
    large.skip(20_000_001);
    assert_eq!(large.rest(), b"");
    assert_eq!(client.rest(), b"");
    let mut server = server;
    assert_eq!(said(&mut server.output), "ended");
    assert!(server.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_second_interrupt_ends_the_process_at_once_and_a_hangup_does_nothing() {
    let mut server = Server::start("never-ready");
    let mut client = server.connect();
    server.signal(Signal::HUP);
    assert_eq!(client.ask("PING"), "+PONG");
    server.signal(Signal::INT);
    assert_eq!(client.ask("PING"), "+PONG", "the service is not ready to stop");
    // A signal sent before the first was taken would be the same one for the kernel, so this may
    // need repeating.
    let began = Instant::now();
    let status = loop {
        server.signal(Signal::INT);
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < support::PATIENCE);
    };
    assert_eq!(status.code(), Some(1));
}
