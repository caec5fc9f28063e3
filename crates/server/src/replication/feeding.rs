//! Handing a worker's replicas what there is for them, as their connections take it.

use super::full_sync::{FullSync, Taken};
use super::replica::{Phase, Replica};
use crate::config::OutputLimit;
use crate::worker::{Core, Worker};
use darter_runtime::{ConnectionId, Connections, Turn};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Unsent output of a replica up to which it is given more: what its socket takes at once and some more.
const UNSENT_BYTES_MAX: usize = 256 << 10;

/// How often a replica that waits hears that this server lives.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(1);

/// A replica whose connection is this worker's.
#[derive(Debug)]
pub struct Attached {
    replica: Arc<Replica>,
    /// Whether it was told what it is going to get.
    is_greeted: bool,
    /// Whether any of the data has been sent.
    has_begun: bool,
    /// Up to where it was handed the stream when there was nothing more.
    seen_end: u64,
    /// Bytes that had come from it when it was looked at last.
    received_bytes: u64,
    /// When it is to hear the next sign of life.
    sign_due: Option<Instant>,
    /// Since when it is behind by more than the soft limit.
    behind_since: Option<Instant>,
}

impl Attached {
    /// A replica that has just come.
    pub const fn new(replica: Arc<Replica>) -> Self {
        Self {
            replica,
            is_greeted: false,
            has_begun: false,
            seen_end: u64::MAX,
            received_bytes: 0,
            sign_due: None,
            behind_since: None,
        }
    }

    /// What all workers see of it.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Its connection.
    pub fn connection(&self) -> ConnectionId {
        self.replica.connection
    }
}

/// Why a replica's connection is closed.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It is too far behind.
    AboveLimit,
    /// Nothing came from it, or nothing was taken, for too long; or what it is to get will not come.
    Lost(&'static str),
    /// It has what it wanted.
    Done,
}

impl Worker {
    /// Hands replicas what their connections have room for. `true` if there is more to do at once.
    #[inline]
    pub(crate) fn feed_replicas(&mut self, connections: &mut Connections<'_, Self>) -> bool {
        if self.core().replicas.borrow().is_empty() {
            return false;
        }
        self.core().feed_replicas(connections)
    }
}

impl Core {
    fn feed_replicas(&self, connections: &mut Connections<'_, Worker>) -> bool {
        self.shared.replication.note_heard_bell(self.worker);
        let turn = *connections.turn();
        let mut more = false;
        for attached in self.replicas.borrow_mut().iter_mut() {
            let id = attached.connection();
            let unsent = |connections: &Connections<'_, Worker>| {
                connections.info(id).map_or(0, |info| info.unsent_bytes)
            };
            let unsent_before = unsent(connections);
            let fed = self.feed(attached, connections, &turn);
            let handed = unsent(connections).saturating_sub(unsent_before);
            self.shared.statistics[self.worker.index()].replicated_bytes.add(handed as u64);
            match fed {
                ControlFlow::Continue(has_more) => more |= has_more,
                ControlFlow::Break(End::AboveLimit) => connections.close_above_limit(id),
                ControlFlow::Break(End::Done) => {
                    connections.close(id, true);
                }
                ControlFlow::Break(End::Lost(reason)) => {
                    tracing::warn!("Disconnecting {reason}: {}", attached.replica.name());
                    connections.close(id, false);
                }
            }
        }
        more
    }

    /// Memory of the buffers of this worker's replicas. It does not count towards the memory limit: evicting keys would only
    /// make more of it.
    pub(crate) fn replica_buffer_bytes(&self, connections: &Connections<'_, Worker>) -> u64 {
        let replicas = self.replicas.borrow();
        let infos = replicas.iter().filter_map(|attached| connections.info(attached.connection()));
        infos.map(|info| info.memory_bytes as u64).sum()
    }

    fn feed(
        &self,
        attached: &mut Attached,
        connections: &mut Connections<'_, Worker>,
        turn: &Turn,
    ) -> ControlFlow<End, bool> {
        let id = attached.connection();
        let Some(info) = connections.info(id) else { return ControlFlow::Continue(false) };
        if attached.received_bytes != info.received_bytes {
            // An empty line, too: it is busy, and lives.
            attached.received_bytes = info.received_bytes;
            attached.replica.note_heard(turn.now);
        }
        let room = UNSENT_BYTES_MAX.saturating_sub(info.unsent_bytes);
        match attached.replica.phase() {
            Phase::Waits => {
                give_sign_of_life(attached, connections, turn);
                ControlFlow::Continue(false)
            }
            Phase::Receives(full_sync) => {
                let timeout = self.shared.config.current().replication.timeout_seconds;
                if info.unsent_bytes > 0 && info.idle > Duration::from_secs(timeout) {
                    return ControlFlow::Break(End::Lost("timedout replica (full sync)"));
                }
                let more = feed_data(attached, &full_sync, room, connections, turn)?;
                self.limit(attached, turn)?;
                ControlFlow::Continue(more)
            }
            Phase::Loads => {
                self.limit(attached, turn)?;
                ControlFlow::Continue(false)
            }
            Phase::Online => self.feed_stream(attached, room, connections, turn),
        }
    }

    /// Hands a replica more of the stream.
    fn feed_stream(
        &self,
        attached: &mut Attached,
        room: usize,
        connections: &mut Connections<'_, Worker>,
        turn: &Turn,
    ) -> ControlFlow<End, bool> {
        let replication = &self.shared.replication;
        let end = replication.end().bytes();
        if attached.seen_end == end && attached.behind_since.is_none() {
            return ControlFlow::Continue(false);
        }
        let client_id = attached.replica.client_id;
        let read = connections.with(attached.connection(), |_, output| {
            replication.read(client_id, room, |piece| output.0.extend(piece))
        });
        let Some(read) = read else { return ControlFlow::Continue(false) };
        let Some((count, left)) = read else {
            return ControlFlow::Break(End::Lost("replica that has to begin again"));
        };
        attached.seen_end = if left == 0 { end } else { u64::MAX };
        self.limit(attached, turn)?;
        ControlFlow::Continue(left > 0 && count > 0)
    }

    /// Whether a replica is behind by more than it may be (`client-output-buffer-limit replica`).
    fn limit(&self, attached: &mut Attached, turn: &Turn) -> ControlFlow<End> {
        let OutputLimit { hard_bytes, soft_bytes, soft_seconds } = self.output_limits.get().replica;
        if hard_bytes == 0 && soft_bytes == 0 {
            return ControlFlow::Continue(());
        }
        // What is kept anyway is no burden.
        let kept_bytes = self.shared.config.current().replication.kept_bytes();
        let behind = self.shared.replication.behind_bytes(attached.replica.client_id);
        let is_above = |limit: u64| limit > 0 && behind > limit.max(kept_bytes);
        if is_above(hard_bytes) {
            return ControlFlow::Break(End::AboveLimit);
        }
        if !is_above(soft_bytes) {
            attached.behind_since = None;
            return ControlFlow::Continue(());
        }
        let since = *attached.behind_since.get_or_insert(turn.instant);
        if turn.instant.saturating_duration_since(since) > Duration::from_secs(soft_seconds) {
            return ControlFlow::Break(End::AboveLimit);
        }
        ControlFlow::Continue(())
    }
}

