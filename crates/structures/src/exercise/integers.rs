//! Drives a set of integers.

use std::collections::BTreeSet;

use super::Input;
use crate::integers::IntegerSet;

/// A set of integers through all its operations, against a set in `std`.
pub fn integers(bytes: &[u8]) {
    let mut input = Input { bytes };
    let mut set = IntegerSet::new();
    let mut model = BTreeSet::new();
    let mut shift_min = 60;
    while !input.is_empty() {
        let shift = shift_min + input.below(64 - shift_min);
        let number = input.number::<8>().cast_signed() >> shift;
        match input.below(8) {
            0..4 => assert_eq!(set.insert(number), model.insert(number)),
            4..6 => assert_eq!(set.remove(number), model.remove(&number)),
            6 if !model.is_empty() => {
                let index = usize::try_from(input.below(model.len() as u64)).expect("small");
                let expected = *model.iter().nth(index).expect("below the length");
                assert_eq!(set.get(index), Some(expected));
                if input.below(2) == 0 {
                    assert_eq!(set.remove_at(index), expected);
                    model.remove(&expected);
                }
            }
            _ => {
                assert_eq!(set.contains(number), model.contains(&number));
                shift_min -= shift_min.min(input.below(8));
            }
        }
        set.check_invariants();
        assert!(set.iter().eq(model.iter().copied()));
    }
}
