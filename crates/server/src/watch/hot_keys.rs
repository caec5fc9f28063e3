//! HOTKEYS: which keys take the most time and the most bytes, while somebody wants to know.
//!
//! A session of it is a [`Collection`] that all workers share. While one is under way, every command counts as
//! notable ([`Thresholds::noting_everything`](super::Thresholds::noting_everything)), and each worker adds what its
//! clients' commands cost to sums of its own, under a lock that only GET takes as well. GET adds the workers' sums
//! up. While there is none, nothing on the path of a command asks for it.
//!
//! As in Redis 8.6, a command with several keys counts for each with an equal part, one without keys for nothing; a script
//! counts for the keys it was called with, a transaction's commands one by one.

use super::Cost;
use super::heavy_hitters::HeavyHitters;
use crate::shared::{Shared, lock};
use crate::worker::Core;
use darter_base::UnixMillis;
use darter_command_table::{Access, Command};
use darter_resp::Args;
use darter_shard::Random;
use darter_structures::KeyHasher;
use hashbrown::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Counters for each key that is to be shown: a key with more than one part in `64 * count` of a worker's sum is
/// always among those followed.
const COUNTERS_PER_KEY: usize = 64;

/// What a session is to collect.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whether keys are ranked by the time of their commands.
    pub by_time: bool,
    /// Whether they are ranked by the bytes of requests and replies.
    pub by_bytes: bool,
    /// How many keys are shown, 1 to 64.
    pub count: usize,
    /// After how many milliseconds it ends by itself.
    pub duration_ms: Option<i64>,
    /// Of how many commands one has its keys looked at, at least 1.
    pub sample_ratio: usize,
}

/// The latest session, if it was not forgotten.
#[derive(Debug, Default)]
pub struct HotKeys(Mutex<Option<Arc<Collection>>>);

/// A session, under way or ended.
#[derive(Debug)]
pub struct Collection {
    plan: Plan,
    started_at: UnixMillis,
    /// Microseconds of processor time, of the user and of the system, that the process had had then.
    cpu_before: (u64, u64),
    has_ended: AtomicBool,
    /// How long it took in all; of meaning once it has ended.
    duration_ms: AtomicI64,
    /// By the number of the worker.
    parts: Box<[Mutex<Part>]>,
    /// Memory of all parts.
    memory_bytes: AtomicU64,
}

/// What one worker has collected.
#[derive(Debug)]
struct Part {
    time: Option<HeavyHitters>,
    bytes: Option<HeavyHitters>,
    /// Of all commands with keys, looked at or not.
    nanos: u64,
    /// Of their requests and replies.
    wire_bytes: u64,
    random: Random,
    memory_bytes: u64,
}

/// What a session has found.
#[derive(Debug)]
pub struct Findings {
    /// What was asked for.
    pub plan: Plan,
    /// Whether it is still under way.
    pub is_active: bool,
    /// When it began.
    pub started_at: UnixMillis,
    /// How long it took, in milliseconds; until now if it is under way.
    pub duration_ms: i64,
    /// Microseconds of processor time, of the user and of the system, that the process had had when it began.
    pub cpu_before: (u64, u64),
    /// Nanoseconds of all commands with keys.
    pub nanos: u64,
    /// Bytes of their requests and replies.
    pub wire_bytes: u64,
    /// Bytes of those that were looked at, as far as they are ranked.
    pub sampled_bytes: u64,
    /// Keys with nanoseconds, the largest first.
    pub by_time: Vec<(Vec<u8>, u64)>,
    /// Keys with bytes, the largest first.
    pub by_bytes: Vec<(Vec<u8>, u64)>,
}

impl HotKeys {
    /// The session under way, if there is one.
    pub fn under_way(&self) -> Option<Arc<Collection>> {
        lock(&self.0).as_ref().filter(|collection| !collection.has_ended()).map(Arc::clone)
    }

    /// The latest session, if it was not forgotten.
    pub fn latest(&self, now: UnixMillis) -> Option<Arc<Collection>> {
        let latest = lock(&self.0);
        let collection = latest.as_ref()?;
        collection.end_if_due(now);
        Some(Arc::clone(collection))
    }

