//! A shard against an ordered map that expires everything at once.

use std::collections::{BTreeMap, BTreeSet};

use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_shard::{
    Boundary, Deadline, Encoding, Expiry, FlushScope, Key, KeyHasher, Keyspace, Lifetime, Previous,
    Shard, ShardOptions, ValueRef, Version,
};
use darter_structures::Defragmentation;
use darter_value::integer::IntegerText;

const DATABASES: u16 = 3;

#[test]
fn random_commands_match_the_model() {
    for seed in 0..40 {
        eprintln!("seed {seed}");
        let mut exercise = Exercise::new(seed);
        for _ in 0..4000 {
            exercise.step();
        }
        exercise.finish();
    }
}

#[test]
fn random_commands_match_the_model_with_few_keys() {
    for seed in 1000..1040 {
        eprintln!("seed {seed}");
        let mut exercise = Exercise::new(seed);
        exercise.key_count = 5;
        for _ in 0..2000 {
            exercise.step();
        }
        exercise.finish();
    }
}

#[test]
fn a_shard_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Shard>();
}

#[test]
fn a_flushed_database_is_freed_in_slices() {
    let hasher = KeyHasher::new(1);
    let mut shard = Shard::new(ShardId(0), &ShardOptions { databases: 2, hasher: hasher.clone() });
    let empty_bytes = shard.used_bytes();
    for number in 0..20_000_u32 {
        let name = number.to_le_bytes();
        let key = Key::new(&hasher, &name);
        shard.keyspace(DbIndex(1), UnixMillis(0)).set_integer(&key, 1, Expiry::Clear);
    }
    let full_bytes = shard.used_bytes();
    assert_eq!(shard.flush(FlushScope::All), 20_000);
    assert!(shard.is_empty());
    assert!(shard.used_bytes() >= full_bytes);
    let mut slices = 1;
    while shard.collect_garbage(1) {
        slices += 1;
    }
    assert!(slices >= 20_000 / 512);
    assert_eq!(shard.used_bytes(), empty_bytes);
}

#[test]
fn a_set_over_a_value_of_the_same_size_class_neither_allocates_nor_frees() {
    let hasher = KeyHasher::new(1);
    let mut shard = Shard::new(ShardId(0), &ShardOptions { databases: 1, hasher: hasher.clone() });
    let mut keyspace = shard.keyspace(DbIndex(0), UnixMillis(0));
    let key = Key::new(&hasher, b"0123456789abcdef");
    let mut address_of = |value: &[u8]| {
        keyspace.set_string(&key, value, Expiry::Keep);
        match keyspace.peek(&key) {
            Some(ValueRef::Bytes(bytes)) => bytes.as_ptr(),
            other => panic!("{other:?}"),
        }
    };
    let first = address_of(&[b'a'; 32]);
    assert_eq!(address_of(&[b'b'; 32]), first);
    assert_eq!(address_of(&[b'c'; 40]), first);
    assert_ne!(address_of(&[b'd'; 90]), first);
}

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    bytes: Vec<u8>,
    encoding: Encoding,
    deadline: Option<i64>,
}

#[derive(Debug)]
struct Watching {
    version: Version,
    touched: bool,
}

struct Exercise {
    random: u64,
    now: i64,
    key_count: u64,
    hasher: KeyHasher,
    shards: [Shard; 2],
    /// By shard and database.
    model: [[BTreeMap<Vec<u8>, Expected>; DATABASES as usize]; 2],
    watching: BTreeMap<(usize, u16, Vec<u8>), Watching>,
    expired: u64,
}

