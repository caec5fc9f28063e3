//! When, or how often, a key was used: the 24 bits each key has for it.
//!
//! ```text
//!  clock       | seconds of the wall clock, modulo 2^24: some 194 days        |
//!  frequency   | minutes of the wall clock, modulo 2^16    | counter, 8 bits  |
//!  queues      | units of 8 seconds, modulo 2^21    | on probation | uses, 2 bits |
//! ```
//!
//! The first two are Redis's readings of the same 24 bits (`lru` of its objects), so RESTORE, RDB files and
//! OBJECT can take and give them. As there, the reading changes with the policy and the bits do not: after a
//! change they say little until the keys have been used again.
//!
//! The counter is Morris's ("Counting large numbers of events in small registers", 1978): the higher it
//! is, the less likely an access raises it. It loses one for each `decay_minutes` without access.

use crate::eviction::Queues;
use crate::random::Random;
use darter_base::{DbIndex, UnixMillis};
use darter_structures::good_size;

/// The counter of a new key, so that it is not the first to go.
const COUNTER_AT_FIRST: u32 = 5;
const COUNTER_MAX: u32 = 255;

/// Uses that are told apart: a key that had more is no better than one that had as many.
const USES_MAX: u32 = 2;
const USES_MASK: u32 = 3;
/// The key is on probation.
const PROBATION: u32 = 1 << 2;
const UNITS_SHIFT: u32 = 3;
/// Seconds of a unit.
const UNIT_SECONDS: u32 = 8;

const CLOCK_MASK: i64 = (1 << 24) - 1;
const MINUTES_MASK: i64 = (1 << 16) - 1;
const UNITS_MASK: i64 = (1 << 21) - 1;

/// How a frequency counter grows and shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LfuOptions {
    /// The higher, the slower it grows (`lfu-log-factor`).
    pub log_factor: u32,
    /// Minutes until it loses one (`lfu-decay-time`); 0: it never does.
    pub decay_minutes: u32,
}

/// What is noted of accesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessNotes {
    /// When the last one was.
    #[default]
    Clock,
    /// When the last one was that changed something.
    Changes,
    /// About how many there were.
    Frequency(LfuOptions),
    /// Whether there were any lately, and which keys are new.
    Queues,
}

/// Notes accesses for a shard.
#[derive(Debug)]
pub(crate) struct Access {
    notes: AccessNotes,
    is_ignored: bool,
    /// The time of every access while what happened before is done again.
    replayed_at: Option<UnixMillis>,
    random: Random,
    /// While queues are noted.
    queues: Option<Box<Queues>>,
}

