//! One connection: its socket, its buffers, and what it waits for.

use crate::kept::Kept;
use crate::socket::{Transfer, transmit, transmit_pieces};
use crate::{CloseReason, Outgoing, Service};
use std::io::IoSlice;
use std::os::fd::OwnedFd;

/// What decides whether [`Service::receive`] may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It may.
    Open,
    /// Not until resumed; a disconnect ends it.
    Suspended,
    /// Not until resumed; a disconnect waits.
    Awaiting,
    /// Only apart from the others; is in the list of those that wait for that.
    Apart,
    /// Never again; closes once its output is sent.
    Finishing,
    /// Never again; is in the list of connections to remove.
    Doomed(CloseReason),
}

/// A connection in a worker's table. An idle one holds no buffers.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one socket")]
pub(crate) struct Connection<S: Service> {
    pub(crate) socket: OwnedFd,
    pub(crate) flow: Flow,
    /// The socket may have input: an edge came and no short read since.
    pub(crate) readable: bool,
    /// The peer closed its sending side: what is unread ends with an end of stream.
    pub(crate) read_closed: bool,
    /// The socket took less than it was given: no use writing before the next edge.
    pub(crate) send_blocked: bool,
    /// Unsent output rose above the high-water mark and is not yet below the low one.
    pub(crate) congested: bool,
    /// `receive` is due, with or without new input.
    pub(crate) again: bool,
    /// Is in the list of runnable connections.
    pub(crate) queued: bool,
    /// The service does not want its output to be sent yet; is in the list of those.
    pub(crate) withheld: bool,
    /// Is in the list of connections with output to send.
    pub(crate) unsent_listed: bool,
    /// The idle timeout does not apply.
    pub(crate) idle_exempt: bool,
    /// Counts among the open connections and its worker's load.
    pub(crate) counted: bool,
    /// A unix socket: its write edges are asked for only while blocked, because the kernel reports
    /// one for every read of the peer.
    pub(crate) local: bool,
    /// Seconds since the worker started, at the last transfer.
    pub(crate) active_at_seconds: u32,
    /// Since when its output is above the soft limit, in the same seconds.
    pub(crate) above_soft_since: Option<u32>,
    /// Is in the list of connections above their soft limit.
    pub(crate) soft_listed: bool,
    /// Its part of the worker's `buffer_bytes`.
    pub(crate) accounted_bytes: usize,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) kept: Kept,
    pub(crate) output: S::Output,
    pub(crate) session: S::Session,
}

/// Slices given to one system call.
const SLICES_MAX: usize = 16;
/// System calls per connection and tick: a reader as fast as we are must not keep the others
/// waiting.
const SENDS_PER_TICK_MAX: usize = 8;

/// How sending went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// There is nothing left.
    All,
    /// The socket is full.
    Blocked,
    /// Enough for this tick.
    More,
    /// The socket failed.
    Failed(CloseReason),
}

impl<S: Service> Connection<S> {
    /// A fresh one, with nothing to read or send yet.
    pub(crate) fn new(socket: OwnedFd, session: S::Session, local: bool, now_seconds: u32) -> Self {
        Self {
            socket,
            flow: Flow::Open,
            readable: false,
            read_closed: false,
            send_blocked: false,
            congested: false,
            again: false,
            queued: false,
            withheld: false,
            unsent_listed: false,
            idle_exempt: false,
            counted: true,
            local,
            active_at_seconds: now_seconds,
            above_soft_since: None,
            soft_listed: false,
            accounted_bytes: 0,
            received_bytes: 0,
            sent_bytes: 0,
            kept: Kept::default(),
            output: S::Output::default(),
            session,
        }
    }

    /// Sends from the front of the output.
    pub(crate) fn send(&mut self) -> Sent {
        if self.output.is_empty() {
            return Sent::All;
        }
        if self.send_blocked {
            return Sent::Blocked;
        }
        for _ in 0..SENDS_PER_TICK_MAX {
            let (offered, transfer) = self.transmit();
            debug_assert!(offered > 0, "an output that is not empty has pieces");
            match transfer {
                Transfer::Bytes(count) => {
                    self.sent_bytes += count as u64;
                    self.output.advance(count);
                    if self.output.is_empty() {
                        return Sent::All;
                    }
                    if count < offered {
                        return Sent::Blocked;
                    }
                }
                Transfer::Blocked => return Sent::Blocked,
                Transfer::Failed(kind) => return Sent::Failed(CloseReason::Failed(kind)),
            }
        }
        Sent::More
    }

    /// One write from the front of the output: the bytes offered, and what came of it.
    fn transmit(&self) -> (usize, Transfer) {
        if let Some(bytes) = self.output.contiguous() {
            return (bytes.len(), transmit(&self.socket, bytes));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = self.output.io_slices(&mut slices);
        let slices = &slices[..filled];
        let offered = slices.iter().map(|slice| slice.len()).sum();
        (offered, transmit_pieces(&self.socket, slices))
    }

    /// Whether `receive` can be called for a reason of its own.
    pub(crate) fn has_work(&self) -> bool {
        self.flow == Flow::Open
            && !self.congested
            && !self.withheld
            && (self.again || self.readable)
    }

    /// Memory of both buffers.
    pub(crate) fn buffer_bytes(&self) -> usize {
        if self.output.is_empty() && self.kept.memory_bytes() == 0 {
            return 0;
        }
        self.kept.memory_bytes() + self.output.memory_bytes()
    }

    /// Whether its output is sent as soon as its turn comes, as far as is known.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.send_blocked && !self.withheld && !self.is_doomed()
    }

    pub(crate) fn is_doomed(&self) -> bool {
        matches!(self.flow, Flow::Doomed(_))
    }
}
