//! What memory the process really takes, and what is done with `activedefrag yes`, the default, when that is too much.
//!
//! `used_memory` counts what was asked for. What the system gives for it is more: pages of the allocator that are partly
//! empty, most of all after values of other sizes took the place of those there were. An operator who sets `maxmemory`, and
//! a kernel that ends what exceeds its control group, mean what is given.
//!
//! ```text
//!                                            resident
//!  |<- base ->|<- maxmemory ->|<- margin ->|.........|......
//!                             ^            ^         ^
//!     defragment, with more   |            |         |  writes are held back
//!     and more effort                      |
//!                                          |  the limit that shards keep to is lowered
//! ```
//!
//! **Defragmentation** gives the empty parts back: workers move what lies in under-used pages together
//! ([`defragment`](crate::worker)). It begins when more is resident than the limit says, or when as much is wasted as
//! the `active-defrag-*` parameters say, and gets the more time the nearer the margin comes.
//!
//! **The correction** works whatever the allocator does, where keys may be evicted: as long as more is
//! resident than limit and margin, the limit for keys and buffers sinks, and rises again when that is over. It sinks by
//! the excess in a twentieth of a second, or while a worker is sent 8 MB, whichever comes first, that is faster than memory
//! fills; and it rises ten times slower, so that it does not swing. What is about to be evicted as it is does not count for
//! that. It never takes more than half.
//!
//! **Holding back** gives both the time they need, on a machine that has others to serve as well: above a tenth of the limit
//! and 20 MB more, 12 MB below what an operator is told to leave room for, writes wait. For half a second of measurements, which
//! is given back within two seconds of less being resident, and no longer: it may be of a kind that nothing of this makes less.
//!
//! **Purging** gives what the allocator has free back to the system at once, by a thread that has nothing else to do. The allocator does that
//! by itself after a while, but two threads that free and purge at the same time may have it forget to ever do so again: what
//! is free stays resident then (mimalloc 3.3; see its issue 1246).
//!
//! With `activedefrag no` nothing of this is done: nothing is measured and no limit is lowered.

use crate::commands::info::resident_bytes;
use darter_command_table::MemoryLimit;
use darter_structures::allocator;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often a worker looks while there is a limit, which takes it 5 microseconds: after this time, or this much input.
pub const MEASURING_INTERVAL: Duration = Duration::from_millis(10);
pub const MEASURING_INPUT_BYTES: u64 = 1 << 20;

/// How often it looks while there is none.
pub const MEASURING_INTERVAL_UNLIMITED: Duration = Duration::from_millis(100);

/// What may be resident beside base, limit and a twentieth of the limit before the limit is lowered.
const MARGIN_BYTES: i64 = 4 << 20;

/// The most that is taken for the base: code, stacks and what else there is besides data, which is what is resident
/// beyond what is used when defragmentation is switched on.
const BASE_BYTES_MAX: i64 = 16 << 20;

/// Limits below this are not corrected: whatever the process needs besides is more.
const CORRECTED_BYTES_MIN: u64 = 16 << 20;

/// Times in which an excess of memory lowers the limit by as much, and in which a lack raises it.
const SINKING_MS: i64 = 50;
const RISING_MS: i64 = 500;

/// The input after which an excess has lowered the limit by as much.
const SINKING_INPUT_BYTES: i64 = 8 << 20;

/// What may be resident beside limit and a tenth of it before writes are held back, and for how long they are.
const HELD_ABOVE_BYTES: i64 = 20 << 20;
const HOLDING_TIME_MAX: Duration = Duration::from_millis(500);

/// What counts of the time between two measurements as holding back: a worker that had no processor has made nothing less.
const HOLDING_STEP_MAX: Duration = Duration::from_millis(20);

/// How many times as long it takes until they may be held back for as long again.
const HOLDING_GIVEN_BACK: u32 = 4;

