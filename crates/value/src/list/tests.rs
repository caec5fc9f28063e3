use super::*;
use crate::integer::IntegerText;
use crate::object::move_everything;

fn bytes(element: Element<'_>) -> Vec<u8> {
    element.bytes(&mut IntegerText::new()).to_vec()
}

fn contents(list: &List, end: End) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    let from = if end == End::Front { 0 } else { list.len().saturating_sub(1) };
    list.walk(end, from, |element| {
        contents.push(bytes(element));
        ControlFlow::Continue(())
    });
    contents
}

/// A sequence that is the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from((self.0 >> 33) % end.max(1) as u64).unwrap()
    }

    fn element(&mut self) -> Vec<u8> {
        match self.below(20) {
            0..6 => self.below(300).to_string().into_bytes(),
            6..18 => vec![b'a' + u8::try_from(self.below(3)).unwrap(); self.below(60)],
            18 => vec![b'x'; self.below(3000)],
            _ => vec![b'y'; self.below(12_000)],
        }
    }

    fn end(&mut self) -> End {
        if self.below(2) == 0 { End::Front } else { End::Back }
    }
}

fn exercise(seed: u64, limit: NodeLimit) {
    let mut dice = Dice(seed);
    let (mut list, mut model) = (List::default(), Vec::<Vec<u8>>::new());
    for _ in 0..400 {
        let growing = dice.below(3) > 0;
        match dice.below(12) {
            0..6 if growing => {
                for _ in 0..dice.below(40) {
                    let (element, end) = (dice.element(), dice.end());
                    list.prepare(element.len(), 1, limit);
                    list.push(end, &element, limit);
                    let at = if end == End::Front { 0 } else { model.len() };
                    model.insert(at, element);
                }
            }
            6 | 7 => {
                for _ in 0..dice.below(10) {
                    let (element, at) = (dice.element(), dice.below(model.len() + 1));
                    list.prepare(element.len(), 1, limit);
                    list.insert(at, &element, limit);
                    model.insert(at, element);
                }
            }
            8 => {
                let (element, at) = (dice.element(), dice.below(model.len() + 2));
                list.prepare(element.len(), 1, limit);
                assert_eq!(list.replace(at, &element, limit), at < model.len());
                if let Some(own) = model.get_mut(at) {
                    *own = element;
                }
            }
            9 => {
                let (element, end, count) = (dice.element(), dice.end(), 1 + dice.below(5));
                let mut places: Vec<usize> =
                    (0..model.len()).filter(|at| model[*at] == element).collect();
                if end == End::Back {
                    places.reverse();
                }
                places.truncate(count);
                assert_eq!(list.remove_equal(end, &element, count), places.len());
                places.sort_unstable();
                places.iter().rev().for_each(|at| drop(model.remove(*at)));
            }
            _ => {
                let start = dice.below(model.len() + 1);
                let count = dice.below(if growing { 5 } else { model.len() + 1 });
                let range = start..(start + count).min(model.len());
                list.remove_range(range.clone(), limit);
                model.drain(range);
                list.settle(limit);
            }
        }
        if model.len().is_multiple_of(3) {
            move_everything(&mut list);
        }
        list.check_invariants();
        assert_eq!(contents(&list, End::Front), model);
        let at = dice.below(model.len() + 1);
        assert_eq!(list.get(at).map(bytes), model.get(at).cloned());
        model.reverse();
        assert_eq!(contents(&list, End::Back), model);
        model.reverse();
    }
}

#[test]
fn random_operations_match_the_model() {
    for seed in 0..12 {
        eprintln!("seed {seed}");
        for size in [-1, -2, 1, 3, 100] {
            exercise(seed, NodeLimit::of_parameter(size));
        }
    }
}

#[test]
fn forms_change_where_redis_changes_them() {
    let limit = NodeLimit::of_parameter(-2);
    let mut list = List::default();
    let element = [b'x'; 100];
    // An entry takes 103 bytes: 79 of them and 7 are 8144.
    for _ in 0..79 {
        list.prepare(element.len(), 1, limit);
        list.push(End::Back, &element, limit);
        assert_eq!(list.encoding(), Encoding::Listpack);
    }
    list.prepare(element.len(), 1, limit);
    assert_eq!(list.encoding(), Encoding::Quicklist);
    list.settle(limit);
    assert_eq!(list.encoding(), Encoding::Quicklist, "more than half");
    list.remove_range(39..79, limit);
    list.settle(limit);
    assert_eq!(list.encoding(), Encoding::Listpack);
}

#[test]
fn a_big_list_costs_what_its_elements_need() {
    let limit = NodeLimit::of_parameter(-2);
    let mut list = List::default();
    for number in 0..100_000 {
        let element = format!("{number:032}x");
        list.prepare(32, 1, limit);
        list.push(End::Back, &element.as_bytes()[..32], limit);
    }
    assert!(list.heap_bytes() < 3_440_000, "34.4 bytes each");
    assert!(list.is_slow_to_drop());
    let mut slices = 0;
    while list.drop_slice() {
        list.check_invariants();
        slices += 1;
    }
    assert!((5..10).contains(&slices), "{slices}");
}
