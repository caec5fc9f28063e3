//! LCS.

use super::common_subsequence::{self, Match};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::Key;
use darter_value::integer::IntegerText;

/// What two values have in common.
pub(super) static LCS: Command = Command {
    name: "LCS",
    group: Group::String,
    since: "7.0.0",
    summary: "The longest common subsequence of two string values.",
    complexity: "O(N*M/64) where N and M are the lengths of the values.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::STRING,
    keys: &[KeySpec::range(1, 1, 1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key1"),
        Arg::key("key2"),
        Arg::word("len", "LEN").optional(),
        Arg::word("idx", "IDX").optional(),
        Arg::integer("min-match-len").token("MINMATCHLEN").optional(),
        Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    handler: Handler::Keyed(lcs),
    ..Command::BASE
};

/// Longest value it works on, in bytes.
const BYTES_MAX: usize = u32::MAX as usize - 2;

/// Bytes Redis's table takes per pair of positions; what it may take together is limited as a string
/// is. The limit is kept although the table here is smaller, since it bounds the time as well.
const TABLE_BYTES_PER_PAIR: u128 = 4;

/// What to answer.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    len: bool,
    positions: bool,
    match_len_min: usize,
    match_lens: bool,
}

impl Options {
    /// Reads the arguments from 3 on.
    fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut index = 3;
        while index < call.args.len() {
            if call.is_word(index, "IDX") {
                options.positions = true;
            } else if call.is_word(index, "LEN") {
                options.len = true;
            } else if call.is_word(index, "WITHMATCHLEN") {
                options.match_lens = true;
            } else if call.is_word(index, "MINMATCHLEN") && index + 1 < call.args.len() {
                index += 1;
                options.match_len_min =
                    usize::try_from(call.integer(index)?.max(0)).unwrap_or(usize::MAX);
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        if options.len && options.positions {
            return Err(ReplyError::Text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (first, second) = (call.key(1), call.key(2));
    let left_len = len_of(call, view, &first)?;
    let right_len = len_of(call, view, &second)?;
    let options = Options::parse(call)?;
    check_lens(left_len, right_len, call)?;
    // The values may be in two shards and cannot be lent at once. Copies are cheap next to what
    // follows.
    let left = copy_of(call, view, &first);
    let right = copy_of(call, view, &second);
    let no_memory =
        |_| ReplyError::Text("ERR Insufficient memory, failed allocating transient memory for LCS");
    if options.len {
        let len = common_subsequence::len(&left, &right).map_err(no_memory)?;
        call.reply.integer(len.cast_signed() as i64);
        return Ok(());
    }
    let found = common_subsequence::matches(&left, &right).map_err(no_memory)?;
    if options.positions {
        write_positions(call, &found, options);
    } else {
        let pieces = found.iter().rev().map(|found| &left[found.left..found.left + found.len]);
        call.reply.bulk(&pieces.collect::<Vec<_>>().concat());
    }
    Ok(())
}

/// The length of the string at `key`, 0 if it is not there.
fn len_of(call: &Call<'_>, view: &mut ShardView<'_>, key: &Key<'_>) -> Result<usize, ReplyError> {
    call.keyspace(view, key).read(key).map_or(Ok(0), |value| {
        value
            .string_len()
            .ok_or(ReplyError::Text("ERR The specified keys must contain string values"))
    })
}

fn check_lens(left: usize, right: usize, call: &Call<'_>) -> ReplyResult {
    if left > BYTES_MAX || right > BYTES_MAX {
        return Err(ReplyError::Text("ERR String too long for LCS"));
    }
    let pairs = (left as u128 + 1) * (right as u128 + 1);
    if pairs * TABLE_BYTES_PER_PAIR > u128::from(call.limits.string_bytes_max) {
        return Err(ReplyError::Text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(())
}

fn copy_of(call: &Call<'_>, view: &mut ShardView<'_>, key: &Key<'_>) -> Vec<u8> {
    let mut text = IntegerText::new();
    let mut keyspace = call.keyspace(view, key);
    let value = keyspace.peek(key);
    value.and_then(|value| Some(value.string_bytes(&mut text)?.to_vec())).unwrap_or_default()
}

fn write_positions(call: &mut Call<'_>, found: &[Match], options: Options) {
    let reply = &mut call.reply;
    reply.map(2);
    reply.bulk(b"matches");
    let shown = || found.iter().filter(|found| found.len >= options.match_len_min);
    reply.array(shown().count());
    for Match { left, right, len } in shown() {
        reply.array(if options.match_lens { 3 } else { 2 });
        for begin in [left, right] {
            reply.array(2);
            reply.integer(begin.cast_signed() as i64);
            reply.integer((begin + len - 1).cast_signed() as i64);
        }
        if options.match_lens {
            reply.integer(len.cast_signed() as i64);
        }
    }
    reply.bulk(b"len");
    let total: usize = found.iter().map(|found| found.len).sum();
    reply.integer(total.cast_signed() as i64);
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn lcs_answers_in_three_shapes() {
        transcript(
            r"
            MSET k1 ohmytext k2 mynewtext   => +OK
            LCS k1 k2                       => $6 mytext
            LCS k1 k2 LEN                   => :6
            LCS k1 k2 IDX                   => *4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6
            LCS k1 k2 IDX MINMATCHLEN 4     => *4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6
            LCS k1 k2 IDX MINMATCHLEN 4 WITHMATCHLEN => *4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6
            LCS k1 k2 idx minmatchlen -1    => *4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6
            LCS k1 nokey                    => $0
            LCS k1 nokey LEN                => :0
            LCS nokey nokey IDX             => *4 $7 matches *0 $3 len :0
            MSET a 12345 b 235              => +OK
            LCS a b                         => $3 235
            LCS a b IDX                     => *4 $7 matches *2 *2 *2 :4 :4 *2 :2 :2 *2 *2 :1 :2 *2 :0 :1 $3 len :3
            @resp 3
            LCS a b IDX MINMATCHLEN 2       => %2 $7 matches *1 *2 *2 :1 :2 *2 :0 :1 $3 len :3
            ",
        );
    }

    #[test]
    fn lcs_refuses_what_is_ambiguous_or_too_big() {
        transcript(
            r"
            LCS k1 k2 LEN IDX               => -ERR If you want both the length and indexes, please just use IDX.
            LCS k1 k2 FOO                   => -ERR syntax error
            LCS k1 k2 MINMATCHLEN           => -ERR syntax error
            LCS k1 k2 MINMATCHLEN x         => -ERR value is not an integer or out of range
            LCS k1                          => -ERR wrong number of arguments for 'lcs' command
            SETRANGE k1 19999 x             => :20000
            SETRANGE k2 6709 x              => :6710
            LCS k1 k2 LEN                   => -ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len
            SETRANGE k3 6707 x              => :6708
            LCS k1 k3 LEN                   => :6708
            ",
        );
    }
}
