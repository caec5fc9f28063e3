//! Counters, written by one worker each and read by anyone.

use darter_command_table::CommandId;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer. Plain loads and stores: an increment costs no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the owning worker calls this.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The value as of some moment.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker has done.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStatistics {
    /// Commands run.
    pub commands: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused for `maxclients`.
    pub connections_refused: Counter,
    /// Connections closed.
    pub connections_closed: Counter,
    /// Error replies.
    pub errors: Counter,
    /// Operations whose shard was out, left in its inbox.
    pub posted: Counter,
    /// Operations over several shards.
    pub coordinated: Counter,
    /// Coordinated operations that had to wait for a shard.
    pub coordinated_waits: Counter,
    /// Bytes received.
    pub input_bytes: Counter,
    /// Per command, by [`CommandId`]: calls.
    calls: Box<[Counter]>,
    /// Per command: calls that answered an error.
    failed: Box<[Counter]>,
    /// Per command: refused before they ran.
    rejected: Box<[Counter]>,
}

impl WorkerStatistics {
    /// Zeroes, for a table of `command_count` commands.
    pub fn new(command_count: usize) -> Self {
        let counters = || (0..command_count).map(|_| Counter::default()).collect();
        Self {
            commands: Counter::default(),
            connections: Counter::default(),
            connections_refused: Counter::default(),
            connections_closed: Counter::default(),
            errors: Counter::default(),
            posted: Counter::default(),
            coordinated: Counter::default(),
            coordinated_waits: Counter::default(),
            input_bytes: Counter::default(),
            calls: counters(),
            failed: counters(),
            rejected: counters(),
        }
    }

    /// Counts a call.
    #[inline]
    pub fn called(&self, id: CommandId, failed: bool) {
        self.commands.add(1);
        self.calls[id.index()].add(1);
        if failed {
            self.errors.add(1);
            self.failed[id.index()].add(1);
        }
    }

    /// Counts a command refused before it ran.
    pub fn refused(&self, id: CommandId) {
        self.errors.add(1);
        self.rejected[id.index()].add(1);
    }

    /// Calls, failed calls and refusals of a command.
    pub fn of(&self, id: CommandId) -> (u64, u64, u64) {
        let index = id.index();
        (self.calls[index].read(), self.failed[index].read(), self.rejected[index].read())
    }
}
