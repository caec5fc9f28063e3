//! ZRANGE, its older forms, and ZRANGESTORE.

use super::bound::{LexRange, ScoreRange};
use super::long_store::store_in_slices;
use super::written::Shape;
use crate::index_range::IndexRange;
use crate::long_read::{Read, in_one_piece, read_in_slices};
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Deprecation, Flags, Group, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView, Slice,
};
use darter_resp::ReplyWriter;
use darter_shard::{Expiry, Interest};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Rules, SortedSet};
use std::ops::Range;

const LIMIT: Arg =
    Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();
const WITH_SCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();
const SORT_BY: Arg =
    Arg::one_of("sortby", &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")])
        .optional();

/// What all of the commands that read a range share.
const READ: Command = Command {
    group: Group::SortedSet,
    complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members \
                 returned.",
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    ..Command::BASE
};

/// A range of ranks, scores or members.
pub(super) static ZRANGE: Command = Command {
    name: "ZRANGE",
    since: "1.2.0",
    summary: "The members of a sorted set in a range of ranks, scores or members.",
    args: &[
        Arg::key("key"),
        Arg::string("start"),
        Arg::string("stop"),
        SORT_BY.since("6.2.0"),
        Arg::word("rev", "REV").optional().since("6.2.0"),
        LIMIT.since("6.2.0"),
        WITH_SCORES,
    ],
    history: &[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")],
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZRANGE)),
    slices: Some(|call| read(call, grammar::ZRANGE)),
    ..READ
};

/// A range of members.
pub(super) static ZRANGEBYLEX: Command = Command {
    name: "ZRANGEBYLEX",
    since: "2.8.9",
    summary: "The members in a range of members, in a sorted set of equal scores.",
    args: &[Arg::key("key"), Arg::string("min"), Arg::string("max"), LIMIT],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`ZRANGE` with the `BYLEX` argument",
    }),
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZRANGEBYLEX)),
    slices: Some(|call| read(call, grammar::ZRANGEBYLEX)),
    ..READ
};

/// A range of scores.
pub(super) static ZRANGEBYSCORE: Command = Command {
    name: "ZRANGEBYSCORE",
    since: "1.0.5",
    summary: "The members of a sorted set with scores in a range.",
    args: &[
        Arg::key("key"),
        Arg::double("min"),
        Arg::double("max"),
        WITH_SCORES.since("2.0.0"),
        LIMIT,
    ],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`ZRANGE` with the `BYSCORE` argument",
    }),
    history: &[("2.0.0", "Added the `WITHSCORES` modifier.")],
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZRANGEBYSCORE)),
    slices: Some(|call| read(call, grammar::ZRANGEBYSCORE)),
    ..READ
};

/// A range of ranks from the other end.
pub(super) static ZREVRANGE: Command = Command {
    name: "ZREVRANGE",
    since: "1.2.0",
    summary: "The members of a sorted set in a range of ranks, from the highest score.",
    args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop"), WITH_SCORES],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` argument",
    }),
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZREVRANGE)),
    slices: Some(|call| read(call, grammar::ZREVRANGE)),
    ..READ
};

/// A range of members, backwards.
pub(super) static ZREVRANGEBYLEX: Command = Command {
    name: "ZREVRANGEBYLEX",
    since: "2.8.9",
    summary: "The members in a range of members, backwards, in a sorted set of equal scores.",
    args: &[Arg::key("key"), Arg::string("max"), Arg::string("min"), LIMIT],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments",
    }),
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZREVRANGEBYLEX)),
    slices: Some(|call| read(call, grammar::ZREVRANGEBYLEX)),
    ..READ
};

/// A range of scores, backwards.
pub(super) static ZREVRANGEBYSCORE: Command = Command {
    name: "ZREVRANGEBYSCORE",
    since: "2.2.0",
    summary: "The members of a sorted set with scores in a range, from the highest score.",
    args: &[Arg::key("key"), Arg::double("max"), Arg::double("min"), WITH_SCORES, LIMIT],
    deprecated: Some(Deprecation {
        since: "6.2.0",
        replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
    }),
    history: &[("2.1.6", "`min` and `max` can be exclusive.")],
    handler: Handler::Keyed(|call, view| answer(call, view, grammar::ZREVRANGEBYSCORE)),
    slices: Some(|call| read(call, grammar::ZREVRANGEBYSCORE)),
    ..READ
};