    /// Memory of what was collected, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        lock(&self.0).as_ref().map_or(0, |it| it.memory_bytes.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Begins to collect, unless somebody does already; `false` then. What was collected before is forgotten.
    pub fn start_hot_keys(&self, plan: Plan, cpu_before: (u64, u64), now: UnixMillis) -> bool {
        let mut latest = lock(&self.hot_keys.0);
        if let Some(before) = latest.as_ref() {
            before.end_if_due(now);
            if !before.has_ended() {
                return false;
            }
        }
        let part =
            |seed: u64| Mutex::new(Part::new(&plan, &self.hasher, seed ^ now.0.cast_unsigned()));
        let collection = Collection {
            plan,
            started_at: now,
            cpu_before,
            has_ended: AtomicBool::new(false),
            duration_ms: AtomicI64::new(0),
            parts: (0..u64::from(self.router().worker_count())).map(part).collect(),
            memory_bytes: AtomicU64::new(0),
        };
        let forgotten = latest.replace(Arc::new(collection));
        drop(latest);
        self.note_hot_keys_gone(forgotten.as_deref());
        self.config.renew();
        true
    }

    /// Ends the session under way; `false` if there is none.
    pub fn stop_hot_keys(&self, now: UnixMillis) -> bool {
        let Some(collection) = self.hot_keys.latest(now).filter(|it| !it.has_ended()) else {
            return false;
        };
        collection.end(collection.millis_until(now));
        self.config.renew();
        true
    }

    /// Forgets what was collected, unless it still is; `false` then.
    pub fn reset_hot_keys(&self, now: UnixMillis) -> bool {
        let mut latest = lock(&self.hot_keys.0);
        if let Some(collection) = latest.as_ref() {
            collection.end_if_due(now);
            if !collection.has_ended() {
                return false;
            }
        }
        let forgotten = latest.take();
        drop(latest);
        self.note_hot_keys_gone(forgotten.as_deref());
        true
    }

    /// Ends the session when its time is over. One worker calls this now and then.
    pub fn end_due_hot_keys(&self, now: UnixMillis) {
        if self.hot_keys.under_way().is_some_and(|collection| collection.end_if_due(now)) {
            self.config.renew();
        }
    }

    /// A collection no longer counts towards the memory limit.
    fn note_hot_keys_gone(&self, collection: Option<&Collection>) {
        if let Some(collection) = collection {
            for part in &collection.parts {
                let part = &mut *lock(part);
                self.note_buffers(-part.memory_bytes.cast_signed());
                // A worker that does not know yet that it has ended adds nothing any more.
                *part = Part { time: None, bytes: None, memory_bytes: 0, ..Part::empty() };
            }
        }
    }
}

impl Core {
    /// Adds what a command has cost to what its keys have had, if that is collected.
    pub fn note_hot_keys(&self, command: &Command, args: Args<'_>, cost: Cost, now: UnixMillis) {
        let collection = self.hot_keys.borrow();
        let Some(collection) = collection.as_deref() else { return };
        collection.end_if_due(now);
        if collection.has_ended() {
            return;
        }
        let mut keys = 0;
        each_key(command, args, |_| keys += 1);
        if keys == 0 {
            return;
        }
        let mut part = lock(&collection.parts[self.worker.index()]);
        let wire_bytes = (cost.request_bytes as u64).saturating_add(cost.reply_bytes as u64);
        part.nanos = part.nanos.saturating_add(cost.nanos);
        part.wire_bytes = part.wire_bytes.saturating_add(wire_bytes);
        if part.random.below(collection.plan.sample_ratio) > 0 {
            return;
        }
        each_key(command, args, |index| {
            part.add(args.at(index), cost.nanos / keys, wire_bytes / keys);
        });
        let bytes = part.used_bytes();
        let more = bytes.wrapping_sub(part.memory_bytes).cast_signed();
        if more != 0 {
            part.memory_bytes = bytes;
            collection.memory_bytes.fetch_add(more.cast_unsigned(), Ordering::Relaxed);
            self.shared.note_buffers(more);
        }
    }
}

