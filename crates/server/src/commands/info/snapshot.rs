//! What INFO shows, gathered at one moment.

use super::field::{Shown, as_f64};
use super::system::{self, CpuTimes};
use crate::config::Settings;
use crate::following::{Standing, TransferProgress};
use crate::journal::Status;
use crate::loading::LoadProgress;
use crate::pause::Pause;
use crate::pubsub::Kind;
use crate::replication::Report;
use crate::saving::{History, Progress, Purpose};
use crate::scripting::store::ScriptTotals;
use crate::session_command::SessionCall;
use crate::shared::Shared;
use crate::statistics::Totals;
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::ShardView;
use darter_shard::Shard;
use darter_structures::allocator;
use std::ops::AddAssign;
use std::sync::Arc;

/// Everything the fields are made of.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) shared: &'static Shared,
    pub(crate) settings: Arc<Settings>,
    pub(crate) replication: Report,
    /// Whose replica this is.
    pub(crate) following: Option<Standing>,
    pub(crate) now: UnixMillis,
    /// The same to the microsecond.
    pub(crate) now_micros: i64,
    /// Since the start.
    pub(crate) since_start: Totals,
    /// Since the start or CONFIG RESETSTAT.
    pub(crate) totals: Totals,
    pub(crate) shards: ShardTotals,
    pub(crate) clients: ClientLevels,
    pub(crate) pause: Option<Pause>,
    /// How far loading is, while it is under way.
    pub(crate) loading: Option<LoadProgress>,
    pub(crate) saves: History,
    /// The one under way.
    pub(crate) save: Option<Progress>,
    /// What became of the log.
    pub(crate) log: Status,
    pub(crate) buffer_bytes: u64,
    pub(crate) replica_buffer_bytes: u64,
    /// Memory for what tracked clients have read.
    pub(crate) tracking_bytes: u64,
    /// Memory for what is on its way to the log.
    pub(crate) log_buffer_bytes: u64,
    /// Memory for what replicas get, data on their way included.
    pub(crate) stream_bytes: u64,
    /// What is used when there is no key and no client.
    pub(crate) startup_bytes: u64,
    pub(crate) scripts: ScriptTotals,
    /// Memory of the workers' engines of scripts, and what of that libraries take.
    pub(crate) engine_bytes: u64,
    pub(crate) library_bytes: u64,
    /// Set aside by the allocator.
    pub(crate) committed_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) cpu: CpuTimes,
    pub(crate) workers_cpu: CpuTimes,
}

/// The sums over all workers of what goes up and down, and the largest of what was most.
#[derive(Debug, Default)]
pub(crate) struct ClientLevels {
    pub(crate) blocked: u64,
    pub(crate) timed: u64,
    pub(crate) monitors: u64,
    pub(crate) watching: u64,
    pub(crate) subscribers: u64,
    pub(crate) recent_input_max: u64,
    pub(crate) recent_output_max: u64,
    pub(crate) tick_nanos_max: u64,
    pub(crate) tick_commands_max: u64,
}

/// What shards have: one of them, or the sums over all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardTotals {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) expired: u64,
    pub(crate) expired_fields: u64,
    pub(crate) evicted: u64,
    pub(crate) freed_later: u64,
    pub(crate) changes: u64,
    pub(crate) used_bytes: u64,
    /// Tables, their entries apart.
    pub(crate) index_bytes: u64,
    pub(crate) garbage: u64,
    /// Keys somebody waits for; counted for a client that asks only.
    pub(crate) waited_keys: u64,
    /// Those of them whose going is waited for as well.
    pub(crate) waited_keys_on_anything: u64,
    pub(crate) watched_keys: u64,
    /// By database number.
    pub(crate) databases: Vec<DatabaseTotals>,
}

/// The sums over one database's parts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DatabaseTotals {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// Keys that hold something with a deadline.
    pub(crate) deadline_holders: u64,
    pub(crate) index_bytes: u64,
    /// Mean times to live, each times the keys it is the mean of.
    ttl_millis: u128,
    /// Keys of ten thousand that have expired, each times the keys it is estimated for.
    due: u128,
}

