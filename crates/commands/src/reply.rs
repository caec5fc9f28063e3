//! Replies made of values.

use darter_command_table::{ReplyError, ReplyResult};
use darter_resp::ReplyWriter;
use darter_shard::{ObjectRef, ValueRef};
use darter_value::{Element, Item};

/// Writes a string value, or answers `false` when it is none.
#[inline]
pub(crate) fn write_string(reply: &mut ReplyWriter<'_>, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Bytes(bytes) | ValueRef::Raw(bytes) => reply.bulk(bytes),
        ValueRef::Integer(integer) => reply.bulk_integer(integer),
        ValueRef::Object(ObjectRef::Large(large)) => reply.bulk_shared(&large.share()),
        ValueRef::Object(_) => return false,
    }
    true
}

/// Writes an element of a list, or the value of a field.
#[inline]
pub(crate) fn write_element(reply: &mut ReplyWriter<'_>, element: Element<'_>) {
    match element {
        Element::Packed(item) => write_item(reply, item),
        Element::Large(string) => reply.bulk_shared(&string.share()),
    }
}

/// Writes an entry of a packed list.
#[inline]
pub(crate) fn write_item(reply: &mut ReplyWriter<'_>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Integer(integer) => reply.bulk_integer(integer),
    }
}

/// Writes what a key holds, which must be a string or nothing.
#[inline]
pub(crate) fn write_string_or_null(
    reply: &mut ReplyWriter<'_>,
    value: Option<ValueRef<'_>>,
) -> ReplyResult {
    match value {
        None => reply.null(),
        Some(value) => {
            if !write_string(reply, value) {
                return Err(ReplyError::WrongType);
            }
        }
    }
    Ok(())
}

/// Writes what a HELP subcommand answers: `lines` between a heading and the lines about itself.
pub(crate) fn write_help(reply: &mut ReplyWriter<'_>, command: &str, lines: &[&str]) {
    reply.array(lines.len() + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        reply.simple(line);
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
}
