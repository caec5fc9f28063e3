//! Each way of breaking the protocol is noticed, and for the right reason.

use darter_sim::{Defect, Failure, Simulator};

const SEEDS: u64 = 3000;
/// The rarest shows in about one seed of sixty.
const NOTICED_MIN: u64 = SEEDS / 100;

/// How many of the first seeds fail, and that each failure is of a kind that is `expected`.
fn failures(defect: Defect, expected: fn(&Failure) -> bool) -> u64 {
    let mut simulator = Simulator::default();
    let mut count = 0;
    for seed in 0..SEEDS {
        if let Some(failure) = simulator.run(seed, Some(defect), false).failure {
            assert!(expected(&failure), "seed {seed}: {failure}");
            count += 1;
        }
    }
    eprintln!("{defect}: {count} of {SEEDS}");
    count
}

#[test]
fn a_coordinator_that_descends_meets_one_that_ascends_and_both_wait_for_ever() {
    let stalled = |failure: &Failure| matches!(failure, Failure::Stalled { .. });
    assert!(failures(Defect::DescendingCoordinator, stalled) >= NOTICED_MIN);
}

#[test]
fn an_operation_that_overtakes_another_of_its_pipeline_shows() {
    let disorder = |failure: &Failure| {
        matches!(failure, Failure::NotSerialisable | Failure::OutOfOrder { .. })
    };
    assert!(failures(Defect::OvertakingPipeline, disorder) >= NOTICED_MIN);
}

#[test]
fn a_put_back_that_ignores_the_inbox_leaves_somebody_waiting() {
    let stalled = |failure: &Failure| matches!(failure, Failure::Stalled { .. });
    assert!(failures(Defect::DeafPutBack, stalled) >= NOTICED_MIN);
}

#[test]
fn a_coordinator_that_releases_early_tears_its_write() {
    let torn = |failure: &Failure| matches!(failure, Failure::NotSerialisable);
    assert!(failures(Defect::EarlyRelease, torn) >= NOTICED_MIN);
}

#[test]
fn a_lost_knock_leaves_somebody_waiting() {
    let waiting =
        |failure: &Failure| matches!(failure, Failure::Stalled { .. } | Failure::ShardLost { .. });
    assert!(failures(Defect::LostKnock, waiting) >= NOTICED_MIN);
}

#[test]
fn a_late_grant_that_is_kept_loses_the_shard() {
    let lost =
        |failure: &Failure| matches!(failure, Failure::Stalled { .. } | Failure::ShardLost { .. });
    assert!(failures(Defect::KeptGrant, lost) >= NOTICED_MIN);
}
