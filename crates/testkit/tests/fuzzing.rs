//! The differential fuzzer, on Redis and on a server that is wrong on purpose.

use darter_testkit::diff::run::{Pair, run};
use darter_testkit::proxy::{self, Fault};
use darter_testkit::{Server, mode};

fn redis() -> Server {
    Server::start(&mode::oracle_spec()).expect("redis-server starts")
}

#[test]
fn redis_cannot_be_told_from_redis() {
    let (reference, subject) = (redis(), redis());
    let pair = Pair { reference: reference.address(), subject: subject.address() };
    for seed in 1..=3 {
        let sent = run(pair, seed, 20_000).unwrap_or_else(|mismatch| panic!("{mismatch}"));
        assert!(sent >= 20_000);
    }
}

#[test]
fn a_planted_fault_is_found_and_boiled_down() {
    let (reference, behind) = (redis(), redis());
    let subject = proxy::start(behind.address(), Fault::GetdelKeeps).unwrap();
    let pair = Pair { reference: reference.address(), subject };
    let mismatch = run(pair, 1, 20_000).expect_err("GETDEL does not delete");
    let commands: Vec<_> = mismatch.stream.iter().flatten().collect();
    assert!(commands.iter().any(|command| command[0].eq_ignore_ascii_case(b"GETDEL")));
    assert!(commands.len() <= 3, "{mismatch}");
}