impl DatabaseTotals {
    /// Mean time to live of the keys that have a deadline.
    pub(crate) fn average_ttl_ms(&self) -> u64 {
        let average = self.ttl_millis.checked_div(self.expires.into()).unwrap_or_default();
        u64::try_from(average).unwrap_or(u64::MAX)
    }
}

impl Snapshot {
    /// The save under way, if that is what it is for.
    pub(super) fn save_for(&self, purpose: Purpose) -> Option<Progress> {
        self.save.filter(|save| save.purpose == purpose)
    }

    /// Whether a base that was asked for waits for a save that somebody wants. For one that was given up it waits, too, but
    /// not so that anybody would notice.
    pub(super) fn waits_for_save(&self) -> bool {
        let save = self.shared.saving.current();
        save.is_some_and(|save| save.purpose == Purpose::File && !save.is_cancelled())
    }

    /// Something about loading, while it is under way.
    pub(super) fn of_loading(&self, show: impl FnOnce(LoadProgress) -> Shown) -> Shown {
        self.loading.map_or(Shown::Absent, show)
    }

    /// Something about the link to the primary, if this is a replica.
    pub(super) fn of_link(&self, show: impl FnOnce(&Standing) -> Shown) -> Shown {
        self.following.as_ref().map_or(Shown::Absent, show)
    }

    /// Something about all data on their way here, while they are.
    pub(super) fn of_transfer(&self, show: impl FnOnce(TransferProgress) -> Shown) -> Shown {
        let transfer = self.following.as_ref().and_then(|standing| standing.transfer);
        transfer.map_or(Shown::Absent, show)
    }

    /// Something about the log, if there is one.
    pub(super) fn of_log(&self, count: u64) -> Shown {
        if self.settings.journal.is_on { Shown::Count(count) } else { Shown::Absent }
    }

    pub(crate) fn gather(call: &SessionCall<'_>, view: &mut ShardView<'_>) -> Self {
        let databases = call.shared.config.current().databases;
        let now = call.turn.now;
        // The mean time to live is an estimate from a part of the table; which one may differ.
        let random = call.turn.elapsed_micros().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut shards = ShardTotals::default();
        for shard in view.each() {
            shards += &ShardTotals::of(shard, databases, now, random);
            shard.sweep_waiters();
            let (waited, on_anything) = shard.waited_keys();
            shards.waited_keys += as_u64(waited);
            shards.waited_keys_on_anything += as_u64(on_anything);
        }
        if view.shard_count() == 0 {
            // Nobody has them while data are being loaded.
            shards = ShardTotals::sum(&call.shared.loading.shards());
        }
        Self { now_micros: call.now_micros(), ..Self::new(call.shared, now, shards) }
    }

    /// With what all shards have, and what can be read at any time.
    pub(crate) fn new(shared: &'static Shared, now: UnixMillis, shards: ShardTotals) -> Self {
        let settings = shared.config.current();
        let since_start = Totals::of(&shared.statistics);
        let totals = since_start.since(&shared.baseline());
        let buffer_bytes = shared.buffer_bytes();
        let replica_buffer_bytes = shared.replica_buffer_bytes();
        let tracking_bytes = as_u64(shared.tracking.memory_bytes());
        let log_buffer_bytes = shared.journal.buffer_bytes();
        let stream_bytes = shared.replication.memory_bytes();
        let others_bytes =
            buffer_bytes + replica_buffer_bytes + tracking_bytes + log_buffer_bytes + stream_bytes;
        let peak_bytes = shared.note_peak(shards.used_bytes + others_bytes);
        let mut clients = ClientLevels::default();
        for worker in &shared.statistics {
            clients.blocked += worker.blocked_clients.read();
            clients.timed += worker.timed_clients.read();
            clients.monitors += worker.monitors.read();
            clients.watching += worker.watching_clients.read();
            clients.subscribers += worker.subscribers.read();
            clients.recent_input_max =
                clients.recent_input_max.max(worker.recent_input_bytes_max.read());
            clients.recent_output_max =
                clients.recent_output_max.max(worker.recent_output_bytes_max.read());
            clients.tick_nanos_max = clients.tick_nanos_max.max(worker.tick_nanos_max.read());
            clients.tick_commands_max =
                clients.tick_commands_max.max(worker.tick_commands_max.read());
        }
        Self {
            shared,
            settings,
            now,
            now_micros: now.0 * 1000,
            since_start,
            totals,
            shards,
            clients,
            replication: shared.replication.report(now),
            following: shared.following.standing(&shared.stopwatch, now),
            pause: shared.pause.at(now),
            loading: shared.loading.progress(now),
            saves: shared.saving.history(),
            save: shared.saving.progress(&shared.stopwatch),
            log: shared.journal.status(),
            startup_bytes: shared.startup_bytes,
            scripts: shared.scripts.totals(),
            engine_bytes: shared.statistics.iter().map(|worker| worker.engine_bytes.read()).sum(),
            library_bytes: shared.statistics.iter().map(|worker| worker.library_bytes.read()).sum(),
            committed_bytes: as_u64(allocator::committed_bytes()),
            buffer_bytes,
            replica_buffer_bytes,
            tracking_bytes,
            log_buffer_bytes,
            stream_bytes,
            peak_bytes,
            resident_bytes: system::resident_bytes(),
            cpu: system::cpu_times(),
            workers_cpu: system::worker_times(),
        }
    }

