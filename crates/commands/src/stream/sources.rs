//! What XREAD and XREADGROUP are asked for.

use super::id;
use darter_base::UnixMillis;
use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Begin, Call, Find, KeySpec, ReplyError, ShardView, Wait, until_nul,
};
use darter_resp::{Args, ReplyWriter};
use darter_shard::{Key, Type, Wanted};
use darter_value::stream::{Stream, StreamId};
use std::ops::Range;

/// Where the keys are: the first half of what follows `STREAMS`.
pub(super) const fn keys_from(from: i32) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword { word: "STREAMS", from },
        find: Find::Range { last: -1, step: 1, limit: 2 },
        access: Access::READ_ONLY.and(Access::ACCESS),
        notes: None,
    }
}

/// Calls `visit` with the index of each key. `STREAMS` may also be the name of a group or a consumer, so that what stands
/// before it has to be understood.
pub(super) fn each_key(args: Args<'_>, visit: &mut dyn FnMut(usize)) -> bool {
    let mut index = 1;
    while index < args.len() {
        let is = |word: &str| args[index].eq_ignore_ascii_case(word.as_bytes());
        let operands = args.len() - index - 1;
        index += match operands {
            1.. if is("BLOCK") || is("COUNT") || is("CLAIM") => 2,
            2.. if is("GROUP") => 3,
            _ if is("NOACK") => 1,
            1.. if is("STREAMS") && operands.is_multiple_of(2) => {
                (index + 1..=index + operands / 2).for_each(visit);
                return true;
            }
            _ => return false,
        };
    }
    false
}

/// The arguments of XREAD or XREADGROUP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// Most entries of each stream; 0: all.
    pub(super) count: usize,
    /// Whether it waits (BLOCK).
    blocks: bool,
    /// Until when; `None`: for ever.
    until: Option<UnixMillis>,
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) no_ack: bool,
    /// For how long an entry must have been pending to be claimed, in milliseconds; `None`: none is.
    pub(super) claim_idle_ms: Option<i64>,
    /// Argument of the first key; the ids follow the keys.
    keys_at: usize,
    /// Number of streams.
    pub(super) len: usize,
}

