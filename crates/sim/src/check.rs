//! Is there a serial order that explains what everybody saw?
//!
//! The order must agree with each client's program order, with real time (an operation answered
//! before another was sent comes first), with every answer, and with what the shards contain in the
//! end. Operations without an answer (their connection vanished) may have run or not, but what did
//! run of a client is a prefix of its program: that alone makes "the effects of a pipeline are a
//! prefix of it" part of the same question.
//!
//! The search runs every candidate for the next place against a model, deepest first, and remembers
//! dead ends: how far each client came, and the values there (Wing and Gong 1993, with the memory
//! of Lowe 2017). Candidates are tried in the order in which they really ran, so a history that is
//! as it should be is confirmed without a step back.

use crate::history::{History, Record};
use crate::plan::CLIENTS_MAX;
use crate::toy::Values;
use std::collections::BTreeSet;
use std::fmt;

/// Places searched before the search gives up. A history without explanation, from a few clients,
/// needs a few thousand.
const PLACES_MAX: usize = 1_000_000;

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing can go on, and these clients are still waiting.
    Stalled { clients: Vec<usize> },
    /// It never comes to rest.
    Endless,
    /// A shard is not in its seat, or somebody is still in its inbox, though nobody waits.
    ShardLost { shard: u16 },
    /// No serial order explains the history.
    NotSerialisable,
    /// An operation that was answered never ran, or one ran twice.
    NotOnce { client: usize, index: usize },
    /// Operations of one client ran in another order than its own.
    OutOfOrder { client: usize },
    /// The history was too long to decide.
    Undecided,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled { clients } => write!(formatter, "stalled: clients {clients:?} wait"),
            Self::Endless => write!(formatter, "endless: it never comes to rest"),
            Self::ShardLost { shard } => write!(formatter, "shard {shard} is not free at rest"),
            Self::NotSerialisable => write!(formatter, "no serial order explains the history"),
            Self::NotOnce { client, index } => {
                write!(formatter, "operation {index} of client {client} did not run once")
            }
            Self::OutOfOrder { client } => {
                write!(formatter, "client {client}'s operations ran out of order")
            }
            Self::Undecided => write!(formatter, "too long to decide"),
        }
    }
}

/// Judges a concluded history: first by what clients can know, then by what really happened.
pub fn judge(history: &History) -> Result<(), Failure> {
    serialise(history)?;
    for (client, records) in history.clients.iter().enumerate() {
        let mut last = 0;
        for (index, record) in records.iter().enumerate() {
            let runs = record.executed.len();
            if runs > 1 || runs == 0 && record.response.is_some() {
                return Err(Failure::NotOnce { client, index });
            }
            for &tick in &record.executed {
                if tick < last {
                    return Err(Failure::OutOfOrder { client });
                }
                last = tick;
            }
        }
    }
    Ok(())
}

/// Finds a serial order.
///
/// # Errors
/// [`Failure::NotSerialisable`] when there is none, [`Failure::Undecided`] when none was found in
/// reasonable time.
pub fn serialise(history: &History) -> Result<(), Failure> {
    let mut search = Search {
        programs: history.clients.iter().map(|records| Program::of(records)).collect(),
        rest: history.rest,
        dead_ends: BTreeSet::new(),
        places: 0,
    };
    let mut progress = [0; CLIENTS_MAX];
    match search.explains(&mut progress, Values::default()) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::NotSerialisable),
        None => Err(Failure::Undecided),
    }
}

/// Per client, how many of its operations have a place.
type Progress = [u8; CLIENTS_MAX];

struct Program<'a> {
    /// Those that were sent.
    records: &'a [Record],
    /// Per record: the earliest answer among it and those after it; `u32::MAX` when there is none.
    answered: Vec<u32>,
}

impl<'a> Program<'a> {
    fn of(records: &'a [Record]) -> Self {
        let sent = records.iter().take_while(|record| record.invoked.is_some()).count();
        let records = &records[..sent];
        let mut answered: Vec<u32> = records
            .iter()
            .map(|record| record.response.map_or(u32::MAX, |(tick, _)| tick))
            .collect();
        for index in (1..answered.len()).rev() {
            answered[index - 1] = answered[index - 1].min(answered[index]);
        }
        Self { records, answered }
    }

