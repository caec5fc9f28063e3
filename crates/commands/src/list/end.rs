//! The ends of a list as clients name them.

use darter_command_table::{Arg, Call, ReplyError};
use darter_value::End;

/// The documentation of `LEFT` and `RIGHT`.
pub(super) const CHOICES: &[Arg] = &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")];

/// The event of adding at an end.
pub(super) const fn push_event(end: End) -> &'static str {
    match end {
        End::Front => "lpush",
        End::Back => "rpush",
    }
}

/// The command that takes from an end.
pub(super) const fn pop_command(end: End) -> &'static [u8] {
    match end {
        End::Front => b"LPOP",
        End::Back => b"RPOP",
    }
}

/// The word for an end, as Redis writes it.
pub(super) const fn word(end: End) -> &'static [u8] {
    match end {
        End::Front => b"left",
        End::Back => b"right",
    }
}

/// The event of taking from an end.
pub(super) const fn pop_event(end: End) -> &'static str {
    match end {
        End::Front => "lpop",
        End::Back => "rpop",
    }
}

/// The end that the argument at `index` names.
pub(super) fn parse(call: &Call<'_>, index: usize) -> Result<End, ReplyError> {
    if call.is_word(index, "LEFT") {
        Ok(End::Front)
    } else if call.is_word(index, "RIGHT") {
        Ok(End::Back)
    } else {
        Err(ReplyError::Syntax)
    }
}
