//! Copies of big collections, made slice by slice.
//!
//! Sets, sorted sets and hashes in their big forms take some hundred nanoseconds an element, since each has to be
//! found a place. Lists, streams and packed forms are copied node by node, so fast that it need not be cut.

use crate::hash::Hash;
use crate::object::{Collection, Object};
use crate::set::{Set, SetBoundary};
use crate::sorted_set::SortedSet;

/// A copy under way. What is copied must stay as it is until the end.
#[derive(Debug)]
pub struct Copying(Part);

#[derive(Debug)]
enum Part {
    Set(Set, SetBoundary),
    SortedSet(SortedSet),
    Hash(Hash, u64),
}

impl Copying {
    /// Begins a copy of `object`; `None` if that had better be cloned in one piece.
    pub fn begin(object: &Object) -> Option<Self> {
        match object {
            Object::Set(set) => Some(Part::Set(set.emptied()?, SetBoundary::START)),
            Object::SortedSet(set) => Some(Part::SortedSet(set.emptied()?)),
            Object::Hash(hash) => Some(Part::Hash(hash.emptied()?, 0)),
            _ => None,
        }
        .map(Self)
    }

    /// How many elements of `object` have to be copied one by one.
    pub fn elements_of(object: &Object) -> usize {
        match object {
            Object::Set(set) => set.as_table().map_or(0, |_| set.len()),
            Object::SortedSet(set) if !set.is_packed() => set.len(),
            Object::Hash(hash) if !hash.is_packed() => hash.len(),
            _ => 0,
        }
    }

    /// Copies some thousand elements more of `object`, with which it began; whether there are more.
    pub fn go_on(&mut self, object: &Object) -> bool {
        /// Slices of a table, some hundred elements each.
        const TABLE_SLICES: usize = 4;
        const MEMBERS: usize = 1024;
        match (&mut self.0, object) {
            (Part::Set(copy, boundary), Object::Set(set)) => (0..TABLE_SLICES).all(|_| {
                let next = set.copy_slice(*boundary, copy);
                *boundary = next.unwrap_or_default();
                next.is_some()
            }),
            (Part::SortedSet(copy), Object::SortedSet(set)) => {
                set.copy_on(MEMBERS, copy);
                copy.len() < set.len()
            }
            (Part::Hash(copy, boundary), Object::Hash(hash)) => (0..TABLE_SLICES).all(|_| {
                let next = hash.copy_slice(*boundary, copy);
                *boundary = next.unwrap_or_default();
                next.is_some()
            }),
            _ => false,
        }
    }

    /// The copy.
    pub fn finish(self) -> Object {
        match self.0 {
            Part::Set(set, _) => set.into_object(),
            Part::SortedSet(set) => set.into_object(),
            Part::Hash(hash, _) => hash.into_object(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{FieldExpiry, HashGrowth};
    use crate::limits::EncodingLimits;
    use crate::set::Rules;
    use darter_structures::{Deadline, Item, KeyHasher};

    /// The copy, and how many steps it took.
    fn copied(object: &Object) -> Option<(Object, u32)> {
        let mut copying = Copying::begin(object)?;
        let mut steps = 1;
        while copying.go_on(object) {
            steps += 1;
        }
        Some((copying.finish(), steps))
    }

    #[test]
    fn copies_have_what_the_original_has() {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(5));
        let rules = Rules { limits: &limits, hasher: &hasher };
        let (mut set, mut sorted, mut hash) =
            (Set::default(), SortedSet::default(), Hash::default());
        let growth = HashGrowth { limits: limits.hash, hasher: &hasher };
        for number in 0..20_000_i32 {
            let name = format!("m{number}");
            set.add(Item::Bytes(name.as_bytes()), rules);
            sorted.set(name.as_bytes(), f64::from(number % 100), rules);
            let expiry = match number % 3 {
                0 => FieldExpiry::At(Deadline::new(i64::from(number) + 1_000).expect("a time")),
                _ => FieldExpiry::Clear,
            };
            hash.set(name.as_bytes(), name.as_bytes(), expiry, 0, growth);
        }
        for object in [set.into_object(), sorted.into_object(), hash.into_object()] {
            assert_eq!(Copying::elements_of(&object), 20_000);
            let (copy, steps) = copied(&object).expect("big ones are copied in steps");
            assert!(steps > 4);
            assert_eq!(copy.encoding(), object.encoding());
            match (copy, object) {
                (Object::Set(copy), Object::Set(set)) => {
                    copy.check_invariants();
                    assert_eq!(copy.len(), set.len());
                    set.for_each(|member| assert!(copy.contains(member)));
                }
                (Object::SortedSet(copy), Object::SortedSet(set)) => {
                    copy.check_invariants();
                    assert!(copy.iter().eq(set.iter()));
                }
                (Object::Hash(copy), Object::Hash(hash)) => {
                    copy.check_invariants();
                    assert_eq!(copy.len(), hash.len());
                    assert_eq!(copy.next_deadline(), hash.next_deadline());
                    hash.for_each(0, |field| {
                        let Item::Bytes(name) = field.name else { panic!("a text") };
                        let found = copy.get(name, 0).expect("the field");
                        assert_eq!(found.deadline, field.deadline);
                    });
                }
                _ => panic!("another type"),
            }
        }
    }

    #[test]
    fn small_ones_are_cloned() {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(5));
        let mut set = Set::default();
        set.add(Item::Bytes(b"m"), Rules { limits: &limits, hasher: &hasher });
        let object = set.into_object();
        assert_eq!(Copying::elements_of(&object), 0);
        assert!(copied(&object).is_none());
    }
}
