//! `darter cli`: one command, or a line of standard input each, as `redis-cli` sends and prints them.

use crate::client::connection::{Address, Connection};
use crate::client::print;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use darter_base::split_args::split_args;
use darter_resp::reply::Reply;
use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A word of a command.
type Word = Vec<u8>;

/// What the command line asks for.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Options {
    address: Address,
    timeout: Option<Duration>,
    user: Option<Word>,
    password: Option<Word>,
    /// The password is visible to whoever lists the processes.
    password_is_visible: bool,
    db: Option<String>,
    resp3: bool,
    /// Replies for people, not for programs.
    formatted: bool,
    /// An error reply ends the program with an error.
    errors_fail: bool,
    command: Vec<Word>,
}

/// Runs with the words of the command line, the program's name first.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(answer) => {
            // Nobody is there to tell when the output is closed.
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match Options::of(&matches).and_then(|options| talk(&options)) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let value = |id: &'static str| Arg::new(id).value_parser(value_parser!(OsString));
    let flag = |id: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue);
    Command::new("darter cli")
        .about("Sends a command to a server and prints the reply as redis-cli does.")
        .override_usage("darter cli [OPTIONS] [COMMAND [ARGUMENT]...]")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(value("host").short('h').default_value("127.0.0.1").help("Host of the server."))
        .arg(
            Arg::new("port")
                .short('p')
                .value_parser(value_parser!(u16))
                .default_value("6379")
                .help("Port of the server."),
        )
        .arg(
            Arg::new("timeout")
                .short('t')
                .value_parser(parse_seconds)
                .help("Seconds to wait for the connection, and for each reply; 0: any time."),
        )
        .arg(value("socket").short('s').help("Unix socket of the server, instead of a host."))
        .arg(
            value("password")
                .short('a')
                .long("pass")
                .allow_hyphen_values(true)
                .help("Password. REDISCLI_AUTH in the environment is not seen by other users."),
        )
        .arg(value("user").long("user").help("User the password is of."))
        .arg(Arg::new("db").short('n').help("Number of the database."))
        .arg(Arg::new("resp2").short('2').action(ArgAction::SetTrue).help("Speak RESP2."))
        .arg(
            Arg::new("resp3")
                .short('3')
                .action(ArgAction::SetTrue)
                .overrides_with("resp2")
                .help("Speak RESP3."),
        )
        .arg(flag("raw").help("Print replies for programs; the default unless to a terminal."))
        .arg(flag("no-raw").overrides_with("raw").help("Print replies for people."))
        .arg(flag("no-auth-warning").help("Do not warn of a password on the command line."))
        .arg(
            Arg::new("errors fail")
                .short('e')
                .action(ArgAction::SetTrue)
                .help("Exit with an error when a command answers one."),
        )
        .arg(
            Arg::new("last word")
                .short('x')
                .action(ArgAction::SetTrue)
                .help("Take the last argument from standard input."),
        )
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print this."))
        .arg(
            value("command")
                .action(ArgAction::Append)
                .trailing_var_arg(true)
                .num_args(0..)
                .help("Without one, commands come from standard input, one a line."),
        )
        .after_help("This is for probes and scripts: a command that never ends (MONITOR, SUBSCRIBE) needs redis-cli.")
}

fn parse_seconds(text: &str) -> Result<Option<Duration>, String> {
    match text.parse::<f64>().map(Duration::try_from_secs_f64) {
        Ok(Ok(Duration::ZERO)) => Ok(None),
        Ok(Ok(time)) => Ok(Some(time)),
        _ => Err("not a number of seconds".to_owned()),
    }
}

impl Options {
    fn of(matches: &ArgMatches) -> Result<Self, String> {
        let words = |id: &str| matches.get_one::<OsString>(id).map(|word| word.as_bytes().to_vec());
        let address = match matches.get_one::<OsString>("socket") {
            Some(path) => Address::Unix(PathBuf::from(path)),
            None => Address::Tcp {
                host: String::from_utf8(words("host").unwrap_or_default())
                    .map_err(|_| "the host's name is no text")?,
                port: matches.get_one("port").copied().unwrap_or_default(),
            },
        };
        let given = words("password");
        let from_environment = env::var_os("REDISCLI_AUTH").map(OsString::into_vec);
        let mut command: Vec<Word> = matches
            .get_many::<OsString>("command")
            .into_iter()
            .flatten()
            .map(|word| word.as_bytes().to_vec())
            .collect();
        if matches.get_flag("last word") {
            let mut word = Vec::new();
            io::stdin()
                .lock()
                .read_to_end(&mut word)
                .map_err(|error| format!("cannot read standard input: {error}"))?;
            command.push(word);
        }
        Ok(Self {
            address,
            timeout: matches.get_one::<Option<Duration>>("timeout").copied().flatten(),
            user: words("user"),
            password_is_visible: given.is_some() && !matches.get_flag("no-auth-warning"),
            password: given.or(from_environment),
            db: matches.get_one::<String>("db").cloned(),
            resp3: matches.get_flag("resp3"),
            formatted: matches.get_flag("no-raw")
                || (!matches.get_flag("raw") && io::stdout().is_terminal()),
            errors_fail: matches.get_flag("errors fail"),
            command,
        })
    }
}