    fn next(&self, progress: u8) -> Option<&'a Record> {
        self.records.get(usize::from(progress))
    }

    /// The earliest answer among operations without a place.
    fn answered(&self, progress: u8) -> u32 {
        self.answered.get(usize::from(progress)).copied().unwrap_or(u32::MAX)
    }
}

struct Search<'a> {
    programs: Vec<Program<'a>>,
    rest: Values,
    dead_ends: BTreeSet<(Progress, Values)>,
    places: usize,
}

impl Search<'_> {
    /// Whether the operations that have no place yet can follow; `None` when it gives up.
    fn explains(&mut self, progress: &mut Progress, values: Values) -> Option<bool> {
        // Whatever was sent after this moment comes later than an operation without a place.
        let horizon = self.earliest_answer(progress);
        if horizon == u32::MAX && values == self.rest {
            return Some(true);
        }
        self.places += 1;
        if self.places > PLACES_MAX {
            return None;
        }
        for client in self.candidates(progress, horizon) {
            let record = self.programs[client].next(progress[client]).expect("a candidate");
            let mut after = values;
            let reply = record.op.apply(&mut after);
            if record.response.is_some_and(|(_, seen)| seen != reply) {
                continue;
            }
            progress[client] += 1;
            let dead = self.dead_ends.contains(&(*progress, after));
            if !dead && self.explains(progress, after)? {
                return Some(true);
            }
            if !dead {
                self.dead_ends.insert((*progress, after));
            }
            progress[client] -= 1;
        }
        Some(false)
    }

    fn earliest_answer(&self, progress: &Progress) -> u32 {
        self.programs
            .iter()
            .zip(progress)
            .map(|(program, &done)| program.answered(done))
            .min()
            .unwrap_or(u32::MAX)
    }

    /// Clients whose next operation may come next, likeliest first.
    fn candidates(&self, progress: &Progress, horizon: u32) -> Vec<usize> {
        let mut candidates: Vec<(u32, usize)> = self
            .programs
            .iter()
            .zip(progress)
            .enumerate()
            .filter_map(|(client, (program, &done))| {
                let record = program.next(done)?;
                let ran = record.executed.first().copied().unwrap_or(u32::MAX);
                (record.invoked? <= horizon).then_some((ran, client))
            })
            .collect();
        candidates.sort_unstable();
        candidates.into_iter().map(|(_, client)| client).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{KEYS_PER_OP_MAX, Key, Op, Reply, Verb};

    const X: Key = Key(0);
    const Y: Key = Key(1);

    fn op(verb: Verb, keys: &[Key], value: i64, invoked: u32, answer: (u32, &[i64])) -> Record {
        let mut reply: Reply = [0; KEYS_PER_OP_MAX];
        reply[..answer.1.len()].copy_from_slice(answer.1);
        let response = Some((answer.0, reply));
        Record {
            op: Op::new(verb, keys, value),
            invoked: Some(invoked),
            response,
            executed: vec![],
        }
    }

    fn pending(verb: Verb, keys: &[Key], value: i64, invoked: u32) -> Record {
        Record { response: None, ..op(verb, keys, value, invoked, (0, &[])) }
    }

    fn history(clients: Vec<Vec<Record>>, x: i64, y: i64) -> History {
        History { clients, rest: [x, y, 0, 0, 0, 0] }
    }

    #[test]
    fn a_concurrent_read_may_see_the_old_or_the_new_value() {
        for (seen, valid) in [(0, true), (1, true), (2, false)] {
            let history = history(
                vec![
                    vec![op(Verb::Write, &[X], 1, 1, (4, &[]))],
                    vec![op(Verb::Read, &[X], 0, 2, (3, &[seen]))],
                ],
                1,
                0,
            );
            assert_eq!(serialise(&history).is_ok(), valid, "saw {seen}");
        }
    }

    #[test]
    fn a_read_sent_after_the_answer_must_see_the_write() {
        let history = history(
            vec![
                vec![op(Verb::Write, &[X], 1, 1, (2, &[]))],
                vec![op(Verb::Read, &[X], 0, 3, (4, &[0]))],
            ],
            1,
            0,
        );
        assert_eq!(serialise(&history), Err(Failure::NotSerialisable));
    }

    #[test]
    fn half_a_write_is_never_seen() {
        for (seen, valid) in [([0, 0], true), ([1, 1], true), ([1, 0], false), ([0, 1], false)] {
            let history = history(
                vec![
                    vec![op(Verb::Write, &[X, Y], 1, 1, (10, &[]))],
                    vec![op(Verb::Read, &[X, Y], 0, 2, (9, &seen))],
                ],
                1,
                1,
            );
            assert_eq!(serialise(&history).is_ok(), valid, "saw {seen:?}");
        }
    }

    #[test]
    fn the_second_operation_of_a_pipeline_is_not_seen_without_the_first() {
        for (seen, valid) in [([0, 0], true), ([1, 0], true), ([1, 2], true), ([0, 2], false)] {
            let history = history(
                vec![
                    vec![
                        op(Verb::Write, &[X], 1, 1, (8, &[])),
                        op(Verb::Write, &[Y], 2, 1, (9, &[])),
                    ],
                    vec![op(Verb::Read, &[X, Y], 0, 2, (7, &seen))],
                ],
                1,
                2,
            );
            assert_eq!(serialise(&history).is_ok(), valid, "saw {seen:?}");
        }
    }

    #[test]
    fn reads_that_disagree_on_an_order_have_no_explanation() {
        let write = |key, invoked| vec![op(Verb::Write, &[key], 1, invoked, (20, &[]))];
        let reads = |first, second| {
            vec![
                op(Verb::Read, &[first], 0, 3, (10, &[1])),
                op(Verb::Read, &[second], 0, 3, (11, &[0])),
            ]
        };
        let torn = history(vec![write(X, 1), write(Y, 2), reads(X, Y), reads(Y, X)], 1, 1);
        assert_eq!(serialise(&torn), Err(Failure::NotSerialisable));
        let agreed = history(vec![write(X, 1), write(Y, 2), reads(X, Y), reads(X, Y)], 1, 1);
        assert_eq!(serialise(&agreed), Ok(()));
    }

    #[test]
    fn of_an_unanswered_pipeline_a_prefix_may_have_run() {
        let pipeline = || vec![pending(Verb::Write, &[X], 1, 1), pending(Verb::Write, &[Y], 2, 1)];
        for (x, y, valid) in [(0, 0, true), (1, 0, true), (1, 2, true), (0, 2, false)] {
            let history = history(vec![pipeline()], x, y);
            assert_eq!(serialise(&history).is_ok(), valid, "at rest {x} {y}");
        }
    }

    #[test]
    fn an_update_that_got_lost_is_missed_at_rest() {
        let increment = |answer: i64| vec![op(Verb::Increment, &[X], 0, 1, (9, &[answer]))];
        assert_eq!(serialise(&history(vec![increment(1), increment(2)], 2, 0)), Ok(()));
        for (first, second, rest) in [(1, 1, 1), (1, 1, 2), (1, 2, 1)] {
            let lost = history(vec![increment(first), increment(second)], rest, 0);
            assert_eq!(serialise(&lost), Err(Failure::NotSerialisable));
        }
    }

    #[test]
    fn the_real_order_of_execution_is_judged_too() {
        let ran = |mut record: Record, ticks: &[u32]| {
            record.executed = ticks.to_vec();
            record
        };
        let reads = |first: &[u32], second: &[u32]| {
            let read = |ticks| ran(op(Verb::Read, &[X], 0, 1, (9, &[0])), ticks);
            judge(&history(vec![vec![read(first), read(second)]], 0, 0))
        };
        assert_eq!(reads(&[3], &[4]), Ok(()));
        assert_eq!(reads(&[4], &[3]), Err(Failure::OutOfOrder { client: 0 }));
        assert_eq!(reads(&[3, 4], &[5]), Err(Failure::NotOnce { client: 0, index: 0 }));
        assert_eq!(reads(&[3], &[]), Err(Failure::NotOnce { client: 0, index: 1 }));
    }
}
