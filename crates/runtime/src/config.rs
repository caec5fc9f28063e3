//! What a runtime is started with, and what can be changed while it runs.

use crate::Reactor;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything [`crate::start`] needs but the service.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Worker threads; `None`: [`std::thread::available_parallelism`], which honours the affinity mask
    /// and the cgroup quota.
    pub workers: Option<NonZeroUsize>,
    /// Which host.
    pub reactor: Reactor,
    /// Whether workers are bound to CPUs.
    pub pinning: Pinning,
    /// Where to listen. May be empty.
    pub listeners: Vec<ListenerConfig>,
    /// Seconds of silence before TCP keepalive probes; 0: off.
    pub tcp_keepalive_seconds: u32,
    /// Unsent output above which a connection's input is left alone.
    pub output_high_water_bytes: usize,
    /// Unsent output below which it is looked at again, below the high water.
    pub output_low_water_bytes: usize,
    /// Initial value of the tunable of this name. 0: off.
    pub idle_timeout_seconds: u32,
    /// Initial value of the tunable of this name.
    pub query_buffer_limit_bytes: usize,
    /// How long a shutdown waits for output to be taken, at most.
    pub shutdown_grace: Duration,
    /// Whether SIGTERM and SIGINT shut the runtime down (a second SIGINT exits at once), and SIGPIPE and
    /// SIGHUP are ignored.
    pub handle_signals: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            workers: None,
            reactor: Reactor::Auto,
            pinning: Pinning::Auto,
            listeners: Vec::new(),
            tcp_keepalive_seconds: 300,
            output_high_water_bytes: 1 << 20,
            output_low_water_bytes: 256 << 10,
            idle_timeout_seconds: 0,
            query_buffer_limit_bytes: 1 << 30,
            shutdown_grace: Duration::from_secs(4),
            handle_signals: true,
        }
    }
}

/// Whether each worker is bound to one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Only where the affinity mask or a whole-CPU quota says CPUs are ours and there is a worker for each.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where.
    pub address: BindAddress,
    /// Length of the kernel's queue of connections not yet accepted.
    pub backlog: u32,
    /// An address this machine does not have is skipped instead of an error (`-` in front of it in a
    /// configuration file).
    pub optional: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// TCP. Port 0 lets the kernel choose.
    Tcp {
        /// The address; an IPv6 one never takes IPv4 connections as well.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix {
        /// Replaces a stale socket file.
        path: PathBuf,
        /// File mode; `None`: the umask decides. In force before anybody can connect.
        mode: Option<u32>,
    },
}

/// A word of a `bind` line that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError(pub String);

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not an address to bind to: {}", self.0)
    }
}

impl std::error::Error for BindError {}

impl ListenerConfig {
    /// A TCP listener from a word of a `bind` line: an IPv4 or IPv6 address, `*` (all of IPv4), `::*`
    /// (all of IPv6), each with an optional leading `-`.
    pub fn tcp(word: &str, port: u16, backlog: u32) -> Result<Self, BindError> {
        let _ = (word, port, backlog);
        unimplemented!()
    }
}

/// Settings that can be changed while the runtime runs. Shared by all workers; changes are seen at
/// their next tick.
#[derive(Clone, Debug)]
pub struct Tunables {
    shared: Arc<()>,
}

impl Tunables {
    /// Seconds without input after which a connection is closed; 0: never.
    pub fn set_idle_timeout_seconds(&self, seconds: u32) {
        let _ = (seconds, &self.shared);
        unimplemented!()
    }

    /// Unconsumed input of one connection above which it is closed.
    pub fn set_query_buffer_limit_bytes(&self, bytes: usize) {
        let _ = (bytes, &self.shared);
        unimplemented!()
    }

    /// For connections accepted from now on; 0: off.
    pub fn set_tcp_keepalive_seconds(&self, seconds: u32) {
        let _ = (seconds, &self.shared);
        unimplemented!()
    }
}
