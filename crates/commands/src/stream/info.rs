//! XINFO.

use super::group::subcommand_syntax;
use super::id;
use super::idempotence::{REPORT_FIELDS, write_report};
use super::info_full::{Full, write_in_slices};
use super::reply::write_entry;
use super::sources::no_group_in;
use crate::reply::write_help;
use darter_base::UnixMillis;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group as CommandGroup, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_value::stream::{Group, Log, Stream, StreamId};

/// About streams.
pub(super) static XINFO: Command = Command {
    name: "XINFO",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Commands that tell about streams and their consumer groups.",
    complexity: "Depends on the subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&CONSUMERS, &GROUPS, &HELP, &STREAM],
    ..Command::BASE
};

static CONSUMERS: Command = Command {
    name: "CONSUMERS",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "The consumers of a group.",
    complexity: "O(N) for N consumers.",
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key"), Arg::string("group")],
    tips: &["nondeterministic_output"],
    history: &[("7.2.0", "The `inactive` field.")],
    handler: Handler::Keyed(consumers),
    ..Command::BASE
};

static GROUPS: Command = Command {
    name: "GROUPS",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "The consumer groups of a stream.",
    complexity: "O(N) for N groups.",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    history: &[("7.0.0", "The `entries-read` and `lag` fields.")],
    handler: Handler::Keyed(groups),
    ..Command::BASE
};

static STREAM: Command = Command {
    name: "STREAM",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "About a stream, with FULL also its entries and what is pending.",
    complexity: "O(1); with FULL O(N) for N entries returned.",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[
        Arg::key("key"),
        Arg::block(
            "full-block",
            &[Arg::word("full", "FULL"), Arg::integer("count").token("COUNT").optional()],
        )
        .optional(),
    ],
    history: &[
        ("6.0.0", "`FULL`."),
        (
            "7.0.0",
            "The `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
                   `entries-read` and `lag` fields.",
        ),
        ("7.2.0", "The `active-time` field; `seen-time` is of the last attempt."),
        ("8.6.0", "The fields about idempotent ids, of a stream that has any."),
    ],
    handler: Handler::Keyed(stream),
    slices: Some(|call| Ok(write_in_slices(call, parse_full(call)?.unwrap_or(FULL_COUNT)))),
    ..Command::BASE
};

static HELP: Command = Command {
    name: "HELP",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Lines about the subcommands.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Category::STREAM,
    handler: Handler::Keyed(help),
    ..Command::BASE
};

fn consumers(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let name = call.args.at(3);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.read_collection::<Stream>(&key)?.ok_or(ReplyError::NoSuchKey)?;
    let group = stream.group(name).ok_or_else(|| no_group_in(key.bytes, name))?;
    let now_ms = call.time_of_day().0;
    let reply = &mut call.reply;
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        field(reply, "pending", consumer.pending_len().cast_signed() as i64);
        field(reply, "idle", (now_ms - consumer.seen_at_ms).max(0));
        field(reply, "inactive", consumer.active_at_ms.map_or(-1, |at| now_ms - at));
    }
    Ok(())
}

fn groups(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.read_collection::<Stream>(&key)?.ok_or(ReplyError::NoSuchKey)?;
    let reply = &mut call.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        field(reply, "consumers", group.consumers().len().cast_signed() as i64);
        field(reply, "pending", group.pending_len().cast_signed() as i64);
        write_progress(reply, group, stream.log());
    }
    Ok(())
}

/// How many entries XINFO STREAM FULL shows unless it is told.
const FULL_COUNT: usize = 10;

/// How much of each list is asked for with FULL; the options come after the key, as in Redis.
fn parse_full(call: &Call<'_>) -> Result<Option<usize>, ReplyError> {
    match call.args.len() {
        3 => Ok(None),
        4 if call.is_word(3, "FULL") => Ok(Some(FULL_COUNT)),
        6 if call.is_word(3, "FULL") && call.is_word(4, "COUNT") => {
            Ok(Some(usize::try_from(call.integer(5)?).unwrap_or(FULL_COUNT)))
        }
        _ => Err(subcommand_syntax(call)),
    }
}

fn stream(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.read_collection::<Stream>(&key)?.ok_or(ReplyError::NoSuchKey)?;
    if let Some(count) = parse_full(call)? {
        let mut full = Full::new(count, call.now);
        call.in_one_piece(full.elements(stream))?;
        while full.step(stream, &mut call.reply) {}
        return Ok(());
    }
    let reply = &mut call.reply;
    let log = stream.log();
    write_head(reply, stream, call.now, false);
    field(reply, "groups", stream.groups().len().cast_signed() as i64);
    let ends = [
        ("first-entry", log.entries(StreamId::MIN, StreamId::MAX).next()),
        ("last-entry", log.entries_reversed(StreamId::MIN, StreamId::MAX).next()),
    ];
    for (name, entry) in ends {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
    Ok(())
}

/// What both forms of XINFO STREAM begin with.
pub(super) fn write_head(
    reply: &mut ReplyWriter<'_>,
    stream: &Stream,
    now: UnixMillis,
    is_full: bool,
) {
    let log = stream.log();
    let idempotence = stream.idempotence();
    let fields = if is_full { 9 } else { 10 };
    reply.map(fields + if idempotence.is_some() { REPORT_FIELDS } else { 0 });
    field(reply, "length", log.len().cast_signed());
    // There is no radix tree: one node for each key of one is what an operator expects to see.
    let nodes = log.nodes_len().cast_signed() as i64;
    field(reply, "radix-tree-keys", nodes);
    field(reply, "radix-tree-nodes", nodes + 1);
    id_field(reply, "last-generated-id", log.last_id());
    id_field(reply, "max-deleted-entry-id", log.max_deleted_id());
    field(reply, "entries-added", log.entries_added().cast_signed());
    id_field(reply, "recorded-first-entry-id", log.first_id());
    if let Some(known) = idempotence {
        write_report(reply, known, now);
    }
}

/// How far a group has read.
pub(super) fn write_progress(reply: &mut ReplyWriter<'_>, group: &Group, log: &Log) {
    id_field(reply, "last-delivered-id", group.last_id);
    reply.bulk(b"entries-read");
    match group.entries_read {
        Some(read) => reply.integer(read.cast_signed()),
        None => reply.null(),
    }
    reply.bulk(b"lag");
    match log.lag_of(group) {
        Some(lag) => reply.integer(lag),
        None => reply.null(),
    }
}

pub(super) fn field(reply: &mut ReplyWriter<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn id_field(reply: &mut ReplyWriter<'_>, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    id::write(reply, id);
}

fn help(call: &mut Call<'_>, _: &mut ShardView<'_>) -> ReplyResult {
    write_help(
        &mut call.reply,
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ],
    );
    Ok(())
}
