//! Watching commands: the command log, latency events, hot keys, and those who want to see every command.
//!
//! A worker measures each command it runs, and asks [`Thresholds`] whether there is anything to
//! remember of it: three comparisons of numbers. Only then is anything looked up, locked or copied.
//! Every client's worker does this for its own clients, also of commands that another worker ran.

pub mod command_log;
pub mod heavy_hitters;
pub mod hot_keys;
pub mod latency;
pub mod monitor;
pub mod thresholds;

pub use command_log::{CommandLog, CommandLogs, LogKind};
pub use latency::LatencyEvents;
pub use thresholds::Thresholds;

use crate::session::Session;
use crate::worker::Core;
use darter_base::UnixMillis;
use darter_command_table::{Entry, Flags};
use darter_resp::Args;
use std::time::Duration;

/// What a command that has run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How long it ran.
    pub nanos: u64,
    /// Bytes of the request as it was sent.
    pub request_bytes: usize,
    /// Bytes of the reply.
    pub reply_bytes: usize,
}

impl Cost {
    /// In whole microseconds, as logs show it.
    pub fn micros(&self) -> u64 {
        self.nanos / 1000
    }
}

impl Core {
    /// Remembers a command that has run and is, by [`Thresholds::is_notable`], worth it.
    #[cold]
    pub fn remember(
        &self,
        session: &Session,
        entry: &'static Entry,
        args: Args<'_>,
        cost: Cost,
        now: UnixMillis,
    ) {
        self.note_hot_keys(entry.command, args, cost, now);
        self.log(session, entry, args, cost, now);
    }

    /// The part of remembering that holds for the commands of a script as well: the logs.
    #[cold]
    pub fn log(
        &self,
        session: &Session,
        entry: &'static Entry,
        args: Args<'_>,
        cost: Cost,
        now: UnixMillis,
    ) {
        if self.thresholds.get().is_latency_event(cost.nanos) {
            let is_fast = entry.command.flags.has(Flags::FAST);
            let event = if is_fast { latency::FAST_COMMAND } else { latency::COMMAND };
            self.shared.latency.add(event, Duration::from_nanos(cost.nanos), now);
        }
        if entry.command.flags.has(Flags::SKIP_SLOWLOG) {
            return;
        }
        for kind in self.thresholds.get().logs_for(cost) {
            let settings = self.shared.config.current();
            let logged = command_log::Logged::new(session, entry, args, kind, cost, now);
            self.shared.command_logs.log(kind).add(logged, settings.watch.log_len_max(kind));
        }
    }
}
