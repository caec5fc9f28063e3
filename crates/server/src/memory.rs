//! The memory limit (`maxmemory`): who may use how much of it, and making room.
//!
//! ```text
//!  maxmemory  |<- allotted to shards --------------------->|<- buffers ->|<- free ->|
//!                shard 0          shard 1        ...
//!             |#########...|  |###########|                      # used by what it has
//! ```
//!
//! Each shard has an allotment, kept in the shard. While it stays within that, a write touches nothing that
//! workers share. When it outgrows it, it takes more of what is free, with some slack if there is plenty; when
//! nothing is free it evicts its own keys, as many bytes as it added. So at the limit every shard evicts for
//! itself, and no counter is fought over.
//!
//! What is free goes below zero when nothing may be evicted, when buffers grow, or when the limit is lowered.
//! Then every write makes some room, and so does the background work of every shard; a write that can make none
//! is refused, unless another shard can.
//!
//! The limit that workers keep to is below `maxmemory` while `activedefrag` is on and the process takes much more than
//! what is counted here: see [`residence`](crate::residence).
//!
//! Buffers count as of each worker's latest tick, after what was written to clients has gone to their sockets: messages that
//! tell clients of evicted keys must not have further keys evicted. Those kept for later replies are freed before keys are.
//!
//! Garbage counts as free already: it is gone soon, and evicting more for it would evict everything when a big
//! value goes. A shard that makes room frees garbage first.

use crate::observed::work_observed;
use crate::shared::Shared;
use crate::worker::Core;
use darter_base::UnixMillis;
use darter_command_table::{CallLimits, MemoryLimit, ShardView};
use darter_resp::Args;
use darter_shard::{EvictionPolicy, Shard};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// What of the limit is set aside for whom.
#[derive(Debug)]
pub struct Allotments {
    /// Bytes allotted to shards, all together.
    allotted: AtomicI64,
    /// Bytes of all buffers, each worker's as of its latest tick, of what tracked clients have read, and of the stream for
    /// replicas.
    buffers: AtomicI64,
    /// What of that is kept for later replies, and is freed where memory is short.
    spares: AtomicI64,
    /// What is for tracked clients, and for replicas.
    tracking: AtomicUsize,
    /// By shard: whether it had keys that may be evicted when somebody last looked.
    evictable: Box<[AtomicBool]>,
    excesses: Excesses,
}

/// Commands that have gone far beyond the limit: on cache lines of their own, which are looked at before every reply.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Excesses {
    /// How many there were.
    noted: AtomicU64,
    /// How many of these all shards have made room for.
    met: AtomicU64,
}

/// Commands that have gone far beyond the limit and that room has not been made for.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    /// How many there have been so far, those included that are met.
    seen: u64,
    /// How many of them are not.
    unmet: usize,
}

/// The most slack a shard takes: enough that growing costs an atomic operation per some hundred keys.
const SLACK_BYTES_MAX: i64 = 64 * 1024;
/// What one command may take beyond the limit before all shards make room for it at once.
const EXCESS_BYTES_MAX: i64 = 64 * 1024;
/// Keys one write evicts at most for what is short all over because the limit was lowered: it is as urgent as the rest
/// of a batch that waits.
const KEYS_PER_WRITE_IF_LOWERED: usize = 16;
/// How many times as many keys one write evicts at most for what its own shard has grown by: a value may be as big as
/// thousands of others, and what is not made room for at once adds up while such values are written.
const GROWTH_FACTOR: usize = 32;
/// Keys the background work evicts in one go, some 100 microseconds, and how many at most when more is short: as many
/// times more as there are so many bytes. What one command cannot make room for at once is freed while the next is read.
const KEYS_PER_SLICE: usize = 64;
const KEYS_PER_SLICE_MAX: usize = 2048;
const HURRIED_BYTES: i64 = 512 * 1024;
/// Keys of each shard evicted at most for each command that went far beyond the limit, before that is answered: it may have
/// taken as much as thousands of others.
const KEYS_PER_EXCESS: usize = 4096;
/// Bytes of arguments from which a command waits while memory is far beyond the limit.
const WAITING_BYTES_MIN: usize = 64 * 1024;
/// What part of the limit is far beyond it.
const FAR_BEYOND: i64 = 32;
/// Pieces of garbage freed when room is made, some ten microseconds each.
const GARBAGE_PER_WRITE: usize = 2;
/// The same in each shard when room is made for a command that went far beyond the limit.
const GARBAGE_PER_EXCESS: usize = 16;

