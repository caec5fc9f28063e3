//! Counters, written by one worker each and read by anyone.

use crate::histogram::{Histogram, Recorder};
use darter_acl::{Reason, Refused};
use darter_command_table::{CommandId, ReplyError};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// A counter with one writer. Plain loads and stores: an increment costs no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `count`. Only the owning worker calls this.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Takes `count` away again, for what is no counter but a level. Only the owning worker calls this.
    pub fn remove(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(count), Ordering::Relaxed);
    }

    /// Replaces the value. Only the owning worker calls this.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value as of some moment.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The most there was at a time, with one writer.
#[derive(Debug, Default)]
pub struct Maximum(AtomicU64);

impl Maximum {
    /// There is so much now. Only the owning worker calls this.
    #[inline]
    pub fn note(&self, value: u64) {
        if value > self.0.load(Ordering::Relaxed) {
            self.0.store(value, Ordering::Relaxed);
        }
    }

    /// The most so far.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Error codes counted one by one, those that scripts make up among them: more of these are counted together.
const ERROR_CODES_MAX: usize = 128;

/// The name for those, as in Valkey.
const FURTHER_ERROR_CODES: &str = "ERRORSTATS_OVERFLOW";

/// What one worker has done.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerStatistics {
    /// Commands run.
    pub commands: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused for `maxclients` or protected mode.
    pub connections_refused: Counter,
    /// Connections closed.
    pub connections_closed: Counter,
    /// Connections closed for more input than `client-query-buffer-limit`.
    pub connections_overflowed: Counter,
    /// Connections closed for more unsent output than `client-output-buffer-limit`.
    pub connections_unread: Counter,
    /// Clients closed because all together took more memory than `maxmemory-clients`.
    pub clients_evicted: Counter,
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
    /// Bytes of replies.
    pub output_bytes: Counter,
    /// Bytes for replicas.
    pub replicated_bytes: Counter,
    /// Calls of `receive`: about one per read of a socket.
    pub reads: Counter,
    /// Rounds of the worker's loop.
    pub ticks: Counter,
    /// Time its loop was awake.
    pub tick_nanos: Counter,
    /// Time spent on looking after shards, in the loop.
    pub tending_nanos: Counter,
    /// Time spent on defragmentation.
    pub defrag_nanos: Counter,
    /// Allocations that it moved.
    pub defrag_moved: Counter,
    /// Allocations that it looked at and left.
    pub defrag_kept: Counter,
    /// Time of commands that were parts of others, which is in the time of those as well.
    pub nested_nanos: Counter,
    /// Time spent on finding keys that have expired.
    pub expiry_nanos: Counter,
    /// Times that stopped before all were found, to go on a little later.
    pub expiry_stops: Counter,
    /// Times a client's output was sent, all of it or some.
    pub sends: Counter,
    /// The longest round of the loop, in nanoseconds.
    pub tick_nanos_max: Maximum,
    /// The most commands in one round.
    pub tick_commands_max: Maximum,
    /// Memory of clients' buffers, as of the latest tick. No counter: goes down as well.
    pub buffer_bytes: Counter,
    /// Memory of the buffers of replicas, as of the latest tick. A level.
    pub replica_buffer_bytes: Counter,
    /// Memory of clients while `maxmemory-clients` is set, as of the latest tick, in bytes. A level.
    pub client_bytes: Counter,
    /// Memory of commands that clients have queued since MULTI, in bytes. A level.
    pub queued_bytes: Counter,
    /// Clients that watch keys. A level.
    pub watching_clients: Counter,
    /// Clients that wait: for a pause to end, or for data. A level.
    pub blocked_clients: Counter,
    /// Those of them that wait for a limited time. A level.
    pub timed_clients: Counter,
    /// Clients that get a line for every command. A level.
    pub monitors: Counter,
    /// Clients that have subscriptions. A level.
    pub subscribers: Counter,
    /// The most kept input of one connection lately, in bytes. A level.
    pub recent_input_bytes_max: Counter,
    /// The most unsent output of one connection lately, in bytes. A level.
    pub recent_output_bytes_max: Counter,
    /// Memory of its scripts' engine, in bytes. A level.
    pub engine_bytes: Counter,
    /// What of that libraries of functions take. A level.
    pub library_bytes: Counter,
    /// Attempts to authenticate with a wrong user or password.
    pub wrong_passwords: Counter,
    /// Commands that their users may not run.
    pub denied_commands: Counter,
    /// Keys that their users may not access.
    pub denied_keys: Counter,
    /// Channels likewise.
    pub denied_channels: Counter,
    /// Databases likewise.
    pub denied_databases: Counter,
    /// Whether histograms are kept (`latency-tracking`).
    pub tracks_latency: AtomicBool,
    /// Per command, by [`CommandId`].
    per_command: Box<[CommandCounters]>,
    /// Errors by code. Locked by its worker for each error and by who reads it.
    error_codes: Mutex<Vec<(String, u64)>>,
}

