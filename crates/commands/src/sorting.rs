//! Sorting very many items in slices: runs of some thousand are sorted, and merged two by two until one is left.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::vec::IntoIter;

/// Items sorted, or merged, in one step: less than a millisecond's work.
const ITEMS_PER_STEP: usize = 2048;

/// A sort under way.
#[derive(Debug)]
pub(crate) struct Sorting<T> {
    unsorted: Vec<T>,
    /// Sorted each.
    runs: VecDeque<Vec<T>>,
    merging: Option<Merging<T>>,
    /// How many of the first are wanted.
    wanted: usize,
}

#[derive(Debug)]
struct Merging<T> {
    left: IntoIter<T>,
    right: IntoIter<T>,
    merged: Vec<T>,
}

impl<T> Sorting<T> {
    /// Begins to find the `wanted` first of these.
    pub(crate) fn new(unsorted: Vec<T>, wanted: usize) -> Self {
        Self { unsorted, runs: VecDeque::new(), merging: None, wanted }
    }

    /// Goes on; whether there is more to do. No two items that can be told apart may be equal.
    pub(crate) fn step(&mut self, compare: impl Fn(&T, &T) -> Ordering) -> bool {
        if !self.unsorted.is_empty() {
            let from = self.unsorted.len().saturating_sub(ITEMS_PER_STEP);
            let mut run: Vec<T> = self.unsorted.drain(from..).collect();
            run.sort_unstable_by(compare);
            run.truncate(self.wanted);
            self.runs.push_back(run);
            return true;
        }
        let mut merging = match self.merging.take() {
            Some(merging) => merging,
            None if self.runs.len() < 2 => return false,
            None => self.next_pair(),
        };
        for _ in 0..ITEMS_PER_STEP {
            if merging.merged.len() == self.wanted || !merging.take_least(&compare) {
                self.runs.push_back(merging.merged);
                return true;
            }
        }
        self.merging = Some(merging);
        true
    }

    /// The items in order, when there is nothing more to do.
    pub(crate) fn finish(mut self) -> Vec<T> {
        self.runs.pop_front().unwrap_or_default()
    }

    /// Begins to merge the two oldest runs.
    fn next_pair(&mut self) -> Merging<T> {
        let mut next = || self.runs.pop_front().unwrap_or_default();
        let (left, right) = (next(), next());
        let len = self.wanted.min(left.len() + right.len());
        Merging {
            left: left.into_iter(),
            right: right.into_iter(),
            merged: Vec::with_capacity(len),
        }
    }
}

impl<T> Merging<T> {
    /// Moves the least item that is left; whether there was one.
    fn take_least(&mut self, compare: &impl Fn(&T, &T) -> Ordering) -> bool {
        let from_left = match (self.left.as_slice().first(), self.right.as_slice().first()) {
            (Some(left), Some(right)) => compare(left, right).is_le(),
            (left, _) => left.is_some(),
        };
        let next = if from_left { self.left.next() } else { self.right.next() };
        let is_there = next.is_some();
        self.merged.extend(next);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(items: Vec<u64>, wanted: usize) -> (Vec<u64>, usize) {
        let mut sorting = Sorting::new(items, wanted);
        let mut steps = 0;
        while sorting.step(u64::cmp) {
            steps += 1;
        }
        (sorting.finish(), steps)
    }

    #[test]
    fn the_first_items_come_in_order() {
        for len in [0, 1, 2047, 2048, 2049, 50_000] {
            let items: Vec<u64> = (0..len).map(|number| number * 7919 % 50_021).collect();
            let mut expected = items.clone();
            expected.sort_unstable();
            for wanted in [0, 1, 3000, items.len()] {
                let (found, steps) = sorted(items.clone(), wanted);
                assert_eq!(found, expected[..wanted.min(items.len())]);
                assert!(steps >= items.len() / ITEMS_PER_STEP);
            }
        }
    }
}
