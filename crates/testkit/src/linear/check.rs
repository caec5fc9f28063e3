//! The search for an order: Wing and Gong's, with Lowe's memory of what was tried.
//!
//! Events (invocations and returns) lie in a list by time. The search walks it from the front and
//! tries to let each invoked operation take effect; one that can is taken out with both its events,
//! and the walk begins again at the front. Reaching the return of an operation still in the list
//! means that it should have taken effect before: the last choice is undone. A set of operations
//! taken together with the state they led to is never tried twice; it is remembered by a hash, the
//! exclusive or of a random number per operation.
//!
//! Beyond linearizability, an operation waits for the earlier ones of its own client. Without
//! pipelines that follows from real time, with them it is the promise that they run in order.
//!
//! A history that is fine costs about one step an operation, times the operations under way at once.

use std::fmt;

use fastrand::Rng;
use hashbrown::HashSet;

use super::history::{EMPTY, Operation, State};

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
    /// An operation that had returned by then and could not have taken effect.
    pub stuck: Operation,
    /// Others that were under way, or took place shortly before.
    pub around: Vec<Operation>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} operations can be put in order, ", self.ordered, self.total)?;
        writeln!(f, "which leads to {:?}, and then this one does not fit:", self.state)?;
        writeln!(f, "  {:?}", self.stuck)?;
        writeln!(f, "around it:")?;
        self.around.iter().try_for_each(|operation| writeln!(f, "  {operation:?}"))
    }
}

/// Looks for an order of all operations on one group, which starts empty. Operations of a client
/// must be in its own order.
pub fn check(operations: &[Operation]) -> Result<(), Box<Violation>> {
    let mut search = Search::new(operations);
    search.run().map_err(|()| Box::new(search.violation()))
}

/// An index into [`Search::events`]; 0 is the head of the list.
type EventIndex = usize;

/// An entry of the list, which both its neighbours know.
struct Event {
    operation: usize,
    /// The operation's return, if this is its invocation.
    returns: Option<EventIndex>,
    previous: EventIndex,
    /// 0 at the end.
    next: EventIndex,
}

struct Search<'a> {
    operations: &'a [Operation],
    events: Vec<Event>,
    /// The operation before this one of the same client.
    before: Vec<Option<usize>>,
    taken: Vec<bool>,
    /// The random number of each operation, and the exclusive or of those taken.
    numbers: Vec<u128>,
    hash: u128,
    state: State,
    /// Invocations taken, with the state each found.
    path: Vec<(EventIndex, State)>,
    tried: HashSet<(u128, State)>,
    /// The longest path so far: its length, the state, and the operation that did not fit.
    best: (usize, State, usize),
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        // Any seed does; a fixed one makes runs repeatable.
        let mut rng = Rng::with_seed(0x0005_eed0);
        Self {
            operations,
            events: list_events(operations),
            before: own_order(operations),
            taken: vec![false; operations.len()],
            numbers: operations.iter().map(|_| rng.u128(..)).collect(),
            hash: 0,
            state: EMPTY,
            path: Vec::new(),
            tried: HashSet::new(),
            best: (0, EMPTY, 0),
        }
    }

    fn run(&mut self) -> Result<(), ()> {
        let mut at = self.events[0].next;
        while self.events[0].next != 0 {
            let event = &self.events[at];
            if event.returns.is_some() {
                at = if self.take(at) { self.events[0].next } else { self.events[at].next };
            } else {
                if self.path.len() >= self.best.0 {
                    self.best = (self.path.len(), self.state, event.operation);
                }
                at = self.undo().ok_or(())?;
            }
        }
        Ok(())
    }

    /// Lets the operation invoked at `at` take effect, if it can and that is not known to be futile.
    fn take(&mut self, at: EventIndex) -> bool {
        let operation = self.events[at].operation;
        if self.before[operation].is_some_and(|before| !self.taken[before]) {
            return false;
        }
        let Some(after) = self.operations[operation].action.apply(&self.state) else {
            return false;
        };
        let hash = self.hash ^ self.numbers[operation];
        if !self.tried.insert((hash, after)) {
            return false;
        }
        self.path.push((at, self.state));
        self.taken[operation] = true;
        self.state = after;
        self.hash = hash;
        self.unlink(at);
        if let Some(returns) = self.events[at].returns {
            self.unlink(returns);
        }
        true
    }

    /// Takes back the last operation and says where to go on; `None` when there is none.
    fn undo(&mut self) -> Option<EventIndex> {
        let (at, state) = self.path.pop()?;
        let operation = self.events[at].operation;
        self.taken[operation] = false;
        self.state = state;
        self.hash ^= self.numbers[operation];
        // In the opposite order of taking them out.
        if let Some(returns) = self.events[at].returns {
            self.relink(returns);
        }
        self.relink(at);
        Some(self.events[at].next)
    }

    fn unlink(&mut self, at: EventIndex) {
        let Event { previous, next, .. } = self.events[at];
        self.events[previous].next = next;
        if next != 0 {
            self.events[next].previous = previous;
        }
    }

    fn relink(&mut self, at: EventIndex) {
        let Event { previous, next, .. } = self.events[at];
        self.events[previous].next = at;
        if next != 0 {
            self.events[next].previous = at;
        }
    }

    fn violation(&self) -> Violation {
        let (ordered, state, stuck) = self.best;
        let stuck = self.operations[stuck].clone();
        let mut around: Vec<Operation> = self
            .operations
            .iter()
            .filter(|other| **other != stuck && other.invoked < stuck.returned)
            .cloned()
            .collect();
        around.sort_by_key(|other| other.returned);
        around.drain(..around.len().saturating_sub(SHOWN));
        Violation { ordered, total: self.operations.len(), state, stuck, around }
    }
}

/// All events by time in one list, behind a head that is none.
fn list_events(operations: &[Operation]) -> Vec<Event> {
    // At the same time invocations come first: that allows more, so no false alarm.
    let mut times: Vec<(u64, bool, usize)> = operations
        .iter()
        .enumerate()
        .flat_map(|(index, it)| [(it.invoked, false, index), (it.returned, true, index)])
        .collect();
    times.sort_unstable();
    let mut events = vec![Event { operation: 0, returns: None, previous: 0, next: 0 }];
    let mut invocations = vec![0; operations.len()];
    for (_, is_return, operation) in times {
        let index = events.len();
        if is_return {
            events[invocations[operation]].returns = Some(index);
        } else {
            invocations[operation] = index;
        }
        events.push(Event { operation, returns: None, previous: index - 1, next: 0 });
        events[index - 1].next = index;
    }
    events
}

fn own_order(operations: &[Operation]) -> Vec<Option<usize>> {
    let clients = operations.iter().map(|it| it.client + 1).max().unwrap_or(0);
    let mut last = vec![None; clients];
    operations
        .iter()
        .enumerate()
        .map(|(index, operation)| last[operation.client].replace(index))
        .collect()
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
