//! The input of several connections at once, as [`Service::receive_all`] sees it.

use crate::connection::Connection;
use crate::table::{Key, Table};
use crate::{ConnectionId, Io, Progress, Service, Then, Turn};

/// Connections that were read and whose input is to be shown: a list of `len()` places. A connection
/// stands in it at most once, and none of them is gone.
pub struct Arrivals<'a, S: Service> {
    pub(crate) list: &'a mut [Arrival],
    pub(crate) connections: &'a mut Table<Connection<S>>,
    pub(crate) read_buffer: &'a [u8],
    pub(crate) turn: &'a Turn,
    pub(crate) output_high_water_bytes: usize,
}

/// One connection's input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) key: Key,
    /// `read_buffer[begin..end]` is shown, of which the first `prefix` bytes were kept before.
    pub(crate) begin: usize,
    pub(crate) prefix: usize,
    pub(crate) end: usize,
    pub(crate) progress: Progress,
}

/// What a service that says nothing about an arrival has done with it.
pub(crate) const NOTHING_CONSUMED: Progress = Progress { consumed: 0, then: Then::Read };

impl<S: Service> Arrivals<'_, S> {
    /// How many connections there are, at least 1.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The time, read once per tick.
    pub fn turn(&self) -> &Turn {
        self.turn
    }

    /// The session and the input of the connection at `place`: the same as [`Service::receive`] gets.
    #[inline]
    pub fn at(&mut self, place: usize) -> (&mut S::Session, Io<'_, S::Output>) {
        let Arrival { key, begin, end, .. } = self.list[place];
        let connection =
            self.connections.get_mut(key).expect("connections are removed at the end of a tick");
        let id = ConnectionId {
            worker: self.turn.worker,
            position: key.position,
            generation: key.generation,
        };
        let io = Io {
            input: &self.read_buffer[begin..end],
            shared: None,
            output: &mut connection.output,
            id,
            turn: self.turn,
            output_high_water_bytes: self.output_high_water_bytes,
        };
        (&mut connection.session, io)
    }

    /// Says what was done with the input at `place`. To be called once for each.
    ///
    /// # Panics
    /// When more was consumed than there is.
    #[inline]
    pub fn conclude(&mut self, place: usize, progress: Progress) {
        let arrival = &mut self.list[place];
        let shown = arrival.end - arrival.begin;
        assert!(progress.consumed <= shown, "a service consumed more than it was shown");
        arrival.progress = progress;
    }
}
