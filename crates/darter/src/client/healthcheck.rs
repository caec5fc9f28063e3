//! `darter healthcheck`: whether the server that was started with the same options serves.
//!
//! It takes a server's options, environment and configuration file, and connects to where such a
//! server listens. Without options of its own it uses those of process 1 if that is Darter too: in a
//! container, where the probe is written into the image, that is the server to ask.

use crate::client::connection::{Address, Connection};
use crate::options::{self, Asked, Configuration};
use darter_resp::reply::Reply;
use darter_runtime::ListenerConfig;
use darter_runtime::config::BindAddress;
use darter_server::config::Settings;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

/// How long connecting, and each reply, may take.
const TIMEOUT: Duration = Duration::from_secs(2);

const HELP: &str = "\
Asks a server whether it serves, for health checks.

Usage: darter healthcheck [FILE] [--<NAME> <VALUE>...]...

Takes the options, the environment and the configuration file of the server it asks, and of these
needs port, unixsocket, bind and requirepass; without options it uses those that process 1 was
started with, if that is darter. HEALTHCHECK_PORT, HEALTHCHECK_HOST and REDISCLI_AUTH in the
environment override them.

Exits with 0 if the server answers and is not loading, with 1 otherwise.
";

/// What is asked, and how.
#[derive(Debug, PartialEq, Eq)]
struct Probe {
    address: Address,
    password: Option<Vec<u8>>,
}

/// Runs with the words of the command line, the program's name first.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    if args.iter().any(|word| matches!(word.as_bytes(), b"--help" | b"-h")) {
        return say(HELP.trim_end(), ExitCode::SUCCESS);
    }
    let server_args = if args.len() > 1 { args } else { args_of_first_process().unwrap_or(args) };
    let probe = match options::read_words(server_args).map_err(|error| error.to_string()) {
        Ok(Asked::Run(configuration)) => probe_of(&configuration),
        Ok(Asked::Answered(code)) => return code,
        Err(error) => Err(error),
    };
    match probe.and_then(|probe| ask(&probe)) {
        Ok(answer) => say(&answer, ExitCode::SUCCESS),
        Err(error) => say(&format!("unhealthy: {error}"), ExitCode::FAILURE),
    }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    use std::io::Write as _;
    // The exit code is the answer; the text is for people.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}

