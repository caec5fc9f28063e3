//! What reading in a group and taking entries over leaves to be done again: who the entries are pending with, since
//! when, and how often they were delivered, for none of that follows from what is in the stream.

use super::id;
use darter_base::number::{format_i64, format_u64};
use darter_command_table::{Call, Effects};
use darter_resp::OwnedArgs;
use darter_value::stream::References;
use darter_value::stream::{Group, StreamId, Trimmed};

/// Entries named by one command that is left.
const ENTRIES_PER_COMMAND: usize = 1024;

/// What a command did to a group for a consumer.
#[derive(Debug, Default)]
pub(super) struct GroupEdit {
    is_recorded: bool,
    /// Whether the consumer is new.
    pub(super) is_consumer_new: bool,
    /// Where the group has read to, and how many entries that is, if it has read on.
    position: Option<(StreamId, Option<u64>)>,
    /// Entries that are pending with the consumer now, and how often each was delivered.
    pending: Vec<(StreamId, u64)>,
    /// Entries that are pending no more.
    acknowledged: Vec<StreamId>,
}

impl GroupEdit {
    pub(super) fn new(call: &Call<'_>) -> Self {
        Self { is_recorded: call.is_recorded(), ..Self::default() }
    }

    /// For a command in slices, which does not know whether somebody records what it does.
    pub(super) fn recorded() -> Self {
        Self { is_recorded: true, ..Self::default() }
    }

    /// Notes where the group has read to.
    pub(super) fn note_position(&mut self, group: &Group) {
        self.position = Some((group.last_id, group.entries_read));
    }

    /// Notes that an entry was delivered.
    pub(super) fn note_pending(&mut self, group: &Group, id: StreamId) {
        if let Some(pending) = group.pending(id).filter(|_| self.is_recorded) {
            self.pending.push((id, pending.deliveries));
        }
    }

    /// Notes that an entry is pending no more.
    pub(super) fn note_acknowledged(&mut self, id: StreamId) {
        if self.is_recorded {
            self.acknowledged.push(id);
        }
    }

    /// Leaves all that. Entries were delivered at `at_ms`.
    pub(super) fn leave(
        &self,
        call: &mut Call<'_>,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        at_ms: i64,
    ) {
        call.leave(|effects| self.describe(effects, [key, group, consumer], at_ms));
    }

    /// Adds all that, of a key, a group and a consumer.
    pub(super) fn describe(
        &self,
        effects: &mut Effects,
        [key, group, consumer]: [&[u8]; 3],
        at_ms: i64,
    ) {
        if self.is_consumer_new {
            effects.add(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer]);
        }
        if let Some((last_id, read)) = self.position {
            let read = match read {
                Some(read) => format_u64(read),
                None => format_i64(-1),
            };
            let last_id = id::text(last_id);
            let words = &[b"XGROUP", b"SETID".as_slice(), key, group, &last_id];
            effects.add_with(words, [b"ENTRIESREAD", read.as_bytes()].into_iter());
        }
        // Entries of one command were delivered as often as each other.
        for alike in self.pending.chunk_by(|one, other| one.1 == other.1) {
            for entries in alike.chunks(ENTRIES_PER_COMMAND) {
                add_claim(effects, [key, group, consumer], entries, at_ms);
            }
        }
        for ids in self.acknowledged.chunks(ENTRIES_PER_COMMAND) {
            let ids: OwnedArgs = ids.iter().map(|id| id::text(*id)).collect();
            effects.add_with(&[b"XACK", key, group], ids.as_args().iter());
        }
    }
}

/// Adds that `entries`, which were delivered as often as the first of them, are pending with the consumer.
fn add_claim(
    effects: &mut Effects,
    [key, group, consumer]: [&[u8]; 3],
    entries: &[(StreamId, u64)],
    at_ms: i64,
) {
    let mut words = OwnedArgs::new();
    for word in [b"XCLAIM".as_slice(), key, group, consumer, b"0"] {
        words.push(word);
    }
    for (entry_id, _) in entries {
        words.push(&id::text(*entry_id));
    }
    let deliveries = entries.first().map_or(0, |(_, deliveries)| *deliveries);
    words.push(b"TIME");
    words.push(format_i64(at_ms).as_bytes());
    words.push(b"RETRYCOUNT");
    words.push(format_u64(deliveries.min(i64::MAX.unsigned_abs())).as_bytes());
    words.push(b"FORCE");
    words.push(b"JUSTID");
    effects.add_with(&[], words.as_args().iter());
}

/// Adds the options that remove again what was trimmed, whatever the nodes of the stream are then. They need be no
/// more than an id: entries go from the first on.
pub(super) fn push_trimmed(words: &mut OwnedArgs, trimmed: Trimmed, references: References) {
    match references {
        _ if trimmed.count == 0 => return,
        References::Keep => {}
        References::Delete => words.push(b"DELREF"),
        References::Acknowledged => words.push(b"ACKED"),
    }
    if let Some(first_left) = trimmed.last_id.next() {
        words.push(b"MINID");
        words.push(b"=");
        words.push(&id::text(first_left));
    } else {
        // There can be no entry behind the last one.
        words.push(b"MAXLEN");
        words.push(b"=");
        words.push(b"0");
    }
}
