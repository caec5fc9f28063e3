//! Being a replica: whose, how far, and the thread that listens to the primary.
//!
//! ```text
//!   REPLICAOF                    a thread for each turn                      shards
//!   Following::follow            link::run                                   applier, with_crew
//!   +---------------------+      +-------------------------------------+     +------------------------------+
//!   | another turn; the   | ---> | connects, introduces itself,        | --> | all data of one instant, or  |
//!   | former link is cut  |      | asks for what is missing, listens   |     | the stream, unit by unit     |
//!   +---------------------+      +-------------------------------------+     +------------------------------+
//! ```
//!
//! Each decision whom to follow begins a *turn*, and is made while all shards are held. The thread of a turn asks
//! whenever it has shards whether it is still its turn, and gives them back untouched otherwise; so nothing of a former
//! primary is carried out behind the answer to REPLICAOF, and no thread has to be waited for.
//!
//! What the primary sends becomes this server's own stream ([`crate::replication`]).

mod apply;
mod failover;
mod link;
mod settings;
mod shards;
mod sync;

pub use failover::{Failover, Wanted};
pub use settings::{FollowingSettings, LoadsAsItComes, Primary};

use crate::commands::error::ServerError;
use crate::mail::Mail;
use crate::shared::{Shared, lock};
use darter_base::{UnixMillis, WorkerId};
use darter_command_table::ReplyError;
use darter_runtime::{Ends, Scissors, Stopwatch, Ticks, wall_clock};
use shards::{Access, Doors};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time between two tries to reach the primary.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Being a replica, as everybody may look at it.
#[derive(Debug, Default)]
pub struct Following {
    /// Whether this server is a replica. Changes only while all shards are held.
    is_replica: AtomicBool,
    /// Whether clients may not write.
    is_read_only: AtomicBool,
    /// Whether the data are those that the primary has, but for what is on its way.
    is_up: AtomicBool,
    /// Whether stale data are served.
    serves_stale_data: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// Handing over to a replica.
    pub failover: Failover,
    doors: Mutex<Doors>,
    /// Bytes that came from it.
    input_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How often was decided whom to follow.
    turn: u64,
    primary: Option<Primary>,
    /// Whether it is asked to be one (`FAILOVER`).
    hands_over: bool,
    phase: Phase,
    /// Cuts the link of this turn.
    scissors: Option<Scissors>,
    /// When something came last.
    heard: Option<Ticks>,
    /// Since when the link is down.
    down_since: Option<UnixMillis>,
    /// How far all data are, while they come.
    transfer: Option<TransferProgress>,
    /// Threads that have shards, or are about to have some.
    holders: usize,
    /// Whether the process ends.
    ends: bool,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is to be made.
    #[default]
    Connect,
    /// It is being made.
    Connecting,
    /// Both sides introduce themselves.
    Handshake,
    /// All data come.
    Sync,
    /// The stream comes.
    Connected,
}

impl Phase {
    /// Its name in ROLE.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

/// How far all data are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferProgress {
    /// How many bytes there are, if the primary says.
    pub total_bytes: Option<u64>,
    pub read_bytes: u64,
}

impl TransferProgress {
    /// How many bytes there are; 0: the primary does not say.
    pub fn total(self) -> u64 {
        self.total_bytes.unwrap_or(0)
    }
}

/// What INFO and ROLE show.
#[derive(Clone, Debug)]
pub struct Standing {
    pub primary: Primary,
    pub phase: Phase,
    /// Seconds since something came; `None`: the link is down.
    pub silent_seconds: Option<u64>,
    /// Since when the link is down; `None`: always.
    pub down_seconds: Option<i64>,
    pub transfer: Option<TransferProgress>,
}

/// Counted since CONFIG RESETSTAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that came from them.
    pub input_bytes: u64,
}

/// What deciding whom to follow came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It is so now.
    Now,
    /// It was so already.
    Already,
}