/// What one worker has done with one command.
#[derive(Debug, Default)]
struct CommandCounters {
    calls: Counter,
    failed: Counter,
    rejected: Counter,
    nanos: Counter,
    /// Made when it first runs.
    latency: OnceLock<Recorder>,
}

impl WorkerStatistics {
    /// Zeroes, for a table of `command_count` commands.
    pub fn new(command_count: usize) -> Self {
        Self {
            commands: Counter::default(),
            connections: Counter::default(),
            connections_refused: Counter::default(),
            connections_closed: Counter::default(),
            connections_overflowed: Counter::default(),
            connections_unread: Counter::default(),
            clients_evicted: Counter::default(),
            errors: Counter::default(),
            posted: Counter::default(),
            coordinated: Counter::default(),
            coordinated_waits: Counter::default(),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            replicated_bytes: Counter::default(),
            reads: Counter::default(),
            ticks: Counter::default(),
            tick_nanos: Counter::default(),
            tending_nanos: Counter::default(),
            defrag_nanos: Counter::default(),
            defrag_moved: Counter::default(),
            defrag_kept: Counter::default(),
            nested_nanos: Counter::default(),
            expiry_nanos: Counter::default(),
            expiry_stops: Counter::default(),
            sends: Counter::default(),
            tick_nanos_max: Maximum::default(),
            tick_commands_max: Maximum::default(),
            buffer_bytes: Counter::default(),
            replica_buffer_bytes: Counter::default(),
            client_bytes: Counter::default(),
            queued_bytes: Counter::default(),
            watching_clients: Counter::default(),
            blocked_clients: Counter::default(),
            timed_clients: Counter::default(),
            monitors: Counter::default(),
            subscribers: Counter::default(),
            recent_input_bytes_max: Counter::default(),
            recent_output_bytes_max: Counter::default(),
            engine_bytes: Counter::default(),
            library_bytes: Counter::default(),
            wrong_passwords: Counter::default(),
            denied_commands: Counter::default(),
            denied_keys: Counter::default(),
            denied_channels: Counter::default(),
            denied_databases: Counter::default(),
            tracks_latency: AtomicBool::new(true),
            per_command: (0..command_count).map(|_| CommandCounters::default()).collect(),
            error_codes: Mutex::new(Vec::new()),
        }
    }

    /// Counts a call, and its error if it answered one.
    #[inline]
    pub fn called<T>(&self, id: CommandId, result: &Result<T, ReplyError>) {
        if let Err(error @ ReplyError::OutOfMemory) = result {
            return self.refused(id, error);
        }
        self.commands.add(1);
        let counters = &self.per_command[id.index()];
        counters.calls.add(1);
        if let Err(error) = result {
            counters.failed.add(1);
            self.error(error);
        }
    }

    /// A call that has been counted failed, with an error that has been counted too.
    pub fn failed(&self, id: CommandId) {
        self.per_command[id.index()].failed.add(1);
    }

