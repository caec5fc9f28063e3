//! The network driver: one worker's sockets, driven by readiness.
//!
//! Every socket is registered once, edge-triggered. Between edges the driver remembers whether a
//! socket may have input and whether it takes output, so that a request costs its share of one
//! `epoll_wait`, one read, one write, and nothing else:
//!
//! - A read shorter than asked for means drained: the next byte raises a new edge (epoll(7),
//!   "edge-triggered"). Only when the peer has closed its side is a short read followed by another
//!   one.
//! - Input is read into one buffer per worker and shown to the service in place. What the service
//!   does not consume is kept by the connection; a small rest is put in front of the next read in the
//!   worker's buffer, a large one is read into directly.
//! - Ready connections are served in three steps: all are read, the service sees all their input
//!   ([`Service::receive_all`]), all output is sent. Letters that came meanwhile are read before the second
//!   ([`crate::worker`]). The kernel's receiving half, the service and the
//!   kernel's sending half do not fit the instruction cache together, the service can overlap the
//!   cache misses of different clients, and a client that gets its replies in one go sends its next
//!   requests in one go. (`docs/runtime.md` has the measurements.)
//! - Output is written into a spare buffer of the worker. A connection owns output only until it is
//!   sent, or while the socket does not take it.
//! - A connection has one read per tick. One that filled the buffer goes to the back of a queue.
//! - Above a high-water mark of unsent output a connection is neither read nor shown its input.

use crate::apart::Lent;
use crate::arrivals::{Arrival, Arrivals, NOTHING_CONSUMED};
use crate::census::Census;
use crate::connection::{Connection, Flow, Sent};
use crate::kept::LentInput;
use crate::peer::Accepted;
use crate::socket::{self, Transfer};
use crate::table::{Key, Table};
use crate::{
    CloseReason, ConnectionId, Io, Outgoing, PeerAddress, PeerInfo, Progress, RuntimeConfig,
    Service, Then, Tunables, Turn,
};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asked for in one read.
const READ_BYTES: usize = 64 << 10;
/// A kept input up to this long is copied in front of the next read rather than read into.
const PREFIX_BYTES_MAX: usize = 16 << 10;
/// What of an output is taken for what its socket takes at once.
const LEAVING_BYTES_MAX: usize = 64 << 10;
/// Output buffers kept for reuse, and the memory each may keep.
const SPARES_MAX: usize = SERVED_BEFORE_SENDING;
const SPARE_BYTES_MAX: usize = 16 << 10;
/// Connections served before their output is sent, at most: nobody's reply waits for more than that.
const SERVED_BEFORE_SENDING: usize = 64;
/// The worker's read buffer: what [`SERVED_BEFORE_SENDING`] connections usually send, and one read
/// that fills its share.
const READ_BUFFER_BYTES: usize = PREFIX_BYTES_MAX + 2 * READ_BYTES;
/// Output any connection may have, not counted against its limit (what Redis's static reply buffer
/// holds).
pub(crate) const OUTPUT_ALLOWANCE_BYTES: usize = 16 << 10;
/// What is beyond counts in blocks of this size (those Redis chains its replies in).
pub(crate) const OUTPUT_BLOCK_BYTES: usize = 16 << 10;
/// Where input of the next connection may begin: cache lines are not shared.
const ALIGN_BYTES: usize = 64;

