//! Taking new connections in and handing them out.
//!
//! The acceptor lives on worker 0's loop: no thread of its own to wake for every connection, and
//! with one worker no hand-over at all. Each connection goes to the worker with the fewest. There
//! is no `SO_REUSEPORT`: the kernel's hash would give one worker more connections than another.

use crate::listener::Listener;
use crate::peer::Accepted;
use crate::{Tunables, socket};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Accepted from one listener in one tick, as many as Redis takes.
const ACCEPTS_PER_TICK_MAX: usize = 1000;
/// Rest after the process ran out of descriptors or memory. A closed connection does not cut it
/// short.
const REST: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Acceptor {
    /// In the order of the configuration, `None` for a skipped one.
    listeners: Vec<Option<Arc<Listener>>>,
    /// Listeners that may have connections waiting: an edge came and no "would block" since.
    ready: Vec<bool>,
    /// Until when not to try.
    resting_until: Option<Instant>,
    /// The lack of resources was logged and has not ended.
    complained: bool,
}

impl Acceptor {
    /// Watches these listeners from now on, under tokens from `first_token` on, and no others.
    pub(crate) fn watch(
        &mut self,
        listeners: Vec<Option<Arc<Listener>>>,
        registry: &Registry,
        first_token: Token,
    ) -> io::Result<()> {
        for listener in self.listeners.drain(..).flatten() {
            registry.deregister(&mut SourceFd(&listener.socket.as_raw_fd()))?;
        }
        for (index, listener) in listeners.iter().enumerate() {
            if let Some(listener) = listener {
                let fd = listener.socket.as_raw_fd();
                let token = Token(first_token.0 + index);
                registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
            }
        }
        self.ready = vec![false; listeners.len()];
        self.listeners = listeners;
        self.resting_until = None;
        Ok(())
    }

    pub(crate) fn mark_ready(&mut self, index: usize) {
        if let Some(ready) = self.ready.get_mut(index) {
            *ready = true;
        }
    }

    /// Accepts what waits and gives it to `deliver`.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        tunables: &Tunables,
        mut deliver: impl FnMut(Accepted),
    ) {
        if self.resting_until.is_some_and(|until| now < until) {
            return;
        }
        self.resting_until = None;
        for index in 0..self.listeners.len() {
            if self.ready[index]
                && let Some(listener) = &self.listeners[index]
            {
                match accept_some(listener, index, tunables, &mut deliver) {
                    Ok(more) => self.ready[index] = more,
                    Err(error) => {
                        self.resting_until = Some(now + REST);
                        if !self.complained {
                            tracing::warn!(%error, "cannot accept connections for now");
                        }
                        self.complained = true;
                        return;
                    }
                }
                self.complained = false;
            }
        }
    }

    /// When to try again without an edge: at once after a full tick, or after a rest.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.ready.contains(&true) { Some(self.resting_until.unwrap_or(now)) } else { None }
    }
}

/// True when there may be more; an error when the process or the system lacks something.
fn accept_some(
    listener: &Listener,
    index: usize,
    tunables: &Tunables,
    deliver: &mut impl FnMut(Accepted),
) -> Result<bool, Errno> {
    for _ in 0..ACCEPTS_PER_TICK_MAX {
        let (socket, remote) = match socket::accept(&listener.socket) {
            Ok(accepted) => accepted,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) if concerns_one_connection(error) => continue,
            Err(error) => return Err(error),
        };
        let prepared = match &listener.address {
            crate::PeerAddress::Tcp(_) => {
                socket::configure_tcp(&socket, tunables.tcp_keepalive_seconds())
                    .and_then(|()| socket::local_address(&socket))
            }
            unix @ crate::PeerAddress::Unix(_) => Ok(unix.clone()),
        };
        // An error here is a connection that is gone already: closing it is all there is to do.
        if let Ok(local) = prepared {
            deliver(Accepted { socket, remote, local, listener: index });
        }
    }
    Ok(true)
}

/// Whether the connection broke before it was accepted (accept(2)): the next one may be fine.
fn concerns_one_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::PERM
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
    )
}
