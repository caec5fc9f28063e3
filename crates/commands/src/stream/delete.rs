//! XDEL and XDELEX.

use super::id;
use super::references::{IDS_ARG, REFERENCES_ARG, answer, parse_with_ids};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyResult,
    ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::stream::{Removed, Stream};

/// Deletes entries by their ids.
pub(super) static XDEL: Command = Command {
    name: "XDEL",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Deletes entries of a stream by their ids; answers how many there were.",
    complexity: "O(1) for each id.",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("id").multiple()],
    handler: Handler::Keyed(xdel),
    ..Command::BASE
};

/// Deletes entries by their ids, minding groups.
pub(super) static XDELEX: Command = Command {
    name: "XDELEX",
    group: Group::Stream,
    since: "8.2.0",
    summary: "Deletes entries of a stream by their ids, together with what groups remember of them or \
              only if no group needs them any more; answers what became of each.",
    complexity: "O(1) for each id and group.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), REFERENCES_ARG, IDS_ARG],
    handler: Handler::Keyed(xdelex),
    ..Command::BASE
};

fn xdel(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    // As in Redis, ids are not looked at when there is no stream.
    if keyspace.peek_collection::<Stream>(&key)?.is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    let ids = id::parse_all(call, 2, call.args.len())?;
    let deleted = keyspace.tell(Interest::STREAM, "xdel").edit(&key, |stream: &mut Stream| {
        let deleted = stream.log_mut().delete_each(&ids) as u64;
        Edit::counted(deleted, deleted)
    })?;
    call.reply.integer(deleted.unwrap_or(0).cast_signed());
    Ok(())
}

fn xdelex(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let (references, ids_at) = parse_with_ids(call, 2)?;
    let ids = id::parse_all(call, ids_at, call.args.len())?;
    let key = call.key(1);
    let removed = call.keyspace(view, &key).tell(Interest::STREAM, "xdel").edit(
        &key,
        |stream: &mut Stream| {
            let removed = stream.remove_entries(&ids, references);
            let changes = removed.iter().filter(|removed| **removed == Removed::Removed).count();
            Edit::counted(changes as u64, removed)
        },
    )?;
    let removed = removed.unwrap_or_else(|| vec![Removed::Absent; ids.len()]);
    call.reply.array(removed.len());
    for removed in removed {
        call.reply.integer(answer(removed));
    }
    Ok(())
}
