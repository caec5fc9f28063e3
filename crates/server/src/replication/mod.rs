//! Replication: the stream of changes and who gets it.
//!
//! ```text
//!   whoever holds shards     all workers share       each worker that has replicas, once a tick
//!   Shared::record*          Stream                  Worker::feed_replicas
//!   +------------------+     +---------------+       +------------------------------------+
//!   | requests, in the | --> | the latest    | ----> | as much as the connection's output |
//!   | order of changes |     | changes       |       | has room for                       |
//!   +------------------+     +---------------+       +------------------------------------+
//! ```
//!
//! Replicas read the stream where they are: what ten of them have not got yet is there once. A replica that cannot go on
//! from what it has asks for all data: a snapshot ([`crate::saving`]) begins while all shards are held, and from that
//! instant on the stream is kept for it. While there is no replica nothing is recorded; after the last one has gone the
//! stream is kept for a while (`repl-backlog-ttl`).

mod feeding;
mod followed;
mod full_sync;
mod housekeeping;
mod lag;
mod refusal;
mod replica;
mod settings;
mod stream;

pub use feeding::Attached;
pub use full_sync::{FullSync, Taken};
pub use housekeeping::Housekeeping;
pub use lag::Lag;
pub use replica::{Announced, Phase, Replica, Shown};
pub use settings::ReplicationSettings;

use crate::config::Settings;
use crate::mail::Mail;
use crate::recording::Requests;
use crate::shared::{Shared, lock};
use darter_base::{UnixMillis, WorkerId};
use darter_replication::{Fork, History, Offset, ReplicationId, SyncRequest};
use refusal::Refusal;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use stream::Stream;

/// Replication, as all workers share it.
#[derive(Debug)]
pub struct Replication {
    /// Whether changes are recorded for replicas. It becomes true only while all shards are held.
    is_fed: AtomicBool,
    /// Whether the stream is what a primary sends. Changes only while all shards are held.
    is_following: AtomicBool,
    /// The database that it has selected.
    selected: AtomicU16,
    /// How far the stream is, and how far it was when workers were told.
    end: AtomicU64,
    announced: AtomicU64,
    stream: Mutex<Stream>,
    replicas: Mutex<Vec<Arc<Replica>>>,
    /// Whether replicas are to be asked how far they are.
    asks: AtomicBool,
    /// The full sync that began last, which others may still join.
    full_sync: Mutex<Option<Arc<FullSync>>>,
    bells: Box<[Bell]>,
    /// Bytes of memory for the stream that count towards the memory limit.
    counted_bytes: AtomicU64,
    /// Replicas that keep up (`min-replicas-max-lag`).
    good: AtomicU64,
    /// How many there are to be for writes to be accepted.
    good_min: AtomicU64,
    statistics: Statistics,
}

/// What of a worker others look at.
#[derive(Debug, Default)]
struct Bell {
    /// Whether it has replicas.
    has_replicas: AtomicBool,
    /// Whether it was told of more in the stream and has not looked yet.
    rings: AtomicBool,
    /// Whether clients of it wait for what replicas say.
    awaits: AtomicBool,
}

/// Counted since CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Statistics {
    pub full_syncs: AtomicU64,
    pub partial_syncs: AtomicU64,
    pub partial_syncs_refused: AtomicU64,
}

/// What INFO and ROLE show.
#[derive(Clone, Debug)]
pub struct Report {
    pub id: ReplicationId,
    pub fork: Option<Fork>,
    pub end: u64,
    /// Whether the latest changes are kept.
    pub is_kept: bool,
    pub kept_from: u64,
    pub kept_bytes: u64,
    /// Memory of what is kept, of that what is kept for slow replicas only, and of snapshots on their way.
    pub memory_bytes: u64,
    pub beyond_bytes: u64,
    /// The most that a replica has not got.
    pub behind_bytes: u64,
    pub good_replicas: u64,
    pub waiting_replicas: u64,
    pub replicas: Vec<Shown>,
    pub full_syncs: u64,
    pub partial_syncs: u64,
    pub partial_syncs_refused: u64,
}

impl Replication {
    /// None yet, of so many workers. The data are the beginning of a history called `id`.
    pub fn new(workers: usize, id: ReplicationId) -> Self {
        Self {
            is_fed: AtomicBool::new(false),
            is_following: AtomicBool::new(false),
            selected: AtomicU16::new(0),
            end: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            stream: Mutex::new(Stream::new(History::new(id))),
            replicas: Mutex::default(),
            asks: AtomicBool::new(false),
            full_sync: Mutex::default(),
            bells: (0..workers).map(|_| Bell::default()).collect(),
            counted_bytes: AtomicU64::new(0),
            good: AtomicU64::new(0),
            good_min: AtomicU64::new(0),
            statistics: Statistics::default(),
        }
    }

