//! Commands that wait for other clients when they find nothing.

use crate::call::{Call, ShardView};
use crate::command::Command;
use crate::error::ReplyError;
use darter_base::UnixMillis;
use darter_base::crc16::slot_of;
use darter_base::extended::Extended;
use darter_base::float::parse_f64;
use darter_base::number::parse_i64;
use darter_resp::{Args, OwnedArgs, ReplyWriter};
use darter_shard::{Key, Wanted};
use std::ops::Range;

/// How a command waits.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// Whether it does so with these arguments, when it finds nothing.
    pub when: fn(Args<'_>) -> bool,
    /// For commands whose answer is all that is left of what they took: the command that puts it back
    /// where it came from, made of the arguments and of the scalars of the reply. It is run when the
    /// client turns out to be gone before the reply could be given to it.
    pub give_back: Option<GiveBack>,
}

/// Makes a command of another one's arguments and of the scalars of its reply.
pub type GiveBack = fn(Args<'_>, Args<'_>) -> (&'static Command, OwnedArgs);

/// What a command waits for that has found nothing.
#[derive(Debug)]
pub struct Wait {
    /// Until when; `None`: for ever.
    pub until: Option<UnixMillis>,
    /// When it is to be run again although no key became ready; `None`: never.
    pub again_at: Option<UnixMillis>,
    /// What one of its keys has to hold for it to be run again.
    pub wanted: Wanted,
    /// The arguments that are those keys.
    pub keys: Range<usize>,
    /// What arguments meant when it began to wait, where that changes: by index, ascending.
    pub meant: Vec<(usize, Vec<u8>)>,
}

/// Given to a command that may wait.
#[derive(Debug, Default)]
pub struct WaitSlot {
    /// Whether it has waited and is run again, over the shards where something became ready. Keys that
    /// are elsewhere are to be passed over: nothing is ready there, or somebody else sees to it.
    pub again: bool,
    /// Where it leaves what it waits for. It has written nothing then.
    pub wait: Option<Wait>,
}

impl<'a> Call<'a> {
    /// Waits as `wait` says if this call may, else writes the answer of one whose time is up.
    pub fn wait_or(
        &mut self,
        wait: impl FnOnce() -> Wait,
        otherwise: impl FnOnce(&mut ReplyWriter<'a>),
    ) {
        match &mut self.waits {
            Some(slot) => slot.wait = Some(wait()),
            None => otherwise(&mut self.reply),
        }
    }

    /// Whether the command has waited and is run again.
    pub fn is_again(&self) -> bool {
        self.waits.as_ref().is_some_and(|slot| slot.again)
    }

    /// Whether `key` is not to be looked at, because the command is run again for another shard.
    pub fn passes_over(&self, view: &ShardView<'_>, key: &Key<'_>) -> bool {
        self.is_again() && !view.holds(|| slot_of(key.bytes))
    }

    /// The argument at `index` as the time to wait, in seconds: until when that is, `None` for ever.
    /// Panics past the end.
    pub fn until_seconds(&self, index: usize) -> Result<Option<UnixMillis>, ReplyError> {
        let malformed = ReplyError::Text("ERR timeout is not a float or out of range");
        // Checked when it began to wait. What was in range then may not be now.
        if self.is_again() {
            return Ok(None);
        }
        let text = self.args.at(index);
        let seconds = Extended::parse(text).ok_or(malformed)?;
        if seconds.is_above(Extended::from_i64(i64::MAX / 1000)) {
            return Err(ReplyError::Text(OUT_OF_RANGE));
        }
        // What is too close to zero for an f64 is a millisecond, or none; too far below: negative.
        let millis = match parse_f64(text) {
            Some(seconds) => (seconds * 1000.0).ceil(),
            None if seconds.is_above(Extended::ZERO) => 1.0,
            None if Extended::from_i64(-1).is_above(seconds) => f64::NEG_INFINITY,
            None => 0.0,
        };
        // Negative ones that round to zero are no time at all, as in Redis.
        if millis <= -1.0 {
            return Err(ReplyError::Text(NEGATIVE));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range was checked, and `as` saturates"
        )]
        self.until(millis as i64)
    }

    /// The same in milliseconds, a whole number.
    pub fn until_millis(&self, index: usize) -> Result<Option<UnixMillis>, ReplyError> {
        let malformed = ReplyError::Text("ERR timeout is not an integer or out of range");
        if self.is_again() {
            return Ok(None);
        }
        match parse_i64(self.args.at(index)).ok_or(malformed)? {
            negative if negative < 0 => Err(ReplyError::Text(NEGATIVE)),
            millis => self.until(millis),
        }
    }

    fn until(&self, millis: i64) -> Result<Option<UnixMillis>, ReplyError> {
        if millis == 0 {
            return Ok(None);
        }
        self.now.checked_add(millis).map(Some).ok_or(ReplyError::Text(OUT_OF_RANGE))
    }
}

const NEGATIVE: &str = "ERR timeout is negative";
const OUT_OF_RANGE: &str = "ERR timeout is out of range";
