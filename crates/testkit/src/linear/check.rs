//! The search for an order: Wing and Gong's, with Lowe's memory of what was tried.
//!
//! Each client's operations are in its own order: that a pipeline runs in order is part of what is
//! checked, without pipelines it follows from real time. So what has taken effect so far is always
//! a beginning of each client's operations, and the search is a walk through such positions. From
//! one, any client's next operation may take effect if its reply fits the state and it was invoked
//! before every other operation still to come had returned. Where no client can go on, the last
//! choice is undone; positions and state that turned out to lead nowhere are not tried again.
//!
//! Some rules keep the walk short without missing an order. They rest on most values being written
//! only once; such a value is *dead* when nobody still has to see it.
//! * A value written only once must not be overwritten unless it is dead.
//! * States that differ in dead values only are the same.
//! * An operation that only sees takes effect as soon as it can: whatever could follow without it
//!   still can.
//!
//! A history that is fine costs about one step an operation, times the clients.

use std::fmt;

use fastrand::Rng;
use hashbrown::{HashMap, HashSet};

use super::history::{Action, EMPTY, GROUP_KEYS, MISSING, Operation, State, UNIQUE_MIN};

/// Stands for every dead value.
const DEAD: i64 = MISSING + 1;

/// Operations shown around the one that does not fit.
const SHOWN: usize = 12;

/// No order explains the history.
#[derive(Clone, Debug)]
pub struct Violation {
    /// How many operations could be put in order at most.
    pub ordered: usize,
    /// How many there are.
    pub total: usize,
    /// The state they led to.
    pub state: State,
    /// The operation that had to take effect next, and could not.
    pub stuck: Operation,
    /// Others that were under way, or took place shortly before.
    pub around: Vec<Operation>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} operations can be put in order,", self.ordered, self.total)?;
        writeln!(f, "which leads to {:?}, and then this one does not fit:", self.state)?;
        writeln!(f, "  {:?}", self.stuck)?;
        writeln!(f, "around it:")?;
        self.around.iter().try_for_each(|operation| writeln!(f, "  {operation:?}"))
    }
}

/// Looks for an order of all operations on one group, which starts empty. The operations of each
/// client must be in its own order, those of different clients may be mixed in any way.
pub fn check(operations: &[Operation]) -> Result<(), Box<Violation>> {
    let mut search = Search::new(operations);
    if search.run() { Ok(()) } else { Err(Box::new(search.violation(operations))) }
}

struct Search<'a> {
    /// The operations of each client.
    clients: Vec<Vec<&'a Operation>>,
    /// How many of each client's operations have taken effect.
    positions: Vec<usize>,
    state: State,
    /// How many operations still have to see a value at a key, for values written only once.
    observers: HashMap<(usize, i64), u32>,
    /// The random number of each client and position, and the exclusive or of those reached.
    numbers: Vec<Vec<u128>>,
    hash: u128,
    tried: HashSet<(u128, State)>,
    path: Vec<Choice>,
    best: Best,
}

/// An operation that was let take effect.
struct Choice {
    client: usize,
    before: State,
    /// Clients that could have gone on instead, to be tried from the last.
    others: Vec<usize>,
}

