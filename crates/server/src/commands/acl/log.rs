//! ACL LOG.

use super::{BASE, too_many_arguments};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_acl::LogEntry;
use darter_base::UnixMillis;
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command, ReplyError};
use darter_resp::ReplyWriter;

/// Who was refused.
pub(super) static LOG: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOG",
        summary: "Who was refused what lately.",
        complexity: "O(N) with N being the number of entries shown.",
        arity: Arity::AtLeast(2),
        args: &[Arg::one_of("operation", &[Arg::integer("count"), Arg::word("reset", "RESET")])
            .optional()],
        history: &[("7.2.0", "Added entry ID, timestamp created, and timestamp last updated.")],
        ..BASE
    },
    log,
)
.within();

/// Entries that are shown unless told otherwise.
const ENTRIES_SHOWN: i64 = 10;

fn log(call: &mut SessionCall<'_>) -> SessionResult {
    let count = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(too_many_arguments(call)),
        Some(word) if word.eq_ignore_ascii_case(b"RESET") => {
            call.shared.acl.log().clear();
            return call.ok();
        }
        Some(word) => parse_i64(word).ok_or(ReplyError::NotAnInteger)?,
        None => ENTRIES_SHOWN,
    };
    let (shared, now) = (call.shared, call.turn.now);
    let log = shared.acl.log();
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX).min(log.entries().len());
    let mut reply = call.reply();
    reply.array(count);
    log.entries().take(count).for_each(|entry| write_entry(&mut reply, entry, now));
    Ok(Flow::Next)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds as seconds, as Redis shows them")]
fn write_entry(reply: &mut ReplyWriter<'_>, entry: &LogEntry, now: UnixMillis) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(number(entry.count));
    for (field, text) in [
        ("reason", entry.refused.name().as_bytes()),
        ("context", entry.context.name().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ] {
        reply.bulk(field.as_bytes());
        reply.bulk(text);
    }
    reply.bulk(b"age-seconds");
    reply.double((now.0 - entry.updated_at.0) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(entry.client.as_bytes());
    for (field, value) in [
        ("entry-id", number(entry.id)),
        ("timestamp-created", entry.created_at.0),
        ("timestamp-last-updated", entry.updated_at.0),
    ] {
        reply.bulk(field.as_bytes());
        reply.integer(value);
    }
}