/// What may be resident beside what is used before free memory is purged, and how often it is; and while more than the margin
/// is resident.
const PURGED_ABOVE_BYTES: u64 = 32 << 20;
const PURGING_INTERVAL: Duration = Duration::from_secs(1);
const PURGING_INTERVAL_ABOVE_MARGIN: Duration = Duration::from_millis(50);

/// The longest time between two measurements that counts.
const STEP_MS_MAX: i64 = 100;

/// Percent of a worker's time for defragmentation, when it begins and when the margin is reached.
const EFFORT_MIN: i64 = 5;
const EFFORT_MAX: i64 = 60;

/// `activedefrag` and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefragSettings {
    /// `activedefrag`.
    pub is_on: bool,
    /// `active-defrag-ignore-bytes`.
    pub ignored_bytes: u64,
    /// `active-defrag-threshold-lower`, in percent of what is used.
    pub lower_percent: u64,
    /// `active-defrag-threshold-upper`.
    pub upper_percent: u64,
    /// `active-defrag-cycle-min`, in percent of a worker's time.
    pub effort_min: u32,
    /// `active-defrag-cycle-max`.
    pub effort_max: u32,
}

impl Default for DefragSettings {
    fn default() -> Self {
        Self {
            is_on: true,
            ignored_bytes: 100 << 20,
            lower_percent: 10,
            upper_percent: 100,
            effort_min: 1,
            effort_max: 25,
        }
    }
}

impl DefragSettings {
    /// Percent of a worker's time to spend when so many bytes are used and so many resident.
    fn effort(&self, used: u64, resident: u64) -> u32 {
        let wasted = resident.saturating_sub(used);
        let percent = wasted.saturating_mul(100) / used.max(1);
        if !self.is_on || wasted <= self.ignored_bytes || percent < self.lower_percent {
            return 0;
        }
        let span = self.upper_percent.saturating_sub(self.lower_percent).max(1);
        let above = (percent - self.lower_percent).min(span);
        let more = u64::from(self.effort_max.saturating_sub(self.effort_min)) * above / span;
        self.effort_min + u32::try_from(more).unwrap_or(0)
    }
}

/// What is resident, as of the last measurement, and what follows from it.
#[derive(Debug, Default)]
pub struct Residence {
    /// What is resident and not used.
    wasted_bytes: AtomicU64,
    /// What the limit is lowered by.
    correction: AtomicI64,
    /// Percent of a worker's time to spend on defragmentation.
    effort: AtomicU32,
    /// Whether writes are held back.
    holds_back: AtomicBool,
    /// Whether free memory is to be purged, and whether it just is.
    purge_is_due: AtomicBool,
    is_purging: AtomicBool,
    measured: Mutex<Option<Measured>>,
}

/// The last measurement.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Instant,
    /// What there was besides data at the first one.
    base_bytes: i64,
    /// Whether the allocator was set up for defragmentation.
    is_served: bool,
    /// How long writes have been held back, less what was given back.
    held_back: Duration,
    /// When free memory was to be purged last.
    purged_at: Instant,
}