/// Calls `visit` with the argument index of each key.
fn each_key(command: &Command, args: Args<'_>, mut visit: impl FnMut(usize)) {
    for spec in command.keys.iter().filter(|spec| !spec.access.has(Access::NOT_KEY)) {
        spec.each_key(args, &mut visit);
    }
    if let Some(further_keys) = command.further_keys {
        further_keys(args, &mut visit);
    }
}

impl Collection {
    /// What was found so far.
    pub fn findings(&self, now: UnixMillis) -> Findings {
        let is_active = !self.has_ended();
        let mut findings = Findings {
            plan: self.plan,
            is_active,
            started_at: self.started_at,
            duration_ms: if is_active {
                self.millis_until(now)
            } else {
                self.duration_ms.load(Ordering::Relaxed)
            },
            cpu_before: self.cpu_before,
            nanos: 0,
            wire_bytes: 0,
            sampled_bytes: 0,
            by_time: Vec::new(),
            by_bytes: Vec::new(),
        };
        let (mut time, mut bytes) = (HashMap::new(), HashMap::new());
        for part in &self.parts {
            let part = lock(part);
            findings.nanos = findings.nanos.saturating_add(part.nanos);
            findings.wire_bytes = findings.wire_bytes.saturating_add(part.wire_bytes);
            add_sums(part.time.as_ref(), &mut time);
            add_sums(part.bytes.as_ref(), &mut bytes);
            let sampled = part.bytes.as_ref().map_or(0, HeavyHitters::total);
            findings.sampled_bytes = findings.sampled_bytes.saturating_add(sampled);
        }
        findings.by_time = largest(time, self.plan.count);
        findings.by_bytes = largest(bytes, self.plan.count);
        findings
    }

    /// Whether nothing is collected any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    fn millis_until(&self, now: UnixMillis) -> i64 {
        now.0.saturating_sub(self.started_at.0).max(0)
    }

    /// Ends it when its time is over: whether it did so now.
    fn end_if_due(&self, now: UnixMillis) -> bool {
        match self.plan.duration_ms {
            Some(duration_ms) if !self.has_ended() && self.millis_until(now) >= duration_ms => {
                self.end(duration_ms);
                true
            }
            _ => false,
        }
    }

    fn end(&self, duration_ms: i64) {
        self.duration_ms.store(duration_ms, Ordering::Relaxed);
        self.has_ended.store(true, Ordering::Release);
    }
}

impl Part {
    fn new(plan: &Plan, hasher: &KeyHasher, seed: u64) -> Self {
        let hitters = |wanted: bool| {
            wanted.then(|| HeavyHitters::new(plan.count * COUNTERS_PER_KEY, hasher.clone()))
        };
        Self {
            time: hitters(plan.by_time),
            bytes: hitters(plan.by_bytes),
            random: Random::new(seed),
            ..Self::empty()
        }
    }

    const fn empty() -> Self {
        let random = Random::new(0);
        Self { time: None, bytes: None, nanos: 0, wire_bytes: 0, random, memory_bytes: 0 }
    }

    fn add(&mut self, key: &[u8], nanos: u64, wire_bytes: u64) {
        if let Some(time) = &mut self.time {
            time.add(key, nanos);
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.add(key, wire_bytes);
        }
    }

    fn used_bytes(&self) -> u64 {
        let hitters = [&self.time, &self.bytes].into_iter().flatten();
        hitters.map(|hitters| hitters.memory_bytes() as u64).sum()
    }
}

fn add_sums(hitters: Option<&HeavyHitters>, sums: &mut HashMap<Vec<u8>, u64>) {
    for (key, sum) in hitters.into_iter().flat_map(HeavyHitters::sums) {
        let all = sums.entry_ref(key).or_default();
        *all = all.saturating_add(sum);
    }
}

/// The `count` keys with the largest sums, of those with any.
fn largest(sums: HashMap<Vec<u8>, u64>, count: usize) -> Vec<(Vec<u8>, u64)> {
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, sum)| *sum > 0).collect();
    sums.sort_unstable_by(|(key, sum), (other_key, other)| {
        other.cmp(sum).then_with(|| key.cmp(other_key))
    });
    sums.truncate(count);
    sums
}