impl Exercise {
    fn new(seed: u64) -> Self {
        let hasher = KeyHasher::new(seed);
        let options = ShardOptions { databases: DATABASES, hasher: hasher.clone() };
        Self {
            random: seed,
            now: 1_000_000,
            key_count: 600,
            hasher,
            shards: [0, 1].map(|id| Shard::new(ShardId(id), &options)),
            model: Default::default(),
            watching: BTreeMap::new(),
            expired: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn size_below(&mut self, end: u64) -> usize {
        usize::try_from(self.below(end)).expect("small")
    }

    fn key_name(&mut self) -> Vec<u8> {
        format!("key:{}", self.below(self.key_count)).into_bytes()
    }

    fn deadline(&mut self) -> Option<Deadline> {
        let in_ms = self.below(4000).cast_signed();
        if in_ms < 1500 { None } else { Deadline::new(self.now + in_ms - 1500).ok() }
    }

    fn bytes(&mut self) -> Vec<u8> {
        match self.below(10) {
            0 => self.below(1000).to_string().into_bytes(),
            1 => (self.below(u64::MAX).cast_signed() >> self.below(64)).to_string().into_bytes(),
            2 => vec![b'L'; 2000 + self.size_below(3000)],
            3 => vec![b'H'; 300_000],
            4 => format!("0{}", self.below(1000)).into_bytes(),
            5 => Vec::new(),
            _ => vec![b's'; self.size_below(200)],
        }
    }

    fn place(&mut self) -> (usize, u16) {
        (self.size_below(2), self.size_below(u64::from(DATABASES)).try_into().expect("small"))
    }

    fn keyspace(&mut self, (shard, db): (usize, u16)) -> Keyspace<'_> {
        self.shards[shard].keyspace(DbIndex(db), UnixMillis(self.now))
    }

    fn model_of(&mut self, (shard, db): (usize, u16)) -> &mut BTreeMap<Vec<u8>, Expected> {
        &mut self.model[shard][usize::from(db)]
    }

    fn touched(&mut self, (shard, db): (usize, u16), name: &[u8]) {
        if let Some(watching) = self.watching.get_mut(&(shard, db, name.to_vec())) {
            watching.touched = true;
        }
    }

    /// Time passes, and everything due expires in the model.
    fn advance(&mut self) {
        self.now += self.below(500).cast_signed();
        let now = self.now;
        for shard in 0..2 {
            for db in 0..DATABASES {
                let model = self.model_of((shard, db));
                let is_due = |expected: &Expected| expected.deadline.is_some_and(|at| now > at);
                let due: Vec<_> =
                    model.iter().filter(|(_, e)| is_due(e)).map(|(name, _)| name.clone()).collect();
                for name in due {
                    self.model_of((shard, db)).remove(&name);
                    self.touched((shard, db), &name);
                    self.expired += 1;
                }
            }
        }
    }

    fn step(&mut self) {
        let place = self.place();
        let name = self.key_name();
        let hasher = self.hasher.clone();
        let key = Key::new(&hasher, &name);
        match self.below(100) {
            0..25 => self.set(place, &key),
            25..35 => self.edit(place, &key),
            35..45 => {
                let was = self.model_of(place).remove(&name).is_some();
                assert_eq!(self.keyspace(place).remove(&key), was);
                if was {
                    self.touched(place, &name);
                }
            }
            45..55 => {
                let deadline = self.deadline();
                let found = self.keyspace(place).set_deadline(&key, deadline);
                let expected = self.model_of(place).get_mut(&name);
                assert_eq!(found, expected.is_some());
                if let Some(expected) = expected {
                    expected.deadline = deadline.map(Deadline::millis);
                    self.touched(place, &name);
                    self.advance();
                }
            }
            55..65 => self.transfer(place, &key),
            65..75 => self.read(place, &key),
            75..80 => self.watch(place, &key),
            80..90 => self.advance(),
            90 if self.below(20) == 0 => self.flush(place),
            91 if self.below(5) == 0 => self.swap(place),
            92..94 => {
                let budget = self.size_below(10);
                let now = UnixMillis(self.now);
                let progress = self.shards[place.0].expire_slice(now, budget);
                if !progress.more {
                    assert!(self.shards[place.0].next_deadline().is_none_or(|at| at >= now));
                    let len: usize = self.model[place.0].iter().map(BTreeMap::len).sum();
                    assert_eq!(self.shards[place.0].len(), len, "all that is due has gone");
                }
            }
            94 => {
                let budget = self.size_below(5);
                self.shards[place.0].collect_garbage(budget);
            }
            95 => {
                let random = self.below(u64::MAX);
                let picked = self.keyspace(place).random_key(random, false).map(<[u8]>::to_vec);
                match picked {
                    Some(name) => assert!(self.model_of(place).contains_key(&name)),
                    None => assert!(self.model_of(place).is_empty()),
                }
            }
            96 => self.walk(place),
            97 => self.shards[place.0].check_invariants(),
            98 => self.defragment(place.0),
            _ => {}
        }
    }

    fn set(&mut self, place: (usize, u16), key: &Key<'_>) {
        let bytes = self.bytes();
        let deadline = self.deadline();
        let (expiry, deadline_ms) = match (self.below(3), deadline) {
            (0, _) => (Expiry::Clear, None),
            (1, Some(deadline)) => (Expiry::At(deadline), Some(deadline.millis())),
            _ => {
                let kept = self.model_of(place).get(key.bytes).and_then(|e| e.deadline);
                (Expiry::Keep, kept)
            }
        };
        let as_text = self.below(4) == 0;
        let previous = if as_text {
            self.keyspace(place).set_text(key, &bytes, expiry)
        } else {
            self.keyspace(place).set_string(key, &bytes, expiry)
        };
        let encoding = match String::from_utf8(bytes.clone())
            .ok()
            .and_then(|t| t.parse::<i64>().ok())
        {
            Some(integer) if !as_text && integer.to_string().as_bytes() == bytes => Encoding::Int,
            _ if bytes.len() <= 44 => Encoding::Embstr,
            _ => Encoding::Raw,
        };
        let expected = Expected { bytes, encoding, deadline: deadline_ms };
        let old = self.model_of(place).insert(key.bytes.to_vec(), expected);
        assert_eq!(previous == Previous::Present, old.is_some());
        self.touched(place, key.bytes);
        self.advance();
    }

    fn edit(&mut self, place: (usize, u16), key: &Key<'_>) {
        let old = self.model_of(place).get(key.bytes).cloned();
        let deadline = old.as_ref().and_then(|expected| expected.deadline);
        if self.below(2) == 0 {
            let tail = self.bytes();
            let len = self.keyspace(place).append(key, &tail);
            let expected = if let Some(old) = old {
                let bytes = [old.bytes, tail].concat();
                Expected { bytes, encoding: Encoding::Raw, deadline }
            } else {
                let value = self.keyspace(place).peek(key).map(ValueRef::encoding);
                Expected { bytes: tail, encoding: value.expect("appended"), deadline }
            };
            assert_eq!(len, Ok(expected.bytes.len()));
            self.model_of(place).insert(key.bytes.to_vec(), expected);
        } else {
            let (offset, patch) = (self.size_below(3000), self.bytes());
            let end = offset + patch.len();
            let mut bytes = old.map_or(Vec::new(), |old| old.bytes);
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset..end].copy_from_slice(&patch);
            let edited = self.keyspace(place).edit_string(key, end, |lent| {
                lent[offset..end].copy_from_slice(&patch);
                lent.len()
            });
            assert_eq!(edited, Ok(bytes.len()));
            let expected = Expected { bytes, encoding: Encoding::Raw, deadline };
            self.model_of(place).insert(key.bytes.to_vec(), expected);
        }
        self.touched(place, key.bytes);
    }

