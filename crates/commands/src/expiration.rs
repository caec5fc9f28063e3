//! Times to live and deadlines as clients give them.

use darter_base::UnixMillis;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Call, ReplyError};
use darter_shard::Deadline;
use std::ops::Range;

/// The documentation of `EX`, `PX`, `EXAT` and `PXAT`.
pub(crate) const TIME_ARGS: [Arg; 4] = [
    Arg::integer("seconds").token("EX"),
    Arg::integer("milliseconds").token("PX"),
    Arg::unix_time("unix-time-seconds").token("EXAT"),
    Arg::unix_time("unix-time-milliseconds").token("PXAT"),
];

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
}

/// From when a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Now,
    Epoch,
}

/// An expiration option: its word and argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) unit: Unit,
    pub(crate) base: Base,
}

/// A deadline to be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewDeadline {
    pub(crate) deadline: Deadline,
    /// It is not in the future: what it would be set on is deleted instead.
    pub(crate) passed: bool,
}

impl Unit {
    /// `time` in milliseconds, if that fits.
    pub(crate) const fn to_millis(self, time: i64) -> Option<i64> {
        match self {
            Self::Seconds => time.checked_mul(1000),
            Self::Millis => Some(time),
        }
    }
}

impl Base {
    /// Unix milliseconds at which this base lies.
    pub(crate) const fn millis(self, now: UnixMillis) -> i64 {
        match self {
            Self::Now => now.0,
            Self::Epoch => 0,
        }
    }
}

impl Time<'_> {
    /// The unit and the base that the option `word` stands for.
    pub(crate) fn named(word: &[u8]) -> Option<(Unit, Base)> {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match word.len() {
            2 if is("EX") => Some((Unit::Seconds, Base::Now)),
            2 if is("PX") => Some((Unit::Millis, Base::Now)),
            4 if is("EXAT") => Some((Unit::Seconds, Base::Epoch)),
            4 if is("PXAT") => Some((Unit::Millis, Base::Epoch)),
            _ => None,
        }
    }

    /// The deadline this means for the command of `call`. The time must be positive and its
    /// milliseconds since the epoch must fit 64 bits.
    pub(crate) fn deadline(&self, call: &Call<'_>) -> Result<NewDeadline, ReplyError> {
        let invalid = ReplyError::InvalidExpireTime(call.command.name);
        let time = parse_i64(self.text).ok_or(ReplyError::NotAnInteger)?;
        let millis = self
            .unit
            .to_millis(time)
            .filter(|millis| *millis > 0)
            .and_then(|millis| millis.checked_add(self.base.millis(call.time_of_day())))
            .ok_or(invalid)?;
        Ok(NewDeadline::at(millis, call.passed_until()))
    }
}

impl NewDeadline {
    /// The deadline at `millis` since the epoch. One beyond what the keyspace can note (the year
    /// 10889) becomes the latest it can, and one before the epoch the epoch.
    pub(crate) fn at(millis: i64, passed_until: UnixMillis) -> Self {
        let deadline = Deadline::new(millis.max(0)).unwrap_or(Deadline::MAX);
        Self { deadline, passed: millis <= passed_until.0 }
    }
}

/// Which deadlines may be replaced: a set of the words `NX`, `XX`, `GT` and `LT`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions(u8);

impl Conditions {
    const ABSENT: u8 = 1 << 0;
    const PRESENT: u8 = 1 << 1;
    const GREATER: u8 = 1 << 2;
    const LESS: u8 = 1 << 3;

    const WORDS: [(&str, u8); 4] =
        [("NX", Self::ABSENT), ("XX", Self::PRESENT), ("GT", Self::GREATER), ("LT", Self::LESS)];

    /// Reads the arguments of `range`.
    pub(crate) fn parse(call: &Call<'_>, range: Range<usize>) -> Result<Self, ReplyError> {
        let mut conditions = Self(0);
        for index in range {
            let Some((_, bit)) = Self::WORDS.iter().find(|(word, _)| call.is_word(index, word))
            else {
                return Err(ReplyError::UnsupportedOption(call.args.at(index).to_vec()));
            };
            conditions.0 |= bit;
        }
        if conditions.has(Self::ABSENT) && conditions.0 != Self::ABSENT {
            return Err(ReplyError::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if conditions.has(Self::GREATER) && conditions.has(Self::LESS) {
            return Err(ReplyError::Text(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Whether a deadline at `new` may replace `old`. No deadline is later than any.
    pub(crate) const fn admit(self, old: Option<i64>, new: i64) -> bool {
        match old {
            None => !self.has(Self::PRESENT) && !self.has(Self::GREATER),
            Some(old) => {
                !self.has(Self::ABSENT)
                    && (!self.has(Self::GREATER) || new > old)
                    && (!self.has(Self::LESS) || new < old)
            }
        }
    }
}