/// Stores a range.
pub(super) static ZRANGESTORE: Command = Command {
    name: "ZRANGESTORE",
    group: Group::SortedSet,
    since: "6.2.0",
    summary: "Stores the members of a sorted set in a range as a sorted set.",
    complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members stored.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::SORTED_SET,
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE)),
        KeySpec::at(2, Access::READ_ONLY.and(Access::ACCESS)),
    ],
    args: &[
        Arg::key("dst"),
        Arg::key_by("src", 1),
        Arg::string("min"),
        Arg::string("max"),
        SORT_BY,
        Arg::word("rev", "REV").optional(),
        LIMIT,
    ],
    handler: Handler::Keyed(zrangestore),
    slices: Some(store_in_slices),
    ..Command::BASE
};

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as asked for, with its ends as they are in the arguments.
#[derive(Clone)]
pub(super) struct Query<'a> {
    ends: Ends<'a>,
    is_reversed: bool,
    with_scores: bool,
    offset: i64,
    /// Negative: no limit.
    limit: i64,
}

#[derive(Clone)]
enum Ends<'a> {
    Rank(IndexRange),
    Score(ScoreRange),
    Lex(LexRange<'a>),
}

/// Which options a command has; what it fixes itself is not one.
#[derive(Clone, Copy)]
pub(super) struct Grammar {
    by: Option<By>,
    is_reversed: Option<bool>,
    stores: bool,
}

/// Those of the commands that answer.
mod grammar {
    use super::{By, Grammar};

    const fn of(by: Option<By>, is_reversed: Option<bool>) -> Grammar {
        Grammar { by, is_reversed, stores: false }
    }

    pub(super) const ZRANGE: Grammar = of(None, None);
    pub(super) const ZRANGEBYLEX: Grammar = of(Some(By::Lex), Some(false));
    pub(super) const ZRANGEBYSCORE: Grammar = of(Some(By::Score), Some(false));
    pub(super) const ZREVRANGE: Grammar = of(Some(By::Rank), Some(true));
    pub(super) const ZREVRANGEBYLEX: Grammar = of(Some(By::Lex), Some(true));
    pub(super) const ZREVRANGEBYSCORE: Grammar = of(Some(By::Score), Some(true));
}

