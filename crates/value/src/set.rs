//! Sets.
//!
//! A set is one of three forms, as in Redis: integers only, a packed list, or a table. It grows from one to
//! the next as its [`Rules`] say, and does not go back by itself.

use darter_structures::defragmentation::PARTS_PER_VISIT;
use darter_structures::{
    Defragmentation, ForwardList, IntegerSet, Item, KeyHasher, Marks, Member, MemberRef, PackedOr,
    PackedOrMut, PackedOrRef, Table, good_size,
};

use crate::integer::IntegerText;
use crate::limits::EncodingLimits;
use crate::object::Contents;
use crate::packing::{bytes_of, item_of, text_len};
use crate::view::{Encoding, Type};

/// A set's or a sorted set's table of members.
type Members = Table<Member<false>>;

/// Members without order, each once.
#[derive(Clone, Debug, Default)]
pub struct Set {
    members: PackedOr<Big, false>,
}

/// What is not a packed list.
#[derive(Debug)]
enum Big {
    Integers(IntegerSet),
    Table(Members),
}

/// What decides how a set or a sorted set grows.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Up to which size it is compact.
    pub limits: &'a EncodingLimits,
    /// How members are hashed in tables: the process's hasher.
    pub hasher: &'a KeyHasher,
}

/// Where [`Set::for_each_slice`] stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetBoundary(u64);

impl SetBoundary {
    /// Before the first member.
    pub const START: Self = Self(0);
}

impl Set {
    /// Longest set of integers, whatever the configuration.
    const INTEGERS_MAX: usize = 1 << 30;

    /// Chooses the form for `count` members to be added, the first of them `first`: that of a new set, or a
    /// bigger one than it has.
    pub fn expect(&mut self, first: &[u8], count: usize, rules: Rules<'_>) {
        let integers_max = integers_max(rules);
        let packed_max = rules.limits.set.entries_max as usize;
        match self.members.as_ref() {
            PackedOrRef::Packed(list) if list.is_empty() => {
                let is_integer = matches!(item_of(first), Item::Integer(_));
                if is_integer && count <= integers_max {
                    self.members = PackedOr::big(Box::new(Big::Integers(IntegerSet::new())));
                } else if count > packed_max {
                    self.become_table(rules);
                }
            }
            PackedOrRef::Packed(_) if count > packed_max => self.become_table(rules),
            PackedOrRef::Big(Big::Integers(_)) if count > integers_max => self.become_table(rules),
            _ => {}
        }
    }

