//! What becomes of groups' references to entries that are removed: `KEEPREF`, `DELREF`, `ACKED`.

use darter_command_table::{Arg, Call, ReplyError};
use darter_value::stream::{References, Removed};

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
    if !call.is_word(index, "IDS") || index + 1 >= call.args.len() {
        return Err(ReplyError::Syntax);
    }
    let count = call
        .integer_within(index + 1, 1, i64::MAX)
        .map_err(|_| ReplyError::Text("ERR Number of IDs must be a positive integer"))?;
    let ids = index + 2;
    if usize::try_from(count) != Ok(call.args.len() - ids) {
        return Err(ReplyError::Text(
            "ERR The `numids` parameter must match the number of arguments",
        ));
    }
    Ok((references.unwrap_or_default(), ids))
}

/// What is answered for one id.
pub(super) const fn answer(removed: Removed) -> i64 {
    match removed {
        Removed::Absent => -1,
        Removed::Removed => 1,
        Removed::Referenced => 2,
    }
}
