//! The thread that listens to the primary, for one turn.

use super::apply::{Applied, Applier, COMMANDS_AT_ONCE};
use super::shards::Access;
use super::sync::synchronize;
use super::{Phase, Primary};
use crate::journal::Journal;
use crate::shared::Shared;
use darter_replication::{Answer, Handshake, Introduction, Next, Offset, Units};
use darter_resp::request::encode;
use darter_runtime::{Arrival, Link, Ticks};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the primary hears how far this server is.
const ACK_INTERVAL: Duration = Duration::from_secs(1);

/// The buffer, unless something longer is looked at.
const BUFFER_BYTES: usize = 256 << 10;
/// A buffer beyond this is given back when what it was needed for is consumed.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// Places in the log that are waited for at a time.
const PLACES_MAX: usize = 64;

/// How often is looked whether the primary has been silent for too long, which may be set anew meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Longest line before the stream.
const LINE_BYTES_MAX: usize = 4096;

/// Why a link is over.
#[derive(Debug)]
pub(super) enum End {
    /// It was never made, or did not come to the stream: the next try is later.
    Failed(String),
    /// It was, and is no more: the next try is at once.
    Lost(String),
    /// The same; what the primary sent made no sense, so all data are asked for.
    Nonsense(String),
    /// Somebody else is followed now, or nobody, or the process ends.
    Superseded,
}

/// Follows a primary until its turn is over.
pub(super) fn run(shared: &'static Shared, turn: u64) {
    let mut thread = Thread {
        shared,
        turn,
        access: Access::of(shared, turn),
        applier: Applier::new(shared),
        asks_for_all: false,
        on_disk: OnDisk::default(),
    };
    while let Some(Some(primary)) = shared.following.note(turn, |state| state.primary.clone()) {
        let end = thread.follow(&primary);
        shared.following.note(turn, |state| state.scissors = None);
        shared.following.enter(turn, Phase::Connect);
        let retries_at_once = match end {
            End::Superseded => return,
            End::Failed(why) => {
                tracing::warn!("{why}");
                false
            }
            End::Lost(why) => {
                tracing::warn!("{why}");
                tracing::info!("Connection with primary lost.");
                tracing::info!("Caching the disconnected primary state.");
                true
            }
            End::Nonsense(why) => {
                tracing::warn!("{why}");
                thread.asks_for_all = true;
                false
            }
        };
        if !retries_at_once && !shared.following.rest(turn) {
            return;
        }
    }
}

struct Thread {
    shared: &'static Shared,
    turn: u64,
    access: Access,
    applier: Applier,
    /// Whether what there is cannot be gone on with.
    asks_for_all: bool,
    on_disk: OnDisk,
}

/// Up to where what the primary has sent is in this server's own log, and that on the disk.
#[derive(Debug, Default)]
struct OnDisk {
    up_to: Option<Offset>,
    /// Places in the log that were not on the disk when they were looked at, and those in the stream that they are of.
    waiting: VecDeque<(u64, Offset)>,
}

impl OnDisk {
    /// Looks how far it is, if everything up to `end` has been recorded; `None`: no log is kept, or it is not known yet.
    fn look(&mut self, journal: &Journal, end: Offset) -> Option<Offset> {
        if !journal.is_attached() {
            *self = Self::default();
            return None;
        }
        let log_end = journal.end();
        if self.waiting.back().is_some_and(|(log, _)| *log > log_end) {
            // It has begun anew.
            *self = Self::default();
        }
        if self.waiting.back() != Some(&(log_end, end)) && self.waiting.len() < PLACES_MAX {
            self.waiting.push_back((log_end, end));
        }
        // The data of a full sync are on the disk with the base that they become.
        while journal.is_found()
            && let Some((log, at)) = self.waiting.front().copied()
            && journal.is_synced(log)
        {
            self.up_to = Some(at);
            self.waiting.pop_front();
        }
        self.up_to
    }
}

impl Thread {
    /// Makes a link and keeps it for as long as it can be kept.
    fn follow(&mut self, primary: &Primary) -> End {
        let (shared, turn) = (self.shared, self.turn);
        let Primary { host, port } = primary;
        tracing::info!("Connecting to PRIMARY {host}:{port}");
        shared.following.enter(turn, Phase::Connecting);
        let timeout = timeout(shared);
        let link = match Link::open(host, *port, timeout) {
            Ok(link) => link,
            Err(error) => {
                return End::Failed(format!("Error condition on socket for SYNC: {error}"));
            }
        };
        let scissors = match link.scissors() {
            Ok(scissors) => scissors,
            Err(error) => return End::Failed(format!("Unable to connect to PRIMARY: {error}")),
        };
        if shared.following.note(turn, |state| state.scissors = Some(scissors)).is_none() {
            return End::Superseded;
        }
        tracing::info!("PRIMARY <-> REPLICA sync started");
        shared.following.enter(turn, Phase::Handshake);
        let mut wire = Wire::new(shared, turn, link);
        let result = self.shake_hands(&mut wire).and_then(|()| {
            shared.following.enter(turn, Phase::Connected);
            self.listen(&mut wire)
        });
        let Err(end) = result;
        // What was cut because of that looks like an end of its own.
        if shared.following.is_turn(turn) { end } else { End::Superseded }
    }