    /// Notes the time a command took.
    #[inline]
    pub fn took(&self, id: CommandId, nanos: u64) {
        let counters = &self.per_command[id.index()];
        counters.nanos.add(nanos);
        if self.tracks_latency.load(Ordering::Relaxed) {
            counters.latency.get_or_init(Recorder::default).record(nanos);
        }
    }

    /// Adds this worker's durations of a command to `sum`.
    fn add_latency(&self, id: CommandId, sum: &mut Histogram) {
        if let Some(recorder) = self.per_command[id.index()].latency.get() {
            *sum += recorder;
        }
    }

    /// Counts a command refused before it ran.
    #[cold]
    pub fn refused(&self, id: CommandId, error: &ReplyError) {
        self.per_command[id.index()].rejected.add(1);
        self.error(error);
    }

    /// Counts what was refused to a user.
    #[cold]
    pub fn access_refused(&self, refused: Refused) {
        let counter = match refused {
            Refused::Auth => &self.wrong_passwords,
            Refused::Permission(Reason::Command) => &self.denied_commands,
            Refused::Permission(Reason::Key) => &self.denied_keys,
            Refused::Permission(Reason::Channel) => &self.denied_channels,
            Refused::Permission(Reason::Database) => &self.denied_databases,
        };
        counter.add(1);
    }

    /// Counts an error reply.
    #[cold]
    pub fn error(&self, error: &ReplyError) {
        self.errors.add(1);
        let text = error.to_string();
        count_code(&mut self.lock_codes(), code_of(&text));
    }

    /// Counts an error reply whose text a script has made.
    #[cold]
    pub fn error_of_script(&self, line: &[u8]) {
        self.errors.add(1);
        let text = String::from_utf8_lossy(line);
        let code = code_of(&text);
        let mut codes = self.lock_codes();
        let is_known = codes.iter().any(|(known, _)| known == code);
        let is_room = codes.len() < ERROR_CODES_MAX;
        count_code(&mut codes, if is_known || is_room { code } else { FURTHER_ERROR_CODES });
    }

    /// Forgets what cannot be counted from a baseline: what was most, and which errors there were.
    pub fn reset(&self) {
        self.tick_nanos_max.reset();
        self.tick_commands_max.reset();
        self.lock_codes().clear();
    }

    fn lock_codes(&self) -> std::sync::MutexGuard<'_, Vec<(String, u64)>> {
        self.error_codes.lock().expect("counting cannot panic")
    }
}

/// An error's first word.
fn code_of(text: &str) -> &str {
    text.split([' ', '\r', '\n']).next().unwrap_or_default()
}

fn count_code(codes: &mut Vec<(String, u64)>, code: &str) {
    match codes.iter_mut().find(|(known, _)| known == code) {
        Some((_, count)) => *count += 1,
        None => codes.push((code.to_owned(), 1)),
    }
}

/// How long a command took, over all workers.
pub fn latency_of(workers: &[WorkerStatistics], id: CommandId) -> Histogram {
    let mut sum = Histogram::default();
    for worker in workers {
        worker.add_latency(id, &mut sum);
    }
    sum
}

/// What has been done with one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandTotals {
    /// Times it ran.
    pub calls: u64,
    /// Times it answered an error.
    pub failed: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Time it took.
    pub nanos: u64,
}

/// The sums over all workers, as of some moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub commands: u64,
    pub connections: u64,
    pub connections_refused: u64,
    pub connections_closed: u64,
    pub connections_overflowed: u64,
    pub connections_unread: u64,
    pub clients_evicted: u64,
    pub errors: u64,
    pub posted: u64,
    pub coordinated: u64,
    pub coordinated_waits: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub replicated_bytes: u64,
    pub reads: u64,
    pub ticks: u64,
    pub tick_nanos: u64,
    pub tending_nanos: u64,
    pub defrag_nanos: u64,
    pub defrag_moved: u64,
    pub defrag_kept: u64,
    pub nested_nanos: u64,
    pub expiry_nanos: u64,
    pub expiry_stops: u64,
    pub sends: u64,
    pub wrong_passwords: u64,
    pub denied_commands: u64,
    pub denied_keys: u64,
    pub denied_channels: u64,
    pub denied_databases: u64,
    /// By [`CommandId`].
    pub per_command: Vec<CommandTotals>,
    /// Errors by code, in the order of the codes.
    pub error_codes: Vec<(String, u64)>,
}

