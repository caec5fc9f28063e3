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
            let waiting = self.observers.get(&value).map_or(0, |&count| count as usize);
            waiting == own.iter().filter(|&&seen| seen == value).count()
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
        let left = (0..self.clients.len()).filter_map(next);
        let stuck = left.min_by_key(|it| it.returned).expect("else all would be in order");
        let mut around: Vec<Operation> = operations
            .iter()
            .filter(|other| *other != stuck && other.invoked < stuck.returned)
            .cloned()
            .collect();
        around.sort_by_key(|other| other.returned);
        around.drain(..around.len().saturating_sub(SHOWN));
        let (ordered, total) = (*ordered, operations.len());
        Violation { ordered, total, state: *state, stuck: stuck.clone(), around }
    }
}

/// The values this action saw, at their keys, that nobody wrote a second time. Each as often as it saw
/// it; those a transaction wrote itself among them.
fn unique_values_seen(action: &Action) -> impl Iterator<Item = (usize, i64)> {
    let of_all = action.parts().iter().flat_map(|part| {
        let (read, single) = match part {
            Action::Read(seen) => (seen.as_slice(), None),
            Action::Swap { key, seen, .. } => (&[][..], Some((*key, *seen))),
            Action::Increment { key, became } => (&[][..], Some((*key, became - 1))),
            Action::Write(_) | Action::Delete { .. } | Action::Transaction(_) => (&[][..], None),
        };
        read.iter().copied().chain(single)
    });
    of_all.filter(|&(_, value)| value >= UNIQUE_MIN)
}

#[cfg(test)]
mod tests;
