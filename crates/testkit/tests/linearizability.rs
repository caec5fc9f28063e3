//! The linearizability checker, on Redis and on servers that are wrong on purpose.

use darter_testkit::linear::tickets;
use darter_testkit::linear::workload::{Failure, Outcome, Plan, run};
use darter_testkit::proxy::{self, Fault};
use darter_testkit::{Server, mode};

#[test]
fn redis_is_strictly_serializable() {
    let server = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let plan = Plan { operations: 200_000, ..Plan::default() };
    let Outcome { operations, looks, swaps } =
        run(server.address(), plan).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(operations >= 200_000);
    assert!(looks > 100);
    assert!(swaps.done > 100 && swaps.refused > 10, "{swaps:?}");
}

fn run_behind(fault: Fault) -> Failure {
    let server = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let address = proxy::start(server.address(), fault).expect("a free port");
    run(address, Plan { operations: 400_000, ..Plan::default() }).expect_err("a planted fault")
}

#[test]
fn stale_reads_are_found() {
    assert!(matches!(
        run_behind(Fault::StaleReads),
        Failure::Disorder { .. } | Failure::Ladder { .. }
    ));
}

#[test]
fn lost_updates_are_found() {
    assert!(matches!(run_behind(Fault::LostUpdates), Failure::Disorder { .. }));
}

#[test]
fn torn_msets_are_found() {
    assert!(matches!(run_behind(Fault::TornMset), Failure::Disorder { .. }));
}

#[test]
fn torn_transactions_are_found() {
    assert!(matches!(run_behind(Fault::TornTransaction), Failure::Disorder { .. }));
}

#[test]
fn torn_scripts_are_found() {
    assert!(matches!(run_behind(Fault::TornScript), Failure::Disorder { .. }));
}

#[test]
fn watches_that_watch_nothing_are_found() {
    assert!(matches!(run_behind(Fault::BlindWatch), Failure::Disorder { .. }));
}

#[test]
fn reordered_pipelines_are_found() {
    let failure = run_behind(Fault::ReorderedPipeline);
    assert!(matches!(failure, Failure::Disorder { .. } | Failure::Ladder { .. }));
}

#[test]
fn queues_of_redis_lose_nothing_and_torn_pops_are_found() {
    let server = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    tickets::run(server.address(), 10_000).unwrap_or_else(|failure| panic!("{failure}"));
    let address = proxy::start(server.address(), Fault::TornTransaction).expect("a free port");
    let failure = tickets::run(address, 20_000).expect_err("a planted fault");
    assert!(matches!(failure, tickets::Failure::Fault(_)), "{failure}");
}