    /// RENAME, MOVE or COPY to another key, database and shard.
    fn transfer(&mut self, place: (usize, u16), key: &Key<'_>) {
        let (to_place, to_name) = (self.place(), self.key_name());
        let hasher = self.hasher.clone();
        let to_key = Key::new(&hasher, &to_name);
        if place == to_place && to_name == key.bytes {
            return;
        }
        let is_copy = self.below(2) == 0;
        let expected = self.model_of(place).get(key.bytes).cloned();
        let mut keyspace = self.keyspace(place);
        let detached = if is_copy { keyspace.copy(key) } else { keyspace.take(key) };
        assert_eq!(detached.is_some(), expected.is_some());
        let (Some(detached), Some(expected)) = (detached, expected) else { return };
        assert_eq!(detached.deadline().map(Deadline::millis), expected.deadline);
        check_value(detached.value(), &expected);
        if !is_copy {
            self.model_of(place).remove(key.bytes);
            self.touched(place, key.bytes);
        }
        self.keyspace(to_place).put(&to_key, detached);
        self.model_of(to_place).insert(to_name.clone(), expected);
        self.touched(to_place, &to_name);
    }

    fn read(&mut self, place: (usize, u16), key: &Key<'_>) {
        let expected = self.model_of(place).get(key.bytes).cloned();
        let before = *self.shards[place.0].statistics();
        let mut keyspace = self.keyspace(place);
        keyspace.prefetch(key.hash);
        keyspace.prefetch_entry(key.hash);
        let lifetime = match expected.as_ref().map(|expected| expected.deadline) {
            None => Lifetime::Absent,
            Some(None) => Lifetime::Unlimited,
            Some(Some(deadline_ms)) => Lifetime::Until(UnixMillis(deadline_ms)),
        };
        assert_eq!(keyspace.lifetime(key), lifetime);
        assert_eq!(keyspace.memory_usage(key).is_some(), expected.is_some());
        assert_eq!(keyspace.exists(key), expected.is_some());
        let value = keyspace.read(key);
        assert_eq!(value.is_some(), expected.is_some());
        let is_hit = expected.is_some();
        if let (Some(value), Some(expected)) = (value, expected) {
            check_value(value, &expected);
        }
        let after = self.shards[place.0].statistics();
        assert_eq!(after.hits - before.hits, if is_hit { 2 } else { 0 });
        assert_eq!(after.misses - before.misses, if is_hit { 0 } else { 2 });
    }

