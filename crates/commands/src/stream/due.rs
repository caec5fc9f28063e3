//! What XREADGROUP takes over with CLAIM: entries that have been pending for so long, whoever has them.

use super::effects::GroupEdit;
use super::reply::{Delivered, write_delivered};
use darter_resp::ReplyWriter;
use darter_value::stream::{Group, Log, Pending, StreamId};

/// Who claims, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// For how long an entry must have been pending.
    pub(super) idle_ms: i64,
    pub(super) now_ms: i64,
}

/// How often at most a group is looked at in which nothing is pending.
const LOOK_AGAIN_MS: i64 = 100;

impl Due {
    /// At most `count` entries that may be claimed, those that wait longest first. Those that are gone from the stream
    /// stay pending.
    pub(super) fn find(&self, group: &mut Group, log: &Log, count: usize) -> Vec<StreamId> {
        let mut entries = log.lookup();
        // What was given back with XNACK counts as delivered at time 0, and may be claimed at once.
        let latest_ms = self.now_ms.saturating_sub(self.idle_ms).max(0);
        let due = group.delivered_by(latest_ms);
        due.filter(|id| entries.find(*id).is_some()).take(count).collect()
    }

    /// Writes the entries found, which are pending with the consumer from now on.
    pub(super) fn take(
        &self,
        group: &mut Group,
        consumer: u32,
        log: &Log,
        found: &[StreamId],
        reply: &mut ReplyWriter<'_>,
        edit: &mut GroupEdit,
    ) {
        let mut entries = log.lookup();
        for id in found {
            let (Some(entry), Some(before)) = (entries.find(*id), group.pending(*id).copied())
            else {
                unreachable!("only what is there and pending is found");
            };
            let idle_ms = self.now_ms.saturating_sub(before.delivered_at_ms).max(0);
            let delivered = Delivered { idle_ms, deliveries: before.deliveries };
            write_delivered(reply, &entry, Some(delivered));
            let deliveries = before.deliveries_after_one_more();
            group.set_pending(*id, Pending { consumer, delivered_at_ms: self.now_ms, deliveries });
            group.consumer_mut(consumer).active_at_ms = Some(self.now_ms);
            edit.note_pending(group, *id);
        }
    }

    /// In how many milliseconds an entry may be claimed next, if none may now. Where none is pending, one may be delivered
    /// to somebody else meanwhile; who claims at once then looks now and then.
    pub(super) fn next_in_ms(&self, group: &mut Group, log: &Log) -> i64 {
        let mut entries = log.lookup();
        let first = group.delivered_by(i64::MAX).find(|id| entries.find(*id).is_some());
        let Some(pending) = first.and_then(|id| group.pending(id)) else {
            return self.idle_ms.max(LOOK_AGAIN_MS);
        };
        let idle_ms = self.now_ms.saturating_sub(pending.delivered_at_ms);
        self.idle_ms.saturating_sub(idle_ms).max(1)
    }
}
