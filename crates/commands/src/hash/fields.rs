//! `FIELDS numfields field ...`, and what all commands on hashes share.

use darter_command_table::{Arg, Call, ReplyError};
use darter_resp::{Args, ReplyWriter};
use darter_value::hash::{FieldValue, HashGrowth};

use crate::reply::write_element;

/// The documentation of `FIELDS numfields field ...`.
pub(super) const FIELDS_ARG: Arg =
    Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
        .token("FIELDS");

const COUNT_MISMATCH: ReplyError = ReplyError::Text(
    "ERR numfields should be greater than 0 and match the provided number of fields",
);

/// What whoever adds fields must know.
pub(crate) fn growth<'a>(call: &Call<'a>) -> HashGrowth<'a> {
    HashGrowth { limits: call.limits.encodings.hash, hasher: call.hasher }
}

/// The fields after `FIELDS` at argument 2 of a command without options. `mismatch` is answered when
/// their number is not what was said.
pub(super) fn fields_at_once<'a>(
    call: &Call<'a>,
    mismatch: ReplyError,
) -> Result<Args<'a>, ReplyError> {
    if !call.is_word(2, "FIELDS") {
        return Err(ReplyError::Syntax);
    }
    counted(call, 3, 1, mismatch)
}

/// As [`fields_at_once`], with the error most commands have for a mismatch.
pub(super) fn fields<'a>(call: &Call<'a>) -> Result<Args<'a>, ReplyError> {
    fields_at_once(call, COUNT_MISMATCH)
}

/// Where the word `FIELDS` is, from argument `from` on and with one behind it.
pub(super) fn find_fields(call: &Call<'_>, from: usize) -> Result<usize, ReplyError> {
    let last = call.args.len().saturating_sub(1);
    (from..last).find(|index| call.is_word(*index, "FIELDS")).ok_or(COUNT_MISMATCH)
}

/// The arguments behind the number at `index`, which must be as many groups of `group` as it says.
pub(super) fn fields_behind<'a>(
    call: &Call<'a>,
    index: usize,
    group: usize,
) -> Result<Args<'a>, ReplyError> {
    counted(call, index, group, COUNT_MISMATCH)
}

fn counted<'a>(
    call: &Call<'a>,
    index: usize,
    group: usize,
    mismatch: ReplyError,
) -> Result<Args<'a>, ReplyError> {
    let count = call.integer(index)?;
    let fields = call.args.tail(index + 1);
    let is_right = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(group))
        .is_some_and(|count| count > 0 && count == fields.len());
    if is_right { Ok(fields) } else { Err(mismatch) }
}

/// Writes a value, or that there is none.
pub(super) fn write_value(reply: &mut ReplyWriter<'_>, field: Option<FieldValue<'_>>) {
    match field {
        Some(field) => write_element(reply, field.value),
        None => reply.null(),
    }
}