impl Residence {
    /// Looks what is resident and draws the conclusions. `used` is what keys and buffers take, `input_bytes` what the worker
    /// was sent since it looked last. `false` if another worker is just looking.
    pub fn measure(
        &self,
        now: Instant,
        limit: &MemoryLimit,
        defrag: &DefragSettings,
        used: u64,
        input_bytes: u64,
    ) -> bool {
        let Ok(mut measured) = self.measured.try_lock() else { return false };
        let resident = resident_bytes();
        let last = measured.unwrap_or_else(|| {
            let base_bytes = signed(resident.saturating_sub(used)).min(BASE_BYTES_MAX);
            let held_back = Duration::ZERO;
            Measured { at: now, base_bytes, is_served: false, held_back, purged_at: now }
        });
        let wasted = resident.saturating_sub(used);
        self.wasted_bytes.store(wasted, Ordering::Relaxed);
        let mut effort = defrag.effort(used, resident);
        let is_served = limit.is_set() || effort > 0;
        if is_served != last.is_served {
            allocator::serve_defragmentation(is_served);
        }
        let mut correction = 0;
        let mut held_back = Duration::ZERO;
        let mut holds_back = false;
        let mut is_above_margin = false;
        if limit.is_set() && limit.bytes >= CORRECTED_BYTES_MIN {
            let plan = Plan::new(limit, last.base_bytes);
            effort = effort.max(plan.effort(signed(resident)));
            is_above_margin = signed(resident) > plan.corrected_above;
            if limit.policy.is_some() {
                let elapsed = now.saturating_duration_since(last.at);
                let step = Step::new(elapsed, input_bytes);
                correction =
                    plan.correction(self.correction(), signed(resident), signed(used), step);
                held_back = plan.held_back(last.held_back, signed(resident), elapsed);
                holds_back = signed(resident) > plan.held_above && held_back < HOLDING_TIME_MAX;
            }
        }
        let since = now.saturating_duration_since(last.purged_at);
        let interval = purging_interval(wasted, is_above_margin);
        let purges = interval.is_some_and(|interval| since >= interval);
        let purged_at = if purges { now } else { last.purged_at };
        *measured = Some(Measured { at: now, is_served, held_back, purged_at, ..last });
        self.purge_is_due.fetch_or(purges, Ordering::Relaxed);
        self.holds_back.store(holds_back, Ordering::Relaxed);
        self.correction.store(correction, Ordering::Relaxed);
        self.effort.store(effort, Ordering::Relaxed);
        true
    }

    /// Ends what measurements began, when defragmentation has been switched off.
    pub fn end(&self) {
        let Ok(mut measured) = self.measured.lock() else { return };
        if measured.take().is_some_and(|last| last.is_served) {
            allocator::serve_defragmentation(false);
        }
        self.correction.store(0, Ordering::Relaxed);
        self.effort.store(0, Ordering::Relaxed);
        self.holds_back.store(false, Ordering::Relaxed);
    }

    /// Whether writes wait until less is resident.
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.holds_back.load(Ordering::Relaxed)
    }

    /// Whether free memory is to be purged now, and nobody is at it: the caller has it [ended](Self::end_purge) then.
    pub fn begin_purge(&self) -> bool {
        self.purge_is_due.swap(false, Ordering::Relaxed)
            && !self.is_purging.swap(true, Ordering::Relaxed)
    }

    /// Free memory has been purged.
    pub fn end_purge(&self) {
        self.is_purging.store(false, Ordering::Relaxed);
    }

    /// Bytes that the limit for keys and buffers is below `maxmemory`.
    pub fn correction(&self) -> i64 {
        self.correction.load(Ordering::Relaxed)
    }

    /// Lowers a limit by the correction.
    pub fn lower(&self, limit: &mut MemoryLimit) {
        let correction = self.correction();
        if correction > 0 && limit.is_set() && limit.policy.is_some() {
            limit.lowered_by = correction.unsigned_abs().min(limit.bytes);
            limit.bytes -= limit.lowered_by;
        }
    }

    /// Percent of a worker's time to spend on defragmentation; 0: none.
    pub fn effort(&self) -> u32 {
        self.effort.load(Ordering::Relaxed)
    }

    /// Bytes that were resident when somebody last looked, and that neither keys nor buffers took.
    pub fn wasted_bytes(&self) -> u64 {
        self.wasted_bytes.load(Ordering::Relaxed)
    }
}

/// How often free memory is purged when so many bytes are resident and not used.
const fn purging_interval(wasted: u64, is_above_margin: bool) -> Option<Duration> {
    if is_above_margin {
        Some(PURGING_INTERVAL_ABOVE_MARGIN)
    } else if wasted > PURGED_ABOVE_BYTES {
        Some(PURGING_INTERVAL)
    } else {
        None
    }
}

