//! XAUTOCLAIM.

use super::claim::{Claim, Claimed, parse_idle};
use super::effects::GroupEdit;
use super::group::note_consumer;
use super::id;
use super::long_claim::claim_in_slices;
use super::long_group::in_one_piece;
use super::sources::no_group;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::Edit;
use darter_value::stream::{Stream, StreamId};

/// Takes over whatever is pending for long.
pub(super) static XAUTOCLAIM: Command = Command {
    name: "XAUTOCLAIM",
    group: Group::Stream,
    since: "6.2.0",
    summary: "Hands entries that are pending for long to another consumer of the group, from an id on; \
              answers where to go on.",
    complexity: "O(log(P)) for each of up to COUNT entries claimed, and O(1) for up to ten times as \
                 many passed over, with P pending ones.",
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE))],
    args: &[
        Arg::key("key"),
        Arg::string("group"),
        Arg::string("consumer"),
        Arg::string("min-idle-time"),
        Arg::string("start"),
        Arg::integer("count").token("COUNT").optional(),
        Arg::word("justid", "JUSTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    history: &[("7.0.0", "Entries that are gone are answered, and no longer pending.")],
    handler: Handler::Keyed(xautoclaim),
    slices: Some(claim_in_slices),
    ..Command::BASE
};

/// How many pending entries are looked at for each that may be claimed.
const ATTEMPTS_PER_ENTRY: usize = 10;

/// What XAUTOCLAIM is asked for.
pub(super) struct AutoClaim<'a> {
    pub(super) claim: Claim<'a>,
    pub(super) start: StreamId,
    /// Most entries to be claimed.
    pub(super) count: usize,
    /// Most entries to be looked at.
    pub(super) attempts: usize,
}

