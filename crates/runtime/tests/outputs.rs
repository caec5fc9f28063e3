//! A served request allocates no output: the worker lends what earlier ones left.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use darter_runtime::{
    Arrivals, CloseReason, ConnectionId, Connections, Io, NextTick, Outgoing, PeerAddress,
    PeerInfo, Progress, Refusal, Service, Then, Turn,
};
use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use support::{HOSTS, PATIENCE, config};

/// An output that counts how often one had to allocate.
#[derive(Default)]
struct Counted {
    bytes: Vec<u8>,
    sent: usize,
}

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

impl Counted {
    fn write(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            ALLOCATED.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Outgoing for Counted {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn contiguous(&self) -> Option<&[u8]> {
        (!self.is_empty()).then(|| &self.bytes[self.sent..])
    }

    fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices[0] = IoSlice::new(&self.bytes[self.sent..]);
        1
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    fn clear(&mut self, _: usize) {
        self.bytes.clear();
        self.sent = 0;
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Answers every byte with itself, and waits for the test when that byte is `h`.
struct Echo {
    release: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Service for Echo {
    type Session = ();
    type Mail = ();
    type Output = Counted;

    fn open(&mut self, _: ConnectionId, _: &PeerInfo, _: &Turn) -> Result<(), Refusal> {
        Ok(())
    }

    fn receive(&mut self, (): &mut (), io: Io<'_, Counted>) -> Progress {
        if io.input == b"h" {
            self.release.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        io.output.write(io.input);
        Progress { consumed: io.input.len(), then: Then::Read }
    }

    /// As a service does that first looks at the input of all, and then serves it.
    fn receive_all(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        for place in 0..arrivals.len() {
            let ((), io) = arrivals.at(place);
            assert!(!io.input.is_empty());
        }
        for place in 0..arrivals.len() {
            let (session, io) = arrivals.at(place);
            let progress = self.receive(session, io);
            arrivals.conclude(place, progress);
        }
    }

    fn mail(&mut self, (): (), _: &mut Connections<'_, Self>) {}

    fn tick(&mut self, _: &mut Connections<'_, Self>) -> NextTick {
        NextTick::Idle
    }

    fn closed(&mut self, _: ConnectionId, (): (), _: CloseReason, _: &Turn) {}
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn answer(stream: &mut TcpStream) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
fn connections_served_together_use_the_same_outputs_again() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 50;
    for host in HOSTS {
        ALLOCATED.store(0, Ordering::Relaxed);
        let (release, held) = mpsc::channel();
        let held = Arc::new(Mutex::new(held));
        let handle =
            darter_runtime::start(&config(host, 1), move |_| Echo { release: Arc::clone(&held) })
                .unwrap();
        let Some(PeerAddress::Tcp(address)) = handle.addresses()[0] else { panic!("no address") };
        let mut holder = connect(address);
        let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
        for _ in 0..ROUNDS {
            // While the worker waits, everybody asks; then it finds all of them at once.
            holder.write_all(b"h").unwrap();
            for client in &mut clients {
                client.write_all(b"x").unwrap();
            }
            release.send(()).unwrap();
            assert_eq!(answer(&mut holder), b'h');
            for client in &mut clients {
                assert_eq!(answer(client), b'x');
            }
        }
        let allocated = ALLOCATED.load(Ordering::Relaxed);
        assert!(allocated <= CLIENTS + 1, "{allocated} outputs for {CLIENTS} connections");
        handle.shutdown().begin();
        handle.join().unwrap();
    }
}
