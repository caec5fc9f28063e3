//! A connection to another server in which something is said and its answers are awaited, in turn.
//!
//! It blocks, so it belongs on a thread that may
//! ([`Background::blocking_socket`](crate::Background::blocking_socket)). Every wait has a bound.

use crate::connect::connect;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Most bytes written at once: so long as these go in time, the whole may take longer.
const WRITE_BYTES: usize = 64 << 10;

/// Longest line that is an answer.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A connection of this process to another server. Lives on whatever thread uses it.
#[derive(Debug)]
pub struct Dialogue {
    stream: TcpStream,
    /// Received behind the last line.
    received: Vec<u8>,
}

impl Dialogue {
    /// Connects within `timeout` for each address the host has; resolving its name takes what it takes.
    pub fn open(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let stream = connect(host, port, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends all of `bytes`; the other side must take some of them within the timeout, again and again.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(WRITE_BYTES).try_for_each(|chunk| self.stream.write_all(chunk))
    }

    /// The next line, without its end. Its bytes must come within the timeout of each other.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let mut line: Vec<u8> = self.received.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.received.len() > LINE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn pair() -> (Dialogue, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialogue = Dialogue::open("127.0.0.1", port, TIMEOUT).unwrap();
        (dialogue, listener.accept().unwrap().0)
    }

    #[test]
    fn lines_are_read_one_by_one() {
        let (mut dialogue, mut other) = pair();
        other.write_all(b"+OK\r\n-ERR no\r\n\r\nrest").unwrap();
        drop(other);
        assert_eq!(dialogue.line().unwrap(), b"+OK");
        assert_eq!(dialogue.line().unwrap(), b"-ERR no");
        assert_eq!(dialogue.line().unwrap(), b"");
        assert_eq!(dialogue.line().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let (mut dialogue, mut other) = pair();
        other.write_all(&vec![b'x'; LINE_BYTES_MAX + 4096]).unwrap();
        assert_eq!(dialogue.line().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn everything_is_sent() {
        let (mut dialogue, mut other) = pair();
        let bytes = vec![7; 1 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| dialogue.send(&bytes).unwrap());
            let mut got = vec![0; bytes.len()];
            other.read_exact(&mut got).unwrap();
            assert_eq!(got, bytes);
        });
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Dialogue::open("127.0.0.1", port, TIMEOUT).is_err());
    }
}