/// The longest path found.
struct Best {
    ordered: usize,
    state: State,
    positions: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let count = operations.iter().map(|it| it.client + 1).max().unwrap_or(0);
        let mut clients: Vec<Vec<&Operation>> = vec![Vec::new(); count];
        let mut observers = HashMap::new();
        for operation in operations {
            clients[operation.client].push(operation);
            for seen in unique_values_seen(&operation.action) {
                *observers.entry(seen).or_insert(0) += 1;
            }
        }
        // Any seed does; a fixed one makes runs repeatable.
        let mut rng = Rng::with_seed(0x0005_eed0);
        let numbers =
            clients.iter().map(|own| own.iter().map(|_| rng.u128(..)).collect()).collect();
        let positions = vec![0; count];
        let best = Best { ordered: 0, state: EMPTY, positions: positions.clone() };
        Self {
            clients,
            positions,
            state: EMPTY,
            observers,
            numbers,
            hash: 0,
            tried: HashSet::new(),
            path: Vec::new(),
            best,
        }
    }

    fn run(&mut self) -> bool {
        let total = self.clients.iter().map(Vec::len).sum();
        let mut candidates = self.candidates();
        while self.path.len() < total {
            if let Some(client) = candidates.pop() {
                if self.take(client, &mut candidates) {
                    candidates = self.candidates();
                }
            } else if let Some(others) = self.undo() {
                candidates = others;
            } else {
                return false;
            }
        }
        true
    }

    /// The operation of a client that is to take effect next.
    fn next(&self, client: usize) -> Option<&'a Operation> {
        self.clients[client].get(self.positions[client]).copied()
    }

    /// The clients whose next operation can take effect now; the best one to try is the last.
    fn candidates(&self) -> Vec<usize> {
        let next = || (0..self.clients.len()).filter_map(|it| Some((it, self.next(it)?)));
        // Nothing invoked after this moment can come before the operation that returned then.
        let Some(deadline) = next().map(|(_, operation)| operation.returned).min() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (client, operation) in next().filter(|(_, operation)| operation.invoked <= deadline) {
            let Some(after) = operation.action.apply(&self.state) else { continue };
            if !self.may_overwrite(&operation.action, &after) {
                continue;
            }
            if operation.action.only_sees() {
                return vec![client];
            }
            found.push(client);
        }
        // The most urgent one first.
        found.sort_by_key(|&it| std::cmp::Reverse(self.next(it).map(|next| next.returned)));
        found
    }

    /// The state with one value for all dead ones. Where operations are alike in this they are alike
    /// in everything to come.
    fn without_the_dead(&self, state: &State) -> State {
        let mut alive = *state;
        for (key, value) in alive.iter_mut().enumerate() {
            let seen = || self.observers.get(&(key, *value)).is_some_and(|&count| count > 0);
            if *value >= UNIQUE_MIN && !seen() {
                *value = DEAD;
            }
        }
        alive
    }

    /// Whether nobody else still has to see a value that this action does away with.
    fn may_overwrite(&self, action: &Action, after: &State) -> bool {
        let own: Vec<_> = unique_values_seen(action).collect();
        (0..GROUP_KEYS).filter(|&key| after[key] != self.state[key]).all(|key| {
            let value = (key, self.state[key]);
            let waiting = self.observers.get(&value).copied().unwrap_or(0);
            waiting == u32::from(own.contains(&value))
        })
    }

    /// Lets a client's next operation take effect, unless what follows is known to lead nowhere.
    fn take(&mut self, client: usize, others: &mut Vec<usize>) -> bool {
        let Some(operation) = self.next(client) else { return false };
        let Some(after) = operation.action.apply(&self.state) else { return false };
        let hash = self.hash ^ self.numbers[client][self.positions[client]];
        self.see(operation, true);
        if !self.tried.insert((hash, self.without_the_dead(&after))) {
            self.see(operation, false);
            return false;
        }
        self.path.push(Choice { client, before: self.state, others: std::mem::take(others) });
        self.positions[client] += 1;
        self.state = after;
        self.hash = hash;
        if self.path.len() > self.best.ordered {
            let positions = self.positions.clone();
            self.best = Best { ordered: self.path.len(), state: after, positions };
        }
        true
    }

    /// Takes back the last operation; what else could have been done, or `None` at the beginning.
    fn undo(&mut self) -> Option<Vec<usize>> {
        let Choice { client, before, others } = self.path.pop()?;
        self.positions[client] -= 1;
        self.state = before;
        self.hash ^= self.numbers[client][self.positions[client]];
        if let Some(operation) = self.next(client) {
            self.see(operation, false);
        }
        Some(others)
    }

    /// Notes that an operation has seen what it sees, or has not after all.
    fn see(&mut self, operation: &Operation, done: bool) {
        for seen in unique_values_seen(&operation.action) {
            let observers = self.observers.entry(seen).or_insert(0);
            *observers = if done { *observers - 1 } else { *observers + 1 };
        }
    }

    fn violation(&self, operations: &[Operation]) -> Violation {
        let Best { ordered, state, positions } = &self.best;
        let next = |client: usize| self.clients[client].get(positions[client]).copied();
        let stuck = (0..self.clients.len()).filter_map(next).min_by_key(|it| it.returned);
        // There is one, or all would have been put in order.
        let stuck = stuck.or(operations.first()).cloned();
        let mut around: Vec<Operation> = operations
            .iter()
            .filter(|other| {
                stuck.as_ref().is_some_and(|it| it != *other && other.invoked < it.returned)
            })
            .cloned()
            .collect();
        around.sort_by_key(|other| other.returned);
        around.drain(..around.len().saturating_sub(SHOWN));
        let nothing =
            Operation { client: 0, invoked: 0, returned: 0, action: Action::Read(vec![]) };
        Violation {
            ordered: *ordered,
            total: operations.len(),
            state: *state,
            stuck: stuck.unwrap_or(nothing),
            around,
        }
    }
}

/// The values this action saw, at their keys, that nobody wrote a second time.
fn unique_values_seen(action: &Action) -> impl Iterator<Item = (usize, i64)> {
    let (read, single) = match action {
        Action::Read(seen) => (seen.as_slice(), None),
        Action::Swap { key, seen, .. } => (&[][..], Some((*key, *seen))),
        Action::Increment { key, became } => (&[][..], Some((*key, became - 1))),
        Action::Write(_) | Action::Delete { .. } => (&[][..], None),
    };
    read.iter().copied().chain(single).filter(|&(_, value)| value >= UNIQUE_MIN)
}

