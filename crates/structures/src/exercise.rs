//! Drives the structures by a string of bytes and compares them with an obvious model: the entry points
//! of the fuzz targets in `fuzz/`, and of the model tests, which feed them random bytes.
//!
//! Only in tests and with the feature `fuzzing`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::block::{
    Block, BlockRef, BlockValue, Kind, Payload, PayloadRef, Word, WordMut, WordRef,
};
use crate::deadline::Deadline;
use crate::defragmentation::Defragmentation;
use crate::hasher::KeyHasher;
use crate::table::{EntryView, Hand, Marks, Table};

mod integers;
mod members;
mod packed;
mod ranked;

pub use integers::integers;
pub use members::members;
pub use packed::packed;
pub use ranked::ranked;

/// What tells how many of its kind are alive.
#[derive(Debug)]
pub struct Counted {
    number: u32,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(number: u32, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { number, alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of two types of a word.
#[derive(Debug)]
pub struct Boxed<const PLACE: u8>(Box<Counted>);

/// A value of either type, by its number.
#[derive(Debug)]
pub enum Probe {
    /// Its number has no 2.
    First(Boxed<0>),
    /// Its number has a 2.
    Second(Boxed<1>),
}

impl Probe {
    fn new(number: u32, alive: &Arc<AtomicUsize>) -> Self {
        let counted = Box::new(Counted::new(number, alive));
        if number & 2 == 0 { Self::First(Boxed(counted)) } else { Self::Second(Boxed(counted)) }
    }
}

impl BlockValue for Probe {
    const HAS_STAMP: bool = true;
    const KINDS: &'static [Kind] = &[Kind::of::<Boxed<0>>(), Kind::of::<Boxed<1>>()];

    type Ref<'a> = &'a Counted;
    type Mut<'a> = &'a mut Box<Counted>;

    fn into_word(self) -> Word {
        match self {
            Self::First(first) => Word::new(0, first),
            Self::Second(second) => Word::new(1, second),
        }
    }

    fn from_word(word: Word) -> Self {
        match word.place() {
            0 => Self::First(word.into_value()),
            _ => Self::Second(word.into_value()),
        }
    }

    fn by_ref(word: WordRef<'_>) -> &Counted {
        match word.place() {
            0 => &word.get::<Boxed<0>>().0,
            _ => &word.get::<Boxed<1>>().0,
        }
    }

    fn by_mut(word: WordMut<'_>) -> &mut Box<Counted> {
        match word.place() {
            0 => &mut word.get::<Boxed<0>>().0,
            _ => &mut word.get::<Boxed<1>>().0,
        }
    }

    fn to_owned(counted: &Counted) -> Self {
        Self::new(counted.number, &counted.alive)
    }

    fn heap_bytes(counted: &Counted) -> usize {
        counted.number as usize
    }

    fn defragment(counted: &mut Box<Counted>, defragmentation: &mut Defragmentation) {
        if defragmentation.wants(&raw const **counted, size_of::<Counted>()) {
            let moved = Box::new(Counted::new(counted.number, &counted.alive));
            drop(std::mem::replace(counted, moved));
        }
    }

    fn is_collection(counted: &Counted) -> bool {
        counted.number.is_multiple_of(2)
    }
}

/// Numbers cut from the driving bytes; zeroes when these are used up.
#[derive(Debug)]
struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn number<const BYTES: usize>(&mut self) -> u64 {
        let (field, rest) = self.bytes.split_at(BYTES.min(self.bytes.len()));
        self.bytes = rest;
        field.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number::<4>() % end
    }

    fn deadline(&mut self) -> Option<Deadline> {
        match self.below(3) {
            0 => None,
            1 => Deadline::new(self.below(1000).cast_signed()).ok(),
            _ => Deadline::new(Deadline::MAX.millis() - self.below(1000).cast_signed()).ok(),
        }
    }

    fn content(&mut self) -> Content {
        let bytes =
            |len: u64, fill: u64| vec![fill.to_le_bytes()[0]; usize::try_from(len).unwrap_or(0)];
        match self.below(10) {
            0..4 => Content::Bytes(bytes(self.below(300), self.number::<1>())),
            4 => Content::Bytes(bytes(self.below(100_000), self.number::<1>())),
            5..8 => {
                let shift = self.below(64);
                Content::Integer(self.number::<8>().cast_signed() >> shift)
            }
            _ => Content::Probe(u32::try_from(self.number::<2>()).unwrap_or(0)),
        }
    }
}

/// What a block's payload is expected to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Bytes(Vec<u8>),
    Integer(i64),
    Probe(u32),
}

impl Content {
    fn payload(&self, alive: &Arc<AtomicUsize>) -> Payload<'_, Probe> {
        match self {
            Self::Bytes(bytes) => Payload::Bytes(bytes),
            Self::Integer(integer) => Payload::Integer(*integer),
            Self::Probe(number) => Payload::Value(Probe::new(*number, alive)),
        }
    }

