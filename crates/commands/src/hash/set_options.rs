//! The options of HSETEX and HGETEX, between the key and `FIELDS`.

use crate::expiration::{NewDeadline, Time};
use darter_base::number::parse_i64;
use darter_command_table::{Call, ReplyError};
use std::ops::Range;

/// Whose options are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionsOf {
    Set,
    Get,
}

/// Whether something must, or must not, be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Absent,
    Present,
}

/// What becomes of the fields' deadlines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expiration<'a> {
    /// Not mentioned.
    None,
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Persist,
    /// `EX`, `PX`, `EXAT`, `PXAT`
    At(Time<'a>),
}

/// Options may be repeated as long as they do not contradict each other; the last time counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    /// `NX`, `XX`
    pub(super) key: Condition,
    /// `FNX`, `FXX`
    pub(super) fields: Condition,
    pub(super) expiration: Expiration<'a>,
}

impl Condition {
    /// Whether the condition and one of the words read before agree.
    fn set(&mut self, to: Self) -> Result<usize, ReplyError> {
        if *self != Self::Always && *self != to {
            return Err(ReplyError::Syntax);
        }
        *self = to;
        Ok(1)
    }

    /// Whether something may be set that is, or is not, there.
    pub(super) fn admits(self, is_there: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => !is_there,
            Self::Present => is_there,
        }
    }
}

impl<'a> Options<'a> {
    /// Reads the arguments of `range`.
    pub(super) fn parse(
        call: &Call<'a>,
        range: Range<usize>,
        of: OptionsOf,
    ) -> Result<Self, ReplyError> {
        let (key, fields) = (Condition::Always, Condition::Always);
        let mut options = Self { key, fields, expiration: Expiration::None };
        let mut index = range.start;
        while index < range.end {
            index += options.parse_one(call, index, range.end, of)?;
        }
        Ok(options)
    }

    /// Reads the option at `index` and returns how many arguments it takes.
    fn parse_one(
        &mut self,
        call: &Call<'a>,
        index: usize,
        end: usize,
        of: OptionsOf,
    ) -> Result<usize, ReplyError> {
        let is = |word| call.is_word(index, word);
        if let Some((unit, base)) = Time::named(call.args.at(index)) {
            let agrees = match self.expiration {
                Expiration::None => true,
                Expiration::At(before) => before.unit == unit && before.base == base,
                Expiration::Keep | Expiration::Persist => false,
            };
            if !agrees || index + 1 >= end {
                return Err(ReplyError::Syntax);
            }
            self.expiration = Expiration::At(Time { text: call.args.at(index + 1), unit, base });
            return Ok(2);
        }
        let has_time = matches!(self.expiration, Expiration::At(_));
        match of {
            OptionsOf::Set if is("NX") => self.key.set(Condition::Absent),
            OptionsOf::Set if is("XX") => self.key.set(Condition::Present),
            OptionsOf::Set if is("FNX") => self.fields.set(Condition::Absent),
            OptionsOf::Set if is("FXX") => self.fields.set(Condition::Present),
            OptionsOf::Set if is("KEEPTTL") && !has_time => {
                self.expiration = Expiration::Keep;
                Ok(1)
            }
            OptionsOf::Get if is("PERSIST") && !has_time => {
                self.expiration = Expiration::Persist;
                Ok(1)
            }
            OptionsOf::Set | OptionsOf::Get => Err(ReplyError::Syntax),
        }
    }
}

/// The deadline that `time` means for fields, for which 0 is legal, and long ago means at once.
pub(super) fn deadline(call: &Call<'_>, time: Time<'_>) -> Result<NewDeadline, ReplyError> {
    let invalid = ReplyError::InvalidExpireTime(call.command.name);
    let number = parse_i64(time.text).ok_or(ReplyError::NotAnInteger)?;
    let millis = time
        .unit
        .to_millis(number)
        .filter(|millis| *millis >= 0)
        .and_then(|millis| millis.checked_add(time.base.millis(call.time_of_day())))
        .ok_or(invalid)?;
    Ok(NewDeadline::at(millis, call.passed_until()))
}