impl<'a> Query<'a> {
    /// The ends at argument `from`, and the options behind them.
    pub(super) fn parse(
        call: &Call<'a>,
        from: usize,
        grammar: Grammar,
    ) -> Result<Self, ReplyError> {
        let (mut by, mut is_reversed) = (grammar.by, grammar.is_reversed);
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        let mut index = from + 2;
        while index < call.args.len() {
            if !grammar.stores && call.is_word(index, "WITHSCORES") {
                with_scores = true;
            } else if call.is_word(index, "LIMIT") && index + 2 < call.args.len() {
                offset = call.integer(index + 1)?;
                limit = call.integer(index + 2)?;
                index += 2;
            } else if is_reversed.is_none() && call.is_word(index, "REV") {
                is_reversed = Some(true);
            } else if by.is_none() && call.is_word(index, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && call.is_word(index, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        let by = by.unwrap_or(By::Rank);
        let is_reversed = is_reversed.unwrap_or(false);
        if limit != -1 && by == By::Rank {
            return Err(ReplyError::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(ReplyError::Text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = if is_reversed { (from + 1, from) } else { (from, from + 1) };
        let (min, max) = (call.args.at(min), call.args.at(max));
        let ends = match by {
            By::Rank => Ends::Rank(IndexRange::parse(call, from)?),
            By::Score => Ends::Score(ScoreRange::parse(min, max)?),
            By::Lex => Ends::Lex(LexRange::parse(min, max)?),
        };
        Ok(Self { ends, is_reversed, with_scores, offset, limit })
    }

    /// The same without the arguments.
    pub(super) fn to_owned(&self) -> Query<'static> {
        let ends = match &self.ends {
            Ends::Rank(range) => Ends::Rank(*range),
            Ends::Score(range) => Ends::Score(*range),
            Ends::Lex(range) => Ends::Lex(range.to_owned()),
        };
        let Self { is_reversed, with_scores, offset, limit, .. } = *self;
        Query { ends, is_reversed, with_scores, offset, limit }
    }

    /// The ranks of the members asked for.
    pub(super) fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = match &self.ends {
            Ends::Rank(range) => {
                let range = range.within(set.len());
                if !self.is_reversed {
                    return range;
                }
                return set.len() - range.end..set.len() - range.start;
            }
            Ends::Score(range) => range.ranks(set),
            Ends::Lex(range) => range.ranks(set),
        };
        // A negative offset is beyond every end.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(ranks.len());
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let count = (ranks.len() - offset).min(limit);
        if self.is_reversed {
            let end = ranks.end - offset;
            end - count..end
        } else {
            let start = ranks.start + offset;
            start..start + count
        }
    }
}

fn answer(call: &mut Call<'_>, view: &mut ShardView<'_>, grammar: Grammar) -> ReplyResult {
    let query = Query::parse(call, 2, grammar)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.read_collection::<SortedSet>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let shape = Shape::of(&call.reply, query.with_scores);
    let ranks = query.ranks(set);
    in_one_piece(call, set, ranks.len())?;
    let members = set.range(ranks, query.is_reversed);
    shape.begin(&mut call.reply, members.len());
    for (member, score) in members {
        shape.write(&mut call.reply, member, score);
    }
    Ok(())
}

/// The same for very many members.
fn read(call: &Call<'_>, grammar: Grammar) -> Result<Box<dyn Slice>, ReplyError> {
    let query = Query::parse(call, 2, grammar)?;
    let shape = Shape::of(&call.reply, query.with_scores);
    Ok(read_in_slices(call, Members { query: query.to_owned(), shape }))
}

struct Members {
    query: Query<'static>,
    shape: Shape,
}

impl Read for Members {
    type Collection = SortedSet;
    /// Members read.
    type At = usize;

    fn read(
        &self,
        set: &SortedSet,
        at: usize,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<usize> {
        let ranks = self.query.ranks(set);
        let next = (at + at_once).min(ranks.len());
        let slice = if self.query.is_reversed {
            ranks.end - next..ranks.end - at
        } else {
            ranks.start + at..ranks.start + next
        };
        for (member, score) in set.range(slice, self.query.is_reversed) {
            self.shape.write(reply, member, score);
        }
        *written = next;
        (next < ranks.len()).then_some(next)
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        self.shape.begin(reply, count);
    }
}

/// What ZRANGESTORE understands.
pub(super) const fn store_grammar() -> Grammar {
    Grammar { by: None, is_reversed: None, stores: true }
}

fn zrangestore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let query = Query::parse(call, 3, store_grammar())?;
    let source = call.key(2);
    let limits = call.limits.encodings;
    let rules = Rules { limits: &limits, hasher: call.hasher };
    let mut stored = SortedSet::default();
    let mut keyspace = call.keyspace(view, &source);
    if let Some(set) = keyspace.read_collection::<SortedSet>(&source)? {
        let mut text = IntegerText::new();
        let ranks = query.ranks(set);
        in_one_piece(call, set, ranks.len())?;
        let members = set.range(ranks, query.is_reversed);
        stored.expect(members.len(), 0, rules);
        for (member, score) in members {
            stored.set(bytes_of(member, &mut text), score, rules);
        }
    }
    let len = stored.len();
    let destination = call.key(1);
    let mut keyspace = call.keyspace(view, &destination);
    keyspace.tell(Interest::SORTED_SET, "zrangestore").set_collection(
        &destination,
        stored,
        Expiry::Clear,
    );
    call.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn ranges_of_ranks() {
        transcript(
            r"
            ZADD z 1 a 2 b 2.5 c    => :3
            ZRANGE z 0 -1           => *3 $1 a $1 b $1 c
            ZRANGE z 0 -1 WITHSCORES => *6 $1 a $1 1 $1 b $1 2 $1 c $3 2.5
            ZRANGE z 1 1            => *1 $1 b
            ZRANGE z 0 0 REV        => *1 $1 c
            ZRANGE z 5 9            => *0
            ZREVRANGE z 0 1 WITHSCORES => *4 $1 c $3 2.5 $1 b $1 2
            ZREVRANGE z 0 1 BYSCORE => -ERR syntax error
            ZRANGE none 0 -1        => *0
            ZRANGE z x 1            => -ERR value is not an integer or out of range
            ZRANGE z 0 1 FOO        => -ERR syntax error
            ZRANGE z 0 1 LIMIT 0 1  => -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            ZRANGE z 0 1 LIMIT 0 -1 => *2 $1 a $1 b
            ZRANGE z 0 1 LIMIT 0    => -ERR syntax error
            ZRANGE z 0 1 LIMIT x 1  => -ERR value is not an integer or out of range
            @resp 3
            ZRANGE z 0 0 WITHSCORES => *1 *2 $1 a ,1
            ",
        );
    }

    #[test]
    fn ranges_of_scores() {
        transcript(
            r"
            ZADD z 1 a 2 b 3 c 4 d  => :4
            ZRANGEBYSCORE z 2 3     => *2 $1 b $1 c
            ZRANGEBYSCORE z (2 +inf WITHSCORES => *4 $1 c $1 3 $1 d $1 4
            ZRANGEBYSCORE z -inf inf LIMIT 1 2 => *2 $1 b $1 c
            ZRANGEBYSCORE z -inf inf LIMIT -1 2 => *0
            ZRANGEBYSCORE z -inf inf LIMIT 2 -1 => *2 $1 c $1 d
            ZREVRANGEBYSCORE z 3 (1 => *2 $1 c $1 b
            ZREVRANGEBYSCORE z inf -inf LIMIT 1 1 => *1 $1 c
            ZRANGE z (3 -inf BYSCORE REV => *2 $1 b $1 a
            ZRANGE z 1 2 BYSCORE WITHSCORES => *4 $1 a $1 1 $1 b $1 2
            ZRANGE z a 2 BYSCORE    => -ERR min or max is not a float
            ZRANGEBYSCORE z 3 1     => *0
            ",
        );
    }

    #[test]
    fn ranges_of_members() {
        transcript(
            r"
            ZADD z 0 a 0 b 0 c 0 d  => :4
            ZRANGEBYLEX z [b (d     => *2 $1 b $1 c
            ZRANGEBYLEX z - + LIMIT 1 2 => *2 $1 b $1 c
            ZREVRANGEBYLEX z + [c   => *2 $1 d $1 c
            ZRANGE z [c - BYLEX REV => *3 $1 c $1 b $1 a
            ZRANGE z - + BYLEX WITHSCORES => -ERR syntax error, WITHSCORES not supported in combination with BYLEX
            ZRANGEBYLEX z b c       => -ERR min or max not valid string range item
            ZRANGEBYLEX z + -       => *0
            ",
        );
    }

    #[test]
    fn ranges_are_stored() {
        transcript(
            r"
            ZADD z 1 a 2 b 3 c      => :3
            ZRANGESTORE d z 1 2     => :2
            ZRANGE d 0 -1 WITHSCORES => *4 $1 b $1 2 $1 c $1 3
            ZRANGESTORE d z (1 2 BYSCORE => :1
            ZRANGESTORE d z + - BYLEX REV LIMIT 0 1 => :1
            ZRANGE d 0 -1           => *1 $1 c
            ZRANGESTORE d z 0 1 WITHSCORES => -ERR syntax error
            ZRANGESTORE z z 0 0     => :1
            ZRANGESTORE d none 0 1  => :0
            EXISTS d                => :0
            SET t 1                 => +OK
            ZRANGESTORE d t 0 1     => -WRONGTYPE Operation against a key holding the wrong kind of value
            ZRANGESTORE t z 0 1     => :1
            TYPE t                  => +zset
            ",
        );
    }
}