#[cfg(test)]
mod tests {
    use super::super::history::{Action, MISSING};
    use super::*;

    fn operation(client: usize, invoked: u64, returned: u64, action: Action) -> Operation {
        Operation { client, invoked, returned, action }
    }

    fn set(key: usize, value: i64) -> Action {
        Action::Write(vec![(key, value)])
    }

    fn get(key: usize, value: i64) -> Action {
        Action::Read(vec![(key, value)])
    }

    #[track_caller]
    fn good(operations: &[Operation]) {
        check(operations).unwrap_or_else(|violation| panic!("{violation}"));
    }

    #[track_caller]
    fn bad(operations: &[Operation], stuck: usize) {
        let violation = check(operations).expect_err("no order explains this");
        assert_eq!(violation.stuck, operations[stuck], "{violation}");
    }

    #[test]
    fn one_after_the_other() {
        good(&[
            operation(0, 1, 2, get(0, MISSING)),
            operation(0, 3, 4, set(0, 5)),
            operation(1, 5, 6, get(0, 5)),
            operation(0, 7, 8, Action::Increment { key: 0, became: 6 }),
            operation(1, 9, 10, Action::Swap { key: 0, seen: 6, written: 9 }),
            operation(1, 11, 12, Action::Delete { keys: vec![0, 1], found: 1 }),
            operation(0, 13, 14, Action::Increment { key: 0, became: 1 }),
        ]);
    }

    #[test]
    fn overlapping_operations_may_take_effect_in_either_order() {
        for seen in [MISSING, 1] {
            good(&[operation(0, 1, 10, set(0, 1)), operation(1, 2, 9, get(0, seen))]);
        }
        good(&[
            operation(0, 1, 10, set(0, 1)),
            operation(1, 2, 9, set(0, 2)),
            operation(2, 11, 12, get(0, 1)),
        ]);
    }

    #[test]
    fn a_stale_read_is_found() {
        bad(
            &[
                operation(0, 1, 2, set(0, 1)),
                operation(0, 3, 4, set(0, 2)),
                operation(1, 5, 6, get(0, 1)),
            ],
            2,
        );
    }

    #[test]
    fn a_read_that_goes_back_in_time_is_found() {
        bad(
            &[
                operation(0, 1, 20, set(0, 1)),
                operation(1, 2, 3, get(0, 1)),
                operation(2, 4, 5, get(0, MISSING)),
            ],
            2,
        );
    }

    #[test]
    fn a_lost_update_is_found() {
        bad(
            &[
                operation(0, 1, 10, Action::Increment { key: 0, became: 1 }),
                operation(1, 2, 9, Action::Increment { key: 0, became: 1 }),
            ],
            0,
        );
        bad(
            &[
                operation(0, 1, 10, Action::Swap { key: 0, seen: MISSING, written: 1 }),
                operation(1, 2, 9, Action::Swap { key: 0, seen: MISSING, written: 2 }),
            ],
            0,
        );
    }

    #[test]
    fn a_torn_write_of_two_keys_is_found() {
        let both = |value| Action::Write(vec![(0, value), (1, value)]);
        let seen = |a, b| Action::Read(vec![(0, a), (1, b)]);
        good(&[
            operation(0, 1, 2, both(1)),
            operation(0, 3, 10, both(2)),
            operation(1, 4, 5, seen(1, 1)),
            operation(1, 6, 7, seen(2, 2)),
        ]);
        bad(
            &[
                operation(0, 1, 2, both(1)),
                operation(0, 3, 10, both(2)),
                operation(1, 4, 5, seen(2, 1)),
            ],
            2,
        );
    }

    #[test]
    fn two_torn_reads_of_one_key_each_are_found() {
        // Each key alone is fine; together, the write was seen and then not seen.
        bad(
            &[
                operation(0, 1, 20, Action::Write(vec![(0, 1), (1, 1)])),
                operation(1, 2, 3, get(0, 1)),
                operation(1, 4, 5, get(1, MISSING)),
            ],
            2,
        );
    }

    #[test]
    fn a_reordered_pipeline_is_found() {
        // Client 0 sent both at once; client 1 saw the second without the first.
        let seen = |first, second| {
            [
                operation(0, 1, 20, set(0, 1)),
                operation(0, 1, 20, set(1, 1)),
                operation(1, 5, 6, Action::Read(vec![(0, first), (1, second)])),
            ]
        };
        for (first, second) in [(MISSING, MISSING), (1, MISSING), (1, 1)] {
            good(&seen(first, second));
        }
        bad(&seen(MISSING, 1), 2);
    }

