//! LPOS.

use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_value::packing::item_of;
use darter_value::{End, List};
use std::ops::ControlFlow;

/// Where an element is.
pub(super) static LPOS: Command = Command {
    name: "LPOS",
    group: Group::List,
    since: "6.0.6",
    summary: "The indices of elements of a list that are equal to one given.",
    complexity: "O(N) where N is the number of elements looked at.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::LIST,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::string("element"),
        Arg::integer("rank").token("RANK").optional(),
        Arg::integer("num-matches").token("COUNT").optional(),
        Arg::integer("len").token("MAXLEN").optional(),
    ],
    handler: Handler::Keyed(lpos),
    ..Command::BASE
};

struct Options {
    /// Matches are looked for from this end.
    end: End,
    /// How many of the first matches are passed over.
    passed: u64,
    /// How many matches at most, 0: all; `None`: one, and not as an array.
    count: Option<u64>,
    /// How many elements to look at, 0: all.
    len_max: u64,
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let mut options = Self { end: End::Front, passed: 0, count: None, len_max: 0 };
        let mut index = 3;
        while index < call.args.len() {
            let has_value = index + 1 < call.args.len();
            let positive = |text| {
                let number = call.integer(index + 1).ok();
                let number = number.and_then(|number| u64::try_from(number).ok());
                number.ok_or(ReplyError::Text(text))
            };
            if call.is_word(index, "RANK") && has_value {
                let rank = call.integer_within(index + 1, -i64::MAX, i64::MAX)?;
                options.end = if rank < 0 { End::Back } else { End::Front };
                let passed = rank.unsigned_abs().checked_sub(1);
                options.passed = passed.ok_or(ReplyError::Text(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
                     ... or use negative to start from the end of the list",
                ))?;
            } else if call.is_word(index, "COUNT") && has_value {
                options.count = Some(positive("ERR COUNT can't be negative")?);
            } else if call.is_word(index, "MAXLEN") && has_value {
                options.len_max = positive("ERR MAXLEN can't be negative")?;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 2;
        }
        Ok(options)
    }
}

fn lpos(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let Options { end, passed, count, len_max } = Options::parse(call)?;
    let key = call.key(1);
    let wanted = item_of(call.args.at(2));
    let mut keyspace = call.keyspace(view, &key);
    let list = keyspace.read_collection::<List>(&key)?;
    let len = list.map_or(0, List::len);
    let array = count.map(|_| call.reply.begin_deferred());
    // None given is one; zero is as many as there are.
    let wanted_count = match count {
        None => 1,
        Some(0) => u64::MAX,
        Some(count) => count,
    };
    let (mut looked_at, mut matches, mut found) = (0_u64, 0_u64, 0);
    if let Some(list) = list {
        let from = if end == End::Front { 0 } else { len - 1 };
        list.walk(end, from, |element| {
            if len_max != 0 && looked_at == len_max {
                return ControlFlow::Break(());
            }
            if element.equals(wanted) {
                matches += 1;
                if matches > passed {
                    let index = match end {
                        End::Front => looked_at.cast_signed(),
                        End::Back => len.cast_signed() as i64 - 1 - looked_at.cast_signed(),
                    };
                    call.reply.integer(index);
                    found += 1;
                }
            }
            looked_at += 1;
            if found as u64 == wanted_count {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
    match array {
        Some(array) => call.reply.end_array(array, found),
        None if found == 0 => call.reply.null(),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn positions_are_found_from_either_end() {
        transcript(
            r"
            LPOS l a                => $-1
            LPOS l a COUNT 0        => *0
            RPUSH l a b c 1 2 3 c c => :8
            LPOS l a                => :0
            LPOS l c                => :2
            LPOS l 2                => :4
            LPOS l x                => $-1
            LPOS l x COUNT 1        => *0
            LPOS l c RANK 2         => :6
            LPOS l c RANK -1        => :7
            LPOS l c RANK -3        => :2
            LPOS l c RANK 4         => $-1
            LPOS l c COUNT 2        => *2 :2 :6
            LPOS l c RANK -1 COUNT 2 => *2 :7 :6
            LPOS l c COUNT 0        => *3 :2 :6 :7
            LPOS l c COUNT 0 RANK 2 => *2 :6 :7
            LPOS l c MAXLEN 1       => $-1
            LPOS l c MAXLEN 3       => :2
            LPOS l c MAXLEN 1 RANK -1 => :7
            LPOS l c COUNT 0 MAXLEN 7 => *2 :2 :6
            LPOS l c RANK 0         => -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
            LPOS l c RANK x         => -ERR value is not an integer or out of range
            LPOS l c COUNT -1       => -ERR COUNT can't be negative
            LPOS l c COUNT x        => -ERR COUNT can't be negative
            LPOS l c MAXLEN -1      => -ERR MAXLEN can't be negative
            LPOS l c COUNT          => -ERR syntax error
            LPOS l c FOO 1          => -ERR syntax error
            SET s v                 => +OK
            LPOS s a                => -WRONGTYPE Operation against a key holding the wrong kind of value
            ",
        );
    }
}
