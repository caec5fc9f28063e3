//! The loop: accepting, and letting exchanges advance until they are over or out of time.

use super::exchange::{Exchange, Progress};
use super::{CONNECTIONS_MAX, EXCHANGE_TIME_MAX, HttpAnswer, NICENESS};
use crate::listener::{self, Listener};
use crate::socket::{Transfer, receive};
use crate::{ListenerConfig, PeerAddress, StartError};
use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The token of the bell that ends the loop; listeners follow, then connections.
const BELL: Token = Token(0);

/// Events taken at once.
const EVENTS_MAX: usize = 128;

/// How long the loop sleeps when accepting failed, for want of descriptors mostly, before it tries
/// again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bytes thrown away of what a client sends behind its request.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// A running endpoint. Dropping it ends the thread.
#[derive(Debug)]
pub struct HttpEndpoint {
    addresses: Vec<PeerAddress>,
    bell: Arc<Waker>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpEndpoint {
    /// Where it listens; optional addresses this machine does not have are not among them.
    pub fn addresses(&self) -> &[PeerAddress] {
        &self.addresses
    }
}

impl Drop for HttpEndpoint {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Without a bell there is no loop left to end.
        let rung = self.bell.wake().is_ok();
        if let Some(thread) = self.thread.take().filter(|_| rung) {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Listens, and answers each path with what `answer` makes of it, on a thread of its own.
pub fn serve(
    listeners: &[ListenerConfig],
    answer: impl FnMut(&str) -> HttpAnswer + Send + 'static,
) -> Result<HttpEndpoint, StartError> {
    let mut opened = Vec::new();
    for config in listeners {
        opened.extend(listener::open(config)?);
    }
    let addresses = opened.iter().map(|listener| listener.address.clone()).collect();
    let ends = Arc::new(AtomicBool::new(false));
    let failed = |error| StartError::System { purpose: "start the HTTP endpoint", error };
    let endpoint = Loop::new(opened, Arc::clone(&ends), answer).map_err(failed)?;
    let bell = Arc::clone(&endpoint.bell);
    let named = thread::Builder::new().name("darter-http".to_owned());
    let thread = named.spawn(move || endpoint.run()).map_err(failed)?;
    Ok(HttpEndpoint { addresses, bell, ends, thread: Some(thread) })
}

struct Loop<A> {
    poll: Poll,
    bell: Arc<Waker>,
    ends: Arc<AtomicBool>,
    listeners: Vec<TcpListener>,
    /// By token, behind the listeners'.
    connections: Vec<Option<Connection>>,
    answer: A,
}

struct Connection {
    stream: TcpStream,
    exchange: Exchange,
    /// The answer is on its way; all that is left is to see the client close.
    is_sent: bool,
    /// Bytes thrown away since.
    drained_bytes: usize,
    deadline: Instant,
}

impl<A: FnMut(&str) -> HttpAnswer> Loop<A> {
    fn new(opened: Vec<Listener>, ends: Arc<AtomicBool>, answer: A) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Waker::new(poll.registry(), BELL)?);
        let mut listeners = Vec::new();
        for (index, Listener { socket, .. }) in opened.into_iter().enumerate() {
            let mut listener = TcpListener::from_std(std::net::TcpListener::from(socket));
            poll.registry().register(&mut listener, Token(1 + index), Interest::READABLE)?;
            listeners.push(listener);
        }
        let connections = (0..CONNECTIONS_MAX).map(|_| None).collect();
        Ok(Self { poll, bell, ends, listeners, connections, answer })
    }

    fn run(mut self) {
        // A thread that may not be put back is as good, only less polite.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut accept_again = false;
        while !self.ends.load(Ordering::Acquire) {
            let wait = accept_again.then_some(ACCEPT_RETRY).or_else(|| self.time_left());
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    tracing::error!(%error, "the HTTP endpoint cannot wait for its sockets");
                    return;
                }
                _ => {}
            }
            let first_connection = 1 + self.listeners.len();
            for token in events.iter().map(mio::event::Event::token) {
                match token.0.checked_sub(first_connection) {
                    Some(place) => self.advance(place),
                    None => accept_again |= token != BELL,
                }
            }
            self.close_late(Instant::now());
            if accept_again {
                accept_again = !self.accept();
            }
        }
    }

    /// Until the first deadline; for ever without a connection.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.connections.iter().flatten().map(|open| open.deadline).min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Accepts all that wait. `false` when that failed and should be tried again.
    fn accept(&mut self) -> bool {
        for index in 0..self.listeners.len() {
            loop {
                match self.listeners[index].accept() {
                    Ok((stream, _)) => self.open(stream),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::debug!(%error, "the HTTP endpoint cannot accept a connection");
                        return false;
                    }
                }
            }
        }
        true
    }

    fn open(&mut self, mut stream: TcpStream) {
        let place = self.free_place();
        let token = Token(1 + self.listeners.len() + place);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut stream, token, interest).is_err() {
            return;
        }
        let deadline = Instant::now() + EXCHANGE_TIME_MAX;
        let exchange = Exchange::new();
        self.connections[place] =
            Some(Connection { stream, exchange, is_sent: false, drained_bytes: 0, deadline });
        self.advance(place);
    }

    /// A place for a new connection, made by closing the oldest if need be.
    fn free_place(&mut self) -> usize {
        if let Some(place) = self.connections.iter().position(Option::is_none) {
            return place;
        }
        let deadline = |place: &usize| self.connections[*place].as_ref().map(|open| open.deadline);
        let oldest = (0..self.connections.len()).min_by_key(deadline).unwrap_or_default();
        self.close(oldest);
        oldest
    }

    fn advance(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if !connection.is_sent {
            match connection.exchange.advance(&connection.stream, &mut self.answer) {
                Progress::Waits => return,
                Progress::Over => return self.close(place),
                Progress::Sent => {
                    connection.is_sent = true;
                    // Closing with bytes unread would reset the connection, and take the answer back.
                    if connection.stream.shutdown(Shutdown::Write).is_err() {
                        return self.close(place);
                    }
                }
            }
        }
        let mut piece = [0; 4096];
        while connection.drained_bytes < DRAIN_BYTES_MAX {
            match receive(&connection.stream, &mut piece) {
                Transfer::Bytes(count @ 1..) => connection.drained_bytes += count,
                Transfer::Blocked => return,
                Transfer::Bytes(_) | Transfer::Failed(_) => break,
            }
        }
        self.close(place);
    }

    fn close_late(&mut self, now: Instant) {
        for place in 0..self.connections.len() {
            if self.connections[place].as_ref().is_some_and(|open| open.deadline <= now) {
                self.close(place);
            }
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(mut connection) = self.connections[place].take() {
            // Closing takes it out of the poll as well.
            let _ = connection.stream.deregister(self.poll.registry());
        }
    }
}
