//! The options that SET, MSETEX and GETEX share.

use super::condition::Condition;
use crate::expiration::Time;
use darter_command_table::{Call, ReplyError};

/// Whose options are read: not all of them have all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionsOf {
    Set,
    SetMany,
    Get,
}

/// What becomes of the key's deadline.
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

/// The options behind the fixed arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    /// `GET`: the reply is what the key held before.
    pub(super) get: bool,
    pub(super) expiration: Expiration<'a>,
}

impl<'a> Options<'a> {
    /// Reads the arguments from `from` on. Options may be repeated as long as they do not contradict
    /// each other; the last one counts.
    pub(super) fn parse(call: &Call<'a>, from: usize, of: OptionsOf) -> Result<Self, ReplyError> {
        let mut options =
            Self { condition: Condition::Always, get: false, expiration: Expiration::None };
        let mut index = from;
        while index < call.args.len() {
            index += options.parse_one(call, index, of)?;
        }
        Ok(options)
    }

    /// Reads the option at `index` and returns how many arguments it takes.
    fn parse_one(
        &mut self,
        call: &Call<'a>,
        index: usize,
        of: OptionsOf,
    ) -> Result<usize, ReplyError> {
        let is = |word| call.is_word(index, word);
        let sets = of != OptionsOf::Get;
        if let Some(time) = self.time(call, index)? {
            self.expiration = Expiration::At(time);
            return Ok(2);
        }
        match (self.condition, self.expiration) {
            (Condition::Always | Condition::Absent, _) if sets && is("NX") => {
                self.condition = Condition::Absent;
            }
            (Condition::Always | Condition::Present, _) if sets && is("XX") => {
                self.condition = Condition::Present;
            }
            (_, Expiration::None | Expiration::Keep) if sets && is("KEEPTTL") => {
                self.expiration = Expiration::Keep;
            }
            (_, Expiration::None | Expiration::Persist) if !sets && is("PERSIST") => {
                self.expiration = Expiration::Persist;
            }
            _ if of == OptionsOf::Set && is("GET") => self.get = true,
            (Condition::Always, _) if of == OptionsOf::Set => {
                self.condition = Condition::parse(call, index).ok_or(ReplyError::Syntax)?;
                return Ok(2);
            }
            _ => return Err(ReplyError::Syntax),
        }
        Ok(1)
    }

    /// The time at `index`, if an option of that kind stands there; it must not contradict what was
    /// read before.
    fn time(&self, call: &Call<'a>, index: usize) -> Result<Option<Time<'a>>, ReplyError> {
        let Some((unit, base)) = Time::named(call.args.at(index)) else { return Ok(None) };
        let agrees = match self.expiration {
            Expiration::None => true,
            Expiration::At(before) => before.unit == unit && before.base == base,
            Expiration::Keep | Expiration::Persist => false,
        };
        let text = call.args.get(index + 1).filter(|_| agrees).ok_or(ReplyError::Syntax)?;
        Ok(Some(Time { text, unit, base }))
    }
}