    /// Memory of keys, values and buffers, and of what tracked clients have read.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.shards.used_bytes + self.others_bytes()
    }

    /// What is used besides keys and values.
    pub(crate) fn overhead_bytes(&self) -> u64 {
        self.shards.index_bytes + self.others_bytes() + self.startup_bytes
    }

    /// What is used outside of shards.
    fn others_bytes(&self) -> u64 {
        self.buffer_bytes
            + self.replica_buffer_bytes
            + self.tracking_bytes
            + self.log_buffer_bytes
            + self.stream_bytes
    }

    /// What does not count towards the memory limit.
    pub(super) fn uncounted_bytes(&self) -> u64 {
        self.log_buffer_bytes + self.replica_buffer_bytes + self.stream_bytes
            - self.counted_stream_bytes()
    }

    /// What of the memory for replicas counts towards the memory limit.
    pub(crate) fn counted_stream_bytes(&self) -> u64 {
        (self.replication.memory_bytes - self.replication.beyond_bytes).min(self.stream_bytes)
    }

    /// What is kept for replicas that are slower.
    pub(super) fn slow_replica_bytes(&self) -> u64 {
        if self.replication.replicas.is_empty() { 0 } else { self.replication.beyond_bytes }
    }

    /// What is there for replicas alone.
    pub(crate) fn replica_bytes(&self) -> u64 {
        self.slow_replica_bytes() + self.replica_buffer_bytes
    }

    /// Keys and values alone.
    pub(crate) fn dataset_bytes(&self) -> u64 {
        self.used_bytes().saturating_sub(self.overhead_bytes())
    }

    /// The share of keys and values in what was not used from the start, of a hundred.
    pub(crate) fn dataset_percent(&self) -> f64 {
        let net = self.used_bytes().saturating_sub(self.startup_bytes);
        100.0 * as_f64(self.dataset_bytes()) / as_f64(net.max(1))
    }

    /// Memory in RAM for each byte used.
    pub(crate) fn fragmentation_ratio(&self) -> f64 {
        as_f64(self.resident_bytes) / as_f64(self.used_bytes().max(1))
    }

    /// Memory set aside by the allocator for each byte used.
    pub(crate) fn allocator_ratio(&self) -> f64 {
        as_f64(self.committed_bytes) / as_f64(self.used_bytes().max(1))
    }

    /// Milliseconds until the pause ends.
    pub(crate) fn pause_millis(&self) -> u64 {
        self.pause.map_or(0, |pause| u64::try_from(pause.until.0 - self.now.0).unwrap_or(0))
    }

    pub(crate) fn uptime_seconds(&self) -> u64 {
        u64::try_from((self.now.0 - self.shared.identity.started_at.0) / 1000).unwrap_or(0)
    }

    pub(crate) fn connected_clients(&self) -> u64 {
        let open = self.since_start.connections - self.since_start.connections_closed;
        open.saturating_sub(self.replication.replicas.len() as u64)
    }

    /// How many different names of a kind have subscribers.
    pub(crate) fn subscribed(&self, kind: Kind) -> u64 {
        self.shared.pubsub.count(kind) as u64
    }

    /// A parameter's value as text.
    pub(crate) fn config(&self, name: &str) -> String {
        self.shared.config.text(name)
    }

    /// A parameter's value as a number, 0 if it is none.
    pub(crate) fn config_number(&self, name: &str) -> u64 {
        self.config(name).parse().unwrap_or(0)
    }
}