    /// Whether changes are recorded for replicas.
    #[inline]
    pub fn is_fed(&self) -> bool {
        self.is_fed.load(Ordering::Relaxed)
    }

    /// Appends what `add` adds to the stream, unless that is what a primary sends.
    pub(crate) fn record(&self, add: impl FnOnce(&mut Requests)) {
        let mut stream = lock(&self.stream);
        if self.is_following() {
            return;
        }
        stream.record(add);
        self.end.store(stream.end().bytes(), Ordering::Release);
        self.note_bytes(&stream);
    }

    fn note_bytes(&self, stream: &Stream) {
        let counted = stream.backlog().memory_bytes() - stream.beyond_bytes();
        self.counted_bytes.store(counted, Ordering::Relaxed);
    }

    /// Bytes of memory for the stream that count towards the memory limit.
    pub fn counted_bytes(&self) -> u64 {
        self.counted_bytes.load(Ordering::Relaxed)
    }

    /// The name of the history.
    pub fn id(&self) -> ReplicationId {
        lock(&self.stream).history.id()
    }

    /// How far the stream is.
    pub fn end(&self) -> Offset {
        Offset::new(self.end.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// Names the history anew (`DEBUG CHANGE-REPL-ID`): nobody can go on with what it has.
    pub fn rename(&self, id: ReplicationId) {
        lock(&self.stream).history.replace(id);
    }

    /// Follows a change of the configuration.
    pub fn follow(&self, settings: &Settings, now: UnixMillis) {
        let settings = &settings.replication;
        // Who was too late may not be any more.
        self.count_good(settings, now);
        let counts = settings.lag_seconds_max > 0;
        let good_min = if counts { settings.replicas_min } else { 0 };
        self.good_min.store(good_min, Ordering::Relaxed);
        lock(&self.stream).keep(settings.kept_bytes());
    }

    /// Whether writes are refused as too few replicas keep up.
    pub fn lacks_replicas(&self) -> bool {
        let good_min = self.good_min.load(Ordering::Relaxed);
        good_min > 0 && self.good.load(Ordering::Relaxed) < good_min
    }

    /// Counts the replicas that keep up.
    pub fn count_good(&self, settings: &ReplicationSettings, now: UnixMillis) {
        let lag_millis_max = i64::try_from(settings.lag_seconds_max.saturating_mul(1000));
        let lag_millis_max = lag_millis_max.unwrap_or(i64::MAX);
        let replicas = lock(&self.replicas);
        let is_good = |replica: &&Arc<Replica>| {
            replica.is_online() && replica.silent_millis(now) / 1000 * 1000 <= lag_millis_max
        };
        let good = replicas.iter().filter(is_good).count() as u64;
        self.good.store(good, Ordering::Relaxed);
    }

    /// How many replicas have the stream up to there.
    pub fn having(&self, offset: Offset) -> usize {
        lock(&self.replicas).iter().filter(|replica| replica.has(offset)).count()
    }

    /// How many have it on their disks.
    pub fn having_on_disk(&self, offset: Offset) -> usize {
        lock(&self.replicas).iter().filter(|replica| replica.has_on_disk(offset)).count()
    }

    /// Has replicas asked how far they are, and tells a worker of their answers ([`Mail::Acknowledged`]).
    pub fn await_answers(&self, worker: WorkerId) {
        self.bells[worker.index()].awaits.store(true, Ordering::SeqCst);
        self.ask();
    }

    /// Has replicas asked how far they are.
    pub fn ask(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// Tells workers whose clients wait that a replica has more than before.
    pub fn tell_acknowledged(&self, shared: &Shared) {
        for (index, bell) in (0..).zip(&self.bells) {
            if bell.awaits.swap(false, Ordering::SeqCst) {
                shared.send(WorkerId(index), Mail::Acknowledged);
            }
        }
    }

    /// What every worker does once a tick and before it sends answers: those that have replicas are told that there is
    /// more for them.
    #[inline]
    pub fn announce(&self, shared: &Shared) {
        if self.is_fed() || self.is_following() {
            self.announce_more(shared);
        }
    }

    fn announce_more(&self, shared: &Shared) {
        if self.asks.load(Ordering::Relaxed) && self.asks.swap(false, Ordering::Relaxed) {
            self.record(|requests| requests.add_words(&[b"REPLCONF", b"GETACK", b"*"]));
        }
        let end = self.end.load(Ordering::Acquire);
        if self.announced.swap(end, Ordering::Relaxed) != end {
            self.ring(shared);
        }
    }

    /// Has workers look after their replicas.
    pub fn ring(&self, shared: &Shared) {
        for (index, bell) in (0..).zip(&self.bells) {
            if bell.has_replicas.load(Ordering::Relaxed) && !bell.rings.swap(true, Ordering::AcqRel)
            {
                shared.send(WorkerId(index), Mail::Replicate);
            }
        }
    }

    /// A worker looks after its replicas now.
    pub fn note_heard_bell(&self, worker: WorkerId) {
        self.bells[worker.index()].rings.store(false, Ordering::Release);
    }

    /// Lets a new replica go on from what it has, how many bytes behind; or has it wait for all data.
    fn add(&self, replica: &Arc<Replica>, request: SyncRequest) -> Result<u64, Box<Refusal>> {
        let mut stream = lock(&self.stream);
        let goes_on = stream.join(replica.client_id, request);
        if goes_on.is_ok() {
            replica.enter(Phase::Online);
        }
        lock(&self.replicas).push(Arc::clone(replica));
        goes_on
    }

    /// A replica is gone.
    fn remove(&self, replica: &Replica) {
        let mut stream = lock(&self.stream);
        lock(&self.replicas).retain(|other| other.client_id != replica.client_id);
        stream.leave(replica.client_id);
        self.note_bytes(&stream);
        drop(stream);
        if let Phase::Receives(full_sync) = replica.phase() {
            full_sync.leave(replica.client_id);
        }
    }

    /// Lets a replica join the full sync under way, if it can.
    fn join_full_sync(&self, replica: &Replica) -> bool {
        let Some(full_sync) = lock(&self.full_sync).clone() else { return false };
        let can_take = full_sync.mark.is_none() || replica.announced.takes_mark;
        let mut stream = lock(&self.stream);
        let is_of_now = full_sync.id == stream.history.id() && stream.is_open();
        if !can_take || !is_of_now || full_sync.is_over() {
            return false;
        }
        if !stream.join_at(replica.client_id, full_sync.start) {
            return false;
        }
        if !full_sync.join(replica.client_id) {
            stream.leave(replica.client_id);
            return false;
        }
        replica.enter(Phase::Receives(full_sync));
        true
    }

    /// Whether a snapshot is to begin for replicas that wait for one.
    pub fn is_due(&self, settings: &ReplicationSettings, now: UnixMillis) -> bool {
        let replicas = lock(&self.replicas);
        let waiting: Vec<_> = replicas.iter().filter(|replica| replica.waits()).collect();
        if waiting.is_empty() {
            return false;
        }
        let is_diskless =
            settings.is_diskless && waiting.iter().all(|one| one.announced.takes_mark);
        let longest = waiting.iter().map(|replica| replica.silent_millis(now)).max();
        let delay_millis = settings.delay_seconds.saturating_mul(1000);
        let has_waited = longest.is_some_and(|millis| millis.cast_unsigned() >= delay_millis);
        let are_enough = settings.delayed_replicas_max > 0
            && waiting.len() as u64 >= settings.delayed_replicas_max;
        !is_diskless || has_waited || are_enough
    }

    /// Begins to send all data as they are now to the replicas that wait for them. To be called while all shards are held.
    pub fn begin_full_sync(
        &self,
        shared: &Shared,
        settings: &ReplicationSettings,
    ) -> Arc<FullSync> {
        let mut stream = lock(&self.stream);
        stream.open();
        stream.keep(settings.kept_bytes());
        stream.forget_db();
        let replicas = lock(&self.replicas);
        let waiting: Vec<_> = replicas.iter().filter(|replica| replica.waits()).collect();
        let is_diskless =
            settings.is_diskless && waiting.iter().all(|one| one.announced.takes_mark);
        let mark = is_diskless.then(random_mark).flatten();
        let full_sync = Arc::new(FullSync::new(stream.history.id(), stream.end(), mark));
        for replica in waiting {
            if stream.join_at(replica.client_id, full_sync.start)
                && full_sync.join(replica.client_id)
            {
                replica.enter(Phase::Receives(Arc::clone(&full_sync)));
            }
        }
        tracing::info!(
            "Starting BGSAVE for SYNC with target: {} using: normal sync",
            if mark.is_some() { "replicas sockets" } else { "disk" }
        );
        drop((stream, replicas));
        *lock(&self.full_sync) = Some(Arc::clone(&full_sync));
        self.is_fed.store(!self.is_following(), Ordering::Relaxed);
        self.ring(shared);
        full_sync
    }

    /// A snapshot for replicas has ended.
    pub fn end_full_sync(&self, shared: &Shared, full_sync: &Arc<FullSync>, succeeded: bool) {
        if !succeeded {
            full_sync.fail();
        }
        self.ring(shared);
    }

    /// Forgets what nobody has come back for, and the full sync that is over.
    fn forget(&self, settings: &ReplicationSettings, without_replicas_millis: i64) {
        let mut full_sync = lock(&self.full_sync);
        if full_sync.as_ref().is_some_and(|full_sync| full_sync.is_over()) {
            *full_sync = None;
        }
        drop(full_sync);
        let ttl_millis = settings.backlog_seconds.saturating_mul(1000);
        let is_over = ttl_millis > 0 && without_replicas_millis.cast_unsigned() >= ttl_millis;
        if self.is_fed() && is_over {
            let mut stream = lock(&self.stream);
            if !lock(&self.replicas).is_empty() {
                return;
            }
            // What happens from now on is in no stream: nobody can go on from here.
            let Some(id) = random_id() else { return };
            stream.history.replace(id);
            stream.close();
            self.note_bytes(&stream);
            self.is_fed.store(false, Ordering::Relaxed);
            tracing::info!(
                "Replication backlog freed: there were no connected replicas for a while"
            );
        }
    }

    /// How many replicas there are.
    pub fn replica_count(&self) -> usize {
        lock(&self.replicas).len()
    }

    /// Bytes of memory for the stream and for data on their way.
    pub fn memory_bytes(&self) -> u64 {
        let full_sync =
            lock(&self.full_sync).as_ref().map_or(0, |full_sync| full_sync.memory_bytes());
        lock(&self.stream).backlog().memory_bytes() + full_sync
    }

    /// What of that is only there because replicas are slow: it does not count towards the memory limit, as evicting keys
    /// for it would make more of it.
    pub fn beyond_bytes(&self) -> u64 {
        let full_sync =
            lock(&self.full_sync).as_ref().map_or(0, |full_sync| full_sync.memory_bytes());
        lock(&self.stream).beyond_bytes() + full_sync
    }

    /// Hands a replica what follows, at most `bytes_max`: how many that were, and how many are left. `None` if it does not read.
    fn read(
        &self,
        client_id: u64,
        bytes_max: usize,
        take: impl FnMut(&[u8]),
    ) -> Option<(usize, u64)> {
        lock(&self.stream).read(client_id, bytes_max, take)
    }

    /// How many bytes a replica has not been handed.
    pub fn behind_bytes(&self, client_id: u64) -> u64 {
        lock(&self.stream).behind_bytes(client_id)
    }

    /// What INFO and ROLE show.
    pub fn report(&self, now: UnixMillis) -> Report {
        let stream = lock(&self.stream);
        let replicas = lock(&self.replicas);
        let backlog = stream.backlog();
        let is_kept = stream.is_open();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            id: stream.history.id(),
            fork: stream.history.fork(),
            end: stream.end().bytes(),
            is_kept,
            // Bytes are counted from 1.
            kept_from: if is_kept { backlog.begin().bytes() + 1 } else { 0 },
            kept_bytes: backlog.len(),
            memory_bytes: backlog.memory_bytes(),
            beyond_bytes: stream.beyond_bytes(),
            behind_bytes: stream.behind_bytes_max(),
            good_replicas: read(&self.good),
            waiting_replicas: replicas.iter().filter(|replica| replica.waits()).count() as u64,
            replicas: replicas.iter().map(|replica| replica.shown(now)).collect(),
            full_syncs: read(&self.statistics.full_syncs),
            partial_syncs: read(&self.statistics.partial_syncs),
            partial_syncs_refused: read(&self.statistics.partial_syncs_refused),
        }
    }

    /// Begins to count anew what CONFIG RESETSTAT resets.
    pub fn reset_statistics(&self) {
        let Statistics { full_syncs, partial_syncs, partial_syncs_refused } = &self.statistics;
        for counter in [full_syncs, partial_syncs, partial_syncs_refused] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// A name that nobody else has; `None` if the system gives no random bytes.
pub fn random_id() -> Option<ReplicationId> {
    let mut random = [0; ReplicationId::LEN / 2];
    getrandom::fill(&mut random).ok()?;
    Some(ReplicationId::of_random(random))
}

/// What data do not end with by chance.
fn random_mark() -> Option<[u8; ReplicationId::LEN]> {
    random_id().map(|id| *id.as_bytes())
}
