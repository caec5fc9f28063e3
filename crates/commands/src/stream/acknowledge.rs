//! XACK and XACKDEL.

use super::id;
use super::references::{IDS_ARG, REFERENCES_ARG, answer, parse_with_ids};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::Edit;
use darter_value::stream::{Removed, Stream, StreamId};

/// Acknowledges entries.
pub(super) static XACK: Command = Command {
    name: "XACK",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Acknowledges entries to a consumer group, so that they are pending no more; answers how \
              many were.",
    complexity: "O(log(P)) for each id, with P pending ones.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::string("group"), Arg::string("id").multiple()],
    handler: Handler::Keyed(xack),
    ..Command::BASE
};

/// Acknowledges entries and deletes them.
pub(super) static XACKDEL: Command = Command {
    name: "XACKDEL",
    group: Group::Stream,
    since: "8.2.0",
    summary: "Acknowledges entries to a consumer group and deletes them; answers what became of each.",
    complexity: "O(log(P)) for each id, with P pending ones, and O(1) for each id and group.",
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE).and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("group"), REFERENCES_ARG, IDS_ARG],
    handler: Handler::Keyed(xackdel),
    ..Command::BASE
};

fn xack(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let group_name = call.args.at(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.peek_collection::<Stream>(&key)?;
    // As in Redis, ids are not looked at when there is no group.
    if stream.and_then(|stream| stream.group(group_name)).is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    let ids = id::parse_all(call, 3, call.args.len())?;
    let acknowledged = keyspace.edit(&key, |stream: &mut Stream| {
        let count = stream.edit_group(group_name, |group, _| {
            ids.iter().filter(|id| group.acknowledge(**id)).count() as u64
        });
        let count = count.unwrap_or(0);
        Edit::counted(count, count)
    })?;
    call.reply.integer(acknowledged.unwrap_or(0).cast_signed());
    Ok(())
}

fn xackdel(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (references, ids_at) = parse_with_ids(call, 3)?;
    let ids = id::parse_all(call, ids_at, call.args.len())?;
    let key = call.key(1);
    let group_name = call.args.at(2);
    let removed = call.keyspace(view, &key).edit(&key, |stream: &mut Stream| {
        let mut acknowledged = vec![false; ids.len()];
        stream.edit_group(group_name, |group, _| {
            for (is_acknowledged, id) in acknowledged.iter_mut().zip(&ids) {
                *is_acknowledged = group.acknowledge(*id);
            }
        });
        // Each of them once, since it is acknowledged once.
        let mut is_acknowledged = acknowledged.iter();
        let gone = ids.iter().filter(|_| is_acknowledged.next() == Some(&true)).copied();
        let gone: Vec<StreamId> = gone.collect();
        let mut outcomes = stream.remove_entries(&gone, references).into_iter();
        let removed = acknowledged.iter().map(|is_acknowledged| {
            let outcome = if *is_acknowledged { outcomes.next() } else { None };
            match outcome {
                None => Removed::Absent,
                // Acknowledging an entry that is gone already is all there is to do.
                Some(Removed::Absent) => Removed::Removed,
                Some(outcome) => outcome,
            }
        });
        let removed: Vec<_> = removed.collect();
        Edit::counted(gone.len() as u64, removed)
    })?;
    let removed = removed.unwrap_or_else(|| vec![Removed::Absent; ids.len()]);
    call.reply.array(removed.len());
    for removed in removed {
        call.reply.integer(answer(removed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn references_decide_what_is_deleted() {
        transcript(
            r"
            XADD s 1-1 f v          => $3 1-1
            XADD s 2-1 f v          => $3 2-1
            XADD s 3-1 f v          => $3 3-1
            XGROUP CREATE s g 0     => +OK
            XGROUP CREATE s h 0     => +OK
            XREADGROUP GROUP g c COUNT 2 STREAMS s > => *1 *2 $1 s *2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *2 $1 f $1 v
            XREADGROUP GROUP h c COUNT 2 STREAMS s > => *1 *2 $1 s *2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *2 $1 f $1 v
            XDELEX s ACKED IDS 2 1-1 9-9 => *2 :2 :-1
            XACKDEL s g ACKED IDS 1 1-1 => *1 :2
            XACKDEL s h ACKED IDS 1 1-1 => *1 :1
            XLEN s                  => :2
            XACKDEL s g IDS 2 1-1 2-1 => *2 :-1 :1
            XLEN s                  => :1
            XPENDING s h            => *4 :1 $3 2-1 $3 2-1 *1 *2 $1 c $1 1
            XDELEX s ACKED IDS 1 3-1 => *1 :2
            XDELEX s DELREF IDS 2 2-1 3-1 => *2 :-1 :1
            XPENDING s h            => *4 :0 $-1 $-1 *-1
            XACKDEL nokey g IDS 1 1-1 => *1 :-1
            XACKDEL s nogroup IDS 2 1-1 2-1 => *2 :-1 :-1
            XDELEX nokey IDS 1 1-1  => *1 :-1
            XACKDEL s g IDS 0 1-1   => -ERR Number of IDs must be a positive integer
            XACKDEL s g IDS 2 1-1   => -ERR The `numids` parameter must match the number of arguments
            XDELEX s IDS 1 x        => -ERR Invalid stream ID specified as stream command argument
            XDELEX s BAD IDS 1 1-1  => -ERR syntax error
            XDELEX s ACKED 1 1-1    => -ERR syntax error
            ",
        );
    }

    #[test]
    fn trimming_minds_references_too() {
        transcript(
            r"
            XADD s 1-1 f v          => $3 1-1
            XADD s 2-1 f v          => $3 2-1
            XADD s 3-1 f v          => $3 3-1
            XGROUP CREATE s g 0     => +OK
            XREADGROUP GROUP g c COUNT 2 STREAMS s > => *1 *2 $1 s *2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-1 *2 $1 f $1 v
            XACK s g 2-1            => :1
            XTRIM s MAXLEN 0 ACKED  => :1
            XRANGE s - +            => *2 *2 $3 1-1 *2 $1 f $1 v *2 $3 3-1 *2 $1 f $1 v
            XTRIM s MAXLEN 1 DELREF => :1
            XPENDING s g            => *4 :0 $-1 $-1 *-1
            XTRIM s MINID 4         => :1
            XTRIM s MAXLEN          => -ERR wrong number of arguments for 'xtrim' command
            XTRIM s LIMIT 5         => -ERR syntax error, LIMIT cannot be used without specifying a trimming strategy
            XTRIM s MAXLEN ~ 0 LIMIT 5 x => -ERR syntax error
            XTRIM nokey MAXLEN 0    => :0
            ",
        );
    }
}