impl ShardTotals {
    /// Those of several shards together.
    pub(crate) fn sum(shards: &[Self]) -> Self {
        let mut sum = Self::default();
        for shard in shards {
            sum += shard;
        }
        sum
    }

    /// How many of a hundred keys that have a deadline have expired and are still there, estimated.
    pub(crate) fn stale_percent(&self) -> f64 {
        let due: u128 = self.databases.iter().map(|database| database.due).sum();
        let expires: u128 =
            self.databases.iter().map(|database| u128::from(database.expires)).sum();
        let per_10_000 = due.checked_div(expires).unwrap_or_default();
        as_f64(u64::try_from(per_10_000).unwrap_or(u64::MAX)) / 100.0
    }

    /// Those of one shard. `random` chooses the part of its tables that the mean time to live is
    /// estimated from.
    pub(crate) fn of(shard: &mut Shard, databases: u16, now: UnixMillis, random: u64) -> Self {
        let statistics = *shard.statistics();
        let mut totals = Self {
            hits: statistics.hits,
            misses: statistics.misses,
            expired: statistics.expired,
            expired_fields: statistics.expired_fields,
            evicted: statistics.evicted,
            freed_later: statistics.freed_later,
            changes: shard.changes(),
            used_bytes: as_u64(shard.used_bytes()),
            index_bytes: 0,
            garbage: as_u64(shard.garbage_len()),
            waited_keys: 0,
            waited_keys_on_anything: 0,
            watched_keys: as_u64(shard.watched_len()),
            databases: vec![DatabaseTotals::default(); usize::from(databases)],
        };
        for db in 0..databases {
            let database = &mut totals.databases[usize::from(db)];
            database.index_bytes = as_u64(shard.index_bytes(DbIndex(db)));
            totals.index_bytes += database.index_bytes;
            let keyspace = shard.keyspace(DbIndex(db), now);
            if keyspace.is_empty() {
                continue;
            }
            database.keys = as_u64(keyspace.len());
            database.expires = as_u64(keyspace.expires_len());
            database.deadline_holders = as_u64(keyspace.deadline_holders_len());
            let estimate = keyspace.estimate_deadlines(random);
            let expires = u128::from(database.expires);
            database.ttl_millis = u128::from(estimate.average_ttl_ms) * expires;
            database.due = u128::from(estimate.due_per_10_000) * expires;
        }
        totals
    }
}

impl AddAssign<&Self> for ShardTotals {
    fn add_assign(&mut self, shard: &Self) {
        self.hits += shard.hits;
        self.misses += shard.misses;
        self.expired += shard.expired;
        self.expired_fields += shard.expired_fields;
        self.evicted += shard.evicted;
        self.freed_later += shard.freed_later;
        self.changes += shard.changes;
        self.used_bytes += shard.used_bytes;
        self.index_bytes += shard.index_bytes;
        self.garbage += shard.garbage;
        self.waited_keys += shard.waited_keys;
        self.waited_keys_on_anything += shard.waited_keys_on_anything;
        self.watched_keys += shard.watched_keys;
        if self.databases.len() < shard.databases.len() {
            self.databases.resize(shard.databases.len(), DatabaseTotals::default());
        }
        for (sum, database) in self.databases.iter_mut().zip(&shard.databases) {
            sum.keys += database.keys;
            sum.expires += database.expires;
            sum.deadline_holders += database.deadline_holders;
            sum.index_bytes += database.index_bytes;
            sum.ttl_millis += database.ttl_millis;
            sum.due += database.due;
        }
    }
}

/// Counts and bytes in memory fit 64 bits.
pub(crate) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
