//! The binary's configuration from end to end: sources, errors, CONFIG SET and CONFIG REWRITE.

use crate::support::{Server, directory_with, read, run};
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

/// Options that keep a configuration file written for a whole machine within a directory.
const CONTAINED: &[&str] =
    &["--daemonize", "no", "--pidfile", "{}/pid", "--logfile", "", "--supervised", "no"];

#[test]
fn questions_are_answered_without_a_server() {
    for option in ["-v", "--version"] {
        let output = run(&[option]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("Darter server v="));
    }
    for option in ["-h", "--help"] {
        let output = run(&[option]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("\n  --maxmemory-policy "));
    }
    let output = run(&["--check-system"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("[overcommit]..."));
}

#[test]
fn mistakes_are_told_with_line_and_reason() {
    let bad = directory_with("bad.conf", "port 1\n# fine\nmaxclients many\n");
    let bad = bad.path().join("bad.conf");
    let bad = bad.to_str().unwrap();
    for (arguments, expected) in [
        (&["--invalid"][..], &["Bad directive or wrong number of arguments"][..]),
        (&["--port", "--bla", "--loglevel", "verbose"], &[r#"'port "--bla"'"#, "into an integer"]),
        (&["--rename-command", "nothing", "x"], &["No such command in rename-command"]),
        (&["--rename-command", "get", "set"], &["Target command name already exists"]),
        (&["--tls-port", "1"], &["TLS is not supported"]),
        (&["--replicaof", "127.0.0.1", "1"], &["replication is not supported"]),
        (&["--logfile", "/nowhere/log"], &["Can't open the log file"]),
        (&[bad], &["at line 3 of", "bad.conf", "'maxclients many'"]),
    ] {
        let output = run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        for text in expected {
            assert!(told.contains(text), "{arguments:?}: {told}");
        }
    }
    let output = run(&["/nowhere/darter.conf"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't open config file"));
}

#[test]
fn the_files_of_debian_and_valkey_start_the_server() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/valkey-defaults.conf");
    // Where Debian's package is installed, also the file itself.
    for file in [own, "/etc/redis/redis.conf"] {
        if fs::metadata(file).is_err() {
            continue;
        }
        let server = Server::start(&[&[file], CONTAINED].concat());
        let mut client = server.client();
        assert_eq!(client.call("PING"), "PONG");
        assert_eq!(client.config("databases"), "16");
        let log = server.log();
        assert!(log.contains("Ready to accept connections"), "{log}");
        assert!(!log.contains("no parameter"), "{log}");
    }
}

#[test]
fn standard_input_and_environment_are_sources() {
    let directory = directory_with("input", "timeout 7\nmaxclients 70\nmaxmemory 1kb\n");
    let input = fs::File::open(directory.path().join("input")).unwrap();
    let server = Server::start_in(directory, &["--maxmemory", "2kb", "-"], |command| {
        command
            .stdin(Stdio::from(input))
            .env("DARTER_MAXCLIENTS", "71")
            .env("DARTER_MAXMEMORY", "3kb");
    });
    let mut client = server.client();
    assert_eq!(client.config("timeout"), "7");
    assert_eq!(client.config("maxclients"), "71");
    assert_eq!(client.config("maxmemory"), "2048");
    assert_eq!(client.call("CONFIG REWRITE"), "-ERR The server is running without a config file");
}

#[test]
fn renamed_commands_answer_to_their_new_name() {
    let directory =
        directory_with("a.conf", "rename-command FLUSHDB badger\nrename-command KEYS \"\"\n");
    let server = Server::start_in(directory, &["{}/a.conf"], |_| {});
    let mut client = server.client();
    assert!(client.call("FLUSHDB").starts_with("-ERR unknown command 'FLUSHDB'"));
    assert!(client.call("KEYS *").starts_with("-ERR unknown command 'KEYS'"));
    assert_eq!(client.call("badger"), "OK");
    assert_eq!(client.call("BADGER nonsense"), "-ERR syntax error");
    assert!(client.call("COMMAND INFO badger").starts_with("flushdb"));
    assert_eq!(client.call("COMMAND INFO keys"), "nil");
    client.call("CONFIG REWRITE");
    assert!(read(&server.path("a.conf")).starts_with("rename-command FLUSHDB badger\n"));
}

#[test]
fn a_rewritten_file_says_the_same_again() {
    let text = "# mine\ninclude {}/more.conf\n\n\n\ntimeout 1\n# end\n".to_owned();
    let directory = directory_with("more.conf", "maxclients 100\n");
    let shown = directory.path().to_string_lossy().into_owned();
    fs::write(directory.path().join("a.conf"), text.replace("{}", &shown)).unwrap();
    let mut server = Server::start_in(directory, &["{}/a.conf"], |_| {});
    let mut client = server.client();
    assert_eq!(client.call("CONFIG SET timeout 9 maxmemory 64mb requirepass \"a b\""), "OK");
    client.call("AUTH \"a b\"");
    // What comes behind it in a transaction is not in the file, though it is written when all has run.
    for command in ["MULTI", "CONFIG REWRITE", "CONFIG SET timeout 11"] {
        client.call(command);
    }
    assert_eq!(client.call("EXEC"), "OK\nOK");
    let written = read(&server.path("a.conf"));
    let expected = format!(
        "# mine\ninclude {shown}/more.conf\n\ntimeout 9\n# end\n# Generated by CONFIG REWRITE\n"
    );
    assert!(written.starts_with(&expected), "{written}");
    assert!(written.contains("\nmaxmemory 64mb\n") && written.contains("\nrequirepass \"a b\"\n"));
    client.call("SHUTDOWN NOSAVE");
    assert!(server.wait().success());
    let directory = std::mem::replace(&mut server.directory, tempfile::tempdir().unwrap());
    drop(server);

    let server = Server::start_in(directory, &["{}/a.conf"], |_| {});
    let mut client = server.client();
    assert!(client.call("PING").starts_with("-NOAUTH"));
    client.call("AUTH \"a b\"");
    assert_eq!((client.config("timeout"), client.config("maxclients")), ("9".into(), "100".into()));
    // Where it was is something else now.
    fs::remove_file(server.path("a.conf")).unwrap();
    fs::create_dir(server.path("a.conf")).unwrap();
    assert_eq!(client.call("CONFIG REWRITE"), "-ERR Rewriting config file: Is a directory");
}

#[test]
fn port_and_addresses_change_while_the_server_runs() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (first, second, taken) = (free(), free(), free());
    let port_of = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (one, two, used) = (port_of(&first), port_of(&second), port_of(&taken));
    drop((first, second));
    let answers = |port: u16| {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        stream.write_all(b"PING\r\n").is_ok()
    };
    let server = Server::start(&["--bind", "127.0.0.1"]);
    let mut client = server.client();
    assert_eq!(client.call(&format!("CONFIG SET port {one}")), "OK");
    assert!(answers(one));
    assert!(client.call("INFO server").contains(&format!("tcp_port:{one}")));
    let refused = client.call(&format!("CONFIG SET maxmemory 5 port {used}"));
    assert_eq!(
        refused,
        "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this \
         port. Check server logs."
    );
    assert_eq!((client.config("port"), client.config("maxmemory")), (one.to_string(), "0".into()));
    assert!(answers(one));
    assert_eq!(
        client.call("CONFIG SET bind 999.999.999.999"),
        "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to \
         specified addresses."
    );
    assert!(answers(one));
    assert_eq!(client.call(&format!("CONFIG SET port {two}")), "OK");
    assert!(answers(two) && !answers(one));
    assert_eq!(client.call("CONFIG SET bind \"\""), "OK");
    assert!(!answers(two));
    assert_eq!(client.call("CONFIG SET bind \"* -::*\""), "OK");
    assert!(answers(two));
}
