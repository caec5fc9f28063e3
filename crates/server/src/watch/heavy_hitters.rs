//! The keys with the largest sums, of a stream of keys and amounts, in bounded memory.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
//! streams", 2005) with amounts for ones: a key without a counter takes over the smallest one. Its estimate begins
//! with what that one had, so an estimate is never too small; what a key has had for certain is its estimate
//! without what it took over. With `n` counters every key with more than `1/n` of the sum has one, and while there
//! are at most `n` keys all sums are exact.

use darter_structures::KeyHasher;
use hashbrown::HashTable;
use std::collections::BTreeSet;

/// Sums of some keys.
#[derive(Debug)]
pub struct HeavyHitters {
    /// Counters there may be.
    len_max: usize,
    counters: Vec<Counter>,
    /// Where the counter of a key is, by the key's hash.
    places: HashTable<u32>,
    /// Estimate and place of each counter: the smallest is the first to go.
    order: BTreeSet<(u64, u32)>,
    hasher: KeyHasher,
    key_bytes: usize,
    total: u64,
}

#[derive(Debug)]
struct Counter {
    key: Box<[u8]>,
    hash: u64,
    /// Never less than what the key has had.
    estimate: u64,
    /// What it took over: `taken_over <= estimate`.
    taken_over: u64,
}

impl HeavyHitters {
    /// No key has anything yet; `len_max` of them will be followed.
    pub fn new(len_max: usize, hasher: KeyHasher) -> Self {
        Self {
            len_max,
            counters: Vec::new(),
            places: HashTable::new(),
            order: BTreeSet::new(),
            hasher,
            key_bytes: 0,
            total: 0,
        }
    }

    /// Adds `amount` to what `key` has. O(log n) in the number of counters.
    pub fn add(&mut self, key: &[u8], amount: u64) {
        self.total = self.total.saturating_add(amount);
        let hash = self.hasher.hash(key);
        let counters = &self.counters;
        let found = self.places.find(hash, |&place| *counters[place as usize].key == *key);
        let place = match found {
            Some(&place) => place,
            None if self.counters.len() < self.len_max => self.append(key, hash),
            None => match self.take_over(key, hash) {
                Some(place) => place,
                None => return,
            },
        };
        let counter = &mut self.counters[place as usize];
        self.order.remove(&(counter.estimate, place));
        counter.estimate = counter.estimate.saturating_add(amount);
        self.order.insert((counter.estimate, place));
    }

    /// What all keys have had together.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The keys that are followed and what each has had for certain, in no order.
    pub fn sums(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.counters.iter().map(|counter| (&*counter.key, counter.estimate - counter.taken_over))
    }

    /// Bytes of memory.
    pub fn memory_bytes(&self) -> usize {
        // A node of the tree is about two thirds full, and has room for what is in it and little more.
        let order = self.order.len() * size_of::<(u64, u32)>() * 3 / 2;
        let counters = self.counters.capacity() * size_of::<Counter>();
        counters + self.places.allocation_size() + order + self.key_bytes
    }

    fn append(&mut self, key: &[u8], hash: u64) -> u32 {
        let place = u32::try_from(self.counters.len()).expect("there are far fewer counters");
        self.counters.push(Counter { key: key.into(), hash, estimate: 0, taken_over: 0 });
        self.order.insert((0, place));
        self.register(hash, place);
        self.key_bytes += key.len();
        place
    }

    /// Gives the smallest counter to `key`; none if there are no counters at all.
    fn take_over(&mut self, key: &[u8], hash: u64) -> Option<u32> {
        let &(estimate, place) = self.order.first()?;
        let counter = &mut self.counters[place as usize];
        if let Ok(entry) = self.places.find_entry(counter.hash, |&known| known == place) {
            entry.remove();
        }
        self.key_bytes = self.key_bytes - counter.key.len() + key.len();
        *counter = Counter { key: key.into(), hash, estimate, taken_over: estimate };
        self.register(hash, place);
        Some(place)
    }

    fn register(&mut self, hash: u64, place: u32) {
        let counters = &self.counters;
        self.places.insert_unique(hash, place, |&place| counters[place as usize].hash);
    }

    #[cfg(test)]
    fn check_invariants(&self) {
        assert!(self.counters.len() <= self.len_max);
        assert_eq!(self.places.len(), self.counters.len());
        let order = self.counters.iter().enumerate();
        let order: BTreeSet<_> =
            order.map(|(place, it)| (it.estimate, u32::try_from(place).unwrap())).collect();
        assert_eq!(self.order, order);
        assert_eq!(self.key_bytes, self.counters.iter().map(|it| it.key.len()).sum::<usize>());
        assert!(self.counters.iter().all(|it| it.taken_over <= it.estimate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_shard::Random;
    use std::collections::BTreeMap;

    fn sums(hitters: &HeavyHitters) -> BTreeMap<Vec<u8>, u64> {
        hitters.sums().map(|(key, sum)| (key.to_vec(), sum)).collect()
    }

    #[test]
    fn few_keys_are_summed_exactly() {
        let mut hitters = HeavyHitters::new(3, KeyHasher::new(1));
        for (key, amount) in [("a", 5), ("b", 1), ("a", 2), ("c", 9), ("b", 1)] {
            hitters.add(key.as_bytes(), amount);
            hitters.check_invariants();
        }
        assert_eq!(hitters.total(), 18);
        let expected = [("a", 7), ("b", 2), ("c", 9)];
        let expected: BTreeMap<_, _> =
            expected.map(|(key, sum)| (key.as_bytes().to_vec(), sum)).into_iter().collect();
        assert_eq!(sums(&hitters), expected);
    }

    #[test]
    fn without_counters_nothing_is_followed() {
        let mut hitters = HeavyHitters::new(0, KeyHasher::new(1));
        hitters.add(b"a", 1);
        hitters.check_invariants();
        assert_eq!((hitters.total(), hitters.sums().count()), (1, 0));
    }

    #[test]
    fn of_many_keys_the_large_ones_are_found_and_no_sum_is_too_large() {
        let mut hitters = HeavyHitters::new(64, KeyHasher::new(7));
        let mut random = Random::new(11);
        let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for step in 0..40_000 {
            // Each of four keys has a tenth of it, and the rest is of 10 000 others.
            let number = random.below(10);
            let key = if number < 4 { number } else { 100 + random.below(10_000) };
            let key = format!("key:{key}").into_bytes();
            let amount = 1 + random.below(9) as u64;
            hitters.add(&key, amount);
            *model.entry(key).or_default() += amount;
            if step % 997 == 0 {
                hitters.check_invariants();
            }
        }
        hitters.check_invariants();
        assert_eq!(hitters.total(), model.values().sum::<u64>());
        let sums = sums(&hitters);
        assert!(sums.iter().all(|(key, sum)| *sum <= model[key]));
        let mut largest: Vec<_> = sums.iter().map(|(key, sum)| (*sum, key.clone())).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let error_max = hitters.total() / 64;
        for (sum, key) in &largest[..4] {
            assert!(key.len() == "key:0".len(), "{largest:?}");
            assert!(*sum + error_max >= model[key]);
        }
    }
}
