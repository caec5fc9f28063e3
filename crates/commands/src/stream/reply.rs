//! Entries as replies.

use super::id;
use crate::reply::write_item;
use darter_resp::ReplyWriter;
use darter_value::stream::Entry;

/// How often, and how long ago, an entry was delivered, for those who ask with CLAIM.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) idle_ms: i64,
    pub(super) deliveries: u64,
}

/// Writes an entry: its id and the array of its fields and values.
pub(super) fn write_entry(reply: &mut ReplyWriter<'_>, entry: &Entry<'_>) {
    reply.array(2);
    write_parts(reply, entry);
}

/// The same, and what is known of its delivery, if that is asked for.
pub(super) fn write_delivered(
    reply: &mut ReplyWriter<'_>,
    entry: &Entry<'_>,
    delivered: Option<Delivered>,
) {
    let Some(delivered) = delivered else { return write_entry(reply, entry) };
    reply.array(4);
    write_parts(reply, entry);
    reply.integer(delivered.idle_ms);
    reply.integer(delivered.deliveries.cast_signed());
}

fn write_parts(reply: &mut ReplyWriter<'_>, entry: &Entry<'_>) {
    id::write(reply, entry.id());
    reply.array(2 * entry.fields_len());
    for (field, value) in entry.fields() {
        write_item(reply, field);
        write_item(reply, value);
    }
}

/// Writes an array of at most `count` entries (0: all).
pub(super) fn write_entries<'a>(
    reply: &mut ReplyWriter<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
) {
    let count = if count == 0 { usize::MAX } else { count };
    let deferred = reply.begin_deferred();
    let mut written = 0;
    for entry in entries.take(count) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.end_array(deferred, written);
}
