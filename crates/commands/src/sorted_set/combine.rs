//! The algorithms of ZUNION, ZINTER and ZDIFF, over sorted sets and sets.

use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Set, SetBoundary, SortedSet};
use std::borrow::Cow;

/// What members come from. The members of a set have the score 1.
#[derive(Clone, Copy)]
pub(super) enum Source<'v> {
    Set(&'v Set),
    SortedSet(&'v SortedSet),
}

/// Where [`Source::for_each_slice`] stopped. The default is the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SourceBoundary {
    of_set: SetBoundary,
    /// Of a sorted set.
    rank: usize,
}

/// A source and what its scores are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Weighted<'v> {
    /// `None` is an empty set.
    pub(super) source: Option<Source<'v>>,
    pub(super) weight: f64,
}

/// How the scores of a member in several sources become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

/// A member of a result with its score.
pub(super) type Scored<'v> = (Cow<'v, [u8]>, f64);

impl Aggregate {
    pub(super) fn of(self, left: f64, right: f64) -> f64 {
        match self {
            // Opposite infinities cancel out.
            Self::Sum => not_nan(left + right),
            Self::Min if right < left => right,
            Self::Max if right > left => right,
            Self::Min | Self::Max => left,
        }
    }
}

impl<'v> Source<'v> {
    fn len(self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    fn for_each(self, mut visit: impl FnMut(Item<'v>, f64)) {
        match self {
            Self::Set(set) => set.for_each(|member| visit(member, 1.0)),
            Self::SortedSet(set) => set.iter().for_each(|(member, score)| visit(member, score)),
        }
    }

    /// Visits about `count` members, and returns where to go on.
    pub(super) fn for_each_slice(
        self,
        from: SourceBoundary,
        count: usize,
        mut visit: impl FnMut(Item<'v>, f64),
    ) -> Option<SourceBoundary> {
        match self {
            Self::Set(set) => {
                let mut visited = 0;
                let mut next = Some(from.of_set);
                while let Some(of_set) = next.take_if(|_| visited < count) {
                    next = set.for_each_slice(of_set, |member| {
                        visit(member, 1.0);
                        visited += 1;
                    });
                }
                next.map(|of_set| SourceBoundary { of_set, ..from })
            }
            Self::SortedSet(set) => {
                let end = set.len().min(from.rank + count);
                set.range(from.rank..end, false).for_each(|(member, score)| visit(member, score));
                (end < set.len()).then_some(SourceBoundary { rank: end, ..from })
            }
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Set(set) => set.contains(Item::Bytes(member)).then_some(1.0),
            Self::SortedSet(set) => set.score(member),
        }
    }

    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Set(left), Self::Set(right)) => std::ptr::eq(left, right),
            (Self::SortedSet(left), Self::SortedSet(right)) => std::ptr::eq(left, right),
            _ => false,
        }
    }
}

impl Weighted<'_> {
    pub(super) fn len(&self) -> usize {
        self.source.map_or(0, Source::len)
    }

    /// Whether it has a member of `first`.
    pub(super) fn has(&self, first: Source<'_>, member: &[u8]) -> bool {
        self.source.is_some_and(|own| own.is_same(first) || own.score(member).is_some())
    }

    /// The score of a member of its source `first`, where it has `score`, combined with those in `others`; `None` if
    /// it is not in all of them.
    pub(super) fn combined(
        &self,
        first: Source<'_>,
        member: &[u8],
        score: f64,
        others: &[Self],
        aggregate: Aggregate,
    ) -> Option<f64> {
        others.iter().try_fold(not_nan(score * self.weight), |combined, other| {
            let source = other.source?;
            let found = if source.is_same(first) { score } else { source.score(member)? };
            Some(aggregate.of(combined, found * other.weight))
        })
    }
}

/// The members in any source, in no order. Scores are combined from the smallest source on, as in Redis:
/// the order can matter to the last digit.
pub(super) fn unite<'v>(sources: &mut [Weighted<'v>], aggregate: Aggregate) -> Vec<Scored<'v>> {
    sources.sort_by_key(Weighted::len);
    let mut members: Vec<Scored<'v>> = Vec::new();
    for Weighted { source, weight } in sources.iter() {
        if let Some(source) = source {
            source.for_each(|member, score| {
                members.push((owned(member), not_nan(score * weight)));
            });
        }
    }
    if sources.iter().filter(|source| source.len() > 0).count() > 1 {
        // Stable, so the scores of a member stay in the order of the sources.
        members.sort_by(|left, right| left.0.cmp(&right.0));
        members.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 = aggregate.of(kept.1, next.1);
            }
            is_same
        });
    }
    members
}

/// Hands the members in every source to `emit`, in no order, until it has enough.
pub(super) fn intersect<'v>(
    sources: &mut [Weighted<'v>],
    aggregate: Aggregate,
    mut emit: impl FnMut(Scored<'v>) -> bool,
) {
    sources.sort_by_key(Weighted::len);
    let [smallest, others @ ..] = &*sources else { return };
    let Some(first) = smallest.source else { return };
    let mut text = IntegerText::new();
    let mut has_enough = false;
    first.for_each(|member, score| {
        if has_enough {
            return;
        }
        let bytes = bytes_of(member, &mut text);
        if let Some(combined) = smallest.combined(first, bytes, score, others, aggregate) {
            has_enough = !emit((owned(member), combined));
        }
    });
}

/// The members of the first source that are in no other, in no order.
pub(super) fn subtract<'v>(sources: &[Weighted<'v>]) -> Vec<Scored<'v>> {
    let mut members = Vec::new();
    let [Weighted { source: Some(first), .. }, others @ ..] = sources else { return members };
    let mut others: Vec<Source<'_>> = others.iter().filter_map(|other| other.source).collect();
    if others.iter().any(|other| other.is_same(*first)) {
        return members;
    }
    // Big ones first: they are more likely to have a member.
    others.sort_by_key(|other| std::cmp::Reverse(other.len()));
    let mut text = IntegerText::new();
    first.for_each(|member, score| {
        let bytes = bytes_of(member, &mut text);
        if others.iter().all(|other| other.score(bytes).is_none()) {
            members.push((owned(member), score));
        }
    });
    members
}

/// Puts members in the order of a sorted set.
pub(super) fn sort(members: &mut [Scored<'_>]) {
    members.sort_unstable_by(|left, right| {
        let by_score = left.1.partial_cmp(&right.1).expect("scores are numbers");
        by_score.then_with(|| left.0.cmp(&right.0))
    });
}

fn owned(member: Item<'_>) -> Cow<'_, [u8]> {
    match member {
        Item::Bytes(bytes) => Cow::Borrowed(bytes),
        Item::Integer(integer) => {
            Cow::Owned(IntegerText::new().format(integer).as_bytes().to_vec())
        }
    }
}

/// What multiplying infinity by zero, or adding opposite infinities, counts as.
pub(super) fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}
