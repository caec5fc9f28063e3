//! `oom-score-adj`: how likely Linux ends this process when memory runs out.

use darter_server::config::{OomScore, OomScoreMode};
use std::fs;
use std::io;
use std::sync::Mutex;

const PATH: &str = "/proc/self/oom_score_adj";

/// Sets the score, and remembers what it was.
pub(crate) struct OomScoreSetter {
    state: Mutex<State>,
}

struct State {
    /// The score at the start, once it is needed.
    at_start: Option<i32>,
    in_force: OomScore,
}

impl OomScoreSetter {
    pub(crate) fn new() -> Self {
        let in_force = OomScore::default();
        Self { state: Mutex::new(State { at_start: None, in_force }) }
    }

    /// Puts `score` into force. On an error, which is logged, the old one stays.
    pub(crate) fn apply(&self, score: OomScore) -> Result<(), String> {
        let mut state = self.state.lock().expect("no code that can panic runs under this lock");
        let was_untouched = state.in_force.mode == OomScoreMode::Untouched;
        if state.in_force == score || (was_untouched && score.mode == OomScoreMode::Untouched) {
            state.in_force = score;
            return Ok(());
        }
        state.set(score).map_err(|error| {
            tracing::warn!("Unable to write {PATH}: {error}");
            "Failed to apply new oom_score_adj configuration, check server logs.".to_owned()
        })?;
        state.in_force = score;
        Ok(())
    }
}

impl State {
    fn set(&mut self, score: OomScore) -> io::Result<()> {
        let at_start = if let Some(at_start) = self.at_start {
            at_start
        } else {
            let read = fs::read_to_string(PATH)?.trim().parse().map_err(io::Error::other)?;
            *self.at_start.insert(read)
        };
        fs::write(PATH, effective(score, at_start).to_string())
    }
}

/// What is written, when it was `at_start` before anybody changed it.
fn effective(score: OomScore, at_start: i32) -> i32 {
    let wanted = match score.mode {
        OomScoreMode::Untouched => at_start,
        OomScoreMode::Relative => at_start.saturating_add(score.value),
        OomScoreMode::Absolute => score.value,
    };
    wanted.clamp(-1000, 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_score_is_added_to_the_first_one() {
        let score = |mode, value| OomScore { mode, value };
        assert_eq!(effective(score(OomScoreMode::Untouched, 800), 100), 100);
        assert_eq!(effective(score(OomScoreMode::Relative, 800), 100), 900);
        assert_eq!(effective(score(OomScoreMode::Relative, 2000), 100), 1000);
        assert_eq!(effective(score(OomScoreMode::Absolute, -50), 100), -50);
    }
}