pub(crate) struct Network<S: Service> {
    connections: Table<Connection<S>>,
    registry: Registry,
    read_buffer: Box<[u8]>,
    /// `read_buffer[..filled]` is the input of `arrivals`.
    filled: usize,
    /// Connections that were read and whose input the service has not seen.
    arrivals: Vec<Arrival>,
    spares: Vec<S::Output>,
    /// Due in the next tick: they have more to do and had their turn.
    runnable: VecDeque<Key>,
    /// Due in this tick, after letters.
    resumed: Vec<Key>,
    /// To be served apart, in the order in which they asked for it.
    pub(crate) apart: VecDeque<Key>,
    /// The connection that is being served apart, which is not in the table meanwhile.
    pub(crate) lent: Option<Lent>,
    /// Got output from others in this tick.
    unsent: Vec<Key>,
    /// Connections whose output the service does not want to be sent yet.
    withheld: Vec<Key>,
    /// To be removed at the end of this tick.
    doomed: Vec<Key>,
    /// Above their soft limit of output when last looked at.
    above_soft: Vec<Key>,
    /// When `above_soft` was looked at, in seconds since `started`.
    soft_checked_at_seconds: u32,
    /// Sum of the connections' `accounted_bytes`.
    buffer_bytes: usize,
    high_water_bytes: usize,
    low_water_bytes: usize,
    query_buffer_limit_bytes: usize,
    /// No more reading: what was read is finished.
    draining: bool,
    census: Arc<Census>,
    tunables: Tunables,
    pub(crate) turn: Turn,
    started: Instant,
    /// Whole seconds from `started` to `turn`.
    now_seconds: u32,
    /// When a connection can next exceed the idle timeout, in seconds since `started`.
    idle_check_at_seconds: Option<u32>,
    /// The timeout `idle_check_at_seconds` was computed for.
    idle_timeout_seconds: u32,
    /// Times a connection's output was sent, all of it or some.
    pub(crate) sends: u64,
}

impl<S: Service> Network<S> {
    pub(crate) fn new(
        registry: Registry,
        config: &RuntimeConfig,
        tunables: Tunables,
        census: Arc<Census>,
        turn: Turn,
    ) -> Self {
        Self {
            connections: Table::new(),
            registry,
            read_buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            filled: 0,
            arrivals: Vec::with_capacity(SERVED_BEFORE_SENDING),
            spares: Vec::new(),
            runnable: VecDeque::new(),
            resumed: Vec::new(),
            apart: VecDeque::new(),
            lent: None,
            unsent: Vec::new(),
            withheld: Vec::new(),
            doomed: Vec::new(),
            above_soft: Vec::new(),
            soft_checked_at_seconds: 0,
            buffer_bytes: 0,
            high_water_bytes: config.output_high_water_bytes,
            low_water_bytes: config.output_low_water_bytes.min(config.output_high_water_bytes),
            query_buffer_limit_bytes: config.query_buffer_limit_bytes,
            draining: false,
            census,
            tunables,
            turn,
            started: turn.instant,
            now_seconds: 0,
            idle_check_at_seconds: None,
            idle_timeout_seconds: 0,
            sends: 0,
        }
    }

    pub(crate) fn begin_tick(&mut self, turn: Turn) {
        self.turn = turn;
        let seconds = turn.instant.saturating_duration_since(self.started).as_secs();
        self.now_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.query_buffer_limit_bytes = self.tunables.query_buffer_limit_bytes();
    }

    /// Takes a new connection in, unless the service refuses it.
    pub(crate) fn open(&mut self, service: &mut S, accepted: Accepted) {
        let open_connections = self.census.enter();
        let key = self.connections.next_key();
        let id = self.id(key);
        let Accepted { socket, remote, local, listener } = accepted;
        let is_local = matches!(local, PeerAddress::Unix(_));
        let fd = socket.as_raw_fd();
        let peer = PeerInfo { remote, local, listener, open_connections, fd };
        let session = match service.open(id, &peer, &self.turn) {
            Ok(session) => session,
            Err(refusal) => {
                // Best effort by contract: the socket's buffer is empty, so a short text fits.
                let _ = socket::transmit(&socket, &refusal.last_words);
                socket::discard_input(&socket, &mut self.read_buffer[self.filled..]);
                self.census.leave(self.turn.worker);
                return;
            }
        };
        let connection = Connection::new(socket, session, is_local, self.now_seconds);
        if let Err((key, error)) = self.insert(connection) {
            tracing::warn!(%error, "could not watch a new connection");
            self.doom(key, CloseReason::Failed(error.kind()));
        }
    }

