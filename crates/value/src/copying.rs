//! Copies of big collections, made slice by slice.
//!
//! Sets, sorted sets and hashes in their big forms take some hundred nanoseconds an element, since each has to be
//! found a place, and so does what is pending in a stream's groups. Big lists and the entries of streams are copied
//! node by node, long strings piece by piece. Compact forms are copied as a whole.

use crate::hash::Hash;
use crate::large::LargeString;
use crate::list::List;
use crate::object::{Collection, Object, ObjectRef};
use crate::set::{Set, SetBoundary};
use crate::sorted_set::SortedSet;
use crate::stream::{Copied, Stream};

/// A copy under way. What is copied must stay as it is until the end.
#[derive(Debug)]
pub struct Copying(Part);

#[derive(Debug)]
enum Part {
    Set(Set, SetBoundary),
    SortedSet(SortedSet),
    Hash(Hash, u64),
    /// With the node to go on with.
    List(List, usize),
    Stream(Stream, Copied),
    Large(Vec<u8>),
}

/// As many bytes of a long string as take as long as an element of another type.
const BYTES_PER_ELEMENT: usize = 2048;

impl Copying {
    /// Begins a copy of `object`; `None` if that had better be cloned in one piece.
    pub fn begin(object: ObjectRef<'_>) -> Option<Self> {
        match object {
            ObjectRef::Set(set) => Some(Part::Set(set.emptied()?, SetBoundary::START)),
            ObjectRef::SortedSet(set) => Some(Part::SortedSet(set.emptied()?)),
            ObjectRef::Hash(hash) => Some(Part::Hash(hash.emptied()?, 0)),
            ObjectRef::List(list) => Some(Part::List(list.emptied()?, 0)),
            ObjectRef::Stream(stream) => Some(Part::Stream(stream.emptied(), Copied::default())),
            ObjectRef::Large(string) => {
                Some(Part::Large(Vec::with_capacity(string.as_bytes().len())))
            }
        }
        .map(Self)
    }

    /// How many elements of `object` have to be copied one by one, or as many as take as long.
    pub fn elements_of(object: ObjectRef<'_>) -> usize {
        match object {
            ObjectRef::Set(set) => {
                set.as_table().map_or(0, |_| set.len()).saturating_mul(set.weight())
            }
            ObjectRef::SortedSet(set) if !set.is_packed() => set.len().saturating_mul(set.weight()),
            ObjectRef::Hash(hash) if !hash.is_packed() => hash.len().saturating_mul(hash.weight()),
            ObjectRef::List(list) if !list.is_packed() => list.len().saturating_mul(list.weight()),
            ObjectRef::Stream(stream) => stream.elements_len().saturating_mul(stream.weight()),
            ObjectRef::Large(string) => string.as_bytes().len() / BYTES_PER_ELEMENT,
            _ => 0,
        }
    }

    /// Copies some thousand elements more of `object`, with which it began; whether there are more.
    pub fn go_on(&mut self, object: ObjectRef<'_>) -> bool {
        /// Slices of a table, some hundred elements each.
        const TABLE_SLICES: usize = 4;
        const MEMBERS: usize = 1024;
        const NODES: usize = 64;
        const BYTES: usize = 1 << 20;
        match (&mut self.0, object) {
            (Part::Set(copy, boundary), ObjectRef::Set(set)) => (0..TABLE_SLICES).all(|_| {
                let next = set.copy_slice(*boundary, copy);
                *boundary = next.unwrap_or_default();
                next.is_some()
            }),
            (Part::SortedSet(copy), ObjectRef::SortedSet(set)) => {
                let members = (MEMBERS / set.weight()).max(1);
                set.copy_ranks(copy.len()..set.len().min(copy.len() + members), copy);
                copy.len() < set.len()
            }
            (Part::Hash(copy, boundary), ObjectRef::Hash(hash)) => (0..TABLE_SLICES).all(|_| {
                let next = hash.copy_slice(*boundary, copy);
                *boundary = next.unwrap_or_default();
                next.is_some()
            }),
            (Part::List(copy, at), ObjectRef::List(list)) => {
                *at = list.copy_nodes(*at, NODES, copy);
                copy.len() < list.len()
            }
            (Part::Stream(copy, copied), ObjectRef::Stream(stream)) => {
                stream.copy_on(copied, NODES, MEMBERS, copy)
            }
            (Part::Large(copy), ObjectRef::Large(string)) => {
                let rest = &string.as_bytes()[copy.len()..];
                copy.extend_from_slice(&rest[..rest.len().min(BYTES)]);
                copy.len() < string.as_bytes().len()
            }
            _ => false,
        }
    }

