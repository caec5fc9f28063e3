//! The corpus of `tests/transcripts`, once per mode, against Darter and against the oracle.

use std::sync::Arc;

use darter_testkit::mode::{self, FEEDS, PROTOCOLS};
use darter_testkit::transcript::corpus;
use darter_testkit::transcript::model::{ServerKind, Target, Transcript};
use darter_testkit::{Feed, Protocol, ServerSpec};
use libtest_mimic::{Arguments, Failed, Trial};

/// Failures printed of one mode; the rest is only counted.
const FAILURES_SHOWN_MAX: usize = 25;

fn main() {
    let arguments = Arguments::from_args();
    let corpus = match corpus::load(&corpus::directory()) {
        Ok(transcripts) => Arc::new(transcripts),
        Err(mistake) => {
            let trial = Trial::test("corpus::is_well_formed", move || Err(Failed::from(mistake)));
            libtest_mimic::run(&arguments, vec![trial]).exit();
        }
    };
    let mut trials = vec![{
        let corpus = Arc::clone(&corpus);
        Trial::test("corpus::has_a_reply_for_every_step", move || every_step_is_recorded(&corpus))
    }];
    for &protocol in PROTOCOLS {
        for &feed in FEEDS {
            trials.push(oracle_trial(&corpus, protocol, feed));
            if mode::darter_exists() {
                trials.extend(darter_trials(&corpus, protocol, feed));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn every_step_is_recorded(corpus: &[Transcript]) -> Result<(), Failed> {
    use darter_testkit::transcript::model::Action;
    for transcript in corpus {
        for step in transcript.cases.iter().flat_map(|case| &case.steps) {
            let replies = !matches!(step.action, Action::Elapse(_) | Action::Close);
            if replies && step.expectations.is_empty() {
                let place = transcript.path.display();
                return Err(format!("{place}:{}: no reply written down", step.line).into());
            }
        }
    }
    Ok(())
}

fn oracle_trial(corpus: &Arc<Vec<Transcript>>, protocol: Protocol, feed: Feed) -> Trial {
    let corpus = Arc::clone(corpus);
    Trial::test(format!("redis::{protocol}::{feed}"), move || {
        let spec = mode::oracle_spec();
        let target = corpus::identify(&spec.program)?;
        if target.kind != ServerKind::Redis || (target.version.0, target.version.1) != (7, 0) {
            return Err(format!("the oracle must be redis-server 7.0, not {target:?}").into());
        }
        run(&corpus, &spec, target, protocol, feed)
    })
}

fn darter_trials(
    corpus: &Arc<Vec<Transcript>>,
    protocol: Protocol,
    feed: Feed,
) -> impl Iterator<Item = Trial> {
    mode::SERVER_MODES.iter().map(move |server_mode| {
        let corpus = Arc::clone(corpus);
        Trial::test(format!("{server_mode}::{protocol}::{feed}"), move || {
            let spec = server_mode.spec(&mode::darter_binary()?);
            let target = Target { kind: ServerKind::Darter, version: (0, 0, 0) };
            run(&corpus, &spec, target, protocol, feed)
        })
    })
}

fn run(
    corpus: &[Transcript],
    spec: &ServerSpec,
    target: Target,
    protocol: Protocol,
    feed: Feed,
) -> Result<(), Failed> {
    let report = corpus::run(corpus, spec, target, protocol, feed)?;
    if report.failures.is_empty() {
        return Ok(());
    }
    let shown = report.failures.iter().take(FAILURES_SHOWN_MAX).map(ToString::to_string);
    let shown = shown.collect::<Vec<_>>().join("\n");
    let count = report.failures.len();
    Err(format!("{count} of {} steps answered otherwise\n{shown}", report.steps).into())
}
