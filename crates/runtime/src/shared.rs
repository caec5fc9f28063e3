//! What all threads of a runtime share.

use crate::census::Census;
use crate::config::Tunables;
use crate::listening::{Listeners, Listening};
use crate::mailbox::{Doorbell, Kick, Mailbox};
use crate::peer::Accepted;
use crate::shutdown::Shutdown;
use crate::{ListenerConfig, PeerAddress, StartError};
use std::sync::Arc;

/// One per runtime.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    /// By worker.
    pub(crate) desks: Box<[Desk<M>]>,
    pub(crate) census: Arc<Census>,
    pub(crate) tunables: Tunables,
    pub(crate) shutdown: Shutdown,
    pub(crate) listening: Listening,
}

/// Where others reach a worker.
#[derive(Debug)]
pub(crate) struct Desk<M> {
    pub(crate) mailbox: Mailbox<Letter<M>>,
    pub(crate) bell: Arc<Doorbell<WorkerKick>>,
}

/// What is in a mailbox.
#[derive(Debug)]
pub(crate) enum Letter<M> {
    /// From one service to another.
    Mail(M),
    /// From the acceptor. Boxed: most letters are not this.
    Connection(Box<Accepted>),
    /// To the acceptor: listen on these and no others.
    Listen(Listeners),
    /// Something changed that every tick looks at: the stage of the shutdown, a tunable.
    LookAround,
}

/// Ends a worker's `epoll_wait`.
#[derive(Debug)]
pub(crate) struct WorkerKick(pub(crate) mio::Waker);

impl Kick for WorkerKick {
    fn kick(&self) {
        if let Err(error) = self.0.wake() {
            // Writing to an eventfd we own does not fail; if it did, the worker would hang
            // unnoticed.
            tracing::error!(%error, "could not wake a worker");
        }
    }
}

impl<M> Shared<M> {
    /// Listens on `configs` and nothing else, from worker 0's next tick on.
    pub(crate) fn listen(
        &self,
        configs: &[ListenerConfig],
        opened: impl FnOnce(&[Option<PeerAddress>]),
    ) -> Result<Vec<Option<PeerAddress>>, StartError> {
        let desk = &self.desks[0];
        self.listening.change(configs, opened, |listeners| {
            desk.mailbox.push(Letter::Listen(listeners));
            desk.bell.ring();
        })
    }

    /// Makes every worker look around. A letter, so that it cannot be slept on.
    pub(crate) fn wake_all(&self) {
        for desk in &self.desks {
            desk.mailbox.push(Letter::LookAround);
            desk.bell.ring();
        }
    }
}
