//! Sorted sets.
//!
//! A small one is a packed list of member and score in turn, in order; a big one a table of members with an
//! ordered tree over them. In a packed list a score is kept as its text, an integer if it is a small one, as
//! Redis does; so it is ready to be dumped.

use std::ops::Range;

use darter_base::float::{format_f64, parse_f64};
use darter_base::number::NumberText;
use darter_structures::ranked::{Ascending, Descending, RankedMembers};
use darter_structures::{
    Defragmentation, Item, Layout, PackedList, PackedOr, PackedOrMut, PackedOrRef, Place, good_size,
};

use crate::integer::IntegerText;
use crate::object::Contents;
use crate::packing::{bytes_of, item_of, text_len};
use crate::set::Rules;
use crate::view::{Encoding, Type};

/// Members with a score each, in the order of score and then bytes.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {
    members: PackedOr<RankedMembers>,
}

/// A member's score before and after a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreChange {
    /// `None` if it was absent.
    pub old: Option<f64>,
    /// `None` if nothing was to be changed.
    pub new: Option<f64>,
}

impl SortedSet {
    /// Becomes big if `count` members, the longest of `bytes_max` bytes, make a new one so, or if so many are
    /// to be added to a small one.
    pub fn expect(&mut self, count: usize, bytes_max: usize, rules: Rules<'_>) {
        let limits = rules.limits.sorted_set;
        let is_long = self.is_empty() && bytes_max > limits.value_bytes_max as usize;
        if self.members.is_packed() && (is_long || count > limits.entries_max as usize) {
            self.become_big(rules);
        }
    }

