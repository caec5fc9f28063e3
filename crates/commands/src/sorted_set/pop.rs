//! ZPOPMIN, ZPOPMAX and ZMPOP.

use super::long_remove::{Answer, in_one_piece, remove_in_slices};
use super::written::Shape;
use crate::long_read::FEW_ELEMENTS;
use crate::many_keys::{each_key_until, key_count};
use crate::set::positive_count;
use darter_base::number::format_u64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_resp::ReplyWriter;
use darter_shard::{Edit, Interest};
use darter_value::SortedSet;
use std::ops::Range;

/// Takes the first member with any in several sorted sets.
pub(super) static ZMPOP: Command = Command {
    name: "ZMPOP",
    group: Group::SortedSet,
    since: "7.0.0",
    summary: "Removes the lowest or highest members of the first of several sorted sets that has any.",
    complexity: "O(K) + O(M*log(N)) where K is the number of keys, N the size of the sorted set and M \
                 the number of members popped.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::counted(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key").multiple(),
        Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Keyed(zmpop),
    slices: Some(zmpop_in_slices),
    ..Command::BASE
};

/// Takes the highest members.
pub(super) static ZPOPMAX: Command = Command {
    name: "ZPOPMAX",
    summary: "Removes the highest members of a sorted set and returns them.",
    handler: Handler::Keyed(zpopmax),
    slices: Some(|call| pop_in_slices(call, End::Highest)),
    ..POP
};

/// Takes the lowest members.
pub(super) static ZPOPMIN: Command = Command {
    name: "ZPOPMIN",
    summary: "Removes the lowest members of a sorted set and returns them.",
    handler: Handler::Keyed(zpopmin),
    slices: Some(|call| pop_in_slices(call, End::Lowest)),
    ..POP
};

const POP: Command = Command {
    group: Group::SortedSet,
    since: "5.0.0",
    complexity: "O(M*log(N)) where N is the size of the sorted set and M the number of members popped.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::integer("count").optional()],
    ..Command::BASE
};

/// From which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lowest,
    Highest,
}

impl End {
    /// The command that takes from this end.
    pub(super) const fn pop_command(self) -> &'static [u8] {
        match self {
            Self::Lowest => b"ZPOPMIN",
            Self::Highest => b"ZPOPMAX",
        }
    }

    /// The ranks of up to `count` members from this end on.
    pub(super) fn ranks(self, set: &SortedSet, count: usize) -> Range<usize> {
        let count = count.min(set.len());
        match self {
            Self::Lowest => 0..count,
            Self::Highest => set.len() - count..set.len(),
        }
    }

    /// The event of taking from this end.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Lowest => "zpopmin",
            Self::Highest => "zpopmax",
        }
    }
}

fn zpopmin(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    pop(call, view, End::Lowest)
}

fn zpopmax(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    pop(call, view, End::Highest)
}

fn pop(call: &mut Call<'_>, view: &mut ShardView<'_>, end: End) -> ReplyResult {
    if call.args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let (count, shape) = if call.args.len() == 3 {
        (positive_count(call, 2)?, Shape::with_scores(&call.reply))
    } else {
        (1, Shape::Flat)
    };
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    if count > FEW_ELEMENTS
        && let Some(set) = keyspace.peek_collection::<SortedSet>(&key)?
    {
        in_one_piece(call, set, count.min(set.len()))?;
    }
    let popped =
        keyspace.tell(Interest::SORTED_SET, end.event()).edit(&key, |set: &mut SortedSet| {
            let count = take(set, end, count, &mut call.reply, shape);
            Edit::counted(count as u64, ())
        })?;
    if popped.is_none() {
        call.reply.array(0);
    }
    Ok(())
}

fn pop_in_slices(call: &Call<'_>, end: End) -> Result<Box<dyn Slice>, ReplyError> {
    let count = positive_count(call, 2)?;
    let answer = Answer::Members(end, Shape::with_scores(&call.reply));
    Ok(remove_in_slices(call, 1, end.event(), move |set| end.ranks(set, count), answer))
}

/// What ZMPOP and BZMPOP are asked for.
pub(super) struct ManyPop {
    /// The arguments that are its keys.
    pub(super) keys: Range<usize>,
    end: End,
    count: usize,
}

impl ManyPop {
    /// Parses the arguments from the number of keys on, which is at `index`.
    pub(super) fn parse(call: &Call<'_>, index: usize) -> Result<Self, ReplyError> {
        let keys_at = index + 1;
        let at = key_count(call, index)?.saturating_add(keys_at);
        let end = if call.is_word(at, "MIN") {
            End::Lowest
        } else if call.is_word(at, "MAX") {
            End::Highest
        } else {
            return Err(ReplyError::Syntax);
        };
        let mut count = None;
        let mut index = at + 1;
        while index < call.args.len() {
            if count.is_some() || !call.is_word(index, "COUNT") || index + 1 == call.args.len() {
                return Err(ReplyError::Syntax);
            }
            let given = call.integer(index + 1).ok().and_then(|count| usize::try_from(count).ok());
            let error = ReplyError::Text("ERR count should be greater than 0");
            count = Some(given.filter(|count| *count > 0).ok_or(error)?);
            index += 2;
        }
        Ok(Self { keys: keys_at..at, end, count: count.unwrap_or(1) })
    }

