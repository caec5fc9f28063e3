//! ZRANDMEMBER.

use super::written::Shape;
use crate::long_read::{Read, read_in_slices};
use crate::picks::{Chance, Pick, pick_in_slices, picks_in_one_piece};
use crate::reply::write_item;
use crate::set::random_for;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_resp::ReplyWriter;
use darter_shard::Random;
use darter_value::SortedSet;
use std::collections::BTreeSet;

/// Shows random members.
pub(super) static ZRANDMEMBER: Command = Command {
    name: "ZRANDMEMBER",
    group: Group::SortedSet,
    since: "6.2.0",
    summary: "Random members of a sorted set.",
    complexity: "O(N*log(M)) where N is the number of members asked for and M the size of the sorted set.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::SORTED_SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::block(
            "options",
            &[Arg::integer("count"), Arg::word("withscores", "WITHSCORES").optional()],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(zrandmember),
    slices: Some(pick_members),
    ..Command::BASE
};

/// Below this share of the set, single draws cost less than going through all of it.
const DRAW_SHARE: usize = 16;

fn zrandmember(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut random = random_for(view, &key);
    if call.args.len() == 2 {
        let mut keyspace = call.keyspace(view, &key);
        let set = keyspace.read_collection::<SortedSet>(&key)?;
        match set.and_then(|set| set.get(random.below(set.len()))) {
            Some((member, _)) => write_item(&mut call.reply, member),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    if call.args.len() > 4 || (call.args.len() == 4 && !call.is_word(3, "WITHSCORES")) {
        return Err(ReplyError::Syntax);
    }
    let with_scores = call.args.len() == 4;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(ReplyError::OutOfRange);
    }
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.read_collection::<SortedSet>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let shape = Shape::of(&call.reply, with_scores);
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        picks_in_one_piece(call, wanted)?;
        shape.begin(&mut call.reply, wanted);
        for _ in 0..wanted {
            let (member, score) = set.get(random.below(set.len())).expect("no set is empty");
            shape.write(&mut call.reply, member, score);
        }
        return Ok(());
    }
    let wanted = wanted.min(set.len());
    let draws = wanted.saturating_mul(DRAW_SHARE) <= set.len();
    call.in_one_piece(if draws { wanted } else { set.len() })?;
    shape.begin(&mut call.reply, wanted);
    if !draws {
        let mut chance = Chance::new(wanted, set.len(), random.next());
        for (member, score) in set {
            if chance.takes() {
                shape.write(&mut call.reply, member, score);
            }
        }
        return Ok(());
    }
    for rank in sample(set.len(), wanted, &mut random) {
        let (member, score) = set.get(rank).expect("a rank of the set");
        shape.write(&mut call.reply, member, score);
    }
    Ok(())
}

/// ZRANDMEMBER of very many members.
fn pick_members(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    let shape = Shape::of(&call.reply, call.args.len() == 4);
    if let Ok(wanted) = usize::try_from(count) {
        return Ok(read_in_slices(call, Sample { wanted, shape }));
    }
    Ok(pick_in_slices(call, count.unsigned_abs(), Members { shape }))
}

/// Different members, so many or all there are.
struct Sample {
    wanted: usize,
    shape: Shape,
}

impl Read for Sample {
    type Collection = SortedSet;
    type At = Option<(usize, Chance)>;

    fn begin(&self, set: &SortedSet, random: u64) -> Self::At {
        Some((0, Chance::new(self.wanted, set.len(), random)))
    }

    fn read(
        &self,
        set: &SortedSet,
        at: Self::At,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<Self::At> {
        let (from, mut chance) = at?;
        let end = set.len().min(from + at_once);
        for (member, score) in set.range(from..end, false) {
            if chance.takes() {
                self.shape.write(reply, member, score);
                *written += 1;
            }
        }
        (end < set.len()).then_some(Some((end, chance)))
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        self.shape.begin(reply, count);
    }
}

struct Members {
    shape: Shape,
}

impl Pick for Members {
    type Collection = SortedSet;

    fn pick(
        &self,
        set: &SortedSet,
        random: &mut Random,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let found = set.get(random.below(set.len()));
        found.inspect(|(member, score)| self.shape.write(reply, *member, *score)).is_some()
    }

    fn is_flat(&self) -> bool {
        self.shape == Shape::Flat
    }
}

/// `wanted` different ranks below `len`, every choice of them equally likely.
fn sample(len: usize, wanted: usize, random: &mut Random) -> BTreeSet<usize> {
    if wanted == len {
        return (0..len).collect();
    }
    // Floyd's algorithm: one number for each.
    let mut ranks = BTreeSet::new();
    for end in len - wanted..len {
        let rank = random.below(end + 1);
        if !ranks.insert(rank) {
            ranks.insert(end);
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::transcript;

    #[test]
    fn samples_have_the_size_asked_for() {
        let mut random = Random::new(1);
        for (len, wanted) in [(10, 0), (10, 1), (10, 9), (10, 10), (1000, 500)] {
            let ranks = sample(len, wanted, &mut random);
            assert_eq!(ranks.len(), wanted);
            assert!(ranks.last().is_none_or(|last| *last < len));
        }
    }

    #[test]
    fn random_members_come_in_the_shape_asked_for() {
        transcript(
            r"
            ZRANDMEMBER z           => $-1
            ZRANDMEMBER z 1         => *0
            ZADD z 5 a              => :1
            ZRANDMEMBER z           => $1 a
            ZRANDMEMBER z 3         => *1 $1 a
            ZRANDMEMBER z -3        => *3 $1 a $1 a $1 a
            ZRANDMEMBER z 3 WITHSCORES => *2 $1 a $1 5
            ZRANDMEMBER z 0         => *0
            ZRANDMEMBER z 1 FOO     => -ERR syntax error
            ZRANDMEMBER z 1 WITHSCORES x => -ERR syntax error
            ZRANDMEMBER z x FOO     => -ERR value is not an integer or out of range
            ZRANDMEMBER z -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            ZRANDMEMBER z -9223372036854775807 WITHSCORES => -ERR value is out of range
            @resp 3
            ZRANDMEMBER z -2 WITHSCORES => *2 *2 $1 a ,5 *2 $1 a ,5
            ",
        );
    }
}