impl Default for Access {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Access {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            notes: AccessNotes::Clock,
            is_ignored: false,
            replayed_at: None,
            random: Random::new(seed),
            queues: None,
        }
    }

    /// What is noted.
    pub(crate) const fn notes(&self) -> AccessNotes {
        self.notes
    }

    pub(crate) fn set_notes(&mut self, notes: AccessNotes) {
        if notes != self.notes {
            self.queues = (notes == AccessNotes::Queues).then(Box::default);
        }
        self.notes = notes;
    }

    /// The queues, while they are noted.
    pub(crate) fn queues(&mut self) -> Option<&mut Queues> {
        self.queues.as_deref_mut()
    }

    /// All keys are gone.
    pub(crate) fn forget_keys(&mut self) {
        if let Some(queues) = &mut self.queues {
            **queues = Queues::default();
        }
    }

    /// Bytes of heap, in good sizes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.queues
            .as_ref()
            .map_or(0, |queues| good_size(size_of::<Queues>()) + queues.heap_bytes())
    }

    pub(crate) const fn ignore(&mut self, ignore: bool) {
        self.is_ignored = ignore;
    }

    pub(crate) const fn replay_at(&mut self, at: Option<UnixMillis>) {
        self.replayed_at = at;
    }

    /// The stamp of a new key of database `db` with this hash.
    #[inline]
    pub(crate) fn first(&mut self, db: DbIndex, hash: u64, now: UnixMillis) -> u32 {
        let now = self.replayed_at.unwrap_or(now);
        match self.notes {
            AccessNotes::Clock | AccessNotes::Changes => clock(now),
            AccessNotes::Frequency(_) => minutes(now) << 8 | COUNTER_AT_FIRST,
            AccessNotes::Queues => units(now) << UNITS_SHIFT | self.admit(db, hash),
        }
    }

    /// Whether a new key is on probation.
    fn admit(&mut self, db: DbIndex, hash: u64) -> u32 {
        let is_new = self.queues.as_mut().is_some_and(|queues| queues.admit(db, hash));
        if is_new { PROBATION } else { 0 }
    }

    /// The stamp of a key that is changed now.
    #[inline]
    pub(crate) fn changed(&mut self, stamp: u32, now: UnixMillis) -> u32 {
        match self.notes {
            // Whoever changes a key without touching it does change it.
            AccessNotes::Changes => clock(self.replayed_at.unwrap_or(now)),
            _ => self.touched(stamp, now),
        }
    }

    /// The stamp of a key that is used now.
    #[inline]
    pub(crate) fn touched(&mut self, stamp: u32, now: UnixMillis) -> u32 {
        if self.is_ignored {
            return stamp;
        }
        let now = self.replayed_at.unwrap_or(now);
        match self.notes {
            AccessNotes::Clock => clock(now),
            AccessNotes::Changes => stamp,
            AccessNotes::Queues => {
                let uses = (uses(stamp) + 1).min(USES_MAX);
                units(now) << UNITS_SHIFT | stamp & PROBATION | uses
            }
            AccessNotes::Frequency(options) => {
                let counter = counter(stamp, options, now);
                let counter = if self.raises(counter, options) { counter + 1 } else { counter };
                minutes(now) << 8 | counter
            }
        }
    }

    /// Whether one more access raises the counter: with a probability of one in `(counter - first) * log_factor + 1`.
    fn raises(&mut self, counter: u32, options: LfuOptions) -> bool {
        if counter >= COUNTER_MAX {
            return false;
        }
        let base = u64::from(counter.saturating_sub(COUNTER_AT_FIRST));
        let one_in = base * u64::from(options.log_factor) + 1;
        self.random.next() <= u64::MAX / one_in
    }

    /// The stamp of a key that was last used so many seconds ago; `None` if that is not noted.
    pub(crate) fn idle_stamp(&self, seconds: u32, now: UnixMillis) -> Option<u32> {
        let now = self.replayed_at.unwrap_or(now);
        match self.notes {
            AccessNotes::Clock | AccessNotes::Changes => {
                Some(clock(now).wrapping_sub(seconds) & low_bits(CLOCK_MASK))
            }
            AccessNotes::Frequency(_) => None,
            AccessNotes::Queues => {
                let then = units(now).wrapping_sub(seconds / UNIT_SECONDS) & low_bits(UNITS_MASK);
                Some(then << UNITS_SHIFT)
            }
        }
    }

    /// The stamp of a key with this frequency counter; `None` if there is none.
    pub(crate) fn frequency_stamp(&self, counter: u8, now: UnixMillis) -> Option<u32> {
        let now = self.replayed_at.unwrap_or(now);
        let stamp = minutes(now) << 8 | u32::from(counter);
        matches!(self.notes, AccessNotes::Frequency(_)).then_some(stamp)
    }

    /// Seconds since the last access; `None` if that is not noted.
    pub(crate) fn idle_seconds(&self, stamp: u32, now: UnixMillis) -> Option<u32> {
        match self.notes {
            AccessNotes::Clock | AccessNotes::Changes => Some(idle_seconds(stamp, now)),
            AccessNotes::Frequency(_) => None,
            AccessNotes::Queues => {
                let idle = units(now).wrapping_sub(stamp >> UNITS_SHIFT) & low_bits(UNITS_MASK);
                Some(idle * UNIT_SECONDS)
            }
        }
    }

    /// The frequency counter; `None` if there is none.
    pub(crate) fn frequency(&self, stamp: u32, now: UnixMillis) -> Option<u32> {
        match self.notes {
            AccessNotes::Frequency(options) => Some(counter(stamp, options, now)),
            AccessNotes::Clock | AccessNotes::Changes | AccessNotes::Queues => None,
        }
    }
}

/// Seconds since the clock showed `stamp`, at most once round.
pub(crate) fn idle_seconds(stamp: u32, now: UnixMillis) -> u32 {
    clock(now).wrapping_sub(stamp) & low_bits(CLOCK_MASK)
}

/// The counter in `stamp`, less what it lost since.
pub(crate) fn counter(stamp: u32, options: LfuOptions, now: UnixMillis) -> u32 {
    let (noted, counter) = (stamp >> 8, stamp & COUNTER_MAX);
    let idle = minutes(now).wrapping_sub(noted) & low_bits(MINUTES_MASK);
    counter.saturating_sub(idle.checked_div(options.decay_minutes).unwrap_or(0))
}

/// How often a key was used lately, `0..=2`.
pub(crate) const fn uses(stamp: u32) -> u32 {
    stamp & USES_MASK
}

