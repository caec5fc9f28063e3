//! Closing clients that take too much memory, as `maxmemory-clients` says.

use super::Worker;
use crate::client_memory::{Classes, Turn, Weighed, class_of};
use crate::commands::client::line;
use crate::mail::Mail;
use crate::outbox::Outbox;
use crate::session::Session;
use darter_runtime::{ConnectionId, Connections, Io};
use std::time::{Duration, Instant};

/// How often clients are looked at: a look takes some hundred nanoseconds for each, so that it is a hundredth or two of the
/// worker's time however many there are.
const INTERVAL_PER_CLIENT: Duration = Duration::from_micros(10);
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Input that is less than this is not weighed before it is looked at: a client may have as much anyway.
const WEIGHED_BYTES_MIN: usize = 32 << 10;

/// What came of looking at the clients.
#[derive(Debug, Default)]
pub(super) struct ClientsLooked {
    /// When they are looked at again; `None`: they have not been since there is a limit.
    due: Option<Instant>,
    /// What was neither in buffers nor in queues.
    other_bytes: u64,
    /// Whether it was too much, and nothing for this worker to be done about it.
    in_vain: bool,
    /// Whether nobody could have done anything.
    nobody_left: bool,
    /// How many looks there have been.
    looks: u64,
}

impl Worker {
    /// Looks at the clients if they take too much, or if it is time to.
    #[inline]
    pub(super) fn limit_client_memory(&mut self, connections: &mut Connections<'_, Self>) {
        if self.core.client_bytes_max.get().is_some() || self.clients_looked.due.is_some() {
            self.look_at_clients_if_due(connections);
        }
    }

    #[cold]
    fn look_at_clients_if_due(&mut self, connections: &mut Connections<'_, Self>) {
        let core = &self.core;
        let Some(limit) = core.client_bytes_max.get() else {
            self.clients_looked =
                ClientsLooked { looks: self.clients_looked.looks, ..ClientsLooked::default() };
            core.shared.client_memory.forget(core.worker);
            core.statistics().client_bytes.set(0);
            return;
        };
        let looked = &self.clients_looked;
        let queued = core.statistics().queued_bytes.read();
        let bytes = connections.connection_bytes() as u64 + queued + looked.other_bytes;
        let noted = &core.statistics().client_bytes;
        let others = core.shared.client_bytes().saturating_sub(noted.read());
        let is_due = looked.due.is_none_or(|due| connections.turn().instant >= due);
        // Some of it may belong to connections that are just being closed: nobody is told before that is known.
        if is_due || (!looked.in_vain && others + bytes > limit) {
            self.look_at_clients(connections);
        } else {
            noted.set(bytes);
        }
    }

    /// Whether the clients have to be looked at before a connection's input is: it is so much that with it they take more than
    /// they may, and running what it says would free it again. What is in vain is not tried twice, unless more has come since: the
    /// input that was looked at may have been a part of the command, and counted among the clients' already.
    #[inline]
    pub(super) fn weighs_first(&mut self, session: &mut Session, io: &Io<'_, Outbox>) -> bool {
        let Some(limit) = self.core.client_bytes_max.get() else { return false };
        if io.input.len() < WEIGHED_BYTES_MIN || session.pending.is_some() {
            return false;
        }
        let looks = self.clients_looked.looks;
        if session.facts.weighed.bytes >= io.input.len() {
            // What a connection has left to be shown can come before the look.
            let waits = session.facts.weighed.looks == looks;
            if !waits {
                session.facts.weighed = Weighed::default();
            }
            return waits;
        }
        let bytes = self.core.shared.client_bytes().saturating_add(io.input.len() as u64);
        if bytes <= limit {
            return false;
        }
        session.facts.weighed = Weighed { bytes: io.input.len(), looks };
        self.clients_looked.due = None;
        true
    }

