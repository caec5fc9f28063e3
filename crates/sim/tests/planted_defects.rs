//! Each way of breaking the protocol is noticed, and for the right reason.

use darter_sim::{Defect, Failure, Simulator};

const SEEDS: u64 = 3000;
/// The rarest shows in about one seed of sixty.
const NOTICED_MIN: usize = 30;

/// What is wrong with the first seeds; a few are, and each in a way that is `expected`.
fn failures(defect: Defect, expected: fn(&Failure) -> bool) -> Vec<Failure> {
    let mut simulator = Simulator::default();
    let mut failures = vec![];
    for seed in 0..SEEDS {
        if let Some(failure) = simulator.run(seed, Some(defect), false).failure {
            assert!(expected(&failure), "seed {seed}: {failure}");
            failures.push(failure);
        }
    }
    assert!(failures.len() >= NOTICED_MIN, "{defect}: noticed in {} schedules", failures.len());
    failures
}

#[test]
fn a_coordinator_that_descends_meets_one_that_ascends_and_both_wait_for_ever() {
    let stalled = |failure: &Failure| matches!(failure, Failure::Stalled { .. });
    failures(Defect::DescendingCoordinator, stalled);
}

#[test]
fn an_operation_that_overtakes_another_of_its_pipeline_shows() {
    let disorder = |failure: &Failure| {
        matches!(failure, Failure::NotSerialisable | Failure::OutOfOrder { .. })
    };
    let failures = failures(Defect::OvertakingPipeline, disorder);
    let seen = failures.iter().filter(|failure| **failure == Failure::NotSerialisable).count();
    assert!(seen > 0, "clients can tell, not only the simulator");
}

#[test]
fn a_put_back_that_ignores_the_inbox_leaves_somebody_waiting() {
    let stalled = |failure: &Failure| matches!(failure, Failure::Stalled { .. });
    failures(Defect::DeafPutBack, stalled);
}

#[test]
fn a_coordinator_that_releases_early_tears_its_write() {
    let torn = |failure: &Failure| matches!(failure, Failure::NotSerialisable);
    failures(Defect::EarlyRelease, torn);
}

#[test]
fn a_lost_knock_leaves_somebody_waiting() {
    let waiting =
        |failure: &Failure| matches!(failure, Failure::Stalled { .. } | Failure::ShardLost { .. });
    failures(Defect::LostKnock, waiting);
}

#[test]
fn a_late_grant_that_is_kept_loses_the_shard() {
    let lost =
        |failure: &Failure| matches!(failure, Failure::Stalled { .. } | Failure::ShardLost { .. });
    failures(Defect::KeptGrant, lost);
}