/// What follows from a limit.
#[derive(Clone, Copy, Debug)]
struct Plan {
    limit: i64,
    /// Resident bytes above which things are moved together.
    defragmented_above: i64,
    /// Resident bytes above which the limit is lowered.
    corrected_above: i64,
    /// Resident bytes above which writes are held back.
    held_above: i64,
}

impl Plan {
    fn new(limit: &MemoryLimit, base_bytes: i64) -> Self {
        let bytes = signed(limit.bytes);
        let defragmented_above = bytes.saturating_add(base_bytes);
        let margin = bytes / 20 + MARGIN_BYTES;
        let corrected_above = defragmented_above.saturating_add(margin);
        let held_above = bytes.saturating_add(bytes / 10).saturating_add(HELD_ABOVE_BYTES);
        Self { limit: bytes, defragmented_above, corrected_above, held_above }
    }

    /// How long writes have been held back, after so much time with so much resident.
    fn held_back(&self, before: Duration, resident: i64, elapsed: Duration) -> Duration {
        if resident <= self.held_above {
            before.saturating_sub(elapsed / HOLDING_GIVEN_BACK)
        } else {
            before.saturating_add(elapsed.min(HOLDING_STEP_MAX))
        }
    }

    fn effort(&self, resident: i64) -> u32 {
        let above = resident - self.defragmented_above;
        if above <= 0 {
            return 0;
        }
        let span = self.corrected_above - self.defragmented_above;
        let more = (EFFORT_MAX - EFFORT_MIN) * above.min(span) / span.max(1);
        u32::try_from(EFFORT_MIN + more).unwrap_or(0)
    }

    /// The correction after a step with so much resident and used. What is about to be evicted as it is does not have the
    /// limit sink further.
    fn correction(&self, before: i64, resident: i64, used: i64, step: Step) -> i64 {
        let pending = used.saturating_sub(self.limit - before).max(0);
        let excess = resident.saturating_sub(pending) - self.corrected_above;
        let change = if excess > 0 {
            let by_time = excess.saturating_mul(step.micros) / (SINKING_MS * 1000);
            let by_input = excess.saturating_mul(step.input_kb) / (SINKING_INPUT_BYTES >> 10);
            by_time.max(by_input).min(excess)
        } else {
            excess.saturating_mul(step.micros) / (RISING_MS * 1000)
        };
        (before + change).clamp(0, self.limit / 2)
    }
}

/// What passed between two measurements.
#[derive(Clone, Copy, Debug)]
struct Step {
    micros: i64,
    input_kb: i64,
}