impl<'a> AutoClaim<'a> {
    pub(super) fn parse(call: &Call<'a>) -> Result<Self, ReplyError> {
        // Redis's greatest count: sixteen bytes for each must be addressable.
        const COUNT_MAX: i64 = i64::MAX / 16;
        let idle_min_ms = parse_idle(call, 4)?;
        let start = id::parse_start(call.args.at(5))?;
        let mut count = 100;
        let mut only_ids = false;
        let mut index = 6;
        while index < call.args.len() {
            if call.is_word(index, "COUNT") && index + 1 < call.args.len() {
                index += 1;
                let given =
                    call.integer(index).ok().filter(|count| (1..=COUNT_MAX).contains(count));
                let given = given.and_then(|count| usize::try_from(count).ok());
                count = given.ok_or(ReplyError::Text("ERR COUNT must be > 0"))?;
            } else if call.is_word(index, "JUSTID") {
                only_ids = true;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        let claim = Claim {
            consumer_name: call.args.at(3),
            idle_min_ms,
            delivered_at_ms: call.time_of_day().0,
            deliveries: None,
            force: false,
            only_ids,
            now_ms: call.time_of_day().0,
        };
        Ok(Self { claim, start, count, attempts: count.saturating_mul(ATTEMPTS_PER_ENTRY) })
    }
}

fn xautoclaim(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let AutoClaim { claim, start, count, attempts } = AutoClaim::parse(call)?;
    let key = call.key(1);
    let group_name = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.peek_collection::<Stream>(&key)?;
    let group = stream.and_then(|stream| stream.group(group_name));
    let group = group.ok_or_else(|| no_group(key.bytes, group_name, ""))?;
    in_one_piece(call, group, count)?;
    let mut edit = GroupEdit::new(call);
    note_consumer(&mut keyspace, &key, group_name, claim.consumer_name);
    let reply = &mut call.reply;
    let changes = keyspace.edit(&key, |stream: &mut Stream| {
        let changes = stream.edit_group(group_name, |group, log| {
            let (consumer, added) = claim.consumer(group);
            edit.is_consumer_new = added;
            let mut gone = Vec::new();
            let mut attempts = attempts;
            let mut left = count;
            // The first part of the reply is known only when the second is.
            let mut taken = Vec::new();
            let mut entries = log.lookup();
            let mut all_pending = group.pending_in(start..=StreamId::MAX);
            // Where to go on; `None` at the end.
            let next = loop {
                let next = all_pending.next();
                let Some((id, pending)) = next.filter(|_| attempts > 0 && left > 0) else {
                    break next.map(|(id, _)| id);
                };
                attempts -= 1;
                match claim.look(pending, entries.find(id)) {
                    Claimed::Taken => taken.push(id),
                    Claimed::Gone => gone.push(id),
                    Claimed::Left => continue,
                }
                left -= 1;
            };
            drop(all_pending);
            for id in &gone {
                group.acknowledge(*id);
                edit.note_acknowledged(*id);
            }
            reply.array(3);
            id::write(reply, next.unwrap_or(StreamId::MIN));
            reply.array(taken.len());
            let mut entries = log.lookup();
            for id in &taken {
                claim.take(group, consumer, entries.find(*id), *id, reply);
                edit.note_pending(group, *id);
            }
            reply.array(gone.len());
            for id in &gone {
                id::write(reply, *id);
            }
            u64::from(added) + (taken.len() + gone.len()) as u64
        });
        let changes = changes.unwrap_or(0);
        Edit::counted(changes, changes)
    })?;
    if changes > Some(0) {
        edit.leave(call, key.bytes, group_name, claim.consumer_name, claim.delivered_at_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn entries_are_claimed_from_others() {
        transcript(
            r"
            XADD s 1-1 f v          => $3 1-1
            XADD s 2-1 f v          => $3 2-1
            XADD s 3-1 f v          => $3 3-1
            XGROUP CREATE s g 0     => +OK
            XREADGROUP GROUP g c STREAMS s > => *1 *2 $1 s *3 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *2 $1 f $1 v *2 $3 3-1 *2 $1 f $1 v
            @time +100
            XCLAIM s g d 1000 1-1   => *0
            XCLAIM s g d 50 1-1     => *1 *2 $3 1-1 *2 $1 f $1 v
            XPENDING s g - + 10 d   => *1 *4 $3 1-1 $1 d :0 :2
            XCLAIM s g e 0 1-1 JUSTID RETRYCOUNT 7 IDLE 30 => *1 $3 1-1
            XPENDING s g 1-1 1-1 1  => *1 *4 $3 1-1 $1 e :30 :7
            XDEL s 2-1              => :1
            XCLAIM s g d 0 2-1      => *0
            XPENDING s g            => *4 :2 $3 1-1 $3 3-1 *2 *2 $1 c $1 1 *2 $1 e $1 1
            XDEL s 1-1              => :1
            XAUTOCLAIM s g d 10 0 COUNT 1 => *3 $3 3-1 *0 *1 $3 1-1
            XAUTOCLAIM s g d 10 - JUSTID => *3 $3 0-0 *1 $3 3-1 *0
            XPENDING s g - + 10     => *1 *4 $3 3-1 $1 d :0 :1
            XPENDING s g IDLE 10 - + 10 => *0
            XCLAIM s g d 0 9-9 FORCE => *0
            XACK s g 3-1            => :1
            XCLAIM s g d 0 3-1      => *0
            XCLAIM s g d 0 3-1 FORCE JUSTID LASTID 5-5 => *1 $3 3-1
            XCLAIM s g d x 3-1      => -ERR Invalid min-idle-time argument for XCLAIM
            XCLAIM s g d 0 3-1 BAD  => -ERR Unrecognized XCLAIM option 'BAD'
            XCLAIM s x d 0 3-1      => -NOGROUP No such key 's' or consumer group 'x'
            XAUTOCLAIM s g d 0 0 COUNT 0 => -ERR COUNT must be > 0
            XAUTOCLAIM s g d 0 0 COUNT 9223372036854775807 => -ERR COUNT must be > 0
            XAUTOCLAIM s x d 0 0    => -NOGROUP No such key 's' or consumer group 'x'
            XPENDING s g - +        => -ERR syntax error
            XPENDING s x            => -NOGROUP No such key 's' or consumer group 'x'
            ",
        );
    }
}
