//! The algorithms of set algebra.
//!
//! They go through one set slice by slice and have the others keep or drop whole slices of candidates, so
//! that the cache misses of looking up some hundred members in a big table overlap, and so that a limit stops
//! them early.

use darter_shard::KeyHasher;
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, Set, SetBoundary};

/// A union of up to so many sets looks each member up in the sets before its own; one of more collects the
/// members in a set of its own.
pub(super) const UNION_BY_LOOKUP_MAX: usize = 4;

/// Members looked up together.
const MEMBERS_AHEAD: usize = 16;

/// A member that may be in the result.
struct Candidate<'s> {
    member: Item<'s>,
    /// The hash of its bytes, if some other set is a table.
    hash: u64,
}

/// Hands the members that are in all of `sets` to `emit`, at most `limit`.
pub(super) fn intersect<'s>(
    sets: &[Option<&'s Set>],
    limit: usize,
    hasher: &KeyHasher,
    mut emit: impl FnMut(Item<'s>),
) {
    let Some(sets) = by_size(sets) else { return };
    let mut left = limit;
    let mut boundary = Some(SetBoundary::START);
    while let Some(from) = boundary.take_if(|_| left > 0) {
        boundary = intersect_slice(&sets, from, &mut left, hasher, &mut emit);
    }
}

/// The smallest set first; `None` if one is absent, and so empty.
pub(super) fn by_size<'s>(sets: &[Option<&'s Set>]) -> Option<Vec<&'s Set>> {
    let mut sets = sets.iter().copied().collect::<Option<Vec<&Set>>>()?;
    sets.sort_by_key(|set| set.len());
    Some(sets)
}

