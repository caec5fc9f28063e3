//! Every transcript against `redis-server` 7.0: no expectation is made up.

use std::sync::Arc;

use darter_testkit::mode::{self, RUNS};
use darter_testkit::transcript::corpus;
use darter_testkit::transcript::model::{Action, ServerKind, Transcript};
use darter_testkit::{Feed, Protocol};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials = match corpus::load(&corpus::directory()) {
        Ok(corpus) => trials(&Arc::new(corpus)),
        Err(mistake) => vec![Trial::test("corpus::is_well_formed", || Err(mistake.into()))],
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials(corpus: &Arc<Vec<Transcript>>) -> Vec<Trial> {
    let all = Arc::clone(corpus);
    let mut trials = vec![Trial::test("corpus::has_a_reply_for_every_step", move || {
        every_step_has_a_reply(&all)
    })];
    for &(protocol, feed) in RUNS {
        let corpus = Arc::clone(corpus);
        let name = format!("redis::{protocol}::{feed}");
        trials.push(Trial::test(name, move || against_redis(&corpus, protocol, feed)));
    }
    trials
}

fn every_step_has_a_reply(corpus: &[Transcript]) -> Result<(), Failed> {
    for transcript in corpus {
        for step in transcript.cases.iter().flat_map(|case| &case.steps) {
            let has_replies = !matches!(step.action, Action::Elapse(_) | Action::Close);
            if has_replies && step.expectations.is_empty() {
                let place = transcript.path.display();
                return Err(format!("{place}:{}: no reply written down", step.line).into());
            }
        }
    }
    Ok(())
}

fn against_redis(corpus: &[Transcript], protocol: Protocol, feed: Feed) -> Result<(), Failed> {
    let spec = mode::oracle_spec();
    let target = corpus::identify(&spec.program)?;
    if target.kind != ServerKind::Redis || (target.version.0, target.version.1) != (7, 0) {
        return Err(format!("the oracle must be redis-server 7.0, not {target:?}").into());
    }
    Ok(corpus::run(corpus, &spec, target, protocol, feed)?.verdict()?)
}
