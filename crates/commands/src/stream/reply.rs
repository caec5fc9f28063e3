//! Entries as replies.

use super::id;
use crate::reply::write_item;
use darter_resp::ReplyWriter;
use darter_value::stream::Entry;

/// Writes an entry: its id and the array of its fields and values.
pub(super) fn write_entry(reply: &mut ReplyWriter<'_>, entry: &Entry<'_>) {
    reply.array(2);
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
