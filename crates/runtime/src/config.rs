//! What a runtime is started with, and what can be changed while it runs.

use crate::{DecideOnSignal, Reactor};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Everything [`crate::start`] needs but the service.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Worker threads; `None`: [`std::thread::available_parallelism`], which honours the affinity
    /// mask and the cgroup quota.
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
    /// Whether SIGTERM and SIGINT are answered, and SIGPIPE and SIGHUP ignored.
    pub handle_signals: bool,
    /// What they do.
    pub on_signal: DecideOnSignal,
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
            on_signal: DecideOnSignal::default(),
        }
    }
}

/// Whether each worker is bound to one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Only where the affinity mask or a whole-CPU quota says CPUs are ours and there is a worker
    /// for each.
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
    /// An address this machine does not have is skipped instead of an error (`-` in front of it in
    /// a configuration file).
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

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { ip, port } => SocketAddr::new(*ip, *port).fmt(f),
            Self::Unix { path, .. } => path.display().fmt(f),
        }
    }
}

/// A word of a `bind` line that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError(pub String);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an address to bind to: {}", self.0)
    }
}

impl std::error::Error for BindError {}

impl ListenerConfig {
    /// A TCP listener from a word of a `bind` line: an IPv4 or IPv6 address, `*` (all of IPv4),
    /// `::*` (all of IPv6) or a host name (the first address it resolves to), each with an optional
    /// leading `-` for [`ListenerConfig::optional`]. Resolving a name may block.
    pub fn tcp(word: &str, port: u16, backlog: u32) -> Result<Self, BindError> {
        let (optional, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let ip = match name {
            "" => return Err(BindError(word.to_owned())),
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            name => match name.parse() {
                Ok(ip) => ip,
                Err(_) => resolve(name).ok_or_else(|| BindError(word.to_owned()))?,
            },
        };
        Ok(Self { address: BindAddress::Tcp { ip, port }, backlog, optional })
    }
}

fn resolve(name: &str) -> Option<IpAddr> {
    (name, 0).to_socket_addrs().ok()?.next().map(|address| address.ip())
}

/// Settings that can be changed while the runtime runs. Shared by all workers; changes are seen at
/// their next tick.
#[derive(Clone, Debug)]
pub struct Tunables {
    shared: Arc<Settings>,
}

#[derive(Debug)]
struct Settings {
    idle_timeout_seconds: AtomicU32,
    query_buffer_limit_bytes: AtomicUsize,
    tcp_keepalive_seconds: AtomicU32,
    /// Wakes all workers so that they look; set once they exist.
    on_change: OnceLock<WakeAll>,
}

/// Rings every worker's bell.
#[derive(Clone)]
pub(crate) struct WakeAll(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for WakeAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WakeAll")
    }
}

impl Tunables {
    pub(crate) fn new(config: &RuntimeConfig) -> Self {
        let shared = Settings {
            idle_timeout_seconds: config.idle_timeout_seconds.into(),
            query_buffer_limit_bytes: config.query_buffer_limit_bytes.into(),
            tcp_keepalive_seconds: config.tcp_keepalive_seconds.into(),
            on_change: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Seconds without traffic after which a connection is closed; 0: never.
    pub fn set_idle_timeout_seconds(&self, seconds: u32) {
        self.shared.idle_timeout_seconds.store(seconds, Ordering::Relaxed);
        if let Some(WakeAll(wake_all)) = self.shared.on_change.get() {
            wake_all();
        }
    }

    /// Unconsumed input of one connection above which it is closed.
    pub fn set_query_buffer_limit_bytes(&self, bytes: usize) {
        self.shared.query_buffer_limit_bytes.store(bytes, Ordering::Relaxed);
    }

    /// For connections accepted from now on; 0: off.
    pub fn set_tcp_keepalive_seconds(&self, seconds: u32) {
        self.shared.tcp_keepalive_seconds.store(seconds, Ordering::Relaxed);
    }

    /// To be called once, when there are workers to wake.
    pub(crate) fn connect(&self, wake_all: WakeAll) {
        let connected = self.shared.on_change.set(wake_all);
        debug_assert!(connected.is_ok(), "tunables belong to one runtime");
    }

    pub(crate) fn idle_timeout_seconds(&self) -> u32 {
        self.shared.idle_timeout_seconds.load(Ordering::Relaxed)
    }

    pub(crate) fn query_buffer_limit_bytes(&self) -> usize {
        self.shared.query_buffer_limit_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn tcp_keepalive_seconds(&self) -> u32 {
        self.shared.tcp_keepalive_seconds.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_bind_line_become_addresses() {
        let cases = [
            ("*", "0.0.0.0:7021", false),
            ("-*", "0.0.0.0:7021", true),
            ("::*", "[::]:7021", false),
            ("-::*", "[::]:7021", true),
            ("127.0.0.1", "127.0.0.1:7021", false),
            ("-::1", "[::1]:7021", true),
        ];
        for (word, address, optional) in cases {
            let config = ListenerConfig::tcp(word, 7021, 511).unwrap();
            assert_eq!(config.address.to_string(), address, "{word}");
            assert_eq!(config.optional, optional, "{word}");
        }
    }

    #[test]
    fn a_word_that_is_no_address_is_refused_by_name() {
        for word in ["", "-", "300.1.1.1.1", "no such host"] {
            let error = ListenerConfig::tcp(word, 7021, 511).unwrap_err();
            assert_eq!(error, BindError(word.to_owned()));
        }
    }
}
