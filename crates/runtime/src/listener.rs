//! Making listening sockets.

use crate::socket::local_address;
use crate::{BindAddress, ListenerConfig, PeerAddress, StartError};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A listening socket and where it listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    pub(crate) address: PeerAddress,
    /// Removes the socket file in the end.
    _file: Option<SocketFile>,
}

impl Listener {
    /// Stops listening at once, whoever else holds the descriptor: the address is free for another
    /// one.
    pub(crate) fn stop(&self) {
        // What is not listening any more does not need to be stopped.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// A file made by binding a unix socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: somebody else may have put another socket there since.
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // There is nobody to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Binds and listens. `None` when the address is optional and not there.
pub(crate) fn open(config: &ListenerConfig) -> Result<Option<Listener>, StartError> {
    let backlog = i32::try_from(config.backlog).unwrap_or(i32::MAX);
    let opened = match &config.address {
        BindAddress::Tcp { ip, port } => open_tcp(*ip, *port, backlog),
        BindAddress::Unix { path, mode } => open_unix(path, *mode, backlog),
    };
    match opened {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if config.optional && is_absence(error) => {
            let address = &config.address;
            tracing::info!(%address, %error, "not listening on an optional address");
            Ok(None)
        }
        Err(error) => {
            Err(StartError::Bind { address: config.address.to_string(), error: error.into() })
        }
    }
}

/// Whether the machine does not have such an address or such a kind of address at all.
fn is_absence(error: Errno) -> bool {
    matches!(
        error,
        Errno::ADDRNOTAVAIL
            | Errno::NOPROTOOPT
            | Errno::PROTONOSUPPORT
            | Errno::SOCKTNOSUPPORT
            | Errno::PFNOSUPPORT
            | Errno::AFNOSUPPORT
    )
}

fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, SocketType::STREAM, flags, None)
}

fn open_tcp(ip: IpAddr, port: u16, backlog: i32) -> Result<Listener, Errno> {
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = stream_socket(family)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if ip.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(ip, port))?;
    listen(&socket, backlog)?;
    let address = local_address(&socket)?;
    Ok(Listener { socket, address, _file: None })
}

/// The mode is set between `bind` and `listen`: the file exists, and nobody can connect to a socket
/// that does not listen yet (CVE-2023-45145 is the other order).
fn open_unix(path: &Path, mode: Option<u32>, backlog: i32) -> Result<Listener, Errno> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path).map_err(|error| errno_of(&error))?;
    }
    let socket = stream_socket(AddressFamily::UNIX)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile::at(path).map_err(|error| errno_of(&error))?;
    let address = PeerAddress::Unix(path.to_owned());
    let listener = Listener { socket, address, _file: Some(file) };
    if let Some(mode) = mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| errno_of(&error))?;
    }
    listen(&listener.socket, backlog)?;
    Ok(listener)
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::os::unix::net::UnixStream;

    fn tcp(ip: IpAddr, optional: bool) -> ListenerConfig {
        ListenerConfig { address: BindAddress::Tcp { ip, port: 0 }, backlog: 16, optional }
    }

    #[test]
    fn an_optional_address_of_another_machine_is_skipped_and_a_wanted_one_is_an_error() {
        let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(open(&tcp(foreign, true)).unwrap().is_none());
        let error = open(&tcp(foreign, false)).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
    }

    #[test]
    fn both_families_can_have_one_port() {
        let first = open(&tcp(IpAddr::V6(Ipv6Addr::UNSPECIFIED), false)).unwrap().unwrap();
        let PeerAddress::Tcp(address) = first.address else { panic!("not TCP") };
        let second = ListenerConfig {
            address: BindAddress::Tcp { ip: Ipv4Addr::UNSPECIFIED.into(), port: address.port() },
            backlog: 16,
            optional: false,
        };
        assert!(open(&second).unwrap().is_some());
    }

    #[test]
    fn a_unix_socket_has_its_mode_replaces_a_stale_file_and_is_removed() {
        let path = std::env::temp_dir().join(format!("darter-listener-{}", std::process::id()));
        let config = ListenerConfig {
            address: BindAddress::Unix { path: path.clone(), mode: Some(0o600) },
            backlog: 16,
            optional: false,
        };
        let stale = open(&config).unwrap().unwrap();
        let listener = open(&config).unwrap().unwrap();
        drop(stale);
        assert!(path.exists(), "a listener removes its own file only");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_not_removed() {
        let path = std::env::temp_dir().join(format!("darter-file-{}", std::process::id()));
        fs::write(&path, "precious").unwrap();
        let config = ListenerConfig {
            address: BindAddress::Unix { path: path.clone(), mode: None },
            backlog: 16,
            optional: true,
        };
        assert!(matches!(open(&config), Err(StartError::Bind { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
    }
}
