//! DEBUG HTSTATS and DEBUG HTSTATS-KEY.
//!
//! Valkey's lines, told of tables that grow by splitting segments: nothing is ever rehashed as a whole, so there is no second
//! table and no rehashing index, and no bucket is chained to another. What is Darter's own comes behind, with `full`.

use super::{FLAGS, wrong_arguments};
use darter_base::DbIndex;
use darter_command_table::{
    Access, Arg, Arity, Call, Command, Group, Handler, KeySpec, ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Layout, ObjectRef, ValueRef};
use std::fmt::Write;

/// How a database's tables are laid out.
pub static HTSTATS: Command = Command {
    name: "HTSTATS",
    group: Group::Server,
    summary: "How the tables of a database are laid out.",
    complexity: "O(1), with FULL O(N) where N is the number of keys in the database",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[Arg::integer("dbid"), Arg::word("full", "FULL").optional()],
    handler: Handler::AllShards(of_database),
    ..Command::BASE
};

/// How the table of a value is laid out.
pub static HTSTATS_KEY: Command = Command {
    name: "HTSTATS-KEY",
    group: Group::Server,
    summary: "How the table of a hash, a set or a sorted set is laid out.",
    complexity: "O(1), with FULL O(N) where N is the number of elements",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    // Not a fixed key: without arguments the handler answers as DEBUG does.
    keys: &[KeySpec::range(2, -1, 1, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::word("full", "FULL").optional()],
    handler: Handler::Keyed(of_value),
    ..Command::BASE
};

fn of_database(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() < 3 {
        return Err(wrong_arguments(call));
    }
    let db = u16::try_from(call.integer(2)?).ok().filter(|db| *db < call.limits.databases);
    let db = DbIndex(db.ok_or(ReplyError::Text("ERR Out of range database"))?);
    let is_full = call.is_word(3, "FULL");
    let mut sum = Layout::default();
    for shard in view.each() {
        sum.add(&shard.table_layout(db, is_full));
    }
    let mut text = String::from("[Dictionary HT]\n");
    if sum.entries > 0 {
        describe(&mut text, &sum, is_full);
    }
    // Deadlines are kept with their keys: there is no table of them.
    text.push_str("[Expires HT]\n");
    call.reply.verbatim(*b"txt", text.as_bytes());
    Ok(())
}

fn of_value(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.args.len() < 3 {
        return Err(wrong_arguments(call));
    }
    let is_full = call.is_word(3, "FULL");
    let key = call.key(2);
    let mut keyspace = call.keyspace(view, &key);
    let value = keyspace.peek(&key).ok_or(ReplyError::NoSuchKey)?;
    let layout = layout_of(value, is_full).ok_or(ReplyError::Text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let mut text = String::new();
    describe(&mut text, &layout, is_full);
    call.reply.verbatim(*b"txt", text.as_bytes());
    Ok(())
}

fn layout_of(value: ValueRef<'_>, counts_fill: bool) -> Option<Layout> {
    let ValueRef::Object(object) = value else { return None };
    match object {
        ObjectRef::Hash(hash) => hash.table_layout(counts_fill),
        ObjectRef::Set(set) => Some(set.as_table()?.layout(counts_fill)),
        ObjectRef::SortedSet(set) => set.table_layout(counts_fill),
        _ => None,
    }
}

fn describe(text: &mut String, layout: &Layout, is_full: bool) {
    let mut lines = format!(
        "Hash table 0 stats (main hash table):\n table size: {}\n number of entries: {}\n \
         rehashing index: -1\n",
        layout.slots(),
        layout.entries
    );
    if is_full {
        add_details(&mut lines, layout).expect("a string takes all");
    }
    text.push_str(&lines);
}

fn add_details(lines: &mut String, layout: &Layout) -> std::fmt::Result {
    let Layout { segments, buckets, in_overflow, .. } = layout;
    writeln!(lines, " top-level buckets: {buckets}\n child buckets: 0\n max chain length: 0")?;
    writeln!(lines, " avg chain length: 0.000000\n chain length distribution:")?;
    writeln!(lines, "   0: {buckets} (100.00%)\n segments: {segments}")?;
    writeln!(lines, " entries in overflow: {in_overflow}\n bucket fill distribution:")?;
    for (entries, count) in layout.fill.iter().enumerate().filter(|(_, count)| **count > 0) {
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let percent = *count as f64 * 100.0 / (*buckets).max(1) as f64;
        writeln!(lines, "   {entries}: {count} ({percent:.2}%)")?;
    }
    Ok(())
}
