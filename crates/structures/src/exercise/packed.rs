//! Packed lists of both kinds against a `VecDeque`.

use std::collections::VecDeque;

use super::Input;
use crate::defragmentation::Defragmentation;
use crate::packed::{Item, Packed, PackedList, Place};

/// An entry of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Bytes(Vec<u8>),
    Integer(i64),
}

impl Expected {
    fn from(input: &mut Input<'_>) -> Self {
        let len = match input.below(16) {
            0..6 => {
                let shift = input.below(64);
                return Self::Integer(input.number::<8>().cast_signed() >> shift);
            }
            6..13 => input.below(70),
            13 | 14 => input.below(5000),
            _ => input.below(20_000),
        };
        let fill = input.number::<1>().to_le_bytes()[0];
        Self::Bytes(vec![fill; usize::try_from(len).expect("small")])
    }

    fn item(&self) -> Item<'_> {
        match self {
            Self::Bytes(bytes) => Item::Bytes(bytes),
            Self::Integer(integer) => Item::Integer(*integer),
        }
    }
}

struct Exercise<const BACKWARDS: bool> {
    list: Packed<BACKWARDS>,
    model: VecDeque<Expected>,
}

/// Packed lists of both kinds through all their operations.
pub fn packed(bytes: &[u8]) {
    packed_of::<false>(bytes, |_, _| ());
    packed_of::<true>(bytes, |list: &PackedList, model| {
        assert!(list.iter().rev().eq(model.iter().rev().map(Expected::item)));
        assert_eq!(list.last().map(|at| list.get(at)), model.back().map(Expected::item));
    });
}

fn packed_of<const BACKWARDS: bool>(
    bytes: &[u8],
    check_backwards: impl Fn(&Packed<BACKWARDS>, &VecDeque<Expected>),
) {
    let mut input = Input { bytes };
    let mut exercise = Exercise { list: Packed::<BACKWARDS>::new(), model: VecDeque::new() };
    while !input.is_empty() {
        exercise.step(&mut input);
        let Exercise { list, model } = &exercise;
        list.check_invariants();
        assert!(list.iter().eq(model.iter().map(Expected::item)));
        check_backwards(list, model);
        let history_free: Packed<BACKWARDS> = model.iter().map(Expected::item).collect();
        assert_eq!(list.heap_bytes(), history_free.heap_bytes());
        assert_eq!(*list, history_free);
        if model.len() > 200 {
            exercise.list.clear();
            exercise.model.clear();
        }
    }
}

impl<const BACKWARDS: bool> Exercise<BACKWARDS> {
    fn step(&mut self, input: &mut Input<'_>) {
        let Self { list, model } = self;
        let chosen = input.number::<1>();
        // Any place, the end included, for what adds; any entry for the rest.
        let index = usize::try_from(input.below(model.len() as u64 + 1)).expect("small");
        let place = list.seek(index).unwrap_or_else(|| list.end());
        match chosen {
            0..10 => {
                let (first, second) = (Expected::from(input), Expected::from(input));
                list.push_back_pair(first.item(), second.item());
                model.extend([first, second]);
            }
            10..40 => {
                let entry = Expected::from(input);
                list.push_back(entry.item());
                model.push_back(entry);
            }
            40..80 => {
                let entry = Expected::from(input);
                list.push_front(entry.item());
                model.push_front(entry);
            }
            80..140 => {
                let entry = Expected::from(input);
                list.insert(place, entry.item());
                assert_eq!(list.get(place), entry.item());
                model.insert(index, entry);
            }
            140..160 if index < model.len() => {
                model[index] = Expected::from(input);
                list.replace(place, model[index].item());
            }
            160..200 if index < model.len() => {
                list.remove(place);
                model.remove(index);
            }
            200..210 => {
                let count = usize::try_from(input.below(10)).expect("small");
                let removed = list.remove_range(place, count);
                assert_eq!(removed, count.min(model.len() - index));
                model.drain(index..index + removed);
            }
            246..250 => {
                let mut defragmentation = Defragmentation::of_everything(0);
                list.defragment(&mut defragmentation);
                assert_eq!((defragmentation.moved, defragmentation.kept), (1, 0));
            }
            210..220 => {
                let tail = list.split_off(place);
                tail.check_invariants();
                assert_eq!((list.len(), tail.len()), (index, model.len() - index));
                let mut joined = list.clone();
                joined.append(&tail);
                *list = joined;
            }
            220..240 => Self::find(list, model, input),
            _ => {
                assert!(list.iter_from(place).eq(model.range(index..).map(Expected::item)));
                assert_eq!(list.len(), model.len());
            }
        }
    }

    fn find(list: &Packed<BACKWARDS>, model: &VecDeque<Expected>, input: &mut Input<'_>) {
        let wanted = match model.get(usize::try_from(input.below(200)).expect("small")) {
            Some(entry) => entry.clone(),
            None => Expected::from(input),
        };
        let step = if model.len().is_multiple_of(2) { 1 + input.below(2) } else { 1 };
        let step = usize::try_from(step).expect("small");
        let expected = model.iter().step_by(step).position(|entry| *entry == wanted);
        let found: Option<Place> = list.find(wanted.item(), step);
        assert_eq!(found, expected.map(|index| list.seek(index * step).expect("as the model")));
    }
}