    /// Looks how much memory each client takes, and closes the largest until all together take no more than they may.
    pub(super) fn look_at_clients(&mut self, connections: &mut Connections<'_, Self>) {
        self.core.follow_settings();
        let Some(limit) = self.core.client_bytes_max.get() else { return };
        let shared = self.core.shared;
        let (mut bytes, mut buffers) = (0, 0);
        let mut classes = Classes::default();
        connections.for_each(|_, session, info| {
            let client = line::memory_bytes(session, info) as u64;
            bytes += client;
            buffers += info.memory_bytes as u64;
            if !session.facts.no_evict && session.facts.replica.is_none() {
                classes.add(client);
            }
        });
        let statistics = self.core.statistics();
        statistics.client_bytes.set(bytes);
        let other_bytes = bytes.saturating_sub(buffers + statistics.queued_bytes.read());
        let interval = INTERVAL_PER_CLIENT
            .saturating_mul(u32::try_from(connections.count()).unwrap_or(u32::MAX));
        let due = Some(connections.turn().instant + interval.max(INTERVAL_MIN));
        let had_nobody_left = self.clients_looked.nobody_left;
        let looks = self.clients_looked.looks.wrapping_add(1);
        self.clients_looked =
            ClientsLooked { due, other_bytes, in_vain: false, nobody_left: false, looks };
        while shared.client_bytes() > limit {
            match shared.client_memory.turn(self.core.worker, classes) {
                Turn::Own(class) => {
                    if self.close_clients(connections, class, &mut classes, limit) == 0 {
                        break;
                    }
                }
                Turn::Other(worker) => {
                    self.core.post.send(worker, Mail::LookAtClients);
                    self.clients_looked.in_vain = true;
                    return;
                }
                Turn::Nobody => {
                    self.clients_looked.in_vain = true;
                    self.clients_looked.nobody_left = true;
                    if !had_nobody_left {
                        tracing::warn!(
                            "Over client maxmemory after evicting all evictable clients"
                        );
                    }
                    return;
                }
            }
        }
        shared.client_memory.note(self.core.worker, classes);
    }

    /// Closes clients of one class until all together take no more than they may; how many.
    fn close_clients(
        &mut self,
        connections: &mut Connections<'_, Self>,
        class: usize,
        classes: &mut Classes,
        limit: u64,
    ) -> usize {
        let statistics = self.core.statistics();
        let now = connections.turn().now;
        let mut of_class: Vec<(ConnectionId, u64, String)> = Vec::new();
        let mut other_bytes = 0;
        let excess = self.core.shared.client_bytes().saturating_sub(limit);
        let mut chosen = 0;
        connections.for_each(|id, session, info| {
            let bytes = line::memory_bytes(session, info) as u64;
            let stays = session.facts.no_evict || session.facts.replica.is_some();
            if chosen < excess && !stays && class_of(bytes) == class {
                chosen += bytes;
                let queued = session.transaction.as_ref().map_or(0, |queue| queue.bytes());
                other_bytes += bytes.saturating_sub((info.memory_bytes + queued) as u64);
                let peer = line::address(session, &session.facts.peer.remote);
                let line = format!(
                    "Evicting client: id={} addr={peer} age={} flags={} qbuf={} omem={} tot-mem={bytes} cmd={}",
                    session.client_id,
                    line::age_seconds(session, now),
                    line::flags(session),
                    info.kept_input_bytes,
                    info.unsent_bytes,
                    session.last_command,
                );
                of_class.push((id, bytes, line));
            }
        });
        let closed = of_class.len();
        for (id, bytes, line) in of_class {
            connections.close(id, false);
            classes.remove(bytes);
            statistics.client_bytes.set(statistics.client_bytes.read().saturating_sub(bytes));
            statistics.clients_evicted.add(1);
            tracing::info!("{line}");
        }
        let looked = &mut self.clients_looked;
        looked.other_bytes = looked.other_bytes.saturating_sub(other_bytes);
        closed
    }
}