impl Allotments {
    /// Nothing is allotted yet.
    pub fn new(shards: usize) -> Self {
        Self {
            allotted: AtomicI64::new(0),
            buffers: AtomicI64::new(0),
            spares: AtomicI64::new(0),
            tracking: AtomicUsize::new(0),
            evictable: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            excesses: Excesses::default(),
        }
    }

    /// What is not set aside; below zero when too much is.
    fn free(&self, limit: &MemoryLimit) -> i64 {
        signed(limit.bytes)
            - self.allotted.load(Ordering::Relaxed)
            - self.buffers.load(Ordering::Relaxed)
    }

    /// Takes `bytes` more for a shard, or gives them back.
    fn take(&self, shard: &mut Shard, bytes: i64) {
        self.allotted.fetch_add(bytes, Ordering::Relaxed);
        shard.allotted_bytes += bytes;
    }

    /// Whether some shard had keys that may be evicted.
    fn can_evict(&self) -> bool {
        self.evictable.iter().any(|evictable| evictable.load(Ordering::Relaxed))
    }
}

impl Shared {
    /// Brings the allotment of a shard in line with what it uses, as far as something is free.
    pub fn settle(&self, limit: &MemoryLimit, shard: &mut Shard) {
        let live = live_bytes(shard);
        let surplus = shard.allotted_bytes - live;
        let free = self.allotments.free(limit);
        let slack = self.slack(free);
        if surplus < 0 {
            let wanted = slack - surplus;
            // Where keys can be evicted the shard does not take what is not there.
            let granted = if limit.policy.is_some() { wanted.min(free.max(0)) } else { wanted };
            if granted > 0 {
                self.allotments.take(shard, granted);
            }
        } else if surplus > 2 * slack {
            self.allotments.take(shard, slack - surplus);
        }
    }

