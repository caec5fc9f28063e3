//! Some thousands of schedules of the real protocol. Many more:
//! `cargo run --release -p darter-sim -- --schedules 1000000`.

use darter_sim::coverage::Path;
use darter_sim::{Coverage, Simulator};

const SEEDS: u64 = 5000;

#[test]
fn every_schedule_is_strictly_serialisable_and_comes_to_rest_on_every_path() {
    let mut simulator = Simulator::default();
    let coverage = Coverage::default();
    for seed in 0..SEEDS {
        let report = simulator.run(seed, None, false);
        assert_eq!(report.failure, None, "cargo run -p darter-sim -- --seed {seed}");
        coverage.add(&report.coverage);
    }
    for path in Path::ALL {
        assert!(coverage.count(path) > 0, "no schedule took {path:?}:\n{coverage}");
    }
}

#[test]
fn a_seed_is_replayed_to_the_letter_whatever_ran_before() {
    let mut simulator = Simulator::default();
    let stories: Vec<String> = (0..50).map(|seed| simulator.run(seed, None, true).story).collect();
    for (seed, story) in (0..).zip(&stories) {
        assert_eq!(*story, Simulator::default().run(seed, None, true).story, "seed {seed}");
        assert!(story.contains(": client "), "the story tells what happened:\n{story}");
    }
    assert_ne!(stories[0], stories[1]);
}
