//! Which replicas have not got everything.

use super::{Replica, Replication, Shown};
use crate::shared::lock;
use darter_base::UnixMillis;
use std::sync::Arc;

/// Which replicas have not got everything, as of one moment.
#[derive(Debug)]
pub struct Lag {
    /// How many replicas there are that say how far they are.
    replicas: usize,
    /// Those that are behind: what they are called, by how many bytes, and what is known of them.
    behind: Vec<(String, u64, Shown)>,
}

impl Lag {
    /// Whether any replica is behind.
    pub const fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Says in the server's log who is behind, as the process ends.
    pub fn log(&self) {
        for (name, bytes, shown) in &self.behind {
            tracing::info!(
                "Lagging replica {name} reported offset {bytes} behind master, lag={}, state={}.",
                shown.lag_seconds,
                shown.state
            );
        }
        if self.replicas > 0 {
            tracing::info!(
                "{} of {} replicas are in sync when shutting down.",
                self.replicas - self.behind.len(),
                self.replicas
            );
        }
    }
}

impl Replication {
    /// Which replicas have not got everything. Those that never say how far they are do not count.
    pub fn lag(&self, now: UnixMillis) -> Lag {
        let end = self.end().bytes();
        let replicas = lock(&self.replicas);
        let speaking = replicas.iter().filter(|replica| !replica.is_silent);
        let count = speaking.clone().count();
        let behind = |replica: &Arc<Replica>| {
            let shown = replica.shown(now);
            let bytes = end.saturating_sub(shown.acknowledged);
            (bytes > 0).then(|| (replica.name(), bytes, shown))
        };
        Lag { replicas: count, behind: speaking.filter_map(behind).collect() }
    }
}
