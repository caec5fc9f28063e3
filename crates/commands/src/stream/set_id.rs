//! XSETID.

use super::id;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, ReplyError,
    ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest};
use darter_value::stream::{Stream, StreamId};

/// Sets what a stream remembers.
pub(super) static XSETID: Command = Command {
    name: "XSETID",
    group: Group::Stream,
    since: "5.0.0",
    summary: "Sets the last id a stream has given, and what it counts; for replication.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    acl: Category::STREAM,
    keys: &[KeySpec::at(1, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::string("last-id"),
        Arg::integer("entries-added").token("ENTRIESADDED").since("7.0.0").optional(),
        Arg::string("max-deleted-id").token("MAXDELETEDID").since("7.0.0").optional(),
    ],
    history: &[("7.0.0", "`ENTRIESADDED` and `MAXDELETEDID`.")],
    handler: Handler::Keyed(xsetid),
    ..Command::BASE
};

fn xsetid(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let last_id = id::parse(call.args.at(2), 0)?;
    let mut entries_added = None;
    let mut max_deleted_id = StreamId::MIN;
    let mut index = 3;
    while index < call.args.len() {
        if index + 1 >= call.args.len() {
            return Err(ReplyError::Syntax);
        }
        if call.is_word(index, "ENTRIESADDED") {
            let count = u64::try_from(call.integer(index + 1)?);
            let count =
                count.map_err(|_| ReplyError::Text("ERR entries_added must be positive"))?;
            entries_added = Some(count);
        } else if call.is_word(index, "MAXDELETEDID") {
            max_deleted_id = id::parse(call.args.at(index + 1), 0)?;
            if last_id < max_deleted_id {
                return Err(ReplyError::Text(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
        } else {
            return Err(ReplyError::Syntax);
        }
        index += 2;
    }
    let key = call.key(1);
    let set = call.keyspace(view, &key).tell(Interest::STREAM, "xsetid").edit(
        &key,
        |stream: &mut Stream| {
            let log = stream.log_mut();
            let refused = if last_id < log.max_deleted_id() {
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
            } else if log.last_entry_id().is_some_and(|top| last_id < top) {
                "ERR The ID specified in XSETID is smaller than the target stream top item"
            } else if !log.is_empty() && entries_added.is_some_and(|count| count < log.len()) {
                "ERR The entries_added specified in XSETID is smaller than the target stream length"
            } else {
                let entries_added = entries_added.unwrap_or(log.entries_added());
                let max_deleted_id = match max_deleted_id {
                    StreamId::MIN => log.max_deleted_id(),
                    id => id,
                };
                log.set_counters(last_id, entries_added, max_deleted_id);
                return Edit::changed(Ok(()));
            };
            Edit::unchanged(Err(ReplyError::Text(refused)))
        },
    )?;
    set.ok_or(ReplyError::NoSuchKey)??;
    call.reply.ok();
    Ok(())
}
