//! `darter-queues`: does a live server deliver each element to one waiting client, and in order?

#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use darter_testkit::mode;
use darter_testkit::queues::workload::{Plan, run};
use darter_testkit::{Server, ServerSpec};

/// Runs producers and consumers against a server, some of which go while they wait, and checks what came.
#[derive(Parser)]
struct Options {
    /// The server: a program, or `darter` for the one built from this tree.
    #[arg(long, default_value = "darter")]
    server: String,
    /// Modes of Darter to run whose name contains this.
    #[arg(long, default_value = "")]
    mode: String,
    /// Elements to be put in and taken out, for each mode.
    #[arg(long, default_value_t = Plan::default().operations)]
    operations: usize,
    /// Consumers at once.
    #[arg(long, default_value_t = Plan::default().consumers)]
    consumers: usize,
    /// Producers at once.
    #[arg(long, default_value_t = Plan::default().producers)]
    producers: usize,
    /// Lists at once.
    #[arg(long, default_value_t = Plan::default().keys)]
    keys: usize,
    /// Makes the commands; the order in which clients meet is up to the machine.
    #[arg(long, default_value_t = Plan::default().seed)]
    seed: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let specs = mode::specs_of(&options.server, &options.mode);
    match specs.and_then(|specs| specs.iter().try_for_each(|it| examine(&options, it))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn examine(options: &Options, spec: &ServerSpec) -> Result<(), String> {
    let server = Server::start(spec).map_err(|error| error.to_string())?;
    let plan = Plan {
        seed: options.seed,
        operations: options.operations,
        consumers: options.consumers.max(1),
        producers: options.producers.max(1),
        keys: options.keys.max(1),
        moves_several: options.server == "darter",
        ..Plan::default()
    };
    let started = Instant::now();
    let outcome =
        run(server.address(), plan).map_err(|failure| format!("{}: {failure}", spec.name))?;
    println!(
        "{}: {} elements made and taken, {} consumers gone, in {:.1} s, all in order",
        spec.name,
        outcome.operations,
        outcome.deaths,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
