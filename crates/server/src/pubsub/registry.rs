//! One worker's subscribers by what they subscribed to.

use super::Kind;
use darter_runtime::ConnectionId;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Names and the connections that subscribed to them. A name without any is forgotten.
type Subscribers = HashMap<Arc<[u8]>, HashSet<ConnectionId>>;

/// Who of one worker's clients subscribed to what.
#[derive(Debug, Default)]
pub struct Registry {
    channels: Subscribers,
    patterns: Subscribers,
    shard_channels: Subscribers,
}

impl Registry {
    /// Adds a subscriber, which has not subscribed to this name yet. The name as it is kept here.
    pub fn add(&mut self, kind: Kind, name: &[u8], id: ConnectionId) -> Arc<[u8]> {
        let subscribers = self.of_mut(kind);
        let name = match subscribers.get_key_value(name) {
            Some((kept, _)) => Arc::clone(kept),
            None => Arc::from(name),
        };
        let added = subscribers.entry(Arc::clone(&name)).or_default().insert(id);
        debug_assert!(added, "who subscribed already is not added");
        name
    }

    /// Removes a subscriber of this name.
    pub fn remove(&mut self, kind: Kind, name: &[u8], id: ConnectionId) {
        let subscribers = self.of_mut(kind);
        let Some(ids) = subscribers.get_mut(name) else { return };
        ids.remove(&id);
        if ids.is_empty() {
            subscribers.remove(name);
        }
    }

    /// Who subscribed to a name.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> Option<&HashSet<ConnectionId>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::ShardChannel => &self.shard_channels,
        }
        .get(name)
    }

    const fn of_mut(&mut self, kind: Kind) -> &mut Subscribers {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::ShardChannel => &mut self.shard_channels,
        }
    }
}