    fn of(view: BlockRef<'_, Probe>) -> Self {
        match view.payload() {
            PayloadRef::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            PayloadRef::Integer(integer) => Self::Integer(integer),
            PayloadRef::Value(probe) => Self::Probe(probe.number),
        }
    }
}

/// One block through all its operations.
pub fn block(bytes: &[u8]) {
    let mut input = Input { bytes };
    let alive = Arc::new(AtomicUsize::new(0));
    let mut key = vec![b'k'; usize::try_from(input.below(300)).expect("small")];
    let mut content = input.content();
    let mut deadline = input.deadline();
    let (mut raw, mut stamp) = (false, 0);
    let mut block = Block::new(&key, content.payload(&alive), deadline);
    while !input.is_empty() {
        match input.below(8) {
            0 | 1 => {
                content = input.content();
                raw = false;
                block = block.with_payload(content.payload(&alive));
            }
            2 | 3 => {
                deadline = input.deadline();
                block = block.with_deadline(deadline);
            }
            4 => {
                let len = usize::try_from(input.below(600)).expect("small");
                let mut expected = match &content {
                    Content::Bytes(bytes) => bytes.clone(),
                    _ => Vec::new(),
                };
                expected.resize(len, 0);
                content = Content::Bytes(expected);
                block = block.with_len(len);
            }
            5 => {
                key = vec![b'K'; usize::try_from(input.below(300)).expect("small")];
                block = block.with_key(&key);
            }
            6 => {
                raw = !raw;
                block.set_raw(raw);
                stamp = u32::try_from(input.number::<3>()).expect("24 bits");
                block.set_stamp(stamp);
                if let (Some(bytes), Content::Bytes(expected)) = (block.bytes_mut(), &mut content) {
                    bytes.fill(b'm');
                    expected.fill(b'm');
                }
                if let (Some(probe), Content::Probe(expected)) = (block.value_mut(), &mut content) {
                    probe.number ^= 1;
                    *expected ^= 1;
                }
            }
            _ if input.below(2) == 0 => block = block.clone(),
            _ => {
                (content, deadline, raw) = (input.content(), input.deadline(), false);
                let had_probe = block.value_mut().is_some();
                let (replaced, old) = block.replace(content.payload(&alive), deadline);
                assert_eq!(old.is_some(), had_probe);
                block = replaced;
            }
        }
        let view = block.view();
        assert_eq!(view.key(), key);
        assert_eq!(Content::of(view), content);
        assert_eq!(view.deadline(), deadline);
        assert_eq!(view.is_raw(), raw);
        assert_eq!(view.stamp(), stamp);
        let history_free = Block::new(&key, content.payload(&alive), deadline);
        assert_eq!(view.good_bytes(), history_free.view().good_bytes());
        drop(history_free);
        assert_eq!(
            alive.load(Ordering::Relaxed),
            usize::from(matches!(content, Content::Probe(_)))
        );
    }
    drop(block);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "a value leaked");
}