impl Following {
    /// Whether this server is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.is_replica.load(Ordering::Relaxed)
    }

    /// Whose replica this server is.
    pub fn primary(&self) -> Option<Primary> {
        self.is_replica().then(|| lock(&self.state).primary.clone()).flatten()
    }

    /// What clients are told that follow redirections; `None`: this server is a primary.
    pub fn redirection(&self) -> Option<ReplyError> {
        let Primary { host, port } = self.primary()?;
        Some(ServerError::Redirect { host, port }.into())
    }

    /// Cuts the link to the primary, if there is one and it is meant; it is made again at once.
    pub fn cut_if(&self, is_meant: impl FnOnce(&Ends) -> bool) -> bool {
        let mut state = lock(&self.state);
        let ends = state.scissors.as_ref().and_then(|scissors| scissors.ends().ok());
        ends.is_some_and(|ends| is_meant(&ends)) && state.cut()
    }

    /// Whether clients may not write, because this is a replica.
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.is_replica() && self.is_read_only.load(Ordering::Relaxed)
    }

    /// Whether what needs data is refused, because they are old.
    #[inline]
    pub fn is_stale(&self) -> bool {
        self.is_replica()
            && !self.is_up.load(Ordering::Relaxed)
            && !self.serves_stale_data.load(Ordering::Relaxed)
    }

    /// Follows a change of the configuration.
    pub fn follow_settings(&self, settings: &FollowingSettings) {
        self.is_read_only.store(settings.is_read_only, Ordering::Relaxed);
        self.serves_stale_data.store(settings.serves_stale_data, Ordering::Relaxed);
    }

    /// Makes this server a replica of `primary`. To be called while all shards are held.
    pub fn follow(shared: &'static Shared, primary: Primary) -> Followed {
        let following = &shared.following;
        let state = lock(&following.state);
        if state.primary.as_ref() == Some(&primary) {
            return Followed::Already;
        }
        if state.primary.is_none() && shared.replication.has().is_some() {
            tracing::info!(
                "Before turning into a replica, using my own primary parameters to synthesize a cached primary: I may be \
                 able to synchronize with the new primary with just a partial transfer."
            );
        }
        following.begin(shared, state, primary, false);
        for worker in (0..shared.router().worker_count()).map(WorkerId) {
            shared.send(worker, Mail::Demoted);
        }
        Followed::Now
    }

    /// Makes this server a replica of one of its replicas, which is asked to be the primary. Clients are not told yet. To be
    /// called while all shards are held.
    fn hand_over(shared: &'static Shared, replica: Primary) {
        let following = &shared.following;
        following.begin(shared, lock(&following.state), replica, true);
    }

    fn begin(
        &self,
        shared: &'static Shared,
        mut state: MutexGuard<'_, State>,
        primary: Primary,
        hands_over: bool,
    ) {
        state.begin_turn(Some(primary));
        state.hands_over = hands_over;
        self.follow_settings(&shared.config.current().following);
        self.is_up.store(false, Ordering::Relaxed);
        self.is_replica.store(true, Ordering::Relaxed);
        shared.replication.begin_following();
        let turn = state.turn;
        start(move || link::run(shared, turn));
        drop(state);
        self.changed.notify_all();
        shared.config.renew();
    }

    /// Makes this server a primary. To be called while all shards are held.
    pub fn lead(shared: &'static Shared) -> Followed {
        let following = &shared.following;
        let mut state = lock(&following.state);
        if state.primary.is_none() {
            return Followed::Already;
        }
        let before = shared.replication.has();
        let id = shared.replication.begin_leading();
        if let (Some((old, end)), Some(id)) = (before, id) {
            tracing::info!(
                "Setting secondary replication ID to {old}, valid up to offset: {}. New replication ID is {id}",
                end.bytes() + 1
            );
        }
        state.begin_turn(None);
        following.is_replica.store(false, Ordering::Relaxed);
        drop(state);
        following.changed.notify_all();
        shared.config.renew();
        Followed::Now
    }

    /// Has the configuration say whose replica this server is (`replicaof`).
    pub fn configure(shared: &Shared, primary: Option<&Primary>) {
        let words = primary.map(|Primary { host, port }| [host.clone(), port.to_string()]);
        let words: Vec<&[u8]> = words.iter().flatten().map(String::as_bytes).collect();
        if let Err(error) = shared.config.set_at_start("replicaof", &words) {
            tracing::warn!(%error, "The configuration does not say whose replica this is");
        }
    }

    /// Follows nobody any more, as the process ends; whether no thread has shards, and none will.
    pub fn end(&self) -> bool {
        let mut state = lock(&self.state);
        if !state.ends {
            state.ends = true;
            state.cut();
            self.changed.notify_all();
        }
        state.holders == 0
    }

    /// The process does not end: if that had ended it, the primary is followed again.
    pub fn go_on(shared: &'static Shared) {
        let following = &shared.following;
        let mut state = lock(&following.state);
        if !std::mem::take(&mut state.ends) {
            return;
        }
        let Some(primary) = state.primary.clone() else { return };
        let hands_over = state.hands_over;
        state.begin_turn(Some(primary));
        state.hands_over = hands_over;
        following.is_up.store(false, Ordering::Relaxed);
        let turn = state.turn;
        drop(state);
        start(move || {
            // Nobody holds them who was told that it is another's turn: a thread of the turn before may still carry something out.
            let all = shared.router().shards().collect();
            if Access::of(shared, turn).with(all, |_| ()).is_some() {
                link::run(shared, turn);
            }
        });
    }

    /// A thread is about to take shards; whether it may.
    fn begin_holding(&self) -> bool {
        let mut state = lock(&self.state);
        state.holders += usize::from(!state.ends);
        !state.ends
    }

    /// It has given them back.
    fn end_holding(&self) {
        lock(&self.state).holders -= 1;
    }

    /// What INFO and ROLE show; `None`: this server is a primary.
    pub fn standing(&self, stopwatch: &Stopwatch, now: UnixMillis) -> Option<Standing> {
        let state = lock(&self.state);
        let since = |heard: Ticks| stopwatch.nanos_between(heard, stopwatch.now()) / 1_000_000_000;
        let is_up = state.phase == Phase::Connected;
        Some(Standing {
            primary: state.primary.clone()?,
            phase: state.phase,
            silent_seconds: state.heard.filter(|_| is_up || state.transfer.is_some()).map(since),
            down_seconds: state.down_since.map(|since| now.0.saturating_sub(since.0).max(0) / 1000),
            transfer: state.transfer,
        })
    }

    /// Whether the stream of the primary comes, so that replicas of this server can be served.
    pub fn is_connected(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        Counts { input_bytes: self.input_bytes.load(Ordering::Relaxed) }
    }

    /// Begins to count anew what CONFIG RESETSTAT resets.
    pub fn reset_statistics(&self) {
        self.input_bytes.store(0, Ordering::Relaxed);
    }

    /// Whether it is still this turn.
    fn is_turn(&self, turn: u64) -> bool {
        let state = lock(&self.state);
        state.turn == turn && !state.ends
    }

    /// Lets the thread of this turn change what is known of its link; `None` if it is another's turn.
    fn note<R>(&self, turn: u64, note: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = lock(&self.state);
        (state.turn == turn && !state.ends).then(|| note(&mut state))
    }

    fn enter(&self, turn: u64, phase: Phase) {
        self.note(turn, |state| {
            state.phase = phase;
            if phase != Phase::Sync {
                state.transfer = None;
            }
            if phase == Phase::Connected {
                state.down_since = None;
            } else if state.down_since.is_none() {
                state.down_since = Some(wall_clock());
            }
            self.is_up.store(phase == Phase::Connected, Ordering::Relaxed);
        });
    }

    /// Waits before another try. `false` if it is another's turn.
    fn rest(&self, turn: u64) -> bool {
        let waits = |state: &mut State| state.turn == turn && !state.ends;
        let waited = self.changed.wait_timeout_while(lock(&self.state), RETRY_INTERVAL, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        waits(&mut state)
    }
}

/// Starts the thread of a turn.
fn start(run: impl FnOnce() + Send + 'static) {
    let started = std::thread::Builder::new().name("darter-follow".to_owned()).spawn(run);
    if let Err(error) = started {
        tracing::error!(%error, "There is no thread to listen to the primary");
    }
}

impl State {
    /// Somebody else is to be followed, or nobody.
    fn begin_turn(&mut self, primary: Option<Primary>) {
        self.cut();
        *self = Self {
            turn: self.turn + 1,
            primary,
            holders: self.holders,
            ends: self.ends,
            ..Self::default()
        };
    }

    /// Cuts the link; whether there was one.
    fn cut(&mut self) -> bool {
        let scissors = self.scissors.take();
        if let Some(scissors) = &scissors {
            scissors.cut();
        }
        scissors.is_some()
    }
}