/// Hands a replica more of all data.
fn feed_data(
    attached: &mut Attached,
    full_sync: &FullSync,
    room: usize,
    connections: &mut Connections<'_, Worker>,
    turn: &Turn,
) -> ControlFlow<End, bool> {
    let (id, client_id) = (attached.connection(), attached.replica.client_id);
    let is_silent = attached.replica.is_silent;
    if !std::mem::replace(&mut attached.is_greeted, true) && !is_silent {
        let greeting = format!("+FULLRESYNC {} {}\r\n", full_sync.id, full_sync.start);
        connections.with(id, |_, output| output.0.extend(greeting.as_bytes()));
    }
    let taken = connections
        .with(id, |_, output| full_sync.take(client_id, room, |piece| output.0.extend(piece)));
    match taken {
        Some(Taken::Bytes(count)) => {
            attached.has_begun = true;
            ControlFlow::Continue(count > 0)
        }
        Some(Taken::Waits) => {
            if !attached.has_begun {
                give_sign_of_life(attached, connections, turn);
            }
            ControlFlow::Continue(false)
        }
        Some(Taken::Complete) => {
            full_sync.leave(client_id);
            let name = attached.replica.name();
            if attached.replica.announced.wants_data_only {
                tracing::info!(
                    "RDB transfer completed, rdb only replica ({name}) should be disconnected asap"
                );
                return ControlFlow::Break(End::Done);
            }
            attached.replica.note_heard(turn.now);
            // It may have read the end, and said so, before it was looked here whether there is more.
            let confirms =
                full_sync.mark.is_some() && !is_silent && !attached.replica.has_acknowledged();
            if confirms {
                tracing::info!(
                    "Streamed RDB transfer with replica {name} succeeded (socket). Waiting for REPLCONF ACK from replica to \
                     enable streaming"
                );
            } else {
                tracing::info!("Synchronization with replica {name} succeeded");
            }
            attached.replica.enter(if confirms { Phase::Loads } else { Phase::Online });
            ControlFlow::Continue(true)
        }
        Some(Taken::Failed) => ControlFlow::Break(End::Lost("replica whose data will not come")),
        None => ControlFlow::Continue(false),
    }
}

/// Lets a replica that waits know that this server lives: an empty line, which it skips.
fn give_sign_of_life(
    attached: &mut Attached,
    connections: &mut Connections<'_, Worker>,
    turn: &Turn,
) {
    let due = *attached.sign_due.get_or_insert(turn.instant + SIGN_OF_LIFE_INTERVAL);
    if turn.instant >= due {
        attached.sign_due = Some(turn.instant + SIGN_OF_LIFE_INTERVAL);
        connections.with(attached.connection(), |_, output| output.0.extend(b"\n"));
    }
}
