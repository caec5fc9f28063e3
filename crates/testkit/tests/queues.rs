//! The checker of queues, on Redis and on servers that are wrong on purpose.

use darter_testkit::proxy::{self, Fault};
use darter_testkit::queues::check::Violation;
use darter_testkit::queues::workload::{Failure, Outcome, Plan, run};
use darter_testkit::{Server, mode};

/// Nobody goes here: Redis loses what it took for a client when it finds the client's end before it has sent the
/// reply.
fn plan_for_redis() -> Plan {
    Plan { deaths_per_mille: 0, moves_several: false, ..Plan::default() }
}

#[test]
fn redis_delivers_each_element_once() {
    let server = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let plan = Plan { operations: 150_000, ..plan_for_redis() };
    let Outcome { operations, .. } =
        run(server.address(), plan).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(operations >= 150_000);
}

fn run_behind(fault: Fault) -> Violation {
    let server = Server::start(&mode::oracle_spec()).expect("redis-server starts");
    let address = proxy::start(server.address(), fault).expect("a free port");
    let plan = Plan { operations: 400_000, ..plan_for_redis() };
    match run(address, plan).expect_err("a planted fault") {
        Failure::Violation { violation, .. } => violation,
        other => panic!("{other}"),
    }
}

#[test]
fn lost_elements_are_found() {
    assert!(matches!(run_behind(Fault::LostPushes), Violation::Lost(_)));
}

#[test]
fn doubled_elements_are_found() {
    assert!(matches!(run_behind(Fault::DoubledPushes), Violation::Doubled(_)));
}

#[test]
fn the_wrong_order_is_found() {
    assert!(matches!(run_behind(Fault::WrongEnd), Violation::Overtaken(..)));
}