    /// Adds a member; whether it was absent.
    pub fn add(&mut self, member: Item<'_>, rules: Rules<'_>) -> bool {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => {
                let member = normal(member);
                if list.find(member, 1).is_some() {
                    return false;
                }
                if fits_packed(list, member, rules) {
                    list.push_back(member);
                    return true;
                }
                self.become_table(rules);
            }
            PackedOrMut::Big(Big::Integers(integers)) => match normal(member) {
                Item::Integer(integer) => {
                    let added = integers.insert(integer);
                    if integers.len() > integers_max(rules) {
                        self.become_table(rules);
                    }
                    return added;
                }
                Item::Bytes(bytes) => {
                    if may_be_packed(integers, bytes, rules) {
                        let mut list: ForwardList = integers.iter().map(Item::Integer).collect();
                        list.push_back(member);
                        self.members = PackedOr::packed(list);
                        return true;
                    }
                    self.become_table(rules);
                }
            },
            PackedOrMut::Big(Big::Table(_)) => {}
        }
        let PackedOrMut::Big(Big::Table(table)) = self.members.as_mut() else {
            unreachable!("just made so")
        };
        insert_if_absent(table, bytes_of(member, &mut IntegerText::new()))
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: Item<'_>) -> bool {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => {
                let found = list.find(normal(member), 1);
                if let Some(place) = found {
                    list.remove(place);
                }
                found.is_some()
            }
            PackedOrMut::Big(Big::Integers(integers)) => {
                matches!(normal(member), Item::Integer(integer) if integers.remove(integer))
            }
            PackedOrMut::Big(Big::Table(table)) => {
                let mut text = IntegerText::new();
                let bytes = bytes_of(member, &mut text);
                let found = table.find(table.hasher().hash(bytes), bytes);
                if let Some(position) = found {
                    table.remove(position);
                }
                found.is_some()
            }
        }
    }

    /// Removes a member chosen by `random` and shows it to `visit`. The set has one.
    pub fn pop_random(&mut self, random: u64, visit: impl FnOnce(Item<'_>)) {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => {
                let place = list.seek(index_below(random, list.len())).expect("below the length");
                visit(list.get(place));
                list.remove(place);
            }
            PackedOrMut::Big(Big::Integers(integers)) => {
                let index = index_below(random, integers.len());
                visit(Item::Integer(integers.remove_at(index)));
            }
            PackedOrMut::Big(Big::Table(table)) => {
                let position = table.random(random).expect("a set to pop from has members");
                visit(Item::Bytes(table.remove(position).view().bytes()));
            }
        }
    }

    /// Makes a set of integers, as big as may be, the form for integers only (the STORE commands).
    pub fn compact_integers(&mut self, rules: Rules<'_>) {
        if self.is_empty() || self.len() > integers_max(rules) {
            return;
        }
        if matches!(self.members.as_ref(), PackedOrRef::Big(Big::Integers(_))) {
            return;
        }
        let mut integers = IntegerSet::new();
        let mut only_integers = true;
        self.for_each(|member| match normal(member) {
            Item::Integer(integer) if only_integers => {
                integers.insert(integer);
            }
            _ => only_integers = false,
        });
        if only_integers {
            self.members = PackedOr::big(Box::new(Big::Integers(integers)));
        }
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(&self, member: Item<'_>) -> bool {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.find(normal(member), 1).is_some(),
            PackedOrRef::Big(Big::Integers(integers)) => {
                matches!(normal(member), Item::Integer(integer) if integers.contains(integer))
            }
            PackedOrRef::Big(Big::Table(table)) => {
                let mut text = IntegerText::new();
                let bytes = bytes_of(member, &mut text);
                table.find(table.hasher().hash(bytes), bytes).is_some()
            }
        }
    }

    /// The member chosen by `random`; `None` if there is none.
    pub fn random(&self, random: u64) -> Option<Item<'_>> {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                let place = list.seek(index_below(random, list.len()))?;
                (!list.is_empty()).then(|| list.get(place))
            }
            PackedOrRef::Big(Big::Integers(integers)) => {
                integers.get(index_below(random, integers.len())).map(Item::Integer)
            }
            PackedOrRef::Big(Big::Table(table)) => {
                table.random(random).map(|position| Item::Bytes(table.view(position).bytes()))
            }
        }
    }

    /// Visits the next few hundred members (all of a compact set) and returns where to go on, `None` at the
    /// end. Each member that is there throughout is visited once.
    pub fn for_each_slice<'s>(
        &'s self,
        boundary: SetBoundary,
        mut visit: impl FnMut(Item<'s>),
    ) -> Option<SetBoundary> {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => {
                list.iter().for_each(visit);
                None
            }
            PackedOrRef::Big(Big::Integers(integers)) => {
                integers.iter().map(Item::Integer).for_each(visit);
                None
            }
            PackedOrRef::Big(Big::Table(table)) => table
                .for_each_slice(boundary.0, |member| visit(Item::Bytes(member.bytes())))
                .map(SetBoundary),
        }
    }

    /// Visits every member.
    pub fn for_each<'s>(&'s self, mut visit: impl FnMut(Item<'s>)) {
        let mut boundary = Some(SetBoundary::START);
        while let Some(from) = boundary {
            boundary = self.for_each_slice(from, &mut visit);
        }
    }

    /// One step of SSCAN: visits about `count` members, all of a compact set, and returns the cursor to
    /// go on with.
    pub fn scan<'s>(&'s self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'s>)) -> u64 {
        if let PackedOrRef::Big(Big::Table(table)) = self.members.as_ref() {
            return table.scan(cursor, count, |member| visit(Item::Bytes(member.bytes())));
        }
        self.for_each(visit);
        0
    }

    /// The table of a big set, for looking up many members at once.
    pub fn as_table(&self) -> Option<&Table<Member<false>>> {
        match self.members.as_ref() {
            PackedOrRef::Big(Big::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// An empty table for a copy of a set that is one; `None` for the compact forms.
    pub fn emptied(&self) -> Option<Self> {
        let table = Members::new(self.as_table()?.hasher().clone());
        Some(Self { members: PackedOr::big(Box::new(Big::Table(table))) })
    }

    /// Copies the next few hundred members of a table into `copy`, made by [`emptied`](Self::emptied), and returns
    /// where to go on.
    pub(crate) fn copy_slice(&self, boundary: SetBoundary, copy: &mut Self) -> Option<SetBoundary> {
        let PackedOrMut::Big(Big::Table(copy)) = copy.members.as_mut() else { return None };
        copy_members(self.as_table()?, boundary.0, copy).map(SetBoundary)
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.len(),
            PackedOrRef::Big(Big::Integers(integers)) => integers.len(),
            PackedOrRef::Big(Big::Table(table)) => table.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Panics if the set contradicts itself.
    pub fn check_invariants(&self) {
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.check_invariants(),
            PackedOrRef::Big(Big::Integers(integers)) => integers.check_invariants(),
            PackedOrRef::Big(Big::Table(table)) => table.check_invariants(),
        }
    }

    fn become_table(&mut self, rules: Rules<'_>) {
        let mut table = Members::new(rules.hasher.clone());
        let mut text = IntegerText::new();
        self.for_each(|member| {
            insert_if_absent(&mut table, bytes_of(member, &mut text));
        });
        self.members = PackedOr::big(Box::new(Big::Table(table)));
    }
}

impl Contents for Set {
    fn value_type(&self) -> Type {
        Type::Set
    }

    fn encoding(&self) -> Encoding {
        match self.members.as_ref() {
            PackedOrRef::Packed(_) => Encoding::Listpack,
            PackedOrRef::Big(Big::Integers(_)) => Encoding::Intset,
            PackedOrRef::Big(Big::Table(_)) => Encoding::Hashtable,
        }
    }

    #[inline]
    fn heap_bytes(&self) -> usize {
        let big_bytes = good_size(size_of::<Big>());
        match self.members.as_ref() {
            PackedOrRef::Packed(list) => list.heap_bytes(),
            PackedOrRef::Big(Big::Integers(integers)) => big_bytes + integers.heap_bytes(),
            PackedOrRef::Big(Big::Table(table)) => big_bytes + table.bytes(),
        }
    }

    fn is_slow_to_drop(&self) -> bool {
        self.as_table().is_some_and(|table| table.segments_len() > 1)
    }

    fn defragment(&mut self, defragmentation: &mut Defragmentation) {
        match self.members.as_mut() {
            PackedOrMut::Packed(list) => list.defragment(defragmentation),
            // At most one allocation, of a few hundred bytes with the usual limits.
            PackedOrMut::Big(Big::Integers(_)) => {}
            PackedOrMut::Big(Big::Table(table)) => {
                table.defragment_some(PARTS_PER_VISIT, defragmentation);
            }
        }
    }

    fn drop_slice(&mut self) -> bool {
        match self.members.as_mut() {
            PackedOrMut::Big(Big::Table(table)) => table.drop_slice(),
            _ => false,
        }
    }
}

impl Clone for Big {
    fn clone(&self) -> Self {
        match self {
            Self::Integers(integers) => Self::Integers(integers.clone()),
            Self::Table(table) => {
                let mut copy = Members::new(table.hasher().clone());
                let mut boundary = Some(0);
                while let Some(from) = boundary {
                    boundary = copy_members(table, from, &mut copy);
                }
                Self::Table(copy)
            }
        }
    }
}

/// Copies the next few hundred members into a table that does not have them, and returns where to go on.
fn copy_members(table: &Members, from: u64, copy: &mut Members) -> Option<u64> {
    table.for_each_slice(from, |member: MemberRef<'_, false>| {
        let bytes = member.bytes();
        copy.insert(copy.hasher().hash(bytes), Member::new(bytes), Marks::NONE);
    })
}

/// A member as the compact forms have it: a number if it is the text of one.
#[inline]
fn normal(member: Item<'_>) -> Item<'_> {
    match member {
        Item::Bytes(bytes) => item_of(bytes),
        Item::Integer(_) => member,
    }
}

fn fits_packed(list: &ForwardList, member: Item<'_>, rules: Rules<'_>) -> bool {
    let limits = rules.limits.set;
    list.len() < limits.entries_max as usize
        && text_len(member) <= limits.value_bytes_max as usize
        && list.has_room(ForwardList::item_bytes(member))
}

/// Whether a set of integers together with `bytes` may be a packed list.
fn may_be_packed(integers: &IntegerSet, bytes: &[u8], rules: Rules<'_>) -> bool {
    let limits = rules.limits.set;
    let value_bytes_max = limits.value_bytes_max as usize;
    let ends = [integers.get(0), integers.iter().next_back()];
    integers.len() < limits.entries_max as usize
        && bytes.len() <= value_bytes_max
        && ends.into_iter().flatten().all(|end| text_len(Item::Integer(end)) <= value_bytes_max)
}

fn integers_max(rules: Rules<'_>) -> usize {
    (rules.limits.intset_entries_max as usize).min(Set::INTEGERS_MAX)
}

fn insert_if_absent(table: &mut Members, bytes: &[u8]) -> bool {
    let hash = table.hasher().hash(bytes);
    let is_absent = table.find(hash, bytes).is_none();
    if is_absent {
        table.insert(hash, Member::new(bytes), Marks::NONE);
    }
    is_absent
}

/// An index below `len` from a random number; 0 if there is none.
#[expect(clippy::cast_possible_truncation, reason = "below `len`")]
fn index_below(random: u64, len: usize) -> usize {
    ((u128::from(random) * len as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    struct Fixture {
        limits: EncodingLimits,
        hasher: KeyHasher,
    }

    impl Fixture {
        fn new() -> Self {
            Self { limits: EncodingLimits::default(), hasher: KeyHasher::new(3) }
        }

        fn rules(&self) -> Rules<'_> {
            Rules { limits: &self.limits, hasher: &self.hasher }
        }

        fn set(&self, members: impl IntoIterator<Item = String>) -> Set {
            let mut set = Set::default();
            for member in members {
                set.expect(member.as_bytes(), 1, self.rules());
                set.add(item_of(member.as_bytes()), self.rules());
            }
            set.check_invariants();
            set
        }
    }

    fn texts(set: &Set) -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        set.for_each(|member| {
            let mut text = IntegerText::new();
            let text = String::from_utf8(bytes_of(member, &mut text).to_vec()).expect("ASCII");
            assert!(texts.insert(text), "visited twice");
        });
        texts
    }

    #[test]
    fn sets_grow_through_their_forms_at_the_thresholds() {
        let fixture = Fixture::new();
        let numbers = |count: usize| fixture.set((0..count).map(|number| number.to_string()));
        let words = |count: usize| fixture.set((0..count).map(|number| format!("m{number}")));
        assert_eq!(numbers(512).encoding(), Encoding::Intset);
        assert_eq!(numbers(513).encoding(), Encoding::Hashtable);
        assert_eq!(words(128).encoding(), Encoding::Listpack);
        assert_eq!(words(129).encoding(), Encoding::Hashtable);
        assert_eq!(fixture.set([format!("{:64}", "m")]).encoding(), Encoding::Listpack);
        assert_eq!(fixture.set([format!("{:65}", "m")]).encoding(), Encoding::Hashtable);
        let mut mixed = numbers(127);
        assert!(mixed.add(Item::Bytes(b"word"), fixture.rules()));
        assert_eq!((mixed.encoding(), mixed.len()), (Encoding::Listpack, 128));
        let mut mixed = numbers(128);
        assert!(mixed.add(Item::Bytes(b"word"), fixture.rules()));
        assert_eq!((mixed.encoding(), mixed.len()), (Encoding::Hashtable, 129));
    }

    #[test]
    fn every_form_has_the_same_members() {
        let fixture = Fixture::new();
        for count in [3_i64, 100, 400, 2_000] {
            for word in ["", "w"] {
                let expected: BTreeSet<String> =
                    (0..count).map(|number| format!("{word}{}", number * 7 - 50)).collect();
                let mut set = fixture.set(expected.iter().cloned());
                assert_eq!(texts(&set), expected);
                crate::object::move_everything(&mut set);
                assert_eq!(texts(&set), expected);
                assert_eq!(texts(&set.clone()), expected);
                assert!(set.contains(Item::Bytes(format!("{word}-50").as_bytes())));
                assert!(!set.contains(Item::Bytes(b"w-51")) && !set.contains(Item::Integer(-51)));
                assert!(set.random(u64::MAX).is_some() && set.random(0).is_some());
                let mut scanned = 0;
                let mut cursor = set.scan(0, 10, |_| scanned += 1);
                while cursor != 0 {
                    cursor = set.scan(cursor, 10, |_| scanned += 1);
                }
                assert_eq!(scanned, expected.len());
                let mut popped = BTreeSet::new();
                while !set.is_empty() {
                    set.pop_random(
                        (popped.len() as u64).wrapping_mul(0x1234_5678_9abc_def1),
                        |member| {
                            popped.insert(bytes_of(member, &mut IntegerText::new()).to_vec());
                        },
                    );
                }
                assert_eq!(popped.len(), expected.len());
            }
        }
    }

    #[test]
    fn removal_finds_numbers_however_they_are_kept() {
        let fixture = Fixture::new();
        for count in [5, 600] {
            let mut set = fixture.set((0..count).map(|number| number.to_string()));
            assert!(set.remove(Item::Bytes(b"3")) && !set.remove(Item::Integer(3)));
            assert!(set.remove(Item::Integer(4)) && !set.remove(Item::Bytes(b"04")));
            assert_eq!(set.len(), count - 2);
        }
    }

    #[test]
    fn a_member_of_16_bytes_takes_28() {
        let fixture = Fixture::new();
        let (mut sum, mut samples) = (0, 0);
        let mut set = Set::default();
        for number in 0..200_000 {
            set.add(Item::Bytes(format!("member:{number:09}").as_bytes()), fixture.rules());
            if number >= 100_000 && number % 1_000 == 0 {
                sum += set.heap_bytes() * 10 / set.len();
                samples += 1;
            }
        }
        assert!(sum / samples < 290, "{} tenths of a byte per member", sum / samples);
    }

    #[test]
    fn big_sets_are_dropped_in_slices() {
        let fixture = Fixture::new();
        let mut set = fixture.set((0..20_000).map(|number| format!("m{number}")));
        assert!(set.is_slow_to_drop());
        let mut before = set.heap_bytes();
        let mut slices = 0;
        while set.drop_slice() {
            assert!(set.heap_bytes() < before);
            before = set.heap_bytes();
            slices += 1;
        }
        assert!(slices > 20);
    }
}