/// What the model knows of an entry.
#[derive(Debug)]
struct Expected {
    content: Content,
    deadline: Option<Deadline>,
    marks: Marks,
    stamp: u32,
}

/// A walk in progress, and what it owes.
#[derive(Debug, Default)]
struct Walk {
    cursor: u64,
    /// Keys that were there at the start, were not removed since, and have not been visited.
    owed: BTreeSet<Vec<u8>>,
    /// Those that have been.
    paid: BTreeSet<Vec<u8>>,
}

impl Walk {
    fn start<'k>(keys: impl Iterator<Item = &'k Vec<u8>>) -> Self {
        Self { cursor: 0, owed: keys.cloned().collect(), paid: BTreeSet::new() }
    }

    fn forget(&mut self, key: &[u8]) {
        self.owed.remove(key);
        self.paid.remove(key);
    }
}

/// A table through all its operations. The first bytes choose how bad the hash is.
pub fn table(bytes: &[u8]) {
    let mut input = Input { bytes };
    let masks = [
        u64::MAX,
        u64::MAX,
        u64::MAX,
        0,
        0xffff << 48,
        !(0xffff << 34),
        0xf000_0000_f000_0003,
        // Pairs of buckets that overflow before their segment is half full.
        0xffff_ffc3_e000_0000,
    ];
    let mask = masks[usize::try_from(input.below(masks.len() as u64)).expect("small")];
    let hasher = KeyHasher::masked(input.number::<8>(), mask);
    let key_count = 1 << (2 + input.below(12));
    let mut exercise = TableExercise {
        table: Table::new(hasher.clone()),
        hasher,
        model: BTreeMap::new(),
        scan: Walk::default(),
        slices: Walk::default(),
        hand: 0,
        defragmented: Hand::default(),
        alive: Arc::new(AtomicUsize::new(0)),
    };
    let mut growing = true;
    let mut step = 0_u64;
    while !input.is_empty() {
        step += 1;
        match input.number::<1>() {
            0..90 => exercise.put(&mut input, key_count, growing),
            90..180 => exercise.delete(&mut input, key_count, growing),
            180..195 => exercise.update(&mut input, key_count),
            195..205 => exercise.mark(&mut input, key_count),
            205..225 => exercise.scan_step(&mut input),
            225..235 => exercise.slice_step(),
            235..245 => exercise.pick(&mut input),
            245..249 => exercise.expire(&mut input),
            249 => growing = !growing,
            251..254 => exercise.defragment(&mut input),
            250 if input.below(100) == 0 => exercise.drain(),
            _ => {}
        }
        if step.is_multiple_of(64) {
            exercise.check();
        }
    }
    exercise.check();
    let alive = Arc::clone(&exercise.alive);
    drop(exercise);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "an entry leaked");
}

struct TableExercise {
    table: Table<Block<Probe>>,
    hasher: KeyHasher,
    model: BTreeMap<Vec<u8>, Expected>,
    scan: Walk,
    slices: Walk,
    hand: u64,
    defragmented: Hand,
    alive: Arc<AtomicUsize>,
}

impl TableExercise {
    fn key(input: &mut Input<'_>, key_count: u64) -> Vec<u8> {
        format!("key:{}", input.below(key_count)).into_bytes()
    }

    /// Inserts a key, or several while growing.
    fn put(&mut self, input: &mut Input<'_>, key_count: u64, growing: bool) {
        for _ in 0..if growing { 8 } else { 1 } {
            let key = Self::key(input, key_count);
            if self.model.contains_key(&key) {
                continue;
            }
            let (content, deadline) = (input.content(), input.deadline());
            let block = Block::new(&key, content.payload(&self.alive), deadline);
            let position = self.table.insert(self.hasher.hash(&key), block, Marks::PARITY);
            assert_eq!(self.table.view(position).key(), key);
            let marks = self.table.marks(position);
            self.model.insert(key, Expected { content, deadline, marks, stamp: 0 });
        }
    }

