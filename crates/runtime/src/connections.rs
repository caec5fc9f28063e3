//! A worker's other connections, as seen from [`Service::mail`] and [`Service::tick`].

use crate::connection::Connection;
use crate::network::Network;
use crate::{ConnectionId, Outgoing, Service, Turn};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// All connections of this worker. Not reachable from [`Service::receive`]: what one connection
/// does to another goes by mail, also on the same worker.
pub struct Connections<'a, S: Service> {
    network: &'a mut Network<S>,
}

/// What the driver knows of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo {
    /// Bytes of output not sent yet.
    pub unsent_bytes: usize,
    /// Bytes of input kept because not consumed.
    pub kept_input_bytes: usize,
    /// Memory of both buffers.
    pub memory_bytes: usize,
    /// Since the last transfer, in whole seconds.
    pub idle: Duration,
    /// Bytes received over its life.
    pub received_bytes: u64,
    /// Bytes sent over its life.
    pub sent_bytes: u64,
}

impl ConnectionInfo {
    /// Unsent output that does not count against [`Service::output_limit`].
    pub const OUTPUT_ALLOWANCE_BYTES: usize = crate::network::OUTPUT_ALLOWANCE_BYTES;

    /// What is beyond counts in blocks of this size.
    pub const OUTPUT_BLOCK_BYTES: usize = crate::network::OUTPUT_BLOCK_BYTES;

    /// Output that counts against [`Service::output_limit`] when so many bytes are unsent: what is beyond the
    /// allowance, in whole blocks.
    pub fn limited_bytes_of(unsent_bytes: usize) -> usize {
        crate::network::limited_bytes(unsent_bytes, Self::OUTPUT_ALLOWANCE_BYTES)
    }

    /// Unsent output that counts against [`Service::output_limit`].
    pub fn limited_bytes(&self) -> usize {
        Self::limited_bytes_of(self.unsent_bytes)
    }
}

impl<'a, S: Service> Connections<'a, S> {
    pub(crate) fn new(network: &'a mut Network<S>) -> Self {
        Self { network }
    }

    /// The time, read once per tick.
    pub fn turn(&self) -> &Turn {
        &self.network.turn
    }

    /// How many connections this worker has, closing ones included.
    pub fn count(&self) -> usize {
        self.network.connections().count()
    }

    /// Runs `act` with the session and output of a connection; `None` when it is gone or closing.
    /// What it writes is sent at the end of this tick. Unsent output is not bounded here: whoever
    /// writes unasked (subscriptions, replication) limits [`ConnectionInfo::unsent_bytes`].
    pub fn with<R>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut S::Session, &mut S::Output) -> R,
    ) -> Option<R> {
        let key = self.network.key(id)?;
        self.network.with(key, act)
    }

    /// Ends a suspension: [`Service::receive`] is called within this tick, with the kept input
    /// (also when that is empty), or as soon as enough of its output is sent. False when the
    /// connection is gone, closing or not suspended.
    pub fn resume(&mut self, id: ConnectionId) -> bool {
        self.network.key(id).is_some_and(|key| self.network.resume(key))
    }

    /// Makes a suspension that others were to end soon ([`crate::Then::Await`]) one that can take for
    /// ever ([`crate::Then::Suspend`]). False when the connection is gone, closing or not suspended.
    pub fn suspend(&mut self, id: ConnectionId) -> bool {
        self.network.key(id).is_some_and(|key| self.network.suspend(key))
    }

    /// Lets the service be asked again about output that it withheld ([`Service::withholds`]). O(such connections).
    pub fn release_withheld(&mut self) {
        self.network.release_withheld();
    }

    /// Closes a connection: after its output was sent, or now. `closed` is called with
    /// [`crate::CloseReason::Requested`], never from within this call. False when it is gone.
    pub fn close(&mut self, id: ConnectionId, after_flush: bool) -> bool {
        self.network.key(id).is_some_and(|key| self.network.close(key, after_flush))
    }

    /// Closes a connection now, as one is closed whose output is above its limit. `closed` is called with
    /// [`crate::CloseReason::OutputLimit`], never from within this call.
    pub fn close_above_limit(&mut self, id: ConnectionId) {
        if let Some(key) = self.network.key(id) {
            self.network.doom(key, crate::CloseReason::OutputLimit);
        }
    }

    /// Takes in a connection that this side made, a connected TCP or unix socket: from now on it is
    /// served like one that was accepted, but does not count as a client and is never idle. Made on
    /// a blocking thread ([`crate::Background::blocking`]), since connecting can take long.
    pub fn adopt(
        &mut self,
        socket: impl Into<OwnedFd>,
        session: S::Session,
    ) -> io::Result<ConnectionId> {
        let key = self.network.adopt(socket.into(), session)?;
        Ok(self.network.id(key))
    }

    /// Excepts a connection from the idle timeout (replicas, subscribers), or no longer. Suspended
    /// connections are always excepted.
    pub fn set_idle_exempt(&mut self, id: ConnectionId, exempt: bool) {
        if let Some(key) = self.network.key(id)
            && let Some(connection) = self.network.connections_mut().get_mut(key)
        {
            connection.idle_exempt = exempt;
        }
    }

    /// What the driver knows of a connection.
    pub fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let key = self.network.key(id)?;
        let connection = self.network.connections().get(key)?;
        Some(describe(connection, self.network.idle_for(connection)))
    }

    /// Calls `visit` for every open connection, in no particular order. O(connections).
    pub fn for_each(
        &mut self,
        mut visit: impl FnMut(ConnectionId, &mut S::Session, &ConnectionInfo),
    ) {
        let ids: Vec<ConnectionId> = self.ids();
        for id in ids {
            let Some(info) = self.info(id) else { continue };
            if let Some(key) = self.network.key(id)
                && let Some(connection) = self.network.connections_mut().get_mut(key)
                && !connection.is_doomed()
            {
                visit(id, &mut connection.session, &info);
            }
        }
    }

    /// Every open connection, in no particular order. O(connections).
    pub fn ids(&self) -> Vec<ConnectionId> {
        let open =
            self.network.connections().iter().filter(|(_, connection)| !connection.is_doomed());
        open.map(|(key, _)| self.network.id(key)).collect()
    }

    /// Memory of all connections' buffers and the driver's own, without what was written since the last look at the sockets:
    /// that is sent first. O(connections that were written to).
    pub fn buffer_bytes(&self) -> usize {
        self.network.buffer_bytes()
    }

    /// What of [`buffer_bytes`](Self::buffer_bytes) is kept for the next output, and can be freed.
    pub fn spare_bytes(&self) -> usize {
        self.network.spare_bytes()
    }

    /// Frees it.
    pub fn free_spares(&mut self) {
        self.network.free_spares();
    }

    /// Memory of all connections' buffers. Kept up to date: O(1).
    pub fn connection_bytes(&self) -> usize {
        self.network.connection_bytes()
    }

    /// Times a connection's output was sent, all of it or some, since the worker was started.
    pub fn sends(&self) -> u64 {
        self.network.sends
    }
}

fn describe<S: Service>(connection: &Connection<S>, idle: Duration) -> ConnectionInfo {
    ConnectionInfo {
        unsent_bytes: connection.output.len(),
        kept_input_bytes: connection.kept.len(),
        memory_bytes: connection.buffer_bytes(),
        idle,
        received_bytes: connection.received_bytes,
        sent_bytes: connection.sent_bytes,
    }
}
