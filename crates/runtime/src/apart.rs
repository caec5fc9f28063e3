//! Serving one connection apart from the others.
//!
//! What a service runs for one connection keeps its worker's others waiting. Where that can take long, the
//! service asks to be called apart ([`Then::Apart`](crate::Then::Apart)): not within a batch, and with
//! [`Turns`], by which it gives everybody else their turns while it is at it. The loop is entered once more
//! then, from within: it does all that a tick does but sleep, stop, and serve another connection apart.
//!
//! The connection is taken out of the table meanwhile, so that it is borrowed by nobody but its own
//! command. For everybody else it is as if it were gone; what is to reach it is put off
//! ([`Service::defers`]), and what its socket reports is remembered ([`Lent`]).

use crate::connection::{Connection, Flow};
use crate::network::{Network, lend_output};
use crate::table::Key;
use crate::worker::Driver;
use crate::{CloseReason, Io, Outgoing, Progress, Service};

/// A connection that is served apart.
pub(crate) struct Lent {
    pub(crate) key: Key,
    /// Input came meanwhile, or its end.
    pub(crate) readable: bool,
    /// The peer closed its side.
    pub(crate) ended: bool,
    /// The socket takes output again.
    pub(crate) writable: bool,
}

/// The turns of a worker's other connections, while one of them is served apart.
pub struct Turns<'a, S: Service> {
    driver: &'a mut Driver<S>,
}

impl<S: Service> Turns<'_, S> {
    /// Does what a tick does for everybody else: events, new connections, letters, [`Service::tick`].
    pub fn take(&mut self, service: &mut S) {
        self.driver.tick_within(service);
    }

    /// Shows those that wait to be served apart their input again, with the next turn: the service may
    /// have another answer by now than that they wait.
    pub fn show_waiting(&mut self) {
        self.driver.network.show_waiting();
    }
}

impl<S: Service> Driver<S> {
    /// Serves those apart that have asked for it, one after the other.
    pub(crate) fn serve_apart(&mut self, service: &mut S) {
        for _ in 0..self.network.waiting_apart() {
            let Some((key, mut connection)) = self.network.lend() else { continue };
            let turn = self.network.turn;
            let io = Io {
                input: connection.kept.as_slice(),
                shared: None,
                output: &mut connection.output,
                id: self.network.id(key),
                turn: &turn,
                output_high_water_bytes: self.network.high_water_bytes(),
            };
            let progress =
                service.receive_apart(&mut connection.session, io, &mut Turns { driver: self });
            self.network.take_back(key, connection, progress);
            // Others of this worker may have to be served apart for long: what other workers wait for, or have
            // granted, does not wait for all of them.
            self.post.kick_receivers();
            if self.shared.desks[self.id.index()].mailbox.count() > 0 {
                self.read_letters(service);
            }
        }
    }
}

impl<S: Service> Network<S> {
    /// How many wait to be served apart; some may be gone.
    pub(crate) fn waiting_apart(&self) -> usize {
        self.apart.len()
    }

    /// Whether one is being served apart.
    pub(crate) fn has_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Takes the next one out of the table that waits to be served apart.
    fn lend(&mut self) -> Option<(Key, Box<Connection<S>>)> {
        debug_assert!(self.lent.is_none(), "one at a time");
        let key = self.apart.pop_front()?;
        let high_water_bytes = self.high_water_bytes();
        let connection = self.connections_mut().get_mut(key)?;
        if connection.flow != Flow::Apart {
            return None;
        }
        connection.flow = Flow::Open;
        if connection.output.len() > high_water_bytes {
            connection.again = true;
            connection.congested = true;
            return None;
        }
        let mut connection = self.connections_mut().lend(key)?;
        lend_output(self.spares_mut(), &mut connection.output);
        self.lent = Some(Lent { key, readable: false, ended: false, writable: false });
        Some((key, connection))
    }

    /// Puts it back, and does what the service said.
    fn take_back(&mut self, key: Key, mut connection: Box<Connection<S>>, progress: Progress) {
        if let Some(lent) = self.lent.take() {
            connection.readable |= lent.readable;
            connection.read_closed |= lent.ended;
            connection.send_blocked &= !lent.writable;
        }
        // Passes from within may have taken it off the lists without finding it: it is listed anew. Twice does
        // no harm.
        connection.queued = false;
        connection.unsent_listed = false;
        connection.soft_listed = false;
        connection.above_soft_since = None;
        connection.kept.consume(progress.consumed);
        let is_overfull = connection.kept.len() > self.query_buffer_limit_bytes();
        self.connections_mut().give_back(key, connection);
        if is_overfull {
            self.doom(key, CloseReason::QueryBufferLimit);
        } else {
            self.settle(key, progress.then);
        }
    }

    /// Lets those that wait to be served apart be shown their input again.
    fn show_waiting(&mut self) {
        for key in std::mem::take(&mut self.apart) {
            if let Some(connection) = self.connections_mut().get_mut(key)
                && connection.flow == Flow::Apart
            {
                connection.flow = Flow::Open;
                connection.again = true;
                self.enqueue_if_ready(key);
            }
        }
    }
}