    #[test]
    fn a_reply_that_ignores_the_same_pipeline_is_found() {
        bad(&[operation(0, 1, 9, set(0, 1)), operation(0, 1, 10, get(0, MISSING))], 1);
    }

    /// Every order there is, without any rule to shorten the search.
    fn some_order_fits(
        clients: &mut [std::collections::VecDeque<&Operation>],
        state: &State,
    ) -> bool {
        let Some(deadline) = clients.iter().filter_map(|own| Some(own.front()?.returned)).min()
        else {
            return true;
        };
        (0..clients.len()).any(|client| {
            let Some(operation) = clients[client].front().copied() else { return false };
            let Some(after) = operation.action.apply(state) else { return false };
            if operation.invoked > deadline {
                return false;
            }
            clients[client].pop_front();
            let fits = some_order_fits(clients, &after);
            clients[client].push_front(operation);
            fits
        })
    }

    /// A few operations that took effect in order, seen through overlapping times; sometimes with a
    /// reply that somebody else got, or with times that do not overlap.
    fn small_history(rng: &mut Rng) -> Vec<Operation> {
        let mut state = EMPTY;
        let mut free_at = [0; 4];
        let mut operations = Vec::new();
        for time in 1..=rng.u64(2..10) {
            let (key, other) = (rng.usize(0..2), rng.usize(0..2));
            let fresh = UNIQUE_MIN + (i64::try_from(time).unwrap() << 20);
            let now = |key: usize| (key, state[key]);
            let mut action = match rng.u8(0..7) {
                0 => Action::Read(vec![now(key)]),
                1 => Action::Read(vec![now(0), now(1)]),
                2 => Action::Write(vec![(key, fresh)]),
                3 => Action::Write(vec![(0, fresh), (1, fresh)]),
                4 => Action::Swap { key, seen: state[key], written: fresh },
                5 => Action::Increment { key, became: state[key].max(0) + 1 },
                _ => {
                    let there = i64::from(state[key] != MISSING);
                    Action::Delete { keys: vec![key], found: there }
                }
            };
            state = action.apply(&state).unwrap();
            if rng.u8(0..4) == 0 {
                match &mut action {
                    Action::Read(seen) => seen[0].1 = state[other],
                    Action::Swap { seen, .. } => *seen = state[other],
                    Action::Delete { found, .. } => *found = 1 - *found,
                    _ => {}
                }
            }
            let client = rng.usize(0..free_at.len());
            let middle = time * 100;
            let invoked = free_at[client].max(middle - rng.u64(1..250).min(middle));
            let returned = (middle + rng.u64(1..250)).max(invoked + 1);
            // A pipeline now and then: the next one is invoked before this one returns.
            free_at[client] = if rng.bool() { returned } else { invoked };
            let previous = operations.iter().rev().find(|it: &&Operation| it.client == client);
            let returned = returned.max(previous.map_or(0, |it| it.returned + 1));
            operations.push(operation(client, invoked, returned, action));
        }
        operations
    }

    #[test]
    fn the_verdict_is_the_one_of_trying_every_order() {
        let mut rng = Rng::with_seed(2);
        let mut verdicts = [0, 0];
        for _ in 0..30_000 {
            let operations = small_history(&mut rng);
            let mut clients = vec![std::collections::VecDeque::new(); 4];
            operations.iter().for_each(|it| clients[it.client].push_back(it));
            let expected = some_order_fits(&mut clients, &EMPTY);
            assert_eq!(check(&operations).is_ok(), expected, "{operations:#?}");
            verdicts[usize::from(expected)] += 1;
        }
        assert!(verdicts[0] > 1_000 && verdicts[1] > 1_000, "{verdicts:?}");
    }

    #[test]
    fn a_long_concurrent_history_is_checked_quickly_and_one_wrong_reply_found() {
        let mut rng = Rng::with_seed(1);
        let mut state = EMPTY;
        let mut operations = Vec::new();
        // Eight clients; each operation takes effect at `time` and lasts a while around it.
        for time in 0..40_000_u64 {
            let key = rng.usize(0..2);
            let action = match rng.u8(0..3) {
                0 => get(key, state[key]),
                1 => set(key, i64::try_from(time * 1_000).unwrap()),
                _ => Action::Increment { key, became: state[key].max(0) + 1 },
            };
            state = action.apply(&state).unwrap();
            let client = usize::try_from(time % 8).unwrap();
            let (early, late) = (rng.u64(1..40), rng.u64(1..40));
            let middle = 1_000 + time * 10;
            operations.push(operation(client, middle - early, middle + late, action));
        }
        good(&operations);
        let wrong = operations.iter().rposition(|it| matches!(it.action, Action::Read(_))).unwrap();
        operations[wrong].action = get(0, 123_456_789_123);
        bad(&operations, wrong);
    }
}
