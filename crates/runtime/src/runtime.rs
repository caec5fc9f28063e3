//! Starting workers and stopping them.

use crate::{
    Background, PeerAddress, Post, ReactorChoice, RemotePost, RuntimeConfig, Service, Tunables,
};
use darter_base::WorkerId;
use std::marker::PhantomData;
use std::{fmt, io};

/// What the service factory gets, on the worker's own thread.
#[derive(Debug)]
pub struct WorkerContext<M> {
    /// The worker the service is for.
    pub worker: WorkerId,
    /// How many workers there are.
    pub worker_count: usize,
    /// Mailboxes of all workers.
    pub post: Post<M>,
    /// Background work on this worker.
    pub background: Background,
    /// What can be changed while running.
    pub tunables: Tunables,
}

/// Binds the listeners, starts the workers and returns once all serve. `factory` runs once on each
/// worker's thread.
pub fn start<S, F>(config: RuntimeConfig, factory: F) -> Result<RuntimeHandle<S::Mail>, StartError>
where
    S: Service,
    F: Fn(WorkerContext<S::Mail>) -> S + Send + Sync + 'static,
{
    let _ = (config, factory);
    unimplemented!()
}

/// A running runtime. Dropping it does not stop the workers.
#[derive(Debug)]
pub struct RuntimeHandle<M> {
    kind: PhantomData<M>,
}

impl<M: Send + 'static> RuntimeHandle<M> {
    /// Which host runs and why.
    pub fn reactor(&self) -> &ReactorChoice {
        unimplemented!()
    }

    /// Where it listens, in the order of the configuration; `None` for a skipped optional address.
    pub fn addresses(&self) -> &[Option<PeerAddress>] {
        unimplemented!()
    }

    /// Connections open in the whole process.
    pub fn open_connections(&self) -> usize {
        unimplemented!()
    }

    /// Mailboxes of all workers.
    pub fn post(&self) -> RemotePost<M> {
        unimplemented!()
    }

    /// What can be changed while running.
    pub fn tunables(&self) -> &Tunables {
        unimplemented!()
    }

    /// For anyone who may end it all.
    pub fn shutdown(&self) -> ShutdownHandle {
        unimplemented!()
    }

    /// Waits until all workers have ended, after a shutdown was begun by a signal or a handle.
    pub fn join(self) {
        unimplemented!()
    }
}

/// Begins a shutdown. Any thread, any number of times.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {}

impl ShutdownHandle {
    /// Stops accepting, lets receives finish, sends what is left, ends within
    /// [`RuntimeConfig::shutdown_grace`] and a second.
    pub fn begin(&self) {
        unimplemented!()
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
