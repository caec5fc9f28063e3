//! The configuration: typed settings, and one row per parameter from which parsing, `CONFIG GET`
//! and `CONFIG SET` are derived.

use darter_command_table::CallLimits;
use darter_resp::Limits;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Every setting that has an effect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of databases, 1..=65535.
    pub databases: u16,
    /// Most connections at a time.
    pub maxclients: usize,
    /// Longest argument and longest string value, in bytes.
    pub proto_max_bulk_len: u64,
    /// Password of the default user; empty: none.
    pub requirepass: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            databases: 16,
            maxclients: 10_000,
            proto_max_bulk_len: 512 << 20,
            requirepass: String::new(),
        }
    }
}

impl Settings {
    /// What commands check arguments against.
    pub fn call_limits(&self) -> CallLimits {
        CallLimits { string_bytes_max: self.proto_max_bulk_len, databases: self.databases }
    }

    /// What requests of a client that has just connected may be made of.
    pub fn request_limits(&self) -> Limits {
        Limits {
            bulk_bytes_max: self.proto_max_bulk_len,
            unauthenticated: !self.requirepass.is_empty(),
            ..Limits::authenticated()
        }
    }
}

/// Why a parameter was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The settings in force, shared by all workers.
#[derive(Debug)]
pub struct ConfigStore {
    settings: Mutex<Arc<Settings>>,
    version: AtomicU64,
}

impl ConfigStore {
    /// With these settings in force.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(Arc::new(settings)), version: AtomicU64::new(0) }
    }

    /// The settings as of now.
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().expect("settings are replaced, never half changed"))
    }

    /// Grows with every change: what a worker derived from the settings is stale once it differs.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Changes settings, all of them or, on an error, none.
    pub fn change<E>(&self, change: impl FnOnce(&mut Settings) -> Result<(), E>) -> Result<(), E> {
        let mut settings = self.settings.lock().expect("settings are replaced, never half changed");
        let mut next = Settings::clone(&settings);
        change(&mut next)?;
        *settings = Arc::new(next);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}
