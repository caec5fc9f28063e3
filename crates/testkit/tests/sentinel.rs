//! Redis's Sentinel over Darter: who is the primary changes by hand, when it is killed and when it hangs, and whoever was it
//! comes back as a replica, without anything lost that replicas had.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use darter_testkit::diff::contents::{Contents, first_difference, read};
use darter_testkit::durable::{call, eventually, info, ok};
use darter_testkit::encodings::contents;
use darter_testkit::mode::{SERVER_MODES, darter_binary};
use darter_testkit::{Client, Value};

/// A server with a file of its configuration, which it comes back with.
struct Node {
    program: String,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
    address: SocketAddr,
    child: Child,
}

impl Node {
    /// Starts a server that has these lines in its configuration.
    fn start(program: &Path, arguments: &[String], lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let path = directory.path().to_str().unwrap();
        let text = format!("port {}\ndir {path}\n{lines}\n", address.port());
        fs::write(directory.path().join("server.conf"), text).unwrap();
        let program = program.to_str().unwrap().to_owned();
        let arguments = arguments.to_vec();
        let child = spawn(&program, &arguments, directory.path());
        let node = Self { program, arguments, directory, address, child };
        node.wait_until_ready();
        node
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.arguments, self.directory.path());
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let answers = || {
            Client::connect(self.address)
                .is_ok_and(|mut client| matches!(client.call(&["PING"]), Ok(Value::Simple(_))))
        };
        assert!(eventually(answers), "{}", self.log());
    }

    fn connect(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn kill(&mut self) {
        self.signal("-KILL");
        self.child.wait().unwrap();
    }

    fn replication(&self, field: &str) -> String {
        info(&mut self.connect(), "replication", field)
    }

    fn is_replica_of(&self, primary: &Self) -> bool {
        self.replication("role") == "slave"
            && self.replication("master_port") == primary.address.port().to_string()
            && self.replication("master_link_status") == "up"
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &str, arguments: &[String], directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    Command::new(program)
        .arg(directory.join("server.conf"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Three servers, one of them a redis-server, and three sentinels that look after them.
struct Team {
    nodes: Vec<Node>,
    sentinels: Vec<Node>,
}

impl Team {
    fn start() -> Self {
        let darter = darter_binary().unwrap_or_else(|error| panic!("{error}"));
        let redis = Path::new("redis-server");
        let first = Node::start(&darter, &SERVER_MODES[6].spec(&darter).arguments, "save \"\"");
        let follows = format!("save \"\"\nreplicaof 127.0.0.1 {}", first.address.port());
        let second = Node::start(&darter, &SERVER_MODES[0].spec(&darter).arguments, &follows);
        let third = Node::start(redis, &[], &format!("{follows}\nenable-debug-command yes"));
        let watches = format!(
            "sentinel monitor team 127.0.0.1 {} 2\nsentinel down-after-milliseconds team 5000\n\
             sentinel failover-timeout team 6000",
            first.address.port()
        );
        let options = ["--sentinel".to_owned()];
        let sentinels: Vec<_> = (0..3).map(|_| Node::start(redis, &options, &watches)).collect();
        for sentinel in &sentinels {
            // They look more often than every ten seconds who follows whom.
            let line = "SENTINEL DEBUG INFO-PERIOD 500 PING-PERIOD 200 PUBLISH-PERIOD 200";
            assert_eq!(call(&mut sentinel.connect(), line), ok());
        }
        Self { nodes: vec![first, second, third], sentinels }
    }

    fn logs(&self) -> String {
        self.nodes.iter().chain(&self.sentinels).map(Node::log).collect::<Vec<_>>().join("\n---\n")
    }

    fn wait(&self, what: &str, done: impl FnMut() -> bool) {
        assert!(eventually(done), "in vain: {what}\n{}", self.logs());
    }

    /// Which node a sentinel says is the primary.
    fn said_primary(&self, sentinel: &Node) -> Option<usize> {
        let reply = call(&mut sentinel.connect(), "SENTINEL GET-MASTER-ADDR-BY-NAME team");
        let Value::Array(words) = reply else { panic!("{reply:?}") };
        let Value::Bulk(port) = &words[1] else { panic!("{words:?}") };
        let port: u16 = String::from_utf8_lossy(port).parse().unwrap();
        self.nodes.iter().position(|node| node.address.port() == port)
    }

    /// Waits until sentinels know each other and all replicas.
    fn wait_until_known(&self) {
        for sentinel in &self.sentinels {
            let field = |name: &[u8]| {
                let reply = call(&mut sentinel.connect(), "SENTINEL MASTER team");
                let Value::Array(words) = reply else { panic!("{reply:?}") };
                let at = words.iter().position(|word| *word == Value::Bulk(name.to_vec())).unwrap();
                words[at + 1].clone()
            };
            let two = Value::Bulk(b"2".to_vec());
            self.wait("sentinels that know everybody", || {
                field(b"num-slaves") == two && field(b"num-other-sentinels") == two
            });
        }
    }

    /// Waits until all sentinels say that another node than `former` is the primary, and it is.
    fn wait_for_another(&self, former: usize) -> usize {
        let mut found = former;
        self.wait("another primary", || {
            let said: Vec<_> = self.sentinels.iter().map(|one| self.said_primary(one)).collect();
            found = said[0].unwrap_or(former);
            found != former
                && said.iter().all(|one| *one == said[0])
                && self.nodes[found].replication("role") == "master"
        });
        found
    }

    /// Waits until everybody else follows the primary and has what it has.
    fn wait_until_equal(&self, primary: usize) {
        let leader = &self.nodes[primary];
        for (_, node) in self.nodes.iter().enumerate().filter(|(index, _)| *index != primary) {
            self.wait("a replica", || node.is_replica_of(leader));
            self.wait("equal offsets", || {
                node.replication("slave_repl_offset") == leader.replication("master_repl_offset")
            });
            let difference = first_difference(&held(leader), &held(node));
            assert!(difference.is_none(), "{difference:?}\n{}", self.logs());
        }
    }

    /// Writes something that all replicas that there are have.
    fn write(&self, primary: usize, round: &str, replicas: i64) {
        let mut client = self.nodes[primary].connect();
        for number in 0..500 {
            assert_eq!(call(&mut client, &format!("SET {round}:{number} {number}")), ok());
        }
        assert_eq!(call(&mut client, &format!("WAIT {replicas} 0")), Value::Integer(replicas));
    }

    fn has(&self, primary: usize, round: &str) {
        let mut client = self.nodes[primary].connect();
        for number in 0..500 {
            let value = Value::Bulk(number.to_string().into_bytes());
            assert_eq!(call(&mut client, &format!("GET {round}:{number}")), value, "{round}");
        }
    }
}

/// What a server holds, forms aside: they depend on how a value came about.
fn held(node: &Node) -> Contents {
    let mut contents = read(node.address).unwrap();
    for entry in contents.values_mut() {
        entry.encoding = Value::Null;
    }
    contents
}

#[test]
fn sentinels_change_the_primary_and_nothing_is_lost() {
    let mut team = Team::start();
    let mut client = team.nodes[0].connect();
    for (_, setup) in contents() {
        for command in &setup {
            client.call(command).unwrap();
        }
    }
    team.wait_until_known();
    team.wait_until_equal(0);

    // By hand.
    team.write(0, "before", 2);
    assert_eq!(call(&mut team.sentinels[0].connect(), "SENTINEL FAILOVER team"), ok());
    let second = team.wait_for_another(0);
    team.has(second, "before");
    team.wait_until_equal(second);

    // The primary is killed, and comes back as what its configuration says: nobody's replica.
    team.write(second, "handed", 2);
    team.nodes[second].kill();
    let third = team.wait_for_another(second);
    team.has(third, "handed");
    team.wait_until_known();
    team.write(third, "killed", 1);
    team.nodes[second].start_again();
    team.wait_until_equal(third);

    // It hangs, and takes itself for the primary when it goes on.
    team.write(third, "whole", 2);
    team.nodes[third].signal("-STOP");
    let last = team.wait_for_another(third);
    team.has(last, "whole");
    team.nodes[third].signal("-CONT");
    team.wait_until_equal(last);
    for round in ["before", "handed", "killed", "whole"] {
        team.has(last, round);
    }
}