    /// Sets the score of `member` to what `decide` makes of its present one, `None` if it is absent; nothing
    /// changes if it answers `None` or an error. A score is never NaN.
    pub fn change<E>(
        &mut self,
        member: &[u8],
        rules: Rules<'_>,
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<ScoreChange, E> {
        if let PackedOrMut::Packed(list) = self.members.as_mut() {
            let item = item_of(member);
            let found = list.find(item, 2);
            let old = found.map(|place| score_at(list, list.next(place)));
            let new = decide(old)?;
            let Some(score) = new.filter(|new| Some(*new) != old) else {
                return Ok(ScoreChange { old, new });
            };
            if let Some(place) = found {
                list.remove_range(place, 2);
            }
            if found.is_some() || fits_packed(list, item, rules) {
                insert_packed(list, member, score);
                return Ok(ScoreChange { old, new });
            }
            self.become_big(rules);
            self.big_mut().insert(rules.hasher.hash(member), member, score);
            return Ok(ScoreChange { old, new });
        }
        let big = self.big_mut();
        let hash = big.hasher().hash(member);
        let place = big.find(hash, member);
        let old = place.map(darter_structures::ranked::Place::score);
        let new = decide(old)?;
        match (place, new) {
            (Some(place), Some(score)) if Some(score) != old => big.set_score(place, score),
            (None, Some(score)) => big.insert(hash, member, score),
            _ => {}
        }
        Ok(ScoreChange { old, new })
    }

    /// Sets the score of `member`; whether it was absent.
    pub fn set(&mut self, member: &[u8], score: f64, rules: Rules<'_>) -> bool {
        let Ok(change) =
            self.change(member, rules, |_| Ok::<_, std::convert::Infallible>(Some(score)));
        change.old.is_none()
    }

    /// Removes `member`; its score, if it was there.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => {
                let place = list.find(item_of(member), 2)?;
                let score = score_at(list, list.next(place));
                list.remove_range(place, 2);
                Some(score)
            }
            PackedOrMut::Big(big) => {
                let place = big.find(big.hasher().hash(member), member)?;
                big.remove(place);
                Some(place.score())
            }
        }
    }

    /// Removes the members of a range of ranks, showing each to `visit` before, in order.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut visit: impl FnMut(Item<'_>, f64)) {
        if ranks.is_empty() {
            return;
        }
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => {
                for (member, score) in pairs(list).skip(ranks.start).take(ranks.len()) {
                    visit(member, score);
                }
                let place = list.seek(ranks.start * 2).expect("below the length");
                list.remove_range(place, ranks.len() * 2);
            }
            PackedOrMut::Big(big) => {
                big.remove_range(ranks.start, ranks.len(), |member, score| {
                    visit(Item::Bytes(member), score);
                });
            }
        }
    }

    /// Becomes a packed list if the limits admit it (the STORE commands).
    pub fn compact(&mut self, rules: Rules<'_>) {
        let limits = rules.limits.sorted_set;
        let PackedOrRef::Big(big) = self.members.as_ref() else { return };
        if big.len() > limits.entries_max as usize {
            return;
        }
        let mut list = PackedList::new();
        for (member, score) in big.ascending(0, big.len()) {
            if member.len() > limits.value_bytes_max as usize || !has_room(&list, item_of(member)) {
                return;
            }
            list.push_back(item_of(member));
            ScoreText::of(score).with(|item| list.push_back(item));
        }
        self.members = PackedOr::packed(list);
    }

    /// The score of `member`.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                list.find(item_of(member), 2).map(|place| score_at(list, list.next(place)))
            }
            PackedOrRef::Big(big) => big
                .find(big.hasher().hash(member), member)
                .map(darter_structures::ranked::Place::score),
        }
    }

    /// The rank of `member`, from the lowest, and its score. O(log len).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                let wanted = item_of(member);
                let mut pairs = pairs(list).enumerate();
                let (rank, (_, score)) = pairs.find(|(_, (member, _))| *member == wanted)?;
                Some((rank, score))
            }
            PackedOrRef::Big(big) => {
                let place = big.find(big.hasher().hash(member), member)?;
                Some((big.rank(place), place.score()))
            }
        }
    }

    /// How many members have a score below a bound: `is_below` is true up to some score and false from there
    /// on. O(log len).
    #[inline]
    pub fn rank_below_score(&self, is_below: impl Fn(f64) -> bool) -> usize {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                pairs(list).take_while(|(_, score)| is_below(*score)).count()
            }
            PackedOrRef::Big(big) => big.rank_below_score(is_below),
        }
    }

    /// How many members are below a bound on their bytes, if all have the same score: `is_below` is true up
    /// to some member and false from there on. O(log len).
    pub fn rank_below_member(&self, is_below: impl Fn(&[u8]) -> bool) -> usize {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                let mut text = IntegerText::new();
                pairs(list).take_while(|(member, _)| is_below(bytes_of(*member, &mut text))).count()
            }
            PackedOrRef::Big(big) => big.rank_below(|member, _| is_below(member)),
        }
    }

    /// The members of a range of ranks, in order or backwards.
    #[inline]
    pub fn range(&self, ranks: Range<usize>, is_reversed: bool) -> Members<'_> {
        let end = ranks.end.min(self.len());
        let start = ranks.start.min(end);
        let form = match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                let place = if is_reversed { end } else { start } * 2;
                let place = list.seek(place).unwrap_or(list.end());
                if is_reversed { Form::Backward(list, place) } else { Form::Forward(list, place) }
            }
            PackedOrRef::Big(big) if is_reversed => {
                Form::Descending(big.descending(end.saturating_sub(1), end - start))
            }
            PackedOrRef::Big(big) => Form::Ascending(big.ascending(start, end - start)),
        };
        Members { form, left: end - start }
    }

    /// Every member, in order.
    pub fn iter(&self) -> Members<'_> {
        self.range(0..self.len(), false)
    }

    /// The member with the lowest score, or the highest.
    pub fn end(&self, is_last: bool) -> Option<(Item<'_>, f64)> {
        self.range(0..self.len(), is_last).next()
    }

    /// The member of a rank.
    pub fn get(&self, rank: usize) -> Option<(Item<'_>, f64)> {
        self.range(rank..rank.saturating_add(1), false).next()
    }

    /// One step of ZSCAN: visits about `count` members, all of a small set, and returns the cursor to go on
    /// with.
    pub fn scan<'s>(
        &'s self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Item<'s>, f64),
    ) -> u64 {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                pairs(list).for_each(|(member, score)| visit(member, score));
                0
            }
            PackedOrRef::Big(big) => {
                big.scan(cursor, count, |member, score| visit(Item::Bytes(member), score))
            }
        }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.len() / 2,
            PackedOrRef::Big(big) => big.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is in its small form.
    pub fn is_packed(&self) -> bool {
        self.members.is_packed()
    }

    /// How the table of a big set is laid out; see [`Table::layout`](darter_structures::Table::layout).
    pub fn table_layout(&self, counts_fill: bool) -> Option<Layout> {
        match self.members.as_ref() {
            PackedOrRef::Packed(_) => None,
            PackedOrRef::Big(big) => Some(big.layout(counts_fill)),
        }
    }

    /// An empty set in the big form for a copy of one that has it; `None` for the small form.
    pub fn emptied(&self) -> Option<Self> {
        let PackedOrRef::Big(members) = self.members.as_ref() else { return None };
        let copy = RankedMembers::new(members.hasher().clone());
        Some(Self { members: PackedOr::big(Box::new(copy)) })
    }

    /// Copies the members of these ranks into `copy`, made by [`emptied`](Self::emptied), where they must not be
    /// yet.
    pub fn copy_ranks(&self, ranks: Range<usize>, copy: &mut Self) {
        let PackedOrMut::Big(copy) = copy.members.as_mut() else { return };
        let mut text = IntegerText::new();
        for (member, score) in self.range(ranks, false) {
            let bytes = bytes_of(member, &mut text);
            copy.insert(copy.hasher().hash(bytes), bytes, score);
        }
    }

    /// Panics if the set contradicts itself.
    pub fn check_invariants(&self) {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                list.check_invariants();
                assert!(list.len().is_multiple_of(2));
                let ordered: Vec<_> = pairs(list)
                    .map(|(member, score)| {
                        (score, bytes_of(member, &mut IntegerText::new()).to_vec())
                    })
                    .collect();
                assert!(ordered.is_sorted_by(|left, right| left < right), "members out of order");
            }
            PackedOrRef::Big(big) => big.check_invariants(),
        }
    }

    fn big_mut(&mut self) -> &mut RankedMembers {
        match self.members.as_mut() {
            PackedOrMut::Big(big) => big,
            PackedOrMut::Packed(_) => unreachable!("known to be big"),
        }
    }

    fn become_big(&mut self, rules: Rules<'_>) {
        let mut big = RankedMembers::new(rules.hasher.clone());
        let mut text = IntegerText::new();
        for (member, score) in self.iter() {
            let bytes = bytes_of(member, &mut text);
            big.insert(rules.hasher.hash(bytes), bytes, score);
        }
        self.members = PackedOr::big(Box::new(big));
    }
}

