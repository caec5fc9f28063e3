//! Who is connected: identity of a connection and its two ends.

use darter_base::WorkerId;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// One connection of this process. Never reused for another connection: a position in the worker's
/// table together with how often that position was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The worker it lives on, for good.
    pub worker: WorkerId,
    /// Position in that worker's table.
    pub(crate) position: u32,
    /// Counts the uses of the position.
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// No connection is called that.
    pub const NOBODY: Self =
        Self { worker: WorkerId(u16::MAX), position: u32::MAX, generation: u32::MAX };
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A unix socket, with the path it is bound to (empty for a client that did not bind).
    Unix(PathBuf),
}

/// What is known of a connection when it is opened.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The client's end.
    pub remote: PeerAddress,
    /// Our end.
    pub local: PeerAddress,
    /// Which entry of [`crate::RuntimeConfig::listeners`] it came in by.
    pub listener: usize,
    /// Connections open in the whole process, this one included: one atomic counter, so of
    /// connections opening at the same time on several workers each sees a different number.
    pub open_connections: usize,
    /// The socket's file descriptor number, for diagnostics only (`CLIENT LIST`).
    pub fd: i32,
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{}:0", path.display()),
        }
    }
}

/// A socket on its way from the acceptor to its worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: OwnedFd,
    pub(crate) remote: PeerAddress,
    pub(crate) local: PeerAddress,
    pub(crate) listener: usize,
}
