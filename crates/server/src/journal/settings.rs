//! What is set about the log.

use crate::config::Settings;
use darter_persistence::{BaseFormat, Place};
use std::ffi::OsString;

/// When the log is brought onto the disk (`appendfsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Once a second.
    #[default]
    EverySecond,
    /// Before a command that changed something is answered.
    Always,
    /// When the system sees fit.
    Never,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "parameters that have nothing to do with each other"
)]
pub struct JournalSettings {
    /// Whether there is one (`appendonly`).
    pub is_on: bool,
    /// What the names of its files begin with (`appendfilename`).
    pub file_name: OsString,
    /// Its directory in the working directory (`appenddirname`).
    pub directory_name: OsString,
    /// When it is synced (`appendfsync`).
    pub syncs: SyncPolicy,
    /// Whether it is not synced while a base is written (`no-appendfsync-on-rewrite`).
    pub rests_during_rewrite: bool,
    /// How many percent it has to have grown to be rewritten; 0: it is not, by itself
    /// (`auto-aof-rewrite-percentage`).
    pub growth_percent: u64,
    /// Bytes it has to have to be rewritten (`auto-aof-rewrite-min-size`).
    pub bytes_min: u64,
    /// Whether one whose end is missing is loaded (`aof-load-truncated`).
    pub loads_truncated: bool,
    /// Whether it has the time in it (`aof-timestamp-enabled`).
    pub has_timestamps: bool,
    /// What its base consists of (`aof-use-rdb-preamble`).
    pub base_format: BaseFormat,
    /// Whether files that no longer count are kept (`aof-disable-auto-gc`).
    pub keeps_history: bool,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            is_on: false,
            file_name: "appendonly.aof".into(),
            directory_name: "appendonlydir".into(),
            syncs: SyncPolicy::EverySecond,
            rests_during_rewrite: false,
            growth_percent: 100,
            bytes_min: 64 << 20,
            loads_truncated: true,
            has_timestamps: false,
            base_format: BaseFormat::Rdb,
            keeps_history: false,
        }
    }
}

impl Settings {
    /// Where the log is.
    pub fn log_place(&self) -> Place {
        let journal = &self.journal;
        Place::new(&self.directory, &journal.directory_name, &journal.file_name)
    }
}
