//! Darter from end to end, in every mode: the transcripts, the fuzzer, the linearizability checker, the
//! queues.
//!
//! Builds the server unless `DARTER_BIN` names one. A tree without a server has nothing to test.

use std::num::NonZero;
use std::sync::Arc;

use darter_testkit::diff::run::Pair;
use darter_testkit::mode::{self, RUNS, SERVER_MODES, ServerMode};
use darter_testkit::transcript::corpus;
use darter_testkit::transcript::model::{ServerKind, Target, Transcript};
use darter_testkit::{Feed, Protocol, Server, diff, linear, queues};
use libtest_mimic::{Arguments, Failed, Trial};

/// Commands of the fuzzer, and of the linearizability checker, for each mode.
const FUZZ_COMMANDS: usize = 40_000;
const LINEAR_OPERATIONS: usize = 150_000;

/// Elements carried and popped in transactions, for each mode.
const TICKETED_ELEMENTS: usize = 10_000;

/// Elements made and taken by clients that wait, for each mode.
const QUEUE_OPERATIONS: usize = 80_000;

fn main() {
    let mut arguments = Arguments::from_args();
    // A transcript waits three quarters of its time for deadlines: two at once on each core.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(2 * cores);
    let mut trials = Vec::new();
    if mode::darter_exists() {
        match corpus::load(&corpus::directory()) {
            Ok(corpus) => {
                let corpus = Arc::new(corpus);
                for server_mode in SERVER_MODES {
                    trials.extend(trials_in(&corpus, server_mode));
                }
            }
            Err(mistake) => {
                trials.push(Trial::test("corpus::is_well_formed", || Err(mistake.into())));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials_in(corpus: &Arc<Vec<Transcript>>, server_mode: &'static ServerMode) -> Vec<Trial> {
    let mut trials = vec![
        Trial::test(format!("{server_mode}::fuzz"), || fuzz(server_mode)),
        Trial::test(format!("{server_mode}::linear"), || linear(server_mode)),
        Trial::test(format!("{server_mode}::tickets"), || tickets(server_mode)),
        Trial::test(format!("{server_mode}::queues"), || queues(server_mode)),
    ];
    for &(protocol, feed) in RUNS {
        let corpus = Arc::clone(corpus);
        let name = format!("{server_mode}::transcripts::{protocol}::{feed}");
        trials.push(Trial::test(name, move || transcripts(&corpus, server_mode, protocol, feed)));
    }
    trials
}

fn transcripts(
    corpus: &[Transcript],
    server_mode: &ServerMode,
    protocol: Protocol,
    feed: Feed,
) -> Result<(), Failed> {
    let spec = server_mode.spec(&mode::darter_binary()?);
    let target = Target { kind: ServerKind::Darter, version: (0, 0, 0) };
    Ok(corpus::run(corpus, &spec, target, protocol, feed)?.verdict()?)
}

fn fuzz(server_mode: &ServerMode) -> Result<(), Failed> {
    let reference = Server::start(&mode::oracle_spec())?;
    let subject = Server::start(&server_mode.spec(&mode::darter_binary()?))?;
    let pair = Pair { reference: reference.address(), subject: subject.address() };
    diff::run::run(pair, 1, FUZZ_COMMANDS).map_err(|mismatch| mismatch.to_string())?;
    Ok(())
}

fn linear(server_mode: &ServerMode) -> Result<(), Failed> {
    let server = Server::start(&server_mode.spec(&mode::darter_binary()?))?;
    let plan = linear::workload::Plan { operations: LINEAR_OPERATIONS, ..Default::default() };
    linear::workload::run(server.address(), plan).map_err(|failure| failure.to_string())?;
    Ok(())
}

fn tickets(server_mode: &ServerMode) -> Result<(), Failed> {
    let server = Server::start(&server_mode.spec(&mode::darter_binary()?))?;
    linear::tickets::run(server.address(), TICKETED_ELEMENTS)
        .map_err(|failure| failure.to_string())?;
    Ok(())
}

fn queues(server_mode: &ServerMode) -> Result<(), Failed> {
    let server = Server::start(&server_mode.spec(&mode::darter_binary()?))?;
    let plan = queues::workload::Plan { operations: QUEUE_OPERATIONS, ..Default::default() };
    queues::workload::run(server.address(), plan).map_err(|failure| failure.to_string())?;
    Ok(())
}
