//! The system calls on stream sockets, all non-blocking.

use crate::PeerAddress;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny, SocketAddrUnix, recv,
    send, sendmsg, sockopt,
};
use std::ffi::OsStr;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// What a transfer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// So many bytes; 0 is the end of a stream.
    Bytes(usize),
    /// Would have blocked.
    Blocked,
    /// The socket failed.
    Failed(std::io::ErrorKind),
}

fn transfer(outcome: Result<usize, Errno>) -> Transfer {
    match outcome {
        Ok(count) => Transfer::Bytes(count),
        // Not WOULDBLOCK: it is the same number on every system this runs on.
        Err(Errno::AGAIN) => Transfer::Blocked,
        Err(errno) => Transfer::Failed(errno.kind()),
    }
}

/// One read into `buffer`.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Transfer {
    let socket = socket.as_fd();
    transfer(rustix::io::retry_on_intr(|| {
        recv(socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count)
    }))
}

/// One read into the free space of `buffer`, appending.
pub(crate) fn receive_into_spare(socket: impl AsFd, buffer: &mut Vec<u8>) -> Transfer {
    let socket = socket.as_fd();
    transfer(rustix::io::retry_on_intr(|| {
        recv(socket, rustix::buffer::spare_capacity(buffer), RecvFlags::empty())
            .map(|(count, _)| count)
    }))
}

/// One write of `bytes`, never raising SIGPIPE.
pub(crate) fn transmit(socket: impl AsFd, bytes: &[u8]) -> Transfer {
    let socket = socket.as_fd();
    transfer(rustix::io::retry_on_intr(|| send(socket, bytes, SendFlags::NOSIGNAL)))
}

/// One write of several pieces, never raising SIGPIPE.
pub(crate) fn transmit_pieces(socket: impl AsFd, pieces: &[IoSlice<'_>]) -> Transfer {
    let socket = socket.as_fd();
    transfer(rustix::io::retry_on_intr(|| {
        sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
    }))
}

/// Reads and drops what has arrived, at most `buffer.len()` bytes. Closing a socket with unread
/// input resets the connection, and the reset can overtake the last reply.
pub(crate) fn discard_input(socket: impl AsFd, buffer: &mut [u8]) {
    let _ = receive(socket, buffer);
}

/// Takes one connection from a listener: non-blocking and closed on exec.
pub(crate) fn accept(listener: impl AsFd) -> Result<(OwnedFd, PeerAddress), Errno> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    let (socket, remote) = rustix::net::acceptfrom_with(
        listener,
        rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC,
    )?;
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let (socket, remote) = {
        let (socket, remote) = rustix::net::acceptfrom(listener)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        (socket, remote)
    };
    let remote = remote.map_or_else(|| PeerAddress::Unix(PathBuf::new()), address);
    Ok((socket, remote))
}

/// Our end of a socket.
pub(crate) fn local_address(socket: impl AsFd) -> Result<PeerAddress, Errno> {
    rustix::net::getsockname(socket).map(address)
}

fn address(any: SocketAddrAny) -> PeerAddress {
    if any.address_family() == AddressFamily::UNIX {
        let path = SocketAddrUnix::try_from(any)
            .ok()
            .and_then(|unix| unix.path().map(|path| path.to_bytes().to_vec()))
            .unwrap_or_default();
        return PeerAddress::Unix(PathBuf::from(OsStr::from_bytes(&path)));
    }
    match SocketAddr::try_from(any) {
        Ok(address) => PeerAddress::Tcp(address),
        Err(_) => PeerAddress::Unix(PathBuf::new()),
    }
}

/// Sets what every TCP connection has: no delay, and keepalive probes after `keepalive_seconds` of
/// silence (0: none). The intervals are Redis's: a third of the time between probes, closed after
/// three unanswered ones.
pub(crate) fn configure_tcp(socket: impl AsFd, keepalive_seconds: u32) -> Result<(), Errno> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    if keepalive_seconds > 0 {
        sockopt::set_socket_keepalive(socket, true)?;
        #[cfg(target_os = "linux")]
        {
            sockopt::set_tcp_keepidle(socket, Duration::from_secs(keepalive_seconds.into()))?;
            let interval = (keepalive_seconds / 3).max(1);
            sockopt::set_tcp_keepintvl(socket, Duration::from_secs(interval.into()))?;
            sockopt::set_tcp_keepcnt(socket, 3)?;
        }
    }
    Ok(())
}
