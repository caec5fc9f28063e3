//! A running runtime as seen from outside: what it is doing, and how to change or end it.

use crate::runtime::Threads;
use crate::shared::Shared;
use crate::shutdown::Stage;
use crate::signals::SignalThread;
use crate::{ListenerConfig, PeerAddress, ReactorChoice, RemotePost, Tunables};
use std::sync::Arc;
use std::{fmt, io};

/// A running runtime. Dropping it does not stop the workers.
#[derive(Debug)]
pub struct RuntimeHandle<M> {
    pub(crate) shared: Arc<Shared<M>>,
    pub(crate) threads: Threads,
    /// Present when signals are handled.
    pub(crate) signals: Option<SignalThread>,
}

impl<M: Send + 'static> RuntimeHandle<M> {
    /// Which host runs and why.
    pub fn reactor(&self) -> &ReactorChoice {
        &self.threads.choice
    }

    /// Where it listens, in the order of the configuration; `None` for a skipped optional address.
    pub fn addresses(&self) -> Vec<Option<PeerAddress>> {
        self.shared.listening.addresses()
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.shared.desks.len()
    }

    /// Connections open in the whole process.
    pub fn open_connections(&self) -> usize {
        self.shared.census.open()
    }

    /// Mailboxes of all workers.
    pub fn post(&self) -> RemotePost<M> {
        RemotePost { shared: Arc::clone(&self.shared) }
    }

    /// What can be changed while running.
    pub fn tunables(&self) -> &Tunables {
        &self.shared.tunables
    }

    /// For anyone who may change where it listens.
    pub fn listen(&self) -> ListenHandle {
        ListenHandle::new(&self.shared)
    }

    /// For anyone who may end it all.
    pub fn shutdown(&self) -> ShutdownHandle {
        ShutdownHandle::new(&self.shared)
    }

    /// Waits until all workers have ended, after a shutdown was begun by a signal or a handle. An
    /// error when one had panicked; all others were stopped then.
    pub fn join(self) -> Result<(), WorkerPanicked> {
        self.join_then(|| ()).0
    }

    /// The same, and then does something, during which signals are still heard.
    pub fn join_then<R>(mut self, last: impl FnOnce() -> R) -> (Result<(), WorkerPanicked>, R) {
        let well = self.threads.join();
        let result = last();
        if let Some(signals) = self.signals.take() {
            signals.stop();
        }
        (if well { Ok(()) } else { Err(WorkerPanicked) }, result)
    }
}

/// A worker thread panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerPanicked;

impl fmt::Display for WorkerPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker thread panicked")
    }
}

impl std::error::Error for WorkerPanicked {}

/// Changes where the runtime listens. Any thread.
#[derive(Clone)]
pub struct ListenHandle {
    change: Arc<ListenChange>,
}

type ListenChange = dyn Fn(
        &[ListenerConfig],
        &mut dyn FnMut(&[Option<PeerAddress>]),
    ) -> Result<Vec<Option<PeerAddress>>, StartError>
    + Send
    + Sync;

impl ListenHandle {
    pub(crate) fn new<M: Send + 'static>(shared: &Arc<Shared<M>>) -> Self {
        let shared = Arc::clone(shared);
        Self { change: Arc::new(move |configs, opened| shared.listen(configs, opened)) }
    }

    /// Listens on `configs` and nothing else, and returns the addresses as
    /// [`RuntimeHandle::addresses`] does. A listener equal to one there is goes on without a gap.
    /// Connections are not touched. On an error everything is as before.
    pub fn change(
        &self,
        configs: &[ListenerConfig],
    ) -> Result<Vec<Option<PeerAddress>>, StartError> {
        self.change_after(configs, |_| ())
    }

    /// As [`ListenHandle::change`]; `opened` hears of the addresses when all are open and before the
    /// first client is served.
    pub fn change_after(
        &self,
        configs: &[ListenerConfig],
        mut opened: impl FnMut(&[Option<PeerAddress>]),
    ) -> Result<Vec<Option<PeerAddress>>, StartError> {
        (self.change)(configs, &mut opened)
    }
}

impl fmt::Debug for ListenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenHandle")
    }
}

/// Begins a shutdown, or calls it off. Any thread, any number of times.
#[derive(Clone)]
pub struct ShutdownHandle {
    begin: Arc<dyn Fn() + Send + Sync>,
    cancel: Arc<dyn Fn() -> bool + Send + Sync>,
    stop: Arc<dyn Fn() + Send + Sync>,
    has_begun: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl ShutdownHandle {
    pub(crate) fn new<M: Send + 'static>(shared: &Arc<Shared<M>>) -> Self {
        let (for_begin, for_stop) = (Arc::clone(shared), Arc::clone(shared));
        let (for_cancel, for_has_begun) = (Arc::clone(shared), Arc::clone(shared));
        Self {
            begin: Arc::new(move || {
                if for_begin.shutdown.begin() {
                    for_begin.wake_all();
                }
            }),
            cancel: Arc::new(move || for_cancel.shutdown.cancel()),
            stop: Arc::new(move || {
                for_stop.shutdown.stop();
                for_stop.wake_all();
            }),
            has_begun: Arc::new(move || for_has_begun.shutdown.stage() != Stage::Running),
        }
    }

    /// Asks all services whether they are ready ([`Service::stopping`]); when all are, stops
    /// accepting and reading, finishes what was read, sends what is left, and ends within
    /// [`RuntimeConfig::shutdown_grace`].
    pub fn begin(&self) {
        (self.begin)();
    }

    /// Calls it off while services are being asked. False when there is none, or when it is too late.
    pub fn cancel(&self) -> bool {
        (self.cancel)()
    }

    /// Ends all workers in their current tick: unsent output is lost.
    pub fn stop(&self) {
        (self.stop)();
    }

    /// Whether a shutdown is under way: begun, and not cancelled.
    pub fn has_begun(&self) -> bool {
        (self.has_begun)()
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutdownHandle")
    }
}

/// Why nothing was started.
#[derive(Debug)]
pub enum StartError {
    /// An address could not be bound.
    Bind {
        /// Which.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// glommio was asked for and cannot run here.
    ReactorUnavailable(String),
    /// A thread, an epoll instance or the like could not be made.
    System {
        /// What for.
        purpose: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, error } => write!(f, "could not listen on {address}: {error}"),
            Self::ReactorUnavailable(reason) => write!(f, "glommio cannot run here: {reason}"),
            Self::System { purpose, error } => write!(f, "could not {purpose}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
