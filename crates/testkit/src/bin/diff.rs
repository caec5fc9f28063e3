//! `darter-diff`: random commands to two servers, which must not be told apart.

#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use darter_testkit::diff::run::{Pair, run, run_documented};
use darter_testkit::mode::{self, SERVER_MODES};
use darter_testkit::{Server, ServerSpec};

/// Commands of one seed when running for a time.
const ROUND: usize = 20_000;

/// Sends the same random commands to a server and to the reference and compares replies and data.
#[derive(Parser)]
struct Options {
    /// First seed; counts up with each round. Random if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Commands to send for one seed.
    #[arg(long, default_value_t = 100_000)]
    commands: usize,
    /// Run for this long instead, a new seed each 20000 commands.
    #[arg(long)]
    seconds: Option<u64>,
    /// Also transactions, and every command that the reference documents.
    #[arg(long)]
    documented: bool,
    /// Go on with the next seed after a difference. At the end, only the commands of seeds without one are counted.
    #[arg(long)]
    keep_going: bool,
    /// The server that is right.
    #[arg(long, default_value = "redis-server")]
    reference: String,
    /// The server under test: a program, or `darter` for the one built from this tree.
    #[arg(long, default_value = "darter")]
    subject: String,
    /// Modes of Darter to run whose name contains this.
    #[arg(long, default_value = "")]
    mode: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match subjects(&options).and_then(|specs| specs.iter().try_for_each(|it| fuzz(&options, it))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn subjects(options: &Options) -> Result<Vec<ServerSpec>, String> {
    if options.subject != "darter" {
        return Ok(vec![mode::peer_spec(&options.subject)]);
    }
    let program = mode::darter_binary()?;
    let named = SERVER_MODES.iter().filter(|mode| mode.to_string().contains(&options.mode));
    Ok(named.map(|mode| mode.spec(&program)).collect())
}

fn fuzz(options: &Options, spec: &ServerSpec) -> Result<(), String> {
    let start = |spec: &ServerSpec| Server::start(spec).map_err(|error| error.to_string());
    let reference = start(&mode::peer_spec(&options.reference))?;
    let subject = start(spec)?;
    let pair = Pair { reference: reference.address(), subject: subject.address() };
    let mut seed = options.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000_000));
    let started = Instant::now();
    let limit = options.seconds.map(Duration::from_secs);
    let commands = if limit.is_some() { ROUND } else { options.commands };
    let (mut sent, mut seeds, mut differences) = (0, 0_u64, 0_u64);
    loop {
        let run = if options.documented {
            run_documented(pair, seed, commands)
        } else {
            run(pair, seed, commands)
        };
        match run {
            Ok(commands) => (sent, seeds) = (sent + commands, seeds + 1),
            Err(mismatch) if options.keep_going => {
                println!("{}: {mismatch}", spec.name);
                differences += 1;
            }
            Err(mismatch) => return Err(format!("{}: {mismatch}", spec.name)),
        }
        if limit.is_none_or(|limit| started.elapsed() >= limit) {
            break;
        }
        seed += 1;
    }
    println!("{}: {sent} commands of {seeds} seeds up to {seed}, no difference", spec.name);
    if differences == 0 {
        return Ok(());
    }
    Err(format!("{}: {differences} seeds with a difference", spec.name))
}
