//! The binary as a client, and its endpoint for probes.

use crate::support::{Server, darter, wait_for};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Output, Stdio};

/// What a client prints that is told where the server is.
fn ask(server: &Server, arguments: &[&str], input: &str) -> Output {
    let socket = server.path("socket");
    let mut child = darter()
        .args(["cli", "-s", socket.to_str().unwrap()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn one_command_is_sent_and_its_reply_printed() {
    let server = Server::start(&[]);
    assert_eq!(printed(&ask(&server, &["ping"], "")), "PONG\n");
    assert_eq!(printed(&ask(&server, &["-n", "3", "set", "a", "b c"], "")), "OK\n");
    assert_eq!(printed(&ask(&server, &["-n", "3", "--no-raw", "get", "a"], "")), "\"b c\"\n");
    assert_eq!(printed(&ask(&server, &["-x", "set", "a"], "from\ninput")), "OK\n");
    assert_eq!(printed(&ask(&server, &["get", "a"], "")), "from\ninput\n");
    assert_eq!(printed(&ask(&server, &["-3", "config", "get", "port"], "")), "port 0\n");
    let lines = "incr n\n\nincrby n \"41\"\n";
    assert_eq!(printed(&ask(&server, &[], lines)), "1\n42\n");
}

#[test]
fn an_error_reply_fails_only_when_asked_to() {
    let server = Server::start(&["--requirepass", "secret"]);
    let refused = ask(&server, &["ping"], "");
    assert!(printed(&refused).starts_with("NOAUTH ") && refused.status.success());
    assert_eq!(ask(&server, &["-e", "ping"], "").status.code(), Some(1));
    let warned = ask(&server, &["-a", "secret", "ping"], "");
    assert_eq!(printed(&warned), "PONG\n");
    assert!(String::from_utf8_lossy(&warned.stderr).starts_with("Warning: "));
    let nowhere = darter().args(["cli", "-s", "/nowhere", "ping"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
}

#[test]
fn the_name_it_is_called_by_decides_what_it_is() {
    let server = Server::start(&[]);
    let mut command = darter();
    command.arg0("redis-cli").args(["-s", server.path("socket").to_str().unwrap(), "echo", "x"]);
    assert_eq!(printed(&command.output().unwrap()), "x\n");
    let mut command = darter();
    command.arg0("/usr/bin/redis-server").arg("--version");
    assert!(printed(&command.output().unwrap()).starts_with("Darter server v="));
}

#[test]
fn a_health_check_takes_the_options_of_the_server() {
    let mut server = Server::start(&["--requirepass", "secret"]);
    let socket = server.path("socket").to_str().unwrap().to_owned();
    let check = |password: Option<&str>| {
        let mut command = darter();
        command.args(["healthcheck", "--port", "0", "--unixsocket", &socket]);
        command.args(password.map(|password| format!("--requirepass={password}")));
        let output = command.output().unwrap();
        (output.status.code(), printed(&output))
    };
    assert_eq!(check(Some("secret")), (Some(0), "healthy\n".to_owned()));
    // It lives, whether or not its password is known.
    assert_eq!(check(None).0, Some(0));
    server.signal("TERM");
    server.wait();
    let (code, text) = check(Some("secret"));
    assert_eq!(code, Some(1));
    assert!(text.starts_with("unhealthy: "), "{text}");
}

/// A port that nobody listens on; somebody else may be faster in taking it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let port = free_port();
    let server = Server::start(&["--metrics-port", &port.to_string(), "--workers", "2"]);
    let ready = wait_for("the endpoint", || get(port, "/readyz"));
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let mut client = server.client();
    client.call("MSET a 1 b 2 c 3");
    client.call("EXPIRE a 1000");
    // Workers publish what their shards have ten times a second.
    let page = wait_for("the keys", || {
        get(port, "/metrics").filter(|page| page.contains("\nredis_db_keys{db=\"db0\"} 3\n"))
    });
    for line in [
        "# TYPE redis_up gauge\nredis_up 1\n",
        "redis_db_keys_expiring{db=\"db0\"} 1\n",
        "redis_commands_total{cmd=\"mset\"} 1\n",
        "darter_workers 2\n",
        "darter_worker_commands_total{worker=\"1\"} ",
        "darter_shard_keys{shard=\"7\"} ",
    ] {
        assert!(page.contains(line), "{line:?} is missing in {page}");
    }
    assert!(get(port, "/").is_some_and(|page| page.contains("/metrics")));
    assert!(get(port, "/other").is_some_and(|page| page.starts_with("HTTP/1.1 404 ")));
}