    /// Takes in a connection made by ourselves. It is not counted among the clients, and never
    /// idle.
    pub(crate) fn adopt(&mut self, socket: OwnedFd, session: S::Session) -> io::Result<Key> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let is_local = matches!(socket::local_address(&socket)?, PeerAddress::Unix(_));
        if !is_local {
            socket::configure_tcp(&socket, self.tunables.tcp_keepalive_seconds())?;
        }
        let mut connection = Connection::new(socket, session, is_local, self.now_seconds);
        connection.counted = false;
        connection.idle_exempt = true;
        self.insert(connection).map_err(|(key, error)| {
            self.connections.remove(key);
            error
        })
    }

    /// Puts a connection into the table and watches its socket. On an error it is in the table.
    fn insert(&mut self, connection: Connection<S>) -> Result<Key, (Key, io::Error)> {
        let interest = if connection.local { Interest::READABLE } else { READABLE_AND_WRITABLE };
        let fd = connection.socket.as_raw_fd();
        let key = self.connections.insert(connection);
        let token = Token(key.position as usize);
        match self.registry.register(&mut SourceFd(&fd), token, interest) {
            Ok(()) => Ok(key),
            Err(error) => Err((key, error)),
        }
    }

    /// Readiness of a connection. Its input is read, and shown to the service by
    /// [`Network::show_and_send`]. Not to be called when [`Network::is_full`].
    pub(crate) fn event(&mut self, event: &Event) {
        let hung = event.is_error() || event.is_write_closed();
        let ended = hung || event.is_read_closed();
        let Some(key) = self.connections.key_at(event.token().0) else {
            if let Some(lent) = &mut self.lent
                && lent.key.position as usize == event.token().0
            {
                lent.readable |= event.is_readable() || ended;
                lent.ended |= ended;
                lent.writable |= event.is_writable() || hung;
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.readable |= event.is_readable() || ended;
        connection.read_closed |= ended;
        let unblocked = connection.send_blocked && (event.is_writable() || hung);
        if unblocked {
            connection.send_blocked = false;
            self.send(key);
        }
        self.end_suspended_if_closed(key);
        self.read_ahead(key);
    }

    /// How many connections have more to do.
    pub(crate) fn queue_len(&self) -> usize {
        self.runnable.len()
    }

    /// Gives the next connection that has more to do its turn. Not to be called when [`Network::is_full`].
    pub(crate) fn run_next(&mut self, service: &mut S) {
        let Some(key) = self.runnable.pop_front() else { return };
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.queued = false;
        if connection.again {
            self.serve(service, key);
        } else if connection.output.len() > self.high_water_bytes {
            connection.congested = true;
        } else {
            self.read_ahead(key);
        }
    }

    /// Serves what was resumed since the letters, and sends what was written since.
    pub(crate) fn finish_letters(&mut self, service: &mut S) {
        let mut resumed = mem::take(&mut self.resumed);
        for key in resumed.drain(..) {
            self.serve(service, key);
        }
        resumed.append(&mut self.resumed);
        self.resumed = resumed;
        self.send_listed(service);
    }

    /// Shows the service what was read, and sends what it answers.
    pub(crate) fn show_and_send(&mut self, service: &mut S) {
        self.show_arrivals(service);
        self.send_listed(service);
    }

    /// Whether there is input that the service has not seen.
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Whether there is no room for another read until the service has seen what was read.
    pub(crate) fn is_full(&self) -> bool {
        self.arrivals.len() == SERVED_BEFORE_SENDING
            || self.read_buffer.len() - self.filled < PREFIX_BYTES_MAX + READ_BYTES
    }

    /// Drops what was read of connections that are being closed since.
    pub(crate) fn forget_closing_arrivals(&mut self) {
        let connections = &self.connections;
        self.arrivals.retain(|arrival| {
            connections.get(arrival.key).is_some_and(|connection| connection.flow == Flow::Open)
        });
        if self.arrivals.is_empty() {
            self.filled = 0;
        }
    }

    /// Sends what was written since the last time.
    pub(crate) fn send_listed(&mut self, service: &S) {
        if self.unsent.is_empty() {
            return;
        }
        service.about_to_send();
        let mut unsent = mem::take(&mut self.unsent);
        for key in unsent.drain(..) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.unsent_listed = false;
                if !connection.withheld && service.withholds(&mut connection.session) {
                    connection.withheld = true;
                    self.withheld.push(key);
                }
                if connection.output.len() > service.output_allowance() {
                    self.limit_output(service, key);
                }
                self.send(key);
                self.enqueue_if_ready(key);
            }
        }
        unsent.append(&mut self.unsent);
        self.unsent = unsent;
    }

    /// Lets the service be asked again about output that it withheld.
    pub(crate) fn release_withheld(&mut self) {
        for key in mem::take(&mut self.withheld) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.withheld = false;
                self.list_unsent(key);
            }
        }
    }

    fn list_unsent(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.unsent_listed
        {
            connection.unsent_listed = true;
            self.unsent.push(key);
        }
    }

    /// Removes the connections that ended and tells the service.
    pub(crate) fn reap(&mut self, service: &mut S) {
        while let Some(key) = self.doomed.pop() {
            let Some(connection) = self.connections.remove(key) else { continue };
            let Flow::Doomed(reason) = connection.flow else {
                unreachable!("only doomed connections are listed")
            };
            self.buffer_bytes -= connection.accounted_bytes;
            if reason == CloseReason::Requested {
                socket::discard_input(&connection.socket, &mut self.read_buffer);
            }
            if connection.counted {
                self.census.leave(self.turn.worker);
            }
            service.closed(self.id(key), connection.session, reason, &self.turn);
            // Last: a peer that sees the end finds nothing left of its connection.
            drop(connection.socket);
        }
    }

    /// Whether there is a connection to serve without waiting for an edge.
    pub(crate) fn is_runnable(&self) -> bool {
        !self.runnable.is_empty()
            || !self.unsent.is_empty()
            || !self.resumed.is_empty()
            || !self.apart.is_empty()
    }

    pub(crate) fn id(&self, key: Key) -> ConnectionId {
        ConnectionId {
            worker: self.turn.worker,
            position: key.position,
            generation: key.generation,
        }
    }

    pub(crate) fn key(&self, id: ConnectionId) -> Option<Key> {
        let key = Key { position: id.position, generation: id.generation };
        (id.worker == self.turn.worker).then_some(key)
    }
}

