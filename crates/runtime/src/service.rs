//! What runs on the runtime: one [`Service`] per worker.
//!
//! The driver calls the service, never the other way round. Within one *tick* (one pass of a
//! worker's loop) the order is:
//!
//! 1. input of ready connections: up to 64 of them are read, [`Service::mail`] with letters that are there
//!    by then, [`Service::receive_all`], then their output is sent; [`Service::receive`] for those that had
//!    more to do; [`Service::receive_apart`] for those that asked for it, here and in 5;
//! 2. sleeping workers that got letters are kicked;
//! 3. letters: new connections ([`Service::open`]) and [`Service::mail`];
//! 4. [`Service::tick`];
//! 5. input of connections that 3 and 4 resumed, then output that 3 and 4 wrote is sent, and
//!    [`Service::served`];
//! 6. [`Service::closed`] for connections that ended;
//! 7. sleeping workers that got letters meanwhile are kicked;
//! 8. a slice of the background futures, and kicks for their letters; the worker may sleep.
//!
//! Everything here runs on the worker's own thread and must not block.

use crate::{Arrivals, ConnectionId, Connections, Outgoing, PeerInfo, Turn, Turns};
use std::sync::Arc;
use std::time::Duration;

/// A protocol server, one instance per worker, made and dropped on the worker's thread.
pub trait Service: Sized + 'static {
    /// State of one connection. Stays on the worker that opened it.
    type Session: 'static;
    /// What workers send each other.
    type Mail: Send + 'static;
    /// Bytes on their way out. `Default` must not allocate.
    type Output: Outgoing + Default + 'static;

    /// A connection was given to this worker: make its session, or refuse it with last words. After
    /// a refusal [`Service::closed`] is not called.
    fn open(
        &mut self,
        id: ConnectionId,
        peer: &PeerInfo,
        turn: &Turn,
    ) -> Result<Self::Session, Refusal>;

    /// There is input not consumed so far, or the connection was resumed. `io.input` is everything
    /// not consumed yet, contiguous; it can be empty after a resume. It is not called while a
    /// connection is suspended, closing, or above its high-water mark of unsent output.
    fn receive(&mut self, session: &mut Self::Session, io: Io<'_, Self::Output>) -> Progress;

    /// Several connections have input: one [`Service::receive`] for each, in any order, and
    /// [`Arrivals::conclude`] with its answer. For a service that gains by doing them together.
    fn receive_all(&mut self, arrivals: &mut Arrivals<'_, Self>) {
        for place in 0..arrivals.len() {
            let (session, io) = arrivals.at(place);
            let progress = self.receive(session, io);
            arrivals.conclude(place, progress);
        }
    }

    /// [`Service::receive`] for a connection that asked to be served apart ([`Then::Apart`]): no other
    /// one is being served, and the rest of the worker can go on meanwhile with `turns`.
    fn receive_apart(
        &mut self,
        session: &mut Self::Session,
        io: Io<'_, Self::Output>,
        turns: &mut Turns<'_, Self>,
    ) -> Progress {
        let _ = turns;
        self.receive(session, io)
    }

    /// How many bytes of input, from the first that was not consumed, have to be there before the service can go on with a
    /// connection; 0 if that is not known, or soon. A peer chooses this number. Asked when input is kept.
    fn awaited_bytes(&self, session: &Self::Session) -> usize {
        let _ = session;
        0
    }

    /// Whether a letter that comes while a connection is served apart is left until it has been.
    fn defers(&self, mail: &Self::Mail) -> bool {
        let _ = mail;
        false
    }

    /// A letter, from another worker or from this one. Letters of one sender arrive in order.
    fn mail(&mut self, mail: Self::Mail, connections: &mut Connections<'_, Self>);

    /// Whether this worker may stop: asked every tick once a shutdown was begun, until every worker
    /// said [`Stopping::Ready`]. Until then everything is served as usual. The place to save what
    /// must be saved.
    fn stopping(&mut self, connections: &mut Connections<'_, Self>) -> Stopping {
        let _ = connections;
        Stopping::Ready
    }

    /// How much unsent output a connection may have. Asked before its output is sent when there is more
    /// than [`Service::output_allowance`], and once a second while it is above the soft limit. What is
    /// beyond the allowance counts in blocks ([`crate::ConnectionInfo::OUTPUT_BLOCK_BYTES`]).
    fn output_limit(&self, session: &Self::Session) -> OutputLimit {
        let _ = session;
        OutputLimit::default()
    }

    /// Unsent output that counts against no limit.
    fn output_allowance(&self) -> usize {
        crate::ConnectionInfo::OUTPUT_ALLOWANCE_BYTES
    }

    /// Output of some connections is about to be sent.
    fn about_to_send(&self) {}

    /// Whether the output of a connection is not to be sent yet. Asked before it is; if so, it is asked again
    /// after [`Connections::release_withheld`]. Nothing of what the connection is answered overtakes it.
    fn withholds(&self, session: &mut Self::Session) -> bool {
        let _ = session;
        false
    }

    /// Called once per tick, after input and letters, also when there were none. Background work
    /// goes here in slices. The answer is how long the worker may sleep.
    fn tick(&mut self, connections: &mut Connections<'_, Self>) -> NextTick;

    /// The connections resumed by letters and by [`Service::tick`] have been served: whatever was kept
    /// for them can be let go of. Called once per tick.
    fn served(&mut self) {}

    /// The connection is gone; nothing more can be sent. Called exactly once per opened session.
    fn closed(
        &mut self,
        id: ConnectionId,
        session: Self::Session,
        reason: CloseReason,
        turn: &Turn,
    );
}

/// What [`Service::receive`] works with.
#[derive(Debug)]
pub struct Io<'a, O> {
    /// All input not consumed so far.
    pub input: &'a [u8],
    /// The buffer that it lies in, if that is big: whoever holds it on keeps the input from being copied.
    pub shared: Option<&'a Arc<Vec<u8>>>,
    /// Where replies go. Holds what the socket has not taken yet, if anything.
    pub output: &'a mut O,
    /// Whose input it is.
    pub id: ConnectionId,
    /// The time, read once per tick.
    pub turn: &'a Turn,
    /// Unsent output above which `receive` is not called ([`crate::RuntimeConfig`]). A service that
    /// finds `output.len()` above it between two requests should stop there with [`Then::Again`],
    /// so that a pipeline of small requests for large replies stays bounded.
    pub output_high_water_bytes: usize,
}

/// The result of [`Service::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of `io.input` that are dealt with, `0..=io.input.len()`. The rest is kept and shown
    /// again, with what arrives later appended.
    pub consumed: usize,
    /// What the connection waits for now.
    pub then: Then,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More input.
    Read,
    /// [`Connections::resume`], for something that can take for ever (a blocked client). Input that
    /// arrives meanwhile stays in the socket. A peer that closes its sending side is gone at once,
    /// as with Redis's blocked clients.
    Suspend,
    /// [`Connections::resume`], for something that other workers are about to answer. A peer that
    /// closes its sending side still gets the answers to what it sent before: the end is acted on
    /// after the resumption. A shutdown waits for it.
    Await,
    /// The next tick, whether or not more input arrives: there is more to do, others go first.
    Again,
    /// [`Service::receive_apart`], in this tick: what comes next can take long.
    Apart,
    /// Nothing: send what is in the output, then close. Input that still comes is dropped.
    CloseAfterFlush,
    /// Nothing: close now, unsent output is lost.
    Close,
    /// The same, for being answered with more than [`Service::output_limit`] allows.
    CloseAboveLimit,
}

