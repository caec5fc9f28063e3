//! SPOP and SRANDMEMBER.

use super::long_pop::{in_one_piece, pop_in_slices};
use crate::effects::add_with_elements;
use crate::long_read::{FEW_ELEMENTS, Read, read_in_slices, read_steps};
use crate::picks::{Chance, Pick, pick_in_slices, picks_in_one_piece};
use crate::reply::write_item;
use darter_base::UnixMillis;
use darter_base::crc16::slot_of;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView, Slice,
};
use darter_resp::{Args, OwnedArgs, ReplyWriter};
use darter_shard::{Edit, Interest, Key, Random};
use darter_value::integer::IntegerText;
use darter_value::packing::bytes_of;
use darter_value::{Item, Rules, Set, SetBoundary};
use std::collections::BTreeSet;

/// Takes random members out.
pub(super) static SPOP: Command = Command {
    name: "SPOP",
    group: Group::Set,
    since: "1.0.0",
    summary: "Removes random members of a set and returns them.",
    complexity: "O(N) where N is the number of members asked for, O(1) without a count.",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::integer("count").optional().since("3.2.0")],
    history: &[("3.2.0", "Added the `count` argument.")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(spop),
    slices: Some(begin_pop),
    ..Command::BASE
};

/// Shows random members.
pub(super) static SRANDMEMBER: Command = Command {
    name: "SRANDMEMBER",
    group: Group::Set,
    since: "1.0.0",
    summary: "Random members of a set.",
    complexity: "O(N) where N is the number of members asked for, O(1) without a count.",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    acl: Category::SET,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::integer("count").optional().since("2.6.0")],
    history: &[("2.6.0", "Added the optional `count` argument.")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(srandmember),
    slices: Some(pick_members),
    ..Command::BASE
};

/// Random numbers for one call.
pub(crate) fn random_for(view: &mut ShardView<'_>, key: &Key<'_>) -> Random {
    Random::new(view.shard_of(|| slot_of(key.bytes)).random())
}

