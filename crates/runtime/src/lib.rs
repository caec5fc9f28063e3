//! The thread-per-core runtime: worker threads, the network driver, mailboxes between workers,
//! listeners, clocks, signals and background work.
//!
//! It carries bytes between sockets and a [`Service`] and letters between workers. It knows no
//! command, no RESP and no value, and it is the only crate that names glommio, io_uring, threads or
//! the system clock. `docs/runtime.md` has the measurements behind it.
//!
//! Read [`service`] first: it is the whole contract with the crate above. Then [`connections`]
//! (what a worker may do with its other connections), [`apart`] (a connection whose command can take long), [`post`] (letters to other workers),
//! [`config`], [`runtime`] and [`handle`] (starting, changing and stopping), [`background`] and
//! [`files`] (work beside the network), [`http`] (the endpoint for metrics and probes), [`crash`]
//! (what is told of a fatal signal), [`process`] (leaving the terminal). Inside, `worker` is the
//! loop, `network` the driver,
//! `mailbox` the wake-up handshake, `host` the two hosts.

// Denied by the workspace; `allocator`, `crash`, `process`, `stopwatch` and `title` say why they need it.

pub mod allocator;
pub mod apart;
pub mod arrivals;
pub mod background;
pub mod clock;
pub mod config;
pub mod connections;
pub mod crash;
pub mod dialogue;
pub mod files;
pub mod handle;
pub mod http;
pub mod link;
pub mod outgoing;
pub mod peer;
pub mod post;
pub mod process;
pub mod reactor;
pub mod runtime;
pub mod service;
pub mod stopwatch;
pub mod title;

mod acceptor;
mod blocking;
mod census;
mod connect;
mod connection;
mod host;
mod kept;
mod listener;
mod listening;
mod mailbox;
mod network;
mod placement;
mod shared;
mod shutdown;
mod signals;
mod socket;
mod table;
mod worker;

pub use allocator::Allocator;
pub use apart::Turns;
pub use arrivals::Arrivals;
pub use background::{Background, Share};
pub use clock::{Turn, wall_clock};
pub use config::{BindAddress, ListenerConfig, Pinning, RuntimeConfig, Tunables};
pub use connections::{ConnectionInfo, Connections};
pub use dialogue::Dialogue;
pub use files::{File, Files};
pub use handle::{ListenHandle, RuntimeHandle, ShutdownHandle, StartError, WorkerPanicked};
pub use http::{HttpAnswer, HttpEndpoint};
pub use link::{Arrival, Ends, Link, Scissors};
pub use outgoing::Outgoing;
pub use peer::{ConnectionId, PeerAddress, PeerInfo};
pub use post::{Post, RemotePost};
pub use reactor::{Reactor, ReactorChoice, ReactorKind};
pub use runtime::{WorkerContext, start};
pub use service::{
    CloseReason, Io, NextTick, OutputLimit, Progress, Refusal, Service, Stopping, Then,
};
pub use signals::{DecideOnSignal, EndSignal, OnSignal};
pub use stopwatch::{Stopwatch, Ticks};

/// The synchronization `mailbox` is written with; its model test puts loom's here.
mod sync {
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}