impl Step {
    fn new(time: Duration, input_bytes: u64) -> Self {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self { micros: micros.min(STEP_MS_MAX * 1000), input_kb: signed(input_bytes >> 10) }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_shard::{EvictionOrder, EvictionPolicy};

    const MB: i64 = 1 << 20;

    fn limit() -> MemoryLimit {
        let policy = EvictionPolicy { order: EvictionOrder::Lru, only_volatile: false, samples: 5 };
        MemoryLimit { bytes: 200 << 20, policy: Some(policy), lowered_by: 0, keys_per_write: 128 }
    }

    fn step(millis: u64, megabytes: u64) -> Step {
        Step::new(Duration::from_millis(millis), megabytes << 20)
    }

    #[test]
    fn the_limit_sinks_while_too_much_is_resident_and_rises_slowly() {
        let plan = Plan::new(&limit(), 10 * MB);
        assert_eq!(plan.corrected_above, 224 * MB);
        assert_eq!(plan.correction(0, 224 * MB, 100 * MB, step(10, 1)), 0);
        assert_eq!(plan.correction(0, 234 * MB, 100 * MB, step(10, 0)), 2 * MB);
        assert_eq!(plan.correction(0, 232 * MB, 100 * MB, step(10, 2)), 2 * MB);
        assert_eq!(
            plan.correction(0, 232 * MB, 100 * MB, step(10, 99)),
            8 * MB,
            "the excess at most"
        );
        assert_eq!(plan.correction(2 * MB, 214 * MB, 100 * MB, step(50, 0)), MB);
        assert_eq!(plan.correction(MB, 100 * MB, 100 * MB, step(100, 0)), 0);
        assert_eq!(plan.correction(99 * MB, 900 * MB, 100 * MB, step(100, 0)), 100 * MB);
        let behind = 210 * MB;
        assert_eq!(plan.correction(0, 244 * MB, behind, step(50, 0)), 10 * MB, "as if 234 were");
        assert_eq!(plan.correction(10 * MB, 244 * MB, behind, step(50, 0)), 10 * MB);
    }

    #[test]
    fn how_long_writes_have_been_held_back_is_given_back_while_less_is_resident() {
        let plan = Plan::new(&limit(), 10 * MB);
        assert_eq!(plan.held_above, 240 * MB);
        let after = |before: u64, resident, elapsed| {
            let millis = Duration::from_millis;
            plan.held_back(millis(before), resident, millis(elapsed)).as_millis()
        };
        assert_eq!(after(100, 241 * MB, 10), 110);
        assert_eq!(after(100, 241 * MB, 900), 120, "it had no processor");
        assert_eq!(after(100, 240 * MB, 20), 95);
        assert_eq!(after(100, 200 * MB, 200), 50);
        assert_eq!(after(100, 200 * MB, 500), 0);
    }

    #[test]
    fn free_memory_is_purged_by_one_at_a_time_when_it_is_due() {
        assert_eq!(purging_interval(32 << 20, false), None);
        assert_eq!(purging_interval(33 << 20, false), Some(PURGING_INTERVAL));
        assert_eq!(purging_interval(0, true), Some(PURGING_INTERVAL_ABOVE_MARGIN));
        let residence = Residence::default();
        residence.purge_is_due.store(true, Ordering::Relaxed);
        assert!(residence.begin_purge());
        assert!(!residence.begin_purge(), "it is not due again");
        residence.purge_is_due.store(true, Ordering::Relaxed);
        assert!(!residence.begin_purge(), "somebody is at it");
        residence.end_purge();
        residence.purge_is_due.store(true, Ordering::Relaxed);
        assert!(residence.begin_purge());
    }

    #[test]
    fn effort_grows_up_to_the_margin() {
        let plan = Plan::new(&limit(), 10 * MB);
        assert_eq!(plan.effort(210 * MB), 0);
        assert_eq!(plan.effort(217 * MB), 32);
        assert_eq!(plan.effort(224 * MB), 60);
        assert_eq!(plan.effort(i64::MAX), 60);
    }

    #[test]
    fn a_limit_is_lowered_where_keys_may_be_evicted() {
        let residence = Residence::default();
        let lowered = |mut limit: MemoryLimit| {
            residence.lower(&mut limit);
            (limit.bytes, limit.lowered_by)
        };
        assert_eq!(lowered(limit()), (200 << 20, 0));
        residence.correction.store(MB, Ordering::Relaxed);
        assert_eq!(lowered(limit()), (199 << 20, 1 << 20));
        assert_eq!(lowered(MemoryLimit { policy: None, ..limit() }), (200 << 20, 0));
        assert_eq!(lowered(MemoryLimit::NONE), (u64::MAX, 0));
        residence.end();
        assert_eq!(lowered(limit()), (200 << 20, 0));
    }

    #[test]
    fn active_defragmentation_begins_where_it_is_told_to() {
        let settings = DefragSettings::default();
        assert_eq!(settings.effort(1000 << 20, 1090 << 20), 0);
        assert_eq!(settings.effort(1000 << 20, 1110 << 20), 1);
        assert_eq!(settings.effort(1000 << 20, 1550 << 20), 13);
        assert_eq!(settings.effort(1000 << 20, 9000 << 20), 25);
        assert_eq!(settings.effort(0, 90 << 20), 0);
        let off = DefragSettings { is_on: false, ..settings };
        assert_eq!(off.effort(1000 << 20, 9000 << 20), 0);
    }
}