fn spop(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let key = call.key(1);
    let mut random = random_for(view, &key);
    let mut text = IntegerText::new();
    let mut gone = OwnedArgs::new();
    let is_recorded = call.is_recorded();
    if call.args.len() == 2 {
        let popped =
            call.keyspace(view, &key).tell(Interest::SET, "spop").edit(&key, |set: &mut Set| {
                set.pop_random(random.next(), |member| {
                    if is_recorded {
                        gone.push(bytes_of(member, &mut text));
                    }
                    write_item(&mut call.reply, member);
                });
                Edit::changed(())
            })?;
        match popped {
            Some(()) => leave_removal(call, key.bytes, gone.as_args()),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let count = positive_count(call, 2)?;
    if count == 0 {
        call.keyspace(view, &key).peek_collection::<Set>(&key)?;
        call.reply.set(0);
        return Ok(());
    }
    let limits = call.limits.encodings;
    let rules = Rules { limits: &limits, hasher: call.hasher };
    let mut keyspace = call.keyspace(view, &key);
    if count > FEW_ELEMENTS
        && let Some(set) = keyspace.peek_collection::<Set>(&key)?
    {
        in_one_piece(call, set, count.min(set.len()))?;
    }
    let reply = &mut call.reply;
    let left = keyspace.tell(Interest::SET, "spop").edit(&key, |set: &mut Set| {
        let popped = count.min(set.len());
        reply.set(popped);
        let left = set.len() - popped;
        let mut gone_text = IntegerText::new();
        let mut take = |member: Item<'_>| {
            if is_recorded && left > 0 {
                gone.push(bytes_of(member, &mut gone_text));
            }
            write_item(reply, member);
        };
        if left * STAY_SHARE > popped {
            for _ in 0..popped {
                set.pop_random(random.next(), &mut take);
            }
        } else {
            // It is faster to choose the few that stay.
            let mut stay = Set::default();
            for _ in 0..left {
                set.pop_random(random.next(), |member| {
                    stay.expect(bytes_of(member, &mut text), 1, rules);
                    stay.add(member, rules);
                });
            }
            set.for_each(&mut take);
            *set = stay;
        }
        Edit::counted(popped as u64, left)
    })?;
    match left {
        Some(0) => call.leave(|effects| effects.add_deleted(key.bytes)),
        Some(_) => leave_removal(call, key.bytes, gone.as_args()),
        None => call.reply.set(0),
    }
    Ok(())
}

fn begin_pop(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    Ok(pop_in_slices(call, positive_count(call, 2)?))
}

/// Leaves that chance took these members out.
fn leave_removal(call: &mut Call<'_>, key: &[u8], members: Args<'_>) {
    call.leave(|effects| add_with_elements(effects, b"SREM", key, members));
}

/// SPOP chooses those that stay if there are not even so many times fewer of them.
const STAY_SHARE: usize = 5;

fn srandmember(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() > 3 {
        return Err(ReplyError::Syntax);
    }
    let key = call.key(1);
    let mut random = random_for(view, &key);
    if call.args.len() == 2 {
        let mut keyspace = call.keyspace(view, &key);
        let set = keyspace.read_collection::<Set>(&key)?;
        match set.and_then(|set| set.random(random.next())) {
            Some(member) => write_item(&mut call.reply, member),
            None => call.reply.null(),
        }
        return Ok(());
    }
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    let mut keyspace = call.keyspace(view, &key);
    let Some(set) = keyspace.read_collection::<Set>(&key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        picks_in_one_piece(call, wanted)?;
        call.reply.array(wanted);
        for _ in 0..wanted {
            let member = set.random(random.next()).expect("no set is empty");
            write_item(&mut call.reply, member);
        }
        return Ok(());
    }
    let wanted = wanted.min(set.len());
    call.in_one_piece(if draws(set, wanted) { wanted } else { set.len() })?;
    call.reply.array(wanted);
    sample(set, wanted, &mut random, |member| write_item(&mut call.reply, member));
    Ok(())
}

/// SRANDMEMBER of very many members.
fn pick_members(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let count = call.integer_within(2, -i64::MAX, i64::MAX)?;
    if let Ok(wanted) = usize::try_from(count) {
        return Ok(read_in_slices(call, Sample { wanted }));
    }
    Ok(pick_in_slices(call, count.unsigned_abs(), Members))
}

struct Members;

impl Pick for Members {
    type Collection = Set;

    fn pick(
        &self,
        set: &Set,
        random: &mut Random,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
    ) -> bool {
        let member = set.random(random.next());
        member.inspect(|member| write_item(reply, *member)).is_some()
    }

    fn is_flat(&self) -> bool {
        false
    }
}

/// Different members, so many or all there are.
struct Sample {
    wanted: usize,
}

impl Read for Sample {
    type Collection = Set;
    type At = Option<(SetBoundary, Chance)>;

    fn begin(&self, set: &Set, random: u64) -> Self::At {
        Some((SetBoundary::START, Chance::new(self.wanted, set.len(), random)))
    }

    fn read(
        &self,
        set: &Set,
        at: Self::At,
        _: UnixMillis,
        reply: &mut ReplyWriter<'_>,
        (written, at_once): (&mut usize, usize),
    ) -> Option<Self::At> {
        let (boundary, mut chance) = at?;
        let (mut passed, mut taken) = (0, 0);
        let next = read_steps(boundary, (&mut passed, at_once), |from, passed| {
            set.for_each_slice(from, |member| {
                *passed += 1;
                if chance.takes() {
                    write_item(reply, member);
                    taken += 1;
                }
            })
        });
        *written += taken;
        next.map(|boundary| Some((boundary, chance)))
    }

    fn head(&self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.array(count);
    }
}

/// Whether single draws cost less than going through all of the set.
fn draws(set: &Set, wanted: usize) -> bool {
    /// Below this share of it they do.
    const DRAW_SHARE: usize = 16;
    set.as_table().is_some() && wanted.saturating_mul(DRAW_SHARE) < set.len()
}

/// Hands `wanted` different members to `emit`, at most as many as there are, every choice of them equally
/// likely.
fn sample<'s>(set: &'s Set, wanted: usize, random: &mut Random, mut emit: impl FnMut(Item<'s>)) {
    if draws(set, wanted) {
        let mut drawn = BTreeSet::new();
        while drawn.len() < wanted {
            if let Some(Item::Bytes(member)) = set.random(random.next())
                && drawn.insert(member)
            {
                emit(Item::Bytes(member));
            }
        }
        return;
    }
    let mut chance = Chance::new(wanted, set.len(), random.next());
    set.for_each(|member| {
        if chance.takes() {
            emit(member);
        }
    });
}

/// The argument at `index` as a number of elements; the error is the same for whatever is none.
pub(crate) fn positive_count(call: &Call<'_>, index: usize) -> Result<usize, ReplyError> {
    let count = call.integer(index).ok().and_then(|count| usize::try_from(count).ok());
    count.ok_or(ReplyError::Text("ERR value is out of range, must be positive"))
}
