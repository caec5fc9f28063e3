//! `darter-transcripts`: run transcripts against a server, or record replies from one.

#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use darter_testkit::Server;
use darter_testkit::mode::{self, FEEDS, PROTOCOLS};
use darter_testkit::transcript::{corpus, record};

/// Runs or records the transcripts of command semantics.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run transcripts over both protocols with every feed, and list the replies that differ.
    Run {
        /// Server program; `darter` builds this tree and runs it in every mode.
        #[arg(long, default_value = "redis-server")]
        server: String,
        /// Files or directories; the whole corpus if none.
        paths: Vec<PathBuf>,
    },
    /// Add the replies missing from transcripts, from a real server; to be reviewed afterwards.
    Record {
        /// Server program.
        #[arg(long, default_value = "redis-server")]
        server: String,
        /// Files or directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let outcome = match Options::parse().action {
        Action::Run { server, paths } => run(&server, paths),
        Action::Record { server, paths } => record_all(&server, &paths).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(server: &str, mut paths: Vec<PathBuf>) -> Result<bool, String> {
    if paths.is_empty() {
        paths.push(corpus::directory());
    }
    let mut transcripts = Vec::new();
    for path in &paths {
        transcripts.extend(corpus::load(path)?);
    }
    let mut good = true;
    for spec in mode::specs_of(server, "")? {
        let target = corpus::identify(&spec.program)?;
        for &protocol in PROTOCOLS {
            for &feed in FEEDS {
                let report = corpus::run(&transcripts, &spec, target, protocol, feed)?;
                for failure in &report.failures {
                    println!("{failure}");
                }
                println!(
                    "{} {protocol} {feed}: {} cases, {} steps, {} cases left out, {} differ",
                    spec.name,
                    report.cases,
                    report.steps,
                    report.skipped,
                    report.failures.len()
                );
                good &= report.failures.is_empty();
            }
        }
    }
    Ok(good)
}

fn record_all(server: &str, paths: &[PathBuf]) -> Result<(), String> {
    let spec = mode::peer_spec(server);
    let target = corpus::identify(&spec.program)?;
    for path in paths {
        for file in corpus::files(path).map_err(|error| error.to_string())? {
            for transcript in corpus::load(&file)? {
                let spec = spec.with_arguments(&transcript.server_options);
                let server = Server::start(&spec).map_err(|error| error.to_string())?;
                let shown = |error: std::io::Error| format!("{}: {error}", file.display());
                let text = std::fs::read_to_string(&file).map_err(shown)?;
                let recorded = record::record(&transcript, &text, server.address(), target)?;
                if recorded != text {
                    std::fs::write(&file, recorded).map_err(shown)?;
                }
            }
        }
    }
    Ok(())
}
