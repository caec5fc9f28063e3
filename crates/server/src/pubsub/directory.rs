//! Which workers have subscribers of what: shared by all of them, and all that PUBLISH looks at.

use super::Kind;
use super::patterns::Patterns;
use super::transit::Transit;
use darter_base::WorkerId;
use darter_base::glob::{Case, glob_matches};
use darter_shard::KeyHasher;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// Parts of a map of names, each under a lock of its own, so that publishers seldom meet.
const STRIPES: usize = 64;

/// How many subscribers a name has, by worker. No count is 0.
#[derive(Clone, Debug, Default)]
pub struct Audience(Vec<(WorkerId, usize)>);

impl Audience {
    /// Counts a subscriber on `worker`.
    pub fn add(&mut self, worker: WorkerId) {
        match self.0.iter_mut().find(|(known, _)| *known == worker) {
            Some((_, count)) => *count += 1,
            None => self.0.push((worker, 1)),
        }
    }

    /// Counts one less; `true` when there is none left.
    pub fn remove(&mut self, worker: WorkerId) -> bool {
        if let Some(place) = self.0.iter().position(|(known, _)| *known == worker) {
            self.0[place].1 -= 1;
            if self.0[place].1 == 0 {
                self.0.swap_remove(place);
            }
        }
        self.0.is_empty()
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

/// Who subscribed to each name.
pub type Audiences = HashMap<Arc<[u8]>, Audience>;

/// Names with subscribers.
#[derive(Debug)]
struct Names {
    stripes: Box<[Mutex<Audiences>]>,
    count: AtomicUsize,
}

impl Names {
    fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            count: AtomicUsize::new(0),
        }
    }

