//! The harness itself: a test that cannot fail tests nothing.

use std::path::Path;

use darter_testkit::transcript::model::Target;
use darter_testkit::transcript::run::{Report, Setting, run_file};
use darter_testkit::transcript::{corpus, parse};
use darter_testkit::{Client, Feed, Protocol, Server, ServerSpec, Value, mode};

fn redis() -> Server {
    Server::start(&mode::oracle_spec()).expect("redis-server starts")
}

fn run(server: &Server, protocol: Protocol, feed: Feed, text: &str) -> Report {
    let transcript = parse::parse(Path::new("inline.txt"), text).expect("well formed");
    let target: Target = corpus::identify(Path::new("redis-server")).expect("redis-server runs");
    run_file(&transcript, Setting { address: server.address(), target, protocol, feed })
}

#[test]
fn a_server_is_ready_when_it_has_started_and_gone_when_it_is_dropped() {
    let server = redis();
    let address = server.address();
    assert_eq!(server.connect().unwrap().call(&["PING"]).unwrap(), Value::Simple("PONG".into()));
    assert!(server.log().contains("Ready to accept connections"));
    drop(server);
    assert!(Client::connect(address).is_err());
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let mut spec = mode::oracle_spec();
    spec.arguments.push("--no-such-option".to_owned());
    let error = Server::start(&spec).expect_err("not an option");
    assert!(error.log.contains("no-such-option"), "{error}");

    let spec = ServerSpec {
        name: "nothing".to_owned(),
        program: "/nonexistent/server".into(),
        arguments: Vec::new(),
    };
    assert!(Server::start(&spec).expect_err("no such program").reason.contains("cannot start"));
}

#[test]
fn servers_side_by_side_do_not_share_a_port() {
    let servers: Vec<Server> = (0..8).map(|_| redis()).collect();
    let mut ports: Vec<u16> = servers.iter().map(|server| server.address().port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
}

#[test]
fn wrong_expectations_are_found_in_every_mode() {
    let server = redis();
    // The case, and how many of its replies are wrong.
    let cases = [
        ("== a\n> SET k v\n+OK\n> GET k\n\"v\"", 0),
        ("== a\n> SET k v\n+ok", 1),
        ("== a\n> GET k\n\"\"", 1),
        ("== a\n> INCR k\n\"1\"\n> INCR k\n2\n> INCR k\n1..2", 2),
        ("== a\n> PING\n<< \"+pong\\r\\n\"", 1),
        ("== a\n> NONSENSE\n-ERR unknown command", 1),
        // One reply more than written down, at the end or in the middle.
        ("== a\n>> \"PING\\r\\nPING\\r\\n\"\n+PONG\n> PING\n+PONG", 1),
        ("== a\n> PING\nclosed", 1),
        // The server closes and was not expected to.
        ("== a\n> QUIT\n+OK\n> PING\n+PONG", 1),
        ("== a\n> MSET a 1 b 2\n+OK\n@iterate\n> SCAN $cursor\nunordered[\"a\"]", 1),
    ];
    for &protocol in mode::PROTOCOLS {
        for &feed in mode::FEEDS {
            for (text, wrong) in cases {
                let found = run(&server, protocol, feed, text).failures;
                assert_eq!(found.len(), wrong, "{protocol} {feed} {text}: {found:?}");
            }
        }
    }
}

#[test]
fn conditions_and_bindings_follow_the_protocol_and_the_server() {
    let server = redis();
    let text = "\
== by protocol
> CONFIG GET maxmemory
resp2: [\"maxmemory\" \"0\"]
resp3: << \"%1\\r\\n$9\\r\\nmaxmemory\\r\\n$1\\r\\n0\\r\\n\"
> CONFIG GET maxmemory
{\"maxmemory\": \"0\"}
== by server
@differs for this test
> GET k
darter: \"something else\"
redis>=7: nil
redis<7: \"something else\"
== not for redis
@oracle valkey
> NONSENSE
+OK
== bound
> CLIENT ID
$id:int
b> ECHO $id
any
> CLIENT ID
$id
";
    for &protocol in mode::PROTOCOLS {
        for &feed in mode::FEEDS {
            let report = run(&server, protocol, feed, text);
            assert!(report.failures.is_empty(), "{protocol} {feed}: {:?}", report.failures);
            assert_eq!(report.skipped, 1);
        }
    }
}

#[test]
fn bytewise_requests_really_arrive_in_pieces() {
    let server = redis();
    let mut other = server.connect().unwrap();
    let mut reads = || {
        let info = other.call(&["INFO", "stats"]).unwrap();
        let info = String::from_utf8(info.text().unwrap().to_vec()).unwrap();
        let field = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        field.unwrap().parse::<usize>().unwrap()
    };
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500\r\n{}\r\n", "x".repeat(500));
    // A server that does not get to run meanwhile finds them all at once.
    let pieces = (0..20).map(|_| {
        let before = reads();
        let mut client = server.connect().unwrap();
        client.send_in_pieces(request.as_bytes(), 1).unwrap();
        assert_eq!(client.read_reply().unwrap().value, Value::Simple("OK".into()));
        reads() - before
    });
    let pieces: Vec<usize> = pieces.collect();
    let most = pieces.iter().max().copied().unwrap_or(0);
    assert!(most > request.len() / 10, "{pieces:?} reads for {} bytes", request.len());
}