const READABLE_AND_WRITABLE: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Input.
impl<S: Service> Network<S> {
    /// Reads a connection once, for the service to be shown.
    fn read_ahead(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !connection.has_work() || self.draining {
            return;
        }
        if connection.again || connection.output.len() > self.high_water_bytes {
            return self.enqueue_if_ready(key);
        }
        let prefix = connection.kept.len();
        if prefix > PREFIX_BYTES_MAX {
            return self.read_on(key);
        }
        let begin = self.filled;
        let buffer = &mut self.read_buffer[begin..][..prefix + READ_BYTES];
        buffer[..prefix].copy_from_slice(connection.kept.as_slice());
        let got = socket::receive(&connection.socket, &mut buffer[prefix..]);
        let Some(count) = self.note_read(key, got, READ_BYTES) else { return };
        if let Some(connection) = self.connections.get_mut(key) {
            lend_output(&mut self.spares, &mut connection.output);
        }
        let end = begin + prefix + count;
        self.filled = end.next_multiple_of(ALIGN_BYTES).min(self.read_buffer.len());
        self.arrivals.push(Arrival { key, begin, prefix, end, progress: NOTHING_CONSUMED });
    }

    /// Reads a connection once behind the much that it keeps, to be shown within this tick, after letters.
    fn read_on(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let buffer = connection.kept.for_appending();
        let asked = buffer.capacity() - buffer.len();
        let got = socket::receive_into_spare(&connection.socket, buffer);
        if self.note_read(key, got, asked).is_none() {
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.kept.is_beyond(self.query_buffer_limit_bytes) {
            return self.doom(key, CloseReason::QueryBufferLimit);
        }
        connection.again = true;
        self.resumed.push(key);
    }

    /// Shows the service what was read ahead, and does what it says.
    fn show_arrivals(&mut self, service: &mut S) {
        if self.arrivals.is_empty() {
            return;
        }
        let mut arrivals = mem::take(&mut self.arrivals);
        service.receive_all(&mut Arrivals {
            list: &mut arrivals,
            connections: &mut self.connections,
            read_buffer: &self.read_buffer,
            turn: &self.turn,
            output_high_water_bytes: self.high_water_bytes,
        });
        for arrival in arrivals.drain(..) {
            let Arrival { key, begin, prefix, end, progress } = arrival;
            let rest = &self.read_buffer[begin..end][progress.consumed..];
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if prefix > 0 || !rest.is_empty() {
                connection.kept.replace(rest);
                connection.kept.note_awaited(service.awaited_bytes(&connection.session));
            }
            if connection.kept.len() > self.query_buffer_limit_bytes {
                self.doom(key, CloseReason::QueryBufferLimit);
                continue;
            }
            self.settle(key, progress.then);
        }
        self.arrivals = arrivals;
        self.filled = 0;
    }

    /// Does what the service said after it has seen input; what it wrote is listed to be sent.
    pub(crate) fn settle(&mut self, key: Key, then: Then) {
        self.follow(key, then);
        self.list_unsent(key);
        self.enqueue_if_ready(key);
        if then == Then::Suspend {
            self.end_suspended_if_closed(key);
        }
    }

    /// Notes what came of a read that asked for `asked` bytes: how many there are to show, if any.
    fn note_read(&mut self, key: Key, got: Transfer, asked: usize) -> Option<usize> {
        let connection = self.connections.get_mut(key)?;
        match got {
            Transfer::Bytes(0) => self.doom(key, CloseReason::PeerClosed),
            Transfer::Bytes(count) => {
                connection.readable = count == asked || connection.read_closed;
                connection.received_bytes += count as u64;
                connection.active_at_seconds = self.now_seconds;
                return Some(count);
            }
            Transfer::Blocked => connection.readable = false,
            Transfer::Failed(kind) => self.doom(key, CloseReason::Failed(kind)),
        }
        None
    }

    /// One `receive` with what is kept; what it wrote is listed to be sent.
    fn serve(&mut self, service: &mut S, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !connection.has_work() || !connection.again {
            return;
        }
        if connection.output.len() > self.high_water_bytes {
            connection.congested = true;
            return;
        }
        connection.again = false;
        let Some(progress) = self.show_kept(service, key) else { return };
        self.settle(key, progress.then);
        if self.unsent.len() >= SERVED_BEFORE_SENDING {
            self.send_listed(service);
        }
    }

    /// A suspended connection does not outlive its peer's side, but what it answered before is
    /// sent.
    fn end_suspended_if_closed(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.read_closed && connection.flow == Flow::Suspended {
            self.send(key);
            self.doom(key, CloseReason::PeerClosed);
        }
    }

    /// Calls `receive` with what is kept.
    fn show_kept(&mut self, service: &mut S, key: Key) -> Option<Progress> {
        let id = self.id(key);
        let connection = self.connections.get_mut(key)?;
        lend_output(&mut self.spares, &mut connection.output);
        let lent = connection.kept.lend();
        let io = Io {
            input: lent.as_ref().map_or(connection.kept.as_slice(), LentInput::as_slice),
            shared: lent.as_ref().map(LentInput::buffer),
            output: &mut connection.output,
            id,
            turn: &self.turn,
            output_high_water_bytes: self.high_water_bytes,
        };
        let progress = service.receive(&mut connection.session, io);
        match lent {
            Some(lent) => connection.kept.take_back(lent, progress.consumed),
            None => connection.kept.consume(progress.consumed),
        }
        connection.kept.note_awaited(service.awaited_bytes(&connection.session));
        if connection.kept.len() > self.query_buffer_limit_bytes {
            self.doom(key, CloseReason::QueryBufferLimit);
            return None;
        }
        Some(progress)
    }

    /// Does what the service said.
    fn follow(&mut self, key: Key, then: Then) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match then {
            Then::Read => {}
            Then::Again => connection.again = true,
            Then::Apart => {
                connection.flow = Flow::Apart;
                self.apart.push_back(key);
            }
            Then::Suspend => connection.flow = Flow::Suspended,
            Then::Await => connection.flow = Flow::Awaiting,
            Then::CloseAfterFlush => {
                connection.flow = Flow::Finishing;
                connection.kept.free();
            }
            Then::Close => self.doom(key, CloseReason::Requested),
            Then::CloseAboveLimit => self.doom(key, CloseReason::OutputLimit),
        }
    }

