//! One replica of this server, as all workers see it.

use super::full_sync::FullSync;
use crate::shared::lock;
use darter_base::UnixMillis;
use darter_replication::Offset;
use darter_runtime::ConnectionId;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a server says of itself before it asks for data (`REPLCONF`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Where it listens, if that is not where it connects from.
    pub ip: Option<String>,
    /// The port it listens on; 0: not said.
    pub port: u16,
    /// Whether it takes data whose length is not said first (`capa eof`).
    pub takes_mark: bool,
    /// Whether it understands that a history has got another name (`capa psync2`).
    pub follows_renaming: bool,
    /// Whether it wants the data and nothing that happens after (`rdb-only`).
    pub wants_data_only: bool,
}

/// How far a replica is.
#[derive(Clone, Debug)]
pub enum Phase {
    /// It waits for a snapshot to begin.
    Waits,
    /// It gets all data of one instant.
    Receives(Arc<FullSync>),
    /// It has been sent all data, and is to say that it has them: until then it could take what follows for data.
    Loads,
    /// It gets what happens.
    Online,
}

/// A replica.
#[derive(Debug)]
pub struct Replica {
    /// Its connection.
    pub connection: ConnectionId,
    pub client_id: u64,
    /// What it said of itself.
    pub announced: Announced,
    /// Where it listens, as far as known.
    pub ip: String,
    /// Whether it asked with SYNC: it says nothing of what it has.
    pub is_silent: bool,
    phase: Mutex<Phase>,
    /// Whether it has said how far it is.
    has_acknowledged: AtomicBool,
    /// Up to where it has the stream, and has it on its disk, as it says.
    acknowledged: AtomicU64,
    on_disk: AtomicU64,
    /// When it said so.
    heard_at: AtomicI64,
}

/// What ROLE and INFO show of a replica.
#[derive(Clone, Debug)]
pub struct Shown {
    pub ip: String,
    pub port: u16,
    pub state: &'static str,
    pub is_online: bool,
    pub acknowledged: u64,
    /// Seconds since it was heard of.
    pub lag_seconds: i64,
}

impl Replica {
    /// One that has just asked for data.
    pub fn new(
        connection: ConnectionId,
        client_id: u64,
        announced: Announced,
        ip: String,
        is_silent: bool,
        phase: Phase,
        now: UnixMillis,
    ) -> Self {
        Self {
            connection,
            client_id,
            announced,
            ip,
            is_silent,
            phase: Mutex::new(phase),
            has_acknowledged: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            on_disk: AtomicU64::new(0),
            heard_at: AtomicI64::new(now.0),
        }
    }

    /// What it is called in the server's log.
    pub fn name(&self) -> String {
        match self.announced.port {
            0 => format!("{}:<unknown-replica-port>", self.ip),
            port => format!("{}:{port}", self.ip),
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        lock(&self.phase).clone()
    }

    /// It is further.
    pub fn enter(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// Whether it gets what happens.
    pub fn is_online(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Online)
    }

    /// Whether it waits for a snapshot to begin.
    pub fn waits(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Waits)
    }

    /// It was heard of.
    pub fn note_heard(&self, now: UnixMillis) {
        self.heard_at.store(now.0, Ordering::Relaxed);
    }

    /// It says up to where it has the stream, and has it on its disk. `true` if that is more than before.
    pub fn note_acknowledged(&self, offset: Offset, on_disk: Option<Offset>) -> bool {
        self.has_acknowledged.store(true, Ordering::Relaxed);
        let before = self.acknowledged.fetch_max(offset.bytes(), Ordering::SeqCst);
        let on_disk = on_disk.unwrap_or_default().bytes();
        let on_disk_before = self.on_disk.fetch_max(on_disk, Ordering::SeqCst);
        before < offset.bytes() || on_disk_before < on_disk
    }

    /// Whether it has said how far it is: then it has all data.
    pub fn has_acknowledged(&self) -> bool {
        self.has_acknowledged.load(Ordering::Relaxed)
    }

    /// Whether it has the stream up to there.
    pub fn has(&self, offset: Offset) -> bool {
        self.is_online() && self.acknowledged.load(Ordering::SeqCst) >= offset.bytes()
    }

    /// Whether it has it on its disk.
    pub fn has_on_disk(&self, offset: Offset) -> bool {
        self.is_online() && self.on_disk.load(Ordering::SeqCst) >= offset.bytes()
    }

    /// How long it was not heard of.
    pub fn silent_millis(&self, now: UnixMillis) -> i64 {
        now.0.saturating_sub(self.heard_at.load(Ordering::Relaxed)).max(0)
    }

    /// What ROLE and INFO show of it.
    pub fn shown(&self, now: UnixMillis) -> Shown {
        let phase = self.phase();
        let is_online = matches!(phase, Phase::Online);
        let state = match phase {
            Phase::Waits => "wait_bgsave",
            Phase::Receives(_) => "send_bulk",
            Phase::Loads | Phase::Online => "online",
        };
        Shown {
            ip: self.ip.clone(),
            port: self.announced.port,
            state,
            is_online,
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            lag_seconds: if is_online { self.silent_millis(now) / 1000 } else { 0 },
        }
    }
}