    /// The copy.
    pub fn finish(self) -> Object {
        match self.0 {
            Part::Set(set, _) => set.into_object(),
            Part::SortedSet(set) => set.into_object(),
            Part::Hash(hash, _) => hash.into_object(),
            Part::List(list, _) => list.into_object(),
            Part::Stream(stream, _) => stream.into_object(),
            Part::Large(bytes) => Object::Large(LargeString::new(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{FieldExpiry, HashGrowth};
    use crate::limits::EncodingLimits;
    use crate::list::End;
    use crate::set::Rules;
    use crate::stream::{Group, NodeLimits, Pending, StreamId};
    use darter_structures::{Deadline, Item, KeyHasher};

    /// The copy, and how many steps it took.
    fn copied(object: &Object) -> Option<(Object, u32)> {
        let mut copying = Copying::begin(object.view())?;
        let mut steps = 1;
        while copying.go_on(object.view()) {
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
            assert_eq!(Copying::elements_of(object.view()), 20_000);
            let (copy, steps) = copied(&object).expect("big ones are copied in steps");
            assert!(steps > 4);
            assert_eq!(copy.view().encoding(), object.view().encoding());
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
    fn nodes_are_copied_with_what_is_pending() {
        let limit = EncodingLimits::default().list;
        let mut list = List::default();
        let mut stream = Stream::default();
        for number in 1..20_000_u64 {
            let text = format!("element {number:040}");
            list.prepare(text.len(), 1, limit);
            list.push(End::Back, text.as_bytes(), limit);
            let (id, limits) =
                (StreamId::new(number, 0), NodeLimits { bytes_max: 4096, entries_max: 100 });
            stream.log_mut().append(id, [(b"f".as_slice(), text.as_bytes())].into_iter(), limits);
        }
        for name in [b"g", b"h"] {
            let mut group = Group::new(StreamId::new(5_000, 0), Some(5_000));
            let (consumer, _) = group.add_consumer(b"c", 1);
            for number in 1..5_000 {
                let pending = Pending { consumer, delivered_at_ms: 2, deliveries: number };
                group.set_pending(StreamId::new(number, 0), pending);
            }
            stream.add_group(name, group);
        }
        for id in [1, 2, 5_000] {
            stream.log_mut().delete(StreamId::new(id, 0));
        }
        let (copy, steps) = copied(&list.clone().into_object()).expect("a big list");
        let Object::List(copy) = copy else { panic!("another type") };
        assert!(steps > 1);
        copy.check_invariants();
        assert_eq!(format!("{list:?}"), format!("{copy:?}"));
        let (copy, steps) = copied(&stream.clone().into_object()).expect("a stream");
        let Object::Stream(copy) = copy else { panic!("another type") };
        assert!(steps > 10);
        copy.check_invariants();
        assert_eq!(format!("{:?}", stream.log()), format!("{:?}", copy.log()));
        let groups = |stream: &Stream| format!("{:?}", stream.groups().collect::<Vec<_>>());
        assert_eq!(groups(&stream), groups(&copy));
        let string = LargeString::new((0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect());
        let (copy, steps) = copied(&Object::Large(string.clone())).expect("a string");
        let Object::Large(copy) = copy else { panic!("another type") };
        assert!(steps > 1);
        assert_eq!(copy.as_bytes(), string.as_bytes());
    }

    #[test]
    fn small_ones_are_cloned() {
        let (limits, hasher) = (EncodingLimits::default(), KeyHasher::new(5));
        let mut set = Set::default();
        set.add(Item::Bytes(b"m"), Rules { limits: &limits, hasher: &hasher });
        let object = set.into_object();
        assert_eq!(Copying::elements_of(object.view()), 0);
        assert!(copied(&object).is_none());
    }
}
