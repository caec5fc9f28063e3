//! HRANDFIELD.

use crate::long_read::{Read, read_in_slices, read_steps};
use crate::picks::{Chance, Pick, pick_in_slices, picks_in_one_piece};
use crate::reply::{write_element, write_item};
use crate::set::random_for;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_resp::ReplyWriter;
use darter_shard::Random;
use darter_value::hash::FieldRef;
use darter_value::{Hash, Item};
use std::collections::BTreeSet;

/// Some fields.
pub(super) static HRANDFIELD: Command = Command {
    name: "HRANDFIELD",
    group: Group::Hash,
    since: "6.2.0",
    summary: "Random fields of a hash.",
    complexity: "O(N) where N is the number of fields returned.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::HASH,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::block(
            "options",
            &[Arg::integer("count"), Arg::word("withvalues", "WITHVALUES").optional()],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(hrandfield),
    slices: Some(pick_fields),
    ..Command::BASE
};

fn hrandfield(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut random = random_for(view, &key);
    let now_ms = call.now.0;
    if call.args.len() == 2 {
        let mut keyspace = call.keyspace(view, &key);
        let hash = keyspace.read_collection::<Hash>(&key)?;
        match hash.and_then(|hash| draw(hash, &mut random, now_ms)) {
            Some(field) => write_item(&mut call.reply, field.name),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let (count, shape) = count_and_shape(call)?;
    let mut keyspace = call.keyspace(view, &key);
    let Some(hash) = keyspace.read_collection::<Hash>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        picks_in_one_piece(call, wanted)?;
    } else {
        call.in_one_piece(if draws(hash, wanted) { wanted } else { hash.len() })?;
    }
    let deferred = call.reply.begin_deferred();
    let mut written = 0;
    let mut write = |field: FieldRef<'_>| {
        shape.write(&mut call.reply, field);
        written += 1;
    };
    if count < 0 {
        (0..wanted).map_while(|_| draw(hash, &mut random, now_ms)).for_each(&mut write);
    } else {
        sample(hash, wanted, now_ms, &mut random, write);
    }
    call.reply.end_array(deferred, if shape == Shape::Flat { 2 * written } else { written });
    Ok(())
}

/// How many fields, negative if repetitions are welcome, and how they are shown.
fn count_and_shape(call: &Call<'_>) -> Result<(i64, Shape), ReplyError> {
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    if call.args.len() > 4 || (call.args.len() == 4 && !call.is_word(3, "WITHVALUES")) {
        return Err(ReplyError::Syntax);
    }
    let with_values = call.args.len() == 4;
    if with_values && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(ReplyError::OutOfRange);
    }
    let shape = match (with_values, call.reply.is_resp3()) {
        (false, _) => Shape::Names,
        (true, false) => Shape::Flat,
        (true, true) => Shape::Pairs,
    };
    Ok((count, shape))
}

/// How fields are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Names,
    /// Name and value in turn.
    Flat,
    /// An array of two for each field.
    Pairs,
}

impl Shape {
    fn write(self, reply: &mut ReplyWriter<'_>, field: FieldRef<'_>) {
        if self == Self::Pairs {
            reply.array(2);
        }
        write_item(reply, field.name);
        if self != Self::Names {
            write_element(reply, field.value);
        }
    }
}

/// Whether single draws cost less than going through all of the hash.
fn draws(hash: &Hash, wanted: usize) -> bool {
    /// Below this share of it they do.
    const DRAW_SHARE: usize = 16;
    !hash.is_packed() && wanted.saturating_mul(DRAW_SHARE) <= hash.len()
}

/// How many fields have not expired. O(1) while none has, else O(N).
fn living(hash: &Hash, now_ms: i64) -> usize {
    if hash.next_deadline().is_none_or(|deadline| deadline.millis() > now_ms) {
        return hash.len();
    }
    let mut count = 0;
    hash.for_each(now_ms, |_| count += 1);
    count
}

/// A field that has not expired, if there is one. O(1) unless most of them have, then O(N).
fn draw<'h>(hash: &'h Hash, random: &mut Random, now_ms: i64) -> Option<FieldRef<'h>> {
    hash.random(random.next(), now_ms).or_else(|| {
        let mut chance = Chance::new(1, living(hash, now_ms), random.next());
        let mut drawn = None;
        hash.for_each(now_ms, |field| {
            if drawn.is_none() && chance.takes() {
                drawn = Some(field);
            }
        });
        drawn
    })
}

/// Hands `wanted` different fields to `emit`, at most as many as there are, every choice of them equally
/// likely.
fn sample<'h>(
    hash: &'h Hash,
    wanted: usize,
    now_ms: i64,
    random: &mut Random,
    mut emit: impl FnMut(FieldRef<'h>),
) {
    let living = living(hash, now_ms);
    if !draws(hash, wanted) || living < hash.len() {
        let mut chance = Chance::new(wanted, living, random.next());
        hash.for_each(now_ms, |field| {
            if chance.takes() {
                emit(field);
            }
        });
        return;
    }
    let mut seen = BTreeSet::new();
    // Few are taken, so that most tries succeed.
    let mut tries = wanted.saturating_mul(20);
    while seen.len() < wanted && tries > 0 {
        tries -= 1;
        let Some(field) = hash.random(random.next(), now_ms) else { break };
        let Item::Bytes(name) = field.name else { break };
        if seen.insert(name) {
            emit(field);
        }
    }
}

