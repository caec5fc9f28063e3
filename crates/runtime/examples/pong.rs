//! A server that answers `+PONG` to every request: the driver without anything behind it, for
//! measuring (`docs/runtime.md`).
//!
//! `pong [--port N] [--workers N] [--reactor auto|glommio|epoll] [--unix PATH]`

use darter_runtime::{
    BindAddress, CloseReason, ConnectionId, Connections, Io, ListenerConfig, NextTick, Outgoing,
    PeerInfo, Progress, Reactor, Refusal, RuntimeConfig, Service, Then, Turn,
};
use std::error::Error;
use std::io::{IoSlice, Write};

/// Replies on their way out.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing for Bytes {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn contiguous(&self) -> Option<&[u8]> {
        (!self.is_empty()).then(|| &self.bytes[self.sent..])
    }

    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.is_empty() {
            return 0;
        }
        slices[0] = IoSlice::new(&self.bytes[self.sent..]);
        1
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    fn clear(&mut self, capacity_bytes_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity_bytes_max);
        self.sent = 0;
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

struct Pong;

impl Service for Pong {
    type Session = ();
    type Mail = ();
    type Output = Bytes;

    fn open(&mut self, _: ConnectionId, _: &PeerInfo, _: &Turn) -> Result<(), Refusal> {
        Ok(())
    }

    fn receive(&mut self, (): &mut (), io: Io<'_, Bytes>) -> Progress {
        let mut rest = io.input;
        while let Some(length) = request_length(rest) {
            rest = &rest[length..];
            io.output.bytes.extend_from_slice(b"+PONG\r\n");
        }
        Progress { consumed: io.input.len() - rest.len(), then: Then::Read }
    }

    fn mail(&mut self, (): (), _: &mut Connections<'_, Self>) {}

    fn tick(&mut self, _: &mut Connections<'_, Self>) -> NextTick {
        NextTick::Idle
    }

    fn closed(&mut self, _: ConnectionId, (): (), _: CloseReason, _: &Turn) {}
}

/// Length of the first request, when it is complete: an array of bulks, or a line.
fn request_length(input: &[u8]) -> Option<usize> {
    let (count, mut at) = match input.first()? {
        b'*' => number_line(input)?,
        _ => (0, line_end(input)?),
    };
    for _ in 0..count {
        let (length, header) = number_line(input.get(at..)?)?;
        at += header + length + 2;
    }
    (at <= input.len()).then_some(at)
}

/// The number of a line such as `$4\r\n`, and the line's length.
fn number_line(input: &[u8]) -> Option<(usize, usize)> {
    let end = line_end(input)?;
    let digits = input.get(1..end - 2)?;
    let number = digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit & 15));
    Some((number, end))
}

fn line_end(input: &[u8]) -> Option<usize> {
    Some(input.iter().position(|byte| *byte == b'\n')? + 1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = RuntimeConfig::default();
    let mut port = 0;
    let mut unix = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--port" => port = value()?.parse()?,
            "--workers" => config.workers = Some(value()?.parse()?),
            "--unix" => unix = Some(value()?),
            "--reactor" => {
                config.reactor = match value()?.as_str() {
                    "auto" => Reactor::Auto,
                    "glommio" => Reactor::Glommio,
                    "epoll" => Reactor::Epoll,
                    other => return Err(format!("no such reactor: {other}").into()),
                }
            }
            other => return Err(format!("no such option: {other}").into()),
        }
    }
    config.listeners.push(ListenerConfig::tcp("127.0.0.1", port, 511)?);
    if let Some(path) = unix {
        let address = BindAddress::Unix { path: path.into(), mode: None };
        config.listeners.push(ListenerConfig { address, backlog: 511, optional: false });
    }
    let runtime = darter_runtime::start(&config, |_| Pong)?;
    let mut out = std::io::stdout();
    writeln!(out, "reactor {}", runtime.reactor())?;
    for address in runtime.addresses().iter().flatten() {
        writeln!(out, "listening {address}")?;
    }
    out.flush()?;
    runtime.join()?;
    Ok(())
}
