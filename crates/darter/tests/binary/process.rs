//! The process from end to end: log, signals, background, supervision, crashes.

use crate::support::{Server, darter, read, wait_for};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

#[test]
fn the_log_tells_what_scripts_look_for() {
    let mut server = Server::start(&["--always-show-logo", "yes"]);
    server.client().call("SHUTDOWN NOSAVE");
    assert!(server.wait().success());
    let log = server.log();
    let pid = server.pid();
    let mut rest = log.as_str();
    for text in [
        &format!("{pid}:M "),
        &format!("pid={pid}, just started"),
        &format!(" PID: {pid}"),
        "Reactor: epoll",
        "Workers: 1, shards: 1",
        "Memory: ",
        " * Server initialized\n",
        " * Ready to accept connections unix\n",
        " * User requested shutdown",
        " # Darter is now ready to exit, bye bye...\n",
    ] {
        let Some(at) = rest.find(text) else { panic!("{text:?} is missing in {log}") };
        rest = &rest[at..];
    }
}

#[test]
fn lines_change_their_form_and_their_file() {
    let server = Server::start(&["--logfile", "{}/log", "--log-format", "json"]);
    let line = read(&server.path("log"));
    assert!(
        line.starts_with(&format!("{{\"pid\":{},\"role\":\"primary\",", server.pid())),
        "{line}"
    );
    let mut client = server.client();
    fs::rename(server.path("log"), server.path("log.1")).unwrap();
    client.call("CONFIG SET log-format logfmt log-timestamp-format milliseconds");
    client.call("CONFIG SET port 0 bind 127.0.0.2");
    client.call("SHUTDOWN NOSAVE");
    let line = wait_for("the new file", || {
        let text = read(&server.path("log"));
        text.contains("ready to exit").then_some(text)
    });
    assert!(line.contains(" role=primary timestamp=\"1"), "{line}");
}

#[test]
fn signals_end_the_server_as_they_end_redis() {
    for name in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        server.signal(name);
        assert_eq!(server.wait().code(), Some(0), "{name}");
    }
}

#[test]
fn a_signal_does_what_its_parameter_says() {
    let mut server = Server::start(&["--shutdown-on-sigterm", "save"]);
    let mut client = server.client();
    // What is in the place of the file keeps it from being written.
    fs::create_dir(server.path("dump.rdb")).unwrap();
    server.signal("TERM");
    wait_for("the refusal", || server.log().contains("SIGTERM received but errors").then_some(()));
    assert_eq!(client.call("PING"), "PONG");
    assert_eq!(client.call("CONFIG SET shutdown-on-sigterm \"save force\""), "OK");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_shutdown_can_be_aborted_until_it_is_too_late() {
    let mut server = Server::start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.call("SHUTDOWN ABORT"), "-ERR No shutdown in progress.");
    assert_eq!(client.call("DEBUG PAUSE-CRON 1"), "OK");
    server.signal("TERM");
    wait_for("the shutdown", || (client.call("SHUTDOWN ABORT") == "OK").then_some(()));
    assert!(server.log().contains("Shutdown manually aborted"));
    assert_eq!(client.call("SHUTDOWN ABORT"), "-ERR No shutdown in progress.");
    assert_eq!(client.call("DEBUG PAUSE-CRON 0"), "OK");
    assert_eq!(client.call("PING"), "PONG");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_interrupt_gives_the_last_save_up() {
    let mut server = Server::start(&["--save", "900 1"]);
    let mut client = server.client();
    client.call("MSET a 1 b 2");
    client.call("CONFIG SET rdb-key-save-delay 10000000");
    let unfinished = server.path(&format!("temp-{}.rdb", server.pid()));
    server.signal("INT");
    wait_for("the save", || unfinished.exists().then_some(()));
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(1));
    assert!(!unfinished.exists() && !server.path("dump.rdb").exists());
}