    pub(crate) fn enqueue_if_ready(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let due = if self.draining { connection.again } else { true };
        if due && connection.has_work() && !connection.queued {
            connection.queued = true;
            self.runnable.push_back(key);
        }
    }
}

/// Output.
impl<S: Service> Network<S> {
    /// Sends what the socket takes and settles what follows from what is left.
    fn send(&mut self, key: Key) {
        let now_seconds = self.now_seconds;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.is_doomed() {
            return;
        }
        if connection.withheld {
            self.account(key);
            return;
        }
        let before = connection.sent_bytes;
        let sent = connection.send();
        if connection.sent_bytes > before {
            connection.active_at_seconds = now_seconds;
            self.sends += 1;
        }
        let was_blocked = mem::replace(&mut connection.send_blocked, sent == Sent::Blocked);
        if connection.local && was_blocked != connection.send_blocked {
            let interest =
                if connection.send_blocked { READABLE_AND_WRITABLE } else { Interest::READABLE };
            let fd = connection.socket.as_raw_fd();
            let token = Token(key.position as usize);
            if let Err(error) = self.registry.reregister(&mut SourceFd(&fd), token, interest) {
                self.doom(key, CloseReason::Failed(error.kind()));
                return;
            }
        }
        match sent {
            Sent::All => {
                return_output(&mut self.spares, &mut connection.output);
                connection.congested = false;
                if connection.flow == Flow::Finishing {
                    self.doom(key, CloseReason::Requested);
                    return;
                }
            }
            Sent::Blocked | Sent::More => {
                let unsent = connection.output.len();
                if unsent > self.high_water_bytes {
                    connection.congested = true;
                } else if unsent <= self.low_water_bytes {
                    connection.congested = false;
                }
                if sent == Sent::More && !connection.unsent_listed {
                    connection.unsent_listed = true;
                    self.unsent.push(key);
                }
            }
            Sent::Failed(reason) => {
                self.doom(key, reason);
                return;
            }
        }
        self.account(key);
    }