impl Totals {
    /// The sums over `workers`.
    pub fn of(workers: &[WorkerStatistics]) -> Self {
        let mut totals = Self::default();
        for worker in workers {
            totals += worker;
        }
        totals.error_codes.sort_unstable();
        totals
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let per_command = self.per_command.iter().enumerate().map(|(index, now)| {
            let then = earlier.per_command.get(index).copied().unwrap_or_default();
            CommandTotals {
                calls: now.calls - then.calls,
                failed: now.failed - then.failed,
                rejected: now.rejected - then.rejected,
                nanos: now.nanos - then.nanos,
            }
        });
        Self {
            commands: self.commands - earlier.commands,
            connections: self.connections - earlier.connections,
            connections_refused: self.connections_refused - earlier.connections_refused,
            connections_closed: self.connections_closed - earlier.connections_closed,
            connections_overflowed: self.connections_overflowed - earlier.connections_overflowed,
            connections_unread: self.connections_unread - earlier.connections_unread,
            clients_evicted: self.clients_evicted - earlier.clients_evicted,
            errors: self.errors - earlier.errors,
            posted: self.posted - earlier.posted,
            coordinated: self.coordinated - earlier.coordinated,
            coordinated_waits: self.coordinated_waits - earlier.coordinated_waits,
            input_bytes: self.input_bytes - earlier.input_bytes,
            output_bytes: self.output_bytes - earlier.output_bytes,
            replicated_bytes: self.replicated_bytes - earlier.replicated_bytes,
            reads: self.reads - earlier.reads,
            ticks: self.ticks - earlier.ticks,
            tick_nanos: self.tick_nanos - earlier.tick_nanos,
            tending_nanos: self.tending_nanos - earlier.tending_nanos,
            defrag_nanos: self.defrag_nanos - earlier.defrag_nanos,
            defrag_moved: self.defrag_moved - earlier.defrag_moved,
            defrag_kept: self.defrag_kept - earlier.defrag_kept,
            nested_nanos: self.nested_nanos - earlier.nested_nanos,
            expiry_nanos: self.expiry_nanos - earlier.expiry_nanos,
            expiry_stops: self.expiry_stops - earlier.expiry_stops,
            sends: self.sends - earlier.sends,
            wrong_passwords: self.wrong_passwords - earlier.wrong_passwords,
            denied_commands: self.denied_commands - earlier.denied_commands,
            denied_keys: self.denied_keys - earlier.denied_keys,
            denied_channels: self.denied_channels - earlier.denied_channels,
            denied_databases: self.denied_databases - earlier.denied_databases,
            per_command: per_command.collect(),
            // They are forgotten when a baseline is taken.
            error_codes: self.error_codes.clone(),
        }
    }

    /// Time of commands, each counted once: those that were parts of others are in the time of those.
    pub fn command_nanos(&self) -> u64 {
        let all: u64 = self.per_command.iter().map(|command| command.nanos).sum();
        all.saturating_sub(self.nested_nanos)
    }

    /// What has been done with a command.
    pub fn command(&self, id: CommandId) -> CommandTotals {
        self.per_command[id.index()]
    }
}

