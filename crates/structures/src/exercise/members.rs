//! Drives a set of members.

use std::collections::BTreeSet;

use super::Input;
use crate::defragmentation::Defragmentation;
use crate::hasher::KeyHasher;
use crate::member::Member;
use crate::table::{Marks, Table};

/// A table of members through what sets do with it, and through moves, against a set in `std`.
pub fn members(bytes: &[u8]) {
    let mut input = Input { bytes };
    let mask = if input.below(4) == 0 { 0xffff << 48 } else { u64::MAX };
    let hasher = KeyHasher::masked(input.number::<8>(), mask);
    let mut table: Table<Member<false>> = Table::new(hasher.clone());
    let mut model = BTreeSet::new();
    let count = 1 << (2 + input.below(12));
    let mut growing = true;
    while !input.is_empty() {
        // Lengths that the marks tell, and longer ones.
        let number = input.below(count);
        let len = usize::try_from(number % 90).expect("small");
        let member = format!("{number:0len$}").into_bytes();
        let hash = hasher.hash(&member);
        let found = table.find(hash, &member);
        assert_eq!(found.is_some(), model.contains(&member));
        match (input.number::<1>(), found) {
            (0..4, _) => growing = !growing,
            (4..14, _) => {
                let mut defragmentation = Defragmentation::of_everything(input.number::<8>());
                let (bytes, steps) =
                    (table.bytes(), usize::try_from(input.below(2000)).expect("small"));
                table.defragment_some(steps, &mut defragmentation);
                assert!(defragmentation.moved <= steps as u64);
                assert_eq!((table.bytes(), defragmentation.kept), (bytes, 0));
                check(&table, &model);
            }
            (chosen, None) if growing || chosen < 60 => {
                table.insert(hash, Member::new(&member), Marks::NONE);
                model.insert(member);
            }
            (chosen, Some(position)) if !growing || chosen < 60 => {
                assert_eq!(table.remove(position).view().bytes(), member);
                model.remove(&member);
            }
            _ => {}
        }
    }
    check(&table, &model);
}

fn check(table: &Table<Member<false>>, model: &BTreeSet<Vec<u8>>) {
    table.check_invariants();
    let mut seen = BTreeSet::new();
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        cursor = table.for_each_slice(from, |member| {
            assert!(seen.insert(member.bytes().to_vec()));
        });
    }
    assert_eq!(seen, *model);
}
