//! Commands on HyperLogLogs: strings in the format of `darter_value::hyperloglog`.

mod add;
mod count;
mod debug;
mod merge;

use darter_command_table::{Command, ReplyError};
use darter_shard::ValueRef;
use darter_value::hyperloglog::{Corrupt, Form, form_of};

/// Every command of the group.
pub static COMMANDS: &[&Command] =
    &[&add::PFADD, &count::PFCOUNT, &debug::PFDEBUG, &debug::PFSELFTEST, &merge::PFMERGE];

/// The string a key holds and the form of its registers, if it is a HyperLogLog by its header.
fn registers_of(value: ValueRef<'_>) -> Result<(&[u8], Form), ReplyError> {
    const NOT_ONE: ReplyError =
        ReplyError::Text("WRONGTYPE Key is not a valid HyperLogLog string value.");
    let bytes = match value {
        ValueRef::Integer(_) => return Err(NOT_ONE),
        value => value.text_bytes().ok_or(ReplyError::WrongType)?,
    };
    Ok((bytes, form_of(bytes).ok_or(NOT_ONE)?))
}

/// What is answered when the header is right and the registers are not.
const fn corrupt(_: Corrupt) -> ReplyError {
    ReplyError::Text("INVALIDOBJ Corrupted HLL object detected")
}