/// The command line of process 1, if that runs this program as a server.
fn args_of_first_process() -> Option<Vec<OsString>> {
    let own = env::current_exe().ok()?;
    if fs::read_link("/proc/1/exe").ok()? != own {
        return None;
    }
    let line = fs::read("/proc/1/cmdline").ok()?;
    let words = line.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    Some(words.map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// What to ask of a server with this configuration.
fn probe_of(configuration: &Configuration) -> Result<Probe, String> {
    let settings = configuration.store.current();
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let port = match text("HEALTHCHECK_PORT") {
        Some(port) => port.parse().map_err(|_| format!("HEALTHCHECK_PORT is no port: {port}"))?,
        None => settings.port,
    };
    let password = env::var_os("REDISCLI_AUTH").map(OsString::into_vec);
    Ok(Probe {
        address: address_of(&settings, port, text("HEALTHCHECK_HOST"))?,
        password: password
            .or_else(|| settings.has_password().then(|| settings.requirepass.clone())),
    })
}

fn address_of(settings: &Settings, port: u16, host: Option<String>) -> Result<Address, String> {
    if port == 0 {
        let socket = settings.unix_socket.clone();
        return socket.map(Address::Unix).ok_or("neither a port nor a unix socket is set".into());
    }
    let host = match host {
        Some(host) => host,
        None => host_of(&settings.bind).ok_or("the server listens on no address")?,
    };
    Ok(Address::Tcp { host, port })
}

/// An address that a server with this `bind` line listens on: loopback if it does.
fn host_of(bind: &[String]) -> Option<String> {
    let addresses: Vec<IpAddr> = bind.iter().filter_map(|word| address_of_word(word)).collect();
    let is_served = |loopback: &IpAddr| {
        addresses.iter().any(|address| {
            address == loopback
                || (address.is_unspecified() && address.is_ipv4() == loopback.is_ipv4())
        })
    };
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .find(is_served)
        .or_else(|| addresses.first().copied())
        .map(|address| address.to_string())
}

fn address_of_word(word: &str) -> Option<IpAddr> {
    match ListenerConfig::tcp(word, 0, 0).ok()?.address {
        BindAddress::Tcp { ip, .. } => Some(ip),
        BindAddress::Unix { .. } => None,
    }
}

/// Asks; the answer if the server serves, what is wrong otherwise.
fn ask(probe: &Probe) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", probe.address);
    let mut connection = Connection::open(&probe.address, Some(TIMEOUT)).map_err(failed)?;
    if let Some(password) = &probe.password {
        // A password that is not needed, or has been changed: what PING answers decides.
        connection.call(&[b"AUTH", password.as_slice()]).map_err(failed)?;
    }
    match connection.call(&["PING"]).map_err(failed)? {
        Reply::Simple(line) if line == b"PONG" => {}
        // It answers, and keeps its state from those who may not know.
        Reply::Error(line) if line.starts_with(b"NOAUTH") => {
            return Ok("alive, but the password is not known here".to_owned());
        }
        Reply::Error(line) => return Err(String::from_utf8_lossy(&line).into_owned()),
        other => return Err(format!("PING was answered with {other:?}")),
    }
    match connection.call(&["INFO", "persistence"]).map_err(failed)? {
        Reply::Bulk(text) if is_loading(&text) => Err("the server is loading its data".to_owned()),
        // Without permission for INFO, PING has said what there is to know: while loading it is
        // refused.
        _ => Ok("healthy".to_owned()),
    }
}

fn is_loading(info: &[u8]) -> bool {
    info.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end() == b"loading:1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    fn configuration(line: &[&str]) -> Configuration {
        let words = std::iter::once("darter").chain(line.iter().copied()).map(OsString::from);
        match options::read_words(words.collect()).unwrap() {
            Asked::Run(configuration) => *configuration,
            Asked::Answered(_) => panic!("the line asks to run"),
        }
    }

    #[test]
    fn the_address_is_where_the_server_listens() {
        let address = |line: &[&str]| {
            let settings = configuration(line).store.current();
            address_of(&settings, settings.port, None).map(|address| address.to_string())
        };
        assert_eq!(address(&["--port", "7000"]).unwrap(), "127.0.0.1:7000");
        assert_eq!(address(&["--bind", "::1"]).unwrap(), "[::1]:6379");
        assert_eq!(address(&["--bind", "-10.0.0.1", "192.0.2.1"]).unwrap(), "10.0.0.1:6379");
        assert_eq!(address(&["--port", "0", "--unixsocket", "/run/x"]).unwrap(), "/run/x");
        address(&["--port", "0"]).unwrap_err();
    }

    /// A server that gives these replies, one for each read.
    fn answer_of(replies: &[&'static str]) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let replies = replies.to_vec();
        #[expect(clippy::disallowed_methods, reason = "plays the server")]
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for reply in replies {
                let mut request = [0; 1024];
                assert_ne!(stream.read(&mut request).unwrap(), 0);
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
        let answer = ask(&Probe { address, password: None });
        server.join().unwrap();
        answer
    }

    #[test]
    fn only_a_server_that_serves_is_healthy() {
        let info = "$11\r\nloading:0\r\n\r\n";
        assert_eq!(answer_of(&["+PONG\r\n", info]).unwrap(), "healthy");
        let denied = "-NOPERM no permission\r\n";
        assert_eq!(answer_of(&["+PONG\r\n", denied]).unwrap(), "healthy");
        answer_of(&["+PONG\r\n", "$11\r\nloading:1\r\n\r\n"]).unwrap_err();
        answer_of(&["-LOADING Redis is loading the dataset in memory\r\n"]).unwrap_err();
        answer_of(&["HTTP/1.1 200 OK\r\n"]).unwrap_err();
        answer_of(&[]).unwrap_err();
        assert!(answer_of(&["-NOAUTH Authentication required.\r\n"]).unwrap().contains("alive"));
    }
}
