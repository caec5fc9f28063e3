//! What XREADGROUP takes over with CLAIM: entries that have been pending for so long, whoever has them.

use super::effects::GroupEdit;
use super::reply::{Delivered, write_delivered};
use darter_resp::ReplyWriter;
use darter_value::stream::{Entry, Group, Log, Pending, StreamId};

/// Who claims, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// For how long an entry must have been pending.
    pub(super) idle_ms: i64,
    pub(super) now_ms: i64,
}

/// Before all that was ever delivered.
pub(super) const BEGINNING: (i64, StreamId) = (i64::MIN, StreamId::MIN);

/// How often at most a group is looked at in which nothing is pending.
const LOOK_AGAIN_MS: i64 = 100;

impl Due {
    /// Until when an entry must have been delivered. What was given back with XNACK counts as delivered at time 0, and
    /// may be claimed at once.
    pub(super) fn latest_ms(&self) -> i64 {
        self.now_ms.saturating_sub(self.idle_ms).max(0)
    }

    /// At most `count` entries that may be claimed, those that wait longest first. Those that are gone from the stream
    /// stay pending.
    pub(super) fn find<'l>(&self, group: &mut Group, log: &'l Log, count: usize) -> Vec<Entry<'l>> {
        let mut entries = log.lookup();
        let due = group.delivered_by(BEGINNING, self.latest_ms());
        due.filter_map(|(_, id)| entries.find(id)).take(count).collect()
    }

    /// Writes the entries found, which are pending with the consumer from now on.
    pub(super) fn take<'l>(
        &self,
        group: &mut Group,
        consumer: u32,
        found: impl Iterator<Item = Entry<'l>>,
        reply: &mut ReplyWriter<'_>,
        edit: &mut GroupEdit,
    ) {
        for entry in found {
            let id = entry.id();
            let Some(before) = group.pending(id).copied() else {
                unreachable!("only what is pending is found");
            };
            let idle_ms = self.now_ms.saturating_sub(before.delivered_at_ms).max(0);
            let delivered = Delivered { idle_ms, deliveries: before.deliveries };
            write_delivered(reply, &entry, Some(delivered));
            let deliveries = before.deliveries_after_one_more();
            group.set_pending(id, Pending { consumer, delivered_at_ms: self.now_ms, deliveries });
            group.consumer_mut(consumer).active_at_ms = Some(self.now_ms);
            edit.note_pending(group, id);
        }
    }

    /// In how many milliseconds an entry may be claimed next, if none may now. Where none is pending, one may be delivered
    /// to somebody else meanwhile; who claims at once then looks now and then.
    pub(super) fn next_in_ms(&self, group: &mut Group, log: &Log) -> i64 {
        let mut entries = log.lookup();
        let first =
            group.delivered_by(BEGINNING, i64::MAX).find(|(_, id)| entries.find(*id).is_some());
        let Some((delivered_at_ms, _)) = first else {
            return self.idle_ms.max(LOOK_AGAIN_MS);
        };
        let idle_ms = self.now_ms.saturating_sub(delivered_at_ms);
        self.idle_ms.saturating_sub(idle_ms).max(1)
    }
}