impl Contents for SortedSet {
    fn value_type(&self) -> Type {
        Type::SortedSet
    }

    fn encoding(&self) -> Encoding {
        if self.members.is_packed() { Encoding::Listpack } else { Encoding::Skiplist }
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.heap_bytes(),
            PackedOrRef::Big(big) => good_size(size_of::<RankedMembers>()) + big.bytes(),
        }
    }

    fn is_slow_to_drop(&self) -> bool {
        !self.members.is_packed() && self.len() > darter_structures::ranked::DROP_SLICE_MEMBERS
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => list.defragment(defragmentation),
            // The tree points to the members.
            PackedOrMut::Big(_) => {}
        }
    }

    fn drop_slice(&mut self) -> bool {
        match self.members.as_mut() {
            PackedOrMut::Packed(_) => false,
            PackedOrMut::Big(big) => big.drop_slice(),
        }
    }
}

/// Members with their scores, from [`SortedSet::range`].
#[derive(Clone, Debug)]
pub struct Members<'a> {
    form: Form<'a>,
    /// Still to come.
    left: usize,
}

#[derive(Clone, Debug)]
enum Form<'a> {
    /// From the pair at this place.
    Forward(&'a PackedList, Place),
    /// From the pair before this place.
    Backward(&'a PackedList, Place),
    Ascending(Ascending<'a>),
    Descending(Descending<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        match &mut self.form {
            Form::Forward(list, place) => {
                let score = list.next(*place);
                let pair = (list.get(*place), score_at(list, score));
                *place = list.next(score);
                Some(pair)
            }
            Form::Backward(list, place) => {
                let score = list.previous(*place)?;
                *place = list.previous(score)?;
                Some((list.get(*place), score_at(list, score)))
            }
            Form::Ascending(members) => {
                members.next().map(|(bytes, score)| (Item::Bytes(bytes), score))
            }
            Form::Descending(members) => {
                members.next().map(|(bytes, score)| (Item::Bytes(bytes), score))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Members<'_> {}

impl<'a> IntoIterator for &'a SortedSet {
    type Item = (Item<'a>, f64);
    type IntoIter = Members<'a>;

    fn into_iter(self) -> Members<'a> {
        self.iter()
    }
}

/// Every member of a packed list with its score.
fn pairs(list: &PackedList) -> Members<'_> {
    Members { form: Form::Forward(list, list.start()), left: list.len() / 2 }
}

/// The score an entry stands for.
#[inline]
fn score_at(list: &PackedList, place: Place) -> f64 {
    match list.get(place) {
        #[expect(clippy::cast_precision_loss, reason = "only exact ones are kept as integers")]
        Item::Integer(integer) => integer as f64,
        Item::Bytes(text) => parse_f64(text).expect("a score is kept as the text of a number"),
    }
}

/// Puts a member that is absent where it belongs.
fn insert_packed(list: &mut PackedList, member: &[u8], score: f64) {
    let mut text = IntegerText::new();
    let mut place = list.start();
    for (other, other_score) in pairs(list) {
        let is_before =
            other_score < score || (other_score <= score && bytes_of(other, &mut text) < member);
        if !is_before {
            break;
        }
        place = list.next(list.next(place));
    }
    ScoreText::of(score).with(|item| list.insert(place, item));
    list.insert(place, item_of(member));
}

fn fits_packed(list: &PackedList, member: Item<'_>, rules: Rules<'_>) -> bool {
    let limits = rules.limits.sorted_set;
    list.len() / 2 < limits.entries_max as usize
        && text_len(member) <= limits.value_bytes_max as usize
        && has_room(list, member)
}

fn has_room(list: &PackedList, member: Item<'_>) -> bool {
    /// More than the entry of any score.
    const SCORE_BYTES_MAX: usize = 64;
    list.has_room(PackedList::item_bytes(member) + SCORE_BYTES_MAX)
}

/// A score as an entry.
enum ScoreText {
    Integer(i64),
    Text(NumberText),
}

impl ScoreText {
    /// Integers of up to 2^62 are kept as such, negative zero among them, as in Redis.
    #[expect(clippy::cast_possible_truncation, reason = "within the range of an i64")]
    fn of(score: f64) -> Self {
        /// 2^62
        const INTEGER_MAX: f64 = 4_611_686_018_427_387_904.0;
        if score.abs() <= INTEGER_MAX && score.fract() == 0.0 {
            return Self::Integer(score as i64);
        }
        Self::Text(format_f64(score))
    }

    fn with(&self, put: impl FnOnce(Item<'_>)) {
        match self {
            Self::Integer(integer) => put(Item::Integer(*integer)),
            Self::Text(text) => put(Item::Bytes(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::EncodingLimits;
    use darter_structures::KeyHasher;

    fn with_rules(run: impl Fn(Rules<'_>)) {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(5));
        run(Rules { limits: &limits, hasher: &hasher });
    }

    fn numbered(count: u32, rules: Rules<'_>) -> SortedSet {
        let mut set = SortedSet::default();
        for number in 0..count {
            let score = f64::from(number.wrapping_mul(2_654_435_769) % count) / 4.0;
            assert!(set.set(format!("m{number}").as_bytes(), score, rules));
        }
        set.check_invariants();
        set
    }

    fn listed(members: Members<'_>) -> Vec<(Vec<u8>, f64)> {
        let mut text = IntegerText::new();
        members.map(|(member, score)| (bytes_of(member, &mut text).to_vec(), score)).collect()
    }

    #[test]
    fn both_forms_answer_alike() {
        with_rules(|rules| {
            for count in [1_u32, 100, 128, 129, 1000] {
                let mut set = numbered(count, rules);
                crate::object::move_everything(&mut set);
                let small = count <= 128;
                assert_eq!(set.encoding() == Encoding::Listpack, small);
                let all = listed(set.iter());
                assert!(all.is_sorted_by(|left, right| (left.1, &left.0) < (right.1, &right.0)));
                let mut back = listed(set.range(0..set.len(), true));
                back.reverse();
                assert_eq!(all, back);
                for (rank, (member, score)) in all.iter().enumerate() {
                    assert_eq!(set.rank(member), Some((rank, *score)));
                    assert_eq!(set.score(member), Some(*score));
                }
                assert_eq!(set.score(b"x"), None);
                let below = all.iter().filter(|(_, score)| *score < 7.5).count();
                assert_eq!(set.rank_below_score(|score| score < 7.5), below);
                assert_eq!(
                    listed(set.range(3..50, false)),
                    all[3.min(all.len())..50.min(all.len())]
                );
                let mut copy = set.clone();
                let mut removed = Vec::new();
                let ranks = all.len() / 3..all.len() / 2;
                copy.remove_range(ranks.clone(), |member, score| {
                    removed.push((bytes_of(member, &mut IntegerText::new()).to_vec(), score));
                });
                assert_eq!(removed, all[ranks]);
                copy.check_invariants();
                assert_eq!(copy.len() + removed.len(), all.len());
                assert_eq!(copy.remove(&all[0].0), Some(all[0].1));
            }
        });
    }

    #[test]
    fn scores_of_every_kind_are_kept_exactly() {
        with_rules(|rules| {
            let scores = [
                0.1,
                -1.5,
                f64::INFINITY,
                f64::NEG_INFINITY,
                1e300,
                f64::MIN_POSITIVE,
                4_611_686_018_427_387_904.0,
                9_007_199_254_740_993.0,
                1e19,
            ];
            let mut set = SortedSet::default();
            for (index, score) in scores.iter().enumerate() {
                set.set(index.to_string().as_bytes(), *score, rules);
                set.check_invariants();
            }
            for (index, score) in scores.iter().enumerate() {
                assert_eq!(set.score(index.to_string().as_bytes()), Some(*score));
            }
            set.set(b"zero", -0.0, rules);
            assert_eq!(set.score(b"zero").map(f64::to_bits), Some(0));
        });
    }

    #[test]
    fn a_decision_may_change_nothing() {
        with_rules(|rules| {
            for count in [10, 200] {
                let mut set = numbered(count, rules);
                let refused = set.change(b"m1", rules, |old| {
                    assert!(old.is_some());
                    Err::<Option<f64>, _>("no")
                });
                assert_eq!(refused, Err("no"));
                let kept = set.change(b"absent", rules, |_| Ok::<_, ()>(None)).expect("no error");
                assert_eq!(kept, ScoreChange { old: None, new: None });
                assert_eq!(set.len(), count as usize);
                assert!(!set.set(b"m1", 1e9, rules));
                assert_eq!(set.rank(b"m1").map(|(rank, _)| rank), Some(count as usize - 1));
                set.check_invariants();
            }
        });
    }

    #[test]
    fn a_big_set_becomes_small_again_when_asked() {
        with_rules(|rules| {
            let mut set = numbered(129, rules);
            set.compact(rules);
            assert_eq!(set.encoding(), Encoding::Skiplist);
            set.remove(b"m5");
            let before = listed(set.iter());
            set.compact(rules);
            assert_eq!(set.encoding(), Encoding::Listpack);
            assert_eq!(listed(set.iter()), before);
            set.check_invariants();
        });
    }
}
