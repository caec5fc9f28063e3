//! `darter-sim`: replays one schedule, or runs many.

#![forbid(unsafe_code)]

use clap::Parser;
use darter_sim::{Coverage, Defect, Simulator};
use std::cell::Cell;
use std::io::Write;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeded schedules of the shard hand-over, checked for strict serialisability.
#[derive(Debug, Parser)]
#[command(name = "darter-sim")]
struct Options {
    /// Replay the schedule of this seed and tell what happens
    #[arg(long, conflicts_with = "schedules")]
    seed: Option<u64>,
    /// How many schedules to run
    #[arg(long, default_value_t = 100_000)]
    schedules: u64,
    /// The seed of the first one
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// Threads to run them on [default: one per core]
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// Break the protocol on purpose
    #[arg(long)]
    defect: Option<Defect>,
}

/// Schedules that a thread takes at a time.
const BATCH: u64 = 256;

thread_local! {
    /// For the message of a panic.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn main() -> ExitCode {
    let options = Options::parse();
    tell_seed_on_panic(options.defect);
    let failed = match options.seed {
        Some(seed) => replay(seed, options.defect),
        None => run_many(&options),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn replay(seed: u64, defect: Option<Defect>) -> bool {
    SEED.set(seed);
    let report = Simulator::default().run(seed, defect, true);
    tell(&report.story);
    match &report.failure {
        Some(failure) => tell(&format!("seed {seed}: {failure}")),
        None => tell(&format!("seed {seed}: as it should be, {} turns", report.turns)),
    }
    report.failure.is_some()
}

/// Runs schedules until all are done or one has failed.
fn run_many(options: &Options) -> bool {
    let jobs = options.jobs.or(thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let end = options.first_seed.saturating_add(options.schedules);
    let next = AtomicU64::new(options.first_seed);
    let failed = AtomicU64::new(0);
    let total = Coverage::default();
    let mut turns = 0;
    thread::scope(|scope| {
        let run = || {
            let mut simulator = Simulator::default();
            let (coverage, mut turns) = (Coverage::default(), 0);
            while failed.load(Ordering::Relaxed) == 0 {
                let begin = next.fetch_add(BATCH, Ordering::Relaxed);
                if begin >= end {
                    break;
                }
                for seed in begin..end.min(begin + BATCH) {
                    SEED.set(seed);
                    let report = simulator.run(seed, options.defect, false);
                    coverage.add(&report.coverage);
                    turns += u64::from(report.turns);
                    if let Some(failure) = report.failure {
                        failed.fetch_add(1, Ordering::Relaxed);
                        tell(&format!(
                            "seed {seed}: {failure}\n{}",
                            replay_hint(seed, options.defect)
                        ));
                        break;
                    }
                }
            }
            (coverage, turns)
        };
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            let (coverage, more) = thread.join().expect("a panic ends the process");
            total.add(&coverage);
            turns += more;
        }
    });
    let failed = failed.into_inner() > 0;
    if !failed {
        tell(&format!("{} schedules, {turns} turns, all as they should be", options.schedules));
        tell(&total.to_string());
    }
    failed
}

fn replay_hint(seed: u64, defect: Option<Defect>) -> String {
    let defect = defect.map_or(String::new(), |defect| format!(" --defect {defect}"));
    format!("replay: cargo run -p darter-sim -- --seed {seed}{defect}")
}

/// Prints a line or more; a reader that has seen enough (`| head`) is no reason to fail.
fn tell(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// An assertion of the real code is a finding too.
fn tell_seed_on_panic(defect: Option<Defect>) {
    let print_message = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print_message(info);
        tell(&format!("seed {}: panicked\n{}", SEED.get(), replay_hint(SEED.get(), defect)));
        std::process::exit(1);
    }));
}