fn talk(options: &Options) -> Result<ExitCode, String> {
    if options.password_is_visible {
        eprintln!(
            "Warning: Using a password with '-a' or '-u' option on the command line interface may \
             not be safe."
        );
    }
    let mut connection = Connection::open(&options.address, options.timeout).map_err(|error| {
        format!("Could not connect to Redis at {}: {}", options.address, reason(&error))
    })?;
    introduce(options, &mut connection)?;
    let mut failed = false;
    if options.command.is_empty() {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map_err(|error| format!("cannot read standard input: {error}"))?;
            let words = split_args(&line).map_err(|_| "Invalid argument(s)")?;
            if !words.is_empty() {
                failed |= ask(options, &mut connection, &words)?;
            }
        }
    } else {
        failed = ask(options, &mut connection, &options.command)?;
    }
    Ok(if failed && options.errors_fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Authenticates, chooses protocol and database. What the server refuses is told, and the command is
/// sent all the same: its reply says more than a silence.
fn introduce(options: &Options, connection: &mut Connection) -> Result<(), String> {
    if let Some(password) = &options.password {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(options.user.as_deref());
        words.push(password);
        tell_refusal(connection, &words, "AUTH")?;
    }
    if options.resp3 {
        tell_refusal(connection, &[b"HELLO", b"3"], "HELLO 3")?;
    }
    if let Some(db) = &options.db {
        tell_refusal(connection, &[b"SELECT", db.as_bytes()], &format!("SELECT {db}"))?;
    }
    Ok(())
}

fn tell_refusal(connection: &mut Connection, words: &[&[u8]], what: &str) -> Result<(), String> {
    if let Reply::Error(line) = call(connection, words)? {
        eprintln!("{what} failed: {}", String::from_utf8_lossy(&line));
    }
    Ok(())
}

/// Sends a command and prints its reply. `true` if that is an error.
fn ask(options: &Options, connection: &mut Connection, words: &[Word]) -> Result<bool, String> {
    let reply = call(connection, words)?;
    let text = if options.formatted { print::formatted(&reply) } else { print::raw(&reply) };
    let mut output = io::stdout().lock();
    output
        .write_all(&text)
        .and_then(|()| output.flush())
        .map_err(|error| format!("cannot print the reply: {error}"))?;
    Ok(matches!(reply, Reply::Error(_)))
}

fn call<W: AsRef<[u8]>>(connection: &mut Connection, words: &[W]) -> Result<Reply, String> {
    connection.call(words).map_err(|error| format!("Error: {}", reason(&error)))
}

/// The error as the system names it, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &[&str]) -> Options {
        let args = std::iter::once("redis-cli").chain(line.iter().copied());
        Options::of(&command().try_get_matches_from(args).unwrap()).unwrap()
    }

    fn words(options: &Options) -> Vec<String> {
        let text = |word: &Word| String::from_utf8(word.clone()).unwrap();
        options.command.iter().map(text).collect()
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let parsed = options(&["-h", "cache", "-p", "7000", "--raw", "incr", "-p", "--raw"]);
        assert_eq!(parsed.address, Address::Tcp { host: "cache".to_owned(), port: 7000 });
        assert_eq!(words(&parsed), ["incr", "-p", "--raw"]);
        assert!(!parsed.formatted);
        assert!(options(&["--no-raw", "ping"]).formatted);
    }

    #[test]
    fn a_password_on_the_command_line_is_warned_of() {
        let parsed = options(&["-a", "-secret", "ping"]);
        assert_eq!(parsed.password.as_deref(), Some(&b"-secret"[..]));
        assert!(parsed.password_is_visible);
        assert!(!options(&["-a", "x", "--no-auth-warning", "ping"]).password_is_visible);
        assert_eq!(options(&["-3", "-n", "5", "ping"]).db.as_deref(), Some("5"));
        assert!(options(&["-3", "ping"]).resp3);
    }

    #[test]
    fn a_timeout_is_a_number_of_seconds() {
        assert_eq!(options(&["-t", "0.5", "ping"]).timeout, Some(Duration::from_millis(500)));
        assert_eq!(options(&["-t", "0", "ping"]).timeout, None);
        let line = ["redis-cli", "-t", "-1", "ping"];
        assert!(command().try_get_matches_from(line).is_err());
        let line = ["redis-cli", "--latency"];
        assert!(command().try_get_matches_from(line).is_err(), "no mode that never ends");
    }
}
