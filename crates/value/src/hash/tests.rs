use super::*;
use crate::integer::IntegerText;
use crate::object::move_everything;
use crate::packing::bytes_of;
use std::collections::BTreeMap;

/// What the model knows of a field: its value and deadline.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn name(&mut self, fields: u64) -> Vec<u8> {
        let number = self.below(fields);
        if number.is_multiple_of(3) {
            return number.to_string().into_bytes();
        }
        format!("field:{number}").into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(20) {
            0..8 => self.below(1_000_000).to_string().into_bytes(),
            8..17 => vec![b'v'; usize::try_from(self.below(30)).unwrap()],
            17 => vec![b'v'; 65],
            _ => vec![b'v'; usize::try_from(self.below(4000)).unwrap()],
        }
    }
}

fn check(hash: &Hash, model: &Model, now_ms: i64) {
    hash.check_invariants();
    let mut found = Model::new();
    hash.for_each(now_ms, |field| {
        let name = bytes_of(field.name, &mut IntegerText::new()).to_vec();
        let mut value = Vec::new();
        field.value.copy_into(&mut value);
        let known = found.insert(name, (value, field.deadline.map(Deadline::millis)));
        assert!(known.is_none(), "visited twice");
    });
    let alive: Model = model
        .iter()
        .filter(|(_, (_, deadline))| deadline.is_none_or(|deadline| deadline >= now_ms))
        .map(|(name, field)| (name.clone(), field.clone()))
        .collect();
    assert_eq!(found, alive);
}

fn exercise(seed: u64, fields: u64, limits: PackedLimits, expiring: bool) {
    let hasher = KeyHasher::new(seed);
    let growth = HashGrowth { limits, hasher: &hasher };
    let mut dice = Dice(seed);
    let (mut hash, mut model, mut now_ms) = (Hash::default(), Model::new(), 1000_i64);
    for step in 0..2000 {
        let name = dice.name(fields);
        let visible = |model: &Model, now_ms: i64| {
            model.get(&name).is_some_and(|(_, deadline)| deadline.is_none_or(|at| at >= now_ms))
        };
        let is_there = visible(&model, now_ms);
        match dice.below(10) {
            0..5 => {
                let value = dice.value();
                let later = now_ms + i64::try_from(dice.below(50)).unwrap();
                let (expiry, deadline) = match dice.below(4) {
                    0 if expiring => (FieldExpiry::At(Deadline::new(later).unwrap()), Some(later)),
                    1 => {
                        let kept = model.get(&name).and_then(|(_, deadline)| *deadline);
                        (FieldExpiry::Keep, kept.filter(|_| is_there))
                    }
                    _ => (FieldExpiry::Clear, None),
                };
                hash.prepare([name.as_slice(), value.as_slice()].into_iter(), growth);
                let previous = hash.set(&name, &value, expiry, now_ms, growth);
                assert_eq!(previous == PreviousField::Present, is_there);
                model.insert(name, (value, deadline));
            }
            5..7 => {
                assert_eq!(hash.remove(&name, now_ms), is_there);
                if is_there {
                    model.remove(&name);
                }
            }
            7 if expiring => {
                let later = now_ms + i64::try_from(dice.below(50)).unwrap();
                let deadline = (dice.below(2) == 0).then_some(later);
                let new = deadline.map(|at| Deadline::new(at).unwrap());
                assert_eq!(hash.set_deadline(&name, new, now_ms, &hasher), is_there);
                if is_there {
                    model.get_mut(&name).unwrap().1 = deadline;
                }
            }
            8 => {
                now_ms += i64::from(expiring);
                let before = hash.len();
                let mut told = 0;
                let removal = hash.expire_slice(now_ms, 2, |field| {
                    told += 1;
                    let expired = model.get(field).and_then(|(_, deadline)| *deadline);
                    assert!(expired.is_some_and(|deadline| deadline <= now_ms));
                });
                let removed = removal.fields;
                assert_eq!((hash.len(), told), (before - removed, removed));
            }
            _ => {
                assert_eq!(hash.contains(&name, now_ms), visible(&model, now_ms));
                if let Some(field) = hash.random(dice.below(u64::MAX), now_ms) {
                    let mut text = IntegerText::new();
                    assert!(model.contains_key(bytes_of(field.name, &mut text)));
                }
            }
        }
        if step % 50 == 0 {
            move_everything(&mut hash);
            check(&hash, &model, now_ms);
            check(&hash.clone(), &model, now_ms);
        }
    }
    check(&hash, &model, now_ms);
    let deadlines = model.values().filter_map(|(_, deadline)| *deadline);
    let next = deadlines.filter(|deadline| *deadline >= now_ms).min();
    if let (Some(bound), Some(next)) = (hash.next_deadline(), next) {
        assert!(bound.millis() <= next);
    }
    let mut slices = 0;
    while hash.drop_slice() {
        slices += 1;
    }
    assert!(slices < 100);
}

#[test]
fn random_operations_match_the_model() {
    for seed in 0..8 {
        eprintln!("seed {seed}");
        for fields in [10, 100, 3000] {
            let limits = PackedLimits { entries_max: 40, value_bytes_max: 64 };
            exercise(seed, fields, limits, true);
            let unlimited = PackedLimits { entries_max: u32::MAX, value_bytes_max: u32::MAX };
            exercise(seed, fields, unlimited, false);
        }
    }
}

#[test]
fn a_hash_is_a_table_from_its_limits_on() {
    let hasher = KeyHasher::new(1);
    let limits = PackedLimits { entries_max: 2, value_bytes_max: 4 };
    let growth = HashGrowth { limits, hasher: &hasher };
    let set = |hash: &mut Hash, name: &[u8], value: &[u8]| {
        hash.set(name, value, FieldExpiry::Clear, 0, growth)
    };
    let mut hash = Hash::default();
    set(&mut hash, b"a", b"1234");
    set(&mut hash, b"b", b"");
    assert_eq!(hash.encoding(), Encoding::Listpack);
    let mut longer = hash.clone();
    set(&mut longer, b"a", b"12345");
    assert_eq!((longer.encoding(), longer.len()), (Encoding::Hashtable, 2));
    set(&mut hash, b"c", b"");
    assert_eq!((hash.encoding(), hash.len()), (Encoding::Hashtable, 3));
    let mut expiring = Hash::default();
    set(&mut expiring, b"a", b"1");
    assert!(!expiring.set_deadline(b"b", Some(Deadline::MAX), 0, &hasher));
    assert!(expiring.set_deadline(b"a", None, 0, &hasher));
    assert_eq!(expiring.encoding(), Encoding::Listpack);
    assert!(expiring.set_deadline(b"a", Some(Deadline::MAX), 0, &hasher));
    assert_eq!(expiring.encoding(), Encoding::Hashtable);
}
