//! `darter-linear`: is a live server linearizable, over shards and pipelines?

#![allow(clippy::print_stdout, reason = "a command-line tool reports on stdout")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use darter_testkit::linear::tickets;
use darter_testkit::linear::workload::{Plan, run};
use darter_testkit::mode;
use darter_testkit::{Server, ServerSpec};

/// Runs concurrent clients against a server and checks that some order explains all they saw.
#[derive(Parser)]
struct Options {
    /// The server: a program, or `darter` for the one built from this tree.
    #[arg(long, default_value = "darter")]
    server: String,
    /// Modes of Darter to run whose name contains this.
    #[arg(long, default_value = "")]
    mode: String,
    /// Commands to record and check, for each mode.
    #[arg(long, default_value_t = Plan::default().operations)]
    operations: usize,
    /// Clients at once; every other one uses pipelines.
    #[arg(long, default_value_t = Plan::default().clients)]
    clients: usize,
    /// Most commands in a pipeline.
    #[arg(long, default_value_t = Plan::default().pipeline_max)]
    pipeline: usize,
    /// Groups of eight keys in use at once.
    #[arg(long, default_value_t = Plan::default().groups)]
    groups: usize,
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
        clients: options.clients.max(1),
        pipeline_max: options.pipeline.max(1),
        groups: options.groups.max(1),
    };
    let started = Instant::now();
    let outcome =
        run(server.address(), plan).map_err(|failure| format!("{}: {failure}", spec.name))?;
    println!(
        "{}: {} operations ({} swaps under WATCH, {} more refused) and {} looks at a pipeline in \
         {:.1} s, all in order",
        spec.name,
        outcome.operations,
        outcome.swaps.done,
        outcome.swaps.refused,
        outcome.looks,
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    let operations = tickets::run(server.address(), options.operations / 4)
        .map_err(|failure| format!("{}: {failure}", spec.name))?;
    println!(
        "{}: {operations} operations on queues in {:.1} s, nothing lost, doubled or out of order",
        spec.name,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
