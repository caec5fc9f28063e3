//! Drives a sorted set.

use std::collections::{BTreeMap, BTreeSet};

use super::Input;
use crate::hasher::KeyHasher;
use crate::ranked::{DROP_SLICE_MEMBERS, Place, RankedMembers};

/// A sorted set through all its operations, against a set of pairs in `std`.
pub fn ranked(bytes: &[u8]) {
    let mut input = Input { bytes };
    let mask = if input.below(4) == 0 { 0xffff << 48 } else { u64::MAX };
    let hasher = KeyHasher::masked(input.number::<8>(), mask);
    let mut exercise = RankedExercise {
        set: RankedMembers::new(hasher),
        scores: BTreeMap::new(),
        order: BTreeSet::new(),
        member_count: 1 << (2 + input.below(12)),
        score_count: {
            let bits = input.below(16);
            1 + input.below(2 << bits)
        },
    };
    let (mut growing, mut step) = (true, 0_u64);
    while !input.is_empty() {
        step += 1;
        match input.number::<1>() {
            0..110 => exercise.put(&mut input, if growing { 8 } else { 1 }),
            110..200 => exercise.remove(&mut input, if growing { 1 } else { 8 }),
            200..210 => exercise.remove_range(&mut input),
            210..250 => exercise.look(&mut input),
            250..254 => growing = !growing,
            254 if input.below(20) == 0 => exercise.set = exercise.set.clone(),
            _ if input.below(20) == 0 => exercise.drop_slice(),
            _ => {}
        }
        if step.is_multiple_of(64) {
            exercise.check();
        }
    }
    exercise.check();
}

struct RankedExercise {
    set: RankedMembers,
    scores: BTreeMap<Vec<u8>, i64>,
    order: BTreeSet<(i64, Vec<u8>)>,
    member_count: u64,
    score_count: u64,
}

impl RankedExercise {
    /// Members of all kinds of lengths, one of them empty.
    fn member(&self, input: &mut Input<'_>) -> Vec<u8> {
        let number = input.below(self.member_count);
        match number % 50 {
            0 => vec![b'm'; usize::try_from(number / 50).expect("small")],
            _ => format!("member:{number}").into_bytes(),
        }
    }

    /// Adds members, or gives them other scores.
    fn put(&mut self, input: &mut Input<'_>, count: usize) {
        for _ in 0..count {
            let member = self.member(input);
            let score = input.below(self.score_count).cast_signed() - 5;
            let hash = self.set.hasher().hash(&member);
            let found = self.set.find(hash, &member);
            let old_score = self.scores.insert(member.clone(), score);
            assert_eq!(found.map(Place::score), old_score.map(as_score));
            match (found, old_score) {
                (Some(place), Some(old_score)) => {
                    self.order.remove(&(old_score, member.clone()));
                    self.set.set_score(place, as_score(score));
                }
                _ => self.set.insert(hash, &member, as_score(score)),
            }
            self.order.insert((score, member));
        }
    }

    fn remove(&mut self, input: &mut Input<'_>, count: usize) {
        for _ in 0..count {
            let member = self.member(input);
            let found = self.set.find(self.set.hasher().hash(&member), &member);
            let expected = self.scores.remove(&member);
            assert_eq!(found.is_some(), expected.is_some());
            if let (Some(place), Some(score)) = (found, expected) {
                self.order.remove(&(score, member));
                self.set.remove(place);
            }
        }
    }

    fn remove_range(&mut self, input: &mut Input<'_>) {
        let len = self.order.len();
        let rank = usize::try_from(input.below(len as u64 + 1)).expect("small");
        let count = usize::try_from(input.below(200)).expect("small").min(len - rank);
        let expected: Vec<_> = self.order.iter().skip(rank).take(count).cloned().collect();
        let mut removed = Vec::new();
        self.set.remove_range(rank, count, |member, score| removed.push((score, member.to_vec())));
        assert_eq!(removed.len(), expected.len());
        for ((score, member), expected) in removed.iter().zip(expected) {
            assert_eq!((*score, member), (as_score(expected.0), &expected.1));
            self.scores.remove(member);
            self.order.remove(&expected);
        }
    }

    fn look(&self, input: &mut Input<'_>) {
        let member = self.member(input);
        let score = input.below(self.score_count).cast_signed() - 5;
        if let Some(place) = self.set.find(self.set.hasher().hash(&member), &member) {
            let score = self.scores[&member];
            let expected = self.order.range(..(score, member)).count();
            assert_eq!(self.set.rank(place), expected);
        }
        let expected = self.order.range(..(score, Vec::new())).count();
        assert_eq!(self.set.rank_below_score(|other| other < as_score(score)), expected);
        let (from, count) = (expected, usize::try_from(input.below(300)).expect("small"));
        let up = self.order.iter().skip(from).take(count);
        let up = up.map(|(score, member)| (&member[..], as_score(*score)));
        assert!(self.set.ascending(from, count).eq(up));
        let down = self.order.iter().take(from.saturating_add(1)).rev().take(count);
        let down = down.map(|(score, member)| (&member[..], as_score(*score)));
        assert!(self.set.descending(from, count).eq(down));
    }

    fn drop_slice(&mut self) {
        let kept = self.order.len().saturating_sub(DROP_SLICE_MEMBERS);
        assert_eq!(self.set.drop_slice(), kept > 0);
        while self.order.len() > kept {
            let (_, member) = self.order.pop_last().expect("more than are kept");
            self.scores.remove(&member);
        }
    }

    fn check(&self) {
        self.set.check_invariants();
        let expected = self.order.iter().map(|(score, member)| (&member[..], as_score(*score)));
        assert!(self.set.ascending(0, usize::MAX).eq(expected));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn as_score(number: i64) -> f64 {
    number as f64 / 4.0
}