/// A slice of the members that are in all of `sets`, the smallest of which is the first: at most `left`, which is
/// counted down. Where to go on.
pub(super) fn intersect_slice<'s>(
    sets: &[&'s Set],
    from: SetBoundary,
    left: &mut usize,
    hasher: &KeyHasher,
    mut emit: impl FnMut(Item<'s>),
) -> Option<SetBoundary> {
    let [smallest, others @ ..] = sets else { return None };
    let (mut candidates, next) = candidates(smallest, from, others, hasher);
    for other in others.iter().filter(|other| !std::ptr::eq(**other, *smallest)) {
        keep_where(&mut candidates, other, true);
    }
    candidates.truncate(*left);
    *left -= candidates.len();
    for candidate in candidates {
        emit(candidate.member);
    }
    next
}

/// Hands the members that are in any of `sets` to `emit`, each once. Leaves off some time after the first `limit`.
pub(super) fn unite(
    sets: &[Option<&Set>],
    limit: usize,
    rules: Rules<'_>,
    mut emit: impl FnMut(Item<'_>),
) {
    let sets: Vec<&Set> = sets.iter().copied().flatten().collect();
    if sets.len() > UNION_BY_LOOKUP_MAX {
        let mut union = Set::default();
        for set in sets {
            let mut boundary = Some(SetBoundary::START);
            while let Some(from) = boundary.take_if(|_| union.len() < limit) {
                boundary = set.for_each_slice(from, |member| {
                    union.add(member, rules);
                });
            }
        }
        return union.for_each(emit);
    }
    let mut emitted = 0;
    for index in 0..sets.len() {
        let mut boundary = Some(SetBoundary::START);
        while let Some(from) = boundary.take_if(|_| emitted < limit) {
            boundary = unite_slice(&sets, index, from, rules.hasher, |member| {
                emitted += 1;
                emit(member);
            });
        }
    }
}

/// A slice of the members of the set at `index` that are in no set before it. Where to go on in that set.
pub(super) fn unite_slice<'s>(
    sets: &[&'s Set],
    index: usize,
    from: SetBoundary,
    hasher: &KeyHasher,
    emit: impl FnMut(Item<'s>),
) -> Option<SetBoundary> {
    let (before, set) = (&sets[..index], sets[index]);
    if before.iter().any(|other| std::ptr::eq(*other, set)) {
        return None;
    }
    subtract_slice(set, before, from, hasher, emit)
}

/// A slice of the members of `set` that are in none of `others`. Where to go on.
pub(super) fn subtract_slice<'s>(
    set: &'s Set,
    others: &[&Set],
    from: SetBoundary,
    hasher: &KeyHasher,
    mut emit: impl FnMut(Item<'s>),
) -> Option<SetBoundary> {
    let (mut candidates, next) = candidates(set, from, others, hasher);
    for other in others {
        keep_where(&mut candidates, other, false);
    }
    for candidate in candidates {
        emit(candidate.member);
    }
    next
}

/// Hands the members of the first of `sets` that are in no other to `emit`. May leave off some time after the first
/// `limit`.
pub(super) fn subtract(
    sets: &[Option<&Set>],
    limit: usize,
    rules: Rules<'_>,
    mut emit: impl FnMut(Item<'_>),
) {
    let [Some(first), others @ ..] = sets else { return };
    let mut others: Vec<&Set> = others.iter().copied().flatten().collect();
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return;
    }
    // Looking each member up in all the others, or taking the members of all the others out of a copy. The
    // first costs less per step, and may end early.
    let by_lookup = first.len().saturating_mul(others.len() + 1) / 2;
    let by_removal = others.iter().fold(first.len(), |sum, other| sum.saturating_add(other.len()));
    if by_lookup <= by_removal {
        // Big ones first: they are more likely to have a member.
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        let mut boundary = Some(SetBoundary::START);
        let mut emitted = 0;
        while let Some(from) = boundary.take_if(|_| emitted < limit) {
            boundary = subtract_slice(first, &others, from, rules.hasher, |member| {
                emitted += 1;
                emit(member);
            });
        }
        return;
    }
    let mut rest = (*first).clone();
    for other in others {
        if rest.is_empty() {
            break;
        }
        other.for_each(|member| {
            rest.remove(member);
        });
    }
    rest.for_each(emit);
}

/// The next slice of the members of `set`, to be looked up in `others`, and where to go on.
fn candidates<'s>(
    set: &'s Set,
    from: SetBoundary,
    others: &[&Set],
    hasher: &KeyHasher,
) -> (Vec<Candidate<'s>>, Option<SetBoundary>) {
    let is_hashed = others.iter().any(|other| other.as_table().is_some());
    let mut text = IntegerText::new();
    let mut candidates = Vec::new();
    let next = set.for_each_slice(from, |member| {
        let hash = if is_hashed { hasher.hash(bytes_of(member, &mut text)) } else { 0 };
        candidates.push(Candidate { member, hash });
    });
    (candidates, next)
}

/// Keeps the candidates of which `is_member` says whether they are in `other`.
fn keep_where(candidates: &mut Vec<Candidate<'_>>, other: &Set, is_member: bool) {
    let Some(table) = other.as_table() else {
        return candidates.retain(|candidate| other.contains(candidate.member) == is_member);
    };
    let mut kept = vec![false; candidates.len()];
    let mut text = IntegerText::new();
    for (window, kept) in candidates.chunks(MEMBERS_AHEAD).zip(kept.chunks_mut(MEMBERS_AHEAD)) {
        for candidate in window {
            table.prefetch(candidate.hash);
        }
        for candidate in window {
            table.prefetch_entry(candidate.hash);
        }
        for (candidate, kept) in window.iter().zip(kept) {
            let bytes = bytes_of(candidate.member, &mut text);
            *kept = table.find(candidate.hash, bytes).is_some() == is_member;
        }
    }
    let mut kept = kept.into_iter();
    candidates.retain(|_| kept.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_shard::EncodingLimits;
    use std::collections::BTreeSet;

    /// Sets of all forms, about half of whose members they share.
    fn sets(rules: Rules<'_>) -> Vec<(Set, BTreeSet<Vec<u8>>)> {
        let shapes = [(3, 1, ""), (100, 2, ""), (100, 3, "m"), (700, 2, ""), (3_000, 3, "m")];
        let with = |(count, step, word): (i32, i32, &str)| {
            let mut set = Set::default();
            let members: BTreeSet<Vec<u8>> =
                (0..count).map(|number| format!("{word}{}", number * step).into_bytes()).collect();
            for member in &members {
                set.expect(member, 1, rules);
                set.add(Item::Bytes(member), rules);
            }
            (set, members)
        };
        shapes.into_iter().map(with).collect()
    }

    fn texts(run: impl FnOnce(&mut dyn FnMut(Item<'_>))) -> BTreeSet<Vec<u8>> {
        let mut texts = BTreeSet::new();
        run(&mut |member| {
            assert!(texts.insert(bytes_of(member, &mut IntegerText::new()).to_vec()), "twice");
        });
        texts
    }

    #[test]
    fn every_combination_agrees_with_the_standard_library() {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(1));
        let rules = Rules { limits: &limits, hasher: &hasher };
        let sets = sets(rules);
        for chosen in 0..5_usize.pow(3) {
            let indices = [chosen % 5, chosen / 5 % 5, chosen / 25];
            for count in 1..=3 {
                let picked: Vec<_> = indices[..count].iter().map(|index| &sets[*index]).collect();
                let operands: Vec<_> = picked.iter().map(|(set, _)| Some(set)).collect();
                let models: Vec<_> = picked.iter().map(|(_, model)| model).collect();
                let (first, rest) = (models[0], &models[1..]);
                let both: BTreeSet<_> = first
                    .iter()
                    .filter(|member| rest.iter().all(|model| model.contains(*member)))
                    .cloned()
                    .collect();
                let only: BTreeSet<_> = first
                    .iter()
                    .filter(|member| !rest.iter().any(|model| model.contains(*member)))
                    .cloned()
                    .collect();
                let any: BTreeSet<_> = models.iter().copied().flatten().cloned().collect();
                assert_eq!(texts(|emit| intersect(&operands, usize::MAX, &hasher, emit)), both);
                assert_eq!(texts(|emit| subtract(&operands, usize::MAX, rules, emit)), only);
                assert_eq!(texts(|emit| unite(&operands, usize::MAX, rules, emit)), any);
                let limited = texts(|emit| intersect(&operands, 7, &hasher, emit));
                assert_eq!(limited.len(), both.len().min(7));
                let repeated = operands.repeat(2);
                assert_eq!(texts(|emit| unite(&repeated, usize::MAX, rules, emit)), any);
            }
        }
    }
}
