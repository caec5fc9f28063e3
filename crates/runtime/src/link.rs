//! A connection to another server over which something comes for as long as it lasts.
//!
//! It blocks, so it belongs on a thread of its own. Whoever else wants that thread to stop cuts the connection
//! ([`Scissors`]), upon which every wait ends. Every wait has a bound besides.

use crate::connect::connect;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection of this process to another server. Lives on the thread that listens to it.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    /// The timeout that the socket has for receiving.
    patience: Option<Duration>,
}

/// Cuts a connection from another thread.
#[derive(Debug)]
pub struct Scissors(TcpStream);

/// The addresses of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other side's.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// What came of waiting for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None, in the time given.
    Nothing,
    /// None any more: the other side has closed the connection, or somebody has cut it.
    End,
}

impl Link {
    /// Connects within `timeout` for each address the host has; resolving its name takes what it takes. What is sent then may
    /// have to wait for as long.
    pub fn open(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        connect(host, port, timeout).map(|stream| Self { stream, patience: None })
    }

    /// What cuts it.
    pub fn scissors(&self) -> io::Result<Scissors> {
        self.stream.try_clone().map(Scissors)
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Receives what is there into `room`, which has some, or waits for it, but not longer than `patience`.
    pub fn receive(&mut self, room: &mut [u8], patience: Duration) -> io::Result<Arrival> {
        // None would be for ever, and less than the system can measure is none.
        let patience = patience.max(Duration::from_millis(1));
        if self.patience != Some(patience) {
            self.stream.set_read_timeout(Some(patience))?;
            self.patience = Some(patience);
        }
        match self.stream.read(room) {
            Ok(0) => Ok(Arrival::End),
            Ok(count) => Ok(Arrival::Bytes(count)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => Ok(Arrival::Nothing),
                _ => Err(error),
            },
        }
    }
}

impl Scissors {
    /// Between which addresses the connection is; an error if it is none any more.
    pub fn ends(&self) -> io::Result<Ends> {
        Ok(Ends { remote: self.0.peer_addr()?, local: self.0.local_addr()? })
    }

    /// Cuts the connection: whoever waits for something to come over it, or to go, waits no longer.
    pub fn cut(&self) {
        // What is cut already stays so.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(30);

    fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Link::open("127.0.0.1", port, LONG).unwrap();
        (link, listener.accept().unwrap().0)
    }

    #[test]
    fn what_comes_is_received_and_then_the_end() {
        let (mut link, mut other) = pair();
        let mut room = [0; 8];
        assert_eq!(link.receive(&mut room, Duration::ZERO).unwrap(), Arrival::Nothing);
        other.write_all(b"hello").unwrap();
        assert_eq!(link.receive(&mut room, LONG).unwrap(), Arrival::Bytes(5));
        assert_eq!(&room[..5], b"hello");
        link.send(b"yes").unwrap();
        other.read_exact(&mut room[..3]).unwrap();
        assert_eq!(&room[..3], b"yes");
        drop(other);
        assert_eq!(link.receive(&mut room, LONG).unwrap(), Arrival::End);
    }

    #[test]
    fn who_waits_is_told_that_the_connection_is_cut() {
        let (mut link, _other) = pair();
        let scissors = link.scissors().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| link.receive(&mut [0; 8], LONG).unwrap());
            scissors.cut();
            assert_eq!(waiting.join().unwrap(), Arrival::End);
        });
        scissors.cut();
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Link::open("127.0.0.1", port, LONG).is_err());
    }
}