    /// Pops from the first sorted set that is there; whether one was.
    pub(super) fn run(
        &self,
        call: &mut Call<'_>,
        view: &mut ShardView<'_>,
    ) -> Result<bool, ReplyError> {
        let popped = each_key_until(call, view, self.keys.clone(), |reply, mut keyspace, key| {
            let event = self.end.event();
            Ok(keyspace.tell(Interest::SORTED_SET, event).edit(key, |set: &mut SortedSet| {
                reply.array(2);
                reply.bulk(key.bytes);
                let count = take(set, self.end, self.count, reply, Shape::Pairs);
                Edit::counted(count as u64, count)
            })?)
        })?;
        if let Some((index, count)) = popped {
            let (key, count) = (call.args.at(index), format_u64(count as u64));
            call.leave(|effects| effects.add(&[self.end.pop_command(), key, count.as_bytes()]));
        }
        Ok(popped.is_some())
    }
}

fn zmpop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let pop = ManyPop::parse(call, 1)?;
    // Of one key. Which one of several it is can change between slices.
    if pop.keys.len() == 1 && pop.count > FEW_ELEMENTS {
        let key = call.key(pop.keys.start);
        if let Some(set) = call.keyspace(view, &key).peek_collection::<SortedSet>(&key)? {
            in_one_piece(call, set, pop.count.min(set.len()))?;
        }
    }
    if !pop.run(call, view)? {
        call.reply.null_array();
    }
    Ok(())
}

fn zmpop_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let ManyPop { keys, end, count } = ManyPop::parse(call, 1)?;
    let ranks = move |set: &SortedSet| end.ranks(set, count);
    Ok(remove_in_slices(call, keys.start, end.event(), ranks, Answer::KeyAndMembers(end)))
}

/// Moves up to `count` members into the reply; how many.
fn take(
    set: &mut SortedSet,
    end: End,
    count: usize,
    reply: &mut ReplyWriter<'_>,
    shape: Shape,
) -> usize {
    let ranks = end.ranks(set, count);
    let count = ranks.len();
    shape.begin(reply, count);
    for (member, score) in set.range(ranks.clone(), end == End::Highest) {
        shape.write(reply, member, score);
    }
    set.remove_range(ranks, |_, _| {});
    count
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn members_are_popped_from_either_end() {
        transcript(
            r"
            ZPOPMIN z               => *0
            ZADD z 1 a 2 b 3 c 4 d  => :4
            ZPOPMIN z               => *2 $1 a $1 1
            ZPOPMAX z               => *2 $1 d $1 4
            ZPOPMAX z 0             => *0
            ZPOPMAX z 9             => *4 $1 c $1 3 $1 b $1 2
            EXISTS z                => :0
            ZPOPMIN z -1            => -ERR value is out of range, must be positive
            ZPOPMIN z x             => -ERR value is out of range, must be positive
            ZPOPMIN z 1 2           => -ERR syntax error
            ZADD z 1 a 2 b 3 c      => :3
            @resp 3
            ZPOPMIN z               => *2 $1 a ,1
            ZPOPMIN z 2             => *2 *2 $1 b ,2 *2 $1 c ,3
            ZPOPMIN z 2             => *0
            ",
        );
    }

    #[test]
    fn the_first_of_several_that_has_members_is_popped() {
        transcript(
            r"
            ZMPOP 2 a b MIN         => *-1
            ZADD b 1 x 2 y 3 z      => :3
            ZMPOP 2 a b MIN         => *2 $1 b *1 *2 $1 x $1 1
            ZMPOP 2 a b MAX COUNT 5 => *2 $1 b *2 *2 $1 z $1 3 *2 $1 y $1 2
            EXISTS b                => :0
            ZMPOP 0 a MIN           => -ERR numkeys should be greater than 0
            ZMPOP x a MIN           => -ERR numkeys should be greater than 0
            ZMPOP 2 a MIN           => -ERR syntax error
            ZMPOP 1 a FOO           => -ERR syntax error
            ZMPOP 1 a MIN COUNT     => -ERR syntax error
            ZMPOP 1 a MIN COUNT 0   => -ERR count should be greater than 0
            ZMPOP 1 a MIN COUNT 1 COUNT 1 => -ERR syntax error
            SET t 1                 => +OK
            ZMPOP 2 a t MIN         => -WRONGTYPE Operation against a key holding the wrong kind of value
            @resp 3
            ZMPOP 1 a MIN           => _
            ",
        );
    }
}
