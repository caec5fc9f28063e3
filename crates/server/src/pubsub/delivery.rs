//! Subscribing, publishing and delivering, as a worker does them.

use super::{Directory, Kind, NAMES_PER_SLICE, Publication};
use crate::mail::Mail;
use crate::session::Session;
use crate::shared::Shared;
use crate::worker::{Core, Worker};
use darter_base::WorkerId;
use darter_runtime::{ConnectionId, ConnectionInfo, Connections};
use std::sync::Arc;

/// What became of a message.
#[derive(Debug, Default)]
pub struct Published {
    /// How many subscriptions it reaches.
    pub receivers: usize,
    /// Workers to which so much is under way that the publisher should wait for them.
    pub behind: Vec<WorkerId>,
}

impl Directory {
    /// Gives a message to `send` for each worker that has subscribers.
    fn publish(
        &self,
        kind: Kind,
        channel: &[u8],
        payload: &[u8],
        send: impl Fn(WorkerId, Arc<Publication>),
    ) -> Published {
        let reach = self.reach(kind, channel);
        if reach.workers.is_empty() {
            return Published::default();
        }
        let publication = Arc::new(Publication::new(kind, channel, payload, reach.patterns));
        let mut behind = Vec::new();
        for worker in reach.workers {
            let transit = self.transit(worker);
            transit.send(publication.cost_bytes());
            if transit.is_behind() {
                behind.push(worker);
            }
            send(worker, Arc::clone(&publication));
        }
        Published { receivers: reach.receivers, behind }
    }
}

impl Shared {
    /// Publishes from wherever a shard is worked on.
    pub fn publish(&self, kind: Kind, channel: &[u8], payload: &[u8]) {
        let send = |worker, publication| self.send(worker, Mail::Published(publication));
        self.pubsub.publish(kind, channel, payload, send);
    }
}

impl Core {
    /// Adds a subscription, unless the client has it.
    pub fn subscribe(&self, session: &mut Session, id: ConnectionId, kind: Kind, name: &[u8]) {
        let subscriptions = session.facts.subscriptions.get_or_insert_default();
        if subscriptions.of(kind).contains(name) {
            return;
        }
        let name = self.subscribers.borrow_mut().add(kind, name, id);
        self.shared.pubsub.add(kind, &name, self.worker);
        subscriptions.of_mut(kind).insert(name);
        self.follow_subscriptions(session, id);
    }

    /// Ends a subscription, if the client has it.
    pub fn unsubscribe(&self, session: &mut Session, id: ConnectionId, kind: Kind, name: &[u8]) {
        let Some(subscriptions) = &mut session.facts.subscriptions else { return };
        if !subscriptions.of_mut(kind).remove(name) {
            return;
        }
        self.forget_subscriber(id, kind, name);
        self.follow_subscriptions(session, id);
    }

    /// Ends all subscriptions without a word: the client wants to be as new.
    pub fn end_subscriptions(&self, session: &mut Session, id: ConnectionId) {
        let Some(mut subscriptions) = session.facts.subscriptions.take() else { return };
        for (kind, name) in subscriptions.take_all() {
            self.forget_subscriber(id, kind, &name);
        }
        self.follow_subscriptions(session, id);
    }

    /// The same of a client that is gone. If it had many they end in the following ticks: messages do not reach it any
    /// more, but PUBLISH counts it until then.
    pub fn leave_subscriptions(&self, session: &mut Session, id: ConnectionId) {
        match &mut session.facts.subscriptions {
            Some(subscriptions) if subscriptions.total() > NAMES_PER_SLICE => {
                self.left_subscriptions.borrow_mut().push((id, subscriptions.take_all()));
                self.follow_subscriptions(session, id);
            }
            _ => self.end_subscriptions(session, id),
        }
    }

    /// Ends some of the subscriptions of clients that are gone; `true` when there are more.
    pub fn end_left_subscriptions(&self) -> bool {
        let mut left = self.left_subscriptions.borrow_mut();
        let Some((id, names)) = left.last_mut() else { return false };
        let kept = names.len().saturating_sub(NAMES_PER_SLICE);
        for (kind, name) in names.drain(kept..) {
            self.forget_subscriber(*id, kind, &name);
        }
        if names.is_empty() {
            left.pop();
        }
        !left.is_empty()
    }

    /// Takes a subscriber out of what this worker and all know.
    fn forget_subscriber(&self, id: ConnectionId, kind: Kind, name: &[u8]) {
        self.subscribers.borrow_mut().remove(kind, name, id);
        self.shared.pubsub.remove(kind, name, self.worker);
    }

    /// Does what follows from a client having become a subscriber, or being none any more.
    fn follow_subscriptions(&self, session: &mut Session, id: ConnectionId) {
        let subscribes = session.facts.subscriptions.as_ref().is_some_and(|held| !held.is_empty());
        if session.subscribes == subscribes {
            return;
        }
        session.subscribes = subscribes;
        session.confine();
        if subscribes {
            self.statistics().subscribers.add(1);
        } else {
            self.statistics().subscribers.remove(1);
        }
        self.post.send(self.worker, Mail::SetIdleExempt { id, exempt: subscribes });
    }

    /// Sends a message to the workers that have subscribers.
    pub fn publish(&self, kind: Kind, channel: &[u8], payload: &[u8]) -> Published {
        let send = |worker, publication| self.post.send(worker, Mail::Published(publication));
        self.shared.pubsub.publish(kind, channel, payload, send)
    }

    /// Writes a message to this worker's subscribers. One that reads too slowly is closed.
    pub fn deliver(&self, publication: &Publication, connections: &mut Connections<'_, Worker>) {
        let subscribers = self.subscribers.borrow();
        let mut bytes = 0;
        let mut write = |kind, name: &[u8], mut message: super::publication::Message<'_>| {
            for id in subscribers.subscribers(kind, name).into_iter().flatten() {
                let unsent = connections.with(*id, |session, output| {
                    message.write(&mut output.0, session.protocol);
                    output.0.len()
                });
                if let Some(unsent) = unsent {
                    bytes += message.bytes() as u64;
                    self.limit_subscriber(*id, unsent, connections);
                }
            }
        };
        write(publication.kind, publication.channel(), publication.to_channel());
        for pattern in &publication.patterns {
            write(Kind::Pattern, pattern, publication.to_pattern(pattern));
        }
        self.statistics().output_bytes.add(bytes);
        self.shared.pubsub.transit(self.worker).deliver(publication.cost_bytes());
    }

    /// Closes a subscriber that is above the hard limit of its class. The runtime looks at limits
    /// before it sends; many messages can come in between.
    #[inline]
    fn limit_subscriber(
        &self,
        id: ConnectionId,
        unsent: usize,
        connections: &mut Connections<'_, Worker>,
    ) {
        let hard = self.output_limits.get().pubsub.hard_bytes;
        let limited = ConnectionInfo::limited_bytes_of(unsent);
        if hard > 0 && limited as u64 >= hard && connections.close(id, false) {
            self.statistics().connections_unread.add(1);
            tracing::warn!(
                ?id,
                "closed a subscriber for overcoming of output buffer limits: it reads too slowly"
            );
        }
    }
}