    /// Removes a key, or several while shrinking.
    fn delete(&mut self, input: &mut Input<'_>, key_count: u64, growing: bool) {
        for _ in 0..if growing { 1 } else { 8 } {
            let key = Self::key(input, key_count);
            let found = self.table.find(self.hasher.hash(&key), &key);
            assert_eq!(found.is_some(), self.model.remove(&key).is_some());
            if let Some(position) = found {
                assert_eq!(self.table.remove(position).view().key(), key);
            }
            self.scan.forget(&key);
            self.slices.forget(&key);
        }
    }

    fn update(&mut self, input: &mut Input<'_>, key_count: u64) {
        let key = Self::key(input, key_count);
        let Some(position) = self.table.find(self.hasher.hash(&key), &key) else { return };
        let expected = self.model.get_mut(&key).expect("as the table says");
        if input.below(2) == 0 {
            expected.content = input.content();
            let payload = expected.content.payload(&self.alive);
            self.table.update(position, |block| (block.with_payload(payload), ()));
        } else {
            expected.deadline = input.deadline();
            self.table.update(position, |block| (block.with_deadline(expected.deadline), ()));
        }
        expected.marks = self.table.marks(position);
    }

    fn mark(&mut self, input: &mut Input<'_>, key_count: u64) {
        let key = Self::key(input, key_count);
        self.table.prefetch(self.hasher.hash(&key));
        self.table.prefetch_entry(self.hasher.hash(&key));
        let Some(position) = self.table.find(self.hasher.hash(&key), &key) else { return };
        let marks = self.table.marks(position).touched().or(Marks::PROBATION);
        self.table.set_marks(position, marks);
        let stamp = u32::try_from(input.number::<3>()).expect("24 bits");
        self.table.set_stamp(position, stamp);
        let expected = self.model.get_mut(&key).expect("as the table says");
        (expected.marks, expected.stamp) = (marks, stamp);
    }

    fn scan_step(&mut self, input: &mut Input<'_>) {
        if input.below(50) == 0 {
            // A cursor from anywhere must do no harm.
            self.table.scan(input.number::<8>(), 3, |_| {});
        }
        if self.scan.cursor == 0 {
            assert!(self.scan.owed.is_empty(), "a finished scan missed {:?}", self.scan.owed);
            self.scan = Walk::start(self.model.keys());
        }
        let count = usize::try_from(input.below(40)).expect("small");
        let Walk { cursor, owed, .. } = &mut self.scan;
        *cursor = self.table.scan(*cursor, count, |view| {
            owed.remove(view.key());
        });
        assert!(*cursor < 1 << crate::table::SCAN_CURSOR_BITS);
    }

    fn slice_step(&mut self) {
        if self.slices.cursor == 0 {
            assert!(self.slices.owed.is_empty(), "a finished walk missed {:?}", self.slices.owed);
            self.slices = Walk::start(self.model.keys());
        }
        let Walk { cursor, owed, paid } = &mut self.slices;
        let next = self.table.for_each_slice(*cursor, |view| {
            assert!(!paid.contains(view.key()), "visited twice");
            if owed.remove(view.key()) {
                paid.insert(view.key().to_vec());
            }
        });
        *cursor = next.unwrap_or(0);
    }

    fn pick(&mut self, input: &mut Input<'_>) {
        match self.table.random(input.number::<8>()) {
            Some(position) => assert!(self.model.contains_key(self.table.view(position).key())),
            None => assert!(self.model.is_empty()),
        }
        let mut sampled = 0;
        self.table.sample_deadlines(input.number::<8>(), |_| sampled += 1);
        assert!(sampled <= self.table.deadlines_len());
        let marks = if input.below(2) == 0 { Marks::NONE } else { Marks::DEADLINE };
        let count = usize::try_from(input.below(20)).expect("small");
        let mut found = Vec::new();
        self.table.sample(input.number::<8>(), count, marks, &mut found);
        assert!(found.len() <= count);
        for position in found {
            let key = self.table.view(position).key();
            assert!(self.table.marks(position).contains(marks));
            assert!(self.model.contains_key(key));
            // Another one may have the same hash here.
            let by_hash = self.table.find_hash(self.hasher.hash(key)).expect("it is there");
            let other = self.table.view(by_hash).key();
            assert_eq!(self.hasher.hash(other), self.hasher.hash(key));
        }
    }