    /// Gets to where the stream begins.
    fn shake_hands(&mut self, wire: &mut Wire) -> Result<(), End> {
        let shared = self.shared;
        let mut handshake = Handshake::new(self.introduction());
        loop {
            if handshake.asks_for_data() {
                self.announce_request();
            }
            if !handshake.is_asked() {
                wire.send(&handshake.request()).map_err(End::Failed)?;
            }
            let answer = loop {
                let line = wire.line().map_err(End::Failed)?;
                match handshake.answered(&line) {
                    Answer::Alive => {}
                    answer => break answer,
                }
            };
            match answer {
                Answer::Alive | Answer::Next => {}
                Answer::NextWithout { what, reply } => {
                    tracing::info!("(Non critical) Primary does not understand {what}: {reply}");
                }
                Answer::NotNow(reply) => {
                    self.note_handed_over(Err(format!(
                        "Failover target rejected psync request: {reply}"
                    )));
                    return Err(End::Failed(format!(
                        "Primary is currently unable to PSYNC but should be in the future: {reply}"
                    )));
                }
                Answer::Failed(why) => {
                    if handshake.asks_for_data() {
                        let refused = "Failover target rejected psync request";
                        self.note_handed_over(Err(refused.to_owned()));
                    }
                    return Err(End::Failed(why));
                }
                Answer::Continue(name) => {
                    self.note_handed_over(Ok(()));
                    tracing::info!("Successful partial resynchronization with primary.");
                    if let Some(id) = name {
                        tracing::info!("Primary replication ID changed to {id}");
                        let all = shared.router().shards().collect();
                        let renamed = self.access.with(all, |_| {
                            let is_ours = shared.following.is_turn(self.turn);
                            if is_ours {
                                shared.replication.follow_renaming(shared, id);
                            }
                            is_ours
                        });
                        if renamed != Some(true) {
                            return Err(End::Superseded);
                        }
                    }
                    tracing::info!(
                        "PRIMARY <-> REPLICA sync: Primary accepted a Partial Resynchronization."
                    );
                    return Ok(());
                }
                Answer::Full { id, at } => {
                    self.note_handed_over(Ok(()));
                    tracing::info!("Full resync from primary: {id}:{at}");
                    shared.following.enter(self.turn, Phase::Sync);
                    self.applier.db = synchronize(shared, self.turn, &self.access, wire, id, at)?;
                    (self.asks_for_all, self.on_disk) = (false, OnDisk::default());
                    return Ok(());
                }
            }
        }
    }

    fn introduction(&self) -> Introduction {
        let settings = self.shared.config.current();
        let following = &settings.following;
        Introduction {
            user: following.user.clone(),
            password: following.password.clone(),
            port: match following.announced_port {
                0 => settings.port,
                port => port,
            },
            address: following.announced_ip.clone(),
            has: self.shared.replication.has().filter(|_| !self.asks_for_all),
            takes_over: self.hands_over(),
        }
    }

    /// Whether the primary is asked to be one.
    fn hands_over(&self) -> bool {
        self.shared.following.note(self.turn, |state| state.hands_over).unwrap_or(false)
    }

    /// The primary has answered whether it is one.
    fn note_handed_over(&self, verdict: Result<(), String>) {
        if self.hands_over() {
            self.shared.following.note(self.turn, |state| state.hands_over = false);
            self.shared.following.failover.note_verdict(verdict);
        }
    }

    fn announce_request(&self) {
        match self.shared.replication.has().filter(|_| !self.asks_for_all) {
            Some((id, end)) => {
                let first = end.bytes() + 1;
                tracing::info!("Trying a partial resynchronization (request {id}:{first}).");
            }
            None => {
                tracing::info!("Partial resynchronization not possible (no cached primary)");
            }
        }
    }

    /// Carries out the stream until there is no more of it.
    fn listen(&mut self, wire: &mut Wire) -> Result<std::convert::Infallible, End> {
        let (shared, turn) = (self.shared, self.turn);
        let mut units = Units::new(shared.config.current().authenticated_limits());
        // That everything before has arrived the primary hears at once: it may wait for that.
        self.acknowledge(wire)?;
        let mut acknowledged_at = shared.stopwatch.now();
        loop {
            let next = loop {
                if units.command_count() >= COMMANDS_AT_ONCE {
                    break Next::Unit;
                }
                match units.next(wire.window()) {
                    Next::Unit => {}
                    next => break next,
                }
            };
            let is_idle = units.bytes() == 0;
            if !is_idle {
                let is_ours = || shared.following.is_turn(turn);
                let applied = self.applier.apply(&self.access, &units, wire.window(), is_ours);
                let Applied::All { asks } = applied else { return Err(End::Superseded) };
                wire.consume(units.consume());
                if asks {
                    self.acknowledge(wire)?;
                }
            }
            let since = shared.stopwatch.nanos_between(acknowledged_at, shared.stopwatch.now());
            let mut rest = ACK_INTERVAL.saturating_sub(Duration::from_nanos(since));
            if rest.is_zero() {
                self.acknowledge(wire)?;
                acknowledged_at = shared.stopwatch.now();
                rest = ACK_INTERVAL;
            }
            match next {
                Next::Malformed { at, why } => {
                    let place = shared.replication.end().plus(at as u64);
                    return Err(End::Nonsense(format!(
                        "Protocol error from the primary at {place}: {why}"
                    )));
                }
                Next::Unit => {}
                Next::Unfinished { .. } => {
                    if wire.receive(rest).map_err(End::Lost)? == Arrival::Nothing
                        && wire.silence() > timeout(shared)
                    {
                        let why = "PRIMARY timeout: no data nor PING received...";
                        return Err(End::Lost(why.to_owned()));
                    }
                }
            }
        }
    }

