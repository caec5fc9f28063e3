//! What SSCAN, ZSCAN and HSCAN share: the cursor, the options, the shape of the reply.

use crate::generic::scan::{COUNT_DEFAULT, parse_cursor};
use darter_base::glob::{Case, glob_matches};
use darter_base::number::format_u64;
use darter_command_table::{Call, ReplyError};
use darter_resp::ReplyWriter;

/// Elements visited by one call, however many it asks for: a count is a hint.
const ELEMENTS_PER_CALL: usize = 20_000;

/// The option that leaves out what belongs to an element, where a type has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// SSCAN has none.
    Never,
    /// NOSCORES of ZSCAN.
    Scores,
    /// NOVALUES of HSCAN.
    Values,
}

/// One step of a scan of a collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElementScan<'a> {
    /// How many elements to visit. 1 <= count <= [`ELEMENTS_PER_CALL`].
    pub(crate) count: usize,
    /// Whether NOSCORES or NOVALUES was given.
    pub(crate) is_bare: bool,
    pattern: Option<&'a [u8]>,
}

/// The cursor, which is checked even if there is no such key.
pub(crate) fn cursor(call: &Call<'_>) -> Result<u64, ReplyError> {
    parse_cursor(call.args.at(2)).ok_or(ReplyError::InvalidCursor)
}

impl<'a> ElementScan<'a> {
    /// The options behind the cursor, which are checked only if there is such a key.
    pub(crate) fn parse(call: &Call<'a>, bare: Bare) -> Result<Self, ReplyError> {
        let mut scan = Self { count: COUNT_DEFAULT, is_bare: false, pattern: None };
        let mut index = 3;
        while index < call.args.len() {
            let value = call.args.get(index + 1);
            if call.is_word(index, "COUNT") && value.is_some() {
                scan.count = match usize::try_from(call.integer(index + 1)?) {
                    Ok(count) if count > 0 => count.min(ELEMENTS_PER_CALL),
                    _ => return Err(ReplyError::Syntax),
                };
                index += 2;
            } else if let (true, Some(pattern)) = (call.is_word(index, "MATCH"), value) {
                scan.pattern = Some(pattern).filter(|pattern| *pattern != b"*");
                index += 2;
            } else if call.is_word(index, "NOSCORES") {
                if bare != Bare::Scores {
                    return Err(ReplyError::Text("ERR NOSCORES option can only be used in ZSCAN"));
                }
                scan.is_bare = true;
                index += 1;
            } else if call.is_word(index, "NOVALUES") {
                if bare != Bare::Values {
                    return Err(ReplyError::Text("ERR NOVALUES option can only be used in HSCAN"));
                }
                scan.is_bare = true;
                index += 1;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(scan)
    }

    /// Whether an element is to be shown.
    pub(crate) fn shows(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_matches(pattern, element, Case::Exact))
    }
}

/// The beginning of the reply; an array of elements must follow.
pub(crate) fn begin(reply: &mut ReplyWriter<'_>, cursor: u64) {
    reply.array(2);
    reply.bulk(&format_u64(cursor));
}

/// The whole reply if there is no such key.
pub(crate) fn nothing(reply: &mut ReplyWriter<'_>) {
    begin(reply, 0);
    reply.array(0);
}
