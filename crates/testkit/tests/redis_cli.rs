//! The real `redis-cli`, in each of its modes that needs no later feature.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use darter_testkit::{Server, Value, mode};

/// Longest wait for a line that must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn darter() -> Server {
    let program = mode::darter_binary().expect("darter builds");
    // Several workers and shards: what the tools see is gathered from all.
    Server::start(&mode::SERVER_MODES[2].spec(&program)).expect("darter starts")
}

fn cli(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new("stdbuf");
    // Into a pipe it would write page by page.
    command.args([
        "-oL",
        "redis-cli",
        "-h",
        "127.0.0.1",
        "-p",
        &server.address().port().to_string(),
    ]);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a run that ends by itself prints.
fn output(server: &Server, arguments: &[&str]) -> String {
    let output = cli(server, arguments).output().expect("redis-cli runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

/// A run that goes on until it is dropped.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut command = cli(server, arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("redis-cli runs");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let text = BufReader::new(stdout).lines();
            text.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The first line from here on that `matches`.
    fn line(&self, matches: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if matches(&line) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error}; seen: {seen:#?}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fill(server: &Server, keys: usize) {
    let mut client = server.connect().expect("connects");
    for key in 0..keys {
        let value = "x".repeat(key % 100 + 1);
        let reply = client.call(&["SET", &format!("key:{key}"), &value]).expect("replies");
        assert_eq!(reply, Value::Simple("OK".into()));
    }
}

#[test]
fn stat_shows_keys_memory_and_clients() {
    let server = darter();
    fill(&server, 100);
    let stat = Running::start(&server, &["--stat", "-i", "0.1"]);
    stat.line(|line| line.contains("keys") && line.contains("requests"));
    // Keys, memory, clients, blocked, requests (since the line before), connections.
    let line = stat.line(|line| line.starts_with("100 "));
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    assert!(fields[1].ends_with('K') || fields[1].ends_with('M'), "{line}");
    assert_eq!(fields[3], "0", "{line}");
    stat.line(|line| line.contains("(+"));
}

#[test]
fn latencies_are_sampled() {
    let server = darter();
    // Least, most, mean, samples: redis-cli ends when its output is no terminal.
    let text = output(&server, &["--latency", "-i", "0.2"]);
    let numbers: Vec<f64> =
        text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(numbers.len() == 4 && numbers[3] >= 1.0, "{text}");
    let history = Running::start(&server, &["--latency-history", "-i", "0.2"]);
    history.line(|line| line.contains("seconds range"));
    let spectrum = Running::start(&server, &["--latency-dist", "-i", "0.2"]);
    spectrum.line(|line| !line.is_empty());
    let text = output(&server, &["--intrinsic-latency", "1"]);
    assert!(text.contains("Max latency so far"), "{text}");
}

#[test]
fn keys_are_walked_and_weighed() {
    let server = darter();
    fill(&server, 1000);
    let text = output(&server, &["--scan", "--pattern", "key:*"]);
    assert_eq!(text.lines().count(), 1000);
    let text = output(&server, &["--bigkeys"]);
    assert!(text.contains("Sampled 1000 keys in the keyspace!"), "{text}");
    assert!(text.contains("Biggest string found"), "{text}");
    for arguments in [&["--memkeys"][..], &["--memkeys-samples", "3"]] {
        let text = output(&server, arguments);
        assert!(text.contains("Sampled 1000 keys in the keyspace!"), "{text}");
        assert!(text.contains("Biggest string found"), "{text}");
    }
}

#[test]
fn hot_keys_are_found_where_uses_are_counted() {
    let server = darter();
    fill(&server, 100);
    let mut client = server.connect().expect("connects");
    let policy = ["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"];
    assert_eq!(client.call(&policy).expect("replies"), Value::Simple("OK".into()));
    for _ in 0..1000 {
        client.call(&["GET", "key:7"]).expect("replies");
    }
    let text = output(&server, &["--hotkeys"]);
    assert!(text.contains("Sampled 100 keys in the keyspace!"), "{text}");
    let hottest = text.lines().find(|line| line.starts_with("hot key found with counter"));
    assert!(hottest.is_some_and(|line| line.contains("key:7")), "{text}");
}

#[test]
fn a_pipe_of_raw_commands_is_loaded() {
    let server = darter();
    let mut command = cli(&server, &["--pipe"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("redis-cli runs");
    let mut commands = String::new();
    for key in 0..10_000 {
        let key = key.to_string();
        let len = key.len().to_string();
        commands.extend(["*3\r\n$3\r\nSET\r\n$", &len, "\r\n", &key, "\r\n$1\r\nv\r\n"]);
    }
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(commands.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("errors: 0, replies: 10000"), "{text}");
    let size = server.connect().expect("connects").call(&["DBSIZE"]).expect("replies");
    assert_eq!(size, Value::Integer(10_000));
}

#[test]
fn monitor_shows_what_others_do() {
    let server = darter();
    let monitor = Running::start(&server, &["MONITOR"]);
    monitor.line(|line| line == "OK");
    let mut client = server.connect().expect("connects");
    client.call(&["SET", "watched", "a b"]).expect("replies");
    let line = monitor.line(|line| line.contains("watched"));
    assert!(
        line.contains(" [0 127.0.0.1:") && line.ends_with("\"SET\" \"watched\" \"a b\""),
        "{line}"
    );
}

#[test]
fn subscribers_hear_until_they_are_ended() {
    let server = darter();
    let subscriber = Running::start(&server, &["SUBSCRIBE", "news"]);
    subscriber.line(|line| line == "1");
    assert_eq!(output(&server, &["PUBLISH", "news", "hello"]), "1\n");
    subscriber.line(|line| line == "hello");
}

#[test]
fn single_calls_take_every_option() {
    let server = darter();
    let uri = format!("redis://{}/3", server.address());
    assert_eq!(output(&server, &["-n", "3", "RPUSH", "list", "a", "b c"]), "2\n");
    assert_eq!(
        output(&server, &["-u", &uri, "--csv", "LRANGE", "list", "0", "-1"]),
        "\"a\",\"b c\"\n"
    );
    assert_eq!(output(&server, &["-r", "3", "INCR", "number"]), "1\n2\n3\n");
    assert_eq!(output(&server, &["--quoted-input", "ECHO", "\"\\x41\\x42\""]), "AB\n");
    let failed = cli(&server, &["-n", "3", "-e", "GET", "list"]).output().expect("redis-cli runs");
    assert!(!failed.status.success());

    let mut command = cli(&server, &["-x", "SET", "input"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    child.stdin.take().expect("piped").write_all(b"two\r\nlines").expect("it reads");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(output(&server, &["--no-raw", "GET", "input"]), "\"two\\r\\nlines\"\n");

    let mut script = tempfile::NamedTempFile::new().expect("a file");
    script.write_all(b"return {KEYS[1], ARGV[2]}").expect("is written");
    let file = script.path().to_str().expect("a name");
    assert_eq!(output(&server, &["--eval", file, "k", ",", "a", "b"]), "k\nb\n");
}

/// The interactive mode needs a terminal, which `script` makes; a dumb one, to which nobody has to say how
/// wide it is.
#[test]
fn at_a_terminal_it_helps_and_answers() {
    let server = darter();
    let run = format!("redis-cli -h 127.0.0.1 -p {}", server.address().port());
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &run, "/dev/null"])
        .env("TERM", "dumb")
        .env("HOME", "/nowhere")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It knows of this command only what COMMAND DOCS says.
    stdin.write_all(b"set word 5\nincrby word 37\nhelp delifeq\nquit\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for expected in ["OK", "(integer) 42", "DELIFEQ", "key value", "group:"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn resp3_shows_maps() {
    let server = darter();
    let text = output(&server, &["-3", "--no-raw", "CONFIG", "GET", "maxclients"]);
    assert_eq!(text.trim_end(), "1# \"maxclients\" => \"10000\"");
    let text = output(&server, &["-3", "--json", "HELLO"]);
    assert!(text.contains("\"proto\":3"), "{text}");
}

#[test]
fn hints_come_from_the_documentation_of_commands() {
    let server = darter();
    // redis-cli 7.0 shows hints on terminals only; valkey-cli can be asked for one.
    let port = server.address().port().to_string();
    let hint = |line: &str| {
        let command = Command::new("valkey-cli").args(["-p", &port, "--test_hint", line]).output();
        command.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(get) = hint("GET ") else {
        eprintln!("there is no valkey-cli to ask");
        return;
    };
    assert_eq!(get, "key");
    assert_eq!(hint("CLIENT PAUSE ").as_deref(), Some("timeout [WRITE|ALL]"));
    assert_eq!(hint("GETRANGE k 1 ").as_deref(), Some("end"));
    assert_eq!(hint("SET k v EX 1 ").as_deref(), Some("[NX|XX|IFEQ comparison-value] [GET]"));
}