    /// Tells the primary how far this server is.
    fn acknowledge(&mut self, wire: &mut Wire) -> Result<(), End> {
        let end = self.shared.replication.end();
        let (has, on_disk) = (end.to_string(), self.on_disk.look(&self.shared.journal, end));
        let request = match on_disk {
            Some(on_disk) => encode(&["REPLCONF", "ACK", &has, "FACK", &on_disk.to_string()]),
            None => encode(&["REPLCONF", "ACK", &has]),
        };
        wire.send(&request).map_err(End::Lost)
    }
}

/// How long the primary may be silent.
fn timeout(shared: &Shared) -> Duration {
    Duration::from_secs(shared.config.current().replication.timeout_seconds)
}

/// A link with what came over it and was not consumed yet.
#[derive(Debug)]
pub(super) struct Wire {
    shared: &'static Shared,
    turn: u64,
    link: Link,
    buffer: Vec<u8>,
    /// `start <= filled <= buffer.len()`
    start: usize,
    filled: usize,
    /// When something came last.
    heard: Ticks,
}

impl Wire {
    fn new(shared: &'static Shared, turn: u64, link: Link) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        let heard = shared.stopwatch.now();
        Self { shared, turn, link, buffer, start: 0, filled: 0, heard }
    }

    /// What came and was not consumed.
    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    /// The window is past `len` bytes, which it holds.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        if self.buffer.len() > BUFFER_BYTES_KEPT && self.filled - self.start <= BUFFER_BYTES {
            self.move_to_front();
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
    }

    /// Receives more, if it comes in time. The window grows as bytes arrive, twofold, and never for a length that is only
    /// declared. An end is an error.
    pub(super) fn receive(&mut self, patience: Duration) -> Result<Arrival, String> {
        if self.start == self.filled || self.filled == self.buffer.len() {
            self.move_to_front();
        }
        if self.filled == self.buffer.len() {
            let more = self.buffer.len();
            let reserved = self.buffer.try_reserve_exact(more);
            reserved.map_err(|error| format!("What the primary sends is too long: {error}"))?;
            self.buffer.resize(2 * more, 0);
        }
        let arrival = self.link.receive(&mut self.buffer[self.filled..], patience);
        match arrival.map_err(|error| format!("I/O error reading from PRIMARY: {error}"))? {
            Arrival::End => Err("Connection with primary closed".to_owned()),
            Arrival::Bytes(count) => {
                self.filled += count;
                self.note_heard(count);
                Ok(Arrival::Bytes(count))
            }
            Arrival::Nothing => Ok(Arrival::Nothing),
        }
    }

    /// Receives more, unless nothing comes for as long as the primary may be silent.
    pub(super) fn receive_in_time(&mut self) -> Result<Arrival, String> {
        let begun = self.shared.stopwatch.now();
        loop {
            let arrival = self.receive(LOOK_INTERVAL)?;
            let stopwatch = &self.shared.stopwatch;
            let waited = Duration::from_nanos(stopwatch.nanos_between(begun, stopwatch.now()));
            if arrival != Arrival::Nothing || waited > timeout(self.shared) {
                return Ok(arrival);
            }
        }
    }

    fn note_heard(&mut self, count: usize) {
        let (following, now) = (&self.shared.following, self.shared.stopwatch.now());
        following.input_bytes.fetch_add(count as u64, Ordering::Relaxed);
        self.heard = now;
        following.note(self.turn, |state| state.heard = Some(now));
    }

    /// For how long nothing has come.
    pub(super) fn silence(&self) -> Duration {
        let stopwatch = &self.shared.stopwatch;
        Duration::from_nanos(stopwatch.nanos_between(self.heard, stopwatch.now()))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.link.send(bytes).map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                "Timeout writing to PRIMARY".to_owned()
            }
            _ => format!("Error writing to PRIMARY: {error}"),
        })
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.window().iter().position(|byte| *byte == b'\n') {
                let line = &self.window()[..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.window().len() > LINE_BYTES_MAX {
                return Err("The primary sends a line that is too long".to_owned());
            }
            if self.receive_in_time()? == Arrival::Nothing {
                return Err("Timeout connecting to the PRIMARY...".to_owned());
            }
        }
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
    }
}
