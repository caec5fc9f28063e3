//! A blocking connection to a server.

use darter_resp::reply::{Reply, ReplyLimits, ReplyParser};
use darter_resp::request::encode;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// A socket that bytes go through.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// One connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    parser: ReplyParser,
    received: Vec<u8>,
}

impl Connection {
    /// Connects. `timeout` bounds that, and then each wait for a reply's next bytes; without one,
    /// nothing does.
    pub(crate) fn open(address: &Address, timeout: Option<Duration>) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp { host, port } => Box::new(connect(host, *port, timeout)?),
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                Box::new(stream)
            }
        };
        let parser = ReplyParser::new(ReplyLimits::default());
        Ok(Self { stream, parser, received: Vec::new() })
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Reply> {
        self.stream.write_all(&encode(words))?;
        loop {
            match self.next_reply()? {
                // A message that nobody waits for.
                Reply::Push(_) => {}
                reply => return Ok(reply),
            }
        }
    }

    fn next_reply(&mut self) -> io::Result<Reply> {
        loop {
            let step = self
                .parser
                .parse(&self.received)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            self.received.drain(..step.consumed);
            if let Some(reply) = step.reply {
                return Ok(reply);
            }
            let mut piece = [0; READ_BYTES];
            let count = match self.stream.read(&mut piece) {
                Ok(0) => {
                    let kind = io::ErrorKind::UnexpectedEof;
                    return Err(io::Error::new(kind, "Server closed the connection"));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // What Linux says of a read that took longer than it may.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no reply in time"));
                }
                Err(error) => return Err(error),
            };
            self.received.extend_from_slice(&piece[..count]);
        }
    }
}

/// Connects to the first of the host's addresses that accepts.
fn connect(host: &str, port: u16, timeout: Option<Duration>) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        let connected = match timeout {
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_clients_write_it() {
        let address = Address::Tcp { host: "::1".to_owned(), port: 6379 };
        assert_eq!(address.to_string(), "[::1]:6379");
    }
}
