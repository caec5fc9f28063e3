//! What one client subscribed to.

use darter_runtime::ConnectionId;
use hashbrown::HashSet;
use std::sync::Arc;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel by its name.
    Channel,
    /// All channels whose names match.
    Pattern,
    /// A channel of the cluster's node that serves its slot; a name of its own.
    ShardChannel,
}

/// What a client that is gone had subscribed to.
pub type LeftSubscriptions = (ConnectionId, Vec<(Kind, Arc<[u8]>)>);

/// The names a client subscribed to. Shared with its worker's registry.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: HashSet<Arc<[u8]>>,
    patterns: HashSet<Arc<[u8]>>,
    shard_channels: HashSet<Arc<[u8]>>,
}

impl Subscriptions {
    /// Those of one kind.
    pub const fn of(&self, kind: Kind) -> &HashSet<Arc<[u8]>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::ShardChannel => &self.shard_channels,
        }
    }

    /// Those of one kind.
    pub const fn of_mut(&mut self, kind: Kind) -> &mut HashSet<Arc<[u8]>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::ShardChannel => &mut self.shard_channels,
        }
    }

    /// How many there are as confirmations of this kind tell: channels and patterns count together.
    pub fn counted_with(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
            Kind::ShardChannel => self.shard_channels.len(),
        }
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard_channels.len()
    }

    /// Takes all of them out.
    pub fn take_all(&mut self) -> Vec<(Kind, Arc<[u8]>)> {
        let mut all = Vec::with_capacity(self.total());
        for kind in [Kind::Channel, Kind::Pattern, Kind::ShardChannel] {
            all.extend(self.of_mut(kind).drain().map(|name| (kind, name)));
        }
        all
    }

    /// Bytes of memory, without the names. O(1).
    pub fn memory_bytes(&self) -> usize {
        let sets = [&self.channels, &self.patterns, &self.shard_channels];
        size_of::<Self>() + sets.map(HashSet::allocation_size).iter().sum::<usize>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }
}
