//! The least an epoll server can do for a request: wait, read, write. It answers `+PONG` once for
//! every 14 bytes it reads, the length of a `PING` as redis-benchmark sends it, and understands
//! nothing. The floor that `docs/runtime.md` compares the driver with.
//!
//! `floor PORT`

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

const PING_BYTES: usize = 14;
const PONG: &[u8] = b"+PONG\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("floor PORT")?.parse()?;
    let mut poll = Poll::new()?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let (fd, token) = (listener.as_raw_fd(), Token(usize::MAX));
    poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut input = vec![0; 64 << 10];
    let pongs = PONG.repeat(input.len() / PING_BYTES + 1);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == Token(usize::MAX) {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let (fd, token) = (stream.as_raw_fd(), Token(streams.len()));
                    poll.registry().register(&mut SourceFd(&fd), token, both)?;
                    streams.push(Some(stream));
                }
                continue;
            }
            let slot = &mut streams[event.token().0];
            let Some(stream) = slot else { continue };
            match stream.read(&mut input) {
                Ok(0) => *slot = None,
                Ok(count) => stream.write_all(&pongs[..count.div_ceil(PING_BYTES) * PONG.len()])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => *slot = None,
            }
        }
    }
}