    /// Brings the sum of all buffers up to date with one connection's.
    fn account(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let bytes = connection.buffer_bytes();
        if bytes != connection.accounted_bytes {
            self.buffer_bytes = self.buffer_bytes - connection.accounted_bytes + bytes;
            connection.accounted_bytes = bytes;
        }
    }
}

/// Gives an output without memory that of a spare one.
pub(crate) fn lend_output<O: Outgoing + Default>(spares: &mut Vec<O>, output: &mut O) {
    if output.memory_bytes() == 0
        && let Some(spare) = spares.pop()
    {
        *output = spare;
    }
}

/// Takes the memory of an output that was sent.
fn return_output<O: Outgoing + Default>(spares: &mut Vec<O>, output: &mut O) {
    debug_assert!(output.is_empty());
    if output.memory_bytes() == 0 {
        return;
    }
    let mut spare = mem::take(output);
    if spares.len() < SPARES_MAX {
        spare.clear(SPARE_BYTES_MAX);
        spares.push(spare);
    }
}

/// What [`crate::Connections`] offers.
impl<S: Service> Network<S> {
    pub(crate) fn connections(&self) -> &Table<Connection<S>> {
        &self.connections
    }

    pub(crate) fn spares_mut(&mut self) -> &mut Vec<S::Output> {
        &mut self.spares
    }

    pub(crate) const fn high_water_bytes(&self) -> usize {
        self.high_water_bytes
    }

    pub(crate) const fn query_buffer_limit_bytes(&self) -> usize {
        self.query_buffer_limit_bytes
    }