impl AddAssign<&WorkerStatistics> for Totals {
    fn add_assign(&mut self, worker: &WorkerStatistics) {
        self.commands += worker.commands.read();
        self.connections += worker.connections.read();
        self.connections_refused += worker.connections_refused.read();
        self.connections_closed += worker.connections_closed.read();
        self.connections_overflowed += worker.connections_overflowed.read();
        self.connections_unread += worker.connections_unread.read();
        self.clients_evicted += worker.clients_evicted.read();
        self.errors += worker.errors.read();
        self.posted += worker.posted.read();
        self.coordinated += worker.coordinated.read();
        self.coordinated_waits += worker.coordinated_waits.read();
        self.input_bytes += worker.input_bytes.read();
        self.output_bytes += worker.output_bytes.read();
        self.replicated_bytes += worker.replicated_bytes.read();
        self.reads += worker.reads.read();
        self.ticks += worker.ticks.read();
        self.tick_nanos += worker.tick_nanos.read();
        self.tending_nanos += worker.tending_nanos.read();
        self.defrag_nanos += worker.defrag_nanos.read();
        self.defrag_moved += worker.defrag_moved.read();
        self.defrag_kept += worker.defrag_kept.read();
        self.nested_nanos += worker.nested_nanos.read();
        self.expiry_nanos += worker.expiry_nanos.read();
        self.expiry_stops += worker.expiry_stops.read();
        self.sends += worker.sends.read();
        self.wrong_passwords += worker.wrong_passwords.read();
        self.denied_commands += worker.denied_commands.read();
        self.denied_keys += worker.denied_keys.read();
        self.denied_channels += worker.denied_channels.read();
        self.denied_databases += worker.denied_databases.read();
        self.per_command.resize_with(worker.per_command.len(), CommandTotals::default);
        for (totals, counters) in self.per_command.iter_mut().zip(&worker.per_command) {
            totals.calls += counters.calls.read();
            totals.failed += counters.failed.read();
            totals.rejected += counters.rejected.read();
            totals.nanos += counters.nanos.read();
        }
        for (code, count) in worker.lock_codes().iter() {
            match self.error_codes.iter_mut().find(|(known, _)| known == code) {
                Some((_, sum)) => *sum += count,
                None => self.error_codes.push((code.clone(), *count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_scripts_make_up_are_counted_together_beyond_a_limit() {
        let worker = WorkerStatistics::new(1);
        for number in 0..ERROR_CODES_MAX + 3 {
            worker.error_of_script(format!("{number} is wrong").as_bytes());
        }
        worker.error_of_script(b"5 is known");
        worker.error(&ReplyError::WrongType);
        let codes = Totals::of(std::slice::from_ref(&worker)).error_codes;
        let count = |code: &str| codes.iter().find(|(known, _)| known == code).map(|it| it.1);
        assert_eq!(count(FURTHER_ERROR_CODES), Some(3));
        assert_eq!((count("5"), count("WRONGTYPE"), count("130")), (Some(2), Some(1), None));
        assert_eq!(codes.len(), ERROR_CODES_MAX + 2);
    }

    #[test]
    fn totals_are_summed_over_workers_and_counted_from_a_baseline() {
        let workers = [WorkerStatistics::new(2), WorkerStatistics::new(2)];
        let id = CommandId(1);
        workers[0].called(id, &Ok(()));
        workers[0].took(id, 5);
        let before = Totals::of(&workers);
        workers[1].called::<()>(id, &Err(ReplyError::WrongType));
        workers[1].refused(id, &ReplyError::NoAuth);
        workers[0].called::<()>(id, &Err(ReplyError::WrongType));
        let now = Totals::of(&workers);
        assert_eq!(now.command(id), CommandTotals { calls: 3, failed: 2, rejected: 1, nanos: 5 });
        assert_eq!(now.error_codes, [("NOAUTH".to_owned(), 1), ("WRONGTYPE".to_owned(), 2)]);
        let since = now.since(&before);
        assert_eq!(since.command(id), CommandTotals { calls: 2, failed: 2, rejected: 1, nanos: 0 });
        assert_eq!((since.commands, since.errors), (2, 3));
        workers.iter().for_each(WorkerStatistics::reset);
        assert!(Totals::of(&workers).error_codes.is_empty());
    }
}
