//! A worker's other connections, as seen from [`Service::mail`] and [`Service::tick`].

use crate::{ConnectionId, Service, Turn};
use std::marker::PhantomData;
use std::time::Duration;

/// All connections of this worker. Not reachable from [`Service::receive`]: what one connection does
/// to another goes by mail, also on the same worker.
pub struct Connections<'a, S: Service> {
    kind: PhantomData<&'a mut S>,
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
    /// Since the last input.
    pub idle: Duration,
    /// Bytes received and sent over its life.
    pub received_bytes: u64,
    /// Bytes sent over its life.
    pub sent_bytes: u64,
}

impl<S: Service> Connections<'_, S> {
    /// The time, read once per tick.
    pub fn turn(&self) -> &Turn {
        unimplemented!()
    }

    /// How many connections this worker has, closing ones included.
    pub fn count(&self) -> usize {
        unimplemented!()
    }

    /// Runs `act` with the session and output of a connection; `None` when it is gone or closing.
    /// What it writes is sent at the end of this tick.
    pub fn with<R>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut S::Session, &mut S::Output) -> R,
    ) -> Option<R> {
        let _ = (id, act);
        unimplemented!()
    }

    /// Ends a suspension: [`Service::receive`] is called within this tick, with the kept input (also
    /// when that is empty). False when the connection is gone, closing or not suspended.
    pub fn resume(&mut self, id: ConnectionId) -> bool {
        let _ = id;
        unimplemented!()
    }

    /// Closes a connection: after its output was sent, or now. `closed` is called with
    /// [`crate::CloseReason::Requested`], never from within this call. False when it is gone.
    pub fn close(&mut self, id: ConnectionId, after_flush: bool) -> bool {
        let _ = (id, after_flush);
        unimplemented!()
    }

    /// Excepts a connection from the idle timeout (replicas, subscribers, blocked clients), or
    /// no longer.
    pub fn set_idle_exempt(&mut self, id: ConnectionId, exempt: bool) {
        let _ = (id, exempt);
        unimplemented!()
    }

    /// What the driver knows of a connection.
    pub fn info(&self, id: ConnectionId) -> Option<ConnectionInfo> {
        let _ = id;
        unimplemented!()
    }

    /// Calls `visit` for every open connection, in no particular order. O(connections).
    pub fn for_each(&mut self, visit: impl FnMut(ConnectionId, &mut S::Session, &ConnectionInfo)) {
        let _ = visit;
        unimplemented!()
    }

    /// Memory of all connections' buffers and the driver's own, kept up to date: O(1).
    pub fn buffer_bytes(&self) -> usize {
        unimplemented!()
    }
}