impl<'a> Request<'a> {
    /// Parses all arguments; `for_group` for XREADGROUP.
    pub(super) fn parse(call: &Call<'a>, for_group: bool) -> Result<Self, ReplyError> {
        let mut request = Self {
            count: 0,
            blocks: false,
            until: None,
            group: None,
            no_ack: false,
            claim_idle_ms: None,
            keys_at: 0,
            len: 0,
        };
        let args_len = call.args.len();
        let mut index = 1;
        while index < args_len {
            let operands = args_len - index - 1;
            if call.is_word(index, "BLOCK") && operands >= 1 {
                index += 1;
                request.until = call.until_millis(index)?;
                request.blocks = true;
            } else if call.is_word(index, "COUNT") && operands >= 1 {
                index += 1;
                request.count = usize::try_from(call.integer(index)?).unwrap_or(0);
            } else if call.is_word(index, "STREAMS") && operands >= 1 {
                if !operands.is_multiple_of(2) {
                    let (name, symbol) =
                        if for_group { ("xreadgroup", '>') } else { ("xread", '$') };
                    return Err(ReplyError::Message(format!(
                        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or \
                         '{symbol}' must be specified."
                    )));
                }
                request.keys_at = index + 1;
                request.len = operands / 2;
                break;
            } else if call.is_word(index, "GROUP") && operands >= 2 {
                if !for_group {
                    return Err(ReplyError::Text(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD \
                         instead.",
                    ));
                }
                request.group = Some((call.args.at(index + 1), call.args.at(index + 2)));
                index += 2;
            } else if call.is_word(index, "CLAIM") && operands >= 1 {
                if !for_group {
                    return Err(ReplyError::Text(
                        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD \
                         instead.",
                    ));
                }
                index += 1;
                request.claim_idle_ms = Some(match parse_i64(call.args.at(index)) {
                    None => {
                        return Err(ReplyError::Text("ERR min-idle-time is not an integer"));
                    }
                    Some(..0) => {
                        return Err(ReplyError::Text(
                            "ERR min-idle-time must be a positive integer",
                        ));
                    }
                    Some(idle_ms) => idle_ms,
                });
            } else if call.is_word(index, "NOACK") {
                if !for_group {
                    return Err(ReplyError::Text(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD \
                         instead.",
                    ));
                }
                request.no_ack = true;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        if request.len == 0 {
            return Err(ReplyError::Syntax);
        }
        if for_group && request.group.is_none() {
            return Err(ReplyError::Text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(request)
    }

    /// Waits for one of the streams if BLOCK says so, else answers that there is nothing. What arguments
    /// meant is `meant`; `anything` for a waiter that has to be told when a stream goes; at `again_at` it is to look
    /// again by itself.
    pub(super) fn wait_or_null(
        &self,
        call: &mut Call<'a>,
        anything: bool,
        again_at: Option<UnixMillis>,
        meant: impl FnOnce() -> Vec<(usize, Vec<u8>)>,
    ) {
        if !self.blocks {
            return call.reply.null_array();
        }
        let wait = || Wait {
            until: self.until,
            again_at,
            wanted: Wanted { kind: Type::Stream, anything },
            keys: self.keys(),
            meant: meant(),
        };
        call.wait_or(wait, ReplyWriter::null_array);
    }

    /// The arguments that are keys.
    pub(super) fn keys(&self) -> Range<usize> {
        self.keys_at..self.keys_at + self.len
    }

    /// The argument that says what is asked of the stream `index`.
    pub(super) fn id_at(&self, index: usize) -> usize {
        self.keys_at + self.len + index
    }

    /// The key of the stream `index`.
    pub(super) fn key(&self, call: &Call<'a>, index: usize) -> Key<'a> {
        call.key(self.keys_at + index)
    }

    /// What is asked of the stream `index`.
    pub(super) fn id(&self, call: &Call<'a>, index: usize) -> &'a [u8] {
        call.args.at(self.id_at(index))
    }
}

/// Whether the arguments of XREAD or XREADGROUP have BLOCK, at a place where it means that.
pub(super) fn may_block(args: Args<'_>) -> bool {
    let is = |index: usize, word: &str| args[index].eq_ignore_ascii_case(word.as_bytes());
    let mut index = 1;
    while index < args.len() && !is(index, "STREAMS") {
        if is(index, "BLOCK") {
            return true;
        }
        index += if is(index, "GROUP") {
            3
        } else if is(index, "COUNT") || is(index, "CLAIM") {
            2
        } else {
            1
        };
    }
    false
}

/// Lends `read` the stream at `key` as XREAD and XREADGROUP look at it first.
pub(super) fn with_stream<R>(
    call: &Call<'_>,
    view: &mut ShardView<'_>,
    key: &Key<'_>,
    read: impl FnOnce(Option<&Stream>) -> Result<R, ReplyError>,
) -> Result<R, ReplyError> {
    let mut keyspace = call.keyspace(view, key);
    let stream = keyspace.read_collection::<Stream>(key)?;
    read(stream)
}

/// An id given to XREAD or XREADGROUP that is no special one.
pub(super) fn parse_after(text: &[u8]) -> Result<StreamId, ReplyError> {
    id::parse(text, 0)
}

/// The error about a group that is not there, `context` following the names.
pub(super) fn no_group(key: &[u8], group: &[u8], context: &str) -> ReplyError {
    ReplyError::Line(
        [
            b"NOGROUP No such key '".as_slice(),
            until_nul(key),
            b"' or consumer group '",
            until_nul(group),
            b"'",
            context.as_bytes(),
        ]
        .concat(),
    )
}

/// The error about a group that is not in a stream that is there.
pub(super) fn no_group_in(key: &[u8], group: &[u8]) -> ReplyError {
    ReplyError::Line(
        [
            b"NOGROUP No such consumer group '".as_slice(),
            until_nul(group),
            b"' for key name '",
            until_nul(key),
            b"'",
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::each_key;
    use darter_resp::OwnedArgs;

    fn keys(line: &str) -> Option<Vec<usize>> {
        let args: OwnedArgs = line.split_ascii_whitespace().collect();
        let mut found = Vec::new();
        each_key(args.as_args(), &mut |index| found.push(index)).then_some(found)
    }

    #[test]
    fn names_that_are_words_do_not_mislead() {
        assert_eq!(keys("XREAD COUNT 1 STREAMS a b 0 0"), Some(vec![4, 5]));
        assert_eq!(keys("XREADGROUP COUNT 1 GROUP STREAMS c STREAMS k >"), Some(vec![7]));
        assert_eq!(keys("XREADGROUP GROUP g STREAMS NOACK STREAMS STREAMS >"), Some(vec![6]));
        for line in ["XREAD STREAMS a b 0", "XREAD STREAMS", "XREAD COUNT", "XREAD x STREAMS a 0"] {
            assert_eq!(keys(line), None, "{line}");
        }
    }
}