    fn expire(&mut self, input: &mut Input<'_>) {
        let now_ms = input.below(1200).cast_signed() - 100;
        let budget = usize::try_from(input.below(20)).expect("small");
        let Self { table, model, scan, slices, hand, .. } = self;
        let mut expired = |key: &[u8]| {
            let expected = model.remove(key).expect("an entry to expire");
            assert!(expected.deadline.is_some_and(|deadline| deadline.is_due(now_ms)));
            scan.forget(key);
            slices.forget(key);
        };
        table.expire_slice(hand, now_ms, budget, |block| {
            expired(block.view().key());
            None
        });
        let next = table.next_deadline_ms();
        if *hand == 0 && next.is_none_or(|next_ms| next_ms >= now_ms) {
            let due = |expected: &Expected| expected.deadline.is_some_and(|at| at.is_due(now_ms));
            assert!(!model.values().any(due), "said to be done too early");
        }
    }

    /// Moves everything that some slots hold, each entry and what it owns at most once.
    fn defragment(&mut self, input: &mut Input<'_>) {
        let mut defragmentation = Defragmentation::of_everything(input.number::<8>());
        let bytes = self.table.bytes();
        if input.below(2) == 0 {
            let steps = usize::try_from(input.below(600)).expect("small");
            self.table.defragment_some(steps, &mut defragmentation);
            assert!(defragmentation.moved <= 2 * steps as u64);
        } else {
            let mut steps = usize::try_from(input.below(3000)).expect("small");
            let begins = self.defragmented == Hand::default();
            let is_over =
                self.table.defragment(&mut self.defragmented, &mut steps, &mut defragmentation);
            assert!(is_over || steps == 0);
            if begins && is_over {
                let is_probe = |expected: &&Expected| matches!(expected.content, Content::Probe(_));
                let probes = self.model.values().filter(is_probe).count();
                assert_eq!(defragmentation.moved, (self.model.len() + probes) as u64);
            }
        }
        assert_eq!((self.table.bytes(), defragmentation.kept), (bytes, 0));
    }

    fn drain(&mut self) {
        let fresh = Table::new(self.hasher.clone());
        let mut drain = std::mem::replace(&mut self.table, fresh).into_drain();
        let mut drained = 0;
        while drain.slice(|_| drained += 1) {}
        assert_eq!((drained, drain.bytes()), (self.model.len(), 0));
        self.model.clear();
        self.scan = Walk::default();
        self.slices = Walk::default();
        self.hand = 0;
    }

    fn check(&self) {
        self.table.check_invariants();
        assert_eq!(self.table.len(), self.model.len());
        for (key, expected) in &self.model {
            let position = self.table.find(self.hasher.hash(key), key).expect("in the model");
            let view = self.table.view(position);
            assert_eq!(Content::of(view), expected.content);
            assert_eq!(EntryView::deadline(view), expected.deadline);
            assert_eq!(self.table.marks(position), expected.marks);
            assert_eq!(view.stamp(), expected.stamp);
        }
    }
}

/// Bytes to drive an exercise with, the same for the same seed.
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..len.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect()
}

/// Runs `exercise` on `len` random bytes of each of `count` seeds, as a model test.
///
/// Under Miri, which runs some thousand times slower, on less of both.
#[cfg(test)]
pub fn for_seeds(count: u64, len: usize, exercise: impl Fn(&[u8])) {
    let (count, len) = if cfg!(miri) { (2, len.min(1_000)) } else { (count, len) };
    for seed in 0..count {
        eprintln!("seed {seed}");
        exercise(&random_bytes(seed, len));
    }
}