    pub(crate) fn connections_mut(&mut self) -> &mut Table<Connection<S>> {
        &mut self.connections
    }

    pub(crate) fn with<R>(
        &mut self,
        key: Key,
        act: impl FnOnce(&mut S::Session, &mut S::Output) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(key)?;
        if matches!(connection.flow, Flow::Finishing | Flow::Doomed(_)) {
            return None;
        }
        lend_output(&mut self.spares, &mut connection.output);
        let result = act(&mut connection.session, &mut connection.output);
        if connection.output.is_empty() {
            return_output(&mut self.spares, &mut connection.output);
        } else if !connection.unsent_listed {
            connection.unsent_listed = true;
            self.unsent.push(key);
        }
        self.account(key);
        Some(result)
    }

    pub(crate) fn resume(&mut self, key: Key) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if !matches!(connection.flow, Flow::Suspended | Flow::Awaiting) {
            return false;
        }
        connection.flow = Flow::Open;
        connection.again = true;
        self.resumed.push(key);
        true
    }

    pub(crate) fn suspend(&mut self, key: Key) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if !matches!(connection.flow, Flow::Suspended | Flow::Awaiting) {
            return false;
        }
        connection.flow = Flow::Suspended;
        self.end_suspended_if_closed(key);
        true
    }

    pub(crate) fn close(&mut self, key: Key, after_flush: bool) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        if connection.is_doomed() {
            return false;
        }
        if after_flush && !connection.output.is_empty() {
            connection.flow = Flow::Finishing;
            connection.kept.free();
            self.account(key);
        } else {
            self.doom(key, CloseReason::Requested);
        }
        true
    }

    /// Memory of all connections' buffers.
    pub(crate) const fn connection_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Memory of all connections' buffers and of the worker's own, without what the end of the tick frees with connections
    /// that are being closed, and without output that was written since the last look at the sockets, which that sends.
    pub(crate) fn buffer_bytes(&self) -> usize {
        let doomed = self.doomed.iter().filter_map(|key| self.connections.get(*key));
        let ending: usize = doomed.map(|connection| connection.accounted_bytes).sum();
        let unsent = self.unsent.iter().filter_map(|key| self.connections.get(*key));
        let leaving = unsent.filter(|connection| connection.is_leaving());
        let leaving = leaving.map(|connection| connection.output.memory_bytes());
        let leaving: usize = leaving.map(|bytes| bytes.min(LEAVING_BYTES_MAX)).sum();
        let connections = self.buffer_bytes.saturating_sub(ending + leaving);
        connections + self.read_buffer.len() + self.spare_bytes()
    }

    /// Memory of outputs that are kept for the next connections that have something to send.
    pub(crate) fn spare_bytes(&self) -> usize {
        self.spares.iter().map(Outgoing::memory_bytes).sum()
    }

    /// Frees it.
    pub(crate) fn free_spares(&mut self) {
        self.spares = Vec::new();
    }

    /// Marks a connection for removal at the end of the tick. The first reason counts.
    pub(crate) fn doom(&mut self, key: Key, reason: CloseReason) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.is_doomed()
        {
            connection.flow = Flow::Doomed(reason);
            self.doomed.push(key);
        }
    }
}

/// What of `unsent` bytes counts against a limit.
pub(crate) fn limited_bytes(unsent: usize, allowance: usize) -> usize {
    let blocks = unsent.saturating_sub(allowance).div_ceil(OUTPUT_BLOCK_BYTES);
    blocks.saturating_mul(OUTPUT_BLOCK_BYTES)
}

