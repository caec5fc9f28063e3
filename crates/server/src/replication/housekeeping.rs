//! What is done about replicas now and then: pings, lost links, and what is kept for nobody.

use super::feeding::Attached;
use super::refusal::Refusal;
use super::replica::{Announced, Phase, Replica};
use crate::mail::Mail;
use crate::session::Session;
use crate::worker::Core;
use darter_base::WorkerId;
use darter_replication::SyncRequest;
use darter_runtime::{ConnectionId, Connections, Turn};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// When things are due.
#[derive(Debug, Default)]
pub struct Housekeeping {
    /// When replicas were pinged last, or there was a first one.
    pinged_at: Cell<Option<Instant>>,
    /// Since when there is no replica.
    alone_since: Cell<Option<Instant>>,
}

impl Core {
    /// Makes a client a replica, which goes on from what it has or waits for all data. `true` if it goes on.
    pub fn attach_replica(
        &self,
        session: &mut Session,
        id: ConnectionId,
        request: SyncRequest,
        is_silent: bool,
        turn: &Turn,
    ) -> bool {
        let announced = session.facts.announced.as_deref().cloned().unwrap_or_default();
        let ip = ip_of(session, &announced);
        let replica =
            Replica::new(id, session.client_id, announced, ip, is_silent, Phase::Waits, turn.now);
        let replica = Arc::new(replica);
        let replication = &self.shared.replication;
        tracing::info!("Replica {} asks for synchronization", replica.name());
        let begun = replication.add(&replica, request);
        let goes_on = begun.is_ok();
        note_begun(&replica, request, begun);
        let statistics = &replication.statistics;
        if goes_on {
            statistics.partial_syncs.fetch_add(1, Ordering::Relaxed);
        } else {
            statistics.full_syncs.fetch_add(1, Ordering::Relaxed);
            if matches!(request, SyncRequest::Partial { .. }) {
                statistics.partial_syncs_refused.fetch_add(1, Ordering::Relaxed);
            }
            if !replication.join_full_sync(&replica) {
                // It is worker 0 that begins one.
                self.post.send(WorkerId(0), Mail::TendShards);
            }
        }
        replication.bells[self.worker.index()].has_replicas.store(true, Ordering::Relaxed);
        self.replicas.borrow_mut().push(Attached::new(Arc::clone(&replica)));
        session.facts.replica = Some(replica);
        session.confine();
        self.post.send(self.worker, Mail::SetIdleExempt { id, exempt: true });
        goes_on
    }

    /// A replica is gone.
    pub fn detach_replica(&self, session: &mut Session, turn: &Turn) {
        let Some(replica) = session.facts.replica.take() else { return };
        let mut attached = self.replicas.borrow_mut();
        attached.retain(|attached| attached.connection() != replica.connection);
        let replication = &self.shared.replication;
        if attached.is_empty() {
            replication.bells[self.worker.index()].has_replicas.store(false, Ordering::Relaxed);
        }
        replication.remove(&replica);
        replication.count_good(&self.shared.config.current().replication, turn.now);
        tracing::info!("Connection with replica {} lost.", replica.name());
    }

    /// Pings replicas, closes those that were not heard of for too long, and forgets what is kept for nobody.
    pub fn tend_replicas(&self, turn: &Turn, connections: &mut Connections<'_, crate::Worker>) {
        let (shared, replication) = (self.shared, &self.shared.replication);
        let settings = shared.config.current();
        let settings = &settings.replication;
        let timeout_millis = settings.timeout_seconds.saturating_mul(1000);
        for attached in self.replicas.borrow().iter() {
            let replica = attached.replica();
            let is_lost = matches!(replica.phase(), Phase::Loads | Phase::Online)
                && !replica.is_silent
                && replica.silent_millis(turn.now).cast_unsigned() > timeout_millis;
            if is_lost {
                let name = replica.name();
                tracing::warn!("Disconnecting timedout replica (streaming sync): {name}");
                connections.close(attached.connection(), false);
            }
        }
        if self.worker != WorkerId(0) || !(replication.is_fed() || settings.replicas_min > 0) {
            return;
        }
        replication.count_good(settings, turn.now);
        let housekeeping = &self.housekeeping;
        if replication.replica_count() == 0 {
            let since = housekeeping.alone_since.get().unwrap_or(turn.instant);
            housekeeping.alone_since.set(Some(since));
            let millis = turn.instant.saturating_duration_since(since).as_millis();
            replication.forget(settings, i64::try_from(millis).unwrap_or(i64::MAX));
            return;
        }
        housekeeping.alone_since.set(None);
        replication.forget(settings, 0);
        let interval = Duration::from_secs(settings.ping_seconds);
        let is_waited_for = shared.following.failover.is_under_way() || shared.departure.waits();
        if !is_waited_for && housekeeping.pings(turn.instant, interval) {
            replication.record(|requests| requests.add_words(&[b"PING"]));
            replication.announce(shared);
        }
    }
}

impl Housekeeping {
    /// Whether replicas are pinged now, which happens every `interval`. What that is now counts, not what it was at the ping before:
    /// an operator may have asked for none.
    fn pings(&self, now: Instant, interval: Duration) -> bool {
        let pinged_at = self.pinged_at.get().unwrap_or(now);
        let is_due = now.saturating_duration_since(pinged_at) >= interval;
        self.pinged_at.set(Some(if is_due { now } else { pinged_at }));
        is_due
    }
}

/// Says in the log what a replica gets.
fn note_begun(replica: &Replica, request: SyncRequest, begun: Result<u64, Box<Refusal>>) {
    let name = replica.name();
    match (begun, request) {
        (Ok(bytes), SyncRequest::Partial { have, .. }) => tracing::info!(
            "Partial resynchronization request from {name} accepted. Sending {bytes} bytes of backlog starting from offset {}.",
            have.bytes() + 1
        ),
        (Err(refusal), _) if !replica.is_silent => tracing::info!("{}", refusal.said_of(&name)),
        _ => {}
    }
}

/// Where a replica listens, or where it connects from.
fn ip_of(session: &Session, announced: &Announced) -> String {
    use darter_runtime::PeerAddress;
    match (&announced.ip, &session.facts.peer.remote) {
        (Some(ip), _) => ip.clone(),
        (None, PeerAddress::Tcp(address)) => address.ip().to_canonical().to_string(),
        (None, PeerAddress::Unix(_)) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant has to come from somewhere")]
    fn pings_come_at_the_interval_that_is_set_now() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let second = Duration::from_secs(1);
        let housekeeping = Housekeeping::default();
        assert!(!housekeeping.pings(start, second));
        assert!(!housekeeping.pings(at(999), second));
        assert!(housekeeping.pings(at(1000), second));
        assert!(!housekeeping.pings(at(1900), second));
        // Longer, and what was due is not any more.
        let hour = Duration::from_hours(1);
        assert!(!housekeeping.pings(at(2000), hour));
        assert!(!housekeeping.pings(at(3_600_900), hour));
        // Shorter.
        assert!(housekeeping.pings(at(3_600_901), second));
        assert!(!housekeeping.pings(at(3_600_902), second));
    }
}
