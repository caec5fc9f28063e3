//! When, or how often, a key was used: the 24 bits each key has for it.
//!
//! ```text
//!  clock       | seconds of the wall clock, modulo 2^24: some 194 days        |
//!  frequency   | minutes of the wall clock, modulo 2^16    | counter, 8 bits  |
//! ```
//!
//! These are Redis's two readings of the same 24 bits (`lru` of its objects), so RESTORE, RDB files and
//! OBJECT can take and give them. As there, the reading changes with the policy and the bits do not: after a
//! change they say little until the keys have been used again.
//!
//! The counter is Morris's ("Counting large numbers of events in small registers", 1978): the higher it
//! is, the less likely an access raises it. It loses one for each `decay_minutes` without access.

use crate::random::Random;
use darter_base::UnixMillis;

/// The counter of a new key, so that it is not the first to go.
const COUNTER_AT_FIRST: u32 = 5;
const COUNTER_MAX: u32 = 255;

const CLOCK_MASK: i64 = (1 << 24) - 1;
const MINUTES_MASK: i64 = (1 << 16) - 1;

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
    /// About how many there were.
    Frequency(LfuOptions),
}

/// Notes accesses for a shard.
#[derive(Debug)]
pub(crate) struct Access {
    notes: AccessNotes,
    is_ignored: bool,
    /// The time of every access while what happened before is done again.
    replayed_at: Option<UnixMillis>,
    random: Random,
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
        }
    }

    /// What is noted.
    pub(crate) const fn notes(&self) -> AccessNotes {
        self.notes
    }

    pub(crate) const fn set_notes(&mut self, notes: AccessNotes) {
        self.notes = notes;
    }

    pub(crate) const fn ignore(&mut self, ignore: bool) {
        self.is_ignored = ignore;
    }

    pub(crate) const fn replay_at(&mut self, at: Option<UnixMillis>) {
        self.replayed_at = at;
    }

    /// The stamp of a new key.
    #[inline]
    pub(crate) fn first(&self, now: UnixMillis) -> u32 {
        let now = self.replayed_at.unwrap_or(now);
        match self.notes {
            AccessNotes::Clock => clock(now),
            AccessNotes::Frequency(_) => minutes(now) << 8 | COUNTER_AT_FIRST,
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
        let then = clock(now).wrapping_sub(seconds) & low_bits(CLOCK_MASK);
        (self.notes == AccessNotes::Clock).then_some(then)
    }

    /// The stamp of a key with this frequency counter; `None` if there is none.
    pub(crate) fn frequency_stamp(&self, counter: u8, now: UnixMillis) -> Option<u32> {
        let stamp = minutes(now) << 8 | u32::from(counter);
        (self.notes != AccessNotes::Clock).then_some(stamp)
    }

    /// Seconds since the last access; `None` if that is not noted.
    pub(crate) fn idle_seconds(&self, stamp: u32, now: UnixMillis) -> Option<u32> {
        match self.notes {
            AccessNotes::Clock => Some(idle_seconds(stamp, now)),
            AccessNotes::Frequency(_) => None,
        }
    }

    /// The frequency counter; `None` if there is none.
    pub(crate) fn frequency(&self, stamp: u32, now: UnixMillis) -> Option<u32> {
        match self.notes {
            AccessNotes::Clock => None,
            AccessNotes::Frequency(options) => Some(counter(stamp, options, now)),
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
        let mut stamp = access.first(now);
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
    fn what_is_ignored_leaves_no_trace() {
        let mut access = Access::new(1);
        access.ignore(true);
        assert_eq!(access.touched(7, UnixMillis(1_000_000)), 7);
        access.ignore(false);
        assert_eq!(access.touched(7, UnixMillis(1_000_000)), 1000);
    }
}