    fn stripe(&self, hash: u64) -> MutexGuard<'_, Audiences> {
        // STRIPES is small: what is left fits.
        let index = usize::try_from(hash % STRIPES as u64).unwrap_or(0);
        lock(&self.stripes[index])
    }

    fn add(&self, hash: u64, name: &Arc<[u8]>, worker: WorkerId) {
        let mut stripe = self.stripe(hash);
        let before = stripe.len();
        stripe.entry(Arc::clone(name)).or_default().add(worker);
        self.count.fetch_add(stripe.len() - before, Ordering::Relaxed);
    }

    fn remove(&self, hash: u64, name: &[u8], worker: WorkerId) {
        let mut stripe = self.stripe(hash);
        if stripe.get_mut(name).is_some_and(|audience| audience.remove(worker)) {
            stripe.remove(name);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("counting cannot panic")
}

/// Whom a message reaches.
#[derive(Debug, Default)]
pub struct Reach {
    /// How many subscriptions. A client that has several that match counts for each.
    pub receivers: usize,
    /// The workers that have them, each once.
    pub workers: Vec<WorkerId>,
    /// The patterns that match.
    pub patterns: Vec<Arc<[u8]>>,
}

impl Reach {
    fn include(&mut self, audience: &Audience) {
        for (worker, count) in &audience.0 {
            self.receivers += count;
            if !self.workers.contains(worker) {
                self.workers.push(*worker);
            }
        }
    }
}

/// Who has subscribers of what.
#[derive(Debug)]
pub struct Directory {
    hasher: KeyHasher,
    channels: Names,
    shard_channels: Names,
    patterns: RwLock<Patterns>,
    /// How many patterns there are, to be read without the lock.
    pattern_count: AtomicUsize,
    /// What is under way to each worker.
    transits: Box<[Transit]>,
}

impl Directory {
    /// Nobody subscribed to anything.
    pub fn new(hasher: KeyHasher, worker_count: usize) -> Self {
        Self {
            hasher,
            channels: Names::new(),
            shard_channels: Names::new(),
            patterns: RwLock::default(),
            pattern_count: AtomicUsize::new(0),
            transits: (0..worker_count).map(|_| Transit::default()).collect(),
        }
    }

    /// Messages under way to `worker`.
    pub fn transit(&self, worker: WorkerId) -> &Transit {
        &self.transits[worker.index()]
    }

    fn names(&self, kind: Kind) -> Option<&Names> {
        match kind {
            Kind::Channel => Some(&self.channels),
            Kind::ShardChannel => Some(&self.shard_channels),
            Kind::Pattern => None,
        }
    }

    /// Counts a subscriber on `worker`.
    pub fn add(&self, kind: Kind, name: &Arc<[u8]>, worker: WorkerId) {
        if let Some(names) = self.names(kind) {
            return names.add(self.hasher.hash(name), name, worker);
        }
        let mut patterns = self.patterns.write().expect("counting cannot panic");
        patterns.add(name, worker);
        self.pattern_count.store(patterns.count(), Ordering::Relaxed);
    }

    /// Counts one less.
    pub fn remove(&self, kind: Kind, name: &[u8], worker: WorkerId) {
        if let Some(names) = self.names(kind) {
            return names.remove(self.hasher.hash(name), name, worker);
        }
        let mut patterns = self.patterns.write().expect("counting cannot panic");
        patterns.remove(name, worker);
        self.pattern_count.store(patterns.count(), Ordering::Relaxed);
    }

    /// Whom a message in a channel of this kind reaches now. Patterns are of channels only.
    pub fn reach(&self, kind: Kind, channel: &[u8]) -> Reach {
        let mut reach = Reach::default();
        if let Some(names) = self.names(kind)
            && names.count.load(Ordering::Relaxed) > 0
            && let Some(audience) = names.stripe(self.hasher.hash(channel)).get(channel)
        {
            reach.include(audience);
        }
        if kind == Kind::Channel && self.pattern_count.load(Ordering::Relaxed) > 0 {
            let patterns = self.patterns.read().expect("counting cannot panic");
            patterns.each_match(channel, |pattern, audience| {
                reach.include(audience);
                reach.patterns.push(Arc::clone(pattern));
            });
        }
        reach
    }

    /// Whether anybody subscribed to channels or patterns.
    pub fn any(&self) -> bool {
        self.channels.count.load(Ordering::Relaxed) > 0
            || self.pattern_count.load(Ordering::Relaxed) > 0
    }

    /// How many different names of a kind have subscribers.
    pub fn count(&self, kind: Kind) -> usize {
        let count = self.names(kind).map_or(&self.pattern_count, |names| &names.count);
        count.load(Ordering::Relaxed)
    }

    /// How many subscribers a channel of this kind has, those by patterns apart.
    pub fn subscriber_count(&self, kind: Kind, channel: &[u8]) -> usize {
        let names = self.names(kind);
        names.map_or(0, |names| {
            names.stripe(self.hasher.hash(channel)).get(channel).map_or(0, Audience::total)
        })
    }

    /// The channels of a kind that have subscribers, those that match if there is a pattern.
    pub fn channels(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Arc<[u8]>> {
        let mut found = Vec::new();
        for stripe in self.names(kind).into_iter().flat_map(|names| &names.stripes) {
            let stripe = lock(stripe);
            let meant = stripe.keys().filter(|channel| {
                pattern.is_none_or(|pattern| glob_matches(pattern, channel, Case::Exact))
            });
            found.extend(meant.map(Arc::clone));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<[u8]> {
        Arc::from(text.as_bytes())
    }

    #[test]
    fn a_message_reaches_each_worker_once_and_counts_each_subscription() {
        let directory = Directory::new(KeyHasher::new(7), 3);
        directory.add(Kind::Channel, &name("news"), WorkerId(0));
        directory.add(Kind::Channel, &name("news"), WorkerId(0));
        directory.add(Kind::Channel, &name("news"), WorkerId(2));
        directory.add(Kind::Pattern, &name("n*"), WorkerId(2));
        directory.add(Kind::Pattern, &name("x*"), WorkerId(1));
        directory.add(Kind::ShardChannel, &name("news"), WorkerId(1));
        let reach = directory.reach(Kind::Channel, b"news");
        assert_eq!(reach.receivers, 4);
        assert_eq!(reach.workers, [WorkerId(0), WorkerId(2)]);
        assert_eq!(reach.patterns, [name("n*")]);
        let reach = directory.reach(Kind::ShardChannel, b"news");
        assert_eq!((reach.receivers, reach.workers), (1, vec![WorkerId(1)]));
        assert_eq!(directory.subscriber_count(Kind::Channel, b"news"), 3);
        assert_eq!(directory.count(Kind::Channel), 1);
        assert_eq!(directory.count(Kind::Pattern), 2);
        for worker in [0, 0, 2] {
            directory.remove(Kind::Channel, b"news", WorkerId(worker));
        }
        directory.remove(Kind::Pattern, b"n*", WorkerId(2));
        assert_eq!(directory.reach(Kind::Channel, b"news").receivers, 0);
        assert_eq!(directory.count(Kind::Channel), 0);
        assert!(directory.channels(Kind::Channel, None).is_empty());
        assert_eq!(directory.channels(Kind::ShardChannel, Some(b"n*")), [name("news")]);
    }
}