#[test]
fn a_log_that_has_only_begun_is_waited_for() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    client.call("MSET a 1 b 2");
    client.call("CONFIG SET rdb-key-save-delay 10000000 appendonly yes");
    let is_written = |client: &mut crate::support::Client| {
        client.call("INFO persistence").contains("aof_rewrite_in_progress:1")
    };
    wait_for("the base", || is_written(&mut client).then_some(()));
    server.signal("TERM");
    wait_for("the refusal", || server.log().contains("Writing initial AOF").then_some(()));
    assert_eq!(client.call("SHUTDOWN"), "-ERR Errors trying to SHUTDOWN. Check logs.");
    client.call("CONFIG SET rdb-key-save-delay 0");
    wait_for("its end", || (!is_written(&mut client)).then_some(()));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn lists_of_processes_show_the_title() {
    let shown = |server: &Server| {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).unwrap();
        line.trim_end_matches('\0').to_owned()
    };
    let pad = |command: &mut Command| {
        command.env("PADDING", "x".repeat(3000));
    };
    let server = Server::start_in(tempfile::tempdir().unwrap(), &[], pad);
    let title = format!("darter unixsocket:{}", server.path("socket").display());
    assert!(shown(&server).ends_with(&title), "{}", shown(&server));
    // Longer than all arguments were.
    let long = "y".repeat(2000);
    let mut client = server.client();
    let set = format!("CONFIG SET proc-title-template \"{long} {{port}}\"");
    assert_eq!(client.call(&set), "OK");
    assert_eq!(shown(&server), format!("{long} 0"));
    client.call("CONFIG SET proc-title-template \"short {server-mode}\"");
    assert_eq!(shown(&server), "short");
    let refused = client.call("CONFIG SET proc-title-template {host}");
    assert!(refused.contains("template format is invalid"), "{refused}");

    let server = Server::start(&["--set-proc-title", "no"]);
    assert!(shown(&server).contains("\0--unixsocket\0"), "{}", shown(&server));
}

#[test]
fn a_script_without_end_does_not_keep_the_server_alive() {
    for script in ["while true do end", "redis.call('SET', 'k', 1) while true do end"] {
        let mut server = Server::start(&["--busy-reply-threshold", "10"]);
        let mut client = server.client();
        client.send(&format!("EVAL \"{script}\" 0"));
        wait_for("the script", || server.log().contains("Slow script detected").then_some(()));
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0), "{script}");
    }
}

#[test]
fn a_fatal_signal_is_reported() {
    let mut server = Server::start(&[]);
    server.client().call("PING");
    server.signal("SEGV");
    assert_eq!(server.wait().signal(), Some(11));
    let log = server.log();
    for text in [
        "=== DARTER BUG REPORT START",
        "crashed by signal: 11 (SIGSEGV)",
        "------ STACK TRACE ------",
        "------ CURRENT COMMAND ------",
        "workers:1 shards:1 reactor:",
        "=== DARTER BUG REPORT END",
    ] {
        assert!(log.contains(text), "{text:?} is missing in {log}");
    }

    let mut server = Server::start(&[]);
    server.client().call("CONFIG SET crash-log-enabled no");
    server.signal("SEGV");
    assert_eq!(server.wait().signal(), Some(11));
    assert!(!server.log().contains("BUG REPORT"));
}

#[test]
fn a_crash_names_the_command_and_its_client_but_no_arguments() {
    for (command, signature) in
        [("segfault", "crashed by signal: 11"), ("panic", "called by DEBUG PANIC")]
    {
        let mut server = Server::start(&["--enable-debug-command", "yes"]);
        let mut client = server.client();
        let id = client.call("CLIENT ID");
        client.call("SET key a-secret");
        assert_eq!(client.call(&format!("DEBUG {command}")), "");
        assert!(!server.wait().success());
        let log = server.log();
        assert!(log.contains(signature), "{log}");
        let in_flight = format!("debug|{command}, 2 arguments, of client id={id}");
        assert!(log.contains(&in_flight), "{in_flight:?} is missing in {log}");
        assert!(!log.contains("a-secret"));
    }
}

#[test]
fn systemd_hears_of_start_and_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let received = || {
        let mut buffer = [0; 256];
        let bytes = receiver.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    };
    let mut server = Server::start_in(directory, &["--supervised", "systemd"], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert!(received().contains("READY=1\n"));
    server.signal("TERM");
    assert!(received().contains("STOPPING=1\n"));
    assert!(server.wait().success());
}

#[test]
fn a_daemon_leaves_its_starter_and_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let status = darter()
        .args(["--port", "0", "--unixsocket", &path("socket"), "--workers", "1"])
        .args(["--daemonize", "yes", "--pidfile", &path("pid"), "--logfile", &path("log")])
        .args(["--reactor", "epoll"])
        .current_dir(&directory)
        .status()
        .unwrap();
    assert!(status.success());
    let pid = wait_for("the process id", || {
        let text = read(path("pid").as_ref());
        text.trim().parse::<u32>().ok()
    });
    wait_for("the daemon", || {
        read(path("log").as_ref()).contains("Ready to accept connections").then_some(())
    });
    let log = read(path("log").as_ref());
    assert!(log.contains(&format!("{pid}:M ")) && log.contains(&format!("PID: {pid}")), "{log}");
    assert!(Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    wait_for("its end", || fs::metadata(path("pid")).is_err().then_some(()));
}