    fn watch(&mut self, place: (usize, u16), key: &Key<'_>) {
        let entry = (place.0, place.1, key.bytes.to_vec());
        if let Some(watching) = self.watching.remove(&entry) {
            let mut keyspace = self.keyspace(place);
            let version = keyspace.version(key).expect("is watched");
            keyspace.unwatch(key);
            assert_eq!(version != watching.version, watching.touched);
        } else {
            let version = self.keyspace(place).watch(key);
            assert_eq!(self.keyspace(place).version(key), Some(version));
            self.watching.insert(entry, Watching { version, touched: false });
        }
    }

    fn flush(&mut self, place: (usize, u16)) {
        let all = self.below(2) == 0;
        let scope = if all { FlushScope::All } else { FlushScope::Database(DbIndex(place.1)) };
        self.shards[place.0].flush(scope);
        for db in 0..DATABASES {
            if all || db == place.1 {
                let flushed = std::mem::take(self.model_of((place.0, db)));
                for name in flushed.keys() {
                    self.touched((place.0, db), name);
                }
            }
        }
    }

    /// Moves blocks and values, some or all; nothing that is looked at later has changed.
    fn defragment(&mut self, shard: usize) {
        let mut defragmentation = Defragmentation::of_everything(self.below(u64::MAX));
        let mut steps = [10, 300, 100_000][self.size_below(3)];
        let before = self.shards[shard].used_bytes();
        let is_over = self.shards[shard].defragment(&mut steps, &mut defragmentation);
        assert!(is_over || steps == 0);
        let shard = &self.shards[shard];
        assert_eq!(shard.used_bytes(), before);
        shard.check_invariants();
    }

    fn swap(&mut self, (shard, left): (usize, u16)) {
        let right = self.place().1;
        let now = UnixMillis(self.now);
        self.shards[shard].swap_databases(DbIndex(left), DbIndex(right), now);
        if left == right {
            return;
        }
        self.model[shard].swap(usize::from(left), usize::from(right));
        let names: BTreeSet<_> = [left, right]
            .into_iter()
            .flat_map(|db| self.model[shard][usize::from(db)].keys().cloned())
            .collect();
        for name in names {
            self.touched((shard, left), &name);
            self.touched((shard, right), &name);
        }
    }

    fn walk(&mut self, place: (usize, u16)) {
        let model = self.model_of(place).clone();
        let mut keyspace = self.keyspace(place);
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            let select = |name: &[u8], value: ValueRef<'_>| {
                if let Some(expected) = model.get(name) {
                    check_value(value, expected);
                }
                true
            };
            cursor = keyspace.scan(cursor, 10, select, |name| {
                *scanned.entry(name.to_vec()).or_insert(0) += 1;
            });
            if cursor == 0 {
                break;
            }
        }
        assert!(scanned.values().all(|times| *times == 1));
        assert!(scanned.keys().eq(model.keys()));
        assert_eq!(keyspace.len(), model.len(), "what has expired was deleted on the way");
        let mut walked = BTreeSet::new();
        let mut boundary = Some(Boundary::START);
        while let Some(from) = boundary {
            boundary = keyspace.for_each_slice(from, |name, _| {
                assert!(walked.insert(name.to_vec()));
            });
        }
        assert!(walked.iter().eq(model.keys()));
    }

    fn finish(mut self) {
        for shard in 0..2 {
            while self.shards[shard].collect_garbage(100) {}
            while self.shards[shard].expire_slice(UnixMillis(self.now), 100).more {}
            self.shards[shard].check_invariants();
            for db in 0..DATABASES {
                self.walk((shard, db));
                let model = self.model_of((shard, db));
                let (len, expires_len) =
                    (model.len(), model.values().filter(|e| e.deadline.is_some()).count());
                let keyspace = self.keyspace((shard, db));
                assert_eq!((keyspace.len(), keyspace.expires_len()), (len, expires_len));
                assert_eq!(keyspace.estimate_deadlines(7).average_ttl_ms > 0, expires_len > 0);
            }
            self.shards[shard].flush(FlushScope::All);
            while self.shards[shard].collect_garbage(1) {}
        }
        let options = ShardOptions { databases: DATABASES, hasher: self.hasher.clone() };
        let empty_bytes = Shard::new(ShardId(0), &options).used_bytes();
        for (shard, db, name) in std::mem::take(&mut self.watching).into_keys() {
            let hasher = self.hasher.clone();
            self.keyspace((shard, db)).unwatch(&Key::new(&hasher, &name));
        }
        for shard in &self.shards {
            assert_eq!(shard.used_bytes(), empty_bytes, "nothing is left behind");
        }
    }
}

fn check_value(value: ValueRef<'_>, expected: &Expected) {
    let mut text = IntegerText::new();
    assert_eq!(value.string_bytes(&mut text), Some(&expected.bytes[..]));
    assert_eq!(value.encoding(), expected.encoding);
}