/// HRANDFIELD of very many fields.
fn pick_fields(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let (count, shape) = count_and_shape(call)?;
    if let Ok(wanted) = usize::try_from(count) {
        return Ok(read_in_slices(call, Sample { wanted, shape }));
    }
    Ok(pick_in_slices(call, count.unsigned_abs(), Fields { shape }))
}

/// Different fields, so many or all there are.
struct Sample {
    wanted: usize,
    shape: Shape,
}

impl Read for Sample {
    type Collection = Hash;
    /// What chance there is becomes known in the first slice; before, it is what it comes from.
    type At = Option<(u64, Result<Chance, u64>)>;

    fn begin(&self, _: &Hash, random: u64) -> Self::At {
        Some((0, Err(random)))
    }

    fn read(
        &self,
        hash: &Hash,
        at: Self::At,
        now: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<Self::At> {
        let (boundary, chance) = at?;
        let mut chance =
            chance.unwrap_or_else(|random| Chance::new(self.wanted, living(hash, now.0), random));
        let (mut passed, mut taken) = (0, 0);
        let next = read_steps(boundary, (&mut passed, at_once), |from, passed| {
            hash.for_each_slice(from, now.0, |field| {
                *passed += 1;
                if chance.takes() {
                    self.shape.write(reply, field);
                    taken += 1;
                }
            })
        });
        *written += taken;
        next.map(|boundary| Some((boundary, Ok(chance))))
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.array(if self.shape == Shape::Flat { 2 * count } else { count });
    }
}

struct Fields {
    shape: Shape,
}

impl Pick for Fields {
    type Collection = Hash;

    fn pick(
        &self,
        hash: &Hash,
        random: &mut Random,
        now: UnixMillis,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let field = hash.random(random.next(), now.0);
        field.inspect(|field| self.shape.write(reply, *field)).is_some()
    }

    fn is_flat(&self) -> bool {
        self.shape == Shape::Flat
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, names_in, transcript};

    #[test]
    fn shapes_are_those_of_redis() {
        transcript(
            r"
            HRANDFIELD h            => $-1
            HRANDFIELD h 3          => *0
            HRANDFIELD h -3 WITHVALUES => *0
            HSET h a 1              => :1
            HRANDFIELD h            => $1 a
            HRANDFIELD h 0          => *0
            HRANDFIELD h 5          => *1 $1 a
            HRANDFIELD h -3         => *3 $1 a $1 a $1 a
            HRANDFIELD h 5 WITHVALUES => *2 $1 a $1 1
            HRANDFIELD h -2 withvalues => *4 $1 a $1 1 $1 a $1 1
            HRANDFIELD h x          => -ERR value is not an integer or out of range
            HRANDFIELD h -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            HRANDFIELD h 9223372036854775807 WITHVALUES => -ERR value is out of range
            HRANDFIELD h 1 WITHSCORES => -ERR syntax error
            HRANDFIELD h 1 WITHVALUES x => -ERR syntax error
            SET s v                 => +OK
            HRANDFIELD s            => -WRONGTYPE Operation against a key holding the wrong kind of value
            HRANDFIELD s 1          => -WRONGTYPE Operation against a key holding the wrong kind of value
            @resp 3
            HRANDFIELD nokey        => _
            HRANDFIELD h -2 WITHVALUES => *2 *2 $1 a $1 1 *2 $1 a $1 1
            HRANDFIELD h 1          => *1 $1 a
            ",
        );
    }

    #[test]
    fn fields_that_have_expired_are_not_counted() {
        for (gone, left) in [(5, 4), (500, 3)] {
            let mut bench = Bench::new(1);
            for field in 0..gone {
                bench.run(&format!("HSETEX h PX 1 FIELDS 1 gone:{field} v"));
            }
            for field in 0..left {
                bench.run(&format!("HSET h left:{field} v"));
            }
            bench.now.0 += 1000;
            for count in [1, 2, left, left + 1] {
                for _ in 0..20 {
                    let names = names_in(&bench.run(&format!("HRANDFIELD h {count}")));
                    assert_eq!(names.len(), count.min(left), "{count} of {left}");
                    assert!(names.iter().all(|name| name.starts_with("left:")), "{names:?}");
                }
            }
            assert_eq!(names_in(&bench.run("HRANDFIELD h -10")).len(), 10);
            assert!(bench.run("HRANDFIELD h").starts_with(b"$6"), "one that is left");
        }
    }

    #[test]
    fn fields_are_different_and_as_many_as_asked_for() {
        for fields in [10, 600] {
            let mut bench = Bench::new(1);
            for field in 0..fields {
                bench.run(&format!("HSET h field:{field} {field}"));
            }
            for count in [1, 3, 9, 200, 400, 1000] {
                let mut names = names_in(&bench.run(&format!("HRANDFIELD h {count}")));
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), count.min(fields), "{count} of {fields}");
            }
            let names = names_in(&bench.run("HRANDFIELD h -5000"));
            assert_eq!(names.len(), 5000);
            let mut different = names.clone();
            different.sort_unstable();
            different.dedup();
            assert!(different.len() > fields * 9 / 10);
        }
    }
}