/// Whether a key is on probation.
pub(crate) const fn is_on_probation(stamp: u32) -> bool {
    stamp & PROBATION != 0
}

/// The stamp of a key whose probation is over, with so many uses.
pub(crate) const fn settled(stamp: u32, uses: u32) -> u32 {
    stamp & !(PROBATION | USES_MASK) | uses
}

#[inline]
fn units(now: UnixMillis) -> u32 {
    low_bits((now.0 / (1000 * i64::from(UNIT_SECONDS))) & UNITS_MASK)
}

#[inline]
fn clock(now: UnixMillis) -> u32 {
    low_bits((now.0 / 1000) & CLOCK_MASK)
}

#[inline]
fn minutes(now: UnixMillis) -> u32 {
    low_bits((now.0 / 60_000) & MINUTES_MASK)
}

/// A number that has been cut to 24 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "24 bits")]
const fn low_bits(bits: i64) -> u32 {
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const LFU: LfuOptions = LfuOptions { log_factor: 10, decay_minutes: 1 };

    #[test]
    fn the_clock_goes_round() {
        let round = 1_000 << 24;
        let mut access = Access::new(1);
        let stamp = access.touched(0, UnixMillis(round - 2_000));
        assert_eq!(access.idle_seconds(stamp, UnixMillis(round + 3_000)), Some(5));
        assert_eq!(access.frequency(stamp, UnixMillis(round)), None);
    }

    #[test]
    fn the_counter_grows_as_the_logarithm_and_decays() {
        let mut access = Access::new(1);
        access.set_notes(AccessNotes::Frequency(LFU));
        let now = UnixMillis(1_700_000_000_000);
        let mut stamp = access.first(DbIndex(0), 1, now);
        assert_eq!(access.frequency(stamp, now), Some(5));
        // The table in redis.conf: with a factor of 10, 1000 hits make 18, 100,000 make 142.
        let mut counts = Vec::new();
        for hit in 1..=100_000 {
            stamp = access.touched(stamp, now);
            if [1_000, 100_000].contains(&hit) {
                counts.push(access.frequency(stamp, now).unwrap());
            }
        }
        assert!((14..=24).contains(&counts[0]) && (130..=155).contains(&counts[1]), "{counts:?}");
        let later = UnixMillis(now.0 + 10 * 60_000);
        assert_eq!(access.frequency(stamp, later), Some(counts[1] - 10));
        let never = LfuOptions { decay_minutes: 0, ..LFU };
        assert_eq!(counter(stamp, never, later), counts[1]);
    }

    #[test]
    fn reads_do_not_count_where_changes_do() {
        let mut access = Access::new(1);
        access.set_notes(AccessNotes::Changes);
        let now = UnixMillis(1_700_000_000_000);
        let later = UnixMillis(now.0 + 60_000);
        let stamp = access.first(DbIndex(0), 1, now);
        assert_eq!(access.touched(stamp, later), stamp);
        assert_eq!(access.idle_seconds(stamp, later), Some(60));
        let stamp = access.changed(stamp, later);
        assert_eq!(access.idle_seconds(stamp, later), Some(0));
    }

    #[test]
    fn queues_note_uses_and_about_when_the_last_was() {
        let mut access = Access::new(1);
        access.set_notes(AccessNotes::Queues);
        let now = UnixMillis(1_700_000_000_000);
        let mut stamp = access.first(DbIndex(0), 1, now);
        assert_eq!((uses(stamp), access.frequency(stamp, now)), (0, None));
        for expected in [1, 2, 2] {
            stamp = access.touched(stamp | PROBATION, now);
            assert_eq!((uses(stamp), is_on_probation(stamp)), (expected, true));
        }
        let idle = access.idle_seconds(stamp, UnixMillis(now.0 + 100_000)).unwrap();
        assert!((96..=104).contains(&idle), "{idle}");
        let settled = settled(stamp, 1);
        assert_eq!((uses(settled), is_on_probation(settled)), (1, false));
        let idle = access.idle_stamp(800, now).unwrap();
        assert_eq!(access.idle_seconds(idle, now), Some(800));
        assert!(idle < 1 << 24);
    }

    #[test]
    fn what_is_ignored_leaves_no_trace() {
        let mut access = Access::new(1);
        access.ignore(true);
        assert_eq!(access.touched(7, UnixMillis(1_000_000)), 7);
        access.ignore(false);
        assert_eq!(access.touched(7, UnixMillis(1_000_000)), 1000);
    }
}