/// Limits of a connection's unsent output, above which it is closed. 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// At once, in bytes.
    pub hard_bytes: usize,
    /// When it stays above for longer than `soft_seconds`, in bytes.
    pub soft_bytes: usize,
    /// Whole seconds.
    pub soft_seconds: u32,
}

/// When [`Service::tick`] wants to be called again at the latest. A worker with nothing to do
/// sleeps until then; any event or letter makes a tick earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NextTick {
    /// At once: there is background work left. The network is looked at in between.
    Now,
    /// After this long, counted from [`Turn::instant`]. Resolution 1 ms, rounded up.
    After(Duration),
    /// Only when something happens.
    Idle,
}

/// What a worker answers to a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// Nothing to do any more.
    Ready,
    /// Not yet; ask again next tick ([`Service::tick`] says when that is at the latest).
    Wait,
    /// Call the shutdown off, on all workers.
    Cancel,
}

/// Why [`Service::open`] did not take a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Sent if the socket takes them at once, before closing. May be empty.
    pub last_words: std::borrow::Cow<'static, [u8]>,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed its sending side. Unsent output is dropped, as Redis does.
    PeerClosed,
    /// The socket failed, typically a reset.
    Failed(std::io::ErrorKind),
    /// The service asked for it ([`Then::Close`], [`Then::CloseAfterFlush`],
    /// [`Connections::close`]).
    Requested,
    /// No traffic for longer than [`crate::Tunables::set_idle_timeout_seconds`].
    Idle,
    /// More unconsumed input than [`crate::Tunables::set_query_buffer_limit_bytes`].
    QueryBufferLimit,
    /// More unsent output than [`Service::output_limit`] allows.
    OutputLimit,
    /// The runtime shut down.
    Shutdown,
}