/// Limits of unsent output.
impl<S: Service> Network<S> {
    /// Closes a connection whose output is above its limit: the hard one, or the soft one for longer
    /// than it may be. Looked at before sending, as in Redis, so that what a limit allows does not
    /// depend on how fast the peer reads.
    #[cold]
    fn limit_output(&mut self, service: &S, key: Key) {
        let now_seconds = self.now_seconds;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let limit = service.output_limit(&connection.session);
        let bytes = limited_bytes(connection.output.len(), service.output_allowance());
        if limit.soft_bytes == 0 || bytes < limit.soft_bytes {
            connection.above_soft_since = None;
        } else if connection.above_soft_since.is_none() {
            connection.above_soft_since = Some(now_seconds);
            if !mem::replace(&mut connection.soft_listed, true) {
                self.above_soft.push(key);
            }
        }
        let soft_for = connection.above_soft_since.map_or(0, |since| now_seconds - since);
        let above_hard = limit.hard_bytes > 0 && bytes >= limit.hard_bytes;
        if above_hard || soft_for > limit.soft_seconds {
            self.doom(key, CloseReason::OutputLimit);
        }
    }

    /// Looks at the connections above their soft limit once a second: nothing else may happen to them.
    pub(crate) fn limit_listed(&mut self, service: &S) {
        if self.above_soft.is_empty() || self.now_seconds == self.soft_checked_at_seconds {
            return;
        }
        self.soft_checked_at_seconds = self.now_seconds;
        let mut listed = mem::take(&mut self.above_soft);
        listed.retain(|&key| {
            self.limit_output(service, key);
            let Some(connection) = self.connections.get_mut(key) else { return false };
            connection.soft_listed =
                connection.above_soft_since.is_some() && !connection.is_doomed();
            connection.soft_listed
        });
        listed.append(&mut self.above_soft);
        self.above_soft = listed;
    }

    /// When [`Network::limit_listed`] has something to look at.
    pub(crate) fn limit_deadline(&self) -> Option<Instant> {
        let next = Duration::from_secs(u64::from(self.now_seconds) + 1);
        (!self.above_soft.is_empty()).then(|| self.started + next)
    }
}

/// The idle timeout, and the end of everything.
impl<S: Service> Network<S> {
    pub(crate) fn idle_for(&self, connection: &Connection<S>) -> Duration {
        Duration::from_secs(u64::from(self.now_seconds - connection.active_at_seconds))
    }

    /// Closes what was idle for too long. There is no timer per connection: a look at all of them
    /// finds the one that can be the next to exceed the timeout, and the next look is due then.
    pub(crate) fn close_idle(&mut self) {
        let timeout = self.tunables.idle_timeout_seconds();
        let now = self.now_seconds;
        if timeout == 0 {
            self.idle_check_at_seconds = None;
            self.idle_timeout_seconds = 0;
            return;
        }
        let changed = mem::replace(&mut self.idle_timeout_seconds, timeout) != timeout;
        if !changed && self.idle_check_at_seconds.is_some_and(|at| now < at) {
            return;
        }
        let mut idle = Vec::new();
        let mut oldest = now;
        for (key, connection) in self.connections.iter() {
            if connection.idle_exempt
                || matches!(connection.flow, Flow::Suspended | Flow::Apart | Flow::Doomed(_))
            {
                continue;
            }
            if now - connection.active_at_seconds > timeout {
                idle.push(key);
            } else {
                oldest = oldest.min(connection.active_at_seconds);
            }
        }
        for key in idle {
            self.doom(key, CloseReason::Idle);
        }
        self.idle_check_at_seconds = Some(oldest.saturating_add(timeout).saturating_add(1));
    }

    /// When [`Network::close_idle`] has something to look at; `None` when there is nothing to
    /// close.
    pub(crate) fn idle_deadline(&self) -> Option<Instant> {
        if self.connections.count() == 0 {
            return None;
        }
        let at = self.idle_check_at_seconds?;
        Some(self.started + Duration::from_secs(at.into()))
    }

    /// No more reading.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether everything that was read is answered and everything answered is sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.connections.iter().all(|(_, connection)| {
            let in_progress = match connection.flow {
                Flow::Open => connection.again,
                Flow::Awaiting | Flow::Apart => true,
                Flow::Suspended | Flow::Finishing => false,
                Flow::Doomed(_) => return true,
            };
            !in_progress && connection.output.is_empty()
        })
    }

    pub(crate) fn close_all(&mut self) {
        let keys: Vec<Key> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.doom(key, CloseReason::Shutdown);
        }
    }
}
