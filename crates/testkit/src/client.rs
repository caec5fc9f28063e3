//! A blocking client over one TCP connection, with nothing clever in it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::reply::{self, Malformed};
use crate::{Value, request};

/// How long a reply may take before the server counts as hung.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A reply and the exact bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub value: Value,
    pub bytes: Vec<u8>,
}

/// Why no reply came.
#[derive(Debug)]
pub enum ClientError {
    /// The server closed the connection; `rest` is what had come of a next reply.
    Closed { rest: Vec<u8> },
    /// Nothing more came for the time allowed; `rest` as above.
    TimedOut { rest: Vec<u8> },
    /// What came is no reply.
    Malformed { malformed: Malformed, bytes: Vec<u8> },
    /// Anything else the socket said.
    Io(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { rest } => {
                write!(f, "connection closed after \"{}\"", rest.escape_ascii())
            }
            Self::TimedOut { rest } => {
                write!(f, "no reply in time, only \"{}\"", rest.escape_ascii())
            }
            Self::Malformed { malformed: Malformed { offset, reason }, bytes } => {
                write!(f, "malformed reply, {reason} at {offset} in \"{}\"", bytes.escape_ascii())
            }
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes received and not yet part of a reply handed out.
    received: Vec<u8>,
}

impl Client {
    /// Connects, sends nothing.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Allows replies this long, instead of [`REPLY_TIMEOUT`].
    pub fn set_reply_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))
    }

    /// Sends no more. What still comes can be read.
    pub fn close_sending(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// Ends the connection and waits for the server to have noticed, whatever it still sends.
    pub fn end(mut self) {
        // An error means that it has ended already.
        let _ = self.close_sending();
        while self.receive().is_ok() {
            self.received.clear();
        }
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends bytes in pieces of at most `piece_bytes`, each in a segment of its own. The reader may
    /// still find several of them at once; giving up the processor in between makes that rare.
    pub fn send_in_pieces(&mut self, bytes: &[u8], piece_bytes: usize) -> io::Result<()> {
        for piece in bytes.chunks(piece_bytes.max(1)) {
            self.stream.write_all(piece)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Sends one command.
    pub fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<()> {
        let mut bytes = Vec::new();
        request::encode(arguments, &mut bytes);
        self.send_bytes(&bytes)
    }

    /// Waits for the next reply, out-of-band ones included.
    pub fn read_reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            match reply::parse(&self.received) {
                Ok(Some((value, length))) => {
                    let bytes = self.received.drain(..length).collect();
                    return Ok(Reply { value, bytes });
                }
                Ok(None) => self.receive()?,
                Err(malformed) => {
                    let bytes = std::mem::take(&mut self.received);
                    return Err(ClientError::Malformed { malformed, bytes });
                }
            }
        }
    }

    /// Whether something has come that was not read yet.
    pub fn has_received(&self) -> io::Result<bool> {
        if !self.received.is_empty() {
            return Ok(true);
        }
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for exactly this many bytes, whatever they are.
    pub fn read_bytes(&mut self, count: usize) -> Result<Vec<u8>, ClientError> {
        while self.received.len() < count {
            self.receive()?;
        }
        Ok(self.received.drain(..count).collect())
    }

    /// Waits for the server to close the connection; a reply instead is an error.
    pub fn read_end(&mut self) -> Result<(), ClientError> {
        if self.received.is_empty() {
            match self.receive() {
                Err(ClientError::Closed { .. }) => return Ok(()),
                Err(error) => return Err(error),
                Ok(()) => {}
            }
        }
        let malformed = Malformed { offset: 0, reason: "expected the connection to close" };
        Err(ClientError::Malformed { malformed, bytes: std::mem::take(&mut self.received) })
    }

    /// Sends one command and waits for its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Result<Value, ClientError> {
        self.send(arguments).map_err(ClientError::Io)?;
        Ok(self.read_reply()?.value)
    }

    /// Sends commands in one write and waits for as many replies. The commands must be few enough
    /// for their replies to fit in the sockets' buffers.
    pub fn pipeline<A: AsRef<[u8]>>(
        &mut self,
        commands: &[Vec<A>],
    ) -> Result<Vec<Value>, ClientError> {
        let mut bytes = Vec::new();
        for command in commands {
            request::encode(command, &mut bytes);
        }
        self.send_bytes(&bytes).map_err(ClientError::Io)?;
        commands.iter().map(|_| Ok(self.read_reply()?.value)).collect()
    }

    fn receive(&mut self) -> Result<(), ClientError> {
        // A long reply is parsed again with every chunk.
        let mut chunk = vec![0; self.received.len().max(16 * 1024)];
        let read = loop {
            match self.stream.read(&mut chunk) {
                // A process that was stopped and goes on.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => Err(ClientError::Closed { rest: std::mem::take(&mut self.received) }),
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) => Err(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    ClientError::TimedOut { rest: self.received.clone() }
                }
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    ClientError::Closed { rest: std::mem::take(&mut self.received) }
                }
                _ => ClientError::Io(error),
            }),
        }
    }
}