    /// The same after a command. One that took very much (`SETBIT` far out, say) may have left no key to evict where
    /// it did: then room is made in all shards, before its client is answered ([`Shared::excess`]).
    pub fn settle_after(&self, limit: &MemoryLimit, shard: &mut Shard) {
        self.settle(limit, shard);
        let missing = live_bytes(shard) - shard.allotted_bytes;
        if missing > EXCESS_BYTES_MAX && limit.policy.is_some() {
            self.allotments.take(shard, missing);
            self.allotments.excesses.noted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A command that has gone far beyond the limit and that room has not been made for yet, to be given to
    /// [`Shared::note_excess_met`] once it has. Several workers may see to the same one: each does before it
    /// answers, and hears of what the others evicted before it is asked the next time.
    #[inline]
    pub fn excess(&self) -> Option<Excess> {
        let Excesses { noted, met } = &self.allotments.excesses;
        let seen = noted.load(Ordering::Relaxed);
        let unmet = seen.saturating_sub(met.load(Ordering::Relaxed));
        let unmet = usize::try_from(unmet).unwrap_or(usize::MAX);
        (unmet > 0).then_some(Excess { seen, unmet })
    }

    /// All shards have made room for what [`Shared::excess`] said.
    pub fn note_excess_met(&self, excess: Excess) {
        self.allotments.excesses.met.fetch_max(excess.seen, Ordering::Relaxed);
    }

    /// What a shard takes beyond its need: a part of what is free, so that nothing lies idle near the limit.
    fn slack(&self, free: i64) -> i64 {
        let shards = i64::from(self.router().shard_count());
        (free / (4 * shards)).clamp(0, SLACK_BYTES_MAX)
    }

    /// Makes room in the shards of a command that may need memory; `false` if there is none to be made. Of
    /// one without shards it is only told.
    #[cold]
    pub fn make_room(
        &self,
        limits: &CallLimits,
        view: &mut ShardView<'_>,
        now: UnixMillis,
    ) -> bool {
        if view.shard_count() == 0 {
            return !self.is_out_of_memory(&limits.memory);
        }
        work_observed(self, limits.interest, view, None, |view| {
            let mut is_room = true;
            for shard in view.each() {
                is_room &= self.make_room_in(&limits.memory, shard, now);
            }
            is_room
        })
    }

    fn make_room_in(&self, limit: &MemoryLimit, shard: &mut Shard, now: UnixMillis) -> bool {
        self.settle(limit, shard);
        if self.shortage(limit, shard) <= 0 {
            return true;
        }
        if shard.garbage_len() > 0 {
            shard.collect_garbage(GARBAGE_PER_WRITE);
        }
        let Some(policy) = limit.policy else { return self.shortage(limit, shard) <= 0 };
        let growth_keys_max = limit.keys_per_write.saturating_mul(GROWTH_FACTOR);
        let keys_max = match limit.lowered_by {
            0 => limit.keys_per_write,
            _ => limit.keys_per_write.min(KEYS_PER_WRITE_IF_LOWERED),
        };
        self.evict(limit, &policy, shard, now, keys_max, growth_keys_max);
        if self.shortage(limit, shard) <= 0 {
            return true;
        }
        // What this write cannot free, other shards free, or later ones.
        self.note_evictable(&policy, shard);
        if !self.allotments.can_evict() {
            return false;
        }
        let missing = live_bytes(shard) - shard.allotted_bytes;
        if missing > 0 {
            self.allotments.take(shard, missing);
        }
        true
    }

    /// Whether a command with such arguments has to wait until more keys have been evicted, which smaller ones do not:
    /// values of a megabyte that take the places of tiny ones come faster than these go. All wait while far too much is
    /// resident.
    pub fn has_to_wait(&self, limit: &MemoryLimit, args: Args<'_>) -> bool {
        self.residence.holds_back()
            || (self.is_far_beyond(limit) && args.bytes() >= WAITING_BYTES_MIN)
    }

    /// Whether some commands have to wait.
    pub fn has_some_wait(&self, limit: &MemoryLimit) -> bool {
        self.residence.holds_back() || self.is_far_beyond(limit)
    }

    /// Whether so much is beyond the limit, and can be evicted, that big commands wait.
    fn is_far_beyond(&self, limit: &MemoryLimit) -> bool {
        limit.policy.is_some()
            && self.urgent_bytes(limit) > signed(limit.bytes) / FAR_BEYOND
            && self.allotments.can_evict()
    }

    /// Bytes that a shard has to free before it may grow. Workers free what they keep for later replies by themselves.
    fn shortage(&self, limit: &MemoryLimit, shard: &Shard) -> i64 {
        (live_bytes(shard) - shard.allotted_bytes).max(self.excess_bytes(limit))
    }

    /// Bytes by which more is set aside than the limit allows.
    fn excess_bytes(&self, limit: &MemoryLimit) -> i64 {
        -self.allotments.free(limit) - self.allotments.spares.load(Ordering::Relaxed)
    }

    /// The same without what the limit was lowered by.
    fn urgent_bytes(&self, limit: &MemoryLimit) -> i64 {
        self.excess_bytes(limit) - signed(limit.lowered_by)
    }

    /// Evicts keys of a shard until nothing is short: `keys_max` at most, or `growth_keys_max` while the shard uses more
    /// than its allotment. Whether more is short.
    fn evict(
        &self,
        limit: &MemoryLimit,
        policy: &EvictionPolicy,
        shard: &mut Shard,
        now: UnixMillis,
        keys_max: usize,
        growth_keys_max: usize,
    ) -> bool {
        let is_short = |shard: &Shard, evicted| {
            self.shortage(limit, shard) > 0
                && (evicted < keys_max || live_bytes(shard) > shard.allotted_bytes)
        };
        self.evict_while(limit, policy, shard, now, growth_keys_max, is_short)
            && self.shortage(limit, shard) > 0
    }

    /// Evicts keys of a shard, `keys_max` at most, while `is_short` says so of it and how many have gone; `false` if there
    /// are no more. The shard gives back what it does not need if others do.
    fn evict_while(
        &self,
        limit: &MemoryLimit,
        policy: &EvictionPolicy,
        shard: &mut Shard,
        now: UnixMillis,
        keys_max: usize,
        is_short: impl Fn(&Shard, usize) -> bool,
    ) -> bool {
        for evicted in 0..keys_max {
            if !is_short(shard, evicted) {
                break;
            }
            if !shard.evict(policy, now) {
                return false;
            }
            let surplus = shard.allotted_bytes - live_bytes(shard);
            if surplus > 0 && self.allotments.free(limit) < 0 {
                self.allotments.take(shard, -surplus);
            }
        }
        true
    }

    /// Makes room in a shard for commands that have gone far beyond `maxmemory`. What the limit was lowered by is left to
    /// later writes.
    pub fn make_room_for(
        &self,
        excess: Excess,
        limit: &MemoryLimit,
        shard: &mut Shard,
        now: UnixMillis,
    ) {
        self.settle(limit, shard);
        let Some(policy) = &limit.policy else { return };
        let keys_max = KEYS_PER_EXCESS.saturating_mul(excess.unmet);
        let is_short = |_: &Shard, _| self.urgent_bytes(limit) > 0;
        self.evict_while(limit, policy, shard, now, keys_max, is_short);
        if shard.garbage_len() > 0 {
            shard.collect_garbage(GARBAGE_PER_EXCESS);
        }
        self.note_evictable(policy, shard);
    }

    /// The share of the background work in keeping the limit; `true` when there is more to do.
    pub fn tend_memory(&self, limit: &MemoryLimit, shard: &mut Shard, now: UnixMillis) -> bool {
        self.settle(limit, shard);
        let Some(policy) = &limit.policy else { return false };
        let shortage = self.shortage(limit, shard);
        let keys_max = slice_keys(shortage.saturating_sub(signed(limit.lowered_by)));
        let more = shortage > 0 && self.evict(limit, policy, shard, now, keys_max, keys_max);
        self.note_evictable(policy, shard);
        more
    }

    /// After a change of the configuration, over all shards.
    pub fn follow_memory_settings(&self, limits: &CallLimits, view: &mut ShardView<'_>) {
        let settings = self.config.current();
        for shard in view.each() {
            shard.note_accesses(settings.eviction.access_notes());
            shard.forget_candidates();
            if limits.memory.is_set() {
                let missing = live_bytes(shard) - shard.allotted_bytes;
                self.allotments.take(shard, missing);
            }
        }
        if let Some(policy) = limits.memory.policy {
            for shard in view.each() {
                self.note_evictable(&policy, shard);
            }
        }
    }

    /// Notes whether a shard has keys that may be evicted.
    fn note_evictable(&self, policy: &EvictionPolicy, shard: &Shard) {
        let can_evict = shard.has_evictable(policy);
        self.allotments.evictable[shard.id().index()].store(can_evict, Ordering::Relaxed);
    }

    /// Notes that a worker's buffers take so many bytes more than at its tick before, or less. What is evicted depends on it at
    /// once: keys must not go for buffers that have been freed.
    pub fn note_buffers(&self, change: i64) {
        self.allotments.buffers.fetch_add(change, Ordering::Relaxed);
    }

    /// The same for what of them a worker keeps for later replies.
    pub fn note_spares(&self, change: i64) {
        self.allotments.spares.fetch_add(change, Ordering::Relaxed);
    }

    /// Has what is remembered of tracked clients, and what is kept of the stream for replicas, count as it is now. Keys that are
    /// evicted are forgotten, which makes room as well.
    pub fn note_tracking(&self) {
        let stream = usize::try_from(self.replication.counted_bytes()).unwrap_or(usize::MAX);
        let bytes = self.tracking.memory_bytes().saturating_add(stream);
        let noted = &self.allotments.tracking;
        if bytes != noted.load(Ordering::Relaxed) {
            // Several workers may note it at once: the sum of what they add is what there is in the end.
            let before = noted.swap(bytes, Ordering::Relaxed);
            self.note_buffers((bytes as u64).wrapping_sub(before as u64).cast_signed());
        }
    }

    /// Whether more is set aside than the limit allows.
    pub fn is_short(&self, limit: &MemoryLimit) -> bool {
        self.allotments.free(limit) < 0
    }

    /// Whether memory is short and nothing can be evicted.
    pub fn is_out_of_memory(&self, limit: &MemoryLimit) -> bool {
        let can_evict = limit.policy.is_some() && self.allotments.can_evict();
        limit.is_set() && !can_evict && self.allotments.free(limit) < 0
    }
}

impl Core {
    /// Makes room for what is about to run over `view`; `false` if there is none to be made.
    pub fn make_room(&self, view: &mut ShardView<'_>, now: UnixMillis) -> bool {
        let limits = self.limits.get();
        !limits.memory.is_set() || self.shared.make_room(&limits, view, now)
    }

    /// Accounts for what has run over `view`.
    pub fn settle(&self, view: &mut ShardView<'_>) {
        let limit = self.limits.get().memory;
        if limit.is_set() {
            view.each().for_each(|shard| self.shared.settle_after(&limit, shard));
        }
    }
}

/// Keys to evict in one slice of the background work when so many bytes are short.
fn slice_keys(shortage: i64) -> usize {
    let urgency = usize::try_from(shortage / HURRIED_BYTES).unwrap_or(0);
    KEYS_PER_SLICE.saturating_mul(urgency.saturating_add(1)).min(KEYS_PER_SLICE_MAX)
}

/// Bytes of a shard that count.
fn live_bytes(shard: &Shard) -> i64 {
    signed(shard.live_bytes() as u64)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
