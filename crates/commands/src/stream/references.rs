//! What becomes of groups' references to entries that are removed: `KEEPREF`, `DELREF`, `ACKED`.

use darter_command_table::{Arg, Call, ReplyError};
use darter_value::stream::{References, Removed};
use std::ops::Range;

const IDS_MISMATCH: ReplyError =
    ReplyError::Text("ERR The `numids` parameter must match the number of arguments");

/// The documentation of the three words.
pub(super) const REFERENCES_ARG: Arg = Arg::one_of(
    "condition",
    &[Arg::word("keepref", "KEEPREF"), Arg::word("delref", "DELREF"), Arg::word("acked", "ACKED")],
)
.since("8.2.0")
.optional();

/// The documentation of `IDS numids id [id ...]`.
pub(super) const IDS_ARG: Arg =
    Arg::block("ids", &[Arg::integer("numids"), Arg::string("id").multiple()]).token("IDS");

/// The word at argument `index`, if it is one of the three.
pub(super) fn parse_word(call: &Call<'_>, index: usize) -> Option<References> {
    if call.is_word(index, "KEEPREF") {
        Some(References::Keep)
    } else if call.is_word(index, "DELREF") {
        Some(References::Delete)
    } else if call.is_word(index, "ACKED") {
        Some(References::Acknowledged)
    } else {
        None
    }
}

/// Parses `[KEEPREF | DELREF | ACKED] IDS numids id [id ...]` from argument `index` to the end; where
/// the ids begin.
pub(super) fn parse_with_ids(
    call: &Call<'_>,
    mut index: usize,
) -> Result<(References, usize), ReplyError> {
    let mut references = None;
    while let Some(word) = parse_word(call, index) {
        if references.replace(word).is_some() {
            return Err(ReplyError::Syntax);
        }
        index += 1;
    }
    let ids = parse_ids(call, index)?;
    if ids.end != call.args.len() {
        return Err(IDS_MISMATCH);
    }
    Ok((references.unwrap_or_default(), ids.start))
}

/// Where the ids of `IDS numids id [id ...]` at argument `index` are.
pub(super) fn parse_ids(call: &Call<'_>, index: usize) -> Result<Range<usize>, ReplyError> {
    let start = index + 2;
    if !call.is_word(index, "IDS") || start > call.args.len() {
        return Err(ReplyError::Syntax);
    }
    let count = call
        .integer_within(index + 1, 1, i64::MAX)
        .map_err(|_| ReplyError::Text("ERR Number of IDs must be a positive integer"))?;
    let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
    end.filter(|end| *end <= call.args.len()).map(|end| start..end).ok_or(IDS_MISMATCH)
}

/// What is answered for one id.
pub(super) const fn answer(removed: Removed) -> i64 {
    match removed {
        Removed::Absent => -1,
        Removed::Removed => 1,
        Removed::Referenced => 2,
    }
}
